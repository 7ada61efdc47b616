"""`by_hand`: a computation as a person with pencil and pocket calculator writes it down."""

import ast
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import (
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_EVEN,
    ROUND_HALF_UP,
    Context,
    Decimal,
    localcontext,
)
from functools import cache, cached_property, partial, reduce
from itertools import groupby
from operator import attrgetter
from typing import Any, Literal, NamedTuple, TypedDict, cast

from autograd import graph
from autograd.backward import local_derivative, pullback
from autograd.explanation import _require_value, _Shown
from autograd.ops import PRIMITIVES, TABLE, Function, Op, compile_formula
from autograd.tape import (
    _ATOM,
    _NEGATIVE,
    _convert,
    _Term,
    _value,
    latex_aligned,
    latex_derivative,
    latex_name,
    latex_number,
)
from autograd.value import Number, Value, number

Quantity = str | tuple[str, str]
"""What is written: a value by its name, or the derivative ∂y/∂x as the names (y, x)."""

Kind = Literal["given", "value", "local derivative", "gradient"]

Rounding = Literal["truncate", "half-up", "half-even"]

_ROUNDINGS = {"truncate": ROUND_DOWN, "half-up": ROUND_HALF_UP, "half-even": ROUND_HALF_EVEN}

DECIMALS = 4
"""How many decimals are written where nothing else is said."""

MOST_DECIMALS = 100

LONGEST = 40
"""How many numbers and operations a formula may have to be shown."""

WIDTH = 80
"""How wide an equation may be on one line of text."""

DIGITS = 12
"""How many significant digits the calculator knows of a library function."""


class Line(TypedDict):
    """A line of the solution: name = formula = numbers = written.

    kind is "given" (a leaf), "value", "local derivative" or "gradient"; name is `y` or `∂E/∂y`,
    or `dE/dy` for a gradient of which the local derivative ∂E/∂y is but one path. formula and
    numbers are how it is computed, over names and over what is written for them: None where
    nothing is computed or the formula is too long to be read; numbers also where `by_hand` was
    told what to write. written are the digits; zeros are appended only where digits were cut off.
    exact is the engine's number, correct its digits when correctly rounded; error is
    written - exact, None where written is correct.
    """

    kind: Kind
    name: str
    formula: str | None
    numbers: str | None
    written: str
    exact: float
    correct: str
    error: float | None


# The calculator: the table's formulas over Decimal numbers.

_ARITHMETIC = Context(prec=50, Emax=308, rounding=ROUND_HALF_EVEN, traps=[])
"""50 digits, and like floats inf and nan instead of an exception."""

_DISPLAY = Context(prec=40, rounding=ROUND_HALF_EVEN, traps=[])
"""What is read off: 1 / 3 * 3 is 1, so that nothing cuts it to 0.9999."""

_PAPER = Context(prec=1000, traps=[])
"""Room for all digits before the point and after it."""


def _decimal(x: float) -> Decimal:
    """The number as Python prints it: 0.1 is one tenth."""
    return Decimal(repr(x)).normalize(_PAPER)


def _library(function: Function) -> Function:
    return lambda *operands: Decimal(f"{function(*map(float, operands)):.{DIGITS}g}")


class _DecimalLiterals(ast.NodeTransformer):
    """Reads `1.0` as `Decimal('1.0')`."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Call(ast.Name("Decimal", ast.Load()), [ast.Constant(repr(node.value))], [])


def _compile(name: str, operands: str, formula: str, namespace: Mapping[str, Any]) -> Function:
    tree = _DecimalLiterals().visit(ast.parse(formula, mode="eval"))
    return compile_formula(f"{name}_of_decimals", operands, ast.unparse(tree), namespace)


@cache
def _functions() -> dict[str, Any]:
    """Every row as a function of Decimals: exact, but for what it takes from the library."""
    functions: dict[str, Any] = {
        **{name: _library(function) for name, function in PRIMITIVES.items()},
        "Decimal": Decimal,
        "div": Decimal.__truediv__,
        "abs": Decimal.__abs__,
        "floor": partial(Decimal.to_integral_value, rounding=ROUND_FLOOR),
        "ceil": partial(Decimal.to_integral_value, rounding=ROUND_CEILING),
        "round": partial(Decimal.to_integral_value, rounding=ROUND_HALF_EVEN),
    }
    for row in TABLE.values():
        if row.name not in functions:
            functions[row.name] = _compile(row.name, "xy"[: row.arity], row.value, functions)
    return functions


@cache
def _rule(op: Op, slot: int) -> Function:
    """The local derivative as a function of the Decimals (x, y, z)."""
    return _compile(f"{op.name}_local", "xyz", op.local[slot], _functions())


# The pencil: digits on paper.


@dataclass(frozen=True)
class _Pencil:
    """How numbers are written down.

    Attributes:
        decimals: how many decimals a quantity has; those of None are for all others.
        rule: how digits are cut off.
        overrides: what is written instead of what was computed.
    """

    decimals: Mapping[Quantity | None, int]
    rule: str
    overrides: Mapping[Quantity, float]

    def places(self, quantity: Quantity) -> int:
        """How many decimals the quantity has."""
        return self.decimals.get(quantity, self.decimals.get(None, DECIMALS))

    def round(self, quantity: Quantity, computed: Decimal) -> Decimal:
        """What is written of a computed number."""
        return self._rounded(quantity, computed, self.rule)

    def correct(self, quantity: Quantity, exact: float) -> Decimal:
        """What would be written of the exact number; its 16th digit is noise."""
        rule = ROUND_HALF_UP if self.rule == ROUND_DOWN else self.rule
        return self._rounded(quantity, Decimal(f"{exact:.15g}"), rule)

    def _rounded(self, quantity: Quantity, x: Decimal, rule: str) -> Decimal:
        if not x.is_finite():
            return x
        shown = _DISPLAY.plus(x)
        rounded = shown.quantize(Decimal(1).scaleb(-self.places(quantity)), rule, _PAPER)
        written = shown.normalize(_PAPER) if rounded == shown else rounded
        return written or written.copy_abs()  # on paper zero has no sign


def _digits(x: Decimal) -> str:
    return f"{x:f}" if x.is_finite() else repr(float(x))


def _places(x: Decimal) -> int:
    return len(_digits(x).partition(".")[2])


def _same(x: Decimal, y: Decimal) -> bool:
    return x == y or (x.is_nan() and y.is_nan())


# Formulas whose names are quantities.


@dataclass(frozen=True, slots=True)
class _Formula:
    """A formula as a tree, and how many numbers and operations it has."""

    tree: ast.expr
    size: int

    def is_name(self, quantity: Quantity) -> bool:
        return isinstance(self.tree, ast.Name) and cast(Quantity, self.tree.id) == quantity

    def __mul__(self, other: "_Formula") -> "_Formula":
        if _constant(self) == 1.0:
            return other
        if _constant(other) == 1.0:
            return self
        if _constant(other) == -1.0:
            return _compose("-x", self)
        return _compose("x * y", self, other)

    def __add__(self, other: "_Formula") -> "_Formula":
        return _compose("x + y", self, other)


_TOO_LONG = _Formula(ast.Constant(...), LONGEST + 1)


def _quantity(quantity: Quantity) -> _Formula:
    return _Formula(ast.Name(cast(str, quantity)), 1)  # not unparsed before it has a text


def _number(x: float) -> _Formula:
    return _Formula(ast.Constant(x), 1)


def _constant(formula: _Formula) -> float | None:
    match formula.tree:
        case ast.Constant(float(x)):
            return x
        case ast.UnaryOp(ast.USub(), ast.Constant(float(x))):
            return -x
        case _:
            return None


@cache
def _parsed(formula: str) -> tuple[ast.expr, int, list[str]]:
    """A formula of the table: its tree, its size without operands, and these as they occur."""
    tree = ast.parse(formula, mode="eval").body
    parts = [node for node in ast.walk(tree) if isinstance(node, ast.expr)]
    operands = [node.id for node in parts if isinstance(node, ast.Name) and node.id in "xyz"]
    return tree, len(parts) - len(operands), operands


def _compose(formula: str, *operands: _Formula) -> _Formula:
    """A formula of the table over formulas for x, y and z."""
    tree, size, occurrences = _parsed(formula)
    given = dict(zip("xyz", operands, strict=False))
    size += sum(given[name].size for name in occurrences)
    if size > LONGEST:
        return _TOO_LONG
    return _Formula(_fill(tree, lambda name: given[name].tree), size)


def _fill(
    tree: ast.expr,
    operand: Callable[[Any], ast.expr],
    constant: Callable[[Any], ast.expr] = ast.Constant,
) -> ast.expr:
    """The tree with other trees for its operands and its constants."""
    match tree:
        case ast.Name(name):
            return operand(name)
        case ast.Constant(x):
            return constant(x)
        case ast.UnaryOp(sign, x):
            return ast.UnaryOp(sign, _fill(x, operand, constant))
        case ast.BinOp(x, sign, y):
            return ast.BinOp(_fill(x, operand, constant), sign, _fill(y, operand, constant))
        case ast.Call(function, operands):
            return ast.Call(function, [_fill(x, operand, constant) for x in operands], [])
        case _:
            raise AssertionError(f"no formula: {ast.unparse(tree)}")


@cache
def _value_formula(op: Op) -> str:
    """With operators; by name where they would repeat an operand: `square(x)`."""
    formula = _value(op)
    return f"{op.name}(x)" if "(" not in formula and formula.count("x") > 1 else formula


# The two scripts in which formulas are shown.


class _Script(NamedTuple):
    """How quantities, numbers and formulas are shown, and the sign where digits were cut off."""

    name: Callable[..., str]  # of a Quantity, and whether it is a total derivative
    number: Callable[[str], str]
    formula: Callable[[ast.expr, Callable[[Quantity], str]], str]
    nearly: str


def _text_name(quantity: Quantity, total: bool = False) -> str:
    if isinstance(quantity, str):
        return quantity
    return ("d{}/d{}" if total else "∂{}/∂{}").format(*quantity)


def _text_formula(tree: ast.expr, shown: Callable[[Quantity], str]) -> str:
    def part(text: str) -> ast.expr:
        return ast.Name(f"({text})" if text.startswith("-") else text)

    filled = _fill(tree, lambda x: part(shown(x)), lambda x: part(repr(x).removesuffix(".0")))
    return re.sub(r"(^|\(|, )\((-[^()]*)\)", r"\1\2", ast.unparse(filled))  # (-1) + x is -1 + x


def _latex_name(quantity: Quantity, total: bool = False) -> str:
    if isinstance(quantity, str):
        return latex_name(quantity)
    of, by = map(latex_name, quantity)
    if total:
        return rf"\frac{{\mathrm{{d}} {of}}}{{\mathrm{{d}} {by}}}"
    return latex_derivative(of, by)


def _latex_formula(tree: ast.expr, shown: Callable[[Quantity], str]) -> str:
    terms: dict[str, _Term] = {}

    def term(name: Any) -> ast.expr:
        text = shown(name)
        terms[name] = _Term(text, _NEGATIVE if text.startswith("-") else _ATOM)
        return ast.Name(name)

    return _convert(_fill(tree, term), terms).text


_TEXT = _Script(_text_name, str, _text_formula, "≈")
_LATEX = _Script(_latex_name, latex_number, _latex_formula, r"\approx")


# The solution.


class _Entry(NamedTuple):
    """A line before it is set in a script."""

    kind: Kind
    quantity: Quantity
    formula: _Formula
    computed: Decimal
    written: Decimal
    exact: float
    correct: Decimal
    overridden: bool
    total: bool

    @property
    def shown(self) -> ast.expr | None:
        """The formula, unless it is too long or says no more than the name."""
        repeats = self.formula.is_name(self.quantity)
        return None if repeats or self.formula.size > LONGEST else self.formula.tree

    @property
    def nearly(self) -> bool:
        """Whether other digits are written than were computed."""
        return not _same(_DISPLAY.plus(self.computed), self.written)

    @property
    def error(self) -> float | None:
        if _same(self.written, self.correct):
            return None
        return float(_PAPER.subtract(self.written, _decimal(self.exact)))


_TITLES: dict[Kind, str] = {
    "given": "Given",
    "value": "Values",
    "local derivative": "Local derivatives",
    "gradient": "Gradients",
}


@dataclass(frozen=True, repr=False)
class WorkedSolution(_Shown):
    """What `by_hand` writes: print it, show it in a notebook, or take its `.latex()`.

    Attributes:
        result: the name of the computed node.
        digits: how many significant digits of the exact numbers are shown.
    """

    _entries: list[_Entry]
    _paper: dict[Quantity, Decimal]

    @cached_property
    def lines(self) -> list[Line]:
        """Everything that is written, in the order of the work, as plain data."""
        found: list[Line] = []
        for entry in self._entries:
            formula, numbers = [*self._formulas(entry, _TEXT), None, None][:2]
            found.append(
                {
                    "kind": entry.kind,
                    "name": _text_name(entry.quantity, entry.total),
                    "formula": formula,
                    "numbers": numbers,
                    "written": _digits(entry.written),
                    "exact": entry.exact,
                    "correct": _digits(entry.correct),
                    "error": entry.error,
                }
            )
        return found

    @property
    def text(self) -> str:
        """The lines in sections, each with the exact number and, where there is one, the error."""
        return "\n\n".join(self._table(*section) for section in self._sections())

    def latex(self) -> str:
        """The equations, aligned, each with the exact number and, where there is one, the error."""
        lines: list[str] = []
        for entry in self._entries:
            left, right = self._equation(entry, _LATEX)
            equation = f"{left} &{' '.join(right)}"
            note = rf"\text{{exact }} {self._latex(entry.exact)}"
            if entry.error is not None:
                note += rf",\ \text{{error }} {latex_number(_error(entry))}"
            lines.append(f"{equation} && {note}")
        return latex_aligned(lines)

    def _repr_markdown_(self) -> str:
        return "\n\n".join(self._list(*section) for section in self._sections())

    def _sections(self) -> Iterator[tuple[str, list[_Entry]]]:
        for kind, entries in groupby(self._entries, key=attrgetter("kind")):
            yield _TITLES[kind], list(entries)

    def _table(self, title: str, entries: list[_Entry]) -> str:
        cells = [(title, "exact", "error")]
        for entry in entries:
            *above, last = _stacked(*self._equation(entry, _TEXT))
            cells += [(line, "", "") for line in above]
            cells.append((last, self._number(entry.exact), _error(entry)))
        widths = [max(len(row[i]) for row in cells if row[1]) for i in range(3)]
        return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in cells)

    def _list(self, title: str, entries: list[_Entry]) -> str:
        lines: list[str] = []
        for entry in entries:
            note = f"exact {self._number(entry.exact)}"
            if entry.error is not None:
                note += f", **error {_error(entry)}**"
            left, right = self._equation(entry, _LATEX)
            lines.append(f"- ${left} {' '.join(right)}$ ({note})")
        return "\n".join([f"**{title}**", "", *lines])

    def _equation(self, entry: _Entry, script: _Script) -> tuple[str, list[str]]:
        """The left side, and the right sides with their signs; what repeats is left out."""
        left, written = (
            script.name(entry.quantity, entry.total),
            script.number(_digits(entry.written)),
        )
        sides = dict.fromkeys(self._formulas(entry, script))
        sign = script.nearly if entry.nearly else "="
        others = [f"= {side}" for side in sides if side not in (left, written)]
        return left, [*others, f"{sign} {written}"]

    def _formulas(self, entry: _Entry, script: _Script) -> list[str]:
        """How the entry is computed, over names and then over what is written for them."""
        if (formula := entry.shown) is None:
            return []
        names = script.formula(formula, script.name)
        if entry.overridden:
            return [names]

        def number(quantity: Quantity) -> str:
            return script.number(_digits(self._paper[quantity]))

        return [names, script.formula(formula, number)]


def _error(entry: _Entry) -> str:
    return "" if entry.error is None else f"{entry.error:.3g}"


def _stacked(left: str, right: list[str]) -> list[str]:
    """An equation on one line, or, if that is too wide, its sides below each other."""
    line = " ".join([left, *right])
    if len(line) <= WIDTH:
        return [line]
    indent = " " * len(left)
    return [f"{indent if i else left} {side}" for i, side in enumerate(right)]


# The work.


class _Work:
    """The work on one result: its entries, in the order in which they are written.

    A node is kept if a formula may stand on it: it is a leaf, or it is written for its label or
    for being the result. All others are keystrokes between two lines.
    """

    def __init__(self, root: Value, pencil: _Pencil) -> None:
        self.root = root
        self.pencil = pencil
        self.exact = pullback({root: 1.0})
        self.names = graph.names(root)
        leaves = graph.leaves(root)
        self.kept = {node for node in self.names if node._label}.union([root], leaves)
        self.unlabelled = {self.names[leaf] for leaf in leaves if not leaf._label}
        self.places = {node: place for place, node in enumerate(self.names)}
        self.numbers: dict[Value, Decimal] = {}
        self.formulas: dict[Value, _Formula] = {}
        self.paper: dict[Quantity, Decimal] = {}
        self.entries: list[_Entry] = []

    def forward(self) -> None:
        """Compute every value from those before it, as they are written."""
        for node, name in self.names.items():
            operands = node.operands
            if node._op:
                number = _functions()[node._op.name](*map(self._number_of, operands))
                formula = _compose(_value_formula(node._op), *map(self._formula_of, operands))
            else:
                number, formula = _decimal(node._data), _quantity(name)
            if node in self.kept:
                kind = "value" if node._op else "given"
                number = self._write(kind, name, formula, number, node._data)
                formula = _quantity(name)
            self.numbers[node], self.formulas[node] = number, formula

    def backward(self) -> None:
        """Sum the products of the local derivatives, as they are written, over all paths."""
        gradients, paths = {self.root: Decimal(1)}, {self.root: [_number(1.0)]}
        for node in reversed(self.names):
            if node not in self.kept or node not in gradients:
                continue
            for operand, quantity, local in self._locals(node):
                gradients[operand] = gradients.get(operand, 0) + gradients[node] * local
                longer = [path * _quantity(quantity) for path in paths[node]]
                paths[operand] = _unless_long([*longer, *paths.get(operand, [])])
        inner = [node for node in reversed(self.names) if node._op]
        for node in [*inner, *graph.leaves(self.root)]:
            if node in gradients and node is not self.root:
                quantity = (self.names[self.root], self.names[node])
                formula = reduce(_Formula.__add__, paths[node])
                self._write("gradient", quantity, formula, gradients[node], self.exact[node])

    def _locals(self, node: Value) -> Iterator[tuple[Value, Quantity, Decimal]]:
        """Write ∂node/∂operand for each kept node that keystrokes lead from to node."""
        operands = [z for z in node.operands if isinstance(z, Value)]
        steps = [*graph.operations(*operands, known=self.kept), node]
        formulas = _sweep(steps, _number(1.0), self._local_formula)
        numbers = _sweep(steps, Decimal(1), self._local_number)
        exact = _sweep(steps, 1.0, local_derivative)
        for operand in sorted(numbers, key=self.places.__getitem__):
            quantity = (self.names[node], self.names[operand])
            yield (
                operand,
                quantity,
                self._write(
                    "local derivative",
                    quantity,
                    formulas[operand],
                    numbers[operand],
                    exact[operand],
                ),
            )

    def _local_number(self, node: Value, slot: int) -> Decimal:
        x, y = [*map(self._number_of, node.operands), Decimal(0)][:2]
        return _rule(node._op, slot)(x, y, self.numbers[node])

    def _local_formula(self, node: Value, slot: int) -> _Formula:
        x, y = [*map(self._formula_of, node.operands), _number(0.0)][:2]
        return _compose(node._op.local[slot], x, y, self.formulas[node])

    def _number_of(self, operand: Value | float) -> Decimal:
        return self.numbers[operand] if isinstance(operand, Value) else _decimal(operand)

    def _formula_of(self, operand: Value | float) -> _Formula:
        return self.formulas[operand] if isinstance(operand, Value) else _number(operand)

    def _write(
        self, kind: Kind, quantity: Quantity, formula: _Formula, computed: Decimal, exact: float
    ) -> Decimal:
        """Write a line; return the number that stands there."""
        total = kind == "gradient" and quantity in self.paper and not formula.is_name(quantity)
        overridden = kind != "gradient" and quantity in self.pencil.overrides
        correct = self.pencil.correct(quantity, exact)
        if overridden:
            written = _decimal(self.pencil.overrides[quantity])
        elif quantity in self.unlabelled:
            written = correct = computed
        else:
            written = self._copied(formula, quantity, self.pencil.round(quantity, computed))
        if kind != "gradient":
            self.paper[quantity] = written
        self.entries.append(
            _Entry(kind, quantity, formula, computed, written, exact, correct, overridden, total)
        )
        return written

    def _copied(self, formula: _Formula, quantity: Quantity, number: Decimal) -> Decimal:
        """The number, with the zeros with which it stands where it is copied from."""
        if isinstance(formula.tree, ast.Name):
            source = self.paper.get(formula.tree.id, number)
            if source == number and _places(source) <= self.pencil.places(quantity):
                return source
        return number


def _sweep(
    steps: Sequence[Value], one: Any, local: Callable[[Value, int], Any]
) -> dict[Value, Any]:
    """The derivative of the last step by all that the steps stand on: the chain rule, backward."""
    found = {steps[-1]: one}
    for step in reversed(steps):
        upstream = found.pop(step, None)
        if upstream is None:
            continue
        for slot, operand in enumerate(step.operands):
            if isinstance(operand, Value) and operand._requires_grad:
                downstream = upstream * local(step, slot)
                found[operand] = found[operand] + downstream if operand in found else downstream
    return found


def _unless_long(paths: list[_Formula]) -> list[_Formula]:
    return paths if sum(path.size for path in paths) <= LONGEST else [_TOO_LONG]


def by_hand(
    root: Value,
    decimals: int | Mapping[Quantity | None, int] = DECIMALS,
    rounding: Rounding = "truncate",
    written: Mapping[Quantity, Number] | None = None,
) -> WorkedSolution:
    """Work out root and its gradients as a person with pencil and pocket calculator does.

    Forward, the value of every labelled node and of root is rounded when it is written down, and
    later values are computed from what is written; a node without label is a keystroke in
    between, which nothing rounds. Backward, the derivative of each written node by each that its
    formula names is computed from the written values and written down too. A gradient is the
    sum over all paths of the products of these written factors, and only the sum is rounded.
    The lecture's two networks are worked out so, truncating. No `.grad` is touched.

    Arithmetic is decimal: 0.1 + 0.2 is 0.3. Library functions are known to 12 significant digits.
    The time is that of the graph, plus a visit to a node without label for every written node
    whose formula it is part of.

    Args:
        root: the result.
        decimals: how many decimals are written, 0 to 100; or a mapping from quantities to theirs,
            in which None stands for all others (4 if it is missing). A quantity is the name of a
            node or, for ∂y/∂x, the pair of names (y, x). Names are those of `graph.names`: the
            labels, where no two are alike.
        rounding: "truncate" (toward zero), "half-up" (at a tie away from zero) or "half-even".
        written: what to write for the value of a node or for a local derivative, by quantity,
            whatever was computed; all that follows is computed from it.

    Raises:
        TypeError: if root is no Value, or decimals or written hold no numbers.
        ValueError: if decimals, rounding or written is none of the allowed, or names a quantity
            that is not written.
        StaleGraphError: if a leaf was written after it was used.
    """
    _require_value(root, "root")
    if rounding not in [*_ROUNDINGS]:
        raise ValueError(f"rounding must be one of {[*_ROUNDINGS]}, received {rounding!r}")
    pencil = _Pencil(_as_mapping(decimals), _ROUNDINGS[rounding], _as_numbers(written))
    work = _Work(root, pencil)
    with localcontext(_ARITHMETIC):
        work.forward()
        work.backward()
    known = {entry.quantity for entry in work.entries} - work.unlabelled
    _require_known(pencil.overrides, known & work.paper.keys(), "written")
    _require_known(pencil.decimals, known | {None}, "decimals")
    return WorkedSolution(work.names[root], DIGITS, work.entries, work.paper)


def _as_mapping(decimals: object) -> Mapping[Quantity | None, int]:
    mapping = cast(Any, decimals if isinstance(decimals, Mapping) else {None: decimals})
    for quantity, count in mapping.items():
        if not isinstance(count, int) or not 0 <= count <= MOST_DECIMALS:
            place = "decimals" if mapping is not decimals else f"decimals[{quantity!r}]"
            raise ValueError(
                f"{place} must be an integer from 0 to {MOST_DECIMALS}, received {count!r}"
            )
    return mapping


def _as_numbers(written: object) -> Mapping[Quantity, float]:
    if written is None:
        return {}
    if not isinstance(written, Mapping):
        raise TypeError(
            f"written must be a mapping from quantities to numbers, received {written!r}"
        )
    return {q: number(x, f"written[{q!r}]") for q, x in cast(Any, written).items()}


def _require_known(quantities: Iterable[object], known: Container[object], name: str) -> None:
    for quantity in quantities:
        if quantity not in known:
            raise ValueError(
                f"{name} has {quantity!r}, of which nothing is written: allowed are the name of a "
                "labelled node or of the result, and the names (y, x) for a written ∂y/∂x"
            )
