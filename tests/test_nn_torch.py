"""Beside PyTorch, where it is installed: losses, optimisers, schedulers, activations, networks."""

import math
import random
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import nn
from autograd import Value
from nn import init, optim, schedulers

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its own imports
    torch = pytest.importorskip("torch")


def tensor(numbers: Any) -> Any:
    return torch.tensor(numbers, dtype=torch.float64, requires_grad=True)


def close(theirs: Any) -> Any:
    """What PyTorch gives, to 1e-12 relative."""
    expected = theirs.tolist() if hasattr(theirs, "tolist") else theirs
    return pytest.approx(expected, rel=1e-12, abs=1e-300)


def noise(seed: int, *shape: int) -> Any:
    generator = random.Random(seed)

    def draw(shape: tuple[int, ...]) -> Any:
        return [draw(shape[1:]) for _ in range(shape[0])] if shape else generator.gauss(0.0, 1.0)

    return draw(shape)


# Activations.

POINTS = [-30.0, -2.0, -0.5, -1e-3, 0.0, 1e-3, 0.5, 2.0, 30.0]

ACTIVATIONS: list[tuple[nn.Module, str, dict[str, float]]] = [
    (nn.Sigmoid(), "Sigmoid", {}),
    (nn.Tanh(), "Tanh", {}),
    (nn.ReLU(), "ReLU", {}),
    (nn.LeakyReLU(), "LeakyReLU", {}),
    (nn.LeakyReLU(0.1), "LeakyReLU", {"negative_slope": 0.1}),
    (nn.ELU(), "ELU", {}),
    (nn.ELU(0.5), "ELU", {"alpha": 0.5}),
    (nn.GELU(), "GELU", {}),
    (nn.SiLU(), "SiLU", {}),
    (nn.Softmax(), "Softmax", {"dim": -1}),
]


@pytest.mark.parametrize(("module", "name", "arguments"), ACTIVATIONS)
def test_activations(module: nn.Module, name: str, arguments: dict[str, float]) -> None:
    xs, theirs = [Value(x) for x in POINTS], tensor(POINTS)
    upstream = noise(0, len(POINTS))
    ys, expected = module(xs), getattr(torch.nn, name)(**arguments)(theirs)
    expected.backward(torch.tensor(upstream, dtype=torch.float64))
    total = sum((g * y for g, y in zip(upstream, ys, strict=True)), Value(0.0))
    # PyTorch's Φ loses its digits far out; a softmax's gradient is a difference of like numbers.
    tolerance = {"rel": 1e-12, "abs": 1e-15 if name in ("GELU", "Softmax") else 1e-300}
    assert pytest.approx(expected.tolist(), **tolerance) == [y.data for y in ys]
    assert pytest.approx(theirs.grad.tolist(), **tolerance) == total.gradient(xs)


# Losses.

CLASSES = [0, 2, 1, 2]
SOFT = [[0.5, 0.25, 0.25], [0.0, 1.0, 0.0], [0.125, 0.125, 0.75], [1.0, 0.0, 0.0]]
UNIT = [[0.1, 0.9, 0.5], [0.25, 0.75, 0.3], [0.99, 0.01, 0.6], [0.2, 0.4, 0.8]]
REAL = noise(1, 4, 3)

LOSSES: list[tuple[str, Any, str, Any, Any]] = [
    # ours, predictions, PyTorch's, targets, PyTorch's kind of targets
    ("MSELoss", REAL, "MSELoss", noise(2, 4, 3), torch.float64),
    ("L1Loss", REAL, "L1Loss", noise(2, 4, 3), torch.float64),
    ("BCELoss", UNIT, "BCELoss", SOFT, torch.float64),
    ("BCEWithLogitsLoss", REAL, "BCEWithLogitsLoss", SOFT, torch.float64),
    ("CrossEntropyLoss", REAL, "CrossEntropyLoss", CLASSES, torch.long),
    ("CrossEntropyLoss", REAL, "CrossEntropyLoss", SOFT, torch.float64),
]


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(("ours", "predictions", "name", "targets", "kind"), LOSSES)
def test_losses(
    ours: str, predictions: Any, name: str, targets: Any, kind: Any, reduction: str
) -> None:
    theirs = tensor(predictions)
    expected = getattr(torch.nn, name)(reduction=reduction)(
        theirs, torch.tensor(targets, dtype=kind)
    )
    expected.backward()
    values = [[Value(y) for y in row] for row in predictions]
    loss = getattr(nn, ours)(reduction)(values, targets)
    assert close(expected.item()) == loss.data
    for row, slopes in zip(values, theirs.grad.tolist(), strict=True):
        assert close(slopes) == loss.gradient(row)


def test_the_categorical_loss_of_probabilities_is_nll_of_their_logarithms() -> None:
    predictions = [[p / sum(row) for p in row] for row in UNIT]
    theirs = tensor(predictions)
    expected = torch.nn.NLLLoss()(theirs.log(), torch.tensor(CLASSES))
    assert close(expected.item()) == nn.CategoricalCrossEntropyLoss()(predictions, CLASSES)


# Networks.


def test_a_network_and_all_its_gradients() -> None:
    model = nn.MLP(3, [5, 4, 2], nn.Tanh, generator=random.Random(0))
    theirs = torch.nn.Sequential(
        torch.nn.Linear(3, 5),
        torch.nn.Tanh(),
        torch.nn.Linear(5, 4),
        torch.nn.Tanh(),
        torch.nn.Linear(4, 2),
    ).double()
    flat = iter(model.state_dict().values())
    with torch.no_grad():
        for parameter in theirs.parameters():
            numbers = [next(flat) for _ in range(parameter.numel())]
            parameter.copy_(torch.tensor(numbers, dtype=torch.float64).reshape(parameter.shape))
    xs, targets = noise(3, 6, 3), noise(4, 6, 2)
    expected = torch.nn.MSELoss()(theirs(tensor(xs)), tensor(targets))
    expected.backward()
    loss = nn.MSELoss()([model(x) for x in xs], targets)
    loss.backward()
    gradients = [g for parameter in theirs.parameters() for g in parameter.grad.flatten().tolist()]
    assert close(expected.item()) == loss.data
    assert pytest.approx(gradients, rel=1e-12, abs=1e-16) == [p.grad for p in model.parameters()]


# Optimisers and schedulers.

STEPS = 100

OPTIMISERS: list[tuple[type[optim.Optimizer], dict[str, Any]]] = [
    (optim.SGD, {"lr": 0.01}),
    (optim.SGD, {"lr": 0.01, "weight_decay": 0.1}),
    (optim.SGD, {"lr": 0.01, "momentum": 0.9}),
    (optim.SGD, {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.1, "nesterov": True}),
    (optim.Adagrad, {"lr": 0.1}),
    (optim.Adagrad, {"lr": 0.1, "weight_decay": 0.1, "eps": 1e-3}),
    (optim.RMSprop, {"lr": 0.01}),
    (optim.RMSprop, {"lr": 0.01, "alpha": 0.9, "weight_decay": 0.1, "eps": 1e-3}),
    (optim.Adam, {}),
    (optim.Adam, {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}),
    (optim.AdamW, {}),
    (optim.AdamW, {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}),
]

SCHEDULERS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "constant": (lambda o: schedulers.StepLR(o, 1000), lambda o: _lr.StepLR(o, 1000)),
    "step": (lambda o: schedulers.StepLR(o, 7, 0.5), lambda o: _lr.StepLR(o, 7, 0.5)),
    "exponential": (
        lambda o: schedulers.ExponentialLR(o, 0.97),
        lambda o: _lr.ExponentialLR(o, 0.97),
    ),
    "1/t": (
        lambda o: schedulers.InverseTimeLR(o, 0.1),
        lambda o: _lr.LambdaLR(o, lambda t: 1 / (1 + 0.1 * t)),
    ),
    "cosine": (
        lambda o: schedulers.CosineAnnealingLR(o, STEPS, 1e-4),
        lambda o: _lr.CosineAnnealingLR(o, STEPS, 1e-4),
    ),
    "warm-up": (lambda o: schedulers.LinearLR(o), lambda o: _lr.LinearLR(o)),
    "warm-up, then cosine": (
        lambda o: schedulers.SequentialLR(
            o, [schedulers.LinearLR(o, 0.1), schedulers.CosineAnnealingLR(o, 95, 1e-4)], [5]
        ),
        lambda o: _lr.SequentialLR(
            o, [_lr.LinearLR(o, 0.1), _lr.CosineAnnealingLR(o, 95, 1e-4)], [5]
        ),
    ),
}

_lr = torch.optim.lr_scheduler


@pytest.mark.parametrize("schedule", SCHEDULERS)
@pytest.mark.parametrize(("kind", "arguments"), OPTIMISERS)
def test_optimisers_for_a_hundred_steps(
    kind: type[optim.Optimizer], arguments: dict[str, Any], schedule: str
) -> None:
    """On a slope that changes at every step; the numbers stay away from 0."""
    start = [3.0, -4.0, 5.0]
    ours, theirs = [nn.Parameter(w) for w in start], [tensor(w) for w in start]
    optimizer, other = (
        kind(ours, **arguments),
        getattr(torch.optim, kind.__name__)(theirs, **arguments),
    )
    mine, expected = (
        make(o) for make, o in zip(SCHEDULERS[schedule], (optimizer, other), strict=True)
    )
    for slope in noise(5, STEPS, 3):
        assert close(other.param_groups[0]["lr"]) == optimizer.lr
        for o, w in ((optimizer, ours), (other, theirs)):
            o.zero_grad()
            sum(g * w_i for g, w_i in zip(slope, w, strict=True)).backward()
            o.step()
        mine.step()
        expected.step()
        assert close([w.item() for w in theirs]) == [w.data for w in ours]


def test_reduce_on_plateau() -> None:
    theirs = torch.optim.SGD([tensor(1.0)], 1.0)
    ours = optim.SGD([nn.Parameter(1.0)], 1.0)
    arguments: dict[str, Any] = {"factor": 0.5, "patience": 2, "threshold": 0.01, "min_lr": 1e-3}
    for mode in ("min", "max"):
        expected = _lr.ReduceLROnPlateau(theirs, mode, **arguments)
        mine = schedulers.ReduceLROnPlateau(ours, mode, **arguments)
        for metric in (*map(abs, noise(6, 60)), math.nan, math.inf, 0.0):
            expected.step(metric)
            mine.step(metric)
            assert theirs.param_groups[0]["lr"] == ours.lr


# Initialisation.


class Unscaled(random.Random):
    """Says mean + std for a normal number, and the upper limit for a uniform one."""

    def gauss(self, mu: float = 0.0, sigma: float = 1.0) -> float:
        return mu + sigma

    def uniform(self, _: float, b: float) -> float:
        return b


def torch_std(name: str, weight: Any, gain: float) -> float:
    fan_in, fan_out = torch.nn.init._calculate_fan_in_and_fan_out(weight)
    return gain * math.sqrt(1.0 / fan_in if name == "kaiming" else 2.0 / (fan_in + fan_out))


INITIALISATIONS: list[tuple[Callable[[Any, Any], None], str, float, float]] = [
    (init.kaiming_normal_, "kaiming", torch.nn.init.calculate_gain("relu"), 1.0),
    (init.kaiming_uniform_, "kaiming", torch.nn.init.calculate_gain("relu"), math.sqrt(3.0)),
    (
        lambda w, g: init.kaiming_uniform_(w, g, slope=0.3),
        "kaiming",
        torch.nn.init.calculate_gain("leaky_relu", 0.3),
        math.sqrt(3.0),
    ),
    (init.xavier_normal_, "xavier", 1.0, 1.0),
    (
        lambda w, g: init.xavier_uniform_(w, g, gain=5.0 / 3.0),
        "xavier",
        torch.nn.init.calculate_gain("tanh"),
        math.sqrt(3.0),
    ),
]


@pytest.mark.parametrize(("draw", "name", "gain", "factor"), INITIALISATIONS)
def test_the_scale_of_an_initialisation(
    draw: Callable[[Any, Any], None], name: str, gain: float, factor: float
) -> None:
    theirs, ours = torch.nn.Linear(7, 5), nn.Linear(7, 5)
    draw(ours.weight, Unscaled())
    assert close(factor * torch_std(name, theirs.weight, gain)) == ours.weight[4][6].data


def test_the_first_weights_of_a_linear_layer() -> None:
    ours, theirs = nn.Linear(7, 200, generator=Unscaled()), torch.nn.Linear(7, 2000)
    (bound,) = set(ours.state_dict().values())
    for parameter in theirs.parameters():
        assert bound >= parameter.abs().max().item() > 0.99 * bound


def test_clipping_by_norm_differs_by_pytorch_s_1e_minus_6() -> None:
    numbers = noise(7, 20)
    theirs, ours = [tensor(0.0) for _ in numbers], [nn.Parameter(0.0) for _ in numbers]
    for mine, other, g in zip(ours, theirs, numbers, strict=True):
        mine.grad, other.grad = g, torch.tensor(g, dtype=torch.float64)
    norm = torch.nn.utils.clip_grad_norm_(theirs, 1.0).item()
    assert close(norm) == nn.clip_grad_norm_(ours, 1.0)
    factor = norm / (norm + 1e-6)
    assert close([other.grad.item() for other in theirs]) == [factor * p.grad for p in ours]
