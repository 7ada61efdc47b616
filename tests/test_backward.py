"""The sweeps: `backward`, `gradient`, their order, what they write and what they refuse."""

import math
import re
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import EDGES, Recipe, build, graphs

from autograd import AutogradError, StaleGraphError, Value, functional, graph, no_grad, values
from autograd.backward import local_derivative, pullback, pushforward
from autograd.ops import TABLE

calm = settings(deadline=None)


def stand(recipe: Recipe) -> list[Value]:
    """The nodes of a recipe: its leaves, then the result of each step."""
    return build(recipe, [Value(x) for x in recipe.leaves])


def grads(nodes: list[Value]) -> list[str]:
    return [repr(node.grad) for node in nodes]


# What a sweep computes.


def swept(recipe: Recipe, nodes: list[Value]) -> dict[int, float]:
    """The contract on plain floats: upstream × local for each place, in reverse, left to right."""
    first, last = len(recipe.leaves), len(nodes) - 1
    found = {last: 1.0}
    for place in range(last, first - 1, -1):
        if place not in found:
            continue
        name, operands = recipe.steps[place - first]
        x, y, *_ = [*(nodes[x].data if isinstance(x, int) else x for x in operands), 0.0]
        for rule, operand in zip(TABLE[name].rules, operands, strict=True):
            if isinstance(operand, int):
                downstream = found[place] * rule(x, y, nodes[place].data)
                found[operand] = found[operand] + downstream if operand in found else downstream
    return found


@calm
@given(graphs())
def test_backward_on_random_graphs(recipe: Recipe):
    nodes = stand(recipe)
    expected = swept(recipe, nodes)
    nodes[-1].backward()
    assert [repr(expected.get(place, 0.0)) for place in range(len(nodes))] == grads(nodes)


@calm
@given(graphs())
def test_gradient_and_its_graph_equal_backward(recipe: Recipe):
    nodes = stand(recipe)
    before = grads(nodes)
    found = nodes[-1].gradient(nodes)
    recorded = nodes[-1].gradient(nodes, create_graph=True)
    assert before == grads(nodes)
    nodes[-1].backward()
    assert grads(nodes) == [repr(x) for x in found] == [repr(x.data) for x in recorded]
    assert {float} == set(map(type, found))
    assert {Value} == set(map(type, recorded))


@calm
@given(graphs(), st.data())
def test_the_gradient_of_one_node_does_not_depend_on_the_others_asked_for(
    recipe: Recipe, data: st.DataObject
):
    nodes = stand(recipe)
    place = data.draw(st.integers(0, len(nodes) - 1))
    assert repr(nodes[-1].gradient(nodes)[place]) == repr(nodes[-1].gradient(nodes[place]))


@calm
@given(graphs(), st.data())
def test_constant_leaves_receive_nothing_and_change_nothing(recipe: Recipe, data: st.DataObject):
    leaves = [Value(x, requires_grad=data.draw(st.booleans())) for x in recipe.leaves]
    nodes = build(recipe, leaves)
    expected = swept(recipe, nodes)
    if not nodes[-1].requires_grad:
        with pytest.raises(AutogradError):
            nodes[-1].backward()
        expected = {}
    else:
        nodes[-1].backward()
    assert [
        repr(expected.get(place, 0.0) if node.requires_grad else 0.0)
        for place, node in enumerate(nodes)
    ] == grads(nodes)


# Order.


def test_nodes_are_swept_in_the_exact_reverse_of_their_recording():
    x = Value(1.0)
    terms = [x * 0.1, x * 0.2, x * 0.3]
    (terms[0] + terms[1] + terms[2]).backward()
    assert (0.3 + 0.2) + 0.1 == x.grad != (0.1 + 0.2) + 0.3


def test_recording_decides_and_not_the_place_in_the_graph():
    x = Value(1.0)
    terms = [x * 0.3, x * 0.2, x * 0.1]
    (terms[2] + terms[1] + terms[0]).backward()
    assert (0.1 + 0.2) + 0.3 == x.grad != (0.3 + 0.2) + 0.1


def test_operands_are_swept_from_left_to_right():
    x = Value(2.0)
    y = (x - x) * 0.1 + x * 0.3
    y.backward()
    assert (0.3 + 0.1) + -0.1 == x.grad != (0.3 + -0.1) + 0.1


def test_the_first_contribution_is_assigned():
    x = Value(1.0)
    (x * -0.0).backward()
    assert "-0.0" == repr(x.grad)
    (x * -0.0).backward()
    assert "-0.0" == repr(x.grad)


def test_later_contributions_are_added():
    x = Value(1.0)
    (x * -0.0 + x * 0.0).backward()
    assert "0.0" == repr(x.grad)


REPEATED: dict[str, tuple[Callable[[Value], Value], float]] = {
    "x + x": (lambda x: x + x, 2.0),
    "x - x": (lambda x: x - x, 0.0),
    "x * x": (lambda x: x * x, 6.0),
    "x / x": (lambda x: x / x, 0.0),
    "x ** x": (lambda x: x**x, 27.0 + 27.0 * math.log(3.0)),
    "max(x, x)": (lambda x: functional.maximum(x, x), 1.0),
    "x * x * x": (lambda x: x * x * x, 27.0),
    "square of a square": (lambda x: (x**2) ** 2, 108.0),
}


@pytest.mark.parametrize("text", REPEATED)
def test_repeated_operands(text: str):
    compute, expected = REPEATED[text]
    x = Value(3.0)
    compute(x).backward()
    assert expected == x.grad


# What backward writes.


def test_leaves_accumulate_and_nodes_between_do_not():
    x, w = values(x=2.0, w=3.0)
    h = x * w
    y, z = h * 5, h * 7
    y.backward()
    assert [15.0, 10.0, 5.0, 1.0, 0.0] == [n.grad for n in (x, w, h, y, z)]
    z.backward()
    assert [36.0, 24.0, 7.0, 1.0, 1.0] == [n.grad for n in (x, w, h, y, z)]


@calm
@given(graphs())
def test_calling_twice_doubles_leaves_and_nothing_else(recipe: Recipe):
    nodes = stand(recipe)
    nodes[-1].backward()
    expected = [node.grad + node.grad if node.op is None else node.grad for node in nodes]
    nodes[-1].backward()
    assert [*map(repr, expected)] == grads(nodes)


def test_a_gradient_set_by_hand_is_added_to():
    x = Value(2.0)
    x.grad = 10
    (x * 3).backward()
    assert 13.0 == x.grad


def test_a_gradient_of_nan_stays():
    x = Value(2.0)
    x.grad = math.nan
    (x * 3).backward()
    assert math.isnan(x.grad)


def test_backward_from_a_leaf():
    x = Value(2.0)
    x.backward()
    x.backward(3)
    assert 4.0 == x.grad


@pytest.mark.parametrize("upstream", [2, 0.5, True, np.float32(0.5), *EDGES])
def test_upstream_scales_every_gradient(upstream: float):
    x = Value(2.0)
    h = x * 3
    (h * 0.25).backward(upstream)
    assert [repr(float(upstream) * 0.25), repr(float(upstream) * 0.25 * 3.0)] == grads([h, x])


def test_only_what_was_reached_is_written():
    x, y = values(x=2.0, y=3.0)
    beside = x * y
    below = x * 2
    (below * 3).backward()
    assert [6.0, 0.0, 0.0, 3.0] == [n.grad for n in (x, y, beside, below)]


def test_detached_values_numbers_and_no_grad_cut_the_way():
    x = Value(2.0)
    with no_grad():
        frozen = x * 3
    y = x * frozen + x.detach() * x + frozen
    y.backward()
    assert (8.0, 0.0) == (x.grad, frozen.grad)


def test_a_leaf_may_stop_requiring_a_gradient():
    x, w = values(x=2.0, w=3.0)
    y = x * w
    x.requires_grad = False
    y.backward()
    assert (0.0, 2.0) == (x.grad, w.grad)


def constant_root() -> Value:
    return Value(2.0, "c", requires_grad=False) * 3


def recorded_under_no_grad() -> Value:
    with no_grad():
        return Value(2.0) * 3


def detached() -> Value:
    return (Value(2.0) * 3).detach()


@pytest.mark.parametrize("root", [constant_root, recorded_under_no_grad, detached])
def test_a_root_that_requires_no_gradient_is_refused(root: Callable[[], Value]):
    y = root()
    with pytest.raises(AutogradError, match=r"= 6\.0: it requires no gradient"):
        y.backward()
    assert 0.0 == y.grad


# Stale graphs.

Graph = Callable[[Value, Value], Value]

STALE: dict[str, Graph] = {
    "an operand on the left": lambda x, w: x * w,
    "an operand on the right": lambda x, w: w * x,
    "deep below": lambda x, w: ((x.exp() * w).sin() + 1) * w,
    "beside the way of any gradient": lambda x, w: w + x.detach() * 0 + (x * 0).detach() + x * 1,
    "used twice": lambda x, w: x * x + w,
    "a square": lambda x, w: x**2 + w,
}


@pytest.mark.parametrize("requires_grad", [True, False])
@pytest.mark.parametrize("name", STALE)
def test_a_written_leaf_makes_the_graph_stale(name: str, requires_grad: bool):
    x, w = Value(2.0, "x", requires_grad), Value(3.0, "w")
    y = STALE[name](x, w)
    before = y.gradient(w)
    x.data = 7.0
    for sweep in (y.backward, lambda: y.gradient(w), lambda: y.gradient([w], create_graph=True)):
        with pytest.raises(StaleGraphError, match=r"^leaf 'x' = 7\.0 was written after"):
            sweep()
    assert {0.0} == {node.grad for node in graph.nodes(y)}
    x.data = 2.0
    y = STALE[name](x, w)
    y.backward()
    assert before == w.grad


def test_the_error_names_the_node_and_the_remedy():
    x, w = values(x=2.0, w=3.0)
    y = x * w
    y.label = "y"
    x.data = 7
    with pytest.raises(
        StaleGraphError,
        match=r"leaf 'x' = 7.0 was written after mul 'y' = 6.0 .* compute the result again",
    ):
        y.backward()


def test_the_first_stale_edge_in_the_order_of_recording_is_named():
    x, w = values(x=2.0, w=3.0)
    y = (w * x) * x.exp()
    w.data = x.data = 1.0
    with pytest.raises(StaleGraphError, match=r"leaf 'w' = 1\.0 was written after mul = 6\.0"):
        y.backward()


def test_writing_the_same_number_counts():
    x = Value(2.0)
    y = x * 3
    x.data = x.data
    with pytest.raises(StaleGraphError):
        y.backward()


def test_other_writes_do_not_count():
    x = Value(2.0)
    y = x * 3
    x.grad, x.label = 1.0, "x"
    y.grad, y.label = 1.0, "y"
    y.backward()
    assert 4.0 == x.grad


def test_other_graphs_stay_fresh():
    x, w = values(x=2.0, w=3.0)
    stale, fresh = x * w, w * 5
    x.data = 1.0
    fresh.backward()
    assert 5.0 == w.grad
    with pytest.raises(StaleGraphError):
        (stale + fresh).backward()


def test_a_leaf_written_before_it_is_used_is_fresh():
    x = Value(2.0)
    x.data = 5.0
    y = x * x
    y.backward()
    assert 10.0 == x.grad


def test_training_writes_leaves_between_graphs():
    w = Value(4.0)
    for _ in range(50):
        w.grad = 0.0
        ((w - 1) ** 2).backward()
        w.data = w.data - 0.25 * w.grad
    assert pytest.approx(1.0) == w.data


def test_the_values_of_a_stale_graph_can_be_swept_on_request():
    x = Value(2.0)
    y = x * 3
    x.data = 5.0
    assert {y: 1.0, x: 3.0} == pullback({y: 1.0}, allow_stale=True)


# gradient.


class Point(NamedTuple):
    x: Any
    y: Any


def test_gradient_has_the_structure_of_wrt():
    x, y = values(x=2.0, y=3.0)
    z = x * y
    assert 3.0 == z.gradient(x)
    assert [3.0, 2.0] == z.gradient([x, y])
    assert (2.0, 3.0, 2.0) == z.gradient((y, x, y))
    assert {"b": 2.0, "a": [3.0, ()]} == z.gradient({"b": y, "a": [x, ()]})
    assert Point(3.0, [2.0]) == z.gradient(Point(x, [y]))
    assert ["b", "a"] == [*z.gradient({"b": y, "a": x})]
    assert [] == z.gradient([])


def test_gradient_with_respect_to_arrays():
    x, y = values(x=2.0, y=3.0)
    found = (x * y).gradient(np.array([[x, y], [y, x]]))
    assert np.float64 == found.dtype
    assert [[3.0, 2.0], [2.0, 3.0]] == found.tolist()
    recorded = (x * y).gradient(np.array([x, y]), create_graph=True)
    assert object == recorded.dtype
    assert [3.0, 2.0] == [v.data for v in recorded]


def test_gradient_with_respect_to_nodes_between_and_the_root():
    x = Value(2.0)
    h = x * 3
    y = h * h
    assert [1.0, 12.0, 36.0] == y.gradient([y, h, x])


def test_gradient_with_respect_to_a_node_counts_every_way_through_it_only():
    x = Value(2.0)
    h = x * 3
    y = h * x
    assert [2.0, 12.0] == y.gradient([h, x])


def test_what_is_not_in_the_graph_gets_zero():
    x, other = values(x=2.0, other=3.0)
    y = x * 2
    above = y * other
    assert [0.0, 0.0] == y.gradient([other, above])
    recorded = y.gradient([other, x], create_graph=True)
    assert [(0.0, False), (2.0, False)] == [(v.data, v.requires_grad) for v in recorded]


def test_gradient_of_a_constant_is_zero():
    x = Value(2.0)
    assert 0.0 == Value(3.0, requires_grad=False).gradient(x)
    assert 0.0 == x.detach().gradient(x)


def test_gradient_of_a_leaf():
    x = Value(2.0)
    assert 1.0 == x.gradient(x)


REFUSED: list[tuple[Any, type[Exception], str]] = [
    (3.0, TypeError, "wrt must hold Values, received the number 3.0"),
    ([1], TypeError, "wrt must hold Values, received the number 1"),
    ("x", TypeError, "wrt must be a number, a Value, or a list"),
    (None, TypeError, "received the NoneType None"),
    ({"a": [None]}, TypeError, "wrt['a'][0] must be"),
    (np.array([1.0]), TypeError, "wrt must hold Values"),
    (Value(2.0, "c", requires_grad=False), AutogradError, "leaf 'c' = 2.0 requires no gradient"),
]


@pytest.mark.parametrize(("wrt", "error", "text"), REFUSED, ids=repr)
def test_gradient_refuses_what_has_none(wrt: Any, error: type[Exception], text: str):
    with pytest.raises(error, match=re.escape(text)):
        (Value(2.0) * 3).gradient(wrt)


# Gradients of gradients.


def test_derivatives_of_every_order():
    x = Value(2.0)
    y = x**5
    found = [y := y.gradient(x, create_graph=True) for _ in range(6)]
    assert [80.0, 160.0, 240.0, 240.0, 120.0, 0.0] == [v.data for v in found]


def test_mixed_derivatives():
    x, y = values(x=2.0, y=3.0)
    z = x**3 * y**2
    zx, zy = z.gradient([x, y], create_graph=True)
    assert [108.0, 48.0] == [zx.data, zy.data]
    assert [[108.0, 72.0], [72.0, 16.0]] == [zx.gradient([x, y]), zy.gradient([x, y])]


def test_backward_from_a_gradient():
    x, w = values(x=2.0, w=3.0)
    slope = (w * x.square()).gradient(x, create_graph=True)
    slope.backward()
    assert (6.0, 4.0) == (x.grad, w.grad)


def test_the_constants_of_a_derivative_are_constants():
    x = Value(2.0)
    slope = (x * 3).gradient(x, create_graph=True)
    assert (3.0, None, False) == (slope.data, slope.op, slope.requires_grad)
    assert 0.0 == slope.gradient(x)


def test_no_products_with_one_are_recorded():
    x, y = values(x=2.0, y=3.0)
    product, power = x * y, (x + y).exp()
    assert product.gradient(x, create_graph=True) is y
    assert power.gradient(x, create_graph=True) is power


def test_create_graph_records_under_no_grad():
    x = Value(2.0)
    y = x**3
    with no_grad():
        slope = y.gradient(x, create_graph=True)
        assert slope.requires_grad
        assert 12.0 == slope.gradient(x)
        assert not (x * 2).requires_grad


# The parts.


@pytest.mark.parametrize("name", TABLE)
def test_local_derivatives_over_floats_and_values(name: str):
    op = TABLE[name]
    operands = [(low + high) / 2 for ((low, high), *_) in op.domain]
    node = getattr(functional, name)(*map(Value, operands))
    x, y, *_ = [*operands, 0.0]
    for slot, rule in enumerate(op.rules):
        expected = repr(rule(x, y, node.data))
        recorded = local_derivative(node, slot, create_graph=True)
        assert expected == repr(local_derivative(node, slot))
        assert expected == repr(recorded.data if isinstance(recorded, Value) else recorded)


def polynomial(coefficients: list[int], x: Any, y: Any) -> Any:
    a, b, c, d = coefficients
    p = x * y * a - y * b
    return (p + x * c) * (p - d) - y


@calm
@given(st.lists(st.integers(-9, 9), min_size=4, max_size=4), st.integers(-9, 9), st.integers(-9, 9))
def test_forward_and_reverse_sweeps_agree(coefficients: list[int], a: int, b: int):
    """On small integers floats are exact, so the order of the sums does not show."""
    x, y = Value(a), Value(b)
    root = polynomial(coefficients, x, y)
    for leaf, slope in ((x, root.gradient(x)), (y, root.gradient(y))):
        tangents = pushforward({leaf: 1.0}, [root])
        assert slope == tangents.get(root, 0.0)
    both = pushforward({x: 2.0, y: -3.0}, [root])[root]
    assert 2.0 * root.gradient(x) - 3.0 * root.gradient(y) == both


def test_a_pullback_of_several_roots_sums_them():
    x, y = values(x=2.0, y=3.0)
    p = x * y
    q = p * x
    found = pullback({p: 10.0, q: 1.0})
    assert (12.0, 3.0 * 12.0 + 6.0, 2.0 * 12.0) == (found[p], found[x], found[y])


# Threads.


def together(work: Callable[[int], Any], count: int = 8) -> list[Any]:
    """What the work returns in that many threads that begin at once."""
    found: list[Any] = [None] * count
    barrier = threading.Barrier(count)

    def run(i: int) -> None:
        barrier.wait()
        found[i] = work(i)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def chain(x: Value, length: int) -> Value:
    y = x
    for _ in range(length):
        y = (y * 1.0001 + x).sin()
    return y


def test_threads_build_and_sweep_graphs_of_their_own():
    def work(i: int) -> list[float]:
        x = Value(0.1 * i)
        y = chain(x, 1000)
        y.backward()
        return [y.data, x.grad]

    assert [work(i) for i in range(8)] == together(work)


def test_threads_differentiate_one_graph():
    x = Value(0.5)
    y = chain(x, 1000)
    expected = y.gradient(x), y.gradient(x, create_graph=True).data
    assert [expected] * 8 == together(
        lambda _: (y.gradient(x), y.gradient(x, create_graph=True).data)
    )
    assert 0.0 == x.grad
