"""The neural tangent kernel: what training a wide network comes to."""

import copy
from collections.abc import Sequence
from typing import Any

from autograd import AutogradError, Value, dot, no_grad
from nn import checks
from nn.alternatives.matrices import plus_identity, solve
from nn.module import Module

Samples = Sequence[Sequence[float]]


def neural_tangent_kernel(
    model: Module, xs: Samples, others: Samples | None = None
) -> list[list[float]]:
    """K(x, x') = Σ ∂f(x)/∂w · ∂f(x')/∂w over the Parameters w, for each x of xs and x' of others.

    It says how much a gradient step on x' changes the output at x. (Jacot, Gabriel and Hongler,
    Neural tangent kernel: convergence and generalization in neural networks, 2018.)

    Args:
        model: a network of one output.
        xs: samples.
        others: samples; without them xs again.

    Raises:
        ValueError: if the model has not one output.
        AutogradError: if there are no derivatives, under no_grad() or of a frozen model.
    """
    rows = _slopes(model, xs)
    columns = rows if others is None else _slopes(model, others)
    return [[dot(row, column) for column in columns] for row in rows]


class TangentKernelRegression:
    """What gradient descent on ½ Σ (f(x) - y)² would make of a network that stays linear in w.

    The prediction is f₀(x) + Σ αᵢ K(x, xᵢ), f₀ and K those of the network as it was given; the
    wider the network, the nearer training stays to it.

    Args:
        model: a network of one output; a copy is kept.
        xs: the samples to learn from.
        ys: a number for each of them.

    Raises:
        ValueError: if the model has not one output, or there are not as many ys as xs.
    """

    def __init__(self, model: Module, xs: Samples, ys: Sequence[float]) -> None:
        if len(xs) != len(ys):
            raise ValueError(f"ys must be {len(xs)}, one for each x, received {len(ys)}")
        self.model = copy.deepcopy(model)
        self.xs = xs
        self.kernel = neural_tangent_kernel(self.model, xs)
        pairs = zip(xs, ys, strict=True)
        self.residuals = [checks.real("ys", y) - _output(self.model, x) for x, y in pairs]
        self.alphas: list[float] = [0.0] * len(xs)

    def descend(self, lr: float, steps: int) -> None:
        """So many steps of gradient descent: α ← α + lr · (y - f₀ - K α)."""
        lr = checks.real("lr", lr, above=0.0)
        for _ in range(checks.whole("steps", steps, at_least=0)):
            pulls = [dot(row, self.alphas) for row in self.kernel]
            self.alphas = [
                alpha + lr * (residual - pull)
                for alpha, residual, pull in zip(self.alphas, self.residuals, pulls, strict=True)
            ]

    def solve(self, ridge: float = 0.0) -> None:
        """The end of training, α = (K + ridge · I)⁻¹ (y - f₀); a ridge tames noise.

        A ridge is needed where K has no inverse: where samples are equal, or more in number than
        the Parameters.

        Raises:
            ValueError: if K + ridge · I has no inverse, or the ridge is negative.
        """
        ridge = checks.real("ridge", ridge, at_least=0.0)
        columns = [[residual] for residual in self.residuals]
        try:
            self.alphas = [alpha for (alpha,) in solve(plus_identity(self.kernel, ridge), columns)]
        except ZeroDivisionError:
            raise ValueError(
                f"ridge must be > 0 where the kernel has no inverse, received {ridge!r}"
            ) from None

    def __call__(self, x: Sequence[float]) -> float:
        """The prediction at a sample."""
        (row,) = neural_tangent_kernel(self.model, [x], self.xs)
        return _output(self.model, x) + dot(row, self.alphas)


def _slopes(model: Module, xs: Samples) -> list[list[float]]:
    """The derivatives of the output at each sample by the Parameters."""
    parameters = list(model.parameters())
    outputs = [_single(model(x)) for x in xs]
    if not all(isinstance(output, Value) and output.requires_grad for output in outputs):
        raise AutogradError(
            "the kernel needs the derivatives by the Parameters: compute it outside no_grad() and "
            "of a model that is not frozen"
        )
    return [output.gradient(parameters) for output in outputs]


def _output(model: Module, x: Sequence[float]) -> float:
    with no_grad():
        return _single(model(x)).item()


def _single(outputs: Sequence[Any]) -> Any:
    if len(outputs) != 1:
        raise ValueError(f"model must have one output, received {len(outputs)}")
    return outputs[0]
