"""Hypothesis strategies: points of the table's domains, edge values, random graphs."""

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from autograd import functional
from autograd.ops import TABLE, Op

EDGES: tuple[float, ...] = (
    *(0.0, -0.0, math.inf, -math.inf, math.nan),
    *(5e-324, -5e-324, 1e-310, -1e-310, sys.float_info.min, -sys.float_info.min),
    *(1e-200, -1e-200, 1e-20, -1e-20, 1e200, -1e200, sys.float_info.max, -sys.float_info.max),
    *(0.5, -0.5, 1.0, -1.0, 1.5, -1.5, 2.0, -2.0, 2.5, -2.5, 3.0, -3.0, 1000.0, -1000.0),
)
"""Zeros, infinities, nan, denormals, tiny, huge and ordinary numbers."""

edge_floats = st.sampled_from(EDGES)

TIED = ("less", "equal", "maximum", "minimum")
"""The rows of two operands that have a kink where the operands are equal."""


# Points.


def _inside(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, exclude_min=True, exclude_max=True)


def domain_point(row: Op) -> st.SearchStrategy[tuple[float, ...]]:
    """One float for each operand of the row, inside its domain and apart from a tie."""
    operands = [st.one_of(*(_inside(*interval) for interval in part)) for part in row.domain]
    return st.tuples(*operands).filter(lambda point: not _is_tie(row, point))


def _is_tie(row: Op, point: tuple[float, ...]) -> bool:
    return row.name in TIED and abs(point[0] - point[1]) < 2.0**-10


# Graphs.

Operand = int | float
Step = tuple[str, tuple[Operand, ...]]


@dataclass(frozen=True)
class Recipe:
    """How a graph is built, in plain numbers and names, for any engine and number type.

    Attributes:
        leaves: the numbers of the leaves.
        steps: for each computed node the name of its row and its operands: an int is a place
            among the leaves and the nodes computed so far, a float is a number operand.
    """

    leaves: tuple[float, ...]
    steps: tuple[Step, ...]


def build(
    recipe: Recipe,
    leaves: Any,
    functions: Mapping[str, Callable[..., Any]] = vars(functional),
    number: Callable[[float], Any] = float,
) -> list[Any]:
    """Compute a recipe: the leaves, then the result of each step; the last one is the root.

    Args:
        recipe: what to compute.
        leaves: what stands for its leaves.
        functions: what the names of the rows mean.
        number: makes a number operand from a float.
    """
    nodes = list(leaves)
    for name, operands in recipe.steps:
        nodes.append(
            functions[name](*(nodes[x] if isinstance(x, int) else number(x) for x in operands))
        )
    return nodes


_back = st.integers(0, 2) | st.integers(0, 63)  # a node, counted back from the latest one


def _pairs(numbers: st.SearchStrategy[float]) -> st.SearchStrategy[tuple[Operand, Operand]]:
    """Two operands of which one at least is a node: any two, twice the same, one a number."""
    return (
        st.tuples(_back, _back)
        | _back.map(lambda x: (x, x))
        | st.tuples(_back, numbers)
        | st.tuples(numbers, _back)
    )


def _places(pair: tuple[Operand, Operand], count: int) -> tuple[Operand, Operand]:
    """The pair with places among so many nodes for what was counted back."""
    x, y = (count - 1 - x % count if isinstance(x, int) else x for x in pair)
    return x, y


def _step(row: Op, pair: tuple[Operand, Operand]) -> Step:
    """The row applied to the pair, or to the first node of it."""
    first_node = next(x for x in pair if isinstance(x, int))
    return row.name, pair if row.arity == 2 else (first_node,)


@st.composite
def graphs(draw: st.DrawFn, max_steps: int = 60, max_leaves: int = 5) -> Recipe:
    """Recipes over all rows and all floats, with shared nodes, repeated and number operands."""
    floats = edge_floats | st.floats(-8.0, 8.0) | st.floats()
    leaves = draw(st.lists(floats, min_size=1, max_size=max_leaves))
    size = draw(st.integers(1, max_steps))
    drafts = st.tuples(st.sampled_from([*TABLE.values()]), _pairs(floats))
    steps = [
        _step(row, _places(pair, count))
        for count, (row, pair) in enumerate(
            draw(st.lists(drafts, min_size=size, max_size=size)), start=len(leaves)
        )
    ]
    return Recipe(tuple(leaves), tuple(steps))


@st.composite
def smooth_graphs(draw: st.DrawFn, max_steps: int = 60, max_leaves: int = 5) -> Recipe:
    """Recipes on which finite differences mean something.

    Every operand is inside the domain of its row and apart from a tie, every value is at most
    30, every local derivative at most 10, and rounding errors grow at most a thousandfold.
    """
    floats = st.floats(-8.0, 8.0)
    leaves = draw(st.lists(floats, min_size=1, max_size=max_leaves))
    size = draw(st.integers(1, max_steps))
    drafts = st.tuples(_pairs(floats), st.integers(0, 999))
    nodes = [_Computed(x, 0.0) for x in leaves]
    steps: list[Step] = []
    for pair, choice in draw(st.lists(drafts, min_size=size, max_size=size)):
        places = _places(pair, len(nodes))
        suitable = [
            (step, node)
            for row in TABLE.values()
            for step in [_step(row, places)]
            if (node := _computed(row, step[1], nodes))
        ]
        if not suitable:
            break
        step, node = suitable[choice % len(suitable)]
        steps.append(step)
        nodes.append(node)
    return Recipe(tuple(leaves), tuple(steps))


@dataclass(frozen=True)
class _Computed:
    """A number, and a bound of its rounding error in units of the machine's precision."""

    data: float
    error: float


def _computed(row: Op, operands: tuple[Operand, ...], nodes: list[_Computed]) -> _Computed | None:
    """The row's result, where it is smooth and moderate."""
    given = [nodes[x] if isinstance(x, int) else _Computed(x, 0.0) for x in operands]
    point = tuple(x.data for x in given)
    if _is_tie(row, point) or not all(map(_is_inside, point, row.domain)):
        return None
    z = row.function(*point)
    x, y = (*point, 0.0)[:2]
    local = [abs(rule(x, y, z)) for rule in row.rules]
    error = abs(z) + math.fsum(slope * x.error for slope, x in zip(local, given, strict=True))
    moderate = abs(z) <= 30.0 and max(local) <= 10.0 and error <= 1000.0
    return _Computed(z, error) if moderate else None


def _is_inside(x: float, intervals: tuple[tuple[float, float], ...]) -> bool:
    return any(low < x < high for low, high in intervals)


# Graphs with selections.

EXACT_ROWS = [
    TABLE[name]
    for name in (
        *("pos", "neg", "add", "sub", "mul", "div", "square", "reciprocal", "abs", "sign", "step"),
        *("less", "equal", "maximum", "minimum", "sqrt", "relu", "leaky_relu"),
        *("floor", "ceil", "round"),
    )
]
"""Rows made of + - * / sqrt, rounding and selections: compiled, their bits are the engine's."""

CHOICES: dict[str, Callable[..., Any]] = {
    "where_lt": lambda x, y, a, b: functional.where(x < y, a, b),
    "where_gt": lambda x, y, a, b: functional.where(x > y, a, b),
    "where_le": lambda x, y, a, b: functional.where(x <= y, a, b),
    "where_ge": lambda x, y, a, b: functional.where(x >= y, a, b),
    "where_eq": lambda x, y, a, b: functional.where(x == y, a, b),
    "where_ne": lambda x, y, a, b: functional.where(x != y, a, b),
    "where_and": lambda x, y, a, b: functional.where((x < y) & (a != b), a, b),
    "where_or": lambda x, y, a, b: functional.where((x > y) | (a <= b), a, b),
    "where_both": lambda x, y, a, b: functional.where((x < y) == (a < b), a, b),
    "where_value": lambda x, y, a, b: functional.where(x * y, a, b),
}
"""Steps of four operands that choose one of the last two."""

FUNCTIONS: dict[str, Callable[..., Any]] = {**vars(functional), **CHOICES}
"""What the names of rows and choices mean, for `build`."""


any_float = edge_floats | st.floats(-8.0, 8.0) | st.floats()


@st.composite
def choosing_graphs(
    draw: st.DrawFn,
    rows: Sequence[Op],
    numbers: st.SearchStrategy[float] = any_float,
    max_steps: int = 40,
    max_leaves: int = 4,
) -> Recipe:
    """Recipes over some rows and over choices, whose first operand is a node."""
    leaves = draw(st.lists(numbers, min_size=1, max_size=max_leaves))
    operands = st.one_of(_back, _back, _back, numbers)
    choices = st.tuples(st.sampled_from([*CHOICES]), _back, operands, operands, operands)
    drafts = st.tuples(st.sampled_from(rows), _pairs(numbers)) | choices
    size = draw(st.integers(1, max_steps))
    steps: list[Step] = []
    for count, draft in enumerate(
        draw(st.lists(drafts, min_size=size, max_size=size)), start=len(leaves)
    ):
        name, *rest = draft
        if isinstance(name, Op):
            steps.append(_step(name, _places(rest[0], count)))
        else:
            places = (count - 1 - x % count if isinstance(x, int) else x for x in rest)
            steps.append((name, tuple(places)))
    return Recipe(tuple(leaves), tuple(steps))
