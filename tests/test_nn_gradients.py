"""Gradients: clipping by norm and by value, and the statistics of each layer."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn

finite = st.floats(allow_nan=False, allow_infinity=False)


def with_gradients(*gradients: float) -> list[nn.Parameter]:
    parameters = [nn.Parameter(1.0) for _ in gradients]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    return parameters


def gradients(parameters: list[nn.Parameter]) -> list[float]:
    return [parameter.grad for parameter in parameters]


@given(st.lists(st.floats(-1e150, 1e150), min_size=1, max_size=6), st.floats(1e-3, 1e6))
def test_clipping_by_norm_keeps_the_direction(gs: list[float], max_norm: float) -> None:
    parameters = with_gradients(*gs)
    norm = math.hypot(*gs)
    assert norm == nn.clip_grad_norm_(iter(parameters), max_norm)
    clipped = gradients(parameters)
    if norm <= max_norm:
        assert gs == clipped
    else:
        assert pytest.approx(max_norm, rel=1e-14) == math.hypot(*clipped)
        expected = [g * (max_norm / norm) for g in gs]
        assert pytest.approx(expected, rel=1e-15) == clipped


@given(st.lists(finite, min_size=1, max_size=6), st.floats(0.0, 1e300))
def test_clipping_by_value_clips_each(gs: list[float], limit: float) -> None:
    parameters = with_gradients(*gs)
    nn.clip_grad_value_(parameters, limit)
    assert [math.copysign(min(abs(g), limit), g) for g in gs] == gradients(parameters)


def test_clipping_by_value_keeps_nan_and_clips_inf() -> None:
    parameters = with_gradients(math.nan, math.inf, -math.inf)
    nn.clip_grad_value_(parameters, 2.0)
    assert ["nan", "2.0", "-2.0"] == list(map(repr, gradients(parameters)))


def test_clipping_by_norm_needs_finite_gradients_and_changes_nothing_without() -> None:
    for bad in (math.inf, math.nan):
        parameters = with_gradients(bad, 3.0)
        with pytest.raises(ValueError, match="gradients must be finite to be clipped"):
            nn.clip_grad_norm_(parameters, 1.0)
        assert [repr(bad), "3.0"] == list(map(repr, gradients(parameters)))


def test_huge_gradients_do_not_overflow() -> None:
    parameters = with_gradients(3e300, 4e300)
    assert 5e300 == nn.clip_grad_norm_(parameters, 1.0)
    assert pytest.approx([0.6, 0.8], rel=1e-15) == gradients(parameters)


def test_statistics_of_each_layer() -> None:
    model = nn.Sequential(nn.Linear(2, 1), nn.ReLU(), nn.Neuron(1))
    for parameter, gradient in zip(model.parameters(), (3.0, -4.0, 0.0, 1.0, -2.0), strict=True):
        parameter.grad = gradient
    assert nn.gradient_statistics(model) == {
        "layers.0": (3, 5.0, 7.0 / 3.0, 4.0, 1),
        "layers.2": (2, math.sqrt(5.0), 1.5, 2.0, 0),
    }
    assert nn.gradient_statistics(model)["layers.0"] == nn.GradientStatistics(
        parameters=3, norm=5.0, mean_absolute=7.0 / 3.0, largest_absolute=4.0, zeros=1
    )
    assert {"": (1, 0.0, 0.0, 0.0, 1)} == nn.gradient_statistics(nn.Neuron(1, bias=False))
    assert {} == nn.gradient_statistics(nn.ReLU())


DEPTH = 8


@pytest.mark.parametrize(
    ("activation", "weight", "vanishes"),
    [(nn.Sigmoid, 1.0, True), (nn.ReLU, 2.0, False)],
    ids=["sigmoid", "relu"],
)
def test_statistics_show_vanishing_and_exploding(
    activation: Any, weight: float, vanishes: bool
) -> None:
    model = nn.Sequential(*(nn.Neuron(1, activation, bias=False) for _ in range(DEPTH)))
    nn.init.constant_(list(model.parameters()), weight)
    model([0.5])[0].backward()
    statistics = nn.gradient_statistics(model).values()
    sizes = [layer.norm for layer in statistics]
    assert DEPTH == len(sizes)
    if vanishes:  # each sigmoid takes three quarters at least
        assert all(4.0 * early <= late for early, late in pairwise(sizes))
    else:  # the product of the other weights times the input, in every layer the same
        assert [0.5 * weight ** (DEPTH - 1)] * DEPTH == sizes


P = nn.Parameter(1.0)

ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: nn.clip_grad_norm_([], 1.0), ValueError, "parameters must hold at least one Param"),
    (lambda: nn.gradient_statistics([P]), TypeError, "model must be a Module, received the list"),
    (lambda: nn.clip_grad_norm_(P, 1.0), TypeError, "parameters must be an iterable of Parameters"),
    (lambda: nn.clip_grad_norm_([P], -1.0), ValueError, "max_norm must be a finite number ≥ 0"),
    (lambda: nn.clip_grad_norm_([P], math.nan), ValueError, "max_norm must be a finite number ≥"),
    (lambda: nn.clip_grad_value_([], 1.0), ValueError, "parameters must hold at least one Param"),
    (lambda: nn.clip_grad_value_([P], -1.0), ValueError, "clip_value must be a finite number ≥ 0"),
]


@pytest.mark.parametrize(("call", "error", "text"), ERRORS)
def test_bad_arguments(call: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()
