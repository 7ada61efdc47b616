"""A network → DOT: every neuron at its place, every edge with its thickness, colour and number."""
# The package graphviz is typed in part.
# pyright: reportUnknownMemberType=false

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from autograd.draw.grid import Box, Grid, Line, circle, text_box
from autograd.draw.labels import SPACE, escaped, shortened, significant
from autograd.draw.layers import Column, Weight, as_float
from autograd.draw.rendering import Drawing
from autograd.draw.themes import FONT, Theme
from autograd.graph import printable
from autograd.value import Value

LARGE, SMALL = 13, 10
"""The sizes of text, in points."""

THINNEST, THICKEST = 0.5, 5.0
"""The widths of the edges, in points."""

EXIT = {"LR": "e", "TB": "s"}
"""The side of an input where its edges begin, by the direction of the drawing."""


class Edge(NamedTuple):
    """A weight: it leads from a place in the column before to a place in its column.

    number is the weight, or ∂loss/∂weight.
    """

    column: int
    tail: int
    head: int
    weight: Weight
    number: float

    @property
    def id(self) -> str:
        """What it is called in DOT."""
        return f"{node_id(self.column - 1, self.tail)}-{node_id(self.column, self.head)}"


class Text(NamedTuple):
    """A line of text, its colour, and `B` or `I` if it is bold or slanted."""

    line: Line
    colour: str
    style: str = ""

    @property
    def markup(self) -> str:
        """It as a part of an HTML-like label of Graphviz."""
        text = escaped(self.line.text)
        if self.style:
            text = f"<{self.style}>{text}</{self.style}>"
        return f'<FONT COLOR="{self.colour}" POINT-SIZE="{self.line.size}">{text}</FONT>'


def node_id(column: int, place: int) -> str:
    """What an input or a neuron is called in DOT; the inputs are column 0."""
    return f"l{column}n{place}"


@dataclass(frozen=True)
class Sketch:
    """A network on its way to DOT.

    Attributes:
        net: the inputs and the layers.
        inputs: what the inputs are called.
        outputs: what the outputs are called.
        values: what every neuron gives, by column and place, if it is to be shown.
        gradients: ∂loss/∂p of weights and biases p, if these are to be shown instead.
        loss: what the loss is called.
        rankdir: the direction of the drawing.
        theme: its colours.
        digits: how many significant digits numbers are shown with.
    """

    net: Sequence[Column]
    inputs: Sequence[str]
    outputs: Sequence[str]
    values: Sequence[Sequence[float]] | None
    gradients: Mapping[Value, float] | None
    loss: str
    rankdir: str
    theme: Theme
    digits: int

    @cached_property
    def edges(self) -> list[Edge]:
        """What is drawn: all but the edges of zero."""
        return [
            Edge(k, tail, head, weight, number)
            for k, column in enumerate(self.net)
            for head, row in enumerate(column.weights)
            for tail, weight in enumerate(row)
            if (number := self._shown(weight)) != 0.0
        ]

    def dot(self, numbers: bool) -> Drawing:
        """The drawing in DOT; numbers says whether the edges carry theirs."""
        drawing, grid = self._sheet(), self._grid(numbers)
        for k, column in enumerate(self.net):
            for place in range(column.size):
                self._node(drawing, grid, k, place)
        for place, label in enumerate(self.outputs):
            self._output(drawing, grid, place, label)
        for edge in self.edges:
            self._edge(drawing, edge)
            if numbers:
                self._edge_number(drawing, grid, edge)
        return drawing

    # Elements of the drawing.

    def _sheet(self) -> Drawing:
        """The empty drawing: its style, its legend, and what it shows in words."""
        font = {"fontname": FONT, "fontcolor": self.theme.ink}
        drawing = Drawing(
            "network",
            graph_attr=font
            | {
                "layout": "nop",  # every node stands where it is put
                "splines": "line",
                "outputorder": "edgesfirst",
                "bgcolor": self.theme.paper,
                "pad": "0.15",
                "label": self._legend(),
                "labeljust": "l",
            },
            node_attr=font | {"color": self.theme.ink, "margin": "0"},
            edge_attr={"color": self.theme.wire, "arrowhead": "none"},
        )
        drawing.linecap = "butt"  # square ends would fill the gaps between dashes
        drawing.title = f"Network of {'-'.join(str(column.size) for column in self.net)} neurons"
        drawing.description = "\n".join(
            self._sentence(k, place, self._name(k, place), self._written)
            for k, column in enumerate(self.net)
            for place in range(column.size)
        )
        return drawing

    def _grid(self, numbers: bool) -> Grid:
        """Where everything stands."""
        texts = [
            [[text.line for text in self._texts(k, place)] for place in range(column.size)]
            for k, column in enumerate(self.net)
        ]
        edges = [text_box([self._number(edge).line]) for edge in self.edges if numbers]
        neuron = _largest(circle(lines) for column in texts[1:] for lines in column)
        return Grid(
            self.rankdir,
            [column.size for column in self.net],
            [_largest(map(text_box, texts[0])), *[neuron] * len(self.net[1:])],
            _largest(text_box([self._label(label).line]) for label in self.outputs),
            _largest(edges) if edges else None,
        )

    def _node(self, drawing: Drawing, grid: Grid, column: int, place: int) -> None:
        """An input or a neuron."""
        name, room = node_id(column, place), grid.nodes[column]
        drawing.node(
            name,
            _stacked(self._texts(column, place)),
            id=name,
            pos=grid.node(column, place),
            shape="circle" if column else "box",
            style=None if column else "rounded",
            width=f"{room.width / 72:.5f}",
            height=f"{room.height / 72:.5f}",
        )
        title = self._name(column, place) if column else printable(self.inputs[place])
        drawing.titles[name] = self._sentence(column, place, title, repr)

    def _output(self, drawing: Drawing, grid: Grid, place: int, label: str) -> None:
        """The label of an output, and the arrow that leads to it."""
        name, text = f"y{place}", self._label(label)
        drawing.node(
            name,
            _stacked([text]),
            id=name,
            pos=grid.output(place, text_box([text.line])),
            shape="plaintext",
            width="0",
            height="0",
            margin="0.04",
        )
        last = node_id(len(self.net) - 1, place)
        drawing.edge(last, name, id=f"{last}-{name}", arrowhead="normal", arrowsize="0.6")
        drawing.titles[name] = printable(label)

    def _edge(self, drawing: Drawing, edge: Edge) -> None:
        """The line of a weight."""
        start = node_id(edge.column - 1, edge.tail)
        drawing.edge(
            start if edge.column > 1 else f"{start}:{EXIT[self.rankdir]}",
            node_id(edge.column, edge.head),
            id=edge.id,
            style="dashed" if edge.number < 0 else None,
            **self._line(edge.number),
        )
        tail = self._name(edge.column - 1, edge.tail)
        name = _label_of(edge.weight) or "weight"
        title = f"{tail} → {self._name(edge.column, edge.head)}: {name} = {as_float(edge.weight)!r}"
        if self.gradients is not None:
            title += f", {self._derivative(name)} = {edge.number!r}"
        drawing.titles[edge.id] = title

    def _line(self, number: float) -> dict[str, str]:
        """Colour and width of the line of a number; it is double where that is not finite."""
        colour = self._colour(number)
        if not math.isfinite(number):
            return {"color": f"{colour}:{self.theme.paper}:{colour}", "penwidth": "1"}
        width = THINNEST + abs(number) / self._thickest * (THICKEST - THINNEST)
        return {"color": colour, "penwidth": f"{width:.2f}"}

    def _edge_number(self, drawing: Drawing, grid: Grid, edge: Edge) -> None:
        """The number on an edge."""
        name, text = f"{edge.id}-number", self._number(edge)
        table = (
            f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1" '
            f'BGCOLOR="{self.theme.paper}"><TR><TD>{text.markup}</TD></TR></TABLE>'
        )
        drawing.node(
            name,
            f"<{table}>",
            id=name,
            pos=grid.edge_number(edge.column, edge.tail, edge.head),
            shape="plain",
        )

    # Text.

    def _texts(self, column: int, place: int) -> list[Text]:
        """What stands in an input or a neuron."""
        texts: list[Text] = []
        if column == 0:
            texts.append(self._label(self.inputs[place]))
        if self.values is not None:
            number = self._written(self.values[column][place])
            texts.append(Text(Line(number, LARGE), self.theme.value))
        for activation in self.net[column].activations:
            texts.append(Text(Line(shortened(printable(activation.name)), SMALL), self.theme.ink))
        if column and (bias := self.net[column].biases[place]) is not None:
            texts.append(self._weight_text(bias, "b", self.theme.ink))
        return texts

    def _label(self, label: str) -> Text:
        return Text(Line(shortened(printable(label)), LARGE), self.theme.ink, "B")

    def _number(self, edge: Edge) -> Text:
        """The number of an edge, after the label of its weight if it has one."""
        text = self._weight_text(edge.weight, "", self._colour(edge.number))
        apart = f"\N{NO-BREAK SPACE}{text.line.text}\N{NO-BREAK SPACE}"  # from the dashes
        return text._replace(line=Line(apart, SMALL))

    def _weight_text(self, weight: Weight, default: str, colour: str) -> Text:
        label = shortened(_label_of(weight) or default)
        text = f"{label} {self._written(self._shown(weight))}".strip()
        return Text(Line(text, SMALL), colour, "" if self.gradients is None else "I")

    def _written(self, number: float) -> str:
        """The number with as many digits as asked for."""
        return significant(number, self.digits)

    def _colour(self, number: float) -> str:
        """The colour of an edge: by its sign, and another where it is infinite or no number."""
        if not math.isfinite(number):
            return self.theme.warning
        return self.theme.negative if number < 0 else self.theme.positive

    def _legend(self) -> str:
        """What the lines of the drawing say."""
        what = "weight" if self.gradients is None else self._derivative("weight")
        parts = [
            f'<FONT COLOR="{self.theme.positive}">── positive</FONT>',
            f'<FONT COLOR="{self.theme.negative}">─ ─ negative</FONT>',
            f"thickest: {self._written(self._thickest)}",
        ]
        if not all(math.isfinite(edge.number) for edge in self.edges):
            parts.append(f'<FONT COLOR="{self.theme.warning}">══ not finite</FONT>')
        if len(self.edges) < sum(len(row) for column in self.net for row in column.weights):
            parts.append("none: 0")
        text = f"{escaped(what)}:{SPACE} {f',{SPACE} '.join(parts)}"
        return f'<<BR/><FONT POINT-SIZE="{SMALL}">{text}</FONT>>'

    def _derivative(self, name: str) -> str:
        return f"∂{shortened(printable(self.loss))}/∂{name}"

    def _name(self, column: int, place: int) -> str:
        """What an input or a neuron is called in words: h2, or h1.2 if layers are many."""
        if column == 0:
            return shortened(printable(self.inputs[place]))
        if column == len(self.net) - 1:
            return shortened(printable(self.outputs[place]))
        return f"h{place + 1}" if len(self.net) == 3 else f"h{column}.{place + 1}"

    def _sentence(self, column: int, place: int, name: str, write: Callable[[float], str]) -> str:
        """An input or a neuron in words, as `h1 = relu(0.5 × x1 + 2 × x2 + 1) = 3`."""
        layer, sides = self.net[column], [name]
        if layer.weights:
            sides.append(self._formula(column, place, write))
        if self.values is not None:
            sides.append(write(self.values[column][place]))
        text = " = ".join(sides)
        if self.gradients is not None and layer.weights:
            numbers = (write(self._shown(weight)) for weight in layer.weights[place])
            text += f"; {self._derivative('weight')}: {', '.join(numbers)}"
            if (bias := layer.biases[place]) is not None:
                text += f"; {self._derivative('bias')}: {write(self._shown(bias))}"
        return text

    def _formula(self, column: int, place: int, write: Callable[[float], str]) -> str:
        """How a neuron is computed from the column before it."""
        layer = self.net[column]
        terms = [
            f"{write(as_float(weight))} × {self._name(column - 1, tail)}"
            for tail, weight in enumerate(layer.weights[place])
            if as_float(weight) != 0.0
        ]
        if (bias := layer.biases[place]) is not None:
            terms.append(write(as_float(bias)))
        formula = " + ".join(terms) or "0"
        for activation in layer.activations:
            formula = f"{activation.name}({formula})"
        return formula

    # Numbers.

    def _shown(self, weight: Weight) -> float:
        """What is shown of a weight or bias: itself, or the gradient of the loss by it."""
        if self.gradients is None:
            return as_float(weight)
        return self.gradients.get(weight, 0.0) if isinstance(weight, Value) else 0.0

    @cached_property
    def _thickest(self) -> float:
        """The largest |number| of an edge that is one."""
        sizes = [abs(edge.number) for edge in self.edges]
        return max(filter(math.isfinite, sizes), default=0.0)


def _label_of(weight: Weight) -> str:
    return printable(weight.label or "") if isinstance(weight, Value) else ""


def _largest(boxes: Iterable[Box]) -> Box:
    """The room that has place for each of the boxes."""
    widths, heights = zip(*boxes, strict=True)
    return Box(max(widths), max(heights))


def _stacked(texts: Sequence[Text]) -> str:
    """The lines below each other, as a label; a lone space where there are none."""
    return f"<{'<BR/>'.join(text.markup for text in texts) or SPACE}>"
