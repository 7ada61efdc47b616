"""Copies and pickles of leaves, subclasses and graphs: identity, sharing, stamps, refusals."""

import copy
import io
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from strategies import EDGES, Recipe, build, graphs

from autograd import StaleGraphError, Value, detect_anomaly, graph, no_grad, values

Duplicate = Callable[[Any], Any]


class Parameter(Value):
    """A leaf with a place of its own, in a slot and in a dictionary."""

    __slots__ = ("__dict__", "place")

    place: Any
    notes: Any


class Slotted(Value):
    __slots__ = ("_Slotted__secret", "place")

    place: Any

    def __init__(self, data: float, place: Any) -> None:
        super().__init__(data)
        self.place = place


# Ways to duplicate.


def c_pickled(protocol: int) -> Duplicate:
    return lambda x: pickle.loads(pickle.dumps(x, protocol))


def python_pickled(protocol: int) -> Duplicate:
    def duplicate(x: Any) -> Any:
        file = io.BytesIO()
        pickle._Pickler(file, protocol).dump(x)  # pyright: ignore
        file.seek(0)
        return pickle._Unpickler(file).load()  # pyright: ignore

    return duplicate


PICKLED: dict[str, Duplicate] = {
    f"{kind.__name__} {protocol}": kind(protocol)
    for kind in (c_pickled, python_pickled)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
}
DEEP: dict[str, Duplicate] = {"deepcopy": copy.deepcopy, **PICKLED}
EVERY: dict[str, Duplicate] = {"copy": copy.copy, **DEEP}

deep = pytest.mark.parametrize("duplicate", DEEP.values(), ids=DEEP)
every = pytest.mark.parametrize("duplicate", EVERY.values(), ids=EVERY)


def state(node: Value) -> tuple[Any, ...]:
    """All that a node holds besides its operands."""
    name = node.op and node.op.name
    return type(node), repr(node.data), repr(node.grad), node.label, node.requires_grad, name


def flat(root: Value) -> list[Any]:
    """A graph as a list: the state of each node, and its operands as places in that list."""
    nodes = graph.nodes(root)
    place = {node: i for i, node in enumerate(nodes)}
    return [
        (state(node), [place[x] if isinstance(x, Value) else repr(x) for x in node.operands])
        for node in nodes
    ]


# Leaves.


@every
def test_leaves(duplicate: Duplicate):
    for x in EDGES:
        leaf = Value(x, "x", requires_grad=False)
        leaf.grad = -x
        twin = duplicate(leaf)
        assert leaf is not twin
        assert state(leaf) == state(twin)


@every
def test_attributes_of_subclasses(duplicate: Duplicate):
    leaf = Parameter(2.0, "w")
    leaf.grad, leaf.place, leaf.notes = 3.0, (1, 2), ["a note"]
    twin = duplicate(leaf)
    assert state(leaf) == state(twin)
    assert ((1, 2), {"notes": ["a note"]}) == (twin.place, twin.__dict__)
    assert (twin.notes is leaf.notes) == (duplicate is copy.copy)


@every
def test_a_subclass_with_slots_and_a_constructor_of_its_own(duplicate: Duplicate):
    leaf = Slotted(2.0, "here")
    leaf._Slotted__secret = 7  # pyright: ignore
    twin = duplicate(leaf)
    assert (Slotted, 2.0, "here", 7) == (
        *(type(twin), twin.data, twin.place, twin._Slotted__secret),  # pyright: ignore
    )


@every
def test_unset_slots_stay_unset(duplicate: Duplicate):
    twin = duplicate(Parameter(2.0))
    assert not hasattr(twin, "place")
    assert {} == twin.__dict__


@deep
def test_an_attribute_may_lead_back_to_its_leaf(duplicate: Duplicate):
    leaf = Parameter(2.0)
    leaf.notes = [leaf]
    twin = duplicate(leaf)
    assert twin.notes[0] is twin is not leaf


@deep
def test_an_attribute_may_lead_into_the_graph_above(duplicate: Duplicate):
    leaf = Parameter(2.0)
    square = leaf * leaf
    root = square + leaf
    leaf.place, leaf.notes = square, root
    for twin_leaf, twin_root in (
        [*duplicate((leaf, root))],
        [*reversed(duplicate((root, leaf)))],
        [(twin := duplicate(leaf)), twin.notes],
    ):
        assert twin_leaf.notes is twin_root
        assert twin_leaf.place is twin_root.operands[0]
        assert twin_leaf is twin_root.operands[1] is twin_leaf.place.operands[0]
        assert flat(root) == flat(twin_root)


# Graphs.


@settings(deadline=None, max_examples=50)
@given(graphs())
def test_random_graphs(recipe: Recipe):
    nodes = build(recipe, [Value(x, f"leaf {i}") for i, x in enumerate(recipe.leaves)])
    root = nodes[-1]
    root.backward(0.5)
    root.label = "root"
    for duplicate in (copy.deepcopy, *PICKLED.values()):
        twin = duplicate(root)
        assert flat(root) == flat(twin)
        assert not {*map(id, graph.nodes(root))} & {*map(id, graph.nodes(twin))}
        assert [repr(x) for x in root.gradient(graph.nodes(root))] == [
            repr(x) for x in twin.gradient(graph.nodes(twin))
        ]


@settings(deadline=None, max_examples=50)
@given(graphs())
def test_every_node_of_a_random_graph_at_once(recipe: Recipe):
    nodes = build(recipe, [Value(x) for x in recipe.leaves])
    for ordered in (nodes, nodes[::-1], nodes[::2] + nodes[1::2]):
        for duplicate in (copy.deepcopy, c_pickled(5), python_pickled(2)):
            twins = duplicate(ordered)
            for node, twin in zip(ordered, twins, strict=True):
                assert state(node) == state(twin)
                found = [x for x in node.operands if isinstance(x, Value)]
                copied = [x for x in twin.operands if isinstance(x, Value)]
                assert [place(ordered, x) for x in found] == [place(twins, x) for x in copied]


def place(nodes: list[Value], node: Value) -> int:
    return next((i for i, x in enumerate(nodes) if x is node), -1)


@deep
def test_a_loss_with_its_parameters(duplicate: Duplicate):
    params = [Parameter(0.5, "w"), Parameter(-1.0, "b")]
    loss = (params[0] * 3 + params[1]).square()
    for twin_loss, twin_params in (
        [*duplicate((loss, params))],
        [*reversed(duplicate((params, loss)))],
    ):
        assert [*map(id, twin_params)] == [*map(id, graph.leaves(twin_loss))]
        twin_loss.backward()
        assert [3.0, 1.0] == [w.grad for w in twin_params]
    assert [0.0, 0.0] == [w.grad for w in params]


@deep
def test_a_loss_with_a_node_below_it(duplicate: Duplicate):
    x = Value(2.0)
    hidden = x.tanh()
    loss = hidden * hidden + x
    twin_loss, twin_hidden = duplicate((loss, hidden))
    assert twin_hidden is twin_loss.operands[0].operands[0]
    below, above = duplicate((hidden, loss))
    assert below is above.operands[0].operands[1]


@deep
def test_the_same_node_twice(duplicate: Duplicate):
    y = Value(2.0).exp()
    first, second = duplicate([y, y])
    assert first is second


@deep
def test_roots_that_share_nodes(duplicate: Duplicate):
    x = Value(2.0)
    shared = x.exp()
    roots = {"a": shared + 1, "b": [shared * x, x]}
    twins = duplicate(roots)
    assert twins["a"].operands[0] is twins["b"][0].operands[0]
    assert twins["b"][1] is twins["b"][0].operands[1]


@deep
def test_graphs_that_meet_in_a_third(duplicate: Duplicate):
    left, right = Value(1.0) * 2, Value(3.0) * 4
    x, y, total = duplicate((left, right, left + right))
    assert (x is total.operands[0], y is total.operands[1]) == (True, True)


def test_copy_stands_on_the_same_operands():
    x = Value(2.0)
    y = x * 3
    y.label = "y"
    y.backward()
    twin = copy.copy(y)
    assert state(y) == state(twin)
    assert twin.operands[0] is x
    twin.backward()
    assert 6.0 == x.grad


def test_deepcopy_honours_its_memo():
    x, w = values(x=2.0, w=3.0)
    h = x * w
    y = h * w
    memo: dict[int, Any] = {id(w): w, id(h): h}
    twin = copy.deepcopy(y, memo)
    assert (twin.operands[0] is h, twin.operands[1] is w) == (True, True)
    assert memo[id(y)] is twin


# Stamps.


@every
def test_a_duplicate_can_be_swept_and_goes_stale_by_its_own_leaves(duplicate: Duplicate):
    x = Value(2.0, "x")
    y = x.exp() * x
    twin = duplicate(y)
    twin.backward()
    leaf = graph.leaves(twin)[0]
    assert y.gradient(x) == leaf.grad
    leaf.data = 5.0
    with pytest.raises(StaleGraphError, match=r"leaf 'x' = 5\.0"):
        twin.backward()


@deep
def test_writing_the_original_leaves_the_duplicate_fresh(duplicate: Duplicate):
    x = Value(2.0)
    y = x * 3
    twin = duplicate(y)
    x.data = 5.0
    twin.backward()
    assert 3.0 == graph.leaves(twin)[0].grad


def test_loading_in_a_later_process_restamps():
    pickled = pickle.dumps(Value(2.0) * 3)
    for _ in range(1000):
        Value(0.0)
    twin = pickle.loads(pickled)
    twin.backward()
    leaf = graph.leaves(twin)[0]
    leaf.data = 1.0
    assert [leaf] == graph.stale_leaves(twin)


@every
def test_a_stale_graph_is_refused(duplicate: Duplicate):
    x = Value(2.0, "x")
    y = x * 3
    x.data = 5.0
    with pytest.raises(
        StaleGraphError,
        match=r"leaf 'x' = 5\.0 was written after mul = 6\.0 .* then copy",
    ):
        duplicate(y)
    assert state(x) == state(duplicate(x))
    assert flat(x * 3) == flat(duplicate(x * 3))


@deep
def test_a_graph_stale_deep_below_is_refused_in_company(duplicate: Duplicate):
    x, w = values(x=2.0, w=3.0)
    fresh, root = w * 2, (x * 3).exp().sin() + w
    x.data = 5.0
    with pytest.raises(StaleGraphError):
        duplicate([fresh, w, root])
    assert flat(fresh) == flat(duplicate(fresh))


@every
def test_what_required_a_gradient_when_recorded_still_does(duplicate: Duplicate):
    x = Value(2.0)
    y = x * 3
    x.requires_grad = False
    assert flat(y) == flat(duplicate(y))


# Modes.


@every
def test_duplicates_keep_their_graph_under_no_grad(duplicate: Duplicate):
    y = Value(2.0).exp() * 3
    with no_grad():
        twin = duplicate(y)
        assert (Value(1.0) * 2).op is None
    assert flat(y) == flat(twin)


@every
def test_duplicating_is_no_computation_that_could_go_wrong(duplicate: Duplicate):
    y = Value(0.0).log() * 3
    with detect_anomaly():
        assert flat(y) == flat(duplicate(y))


@every
def test_results_of_no_grad_are_leaves(duplicate: Duplicate):
    with no_grad():
        y = Value(2.0) * 3
    assert state(y) == state(duplicate(y))


# Size.


def running_sums(count: int) -> list[Value]:
    x = Value(1.0)
    total, sums = x, list[Value]()
    for _ in range(count):
        total = total + x
        sums.append(total)
    return sums


@pytest.mark.parametrize("order", ["first to last", "last to first", "middle first"])
@pytest.mark.parametrize("duplicate", [copy.deepcopy, c_pickled(5)], ids=["deepcopy", "pickle"])
def test_ten_thousand_roots_that_share_nodes(
    duplicate: Duplicate, order: str, monkeypatch: pytest.MonkeyPatch
):
    found: list[int] = []

    def counted(*roots: Value, **options: Any) -> list[Value]:
        operations = walk(*roots, **options)
        found.append(len(operations))
        return operations

    walk = graph.operations
    monkeypatch.setattr(graph, "operations", counted)
    sums = running_sums(10_000)
    oldest, newest = sums[0], sums[-1]
    if order == "last to first":
        sums.reverse()
    elif order == "middle first":
        sums.insert(0, sums[5_000])
    twins = duplicate(sums)
    assert 10_000 == sum(found)  # each node once, however many roots stand on it
    monkeypatch.undo()
    twin_newest = max(twins)
    assert (newest.data, oldest.data) == (twin_newest.data, min(twins).data)
    assert {*map(id, twins)} == {*map(id, graph.operations(twin_newest))}


def test_pickles_of_one_pickler_share_nodes():
    x = Value(2.0)
    h = x.exp()
    file = io.BytesIO()
    pickler = pickle.Pickler(file)
    for root in (h * 2, h * 3, x):
        pickler.dump(root)
    file.seek(0)
    unpickler = pickle.Unpickler(file)
    first, second, leaf = (unpickler.load() for _ in range(3))
    assert first.operands[0] is second.operands[0]
    assert leaf is second.operands[0].operands[0]


@pytest.mark.parametrize("duplicate", [c_pickled(5), python_pickled(5)])
def test_a_second_pickler_while_the_first_is_alive(duplicate: Duplicate):
    sums = running_sums(300)
    pickler = pickle.Pickler(io.BytesIO())
    for root in sums:
        pickler.dump(root)
    newest, oldest, middle = duplicate([sums[-1], sums[0], sums[150]])
    assert flat(sums[-1]) == flat(newest)
    assert {id(oldest), id(middle)} < {*map(id, graph.operations(newest))}


def test_a_pickle_that_failed_leaves_nothing_behind():
    y = Value(2.0).exp()
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps((y, lambda: None))
    with pytest.raises((pickle.PicklingError, AttributeError)):
        python_pickled(5)((y, lambda: None))
    assert flat(y) == flat(c_pickled(5)(y))


def test_threads_pickle_one_graph_at_once():
    sums = running_sums(2_000)
    orders = [sums, sums[::-1], sums[::7], sums[::-3]]
    barrier = threading.Barrier(len(orders))

    def work(roots: list[Value]) -> list[Value]:
        barrier.wait()
        return c_pickled(5)(roots)

    with ThreadPoolExecutor(len(orders)) as pool:
        for roots, twins in zip(orders, pool.map(work, orders), strict=True):
            assert roots == twins
            newest = max(twins)
            assert {*map(id, twins)} <= {*map(id, graph.operations(newest))}
            assert [newest.data] == newest.gradient(graph.leaves(newest))


def test_threads_that_pickle_in_step_do_not_mix_their_nodes(monkeypatch: pytest.MonkeyPatch):
    shared = Value(2.0).exp()
    roots = shared * 2, shared * 3
    barrier = threading.Barrier(2, timeout=10.0)

    def in_step(*roots: Value, **options: Any) -> list[Value]:
        operations = walk(*roots, **options)
        barrier.wait()
        return operations

    walk = graph.operations
    monkeypatch.setattr(graph, "operations", in_step)
    with ThreadPoolExecutor(2) as pool:
        found = [*pool.map(c_pickled(5), [roots, roots])]
    assert [True, True] == [x.operands[0] is y.operands[0] for x, y in found]
