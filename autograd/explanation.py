"""`explain`: where a gradient comes from, edge by edge or path by path, as text, HTML and LaTeX."""

import math
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, NamedTuple, TypedDict, overload

from autograd import graph
from autograd.backward import local_derivative, pullback
from autograd.errors import AutogradError
from autograd.tape import Tape, latex_aligned, latex_derivative, latex_name, latex_number
from autograd.value import Value, describe


class Edge(TypedDict):
    """upstream × local = downstream: what a node contributes to the gradient of an operand."""

    operand: str
    upstream: float
    local: float
    downstream: float


class Row(TypedDict):
    """A node. An input has neither expression nor op; a gradient is None where none flows.

    stale says that a leaf was written after a node was computed from it.
    """

    name: str
    expression: str | None
    op: str | None
    value: float
    gradient: float | None
    stale: bool
    edges: list[Edge]


class Path(TypedDict):
    """The nodes from wrt to the result, the local derivative of each step, and their product."""

    nodes: list[str]
    locals: list[float]
    product: float


@dataclass(frozen=True, repr=False)
class Shown(ABC):
    """What explanations share: they print as their text.

    Attributes:
        result: the name of the explained node.
        digits: how many significant digits are shown.
    """

    result: str
    digits: int

    @property
    @abstractmethod
    def text(self) -> str:
        """The explanation in plain text."""

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__

    def _number(self, x: float | None) -> str:
        return "none" if x is None else f"{x + 0.0:.{self.digits}g}"  # -0.0 is shown as 0

    def _latex(self, x: float | None) -> str:
        return latex_number(self._number(x))


@dataclass(frozen=True, repr=False)
class Explanation(Shown):
    """Every node of a computation, in its order, with what flows along every edge.

    Attributes:
        result: the name of the explained node.
        digits: how many significant digits are shown.
        rows: the inputs, then the operations, as plain data.
        tape: the computation.
    """

    rows: list[Row]
    tape: Tape

    @property
    def text(self) -> str:
        """The table, then the gradient of every input."""
        return "\n".join([self.table, "", *self._gradients()])

    @property
    def table(self) -> str:
        """The computation in its order: below each node, what flows to each of its operands."""
        cells = [self._header(), *map(self._cells, self.rows)]
        widths = [max(map(columns, column)) for column in zip(*cells, strict=True)]
        head, *lines = ("  ".join(map(ljust, row, widths)).rstrip() for row in cells)
        table = [head]
        for line, row in zip(lines, self.rows, strict=True):
            table += [line, *(f"  {self._product(edge)}" for edge in row["edges"])]
        return "\n".join(table)

    def _repr_html_(self) -> str:
        rows: list[list[str]] = []
        for row in self.rows:
            rows += [self._cells(row), *([self._product(edge)] for edge in row["edges"])]
        return _html(self._header(), rows, self._gradients())

    def latex(self) -> str:
        """The equations of the values and then of the gradients, aligned, with their numbers."""
        lines = [f"{latex_name(row['name'])} &= {self._latex(row['value'])}" for row in self.inputs]
        for slot, left, right in self.tape.equations():
            lines.append(f"{left} &= {right} = {self._latex(self.rows[slot]['value'])}")
        for slot, left, right in self.tape.derivatives():
            gradient = self._latex(self.rows[slot]["gradient"])
            lines.append(f"{left} &= {right}" + f" = {gradient}" * (gradient != right))
        return latex_aligned(lines)

    def data(self) -> dict[str, Any]:
        """The explanation as plain data, fit for JSON."""
        gradients = {row["name"]: row["gradient"] for row in self.inputs}
        return {"result": self.result, "nodes": self.rows, "gradients": gradients}

    @property
    def inputs(self) -> list[Row]:
        """The rows of the inputs."""
        return self.rows[: len(self.tape.inputs)]

    def _header(self) -> list[str]:
        return ["node", "op", "value", f"∂{self.result}/∂node"]

    def _cells(self, row: Row) -> list[str]:
        name, expression = row["name"], row["expression"]
        return [
            f"{name} = {expression}" if expression else name,
            (row["op"] or "input") + ", stale" * row["stale"],
            self._number(row["value"]),
            self._number(row["gradient"]),
        ]

    def _product(self, edge: Edge) -> str:
        upstream, local = self._number(edge["upstream"]), self._number(edge["local"])
        return f"∂/∂{edge['operand']}: {upstream} × {local} = {self._number(edge['downstream'])}"

    def _gradients(self) -> list[str]:
        lines = [
            f"∂{self.result}/∂{row['name']} = {self._number(row['gradient'])}"
            for row in self.inputs
        ]
        return lines + _stale_note(row["name"] for row in self.inputs if row["stale"])


@dataclass(frozen=True, repr=False)
class PathExplanation(Shown):
    """The paths from wrt to the result: the gradient is the sum of their products.

    Where a path has labelled nodes between its ends, those without a label are passed over in
    print: the local derivatives up to the next label make one factor.

    Attributes:
        result: the name of the explained node.
        digits: how many significant digits are shown.
        wrt: the name of the node where the paths begin.
        count: how many paths there are.
        paths: those with the largest products, the largest first, as plain data.
        sum: the sum over all paths: the gradient.
        labelled: the names on these paths that are labels.
        stale: the leaves that were written after a node was computed from them.
    """

    wrt: str
    count: int
    paths: list[Path]
    sum: float
    labelled: set[str]
    stale: list[str]

    @property
    def text(self) -> str:
        """The paths, a line each, then their sum."""
        lines = [f"{path}: {product}" for path, product in map(self._cells, self.paths)]
        return "\n".join([self._title(), *lines, *self._sum()])

    def _repr_html_(self) -> str:
        rows = [self._cells(path) for path in self.paths]
        return _html([self._title(), "product of the local derivatives"], rows, self._sum())

    def latex(self) -> str:
        """The product along each path, then their sum, aligned."""
        lines: list[str] = []
        for path in self.paths:
            names, factors = self._steps(path)
            arrows = r" \to ".join(map(latex_name, names))
            written = [self._latex_factor(x) for x in factors]
            product = _equation(written, r" \cdot ", self._latex(path["product"]))
            lines.append(f"{arrows} &: {product}")
        derivative = latex_derivative(latex_name(self.result), latex_name(self.wrt))
        return latex_aligned([*lines, f"{derivative} &= {self._latex(self.sum)}"])

    def data(self) -> dict[str, Any]:
        """The explanation as plain data, fit for JSON."""
        return {
            "result": self.result,
            "wrt": self.wrt,
            "count": self.count,
            "paths": self.paths,
            "sum": self.sum,
        }

    def _title(self) -> str:
        ends = f"from {self.wrt} to {self.result}"
        if not self.count:
            return f"no path leads {ends}"
        shown = len(self.paths)
        largest = f", the {shown} largest" if shown < self.count else ""
        return f"{_count(self.count)} path{'s' * (self.count > 1)} {ends}{largest}"

    def _cells(self, path: Path) -> list[str]:
        names, factors = self._steps(path)
        written = [self._number(x) for x in factors]
        return [" → ".join(names), _equation(written, " × ", self._number(path["product"]))]

    def _sum(self) -> list[str]:
        over = ", the sum over all paths" * (self.count > 1)
        line = f"∂{self.result}/∂{self.wrt} = {self._number(self.sum)}{over}"
        return [line, *_stale_note(self.stale)]

    def _steps(self, path: Path) -> tuple[list[str], list[float]]:
        """The nodes of a path to print, and the factors between them."""
        first, *others = path["nodes"]
        between = others[:-1]
        stops = {name for name in between if name in self.labelled} or {*between}
        names, factors, factor = [first], list[float](), 1.0
        for name, local in zip(others, path["locals"], strict=True):
            factor *= local
            if name in stops or name == self.result:
                names.append(name)
                factors.append(factor)
                factor = 1.0
        return names, factors

    def _latex_factor(self, x: float) -> str:
        text = self._latex(x)
        return f"({text})" if text.startswith("-") else text


def _equation(factors: Sequence[str], times: str, product: str) -> str:
    """The factors and their product; the product alone where there is no second factor."""
    return f"{times.join(factors)} = {product}" if len(factors) > 1 else product


@overload
def explain(y: Value, wrt: None = None, *, digits: int = 6) -> Explanation: ...
@overload
def explain(y: Value, wrt: Value, *, digits: int = 6, paths: int = 10) -> PathExplanation: ...
def explain(
    y: Value, wrt: Value | None = None, *, digits: int = 6, paths: int = 10
) -> Explanation | PathExplanation:
    """Explain the gradient of y: print it, show it in a notebook, or take its `.latex()`.

    Without wrt it is a table of the whole computation: for each node its value and its gradient,
    for each operand upstream × local = downstream. With wrt it lists the paths from that node to
    y, each with its product of local derivatives; their sum is ∂y/∂wrt. No `.grad` is touched.
    The text needs an output with the signs ∂, × and →: where print raises UnicodeEncodeError, set
    PYTHONUTF8=1.

    Args:
        y: the result.
        wrt: the leaf or interior node where the paths begin.
        digits: how many significant digits to show, 1 to 17.
        paths: how many paths to list, those with the largest |product| (nan first). The count
            of paths and their sum are those of all paths.

    Raises:
        TypeError: if y or wrt is no Value.
        ValueError: if digits is no integer from 1 to 17, or paths no positive integer.
        AutogradError: if wrt requires no gradient.
    """
    require_value(y, "y")
    _require_whole(digits, "digits", 17)
    _require_whole(paths, "paths")
    if wrt is None:
        return _explain_nodes(y, digits)
    require_value(wrt, "wrt")
    return _explain_paths(y, wrt, digits, paths)


def _explain_nodes(y: Value, digits: int) -> Explanation:
    names, tape = graph.names(y), Tape.record(y)
    gradients = pullback({y: 1.0}, allow_stale=True)
    stale = set(graph.stale_leaves(y))
    expressions = [None] * len(tape.inputs) + tape.expressions()
    rows: dict[Value, Row] = {}
    for (node, name), expression in zip(names.items(), expressions, strict=True):
        rows[node] = {
            "name": name,
            "expression": expression,
            "op": node.op.name if node.op else None,
            "value": node.data,
            "gradient": gradients.get(node),
            "stale": node in stale,
            "edges": [],
        }
    for node, operand, slot in graph.edges(graph.operations(y)):
        if node in gradients and operand.requires_grad:
            upstream, local = gradients[node], local_derivative(node, slot)
            rows[node]["edges"].append(
                {
                    "operand": names[operand],
                    "upstream": upstream,
                    "local": local,
                    "downstream": upstream * local,
                }
            )
    return Explanation(names[y], digits, list(rows.values()), tape)


class _Partial(NamedTuple):
    """A path from wrt to a node: a linked cell, so that longer paths share their beginnings."""

    product: float
    node: Value
    local: float
    before: "_Partial | None"


def _explain_paths(y: Value, wrt: Value, digits: int, most: int) -> PathExplanation:
    if not wrt.requires_grad:
        raise AutogradError(f"wrt: {describe(wrt)} requires no gradient")
    count, best = _largest_paths(y, wrt, most)
    names = graph.names(y)
    if wrt not in names:
        names = graph.names(y, wrt)
    labelled: set[str] = set()
    paths: list[Path] = []
    for partial in best:
        cells = _cells(partial)
        labelled.update(names[cell.node] for cell in cells if cell.node.label)
        nodes, locals = [names[cell.node] for cell in cells], [cell.local for cell in cells[1:]]
        paths.append({"nodes": nodes, "locals": locals, "product": partial.product})
    return PathExplanation(
        result=names[y],
        digits=digits,
        wrt=names[wrt],
        count=count,
        paths=paths,
        sum=pullback({y: 1.0}, [wrt], allow_stale=True).get(wrt, 0.0),
        labelled=labelled,
        stale=[names[leaf] for leaf in graph.stale_leaves(y)],
    )


def _largest_paths(y: Value, wrt: Value, most: int) -> tuple[int, list[_Partial]]:
    """The number of paths from wrt to y, and those with the largest products.

    A largest path to a node is one step longer than a largest path to one of its operands, so
    each node needs no more than its own few: time and memory grow as the graph does.
    """
    counts = {wrt: 1}
    best = {wrt: [_Partial(1.0, wrt, 1.0, None)]}
    for node, operand, slot in graph.edges(graph.operations(y)):
        if operand not in counts or not operand.requires_grad:
            continue
        local = local_derivative(node, slot)
        longer = [_Partial(path.product * local, node, local, path) for path in best[operand]]
        counts[node] = counts.get(node, 0) + counts[operand]
        best[node] = sorted(best.get(node, []) + longer, key=_size, reverse=True)[:most]
    return counts.get(y, 0), best.get(y, [])


def _size(path: _Partial) -> tuple[bool, float]:
    return math.isnan(path.product), abs(path.product)


def _cells(last: _Partial) -> list[_Partial]:
    """The cells of a path, from its beginning."""
    cells: list[_Partial] = []
    cell: _Partial | None = last
    while cell:
        cells.append(cell)
        cell = cell.before
    return cells[::-1]


def _count(count: int) -> str:
    """All digits, or the magnitude of a number longer than Python would print."""
    return str(count) if count < 10**600 else f"about 10^{math.log10(count):.0f}"


def _stale_note(names: Iterable[str]) -> list[str]:
    return [f"{name} is stale: it was written after it was used; compute again" for name in names]


def _html(header: list[str], rows: list[list[str]], notes: list[str]) -> str:
    """A table and notes below it; a row with a single cell spans the table."""
    left = 'style="text-align: left"'
    lines = [f"<tr>{''.join(f'<th {left}>{escape(cell)}</th>' for cell in header)}</tr>"]
    for cells in rows:
        if len(cells) == 1:
            span = f'colspan="{len(header)}" style="text-align: left; padding-left: 2em"'
            lines.append(f"<tr><td {span}>{escape(cells[0])}</td></tr>")
        else:
            lines.append(f"<tr>{''.join(f'<td {left}>{escape(cell)}</td>' for cell in cells)}</tr>")
    below = "<br>\n".join(map(escape, notes))
    return "\n".join(["<table>", *lines, "</table>", f"<p>{below}</p>"])


def columns(text: str) -> int:
    """How many columns of a terminal the text takes: an East Asian character takes two."""
    if text.isascii():
        return len(text)
    return sum(
        2 if unicodedata.east_asian_width(c) in "FW" else not unicodedata.combining(c) for c in text
    )


def ljust(text: str, width: int) -> str:
    """The text, with blanks behind it up to so many columns."""
    return text + " " * (width - columns(text))


def require_value(x: object, name: str) -> None:
    """Raise a TypeError that names the argument unless x is a Value."""
    if not isinstance(x, Value):
        raise TypeError(f"{name} must be a Value, received the {type(x).__name__} {x!r}")


def _require_whole(x: object, name: str, most: float = math.inf) -> None:
    if type(x) is not int or not 1 <= x <= most:
        allowed = "a positive integer" if most == math.inf else f"an integer from 1 to {most}"
        raise ValueError(f"{name} must be {allowed}, received {x!r}")
