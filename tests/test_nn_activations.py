"""Activations: each module applies its function, value and derivative, to every input."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
import nn
from autograd import Value

POINTS = [-1e3, -2.0, -0.5, -0.0, 0.0, 0.5, 2.0, 1e3]

ELEMENTWISE: list[tuple[nn.Module, Callable[[Any], Any]]] = [
    (nn.Step(), autograd.step),
    (nn.Sigmoid(), autograd.sigmoid),
    (nn.Tanh(), autograd.tanh),
    (nn.ReLU(), autograd.relu),
    (nn.GELU(), autograd.gelu),
    (nn.SiLU(), autograd.silu),
    (nn.LeakyReLU(), lambda x: autograd.leaky_relu(x, 0.01)),
    (nn.LeakyReLU(0.1), lambda x: autograd.leaky_relu(x, 0.1)),
    (nn.ELU(), lambda x: autograd.elu(x, 1.0)),
    (nn.ELU(0.5), lambda x: autograd.elu(x, 0.5)),
]


@pytest.mark.parametrize(("module", "function"), ELEMENTWISE)
def test_a_module_applies_its_function_to_each_input(
    module: nn.Module, function: Callable[[Any], Any]
) -> None:
    outputs, xs = module(POINTS), [Value(x) for x in POINTS]
    assert [function(x) for x in POINTS] == outputs
    assert outputs == [y.data for y in module(xs)]
    for x in xs:
        (y,) = module([x])
        assert function(x).gradient(x) == y.gradient(x)


@pytest.mark.parametrize(
    "name", ["step", "sigmoid", "tanh", "relu", "gelu", "silu", "maxout", "softmax"]
)
def test_the_engine_s_own_functions_stand_at_the_front_door(name: str) -> None:
    assert getattr(autograd, name) is getattr(nn, name)


def test_defaults_of_the_functions_with_a_constant() -> None:
    assert -0.02 == nn.leaky_relu(-2.0)
    assert -0.2 == nn.leaky_relu(-2.0, negative_slope=0.1)
    assert autograd.expm1(-2.0) == nn.elu(-2.0)
    assert 3.0 * autograd.expm1(-2.0) == nn.elu(-2.0, alpha=3.0)


def test_maxout_takes_the_largest_of_each_group() -> None:
    assert [2.0, 3.0] == nn.Maxout(2)([1.0, 2.0, 3.0, -3.0])
    assert [3.0] == nn.Maxout(4)([1.0, 2.0, 3.0, -3.0])
    x = [Value(1.0), Value(2.0), Value(2.0)]
    (y,) = nn.Maxout(3)(x)
    assert [0.0, 0.5, 0.5] == y.gradient(x)


@given(st.lists(st.floats(-700.0, 700.0), min_size=1, max_size=6))
def test_softmax_gives_probabilities(xs: list[float]) -> None:
    ps = nn.Softmax()(xs)
    assert autograd.softmax(xs) == ps
    assert all(0.0 <= p <= 1.0 for p in ps)
    assert pytest.approx(1.0, rel=1e-15 * len(xs)) == sum(ps)


ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: nn.LeakyReLU("0.1"), TypeError, "negative_slope must be a finite number, received"),
    (lambda: nn.ELU(float("nan")), ValueError, "alpha must be a finite number, received nan"),
    (lambda: nn.Maxout(0), ValueError, "pieces must be a whole number ≥ 1, received 0"),
    (lambda: nn.Maxout(2.0), TypeError, "pieces must be a whole number ≥ 1, received the float"),
    (lambda: nn.Maxout(2)([1.0]), ValueError, "must be a multiple of 2 in number, received 1"),
    (lambda: nn.Maxout(2)([]), ValueError, "must be a multiple of 2 in number, received 0"),
    (lambda: nn.Softmax()([]), ValueError, "softmax needs at least one number"),
]


@pytest.mark.parametrize(("call", "error", "text"), ERRORS)
def test_bad_arguments(call: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()
