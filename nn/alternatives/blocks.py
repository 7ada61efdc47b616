"""Networks in blocks, between which no gradient flows: a Linear layer and what follows it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from autograd import Value
from nn.layers import Linear, Sequential
from nn.recurrent import detach


class Block(NamedTuple):
    """One trained layer of a network."""

    linear: Linear
    """The weighted sums."""

    rest: Sequential
    """What follows up to the next Linear layer, such as an activation; nothing at the end of an
    MLP."""

    def __call__(self, inputs: Sequence[Any]) -> Any:
        """What the block computes."""
        return self.rest(self.linear(inputs))


def split(model: Sequential) -> list[Block]:
    """The blocks of a network, first to last.

    Raises:
        TypeError: if the model is no Sequential.
        ValueError: if it does not begin with a Linear layer.
    """
    if not isinstance(model, Sequential):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"model must be a Sequential, such as an MLP, received {model!r}")
    if not model.layers or not isinstance(model.layers[0], Linear):
        raise ValueError(f"model must begin with a Linear layer, received {model!r}")
    blocks = list[Block]()
    for layer in model:
        if isinstance(layer, Linear):
            blocks.append(Block(layer, Sequential()))
        else:
            blocks[-1].rest.layers.append(layer)
    return blocks


def activations(blocks: Sequence[Block], inputs: Sequence[Any]) -> list[list[Value]]:
    """What each block gives, fed with what the one before gives; no gradient flows between."""
    found = list[list[Value]]()
    for block in blocks:
        found.append(block(detach(inputs)))
        inputs = found[-1]
    return found
