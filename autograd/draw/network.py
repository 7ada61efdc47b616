"""`draw_network`: a layered net of neurons, its edges as thick as their weights."""

from collections.abc import Sequence
from typing import Any

from autograd.backward import pullback
from autograd.draw.layers import Column, columns, outputs
from autograd.draw.options import check_options, check_size
from autograd.draw.rendering import Drawing
from autograd.draw.sketch import Sketch
from autograd.draw.themes import THEMES
from autograd.value import Value, describe

FEW = 30
"""Up to how many edges carry their numbers if nothing else is said."""


def draw_network(
    net: object,
    inputs: Sequence[Any] | None = None,
    format: str = "svg",
    rankdir: str = "LR",
    *,
    loss: Value | None = None,
    theme: str = "light",
    digits: int = 4,
    numbers: bool | None = None,
    input_labels: Sequence[str] | None = None,
    output_labels: Sequence[str] | None = None,
    max_nodes: int = 500,
    max_edges: int = 2000,
) -> Drawing:
    """A network of neurons, layer by layer; a notebook shows it as SVG.

    An edge is the thicker the larger its |weight|, relative to the largest of the network; a
    negative one is dashed and of another colour, one that is inf or nan is double, and a weight of
    zero has no edge. A neuron shows its activation and its bias and, where inputs are given, what
    it gives in use: a `Dropout` drops nothing.

    Args:
        net: the layers: an object with `layers`, such as `nn.MLP`; one with `weight`, such as
            `nn.Linear`; a matrix of numbers or Values, a row for each neuron; or a list of these.
            A layer may have a `bias` and an `activation`; a matrix with biases is the tuple
            (matrix, biases), a single neuron may be a row. After a layer may stand activations:
            modules, functions of a number, or their names, as in `[weights, "sigmoid", others]`.
        inputs: one sample, numbers or Values, to show what every neuron makes of it.
        format: what `.render()` and `.pipe()` of the drawing give (these need the dot program).
        rankdir: the direction of the computation, "LR" (to the right) or "TB" (down).
        loss: a result computed from the weights: the edges then show ∂loss/∂weight instead of
            the weight, and the neurons ∂loss/∂bias. No `.grad` is read or written.
        theme: "light", "dark", or "print" (which needs no colour).
        digits: how many significant digits numbers are shown with.
        numbers: whether the edges carry their numbers; by default where they are 30 or fewer.
        input_labels: what the inputs are called; by default the labels of the inputs given, or
            x1, x2, ….
        output_labels: what the outputs are called; by default y1, y2, …, or y if it is alone.
        max_nodes: a network of more inputs and neurons is an error.
        max_edges: a network of more edges is an error.

    Raises:
        TypeError: if a part of net is neither a layer nor an activation, an input no number, or
            the loss no Value; also if format is no str, or a limit no int.
        ValueError: if an option is not one of those named here, shapes do not fit, the loss was
            not computed from the weights, or the network is larger than the limits.
        StaleGraphError: if a weight was written after the loss was computed from it.
    """
    check_options(format, rankdir, theme, digits)
    net_columns = columns(net)
    sizes = [column.size for column in net_columns]
    values = None if inputs is None else outputs(net_columns, inputs)
    sketch = Sketch(
        net_columns,
        _labels("input_labels", "x", sizes[0], _input_labels(inputs, input_labels)),
        _labels("output_labels", "y", sizes[-1], output_labels),
        values,
        None if loss is None else _gradients(net_columns, loss),
        "loss" if loss is None else loss.label or "loss",
        rankdir,
        THEMES[theme],
        digits,
    )
    count = len(sketch.edges)
    check_size("the network", "nodes", sum(sizes), max_nodes, "some of its layers")
    check_size("the network", "edges", count, max_edges, "some of its layers")
    drawing = sketch.dot(numbers=count <= FEW if numbers is None else numbers)
    drawing.format = format
    return drawing


def _gradients(net: Sequence[Column], loss: object) -> dict[Value, float]:
    """∂loss/∂p for every weight and bias p that the loss was computed from."""
    if not isinstance(loss, Value):
        raise TypeError(f"loss must be a Value, received the {type(loss).__name__} {loss!r}")
    gradients = pullback({loss: 1.0})
    rows = [row for column in net for row in (*column.weights, column.biases)]
    found = {
        x: gradients[x] for row in rows for x in row if isinstance(x, Value) and x in gradients
    }
    if not found:
        raise ValueError(
            f"loss must be computed from the weights of net, but no gradient of {describe(loss)} "
            "reaches any of them"
        )
    return found


def _input_labels(inputs: Sequence[Any] | None, labels: object) -> Any:
    if inputs is None or labels is not None:
        return labels
    return [x.label if isinstance(x, Value) else None for x in inputs]


def _labels(name: str, letter: str, count: int, labels: Sequence[object] | None) -> list[str]:
    """What the inputs or outputs are called: their labels, or else x1, x2, …"""
    given = [None] * count if labels is None else labels
    is_list = isinstance(given, (list, tuple)) and len(given) == count
    if not (is_list and all(isinstance(x, str | None) for x in given)):
        raise ValueError(f"{name} must be {count} strings, received {labels!r}")
    return [
        str(label) if label else letter if count == 1 else f"{letter}{place}"
        for place, label in enumerate(given, 1)
    ]
