"""Tracing: what a function may ask of its Values, and what it is told where it may not."""

import copy
import math
import pickle
import statistics
from collections.abc import Callable
from contextlib import suppress
from itertools import product
from typing import Any

import numpy
import pytest
from programs import bits
from strategies import EDGES

import autograd
import nn
from autograd import TraceError, Value, compile, is_traced, no_grad, where
from autograd.modes import traced
from autograd.tracing import Trace

W = Value(3.0, "w")
LAYER = nn.Linear(1, 1)
OPTIMIZER = nn.optim.SGD(LAYER.parameters(), lr=0.1)


# What needs a number.


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda x: 1.0 if x > 0 else 2.0, r"bool .*use where\(condition, a, b\)"),
        (lambda x: 1.0 if x else 2.0, r"bool .*use where"),
        (lambda x: x > 0.0 and x < 1.0, r"bool .*use where"),
        (lambda x: 0.0 < x < 1.0, r"bool .*use where"),
        (lambda x: max(x, 2.0 * x), r"bool .*maximum or minimum"),
        (lambda x: sorted([x, 2.0 * x]), r"bool .*maximum or minimum"),
        (lambda x: x in [1.0, 2.0], r"bool .*use where"),
        (lambda x: not x > 0.0, r"bool of a comparison .*use where"),
        (lambda x: any(z > 0.0 for z in [x]), r"bool of a comparison .*use where"),
        (lambda x: numpy.where(x > 0.0, x, -x), r"bool of a comparison .*use where"),
        (lambda x: [2.0, 3.0][x > 0.0], r"index of a comparison .*use where"),
        (lambda x: {True: 2.0, False: 3.0}[x > 0.0], r"hash of a comparison .*use where"),
        (lambda x: float(x > 0.0) * x, r"float of a comparison .*counts as 0.0 or 1.0 without"),
        (lambda x: int(x > 0.0) * x, r"int of a comparison .*counts as 0.0 or 1.0 without"),
        (lambda x: [10.0, 20.0][x], r"index .*loop over a range"),
        (lambda x: [*range(x)], r"index .*loop over a range"),
        (lambda x: math.exp(x), r"float .*x\.exp\(\)"),
        (lambda x: float(x), r"float .*functions of autograd"),
        (lambda x: numpy.array([x], dtype=float), r"float .*arrays of dtype=object"),
        (lambda x: int(x), r"int .*floor, ceil or round"),
        (lambda x: x.data, r"data .*compute with the Value itself"),
        (lambda x: (x * 2.0).data, r"data .*a result of mul"),
        (lambda x: x.item(), r"item .*compute with the Value itself"),
        (lambda x: float(f"{x:.2f}") * x, r"format .*texts with numbers belong outside"),
        (lambda x: x.grad, r"grad .*value_and_grad"),
        (lambda x: (x * x).backward(), r"backward .*f\.backward of the compiled function"),
        (lambda x: copy.copy(x), r"copy .*use the Value itself"),
        (lambda x: copy.deepcopy([x]), r"copy .*use the Value itself"),
        (lambda x: pickle.dumps(x), r"copy .*use the Value itself"),
        (lambda x: setattr(x, "data", 1.0), r"write .*return the new number"),
        (lambda x: setattr(W, "data", x.detach()), r"write of a Value 'w' \(an input\)"),
        (lambda _: setattr(W, "grad", 0.0), r"write of a Value 'w' .*zero_grad.* outside of it"),
        (lambda x: setattr(x, "grad", 0.0), r"write of a Value .* outside of it"),
        (lambda x: setattr(x * 2.0, "grad", 0.0), r"write of a Value .* outside of it"),
        (lambda _: setattr(W, "requires_grad", False), r"write of a Value 'w' .* outside of it"),
        (lambda _: LAYER.zero_grad(), r"write of a Value .*zero_grad.* outside of it"),
        (lambda _: OPTIMIZER.zero_grad(), r"write of a Value .*zero_grad.* outside of it"),
        (lambda _: OPTIMIZER.step(), r"step\(\) belongs outside the compiled function"),
        (lambda _: LAYER.freeze(), r"write of a Value .* outside of it"),
        (lambda _: W.data, r"data of a Value 'w' \(an input\)"),
        (lambda _: 1.0 if W > 0.0 else 2.0, r"bool of a comparison"),
        (lambda x: where(x > 0.0, 1.0, 2.0).data, r"data .*"),
    ],
)
def test_what_needs_a_number_is_refused_with_the_line_and_the_remedy(
    ask: Callable[[Any], Any], message: str
):
    with pytest.raises(TraceError, match=f"(?s){message}") as caught:
        compile(ask)(0.5)
    assert f"at {__file__}:{ask.__code__.co_firstlineno}" in str(caught.value)


@pytest.mark.parametrize(
    "ask",
    [
        lambda x: numpy.isclose(numpy.array([x]), 1.0),
        lambda x: numpy.median([x, 2.0 * x]),
        lambda x: statistics.median([x, 2.0 * x]),
    ],
)
def test_the_line_is_not_that_of_a_library(ask: Callable[[Any], Any]):
    with pytest.raises(TraceError, match="traces") as caught:
        compile(ask)(0.5)
    assert f"at {__file__}:{ask.__code__.co_firstlineno}" in str(caught.value)


def test_what_was_refused_is_not_passed_over():
    def f(x: Any) -> Any:
        try:
            return x if x > 0.0 else -x
        except TypeError:
            return 100.0 * x

    def g(x: Any) -> Any:
        with suppress(TypeError):
            return x if x > 0.0 else -x

    for caught in (f, g):
        with pytest.raises(TraceError, match="bool of a comparison"):
            compile(caught)(1.0)
        with pytest.raises(TraceError, match="bool of a comparison"):
            compile(caught).value_and_grad(1.0)


def test_a_function_may_do_without_math():
    def f(x: Any) -> Any:
        try:
            return math.floor(math.log2(x))
        except TypeError:  # as Values raise it always
            return autograd.floor(autograd.log2(x))

    compiled = compile(f)
    assert [3.0, -1.0] == [compiled(9.0), compiled(0.7)]


def test_a_trace_error_is_an_autograd_error_and_a_type_error():
    assert issubclass(TraceError, autograd.AutogradError)
    assert issubclass(TraceError, TypeError)


def test_nothing_is_refused_outside_a_trace():
    x = Value(2.0)
    assert (True, True, 2.0, 2.0, 0.0) == (bool(x), x > 1.0, x.data, x.item(), x.grad)
    with pytest.raises(TypeError, match=r"int\(v\.item\(\)\)"):
        int(x)
    with pytest.raises(TypeError, match="a Value is no index"):
        [1.0][x]


def test_what_depends_on_no_input_has_its_number():
    def f(x: Any) -> Any:
        c = Value(2.0) * 3.0
        assert c > 5.0
        assert bool(c)
        assert (6.0, 6.0, 0.0) == (c.data, c.item(), c.grad)
        c.backward()
        assert 12.0 == copy.copy(c).data * 2.0
        return x * c.item()

    assert 30.0 == compile(f)(5.0)


def test_a_trace_ends_with_its_function():
    trace = Trace([])
    with traced(trace):
        pass
    assert Value(1.0) < 2.0
    assert not is_traced(Value(1.0))


def test_is_traced():
    found: list[bool] = []
    compile(lambda x: found.append(is_traced(x)) or found.append(is_traced(1.0)) or x)(1.0)
    assert [True, False] == found


# Predicates.

COMPARISONS: list[Callable[[Any, Any], Any]] = [
    lambda x, y: x < y,
    lambda x, y: x <= y,
    lambda x, y: x > y,
    lambda x, y: x >= y,
    lambda x, y: x == y,
    lambda x, y: x != y,
    lambda x, _: x < 1.0,
    lambda _, y: 1.0 >= y,
    lambda x, y: (x < y) & (x != 0.0),
    lambda x, y: (x < y) | (y == 0.0),
    lambda x, y: (x < y) == (y > 0.0),
    lambda x, y: (x < y) != (y > 0.0),
    lambda x, y: (x < y) & True,
    lambda x, y: False | (x < y),
    lambda x, y: (x < y) ^ (y > 0.0),
    lambda x, y: (x < y) < (y > 0.0),
    lambda x, y: (x < y) == 0,
    lambda x, y: (x < y) + (y > 0.0) >= 2,
]


@pytest.mark.parametrize("compare", COMPARISONS)
def test_a_condition_is_that_of_floats(compare: Any):
    compiled = compile(lambda x, y: where(compare(x, y), 1.0, 0.0))
    for x in EDGES:
        for y in (0.0, -0.0, 1.0, math.nan, math.inf, x):
            assert float(compare(x, y)) == compiled(x, y)


def test_a_value_as_condition_is_true_where_it_is_not_zero():
    compiled = compile(lambda x: where(x, 1.0, 0.0))
    assert [0.0, 0.0, 1.0, 1.0, 1.0] == [compiled(x) for x in (0.0, -0.0, 5e-324, 2.0, math.nan)]


def test_not_a_comparison():
    compiled = compile(lambda x: where(~(x > 0.0) & ~(x == -1.0), x * 2.0, x))
    assert [1.0, -1.0, -4.0, 0.0] == [compiled(x) for x in (1.0, -1.0, -2.0, 0.0)]


def test_a_condition_that_is_known_chooses_at_once():
    flag = True
    compiled = compile(lambda x: where(flag, x, 1.0 / x))
    assert 2.0 == compiled(2.0)
    assert [] == list(compiled.tape.instructions)


# Predicates as numbers.

NUMBERS: list[Callable[[Any, Any], Any]] = [
    lambda x, y: x > y,
    lambda x, y: (x > y) * x,
    lambda x, y: x * (x > y) + y * (x <= y),
    lambda x, y: x - (x == y),
    lambda x, y: (y != 0.0) / 4 - x,
    lambda x, y: 3 / (1 + (x > y)) * y,
    lambda x, _: 1 - (x > 0.0),
    lambda x, _: -(x > 0.0),
    lambda x, y: -(x > y) * x,
    lambda x, y: -((x > 0.0) + (y > 0.0)) * y,
    lambda x, y: (x > y) * -1 * y,
    lambda x, y: (x > y) * -1.0 * y,
    lambda x, y: ((x > 0.0) - (x < 0.0)) * y,
    lambda x, y: 2 ** (x > y) * x + (x > y) ** 2,
    lambda x, y: abs(-(x > y)) * x + +(x > y) + round(x > y) + math.floor(y > x),
    lambda x, y: sum(z > 0.5 for z in (x, y)),
    lambda x, y: autograd.sum([x > y, x, (y > 0.0, [x < y])]),
    lambda x, y: autograd.mean([x > 0.5, y > 0.5, x > y]),
    lambda x, y: autograd.dot([x > y, y], [x, x < y], y > 0.0),
    lambda x, y: autograd.maximum(x > y, x) + autograd.minimum(y, x > y),
    lambda x, y: autograd.maxout(x > y, x, y),
    lambda x, y: autograd.sqrt(x > y) * autograd.square(y > x) + autograd.add([x > y], x)[0],
    lambda x, y: numpy.float64(2.0) * (x > y) * x,
    lambda x, y: where(1 - (x > y), x, x > 0.0) + where(x > y, x < 1.0, 2.0),
    lambda x, y: ((x > 0.0) + (y > 0.0) >= 2) * x,
]


def shown(tree: Any) -> Any:
    """The bits of every number in a structure."""
    return [*map(shown, tree)] if isinstance(tree, (list, tuple)) else bits(float(tree))


@pytest.mark.parametrize("f", NUMBERS)
def test_a_comparison_counts_as_outside_of_a_trace(f: Callable[[Any, Any], Any]):
    def derived(x: Any, y: Any) -> Any:
        value, gradient = autograd.value_and_grad(f, (0, 1))(x, y)
        slope = autograd.jvp(f, (x, y), (math.inf, -2.0))[1]
        return [value, gradient, slope, autograd.hessian(f, (0, 1))(x, y)]

    compiled = compile(derived)
    plain = compile(f, argnums=(0, 1))
    for x, y in product([0.0, -0.0, 0.7, -3.0, math.inf, math.nan], repeat=2):
        expected = derived(x, y)
        assert shown(expected) == shown(compiled(x, y))
        assert shown(expected[:2]) == shown(plain.value_and_grad(x, y))
        assert shown(expected[0]) == shown(plain(x, y))


def test_a_comparison_of_constants_is_known():
    def f(x: Any) -> Any:
        flag = Value(2.0) > 1.0
        return x * (int(flag) + float(flag) + [0.0, 2.0][flag] + {True: 3.0}[flag] + bool(flag))

    assert 40.0 == compile(f)(5.0)


@pytest.mark.parametrize(
    "use",
    [
        lambda p: ~p,
        lambda p: p & p,
        lambda p: True | p,
        lambda p: -p,
        lambda p: p * 2.0,
        lambda p: W - p,
        lambda p: W > p,
        lambda p: p == p,
        lambda p: where(p, 1.0, 2.0),
        lambda p: bool(p),
        lambda p: float(p),
        lambda p: hash(p),
        lambda p: autograd.exp(p),
        lambda p: autograd.add(p, 1.0),
        lambda p: autograd.sum([p, 1.0]),
        lambda p: compile(lambda x: where(p, x, 1.0))(2.0),
        lambda p: compile(lambda _: p)(2.0),
        lambda p: autograd.grad(lambda _: p)(2.0),
    ],
)
def test_a_comparison_has_no_meaning_after_its_trace(use: Callable[[Any], Any]):
    leaked: list[Any] = []
    compile(lambda x: leaked.append(x > 0.0) or x)(1.0)
    with pytest.raises(TraceError, match=f"comparison.* at {__file__}"):
        use(leaked[0])


# Numbers that must not freeze.


def test_no_grad_still_records():
    def f(x: Any) -> Any:
        with no_grad():
            y = x * x
        return y + x

    compiled = compile(f)
    compiled(2.0)
    assert (12.0, 1.0) == compiled.value_and_grad(3.0)


def test_detached_values_are_computed_at_each_call():
    compiled = compile(lambda x: x * x.detach())
    compiled.value_and_grad(2.0)
    assert (9.0, 3.0) == compiled.value_and_grad(3.0)


def test_a_tangent_does_not_pass_what_is_detached():
    def f(x: Any) -> Any:
        with no_grad():
            y = x * x
        return y * x + x * x.detach()

    def derived(x: Any) -> Any:
        return autograd.jvp(f, (x,), (1.0,))[1], autograd.hvp(f, x, 1.0)

    assert derived(3.0) == compile(derived)(3.0) == (12.0, 0.0)


def test_softmax_and_logsumexp_are_traced():
    compiled = compile(lambda xs: autograd.logsumexp(xs) + autograd.softmax(xs)[0])
    compiled([0.0, 1.0])
    for xs in ([1000.0, 1001.0], [-3.0, 0.5], [2.0, -math.inf]):
        expected = autograd.logsumexp(xs) + autograd.softmax(xs)[0]
        assert pytest.approx(expected, rel=1e-15) == compiled(xs)


def test_gradients_inside_a_function_are_computed_at_each_call():
    compiled = compile(lambda x: (y := x * x * x).gradient(x) * y)
    compiled(1.0)
    assert 12.0 * 8.0 == compiled(2.0)
    through = compile(lambda x: (x * x * x).gradient(x, create_graph=True))
    assert (12.0, 12.0) == through.value_and_grad(2.0)


def test_a_transform_under_no_grad_is_computed_at_each_call():
    def f(x: Any) -> Any:
        with no_grad():
            return x * autograd.grad(lambda y: y * y)(x)

    compiled = compile(f)
    compiled(1.0)
    assert (18.0, 6.0) == compiled.value_and_grad(3.0)


def test_the_gradient_by_a_chosen_value_is_that_of_what_was_chosen():
    def f(x: Any, y: Any) -> Any:
        chosen = where(x > y, x * 1.0, y * 2.0)
        return (chosen * chosen * x).gradient(chosen)

    compiled = compile(f)
    compiled(1.0, 0.0)
    assert [8.0, 24.0] == [compiled(2.0, 0.0), compiled(2.0, 3.0)]


def test_side_effects_happen_once():
    seen: list[str] = []

    def f(x: Any) -> Any:
        seen.append(repr(x))
        return x

    compiled = compile(f)
    assert [1.0, 2.0] == [compiled(1.0), compiled(2.0)]
    assert [repr(Value(1.0))] == seen


def test_leaves_and_their_gradients_are_left_as_they_were():
    w = Value(3.0, "w")
    w.grad = 7.0
    compiled = compile(lambda x: w * x * x)
    assert (12.0, 12.0) == compiled.value_and_grad(2.0)
    assert (3.0, 7.0, "w", True) == (w.data, w.grad, w.label, w.requires_grad)
