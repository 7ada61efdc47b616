"""Learning: small networks solve small problems, in loops written by hand."""

import math
import random
from typing import Any

import pytest

import nn
from nn import init, optim, schedulers

Data = tuple[list[list[float]], list[list[float]]]

XOR: Data = ([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [[0.0], [1.0], [1.0], [0.0]])


def half_circles(generator: random.Random, n: int) -> Data:
    """Two interleaved half circles with a little noise, n points of each."""
    xs, targets = list[list[float]](), list[list[float]]()
    for _ in range(n):
        for label in (0.0, 1.0):
            angle, sign = math.pi * generator.random(), 1.0 - 2.0 * label
            x = label + sign * math.cos(angle) + generator.gauss(0.0, 0.1)
            y = 0.5 * label + sign * math.sin(angle) + generator.gauss(0.0, 0.1)
            xs.append([x, y])
            targets.append([label])
    return xs, targets


def fit(model: nn.Module, optimizer: optim.Optimizer, loss: Any, data: Data, epochs: int) -> float:
    """Full-batch training; the last loss."""
    xs, targets = data
    current = math.inf
    for _ in range(epochs):
        optimizer.zero_grad()
        result = loss([model(x) for x in xs], targets)
        result.backward()
        optimizer.step()
        current = result.item()
    return current


def accuracy(model: nn.Module, data: Data) -> float:
    """The share of samples whose logit lies on the side of the target."""
    xs, targets = data
    right = [(model(x)[0].data > 0.0) == (t == 1.0) for x, (t,) in zip(xs, targets, strict=True)]
    return sum(right) / len(right)


@pytest.mark.parametrize(
    "make",
    [
        lambda p: optim.SGD(p, 0.5, momentum=0.9),
        lambda p: optim.SGD(p, 0.5, momentum=0.9, momentum_form="classical"),
        lambda p: optim.SGD(p, 0.5, momentum=0.9, nesterov=True),
        lambda p: optim.Adagrad(p, 0.3),
        lambda p: optim.RMSprop(p, 0.02),
        lambda p: optim.Adam(p, 0.1),
        lambda p: optim.AdamW(p, 0.1),
    ],
    ids=["momentum", "classical", "nesterov", "adagrad", "rmsprop", "adam", "adamw"],
)
def test_xor(make: Any) -> None:
    model = nn.MLP(2, [4, 1], nn.Tanh, generator=random.Random(1))
    assert fit(model, make(model.parameters()), nn.BCEWithLogitsLoss(), XOR, 200) < 0.05
    assert 1.0 == accuracy(model, XOR)


@pytest.mark.parametrize("activation", [nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Tanh])
def test_every_smooth_enough_activation_learns_xor(activation: Any) -> None:
    model = nn.MLP(2, [8, 1], activation, generator=random.Random(3))
    fit(model, optim.Adam(model.parameters(), 0.05), nn.BCEWithLogitsLoss(), XOR, 200)
    assert 1.0 == accuracy(model, XOR)


def test_xor_with_maxout_and_a_skip_connection() -> None:
    generator = random.Random(0)
    model = nn.Sequential(
        nn.Linear(2, 4, generator=generator),
        nn.Residual(
            nn.Sequential(nn.Linear(4, 8, generator=generator), nn.Maxout(2)),
        ),
        nn.Linear(4, 1, generator=generator),
    )
    fit(model, optim.Adam(model.parameters(), 0.05), nn.BCEWithLogitsLoss(), XOR, 100)
    assert 1.0 == accuracy(model, XOR)


def test_half_circles_by_mini_batches_with_a_schedule() -> None:
    generator = random.Random(1)
    data = half_circles(generator, 24)
    model = nn.MLP(2, [8, 8, 1], nn.Tanh, generator=generator)
    optimizer = optim.Adam(model.parameters(), 0.1)
    scheduler = schedulers.CosineAnnealingLR(optimizer, 40)
    samples = list(zip(*data, strict=True))
    for _ in range(40):
        generator.shuffle(samples)
        for start in range(0, len(samples), 8):
            xs, targets = zip(*samples[start : start + 8], strict=True)
            fit(model, optimizer, nn.BCEWithLogitsLoss(), (xs, targets), 1)
        scheduler.step()
    assert 1.0 == accuracy(model, data)


def test_three_classes_with_softmax_cross_entropy() -> None:
    generator = random.Random(0)
    centres = [(0.0, 1.0), (1.0, -1.0), (-1.0, -1.0)]
    targets = [i % 3 for i in range(30)]
    xs = [[c + generator.gauss(0.0, 0.2) for c in centres[target]] for target in targets]
    model = nn.MLP(2, [3], generator=generator)
    optimizer = optim.SGD(model.parameters(), 1.0)
    for _ in range(30):
        optimizer.zero_grad()
        nn.CrossEntropyLoss()([model(x) for x in xs], targets).backward()
        optimizer.step()
    scores = [[y.data for y in model(x)] for x in xs]
    assert targets == [row.index(max(row)) for row in scores]


def test_logistic_regression_separates_what_a_line_separates() -> None:
    data: Data = ([[-2.0], [-1.0], [1.0], [3.0]], [[0.0], [0.0], [1.0], [1.0]])
    model = nn.LogisticRegression(1, random.Random(0))
    fit(model, optim.SGD(model.parameters(), 1.0), nn.BCELoss(), data, 50)
    assert [[0.0], [0.0], [1.0], [1.0]] == [[round(model(x)[0].data)] for x in data[0]]


def test_gradient_descent_finds_the_least_squares_line() -> None:
    data: Data = ([[0.0], [1.0], [2.0], [3.0]], [[1.0], [3.0], [4.0], [8.0]])
    model = nn.Linear(1, 1, generator=random.Random(0))
    fit(model, optim.SGD(model.parameters(), 0.1, momentum=0.5), nn.MSELoss(), data, 1000)
    assert pytest.approx({"weight.0.0": 2.2, "bias.0": 0.7}, rel=1e-12) == model.state_dict()


def test_l1_makes_useless_weights_zero_or_nearly_so() -> None:
    generator = random.Random(0)
    xs = [[generator.gauss(0.0, 1.0) for _ in range(4)] for _ in range(32)]
    targets = [[3.0 * x[0] - 2.0 * x[2]] for x in xs]
    model = nn.Linear(4, 1, bias=False, generator=generator)
    optimizer = optim.SGD(model.parameters(), 0.01)
    for _ in range(300):
        optimizer.zero_grad()
        data_loss = nn.MSELoss()([model(x) for x in xs], targets)
        (data_loss + 0.2 * nn.l1(model.parameters())).backward()
        optimizer.step()
    used_1, idle_1, used_2, idle_2 = (abs(w) for w in model.state_dict().values())
    assert min(used_1, used_2) > 1.5
    assert max(idle_1, idle_2) < 0.01


def test_transfer_learning_trains_the_new_layer_alone() -> None:
    model = nn.MLP(2, [6, 1], nn.Tanh, generator=random.Random(5))
    body, _, head = model.layers
    init.uniform_(body.weight, random.Random(6), -3.0, 3.0)
    body.freeze()
    before, head_before = body.state_dict(), head.state_dict()
    fit(model, optim.Adam(model.parameters(), 0.1), nn.BCEWithLogitsLoss(), XOR, 150)
    assert before == body.state_dict()
    assert not head_before.items() & head.state_dict().items()
    assert 1.0 == accuracy(model, XOR)


def test_equal_weights_stay_equal_so_symmetry_must_be_broken() -> None:
    model = nn.MLP(2, [3, 1], nn.Tanh)
    init.constant_(list(model.parameters()), 0.5)
    fit(model, optim.Adam(model.parameters(), 0.1), nn.BCEWithLogitsLoss(), XOR, 20)
    first, second, third = model.state_dict(), model.layers[0].weight, model.layers[0].bias
    rows = {tuple(w.data for w in row) for row in second}
    assert (1, 1) == (len(rows), len({b.data for b in third}))
    assert first["layers.0.weight.0.0"] != 0.5
