"""`WorkedSolution`: what `by_hand` writes, line by line, as text, Markdown and LaTeX."""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache, cached_property
from itertools import groupby
from operator import attrgetter
from typing import Literal, NamedTuple, TypedDict

from autograd.decimals import DISPLAY, PAPER, as_decimal, digits, same
from autograd.explanation import Shown, columns, ljust
from autograd.ops import Op
from autograd.tape import (
    latex_aligned,
    latex_derivative,
    latex_formula,
    latex_name,
    latex_number,
    value_formula,
)

Quantity = str | tuple[str, str]
"""What is written: a value by its name, or the derivative ∂y/∂x as the names (y, x)."""

Kind = Literal["given", "value", "local derivative", "gradient"]

LONGEST = 40
"""How many numbers and operations a formula may have to be shown."""

WIDTH = 80
"""How wide an equation may be on one line of text."""


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


# Formulas over quantities.


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula over quantities; its size is its number of numbers and operations."""

    size: int

    def __mul__(self, other: "Formula") -> "Formula":
        if self == ONE:
            return other
        if other == ONE:
            return self
        if other in _MINUS_ONE:
            return compose("-x", self)
        return compose("x * y", self, other)

    def __add__(self, other: "Formula") -> "Formula":
        return compose("x + y", self, other)


@dataclass(frozen=True, slots=True)
class Name(Formula):
    """A quantity alone."""

    size: int = field(default=1, init=False)
    quantity: Quantity


@dataclass(frozen=True, slots=True)
class Constant(Formula):
    """A number alone."""

    size: int = field(default=1, init=False)
    number: float


@dataclass(frozen=True, slots=True)
class Composed(Formula):
    """A formula of the table, and the formulas for those of x, y and z that occur in it."""

    text: str
    operands: dict[str, Formula]


TOO_LONG = Formula(LONGEST + 1)
"""What stands for a formula that is too long."""


@cache
def _parsed(text: str) -> tuple[ast.expr, int, list[str]]:
    """A formula of the table: its tree, its size without operands, and these as they occur."""
    tree = ast.parse(text, mode="eval").body
    parts = [node for node in ast.walk(tree) if isinstance(node, ast.expr)]
    operands = [node.id for node in parts if isinstance(node, ast.Name) and node.id in "xyz"]
    return tree, len(parts) - len(operands), operands


def compose(text: str, *operands: Formula) -> Formula:
    """A formula of the table over formulas for x, y and z; TOO_LONG if it is."""
    tree, size, occurrences = _parsed(text)
    given = dict(zip("xyz", operands, strict=False))
    if isinstance(tree, ast.Name):
        return given[tree.id]
    if isinstance(tree, ast.Constant):
        return Constant(float(text))
    size += sum(given[name].size for name in occurrences)
    if size > LONGEST:
        return TOO_LONG
    return Composed(size, text, {name: given[name] for name in occurrences})


ONE: Formula = Constant(1.0)
_MINUS_ONE = (Constant(-1.0), compose("-1.0"))


def _tree(
    formula: Formula, name: Callable[[Quantity], ast.expr], number: Callable[[float], ast.expr]
) -> ast.expr:
    """The formula as a tree, with what stands for its quantities and its numbers."""
    match formula:
        case Name(quantity=quantity):
            return name(quantity)
        case Constant(number=x):
            return number(x)
        case Composed(text=text, operands=operands):
            trees = {place: _tree(x, name, number) for place, x in operands.items()}
            return _fill(_parsed(text)[0], trees, number)
        case _:
            raise AssertionError("a formula that is too long is not shown")


def _fill(
    tree: ast.expr, operands: dict[str, ast.expr], number: Callable[[float], ast.expr]
) -> ast.expr:
    """A formula of the table with trees for its operands and its numbers."""
    match tree:
        case ast.Name(place):
            return operands[place]
        case ast.Constant(float(x)):
            return number(x)
        case ast.UnaryOp(sign, x):
            return ast.UnaryOp(sign, _fill(x, operands, number))
        case ast.BinOp(x, sign, y):
            return ast.BinOp(_fill(x, operands, number), sign, _fill(y, operands, number))
        case ast.Call(function, arguments):
            return ast.Call(function, [_fill(x, operands, number) for x in arguments], [])
        case _:
            raise AssertionError(f"no formula: {ast.unparse(tree)}")


@cache
def written_formula(op: Op) -> str:
    """The formula of an op as one writes it: by name where operators would repeat an operand."""
    formula = value_formula(op)
    return f"{op.name}(x)" if "(" not in formula and formula.count("x") > 1 else formula


# The two scripts in which formulas are shown.


class _Script(NamedTuple):
    """How quantities, numbers and formulas are shown, and the sign where digits were cut off."""

    name: Callable[..., str]  # of a Quantity, and whether it is a total derivative
    number: Callable[[str], str]
    formula: Callable[[Formula, Callable[[Quantity], str]], str]
    nearly: str


def _text_name(quantity: Quantity, total: bool = False) -> str:
    if isinstance(quantity, str):
        return quantity
    return ("d{}/d{}" if total else "∂{}/∂{}").format(*quantity)


def _text_formula(formula: Formula, shown: Callable[[Quantity], str]) -> str:
    def part(text: str) -> ast.expr:
        return ast.Name(f"({text})" if text.startswith("-") else text)

    tree = _tree(formula, lambda x: part(shown(x)), lambda x: part(repr(x).removesuffix(".0")))
    return re.sub(r"(^|\(|, )\((-[^()]*)\)", r"\1\2", ast.unparse(tree))  # (-1) + x is -1 + x


def _latex_name(quantity: Quantity, total: bool = False) -> str:
    if isinstance(quantity, str):
        return latex_name(quantity)
    of, by = map(latex_name, quantity)
    if total:
        return rf"\frac{{\mathrm{{d}} {of}}}{{\mathrm{{d}} {by}}}"
    return latex_derivative(of, by)


def _latex_formula(formula: Formula, shown: Callable[[Quantity], str]) -> str:
    def name(quantity: Quantity) -> ast.expr:
        text = shown(quantity)
        has_exponent = r" \cdot " in text and not isinstance(formula, Name)
        return ast.Name(f"({text})" if has_exponent else text)

    tree = _tree(formula, name, ast.Constant)
    names = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)]
    return latex_formula(tree, dict(zip(names, names, strict=True)))


_TEXT = _Script(_text_name, str, _text_formula, "≈")
_LATEX = _Script(_latex_name, latex_number, _latex_formula, r"\approx")


# The solution.


class Entry(NamedTuple):
    """A line before it is set in a script."""

    kind: Kind
    quantity: Quantity
    formula: Formula
    computed: Decimal
    written: Decimal
    exact: float
    correct: Decimal
    overridden: bool
    total: bool

    @property
    def shown(self) -> Formula | None:
        """The formula, unless it is too long or says no more than the name."""
        return None if self.formula in (Name(self.quantity), TOO_LONG) else self.formula

    @property
    def nearly(self) -> bool:
        """Whether other digits are written than were computed."""
        return not same(DISPLAY.plus(self.computed), self.written)

    @property
    def error(self) -> float | None:
        """written - exact, or None where the digits are correct."""
        if same(self.written, self.correct):
            return None
        return float(PAPER.subtract(self.written, as_decimal(self.exact)))


_TITLES: dict[Kind, str] = {
    "given": "Given",
    "value": "Values",
    "local derivative": "Local derivatives",
    "gradient": "Gradients",
}


@dataclass(frozen=True, repr=False)
class WorkedSolution(Shown):
    """What `by_hand` writes: print it, show it in a notebook, or take its `.latex()`.

    Attributes:
        result: the name of the computed node.
        digits: how many significant digits of the exact numbers are shown.
    """

    _entries: list[Entry]
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
                    "written": digits(entry.written),
                    "exact": entry.exact,
                    "correct": digits(entry.correct),
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

    def _sections(self) -> Iterator[tuple[str, list[Entry]]]:
        for kind, entries in groupby(self._entries, key=attrgetter("kind")):
            yield _TITLES[kind], list(entries)

    def _table(self, title: str, entries: list[Entry]) -> str:
        cells = [(title, "exact", "error")]
        for entry in entries:
            *above, last = _stacked(*self._equation(entry, _TEXT))
            cells += [(line, "", "") for line in above]
            cells.append((last, self._number(entry.exact), _error(entry)))
        widths = [max(columns(row[i]) for row in cells if row[1]) for i in range(3)]
        return "\n".join("  ".join(map(ljust, row, widths)).rstrip() for row in cells)

    def _list(self, title: str, entries: list[Entry]) -> str:
        lines: list[str] = []
        for entry in entries:
            note = f"exact {self._number(entry.exact)}"
            if entry.error is not None:
                note += f", **error {_error(entry)}**"
            left, right = self._equation(entry, _LATEX)
            lines.append(f"- ${left} {' '.join(right)}$ ({note})")
        return "\n".join([f"**{title}**", "", *lines])

    def _equation(self, entry: Entry, script: _Script) -> tuple[str, list[str]]:
        """The left side, and the right sides with their signs; what repeats is left out."""
        left = script.name(entry.quantity, entry.total)
        written = script.number(digits(entry.written))
        sides = dict.fromkeys(self._formulas(entry, script))
        sign = script.nearly if entry.nearly else "="
        others = [f"= {side}" for side in sides if side not in (left, written)]
        return left, [*others, f"{sign} {written}"]

    def _formulas(self, entry: Entry, script: _Script) -> list[str]:
        """How the entry is computed, over names and then over what is written for them."""
        if (formula := entry.shown) is None:
            return []
        names = script.formula(formula, script.name)
        if entry.overridden:
            return [names]

        def number(quantity: Quantity) -> str:
            return script.number(digits(self._paper[quantity]))

        return [names, script.formula(formula, number)]


def _error(entry: Entry) -> str:
    return "" if entry.error is None else f"{entry.error:.3g}"


def _stacked(left: str, right: list[str]) -> list[str]:
    """An equation on one line, or, if that is too wide, its sides below each other."""
    line = " ".join([left, *right])
    if columns(line) <= WIDTH:
        return [line]
    indent = " " * columns(left)
    return [f"{indent if i else left} {side}" for i, side in enumerate(right)]
