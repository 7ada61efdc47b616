"""Optimisers: their formulas in exact arithmetic, their states, and what they refuse."""

import json
import math
import random
import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp

import autograd
import nn
from nn import optim

# The formulas over mpmath's numbers, for one Parameter: generators that are sent the gradients and
# yield the numbers.


def sgd(w: Any, lr: Any, gamma: Any = 0, decay: Any = 0, nesterov: bool = False) -> Any:
    v = 0
    while True:
        g = (yield w) + decay * w
        v = gamma * v + g
        w = w - lr * (g + gamma * v if nesterov else v)


def adagrad(w: Any, lr: Any, decay: Any = 0) -> Any:
    s = 0
    while True:
        g = (yield w) + decay * w
        s = s + g**2
        w = w - lr * g / (mp.sqrt(s) + mp.mpf(1e-10))


def rmsprop(w: Any, lr: Any, alpha: Any, decay: Any = 0) -> Any:
    s = 0
    while True:
        g = (yield w) + decay * w
        s = alpha * s + (1 - alpha) * g**2
        w = w - lr * g / (mp.sqrt(s) + mp.mpf(1e-8))


def adam(w: Any, lr: Any, betas: Any, decay: Any = 0, decoupled: Any = 0) -> Any:
    m = v = t = 0
    while True:
        g = (yield w) + decay * w
        w = w - lr * decoupled * w
        t += 1
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        m_hat, v_hat = m / (1 - betas[0] ** t), v / (1 - betas[1] ** t)
        w = w - lr * m_hat / (mp.sqrt(v_hat) + mp.mpf(1e-8))


LR, GAMMA, DECAY, BETAS = 0.125, 0.75, 0.0625, (0.75, 0.9375)

Make = Callable[[list[nn.Parameter]], optim.Optimizer]

KINDS: dict[str, tuple[Make, Callable[[Any], Any]]] = {
    "sgd": (lambda p: optim.SGD(p, LR), lambda w: sgd(w, LR)),
    "sgd decay": (
        lambda p: optim.SGD(p, LR, weight_decay=DECAY),
        lambda w: sgd(w, LR, decay=DECAY),
    ),
    "momentum": (
        lambda p: optim.SGD(p, LR, GAMMA, DECAY),
        lambda w: sgd(w, LR, GAMMA, DECAY),
    ),
    "classical momentum": (
        lambda p: optim.SGD(p, LR, GAMMA, DECAY, momentum_form="classical"),
        lambda w: sgd(w, LR, GAMMA, DECAY),
    ),
    "nesterov": (
        lambda p: optim.SGD(p, LR, GAMMA, DECAY, nesterov=True),
        lambda w: sgd(w, LR, GAMMA, DECAY, nesterov=True),
    ),
    "classical nesterov": (
        lambda p: optim.SGD(p, LR, GAMMA, nesterov=True, momentum_form="classical"),
        lambda w: sgd(w, LR, GAMMA, nesterov=True),
    ),
    "adagrad": (lambda p: optim.Adagrad(p, LR), lambda w: adagrad(w, LR)),
    "adagrad decay": (
        lambda p: optim.Adagrad(p, LR, weight_decay=DECAY),
        lambda w: adagrad(w, LR, DECAY),
    ),
    "rmsprop": (
        lambda p: optim.RMSprop(p, LR, alpha=GAMMA, weight_decay=DECAY),
        lambda w: rmsprop(w, LR, GAMMA, DECAY),
    ),
    "adam": (lambda p: optim.Adam(p, LR, BETAS), lambda w: adam(w, LR, BETAS)),
    "adam decay": (
        lambda p: optim.Adam(p, LR, BETAS, weight_decay=DECAY),
        lambda w: adam(w, LR, BETAS, DECAY),
    ),
    "adamw": (
        lambda p: optim.AdamW(p, LR, BETAS, weight_decay=DECAY),
        lambda w: adam(w, LR, BETAS, decoupled=DECAY),
    ),
}

MAKES = [make for make, _ in KINDS.values()]


def train(optimizer: optim.Optimizer, p: Sequence[nn.Parameter], steps: Any) -> list[list[float]]:
    trajectory = []
    for gradients in steps:
        for parameter, gradient in zip(p, gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()
        trajectory.append([parameter.data for parameter in p])
    return trajectory


def noise(seed: int, steps: int = 100, count: int = 3) -> list[list[float]]:
    generator = random.Random(seed)
    return [[generator.gauss(0.0, 1.0) for _ in range(count)] for _ in range(steps)]


FEW_AND_MANY = pytest.mark.parametrize("count", [3, 18])
"""Parameters that are changed one by one, and so many that their rule is compiled."""


@FEW_AND_MANY
@pytest.mark.parametrize(("make", "formula"), KINDS.values(), ids=KINDS)
def test_a_hundred_steps_follow_the_formula(
    make: Make, formula: Callable[[Any], Any], count: int
) -> None:
    start = [1.0, -2.0, 0.5][:count] + [0.0] * (count - 3)
    gradients = noise(0, count=count)
    parameters = [nn.Parameter(w) for w in start]
    ours = train(make(parameters), parameters, gradients)
    with mp.workdps(50):
        for i, w in enumerate(start[:3]):
            exact = formula(mp.mpf(w))
            next(exact)
            expected = [float(exact.send(mp.mpf(step[i]))) for step in gradients]
            assert pytest.approx(expected, rel=1e-12, abs=1e-13) == [step[i] for step in ours]


@FEW_AND_MANY
@pytest.mark.parametrize("make", MAKES, ids=KINDS)
def test_parameters_are_independent(make: Make, count: int) -> None:
    gradients = noise(1, steps=10, count=count)
    together = [nn.Parameter(1.0) for _ in range(count)]
    ours = train(make(together), together, gradients)
    for i in range(count):
        alone = [nn.Parameter(1.0)]
        theirs = train(make(alone), alone, [[step[i]] for step in gradients])
        assert [[step[i]] for step in ours] == theirs


@pytest.mark.parametrize("make", MAKES, ids=KINDS)
@given(frozen=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=4))
@settings(max_examples=15)
def test_parameters_frozen_for_a_while_are_as_if_the_steps_were_not(
    make: Make, frozen: list[tuple[int, int]]
) -> None:
    """Step by step other stretches of 40 Parameters are frozen; alone, each skips those steps."""
    gradients = noise(3, steps=len(frozen) + 1, count=40)
    together = [nn.Parameter(1.0) for _ in range(40)]
    optimizer = make(together)
    for (start, end), step in zip([*frozen, (0, 0)], gradients, strict=True):
        for i, parameter in enumerate(together):
            parameter.requires_grad = not start <= i < end
        train(optimizer, together, [step])
    for i, parameter in enumerate(together):
        alone = [nn.Parameter(1.0)]
        skipped = [start <= i < end for start, end in frozen]
        steps = [
            [step[i]] for step, skip in zip(gradients, [*skipped, False], strict=True) if not skip
        ]
        train(make(alone), alone, steps)
        assert alone[0].data == parameter.data


@pytest.mark.parametrize("make", MAKES, ids=KINDS)
def test_without_numpy_the_numbers_are_the_same(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    gradients = noise(4, steps=10, count=20)
    found = []
    for _ in range(2):
        optim._program.cache_clear()
        parameters = [nn.Parameter(1.0) for _ in range(20)]
        optimizer = make(parameters)
        found.append((train(optimizer, parameters, gradients), optimizer.state_dict()))
        monkeypatch.setitem(sys.modules, "numpy", None)
    optim._program.cache_clear()
    assert found[0] == found[1]


def test_the_momentum_forms_differ_where_the_rate_changes() -> None:
    found = []
    for form in ("torch", "classical"):
        parameters = [nn.Parameter(0.0)]
        optimizer = optim.SGD(parameters, 1.0, momentum=0.5, momentum_form=form)
        train(optimizer, parameters, [[1.0]])
        optimizer.lr = 0.5
        train(optimizer, parameters, [[1.0]])
        found.append(parameters[0].data)
    assert [-1.0 - 0.5 * 1.5, -1.0 - (0.5 * 1.0 + 0.5)] == found


exact_numbers = st.integers(-64, 64).map(lambda n: n / 8)


@given(st.lists(exact_numbers, min_size=1, max_size=6), exact_numbers)
def test_gradient_descent_is_exact_where_floats_are(gs: list[float], start: float) -> None:
    parameter = nn.Parameter(start)
    train(optim.SGD([parameter], 0.25), [parameter], [[g] for g in gs])
    assert Fraction(start) - Fraction(1, 4) * sum(map(Fraction, gs)) == Fraction(parameter.data)


# Parameters that are left alone.


@pytest.mark.parametrize("make", MAKES, ids=KINDS)
def test_a_frozen_parameter_stays_and_begins_afresh(make: Make) -> None:
    frozen, trained, late = (nn.Parameter(2.0) for _ in range(3))
    optimizer = make([frozen, trained])
    frozen.requires_grad = False
    train(optimizer, [frozen, trained], [[1.0, 1.0]] * 5)
    assert 2.0 == frozen.data
    assert trained.data != 2.0
    frozen.requires_grad = True
    train(optimizer, [frozen, trained], [[1.0, 1.0]])
    train(make([late]), [late], [[1.0]])
    assert late.data == frozen.data


@FEW_AND_MANY
@pytest.mark.parametrize("kind", [optim.Adagrad, optim.RMSprop, optim.Adam])
def test_without_gradient_and_eps_nothing_moves(kind: Any, count: int) -> None:
    parameters = [nn.Parameter(2.0) for _ in range(count)]
    train(kind(parameters, eps=0.0), parameters, [[0.0] * count] * 2)
    assert [2.0] * count == [parameter.data for parameter in parameters]


def test_a_step_is_made_wherever_gradients_are_not() -> None:
    """The first one too, in which the rule is compiled."""
    optim._program.cache_clear()
    parameters = [nn.Parameter(1.0) for _ in range(20)]
    optimizer = optim.Adam(parameters, 0.5)
    with autograd.no_grad(), autograd.detect_anomaly():
        train(optimizer, parameters, [[math.inf] * 20])
    assert all(math.isnan(parameter.data) for parameter in parameters)


def test_zero_grad_clears_the_gradients_of_its_parameters() -> None:
    mine, other = nn.Parameter(1.0), nn.Parameter(1.0)
    mine.grad = other.grad = 3.0
    optim.SGD([mine], 0.1).zero_grad()
    assert (0.0, 3.0) == (mine.grad, other.grad)


def test_the_parameters_may_nest_as_in_a_layer() -> None:
    layer = nn.Linear(2, 2)
    nn.init.constant_([layer.weight, layer.bias], 1.0)
    for parameter in layer.parameters():
        parameter.grad = 4.0
    optim.SGD([layer.weight[1], layer.bias], 0.125).step()
    assert [1.0, 1.0, 0.5, 0.5, 0.5, 0.5] == list(layer.state_dict().values())


# States.


@pytest.mark.parametrize("make", MAKES, ids=KINDS)
def test_a_saved_run_resumes_exactly(make: Make) -> None:
    gradients = noise(2, steps=20)
    whole = [nn.Parameter(1.0) for _ in range(3)]
    unbroken = make(whole)
    first_half = train(unbroken, whole, gradients[:10])
    unbroken.lr = 0.03125
    saved = json.loads(json.dumps(unbroken.state_dict()))
    second_half = train(unbroken, whole, gradients[10:])

    resumed = [nn.Parameter(w) for w in first_half[-1]]
    other = type(unbroken)(resumed, 0.7)
    other.load_state_dict(saved)
    assert saved == json.loads(json.dumps(other.state_dict()))
    assert second_half == train(other, resumed, gradients[10:])
    assert unbroken.state_dict() == other.state_dict()


def test_an_optimiser_shows_its_settings() -> None:
    optimizer = optim.Adam([nn.Parameter(1.0)], lr=0.5)
    optimizer.lr = 0.25
    shown = "Adam(1 params, lr=0.25, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.0)"
    assert shown == repr(optimizer)


def test_a_state_holds_what_the_next_steps_depend_on() -> None:
    parameters = [nn.Parameter(1.0), nn.Parameter(2.0)]
    optimizer = optim.SGD(parameters, 0.5, momentum=0.5)
    train(optimizer, parameters, [[1.0, 2.0]])
    optimizer.lr = 0.25
    assert optimizer.state_dict() == {
        "lr": 0.25,
        "hyperparameters": {
            "lr": 0.5,
            "momentum": 0.5,
            "weight_decay": 0.0,
            "nesterov": False,
            "momentum_form": "torch",
        },
        "buffers": {"momentum_buffer": [1.0, 2.0]},
    }


def changed(path: Sequence[str], value: Any) -> dict[str, Any]:
    """The state of a fresh Adam over two Parameters, but for one entry."""
    state = json.loads(json.dumps(optim.Adam(two()).state_dict()))
    *way, last = path
    part = state
    for key in way:
        part = part[key]
    part[last] = value
    return state


def two() -> list[nn.Parameter]:
    return [nn.Parameter(1.0), nn.Parameter(2.0)]


BAD_STATES: list[tuple[Any, type[Exception], str]] = [
    (None, TypeError, "state must be a dict, received the NoneType None"),
    ({}, ValueError, "missing: 'lr', 'hyperparameters', 'buffers'; unknown: none"),
    (changed(["x"], 1), ValueError, "missing: none; unknown: 'x'"),
    (changed(["lr"], -1.0), ValueError, "lr must be a finite number ≥ 0, received -1.0"),
    (changed(["lr"], "1"), TypeError, "lr must be a finite number ≥ 0, received the str '1'"),
    (changed(["hyperparameters"], []), TypeError, r"state\['hyperparameters'\] must be a dict"),
    (changed(["hyperparameters", "momentum"], 0.5), ValueError, "unknown: 'momentum'"),
    (changed(["hyperparameters", "eps"], math.nan), ValueError, "eps must be a finite number"),
    (changed(["hyperparameters", "betas"], [0.9]), ValueError, "betas must be two numbers"),
    (changed(["buffers", "step"], [1.0]), ValueError, r"\['step'\] must be a list of 2 numbers"),
    (changed(["buffers", "step"], "12"), ValueError, "must be a list of 2 numbers, .*'12'"),
    (changed(["buffers", "step"], [-1.0, 0.0]), ValueError, "must be a finite number ≥ 0, rec"),
    (changed(["buffers", "exp_avg"], [0.0, math.nan]), ValueError, "must be a finite number, rec"),
    (changed(["buffers", "exp_avg_sq"], [0.0, -1.0]), ValueError, "must be a finite number ≥ 0"),
    (changed(["buffers", "exp_avg"], [0.0, None]), TypeError, "received the NoneType None"),
    (optim.SGD(two()).state_dict(), ValueError, "unknown: 'momentum'"),
    (optim.Adam([nn.Parameter(1.0)]).state_dict(), ValueError, "must be a list of 2 numbers"),
]


@pytest.mark.parametrize(("state", "error", "text"), BAD_STATES)
def test_a_bad_state_is_refused_and_changes_nothing(
    state: Any, error: type[Exception], text: str
) -> None:
    parameters = two()
    optimizer = optim.Adam(parameters, 0.5)
    train(optimizer, parameters, [[1.0, 2.0]])
    before = optimizer.state_dict()
    with pytest.raises(error, match=text):
        optimizer.load_state_dict(state)
    assert before == optimizer.state_dict()


# Bad input.

P = nn.Parameter(1.0)


def write_lr(lr: float) -> None:
    optim.SGD([P], 0.1).lr = lr


ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: optim.SGD([]), ValueError, "params must hold at least one Parameter, received none"),
    (lambda: optim.SGD(nn.ReLU().parameters()), ValueError, "params must hold at least one Param"),
    (lambda: optim.SGD(P), TypeError, "params must be an iterable of Parameters, received the"),
    (lambda: optim.SGD([1.0]), TypeError, "params must hold Parameters, received the float 1.0"),
    (lambda: optim.SGD([P, P]), ValueError, "params must hold each Parameter once"),
    (lambda: optim.SGD([P + 1]), ValueError, "params must hold Parameters, received a result of"),
    (lambda: optim.SGD([P], -0.1), ValueError, "lr must be a finite number ≥ 0, received -0.1"),
    (lambda: optim.SGD([P], math.nan), ValueError, "lr must be a finite number ≥ 0, received nan"),
    (lambda: optim.SGD([P], "0.1"), TypeError, "lr must be a finite number ≥ 0, received the str"),
    (lambda: write_lr(-1.0), ValueError, "lr must be a finite number ≥ 0, received -1.0"),
    (lambda: optim.SGD([P], momentum=-1), ValueError, "momentum must be a finite number ≥ 0, rec"),
    (lambda: optim.SGD([P], nesterov=True), ValueError, "momentum must be > 0 with nesterov, rec"),
    (lambda: optim.SGD([P], nesterov=1), TypeError, "nesterov must be True or False, received"),
    (lambda: optim.SGD([P], momentum_form="x"), ValueError, "momentum_form must be one of 'torch'"),
    (lambda: optim.SGD([P], weight_decay=-1), ValueError, "weight_decay must be a finite number ≥"),
    (lambda: optim.Adagrad([P], eps=-1), ValueError, "eps must be a finite number ≥ 0, received"),
    (
        lambda: optim.RMSprop([P], alpha=1.0),
        ValueError,
        "alpha must be .* ≥ 0 and < 1, rec",
    ),
    (lambda: optim.Adam([P], betas=0.9), ValueError, "betas must be two numbers, .* received 0.9"),
    (
        lambda: optim.Adam([P], betas=(0.9, 1.0)),
        ValueError,
        "betas must be .* < 1, received 1.0",
    ),
]


@pytest.mark.parametrize(("call", "error", "text"), ERRORS)
def test_bad_arguments(call: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()
