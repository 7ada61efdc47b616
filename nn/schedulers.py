"""Schedulers: the learning rate of an optimiser from epoch to epoch, as in PyTorch."""

import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import autograd
from nn import checks
from nn.optim import Optimizer, check_optimizer


class Scheduler(ABC):
    """Sets the learning rate to a formula of the epoch, counted from 0.

    Call `step()` at the end of each epoch (or of each batch, to count those). The formulas start
    from the rate with which the optimiser was made, lr₀.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        self.last_epoch = 0
        optimizer.lr = self.rate(0)

    @abstractmethod
    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch."""

    def step(self) -> None:
        """Go on to the next epoch."""
        self.last_epoch += 1
        self.optimizer.lr = self.rate(self.last_epoch)

    def state_dict(self) -> dict[str, Any]:
        """Where it stands; the learning rate itself is in the state of the optimiser."""
        return {"last_epoch": self.last_epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state.

        Raises:
            TypeError: if it is no dict with a whole number.
            ValueError: if a name is missing or unknown, or the epoch negative.
        """
        found = checks.keys("state", state, self.state_dict())
        self.last_epoch = checks.whole("state['last_epoch']", found["last_epoch"], at_least=0)


class StepLR(Scheduler):
    """lr₀ · gamma^⌊epoch / step_size⌋."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self.step_size = checks.whole("step_size", step_size, at_least=1)
        self.gamma = checks.real("gamma", gamma, at_least=0.0)
        super().__init__(optimizer)

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch."""
        return self.optimizer.initial_lr * autograd.pow(self.gamma, epoch // self.step_size)


class ExponentialLR(Scheduler):
    """lr₀ · gamma^epoch; a decay e^(-k·epoch) has gamma = e^(-k)."""

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        self.gamma = checks.real("gamma", gamma, at_least=0.0)
        super().__init__(optimizer)

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch."""
        return self.optimizer.initial_lr * autograd.pow(self.gamma, epoch)


class InverseTimeLR(Scheduler):
    """lr₀ / (1 + decay · epoch): the 1/t rule."""

    def __init__(self, optimizer: Optimizer, decay: float) -> None:
        self.decay = checks.real("decay", decay, at_least=0.0)
        super().__init__(optimizer)

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch."""
        return self.optimizer.initial_lr / (1.0 + self.decay * epoch)


class CosineAnnealingLR(Scheduler):
    """Half a cosine from lr₀ at epoch 0 to eta_min at T_max (Loshchilov and Hutter, 2016)."""

    def __init__(
        self,
        optimizer: Optimizer,
        T_max: int,  # noqa: N803 (PyTorch's name)
        eta_min: float = 0.0,
    ) -> None:
        self.T_max = checks.whole("T_max", T_max, at_least=1)
        self.eta_min = checks.real("eta_min", eta_min, at_least=0.0)
        super().__init__(optimizer)

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch."""
        height = (1.0 + math.cos(math.pi * epoch / self.T_max)) / 2.0
        return self.eta_min + (self.optimizer.initial_lr - self.eta_min) * height


class LinearLR(Scheduler):
    """Warm-up: a straight line from start_factor · lr₀ to end_factor · lr₀ at total_iters."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3.0,
        end_factor: float = 1.0,
        total_iters: int = 5,
    ) -> None:
        self.start_factor = checks.real("start_factor", start_factor, at_least=0.0)
        self.end_factor = checks.real("end_factor", end_factor, at_least=0.0)
        self.total_iters = checks.whole("total_iters", total_iters, at_least=1)
        super().__init__(optimizer)

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch."""
        done = min(epoch, self.total_iters) / self.total_iters
        factor = self.start_factor + (self.end_factor - self.start_factor) * done
        return self.optimizer.initial_lr * factor


class SequentialLR(Scheduler):
    """Schedulers one after the other: each begins, at its epoch 0, at its milestone.

    Warm-up before a decay: `SequentialLR(o, [LinearLR(o), CosineAnnealingLR(o, 95)], [5])`.

    Args:
        optimizer: the optimiser of all of them.
        schedulers: the schedulers in turn.
        milestones: the epochs at which the second and later ones begin.
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[Scheduler], milestones: Sequence[int]
    ) -> None:
        self.schedulers = list(schedulers)
        for scheduler in self.schedulers:
            if not hasattr(scheduler, "rate") or scheduler.optimizer is not optimizer:
                raise ValueError(
                    "schedulers must give optimizer, and no other, a rate for each epoch, "
                    f"received {scheduler!r}"
                )
        self.milestones = [checks.whole("milestones", epoch, at_least=1) for epoch in milestones]
        if len(self.schedulers) != len(self.milestones) + 1:
            raise ValueError(
                "milestones must be one fewer than schedulers, received "
                f"{len(self.milestones)} for {len(self.schedulers)} schedulers"
            )
        if self.milestones != sorted(set(self.milestones)):
            raise ValueError(f"milestones must increase, received {milestones!r}")
        super().__init__(optimizer)

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch."""
        turn = bisect_right(self.milestones, epoch)
        begin = self.milestones[turn - 1] if turn else 0
        return self.schedulers[turn].rate(epoch - begin)


class ReduceLROnPlateau:
    """Multiplies the learning rate by factor when a measure has not improved for long.

    Args:
        optimizer: whose learning rate it reduces.
        mode: "min" where less is better, as of a loss, or "max".
        factor: what the learning rate is multiplied by.
        patience: how many epochs without improvement are borne; the next one reduces.
        threshold: the relative improvement that counts.
        min_lr: the learning rate is not made smaller.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        min_lr: float = 0.0,
    ) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        self.mode = checks.choice("mode", mode, ("min", "max"))
        self.factor = checks.real("factor", factor, at_least=0.0, below=1.0)
        self.patience = checks.whole("patience", patience, at_least=0)
        self.threshold = checks.real("threshold", threshold, at_least=0.0)
        self.min_lr = checks.real("min_lr", min_lr, at_least=0.0)
        self.best: float | None = None
        self.num_bad_epochs = 0

    def step(self, metric: Any) -> None:
        """Take note of the measure of an epoch; nan is no improvement, and inf none at first.

        Raises:
            TypeError: if the metric is no number, such as a Value: pass loss.item().
        """
        if not checks.is_real(metric):
            raise TypeError(f"metric must be a number, such as loss.item(), received {metric!r}")
        if self._is_better(metric):
            self.best = float(metric)
            self.num_bad_epochs = 0
            return
        self.num_bad_epochs += 1
        if self.num_bad_epochs > self.patience:
            lr = self.optimizer.lr
            self.optimizer.lr = min(lr, max(lr * self.factor, self.min_lr))
            self.num_bad_epochs = 0

    def _is_better(self, metric: float) -> bool:
        if self.best is None:
            return math.isfinite(metric)
        if self.mode == "min":
            return metric < self.best * (1.0 - self.threshold)
        return metric > self.best * (1.0 + self.threshold)

    def state_dict(self) -> dict[str, Any]:
        """Where it stands; the learning rate itself is in the state of the optimiser."""
        return {"best": self.best, "num_bad_epochs": self.num_bad_epochs}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state.

        Raises:
            TypeError: if a part is no number.
            ValueError: if a name is missing or unknown, or a number out of range.
        """
        found = checks.keys("state", state, self.state_dict())
        best = found["best"]
        best = None if best is None else checks.real("state['best']", best)
        self.num_bad_epochs = checks.whole(
            "state['num_bad_epochs']", found["num_bad_epochs"], at_least=0
        )
        self.best = best
