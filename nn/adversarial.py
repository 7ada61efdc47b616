"""Adversarial inputs: steps up the loss by the inputs, while the network stays as it is."""

from collections.abc import Callable, Iterator
from typing import Any

from autograd import add, grad, maximum, minimum, mul, sign, sub
from nn import checks


def gradient_ascent(loss_of: Callable[[Any], Any], inputs: Any, lr: float = 1.0) -> Iterator[Any]:
    """The inputs, then endlessly what they become: x ← x + lr · ∂loss/∂x.

    Go on until the network is fooled: `for x in gradient_ascent(...): if is_fooled(x): break`.
    (Szegedy et al., Intriguing properties of neural networks, 2013.) To climb down, towards a class
    of your choice, let `loss_of` return the negative of its loss.

    Args:
        loss_of: the loss as a function of the inputs, such as
            lambda x: nn.CrossEntropyLoss()(model(x), label).
        inputs: where to begin: numbers in nested lists, as the network takes them.
        lr: the size of the steps.
    """
    lr = checks.real("lr", lr, above=0.0)
    return _ascent(inputs, lambda x: add(x, mul(lr, grad(loss_of)(x))))


def sign_ascent(
    loss_of: Callable[[Any], Any], inputs: Any, epsilon: float, lr: float | None = None
) -> Iterator[Any]:
    """The same with the sign of the gradient, x ← x + lr · sign(∂loss/∂x), and kept in a box.

    No number moves further than epsilon from where it began. The first step with lr = epsilon is
    the fast gradient sign method (Goodfellow, Shlens and Szegedy, Explaining and harnessing
    adversarial examples, 2014), smaller steps are projected gradient descent (Madry et al., Towards
    deep learning models resistant to adversarial attacks, 2017).

    Args:
        loss_of: as in `gradient_ascent`.
        inputs: as there.
        epsilon: half the width of the box.
        lr: the size of the steps; without it epsilon.
    """
    epsilon = checks.real("epsilon", epsilon, above=0.0)
    lr = epsilon if lr is None else checks.real("lr", lr, above=0.0)
    low, high = sub(inputs, epsilon), add(inputs, epsilon)

    def stepped(x: Any) -> Any:
        moved = add(x, mul(lr, sign(grad(loss_of)(x))))
        return minimum(maximum(moved, low), high)

    return _ascent(inputs, stepped)


def _ascent(x: Any, stepped: Callable[[Any], Any]) -> Iterator[Any]:
    while True:
        yield x
        x = stepped(x)
