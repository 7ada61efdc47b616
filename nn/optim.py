"""Optimisers: how the gradients of Parameters change them, as in `torch.optim`."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib.util import find_spec
from itertools import chain, groupby, repeat
from typing import Any, ClassVar

import autograd
from autograd import Value, sqrt
from nn import checks

Column = list[float]
"""A number for each of some Parameters."""

Number = Any
"""A float; where a formula is traced, a Value."""

Rule = Callable[..., tuple[Number, ...]]
"""One of the formulas at the end."""

_SIGNED = ("momentum_buffer", "exp_avg")
"""The buffers that may be negative; the others hold sums of squares and counts."""

_LEAST = 5e-324
"""In place of eps = 0: so the quotient of 0 and 0, the step where no gradient ever was, is 0."""

_FEW = 16
"""Below so many Parameters a step is short anyway; no program is made, and NumPy not imported."""


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
        columns = list(self._buffers.values())
        for run in self._runs():
            params = self.params[run]
            numbers, *remembered = self._updated(
                [parameter.data for parameter in params],
                [parameter.grad for parameter in params],
                *(column[run] for column in columns),
            )
            for parameter, number in zip(params, numbers, strict=True):
                parameter.data = number
            for column, part in zip(columns, remembered, strict=True):
                column[run] = part

    def _runs(self) -> list[slice]:
        """Where Parameters in a row are not frozen and have made equally many steps."""
        required = [parameter.requires_grad for parameter in self.params]
        steps = self._buffers.get("step", [0.0] * len(required))
        if all(required) and steps.count(steps[0]) == len(steps):
            return [slice(None)]
        runs, start = list[slice](), 0
        for (is_trained, _), members in groupby(zip(required, steps, strict=True)):
            end = start + sum(1 for _ in members)
            if is_trained:
                runs.append(slice(start, end))
            start = end
        return runs

    def numbers(self) -> Column:
        """The numbers of the Parameters, then those of all buffers."""
        return list(chain([parameter.data for parameter in self.params], *self._buffers.values()))

    def __repr__(self) -> str:
        settings = {"lr": self.lr, **{name: getattr(self, name) for name in self.hyperparameters}}
        shown = ", ".join(f"{name}={x!r}" for name, x in settings.items())
        return f"{type(self).__name__}({len(self.params)} params, {shown})"

    @abstractmethod
    def _updated(self, *columns: Column) -> Iterable[Column]:
        """The new numbers and buffers of a run, given its numbers, gradients and buffers."""

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

    def _updated(self, *columns: Column) -> Iterable[Column]:
        rates = (self.lr, 1.0) if self.momentum_form == "classical" else (1.0, self.lr)
        rule = _nesterov if self.nesterov else _descent
        return _each(rule, columns, self.weight_decay, self.momentum, *rates)


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

    def _updated(self, *columns: Column) -> Iterable[Column]:
        return _each(_adagrad, columns, self.lr, self.weight_decay, self.eps or _LEAST)


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

    def _updated(self, *columns: Column) -> Iterable[Column]:
        shared = self.lr, self.weight_decay, self.alpha, self.eps or _LEAST
        return _each(_rmsprop, columns, *shared)


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

    def _updated(self, *columns: Column) -> Iterable[Column]:
        numbers, gradients, steps, means, squares = columns
        (beta1, beta2), step = self.betas, steps[0] + 1.0  # the same in all of a run
        shared = self.lr, *self._decays(), beta1, beta2, self.eps or _LEAST
        corrections = 1.0 - beta1**step, 1.0 - beta2**step
        columns = numbers, gradients, means, squares
        numbers, means, squares = _each(_adam, columns, *shared, *corrections)
        return numbers, [step] * len(numbers), means, squares

    def _decays(self) -> tuple[float, float]:
        """How much of a Parameter is added to its gradient, and how much is taken off itself."""
        return self.weight_decay, 0.0


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

    def _decays(self) -> tuple[float, float]:
        return 0.0, self.lr * self.weight_decay


# The formulas, each for one Parameter: its number w, its gradient g and what is remembered of it,
# then what all Parameters share. They return the new number and what is to be remembered.


def _descent(w: Number, g: Number, v: Number, *shared: Number) -> tuple[Number, ...]:
    decay, momentum, inside, outside = shared
    v = momentum * v + inside * (g + decay * w)
    return w - outside * v, v


def _nesterov(w: Number, g: Number, v: Number, *shared: Number) -> tuple[Number, ...]:
    decay, momentum, inside, outside = shared
    g = inside * (g + decay * w)
    v = momentum * v + g
    return w - outside * (momentum * v + g), v


def _adagrad(w: Number, g: Number, s: Number, *shared: Number) -> tuple[Number, ...]:
    lr, decay, eps = shared
    g = g + decay * w
    s = s + g * g
    return w - lr * (g / (sqrt(s) + eps)), s


def _rmsprop(w: Number, g: Number, s: Number, *shared: Number) -> tuple[Number, ...]:
    lr, decay, alpha, eps = shared
    g = g + decay * w
    s = alpha * s + (1.0 - alpha) * g * g
    return w - lr * (g / (sqrt(s) + eps)), s


def _adam(w: Number, g: Number, m: Number, v: Number, *shared: Number) -> tuple[Number, ...]:
    lr, decay, shrinkage, beta1, beta2, eps, mean_correction, square_correction = shared
    g = g + decay * w
    m = beta1 * m + (1.0 - beta1) * g
    v = beta2 * v + (1.0 - beta2) * g * g
    adapted = (m / mean_correction) / (sqrt(v / square_correction) + eps)
    return w - shrinkage * w - lr * adapted, m, v


# How they are applied.


def _each(rule: Rule, columns: Sequence[Column], *shared: float) -> list[Column]:
    """What the rule gives for each row of the columns, again as columns."""
    many = len(columns[0]) >= _FEW
    if many and (program := _program(rule, len(columns), len(shared))):
        return [column.tolist() for column in program(*columns, *shared)]
    rows = map(rule, *columns, *map(repeat, shared))
    return [list(column) for column in zip(*rows, strict=True)]


@cache
def _program(rule: Rule, columns: int, shared: int) -> Any:
    """The rule compiled; None where the rule itself is faster, or NumPy missing for the results.

    The bits are the same, since a rule has nothing but + - * / and √.
    """
    if autograd.engine == "python" or find_spec("numpy") is None:
        return None
    return autograd.compile(rule, in_axes=(0,) * columns + (None,) * shared)
