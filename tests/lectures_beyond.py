"""The lectures' methods beyond plain training, with nn, giving quantities by name."""

import math
from collections.abc import Callable
from itertools import islice
from typing import Any

from lectures_nn import Quantities, filled, grads, net221, step

import nn
from autograd import dot, grad, norm
from nn import adversarial, alternatives, optim
from nn.alternatives.blocks import activations, split

WEIGHTS = ("w1", "w3", "w2", "w4", "w5", "w6")
"""Of the 2-2-1 network, in the order of parameters()."""


def feedback_alignment_221(given: Quantities, eta: float) -> Quantities:
    """Both ways to align: with one hidden layer they are one."""
    (found, same) = (
        _aligned(rule, given, eta)
        for rule in (alternatives.FeedbackAlignment, alternatives.DirectFeedbackAlignment)
    )
    assert found == same
    return found


def _aligned(make: Callable[..., Any], given: Quantities, eta: float) -> Quantities:
    net = net221(given)
    true = net.loss().gradient(list(net.model.parameters()))
    rule = make(net.model)
    rule.feedback = [[given["B"]]]
    loss = nn.MSELoss("half_sum")
    step(optim.SGD(rule.parameters(), eta), loss(rule(net.x), net.targets))
    directions = grads(list(net.model.parameters()))
    return {
        **{
            f"FA update direction for {name}": slope
            for name, slope in zip(WEIGHTS, directions, strict=True)
        },
        "cosine between the FA direction and the true gradient": dot(true, directions)
        / (norm(true) * norm(directions)),
        "E after one FA step, eta=0.7": net.loss().item(),
    }


def difference_target_propagation(given: Quantities, eta: float) -> Quantities:
    x, w1, w2, v2, t, eta_hat = given.values()
    first, last = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    model = filled(nn.Sequential(first, nn.Tanh(), last), w1, w2)
    invert = filled(nn.Linear(1, 1, bias=False), v2)
    rule = alternatives.DifferenceTargetPropagation(model, [invert], target_lr=eta_hat)
    hidden = activations(split(model), [x])
    half_square = nn.MSELoss("half_sum")
    ((h1_target,), (h2_target,)) = rule.targets(hidden, half_square(hidden[-1], [t]))
    local = rule.losses([x], lambda outputs: half_square(outputs, [t]))
    step(optim.SGD(model.parameters(), eta), local[0] + local[1])
    (((w1,),), ((w2,),)) = first.weight, last.weight
    return {
        "h1": hidden[0][0],
        "h2": hidden[1][0],
        "target h2^": h2_target,
        "target h1^": h1_target,
        "local gradient w2": w2.grad,
        "local gradient w1": w1.grad,
        "w2_new, eta=0.1": w2.data,
        "w1_new, eta=0.1": w1.data,
    }


def hsic_estimate(given: Quantities) -> Quantities:
    X, Y = ([[x] for x in given[name]] for name in "XY")  # noqa: N806
    return {
        "HSIC(X,Y)": alternatives.hsic(X, Y, given["sigma"]),
        "HSIC(X,X)": alternatives.hsic(X, X, given["sigma"]),
    }


def infonce_greedy_infomax(given: Quantities) -> Quantities:
    z, positive, negatives, _ = given.values()
    criterion = filled(alternatives.InfoNCE(2), [[1, 0], [0, 1]])
    scores = criterion.scores(z, [positive, *negatives])
    return {
        "scores": scores,
        "loss": criterion(z, positive, negatives),
        "dloss/dscores": nn.CrossEntropyLoss()(scores, 0).gradient(scores),
    }


def empirical_ntk_221(given: Quantities) -> Quantities:
    net = net221(given)
    samples = [[given["x1"], given["x2"]], given["x_prime"]]
    kernel = alternatives.neural_tangent_kernel(net.model, samples)
    return {"K(x,x)": kernel[0][0], "K(x,x')": kernel[0][1], "K(x',x')": kernel[1][1]}


def evolution_strategy_gradient(given: Quantities, alpha: float) -> Quantities:
    def bowl(t: Any) -> Any:
        return -(t[0] ** 2 + 2 * t[1] ** 2)

    theta = given["theta"]
    noises, sigma = given["epsilons"], given["sigma"]
    estimate = alternatives.evolution_gradient(bowl, theta, noises, sigma)
    return {
        "ES gradient estimate": estimate,
        "true gradient of F": grad(bowl)(theta),
        "theta_new": [t + alpha * g for t, g in zip(theta, estimate, strict=True)],
    }


def redunet_layer(given: Quantities, eta: float) -> Quantities:
    columns, labels, squared, _ = given.values()
    zs, epsilon = transposed(columns), math.sqrt(squared)
    rate = alternatives.coding_rate(zs, epsilon)
    reduction = alternatives.rate_reduction(zs, labels, epsilon)
    layer = alternatives.ReduLayer(zs, labels, epsilon, eta)
    new = [layer(z, label) for z, label in zip(zs, labels, strict=True)]
    slopes = grad(alternatives.rate_reduction)(zs, labels, epsilon)
    return {
        "R": rate,
        "R_c": rate - reduction,
        "Delta R": reduction,
        "E": layer.expansion,
        "C_0": layer.compressions[0],
        "C_1": layer.compressions[1],
        "gradient": transposed(slopes),
        "next Z": transposed(new),
        "Delta R of next Z": alternatives.rate_reduction(new, labels, epsilon),
    }


def transposed(matrix: list[list[float]]) -> list[list[float]]:
    return [list(column) for column in zip(*matrix, strict=True)]


def hebbian_update(given: Quantities, eta: float) -> Quantities:
    def learned(rule: str) -> tuple[float, list[float]]:
        neuron: Any = filled(alternatives.HebbianNeuron(2), given["w"])
        y = getattr(neuron, rule)(given["x"], eta)
        return y, [w.data for w in neuron.weight]

    (y, hebb), (_, oja) = learned("hebb"), learned("oja")
    return {"y": y, "w_new (Hebb)": hebb, "w_new (Oja)": oja}


# Inputs and search.


def gradient_ascent_on_input(given: Quantities, rate: float) -> Quantities:
    net = net221(given)

    def loss_of(x: Any) -> Any:
        return nn.MSELoss("half_sum")(net.model(x), net.targets)

    start = [given["x1"], given["x2"]]
    path = list(islice(adversarial.gradient_ascent(loss_of, start, rate), 101))
    slopes = grad(loss_of)(start)
    return {
        **{f"dE/dx{i}": slope for i, slope in enumerate(slopes, 1)},
        **{f"x{i}_new": x for i, x in enumerate(path[1], 1)},
        "E before": loss_of(path[0]),
        "E after one ascent step": loss_of(path[1]),
        "E after 100 ascent steps": loss_of(path[100]),
        "x after 100 ascent steps": path[100],
    }


def hyperband_schedule(given: Quantities) -> Quantities:
    """How many configurations run for how many epochs (Li et al., Hyperband, 2018)."""
    most, eta = given["R"], given["eta"]
    largest = max(s for s in range(most) if eta**s <= most)
    return {
        f"bracket s={s}: [n_i, r_i]": [
            [math.ceil((largest + 1) * eta**s / (s + 1)) // eta**i, most // eta ** (s - i)]
            for i in range(s + 1)
        ]
        for s in range(largest + 1)
    }


BEYOND: dict[str, Callable[..., Quantities]] = {
    "feedback_alignment_221": feedback_alignment_221,
    "difference_target_propagation": difference_target_propagation,
    "hsic_estimate": hsic_estimate,
    "infonce_greedy_infomax": infonce_greedy_infomax,
    "empirical_ntk_221": empirical_ntk_221,
    "evolution_strategy_gradient": evolution_strategy_gradient,
    "redunet_layer": redunet_layer,
    "hebbian_update": hebbian_update,
    "gradient_ascent_on_input": gradient_ascent_on_input,
    "hyperband_schedule": hyperband_schedule,
}
"""The function that computes each example, wholly."""
