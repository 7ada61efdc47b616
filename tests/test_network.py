"""`draw_network`: what it reads, what it shows, where everything stands."""

import math
import random
import re
from collections import Counter
from itertools import chain, combinations
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
import pygraphviz
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lectures import EXAMPLES, Circuit, net221, net322

import autograd as ag
import nn
from autograd import StaleGraphError, Value, draw_network, values
from autograd.draw.labels import shortened
from autograd.draw.sketch import THICKEST, THINNEST
from autograd.draw.themes import THEMES
from autograd.graph import printable

SVG = "{http://www.w3.org/2000/svg}"


def words(label: str | None) -> str:
    """The text of a label of Graphviz, without its markup."""
    text = ElementTree.fromstring(f"<l>{label or ''}</l>".replace("<BR/>", " ")).itertext()
    return " ".join("".join(text).split())


class Line(NamedTuple):
    """An edge as it is drawn."""

    width: float
    colour: str
    dashed: bool


class Picture:
    """A network as Graphviz reads it: the text of its nodes, and its edges, by id."""

    def __init__(self, net: object, *arguments: Any, **options: Any) -> None:
        self.drawing = draw_network(net, *arguments, **options)
        graph = pygraphviz.AGraph(string=self.drawing.source)
        texts = {name: words(graph.get_node(name).attr["label"]) for name in graph}
        self.nodes = {x: text for x, text in texts.items() if re.fullmatch(r"l\d+n\d+", x)}
        self.outputs = {x: text for x, text in texts.items() if x.startswith("y")}
        self.numbers = {
            x.removesuffix("-number"): text for x, text in texts.items() if x.endswith("-number")
        }
        self.edges = {
            edge.attr["id"]: Line(
                float(edge.attr["penwidth"] or 1),
                edge.attr["color"],
                edge.attr["style"] == "dashed",
            )
            for edge in map(graph.get_edge, *zip(*graph.edges(), strict=True))
            if not edge[1].startswith("y")
        }
        places = {x: graph.get_node(x).attr["pos"].split(",") for x in graph}
        self.places = {name: (float(x), float(y)) for name, (x, y) in places.items()}
        self.node = graph.get_node
        self.legend = words(graph.graph_attr["label"])
        self.titles = self.drawing.titles
        self.sentences = self.drawing.description.splitlines()

    def side(self, name: str, along: int) -> float:
        """How far from its middle the side of a node is where edges leave it."""
        half = 36 * float(self.node(name).attr["height" if along else "width"])
        return -half if along else half


def texts(svg: str) -> list[str]:
    """Every line of text of an SVG."""
    found = ("".join(text.itertext()) for text in ElementTree.fromstring(svg).iter(f"{SVG}text"))
    return [text.replace("\xa0", " ").strip() for text in found]


# The lectures' two networks.


def circuit221() -> tuple[Circuit, list[Any]]:
    c = net221(EXAMPLES["net221_forward"]["inputs"])
    return c, [[[c.w1, c.w3], [c.w2, c.w4]], "sigmoid", [c.w5, c.w6], "sigmoid"]


def circuit322() -> tuple[Circuit, list[Any]]:
    c = net322(EXAMPLES["net322_forward"]["inputs"])
    hidden = [[c.w1, c.w3, c.w5], [c.w2, c.w4, c.w6]], [c.b1, c.b2]
    last = [[c.w7, c.w9], [c.w8, c.w10]], [c.b3, c.b4]
    return c, [hidden, "sigmoid", last, "sigmoid"]


def test_the_2_2_1_network():
    c, net = circuit221()
    picture = Picture(net, [c.x1, c.x2])
    assert {
        "l0n0": "x1 0.23",
        "l0n1": "x2 0.82",
        "l1n0": "0.5869 sigmoid",
        "l1n1": "0.5893 sigmoid",
        "l2n0": "0.6156 sigmoid",
    } == picture.nodes
    assert {"y0": "y"} == picture.outputs
    assert {
        "l0n0-l1n0": "w1 0.1",
        "l0n1-l1n0": "w3 0.4",
        "l0n0-l1n1": "w2 0.5",
        "l0n1-l1n1": "w4 0.3",
        "l1n0-l2n0": "w5 0.2",
        "l1n1-l2n0": "w6 0.6",
    } == picture.numbers
    assert picture.edges.keys() == picture.numbers.keys()
    assert [
        "x1 = 0.23",
        "x2 = 0.82",
        "h1 = sigmoid(0.1 × x1 + 0.4 × x2) = 0.5869",
        "h2 = sigmoid(0.5 × x1 + 0.3 × x2) = 0.5893",
        "y = sigmoid(0.2 × h1 + 0.6 × h2) = 0.6156",
    ] == picture.sentences
    assert "weight: ── positive, ─ ─ negative, thickest: 0.6" == picture.legend
    assert f"h1 = sigmoid(0.1 × x1 + 0.4 × x2) = {c.h_a.data!r}" == picture.titles["l1n0"]


def test_the_3_2_2_network():
    c, net = circuit322()
    picture = Picture(net, [c.x1, c.x2, c.x3])
    assert {
        "l0n0": "x1 1",
        "l0n1": "x2 4",
        "l0n2": "x3 5",
        "l1n0": "0.9866 sigmoid b1 0.5",
        "l1n1": "0.995 sigmoid b2 0.5",
        "l2n0": "0.8896 sigmoid b3 0.5",
        "l2n1": "0.8004 sigmoid b4 0.5",
    } == picture.nodes
    assert {"y0": "y1", "y1": "y2"} == picture.outputs
    assert 10 == len(picture.edges) == len(picture.numbers)
    by_width = sorted(picture.edges, key=lambda edge: picture.edges[edge].width)
    assert ["w10 0.1", "w9 0.9"] == sorted(
        picture.numbers[edge] for edge in (by_width[1], by_width[-1])
    )


@pytest.mark.parametrize("circuit", [circuit221, circuit322])
def test_what_is_drawn_of_the_lectures_networks_is_what_their_circuits_compute(circuit: Any):
    c, net = circuit()
    inputs = [x for x in (getattr(c, f"x{i}", None) for i in (1, 2, 3)) if x is not None]
    picture = Picture(net, inputs, digits=17, loss=c.E)
    hidden, last = [c.h_a, c.h_b], [c.y] if circuit is circuit221 else [c.y1, c.y2]
    assert [repr(x.data) for x in hidden + last] == [
        picture.titles[name].partition(";")[0].rpartition(" = ")[2]
        for name in picture.nodes
        if not name.startswith("l0")
    ]
    gradients = {name: float(text.split()[1]) for name, text in picture.numbers.items()}
    labels = {name: text.split()[0] for name, text in picture.numbers.items()}
    assert {name: c.E.gradient(c[label]) for name, label in labels.items()} == gradients


def test_the_gradients_of_the_3_2_2_network():
    c, net = circuit322()
    picture = Picture(net, [c.x1, c.x2, c.x3], loss=c.E)
    assert picture.legend.startswith("∂E/∂weight: ── positive")
    assert "0.9866 sigmoid b1 0.001984" == picture.nodes["l1n0"]
    assert "w3 0.007936" == picture.numbers["l0n1-l1n0"]
    slope = c.E.gradient(c.w3)
    assert f"x2 → h1: w3 = 0.3, ∂E/∂w3 = {slope!r}" == picture.titles["l0n1-l1n0"]
    assert picture.sentences[3].startswith("h1 = sigmoid(0.1 × x1 + 0.3 × x2 + 0.5 × x3 + 0.5) = ")
    assert picture.sentences[3].endswith(
        "; ∂E/∂weight: 0.001984, 0.007936, 0.00992; ∂E/∂bias: 0.001984"
    )


# What a network may be.


class Plain:
    """A layer, or a network of layers, as a student writes it."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


W, B, V = [[1.0, -2.0], [0.0, 3.0]], [0.5, -0.5], [[2.0, -1.0]]


def linear(weight: list[list[float]], bias: list[float] | None) -> nn.Linear:
    layer = nn.Linear(len(weight[0]), len(weight), bias is not None)
    for parameter, x in zip(layer.parameters(), [*chain(*weight), *(bias or [])], strict=True):
        parameter.data = x
    return layer


def mlp() -> nn.MLP:
    net = nn.MLP(2, [2, 1])
    net.layers = [linear(W, B), nn.ReLU(), linear(V, None)]
    return net


def neuron() -> nn.Neuron:
    unit = nn.Neuron(2, nn.ReLU)
    for parameter, x in zip(unit.parameters(), [*W[0], B[0]], strict=True):
        parameter.data = x
    return unit


def as_values(numbers: Any) -> Any:
    return [as_values(x) for x in numbers] if isinstance(numbers, list) else Value(numbers)


TWO_LAYERS = {
    "nn.MLP": mlp,
    "nn.Sequential": lambda: nn.Sequential(linear(W, B), nn.ReLU(), linear(V, None)),
    "nested": lambda: nn.Sequential(nn.Sequential(linear(W, B), nn.ReLU()), linear(V, None)),
    "list of layers": lambda: [linear(W, B), nn.ReLU(), linear(V, None)],
    "matrices": lambda: [(W, B), nn.ReLU(), V],
    "Values": lambda: [(as_values(W), as_values(B)), nn.ReLU(), as_values(V)],
    "a row": lambda: [(W, B), nn.ReLU(), V[0]],
    "tuples": lambda: ((((1.0, -2.0), (0.0, 3.0)), (0.5, -0.5)), nn.ReLU(), ((2.0, -1.0),)),
    "arrays": lambda: [(np.array(W), np.array(B)), nn.ReLU(), np.array(V)],
    "objects": lambda: Plain(
        layers=[Plain(weight=W, bias=B, activation=nn.ReLU()), Plain(weight=V)]
    ),
    "neurons": lambda: Plain(
        layers=[Plain(weight=W, bias=B), nn.ReLU(), Plain(weight=V[0], bias=None)]
    ),
}


@pytest.mark.parametrize("kind", TWO_LAYERS)
def test_a_network_is_any_object_with_layers_of_weights(kind: str):
    expected = draw_network([(W, B), nn.ReLU(), V], [1.0, 2.0])
    drawing = draw_network(TWO_LAYERS[kind](), [1.0, 2.0])
    assert (expected.source, expected.titles) == (drawing.source, drawing.titles)
    assert expected.description == drawing.description


ONE_LAYER = {
    "nn.Neuron": (neuron, ["1.5 ReLU b 0.5"]),
    "nn.Linear": (lambda: linear(W, B), ["1.5 b 0.5", "2.5 b -0.5"]),
    "matrix": (lambda: W, ["1", "3"]),
    "row": (lambda: V[0], ["5"]),
    "pair": (lambda: (W, B), ["1.5 b 0.5", "2.5 b -0.5"]),
    "without bias": (lambda: (W, None), ["1", "3"]),
}


@pytest.mark.parametrize("kind", ONE_LAYER)
def test_a_network_may_be_a_single_layer(kind: str):
    net, expected = ONE_LAYER[kind]
    picture = Picture(net(), [3.0, 1.0])
    assert ["x1 3", "x2 1", *expected] == [*picture.nodes.values()]


ACTIVATIONS = {
    "a name": ("tanh", "tanh", "0.9951"),
    "a function": (ag.softplus, "softplus", "3.049"),
    "a lambda": (lambda x: x.tanh() * 2, "<lambda>", "1.99"),
    "a module": (nn.LeakyReLU(0.1), "LeakyReLU", "3"),
    "of all": (nn.Softmax(), "Softmax", "1"),
}


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_activations(kind: str):
    activation, name, value = ACTIVATIONS[kind]
    assert f"{value} {name}" == Picture([[[1.0]], activation], [3.0]).nodes["l1n0"]
    layer = Plain(weight=[[1.0]], activation=activation)
    assert f"{value} {name}" == Picture(layer, [3.0]).nodes["l1n0"]


def test_several_activations_follow_each_other_and_may_come_first():
    picture = Picture(["square", [[1.0]], "neg", nn.ReLU(), "exp"], [3.0])
    assert ["x 9 square", "1 neg ReLU exp"] == [*picture.nodes.values()]
    assert "y = exp(ReLU(neg(1 × x))) = 1" == picture.sentences[1]


MODULES = [getattr(nn, name) for name in nn.activations.__all__ if name[0].isupper()]


@pytest.mark.parametrize("module", [x for x in MODULES if x is not nn.Maxout])
def test_every_activation_module(module: Any):
    net = nn.MLP(3, [4, 2], activation=module)
    picture = Picture(net, [0.1, 0.2, 0.3])
    assert module.__name__ == picture.nodes["l1n0"].split()[1]
    expected = [f"{x.data!r}" for x in net([0.1, 0.2, 0.3])]
    assert expected == [picture.titles[f"l2n{i}"].rpartition(" = ")[2] for i in (0, 1)]


class Noise(nn.Module):
    """A module of a student: it holds another, and none of the usual names."""

    def __init__(self, dropout: nn.Dropout) -> None:
        self.inner = dropout

    def forward(self, inputs: list[Any]) -> list[Any]:
        return self.inner(inputs)


@pytest.mark.parametrize("kind", [lambda x: x, Noise, nn.Sequential], ids=["own", "held", "parts"])
def test_drawing_drops_nothing_and_leaves_the_training_as_it_is(kind: Any):
    dropout, resting = nn.Dropout(0.5, random.Random(1)), nn.Dropout(0.5).eval()
    net = nn.Sequential(linear(W, B), kind(dropout), resting, linear(V, None))
    state = dropout.generator.getstate()
    pictures = [Picture(net, [2.0, 1.0]).nodes for _ in range(2)]
    (expected,) = net.eval()([2.0, 1.0])
    net.train()
    resting.eval()
    assert [f"{expected.data:g}"] * 2 == [nodes["l2n0"] for nodes in pictures]
    assert state == dropout.generator.getstate()
    Picture(net, [2.0, 1.0])
    assert [True, False] == [dropout.training, resting.training]


WRONG = {
    "nothing": ([], ValueError, "net must have at least one layer with weights, received []"),
    "no layer": ("relu", ValueError, "net must have at least one layer with weights, received 're"),
    "number": (2.0, TypeError, "net must be a layer with weights or an activation: a module such"),
    "unknown name": ([W, "rleu"], TypeError, "net[1] must be a layer with weights or an activati"),
    "two operands": ([W, "mul"], TypeError, "net[1] must be a layer with weights or an activation"),
    "class": ([W, nn.ReLU], TypeError, "net[1] must be a layer with weights or an activation"),
    "Maxout": (nn.Sequential(nn.Linear(1, 2), nn.Maxout()), TypeError, "net.layers[1], Maxout(pi"),
    "Residual": ([nn.Residual(nn.Linear(1, 1))], TypeError, "net[0], Residual(\n"),
    "own activation": (Plain(weight=W, activation=1), TypeError, "net.activation must be a layer"),
    "ragged": ([W, [[1.0, 2.0], [3.0]]], ValueError, "the rows of the weight of net[1] must be of"),
    "cube": (Plain(weight=[W]), TypeError, "the weight of net must be a matrix of numbers or Va"),
    "text": (Plain(weight=[["a"]]), TypeError, "the weight of net must be a matrix of numbers or"),
    "shapes": (
        [W, [[1.0]]],
        ValueError,
        "the neurons of net[1] have 1 weights each, but there are",
    ),
    "biases": ((W, [1.0]), ValueError, "the bias of net must be 2 numbers or Values, one for each"),
    "bias": (Plain(weight=W, bias=1.0), ValueError, "the bias of net must be 2 numbers or Values"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_network(kind: str):
    net, error, text = WRONG[kind]
    with pytest.raises(error, match=f"^{re.escape(text)}"):
        draw_network(net)


def test_an_activation_must_give_a_number_for_each_neuron():
    class Sum:
        def __call__(self, numbers: list[Any]) -> list[Any]:
            return [ag.sum(numbers)]

        forward = __call__

    dropout = nn.Dropout()
    with pytest.raises(ValueError, match=r"^Sum gives 1 numbers for 2 neurons: it cannot be drawn"):
        draw_network([W, dropout, Sum()], [1.0, 2.0])
    assert dropout.training


# What is shown.


def test_an_edge_is_the_thicker_the_larger_its_weight_and_zero_has_none():
    picture = Picture([[[4.0, -2.0, 0.0, 1.0, -0.0]]])
    light, span = THEMES["light"], THICKEST - THINNEST
    assert {
        "l0n0-l1n0": Line(THICKEST, light.positive, False),
        "l0n1-l1n0": Line(THINNEST + round(span / 2, 2), light.negative, True),
        "l0n3-l1n0": Line(round(THINNEST + span / 4, 2), light.positive, False),
    } == picture.edges
    assert {"l0n0-l1n0": "4", "l0n1-l1n0": "-2", "l0n3-l1n0": "1"} == picture.numbers
    assert "y = 4 × x1 + -2 × x2 + 1 × x4" == picture.sentences[-1]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=8))
@settings(deadline=None, max_examples=30)
def test_thickness_follows_the_weights(weights: list[float]):
    edges = Picture([[weights]], numbers=False).edges
    widths = [edges[f"l0n{i}-l1n0"].width for i, w in enumerate(weights) if w]
    ordered = sorted(
        (abs(w), width) for w, width in zip(filter(None, weights), widths, strict=True)
    )
    assert [width for _, width in ordered] == sorted(widths)
    assert [] == widths or THICKEST == max(widths)
    assert [w < 0 for w in weights if w] == [edge.dashed for edge in edges.values()]


def test_what_is_not_finite_is_marked():
    picture = Picture([[[math.inf, math.nan, -math.inf, 2.0]]])
    light = THEMES["light"]
    double = f"{light.warning}:{light.paper}:{light.warning}"
    assert [
        Line(1.0, double, False),
        Line(1.0, double, False),
        Line(1.0, double, True),
        Line(THICKEST, light.positive, False),
    ] == [*picture.edges.values()]
    assert ["inf", "nan", "-inf", "2"] == [*picture.numbers.values()]
    assert picture.legend.endswith("thickest: 2, ══ not finite")


def test_a_network_of_zeros_has_no_edges():
    picture = Picture([[[0.0, 0.0]], "relu"], [1.0, 2.0])
    assert ({}, "y = relu(0) = 0") == (picture.edges, picture.sentences[-1])
    assert picture.legend.endswith("thickest: 0, none: 0")


def test_without_inputs_no_activation_has_a_value():
    assert ["x1", "x2", "ReLU b 0.5", "ReLU b -0.5", ""] == [
        *Picture([(W, B), nn.ReLU(), V]).nodes.values()
    ]


def test_digits():
    assert "0.3333333" == Picture([[[1 / 3]]], digits=7).numbers["l0n0-l1n0"]
    assert "x 0.33" == Picture([[[1.0]]], [1 / 3], digits=2).nodes["l0n0"]


def test_few_edges_carry_numbers_and_many_if_wanted():
    few, many = [[[1.0] * 30]], [[[1.0] * 31]]
    assert [30, 0] == [len(Picture(net).numbers) for net in (few, many)]
    assert [0, 31] == [
        len(Picture(few, numbers=False).numbers),
        len(Picture(many, numbers=True).numbers),
    ]


def test_labels():
    picture = Picture(W, input_labels=["size", "rooms"], output_labels=["rent", "price"])
    assert ["size", "rooms"] == [*picture.nodes.values()][:2]
    assert ["rent", "price"] == [*picture.outputs.values()]
    assert "rooms → rent: weight = -2.0" == picture.titles["l0n1-l1n0"]
    partly = Picture(W, [Value(1, "a"), 2.0])
    assert ["a 1", "x2 2"] == [*partly.nodes.values()][:2]
    assert ["x1 1", "x2 2"] == [*Picture(W, np.array([1.0, 2.0])).nodes.values()][:2]
    deep = Picture([V, [[1.0]], [[1.0]]])
    assert ["x1", "x2", "h1.1", "h2.1", "y"] == [x.split(" = ")[0] for x in deep.sentences]


def test_gradients_are_those_of_the_loss_and_leave_grad_alone():
    net = nn.MLP(2, [3, 1], activation=nn.Tanh)
    net.layers[0].weight[0][0].requires_grad = False
    loss = nn.MSELoss()(net([0.5, -1.0]), [1.0])
    for parameter in net.parameters():
        parameter.grad = 100.0
    picture = Picture(net, loss=loss, digits=17)
    assert all(parameter.grad == 100.0 for parameter in net.parameters())
    expected = {
        f"l{k}n{tail}-l{k + 1}n{head}": loss.gradient(weight)
        for k, layer in enumerate(net.layers[::2])
        for head, row in enumerate(layer.weight)
        for tail, weight in enumerate(row)
        if weight.requires_grad
    }
    assert expected == {name: float(text) for name, text in picture.numbers.items()}
    assert "l0n0-l1n0" not in picture.edges
    biases = [float(picture.nodes[f"l1n{i}"].split()[-1]) for i in range(3)]
    assert loss.gradient(net.layers[0].bias) == biases
    assert picture.legend.startswith("∂loss/∂weight: ")


def test_a_loss_must_come_from_the_weights():
    (weight,) = values(w=2.0)
    loss = weight * 3.0
    with pytest.raises(TypeError, match=r"^loss must be a Value, received the float 2\.0$"):
        draw_network([[weight]], loss=2.0)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"^loss must be computed from the weights of net, but no"):
        draw_network([[Value(1.0)]], loss=loss)
    weight.data = 5.0
    with pytest.raises(StaleGraphError, match=r"^leaf 'w' = 5\.0 was written after"):
        draw_network([[weight]], loss=loss)


# Where everything stands.

NETWORKS = {
    "221": lambda: (circuit221()[1], [0.23, 0.82]),
    "322": lambda: (circuit322()[1], [1.0, 4.0, 5.0]),
    "wide": lambda: ([[[1.0] * 5] * 4, [[-1.0] * 4] * 6, [[0.5] * 6]], [1e-10] * 5),
    "neuron": lambda: (nn.Neuron(12, nn.Sigmoid), [0.1] * 12),
    "deep": lambda: (nn.MLP(1, [1, 2, 3, 2, 1]), None),
}


class Room(NamedTuple):
    """What an element of an SVG covers."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: "Room") -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )


def rooms(svg: str) -> dict[str, Room]:
    """The room of every node: of its circle, its box or its paper."""
    found: dict[str, Room] = {}
    for group in ElementTree.fromstring(svg).iter(f"{SVG}g"):
        if group.get("class") != "node":
            continue
        for ellipse in group.iter(f"{SVG}ellipse"):
            x, y, rx, ry = (float(ellipse.get(name, "")) for name in ("cx", "cy", "rx", "ry"))
            found[group.get("id", "")] = Room(x - rx, y - ry, x + rx, y + ry)
        for shape in (*group.iter(f"{SVG}polygon"), *group.iter(f"{SVG}path")):
            numbers = re.findall(r"-?[\d.]+", shape.get("points") or shape.get("d") or "")
            xs, ys = [float(x) for x in numbers[::2]], [float(y) for y in numbers[1::2]]
            found.setdefault(group.get("id", ""), Room(min(xs), min(ys), max(xs), max(ys)))
    return found


@pytest.mark.parametrize("rankdir", ["LR", "TB"])
@pytest.mark.parametrize("kind", NETWORKS)
def test_nothing_overlaps_and_nothing_is_clipped(kind: str, rankdir: str):
    net, inputs = NETWORKS[kind]()
    svg = draw_network(net, inputs, rankdir=rankdir, numbers=True).svg()
    covered = rooms(svg)
    assert [] == [(a, b) for a, b in combinations(covered, 2) if covered[a].meets(covered[b])]
    root = ElementTree.fromstring(svg)
    _, _, width, height = map(float, root.get("viewBox", "").split())
    moved = re.search(r"translate\((\S+) (\S+)\)", root[2].get("transform", ""))
    assert moved
    dx, dy = map(float, moved.groups())
    for room in covered.values():
        assert 0 <= room.left + dx < room.right + dx <= width
        assert 0 <= room.top + dy < room.bottom + dy <= height


def test_every_text_of_a_node_stands_in_it():
    labels = ["x" * 40, "W" * 20, "漢字" * 5]
    svg = draw_network(nn.Neuron(3, nn.LeakyReLU), [1e-10, -2e20, 0.5], input_labels=labels).svg()
    covered = rooms(svg)
    for group in ElementTree.fromstring(svg).iter(f"{SVG}g"):
        if (room := covered.get(group.get("id", ""))) and group.get("id", "").startswith("l"):
            for text in group.iter(f"{SVG}text"):
                assert room.top < float(text.get("y", "")) < room.bottom
                assert room.left < float(text.get("x", "")) < room.right


@pytest.mark.parametrize("rankdir", ["LR", "TB"])
@pytest.mark.parametrize(("before", "after"), [(1, 1), (4, 1), (1, 4), (3, 3), (2, 5), (5, 2)])
def test_a_number_stands_on_its_edge_and_apart_from_all_others(
    before: int, after: int, rankdir: str
):
    picture = Picture([[[1.0] * before] * after], rankdir=rankdir)
    across, along = (1, 0) if rankdir == "LR" else (0, 1)
    found: list[float] = []
    for edge in picture.edges:
        tail, head = ([*picture.places[name]] for name in edge.split("-"))
        tail[along] += picture.side(edge.split("-")[0], along)
        number = picture.places[f"{edge}-number"]
        part = (number[along] - tail[along]) / (head[along] - tail[along])
        assert 0 < part < 1
        assert (
            pytest.approx(tail[across] + part * (head[across] - tail[across]), abs=0.02)
            == (number[across])
        )
        found.append(number[across])
    steps = np.diff(sorted(found))
    assert pytest.approx(steps.max(initial=0.0), abs=0.02) == steps.min(initial=math.inf) or (
        1 == len(found)
    )


@pytest.mark.parametrize("rankdir", ["LR", "TB"])
def test_edges_leave_a_wide_input_at_its_side(rankdir: str):
    svg = draw_network(W, input_labels=["the first of two", "the second"], rankdir=rankdir).svg()
    covered = rooms(svg)
    for group in ElementTree.fromstring(svg).iter(f"{SVG}g"):
        if re.fullmatch(r"l0n\d-l1n\d", name := group.get("id", "")):
            path = group.find(f"{SVG}path")
            assert path is not None
            x, y = map(float, re.findall(r"-?[\d.]+", path.get("d", ""))[:2])
            box = covered[name.partition("-")[0]]
            middle = [(box.left + box.right) / 2, (box.top + box.bottom) / 2]
            side = [box.right, middle[1]] if rankdir == "LR" else [middle[0], box.bottom]
            assert pytest.approx(side, abs=1.5) == [x, y]


def test_the_columns_follow_the_direction():
    right, down = (Picture(W, rankdir=x).places for x in ("LR", "TB"))
    assert right["l0n0"][0] < right["l1n0"][0] < right["y0"][0]
    assert right["l0n0"][1] > right["l0n1"][1]
    assert down["l0n0"][1] > down["l1n0"][1] > down["y0"][1]
    assert down["l0n0"][0] < down["l0n1"][0]


# SVG.


@pytest.mark.parametrize("theme", THEMES)
def test_a_drawing_uses_the_colours_of_its_theme(theme: str):
    colours = THEMES[theme]
    svg = draw_network([[[1.0, -1.0, math.inf]]], [1.0, 2.0, 3.0], theme=theme).svg()
    unused = {"gradient", "local"}
    assert {getattr(colours, name) for name in {*colours.__slots__} - unused} == set(
        re.findall(r"#[0-9a-f]{6}", svg)
    )


def test_the_sign_can_be_read_without_colour():
    svg = draw_network([[[1.0, -1.0]]], theme="print").svg()
    edges = [x for x in ElementTree.fromstring(svg).iter(f"{SVG}g") if x.get("class") == "edge"]
    dashes = {x.get("id"): x.find(f"{SVG}path").get("stroke-dasharray") for x in edges}
    assert {"l0n0-l1n0": None, "l0n1-l1n0": "13,6", "l1n0-y0": None} == dashes


def test_svg_is_clean_and_speaks_to_screen_readers():
    svg = draw_network(circuit221()[1]).svg()
    root = ElementTree.fromstring(svg)
    tags = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert tags <= {"svg", "title", "desc", "g", "path", "polygon", "ellipse", "text", "tspan"}
    assert ["title", "desc"] == [child.tag.removeprefix(SVG) for child in root[:2]]
    assert ("img", "Network of 2-2-1 neurons") == (root.get("role"), root[0].text)
    assert "y = sigmoid(0.2 × h1 + 0.6 × h2)" == str(root[1].text).splitlines()[-1]
    counted = Counter(texts(svg))
    assert (3, 1, 1) == (counted["sigmoid"], counted["w1 0.1"], counted["y"])


HOSTILE = (
    "<script>alert(1)</script>",
    "a & b &lt; &#65;",
    "\"double\" and 'single'",
    "line 1\nline 2\t",
    "\\N \\G \\",
    "\x00\x1b\ufffe\ud800",
    "émoji 🎉 漢字",
    " ",
    "x" * 10_000,
)


@pytest.mark.parametrize("label", HOSTILE, ids=lambda label: ascii(label[:20]))
def test_hostile_labels(label: str):
    weight, loss_label = Value(2.0, label), label
    loss = weight * 1.0
    loss.label = loss_label
    svg = draw_network(
        [[weight]], [1.0], loss=loss, input_labels=[label], output_labels=[label]
    ).svg()
    shown = shortened(printable(label)).strip()
    assert 2 == texts(svg).count(shown) or not shown
    titles = [title.text for title in ElementTree.fromstring(svg).iter(f"{SVG}title")]
    assert f"{printable(label)} = 1.0" in titles


def test_the_same_network_gives_the_same_bytes():
    first, second = (draw_network(circuit322()[1], [1, 4, 5]).svg() for _ in range(2))
    assert first == second


def test_a_notebook_shows_the_drawing_and_a_file_holds_it():
    drawing = draw_network(W, format="pdf")
    assert {"image/svg+xml": drawing.svg()} == drawing._repr_mimebundle_()
    assert "pdf" == drawing.format


# Options and errors.

ERRORS = (
    ({"rankdir": "RL"}, ValueError, "rankdir must be one of ('LR', 'TB'), received 'RL'"),
    ({"theme": "blue"}, ValueError, "theme must be one of ('light', 'dark', 'print'), received"),
    ({"digits": 0}, ValueError, "digits must be a whole number from 1 to 17, received 0"),
    ({"format": "word"}, ValueError, "unknown format: 'word'"),
    ({"format": None}, TypeError, "format must be a name such as 'svg' or 'pdf', received None"),
    ({"max_nodes": "a"}, TypeError, "max_nodes must be a whole number, received 'a'"),
    ({"max_edges": None}, TypeError, "max_edges must be a whole number, received None"),
    ({"input_labels": 2}, ValueError, "input_labels must be 2 strings, received 2"),
    ({"inputs": [1.0]}, ValueError, "inputs must be a list of 2 numbers, received [1.0]"),
    ({"inputs": 1.0}, ValueError, "inputs must be a list of 2 numbers, received 1.0"),
    ({"input_labels": []}, ValueError, "input_labels must be 2 strings, received []"),
    ({"inputs": [1.0, "a"]}, TypeError, "inputs[1] must be a real number (int, float or NumPy"),
    ({"input_labels": ["a"]}, ValueError, "input_labels must be 2 strings, received ['a']"),
    ({"input_labels": [1, 2]}, ValueError, "input_labels must be 2 strings, received [1, 2]"),
    ({"output_labels": "ab"}, ValueError, "output_labels must be 2 strings, received 'ab'"),
    ({"max_nodes": 3}, ValueError, "the network has 4 nodes, more than max_nodes=3: pass max_n"),
    ({"max_edges": 2}, ValueError, "the network has 3 edges, more than max_edges=2: pass max_e"),
)


@pytest.mark.parametrize(("options", "error", "text"), ERRORS, ids=[e[2][:40] for e in ERRORS])
def test_errors(options: dict[str, Any], error: type[Exception], text: str):
    with pytest.raises(error, match=f"^{re.escape(text)}"):
        draw_network(**{"net": W} | options)


def test_limits_are_reached_exactly():
    assert 4 == len(Picture(W, max_nodes=4, max_edges=3).nodes)
