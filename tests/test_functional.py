"""The public functions: of every kind of number, of structures, and those built from the rows."""

import math
from collections import namedtuple
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from exact import exact_partials, ulps
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp
from strategies import EDGES, edge_floats

import autograd
from autograd import Value, graph, where
from autograd.ops import TABLE, Op

inf, nan = math.inf, math.nan
ROWS = [*TABLE.values()]
UNARY = [row for row in ROWS if row.arity == 1]
BINARY = [row for row in ROWS if row.arity == 2]

every_row = pytest.mark.parametrize("row", ROWS, ids=str)
every_unary_row = pytest.mark.parametrize("row", UNARY, ids=str)
every_binary_row = pytest.mark.parametrize("row", BINARY, ids=str)


def public(row: Op) -> Callable[..., Any]:
    return getattr(autograd, row.name)


def plain(tree: Any) -> Any:
    """The structure with the digits of its numbers; what is no Value or float shows as it is."""
    if isinstance(tree, dict):
        return {key: plain(x) for key, x in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree).__name__, [plain(x) for x in tree]
    if isinstance(tree, np.ndarray):
        return str(tree.dtype), tree.shape, [plain(x) for x in tree.ravel().tolist()]
    if isinstance(tree, Value):
        return "Value", tree.data.hex()
    return type(tree).__name__, tree.hex() if type(tree) is float else tree


# Scalars.

NUMBERS = [
    # a real number, its float
    *((1, 1.0), (0, 0.0), (True, 1.0), (Fraction(1, 4), 0.25)),
    *((10**400, inf), (-(10**400), -inf)),
    *((np.float64(0.5), 0.5), (np.float32(0.5), 0.5), (np.float16(0.5), 0.5)),
    *((np.int64(1), 1.0), (np.uint8(1), 1.0), (np.bool_(True), 1.0)),
]


@every_row
def test_floats_give_floats(row: Op):
    for x in EDGES:
        point = (x, 0.25)[: row.arity]
        assert plain(row.function(*point)) == plain(public(row)(*point))


@every_row
def test_any_real_number_counts_as_its_float(row: Op):
    for number, x in NUMBERS:
        point = (x, 0.25)[: row.arity]
        assert plain(row.function(*point)) == plain(public(row)(number, *point[1:]))


@every_binary_row
def test_the_right_operand_may_be_any_real_number(row: Op):
    for number, x in NUMBERS:
        assert plain(row.function(0.25, x)) == plain(public(row)(0.25, number))
        assert row.function(0.25, x).hex() == public(row)(Value(0.25), number).data.hex()


@every_unary_row
def test_a_function_of_a_value_records_its_row(row: Op):
    x = Value(0.25)
    result = public(row)(x)
    assert type(result) is Value
    assert (row, (x,)) == (result.op, result.operands)
    assert repr(row.function(0.25)) == repr(result.data)  # of acosh it is nan


@every_binary_row
def test_a_function_of_two_operands_records_values_and_numbers(row: Op):
    x, y = Value(0.25), Value(0.5)
    for operands in [(x, y), (x, x), (x, 0.5), (0.25, y), (x, np.float32(0.5))]:
        result = public(row)(*operands)
        a, b = (z.data if isinstance(z, Value) else float(z) for z in operands)
        assert type(result) is Value
        assert row is result.op
        assert all(z is w or z == w for z, w in zip(operands, result.operands, strict=True))
        assert row.function(a, b) == result.data


@every_unary_row
def test_a_method_is_its_function(row: Op):
    x = Value(0.25)
    method = getattr(x, row.name)
    assert plain(public(row)(x)) == plain(method())


@every_row
def test_a_function_documents_its_row(row: Op):
    function = public(row)
    assert row.name == function.__name__
    assert all(text in str(function.__doc__) for text in (row.meaning, row.value, *row.local))


# Structures.

Pair = namedtuple("Pair", "left right")

STRUCTURES = [
    [],
    [0.25],
    [0.25, 2],
    (0.25, [2.0, [3.0]]),
    {"b": 0.25, "a": [2.0, 3.0]},
    Pair(0.25, (2.0,)),
    [Value(0.25), 2.0],
    np.array([0.25, 2.0]),
    np.array([[1, 2], [3, 4]]),
    np.array(0.25),
    np.array([Value(0.25), Value(2.0)]),
    [np.array([0.25]), {"w": np.array([2.0])}],
]


def mapped(function: Callable[[Any], Any], tree: Any) -> Any:
    """What the structure becomes, spelt out."""
    if isinstance(tree, dict):
        return {key: mapped(function, x) for key, x in tree.items()}
    if isinstance(tree, Pair):
        return Pair(*(mapped(function, x) for x in tree))
    if isinstance(tree, (list, tuple)):
        return type(tree)(mapped(function, x) for x in tree)
    if isinstance(tree, np.ndarray):
        dtype = object if tree.dtype == object else float
        return np.array([function(x) for x in tree.ravel()], dtype).reshape(tree.shape)
    return function(tree)


@every_unary_row
def test_unary_functions_keep_the_structure(row: Op):
    for tree in STRUCTURES:
        assert plain(mapped(public(row), tree)) == plain(public(row)(tree))


@every_binary_row
def test_binary_functions_pair_structures_and_scalars(row: Op):
    f = public(row)
    for tree in STRUCTURES:
        assert plain(mapped(lambda x: f(x, 0.5), tree)) == plain(f(tree, 0.5))
        assert plain(mapped(lambda x: f(0.5, x), tree)) == plain(f(0.5, tree))
        assert plain(mapped(lambda x: f(x, x), tree)) == plain(f(tree, tree))


def test_arrays_broadcast():
    rows, columns = np.array([[1.0], [2.0]]), [10.0, 20.0]
    assert [[11.0, 21.0], [12.0, 22.0]] == autograd.add(rows, columns).tolist()


def test_gradients_flow_through_structures():
    weights = {"w": [Value(2.0), Value(3.0)], "b": Value(4.0)}
    total = autograd.sum(autograd.mul(weights, {"w": [5.0, 6.0], "b": 7.0}))
    assert plain({"w": [5.0, 6.0], "b": 7.0}) == plain(total.gradient(weights))


# Wrong input.

WRONG = ["1.0", None, 1j, np.complex128(1.0), b"1", object, {1.0}, lambda x: x]


@every_unary_row
def test_a_wrong_operand_is_named(row: Op):
    for wrong in WRONG:
        message = f"the operand of {row.name} must be .* received the {type(wrong).__name__} "
        with pytest.raises(TypeError, match=message):
            public(row)(wrong)


@every_binary_row
def test_a_wrong_operand_of_two_is_named(row: Op):
    for wrong in WRONG:
        message = f"operand of {row.name} must be .* received the {type(wrong).__name__} "
        for other in (1.0, Value(1.0), [1.0]):
            with pytest.raises(TypeError, match=f"the left {message}"):
                public(row)(wrong, other)
            with pytest.raises(TypeError, match=f"the right {message}"):
                public(row)(other, wrong)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: autograd.exp([1.0, ["2"]]), r"the operand of exp\[1\]\[0\] must be"),
        (lambda: autograd.exp({"w": None}), r"the operand of exp\['w'\] must be"),
        (lambda: autograd.exp(np.array(["a"])), "the operand of exp must hold numbers"),
        (lambda: autograd.add([1.0], ["2"]), r"the right operand of add\[0\] must be"),
        (lambda: autograd.add([1.0, "2"], 1.0), r"the left operand of add\[1\] must be"),
        (lambda: autograd.sum("12"), "xs must be a number.* received the str '12'"),
        (lambda: autograd.sum(None), "xs must be a number.* received the NoneType None"),
        (lambda: autograd.mean([1.0, 1j]), r"xs\[1\] must be a number.* received the complex 1j"),
        (lambda: autograd.norm({1.0, 2.0}), "xs must be a number.* received the set"),
        (lambda: autograd.softmax("12"), "xs must be a number.* received the str '12'"),
        (lambda: autograd.logsumexp([None]), r"xs\[0\] must be a number.* received the NoneType"),
        (lambda: autograd.maxout(1.0, "2"), r"xs\[1\] must be a number.* received the str '2'"),
        (lambda: autograd.dot("a", [1.0]), "a must be a number.* received the str 'a'"),
        (lambda: autograd.dot([1.0], None), "b must be a number.* received the NoneType None"),
        (lambda: autograd.dot([1.0], [1.0], "c"), "right operand of add must be .* the str 'c'"),
        (lambda: where([True], 1.0, 2.0), "condition must be a bool.* received the list"),
        (lambda: where(None, 1.0, 2.0), "condition must be a bool.* received the NoneType None"),
        (lambda: where("no", 1.0, 2.0), "condition must be a bool.* received the str 'no'"),
        (lambda: where(np.ones(2), 1.0, 2.0), "condition must be a bool.* received the ndarray"),
        (lambda: where(True, 1.0, "2"), "b must be a real number.* received the str '2'"),
        (lambda: where(False, 1j, 2.0), "a must be a real number.* received the complex 1j"),
    ],
)
def test_wrong_structures_name_the_place(call: Callable[[], Any], message: str):
    with pytest.raises(TypeError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: autograd.mean([]), "mean needs at least one number, received none"),
        (lambda: autograd.maxout(), "maxout needs at least one number, received none"),
        (lambda: autograd.maxout([]), "maxout needs at least one number, received none"),
        (lambda: autograd.logsumexp({}), "logsumexp needs at least one number, received none"),
        (lambda: autograd.softmax(()), "softmax needs at least one number, received none"),
        (lambda: autograd.softmax(np.empty(0)), "softmax needs at least one number"),
        (lambda: autograd.dot([1.0], [1.0, 2.0]), "as many a as b, received 1 and 2"),
        (lambda: autograd.add([1.0], [1.0, 2.0]), "add needs operands of one structure"),
        (lambda: autograd.add({"a": 1.0}, {"b": 1.0}), "add needs operands of one structure"),
        (lambda: autograd.add([1.0, [2.0]], [[1.0], 2.0]), "add needs operands of one structure"),
    ],
)
def test_empty_and_unlike_structures(call: Callable[[], Any], message: str):
    with pytest.raises(ValueError, match=message):
        call()


# The functions built from the rows.


def exact_softmax(place: int) -> Callable[..., Any]:
    return lambda *xs: mp.exp(xs[place]) / mp.fsum(map(mp.exp, xs))


COMPOSITES = [
    # name, ours, by definition
    ("sum", autograd.sum, lambda *xs: mp.fsum(xs)),
    ("mean", autograd.mean, lambda *xs: mp.fsum(xs) / len(xs)),
    ("norm", autograd.norm, lambda *xs: mp.sqrt(mp.fsum(x**2 for x in xs))),
    ("maxout", autograd.maxout, lambda *xs: max(xs)),
    ("logsumexp", autograd.logsumexp, lambda *xs: mp.log(mp.fsum(map(mp.exp, xs)))),
    ("softmax[0]", lambda xs: autograd.softmax(xs)[0], exact_softmax(0)),
    ("softmax[-1]", lambda xs: autograd.softmax(xs)[-1], exact_softmax(-1)),
    (
        "dot",
        lambda xs: autograd.dot(xs, xs[::-1], 0.5),
        lambda *xs: mp.fdot(xs, xs[::-1]) + 0.5,
    ),
]

every_composite = pytest.mark.parametrize(
    ("ours", "exact"), [row[1:] for row in COMPOSITES], ids=[row[0] for row in COMPOSITES]
)


@every_composite
@settings(derandomize=True, deadline=None)
@given(
    st.lists(st.floats(0.25, 8.0) | st.floats(-8.0, -0.25), min_size=1, max_size=5, unique_by=abs)
)
def test_values_and_gradients_agree_with_the_definition(
    ours: Callable[..., Any], exact: Callable[..., Any], xs: list[float]
):
    leaves = [Value(x) for x in xs]
    result = ours(leaves)
    gradient = autograd.add(result, 0.0).gradient(leaves, create_graph=True)
    with mp.workdps(30):
        first, second = exact_partials(exact, xs)
        assert ulps(result.data, exact(*map(mp.mpf, xs)), xs) <= 16.0
        for i, derivative in enumerate(gradient):
            assert ulps(derivative.data, first[i], xs) <= 16.0
            for j, actual in enumerate(derivative.gradient(leaves)):
                assert ulps(actual, second[min(i, j), max(i, j)], xs) <= 64.0


@pytest.mark.parametrize("ours", [row[1] for row in COMPOSITES], ids=[row[0] for row in COMPOSITES])
@given(st.lists(edge_floats | st.floats(-8.0, 8.0), min_size=1, max_size=5))
def test_floats_give_the_float_of_values(ours: Callable[..., Any], xs: list[float]):
    result = ours(xs)
    assert type(result) is float
    assert ours([Value(x) for x in xs]).data.hex() == result.hex()


STABLE = [
    # function, arguments, value, gradient
    (autograd.logsumexp, [1000.0, 1000.0], 1000.0 + math.log(2.0), [0.5, 0.5]),
    (autograd.logsumexp, [-1000.0, -1000.0], -1000.0 + math.log(2.0), [0.5, 0.5]),
    (autograd.logsumexp, [1e308, -1e308], 1e308, [1.0, 0.0]),
    (autograd.logsumexp, [0.0, -inf, 0.0], math.log(2.0), [0.5, 0.0, 0.5]),
    (autograd.logsumexp, [-inf, -inf], -inf, [nan, nan]),
    (autograd.logsumexp, [inf, 0.0], inf, [nan, 0.0]),
    (autograd.logsumexp, [nan, 0.0], nan, [nan, nan]),
    (lambda xs: autograd.softmax(xs)[0], [1000.0, 1000.0], 0.5, [0.25, -0.25]),
    (lambda xs: autograd.softmax(xs)[0], [1000.0, 0.0], 1.0, [0.0, 0.0]),
    (lambda xs: autograd.softmax(xs)[1], [1e308, -1e308], 0.0, [0.0, 0.0]),
    (lambda xs: autograd.softmax(xs)[0], [-1000.0, -1000.0], 0.5, [0.25, -0.25]),
    (lambda xs: autograd.softmax(xs)[0], [0.0, -inf, 0.0], 0.5, [0.25, 0.0, -0.25]),
    (lambda xs: autograd.softmax(xs)[1], [0.0, -inf, 0.0], 0.0, [0.0, 0.0, 0.0]),
    (lambda xs: autograd.softmax(xs)[0], [-inf, -inf], nan, [nan, nan]),
    (autograd.maxout, [-inf, 3.0, inf], inf, [0.0, 0.0, 1.0]),
    (autograd.maxout, [2.0, 2.0], 2.0, [0.5, 0.5]),
    (autograd.maxout, [2.0, 2.0, 2.0], 2.0, [0.25, 0.25, 0.5]),
    (autograd.maxout, [1.0, nan, 2.0], nan, [0.0, 0.0, 0.0]),
    (autograd.norm, [0.0, 0.0], 0.0, [nan, nan]),
    (autograd.norm, [0.0, 0.0, -2.0], 2.0, [0.0, 0.0, -1.0]),
    (autograd.mean, [1.0, inf], inf, [0.5, 0.5]),
]


@pytest.mark.parametrize(("function", "xs", "value", "gradient"), STABLE)
def test_huge_masked_and_tied_inputs(
    function: Callable[..., Any], xs: list[float], value: float, gradient: list[float]
):
    leaves = [Value(x) for x in xs]
    result = function(leaves)
    assert plain(value) == plain(function(xs))
    assert plain(value) == plain(result.data)
    assert plain(gradient) == plain([x + 0.0 for x in result.gradient(leaves)])


TREES = [
    [1.0, 2, 3.0],
    (1.0, [2.0, (3.0,)]),
    {"a": 1.0, "b": {"c": [2, 3.0]}},
    np.array([1.0, 2.0, 3.0]),
    [np.array([1.0, 2.0]), np.float32(3.0)],
]


REDUCTIONS = [
    *(autograd.sum, autograd.mean, autograd.norm, autograd.maxout, autograd.logsumexp),
    lambda xs: autograd.dot(xs, [2.0, 3.0, 5.0], 7.0),
    lambda xs: autograd.dot([2.0, 3.0, 5.0], xs, 7.0),
]


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_structures_and_generators_are_read_from_left_to_right(reduction: Callable[..., Any]):
    expected = reduction([1.0, 2.0, 3.0])
    assert plain(expected) == plain(reduction(float(i) for i in (1, 2, 3)))
    for tree in TREES:
        assert plain(expected) == plain(reduction(tree))


@pytest.mark.parametrize("tree", TREES, ids=repr)
def test_softmax_keeps_the_structure(tree: Any):
    parts = iter(autograd.softmax([1.0, 2.0, 3.0]))
    assert plain(mapped(lambda _: next(parts), tree)) == plain(autograd.softmax(tree))


def test_softmax_of_a_generator_is_a_list():
    assert plain(autograd.softmax([1.0, 2.0])) == plain(autograd.softmax(x for x in (1.0, 2.0)))


def test_numbers_of_any_kind_give_floats():
    for integers in ([3, 1], [np.int64(3), True]):
        assert plain(4.0) == plain(autograd.sum(integers))
        assert plain(2.0) == plain(autograd.mean(integers))
        assert plain(3.0) == plain(autograd.maxout(*integers))
        assert plain(10.0) == plain(autograd.dot(integers, integers))
    assert plain(3.0) == plain(autograd.sum(3))
    assert plain(0.0) == plain(autograd.sum([]))
    assert plain(0.0) == plain(autograd.dot([], []))
    assert plain(0.0) == plain(autograd.norm([]))


def test_sums_add_in_the_order_of_the_program():
    xs = [1e16, 1.0, -1e16, 0.1, 0.2, 0.3]
    left_to_right = ((((1e16 + 1.0) + -1e16) + 0.1) + 0.2) + 0.3
    assert left_to_right == autograd.sum(xs)
    assert left_to_right == autograd.dot(xs, [1.0] * 6)
    assert left_to_right == autograd.dot(xs[:-1], [1.0] * 5, xs[-1])


def test_the_shift_of_softmax_receives_no_gradient():
    x = Value(5.0)
    assert plain(1.0) == plain(autograd.logsumexp([x]).gradient(x))
    (leaf,) = graph.leaves(autograd.softmax([x])[0])  # the shift is a number
    assert leaf is x


# where.


@pytest.mark.parametrize(
    ("condition", "chosen"),
    [
        *((True, 0), (False, 1), (2.0, 0), (0.0, 1), (-0.0, 1), (nan, 0)),
        *((Value(1.0), 0), (Value(0.0), 1), (Value(2.0) > 1.0, 0)),
        *((np.bool_(False), 1), (np.float64(1.0) > 2.0, 1)),
    ],
)
def test_where_picks_an_operand_itself(condition: object, chosen: int):
    operands = [Value(3.0), Value(4.0)]
    assert operands[chosen] is where(condition, *operands)
    assert plain([4.0, 3.0][chosen]) == plain(where(condition, 4, np.float32(3.0)))


@pytest.mark.parametrize("flag", [False, True])
def test_where_refuses_what_python_makes_of_not_a_bool(flag: bool):
    with pytest.raises(
        ValueError, match=rf"condition is {-1 - flag}, as ~ gives of the bool {flag}"
    ):
        where(-1 - flag, 1.0, 2.0)


def test_the_gradient_of_where_flows_to_the_operand_picked():
    a, b = Value(3.0), Value(4.0)
    result = where(a < b, a * a, b * b)
    assert plain([6.0, 0.0]) == plain(result.gradient([a, b]))
