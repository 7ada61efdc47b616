"""The lectures' drawings beside golden files; `GOLDEN=write pytest -n0 tests/test_golden.py`."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from lectures import EXAMPLES, Circuit, net221, net322

from autograd import Value, draw_network, exp, maximum, to_svg, values

FOLDER = Path(__file__).parent / "data" / "golden"

# What is drawn.


def example(id: str) -> Any:
    return EXAMPLES[id]["inputs"]


def fxyz() -> Value:
    x, y, z = values(**example("fxyz"))
    q = x + y
    f = q * z
    q.label, f.label = "q", "f"
    return f


def neuron() -> Value:
    w0, x0, w1, x1, w2 = values(**example("cs231n_sigmoid_neuron"))
    return 1 / (1 + exp(-(w0 * x0 + w1 * x1 + w2)))


def gates() -> Value:
    """Distributor, switcher and router; and a fan-out, where gradients are added."""
    x, y, z, w = values(**example("gate_circuit_cs231n"))
    return 2 * (x * y + maximum(z, w)) + x


def circuit(id: str, net: Callable[[Any], Circuit]) -> Value:
    return net(example(id)).E


def layers() -> dict[str, Any]:
    """The 2-2-1 network with a box around each layer."""
    c = net221(example("net221_forward"))
    hidden = [c.w1, c.w2, c.w3, c.w4, c.h_a, c.h_b]
    return {"root": c.E, "groups": {"hidden layer": hidden, "output layer": [c.w5, c.w6, c.y]}}


def network221(**options: Any) -> str:
    c = net221(example("net221_forward"))
    net = [[[c.w1, c.w3], [c.w2, c.w4]], "sigmoid", [c.w5, c.w6], "sigmoid"]
    loss = {"loss": c.E} if options.pop("gradients", False) else {}
    return draw_network(net, [c.x1, c.x2], **loss, **options).svg()


def network322(**options: Any) -> str:
    c = net322(example("net322_forward"))
    hidden = [[c.w1, c.w3, c.w5], [c.w2, c.w4, c.w6]], [c.b1, c.b2]
    last = [[c.w7, c.w9], [c.w8, c.w10]], [c.b3, c.b4]
    net = [hidden, "sigmoid", last, "sigmoid"]
    loss = {"loss": c.E} if options.pop("gradients", False) else {}
    return draw_network(net, [c.x1, c.x2, c.x3], **loss, **options).svg()


DRAWINGS: dict[str, Callable[[], str]] = {
    "fxyz": lambda: to_svg(fxyz()),
    "fxyz-values": lambda: to_svg(fxyz(), show="values"),
    "fxyz-downstream-dark": lambda: to_svg(fxyz(), show="downstream", theme="dark"),
    "neuron": lambda: to_svg(neuron(), digits=2),
    "neuron-print-down": lambda: to_svg(neuron(), "TB", theme="print", show="gradients"),
    "gates": lambda: to_svg(gates(), show="downstream"),
    "net221": lambda: to_svg(circuit("net221_forward", net221)),
    "net221-layers": lambda: to_svg(**layers()),
    "net322": lambda: to_svg(circuit("net322_forward", net322), show="gradients"),
    "network221": network221,
    "network221-gradients-print": lambda: network221(gradients=True, theme="print"),
    "network322": network322,
    "network322-gradients-dark-down": lambda: network322(
        gradients=True, theme="dark", rankdir="TB"
    ),
}

# How drawings are compared: all but where things are and how large, which is up to Graphviz.

LOOKS = ("fill", "stroke", "font-family", "font-size", "font-style", "font-weight")


def look(element: ElementTree.Element) -> dict[str, str]:
    """How an element looks; versions of Graphviz write "none" or "transparent", `14` or `14.00`."""
    found = {name: element.get(name, "") for name in LOOKS if element.get(name)}
    found["stroke"] = found.get("stroke", "none").replace("transparent", "none")
    if "font-size" in found:
        found["font-size"] = f"{float(found['font-size']):g}"
    if "stroke-dasharray" in element.attrib:
        found["dashed"] = element.get("stroke-dasharray", "")
    return found | {"width": f"{float(element.get('stroke-width', 1)):g}"}


def parts(root: ElementTree.Element) -> Iterator[tuple[str, Any]]:
    """Each node, edge and cluster by its id: its class, title and what is drawn in it."""
    for group in root.iter(f"{{{SVG}}}g"):
        drawn = [
            (piece.tag.removeprefix(f"{{{SVG}}}"), piece.text, look(piece))
            for element in group
            if element.tag != f"{{{SVG}}}g"
            for piece in ([*element] or [element])  # the pieces of a line of text
        ]
        yield group.get("id", ""), (group.get("class"), drawn)


SVG = "http://www.w3.org/2000/svg"


def structure(svg: str) -> dict[str, Any]:
    """What a drawing holds."""
    root = ElementTree.fromstring(svg)
    spoken = {tag: root.findtext(f"{{{SVG}}}{tag}") for tag in ("title", "desc")}
    return {"role": root.get("role")} | spoken | dict(parts(root))


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_is_the_golden_one(name: str):
    file, svg = FOLDER / f"{name}.svg", DRAWINGS[name]()
    if os.environ.get("GOLDEN") == "write":
        file.write_text(svg, encoding="utf-8")
    assert structure(file.read_text(encoding="utf-8")) == structure(svg)


def test_every_golden_file_is_drawn():
    assert {*DRAWINGS} == {file.stem for file in FOLDER.glob("*.svg")}
