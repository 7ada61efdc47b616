"""Evaluation: what a model gives for data, and how good it is, in losses and metrics."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from autograd import Value
from nn import checks
from nn.data import Data, checked
from nn.module import Module, check_module

LossFunction = Callable[[Any, Any], Any]
"""Takes the outputs and the labels of a batch and returns one Value."""

Metrics = Mapping[str, Callable[[list[Any], list[Any]], float]]
"""By name: functions that take the outputs, as numbers, and the labels of many samples."""

_TAKEN = ("epoch", "loss", "train_loss", "learning_rate")
"""What other columns of a History are called."""


def outputs(model: Callable[[Any], Any], points: list[Any], labels: list[Any]) -> list[Any]:
    """What the model gives for each point, in the shape of the labels.

    A module returns a list. Where it is a list of one output and the labels are numbers, the
    output itself stands for it, so that `loss(outputs, labels)` compares numbers with numbers; in
    all other cases a loss gets the lists, which is what those for classes want.
    """
    found = [model(point) for point in points]
    if checks.is_list(labels[0]) or any(not checks.is_list(y) or len(y) != 1 for y in found):
        return found
    return [y for (y,) in found]


def evaluate(
    model: Module, loss: LossFunction, data: Any, metrics: Metrics | None = None
) -> dict[str, float]:
    """The "loss" of the model on data, and the metrics by their names, with `Dropout` off.

    Args:
        model: takes a point; it stays in its mode, training or use.
        loss: such as nn.MSELoss(), called with the outputs (see `outputs`) and the labels.
        data: points and labels.
        metrics: such as {"accuracy": nn.accuracy}.

    Raises:
        TypeError: if an argument is of the wrong type.
        ValueError: if the data are empty, differ in depth or hold nan or inf.
    """
    check_module(model)
    checks.function("loss", loss, "nn.MSELoss()")
    metrics = checked_metrics(metrics)
    return evaluated(model, list(model.modules()), loss, checked("data", data), metrics)


def checked_metrics(metrics: Any) -> Metrics:
    """The metrics, none for None.

    Raises:
        TypeError: if they are no dict of functions.
        ValueError: if one has a name that a History gives to something else.
    """
    metrics = {} if metrics is None else metrics
    if not isinstance(metrics, Mapping):
        raise TypeError(
            'metrics must be a dict, such as {"accuracy": nn.accuracy}, '
            f"received the {type(metrics).__name__} {metrics!r}"
        )
    for name, metric in cast(Metrics, metrics).items():
        if name in _TAKEN or str(name).startswith("validation_"):
            raise ValueError(
                f"metrics must have names other than {', '.join(_TAKEN)} and validation_…, "
                f"received {name!r}"
            )
        checks.function(f"metrics[{name!r}]", metric, "nn.accuracy")
    return cast(Metrics, metrics)


def measured(metrics: Metrics, ys: list[Any], labels: list[Any]) -> dict[str, float]:
    """The numbers of the metrics by their names.

    Raises:
        TypeError: if a metric returns no number.
    """
    found = {name: metric(ys, labels) for name, metric in metrics.items()}
    for name, x in found.items():
        if not checks.is_real(x):
            raise TypeError(f"metrics[{name!r}] must return a number, received {x!r}")
    return {name: float(x) for name, x in found.items()}


def evaluated(
    model: Module, modules: list[Module], loss: LossFunction, data: Data, metrics: Metrics
) -> dict[str, float]:
    """As `evaluate`, given data that have been checked, and the modules of the model."""
    points, labels = data
    with in_use(modules):
        ys = outputs(lambda point: numbers(model(point)), points, labels)
    return {"loss": numbers(loss(ys, labels)), **measured(metrics, ys, labels)}


@contextmanager
def in_use(modules: list[Module]) -> Generator[None]:
    """Inside it the modules are in use, not in training; afterwards each is as before."""
    modes = [module.training for module in modules]
    try:
        for module in modules:
            module.training = False
        yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode


def numbers(x: Any) -> Any:
    """The numbers of Values, in the same nested lists."""
    if checks.is_list(x):
        return [numbers(part) for part in x]
    return x.item() if isinstance(x, Value) else x


def accuracy(outputs: list[Any], labels: list[Any], threshold: float = 0.0) -> float:
    """The share of samples whose class is answered rightly.

    Args:
        outputs: for each sample a number, alone or in a list, or a list of the scores of the
            classes.
        labels: for a number 1, or 0 or -1 for the other class; for scores the index of the class,
            or a list with the largest number at its place.
        threshold: a number above it answers class 1: 0 for logits, 0.5 for probabilities.

    Raises:
        TypeError: if there are no lists, or an output is no number.
        ValueError: if there are no samples, there is not one label for each output, or a label is
            another.
    """
    threshold = checks.real("threshold", threshold)
    if not checks.is_list(outputs) or not checks.is_list(labels):
        raise TypeError(f"outputs and labels must be lists, received {outputs!r} and {labels!r}")
    if not len(outputs) or len(outputs) != len(labels):
        raise ValueError(
            "outputs and labels must be as many, and at least one, "
            f"received {len(outputs)} outputs and {len(labels)} labels"
        )
    right = [_is_right(*pair, threshold) for pair in zip(outputs, labels, strict=True)]
    return sum(right) / len(right)


def _is_right(output: Any, label: Any, threshold: float) -> bool:
    scores = output if checks.is_list(output) else [output]
    checks.numbers_or_values("output", scores)
    if checks.is_list(label) and len(label) != len(scores):
        raise ValueError(
            f"labels must have the shape of outputs, received {label!r} for {output!r}"
        )
    if len(scores) == 1:
        (sign,) = label if checks.is_list(label) else [label]
        if sign not in (-1, 0, 1):
            raise ValueError(
                f"labels must be 1, or 0 or -1 for the other class, received {label!r}"
            )
        return bool((scores[0] > threshold) == (sign == 1))
    if checks.is_list(label):
        return _largest(scores) == _largest(label)
    index = checks.whole("the class index in labels", label, at_least=0)
    if index >= len(scores):
        raise ValueError(f"the class index in labels must be below {len(scores)}, received {index}")
    return _largest(scores) == index


def _largest(scores: Any) -> int:
    """The place of the largest score, the first of equal ones."""
    return max(range(len(scores)), key=scores.__getitem__)
