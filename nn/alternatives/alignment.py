"""Feedback alignment: errors go back through fixed random weights, not the network's own."""

import math
from collections.abc import Sequence
from typing import Any

from autograd import Value, dot, sum
from nn import init
from nn.alternatives.blocks import activations, split
from nn.init import Generator
from nn.layers import Sequential
from nn.module import Module
from nn.recurrent import detach

Matrix = list[list[float]]


class _Alignment(Module):
    """A network with its outputs unchanged, and other ways for the error to reach its layers."""

    feedback: list[Matrix]
    """The fixed random weights; one matrix for each hidden layer, with a row for each sum that the
    error comes from and a column for each unit that it goes to. They are no Parameters: `copy` and
    pickles keep them, `state_dict` does not."""

    def __init__(self, model: Sequential) -> None:
        self.model = model


class FeedbackAlignment(_Alignment):
    """Layer by layer back, through a random matrix B in place of Wᵀ: δₗ = (Bₗ δₗ₊₁) ⊙ f'(zₗ).

    It gives what the model gives; train it with any loss and optimiser, as the model itself. The
    forward weights come to align with B, so that the error becomes useful. (Lillicrap, Cownden,
    Tweed and Akerman, Random synaptic feedback weights support error backpropagation, 2016.)

    Args:
        model: a Sequential of Linear layers and activations, such as an MLP.
        generator: draws the feedback weights, uniform between ±1/√(columns); see `init`.

    Raises:
        TypeError: if the model is no Sequential.
        ValueError: if it does not begin with a Linear layer.
    """

    def __init__(self, model: Sequential, generator: Generator | None = None) -> None:
        super().__init__(model)
        _, *later = split(self.model)
        sizes = [(block.linear.out_features, block.linear.in_features) for block in later]
        self.feedback = _drawn(sizes, generator)

    def forward(self, inputs: Sequence[Any]) -> list[Value]:
        """The outputs of the model."""
        first, *later = split(self.model)
        hidden = first(inputs)
        for block, weights in zip(later, self.feedback, strict=True):
            sums = block.linear(detach(hidden))
            hidden = block.rest(_fed_back(sums, [(weights, hidden)]))
        return hidden


class DirectFeedbackAlignment(_Alignment):
    """From the outputs straight to each hidden layer: δₗ = (Bₗ e) ⊙ f'(zₗ), e the error there.

    e is the derivative of the loss by the sums of the last Linear layer. Otherwise as
    `FeedbackAlignment`; with one hidden layer the two are the same. (Nøkland, Direct feedback
    alignment provides learning in deep neural networks, 2016.)

    Args:
        model: as in `FeedbackAlignment`.
        generator: as there.
    """

    def __init__(self, model: Sequential, generator: Generator | None = None) -> None:
        super().__init__(model)
        *hidden, last = split(self.model)
        sizes = [(last.linear.out_features, block.linear.out_features) for block in hidden]
        self.feedback = _drawn(sizes, generator)

    def forward(self, inputs: Sequence[Any]) -> list[Value]:
        """The outputs of the model."""
        *blocks, last = split(self.model)
        hidden = activations(blocks, inputs)
        sums = last.linear(detach(hidden[-1] if hidden else inputs))
        return last.rest(_fed_back(sums, list(zip(self.feedback, hidden, strict=True))))


def _drawn(sizes: list[tuple[int, int]], generator: Generator | None) -> list[Matrix]:
    """A random matrix for each number of rows and columns."""
    draw = init.generator_or_new(generator).uniform

    def matrix(rows: int, columns: int) -> Matrix:
        bound = 1.0 / math.sqrt(columns)
        return [[draw(-bound, bound) for _ in range(columns)] for _ in range(rows)]

    return [matrix(*size) for size in sizes]


def _fed_back(sums: list[Value], ways: list[tuple[Matrix, list[Value]]]) -> list[Value]:
    """The sums in value; in the backward pass they hand each unit feedback weight × upstream.

    A term x - x.detach() adds nothing in the forward pass, and the derivatives of x in the
    backward pass.
    """
    fed = list[Value]()
    for i, z in enumerate(sums):
        terms = [dot(weights[i], units) for weights, units in ways]
        fed.append(sum([z, *(x - x.detach() for x in terms)]))
    return fed
