"""Regularisation: the penalties with their gradients, and dropout."""

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
from autograd import Value

weights = st.lists(st.integers(-8, 8).map(float), min_size=1, max_size=6)


@given(weights)
def test_penalties_and_their_gradients(ws: list[float]) -> None:
    parameters = [nn.Parameter(w) for w in ws]
    l1, l2 = nn.l1(parameters), nn.l2(iter(parameters))
    net = nn.elastic_net(parameters, 0.5, 0.25)
    signs = [float(np.sign(w)) for w in ws]
    assert (sum(map(abs, ws)), signs) == (l1.data, l1.gradient(parameters))
    assert (sum(w * w for w in ws), [2.0 * w for w in ws]) == (l2.data, l2.gradient(parameters))
    assert 0.5 * l1.data + 0.25 * l2.data == net.data
    assert [0.5 * s + 0.5 * w for s, w in zip(signs, ws, strict=True)] == net.gradient(parameters)


def test_penalties_take_the_nested_weights_of_a_layer() -> None:
    layer = nn.Linear(2, 2)
    nn.init.constant_(layer.weight, -2.0)
    assert (8.0, 16.0) == (nn.l1(layer.weight).data, nn.l2([layer.weight]).data)


class Scripted(random.Random):
    """A generator that says what the test wants."""

    def __init__(self, *numbers: float) -> None:
        super().__init__()
        self._numbers = iter(numbers)

    def random(self) -> float:
        return next(self._numbers)


def test_dropout_zeroes_below_p_and_scales_the_rest() -> None:
    dropout = nn.Dropout(0.25, Scripted(0.0, 0.2499, 0.25, 0.9))
    xs = [Value(x) for x in (3.0, -6.0, 9.0, -12.0)]
    ys = dropout(xs)
    assert pytest.approx([0.0, 0.0, 12.0, -16.0], rel=1e-15) == [y.data for y in ys]
    assert [0.0, 0.0, 4.0 / 3.0, 4.0 / 3.0] == [y.gradient(x) for x, y in zip(xs, ys, strict=True)]


@pytest.mark.parametrize("seeded", [random.Random, np.random.default_rng])
def test_dropout_keeps_the_mean(seeded: Any) -> None:
    n, p = 20_000, 0.3
    ys = nn.Dropout(p, seeded(0))([1.0] * n)
    assert {0.0, 1.0 / (1.0 - p)} == set(ys)
    five_standard_errors = 5.0 * math.sqrt(p / (1.0 - p) / n)
    assert pytest.approx(1.0, abs=five_standard_errors) == math.fsum(ys) / n
    assert ys == nn.Dropout(p, seeded(0))([1.0] * n)
    assert ys != nn.Dropout(p, seeded(1))([1.0] * n)


def test_dropout_is_the_identity_in_use() -> None:
    model = nn.Sequential(nn.Dropout(1.0))
    xs = [Value(1.0), Value(2.0)]
    assert [0.0, 0.0] == [y.data for y in model(xs)]
    ys = model.eval()(xs)
    assert all(x is y for x, y in zip(xs, ys, strict=True))
    assert ys is not xs
    assert [0.0, 0.0] == [y.data for y in model.train()(xs)]


@pytest.mark.parametrize(("p", "expected"), [(0.0, [1.0, 2.0]), (1.0, [0.0, 0.0])])
def test_dropout_of_nothing_and_of_all(p: float, expected: list[float]) -> None:
    assert expected == nn.Dropout(p)([1.0, 2.0])


def test_dropout_of_an_image_drops_pixels() -> None:
    image = [[[1.0, 2.0], [3.0, 4.0]]]
    assert [[[0.0, 0.0], [0.0, 0.0]]] == nn.Dropout(1.0)(image)
    flat = nn.Dropout(0.5, random.Random(0))([1.0, 2.0, 3.0, 4.0])
    (((a, b), (c, d)),) = nn.Dropout(0.5, random.Random(0))(image)
    assert flat == [a, b, c, d]
    assert image == nn.Dropout(1.0).eval()(image)


P = nn.Parameter(1.0)

ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: nn.Dropout(1.5), ValueError, "p must be a finite number ≥ 0 and ≤ 1, received 1.5"),
    (lambda: nn.Dropout(-0.1), ValueError, "p must be a finite number ≥ 0 and ≤ 1, received -0.1"),
    (lambda: nn.Dropout("0.5"), TypeError, "p must be a finite number .*received the str '0.5'"),
    (lambda: nn.Dropout(0.5, 3), TypeError, "generator must be a random.Random or a numpy.random"),
    (lambda: nn.l1([]), ValueError, "parameters must hold at least one Parameter, received none"),
    (lambda: nn.l2(iter([])), ValueError, "is empty after its first use"),
    (lambda: nn.l2([P, 1.0]), TypeError, "must hold Parameters, received the float 1.0"),
    (lambda: nn.l2([P * 2]), ValueError, "must hold Parameters, received a result of mul"),
    (lambda: nn.l2(P), TypeError, "parameters must be an iterable of Parameters, received the Pa"),
    (lambda: nn.l2([P, P]), ValueError, "must hold each Parameter once"),
    (
        lambda: nn.elastic_net([P], -1.0, 0.0),
        ValueError,
        "l1_factor must be a finite number ≥ 0, received -1",
    ),
    (
        lambda: nn.elastic_net([P], 0.0, math.nan),
        ValueError,
        "l2_factor must be a finite number ≥ 0, received nan",
    ),
]


@pytest.mark.parametrize(("call", "error", "text"), ERRORS)
def test_bad_arguments(call: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()
