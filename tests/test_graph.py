"""The walk: operations, leaves, edges, what is stale, what depends on what, names."""

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import Recipe, build, graphs

from autograd import Value, graph, values

a_recipe = given(graphs())
calm = settings(deadline=None)


def stand(recipe: Recipe) -> list[Value]:
    """The nodes of a recipe: its leaves, then the result of each step."""
    return build(recipe, [Value(x) for x in recipe.leaves])


# Small graphs, by hand.


@pytest.fixture
def small() -> dict[str, Value]:
    """s = (x * y + x) * 2, in which x is used twice, y once, a number once."""
    x, y = values(x=2.0, y=3.0)
    p = x * y
    q = p + x
    return {"x": x, "y": y, "p": p, "q": q, "s": q * 2}


def ids(nodes: Iterable[Value]) -> list[int]:
    """The nodes themselves: Values with equal numbers are equal."""
    return [*map(id, nodes)]


def labels(nodes: list[Value], known: dict[str, Value]) -> str:
    return " ".join(name for node in nodes for name, x in known.items() if x is node)


def test_the_walk_in_the_order_of_recording(small: dict[str, Value]):
    s = small["s"]
    assert "p q s" == labels(graph.operations(s), small)
    assert "x y" == labels(graph.leaves(s), small)
    assert "x y p q s" == labels(graph.nodes(s), small)


def test_edges_from_left_to_right(small: dict[str, Value]):
    found = graph.edges(graph.operations(small["s"]))
    assert [("p x", 0), ("p y", 1), ("q p", 0), ("q x", 1), ("s q", 0)] == [
        (labels([node, operand], small), slot) for node, operand, slot in found
    ]


def test_a_repeated_operand_is_two_edges_and_one_node():
    x = Value(3.0)
    y = x * x
    found = [(id(node), id(operand), slot) for node, operand, slot in graph.edges([y])]
    assert [(id(y), id(x), 0), (id(y), id(x), 1)] == found
    assert ids([x, y]) == ids(graph.nodes(y))


def test_leaves_in_the_order_of_their_first_use():
    a, b, c = values(a=1.0, b=2.0, c=3.0)
    right = c * b
    left = a + 1
    assert ["c", "b", "a"] == [x.label for x in graph.leaves(left + right)]
    assert ["c", "b", "a"] == [x.label for x in graph.leaves(a + right)]


def test_a_leaf_alone_is_its_own_graph():
    x = Value(1.0)
    assert [] == graph.operations(x)
    assert ids([x]) == ids(graph.leaves(x)) == ids(graph.nodes(x))


def test_several_roots_are_one_graph(small: dict[str, Value]):
    other = small["y"] * small["q"]
    roots = other, small["p"], small["x"], small["p"]
    assert ids([small["p"], small["q"], other]) == ids(graph.operations(*roots))
    assert "x y" == labels(graph.leaves(*roots), small)
    assert [] == graph.nodes()


def test_a_leaf_among_the_roots_comes_first(small: dict[str, Value]):
    assert "y x" == labels(graph.leaves(small["y"], small["s"]), small)


def test_the_walk_stops_at_what_is_known(small: dict[str, Value]):
    known = {small["q"]}
    assert "s" == labels(graph.operations(small["s"], known=known), small)
    assert [] == graph.operations(small["q"], known=known)
    assert "p" == labels(graph.operations(small["p"], small["q"], known=known), small)


def test_the_walk_stops_at_what_is_older(small: dict[str, Value]):
    since = small["q"]._stamp
    assert "q s" == labels(graph.operations(small["s"], since=since), small)
    assert [] == graph.operations(small["p"], since=since)


# Random graphs, whose recipes tell what to expect.


def reached(recipe: Recipe) -> set[int]:
    """The places of a recipe that its last step stands on, itself included."""
    first = len(recipe.leaves)
    found = {first + len(recipe.steps) - 1}
    for place in range(first + len(recipe.steps) - 1, first - 1, -1):
        if place in found:
            found.update(x for x in recipe.steps[place - first][1] if isinstance(x, int))
    return found


@calm
@a_recipe
def test_operations_are_those_reached_in_the_order_of_the_steps(recipe: Recipe):
    nodes, places = stand(recipe), sorted(reached(recipe))
    expected = [nodes[place] for place in places if place >= len(recipe.leaves)]
    assert ids(expected) == ids(graph.operations(nodes[-1]))


@calm
@a_recipe
def test_edges_and_leaves_follow_the_steps(recipe: Recipe):
    nodes, places = stand(recipe), sorted(reached(recipe))
    expected = [
        (id(nodes[place]), id(nodes[x]), slot)
        for place in places
        if place >= len(recipe.leaves)
        for slot, x in enumerate(recipe.steps[place - len(recipe.leaves)][1])
        if isinstance(x, int)
    ]
    found = list(graph.edges(graph.operations(nodes[-1])))
    assert expected == [(id(node), id(operand), slot) for node, operand, slot in found]
    first_uses = dict.fromkeys(operand for _, operand, _ in found if operand.op is None)
    assert ids(first_uses) == ids(graph.leaves(nodes[-1]))


@calm
@given(graphs(), st.data())
def test_dependents_are_the_nodes_from_which_wrt_is_reached(recipe: Recipe, data: st.DataObject):
    nodes = stand(recipe)
    operations = graph.operations(nodes[-1])
    wrt = data.draw(st.sampled_from(nodes))
    expected = {node for node in operations if wrt in set(graph.nodes(node))}
    assert expected | {wrt} == graph.dependents(operations, [wrt])


# Stale edges.


def test_a_written_leaf_makes_each_of_its_edges_stale(small: dict[str, Value]):
    s, x, y = small["s"], small["x"], small["y"]
    assert [] == graph.stale_leaves(s)
    x.data = 2.0
    operations = graph.operations(s)
    assert ["p x", "q x"] == [labels([*edge], small) for edge in graph.stale_edges(operations)]
    assert ["p x", "q x"] == [
        labels([node, operand], small)
        for node, operand, _ in graph.edges(operations)
        if graph.is_stale(node, operand)
    ]
    y.data = 3.0
    assert "x y" == labels(graph.stale_leaves(s), small)


def test_a_leaf_written_before_it_is_used_is_not_stale():
    x = Value(1.0)
    x.data = 2.0
    assert [] == graph.stale_leaves(x * x, x)


# Names.


def names(*labels: str | None) -> list[str]:
    """The names of a sum over leaves with these labels, the sums without."""
    first, *others = (Value(1.0, label) for label in labels)
    return [*graph.names(sum(others, first)).values()]


def test_names_are_labels_or_numbers_in_order():
    assert ["a", "v0", "b", "v1", "s0", "s1", "s2"] == names("a", None, "b", None)


def test_numbers_pass_over_labels():
    assert ["s0", "v1", "v0", "s1", "s2"] == names("s0", "v1", None)


def test_a_repeated_label_gets_a_number():
    assert ["w", "w_3", "w_2", "w_4", "s0", "s1", "s2"] == names("w", "w", "w_2", "w")


def test_every_node_has_its_own_name():
    x, y = Value(1.0, "s0"), Value(2.0, "s0")
    root = (x * y + x).exp()
    root.label = "s0_2"
    found = graph.names(root)
    assert ids(graph.nodes(root)) == ids(found)
    assert len(found) == len(set(found.values()))


@settings(deadline=None)
@given(st.lists(st.sampled_from(["a", "a_2", "a_3", "b"])), st.lists(st.sampled_from("ab")))
def test_distinct_names_keep_the_first_of_each(wanted: list[str], taken: list[str]):
    found = graph.distinct(wanted, taken)
    assert len(wanted) == len(found) == len(set(found) - set(taken))
    for i, name in enumerate(wanted):
        is_first = name not in taken and name not in wanted[:i]
        assert is_first == (name == found[i])
