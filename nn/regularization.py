"""Regularisation: penalties on the parameters, and dropout."""

from collections.abc import Sequence
from typing import Any

import autograd
from nn import checks, init
from nn.init import Generator
from nn.module import Module


def l1(parameters: Any) -> Any:
    """Σ |w|, to be added to a loss with a factor; its derivative at w = 0 is 0.

    Args:
        parameters: an iterable of Parameters, in which lists may nest, such as
            model.parameters() or layer.weight; biases are usually left out.
    """
    return autograd.sum([autograd.abs(w) for w in checks.leaves("parameters", parameters)])


def l2(parameters: Any) -> Any:
    """Σ w², without a factor ½, to be added to a loss with a factor.

    Args:
        parameters: as in `l1`.
    """
    return autograd.sum([autograd.square(w) for w in checks.leaves("parameters", parameters)])


def elastic_net(parameters: Any, l1_factor: float, l2_factor: float) -> Any:
    """l1_factor · Σ |w| + l2_factor · Σ w² (Zou and Hastie, 2005).

    Args:
        parameters: as in `l1`.
        l1_factor: the factor of Σ |w|.
        l2_factor: the factor of Σ w².
    """
    leaves = checks.leaves("parameters", parameters)
    l1_factor = checks.real("l1_factor", l1_factor, at_least=0.0)
    l2_factor = checks.real("l2_factor", l2_factor, at_least=0.0)
    return l1_factor * l1(leaves) + l2_factor * l2(leaves)


class Dropout(Module):
    """Sets each input to 0 with probability p while training (Srivastava et al., 2014).

    Those that stay are divided by 1 - p, so that the mean stays and nothing need be done in use:
    after `eval()` it is the identity ("inverted" dropout, as PyTorch's).

    Args:
        p: the probability of a zero.
        generator: draws the zeros, one number an input; see `init`.
    """

    def __init__(self, p: float = 0.5, generator: Generator | None = None) -> None:
        self.p = checks.real("p", p, at_least=0.0, at_most=1.0)
        self.generator = init.generator_or_new(generator)

    def forward(self, inputs: Sequence[Any]) -> list[Any]:
        """The inputs, each multiplied by 0 or 1 / (1 - p); in use, the inputs themselves.

        Of an image, a list of lists, each pixel is an input.
        """
        inputs = checks.listed(inputs, self)
        return [self._dropped(x) for x in inputs] if self.training else list(inputs)

    def _dropped(self, x: Any) -> Any:
        if checks.is_list(x):
            return [self._dropped(part) for part in x]
        kept = 1.0 / (1.0 - self.p) if self.p < 1.0 else 0.0
        return autograd.mul(x, autograd.where(self.generator.random() >= self.p, kept, 0.0))

    def extra_repr(self) -> str:
        """The probability of a zero."""
        return f"p={self.p}"
