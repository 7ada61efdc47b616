"""Activations: the functions of a scalar, and the modules that apply them to a list."""

from collections.abc import Callable, Sequence
from typing import Any

import autograd
from autograd import gelu, maxout, relu, sigmoid, silu, softmax, step, tanh
from nn import checks
from nn.module import Module

__all__ = [
    "ELU",
    "GELU",
    "LeakyReLU",
    "Maxout",
    "ReLU",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Step",
    "Tanh",
    "elu",
    "gelu",
    "leaky_relu",
    "maxout",
    "relu",
    "sigmoid",
    "silu",
    "softmax",
    "step",
    "tanh",
]


def leaky_relu(x: Any, negative_slope: float = 0.01) -> Any:
    """x, or negative_slope · x where x < 0 (Maas et al., 2013)."""
    return autograd.leaky_relu(x, negative_slope)


def elu(x: Any, alpha: float = 1.0) -> Any:
    """x, or alpha · (exp(x) - 1) where x < 0 (Clevert et al., 2015)."""
    return autograd.elu(x, alpha)


class _Elementwise(Module):
    """A module that applies one function to each of its inputs."""

    function: Callable[[Any], Any]

    def forward(self, inputs: Sequence[Any]) -> list[Any]:
        """The function of each input."""
        return list(map(self.function, checks.listed(inputs, self)))


class Step(_Elementwise):
    """1 where x > 0, else 0: so 0 at 0. Its derivative is 0, so gradients do not train it."""

    function = staticmethod(step)


class Sigmoid(_Elementwise):
    """1 / (1 + exp(-x)), between 0 and 1."""

    function = staticmethod(sigmoid)


class Tanh(_Elementwise):
    """The hyperbolic tangent, between -1 and 1."""

    function = staticmethod(tanh)


class ReLU(_Elementwise):
    """max(0, x); its derivative at 0 is 0."""

    function = staticmethod(relu)


class GELU(_Elementwise):
    """x · Φ(x), Φ the normal distribution function, exact (Hendrycks and Gimpel, 2016)."""

    function = staticmethod(gelu)


class SiLU(_Elementwise):
    """x · sigmoid(x)."""

    function = staticmethod(silu)


class LeakyReLU(Module):
    """x, or negative_slope · x where x < 0 (Maas et al., 2013)."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = checks.real("negative_slope", negative_slope)

    def forward(self, inputs: Sequence[Any]) -> list[Any]:
        """The function of each input."""
        return [leaky_relu(x, self.negative_slope) for x in checks.listed(inputs, self)]

    def extra_repr(self) -> str:
        """The slope."""
        return f"negative_slope={self.negative_slope}"


class ELU(Module):
    """x, or alpha · (exp(x) - 1) where x < 0 (Clevert et al., 2015)."""

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = checks.real("alpha", alpha)

    def forward(self, inputs: Sequence[Any]) -> list[Any]:
        """The function of each input."""
        return [elu(x, self.alpha) for x in checks.listed(inputs, self)]

    def extra_repr(self) -> str:
        """The scale of the negative side."""
        return f"alpha={self.alpha}"


class Maxout(Module):
    """The largest of each group of so many consecutive inputs (Goodfellow et al., 2013).

    After `Linear(n, pieces * m)` it makes m units, each the maximum of `pieces` affine functions.
    """

    def __init__(self, pieces: int = 2) -> None:
        self.pieces = checks.whole("pieces", pieces, at_least=1)

    def forward(self, inputs: Sequence[Any]) -> list[Any]:
        """The largest input of each group.

        Raises:
            ValueError: if the inputs do not make whole groups.
        """
        inputs = checks.listed(inputs, self)
        if not len(inputs) or len(inputs) % self.pieces:
            raise ValueError(
                f"inputs of {self!r} must be a multiple of {self.pieces} in number, "
                f"received {len(inputs)}"
            )
        groups = range(0, len(inputs), self.pieces)
        return [maxout(list(inputs[start : start + self.pieces])) for start in groups]

    def extra_repr(self) -> str:
        """The size of a group."""
        return f"pieces={self.pieces}"


class Softmax(Module):
    """exp(xᵢ) / Σ exp(xⱼ): probabilities that sum to 1."""

    def forward(self, inputs: Sequence[Any]) -> list[Any]:
        """The probability of each class.

        Raises:
            TypeError: if the inputs are no list, or a list of lists.
            ValueError: if there are none.
        """
        inputs = list(checks.listed(inputs, self))
        return softmax(checks.vector(inputs, len(inputs), self))
