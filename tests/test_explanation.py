"""`explain`: the table and the paths, against the engine, by hand and at size."""

import itertools
import json
import math
import re
from decimal import ROUND_DOWN, Decimal
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import Recipe, build, graphs, smooth_graphs

from autograd import AutogradError, Value, explain, graph, sigmoid, values
from autograd.backward import local_derivative, pullback

calm = settings(deadline=None)


def named(label: str, value: Value) -> Value:
    value.label = label
    return value


def neuron() -> dict[str, Value]:
    inputs = {name: Value(x, name) for name, x in [("w", 2), ("x", -1), ("b", 1.5)]}
    return inputs | {"L": named("L", sigmoid(inputs["w"] * inputs["x"] + inputs["b"]))}


# The table.


def test_the_table_shows_every_node_and_every_edge():
    assert str(explain(neuron()["L"], digits=4)).splitlines() == [
        "node             op       value   ∂L/∂node",
        "w                input    2       -0.235",
        "x                input    -1      0.47",
        "b                input    1.5     0.235",
        "s0 = w * x       mul      -2      0.235",
        "  ∂/∂w: 0.235 × -1 = -0.235",
        "  ∂/∂x: 0.235 × 2 = 0.47",
        "s1 = s0 + b      add      -0.5    0.235",
        "  ∂/∂s0: 0.235 × 1 = 0.235",
        "  ∂/∂b: 0.235 × 1 = 0.235",
        "L = sigmoid(s1)  sigmoid  0.3775  1",
        "  ∂/∂s1: 1 × 0.235 = 0.235",
        "",
        "∂L/∂w = -0.235",
        "∂L/∂x = 0.47",
        "∂L/∂b = 0.235",
    ]


def test_rows_are_plain_data():
    x = Value(3.0, "x")
    y = named("y", x * x)
    edge = {"operand": "x", "upstream": 1.0, "local": 3.0, "downstream": 3.0}
    leaf = {"name": "x", "expression": None, "op": None, "value": 3.0, "gradient": 6.0}
    node = {"name": "y", "expression": "x * x", "op": "mul", "value": 9.0, "gradient": 1.0}
    rows = [leaf | {"stale": False, "edges": []}, node | {"stale": False, "edges": [edge, edge]}]
    data = explain(y).data()
    assert {"result": "y", "nodes": rows, "gradients": {"x": 6.0}} == data
    assert data == json.loads(json.dumps(data))


@calm
@given(graphs())
def test_the_rows_of_any_graph_are_the_engine_bit_for_bit(recipe: Recipe):
    leaves = [Value(x) for x in recipe.leaves]
    root = build(recipe, leaves)[-1]
    rows, nodes, gradients = explain(root).rows, graph.nodes(root), pullback({root: 1.0})
    names = graph.names(root)
    assert [names[node] for node in nodes] == [row["name"] for row in rows]
    assert [repr(node.data) for node in nodes] == [repr(row["value"]) for row in rows]
    assert [repr(gradients.get(x)) for x in nodes] == [repr(row["gradient"]) for row in rows]
    sums = {names[root]: 1.0}
    for row in reversed(rows):
        for edge in row["edges"]:
            assert repr(edge["upstream"]) == repr(row["gradient"])
            assert repr(edge["downstream"]) == repr(edge["upstream"] * edge["local"])
            name, downstream = edge["operand"], edge["downstream"]
            sums[name] = sums[name] + downstream if name in sums else downstream
    assert {x["name"]: repr(x["gradient"]) for x in rows if x["gradient"] is not None} == {
        name: repr(total) for name, total in sums.items()
    }
    assert [0.0] * len(nodes) == [node.grad for node in nodes]


def test_what_needs_no_gradient_has_none():
    c, x = Value(2.0, "c", requires_grad=False), Value(3.0, "x")
    explanation = explain(c.exp() * x, digits=3)
    assert str(explanation).splitlines()[1:] == [
        "c            input  2      none",
        "x            input  3      7.39",
        "s0 = exp(c)  exp    7.39   none",
        "s1 = s0 * x  mul    22.2   1",
        "  ∂/∂x: 1 × 7.39 = 7.39",
        "",
        "∂s1/∂c = none",
        "∂s1/∂x = 7.39",
    ]
    assert {"c": None, "x": math.exp(2.0)} == explanation.data()["gradients"]


def test_a_leaf_explains_itself():
    assert str(explain(Value(2.5, "x"))).splitlines() == [
        "node  op     value  ∂x/∂node",
        "x     input  2.5    1",
        "",
        "∂x/∂x = 1",
    ]


@pytest.mark.parametrize(
    ("digits", "expected"), [(1, "0.3"), (6, "0.333333"), (17, "0.33333333333333331")]
)
def test_numbers_have_the_digits_asked_for(digits: int, expected: str):
    y = Value(1 / 3, "x") * 1.0
    assert str(explain(y, digits=digits)).splitlines()[1].split() == ["x", "input", expected, "1"]
    assert f"x &= {expected} " in explain(y, digits=digits).latex()


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (2.0, "2"),
        (-0.0, "0"),
        (1e-7, "1e-07"),
        (1e20, "1e+20"),
        (math.inf, "inf"),
        (math.nan, "nan"),
    ],
)
def test_numbers_have_no_trailing_noise(number: float, expected: str):
    assert str(explain(Value(number, "x"))).splitlines()[1].split()[2] == expected


def test_a_dead_relu_is_shown_with_zeros_and_keeps_their_sign():
    x = Value(-3.0, "x")
    y = named("y", -2 * x.relu())
    explanation = explain(y)
    assert "-0.0" == repr(explanation.data()["gradients"]["x"])
    for text in (str(explanation), explanation.latex(), str(explain(y, wrt=x))):
        assert not re.search(r"-0(?![.\d])", text)


def test_columns_of_wide_characters_line_up():
    wide, accented = Value(0.5, "重み"), Value(2.0, "e\u0301")  # two columns each, one for both
    lines = str(explain(named("積", wide * accented))).splitlines()
    assert [
        "node           op     value  ∂積/∂node",
        "重み           input  0.5    2",
        "e\u0301              input  2      0.5",
        "積 = 重み * e\u0301  mul    1      1",
    ] == [line for line in lines[:6] if not line.startswith(" ")]


def test_no_grad_is_written():
    x = Value(3.0, "x")
    s = x * x
    y = s + x
    x.grad, s.grad, y.grad = 5.0, 6.0, 7.0
    str(explain(y)), str(explain(y, wrt=x)), explain(y).latex()
    assert (5.0, 6.0, 7.0) == (x.grad, s.grad, y.grad)


def test_an_explanation_is_of_the_moment():
    x = Value(3.0, "x")
    y = x * x
    explanation, paths = explain(y), explain(y, wrt=x)
    before = [str(explanation), explanation.latex(), str(paths)]
    x.data, x.label, y.label = 4.0, "t", "u"
    assert before == [str(explanation), explanation.latex(), str(paths)]


NOTE = "x is stale: it was written after it was used; compute again"


def test_what_is_stale_is_marked_in_words():
    x, w = values(x=3, w=2)
    y = x * w
    x.data = 4
    explanation, paths = explain(y), explain(y, wrt=x)
    assert ["x           input, stale  4      2", "w           input         2      4"] == (
        str(explanation).splitlines()[1:3]
    )
    assert {"x": True, "w": False, "s0": False} == {
        row["name"]: row["stale"] for row in explanation.rows
    }
    for text in (str(explanation), str(paths)):
        assert NOTE == text.splitlines()[-1]
    for html in (explanation._repr_html_(), paths._repr_html_()):
        assert NOTE in html


def test_a_label_stays_on_its_line():
    assert ["a\\nb  input  1      1"] == str(explain(Value(1.0, "a\nb"))).splitlines()[1:2]


class Reader(HTMLParser):
    """Collects the texts of the cells and paragraphs; asserts that every tag is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.cells: list[str] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: Any) -> None:  # noqa: ARG002
        if tag != "br":
            self.open.append(tag)
        if tag in ("td", "th", "p"):
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th", "p"):
            self.cells[-1] += data


def test_the_html_has_the_cells_of_the_table():
    x = Value(3.0, "<x> & co")
    y = named("y", -x)
    assert Reader(explain(y)._repr_html_()).cells == [
        *("node", "op", "value", "∂y/∂node"),
        *("<x> & co", "input", "3", "-1"),
        *("y = -<x> & co", "neg", "-3", "1"),
        "∂/∂<x> & co: 1 × -1 = -1",
        "∂y/∂<x> & co = -1",
    ]
    assert Reader(explain(y, wrt=x)._repr_html_()).cells == [
        *("1 path from <x> & co to y", "product of the local derivatives"),
        *("<x> & co → y", "-1"),
        "∂y/∂<x> & co = -1",
    ]


def test_the_latex_has_values_and_gradients():
    assert explain(neuron()["L"], digits=3).latex().splitlines() == [
        r"\begin{align*}",
        r"  w &= 2 \\",
        r"  x &= -1 \\",
        r"  b &= 1.5 \\",
        r"  s_{0} &= w \cdot x = -2 \\",
        r"  s_{1} &= s_{0} + b = -0.5 \\",
        r"  L &= \sigma(s_{1}) = 0.378 \\",
        r"  \frac{\partial L}{\partial L} &= 1 \\",
        r"  \frac{\partial L}{\partial s_{1}} &= "
        r"\frac{\partial L}{\partial L} \cdot L \cdot (1 - L) = 0.235 \\",
        r"  \frac{\partial L}{\partial s_{0}} &= \frac{\partial L}{\partial s_{1}} = 0.235 \\",
        r"  \frac{\partial L}{\partial w} &= "
        r"\frac{\partial L}{\partial s_{0}} \cdot x = -0.235 \\",
        r"  \frac{\partial L}{\partial x} &= "
        r"\frac{\partial L}{\partial s_{0}} \cdot w = 0.47 \\",
        r"  \frac{\partial L}{\partial b} &= \frac{\partial L}{\partial s_{1}} = 0.235",
        r"\end{align*}",
    ]


# The paths.


def test_paths_through_unlabelled_nodes_are_written_out():
    x = Value(3.0, "x")
    assert str(explain(x * x * -2 + x, wrt=x)).splitlines() == [
        "3 paths from x to s2",
        "x → s0 → s1 → s2: 3 × -2 × 1 = -6",
        "x → s0 → s1 → s2: 3 × -2 × 1 = -6",
        "x → s2: 1",
        "∂s2/∂x = -11, the sum over all paths",
    ]


def test_paths_with_labels_pass_over_the_nodes_between():
    x = Value(3.0, "x")
    h = named("h", x * x * -2)
    y = named("y", h * 5 + 1)
    explanation = explain(y, wrt=x, digits=2)
    assert str(explanation).splitlines()[1] == "x → h → y: -6 × 5 = -30"
    assert explanation.paths[0] == {
        "nodes": ["x", "s0", "h", "s1", "y"],
        "locals": [3.0, -2.0, 5.0, 1.0],
        "product": -30.0,
    }
    assert explanation.latex().splitlines()[2:] == [
        r"  x \to h \to y &: (-6) \cdot 5 = -30 \\",
        r"  \frac{\partial y}{\partial x} &= -60",
        r"\end{align*}",
    ]


def test_the_paths_to_an_interior_node():
    x = Value(3.0, "x")
    s = x * x
    y = s * x + s
    assert explain(y, wrt=s).data() == {
        "result": "s2",
        "wrt": "s0",
        "count": 2,
        "paths": [
            {"nodes": ["s0", "s1", "s2"], "locals": [3.0, 1.0], "product": 3.0},
            {"nodes": ["s0", "s2"], "locals": [1.0], "product": 1.0},
        ],
        "sum": 4.0,
    }


def test_the_empty_path():
    y = named("y", Value(3.0, "x") * 2)
    explanation = explain(y, wrt=y)
    assert ["1 path from y to y", "y: 1", "∂y/∂y = 1"] == str(explanation).splitlines()
    assert [{"nodes": ["y"], "locals": [], "product": 1.0}] == explanation.paths
    assert r"  y &: 1 \\" == explanation.latex().splitlines()[1]


def test_no_path():
    y, x, v = named("y", Value(3.0) * 2), Value(1.0, "x"), Value(1.0)
    explanation = explain(y, wrt=x)
    assert ["no path leads from x to y", "∂y/∂x = 0"] == str(explanation).splitlines()
    assert (0, [], 0.0) == (explanation.count, explanation.paths, explanation.sum)
    assert "no path leads from v0 to y" == str(explain(y, wrt=v)).splitlines()[0]


def test_gradients_flow_only_where_they_are_required():
    c, x = Value(2.0, "c", requires_grad=False), Value(3.0, "x")
    y = (c * x).exp()
    x.requires_grad = False
    with pytest.raises(AutogradError, match=r"^wrt: leaf 'x' = 3\.0 requires no gradient$"):
        explain(y, wrt=x)
    with pytest.raises(AutogradError, match=r"^wrt: leaf 'c' = 2\.0 requires no gradient$"):
        explain(y, wrt=c)


def test_no_path_leads_through_a_node_that_requires_no_gradient():
    x = Value(3.0, "x", requires_grad=False)
    y = x.exp() * 2
    x.requires_grad = True
    assert (0, 0.0) == ((explanation := explain(y, wrt=x)).count, explanation.sum)


def every_path(node: Value, wrt: Value) -> list[float]:
    """The product along every path, by walking each."""
    if node is wrt:
        return [1.0]
    return [
        product * local_derivative(node, slot)
        for _, operand, slot in graph.edges([node] if node.op else [])
        for product in every_path(operand, wrt)
    ]


@calm
@given(smooth_graphs(max_steps=9), st.integers(0, 99), st.integers(1, 12))
def test_the_largest_paths_and_their_count_are_those_of_a_walk(
    recipe: Recipe, choice: int, most: int
):
    nodes = build(recipe, [Value(x) for x in recipe.leaves])
    root, wrt = nodes[-1], nodes[choice % len(nodes)]
    explanation, products = explain(root, wrt=wrt, paths=most), every_path(root, wrt)
    largest = sorted(map(abs, products), reverse=True)[:most]
    assert len(products) == explanation.count
    assert largest == [abs(path["product"]) for path in explanation.paths]
    assert root.gradient(wrt) == explanation.sum
    scale = math.fsum(map(abs, products))
    assert explanation.sum == pytest.approx(math.fsum(products), rel=0.0, abs=1e-12 * scale)


@calm
@given(graphs(max_steps=20))
def test_each_path_of_any_graph_is_a_walk_along_its_edges(recipe: Recipe):
    leaves = [Value(x, "x") for x in recipe.leaves]
    root = build(recipe, leaves)[-1]
    names = graph.names(root)
    edges = {
        (names[operand], names[node], repr(local_derivative(node, slot)))
        for node, operand, slot in graph.edges(graph.operations(root))
    }
    for leaf in graph.leaves(root):
        explanation = explain(root, wrt=leaf)
        assert repr(pullback({root: 1.0})[leaf]) == repr(explanation.sum)
        assert min(explanation.count, 10) == len(explanation.paths) > 0
        for path in explanation.paths:
            steps = zip(itertools.pairwise(path["nodes"]), path["locals"], strict=True)
            assert {(*ends, repr(local)) for ends, local in steps} <= edges
            assert (names[leaf], names[root]) == (path["nodes"][0], path["nodes"][-1])
            assert repr(math.prod(path["locals"], start=1.0)) == repr(path["product"])
        assert 1 + len(explanation.paths) + 1 == len(str(explanation).splitlines())
        assert 2 + len(explanation.paths) + 1 == len(explanation.latex().splitlines())


def test_infinite_and_undefined_local_derivatives():
    x = Value(0.0, "x")
    y = x.sqrt() * 0 + x * 7 + x.sqrt()
    assert str(explain(y, wrt=x)).splitlines() == [
        "3 paths from x to s5",
        "x → s0 → s1 → s3 → s5: inf × 0 × 1 × 1 = nan",
        "x → s4 → s5: inf × 1 = inf",
        "x → s2 → s3 → s5: 7 × 1 × 1 = 7",
        "∂s5/∂x = nan, the sum over all paths",
    ]
    assert r"\infty \cdot 1 = \infty" in explain(y, wrt=x).latex()


def test_a_ladder_of_1000_doublings_has_2_to_the_1000_paths():
    y = x = Value(1.0, "x")
    for _ in range(1000):
        y = y + y
    explanation = explain(y, wrt=x)
    assert 2**1000 == explanation.count
    assert 2.0**1000 == explanation.sum
    assert [1.0] * 10 == [path["product"] for path in explanation.paths]
    assert f"{2**1000} paths from x to s999, the 10 largest" == str(explanation).splitlines()[0]


def test_a_count_too_long_to_print():
    y = x = Value(0.0, "x")
    for _ in range(20_000):
        y = y + y
    explanation = explain(y, wrt=x, paths=1)
    assert 2**20_000 == explanation.count
    assert "about 10^6021 paths from x to s19999, the 1 largest" == str(explanation).splitlines()[0]


def test_a_chain_of_100_000_nodes():
    y = x = Value(1.0, "x")
    for _ in range(100_000):
        y = y * -1
    explanation = explain(y, wrt=x)
    assert 1 == explanation.count
    assert 100_001 == len(explanation.paths[0]["nodes"])
    assert str(explanation).splitlines()[1].endswith(" × -1 = 1")
    assert 1 + 100_001 + 100_000 + 2 == len(str(explain(y)).splitlines())


# The 3-2-2 network of the lecture: its slide gives each hidden weight one path of two.


def network() -> dict[str, Value]:
    given = {"x1": 1, "x2": 4, "x3": 5, "y_t1": 0.1, "y_t2": 0.05, "b1": 0.5, "b2": 0.5, "b3": 0.5,
             "b4": 0.5, "w1": 0.1, "w2": 0.2, "w3": 0.3, "w4": 0.4, "w5": 0.5, "w6": 0.6, "w7": 0.7,
             "w8": 0.8, "w9": 0.9, "w10": 0.1}  # fmt: skip
    v = {name: Value(x, name) for name, x in given.items()}
    z_a = named("z_a", v["x1"] * v["w1"] + v["x2"] * v["w3"] + v["x3"] * v["w5"] + v["b1"])
    z_b = named("z_b", v["x1"] * v["w2"] + v["x2"] * v["w4"] + v["x3"] * v["w6"] + v["b2"])
    h_a, h_b = named("h_a", sigmoid(z_a)), named("h_b", sigmoid(z_b))
    z_c = named("z_c", h_a * v["w7"] + h_b * v["w9"] + v["b3"])
    z_d = named("z_d", h_a * v["w8"] + h_b * v["w10"] + v["b4"])
    y1, y2 = named("y1", sigmoid(z_c)), named("y2", sigmoid(z_d))
    v["E"] = named("E", ((v["y_t1"] - y1) ** 2 + (v["y_t2"] - y2) ** 2) / 2)
    return v


@pytest.mark.parametrize(
    ("weight", "exact", "printed"),
    [
        ("w1", 0.001983911872401507, "0.0012"),
        ("w2", 0.00040428932133006716, "0.00005"),
        ("w3", 0.007935647489606028, "0.0050"),
        ("w4", 0.0016171572853202686, "0.0002"),
        ("w5", 0.009919559362007535, "0.0063"),
        ("w6", 0.002021446606650336, "0.00029"),
    ],
)
def test_a_hidden_weight_has_two_paths_and_the_slide_shows_one(
    weight: str, exact: float, printed: str
):
    v = network()
    explanation = explain(v["E"], wrt=v[weight])
    products = {path["nodes"][-5]: path["product"] for path in explanation.paths}
    assert 2 == explanation.count
    assert {"y1", "y2"} == products.keys()
    assert exact == pytest.approx(explanation.sum, rel=1e-14)
    assert exact == pytest.approx(products["y1"] + products["y2"], rel=1e-14)
    assert printed == truncated(products["y2"], len(printed) - 2)
    assert printed != truncated(explanation.sum, len(printed) - 2)


def truncated(x: float, decimals: int) -> str:
    return str(Decimal(x).quantize(Decimal(1).scaleb(-decimals), ROUND_DOWN))


def test_the_paths_of_a_hidden_weight_read_as_in_the_lecture():
    v = network()
    assert str(explain(v["E"], wrt=v["w3"])).splitlines() == [
        "2 paths from w3 to E",
        "w3 → z_a → h_a → z_d → y2 → E: 4 × 0.0132077 × 0.8 × 0.15976 × 0.7504 = 0.00506685",
        "w3 → z_a → h_a → z_c → y1 → E: 4 × 0.0132077 × 0.7 × 0.0982503 × 0.789551 = 0.00286879",
        "∂E/∂w3 = 0.00793565, the sum over all paths",
    ]


# Bad input.


x = Value(1.0, "x")


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((3.5,), {}, TypeError, "y must be a Value, received the float 3.5"),
        (("x",), {}, TypeError, "y must be a Value, received the str 'x'"),
        ((None,), {}, TypeError, "y must be a Value, received the NoneType None"),
        ((x, 2), {}, TypeError, "wrt must be a Value, received the int 2"),
        ((x,), {"digits": 0}, ValueError, "digits must be an integer from 1 to 17, received 0"),
        ((x,), {"digits": 18}, ValueError, "digits must be an integer from 1 to 17, received 18"),
        ((x,), {"digits": 2.5}, ValueError, "digits must be an integer from 1 to 17, received 2.5"),
        (
            (x,),
            {"digits": True},
            ValueError,
            "digits must be an integer from 1 to 17, received True",
        ),
        (
            (x,),
            {"digits": 10**9},
            ValueError,
            f"digits must be an integer from 1 to 17, received {10**9}",
        ),
        ((x,), {"paths": True}, ValueError, "paths must be a positive integer, received True"),
        ((x,), {"paths": -1}, ValueError, "paths must be a positive integer, received -1"),
    ],
)
def test_bad_input_is_named(arguments: Any, options: Any, error: type[Exception], message: str):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        explain(*arguments, **options)
