"""Drawings: what stands in the DOT and in the SVG, with either renderer."""

import math
import os
import re
import shutil
import stat
import subprocess
import sys
from collections import Counter
from itertools import combinations, product
from pathlib import Path
from xml.etree import ElementTree

import graphviz
import pygraphviz
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import build, graphs

import autograd as ag
from autograd import Value, draw_dot, graph, no_grad, to_svg, values
from autograd.draw.labels import LONGEST, gate_text, shortened
from autograd.draw.themes import THEMES, Theme
from autograd.graph import printable
from autograd.ops import TABLE

SVG = "{http://www.w3.org/2000/svg}"

# The lectures' circuits.


def fxyz():
    x, y, z = values(x=-2, y=5, z=-4)
    q = x + y
    q.label = "q"
    f = q * z
    f.label = "f"
    return f


def neuron():
    w0, x0, w1, x1, w2 = values(w0=2, x0=-1, w1=-3, x1=-2, w2=-3)
    f = 1 / (1 + ag.exp(-(w0 * x0 + w1 * x1 + w2)))
    f.label = "f"
    return f


def square():
    a = Value(3, "a")
    return a * a


def router():
    x, y, z, w = values(x=3, y=-4, z=2, w=-1)
    return 2 * (x * y + ag.maximum(z, w))


def shared():
    a, b = values(a=3, b=2)
    c = a * b
    return (c + a) * c


def stale():
    a, b = values(a=3, b=2)
    c = a * b
    a.data = 10
    return c + a


CIRCUITS = (fxyz, neuron, square, router, shared, stale)


# What a drawing holds.


def words(label):
    """The text of a label of Graphviz, without its markup."""
    text = ElementTree.fromstring(f"<l>{label or ''}</l>").itertext()
    return " ".join(" ".join(text).split())


class Picture:
    """A drawing as Graphviz reads it: the text of wires and gates, and what leads where."""

    def __init__(self, root, **options):
        self.graph = pygraphviz.AGraph(string=draw_dot(root, **options).source)
        texts = {name: words(self.graph.get_node(name).attr["label"]) for name in self.graph}
        self.wires = {name: text for name, text in texts.items() if name.startswith("n")}
        self.gates = {name: text for name, text in texts.items() if name.startswith("g")}
        self.edges = [self.graph.get_edge(*edge) for edge in self.graph.edges(keys=True)]

    def arrows(self):
        """Each arrow as (wire, gate, local derivative)."""
        return sorted(
            (self.wires[edge[0]], self.gates[edge[1]], words(edge.attr["label"]))
            for edge in self.edges
            if edge[1] in self.gates
        )

    def outputs(self):
        """Each (gate, wire): what computed it."""
        return sorted(
            (self.gates[edge[0]], self.wires[edge[1]])
            for edge in self.edges
            if edge[1] in self.wires
        )


def parsed(svg):
    return ElementTree.fromstring(svg)


def pieces(svg):
    """The pieces of every line of text in an SVG, each in one style."""
    return [piece for text in parsed(svg).iter(f"{SVG}text") for piece in ([*text] or [text])]


def texts(svg):
    """The text of every piece."""
    return [piece.text.replace("\xa0", " ").strip() for piece in pieces(svg)]


def titles(svg):
    return [title.text for title in parsed(svg).iter(f"{SVG}title")]


def description(svg):
    return parsed(svg).find(f"{SVG}desc").text


# With the dot program, and without.

DOT = """#!{python}
import os, sys
with open({calls!r}, "a") as calls:
    calls.write("called\\n")
if {real!r}:
    os.execv({real!r}, [{real!r}, *sys.argv[1:]])
import pygraphviz
graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode())
sys.stdout.buffer.write(graph.draw(format="svg", prog="dot"))
"""
"""A dot program that notes its calls: the machine's own, or else Graphviz from pygraphviz."""

REAL = shutil.which("dot")


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """For each way to SVG a folder that, as PATH, leads to it."""
    folders = {name: tmp_path_factory.mktemp(name) for name in ("program", "wheel")}
    program = folders["program"] / "dot"
    calls = str(folders["program"] / "calls")
    program.write_text(DOT.format(python=sys.executable, calls=calls, real=REAL), encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return folders


@pytest.fixture(params=["program", "wheel"])
def renderer(request, places, monkeypatch):
    """Each way to SVG in turn."""
    monkeypatch.setenv("PATH", str(places[request.param]))
    return places[request.param]


@pytest.fixture
def without_dot(places, monkeypatch):
    monkeypatch.setenv("PATH", str(places["wheel"]))


@pytest.fixture(
    scope="module",
    params=product(("program", "wheel"), CIRCUITS, ("LR", "TB")),
    ids=lambda param: f"{param[0]}-{param[1].__name__}-{param[2]}",
)
def drawn(request, places):
    """Each circuit, drawn by each way to SVG in both directions, as DOT and as SVG."""
    way, circuit, rankdir = request.param
    root, options = circuit(), {"rankdir": rankdir, "show": "downstream"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(places[way]))
        return Picture(root, **options), to_svg(root, **options)


def test_the_dot_program_draws_where_it_is_on_path(places, monkeypatch):
    monkeypatch.setenv("PATH", str(places["program"]))
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    calls = places["program"] / "calls"
    calls.unlink(missing_ok=True)
    assert "q" in texts(to_svg(fxyz()))
    assert "called\n" == calls.read_text(encoding="utf-8")


@pytest.mark.usefixtures("without_dot")
def test_pygraphviz_draws_where_there_is_no_dot(monkeypatch):
    assert shutil.which("dot") is None
    assert "q" in texts(to_svg(fxyz()))
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    with pytest.raises(ag.MissingExtraError) as error:
        to_svg(fxyz())
    assert "graphviz.org" in str(error.value)
    assert 'pip install "scalar-autograd[viz]"' in str(error.value)


@pytest.mark.usefixtures("renderer")
def test_a_notebook_shows_the_drawing():
    assert {"image/svg+xml": to_svg(fxyz())} == draw_dot(fxyz())._repr_mimebundle_()


# Structure.


def test_fxyz():
    picture = Picture(fxyz())
    assert ["x -2 -4", "y 5 -4", "z -4 3", "q 3 -4", "f -12 1"] == [*picture.wires.values()]
    assert ["+", "×"] == [*picture.gates.values()]
    assert [
        ("q 3 -4", "×", "-4"),
        ("x -2 -4", "+", "1"),
        ("y 5 -4", "+", "1"),
        ("z -4 3", "×", "3"),
    ] == picture.arrows()
    assert [("+", "q 3 -4"), ("×", "f -12 1")] == picture.outputs()


def test_neuron_to_the_two_digits_of_the_lecture():
    picture = Picture(neuron(), digits=2)
    assert [
        *("w0 2 -0.2", "x0 -1 0.39", "w1 -3 -0.39", "x1 -2 -0.59", "w2 -3 0.2"),
        *("-2 0.2", "6 0.2", "4 0.2", "1 0.2", "-1 -0.2", "0.37 -0.53", "1.4 -0.53", "f 0.73 1"),
    ] == [*picture.wires.values()]
    assert ["×", "×", "+", "+", "−", "exp", "+1", "1/·"] == [*picture.gates.values()]


def test_a_repeated_operand_has_two_arrows():
    assert [("a 3 6", "×", "3")] * 2 == Picture(square()).arrows()


def test_a_leaf_alone():
    picture = Picture(Value(2, "x"))
    assert (["x 2 1"], []) == ([*picture.wires.values()], picture.edges)


def test_ids_follow_the_computation():
    picture = Picture(shared())
    assert ["n0", "n1", "n2", "n3", "n4"] == [*picture.wires]
    assert ["g2", "g3", "g4"] == [*picture.gates]


x, y, long = Value(1.5, "x"), Value(1.5, "y"), Value(1.5, "pre-activation")
GATES = (
    (x + 1, "+1"),
    (1 + x, "+1"),
    (x - 3, "−3"),
    (3 - x, "3−x"),
    (x * -1, "×-1"),
    (-1 * x, "×-1"),
    (x / 2, "÷2"),
    (1 / x, "1/x"),
    (2 / x, "2/x"),
    (x**3, "^3"),
    (x**2, "x²"),
    (2**x, "2^x"),
    (x - x, "−"),
    (-x, "−"),
    (ag.maximum(0, x), "max(0, x)"),
    (ag.minimum(x, 6), "min(x, 6)"),
    (ag.leaky_relu(x, 0.1), "leaky relu(x, 0.1)"),
    (ag.elu(x, 1.0), "elu(x, 1)"),
    (ag.less(x, 2), "<2"),
    (ag.less(2, x), "2<x"),
    (ag.equal(2, x), "=2"),
    (ag.atan2(x, 1), "atan2(x, 1)"),
    (ag.hypot(3, x), "hypot(3, x)"),
    (x * math.pi, "×3.142"),
    (x + math.inf, "+inf"),
    (x * math.nan, "×nan"),
    (x + -0.0, "+0"),
    (ag.maximum(y, 0), "max(y, 0)"),
    (2**y, "2^y"),
    (1 - y, "1−y"),
    (1 / y, "1/y"),
    (y**2, "y²"),
    (ag.maximum(long, 0), "max(·, 0)"),
    (1 / Value(2), "1/·"),
    (long**2, "·²"),
)


@pytest.mark.parametrize(("node", "expected"), GATES, ids=[text for _, text in GATES])
def test_a_number_operand_is_folded_into_its_gate(node, expected):
    picture = Picture(node)
    assert [expected] == [*picture.gates.values()]
    assert expected == gate_text(node, 4)
    assert 2 == len(picture.wires)


@pytest.mark.parametrize("row", TABLE.values(), ids=str)
def test_every_row_has_its_gate_and_local_derivatives(row):
    point = [low + 0.6 * (high - low) for *_, (low, high) in row.domain]
    root = getattr(ag, row.name)(*map(Value, point, ("x", "y")))
    operands = (*point, 0.0)[:2]
    local = [f"{rule(*operands, root.data):.4g}" for rule in row.rules]
    picture = Picture(root)
    assert [row.symbol] == [*picture.gates.values()]
    assert sorted(local) == sorted(text for _, _, text in picture.arrows())


@given(graphs(max_steps=30))
@settings(max_examples=40, deadline=None)
def test_any_graph(recipe):
    *_, root = build(recipe, [Value(x) for x in recipe.leaves])
    nodes, operations = graph.nodes(root), graph.operations(root)
    picture = Picture(root)
    assert (len(nodes), len(operations)) == (len(picture.wires), len(picture.gates))
    assert len([*graph.edges(operations)]) == len(picture.arrows())
    *_, again = build(recipe, [Value(x) for x in recipe.leaves])
    assert draw_dot(root).source == draw_dot(again).source


# What is shown.

SHOWN = {
    "values": ([], ["q 3", "f -12"]),
    "gradients": ([], ["q 3 -4", "f -12 1"]),
    "local": (["-4", "1", "1", "3"], ["q 3 -4", "f -12 1"]),
    "downstream": (
        ["-4 × 1 = -4", "-4 × 1 = -4", "1 × -4 = -4", "1 × 3 = 3"],
        ["q 3 -4", "f -12 1"],
    ),
}


@pytest.mark.parametrize("show", SHOWN)
def test_show(show):
    picture = Picture(fxyz(), show=show)
    on_arrows = sorted(text for _, _, text in picture.arrows() if text)
    assert SHOWN[show] == (on_arrows, [*picture.wires.values()][-2:])


def test_gradient_patterns_are_named():
    said = titles(to_svg(shared())) + titles(to_svg(router()))
    for pattern in ("distributor", "switcher", "adder", "router"):
        assert any(f"gradient {pattern}: " in title for title in said)
    captions = texts(to_svg(shared(), show="downstream")) + texts(
        to_svg(router(), show="downstream")
    )
    assert {"distributor": 2, "switcher": 3, "adder": 2, "router": 1} == {
        name: captions.count(name) for name in ("distributor", "switcher", "adder", "router")
    }


def test_a_folded_gate_has_no_pattern():
    assert not any("gradient" in (title or "") for title in titles(to_svg(x * 2, show="values")))


def test_nodes_without_a_gradient_show_none():
    a, b = Value(3, "a"), Value(2, "b", requires_grad=False)
    assert ["a 3 2", "b 2", "6 1"] == [*Picture(a * b).wires.values()]
    assert [("a 3 2", "×", "2"), ("b 2", "×", "")] == Picture(a * b).arrows()
    assert ["b 2", "4"] == [*Picture(b * b).wires.values()]
    with no_grad():
        c = a * 2
    assert ["6"] == [*Picture(c).wires.values()]


def test_grad_is_neither_read_nor_written():
    root = neuron()
    nodes = graph.nodes(root)
    for i, node in enumerate(nodes):
        node.grad = 1000.0 + i
    svg = to_svg(root, show="downstream")
    assert [1000.0 + i for i in range(len(nodes))] == [node.grad for node in nodes]
    assert not any("100" in text for text in texts(svg))


def test_what_is_stale_is_marked():
    picture = Picture(stale())
    assert ["a stale 10 3", "b 2 10", "6 1", "16 1"] == [*picture.wires.values()]
    styles = [edge.attr["style"] or "" for edge in picture.edges if edge[0] == "n0"]
    assert ["", "dashed"] == sorted(styles)
    svg = to_svg(stale())
    assert "stale" in texts(svg)
    assert (
        "a = 10, gradient 3 (stale: written after it was used; compute the graph again)"
        == (description(svg).split("\n")[0])
    )


@pytest.mark.parametrize(
    ("digits", "expected"), [(1, "x 0.1 1"), (4, "x 0.1235 1"), (17, "x 0.12345678901234568 1")]
)
def test_digits(digits, expected):
    assert [expected] == [*Picture(Value(0.12345678901234568, "x"), digits=digits).wires.values()]


def test_minus_zero_is_shown_as_zero():
    a, b = Value(-1.0, "a"), Value(-2.0, "b")
    root = ag.relu(a) * b
    assert math.copysign(1.0, root.data) == -1.0 == math.copysign(1.0, root.gradient(a))
    assert ["a -1 0", "b -2 0", "0 -2", "0 1"] == [*Picture(root).wires.values()]
    assert "a = -1.0, gradient -0.0" in titles(to_svg(root))


# Groups.


def layers():
    x1, x2, w1, w2, b, v = values(x1=1, x2=2, w1=3, w2=4, b=5, v=6)
    hidden = (x1 * w1 + x2 * w2 + b).tanh()
    return hidden * v, {"layer 1": [w1, w2, b, hidden], "layer 2": {"weights": [v]}}


def test_groups_hold_their_members_and_what_lies_between():
    root, groups = layers()
    picture = Picture(root, groups=groups)
    boxes = {
        words(box.graph_attr["label"]): sorted(
            (picture.wires | picture.gates)[name].split()[0] for name in box.nodes()
        )
        for box in picture.graph.subgraphs()
    }
    assert {
        "layer 1": sorted(["w1", "w2", "b", "×", "×", "3", "8", "+", "+", "11", "16", "tanh", "1"]),
        "layer 2": ["v"],
    } == boxes
    assert len(graph.nodes(root)) == len(picture.wires)
    assert {"layer 1", "layer 2"} <= set(texts(to_svg(root, groups=groups)))


def test_groups_that_cannot_be_drawn():
    a, b = values(a=1, b=2)
    c = a * b
    with pytest.raises(ValueError, match=r"groups\['g'\] holds leaf 'z' = 1.0, which is no node"):
        draw_dot(c, groups={"g": [a, Value(1, "z")]})
    with pytest.raises(ValueError, match=r"groups\['g'\] holds the number 2.0"):
        draw_dot(c, groups={"g": [2.0]})
    with pytest.raises(ValueError, match=r"groups 'g' and 'h' overlap: leaf 'a' = 1.0 is in both"):
        draw_dot(c, groups={"g": [a, c], "h": a})
    with pytest.raises(TypeError, match=r"groups\['g'\] must be a number, a Value"):
        draw_dot(c, groups={"g": "a"})
    with pytest.raises(TypeError, match=r"groups must be given by titles, str; received 1"):
        draw_dot(c, groups={1: [a]})


# SVG.


def test_svg_holds_what_the_dot_holds(drawn):
    picture, svg = drawn
    arrows = [text for _, _, text in picture.arrows()]
    expected = " ".join([*picture.wires.values(), *picture.gates.values(), *arrows]).split()
    assert not Counter(expected) - Counter(" ".join(texts(svg)).split())


def test_svg_is_clean(drawn):
    root = parsed(drawn[1])
    tags = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert tags <= {"svg", "title", "desc", "g", "path", "polygon", "ellipse", "text", "tspan"}
    for name, value in (item for element in root.iter() for item in element.attrib.items()):
        assert "href" not in name
        assert not name.startswith("on")
        assert not value.startswith(("/", "file:", "http"))


def test_nothing_is_clipped_and_no_gates_overlap(drawn):
    root = parsed(drawn[1])
    _, _, width, height = map(float, root.get("viewBox").split())
    dx, dy = map(float, re.search(r"translate\((\S+) (\S+)\)", root[2].get("transform")).groups())
    for text in root.iter(f"{SVG}text"):
        assert 0 <= float(text.get("x")) + dx <= width
        assert 0 <= float(text.get("y")) + dy <= height
    gates = [
        tuple(float(gate.get(name)) for name in ("cx", "cy", "rx", "ry"))
        for gate in root.iter(f"{SVG}ellipse")
    ]
    for a, b in combinations(gates, 2):
        assert abs(a[0] - b[0]) > a[2] + b[2] or abs(a[1] - b[1]) > a[3] + b[3]


def test_a_line_of_text_is_one_text(drawn):
    for group in parsed(drawn[1]).iter(f"{SVG}g"):
        lines = [text.get("y") for text in group.findall(f"{SVG}text")]
        assert len(lines) == len(set(lines))


@pytest.mark.usefixtures("renderer")
@pytest.mark.parametrize("root", [circuit() for circuit in CIRCUITS])
def test_a_wire_has_no_gap_before_its_numbers(root):
    groups = {group.get("id"): group for group in parsed(to_svg(root)).iter(f"{SVG}g")}
    for wire in (name for name in groups if re.match("g.*-n", name)):
        ends = re.findall(r"(-?[\d.]+),-?[\d.]+", groups[wire].find(f"{SVG}path").get("d"))
        rule = groups[wire.partition("-")[2]].find(f"{SVG}polygon").get("points")
        assert float(rule.split(",")[0]) <= float(ends[-1])


@pytest.mark.usefixtures("renderer")
def test_svg_speaks_to_screen_readers():
    root = parsed(to_svg(fxyz()))
    assert ["title", "desc"] == [child.tag.removeprefix(SVG) for child in root[:2]]
    assert ("img", "Computational graph of f") == (root.get("role"), root[0].text)
    assert [
        "x = -2, gradient -4",
        "y = 5, gradient -4",
        "z = -4, gradient 3",
        "q = add(x, y) = 3, gradient -4",
        "f = mul(q, z) = -12, gradient 1",
    ] == root[1].text.split("\n")


@pytest.mark.usefixtures("renderer")
def test_titles_give_all_digits():
    assert {
        "Computational graph of s0",
        "a = 0.3333333333333333, gradient 3.0",
        "s0 = mul(a, 3.0) = 1.0, gradient 1.0",
        "mul: the product",
        "upstream × local = downstream: 1.0 × 3.0 = 3.0",
    } == set(titles(to_svg(Value(1 / 3, "a") * 3)))


HOSTILE = (
    "<script>alert(1)</script>",
    "</TD></TABLE>",
    "a & b &lt; &amp; &#65; &nosuch;",
    "\"double\" and 'single'",
    "line 1\nline 2\ttab\r",
    "\\N \\G \\L \\n \\l \\E \\",
    "\\\\N",
    "\x00\x01\x1b\x7f\ufffe",
    "lone \ud800",
    "\u202eturned",
    "émoji 🎉 漢字 עברית",
    "]]> --> <!-- <b>",
    'charset="latin-1"',
    " ",
    "x" * 10_000,
    "\\" * 100,
)


@pytest.mark.usefixtures("renderer")
@pytest.mark.parametrize("label", HOSTILE, ids=lambda label: ascii(label[:20]))
def test_hostile_labels(label):
    leaf = Value(1, label)
    svg = to_svg(leaf * 2, groups={label: [leaf]})
    shown = shortened(printable(label)).strip()
    assert 2 == texts(svg).count(shown) or not shown
    assert printable(label) in titles(svg)
    assert f"{printable(label)} = 1.0, gradient 2.0" in titles(svg)
    assert f"{shortened(printable(label))} = 1, gradient 2" == description(svg).split("\n")[0]


@pytest.mark.parametrize("label", ["\n", "\\N", "<b>", "&lt", "\x00"])
def test_hostile_labels_in_gates(label):
    text = printable(label)
    expected = f"1/{text}" if len(text) <= 3 else "1/·"
    assert expected in texts(to_svg(1 / Value(2, label)))


@given(st.text())
@settings(max_examples=25, deadline=None)
def test_any_label(label):
    svg = to_svg(Value(1, label))
    assert f"{printable(label) or 'v0'} = 1.0, gradient 1.0" in titles(svg)


def test_a_long_label_is_shortened_visibly():
    picture = Picture(Value(1, "abc" * 100))
    (text,) = picture.wires.values()
    label = text.split()[0]
    assert (LONGEST, "…") == (len(label), label[-1])


# Themes.


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("theme", THEMES)
def test_every_colour_can_be_read(theme):
    paper = luminance(THEMES[theme].paper)
    for name in Theme.__slots__:
        if name != "paper":
            dark, light = sorted((paper, luminance(getattr(THEMES[theme], name))))
            assert (light + 0.05) / (dark + 0.05) >= 4.5, name


@pytest.mark.parametrize("theme", THEMES)
def test_a_drawing_uses_the_colours_of_its_theme(theme):
    svg = to_svg(stale(), theme=theme)
    used = {*Theme.__slots__} - {"positive", "negative"}  # which are those of networks
    assert {getattr(THEMES[theme], name) for name in used} == set(re.findall(r"#[0-9a-f]{6}", svg))
    fills = {piece.text: piece.get("fill") for piece in pieces(svg)}
    assert THEMES[theme].value == fills["16"]
    assert THEMES[theme].warning == fills["\xa0stale"]


def test_gradients_are_slanted_to_do_without_colour():
    found = pieces(to_svg(neuron(), theme="print"))
    styles = {piece.text: piece.get("font-style") for piece in found}
    assert {"-0.5898": "italic", "0.7311": None} == {
        number: styles[number] for number in ("-0.5898", "0.7311")
    }


# The same graph, the same bytes.

PROGRAM = """
import autograd as ag
w, x, b = ag.values(w=2, x=-1, b=3)
root = ag.sigmoid(w * x + b) * ag.maximum(x, 0.5) + w
print(ag.to_svg(root, show="downstream", groups={"neuron": [w, b]}).encode())
"""


@pytest.mark.usefixtures("without_dot")
def test_the_same_bytes_in_every_process():
    outputs = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env=os.environ
            | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(ag.__file__).parents[1])},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert 1 == len(outputs)
    assert b"upstream" in outputs.pop()


@pytest.mark.usefixtures("renderer")
def test_the_same_bytes_again():
    root = neuron()
    assert to_svg(root) == to_svg(root) == to_svg(neuron())


# Options and errors.


def test_draw_dot_gives_a_digraph():
    drawing = draw_dot(fxyz(), "pdf", "TB")
    assert isinstance(drawing, graphviz.Digraph)
    assert "pdf" == drawing.format
    assert "rankdir=TB" in drawing.source


ERRORS = (
    ({"root": 2.0}, TypeError, "root must be a Value, received the float 2.0"),
    ({"root": None}, TypeError, "root must be a Value, received the NoneType None"),
    ({"rankdir": "RL"}, ValueError, "rankdir must be one of ('LR', 'TB'), received 'RL'"),
    ({"theme": "blue"}, ValueError, "theme must be one of ('light', 'dark', 'print'), rec"),
    ({"theme": []}, ValueError, "theme must be one of ('light', 'dark', 'print'), received []"),
    ({"show": "grad"}, ValueError, "show must be one of ('values', 'gradients', 'local', 'down"),
    ({"digits": 0}, ValueError, "digits must be a whole number from 1 to 17, received 0"),
    ({"digits": 2.5}, ValueError, "digits must be a whole number from 1 to 17, received 2.5"),
    ({"digits": True}, ValueError, "digits must be a whole number from 1 to 17, received True"),
    ({"format": "word"}, ValueError, "unknown format: 'word'"),
    ({"format": None}, TypeError, "format must be a name such as 'svg' or 'pdf', received None"),
    ({"max_nodes": "a"}, TypeError, "max_nodes must be a whole number, received 'a'"),
    (
        {"groups": [x]},
        TypeError,
        "groups must be a mapping such as {'layer 1': [w, b]}, received [",
    ),
    (
        {"groups": []},
        TypeError,
        "groups must be a mapping such as {'layer 1': [w, b]}, received []",
    ),
)


@pytest.mark.parametrize(("options", "error", "message"), ERRORS, ids=[e[2] for e in ERRORS])
def test_errors(options, error, message):
    with pytest.raises(error, match=re.escape(message)):
        draw_dot(**{"root": fxyz()} | options)


def chain(length):
    node = Value(1, "x")
    for _ in range(length):
        node = node + 1
    return node


def test_max_nodes():
    root = chain(499)
    assert 500 == len(Picture(root).wires)
    for draw in (draw_dot, to_svg):
        with pytest.raises(
            ValueError, match=r"has 501 nodes, more than max_nodes=500: pass max_no"
        ):
            draw(root + 1)
    assert 501 == len(Picture(root + 1, max_nodes=501).wires)
    with pytest.raises(ValueError, match=r"has 3 nodes, more than max_nodes=2"):
        draw_dot(chain(2), max_nodes=2)


def test_a_deep_graph_is_refused_without_recursion():
    with pytest.raises(ValueError, match="100,001 nodes"):
        draw_dot(chain(100_000))
