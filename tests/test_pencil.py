"""`by_hand`: the lectures' printed digits, its arithmetic against exact numbers, its texts."""

import json
import math
import re
from collections.abc import Callable, Iterator
from decimal import ROUND_DOWN, Decimal
from fractions import Fraction
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lectures import EXAMPLES, Circuit, digits, net221, net322, quantities
from strategies import Recipe, build, graphs, smooth_graphs

from autograd import StaleGraphError, Value, by_hand, exp, explain, sigmoid, values
from autograd.backward import pullback
from autograd.ops import TABLE
from autograd.solution import Line, Quantity, WorkedSolution

calm = settings(deadline=None)


def named(label: str, value: Value) -> Value:
    value.label = label
    return value


def written(solution: WorkedSolution) -> dict[str, str]:
    """The digits of every line by its name."""
    return {name: line["written"] for name, line in by_name(solution).items()}


def by_name(solution: WorkedSolution) -> dict[str, Line]:
    """The lines by name; of a derivative that is also a gradient, the first one."""
    return {line["name"]: line for line in reversed(solution.lines)}


def digits_of(value: Value, **options: Any) -> str:
    """What is written for the value of a result."""
    solution = by_hand(value, **options)
    return written(solution)[solution.result]


# The lectures' two networks.

OVERRIDDEN = ("dE/dy", "dy/dz_c")
"""The 2-2-1 slide takes 1 - y from a sigmoid that it does not write, for these two."""


def printed(*ids: str) -> dict[str, dict[str, Any]]:
    """The quantities of which the slides print the right digits, by name."""
    return {
        name: quantity
        for id in ids
        for name, quantity in quantities(id).items()
        if quantity["printed"] is not None and quantity["agrees"] != "slide-error"
    }


def as_quantity(name: str) -> Quantity:
    """The quantity that the data calls `dz_c/dw5 (=h_a)`, `z_a'` or `w1_new`."""
    derivative = re.match(r"d(\w+)/d(\w+)", name)
    return (derivative[1], derivative[2]) if derivative else name.removesuffix("'")


def line_name(quantity: Quantity) -> str:
    return quantity if isinstance(quantity, str) else "∂{}/∂{}".format(*quantity)


def places(*ids: str) -> dict[Quantity | None, int]:
    """How many decimals the slides print of each quantity."""
    return {
        as_quantity(name): len(digits(quantity["printed"]).partition(".")[2])
        for name, quantity in printed(*ids).items()
    }


def solved(c: Circuit, *ids: str, overridden: tuple[str, ...] = ()) -> dict[str, str]:
    known = printed(*ids)
    given = {as_quantity(name): float(known[name]["printed"]) for name in overridden}
    return written(by_hand(c.E, places(*ids), written=given))


def updated(id: str, gradients: dict[str, str]) -> dict[str, str]:
    """The parameters after the step, each computed from its written gradient."""
    example, found = EXAMPLES[id], dict[str, str]()
    for name in printed(id):
        parameter = name.removesuffix("_new")
        p, eta, slope = values(
            p=example["inputs"][parameter],
            eta=example["learning_rate"],
            slope=float(gradients[f"∂E/∂{parameter}"]),
        )
        found[name] = digits_of(named(name, p - eta * slope), decimals=places(id)[name])
    return found


@cache
def networks() -> dict[str, dict[str, str]]:
    """Every example of the two networks worked out by hand, one after the other."""
    ids = {n: (f"net{n}_forward", f"net{n}_backward", f"net{n}_update") for n in (221, 322)}
    c221 = net221(EXAMPLES["net221_forward"]["inputs"])
    c322 = net322(EXAMPLES["net322_forward"]["inputs"])
    first = solved(c221, *ids[221][:2], overridden=OVERRIDDEN)
    second = solved(c322, *ids[322][:2])
    found = dict.fromkeys(ids[221], first) | dict.fromkeys(ids[322], second)
    found["net221_update"] = updated("net221_update", first)
    found["net322_update"] = updated("net322_update", second)
    stepped = {name.removesuffix("_new"): float(x) for name, x in found["net322_update"].items()}
    again = net322(EXAMPLES["net322_forward"]["inputs"] | stepped)
    return found | {"net322_second_forward": solved(again, "net322_second_forward")}


NETWORKS = [id for id in EXAMPLES if re.match("net(221|322)_", id) and printed(id)]
DISCUSSED = "net322_discussion_dE_dw3"  # prints no sum that is right, but one path


@pytest.mark.parametrize(
    ("id", "name"), [(id, name) for id in NETWORKS if id != DISCUSSED for name in printed(id)]
)
def test_every_printed_digit_of_the_two_networks_is_reproduced(id: str, name: str):
    quantity = line_name(as_quantity(name))
    assert quantities(id)[name]["printed"] == networks()[id][quantity]


def test_the_rule_alone_does_not_give_the_overridden_factors():
    ids = ("net221_forward", "net221_backward")
    ruled = solved(net221(EXAMPLES["net221_forward"]["inputs"]), *ids)
    differing = {
        name
        for name, quantity in printed(*ids).items()
        if quantity["printed"] != ruled[line_name(as_quantity(name))]
    }
    assert {*OVERRIDDEN} <= differing


def one_path_errors() -> Iterator[tuple[str, str]]:
    """Each (parameter, printed digits) where the slide prints one of two paths."""
    for id in ("net322_backward", DISCUSSED):
        for name, quantity in quantities(id).items():
            parameter = re.search(r"dE.d(\w\d+)", name if "dE" in name else id)
            if quantity["agrees"] == "slide-error" or name == "path through y2":
                assert parameter
                yield parameter[1], quantity["printed"]


@pytest.mark.parametrize(("parameter", "one_path"), [*one_path_errors()])
def test_the_slides_errors_are_one_of_two_paths(parameter: str, one_path: str):
    c = net322(EXAMPLES["net322_forward"]["inputs"])
    lines, explanation = networks()["net322_backward"], explain(c.E, wrt=c[parameter])
    assert 2 == explanation.count
    exact, by_factors = dict[str, Decimal](), dict[str, Decimal]()
    for path in explanation.paths:
        stops = [name for name in path["nodes"] if name in explanation.labelled]
        output = next(name for name in stops if name in ("y1", "y2"))
        exact[output] = Decimal(path["product"])
        by_factors[output] = math.prod(
            (Decimal(lines[f"∂{y}/∂{x}"]) for x, y in pairwise(stops)),
            start=Decimal(1),
        )
    unit = Decimal(one_path)
    assert Decimal(one_path) == exact["y2"].quantize(unit, ROUND_DOWN)
    assert Decimal(one_path) == by_factors["y2"].quantize(unit, ROUND_DOWN)
    gradient = sum(by_factors.values()).quantize(Decimal("0.0001"), ROUND_DOWN)
    assert gradient == Decimal(lines[f"∂E/∂{parameter}"]) != Decimal(one_path)


# Rounding.


@pytest.mark.parametrize(
    ("number", "decimals", "truncate", "half_up", "half_even"),
    [
        (2.345, 2, "2.34", "2.35", "2.34"),
        (2.355, 2, "2.35", "2.36", "2.36"),
        (-2.345, 2, "-2.34", "-2.35", "-2.34"),
        (-2.355, 2, "-2.35", "-2.36", "-2.36"),
        (2.3451, 2, "2.34", "2.35", "2.35"),
        (-0.999, 1, "-0.9", "-1.0", "-1.0"),
        (0.5, 0, "0", "1", "0"),
        (1.5, 0, "1", "2", "2"),
        (-2.5, 0, "-2", "-3", "-2"),
        (-0.00001, 4, "0.0000", "0.0000", "0.0000"),
        (5e-324, 4, "0.0000", "0.0000", "0.0000"),
        (0.1, 4, "0.1", "0.1", "0.1"),
        (100.0, 4, "100", "100", "100"),
        (-0.0, 4, "0", "0", "0"),
        (1e22, 4, "1" + 22 * "0", "1" + 22 * "0", "1" + 22 * "0"),
        (1e39, 4, "1" + 39 * "0", "1" + 39 * "0", "1" + 39 * "0"),
        (-1.25e40, 4, "-1.25e+40", "-1.25e+40", "-1.25e+40"),
        (1.7976931348623157e308, 100, *["1.7976931348623157e+308"] * 3),
        (1e-7, 7, "0.0000001", "0.0000001", "0.0000001"),
        (math.inf, 4, "inf", "inf", "inf"),
        (-math.inf, 4, "-inf", "-inf", "-inf"),
        (math.nan, 4, "nan", "nan", "nan"),
    ],
)
def test_the_three_roundings(
    number: float, decimals: int, truncate: str, half_up: str, half_even: str
):
    x = Value(number, "x")
    assert truncate == digits_of(x, decimals=decimals, rounding="truncate")
    assert half_up == digits_of(x, decimals=decimals, rounding="half-up")
    assert half_even == digits_of(x, decimals=decimals, rounding="half-even")


@calm
@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 100))
def test_no_rounding_is_off_by_more_than_it_may(number: float, decimals: int):
    exact, unit = Fraction(repr(number)), Fraction(1, 10**decimals)
    truncated, up, even = (
        Fraction(digits_of(Value(number, "x"), decimals=decimals, rounding=rule))
        for rule in ("truncate", "half-up", "half-even")
    )
    assert abs(truncated) <= abs(exact) < abs(truncated) + unit
    assert abs(up - exact) <= unit / 2 >= abs(even - exact)
    if abs(up - exact) == unit / 2:
        assert abs(up) > abs(exact)
        assert 0 == even / unit % 2


# Arithmetic.


@pytest.mark.parametrize(
    ("compute", "expected"),
    [
        (lambda x: x * 0 + 0.1 + 0.2, "0.3"),
        (lambda x: x * 0.157 * 2.5, "0.3925"),  # 0.39249999999999996 in floats
        (lambda x: x / 3 * 3, "1"),
        (lambda x: (x * 0.15405625).sqrt(), "0.3925"),
        (lambda x: (x * 0 + 2).log().exp(), "2"),
        (lambda x: x / 0, "inf"),
        (lambda x: (x - 1).log(), "-inf"),
        (lambda x: (x - 2).log(), "nan"),
        (lambda x: (x * 1e200) * 1e200, "inf"),
        (lambda x: (x * -1e200) * 1e200, "-inf"),
        (lambda x: (x * 0.7).floor() + (x * 0.2).ceil() + (x * 2.5).round(), "3"),
        (lambda x: (x * 12345678901234.5).floor(), "12345678901234"),
    ],
)
def test_arithmetic_is_that_of_decimal_numbers(compute: Callable[[Value], Value], expected: str):
    assert expected == digits_of(compute(Value(1.0)), decimals=10)


class Dual(NamedTuple):
    """An exact number and its exact derivative."""

    x: Fraction
    dx: Fraction


POLYNOMIAL: dict[str, Callable[..., Dual]] = {
    "add": lambda a, b: Dual(a.x + b.x, a.dx + b.dx),
    "sub": lambda a, b: Dual(a.x - b.x, a.dx - b.dx),
    "mul": lambda a, b: Dual(a.x * b.x, a.x * b.dx + a.dx * b.x),
    "square": lambda a: Dual(a.x * a.x, 2 * a.x * a.dx),
    "neg": lambda a: Dual(-a.x, -a.dx),
}


@st.composite
def polynomials(draw: st.DrawFn) -> tuple[Recipe, list[bool]]:
    """A polynomial in numbers of two digits, and which of its nodes have labels."""
    tenths = st.integers(-99, 99).map(lambda x: x / 10)
    leaves = draw(st.lists(tenths, min_size=1, max_size=3))
    steps: list[tuple[str, tuple[int | float, ...]]] = []
    for count in range(len(leaves), len(leaves) + draw(st.integers(1, 4))):
        name, node = draw(st.sampled_from([*POLYNOMIAL])), st.integers(0, count - 1)
        pair = (draw(node), draw(node | tenths))
        steps.append((name, pair[: TABLE[name].arity]))
    size = len(steps)
    labelled = draw(st.lists(st.booleans(), min_size=size, max_size=size))
    return Recipe(tuple(leaves), tuple(steps)), labelled


@calm
@given(polynomials())
def test_what_needs_no_rounding_is_exact_wherever_the_labels_are(drawn: tuple[Recipe, list[bool]]):
    recipe, labelled = drawn
    leaves = [Value(x, f"x{i}") for i, x in enumerate(recipe.leaves)]
    nodes = build(recipe, leaves)
    for i, node in enumerate(nodes[len(leaves) :]):
        node.label = f"n{i}" if labelled[i] else None
    solution, used = by_hand(nodes[-1], decimals=100), pullback({nodes[-1]: 1.0})
    found, y = written(solution), solution.result
    for leaf in [leaf for leaf in leaves if leaf in used]:
        duals = [Dual(Fraction(repr(x.data)), Fraction(x is leaf)) for x in leaves]
        exact = build(recipe, duals, POLYNOMIAL, lambda x: Dual(Fraction(repr(x)), Fraction(0)))[-1]
        assert exact.x == Fraction(found[y])
        x = leaf.label
        assert exact.dx == Fraction(found.get(f"d{y}/d{x}") or found[f"∂{y}/∂{x}"])


@calm
@given(smooth_graphs())
def test_with_many_decimals_values_are_the_engines(recipe: Recipe):
    nodes = build(recipe, [Value(x) for x in recipe.leaves])
    for i, node in enumerate(nodes):
        node.label = f"n{i}"
    for line in by_hand(nodes[-1], decimals=15).lines:
        if line["kind"] in ("given", "value"):
            assert line["exact"] == pytest.approx(float(line["written"]), rel=1e-8, abs=1e-8)


@calm
@given(graphs(max_steps=20))
def test_any_graph_is_worked_out_and_no_grad_is_written(recipe: Recipe):
    nodes = build(recipe, [Value(x) for x in recipe.leaves])
    for i, node in enumerate(nodes[::2]):
        node.label = f"n{i}"
    solution = by_hand(nodes[-1])
    exact = pullback({nodes[-1]: 1.0})
    assert repr(nodes[-1].data) in {repr(line["exact"]) for line in solution.lines}
    gradients = [line for line in solution.lines if line["kind"] == "gradient"]
    assert {repr(line["exact"]) for line in gradients} <= {repr(x) for x in exact.values()}
    assert solution.text
    assert solution.latex()
    assert solution._repr_markdown_()
    assert [0.0] * len(nodes) == [node.grad for node in nodes]


# What is written.


def neuron() -> Value:
    w, x, b = values(w=2, x=-1, b=1.5)
    return named("L", sigmoid(named("s", w * x + b)))


def test_the_text_reads_like_a_worked_solution():
    assert str(by_hand(neuron())).splitlines() == [
        "Given    exact  error",
        "w = 2    2",
        "x = -1   -1",
        "b = 1.5  1.5",
        "",
        "Values                                   exact           error",
        "s = w * x + b = 2 * (-1) + 1.5 = -0.5    -0.5",
        "L = sigmoid(s) = sigmoid(-0.5) ≈ 0.3775  0.377540668798",
        "",
        "Local derivatives                                     exact           error",
        "∂L/∂s = L * (1 - L) = 0.3775 * (1 - 0.3775) ≈ 0.2349  0.235003712202  -0.000104",
        "∂s/∂w = x = -1                                        -1",
        "∂s/∂x = w = 2                                         2",
        "∂s/∂b = 1                                             1",
        "",
        "Gradients                                        exact            error",
        "∂L/∂s = 0.2349                                   0.235003712202   -0.000104",
        "∂L/∂w = ∂L/∂s * ∂s/∂w = 0.2349 * (-1) = -0.2349  -0.235003712202  0.000104",
        "∂L/∂x = ∂L/∂s * ∂s/∂x = 0.2349 * 2 = 0.4698      0.470007424403   -0.000207",
        "∂L/∂b = ∂L/∂s * ∂s/∂b = 0.2349 * 1 = 0.2349      0.235003712202   -0.000104",
    ]


def test_a_wide_equation_stands_on_several_lines():
    a, b, c = values(alpha=1 / 3, beta=2 / 3, gamma=1.0)
    y = named("y", (a + b) * (b + c) * (c + a))
    assert str(by_hand(y)).splitlines()[5:9] == [
        "Values      exact          error",
        "y = (alpha + beta) * (beta + gamma) * (gamma + alpha)",
        "  = (0.3333 + 0.6666) * (0.6666 + 1) * (1 + 0.3333)",
        "  ≈ 2.2218  2.22222222222  -0.000422",
    ]


def test_the_latex_is_aligned_and_names_the_errors():
    lines = by_hand(neuron(), decimals=2, rounding="half-up").latex().splitlines()
    assert [*lines[:7], *lines[-3:]] == [
        r"\begin{align*}",
        r"  w &= 2 && \text{exact } 2 \\",
        r"  x &= -1 && \text{exact } -1 \\",
        r"  b &= 1.5 && \text{exact } 1.5 \\",
        r"  s &= w \cdot x + b = 2 \cdot (-1) + 1.5 = -0.5 && \text{exact } -0.5 \\",
        r"  L &= \sigma(s) = \sigma(-0.5) \approx 0.38 && \text{exact } 0.377540668798 \\",
        r"  \frac{\partial L}{\partial s} &= L \cdot (1 - L) = 0.38 \cdot (1 - 0.38) \approx 0.24"
        r" && \text{exact } 0.235003712202 \\",
        r"  \frac{\partial L}{\partial x} &= \frac{\partial L}{\partial s} \cdot"
        r" \frac{\partial s}{\partial x} = 0.24 \cdot 2 = 0.48"
        r" && \text{exact } 0.470007424403,\ \text{error } 0.00999 \\",
        r"  \frac{\partial L}{\partial b} &= \frac{\partial L}{\partial s} \cdot"
        r" \frac{\partial s}{\partial b} = 0.24 \cdot 1 = 0.24 && \text{exact } 0.235003712202",
        r"\end{align*}",
    ]


def test_the_markdown_is_a_list_of_formulas():
    shown = by_hand(neuron(), decimals=1, written={"s": -0.75})._repr_markdown_().split("\n\n")
    assert ["**Given**", "- $w = 2$ (exact 2)\n- $x = -1$ (exact -1)\n- $b = 1.5$ (exact 1.5)"] == (
        shown[:2]
    )
    assert shown[2:4] == [
        "**Values**",
        r"- $s = w \cdot x + b \approx -0.75$ (exact -0.5, **error -0.25**)"
        "\n"
        r"- $L = \sigma(s) = \sigma(-0.75) \approx 0.3$ (exact 0.377540668798, **error -0.0775**)",
    ]
    assert ["**Local derivatives**", "**Gradients**"] == shown[4::2]


def test_what_has_no_label_is_not_rounded():
    x = Value(1.0, "x")
    third = x / 3
    assert "1" == digits_of(third * 3, decimals=2)
    third.label = "third"
    assert "0.99" == digits_of(third * 3, decimals=2)
    assert "0.123456" == digits_of(Value(0.123456) * x, decimals=9)
    leaf, one, *_ = by_hand(Value(0.123456) * x).lines
    assert ("v0", "0.123456", "0.123456", None) == (
        *(leaf["name"], leaf["written"]),
        *(leaf["correct"], leaf["error"]),
    )
    assert "1" == one["written"] == by_hand(Value(1.0)).lines[0]["written"]


def test_a_number_with_an_exponent_stands_in_parentheses_in_a_latex_formula():
    y = named("y", named("q", Value(1e100, "x")) ** 3)
    assert r"y &= q^{3} = (1 \cdot 10^{100})^{3} = 1 \cdot 10^{300} " in by_hand(y).latex()
    assert "pow(1e+100, 3)" == by_name(by_hand(y))["y"]["numbers"]


def test_later_values_are_computed_from_what_is_written():
    a = named("a", Value(2.0, "x").sqrt())
    b = named("b", a * a)
    assert {"x": "2", "a": "1.4", "b": "1.9"} == {
        name: x for name, x in written(by_hand(b, decimals=1)).items() if len(name) == 1
    }
    lines = by_name(by_hand(b, decimals=1))
    assert ("a * a", "1.4 * 1.4") == (lines["b"]["formula"], lines["b"]["numbers"])
    assert ("a + a", "1.4 + 1.4") == (lines["∂b/∂a"]["formula"], lines["∂b/∂a"]["numbers"])
    assert ("0.5 / a", "0.5 / 1.4") == (lines["∂a/∂x"]["formula"], lines["∂a/∂x"]["numbers"])
    assert "∂b/∂a * ∂a/∂x" == lines["∂b/∂x"]["formula"]
    assert ("2.8 * 0.3", "0.8") == (lines["∂b/∂x"]["numbers"], lines["∂b/∂x"]["written"])


def test_a_gradient_is_rounded_once_after_the_sum_over_its_paths():
    x = Value(0.05, "x")
    y = named("y", named("p", 1.3 * x) + named("q", 1.4 * x))
    lines = by_name(by_hand(y, decimals=1))
    assert "∂y/∂p * ∂p/∂x + ∂y/∂q * ∂q/∂x" == lines["∂y/∂x"]["formula"]
    assert ("1 * 1.3 + 1 * 1.4", "2.7") == (lines["∂y/∂x"]["numbers"], lines["∂y/∂x"]["written"])


def test_a_gradient_with_a_path_beside_the_direct_one_is_a_total_derivative():
    x = Value(3.0, "x")
    y = named("y", named("q", x * x) + x)
    lines = by_name(by_hand(y))
    assert ("1", "7") == (lines["∂y/∂x"]["written"], lines["dy/dx"]["written"])
    assert "∂y/∂q * ∂q/∂x + ∂y/∂x" == lines["dy/dx"]["formula"]
    assert "1 * 6 + 1" == lines["dy/dx"]["numbers"]
    assert r"\frac{\mathrm{d} y}{\mathrm{d} x} &= " in by_hand(y).latex()


def test_a_line_is_plain_data_with_its_error():
    y = named("y", Value(2.0, "x").sqrt())
    line = {"kind": "value", "name": "y", "formula": "sqrt(x)", "numbers": "sqrt(2)"}
    exact = {"exact": math.sqrt(2.0), "correct": "1.4142136"}
    found = by_hand(y, decimals=7).lines
    assert (
        line | exact | {"written": "1.4142135", "error": pytest.approx(-6.237e-8, rel=1e-3)}
        == (found[1])
    )
    assert [*found] == json.loads(json.dumps(found))
    rounded = by_hand(y, decimals=7, rounding="half-up").lines[1]
    assert line | exact | {"written": "1.4142136", "error": None} == rounded


def test_a_tie_is_no_error_whatever_the_rule():
    for rounding, expected in [("half-up", "0.5"), ("half-even", "0.4")]:
        (line,) = by_hand(Value(0.45, "x"), decimals=1, rounding=rounding).lines
        assert (expected, expected, None) == (line["written"], line["correct"], line["error"])
    (line,) = by_hand(Value(0.45, "x"), decimals=1).lines
    assert ("0.4", "0.5", pytest.approx(-0.05)) == (line["written"], line["correct"], line["error"])


def test_zeros_are_appended_only_where_digits_are_cut_off_and_copied_with_the_rest():
    h = named("h", Value(0.99503, "x") + 0.0)
    y = named("y", h * Value(3.0, "w"))
    found = written(by_hand(y, decimals={"x": 5}))
    assert {"x": "0.99503", "w": "3", "h": "0.9950", "y": "2.985"}.items() <= found.items()
    assert "0.9950" == found["∂y/∂w"]
    assert "0.995" == written(by_hand(y, decimals={"x": 5, ("y", "w"): 3}))["∂y/∂w"]


def test_decimals_may_differ_by_quantity():
    y = named("y", named("a", Value(1 / 3, "x") * 1.5) * 0.777)
    found = written(by_hand(y, {None: 2, "a": 3, ("y", "a"): 1, ("y", "x"): 6}))
    expected = {"x": "0.33", "a": "0.495", "y": "0.38"}
    assert expected | {"∂y/∂a": "0.7", "∂a/∂x": "1.5", "∂y/∂x": "1.05"} == found
    assert "0.3333" == written(by_hand(y, {"a": 3}))["x"]


def test_what_is_to_be_written_replaces_what_was_computed():
    x, w = values(x=2, w=3)
    y = named("y", named("a", x * w).square())
    lines = by_name(by_hand(y, written={"x": 2.5, "a": 7.25, ("a", "w"): -0.001}))
    assert {"x": "2.5", "w": "3", "a": "7.25", "y": "52.5625", "∂y/∂a": "14.5"} | {
        "∂a/∂x": "3",
        "∂a/∂w": "-0.001",
        "∂y/∂x": "43.5",
        "∂y/∂w": "-0.0145",
    } == {name: line["written"] for name, line in lines.items()}
    assert ("x * w", None) == (lines["a"]["formula"], lines["a"]["numbers"])
    assert "14.5 * (-0.001)" == lines["∂y/∂w"]["numbers"]


def test_nodes_of_one_label_are_told_apart_by_their_names():
    y = named("w", Value(1.25, "w") * Value(1.25, "w"))
    assert ["1.2", "1.25", "1.5"] == [
        line["written"] for line in by_hand(y, decimals={None: 1, "w_2": 2}).lines[:3]
    ]


def test_what_needs_no_gradient_has_no_derivative():
    c, x = Value(2.0, "c", requires_grad=False), Value(3.0, "x")
    names = [line["name"] for line in by_hand(named("y", c.exp() * x)).lines]
    assert ["c", "x", "y", "∂y/∂x", "∂y/∂x"] == names
    assert ["c", "s0"] == [line["name"] for line in by_hand(c * 2.0).lines]
    assert ["x"] == [line["name"] for line in by_hand(x).lines]


LABELS = ["exp", "a|b", "<x>", "∂y/∂x", "{0}", "{", "a b", "-x", "$", "z", "…", "L" * 100]


@pytest.mark.parametrize("label", LABELS)
def test_any_label_may_stand_in_a_formula(label: str):
    y = named("y", exp(Value(0.5, label)) - Value(-2.0, "w"))
    x, _, value, local, *_ = by_hand(y).lines
    assert [label, f"∂y/∂{label}"] == [x["name"], local["name"]]
    assert (f"exp({label}) - w", "exp(0.5) - (-2)") == (value["formula"], value["numbers"])
    assert (f"exp({label})", "exp(0.5)") == (local["formula"], local["numbers"])
    assert by_hand(y).latex()


# Errors and size.


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"decimals": -1}, ValueError, "decimals must be an integer from 0 to 100, received -1"),
        ({"decimals": 101}, ValueError, "decimals must be an integer from 0 to 100, received 101"),
        ({"decimals": 2.0}, ValueError, "decimals must be an integer from 0 to 100, received 2.0"),
        ({"decimals": {"L": "2"}}, ValueError, "decimals['L'] must be an integer from 0 to 100"),
        ({"decimals": {"M": 2}}, ValueError, "decimals has 'M', of which nothing is written"),
        ({"decimals": {("w", "L"): 2}}, ValueError, "decimals has ('w', 'L'), of which nothing"),
        ({"rounding": "up"}, ValueError, "rounding must be one of ['truncate', 'half-up', 'half-e"),
        ({"rounding": ["up"]}, ValueError, "rounding must be one of ['truncate', 'half-up', 'half"),
        ({"written": {"M": 2}}, ValueError, "written has 'M', of which nothing is written"),
        ({"written": {("L", "w"): 2}}, ValueError, "written has ('L', 'w'), of which nothing"),
        ({"written": {"L": "2"}}, TypeError, "written['L'] must be a real number (int, float or"),
        ({"written": 2}, TypeError, "written must be a mapping from quantities to numbers, receiv"),
    ],
)
def test_errors_name_the_argument(options: dict[str, Any], error: type[Exception], text: str):
    with pytest.raises(error, match=f"^{re.escape(text)}"):
        by_hand(neuron(), **options)


def test_the_root_must_be_a_value():
    with pytest.raises(TypeError, match=r"^root must be a Value, received the float 2\.0$"):
        by_hand(2.0)  # pyright: ignore[reportArgumentType]


def test_a_stale_graph_is_refused():
    x = Value(2.0, "x")
    y = x * x
    x.data = 3.0
    message = "leaf 'x' = 3.0 was written after mul = 4.0 was computed from it: "
    with pytest.raises(StaleGraphError, match=f"^{re.escape(message)}compute the result again$"):
        by_hand(y)


@pytest.mark.parametrize("x", [0.0, 2.0])
@pytest.mark.parametrize("y", [0.0, 1.0, 3.0])
def test_a_local_derivative_is_that_of_its_case(x: float, y: float):
    base, exponent = Value(x, "x"), Value(y, "y")
    z = named("z", base**exponent)
    lines = by_name(by_hand(z, decimals=9, rounding="half-up"))
    for leaf in (base, exponent):
        line = lines[f"∂z/∂{leaf.label}"]
        assert "where" not in line["formula"]
        assert z.gradient(leaf) == pytest.approx(float(line["written"]), rel=0, abs=1e-9)


@pytest.mark.parametrize("every", [1, 100_000])
def test_a_graph_of_100_000_nodes_is_worked_out(every: int):
    x = Value(0.25, "x")
    y = x
    for i in range(100_000 // (4 if every == 1 else 1)):
        y = y + 0.5 if i % 2 else -y
        if i % every == 0:
            y.label = f"n{i}"
    found = by_hand(named("y", y))
    (given, *_), last = found._entries, found._entries[-1]
    assert ("x", ("y", "x")) == (given.quantity, last.quantity)
    assert pullback({y: 1.0})[x] == last.exact == float(last.written)
    assert [repr(y.data)] == [
        f"{entry.written:f}" for entry in found._entries if entry.quantity == "y"
    ]


@pytest.mark.parametrize("labelled", [True, False])
def test_paths_beyond_number_are_summed_without_being_listed(labelled: bool):
    x = Value(1.0, "x")
    y = x
    for i in range(100):
        y = y + y.pos()
        y.label = f"n{i}" if labelled else None
    line = by_hand(y).lines[-1]
    assert (str(2**100), None) == (line["written"], line["formula"])


def test_a_formula_too_long_to_be_read_is_left_out():
    x = Value(0.5, "x")
    y = x
    for _ in range(30):
        y = y * 0.5 + 1.0
    value, local = by_hand(named("y", y)).lines[1:3]
    assert (None, None, None, None) == (
        *(value["formula"], value["numbers"]),
        *(local["formula"], local["numbers"]),
    )
    assert f"{y.data:.4f}" == by_hand(y, rounding="half-even").lines[1]["written"]
