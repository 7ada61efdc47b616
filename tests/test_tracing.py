"""Tracing: what a function may ask of its Values, and what it is told where it may not."""

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy
import pytest
from strategies import EDGES

import autograd
from autograd import TraceError, Value, compile, is_traced, no_grad, where
from autograd.modes import traced
from autograd.tracing import Predicate, Trace

W = Value(3.0, "w")


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
        (lambda x: [10.0, 20.0][x], r"index .*loop over a range"),
        (lambda x: [*range(x)], r"index .*loop over a range"),
        (lambda x: math.exp(x), r"float .*x\.exp\(\)"),
        (lambda x: float(x), r"float .*functions of autograd"),
        (lambda x: numpy.array([x], dtype=float), r"float .*functions of autograd"),
        (lambda x: int(x), r"int .*floor, ceil or round"),
        (lambda x: x.data, r"data .*compute with the Value itself"),
        (lambda x: (x * 2.0).data, r"data .*a result of mul"),
        (lambda x: x.item(), r"item .*compute with the Value itself"),
        (lambda x: x.grad, r"grad .*value_and_grad"),
        (lambda x: (x * x).backward(), r"backward .*f\.backward of the compiled function"),
        (lambda x: copy.copy(x), r"copy .*use the Value itself"),
        (lambda x: copy.deepcopy([x]), r"copy .*use the Value itself"),
        (lambda x: pickle.dumps(x), r"copy .*use the Value itself"),
        (lambda x: setattr(x, "data", 1.0), r"write .*return the new number"),
        (lambda x: setattr(W, "data", x.detach()), r"write of a Value 'w' \(an input\)"),
        (lambda _: W.data, r"data of a Value 'w' \(an input\)"),
        (lambda _: 1.0 if W > 0.0 else 2.0, r"bool of a Value \(a result of less\)"),
        (lambda x: where(x > 0.0, 1.0, 2.0).data, r"data .*"),
    ],
)
def test_what_needs_a_number_is_refused_with_the_line_and_the_remedy(
    ask: Callable[[Any], Any], message: str
):
    with pytest.raises(TraceError, match=f"(?s){message}") as caught:
        compile(ask)(0.5)
    assert f"at {__file__}:{ask.__code__.co_firstlineno}" in str(caught.value)


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
]


@pytest.mark.parametrize("compare", COMPARISONS)
def test_a_condition_is_that_of_floats(compare: Any):
    compiled = compile(lambda x, y: where(compare(x, y), 1.0, 0.0))
    for x in EDGES:
        for y in (0.0, -0.0, 1.0, math.nan, math.inf, x):
            assert float(compare(x, y)) == compiled(x, y)


def test_a_condition_is_negated():
    compiled = compile(lambda x: where(~(x < 1.0), 1.0, 0.0))
    assert [0.0, 1.0, 1.0] == [compiled(x) for x in (0.0, 1.0, math.nan)]


def test_a_value_as_condition_is_true_where_it_is_not_zero():
    compiled = compile(lambda x: where(x, 1.0, 0.0))
    assert [0.0, 0.0, 1.0, 1.0, 1.0] == [compiled(x) for x in (0.0, -0.0, 5e-324, 2.0, math.nan)]


def test_a_condition_that_is_known_chooses_at_once():
    flag = True
    compiled = compile(lambda x: where(flag, x, 1.0 / x))
    assert 2.0 == compiled(2.0)
    assert [] == list(compiled.tape.instructions)


def test_conditions_are_no_numbers():
    def f(x: Any) -> Any:
        return (x > 0.0) * x

    with pytest.raises(TypeError, match="Predicate"):
        compile(f)(1.0)
    assert isinstance(hash(Predicate(Value(1.0))), int)


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
        seen.append(f"{x:.1f}")
        return x

    compiled = compile(f)
    assert [1.0, 2.0] == [compiled(1.0), compiled(2.0)]
    assert ["1.0"] == seen


def test_leaves_and_their_gradients_are_left_as_they_were():
    w = Value(3.0, "w")
    w.grad = 7.0
    compiled = compile(lambda x: w * x * x)
    assert (12.0, 12.0) == compiled.value_and_grad(2.0)
    assert (3.0, 7.0, "w", True) == (w.data, w.grad, w.label, w.requires_grad)
