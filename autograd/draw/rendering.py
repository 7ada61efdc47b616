"""DOT → SVG: laid out by the dot program or by pygraphviz, then cleaned and given its titles."""
# Graphviz's packages are typed in part.
# pyright: reportUnknownMemberType=false, reportMissingTypeStubs=false

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from itertools import groupby
from typing import Any
from xml.etree import ElementTree

import graphviz

from autograd.errors import MissingExtraError

_SVG = "{http://www.w3.org/2000/svg}"

_PLACE = ("text-anchor", "x", "y")
"""The attributes that say where a text stands."""

_GAP = 2.0
"""How far from the rule of a table, in points, Graphviz ends a wire that leads to it."""


class Drawing(graphviz.Digraph):
    """A `graphviz.Digraph` that becomes SVG with or without the dot program.

    Attributes:
        title: what is drawn.
        description: what is drawn in words, for those who cannot see it.
        titles: what a reader is told of an element of the drawing, by its `id`.
        linecap: how lines end: "square" closes gaps in the wires, from rounding to points.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.title = self.description = ""
        self.titles = dict[str, str]()
        self.linecap = "square"

    def svg(self) -> str:
        """The drawing as SVG text, without script, links or references to anything outside.

        Raises:
            MissingExtraError: if there is neither the dot program nor pygraphviz.
        """
        root = ElementTree.fromstring(layout(self))
        for group in root.iter(f"{_SVG}g"):
            _entitle(group, self.titles.get(group.get("id", "")))
            _join(group)
        for place, (tag, text) in enumerate((("title", self.title), ("desc", self.description))):
            element = ElementTree.Element(tag)
            element.text = text
            root.insert(place, element)
        for rule in root.iter(f"{_SVG}polygon"):
            _lengthen(rule)
        for element in root.iter():
            element.tag = element.tag.removeprefix(_SVG)
            if element.get("stroke-dasharray"):
                element.set("stroke-dasharray", _dashes(float(element.get("stroke-width", "1"))))
        root.set("xmlns", _SVG.strip("{}"))
        root.set("role", "img")
        root.set("stroke-linecap", self.linecap)
        return ElementTree.tostring(root, encoding="unicode")

    def _repr_image_svg_xml(self) -> str:
        return self.svg()


def _entitle(group: ElementTree.Element, text: str | None) -> None:
    """Replace the title that Graphviz gave, the name in DOT, or remove it."""
    title = group.find(f"{_SVG}title")
    if title is not None:
        title.text = text
        if not text:
            group.remove(title)


def _join(group: ElementTree.Element) -> None:
    """Make one text of the pieces of a line, so that they follow each other in any font."""
    for _, line in groupby(group.findall(f"{_SVG}text"), key=lambda piece: piece.get("y")):
        first, *others = line
        if not others:
            continue
        place = {name: first.attrib.pop(name) for name in _PLACE}
        joined = ElementTree.Element("text", place)
        group.insert([*group].index(first), joined)
        for piece in (first, *others):
            group.remove(piece)
            piece.tag, piece.tail = "tspan", None
            piece.attrib = {name: x for name, x in piece.items() if name not in _PLACE}
            joined.append(piece)


def _lengthen(polygon: ElementTree.Element) -> None:
    """Let the rule of a table meet the wires that lead to it."""
    corners = [point.split(",") for point in polygon.get("points", "").split()]
    heights = {y for _, y in corners}
    if len(heights) == 1:
        x, y = sorted(float(x) for x, _ in corners), heights.pop()
        polygon.set("points", f"{x[0] - _GAP:g},{y} {x[-1] + _GAP:g},{y}")


def _dashes(width: float) -> str:
    """Dashes and gaps that grow with the line; those of Graphviz make thick lines dotted."""
    return f"{3 + 2 * width:g},{1 + width:g}"


def layout(drawing: Drawing) -> bytes:
    """The SVG of the dot program if it is on PATH, else that of pygraphviz."""
    try:
        return drawing.pipe(format="svg")
    except (graphviz.ExecutableNotFound, OSError):  # OSError: PATH holds a forbidden folder
        pass
    try:
        import pygraphviz
    except ImportError:
        raise MissingExtraError(
            "a drawing needs Graphviz: install it from https://graphviz.org/download, so that its "
            'program dot is on PATH, or run `pip install "scalar-autograd[viz]"`'
        ) from None
    graph: Any = pygraphviz.AGraph(string=drawing.source)
    with _without_font_warnings():
        return graph.draw(format="svg", prog="dot")


@contextmanager
def _without_font_warnings() -> Generator[None]:
    """Keep to itself what the fontconfig of pygraphviz says of the system's newer settings.

    It writes to the file descriptor of stderr, past Python; all else it writes is passed on.
    """
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as written:
        os.dup2(written.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            written.seek(0)
            for line in written:
                if not line.startswith(b"Fontconfig warning"):
                    os.write(2, line)
