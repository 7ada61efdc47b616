"""`step_through`: a graph as one HTML file that computes it step by step."""

import html
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import Any

from autograd.draw.drawing import draw_dot
from autograd.draw.options import check_choice
from autograd.draw.steps import Computation, Step
from autograd.draw.themes import THEMES, Theme
from autograd.value import Value

_DRAWN = THEMES["light"]
"""The colours the drawing is made in: each part has its own, so that the page can restyle it."""


@dataclass(frozen=True, repr=False)
class Player:
    """A page that walks a computation forward and backward; a notebook shows it inline.

    Attributes:
        html: the page, which needs no other file and no network.
        steps: what it shows, as plain data.
    """

    html: str
    steps: list[Step]

    def save(self, file: str | PathLike[str]) -> None:
        """Write the page into the file."""
        Path(file).write_text(self.html, encoding="utf-8")

    def _repr_html_(self) -> str:
        page = html.escape(self.html)
        return (
            f'<iframe srcdoc="{page}" title="Computation step by step" sandbox="allow-scripts" '
            'style="width: 100%; height: 640px; border: 0"></iframe>'
        )


def step_through(
    root: Value,
    rankdir: str = "LR",
    *,
    theme: str = "light",
    digits: int = 4,
    groups: Mapping[str, Any] | None = None,
    max_nodes: int = 500,
) -> Player:
    """The computation of root to step through: forward node by node, backward edge by edge.

    Each step shows its arithmetic, `∂f/∂x = ∂f/∂q × ∂q/∂x = -4 × 1 = -4`, and lights up where it
    happens in the drawing of `draw_dot`; where a node is used more than once, adding what its
    uses send back is a step of its own. Such a sum is written df/dx, as in `by_hand`, where ∂f/∂x
    is one of its terms; a node that is both operands of a gate is told apart as (left x) and
    (right x). The page is walked by buttons, slider, arrow keys, Home
    and End, or plays by itself; `#step=12` in its address leads to a step. No `.grad` is read or
    written.

    Args:
        root: the result whose computation is shown.
        rankdir: the direction of the computation, "LR" (to the right) or "TB" (down).
        theme: "light", "dark", or "print" (which needs no colour); on paper it is "print".
        digits: how many significant digits numbers are shown with.
        groups: boxes by their title, as in `draw_dot`.
        max_nodes: a larger graph is an error.

    Raises:
        MissingExtraError: if there is neither the dot program nor pygraphviz.
        TypeError, ValueError: as `draw_dot`.
    """
    check_choice("theme", theme, tuple(THEMES))
    drawing = draw_dot(
        root, rankdir=rankdir, digits=digits, groups=groups, named=True, max_nodes=max_nodes
    )
    computation = Computation(root, digits)
    steps, nodes = [*computation.steps()], computation.nodes()
    drawing.description = "\n".join(node["origin"] for node in nodes)
    drawing.titles = {}  # they hold numbers, which would be read before they are computed
    data = {"steps": steps, "nodes": nodes, "colours": asdict(_DRAWN)}
    parts = {
        "title": html.escape(f"{nodes[-1]['name']}, step by step"),
        "theme": theme,
        "colours": _colours(),
        "drawing": _lean(drawing.svg()),
        "data": json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", r"\u003c"),
    }
    return Player(re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], _page()), steps)


def _lean(svg: str) -> str:
    """The drawing without blank texts, and without what the style rules of the page say of all."""
    svg = re.sub("<text [^>]*>\u00a0*</text>\n?", "", svg)
    said = 'xml:space="preserve"|font-family="[^"]*"|text-anchor="start"'
    return re.sub(f" (?:{said})(?=[^<>]*>)", "", svg)


@cache
def _page() -> str:
    return files("autograd.draw").joinpath("player.html").read_text("utf-8")


@cache
def _colours() -> str:
    """The themes as style rules: variables, and the colours of the drawing in terms of them."""
    rules = [f":root[data-theme={name}] {{ {_variables(t)} }}" for name, t in THEMES.items()]
    rules.append(f"@media print {{ :root:root {{ {_variables(THEMES['print'])} }} }}")
    for part, colour in asdict(_DRAWN).items():
        rules += [f'svg [{of}="{colour}"] {{ {of}: var(--{part}) }}' for of in ("fill", "stroke")]
    return "\n".join(rules)


def _variables(theme: Theme) -> str:
    return " ".join(f"--{part}: {colour};" for part, colour in asdict(theme).items())
