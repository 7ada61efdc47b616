"""Difference target propagation: each layer gets a target to reach, instead of a gradient."""

from collections.abc import Callable, Sequence
from typing import Any

from autograd import Value, no_grad
from nn import checks, init
from nn.alternatives.blocks import activations, split
from nn.evaluation import numbers
from nn.generators import gauss
from nn.init import Generator
from nn.layers import Sequential
from nn.losses import MSELoss
from nn.module import Module

_distance = MSELoss("half_sum")


class DifferenceTargetPropagation(Module):
    """Targets go down through learned inverses; every layer moves its outputs towards its target.

    The outputs' target is ĥ = h - target_lr · ∂loss/∂h. The layer below gets
    ĥₗ₋₁ = hₗ₋₁ + gₗ(ĥₗ) - gₗ(hₗ), where gₗ is the feedback module that learns to invert layer l;
    the difference takes away what gₗ gets wrong. (Lee, Zhang, Fischer and Bengio, Difference
    target propagation, 2015.)

    Args:
        model: a Sequential of Linear layers and activations, such as an MLP.
        feedback: for each layer but the first, a module that takes its outputs and gives an
            estimate of its inputs.
        target_lr: how far the outputs' target lies down the gradient.
        noise: the standard deviation of the noise around which the feedback learns to invert.
        generator: draws the noise; see `init`.

    Raises:
        TypeError: if the model is no Sequential.
        ValueError: if it does not begin with a Linear layer, there is not one feedback module
            for each layer but the first, or a number is out of its range.
    """

    def __init__(
        self,
        model: Sequential,
        feedback: Sequence[Module],
        target_lr: float = 0.1,
        noise: float = 0.1,
        generator: Generator | None = None,
    ) -> None:
        wanted = len(split(model)) - 1
        are_modules = checks.is_list(feedback) and all(isinstance(x, Module) for x in feedback)  # pyright: ignore[reportUnnecessaryIsInstance]
        if not are_modules or len(feedback) != wanted:
            raise ValueError(
                f"feedback must hold {wanted} modules, one for each layer of the model but the "
                f"first, received {feedback!r}"
            )
        self.model = model
        self.feedback = list(feedback)
        self.target_lr = checks.real("target_lr", target_lr, above=0.0)
        self.noise = checks.real("noise", noise, at_least=0.0)
        self.generator = init.generator_or_new(generator)

    def forward(self, inputs: Sequence[Any]) -> list[Value]:
        """The outputs of the model."""
        return self.model(inputs)

    def targets(self, hidden: Sequence[list[Value]], loss: Value) -> list[list[float]]:
        """The target of each layer, from what the layers give and the loss of the last."""
        outputs = hidden[-1]
        slopes = loss.gradient(outputs)
        found = [
            [h.item() - self.target_lr * slope for h, slope in zip(outputs, slopes, strict=True)]
        ]
        with no_grad():
            for i, invert in reversed(list(enumerate(self.feedback))):
                wanted, got = invert(found[0]), invert(numbers(hidden[i + 1]))
                if len(wanted) != len(hidden[i]):
                    raise ValueError(
                        f"feedback[{i}] must give {len(hidden[i])} outputs, as layer {i} does, "
                        f"received {len(wanted)}"
                    )
                triples = zip(hidden[i], wanted, got, strict=True)
                found.insert(0, numbers([h + a - b for h, a, b in triples]))
        return found

    def losses(self, inputs: Sequence[Any], loss_of: Callable[[list[Value]], Value]) -> list[Value]:
        """½ ‖ĥ - h‖² of each layer, of which the derivatives stay in the layer.

        Args:
            inputs: one sample.
            loss_of: the loss of the sample, as a function of the outputs.
        """
        hidden = activations(split(self.model), inputs)
        pairs = zip(hidden, self.targets(hidden, loss_of(hidden[-1])), strict=True)
        return [_distance(h, target) for h, target in pairs]

    def feedback_losses(self, inputs: Sequence[Any]) -> list[Value]:
        """½ ‖g(f(h + e)) - (h + e)‖² of each feedback module g, e noise; f is left as it is."""
        first, *later = split(self.model)
        with no_grad():
            hidden = activations([first, *later[:-1]], inputs) if later else []
        found = list[Value]()
        for below, block, invert in zip(hidden, later, self.feedback, strict=True):
            near = [h + gauss(self.generator, 0.0, self.noise) for h in numbers(below)]
            with no_grad():
                above = block(near)
            found.append(_distance(invert(numbers(above)), near))
        return found
