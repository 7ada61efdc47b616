"""Graphs of millions of nodes: built, swept, pickled, copied, shown, freed, without recursion."""

import copy
import os
import pickle
import subprocess
import sys
import weakref
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from autograd import Value, functional, graph

MILLION = 1_000_000


@dataclass
class Deep:
    """A graph and what is known of it: the number of its root, the gradient of each leaf."""

    root: Value
    leaves: list[Value]
    data: float
    grad: float


def chain(operations: int) -> Deep:
    """y ← y / 2 + x, over and over: 1 + 1/2 + 1/4 + … = 2 times x."""
    x = Value(1.0)
    y = x
    for _ in range(operations // 2):
        y = y * 0.5
        y = y + x
    return Deep(y, [x], 2.0, 2.0)


def wide_sum(nodes: int) -> Deep:
    leaves = [Value(1.0) for _ in range(nodes // 2 + 1)]
    return Deep(functional.sum(leaves), leaves, float(len(leaves)), 1.0)


SHAPES = [chain, wide_sum]


@pytest.fixture(scope="module", params=SHAPES)
def million(request: pytest.FixtureRequest) -> Deep:
    return request.param(MILLION)


def test_a_million_forward(million: Deep):
    assert million.data == million.root.data
    assert MILLION < len(graph.nodes(million.root))


def test_a_million_backward(million: Deep):
    million.root.backward()
    assert {million.grad} == {leaf.grad for leaf in million.leaves}
    assert {million.grad} == {*million.root.gradient(million.leaves)}


def test_a_million_in_one_line(million: Deep):
    assert f"Value(data={million.data!r}, grad={million.root.grad!r})" == repr(million.root)


def test_a_million_pickled(million: Deep):
    twin, leaf = pickle.loads(pickle.dumps((million.root, million.leaves[-1])))
    assert million.data == twin.data
    assert million.grad == twin.gradient(leaf)
    assert len(graph.nodes(million.root)) == len(graph.nodes(twin))


def test_a_million_copied(million: Deep):
    twin, leaf = copy.deepcopy((million.root, million.leaves[-1]))
    assert million.data == twin.data
    assert million.grad == twin.gradient(leaf)
    assert len(graph.nodes(million.root)) == len(graph.nodes(twin))
    shallow = copy.copy(million.root)
    assert million.grad == shallow.gradient(million.leaves[0])


class Watched(Value):
    __slots__ = ("__weakref__",)


@pytest.mark.parametrize("operate", [lambda y, x: y * x, lambda y, x: x + y, lambda y, _: -y])
def test_a_million_freed(operate: Callable[[Value, Value], Value]):
    x = Watched(1.0)
    alive = weakref.ref(x)
    y: Value = x
    for _ in range(MILLION):
        y = operate(y, x)
    del x
    assert alive() is not None
    del y
    assert alive() is None


def test_the_graph_of_a_deep_gradient_is_deep_itself():
    n = 100_000
    x = Value(1.0)
    y = x
    for _ in range(n - 1):
        y = y * x
    slope = y.gradient(x, create_graph=True)
    assert (n, n * (n - 1)) == (slope.data, slope.gradient(x))


TEN_MILLION = """
from test_deep import chain

deep = chain(10_000_000)
deep.root.backward()
print(deep.root.data == deep.data, deep.leaves[0].grad == deep.grad)
del deep
print("freed")
"""


def test_ten_million():
    """In a process of its own, which gives the memory back."""
    done = subprocess.run(
        [sys.executable, "-c", TEN_MILLION],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert (0, "True True\nfreed\n", "") == (done.returncode, done.stdout, done.stderr)
