"""Optimisers: how the gradients of Parameters change them, as in `torch.optim`."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, ClassVar

from autograd import Value
from nn import checks

_SIGNED = ("momentum_buffer", "exp_avg")
"""The buffers that may be negative; the others hold sums of squares and counts."""


class Optimizer(ABC):
    """Changes Parameters by their gradients, at a learning rate that may be written at any time.

    Frozen Parameters stay as they are. A gradient of 0.0 counts as one, so that momentum and weight
    decay go on where PyTorch, for a gradient of None, would skip the Parameter.

    Args:
        params: the Parameters, such as model.parameters() or [layer.weight, layer.bias].
        lr: the learning rate.
        weight_decay: this much of the Parameter is added to its gradient: the gradient of the
            penalty ½ · weight_decay · Σ w².

    Raises:
        TypeError: if an argument is of the wrong type.
        ValueError: if there is no Parameter, or a number is out of its range.
    """

    hyperparameters: ClassVar[tuple[str, ...]]
    """The arguments that a state holds, beside the learning rate."""

    buffers: ClassVar[tuple[str, ...]]
    """What is remembered for each Parameter from step to step, under PyTorch's names."""

    def __init__(self, params: Iterable[Value], lr: float, weight_decay: float) -> None:
        self.params = checks.leaves("params", params)
        self.lr = lr
        self.initial_lr = self.lr
        self.weight_decay = checks.real("weight_decay", weight_decay, at_least=0.0)
        self._buffers = {name: [0.0] * len(self.params) for name in self.buffers}

    @property
    def lr(self) -> float:
        """The learning rate; a scheduler writes it."""
        return self._lr

    @lr.setter
    def lr(self, lr: float) -> None:
        self._lr = checks.real("lr", lr, at_least=0.0)

    def zero_grad(self) -> None:
        """Set the gradient of every Parameter to 0.0."""
        for parameter in self.params:
            parameter.grad = 0.0

    def step(self) -> None:
        """Change every Parameter that is not frozen, once."""
        for i, parameter in enumerate(self.params):
            if parameter.requires_grad:
                parameter.data = self._updated(i, parameter.data, parameter.grad)

    def numbers(self) -> Iterator[float]:
        """The numbers of the Parameters, then those of all buffers."""
        return chain((parameter.data for parameter in self.params), *self._buffers.values())

    def __repr__(self) -> str:
        settings = {"lr": self.lr, **{name: getattr(self, name) for name in self.hyperparameters}}
        shown = ", ".join(f"{name}={x!r}" for name, x in settings.items())
        return f"{type(self).__name__}({len(self.params)} params, {shown})"

    @abstractmethod
    def _updated(self, i: int, w: float, g: float) -> float:
        """The new number of the Parameter at place i, from its number and its gradient."""

    def state_dict(self) -> dict[str, Any]:
        """All that the next steps depend on but the Parameters themselves; fit for JSON."""
        return {
            "lr": self.lr,
            "hyperparameters": {
                "lr": self.initial_lr,
                **{name: getattr(self, name) for name in self.hyperparameters},
            },
            "buffers": {name: list(column) for name, column in self._buffers.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state of the same kind of optimiser: wholly, or on an error not at all.

        Raises:
            TypeError: if a part is of the wrong type.
            ValueError: if a name is missing or unknown, a number is out of range, or the state
                is of another number of Parameters.
        """
        mine = self.state_dict()
        state = checks.keys("state", state, mine)
        loaded: dict[str, dict[str, Any]] = {
            part: checks.keys(f"state[{part!r}]", state[part], mine[part])
            for part in ("hyperparameters", "buffers")
        }
        twin = type(self)(self.params, **loaded["hyperparameters"])
        twin.lr = state["lr"]
        for name, column in loaded["buffers"].items():
            place = f"state['buffers'][{name!r}]"
            bounds = {} if name in _SIGNED else {"at_least": 0.0}
            if not checks.is_list(column) or len(column) != len(self.params):
                raise ValueError(
                    f"{place} must be a list of {len(self.params)} numbers, one for each "
                    f"Parameter, received {column!r}"
                )
            twin._buffers[name] = [checks.real(place, x, **bounds) for x in column]
        for name, x in vars(twin).items():
            setattr(self, name, x)


def check_optimizer(optimizer: object) -> None:
    """Refuse what is no Optimizer.

    Raises:
        TypeError: naming what was received.
    """
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            "optimizer must be one of nn.optim, such as SGD(model.parameters(), lr=0.1), "
            f"received the {type(optimizer).__name__} {optimizer!r}"
        )


class SGD(Optimizer):
    """(Stochastic) gradient descent: w ← w - lr · g; with momentum the velocity takes g's place.

    Args:
        params: as in `Optimizer`.
        lr: the learning rate.
        momentum: how much of the velocity stays from step to step, γ.
        weight_decay: as in `Optimizer`.
        nesterov: step to where the velocity will lead next (Nesterov, 1983). The Parameters are
            then the points ahead, w - γ v, at which Nesterov takes his gradients.
        momentum_form: "torch" for v ← γ v + g, w ← w - lr · v; "classical" for v ← γ v + lr · g,
            w ← w - v (Polyak, 1964). They differ only where the learning rate changes.
    """

    hyperparameters = ("momentum", "weight_decay", "nesterov", "momentum_form")
    buffers = ("momentum_buffer",)

    def __init__(
        self,
        params: Iterable[Value],
        lr: float = 1e-3,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        momentum_form: str = "torch",
    ) -> None:
        super().__init__(params, lr, weight_decay)
        self.momentum = checks.real("momentum", momentum, at_least=0.0)
        self.nesterov = checks.flag("nesterov", nesterov)
        self.momentum_form = checks.choice("momentum_form", momentum_form, ("torch", "classical"))
        if self.nesterov and not self.momentum:
            raise ValueError(f"momentum must be > 0 with nesterov, received {momentum!r}")

    def _updated(self, i: int, w: float, g: float) -> float:
        g += self.weight_decay * w
        inside, outside = (self.lr, 1.0) if self.momentum_form == "classical" else (1.0, self.lr)
        velocities = self._buffers["momentum_buffer"]
        velocities[i] = self.momentum * velocities[i] + inside * g
        ahead = self.momentum * velocities[i] + inside * g
        return w - outside * (ahead if self.nesterov else velocities[i])


class Adagrad(Optimizer):
    """s ← s + g², w ← w - lr · g / (√s + eps) (Duchi et al., 2011)."""

    hyperparameters = ("weight_decay", "eps")
    buffers = ("sum",)

    def __init__(
        self,
        params: Iterable[Value],
        lr: float = 1e-2,
        weight_decay: float = 0.0,
        eps: float = 1e-10,
    ) -> None:
        super().__init__(params, lr, weight_decay)
        self.eps = checks.real("eps", eps, at_least=0.0)

    def _updated(self, i: int, w: float, g: float) -> float:
        g += self.weight_decay * w
        sums = self._buffers["sum"]
        sums[i] += g * g
        return w - self.lr * _quotient(g, math.sqrt(sums[i]) + self.eps)


class RMSprop(Optimizer):
    """s ← alpha · s + (1 - alpha) g², w ← w - lr · g / (√s + eps) (Hinton, lecture 6e, 2012)."""

    hyperparameters = ("alpha", "eps", "weight_decay")
    buffers = ("square_avg",)

    def __init__(
        self,
        params: Iterable[Value],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr, weight_decay)
        self.alpha = checks.real("alpha", alpha, at_least=0.0, below=1.0)
        self.eps = checks.real("eps", eps, at_least=0.0)

    def _updated(self, i: int, w: float, g: float) -> float:
        g += self.weight_decay * w
        squares = self._buffers["square_avg"]
        squares[i] = self.alpha * squares[i] + (1.0 - self.alpha) * g * g
        return w - self.lr * _quotient(g, math.sqrt(squares[i]) + self.eps)


class Adam(Optimizer):
    """w ← w - lr · m̂ / (√v̂ + eps), of bias-corrected running means (Kingma and Ba, 2014).

    m ← β₁ m + (1 - β₁) g, v ← β₂ v + (1 - β₂) g², m̂ = m / (1 - β₁ᵗ), v̂ = v / (1 - β₂ᵗ).
    """

    hyperparameters = ("betas", "eps", "weight_decay")
    buffers = ("step", "exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Iterable[Value],
        lr: float = 1e-3,
        betas: Sequence[float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr, weight_decay)
        if not checks.is_list(betas) or len(betas) != 2:
            raise ValueError(f"betas must be two numbers, such as (0.9, 0.999), received {betas!r}")
        self.betas = tuple(checks.real("betas", beta, at_least=0.0, below=1.0) for beta in betas)
        self.eps = checks.real("eps", eps, at_least=0.0)

    def _updated(self, i: int, w: float, g: float) -> float:
        return self._adapted(i, w, g + self.weight_decay * w)

    def _adapted(self, i: int, w: float, g: float) -> float:
        (beta1, beta2), (steps, means, squares) = self.betas, self._buffers.values()
        steps[i] += 1.0
        means[i] = beta1 * means[i] + (1.0 - beta1) * g
        squares[i] = beta2 * squares[i] + (1.0 - beta2) * g * g
        mean = means[i] / (1.0 - beta1 ** steps[i])
        square = squares[i] / (1.0 - beta2 ** steps[i])
        return w - self.lr * _quotient(mean, math.sqrt(square) + self.eps)


class AdamW(Adam):
    """Adam with decoupled weight decay: first w ← w - lr · weight_decay · w, then Adam's step.

    Loshchilov and Hutter, 2017.
    """

    def __init__(
        self,
        params: Iterable[Value],
        lr: float = 1e-3,
        betas: Sequence[float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)

    def _updated(self, i: int, w: float, g: float) -> float:
        return self._adapted(i, w - self.lr * self.weight_decay * w, g)


def _quotient(numerator: float, denominator: float) -> float:
    """The quotient; with eps = 0 and no gradient, where both are 0, it is 0."""
    return numerator / denominator if denominator else numerator
