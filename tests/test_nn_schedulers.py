"""Schedulers: the learning rate of every epoch, resuming, and what they refuse."""

import json
import math
from collections.abc import Callable
from typing import Any

import pytest

import nn
from nn import optim, schedulers

LR0 = 0.5


def optimizer() -> optim.SGD:
    return optim.SGD([nn.Parameter(1.0)], LR0)


def warm_then_cosine(o: optim.Optimizer) -> schedulers.Scheduler:
    return schedulers.SequentialLR(
        o, [schedulers.LinearLR(o, 0.25, 1.0, 4), schedulers.CosineAnnealingLR(o, 8, 0.1)], [4]
    )


Make = Callable[[optim.Optimizer], schedulers.Scheduler]

FORMULAS: dict[str, tuple[Make, Callable[[int], float]]] = {
    "step": (lambda o: schedulers.StepLR(o, 3, 0.5), lambda t: 0.5 ** (t // 3)),
    "exponential": (lambda o: schedulers.ExponentialLR(o, 0.9), lambda t: 0.9**t),
    "1/t": (lambda o: schedulers.InverseTimeLR(o, 0.25), lambda t: 1 / (1 + 0.25 * t)),
    "cosine": (
        lambda o: schedulers.CosineAnnealingLR(o, 10, eta_min=0.1),
        lambda t: 0.2 + 0.8 * (1 + math.cos(math.pi * t / 10)) / 2,
    ),
    "warm-up": (
        lambda o: schedulers.LinearLR(o, 0.2, 1.0, 4),
        lambda t: 0.2 + 0.8 * min(t, 4) / 4,
    ),
    "warm-up, then cosine": (
        warm_then_cosine,
        lambda t: (
            0.25 + 0.75 * t / 4 if t < 4 else 0.2 + 0.8 * (1 + math.cos(math.pi * (t - 4) / 8)) / 2
        ),
    ),
}
"""Each scheduler with its learning rate in units of the first one."""


@pytest.mark.parametrize(("make", "formula"), FORMULAS.values(), ids=FORMULAS)
def test_the_rate_of_every_epoch(make: Make, formula: Callable[[int], float]) -> None:
    o = optimizer()
    scheduler = make(o)
    rates = [o.lr]
    for _ in range(30):
        scheduler.step()
        rates.append(o.lr)
    assert pytest.approx([LR0 * formula(t) for t in range(31)], rel=1e-14) == rates
    assert LR0 == o.initial_lr


@pytest.mark.parametrize(("make", "formula"), FORMULAS.values(), ids=FORMULAS)
def test_a_saved_run_resumes_exactly(make: Make, formula: Callable[[int], float]) -> None:
    first, second = optimizer(), optimizer()
    scheduler = make(first)
    for _ in range(5):
        scheduler.step()
    saved = json.loads(json.dumps([first.state_dict(), scheduler.state_dict()]))
    other = make(second)
    second.load_state_dict(saved[0])
    other.load_state_dict(saved[1])
    assert first.lr == second.lr
    for t in range(6, 12):
        scheduler.step()
        other.step()
        assert first.lr == second.lr
        assert pytest.approx(LR0 * formula(t), rel=1e-14) == second.lr


def rates(metrics: list[float], **arguments: Any) -> list[float]:
    o = optim.SGD([nn.Parameter(1.0)], 1.0)
    scheduler = schedulers.ReduceLROnPlateau(o, factor=0.5, **arguments)
    found = []
    for metric in metrics:
        scheduler.step(metric)
        found.append(o.lr)
    return found


NAN, INF = math.nan, math.inf

PLATEAUS: list[tuple[list[float], dict[str, Any], list[float]]] = [
    ([3.0, 2.0, 1.0], {"patience": 0}, [1.0, 1.0, 1.0]),
    ([3.0, 3.0, 3.0], {"patience": 0}, [1.0, 0.5, 0.25]),
    ([3.0, 3.0, 3.0, 3.0, 3.0, 3.0], {"patience": 1}, [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]),
    ([3.0, 4.0, 2.0, 4.0, 4.0], {"patience": 1}, [1.0, 1.0, 1.0, 1.0, 0.5]),
    ([3.0, 2.9, 2.0], {"patience": 0, "threshold": 0.1}, [1.0, 0.5, 0.5]),
    ([1.0, 2.0, 2.0], {"patience": 0, "mode": "max"}, [1.0, 1.0, 0.5]),
    ([3.0, 3.0, 3.0], {"patience": 0, "min_lr": 0.4}, [1.0, 0.5, 0.4]),
    ([3.0, 3.0], {"patience": 0, "min_lr": 2.0}, [1.0, 1.0]),
    ([NAN, 3.0, NAN, 2.0], {"patience": 0}, [0.5, 0.5, 0.25, 0.25]),
    ([INF, 3.0, INF, -INF], {"patience": 0}, [0.5, 0.5, 0.25, 0.25]),
]


@pytest.mark.parametrize(("metrics", "arguments", "expected"), PLATEAUS)
def test_reduce_on_plateau(
    metrics: list[float], arguments: dict[str, Any], expected: list[float]
) -> None:
    assert expected == rates(metrics, **arguments)


def test_reduce_on_plateau_resumes_exactly() -> None:
    first, second = optimizer(), optimizer()
    scheduler = schedulers.ReduceLROnPlateau(first, patience=2)
    other = schedulers.ReduceLROnPlateau(second, patience=2)
    assert {"best": None, "num_bad_epochs": 0} == scheduler.state_dict()
    other.load_state_dict(json.loads(json.dumps(scheduler.state_dict())))
    for metric in (1.0, 2.0):
        scheduler.step(metric)
    assert {"best": 1.0, "num_bad_epochs": 1} == scheduler.state_dict()
    other.load_state_dict(json.loads(json.dumps(scheduler.state_dict())))
    for metric in (2.0, 2.0):
        scheduler.step(metric)
        other.step(metric)
        assert first.lr == second.lr
    assert pytest.approx(0.1 * LR0) == second.lr


O = optimizer()  # noqa: E741

ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: schedulers.StepLR(O, 0), ValueError, "step_size must be a whole number ≥ 1, rec"),
    (lambda: schedulers.StepLR(O, 1, -1.0), ValueError, "gamma must be a finite number ≥ 0, rec"),
    (lambda: schedulers.ExponentialLR(O, NAN), ValueError, "gamma must be a finite number ≥ 0"),
    (lambda: schedulers.InverseTimeLR(O, -1), ValueError, "decay must be a finite number ≥ 0"),
    (lambda: schedulers.CosineAnnealingLR(O, 1.5), TypeError, "T_max must be a whole number ≥ 1"),
    (lambda: schedulers.CosineAnnealingLR(O, 5, -1), ValueError, "eta_min must be a finite num"),
    (lambda: schedulers.LinearLR(O, -1), ValueError, "start_factor must be a finite number ≥ 0"),
    (lambda: schedulers.LinearLR(O, total_iters=0), ValueError, "total_iters must be a whole num"),
    (
        lambda: schedulers.SequentialLR(O, [schedulers.StepLR(O, 1)], [3]),
        ValueError,
        "milestones must be one fewer than schedulers, received 1 for 1 schedulers",
    ),
    (
        lambda: schedulers.SequentialLR(O, [schedulers.StepLR(O, 1)] * 3, [3, 3]),
        ValueError,
        r"milestones must increase, received \[3, 3\]",
    ),
    (
        lambda: schedulers.StepLR(O, 1).load_state_dict({}),
        ValueError,
        "missing: 'last_epoch'; unknown: none",
    ),
    (
        lambda: schedulers.StepLR(O, 1).load_state_dict({"last_epoch": 1.5}),
        TypeError,
        "must be a whole number ≥ 0, received the float 1.5",
    ),
    (
        lambda: schedulers.ReduceLROnPlateau(O).load_state_dict({"best": NAN, "num_bad_epochs": 0}),
        ValueError,
        r"state\['best'\] must be a finite number, received nan",
    ),
    (lambda: schedulers.ReduceLROnPlateau(O, "less"), ValueError, "mode must be one of 'min', 'm"),
    (lambda: schedulers.ReduceLROnPlateau(O, factor=1), ValueError, "factor must be a finite .* <"),
    (lambda: schedulers.ReduceLROnPlateau(O, patience=-1), ValueError, "patience must be a whole"),
    (
        lambda: schedulers.ReduceLROnPlateau(O).step(nn.Parameter(1.0)),
        TypeError,
        "metric must be a number, such as loss.item",
    ),
]


@pytest.mark.parametrize(("call", "error", "text"), ERRORS)
def test_bad_arguments(call: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()


def test_a_rate_that_grows_beyond_all_floats_is_refused() -> None:
    scheduler = schedulers.ExponentialLR(optimizer(), 1e300)
    scheduler.step()
    with pytest.raises(ValueError, match="lr must be a finite number ≥ 0, received inf"):
        scheduler.step()
