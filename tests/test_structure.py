"""Nested structures of numbers: taken apart, put together, named, refused."""

import re
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograd import Value
from autograd.structure import array, flatten, is_array, is_scalar, map_scalars, places


class Point(NamedTuple):
    x: Any
    y: Any


class Row(list[Any]):
    pass


structures = st.recursive(
    st.floats(allow_nan=False) | st.integers() | st.booleans(),
    lambda parts: (
        st.lists(parts, max_size=4)
        | st.lists(parts, max_size=4).map(tuple)
        | st.lists(parts, max_size=4).map(Row)
        | st.tuples(parts, parts).map(Point._make)
        | st.dictionaries(st.text(max_size=3) | st.integers(), parts, max_size=4)
    ),
    max_leaves=30,
)


def kinds(tree: Any) -> Any:
    """The types of the containers of a structure, nested as they are."""
    if isinstance(tree, dict):
        return {key: kinds(part) for key, part in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree), [kinds(part) for part in tree]
    return None


@settings(deadline=None)
@given(structures)
def test_rebuild_undoes_flatten(tree: Any):
    scalars, rebuild = flatten(tree)
    assert all(map(is_scalar, scalars))
    assert tree == rebuild(scalars)
    numbered = rebuild(range(len(scalars)))
    assert kinds(tree) == kinds(numbered)
    assert [*range(len(scalars))] == flatten(numbered)[0]


@settings(deadline=None)
@given(structures)
def test_places_lead_to_the_scalars(tree: Any):
    found = places(tree, "tree")
    assert flatten(tree)[0] == [eval(place, {"tree": tree}) for place in found]


@settings(deadline=None)
@given(structures)
def test_map_scalars_is_flatten_and_rebuild(tree: Any):
    scalars, rebuild = flatten(tree)
    assert rebuild([str(x) for x in scalars]) == map_scalars(str, tree)


FLAT: list[tuple[Any, list[Any]]] = [
    (3, [3]),
    ([], []),
    ({}, []),
    (((), [[]]), []),
    ([1, (2.0, {"b": True, "a": [4]})], [1, 2.0, True, 4]),
    (Point(1, [2]), [1, 2]),
    (np.array([[1, 2], [3, 4]]), [1, 2, 3, 4]),
    (np.array(5.0), [5.0]),
    ([np.array([1.0]), 2], [1.0, 2]),
    (np.float32(0.5), [0.5]),
    (np.bool_(True), [True]),
]


@pytest.mark.parametrize(("tree", "expected"), FLAT, ids=repr)
def test_scalars_from_left_to_right(tree: Any, expected: list[Any]):
    assert expected == flatten(tree)[0]


def test_values_are_scalars_and_stay_themselves():
    x, y = Value(1.0), Value(2.0)
    scalars, rebuild = flatten({"x": [x], "y": y})
    assert [id(x), id(y)] == [*map(id, scalars)]
    assert rebuild([x, y])["x"][0] is x


REFUSED: list[tuple[Any, str]] = [
    ("text", "wrt must be a number, a Value, or a list, tuple, dict or array of them"),
    ("text", "received the str 'text'"),
    (None, "received the NoneType None"),
    (1j, "received the complex 1j"),
    ([1.0, "a"], "wrt[1] must be"),
    ([[1.0], {"k": (2, None)}], "wrt[1]['k'][1] must be"),
    ({"a": {1, 2}}, "wrt['a'] must be"),
    (iter([1.0]), "received the list_iterator"),
    (np.array(["a"]), "wrt must hold numbers or Values, received an array of <U1"),
    (np.array([1j]), "received an array of complex128"),
    ([np.array([None])], "wrt[0] must hold numbers or Values, received an array of object"),
]


@pytest.mark.parametrize(("tree", "text"), REFUSED)
def test_what_is_no_structure_of_numbers_is_named(tree: Any, text: str):
    with pytest.raises(TypeError, match=re.escape(text)):
        flatten(tree, "wrt")


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 0, 1)])
def test_arrays_keep_their_shape(shape: tuple[int, ...]):
    tree = np.arange(np.prod(shape, dtype=int), dtype=np.int32).reshape(shape)
    scalars, rebuild = flatten(tree)
    rebuilt = rebuild(scalars)
    assert (shape, np.float64) == (rebuilt.shape, rebuilt.dtype)
    assert tree.tolist() == rebuilt.tolist()


def test_an_array_with_a_value_is_an_object_array():
    x = Value(1.0)
    mixed = array([x, 2.0], (2, 1))
    assert (object, (2, 1)) == (mixed.dtype, mixed.shape)
    assert mixed[0, 0] is x
    assert np.float64 == array([1, 2.0], (2,)).dtype


def test_whole_arrays_count_as_one_scalar():
    a, b = np.ones(2), np.zeros((2, 2))
    scalars, rebuild = flatten([a, {"b": b}, 3.0], whole_arrays=True)
    assert [id(a), id(b)] == [*map(id, scalars[:2])]
    assert [1, {"b": 2}, 3] == rebuild([1, 2, 3])


def test_what_is_an_array_and_what_is_a_scalar():
    trees = [np.array(1.0), np.float64(1.0), np.bool_(True), 1, Value(1.0), [1.0], "1", 1j, None]
    assert [True] + [False] * 8 == [is_array(x) for x in trees]
    assert [False] + [True] * 4 + [False] * 4 == [is_scalar(x) for x in trees]
