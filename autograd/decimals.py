"""Decimal arithmetic as on paper: formulas of the table over written numbers, and their digits."""

import ast
from collections.abc import Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from functools import cache, partial
from typing import Any

from autograd.ops import PRIMITIVES, TABLE, Function, Op, compile_formula

DIGITS = 12
"""How many significant digits the calculator knows of a library function."""

ARITHMETIC = Context(prec=50, Emax=308, rounding=ROUND_HALF_EVEN, traps=[])
"""50 digits, and like floats inf and nan instead of an exception."""

DISPLAY = Context(prec=40, rounding=ROUND_HALF_EVEN, traps=[])
"""What is read off: 1 / 3 * 3 is 1, so that nothing cuts it to 0.9999."""

PAPER = Context(prec=1000, traps=[])
"""Room for all digits before the point and after it."""


def as_decimal(x: float) -> Decimal:
    """The number as Python prints it: 0.1 is one tenth."""
    return Decimal(repr(x)).normalize(PAPER)


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
def functions() -> dict[str, Any]:
    """Every row as a function of Decimals: exact, but for what it takes from the library."""
    found: dict[str, Any] = {
        **{name: _library(function) for name, function in PRIMITIVES.items()},
        "Decimal": Decimal,
        "div": Decimal.__truediv__,
        "abs": Decimal.__abs__,
        "floor": partial(Decimal.to_integral_value, rounding=ROUND_FLOOR),
        "ceil": partial(Decimal.to_integral_value, rounding=ROUND_CEILING),
        "round": partial(Decimal.to_integral_value, rounding=ROUND_HALF_EVEN),
    }
    for row in TABLE.values():
        if row.name not in found:
            found[row.name] = _compile(row.name, "xy"[: row.arity], row.value, found)
    return found


@cache
def local_rule(op: Op, slot: int) -> Function:
    """The local derivative as a function of the Decimals (x, y, z)."""
    return _compile(f"{op.name}_local", "xyz", op.local[slot], functions())


def rounded(x: Decimal, places: int, rule: str) -> Decimal:
    """What is written of x: so many decimals, the rest cut off by a rule of `decimal`."""
    if not x.is_finite():
        return x
    shown = DISPLAY.plus(x)
    cut = shown.quantize(Decimal(1).scaleb(-places), rule, PAPER)
    written = shown.normalize(PAPER) if cut == shown else cut
    return written or written.copy_abs()  # on paper zero has no sign


def digits(x: Decimal) -> str:
    """The number as it is written: with an exponent where the last digits read off are tens."""
    if not x.is_finite():
        return repr(float(x))
    return f"{x:f}" if x.adjusted() < DISPLAY.prec else f"{x.normalize(PAPER):e}"


def decimals(x: Decimal) -> int:
    """How many digits stand behind its point."""
    return len(f"{x:f}".partition(".")[2])


def same(x: Decimal, y: Decimal) -> bool:
    """Whether the numbers are equal, nan with nan."""
    return x == y or (x.is_nan() and y.is_nan())
