"""Plots with matplotlib: curves of a training, decision boundaries, networks."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from autograd import MissingExtraError, no_grad
from nn import checks
from nn.data import checked
from nn.evaluation import in_use, numbers
from nn.history import History
from nn.layers import Linear, Neuron
from nn.module import Module, check_module

_POSITIVE, _NEGATIVE = "#1f77b4", "#d95f02"  # blue and orange, which the colour-blind tell apart
_WIDEST = 4.0


def plot_history(
    history: History,
    ax: Any = None,
    columns: Sequence[str] = ("train_loss", "validation_loss"),
) -> Any:
    """Draw columns of a history, each a line over the epochs.

    Args:
        history: what `fit` returned.
        ax: matplotlib's axes to draw on; a new figure's if there are none.
        columns: their names, such as ["accuracy", "validation_accuracy"]; those that were not
            recorded are left out.

    Returns:
        The axes.

    Raises:
        ValueError: if none of the columns was recorded.
        MissingExtraError: if matplotlib is not installed.
    """
    lines = {
        name: [(record["epoch"], record[name]) for record in history.records if name in record]
        for name in columns
    }
    if not any(lines.values()):
        raise ValueError(f"history must hold one of {list(columns)!r}, received {history!r}")
    ax = _axes(ax)
    for name, points in lines.items():
        if points:
            marker = "o" if len(points) == 1 else None  # a line of one point is not to be seen
            ax.plot(*zip(*points, strict=True), label=name.replace("_", " "), marker=marker)
    ax.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    ax.set_xlabel("epoch")
    ax.legend()
    return ax


def plot_decision_boundary(
    model: Module, data: Any, ax: Any = None, threshold: float = 0.0, resolution: int = 60
) -> Any:
    """Draw which class a model answers around data in the plane, and the data.

    Args:
        model: takes a list of two numbers; gives one output, or a score for each class.
        data: points and labels: for one output 1, or 0 or -1 for the other class; for scores the
            index of the class, or a list with the largest number at its place.
        ax: matplotlib's axes to draw on; a new figure's if there are none.
        threshold: one output above it answers class 1: 0 for logits, 0.5 for probabilities.
        resolution: at so many places along each axis the model is asked.

    Returns:
        The axes.

    Raises:
        ValueError: if the points are not pairs, a label is no class, or an output not finite.
        MissingExtraError: if matplotlib is not installed.
    """
    check_module(model)
    points, labels = checked("data", data)
    if len(points[0]) != 2:
        raise ValueError(f"data: points must be pairs of numbers, received {points[0]!r}")
    threshold = checks.real("threshold", threshold)
    steps = checks.whole("resolution", resolution, at_least=2)
    ax = _axes(ax)
    xs, ys = (_around(column, steps) for column in zip(*points, strict=True))
    with in_use(list(model.modules())), no_grad():
        rows = [[_scores(model, [x, y], threshold) for x in xs] for y in ys]
    classes = [_class_of(label, len(rows[0][0])) for label in labels]
    for k in range(len(rows[0][0])):
        colour = f"C{k}"
        lead = [[_lead(scores, k) for scores in row] for row in rows]
        most, least = max(map(max, lead)), min(map(min, lead))
        if most > 0.0:
            ax.contourf(xs, ys, lead, levels=[0.0, most], colors=[colour], alpha=0.3)
        if least < 0.0 < most:
            ax.contour(xs, ys, lead, levels=[0.0], colors="black", linewidths=1.0)
        own = [point for point, label in zip(points, classes, strict=True) if label == k]
        ax.scatter(*(zip(*own, strict=True) if own else ([], [])), color=colour, edgecolor="black")
    return ax


def _around(column: Sequence[float], count: int) -> list[float]:
    """So many numbers, evenly spaced, from a little below a column's to a little above."""
    margin = 0.1 * (max(column) - min(column)) or 1.0
    low, high = min(column) - margin, max(column) + margin
    return [low + (high - low) * i / (count - 1) for i in range(count)]


def _scores(model: Module, point: list[float], threshold: float) -> list[float]:
    """A score for each class; of one output z they are threshold - z and z - threshold."""
    scores = numbers(model(point))
    if not checks.is_list(scores) or not all(map(checks.is_real, scores)):
        raise TypeError(f"model must give a list of numbers for {point!r}, received {scores!r}")
    scores = [checks.real(f"the output of model for {point!r}", score) for score in scores]
    return [threshold - scores[0], scores[0] - threshold] if len(scores) == 1 else scores


def _lead(scores: list[float], k: int) -> float:
    """By how much class k is ahead of the best other one; 0 on the boundary between them."""
    return scores[k] - max(scores[:k] + scores[k + 1 :])


def _class_of(label: Any, count: int) -> int:
    if checks.is_list(label) and len(label) == count:
        return max(range(count), key=label.__getitem__)
    (label,) = label if checks.is_list(label) and len(label) == 1 else (label,)
    if count == 2 and label == -1:
        return 0
    if label not in range(count):
        raise ValueError(f"data: labels must be classes below {count}, received {label!r}")
    return int(label)


def plot_network(model: Module, ax: Any = None) -> Any:
    """Draw a network as layers of circles, its inputs on the left.

    An edge is the thicker the larger its |weight|, relative to the largest of the network; a
    negative one is dashed and orange, and a weight of zero has no edge. Biases and activations are
    not shown; `autograd.draw_network` shows them, with numbers.

    Args:
        model: a Linear layer, a Neuron, or some of them in turn, such as an MLP.
        ax: matplotlib's axes to draw on; a new figure's if there are none.

    Returns:
        The axes.

    Raises:
        ValueError: if the model has no such layers, holds Parameters elsewhere, or the layers do
            not follow each other.
        MissingExtraError: if matplotlib is not installed.
    """
    check_module(model)
    holders = [x for x in model.modules() if any(True for _ in x.named_parameters(recurse=False))]
    tables = [_weights(x) for x in holders if isinstance(x, (Linear, Neuron))]
    sizes = [len(tables[0][0]), *map(len, tables)] if tables else []
    follow = all(len(table[0]) == size for table, size in zip(tables, sizes, strict=False))
    if not tables or len(tables) < len(holders) or not follow:
        raise ValueError(
            "model must be made of Linear layers or Neurons, each with as many inputs as the one "
            f"before has outputs, received {model!r}"
        )
    ax = _axes(ax)
    columns = [[(x, (size - 1) / 2 - i) for i in range(size)] for x, size in enumerate(sizes)]
    edges = [
        (weight, (source, target))
        for table, (sources, targets) in zip(tables, pairwise(columns), strict=True)
        for row, target in zip(table, targets, strict=True)
        for weight, source in zip(row, sources, strict=True)
        if weight != 0.0
    ]
    largest = max((abs(weight) for weight, _ in edges), default=1.0)
    for weight, line in edges:
        ax.plot(
            *zip(*line, strict=True),
            color=_POSITIVE if weight > 0.0 else _NEGATIVE,
            linestyle="-" if weight > 0.0 else "--",
            linewidth=max(_WIDEST * abs(weight) / largest, 0.1),
            zorder=1,
        )
    circles = [place for column in columns for place in column]
    ax.scatter(*zip(*circles, strict=True), s=200, facecolor="white", edgecolor="black", zorder=2)
    ax.margins(0.1)
    ax.set_axis_off()
    return ax


def _weights(layer: Linear | Neuron) -> list[list[float]]:
    rows = layer.weight if isinstance(layer, Linear) else [layer.weight]
    return [[weight.data for weight in row] for row in rows]


def _axes(ax: Any) -> Any:
    """The axes, or those of a new figure."""
    try:
        from matplotlib import pyplot
    except ImportError:
        raise MissingExtraError(
            'a plot needs matplotlib: run `pip install "scalar-autograd[plot]"`'
        ) from None
    return pyplot.subplots()[1] if ax is None else ax
