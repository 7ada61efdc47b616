"""Training: `fit` runs the epochs of a model, and can be interrupted, stopped early and resumed."""

import math
import warnings
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, cast

from autograd import AutogradError, MissingExtraError, Value
from nn import checks, generators, init, passes
from nn.checkpoints import Checkpoint
from nn.data import Data, batches, checked
from nn.evaluation import LossFunction, Metrics, checked_metrics, evaluated, measured
from nn.gradients import clip_by_norm, clip_by_value
from nn.history import History, Record, described
from nn.losses import Loss
from nn.module import Module, check_module
from nn.optim import Optimizer, check_optimizer
from nn.passes import Pass
from nn.saving import PathLike
from nn.schedulers import ReduceLROnPlateau, Scheduler

Callback = Callable[[History], object]
"""Called with the History after each epoch; if it writes `stopped`, the training ends."""


class EarlyStopping:
    """Tells when a loss, epoch after epoch, has not improved for long.

    Args:
        patience: the training ends after so many epochs in a row without improvement.
        min_delta: a loss must be less than the best one by more than this to be an improvement.

    Attributes:
        epoch: how many epochs were seen.
        best: the least loss that counted, or None.
        best_epoch: its epoch, counted from 1; 0 before there is one.
        best_state: the state of the model then, if `update` was given one.
    """

    def __init__(self, patience: int, min_delta: float = 0.0) -> None:
        self.patience = checks.whole("patience", patience, at_least=1)
        self.min_delta = checks.real("min_delta", min_delta, at_least=0.0)
        self.epoch = 0
        self.best: float | None = None
        self.best_epoch = 0
        self.best_state: dict[str, float] | None = None

    def update(self, loss: float, state: dict[str, float] | None = None) -> None:
        """Take note of the loss of an epoch, and of the model's state if it is the best one.

        A loss of nan or inf is no improvement.
        """
        self.epoch += 1
        if math.isfinite(loss) and (self.best is None or loss < self.best - self.min_delta):
            self.best, self.best_epoch = loss, self.epoch
            self.best_state = state

    @property
    def is_due(self) -> bool:
        """Whether the training should end."""
        return self.epoch - self.best_epoch >= self.patience

    def state_dict(self) -> dict[str, Any]:
        """Where it stands; fit for JSON."""
        return {
            "epoch": self.epoch,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "best_state": self.best_state,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state.

        Raises:
            TypeError: if a part is of the wrong type.
            ValueError: if a name is missing or unknown, or a number out of range.
        """
        found = checks.keys("state", state, self.state_dict())
        epoch = checks.whole("state['epoch']", found["epoch"], at_least=0)
        best_epoch = checks.whole("state['best_epoch']", found["best_epoch"], at_least=0)
        best, best_state = found["best"], found["best_state"]
        if best is not None:
            checks.real("state['best']", best)
        if not isinstance(best_state, dict | None):
            raise TypeError(f"state['best_state'] must be a dict or None, received {best_state!r}")
        self.epoch, self.best, self.best_epoch = epoch, best, best_epoch
        self.best_state = best_state


class _DivergedError(Exception):
    """A number that training needs turned inf or nan; the text says which."""


@dataclass(frozen=True)
class Step:
    """One step of gradient descent: forward and backward pass, update."""

    make: Callable[[], Pass]
    optimizer: Optimizer
    penalty: Callable[[], Any] | None = None
    clip_norm: float | None = None
    clip_value: float | None = None

    @cached_property
    def run(self) -> Pass:
        """Made for the first batch: then an interrupted tracing is an interrupted epoch."""
        return self.make()

    def __call__(self, points: list[Any], labels: list[Any]) -> tuple[float, list[Any]]:
        """Learn from one batch; the loss without the penalty, and the outputs, before the step."""
        run = self.run  # before zero_grad(), for tracing leaves gradients behind
        self.optimizer.zero_grad()
        loss, found = run(points, labels)
        _refuse_nonfinite("the loss", [loss, self._add_penalty()])
        _refuse_nonfinite("a gradient", [parameter.grad for parameter in self.optimizer.params])
        if self.clip_norm is not None:
            clip_by_norm(self.optimizer.params, self.clip_norm)
        if self.clip_value is not None:
            clip_by_value(self.optimizer.params, self.clip_value)
        self.optimizer.step()
        return loss, found

    def _add_penalty(self) -> float:
        """The penalty, having added its gradients to those of the Parameters."""
        if self.penalty is None:
            return 0.0
        penalty = self.penalty()
        if not isinstance(penalty, Value):
            raise TypeError(
                "penalty must return a Value, such as 0.01 * nn.l2(model.parameters()) is, "
                f"received {penalty!r}"
            )
        penalty.backward()
        return penalty.item()


def _refuse_nonfinite(what: str, xs: list[float]) -> None:
    if math.isfinite(sum(xs)):  # then each of them is; found much faster
        return
    for x in xs:
        if not math.isfinite(x):
            raise _DivergedError(f"{what} turned {x}")


@dataclass(frozen=True)
class _Epoch:
    """One epoch: each training sample once, in batches, then the validation data."""

    model: Module
    loss: LossFunction
    step: Step
    data: Data
    batch_size: int | None
    shuffle: bool
    generator: init.Generator
    augment: Callable[[Any, init.Generator], Any] | None
    validation: Data | None
    metrics: Metrics
    modules: list[Module]

    def __call__(self) -> Record:
        """The losses and metrics."""
        record = self._train()
        if self.validation is not None:
            record |= self._validate(self.validation)
        return {**record, "learning_rate": self.step.optimizer.lr}

    def _train(self) -> Record:
        ys, targets = list[Any](), list[Any]()
        total, terms = 0.0, self._terms(self.data[1])
        for points, labels in batches(self.data, self.batch_size, self.generator, self.shuffle):
            if self.augment is not None:
                points = [self.augment(point, self.generator) for point in points]
            loss, found = self.step(points, labels)
            total += loss * (self._terms(labels) / terms)
            ys += found
            targets += labels
        _refuse_nonfinite("a Parameter or buffer", self.step.optimizer.numbers())
        return {"train_loss": total, **measured(self.metrics, ys, targets)}

    def _terms(self, labels: list[Any]) -> int:
        """Of how many terms the loss is the mean; 1 where it is a sum."""
        if not isinstance(self.loss, Loss):
            return len(labels)
        return 1 if self.loss.is_sum else self.loss.count(labels)

    def _validate(self, data: Data) -> Record:
        found = evaluated(self.model, self.modules, self.loss, data, self.metrics)
        return {f"validation_{name}": x for name, x in found.items()}


def fit(
    model: Module,
    loss: LossFunction,
    data: Any,
    optimizer: Optimizer,
    epochs: int,
    *,
    batch_size: int | None = None,
    shuffle: bool = True,
    generator: init.Generator | None = None,
    augment: Callable[[Any, init.Generator], Any] | None = None,
    validation: Any = None,
    metrics: Metrics | None = None,
    scheduler: Scheduler | ReduceLROnPlateau | None = None,
    penalty: Callable[[], Any] | None = None,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    tolerance: float | None = None,
    patience: int | None = None,
    min_delta: float = 0.0,
    callbacks: Iterable[Callback] = (),
    checkpoint: PathLike | None = None,
    checkpoint_every: int = 1,
    resume: PathLike | None = None,
    compile: bool | None = None,
    progress: bool = False,
) -> History:
    """Train a model on data: so many epochs, in each of which every sample is used once.

    Ctrl-C, and a loss, gradient or Parameter that turns nan or inf, end the training: model and
    optimizer are then as after the last complete epoch, and `History.stopped` says why. So they are
    after any error in an epoch, which goes on to the caller. Tracing is part of the first epoch. At
    the end the model is in use, not in training, so that `Dropout` drops nothing.

    Args:
        model: takes a point and returns a list of outputs.
        loss: such as nn.MSELoss(), called with the outputs and the labels of a batch. Where labels
            are numbers and the model has one output, it gets a list of numbers (see `outputs` in
            evaluation.py), else a list of lists.
        data: points and labels, two lists or arrays. Points may differ in structure, such as
            sequences in length, if the model takes them; so may labels that are lists.
        optimizer: changes Parameters of the model.
        epochs: the number of the last epoch, also where a training is resumed.
        batch_size: the samples of a batch; None takes all of them, 1 one after the other.
        shuffle: whether the samples are shuffled in each epoch (if not all are in one batch).
        generator: shuffles, and goes to augment; see `init`.
        augment: called with each point and the generator whenever the point is used for training;
            returns what the model sees in its place.
        validation: points and labels on which the model is measured after each epoch.
        metrics: by name, such as {"accuracy": nn.accuracy}; called with the outputs and the labels
            of all samples. Those on the training data are taken while it trains.
        scheduler: steps after each epoch; `ReduceLROnPlateau` is given the loss that patience
            watches.
        penalty: returns what is added to the loss of each batch, such as
            lambda: 0.01 * nn.l2(model.parameters()).
        clip_norm: as max_norm of `clip_grad_norm_`.
        clip_value: as clip_value of `clip_grad_value_`, which comes second.
        tolerance: training ends when the training loss is below it.
        patience: training ends after so many epochs in a row in which the validation loss (without
            validation data: the training loss) did not improve. However it ends, the model then has
            the Parameters of the best epoch.
        min_delta: what counts as an improvement; see `EarlyStopping`.
        callbacks: called with the History after each epoch; one that writes a reason into its
            attribute `stopped` ends the training.
        checkpoint: a file for the state of the training, written every so many epochs and at the
            end.
        checkpoint_every: how many epochs.
        resume: a checkpoint from which to go on. Given the same arguments, the numbers are those of
            an unbroken training.
        compile: whether forward and backward pass run as compiled programs, one for each structure
            of points and labels. In them the model's structure and whatever its modules do are as
            when they were traced; they are traced again when a callback changes settings of
            modules, or freezes or unfreezes Parameters. None compiles with the native engine where
            the loss and all modules are those of this package; losses agree with the others to
            rounding.
        progress: whether to show a progress bar, by tqdm.

    Returns:
        What happened, epoch by epoch.

    Raises:
        TypeError: if an argument is of the wrong type.
        ValueError: if the data are empty, differ in depth or hold nan or inf, a number is out of
            its range, or the optimizer holds no Parameter of the model, or frozen ones alone.
        AutogradError: inside `no_grad()`, where a training raises in PyTorch too.
        MissingExtraError: for a progress bar, if tqdm is not installed.
    """
    epochs = checks.whole("epochs", epochs, at_least=1)
    generator = init.generator_or_new(generator)
    if not (Value(0.0) + 0.0).requires_grad:
        raise AutogradError("fit needs gradients, which no_grad() turns off: call it outside")
    _check_belonging(model, optimizer, scheduler)
    callbacks = _checked_functions(loss, augment, penalty, callbacks)
    metrics = checked_metrics(metrics)
    samples = checked("data", data)
    epoch = _Epoch(
        model=model,
        loss=loss,
        step=Step(
            partial(
                *(passes.chosen, compile, model, loss, samples, bool(metrics)),
                augmented=augment is not None,
            ),
            optimizer,
            penalty,
            clip_norm=_unless_none(checks.real, "clip_norm", clip_norm, at_least=0.0),
            clip_value=_unless_none(checks.real, "clip_value", clip_value, at_least=0.0),
        ),
        data=samples,
        batch_size=_unless_none(checks.whole, "batch_size", batch_size, at_least=1),
        shuffle=shuffle,
        generator=generator,
        augment=augment,
        validation=_unless_none(checked, "validation", validation),
        metrics=metrics,
        modules=list(model.modules()),
    )
    stopping = None if patience is None else EarlyStopping(patience, min_delta)
    history = History()
    parts = {
        "optimizer": optimizer,
        "scheduler": scheduler,
        "stopping": stopping,
        "generators": generators.States([generator, *generators.of_model(model)]),
    }
    state = Checkpoint(model, history, {name: x for name, x in parts.items() if x is not None})
    if resume is not None:
        state.load(resume)
    with _progress_bar(progress, len(history), epochs) as show:
        _Run(
            epoch=epoch,
            history=history,
            state=state,
            scheduler=scheduler,
            stopping=stopping,
            tolerance=_unless_none(checks.real, "tolerance", tolerance),
            callbacks=[*callbacks, show],
            path=checkpoint,
            every=checks.whole("checkpoint_every", checkpoint_every, at_least=1),
        ).until(epochs)
    return history


def _unless_none(check: Callable[..., Any], name: str, x: Any, **bounds: Any) -> Any:
    return None if x is None else check(name, x, **bounds)


def _check_belonging(model: Module, optimizer: Optimizer, scheduler: Any) -> None:
    """Refuse parts of different trainings, and those that train nothing."""
    check_module(model)
    check_optimizer(optimizer)
    mine = {id(parameter) for parameter in model.parameters()}
    if mine.isdisjoint(map(id, optimizer.params)):
        raise ValueError(
            "optimizer must hold Parameters of model, such as SGD(model.parameters(), lr=0.1), "
            f"received a {type(optimizer).__name__} of {len(optimizer.params)} others"
        )
    if not any(parameter.requires_grad for parameter in optimizer.params):
        raise ValueError("optimizer must hold a Parameter that is not frozen, received none")
    if not isinstance(scheduler, Scheduler | ReduceLROnPlateau | None):
        raise TypeError(
            "scheduler must be one of nn.schedulers, such as StepLR(optimizer, 10), "
            f"received the {type(scheduler).__name__} {scheduler!r}"
        )
    if scheduler is not None and scheduler.optimizer is not optimizer:
        raise ValueError(
            "scheduler must be made for the optimizer of this training, "
            f"received a {type(scheduler).__name__} of another one"
        )


def _checked_functions(loss: Any, augment: Any, penalty: Any, callbacks: Any) -> list[Callback]:
    """Refuse what cannot be called; the callbacks in a list."""
    if not isinstance(callbacks, Iterable):
        raise TypeError(f"callbacks must be a list of functions, received {callbacks!r}")
    listed = list(cast(Iterable[Callback], callbacks))
    checks.function("loss", loss, "nn.MSELoss()")
    _unless_none(checks.function, "augment", augment, example="lambda x, generator: x")
    example = "lambda: 0.01 * nn.l2(model.parameters())"
    _unless_none(checks.function, "penalty", penalty, example=example)
    for callback in listed:
        checks.function("a callback", callback, "print")
    return listed


@dataclass
class _Run:
    """The epochs one after the other, and what is done between them."""

    epoch: _Epoch
    history: History
    state: Checkpoint
    scheduler: Scheduler | ReduceLROnPlateau | None
    stopping: EarlyStopping | None
    tolerance: float | None
    callbacks: list[Callback]
    path: PathLike | None
    every: int

    def until(self, epochs: int) -> None:
        """Train until so many epochs are complete, or something else ends the training."""
        model = self.epoch.model.train()
        try:
            while len(self.history) < epochs and not self._is_over():
                self._complete(self.epoch())
        except KeyboardInterrupt:
            self._go_back("interrupted")
        except _DivergedError as error:
            self._go_back(str(error))
            warnings.warn(
                f"training ended: {self.history.stopped}; the model is as before it; a smaller "
                "learning rate, clipped gradients or standardised points may help",
                RuntimeWarning,
                stacklevel=3,
            )
        except BaseException:
            self.state.restore()
            raise
        finally:
            model.eval()
        if self.path is not None:
            self.state.save(self.path)
        if self.stopping is not None and self.stopping.best_state is not None:
            model.load_state_dict(self.stopping.best_state)

    def _is_over(self) -> bool:
        """Whether the training ends here; then the history says why."""
        losses = [record["train_loss"] for record in self.history.records[-1:]]
        if self.tolerance is not None and any(loss < self.tolerance for loss in losses):
            self.history.stopped = f"the training loss is below {self.tolerance:g}"
        elif self.stopping is not None and self.stopping.is_due:
            self.history.stopped = f"no improvement for {self.stopping.patience} epochs"
        return self.history.stopped is not None

    def _complete(self, record: Record) -> None:
        self.history.records.append({"epoch": len(self.history) + 1, **record})
        watched = record.get("validation_loss", record["train_loss"])
        if self.stopping is not None:
            self.stopping.update(watched, self.state.numbers())
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(watched)
        elif self.scheduler is not None:
            self.scheduler.step()
        self.state.keep()
        if self.path is not None and len(self.history) % self.every == 0:
            self.state.save(self.path)
        for callback in self.callbacks:
            callback(self.history)

    def _go_back(self, why: str) -> None:
        """To the end of the last complete epoch."""
        self.state.restore()
        self.history.stopped = f"{why} in epoch {len(self.history) + 1}"


@contextmanager
def _progress_bar(wanted: bool, done: int, epochs: int) -> Generator[Callback]:
    """What shows the progress when it is called with the history."""
    if not checks.flag("progress", wanted):
        yield lambda _: None
        return
    try:
        from tqdm.auto import tqdm
    except ImportError:
        raise MissingExtraError(
            'a progress bar needs tqdm: run `pip install "scalar-autograd[progress]"`, '
            "or leave progress=False"
        ) from None
    with tqdm(initial=done, total=epochs, unit="epoch") as bar:

        def show(history: History) -> None:
            bar.set_postfix_str(described(history.records[-1]))
            bar.update()

        yield show
