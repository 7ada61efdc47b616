"""The forward and backward pass of a batch: eager, or compiled into one program."""

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import autograd
from autograd import MissingExtraError, TraceError, Value
from nn import checks
from nn.data import Data, structure
from nn.evaluation import LossFunction, numbers, outputs
from nn.losses import Loss
from nn.module import Module
from nn.regularization import Dropout

Pass = Callable[[list[Any], list[Any]], tuple[float, list[Any]]]
"""Adds the gradients of a batch to those of the Parameters; returns the loss and the outputs."""


def chosen(
    compile: bool | None,
    model: Module,
    loss: LossFunction,
    data: Data,
    with_outputs: bool,
    augmented: bool = False,
) -> Pass:
    """The pass that `fit` takes.

    Args:
        compile: True, False, or None: compiled where that is faster and surely the same, which is
            with the native engine, and where modules and loss are those of this package.
        model: in training; its structure must stay as it is.
        loss: called with the outputs and the labels of a batch.
        data: all samples that will come, each one by itself.
        with_outputs: whether the outputs are wanted.
        augmented: whether other points will come in place of these.

    Raises:
        TypeError, TraceError, MissingExtraError: if compile is True and it cannot be done.
    """
    wanted = compile is not None and checks.flag("compile", compile)
    if compile is None:
        wanted = autograd.engine == "native" and all(map(_is_ours, [loss, *model.modules()]))
    if wanted:
        try:
            return CompiledPass(model, loss, data, with_outputs, augmented)
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


@dataclass(frozen=True, eq=False)
class _Program:
    """The pass of samples of one structure."""

    loss: Any
    outputs: Any
    drawing: list[Dropout]
    """Which dropout draws, for each number drawn."""

    def draws(self) -> list[float]:
        """What the dropouts draw for one sample."""
        return [dropout.generator.random() for dropout in self.drawing]

    def __call__(
        self, points: list[Any], labels: list[Any], draws: list[list[float]], share: float
    ) -> tuple[float, list[Any]]:
        """The loss times the share, with gradients accordingly, and the outputs if wanted."""
        found = _by_sample(self.outputs(points, labels, draws)) if self.outputs else []
        return self.loss.backward(points, labels, draws, share), found


class CompiledPass:
    """The pass as programs: one for each structure of samples, such as each length of sequences.

    They are traced anew when a setting of a module has changed, or, as `backward` of a compiled
    function does by itself, when a Parameter was frozen or unfrozen: a callback may do both.

    The numbers that a `Dropout` draws are inputs of the program. They are drawn in the order in
    which the modules would draw them, from the generators of these.
    """

    def __init__(
        self,
        model: Module,
        loss: LossFunction,
        data: Data,
        with_outputs: bool,
        augmented: bool = False,
    ) -> None:
        if not isinstance(loss, Loss):
            raise TypeError(
                "compile=True needs a loss of nn, such as nn.MSELoss(), which is the mean or the "
                f"sum of the losses of the samples, received {loss!r}"
            )
        self._model = model
        self._loss = loss
        self._samples = _by_structure(*data)
        self._are_alike = len(self._samples) == 1 and not augmented
        self._with_outputs = with_outputs
        self._modules = list(model.modules())
        self._dropouts = [module for module in self._modules if isinstance(module, Dropout)]
        self._compile()
        try:
            for (point, *_), (label, *_) in self._samples.values():
                program = self._program(point, label)
                program([point], [label], [[0.5] * len(program.drawing)], 1.0)  # traces
        finally:
            model.zero_grad()

    def _compile(self) -> None:
        """Make the programs of the model as it is now; their first call traces them."""
        self._compiled_settings = self._settings()
        self._programs = {key: self._made(*samples) for key, samples in self._samples.items()}

    def _settings(self) -> list[Any]:
        """What a program takes as it was when it was traced, and may change during a training."""
        return [
            [x for x in vars(module).values() if isinstance(x, (int, float, str))]
            for module in self._modules
        ]

    def __call__(self, points: list[Any], labels: list[Any]) -> tuple[float, list[Any]]:
        """The loss and the outputs."""
        if self._settings() != self._compiled_settings:
            self._compile()
        programs = self._chosen(points, labels)
        draws: list[list[float]] = (
            [program.draws() for program in programs] if self._dropouts else [[]] * len(points)
        )
        if len({*programs}) == 1:
            return programs[0](points, labels, draws, 1.0)
        return self._joined(programs, points, labels, draws)

    def _joined(
        self, programs: list[_Program], points: list[Any], labels: list[Any], draws: list[Any]
    ) -> tuple[float, list[Any]]:
        """The pass of samples of different structures, each with the program at its place."""
        total, found = 0.0, [None] * len(points)
        for program in dict.fromkeys(programs):
            places = [i for i, other in enumerate(programs) if other is program]
            xs, targets, drawn = ([ys[i] for i in places] for ys in (points, labels, draws))
            counts = self._loss.count(targets), self._loss.count(labels)
            share = 1.0 if self._loss.is_sum else counts[0] / counts[1]
            loss, ys = program(xs, targets, drawn, share)
            total += loss
            for i, y in zip(places, ys, strict=False):  # there may be none
                found[i] = y
        return total, found if self._with_outputs else []

    def _chosen(self, points: list[Any], labels: list[Any]) -> list[_Program]:
        """The program of each sample."""
        if self._are_alike:
            return [*self._programs.values()] * len(points)
        return [self._program(*sample) for sample in zip(points, labels, strict=True)]

    def _program(self, point: Any, label: Any) -> _Program:
        """The program of a sample, which is made if there is none."""
        key = structure((point, label))
        if key not in self._programs:
            self._programs[key] = self._made([point], [label])
        return self._programs[key]

    def _made(self, points: list[Any], labels: list[Any]) -> _Program:
        """A program for these samples, all of one structure; its first call traces it."""
        reduce = "sum" if self._loss.is_sum else "mean"
        loss = autograd.compile(self._loss_of_sample, in_axes=(0, 0, 0, None), reduce=reduce)
        outputs = autograd.compile(self._outputs_of_sample, in_axes=0)
        drawing = self._tried(points, labels)
        return _Program(loss, outputs if self._with_outputs else None, drawing)

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

    def _loss_of_sample(self, point: Any, label: Any, draws: Iterable[Any], share: Any) -> Any:
        return share * self._loss([self._outputs_of_sample(point, label, draws)], [label])

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


def _by_structure(points: list[Any], labels: list[Any]) -> dict[Any, Data]:
    """The samples of each structure, in their order."""
    found = dict[Any, Data]()
    for point, label in zip(points, labels, strict=True):
        xs, targets = found.setdefault(structure((point, label)), ([], []))
        xs.append(point)
        targets.append(label)
    return found


def _by_sample(columns: Any) -> list[Any]:
    """The outputs sample by sample, given for each output an array of its numbers."""
    if isinstance(columns, list):
        return [list(row) for row in zip(*map(_by_sample, columns), strict=True)]  # pyright: ignore
    return columns.tolist()
