"""Where the neurons of a network stand, how large they are, and where edges carry their numbers."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import NamedTuple

LINE, WIDE, NARROW = 1.25, 1.0, 0.6
"""The height of a line of text, and the widths of characters, in sizes of the text."""

MARGIN, ARROW, SHORTEST = 16.0, 36.0, 70.0
"""In points: between two neurons, the arrow out of the network, the shortest edge."""

BESIDE, BEFORE = 6.0, 14.0
"""In points: between two numbers, between a number and a neuron."""

PADDING, SMALLEST = 2.0, 32.0
"""In points: around text, and the diameter of a neuron without text."""

SLOPE = {"LR": 0.4, "TB": 0.25}
"""How long edges are at least, relative to the extent of the larger column, by direction."""


class Line(NamedTuple):
    """A line of text and its size in points."""

    text: str
    size: float

    @property
    def width(self) -> float:
        """About how wide it is in points, rather too much than too little."""
        wide = sum(unicodedata.east_asian_width(c) in "WF" for c in self.text)
        return self.size * (wide * WIDE + (len(self.text) - wide) * NARROW)

    @property
    def height(self) -> float:
        """How high it is in points."""
        return self.size * LINE


class Box(NamedTuple):
    """The room that something takes, in points."""

    width: float
    height: float


def text_box(lines: Sequence[Line]) -> Box:
    """The room for lines below each other, with padding."""
    width, height = max(line.width for line in lines), sum(line.height for line in lines)
    return Box(width + 2 * PADDING, height + 2 * PADDING)


def circle(lines: Sequence[Line]) -> Box:
    """The room for the circle around lines below each other."""
    edge = -sum(line.height for line in lines) / 2
    radius = SMALLEST / 2
    for line in lines:
        outer = max(abs(edge), abs(edge + line.height))
        radius = max(radius, (outer**2 + (line.width / 2) ** 2) ** 0.5)
        edge += line.height
    return Box(2 * radius, 2 * radius)


@dataclass(frozen=True)
class Grid:
    """A network's columns along the direction of the drawing, their nodes across it.

    All columns have the same spacing and the same middle. Positions are those of Graphviz.

    Attributes:
        rankdir: the direction, "LR" or "TB".
        sizes: how many nodes each column has.
        nodes: the room for a node of each column.
        label: the room for the label of an output.
        number: the room for the number of an edge; none if edges have no numbers.
    """

    rankdir: str
    sizes: Sequence[int]
    nodes: Sequence[Box]
    label: Box
    number: Box | None

    def node(self, column: int, place: int) -> str:
        """Where a node stands."""
        return self._position(self._columns[column], self._across_at(column, place))

    def output(self, place: int, label: Box) -> str:
        """Where the label of an output stands, which an arrow leads to."""
        end = self._columns[-1] + self._along(self.nodes[-1]) / 2 + ARROW
        across = self._across_at(len(self.sizes) - 1, place)
        return self._position(end + self._along(label) / 2, across)

    def edge_number(self, column: int, tail: int, head: int) -> str:
        """Where the number stands of an edge into that column.

        At this part of the way all edges between two columns pass each other at equal distances,
        so that no number meets another, nor another edge.
        """
        part, end = self._part(column), self._columns[column]
        start = self._columns[column - 1] + self._offset(column)
        here, there = self._across_at(column - 1, tail), self._across_at(column, head)
        return self._position(start + part * (end - start), here + part * (there - here))

    def _part(self, column: int) -> float:
        """On which part of the way of edges into that column their numbers stand."""
        before, after = self.sizes[column - 1 : column + 1]
        return 1 / (after + 1) if after <= before else before / (before + 1)

    def _offset(self, column: int) -> float:
        """How far from the middle edges into that column start: those of inputs at their side."""
        return self._along(self.nodes[0]) / 2 if column == 1 else 0.0

    def _position(self, along: float, across: float) -> str:
        x, y = (along, -across) if self.rankdir == "LR" else (across, -along)
        return f"{x:.2f},{y:.2f}"

    def _along(self, box: Box) -> float:
        return box.width if self.rankdir == "LR" else box.height

    def _across(self, box: Box) -> float:
        return box.height if self.rankdir == "LR" else box.width

    def _across_at(self, column: int, place: int) -> float:
        return self._spacing * (place - (self.sizes[column] - 1) / 2)

    @cached_property
    def _spacing(self) -> float:
        """From the middle of a node to that of the next in its column."""
        spacing = max(map(self._across, (*self.nodes, self.label))) + MARGIN
        if self.number is None:
            return spacing
        rows = max(min(pair) + 1 for pair in pairwise(self.sizes))
        return max(spacing, rows * (self._across(self.number) + BESIDE))

    @cached_property
    def _columns(self) -> list[float]:
        """How far along each column stands."""
        return [*accumulate(map(self._length, range(1, len(self.sizes))), initial=0.0)]

    def _length(self, column: int) -> float:
        """From the middle of the column before to that of the column."""
        tail, head = (self._along(box) / 2 for box in self.nodes[column - 1 : column + 1])
        extent = self._spacing * (max(self.sizes[column - 1 : column + 1]) - 1)
        length = max(tail + head + SHORTEST, SLOPE[self.rankdir] * extent)
        if self.number is None:
            return length
        part, offset = self._part(column), self._offset(column)
        room = self._along(self.number) / 2 + BEFORE
        shortest = max((tail - offset + room) / part, (head + room) / (1 - part))
        return max(length, offset + shortest)
