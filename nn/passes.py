"""The forward and backward pass of a batch: eager, or compiled into one program."""

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import autograd
from autograd import MissingExtraError, TraceError, Value
from nn import checks
from nn.data import Data
from nn.evaluation import LossFunction, numbers, outputs
from nn.losses import Loss
from nn.module import Module
from nn.regularization import Dropout

Pass = Callable[[list[Any], list[Any]], tuple[float, list[Any]]]
"""Adds the gradients of a batch to those of the Parameters; returns the loss and the outputs."""


def chosen(
    compile: bool | None, model: Module, loss: LossFunction, data: Data, with_outputs: bool
) -> Pass:
    """The pass that `fit` takes.

    Args:
        compile: True, False, or None: compiled where that is faster and surely the same, which is
            with the native engine, and where modules and loss are those of this package.
        model: in training; its structure must stay as it is.
        loss: called with the outputs and the labels of a batch.
        data: all samples that will come, each one by itself.
        with_outputs: whether the outputs are wanted.

    Raises:
        TypeError, TraceError, MissingExtraError: if compile is True and it cannot be done.
    """
    wanted = compile is not None and checks.flag("compile", compile)
    if compile is None:
        wanted = autograd.engine == "native" and all(map(_is_ours, [loss, *model.modules()]))
    if wanted:
        try:
            return CompiledPass(model, loss, data, with_outputs)
        except (TraceError, MissingExtraError):
            if compile:
                raise
    return EagerPass(model, loss)


def _is_ours(x: object) -> bool:
    return isinstance(x, Module) and type(x).__module__.partition(".")[0] == "nn"


@dataclass(frozen=True)
class EagerPass:
    """The pass as Values record and sweep it."""

    model: Module
    loss: LossFunction

    def __call__(self, points: list[Any], labels: list[Any]) -> tuple[float, list[Any]]:
        """The loss and the outputs."""
        found = outputs(self.model, points, labels)
        loss = self.loss(found, labels)
        if not isinstance(loss, Value):
            raise TypeError(
                f"loss must return a Value, such as nn.MSELoss() does, received {loss!r}"
            )
        loss.backward()
        return loss.item(), numbers(found)


class CompiledPass:
    """The pass as a program that is traced from the first sample.

    It is traced again when a setting of a module has changed, or, as `backward` of a compiled
    function does by itself, when a Parameter was frozen or unfrozen: a callback may do both.

    The numbers that a `Dropout` draws are inputs of the program. They are drawn in the order in
    which the modules would draw them, from the generators of these.
    """

    def __init__(self, model: Module, loss: LossFunction, data: Data, with_outputs: bool) -> None:
        if not isinstance(loss, Loss):
            raise TypeError(
                "compile=True needs a loss of nn, such as nn.MSELoss(), which is the mean or the "
                f"sum of the losses of the samples, received {loss!r}"
            )
        self._model = model
        self._loss = loss
        self._samples = data
        self._with_outputs = with_outputs
        self._modules = list(model.modules())
        self._dropouts = [module for module in self._modules if isinstance(module, Dropout)]
        self._compile()
        self([data[0][0]], [data[1][0]], [[0.5] * len(self._drawing)])  # traces
        model.zero_grad()

    def _compile(self) -> None:
        """Make the programs of the model as it is now; their first call traces them."""
        self._compiled_settings = self._settings()
        reduce = "sum" if self._loss.is_sum else "mean"
        self._losses = autograd.compile(self._loss_of_sample, in_axes=0, reduce=reduce)
        self._outputs = autograd.compile(self._outputs_of_sample, in_axes=0)
        self._drawing = self._tried(*self._samples)

    def _settings(self) -> list[Any]:
        """What a program takes as it was when it was traced, and may change during a training."""
        return [
            [x for x in vars(module).values() if isinstance(x, (int, float, str))]
            for module in self._modules
        ]

    def __call__(
        self, points: list[Any], labels: list[Any], draws: list[list[float]] | None = None
    ) -> tuple[float, list[Any]]:
        """The loss and the outputs; draws are what the dropouts draw for each sample."""
        if self._settings() != self._compiled_settings:
            self._compile()
        if draws is None:
            draws = [[dropout.generator.random() for dropout in self._drawing] for _ in points]
        found = _by_sample(self._outputs(points, labels, draws)) if self._with_outputs else []
        return self._losses.backward(points, labels, draws), found

    def _tried(self, points: list[Any], labels: list[Any]) -> list[Dropout]:
        """Run the first sample, and try all labels; which dropout draws, for each number drawn."""
        drawing: list[Dropout] = []

        def note(dropout: Dropout) -> float:
            drawing.append(dropout)
            return 0.5

        with self._drawn_by(note), autograd.no_grad():
            found = outputs(self._model, points[:1], labels[:1])
            for label in labels:
                self._loss(found, [label])
        return drawing

    def _outputs_of_sample(self, point: Any, label: Any, draws: Iterable[Any]) -> Any:
        source = iter(draws)
        with self._drawn_by(lambda _: next(source)):
            return outputs(self._model, [point], [label])[0]

    def _loss_of_sample(self, point: Any, label: Any, draws: Iterable[Any]) -> Any:
        return self._loss([self._outputs_of_sample(point, label, draws)], [label])

    @contextmanager
    def _drawn_by(self, draw: Callable[[Dropout], Any]) -> Generator[None]:
        """Inside it the dropouts get their numbers from there."""
        own = [dropout.generator for dropout in self._dropouts]
        try:
            for dropout in self._dropouts:
                dropout.generator = _Source(draw, dropout)  # pyright: ignore
            yield
        finally:
            for dropout, generator in zip(self._dropouts, own, strict=True):
                dropout.generator = generator


@dataclass(frozen=True)
class _Source:
    """Stands for the generator of a dropout."""

    draw: Callable[[Dropout], Any]
    dropout: Dropout

    def random(self) -> Any:
        """A number between 0 and 1."""
        return self.draw(self.dropout)


def _by_sample(columns: Any) -> list[Any]:
    """The outputs sample by sample, given for each output an array of its numbers."""
    if isinstance(columns, list):
        return [list(row) for row in zip(*map(_by_sample, columns), strict=True)]  # pyright: ignore
    return columns.tolist()
