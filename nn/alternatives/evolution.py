"""Evolution strategies: a gradient estimated from losses alone, without derivatives."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from autograd import Value, dot, no_grad
from nn import checks, init
from nn.generators import gauss
from nn.init import Generator


def evolution_gradient(
    f: Callable[[list[float]], float],
    theta: Sequence[float],
    noises: Sequence[Sequence[float]],
    sigma: float = 0.1,
) -> list[float]:
    """1 / (2 n sigma) · Σ (f(θ + sigma εᵢ) - f(θ - sigma εᵢ)) εᵢ: an estimate of the gradient of f.

    Salimans et al., Evolution strategies as a scalable alternative to reinforcement learning,
    2017; pairs of opposite noise.

    Args:
        f: any function of the parameters; it need not have derivatives.
        theta: the parameters.
        noises: n vectors ε as long as theta, usually drawn from the standard normal distribution.
        sigma: how far from theta the function is tried.

    Raises:
        ValueError: if there is no noise, or not as long as theta, or sigma is not positive.
    """
    sigma = checks.real("sigma", sigma, above=0.0)
    if not noises or any(len(noise) != len(theta) for noise in noises):
        raise ValueError(
            f"noises must be at least one vector of {len(theta)} numbers, as many as theta, "
            f"received the lengths {[len(noise) for noise in noises]}"
        )
    estimate = [0.0] * len(theta)
    for noise in noises:
        up, down = (
            f([t + side * e for t, e in zip(theta, noise, strict=True)]) for side in (sigma, -sigma)
        )
        weight = (up - down) / (2.0 * len(noises) * sigma)
        estimate = [g + weight * e for g, e in zip(estimate, noise, strict=True)]
    return estimate


class EvolutionStrategy:
    """Trains Parameters by a loss that is only evaluated.

    Args:
        params: the Parameters, such as model.parameters().
        sigma: the standard deviation of the noise that is put on them.
        pairs: how often the loss is tried on both sides.
        generator: draws the noise; see `init`.

    Raises:
        TypeError: if an argument is of the wrong type.
        ValueError: if there is no Parameter, or a number is out of its range.
    """

    def __init__(
        self,
        params: Iterable[Value],
        sigma: float = 0.1,
        pairs: int = 10,
        generator: Generator | None = None,
    ) -> None:
        self.params = checks.leaves("params", params)
        self.sigma = checks.real("sigma", sigma, above=0.0)
        self.pairs = checks.whole("pairs", pairs, at_least=1)
        self.generator = init.generator_or_new(generator)

    def loss(self, objective: Callable[[], Any]) -> Value:
        """The objective in value, with `evolution_gradient`'s estimate for a gradient.

        Its `backward()` fills the gradients of the Parameters for an optimiser.

        Args:
            objective: computes a loss with the Parameters as they are; a number or a Value.
        """
        theta = [parameter.data for parameter in self.params]

        def write(point: Sequence[float]) -> None:
            for parameter, number in zip(self.params, point, strict=True):
                parameter.data = number

        def at(point: Sequence[float]) -> float:
            write(point)
            with no_grad():
                result = objective()
            return result.item() if isinstance(result, Value) else float(result)

        noises = [[gauss(self.generator, 0.0, 1.0) for _ in theta] for _ in range(self.pairs)]
        try:
            here = at(theta)
            estimate = evolution_gradient(at, theta, noises, self.sigma)
        finally:
            write(theta)
        plane = dot(estimate, self.params)
        return here + (plane - plane.detach())
