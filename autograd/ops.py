"""The table of operations: one row each, with its value, its local derivatives and its domain."""

import ast
import linecache
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

Function = Callable[..., Any]
Interval = tuple[float, float]
Domain = tuple[tuple[Interval, ...], ...]


# IEEE-754 functions: math's own, but returning inf and nan where math raises, as C does.


def _odd(y: float) -> bool:
    return math.fmod(y, 2.0) in (1.0, -1.0)


def _div(x: float, y: float) -> float:
    """x / y, with x/0 = ±inf and 0/0 = nan."""
    try:
        return x / y
    except ZeroDivisionError:
        return x * math.copysign(math.inf, y)


def _pow(x: float, y: float) -> float:
    """x to the power y, as C's pow: nan where the result would be complex, ±inf at a pole."""
    try:
        return math.pow(x, y)
    except (OverflowError, ValueError):
        if x < 0.0 and not y.is_integer():
            return math.nan
        return math.copysign(math.inf, x) if _odd(y) else math.inf


def _total(
    function: Callable[[float], float],
    poles: Mapping[float, float] | None = None,
    overflow: Callable[[float], float] = lambda _: math.inf,
) -> Callable[[float], float]:
    """Make a math function total: its poles, inf on overflow, nan outside its domain."""
    poles = poles or {}

    def total(x: float) -> float:
        try:
            return function(x)
        except ValueError:
            return poles.get(x, math.nan)
        except OverflowError:
            return overflow(x)

    return total


def _whole(function: Callable[[float], int]) -> Callable[[float], float]:
    """Make a rounding function return a float: inf and nan pass, the sign of zero is kept."""
    return lambda x: math.copysign(float(function(x)), x) if math.isfinite(x) else x


_LOG_POLE = {0.0: -math.inf}

PRIMITIVES: dict[str, Function] = {
    "div": _div,
    "pow": _pow,
    "hypot": math.hypot,
    "atan2": math.atan2,
    "abs": math.fabs,
    "exp": _total(math.exp),
    "expm1": _total(math.expm1),
    "log": _total(math.log, _LOG_POLE),
    "log1p": _total(math.log1p, {-1.0: -math.inf}),
    "log2": _total(math.log2, _LOG_POLE),
    "log10": _total(math.log10, _LOG_POLE),
    "sqrt": _total(math.sqrt),
    "cbrt": math.cbrt,
    "sin": _total(math.sin),
    "cos": _total(math.cos),
    "tan": _total(math.tan),
    "asin": _total(math.asin),
    "acos": _total(math.acos),
    "atan": math.atan,
    "sinh": _total(math.sinh, overflow=lambda x: math.copysign(math.inf, x)),
    "cosh": _total(math.cosh),
    "tanh": math.tanh,
    "asinh": math.asinh,
    "acosh": _total(math.acosh),
    "atanh": _total(math.atanh, {1.0: math.inf, -1.0: -math.inf}),
    "erf": math.erf,
    "erfc": math.erfc,
    "floor": _whole(math.floor),
    "ceil": _whole(math.ceil),
    "round": _whole(round),
}
"""What the formulas stand on: functions of floats that no row spells out further."""


# The row.


@dataclass(eq=False, slots=True)
class Op:
    """One operation: how it is computed and its local derivative with respect to each operand.

    Formulas are text in the subset common to Python and C. They name the operands `x` and `y`,
    the result `z`, other rows, and `where(condition, a, b)`. In a local derivative the condition
    chooses between the formulas for a case and for all others.

    Attributes:
        name: the name of the row, of its public function and of its method.
        symbol: the label of its gate in a drawing.
        value: the formula of the result.
        local: for each operand the formula of ∂result/∂operand.
        domain: for each operand the open intervals on which the row is smooth (a kink of two
            operands, as where maximum's are equal, apart), from which tests sample.
        meaning: what it computes, in words.
        latex: how it is set in LaTeX, with X and Y for the operands.
        function: the value, callable on floats.
        rules: the local derivatives, each callable on the floats (x, y, z).
    """

    name: str
    symbol: str
    value: str
    local: tuple[str, ...]
    domain: Domain
    meaning: str
    latex: str = ""
    function: Function = field(init=False, repr=False)
    rules: tuple[Function, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        operands = ", ".join("XY"[: self.arity])
        name = self.name.replace("_", r"\_")
        self.latex = self.latex or rf"\operatorname{{{name}}}({operands})"

    @property
    def arity(self) -> int:
        """How many operands it takes: 1 or 2."""
        return len(self.local)

    def derivatives(self, namespace: Mapping[str, Any]) -> tuple[Function, ...]:
        """The local derivatives as functions of (x, y, z), over whatever the names mean there."""
        return tuple(
            compile_formula(f"{self.name}_local_{operand}", "xyz", formula, namespace)
            for operand, formula in zip("xy", self.local, strict=False)
        )

    def local_at(self, slot: int, x: float | None, y: float | None) -> str:
        """The formula of ∂result/∂operand for the case that these operands are.

        None is one that is not known: where it decides, the formula has all cases.
        """
        formula = self.local[slot]
        cases = _cases(formula)
        if cases is None or {"x": x, "y": y}[cases.decider] is None:
            return formula
        return cases.case if cases.holds(x, y) else cases.others

    def __str__(self) -> str:
        return self.name

    def __reduce__(self) -> tuple[Function, tuple[str]]:
        return op_named, (self.name,)


class _Cases(NamedTuple):
    """The two cases of a formula: the operand that decides, and how; the formulas."""

    decider: str
    holds: Function
    case: str
    others: str


@cache
def _cases(formula: str) -> _Cases | None:
    match ast.parse(formula, mode="eval").body:
        case ast.Call(ast.Name("where"), [ast.Compare(ast.Name(decider)) as condition, a, b]):
            holds = compile_formula("condition", "xy", ast.unparse(condition), {})
            return _Cases(decider, holds, ast.unparse(a), ast.unparse(b))
        case _:
            return None


class _Division(ast.NodeTransformer):
    """Reads `a / b` as the call div(a, b), which never raises."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, ast.Div):
            return ast.Call(ast.Name("div", ast.Load()), [node.left, node.right], [])
        return node


def total_division(tree: ast.AST) -> ast.AST:
    """The formula with `a / b` read as the call div(a, b), which never raises."""
    return _Division().visit(tree)


class _Selection(ast.NodeTransformer):
    """Reads `where(condition, a, b)` as `a if condition else b`, or as a call of that chooser."""

    def __init__(self, chooser: str | None) -> None:
        self.chooser = chooser

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.func, ast.Name) or node.func.id != "where":
            return node
        if self.chooser is None:
            return ast.IfExp(*node.args)
        nothing = ast.arguments([], [], None, [], [], None, [])
        condition, *options = node.args
        later = [ast.Lambda(nothing, option) for option in options]
        return ast.Call(ast.Name(self.chooser, ast.Load()), [condition, *later], [])


def compile_formula(
    name: str, operands: str, formula: str, namespace: Mapping[str, Any]
) -> Function:
    """The function `name` of the operands, over a namespace; a debugger can step into it.

    Its `where` calls `choose` of the namespace, if there is one, with a condition and two
    functions of nothing.
    """
    chooser = "choose" if "choose" in namespace else None
    tree = _Selection(chooser).visit(total_division(ast.parse(formula, mode="eval")))
    source = f"def {name}({', '.join(operands)}):\n    return {ast.unparse(tree)}\n"
    filename = f"<formula {name}: {formula}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    scope = dict(namespace)
    exec(compile(source, filename, "exec"), scope)
    return scope[name]


# The table. `x` and `y` are the operands, `z` the result.

REAL: tuple[Interval, ...] = ((-100.0, 100.0),)
NONZERO: tuple[Interval, ...] = ((-100.0, -(2.0**-10)), (2.0**-10, 100.0))
FAR: tuple[Interval, ...] = ((-100.0, -0.25), (0.25, 100.0))  # from the singular point (0, 0)
POSITIVE: tuple[Interval, ...] = ((2.0**-10, 1000.0),)
UNIT: tuple[Interval, ...] = ((-0.999, 0.999),)
STEEP: tuple[Interval, ...] = ((-1.5, 1.5),)
GROWING: tuple[Interval, ...] = ((1.001, 1000.0),)
BASE: tuple[Interval, ...] = ((2.0**-4, 16.0),)
EXPONENT: tuple[Interval, ...] = ((-3.0, 8.0),)  # below, rounding y - 1.0 costs pow its last digits
STEPS: tuple[Interval, ...] = tuple(  # between the jumps of floor, ceil and round
    (half / 2.0 + 2.0**-10, half / 2.0 + 0.5 - 2.0**-10) for half in range(-20, 20)
)

_ROWS = (
    # arithmetic
    Op("pos", "+", "x", ("1.0",), (REAL,), "the operand itself", "X"),
    Op("neg", "−", "-x", ("-1.0",), (REAL,), "the operand with its sign changed", "-X"),
    Op("add", "+", "x + y", ("1.0", "1.0"), (REAL, REAL), "the sum", "X + Y"),
    Op("sub", "−", "x - y", ("1.0", "-1.0"), (REAL, REAL), "the difference", "X - Y"),
    Op("mul", "×", "x * y", ("y", "x"), (REAL, REAL), "the product", r"X \cdot Y"),
    Op("div", "÷", "x / y", ("1.0 / y", "-z / y"), (REAL, NONZERO), "the quotient", r"\frac{X}{Y}"),
    # by x stays off the pole of x**-1.0 where y is 0, by y off that of log where x is 0: there 0 times
    # inf would be nan.
    Op("pow", "^", "pow(x, y)", ("where(y == 0.0, y * pow(x + less(abs(x), 1e-300), y - 1.0), y * pow(x, y - 1.0))", "where(x == 0.0, z * log(x + 1.0), z * log(x))"), (BASE, EXPONENT), "x to the power y", "X^{Y}"),
    Op("square", "x²", "x * x", ("2.0 * x",), (REAL,), "the square", "X^2"),
    Op("reciprocal", "1/x", "1.0 / x", ("-z * z",), (NONZERO,), "one divided by x", r"\frac{1}{X}"),
    # signs and comparisons
    Op("abs", "|x|", "abs(x)", ("sign(x)",), (NONZERO,), "the absolute value; derivative 0 at 0", r"\lvert X \rvert"),
    Op("sign", "sign", "where(x > 0.0, 1.0, where(x < 0.0, -1.0, x))", ("0.0",), (NONZERO,), "-1, 0 or 1 by the sign of x"),
    Op("step", "step", "where(x > 0.0, 1.0, where(x <= 0.0, 0.0, x))", ("0.0",), (NONZERO,), "1 where x > 0, else 0"),
    Op("less", "<", "where(x < y, 1.0, 0.0)", ("0.0", "0.0"), (REAL, REAL), "1 where x < y, else 0", "[X < Y]"),
    Op("equal", "=", "where(x == y, 1.0, 0.0)", ("0.0", "0.0"), (REAL, REAL), "1 where x == y, else 0", "[X = Y]"),
    Op("maximum", "max", "where(x > y, x, where(y >= x, y, x + y))", ("less(y, x) + 0.5 * equal(x, y)", "less(x, y) + 0.5 * equal(x, y)"), (REAL, REAL), "the larger; derivative ½ each at a tie", r"\max(X, Y)"),
    Op("minimum", "min", "where(x < y, x, where(y <= x, y, x + y))", ("less(x, y) + 0.5 * equal(x, y)", "less(y, x) + 0.5 * equal(x, y)"), (REAL, REAL), "the smaller; derivative ½ each at a tie", r"\min(X, Y)"),
    # exponentials, logarithms, roots
    Op("exp", "exp", "exp(x)", ("z",), (REAL,), "e to the power x", "e^{X}"),
    Op("expm1", "expm1", "expm1(x)", ("exp(x)",), (REAL,), "exp(x) - 1, accurate near 0"),
    Op("log", "ln", "log(x)", ("1.0 / x",), (POSITIVE,), "the natural logarithm", r"\ln(X)"),
    Op("log1p", "log1p", "log1p(x)", ("1.0 / (1.0 + x)",), (((-0.999, 1000.0),),), "log(1 + x), accurate near 0"),
    Op("log2", "log₂", "log2(x)", ("1.0 / (x * 0.6931471805599453)",), (POSITIVE,), "the logarithm to base 2", r"\log_2(X)"),
    Op("log10", "log₁₀", "log10(x)", ("1.0 / (x * 2.302585092994046)",), (POSITIVE,), "the logarithm to base 10", r"\log_{10}(X)"),
    Op("sqrt", "√", "sqrt(x)", ("0.5 / z",), (POSITIVE,), "the square root; derivative inf at 0", r"\sqrt{X}"),
    Op("cbrt", "∛", "cbrt(x)", ("pow(abs(x), -0.6666666666666666) / 3.0",), (NONZERO,), "the cube root; derivative inf at 0", r"\sqrt[3]{X}"),
    # trigonometric and hyperbolic functions, angles in radians
    Op("sin", "sin", "sin(x)", ("cos(x)",), (REAL,), "the sine of x radians", r"\sin(X)"),
    Op("cos", "cos", "cos(x)", ("-sin(x)",), (REAL,), "the cosine of x radians", r"\cos(X)"),
    Op("tan", "tan", "tan(x)", ("1.0 + z * z",), (STEEP,), "the tangent of x radians", r"\tan(X)"),
    Op("asin", "asin", "asin(x)", ("1.0 / (sqrt(1.0 - x) * sqrt(1.0 + x))",), (UNIT,), "the arc sine, in radians", r"\arcsin(X)"),
    Op("acos", "acos", "acos(x)", ("-1.0 / (sqrt(1.0 - x) * sqrt(1.0 + x))",), (UNIT,), "the arc cosine, in radians", r"\arccos(X)"),
    Op("atan", "atan", "atan(x)", ("1.0 / (1.0 + x * x)",), (REAL,), "the arc tangent, in radians", r"\arctan(X)"),
    Op("atan2", "atan2", "atan2(x, y)", ("y / hypot(x, y) / hypot(x, y)", "-x / hypot(x, y) / hypot(x, y)"), (FAR, REAL), "the angle of the point (y, x), in radians; derivative nan at (0, 0)"),
    Op("sinh", "sinh", "sinh(x)", ("cosh(x)",), (REAL,), "the hyperbolic sine", r"\sinh(X)"),
    Op("cosh", "cosh", "cosh(x)", ("sinh(x)",), (REAL,), "the hyperbolic cosine", r"\cosh(X)"),
    Op("tanh", "tanh", "tanh(x)", ("1.0 - z * z",), (REAL,), "the hyperbolic tangent", r"\tanh(X)"),
    Op("asinh", "asinh", "asinh(x)", ("1.0 / hypot(x, 1.0)",), (REAL,), "the inverse hyperbolic sine"),
    Op("acosh", "acosh", "acosh(x)", ("1.0 / (sqrt(x - 1.0) * sqrt(x + 1.0))",), (GROWING,), "the inverse hyperbolic cosine"),
    Op("atanh", "atanh", "atanh(x)", ("1.0 / ((1.0 - x) * (1.0 + x))",), (UNIT,), "the inverse hyperbolic tangent"),
    # activations
    Op("sigmoid", "σ", "where(x < 0.0, exp(-abs(x)), 1.0) / (1.0 + exp(-abs(x)))", ("z * (1.0 - z)",), (REAL,), "1 / (1 + exp(-x))", r"\sigma(X)"),
    Op("log_sigmoid", "log σ", "minimum(x, 0.0) - log1p(exp(-abs(x)))", ("sigmoid(-x)",), (REAL,), "log(sigmoid(x))", r"\ln\sigma(X)"),
    Op("softplus", "softplus", "maximum(x, 0.0) + log1p(exp(-abs(x)))", ("sigmoid(x)",), (REAL,), "log(1 + exp(x))"),
    Op("relu", "relu", "where(x < 0.0, 0.0, x)", ("step(x)",), (NONZERO,), "max(0, x); derivative 0 at 0"),
    Op("leaky_relu", "leaky relu", "where(x < 0.0, y * x, x)", ("step(x) + y * (1.0 - step(x))", "minimum(x, 0.0)"), (NONZERO, REAL), "x, or slope·x where x < 0; derivative the slope at 0"),
    Op("elu", "elu", "where(x < 0.0, y * expm1(x), x)", ("step(x) + y * (1.0 - step(x)) * exp(minimum(x, 0.0))", "expm1(minimum(x, 0.0))"), (NONZERO, REAL), "x, or alpha·(exp(x) - 1) where x < 0; derivative alpha at 0"),
    Op("gelu", "gelu", "0.5 * x * erfc(-x * 0.7071067811865476)", ("0.5 * erfc(-x * 0.7071067811865476) + x * exp(-0.5 * x * x) * 0.3989422804014327",), (REAL,), "x·Φ(x), Φ the normal distribution function"),
    Op("silu", "silu", "x * sigmoid(x)", ("sigmoid(x) * (1.0 + x * sigmoid(-x))",), (REAL,), "x·sigmoid(x)"),
    # the error function, length, rounding
    Op("erf", "erf", "erf(x)", ("1.1283791670955126 * exp(-x * x)",), (REAL,), "the error function"),
    Op("erfc", "erfc", "erfc(x)", ("-1.1283791670955126 * exp(-x * x)",), (REAL,), "1 - erf(x), accurate for large x"),
    Op("hypot", "hypot", "hypot(x, y)", ("x / z", "y / z"), (FAR, REAL), "the length √(x² + y²); derivative nan at (0, 0)"),
    Op("floor", "⌊x⌋", "floor(x)", ("0.0",), (STEPS,), "the largest whole number ≤ x", r"\lfloor X \rfloor"),
    Op("ceil", "⌈x⌉", "ceil(x)", ("0.0",), (STEPS,), "the smallest whole number ≥ x", r"\lceil X \rceil"),
    Op("round", "round", "round(x)", ("0.0",), (STEPS,), "the nearest whole number, half to even"),
)  # fmt: skip

TABLE: dict[str, Op] = {row.name: row for row in _ROWS}
"""Every operation by name."""

SELECT = Op("select", "where", "x", ("0.0", "0.0"), (), "one of the options x, by the condition y")
OPTIONS = Op("options", ",", "x", ("0.0", "0.0"), (), "what a selection chooses between")
"""No rows of the table: the two nodes of a `where` while a function is traced for compiling. The
sweeps of a trace know what they mean; to all others they are constants."""


def op_named(name: str) -> Op:
    """The row of that name, or one of the nodes of a selection."""
    return SELECT if name == SELECT.name else OPTIONS if name == OPTIONS.name else TABLE[name]


def _compile_table() -> dict[str, Function]:
    """Give every row its functions of floats; a row may stand on those above it."""
    functions = dict(PRIMITIVES)
    for row in TABLE.values():
        if row.name not in functions:
            operands = "xy"[: row.arity]
            functions[row.name] = compile_formula(row.name, operands, row.value, functions)
        row.function = functions[row.name]
    for row in (*TABLE.values(), SELECT, OPTIONS):
        row.rules = row.derivatives(functions)
    return functions


FLOATS: dict[str, Function] = _compile_table()
"""Every row as a function of floats: the namespace in which formulas run eagerly."""
