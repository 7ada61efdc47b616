"""Hebbian learning: a neuron that learns from its own input and output, without any error."""

from collections.abc import Sequence

from autograd import no_grad
from nn import checks
from nn.init import Generator
from nn.layers import Neuron


class HebbianNeuron(Neuron):
    """y = w · x, learning by what fires together (Hebb, The organization of behavior, 1949).

    No backward pass is made. Yet Hebb's step is gradient ascent on ½ y².

    Args:
        in_features: how many inputs it takes.
        generator: draws the first weights; see `init`.
    """

    def __init__(self, in_features: int, generator: Generator | None = None) -> None:
        super().__init__(in_features, bias=False, generator=generator)

    def hebb(self, inputs: Sequence[float], lr: float) -> float:
        """Learn from one sample: w ← w + lr · y · x. The weights grow without bound.

        Returns:
            The output y before.

        Raises:
            ValueError: if lr is not positive.
        """
        return self._learn(inputs, lr, decay=0.0)

    def oja(self, inputs: Sequence[float], lr: float) -> float:
        """Learn from one sample: w ← w + lr · y · (x - y w).

        The weights come to length 1, in the direction in which the inputs vary most: their first
        principal component, if their mean is 0. (Oja, A simplified neuron model as a principal
        component analyzer, 1982.)

        Returns:
            The output y before.

        Raises:
            ValueError: if lr is not positive.
        """
        return self._learn(inputs, lr, decay=1.0)

    def _learn(self, inputs: Sequence[float], lr: float, decay: float) -> float:
        """w ← w + lr · y · (x - decay · y · w)."""
        lr = checks.real("lr", lr, above=0.0)
        with no_grad():
            (output,) = self(inputs)
        y = output.item()
        for weight, x in zip(self.weight, inputs, strict=True):
            weight.data += lr * y * (x - decay * y * weight.data)
        return y
