"""Learning without backpropagation: what each rule is, against gradients and against NumPy."""

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
import nn
from autograd import gradcheck
from nn import alternatives, optim
from nn.alternatives.matrices import logdet, plus_identity, solve

EPSILON = 2.0**-52

seeds = st.integers(0, 10**6).map(random.Random)


def close(expected: Any, factor: float = 64.0) -> Any:
    """Equal up to rounding errors, of sums of numbers about 1 in size."""
    return pytest.approx(np.array(expected, float), rel=factor * EPSILON, abs=factor * EPSILON)


def numbers(tree: Any) -> Any:
    return [numbers(x) for x in tree] if isinstance(tree, list) else float(tree.data)


def grads(module: nn.Module) -> list[float]:
    return [parameter.grad for parameter in module.parameters()]


def drawn(generator: random.Random, *sizes: int) -> Any:
    if not sizes:
        return generator.gauss(0.0, 1.0)
    return [drawn(generator, *sizes[1:]) for _ in range(sizes[0])]


def network(generator: random.Random, *sizes: int) -> nn.MLP:
    first, *others = sizes
    return nn.MLP(first, others, nn.Tanh, generator=generator)


def write(layer: Any, weight: list[list[float]]) -> None:
    for row, new in zip(layer.weight, weight, strict=True):
        for parameter, number in zip(row, new, strict=True):
            parameter.data = number


def backpropagated(model: nn.Module, x: list[float], target: list[float]) -> list[float]:
    """The true gradients of half the squared error."""
    return nn.MSELoss("half_sum")(model(x), target).gradient(list(model.parameters()))


# Feedback alignment.

ALIGNMENTS = [alternatives.FeedbackAlignment, alternatives.DirectFeedbackAlignment]

both_alignments = pytest.mark.parametrize("make", ALIGNMENTS)


@both_alignments
@given(seeds)
def test_alignment_gives_what_the_model_gives(make: Any, generator: random.Random) -> None:
    model, x = network(generator, 2, 3, 4, 2), drawn(generator, 2)
    assert numbers(model(x)) == numbers(make(model, generator)(x))


@given(seeds)
def test_feedback_through_the_own_weights_is_backpropagation(generator: random.Random) -> None:
    model, x, target = network(generator, 2, 3, 4, 2), drawn(generator, 2), drawn(generator, 2)
    rule = alternatives.FeedbackAlignment(model, generator)
    rule.feedback = [numbers(model.layers[i].weight) for i in (2, 4)]
    assert close(backpropagated(model, x, target)) == backpropagated(rule, x, target)


@given(seeds)
def test_direct_feedback_is_feedback_through_the_product_of_linear_layers(
    generator: random.Random,
) -> None:
    sizes = ((2, 3), (3, 4), (4, 2))
    layers: Any = [nn.Linear(*size, generator=generator) for size in sizes]
    model, x, target = nn.Sequential(*layers), drawn(generator, 2), drawn(generator, 2)
    rule = alternatives.DirectFeedbackAlignment(model, generator)
    second, third = (np.array(numbers(layer.weight)) for layer in layers[1:])
    rule.feedback = [(third @ second).tolist(), third.tolist()]
    assert close(backpropagated(model, x, target)) == backpropagated(rule, x, target)


@both_alignments
def test_feedback_weights_are_no_parameters_and_fixed(make: Any) -> None:
    model = network(random.Random(0), 2, 3, 1)
    rule = make(model, random.Random(1))
    before = [row[:] for row in rule.feedback[0]]
    assert list(model.parameters()) == list(rule.parameters())
    optimizer = optim.SGD(rule.parameters(), 0.1)
    nn.MSELoss()(rule([1.0, 2.0]), [1.0]).backward()
    optimizer.step()
    assert before == rule.feedback[0]
    assert make(model, random.Random(1)).feedback == rule.feedback


def test_alignment_of_a_single_layer_is_backpropagation() -> None:
    model = nn.Sequential(nn.Linear(2, 1), nn.Sigmoid())
    for make in ALIGNMENTS:
        rule = make(model)
        assert [] == rule.feedback
        assert backpropagated(model, [1.0, 2.0], [0.0]) == backpropagated(rule, [1.0, 2.0], [0.0])


# Difference target propagation.


@given(seeds, st.floats(0.01, 2.0))
def test_targets_through_the_transposed_weights_give_the_gradient(
    generator: random.Random, target_lr: float
) -> None:
    layers = [nn.Linear(2, 3, generator=generator), nn.Linear(3, 2, generator=generator)]
    model, invert = nn.Sequential(layers[0], nn.Tanh(), layers[1]), nn.Linear(2, 3)
    write(invert, np.array(numbers(layers[1].weight)).T.tolist())
    rule = alternatives.DifferenceTargetPropagation(model, [invert], target_lr)
    x, target = drawn(generator, 2), drawn(generator, 2)
    half_square = nn.MSELoss("half_sum")
    losses = rule.losses(x, lambda outputs: half_square(outputs, target))
    autograd.sum(losses).backward()
    wanted = [target_lr * g for g in backpropagated(model, x, target)]
    assert close(wanted, 512.0) == grads(model)


def test_the_feedback_learns_to_invert() -> None:
    model = network(random.Random(0), 2, 2, 2)
    write(model.layers[2], [[1.0, 0.5], [-0.5, 1.0]])
    invert = nn.Linear(2, 2, generator=random.Random(1))
    rule = alternatives.DifferenceTargetPropagation(
        model, [invert], noise=0.5, generator=random.Random(2)
    )
    before = model.state_dict()
    optimizer = optim.Adam(invert.parameters(), 0.05)
    for _ in range(300):
        (loss,) = rule.feedback_losses([0.5, -0.5])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    product = np.array(numbers(invert.weight)) @ np.array(numbers(model.layers[2].weight))
    assert pytest.approx(np.eye(2), abs=0.05) == product
    assert [0.0] * len(before) == grads(model)


# Layers that learn alone.


def test_no_gradient_leaves_its_layer() -> None:
    generator = random.Random(0)
    x, y = drawn(generator, 4, 2), [[1.0, 0.0], [0.0, 1.0]] * 2
    sequences = drawn(generator, 2, 2, 2)

    def bottleneck(model: Any) -> Any:
        return alternatives.HSICBottleneck(model).losses(x, y)

    def infomax(model: Any) -> Any:
        return alternatives.GreedyInfoMax(model, generator=generator).losses(sequences)

    def targets(model: Any) -> Any:
        rule = alternatives.DifferenceTargetPropagation(model, [nn.Linear(3, 3), nn.Linear(2, 3)])
        return rule.losses(x[0], lambda outputs: nn.MSELoss()(outputs, y[0]))

    for losses_of in (bottleneck, infomax, targets):
        model = network(generator, 2, 3, 3, 2)
        layers: Any = [model.layers[i] for i in (0, 2, 4)]
        losses = losses_of(model)
        assert len(layers) == len(losses)
        for own, loss in enumerate(losses):
            model.zero_grad()
            loss.backward()
            reached = [any(grads(layer)) for layer in layers]
            assert [i == own for i in range(len(layers))] == reached


# The HSIC bottleneck.


def centred_kernel(xs: Any, sigma: float) -> Any:
    points = np.array(xs, float)
    distances = ((points[:, None] - points[None]) ** 2).sum(-1)
    centring = np.eye(len(points)) - 1.0 / len(points)
    return centring @ np.exp(-distances / (2 * sigma**2)) @ centring


@given(seeds, st.integers(2, 6), st.floats(0.5, 3.0))
def test_hsic_is_the_formula(generator: random.Random, m: int, sigma: float) -> None:
    xs, ys = drawn(generator, m, 2), drawn(generator, m, 3)
    kx, ky = centred_kernel(xs, sigma), centred_kernel(ys, sigma)
    found = alternatives.hsic(xs, ys, sigma)
    assert close(np.trace(kx @ ky) / (m - 1) ** 2) == found
    assert close(found) == alternatives.hsic(ys, xs, sigma)
    assert found > -64 * EPSILON


@given(seeds, st.integers(2, 6))
def test_normalized_hsic_is_the_formula(generator: random.Random, m: int) -> None:
    xs, ys = drawn(generator, m, 2), drawn(generator, m, 3)
    ridge = 0.1 * m * np.eye(m)
    ax, ay = (k @ np.linalg.inv(k + ridge) for k in (centred_kernel(z, 1.0) for z in (xs, ys)))
    assert close(np.trace(ax @ ay), 512) == alternatives.normalized_hsic(xs, ys, epsilon=0.1)


def test_independent_variables_have_none() -> None:
    grid = [([a], [b]) for a in (0.0, 1.0, 3.0) for b in (0.0, 2.0)]
    xs, ys = ([pair[i] for pair in grid] for i in (0, 1))
    assert close(0.0) == alternatives.hsic(xs, ys)
    assert close(0.0) == alternatives.hsic(xs, [[1.0]] * 6)
    assert alternatives.hsic(xs, xs) > 0.1


def test_hsic_is_differentiable() -> None:
    generator = random.Random(0)
    xs, ys = drawn(generator, 4, 2), drawn(generator, 4, 1)
    assert gradcheck(lambda z: alternatives.hsic(z, ys), [xs], order=2)
    assert gradcheck(lambda z: alternatives.normalized_hsic(z, ys, epsilon=0.1), [xs])


# Greedy InfoMax.


@given(seeds, st.integers(1, 5))
def test_candidates_all_alike_are_told_apart_by_chance(
    generator: random.Random, negatives: int
) -> None:
    code, candidate = drawn(generator, 2, 3)
    loss = alternatives.InfoNCE(3, generator)(code, candidate, [candidate] * negatives)
    assert close(math.log(1 + negatives)) == loss.data


@given(seeds, st.integers(1, 2))
def test_the_loss_of_a_layer_is_the_mean_of_its_terms(
    generator: random.Random, horizon: int
) -> None:
    sequences = drawn(generator, 3, 4, 2)
    rule = alternatives.GreedyInfoMax(network(generator, 2, 3), horizon, generator)
    codes = [[rule(x) for x in sequence] for sequence in sequences]
    terms = list[float]()
    for s, sequence in enumerate(codes):
        for k, criterion in enumerate(rule.criteria[0], 1):
            for t in range(4 - k):
                positive, *negatives = (codes[(s + i) % 3][t + k] for i in range(3))
                terms.append(criterion(sequence[t], positive, negatives).data)
    assert close(np.mean(terms)) == rule.losses(sequences)[0].data


# Evolution strategies.


@given(seeds, st.integers(1, 4), st.floats(0.01, 1.0))
def test_of_a_linear_function_the_estimate_is_a_mean_of_projections(
    generator: random.Random, pairs: int, sigma: float
) -> None:
    slope, theta, noises = drawn(generator, 3), drawn(generator, 3), drawn(generator, pairs, 3)
    found = alternatives.evolution_gradient(lambda t: float(np.dot(slope, t)), theta, noises, sigma)
    wanted = np.mean([np.dot(slope, e) * np.array(e) for e in noises], axis=0)
    assert pytest.approx(wanted, rel=1e-9, abs=1e-9) == np.array(found)


def test_the_loss_is_that_of_the_parameters_as_they_are() -> None:
    w = [nn.Parameter(3.0), nn.Parameter(-0.1)]
    strategy = alternatives.EvolutionStrategy(w, generator=random.Random(0))
    loss = strategy.loss(lambda: w[0] * w[0] + w[1])
    assert [3.0, -0.1] == numbers(w)
    assert close(8.9) == loss.data
    assert [0.0, 0.0] == [x.grad for x in w]
    twin = alternatives.EvolutionStrategy(w, generator=random.Random(0))
    assert loss.gradient(w) == twin.loss(lambda: w[0].item() ** 2 + w[1].item()).gradient(w)


def test_an_objective_that_fails_leaves_the_parameters() -> None:
    w = [nn.Parameter(3.0)]

    def objective() -> float:
        if w[0].item() != 3.0:
            raise KeyError("lost")
        return 0.0

    with pytest.raises(KeyError, match="lost"):
        alternatives.EvolutionStrategy(w, generator=random.Random(0)).loss(objective)
    assert 3.0 == w[0].data


def test_numpy_draws_noise_too() -> None:
    w = [nn.Parameter(1.0)]
    strategy = alternatives.EvolutionStrategy(w, pairs=200, generator=np.random.default_rng(0))
    assert pytest.approx(2.0, abs=0.5) == strategy.loss(lambda: w[0] ** 2).gradient(w[0])


# The neural tangent kernel.


@given(seeds)
def test_the_kernel_is_the_product_of_jacobians(generator: random.Random) -> None:
    model, xs = network(generator, 2, 3, 1), drawn(generator, 3, 2)
    parameters = list(model.parameters())
    slopes = np.array([model(x)[0].gradient(parameters) for x in xs])
    kernel = alternatives.neural_tangent_kernel(model, xs)
    assert close(slopes @ slopes.T) == np.array(kernel)
    assert [row[1:] for row in kernel] == alternatives.neural_tangent_kernel(model, xs, xs[1:])


@given(seeds, st.integers(0, 20))
def test_a_linear_model_is_trained_exactly_so(generator: random.Random, steps: int) -> None:
    model, xs, ys = (
        nn.Linear(2, 1, generator=generator),
        drawn(generator, 3, 2),
        drawn(generator, 3),
    )
    regression = alternatives.TangentKernelRegression(model, xs, ys)
    regression.descend(0.01, steps)
    optimizer, loss = optim.SGD(model.parameters(), 0.01), nn.MSELoss("half_sum")
    for _ in range(steps):
        optimizer.zero_grad()
        loss([model(x)[0] for x in xs], ys).backward()
        optimizer.step()
    new = drawn(generator, 2)
    assert pytest.approx(model(new)[0].data, rel=1e-10, abs=1e-10) == regression(new)


def test_without_derivatives_there_is_no_kernel() -> None:
    model = network(random.Random(0), 1, 1)
    with autograd.no_grad(), pytest.raises(autograd.AutogradError, match="outside no_grad"):
        alternatives.neural_tangent_kernel(model, [[1.0]])
    with pytest.raises(autograd.AutogradError, match="not frozen"):
        alternatives.neural_tangent_kernel(model.freeze(), [[1.0]])


def test_the_end_of_training_fits_the_samples() -> None:
    model, xs, ys = network(random.Random(0), 1, 6, 1), [[-1.0], [0.0], [1.0]], [1.0, -1.0, 2.0]
    regression = alternatives.TangentKernelRegression(model, xs, ys)
    regression.solve()
    assert pytest.approx(ys, rel=1e-8) == [regression(x) for x in xs]
    regression.solve(ridge=1e9)
    assert pytest.approx([model(x)[0].data for x in xs], abs=1e-6) == [regression(x) for x in xs]


# ReduNet.


def unit(x: list[float]) -> list[float]:
    return [a / math.hypot(*x) for a in x]


@given(seeds)
def test_the_coding_rate_is_the_formula(generator: random.Random) -> None:
    zs = np.array(drawn(generator, 5, 3))
    covariance = np.eye(3) + 3 / (5 * 0.5**2) * zs.T @ zs
    assert close(0.5 * np.linalg.slogdet(covariance)[1]) == alternatives.coding_rate(zs.tolist())


@given(seeds)
def test_a_layer_steps_up_the_gradient_of_the_rate_reduction(generator: random.Random) -> None:
    zs, labels = [unit(x) for x in drawn(generator, 6, 3)], [0, 1, 0, 1, 1, 2]
    layer = alternatives.ReduLayer(zs, labels, lr=0.1)
    slopes = autograd.grad(alternatives.rate_reduction)(zs, labels)
    for z, label, slope in zip(zs, labels, slopes, strict=True):
        stepped = unit([x + 0.1 * g for x, g in zip(z, slope, strict=True)])
        assert pytest.approx(stepped, rel=1e-9, abs=1e-9) == layer(z, label)


@given(seeds, st.sampled_from([0.0, 1.0, 500.0]))
def test_memberships_sum_to_one(generator: random.Random, sharpness: float) -> None:
    zs, labels = [unit(x) for x in drawn(generator, 4, 2)], ["a", "b", "a", "b"]
    layer = alternatives.ReduLayer(zs, labels, sharpness=sharpness)
    members = layer.membership(zs[0])
    assert ["a", "b"] == layer.classes
    assert close(1.0) == sum(members)
    assert close(1.0) == math.hypot(*layer(zs[0]))


# Small matrices.


@given(seeds, st.integers(1, 5))
def test_solve_and_logdet(generator: random.Random, size: int) -> None:
    root = np.array(drawn(generator, size, size))
    a, b = root @ root.T + np.eye(size), drawn(generator, size, 2)
    assert pytest.approx(np.linalg.solve(a, b), rel=1e-9, abs=1e-9) == np.array(solve(a, b))
    assert close(np.linalg.slogdet(a)[1]) == logdet(a)
    inverse = np.array(autograd.grad(logdet)(a.tolist()))
    assert pytest.approx(np.linalg.inv(a), rel=1e-9, abs=1e-9) == inverse
    assert close(a + 0.5 * np.eye(size)) == np.array(plus_identity(a.tolist(), 0.5))


# Hebb and Oja.


@given(seeds, st.floats(0.001, 1.0))
def test_hebbs_step_is_gradient_ascent_on_half_the_square(
    generator: random.Random, lr: float
) -> None:
    neuron: Any = alternatives.HebbianNeuron(3, generator)
    x = drawn(generator, 3)
    (y,) = neuron(x)
    slopes = (0.5 * y * y).gradient(neuron.weight)
    wanted = [w.data + lr * slope for w, slope in zip(neuron.weight, slopes, strict=True)]
    assert y.data == neuron.hebb(x, lr)
    assert close(wanted) == numbers(neuron.weight)


# Errors.

SEQUENTIAL = nn.Sequential(nn.ReLU(), nn.Linear(1, 1))
ONE = network(random.Random(0), 1, 1)
TWO = network(random.Random(0), 1, 2, 1)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: alternatives.FeedbackAlignment(nn.Linear(1, 1)),
            TypeError,
            "must be a Sequential",
        ),
        (lambda: alternatives.FeedbackAlignment(SEQUENTIAL), ValueError, "begin with a Linear"),
        (lambda: alternatives.DirectFeedbackAlignment(ONE, 3), TypeError, "generator must be"),
        (
            lambda: alternatives.DifferenceTargetPropagation(ONE, [nn.Linear(1, 1)]),
            ValueError,
            "feedback must hold 0 modules",
        ),
        (
            lambda: alternatives.DifferenceTargetPropagation(ONE, [], target_lr=0.0),
            ValueError,
            "target_lr must be",
        ),
        (lambda: alternatives.HSICBottleneck(ONE, beta=-1.0), ValueError, "beta must be"),
        (lambda: alternatives.HSICBottleneck(SEQUENTIAL), ValueError, "begin with a Linear"),
        (lambda: alternatives.HSICBottleneck(ONE).losses([[1.0]], [[1.0]]), ValueError, "two"),
        (lambda: alternatives.hsic([[1.0], [2.0]], [[1.0]]), ValueError, "received 2 and 1"),
        (lambda: alternatives.hsic([[1], [2, 3]], [[1], [2]]), ValueError, "lengths 1, 2"),
        (lambda: alternatives.hsic([[1], [2]], [[1], [2]], 0), ValueError, "sigma must be"),
        (
            lambda: alternatives.normalized_hsic([[1], [2]], [[1], [2]], epsilon=0.0),
            ValueError,
            "epsilon must be",
        ),
        (lambda: alternatives.GreedyInfoMax(ONE, horizon=0), ValueError, "horizon must be"),
        (
            lambda: alternatives.GreedyInfoMax(ONE).losses([[[1.0], [2.0]], [[1.0]]]),
            ValueError,
            r"lengths \[1, 2\]",
        ),
        (lambda: alternatives.GreedyInfoMax(ONE).losses([]), ValueError, "received 0"),
        (
            lambda: alternatives.evolution_gradient(sum, [1.0], []),
            ValueError,
            "noises must be",
        ),
        (
            lambda: alternatives.evolution_gradient(sum, [1.0], [[1.0, 2.0]]),
            ValueError,
            r"lengths \[2\]",
        ),
        (lambda: alternatives.EvolutionStrategy([]), ValueError, "params must hold"),
        (
            lambda: alternatives.EvolutionStrategy(ONE.parameters(), pairs=0),
            ValueError,
            "pairs must be",
        ),
        (
            lambda: alternatives.neural_tangent_kernel(nn.Linear(1, 2), [[1.0]]),
            ValueError,
            "one output, received 2",
        ),
        (
            lambda: alternatives.TangentKernelRegression(ONE, [[1.0]], []),
            ValueError,
            "ys must be 1",
        ),
        (lambda: alternatives.coding_rate([]), ValueError, "received none"),
        (lambda: alternatives.coding_rate([[1.0]], epsilon=0.0), ValueError, "epsilon must be"),
        (
            lambda: alternatives.rate_reduction([[1.0]], [0, 1]),
            ValueError,
            "received 1 samples and 2 labels",
        ),
        (
            lambda: alternatives.ReduLayer([[1.0]], ["a"])([1.0], "b"),
            ValueError,
            r"one of \['a'\], received 'b'",
        ),
        (lambda: alternatives.ReduNet([[1.0]], [0], depth=0), ValueError, "depth must be"),
        (lambda: alternatives.HebbianNeuron(1).oja([1.0], 0.0), ValueError, "lr must be"),
        (
            lambda: alternatives.DifferenceTargetPropagation(TWO, [3]),
            ValueError,
            r"feedback must hold 1 modules, .* received \[3\]",
        ),
        (
            lambda: alternatives.DifferenceTargetPropagation(TWO, [nn.Linear(1, 3)]).losses(
                [1.0], lambda outputs: nn.MSELoss()(outputs, [0.0])
            ),
            ValueError,
            r"feedback\[0\] must give 2 outputs, as layer 0 does, received 3",
        ),
        (lambda: alternatives.hsic([1.0, 2.0], [[1.0], [2.0]]), TypeError, "xs must be a list of"),
        (lambda: alternatives.hsic([[1.0], [2.0]], 3), TypeError, "ys must be a list of lists"),
        (lambda: alternatives.coding_rate(3), TypeError, "samples must be a list of lists"),
        (
            lambda: alternatives.ReduNet([[0.0, 0.0], [1.0, 1.0]], [0, 1], 1),
            ValueError,
            r"a sample must not be all zeros, received \[0.0, 0.0\]",
        ),
        (
            lambda: alternatives.neural_tangent_kernel(nn.ReLU(), [[1.0]]),
            autograd.AutogradError,
            "of a model that is not frozen",
        ),
        (
            lambda: alternatives.TangentKernelRegression(ONE, [[1.0]], ["a"]),
            TypeError,
            "ys must be a finite number, received the str 'a'",
        ),
        (
            lambda: alternatives.TangentKernelRegression(ONE, [[1.0]] * 2, [1.0, 1.0]).solve(),
            ValueError,
            "ridge must be > 0 where the kernel has no inverse, received 0.0",
        ),
    ],
)
def test_bad_arguments_are_named(
    call: Callable[[], Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        call()
