"""Each alternative to backpropagation learns: small problems, in loops written by hand."""

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd
import nn
from autograd import Value, no_grad
from nn import alternatives, init, optim
from nn.evaluation import numbers

Points = list[list[float]]

CORNERS: Points = [[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]
UNEQUAL = [[0.0], [1.0], [1.0], [0.0]]


def descend(optimizer: optim.Optimizer, loss_of: Callable[[], Value], steps: int) -> float:
    """So many steps down a loss; the last loss."""
    loss = loss_of()
    for _ in range(steps):
        loss = loss_of()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


def outputs(model: nn.Module, xs: Points) -> Points:
    with no_grad():
        return [numbers(model(x)) for x in xs]


def winners(model: nn.Module, xs: Points) -> list[int]:
    """Which output is the largest."""
    return [y.index(max(y)) for y in outputs(model, xs)]


def share_equal(found: list[int], wanted: list[int]) -> float:
    return sum(a == b for a, b in zip(found, wanted, strict=True)) / len(wanted)


def noisy_corners(n: int, seed: int) -> tuple[Points, list[int]]:
    """Points about the corners of a square; the class says whether the signs differ."""
    generator = random.Random(seed)
    corners = [CORNERS[i % 4] for i in range(n)]
    xs = [[x + generator.gauss(0.0, 0.25) for x in corner] for corner in corners]
    return xs, [int(a != b) for a, b in corners]


# With labels: exclusive or.

logits_loss = nn.BCEWithLogitsLoss()


def xor_loss(model: nn.Module) -> Value:
    return logits_loss([model(x) for x in CORNERS], UNEQUAL)


def solves_xor(model: nn.Module) -> bool:
    return [y > 0.0 for (y,) in outputs(model, CORNERS)] == [t == 1.0 for (t,) in UNEQUAL]


def xor_network(*sizes: int) -> nn.MLP:
    return nn.MLP(2, sizes, nn.Tanh, generator=random.Random(1))


@pytest.mark.parametrize(
    "make", [alternatives.FeedbackAlignment, alternatives.DirectFeedbackAlignment]
)
def test_feedback_alignment(make: Any) -> None:
    model = xor_network(6, 6, 1)
    rule = make(model, random.Random(7))
    assert not solves_xor(model)
    descend(optim.Adam(model.parameters(), 0.05), lambda: xor_loss(rule), 100)
    assert xor_loss(model).data < 0.05
    assert solves_xor(model)


def test_difference_target_propagation() -> None:
    model = xor_network(6, 4, 1)
    feedback = [
        nn.Sequential(nn.Linear(n_out, n_in, generator=random.Random(5)), nn.Tanh())
        for n_in, n_out in ((6, 4), (4, 1))
    ]
    rule = alternatives.DifferenceTargetPropagation(
        model, feedback, target_lr=0.5, noise=0.3, generator=random.Random(2)
    )
    forward = optim.Adam(model.parameters(), 0.03)
    backward = optim.Adam([p for module in feedback for p in module.parameters()], 0.03)
    for _ in range(100):
        descend(backward, lambda: autograd.sum([rule.feedback_losses(x) for x in CORNERS]), steps=1)
        descend(forward, lambda: local_losses(rule), steps=1)
    assert xor_loss(model).data < 0.1
    assert solves_xor(model)


def local_losses(rule: alternatives.DifferenceTargetPropagation) -> Value:
    return autograd.sum(
        [
            rule.losses(x, lambda found, target=target: logits_loss(found, target))
            for x, target in zip(CORNERS, UNEQUAL, strict=True)
        ]
    )


def test_evolution() -> None:
    model = xor_network(4, 1)
    strategy = alternatives.EvolutionStrategy(
        model.parameters(), pairs=8, generator=random.Random(3)
    )
    optimizer = optim.Adam(model.parameters(), 0.1)
    descend(optimizer, lambda: strategy.loss(lambda: xor_loss(model)), 60)
    assert xor_loss(model).data < 0.1
    assert solves_xor(model)


def test_evolution_needs_no_derivative() -> None:
    """A step neuron learns to say "and" from the number of its mistakes."""
    neuron = nn.Perceptron(2, generator=random.Random(0))

    def mistakes() -> float:
        return sum(abs(neuron(x)[0].data - float(x == [1.0, 1.0])) for x in CORNERS)

    strategy = alternatives.EvolutionStrategy(
        neuron.parameters(), 0.5, pairs=20, generator=random.Random(1)
    )
    assert mistakes() > 0.0
    descend(optim.SGD(neuron.parameters(), 0.3), lambda: strategy.loss(mistakes), 20)
    assert 0.0 == mistakes()


# The HSIC bottleneck, in both of its uses.

TRAIN, TEST = noisy_corners(12, seed=0), noisy_corners(40, seed=1)
ONE_HOT = [[float(label == i) for i in range(2)] for label in TRAIN[1]]


def bottleneck(sigma: float, seed: int) -> nn.Sequential:
    """A network of two softmax outputs, trained layer by layer."""
    generator = random.Random(seed)
    model = nn.Sequential(*nn.MLP(2, [6, 2], nn.Tanh, generator=generator), nn.Softmax())
    rule = alternatives.HSICBottleneck(model, beta=5.0, sigma=sigma)
    optimizer = optim.Adam(model.parameters(), 0.05)
    descend(optimizer, lambda: autograd.sum(rule.losses(TRAIN[0], ONE_HOT)), 50)
    return model


def head_on(features: nn.Module, xs: Points, labels: list[int], size: int) -> nn.Linear:
    """A layer trained on the features, which stay."""
    head = nn.Linear(size, 2, generator=random.Random(0))
    given, loss = outputs(features, xs), nn.CrossEntropyLoss()
    descend(optim.Adam(head.parameters(), 0.1), lambda: loss([head(x) for x in given], labels), 60)
    return head


@pytest.fixture(scope="module")
def bottlenecks() -> list[nn.Sequential]:
    return [bottleneck(sigma, seed) for sigma, seed in ((1.0, 0), (1.0, 4), (1.5, 2))]


def test_outputs_of_the_bottleneck_are_the_classes_permuted(bottlenecks: Any) -> None:
    shares = [share_equal(winners(model, TEST[0]), TEST[1]) for model in bottlenecks]
    assert all(max(share, 1.0 - share) >= 0.95 for share in shares)
    assert [True, False, False] == [share > 0.5 for share in shares]


def test_a_layer_on_the_bottleneck_gives_the_classes_their_names(bottlenecks: Any) -> None:
    features = bottlenecks[1]
    before = features.state_dict()
    model = nn.Sequential(features, head_on(features, *TRAIN, size=2))
    assert share_equal(winners(model, TEST[0]), TEST[1]) >= 0.95
    assert before == features.state_dict()


def test_sigma_combined(bottlenecks: Any) -> None:
    head = nn.Linear(6, 2, generator=random.Random(0))
    model = alternatives.SigmaCombined(bottlenecks, head)
    loss = nn.CrossEntropyLoss()
    before = [network.state_dict() for network in bottlenecks]
    descend(
        optim.Adam(model.parameters(), 0.1),
        lambda: loss([model(x) for x in TRAIN[0]], TRAIN[1]),
        60,
    )
    assert share_equal(winners(model, TEST[0]), TEST[1]) >= 0.95
    assert before == [network.state_dict() for network in bottlenecks]


# Without labels.


def slow_sequences(n: int, seed: int) -> list[Points]:
    """Of two numbers each sample has the signs equal, or unequal, all along a sequence."""
    generator = random.Random(seed)
    sequences = list[Points]()
    for i in range(n):
        signs = [generator.choice([-1.0, 1.0]) for _ in range(3)]
        samples = [[sign, sign if i % 2 else -sign] for sign in signs]
        sequences.append([[x + generator.gauss(0.0, 0.2) for x in sample] for sample in samples])
    return sequences


def test_greedy_infomax_finds_what_lasts() -> None:
    """No line separates the classes of the samples; one separates those of the features."""
    model = nn.Sequential(*nn.MLP(2, [6, 4, 1], nn.Tanh, generator=random.Random(1)).layers[:-1])
    rule = alternatives.GreedyInfoMax(model, generator=random.Random(4))
    sequences = slow_sequences(8, seed=0)
    before = [loss.data for loss in rule.losses(sequences)]
    descend(optim.Adam(rule.parameters(), 0.05), lambda: autograd.sum(rule.losses(sequences)), 60)
    after = [loss.data for loss in rule.losses(sequences)]
    assert all(new < old - 0.5 for old, new in zip(before, after, strict=True))
    accuracy = [
        share_equal(winners(nn.Sequential(features, head_on(features, *TRAIN, size)), xs), labels)
        for features, size in ((nn.Sequential(), 2), (model, 4))
        for xs, labels in [TEST]
    ]
    assert accuracy[0] <= 0.75
    assert accuracy[1] >= 0.9


def test_oja_finds_the_first_principal_component() -> None:
    generator = random.Random(1)
    xs = [
        [0.8 * a - 0.6 * b, 0.6 * a + 0.8 * b]
        for a, b in ((generator.gauss(0.0, 1.5), generator.gauss(0.0, 0.5)) for _ in range(200))
    ]
    neuron = alternatives.HebbianNeuron(2, random.Random(0))
    for epoch in range(10):
        for x in xs:
            neuron.oja(x, lr=0.02 / (1 + epoch))
    weight = np.array([w.data for w in neuron.weight])
    component = np.linalg.eigh(np.array(xs).T @ np.array(xs))[1][:, -1]
    assert pytest.approx(1.0, abs=0.02) == np.linalg.norm(weight)
    assert pytest.approx(1.0, abs=0.002) == abs(weight @ component) / np.linalg.norm(weight)


def test_hebb_grows_without_bound() -> None:
    neuron = alternatives.HebbianNeuron(1, random.Random(0))
    sizes = [abs(neuron.hebb([1.0], lr=0.5)) for _ in range(50)]
    assert sizes == sorted(sizes)
    assert sizes[-1] > 1e6


# Kernel regression against training.


class Scaled(nn.Module):
    """The inputs divided by the root of their number, as the theory of wide networks has it."""

    def forward(self, inputs: list[Value]) -> list[Value]:
        return [x / math.sqrt(len(inputs)) for x in inputs]


def wide_network(width: int, seed: int) -> nn.Sequential:
    model = nn.Sequential(nn.Linear(1, width), nn.Tanh(), Scaled(), nn.Linear(width, 1))
    init.normal_(list(model.parameters()), random.Random(seed))
    return model


def distance_from_kernel_regression(width: int, seed: int) -> float:
    """Between the predictions after training and those of the kernel; and both learn."""
    xs = [[-1.0 + 0.4 * i] for i in range(6)]
    ys = [math.sin(3.0 * x) for (x,) in xs]
    model, loss = wide_network(width, seed), nn.MSELoss("half_sum")
    regression = alternatives.TangentKernelRegression(model, xs, ys)
    regression.descend(lr=0.05, steps=150)
    before = loss([model(x)[0] for x in xs], ys).data
    after = descend(
        optim.SGD(model.parameters(), 0.05), lambda: loss([model(x)[0] for x in xs], ys), 150
    )
    assert after < 0.5 * before
    return max(abs(model([x])[0].data - regression([x])) for x in (-0.9, -0.1, 0.3, 0.7))


def test_the_wider_the_network_the_nearer_it_is_to_kernel_regression() -> None:
    distances = [
        sum(distance_from_kernel_regression(width, seed) for seed in range(2)) / 2
        for width in (4, 64)
    ]
    assert distances[1] < 0.5 * distances[0]  # in theory they fall as 1 / √width: by a factor of 4


# ReduNet.


def cones(n: int, seed: int) -> tuple[Points, list[int]]:
    """Three classes about three directions, 50 degrees from each other."""
    generator = random.Random(seed)
    labels = [i % 3 for i in range(n)]
    xs = [
        [(1.0 if i == label else 0.3) + generator.gauss(0.0, 0.25) for i in range(3)]
        for label in labels
    ]
    return xs, labels


def test_redunet() -> None:
    (xs, labels), (new, new_labels) = cones(18, seed=0), cones(60, seed=1)
    model = alternatives.ReduNet(xs, labels, depth=8)
    features = [[x / math.hypot(*z) for x in z] for z in xs]
    rates = [alternatives.rate_reduction(features, labels)]
    for layer in model.layers:
        features = [layer(z, label) for z, label in zip(features, labels, strict=True)]
        rates.append(alternatives.rate_reduction(features, labels))
    assert rates == sorted(rates)
    assert rates[-1] > 1.5 * rates[0]
    members = [model.membership(x) for x in new]
    assert share_equal([m.index(max(m)) for m in members], new_labels) >= 0.9
    assert alternatives.rate_reduction([model(x) for x in new], new_labels) > rates[0]
