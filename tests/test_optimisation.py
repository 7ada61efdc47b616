"""The passes: each leaves every bit of every result, and does what its name says."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import bits
from strategies import EDGES, EXACT_ROWS, FUNCTIONS, Recipe, any_float, build, choosing_graphs

import autograd
from autograd import Value, graph, modes
from autograd.ops import TABLE, Op
from autograd.optimisation import (
    DEAD,
    DOT,
    DOTS,
    FOLDING,
    IDENTITIES,
    PASSES,
    SELECT,
    SHARING,
    Flat,
    encode,
    flatten,
)
from autograd.program import Program
from autograd.tracing import Trace

ROWS = EXACT_ROWS if autograd.engine == "native" else [*TABLE.values()]
"""The rows whose bits are the engine's, whichever program runs."""

COMMON = [TABLE[name] for name in ("neg", "add", "sub", "mul", "div", "square", "pos")]
"""The rows that identities and dot products are about."""

plain = st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, -0.5, 3.0, math.inf, math.nan, 5e-324])


def flat_code(f: Any, count: int, passes: Any = PASSES) -> Flat:
    """The flat code of a function of so many numbers."""
    inputs = [Value(0.5 + i) for i in range(count)]
    trace = Trace(inputs)
    with modes.traced(trace):
        found = f(*inputs)
    outputs = found if isinstance(found, list) else [found]
    operations = graph.operations(*(z for z in outputs if isinstance(z, Value)))
    return flatten(inputs, outputs, operations, trace.is_captured, passes)[0]


def names(flat: Flat) -> list[str]:
    """What the live instructions are."""
    special = {SELECT: "select", DOT: "dot"}
    rows = [*TABLE]
    encoded, _ = encode(flat)
    return [special.get(row) or rows[row] for row in encoded.code[0::4]]


def run(flat: Flat, xs: list[float]) -> list[str]:
    """The bits of the outputs."""
    encoded, _ = encode(flat)
    specs = ("scalar",) * len(xs)
    results = ("list", ("scalar",) * len(flat.outputs))

    def refuse(*args: Any) -> Any:
        raise AssertionError(args)

    modes_of = "e" * len(flat.outputs)
    bound = Program(*encoded).bind(specs, (None,) * len(xs), results, modes_of, (), 1, refuse)
    return [bits(z) for z in bound(*xs)]


@st.composite
def programs(draw: st.DrawFn, rows: list[Op], numbers: Any) -> tuple[Recipe, list[float]]:
    recipe = draw(choosing_graphs(rows, numbers))
    count = len(recipe.leaves)
    return recipe, draw(st.lists(numbers, min_size=count, max_size=count))


def assert_same(recipe: Recipe, point: list[float], passes: Any) -> None:
    def f(*xs: Any) -> list[Any]:
        return build(recipe, xs, FUNCTIONS)

    expected = [bits(z if type(z) is float else z.data) for z in f(*map(Value, point))]
    assert expected == run(flat_code(f, len(point), passes), point)
    last = flat_code(lambda *xs: f(*xs)[-1], len(point), passes)
    assert expected[-1:] == run(last, point)


SETS = [(), *((name,) for name in PASSES), (*PASSES,)]


@pytest.mark.parametrize("passes", SETS, ids=lambda names: ", ".join(names) or "none")
@settings(max_examples=25)
@given(programs(ROWS, any_float))
def test_a_pass_leaves_every_bit(passes: Any, drawn: Any):
    assert_same(*drawn, passes)


@settings(max_examples=80)
@given(programs(COMMON, plain))
def test_identities_and_dot_products_leave_every_bit(drawn: Any):
    assert_same(*drawn, PASSES)


# Identities: which are exact, and which are none.


@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (lambda x: +x, []),
        (lambda x: x.neg().neg(), []),
        (lambda x: x.neg().neg().neg(), ["neg"]),
        (lambda x: x * 1.0, []),
        (lambda x: 1.0 * x, []),
        (lambda x: x / 1.0, []),
        (lambda x: x - 0.0, []),
        (lambda x: x + -0.0, []),
        (lambda x: -0.0 + x, []),
        (lambda x: x * -1.0, ["neg"]),
        (lambda x: -1.0 * x, ["neg"]),
        (lambda x: -0.0 - x, ["neg"]),
        (lambda x: x / 4.0, ["mul"]),
        (lambda x: x / -0.5, ["mul"]),
        (lambda x: x + -x, ["sub"]),
        (lambda x: -x + x, ["sub"]),
        (lambda x: x - -x, ["add"]),
        (lambda x: x + 0.0, ["add"]),
        (lambda x: 0.0 + x, ["add"]),
        (lambda x: x - -0.0, ["sub"]),
        (lambda x: 0.0 - x, ["sub"]),
        (lambda x: x * 0.0, ["mul"]),
        (lambda x: x / 3.0, ["div"]),
        (lambda x: x / 5e-324, ["div"]),
        (lambda x: x - x, ["sub"]),
        (lambda x: x / x, ["div"]),
        (lambda x: autograd.where(x > 0.0, x, x), []),
    ],
)
def test_an_identity_is_used_where_it_is_exact(f: Any, expected: list[str]):
    flat = flat_code(f, 1)
    assert expected == names(flat)
    for x in EDGES:
        assert [bits(f(Value(x)).data)] == run(flat, [x])


# Folding, sharing, dead code.


def test_constants_are_folded_by_the_rows_of_the_engine():
    flat = flat_code(lambda x: x * autograd.exp(autograd.sin(Value(2.0)) / 3.0), 1)
    assert ["mul"] == names(flat)
    assert [math.exp(math.sin(2.0) / 3.0)] == [*encode(flat)[0].constants]


def test_what_was_computed_before_is_shared():
    flat = flat_code(lambda x, y: autograd.exp(x * y) + autograd.exp(x * y), 2)
    assert ["mul", "exp", "add"] == names(flat)


def test_what_no_output_needs_is_left_out():
    def f(x: Any) -> Any:
        autograd.exp(x) * 3.0
        return x.sin()

    graph_with_more = flat_code(lambda x: [f(x)], 1)
    assert ["sin"] == names(graph_with_more)
    chosen = flat_code(lambda x: (x, autograd.where(x > 0.0, x.exp(), x.sin()))[0], 1)
    assert [] == names(chosen)
    assert 0 == chosen.sizes["recorded"]


def test_constants_are_told_apart_by_their_bits():
    flat = flat_code(lambda x: [x + 0.0, x - -0.0, x + 0.0], 1)
    assert ["add", "sub"] == names(flat)
    assert ["0x0.0p+0", "-0x0.0p+0"] == [bits(z) for z in encode(flat)[0].constants]


# Dot products.


@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (lambda x, y, z: x * y + y * z, ["dot"]),
        (lambda x, y, z: x * y + y * z + z, ["dot", "add"]),
        (lambda x, y, z: z + x * y + y * z, ["dot"]),
        (lambda x, y, z: z + x * y, ["dot"]),
        (lambda x, y, z: x * y + z, ["dot"]),
        (lambda x, y, z: x * x + y**2 + z * z, ["dot"]),
        (lambda x, y, z: x * y + (y * z + z), ["dot"]),
        (lambda x, y, z: [p := x * y, p + z], ["mul", "add"]),
        (lambda x, y, z: [s := x * y + z, s + y * y], ["dot", "dot"]),
        (lambda x, y, z: (x * y).exp() + z, ["mul", "exp", "add"]),
        (lambda x, y, z: x * y - y * z, ["mul", "mul", "sub"]),
    ],
)
def test_sums_of_products_are_dot_products(f: Any, expected: list[str]):
    flat = flat_code(f, 3)
    assert expected == names(flat)
    point = [0.1, 0.7, 1e17]
    found = f(*map(Value, point))
    outputs = found if isinstance(found, list) else [found]
    assert [bits(z.data) for z in outputs] == run(flat, point)


def test_the_sums_of_a_dot_product_keep_their_order():
    flat = flat_code(lambda *xs: autograd.dot(xs[:3], xs[3:6], xs[6]), 7)
    encoded, _ = encode(flat)
    assert ["dot", "add"] == names(flat)
    assert [0, 3, 1, 4, 2, 5] == [*encoded.terms]
    xs = [1e16, 1.0, -1e16, 1.0, 1.0, 1.0, 0.5]
    assert [bits(((1e16 + 1.0) + -1e16) + 0.5)] == run(flat, xs)


# What is told of them.


def test_the_sizes_after_each_pass():
    def f(x: Any, y: Any) -> list[Any]:
        x.exp()
        return [autograd.where(x > 0.0, x * 1.0, 0.0), (Value(2.0) * 3.0) * x + x * y + x * y]

    flat = flat_code(f, 2)
    expected = {"recorded": 9, FOLDING: 8, IDENTITIES: 7, SHARING: 6, DEAD: 6, DOTS: 5}
    assert expected == flat.sizes
