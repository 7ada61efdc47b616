"""Greedy InfoMax: layers trained one by one, without labels, to foretell what they give next."""

from collections.abc import Sequence
from typing import Any

from autograd import Value, dot, mean
from nn import checks
from nn.alternatives.blocks import activations, split
from nn.init import Generator
from nn.layers import Linear, Sequential
from nn.losses import CrossEntropyLoss
from nn.module import Module

_cross_entropy = CrossEntropyLoss()


class InfoNCE(Module):
    """How well a code picks what belongs to it out of what does not: -ln f⁺ / (f⁺ + Σ f⁻).

    f(z, c) = exp(zᵀ W c), W learned. (van den Oord, Li and Vinyals, Representation learning with
    contrastive predictive coding, 2018.)

    Args:
        features: how many numbers a code has.
        generator: draws W; see `init`.
    """

    def __init__(self, features: int, generator: Generator | None = None) -> None:
        self.prediction = Linear(features, features, bias=False, generator=generator)

    def scores(self, code: Sequence[Any], candidates: Sequence[Sequence[Any]]) -> list[Value]:
        """zᵀ W c of the code c with each candidate z."""
        predicted = self.prediction(code)
        return [dot(candidate, predicted) for candidate in candidates]

    def forward(
        self, code: Sequence[Any], positive: Sequence[Any], negatives: Sequence[Sequence[Any]]
    ) -> Value:
        """The loss: the cross-entropy of the scores, of which the first ought to win."""
        return _cross_entropy(self.scores(code, [positive, *negatives]), 0)


class GreedyInfoMax(Module):
    """Every layer learns by `InfoNCE` of its own outputs; between layers gradients stop.

    The samples come in sequences. A layer's code at time t is to pick its code at time t + k, for
    k up to the horizon, out of those that the other sequences have there: so it keeps what lasts
    along a sequence. (Löwe, O'Connor and Veeling, Putting an end to end-to-end: gradient-isolated
    learning of representations, 2019.)

    Args:
        model: a Sequential of Linear layers and activations, such as an MLP.
        horizon: how many steps are foretold.
        generator: draws the W of each layer and step; see `init`.

    Raises:
        TypeError: if the model is no Sequential.
        ValueError: if it does not begin with a Linear layer, or the horizon is not positive.
    """

    def __init__(
        self, model: Sequential, horizon: int = 1, generator: Generator | None = None
    ) -> None:
        self.model = model
        self.horizon = checks.whole("horizon", horizon, at_least=1)
        self.criteria = [
            [InfoNCE(block.linear.out_features, generator) for _ in range(self.horizon)]
            for block in split(model)
        ]

    def forward(self, inputs: Sequence[Any]) -> list[Value]:
        """The outputs of the model."""
        return self.model(inputs)

    def losses(self, sequences: Sequence[Sequence[Sequence[Any]]]) -> list[Value]:
        """The loss of each layer, of which the derivatives stay in the layer.

        Args:
            sequences: two or more, each of the same number of samples, more than the horizon.

        Raises:
            ValueError: if they are not.
        """
        lengths = {len(sequence) for sequence in sequences}
        if len(sequences) < 2 or len(lengths) != 1 or min(lengths) <= self.horizon:
            raise ValueError(
                f"sequences must be two or more of one length above the horizon {self.horizon}, "
                f"received {len(sequences)} of the lengths {sorted(lengths)}"
            )
        blocks = split(self.model)
        given = [[activations(blocks, x) for x in sequence] for sequence in sequences]
        return [
            self._loss(criteria, [[layers[i] for layers in sequence] for sequence in given])
            for i, criteria in enumerate(self.criteria)
        ]

    def _loss(self, criteria: list[InfoNCE], codes: list[list[list[Value]]]) -> Value:
        """The mean over all sequences, times and steps ahead, of one layer's codes."""
        terms = list[Value]()
        for k, criterion in enumerate(criteria, 1):
            for t in range(len(codes[0]) - k):
                later = [sequence[t + k] for sequence in codes]
                terms += [
                    _cross_entropy(criterion.scores(sequence[t], later), own)
                    for own, sequence in enumerate(codes)
                ]
        return mean(terms)
