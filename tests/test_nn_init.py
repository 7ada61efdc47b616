"""Initialisation: the distributions, their parameters, and where the numbers come from."""

import math
import random
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nn
from nn import init

FAN_IN, FAN_OUT = 60, 40


def weight(rows: int = FAN_OUT, columns: int = FAN_IN) -> list[list[nn.Parameter]]:
    return [[nn.Parameter(9.0) for _ in range(columns)] for _ in range(rows)]


def data(table: list[list[nn.Parameter]]) -> list[float]:
    return [parameter.data for row in table for parameter in row]


Draw = Callable[[Any, Any], None]

DRAWN: list[tuple[str, Draw, float, float]] = [
    # name, initialisation, standard deviation, largest absolute value
    ("uniform", lambda w, g: init.uniform_(w, g, -2.0, 2.0), 2.0 / math.sqrt(3.0), 2.0),
    ("normal", lambda w, g: init.normal_(w, g, 0.0, 0.5), 0.5, math.inf),
    ("he normal", init.kaiming_normal_, math.sqrt(2.0 / FAN_IN), math.inf),
    ("he uniform", init.kaiming_uniform_, math.sqrt(2.0 / FAN_IN), math.sqrt(6.0 / FAN_IN)),
    (
        "he normal of a slope",
        lambda w, g: init.kaiming_normal_(w, g, slope=0.5),
        math.sqrt(2.0 / 1.25 / FAN_IN),
        math.inf,
    ),
    ("xavier normal", init.xavier_normal_, math.sqrt(2.0 / (FAN_IN + FAN_OUT)), math.inf),
    (
        "xavier uniform",
        init.xavier_uniform_,
        math.sqrt(2.0 / (FAN_IN + FAN_OUT)),
        math.sqrt(6.0 / (FAN_IN + FAN_OUT)),
    ),
    (
        "xavier uniform of a gain",
        lambda w, g: init.xavier_uniform_(w, g, gain=3.0),
        3.0 * math.sqrt(2.0 / (FAN_IN + FAN_OUT)),
        3.0 * math.sqrt(6.0 / (FAN_IN + FAN_OUT)),
    ),
    ("lecun normal", init.lecun_normal_, math.sqrt(1.0 / FAN_IN), math.inf),
]

IDS = [name for name, *_ in DRAWN]
DRAWS = [draw for _, draw, *_ in DRAWN]


@pytest.mark.parametrize("seeded", [random.Random, np.random.default_rng])
@pytest.mark.parametrize(("draw", "std", "bound"), [row[1:] for row in DRAWN], ids=IDS)
def test_the_drawn_numbers_have_the_stated_distribution(
    draw: Draw, std: float, bound: float, seeded: Any
) -> None:
    table = weight()
    draw(table, seeded(0))
    xs = data(table)
    # Five standard errors: of the mean of n numbers, and (of any of these) of their deviation.
    error = 5.0 / math.sqrt(len(xs))
    assert pytest.approx(0.0, abs=error * std) == statistics.fmean(xs)
    assert pytest.approx(std, rel=error / math.sqrt(2.0)) == statistics.pstdev(xs)
    assert bound >= max(map(abs, xs))
    assert bound == math.inf or max(map(abs, xs)) > 0.99 * bound
    assert {float} == set(map(type, xs))


@pytest.mark.parametrize("seeded", [random.Random, np.random.default_rng])
@pytest.mark.parametrize("draw", DRAWS, ids=IDS)
def test_the_generator_alone_decides(draw: Draw, seeded: Any) -> None:
    first, second, third = weight(3, 2), weight(3, 2), weight(3, 2)
    generator = seeded(7)
    draw(first, generator)
    draw(second, seeded(7))
    draw(third, generator)
    assert data(first) == data(second)
    assert data(first) != data(third)


def test_normal_has_a_mean() -> None:
    table = weight()
    init.normal_(table, random.Random(0), mean=5.0, std=0.0)
    assert {5.0} == set(data(table))


def test_numbers_are_drawn_from_left_to_right() -> None:
    table = weight(2, 2)
    init.uniform_(table, random.Random(3), -1.0, 1.0)
    generator = random.Random(3)
    assert [generator.uniform(-1.0, 1.0) for _ in range(4)] == data(table)


def test_zeros_and_constants_reach_every_nesting() -> None:
    layer = nn.Linear(2, 2)
    init.constant_([layer.weight, layer.bias], 0.5)
    assert {0.5} == set(layer.state_dict().values())
    init.zeros_(layer.bias)
    init.zeros_(layer.weight[0][0])
    assert [0.0, 0.5, 0.5, 0.5, 0.0, 0.0] == list(layer.state_dict().values())


def test_the_parameters_of_a_module_can_be_written() -> None:
    layer = nn.Linear(2, 2)
    init.constant_(layer.parameters(), 0.5)
    assert [0.5] * 6 == list(layer.state_dict().values())


G = random.Random(0)

ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: init.zeros_(1.0), TypeError, "parameters must be a Parameter or a list of them, rec"),
    (lambda: init.zeros_([[None]]), TypeError, "received the NoneType None"),
    (
        lambda: init.constant_([], math.nan),
        ValueError,
        "value must be a finite number, received nan",
    ),
    (lambda: init.uniform_([], G, 2.0, 1.0), ValueError, "high must be a finite number ≥ 2, rec"),
    (
        lambda: init.normal_([], G, std=-1.0),
        ValueError,
        "std must be a finite number ≥ 0, received -1",
    ),
    (
        lambda: init.normal_([], 42),
        TypeError,
        "generator must be a random.Random or a numpy.random",
    ),
    (
        lambda: init.kaiming_normal_([nn.Parameter(0.0)], G),
        ValueError,
        "weight must be a list of rows",
    ),
    (
        lambda: init.xavier_normal_([[]], G),
        ValueError,
        "weight must be a list of rows of equal length",
    ),
    (
        lambda: init.lecun_normal_([], G),
        ValueError,
        "weight must be a list of rows of equal length",
    ),
    (lambda: init.lecun_normal_(nn.Parameter(0.0), G), ValueError, "weight must be a list of rows"),
    (
        lambda: init.lecun_normal_([[nn.Parameter(0.0)], weight(1, 2)[0]], G),
        ValueError,
        "weight must be a list of rows of equal length",
    ),
    (
        lambda: init.xavier_normal_(weight(1, 1), G, gain=0),
        ValueError,
        "gain must be a finite number > 0",
    ),
    (lambda: init.kaiming_normal_(weight(1, 1), G, slope=math.inf), ValueError, "slope must be"),
]


@pytest.mark.parametrize(("call", "error", "text"), ERRORS)
def test_bad_arguments(call: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()
