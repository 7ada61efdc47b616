"""Random graphs: gradients beside exact ones, the modes and the engines beside each other."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

from exact import EXACT, exact_partials
from hypothesis import given, settings
from mpmath import mp
from strategies import Recipe, build, graphs, smooth_graphs

import autograd
from autograd import Value
from autograd.ops import FLOATS

reproducible = settings(derandomize=True, deadline=None, max_examples=200)


def digits(xs: list[float]) -> list[str]:
    """Every bit of the floats but the sign and payload of nan."""
    return [x.hex() for x in xs]


def grown(recipe: Recipe) -> tuple[list[Value], list[Value]]:
    """The leaves of a recipe, and all its nodes: the leaves, then the computed ones."""
    leaves = [Value(x) for x in recipe.leaves]
    return leaves, build(recipe, leaves)


def total(nodes: list[Any]) -> Any:
    """The sum of the nodes, so that each of them takes part in the gradient."""
    result = nodes[0]
    for node in nodes[1:]:
        result = result + node
    return result


# Beside exact derivatives.


@reproducible
@given(smooth_graphs(max_leaves=3))
def test_gradients_and_their_gradients_equal_central_differences(recipe: Recipe):
    leaves, nodes = grown(recipe)
    root = total(nodes)
    gradient = root.gradient(leaves, create_graph=True)
    with mp.workdps(30):
        first, second = exact_partials(
            lambda *xs: total(build(recipe, xs, EXACT, mp.mpf)), recipe.leaves
        )
        largest = max(map(abs, chain([1.0], root.gradient(nodes), first, second.values())))
        for i, derivative in enumerate(gradient):
            assert abs(derivative.data - first[i]) <= 1e-12 * largest
            for j, actual in enumerate(derivative.gradient(leaves)):
                assert abs(actual - second[min(i, j), max(i, j)]) <= 1e-10 * largest


# Beside each other, bit for bit.


@reproducible
@given(graphs())
def test_values_equal_the_floats_of_the_table(recipe: Recipe):
    _, nodes = grown(recipe)
    assert digits(build(recipe, recipe.leaves, FLOATS)) == digits([node.data for node in nodes])


@reproducible
@given(graphs())
def test_recorded_gradients_equal_those_in_floats(recipe: Recipe):
    _, nodes = grown(recipe)
    root = total(nodes)
    recorded = root.gradient(nodes, create_graph=True)
    assert digits(root.gradient(nodes)) == digits([x.data for x in recorded])


@reproducible
@given(graphs())
def test_backward_gives_what_gradient_returns(recipe: Recipe):
    _, nodes = grown(recipe)
    expected = nodes[-1].gradient(nodes)
    nodes[-1].backward()
    assert digits(expected) == digits([node.grad for node in nodes])


@reproducible
@given(graphs())
def test_backward_twice_doubles_the_gradients_of_leaves_and_nothing_else(recipe: Recipe):
    leaves, nodes = grown(recipe)
    nodes[-1].backward()
    data, once = [node.data for node in nodes], [node.grad for node in nodes]
    nodes[-1].backward()
    expected = [2.0 * x for x in once[: len(leaves)]] + once[len(leaves) :]
    assert digits(expected) == digits([node.grad for node in nodes])
    assert digits(data) == digits([node.data for node in nodes])


# Beside the pure engine, in a process of its own.


def observe(recipe: Recipe) -> dict[str, list[str]]:
    """The digits of all that the engine of this process computes of a recipe."""
    leaves, nodes = grown(recipe)
    root = total(nodes)
    recorded = root.gradient(leaves, create_graph=True)
    seconds = [x for derivative in recorded for x in derivative.gradient(leaves)]
    root.backward()
    return {
        "values": digits([node.data for node in nodes]),
        "gradients": digits([node.grad for node in nodes]),
        "second gradients": digits(seconds),
    }


def some_recipes() -> list[Recipe]:
    found: list[Recipe] = []

    @reproducible
    @given(graphs())
    def collect(recipe: Recipe) -> None:
        found.append(recipe)

    collect()
    return found


def observe_in_pure_python(recipes: list[Recipe]) -> list[dict[str, list[str]]]:
    """What the pure engine observes, in a new process."""
    path = os.pathsep.join(
        [str(Path(autograd.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    )
    finished = subprocess.run(
        [sys.executable, __file__],
        input=json.dumps([asdict(recipe) for recipe in recipes]),
        env=os.environ | {"AUTOGRAD_ENGINE": "python", "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(finished.stdout)


def test_this_engine_equals_the_pure_one_in_another_process():
    recipes = some_recipes()
    assert observe_in_pure_python(recipes) == [observe(recipe) for recipe in recipes]


if __name__ == "__main__":
    json.dump([observe(Recipe(**recipe)) for recipe in json.load(sys.stdin)], sys.stdout)
