"""Compiled functions: the numbers of the engine, in every shape, batch and composition."""

import array
import copy
import gc
import inspect
import math
import multiprocessing
import pickle
import pydoc
import subprocess
import sys
import weakref
from collections import namedtuple
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from functools import reduce
from itertools import accumulate, pairwise
from operator import methodcaller, mul
from pathlib import Path
from typing import Any

import numpy
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import bits
from strategies import EXACT_ROWS, FUNCTIONS, Recipe, any_float, build, choosing_graphs

import autograd
import nn
from autograd import AutogradError, TraceError, Value, compile, dot, exp, no_grad, sigmoid, where
from autograd.listing import ProgramTape
from autograd.ops import TABLE

TAME_ROWS = [TABLE[x] for x in ("add", "sub", "mul", "neg", "maximum", "abs", "less")]
"""Rows that keep numbers finite, so that the order of every sum shows in its last bits."""

ROWS = EXACT_ROWS if autograd.engine == "native" else [*TABLE.values()]
"""The rows whose bits are the engine's; the pure program calls the same functions for all."""


def function(recipe: Recipe) -> Any:
    """A recipe as a function of a list."""
    return lambda xs: build(recipe, xs, FUNCTIONS)[-1]


def summed(recipe: Recipe) -> Any:
    """The sum of all that a recipe computes, so that gradient flows through every step."""
    return lambda xs: autograd.sum(build(recipe, xs, FUNCTIONS))


def shown(tree: Any) -> Any:
    """The bits of every number in a structure."""
    if isinstance(tree, dict):
        return {key: shown(part) for key, part in tree.items()}
    if isinstance(tree, (list, tuple, numpy.ndarray)):
        return [shown(part) for part in tree] if getattr(tree, "ndim", 1) else bits(float(tree))
    return bits(float(tree))


@st.composite
def at_two_points(draw: st.DrawFn, rows: Any, numbers: Any, **sizes: int) -> Any:
    """A recipe, and other numbers for its leaves."""
    recipe = draw(choosing_graphs(rows, numbers, **sizes))
    count = len(recipe.leaves)
    return recipe, draw(st.lists(numbers, min_size=count, max_size=count))


tame_float = st.sampled_from([0.1, -0.7, 1.3, -1.9, 0.3, 1.1])


def assert_same(f: Any, recipe: Recipe, point: list[float]) -> None:
    """A program traced at one point gives what the engine gives there and at the other."""
    compiled = compile(f)
    for xs in [list(recipe.leaves), point]:
        expected = autograd.value_and_grad(f)(xs)
        assert shown(expected) == shown(compiled.value_and_grad(xs))
        assert shown(expected[0]) == shown(compiled(xs))


@settings(max_examples=60)
@given(at_two_points(ROWS, any_float))
def test_value_and_gradient_are_the_engines(drawn: Any):
    recipe, point = drawn
    assert_same(function(recipe), recipe, point)


@settings(max_examples=60)
@given(at_two_points(TAME_ROWS, tame_float, max_steps=25))
def test_sums_of_gradients_have_the_engines_order(drawn: Any):
    recipe, point = drawn
    assert_same(summed(recipe), recipe, point)


def interleaved(x: Any, y: Any) -> Any:
    chosen = where(x > y, x, y)
    uses = [chosen * 0.1, x * 0.7, chosen * 0.3, y * 0.9, chosen * 1e16, x * -1e16]
    return autograd.sum(uses)


def chosen_twice(x: Any, y: Any) -> Any:
    first = where(x > 0.25, x, y)
    second = where(x > 0.5, x, y)
    uses = [second * 1e16, first * 1.0, second * -1e16]
    return autograd.sum(uses)


def chosen_of_chosen(x: Any, y: Any) -> Any:
    inner = where(x > y, x, y * 2.0)
    outer = where(x > 0.25, inner, y)
    uses = [outer * 1e16, x * 1.0, outer * -1e16]
    return autograd.sum(uses)


def exchanged(x: Any, y: Any) -> Any:
    for weight in (1e16, 1.0, -1e16):
        x, y = where(x < y, x, y), where(x < y, y, x)
        x = where(x < weight, x, x)
    return x * 3.0 + y * 1e16 + x * 7.0 - y * 1e16


def detached(x: Any, y: Any) -> Any:
    constant = (x * y).detach() if isinstance(x, Value) else x * y
    return where(x > y, constant, y) * x + where(x > y, y * 3.0, constant) * 7.0


@pytest.mark.parametrize("f", [interleaved, chosen_twice, chosen_of_chosen, exchanged, detached])
def test_what_reaches_a_selection_is_added_where_it_would_be_without(f: Any):
    compiled = compile(f, argnums=(0, 1))
    for point in [(1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.375, 0.5)]:
        expected = autograd.value_and_grad(f, (0, 1))(*point)
        assert shown(expected) == shown(compiled.value_and_grad(*point))


back = st.integers(0, 3)
choice = st.tuples(back, back, back, back)
use = st.tuples(back, st.sampled_from([1e16, 1.0, -1e16]))


@settings(max_examples=100)
@given(st.lists(choice, min_size=1, max_size=4), st.lists(use, min_size=3, max_size=8))
def test_sums_of_gradients_have_the_engines_order_under_other_names(choices: Any, uses: Any):
    def f(xs: Any) -> Any:
        known = [*xs]
        for places in choices:
            w, x, y, z = (known[-1 - place] for place in places)
            known.append(where(w > x, y, z))
        return autograd.sum([known[-1 - place] * weight for place, weight in uses])

    compiled = compile(f)
    for point in ([1.0, 0.5, 0.25, 2.0], [0.0, 1.0, 0.5, -1.0], [2.0, 0.5, 3.0, 1.0]):
        assert shown(autograd.value_and_grad(f)(point)) == shown(compiled.value_and_grad(point))


@pytest.mark.parametrize(
    "f",
    [
        lambda x: where(x > 0.0, autograd.sqrt(x) * autograd.log(x), x * x),
        lambda x: where(x > 0.0, autograd.log(x), 0.0),
        lambda x: where(x > 0.0, where(x < 2.0, 1.0 / x, x), -1.0),
    ],
)
def test_what_was_not_chosen_is_not_differentiated(f: Any):
    compiled = compile(f)
    for x in (4.0, 0.0, -0.0, -1.0, math.inf, -math.inf, math.nan):
        assert shown(autograd.value_and_grad(f)(x)) == shown(compiled.value_and_grad(x))


def test_what_several_conditions_reach_is_differentiated_where_one_holds():
    def f(x: Any) -> Any:
        z, y = x * 3.0, autograd.sqrt(x)
        chosen = [where(x > bound, part, 0.0) for part in (y, x) for bound in (1.0, 2.0)]
        return autograd.sum(chosen) + z

    compiled = compile(f)
    for x in (0.0, 0.5, 1.5, 4.0, -1.0):
        assert shown(autograd.value_and_grad(f)(x)) == shown(compiled.value_and_grad(x))


@pytest.mark.parametrize(
    "step",
    [
        lambda x: where(x > 0.5, x * 0.9, x + 0.3),
        lambda x: where(x > 0.5, x * 0.9, x),
        lambda x: where(x > 0.5, x, where(x > 0.1, x * 1.5, x)),
    ],
)
def test_a_chain_of_choices_takes_work_in_proportion_to_its_length(step: Any):
    def f(x: Any) -> Any:
        for _ in range(200):
            x = step(x)
        return x

    compiled = compile(f)
    for x in (0.1, 0.7, 3.0):
        assert shown(autograd.value_and_grad(f)(x)) == shown(compiled.value_and_grad(x))
    assert compiled.tape.stats()["recorded"] < 200 * 25


@settings(max_examples=30)
@given(at_two_points(ROWS, any_float, max_steps=12, max_leaves=2))
def test_second_derivatives_are_the_engines(drawn: Any):
    recipe, point = drawn
    f = function(recipe)
    compiled = compile(autograd.hessian(f))
    compiled(list(recipe.leaves))
    assert shown(autograd.hessian(f)(point)) == shown(compiled(point))


@settings(max_examples=30)
@given(at_two_points(ROWS, any_float, max_steps=20))
def test_pushforwards_are_the_engines(drawn: Any):
    recipe, point = drawn
    f = function(recipe)
    tangent = [0.5 * i - 1.0 for i in range(len(point))]
    compiled = compile(lambda xs, ts: autograd.jvp(f, (xs,), (ts,)))
    compiled(list(recipe.leaves), tangent)
    assert shown(autograd.jvp(f, (point,), (tangent,))) == shown(compiled(point, tangent))


# Structures.

Point = namedtuple("Point", "x y")
MATRIX = numpy.arange(12.0).reshape(3, 4)


@pytest.mark.parametrize(
    ("f", "args"),
    [
        (lambda x: x * x, (3.0,)),
        (lambda x: x * x, (3,)),
        (lambda x: x * x, (numpy.float32(1.5),)),
        (lambda xs: [xs[0] * xs[1], (xs[0], 2.0)], ([2.0, 3.0],)),
        (lambda t: {"a": t["b"] * t["c"][0], "d": 1.0}, ({"b": 2.0, "c": (5.0,)},)),
        (lambda p: Point(p.y, p.x * p.y), (Point(2.0, 3.0),)),
        (lambda a: a @ a, (numpy.array([1.0, 2.0]),)),
        (lambda a: a * 2.0, (numpy.array([[1, 2], [3, 4]]),)),
        (lambda a: a.T @ a, (numpy.arange(6.0).reshape(2, 3),)),
        (lambda x, y: x - y, (1.0, 2.0)),
        (lambda: 2.0, ()),
        (lambda _: 7.0, (1.0,)),
        (lambda _: [], (1.0,)),
        (lambda xs: autograd.sum(xs), ([],)),
        (lambda *xs: sum(xs), (1.0, 2.0)),
        (lambda x, y=2.0: x * y, (3.0,)),
        (lambda xs: [[a * b for a, b in pairwise(xs)], xs[1:], xs[::-1]], ([1.0, 2.0, 3.0],)),
        (lambda xs: [max(len(xs), 3) * x for i, x in enumerate(xs) if i % 2], ([1.0, 2.0],)),
        (lambda xs: [*map(abs, accumulate(xs)), reduce(mul, xs)], ([1.0, -2.0],)),
        (lambda xs: [*(lambda first, *rest: (rest, first))(*xs)], ([1.0, 2.0, 3.0],)),
        (lambda x: x if x is not None and x != "a" else 0.0, (1.0,)),
        (lambda x: (f"{x!r} {x > 1.0}", x)[1], (2.0,)),
        (lambda x: [x > 1.0, (x > 2.0, {"a": x == 2.0}), True], (2.0,)),
        (lambda xs: numpy.array([x > 1.0 for x in xs]), ([1.0, 2.0],)),
        (lambda x: round(x) + math.floor(x) + math.ceil(x) + x**3 + x**-1 + 2**-x, (1.7,)),
        (lambda x: (-x) ** 3 + numpy.float32(0.5) * x + Fraction(1, 4) * x - True, (2.0,)),
        (lambda a: numpy.dot(a, a) + numpy.sum(a) * numpy.linalg.norm(a), (MATRIX[0],)),
        (lambda a: [numpy.abs(a), numpy.mean(a), numpy.power(a, 3), numpy.cumsum(a)], (MATRIX[0],)),
    ],
)
def test_results_have_the_structure_of_the_function(f: Any, args: tuple[Any, ...]):
    expected = f(*args)
    for _ in range(2):
        found = compile(f)(*args)
        assert type(expected) in (type(found), int, bool, numpy.float64, numpy.float32)
        assert shown(expected) == shown(found)


@pytest.mark.parametrize(
    "write",
    [
        lambda xs: xs[0].append(1.0),
        lambda xs: xs[0].pop(),
        lambda xs: xs[0].__setitem__(1, 2.0 * xs[0][1]),
        lambda xs: xs[1].update(b=2.0),
        lambda xs: xs[1].__setitem__("a", None),
        lambda xs: xs[2].__setitem__(0, 5.0),
        lambda xs: xs[2].__iadd__(1.0),
    ],
)
def test_what_a_function_writes_into_an_argument_is_refused(write: Any):
    def f(x: Any, xs: Any) -> Any:
        write(xs)
        return x

    args = 1.0, ([1.0, 2.0], {"a": 1.0}, numpy.ones(2))
    with pytest.raises(TraceError, match=r"wrote into argument 1.*make its own list"):
        compile(f)(*args)


def test_gradients_have_the_structure_of_their_argument():
    def f(tree: Any, x: Any) -> Any:
        return tree["a"][0] * x + tree["b"] @ tree["b"]

    tree = {"a": (2.0, 5.0), "b": numpy.array([1.0, 3.0])}
    compiled = compile(f, argnums=(1, 0))
    value, (by_x, by_tree) = compiled.value_and_grad(tree, 3.0)
    assert (16.0, 2.0, (3.0, 0.0)) == (value, by_x, by_tree["a"])
    assert [2.0, 6.0] == by_tree["b"].tolist()


def test_a_jacobian_is_that_of_the_transform():
    def f(xs: Any) -> Any:
        return {"sum": xs[0] + xs[1], "all": [xs[0] * xs[1], exp(xs[0])]}

    assert shown(autograd.jacobian(f)([2.0, 3.0])) == shown(compile(f).jacobian([2.0, 3.0]))


def test_each_structure_is_traced_once():
    traced: list[Any] = []

    def f(xs: Any) -> Any:
        traced.append(xs)
        return autograd.sum(xs)

    compiled = compile(f)
    for xs in [[1.0, 2.0], [3.0, 4.0], (1.0, 2.0), [1.0], [5, 6], numpy.array([1.0, 2.0])]:
        assert float(sum(xs)) == compiled(xs)
        assert float(sum(xs)) == compiled(xs)
    assert ["list", "tuple", "list", "ndarray"] == [type(xs).__name__ for xs in traced]


# Decorators and methods.


def test_a_decorator_takes_options():
    @compile
    def plain(x: float, y: float = 2.0) -> float:
        """The product."""
        return x * y

    @compile(in_axes=0, reduce="mean", argnums=(0, 1))
    def mapped(x: Any, y: Any) -> Any:
        """The product."""
        return x * y

    assert 15.0 == plain(3.0, 5.0)
    assert 13.0 == mapped([1.0, 3.0], [2.0, 8.0])
    assert ([1.0, 4.0], [0.5, 1.5]) == tuple(map(list, mapped.value_and_grad([1, 3], [2, 8])[1]))
    assert "(x: float, y: float = 2.0) -> float" == str(inspect.signature(plain))
    for f in (plain, mapped):
        assert "The product." == f.__doc__ == inspect.getdoc(f)
        assert f"{f.__name__}(x: " in pydoc.plain(pydoc.render_doc(f))
        assert (f.__wrapped__.__name__, __name__) == (f.__name__, f.__module__)
        assert f.__qualname__.endswith(f"<locals>.{f.__name__}")


class Line:
    def __init__(self, slope: float) -> None:
        self.slope = Value(slope)

    @compile
    def at(self, x: Any) -> Any:
        return self.slope * x

    @compile(in_axes=0, reduce="sum")
    def total(self, x: Any) -> Any:
        return self.slope * x

    @staticmethod
    @compile
    def twice(x: Any) -> Any:
        return 2.0 * x

    @compile
    @staticmethod
    def thrice(x: Any) -> Any:
        return 3.0 * x

    @classmethod
    @compile
    def of_class(cls, x: Any) -> Any:
        return x


class Shifted(Line):
    @compile
    def at(self, x: Any) -> Any:
        return super().at(x) + 1.0


def test_a_method_is_compiled_for_each_instance():
    line, other = Line(2.0), Line(5.0)
    assert [6.0, 15.0, 8.0] == [line.at(3.0), other.at(3.0), line.at(4.0)]
    assert (6.0, 2.0) == line.at.value_and_grad(3.0)
    assert 10.0 == line.total.backward([1.0, 4.0])
    assert (5.0, 0.0) == (line.slope.grad, other.slope.grad)
    line.slope.data = 1.0
    assert [3.0, 5.0] == [line.at(3.0), line.total([1.0, 4.0])]
    assert [2.0, 3.0, 2.0, 3.0] == [f(1.0) for x in (line, Line) for f in (x.twice, x.thrice)]
    assert 7.0 == Shifted(2.0).at(3.0)
    assert (line.at, Line.at) == (line.at, Line.__dict__["at"])


def test_a_copy_of_an_instance_has_programs_of_its_own():
    line = Line(2.0)
    assert 6.0 == line.at(3.0)
    for twin in (copy.copy(line), copy.deepcopy(line), pickle.loads(pickle.dumps(line))):
        twin.slope = Value(5.0)
        assert [15.0, 6.0, 15.0] == [twin.at(3.0), line.at(3.0), twin.at(3.0)]
        assert twin.at is twin.at


def test_an_instance_with_programs_can_be_freed():
    line = Line(2.0)
    line.at.value_and_grad(3.0)
    line.total.backward([3.0])
    found = weakref.ref(line)
    del line
    gc.collect()
    assert found() is None


def test_a_method_needs_an_instance_that_can_keep_it():
    class Slotted:
        __slots__ = ()
        at = compile(lambda _self, x: x)

    with pytest.raises(TypeError, match="needs an instance with a __dict__"):
        Slotted().at(1.0)
    # from Python 3.13 on a class method hands the class over as the first argument
    with pytest.raises(TypeError, match=r"needs an instance with a __dict__|argument 0 must be"):
        Line.of_class(1.0)


# What comes from outside.


def test_numbers_from_outside_are_constants_and_values_are_read_at_each_call():
    number, leaf = 2.0, Value(3.0)
    product = leaf * 10.0
    compiled = compile(lambda x: x * number + product + leaf)
    assert 35.0 == compiled(1.0)
    number, leaf.data = 5.0, 4.0
    assert 46.0 == compiled(1.0)


def test_values_made_inside_are_constants():
    assert [6.0, 8.0] == [compile(lambda x: x * Value(2.0))(x) for x in (3.0, 4.0)]


def test_backward_is_that_of_the_engine():
    w, b, frozen = Value(2.0), Value(-1.0), Value(5.0, requires_grad=False)

    def loss(x: Any, y: Any) -> Any:
        return (sigmoid(w * x + b) * frozen - y) ** 2

    step = compile(loss)
    for x, y in [(1.0, 3.0), (0.5, -1.0)]:
        expected = loss(x, y)
        expected.backward()
        wanted = [w.grad, b.grad, frozen.grad]
        w.grad = b.grad = 0.0
        assert pytest.approx(expected.data, rel=1e-14) == step.backward(x, y)
        assert pytest.approx(wanted, rel=1e-14) == [w.grad, b.grad, frozen.grad]
        step.backward(x, y)
        assert pytest.approx([2 * g for g in wanted], rel=1e-14) == [w.grad, b.grad, frozen.grad]
        w.grad = b.grad = 0.0
        w.data, b.data = w.data - 0.1, b.data + 0.2


def test_backward_follows_what_is_frozen_between_calls():
    w, b = Value(2.0), Value(3.0, requires_grad=False)
    step = compile(lambda x: w * b * x)
    found = []
    for of_w, of_b in [(True, False), (False, True), (True, True), (False, False), (True, False)]:
        w.requires_grad, b.requires_grad, w.grad, b.grad = of_w, of_b, 0.0, 0.0
        if of_w or of_b:
            assert 6.0 == step.backward(1.0)
        else:
            with pytest.raises(AutogradError, match="depends on no Value from outside"):
                step.backward(1.0)
        found.append((w.grad, b.grad))
    assert [(3.0, 0.0), (0.0, 2.0), (3.0, 2.0), (0.0, 0.0), (3.0, 0.0)] == found


def test_a_change_of_what_is_frozen_is_traced_once():
    w, b, traces = Value(2.0), Value(3.0), list[Any]()
    compiled = compile(lambda x: (traces.append(x), w * b * x)[1])
    compiled.backward(1.0)
    kept = compiled.backward
    b.requires_grad = False
    assert [6.0] * 4 == [kept(1.0), kept(1.0), compiled.backward(1.0), kept(1.0)]
    assert 2 == len(traces)
    assert (15.0, 2.0) == (w.grad, b.grad)


def test_backward_needs_something_to_add_to():
    with pytest.raises(AutogradError, match="depends on no Value from outside"):
        compile(lambda x: x * x).backward(2.0)
    w = Value(1.0)
    with pytest.raises(ValueError, match="needs reduce='sum' or 'mean'"):
        compile(lambda x: x * w, in_axes=0).backward([2.0])


# Batches.


def squares(w: Any, x: Any) -> Any:
    return (dot(w, x) - 1.0) ** 2


W, XS = [0.5, -2.0], [[1.0, 2.0], [0.25, -1.0], [3.0, 0.125]]


@pytest.mark.parametrize("batch", [XS, tuple(map(tuple, XS)), numpy.array(XS)], ids=repr)
@pytest.mark.parametrize("reduce", [None, "sum", "mean"])
def test_a_batch_is_mapped_over(batch: Any, reduce: Any):
    size = len(XS)
    compiled = compile(squares, in_axes=(None, 0), reduce=reduce, argnums=(0, 1))
    found = [autograd.value_and_grad(squares, (0, 1))(W, x) for x in XS]
    values = numpy.array([value for value, _ in found])
    by_w = numpy.array([gradient for _, (gradient, _) in found])
    by_x = numpy.array([gradient for _, (_, gradient) in found])
    if reduce:
        total = 1 if reduce == "sum" else size
        values, by_w, by_x = values.sum() / total, by_w.sum(axis=0) / total, by_x / total
    value, (grad_w, grad_x) = compiled.value_and_grad(W, batch)
    numpy.testing.assert_allclose(values, value, rtol=1e-15)
    numpy.testing.assert_allclose(values, compiled(W, batch), rtol=1e-15)
    numpy.testing.assert_allclose(by_w, numpy.array(grad_w).T if not reduce else grad_w, rtol=1e-15)
    samples = grad_x if isinstance(batch, numpy.ndarray) else numpy.array(grad_x).T
    numpy.testing.assert_allclose(by_x, samples, rtol=1e-15)


def test_a_batch_of_dicts_and_a_dict_of_batches():
    def f(p: Any) -> Any:
        return p["a"] * p["b"][0]

    compiled = compile(f, in_axes=0)
    samples = [{"a": 2.0, "b": [3.0]}, {"a": 5.0, "b": [7.0]}]
    assert [6.0, 35.0] == compiled(samples).tolist()
    columns = {"a": numpy.array([2.0, 5.0]), "b": numpy.array([[3.0], [7.0]])}
    assert [6.0, 35.0] == compiled(columns).tolist()


def test_jacobians_of_a_batch():
    def f(p: Any, x: Any) -> Any:
        return numpy.array([p[0] * x, exp(p[1] * x)])

    p, xs = numpy.array([1.0, 0.5]), numpy.array([1.0, 2.0, -1.0])
    found = compile(f, in_axes=(None, 0)).jacobian(p, xs)
    expected = numpy.array([autograd.jacobian(f)(p, x) for x in xs])
    assert (3, 2, 2) == found.shape
    numpy.testing.assert_allclose(expected, found, rtol=1e-15)


def test_a_comparison_is_a_result_of_a_batch():
    right = compile(lambda x, y: (x > 0.0) == (y > 0.0), in_axes=0, reduce="mean")
    assert 0.75 == right([1.0, 2.0, -3.0, 4.0], [1.0, -1.0, -1.0, 2.0])
    relu = compile(lambda x, y: [(x > y) * x, x > y], in_axes=(0, None))
    found = relu(numpy.array([1.0, -2.0]), 0.0)
    assert [[1.0, -0.0], [1.0, 0.0]] == [x.tolist() for x in found]


def test_an_empty_batch():
    compiled = compile(squares, in_axes=(None, 0), reduce="sum")
    assert (0.0, [0.0, 0.0]) == compiled.value_and_grad(W, numpy.empty((0, 2)))
    mean = compile(squares, in_axes=(None, 0), reduce="mean")
    assert math.isnan(mean(W, numpy.empty((0, 2))))
    with pytest.raises(ValueError, match="empty list"):
        compiled(W, [])


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 31, 64, 65, 257, 1025])
def test_a_sample_has_the_same_bits_in_every_batch(size: int):
    def f(x: Any) -> Any:
        return sigmoid(x) * exp(x) + autograd.tanh(x) / (x * x)

    compiled = compile(f, in_axes=0)
    xs = numpy.linspace(-3.0, 3.0, 1025)
    alone = compile(f)
    expected = [alone(x) for x in xs[:size].tolist()]
    assert shown(expected) == shown(compiled(xs[:size]))


# Compositions.


def cubic(x: Any) -> Any:
    return x * x * x + where(x > 1.0, 2.0 * x, -x)


@pytest.mark.parametrize(
    "make",
    [
        lambda f: autograd.grad(f),
        lambda f: autograd.grad(autograd.grad(f)),
        lambda f: autograd.hessian(f),
        lambda f: lambda x: autograd.hvp(f, x, 2.0),
        lambda f: lambda x: autograd.jvp(f, (x,), (1.5,)),
        lambda f: lambda x: autograd.vjp(f, x)[1](2.0),
        lambda f: autograd.jacobian(lambda x: [f(x), x]),
    ],
)
def test_transforms_and_compile_compose(make: Any):
    for x in (0.5, 1.0, 2.0):
        expected = shown(make(cubic)(x))
        assert expected == shown(compile(make(cubic))(x))
        assert expected == shown(make(compile(cubic))(x))
        assert expected == shown(compile(make(compile(cubic)))(x))


def test_a_compiled_function_is_inlined_in_another():
    inner = compile(cubic)
    assert inner(3.0) == cubic(3.0)
    outer = compile(lambda x: inner(x) + inner(2.0 * x))
    assert (cubic(0.7) + cubic(1.4)) == outer(0.7)
    gradient = compile(lambda x: inner.value_and_grad(x)[1])
    assert autograd.grad(cubic)(1.7) == gradient(1.7)


def test_a_program_does_not_hide_what_it_reads_from_a_transform():
    def f(w: Any) -> Any:
        inner = compile(lambda x: x * w)
        return inner(2.0) + inner(3.0)

    assert 5.0 == autograd.grad(f)(7.0)
    assert 5.0 == compile(autograd.grad(f))(7.0)


def test_batches_are_mapped_inside_transforms_too():
    mean = compile(squares, in_axes=(None, 0), reduce="mean")
    expected = mean.value_and_grad(W, XS)
    found = autograd.value_and_grad(lambda w: mean(w, XS))(W)
    assert pytest.approx(expected[0]) == found[0]
    assert pytest.approx(expected[1]) == found[1]


def test_called_with_values_it_records():
    x = Value(2.0)
    y = compile(cubic)(x)
    y.backward()
    assert autograd.grad(cubic)(2.0) == x.grad


def test_no_grad_outside_changes_nothing():
    with no_grad():
        assert (12.0, 14.0) == compile(cubic).value_and_grad(2.0)


# Networks.


@pytest.mark.parametrize(
    ("loss", "target"),
    [
        (nn.MSELoss(), 0.3),
        (nn.L1Loss(), 0.3),
        (nn.HingeLoss(), -1.0),
        (nn.BCEWithLogitsLoss(), 0.0),
        (nn.BCEWithLogitsLoss(), 1.0),
        (nn.BCEWithLogitsLoss(), 0.25),
    ],
)
def test_a_network_is_trained_by_its_program(loss: Any, target: float):
    model = nn.MLP(2, [4, 1], activation=nn.Tanh)
    step = compile(lambda x, y: loss(model(x), [y]))
    for x, y in [([0.5, -1.0], target), ([2.0, 1.0], target)]:
        expected = loss(model(x), [y])
        expected.backward()
        gradients = [p.grad for p in model.parameters()]
        model.zero_grad()
        assert pytest.approx(expected.data, rel=1e-13) == step.backward(x, y)
        found = [p.grad for p in model.parameters()]
        assert pytest.approx(gradients, rel=1e-12, abs=1e-16) == found
        model.zero_grad()


@pytest.mark.parametrize("target", [0, 2])
def test_classes_are_picked_by_the_program(target: int):
    logits = [0.5, -1.0, 2.0]
    loss = nn.CrossEntropyLoss()
    expected = autograd.value_and_grad(lambda z: loss(z, target))(logits)
    compiled = compile(lambda z, t: loss(z, t))
    compiled.value_and_grad(logits, 1)
    found = compiled.value_and_grad(logits, target)
    assert pytest.approx(expected[0], rel=1e-14) == found[0]
    assert pytest.approx(expected[1], rel=1e-14) == found[1]


# Errors.


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda f: f("a"), TypeError, "argument 0 must be a number, or a list"),
        (lambda f: f([1.0, None]), TypeError, r"argument 0\[1\] must be a number"),
        (lambda f: f(numpy.array(["a"])), TypeError, "real numbers, received an array of"),
        (lambda f: f(numpy.array([1j])), TypeError, "real numbers, received an array of complex"),
        (lambda f: f(x=1.0), TypeError, r"keyword arguments \['x'\]: give them by position"),
        (lambda _: compile(3), TypeError, "f must be a function"),
        (lambda f: compile(f, in_axes=1), ValueError, "in_axes must be None, 0"),
        (lambda f: compile(f, in_axes=(0, "a")), ValueError, "in_axes must be None, 0"),
        (lambda f: compile(f, reduce="max", in_axes=0), ValueError, "reduce must be None, 'sum'"),
        (lambda f: compile(f, reduce="sum"), ValueError, "needs in_axes"),
        (lambda f: compile(f, threads=0), ValueError, "threads must be"),
        (lambda f: compile(f, argnums="a"), TypeError, "argnums must be"),
        (lambda f: compile(f, argnums=3).value_and_grad(1.0), ValueError, "argnums=3 must count"),
        (lambda f: compile(f, in_axes=(0, 0))([1.0]), ValueError, "is for 2 arguments"),
        (lambda f: compile(f, in_axes=0)(1.0), TypeError, "argument 0 must be a batch"),
        (lambda f: compile(f, in_axes=0)([1.0, [2.0]]), ValueError, "differs in structure"),
        (lambda _: compile(lambda _: "a")(1.0), TypeError, "the output of a compiled function"),
        (lambda _: compile(lambda _: None)(1.0), TypeError, "received the NoneType None"),
        (lambda f: f(None), TypeError, "argument 0 must be .* functools.partial before compiling"),
        (lambda f: f({1.0}), TypeError, "argument 0 must be .*make it one of these"),
        (lambda f: f(iter([1.0])), TypeError, "argument 0 must be .*make it one of these"),
        (lambda _: compile(in_axes=1), ValueError, "in_axes must be None, 0"),
        (lambda _: compile(argnums=1.0), TypeError, "argnums must be"),
        (lambda _: compile(threads=2)(3), TypeError, "f must be a function"),
        (lambda f: compile(f).value_and_grad([1.0]), TypeError, "whose output is one number"),
        (lambda f: compile(f).tape, AutogradError, "has no program yet"),
        (
            lambda _: compile(lambda x, y: x * y, in_axes=0)([1.0], [1.0, 2.0]),
            ValueError,
            "batches must be of one size",
        ),
    ],
)
def test_bad_input_gets_a_clear_error(call: Any, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        call(compile(lambda x: x))


def test_an_error_of_the_function_comes_through_and_leaves_no_trace():
    def f(_: Any) -> Any:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        compile(f)(1.0)
    assert Value(1.0) < Value(2.0)
    assert 1.0 == Value(1.0).data


# Arrays.


@pytest.mark.parametrize(
    "array",
    [
        MATRIX.T[::2],
        MATRIX[::-1, ::-1].T[:2],
        numpy.asfortranarray(MATRIX[:2, :3]),
        MATRIX[:2, :3].astype(numpy.float32),
        MATRIX[:2, :3].astype(int),
        MATRIX[:2, :3].astype(">f8"),
        numpy.broadcast_to(numpy.float64(2.0), (2, 3)),
    ],
)
def test_arrays_of_every_layout(array: Any):
    compiled = compile(lambda a: a * 2.0 + a.sum(), in_axes=None)
    expected = array.astype(float) * 2.0 + float(array.astype(float).sum())
    batched = compile(lambda row: row * 2.0, in_axes=0)
    for _ in range(2):
        assert expected.tolist() == compiled(array).tolist()
        assert (array.astype(float) * 2.0).tolist() == batched(array).tolist()


def test_a_read_only_array_is_read():
    array = numpy.arange(3.0)
    array.flags.writeable = False
    assert [0.0, 2.0, 4.0] == compile(lambda a: a * 2.0)(array).tolist()


def test_results_are_written_into_out():
    f = compile(lambda a: (a * 2.0, autograd.sum(a)), in_axes=0)
    a = numpy.arange(6.0).reshape(3, 2)
    out = (numpy.empty((3, 2)), numpy.empty(3))
    assert out is f(a, out=out)
    assert ([[0.0, 2.0], [4.0, 6.0], [8.0, 10.0]], [1.0, 5.0, 9.0]) == (
        out[0].tolist(),
        out[1].tolist(),
    )


def test_out_of_none_is_no_out():
    f = compile(lambda v: v * 2.0)
    calls = [f(numpy.ones(2), out=None) for _ in range(2)]  # traced, and then the program alone
    assert [[2.0, 2.0]] * 2 == [found.tolist() for found in calls]
    assert 2.0 == f(Value(1.0), out=None).data


@pytest.mark.parametrize("mapped", [None, 0])
def test_out_may_overlap_an_input(mapped: Any):
    f = compile(lambda a: a[::-1] * 2.0, in_axes=mapped)
    a = numpy.arange(40.0).reshape(20, 2)
    expected = (a[:, ::-1] if mapped == 0 else a[::-1]) * 2.0
    f(a, out=a)
    assert expected.tolist() == a.tolist()


@pytest.mark.parametrize(
    "out",
    [numpy.empty(2), numpy.empty((3, 2), int), numpy.empty((3, 2), numpy.float32), [1.0], 3.0],
)
def test_what_out_may_be(out: Any):
    f = compile(lambda a: a * 2.0, in_axes=0)
    with pytest.raises((ValueError, TypeError), match="out"):
        f(numpy.zeros((3, 2)), out=out)


# Text.


def neuron(w: Any, x: Any) -> Any:
    s = dot(w, x)
    s.label = "s"
    return where(s > 0.0, sigmoid(s), s / 3.0)


def test_the_source_runs():
    compiled = compile(neuron)
    args = [0.5, -1.0], [2.0, 0.25]
    expected = compiled.value_and_grad(*args)
    variables: dict[str, Any] = {}
    exec(compiled.source, variables)
    assert pytest.approx(expected[0], rel=1e-15) == variables["result"][0]
    assert pytest.approx(expected[1], rel=1e-15) == variables["result"][1]


def test_the_source_names_what_the_function_names():
    compiled = compile(lambda x, y: x * y + x)
    compiled.value_and_grad(2.0, 3.0)
    assert (
        "# inputs\nx = 2.0\ny = 3.0\n\n"
        "# forward\ns0 = x + x * y\n\n"
        "# backward\ngrad_x = 1.0 + y\n\n"
        "# result\nresult = (s0, grad_x)\n"
    ) == compiled.source


@settings(max_examples=30)
@given(at_two_points(ROWS, any_float, max_steps=15))
def test_the_source_has_the_bits_of_the_program(drawn: Any):
    recipe, _ = drawn
    compiled = compile(function(recipe))
    expected = compiled.value_and_grad(list(recipe.leaves))
    variables: dict[str, Any] = {}
    exec(compiled.source, variables)
    assert shown(expected) == shown(variables["result"])


DRIVER = """
#include <stdio.h>
#include "program.c"

int main(void)
{{
    const double inputs[] = {{{inputs}}};
    double outputs[{count}];
    {name}(inputs, outputs);
    for (int i = 0; i < {count}; i++) {{
        printf("%a\\n", outputs[i]);
    }}
    return 0;
}}
"""


def compiled_by_gcc(compiled: Any, inputs: list[float], count: int, folder: Path) -> list[float]:
    """What the C file of a compiled function computes."""
    (folder / "program.c").write_text(compiled.to_c(), encoding="utf-8")
    texts = ", ".join(x.hex() if math.isfinite(x) else "(0.0 / 0.0)" for x in inputs)
    name = compiled.__name__ if compiled.__name__.isidentifier() else "_lambda_"
    driver = DRIVER.format(inputs=texts, count=count, name=name)
    (folder / "main.c").write_text(driver, encoding="utf-8")
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-O2", "-ffp-contract=off"]
    subprocess.run(["gcc", *flags, "main.c", "-lm", "-o", "main"], cwd=folder, check=True)
    done = subprocess.run([folder / "main"], capture_output=True, text=True, check=True)
    return [float.fromhex(line) for line in done.stdout.split()]


def everything(x: Any, y: Any) -> Any:
    rows = [op for op in TABLE.values() if op.name != "round"]
    found = [vars(autograd)[op.name](*(x, y)[: op.arity]) for op in rows]
    return autograd.sum([where(z < 100.0, z, -1.0) for z in [*found, autograd.round(x)]])


@pytest.mark.parametrize("f", [neuron, everything])
def test_the_c_file_gives_the_same_numbers(f: Any, tmp_path: Path):
    compiled = compile(f)
    args: Any = ([0.5, -1.0], [2.0, 0.25]) if f is neuron else (0.7, 0.3)
    value, gradient = compiled.value_and_grad(*args)
    inputs = [*args[0], *args[1]] if f is neuron else [*args]
    expected = [value, *(gradient if isinstance(gradient, list) else [gradient])]
    found = compiled_by_gcc(compiled, inputs, len(expected), tmp_path)
    assert pytest.approx(expected, rel=1e-14) == found


def test_the_latex_of_a_program():
    compiled = compile(lambda x, y: where(x > y, x * y - x, 2.0))
    compiled(2.0, 1.0)
    assert (
        "\\begin{align*}\n"
        "  s_{0} &= [y < x] \\\\\n"
        "  s_{1} &= x \\cdot y \\\\\n"
        "  s_{2} &= s_{1} - x \\\\\n"
        "  s_{3} &= \\begin{cases} s_{2} & \\text{if } s_{0} \\neq 0 \\\\ "
        "2 & \\text{otherwise} \\end{cases} \\\\\n"
        "  \\mathrm{result} &= s_{3}\n"
        "\\end{align*}"
    ) == compiled.to_latex()


def test_the_tape_tells_what_the_passes_did():
    compiled = compile(lambda x, y: x * y * 1.0 + x * x)
    compiled(1.0, 2.0)
    tape = compiled.tape
    assert isinstance(tape, ProgramTape)
    assert {
        "recorded": 4,
        "constant folding": 4,
        "exact identities": 3,
        "common subexpressions": 3,
        "dead code": 3,
        "dot products": 1,
    } == tape.stats()
    assert ["dot"] == [x.op.name for x in tape.instructions]


# Other processes.


def test_a_compiled_function_pickles_with_its_programs():
    leaf = Value(2.0)
    compiled = compile(lambda x: x * leaf, in_axes=0, reduce="sum")
    expected = compiled.value_and_grad([1.0, 2.0])
    copy, other = pickle.loads(pickle.dumps((compiled, leaf)))
    assert shown(expected) == shown(copy.value_and_grad([1.0, 2.0]))
    assert compiled.__name__ == copy.__name__
    other.data = 3.0
    assert 9.0 == copy.value_and_grad([1.0, 2.0])[0]
    with pytest.raises(AutogradError, match="was unpickled"):
        copy.value_and_grad([[1.0], [2.0]])


def data_parallel(compiled: Any, w: Any, shards: list[Any], pool: Any) -> Any:
    """The sum of the gradients of the shards, in their order."""
    calls = [methodcaller("value_and_grad", w, shard) for shard in shards]
    futures = [pool.submit(call, compiled) for call in calls]
    total, gradient = 0.0, numpy.zeros(len(w))
    for future in futures:
        value, slope = future.result()
        total, gradient = total + value, gradient + slope
    return total, gradient


def test_a_gradient_is_computed_by_several_processes():
    compiled = compile(squares, in_axes=(None, 0), reduce="sum")
    w = numpy.array([0.5, -2.0])
    xs = numpy.linspace(-1.0, 1.0, 64).reshape(32, 2)
    shards = [xs[:8], xs[8:16], xs[16:24], xs[24:]]
    parts = [compiled.value_and_grad(w, shard) for shard in shards]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        total, gradient = data_parallel(compiled, w, shards, pool)
    assert sum(value for value, _ in parts) == total
    assert sum(slope for _, slope in parts).tolist() == gradient.tolist()


# Recipes.


def rosenbrock(x: Any) -> Any:
    return autograd.sum([100.0 * (b - a * a) ** 2 + (1.0 - a) ** 2 for a, b in pairwise(x)])


def test_scipy_minimises_a_compiled_function():
    f = compile(rosenbrock)
    found = scipy.optimize.minimize(f.value_and_grad, numpy.zeros(5), jac=True)
    assert found.success
    numpy.testing.assert_allclose(numpy.ones(5), found.x, atol=1e-5)


# Size.


def test_a_program_of_a_million_instructions():
    steps = 500_000 if autograd.engine == "native" else 20_000  # which takes long enough

    def f(x: Any) -> Any:
        for _ in range(steps):
            x = x * 0.75 + 0.1
        return x

    x = 0.5
    for _ in range(steps):
        x = x * 0.75 + 0.1
    assert x == compile(f)(0.5)


def test_a_way_that_was_taken_before_the_first_call_runs_the_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    way = autograd.compile(lambda x: x[0] * x[1]).value_and_grad
    way([2.0, 3.0])
    monkeypatch.setattr("autograd.compiler._conformed", None)
    assert (20.0, [5.0, 4.0]) == way([4.0, 5.0])


def test_a_batch_without_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    square = autograd.compile(lambda x: x * x, in_axes=0)
    with pytest.raises(autograd.MissingExtraError, match=r"scalar-autograd\[numpy\]"):
        square([1.0, 2.0])
    w = Value(2.0)
    total = autograd.compile(lambda x: w * x, in_axes=0, reduce="sum")
    if autograd.engine == "native":  # whose sums need no arrays
        assert (6.0, 3.0) == (total.backward([1.0, 2.0]), w.grad)


# The entries.


def test_an_entry_taken_before_the_first_call_goes_to_the_program():
    f = compile(lambda x: x * x)
    entry = f.value_and_grad
    assert (9.0, 6.0) == entry(3.0)
    assert entry is f.value_and_grad
    assert f"{f!r}.value_and_grad" == repr(entry)


def test_copies_of_a_compiled_function_are_itself():
    f = compile(lambda x: x * x)
    assert [f, f] == [copy.copy(f), copy.deepcopy(f)]


def squared(x: Any) -> Any:
    return x * x


def test_the_entries_pickle():
    f = compile(squared)
    results = [f.value_and_grad(3.0), f.jacobian(3.0)]
    copies = [pickle.loads(pickle.dumps(entry)) for entry in (f.value_and_grad, f.jacobian)]
    assert results == [entry(3.0) for entry in copies]


def test_keys_in_another_order_are_another_structure():
    f = compile(lambda d: [x * (i + 1.0) for i, x in enumerate(d.values())])
    assert [1.0, 4.0] == f({"a": 1.0, "b": 2.0})
    assert [2.0, 2.0] == f({"b": 2.0, "a": 1.0})


class Rows(numpy.ndarray[Any, Any]):
    """An array of another type."""


@pytest.mark.parametrize("first", [[1.0, 2.0], numpy.array([1.0, 2.0])], ids=["list", "array"])
def test_arrays_of_other_kinds(first: Any):
    """The same answer or error, whatever was called before."""
    f = compile(lambda x: x * 2.0, in_axes=0)
    for _ in range(2):
        for x in (numpy.array([1, 2], dtype=numpy.float32), numpy.array([1.0, 2.0]).astype(">f8")):
            assert [2.0, 4.0] == f(x).tolist()
        assert [[2.0, 4.0]] == f(numpy.array([[1.0, 2.0]]).view(Rows)).tolist()
        with pytest.raises(TypeError, match="argument 0 is an array with a mask"):
            f(numpy.ma.masked_array([1.0, 2.0], [True, False]))
        with pytest.raises(TypeError, match="argument 0 must be a batch"):
            f(array.array("d", [1.0, 2.0]))
        assert [2.0, 4.0] == f(first).tolist()
