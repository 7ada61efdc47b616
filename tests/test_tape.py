"""The tape: its shape, the flat code (executed, bit for bit the engine's), its LaTeX."""

import itertools
import keyword
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import EDGES, Recipe, build, graphs

import autograd
from autograd import Value, functional, graph, no_grad, values
from autograd.backward import pullback
from autograd.ops import TABLE, Op
from autograd.tape import Input, Instruction, Tape, latex_name, latex_number

calm = settings(deadline=None)


def run(tape: Tape) -> dict[str, Any]:
    """The variables of the flat code after it was executed."""
    variables: dict[str, Any] = {}
    exec(tape.python(), variables)
    return variables


def bits(numbers: dict[str, float]) -> dict[str, str]:
    """Numbers that compare equal where they are the same, -0.0 and nan included."""
    return {name: repr(x) for name, x in numbers.items()}


def neuron() -> Value:
    w0, x0, w1, x1, w2 = values(w0=2, x0=-1, w1=-3, x1=-2, w2=-3)
    result = functional.sigmoid(w0 * x0 + w1 * x1 + w2)
    result.label = "L"
    return result


# The shape.


def test_a_tape_lists_inputs_instructions_and_outputs():
    x, c = Value(2.0, "x"), Value(3.0, "c", requires_grad=False)
    y = x * c - 1.0
    mul, sub = TABLE["mul"], TABLE["sub"]
    assert Tape.record(y, x) == Tape(
        inputs=(Input("x", 2.0, True), Input("c", 3.0, False)),
        instructions=(Instruction("s0", mul, (0, 1), True), Instruction("s1", sub, (2, 1.0), True)),
        outputs=(3, 0),
    )


def test_the_sweep_goes_in_reverse_and_left_to_right():
    x, c = Value(2.0, "x"), Value(3.0, "c", requires_grad=False)
    assert [(3, 0, 2), (3, 1, 0), (2, 0, 0)] == [*Tape.record(x * c + x).sweep()]


# Expressions.


@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (lambda x: x * 2, "x * 2.0"),
        (lambda x: x / -2, "x / -2.0"),
        (lambda x: x**3, "x ** 3.0"),
        (lambda x: x**-1, "x ** -1.0"),
        (lambda x: x**x, "x ** x"),
        (lambda x: (-2) ** x, "(-2.0) ** x"),
        (lambda x: x.sigmoid(), "sigmoid(x)"),
    ],
)
def test_an_expression_is_what_one_writes(f: Any, expected: str):
    assert [expected] == Tape.record(f(Value(2.0, "x"))).expressions()


@pytest.mark.parametrize("base", EDGES)
def test_a_power_is_python_s_where_that_is_a_float(base: float):
    for exponent in EDGES:
        for power in (Value(base, "x") ** exponent, base ** Value(exponent, "x")):
            tape = Tape.record(power)
            x = {"x": tape.inputs[0].value, "inf": math.inf, "nan": math.nan}
            try:
                found = eval(tape.expressions()[0], x)
            except (OverflowError, ZeroDivisionError):
                found = power.data
                assert not math.isfinite(found)
            if isinstance(found, complex):
                found = math.nan
            assert repr(power.data) == repr(found)


# The flat code.


def test_the_flat_code_of_the_lecture():
    assert Tape.record(neuron()).python() == (
        "from autograd import sigmoid\n"
        "\n"
        "# inputs\n"
        "w0 = 2.0\n"
        "x0 = -1.0\n"
        "w1 = -3.0\n"
        "x1 = -2.0\n"
        "w2 = -3.0\n"
        "\n"
        "# forward\n"
        "s0 = w0 * x0\n"
        "s1 = w1 * x1\n"
        "s2 = s0 + s1\n"
        "s3 = s2 + w2\n"
        "L = sigmoid(s3)\n"
        "\n"
        "# backward\n"
        "grad_L = 1.0\n"
        "grad_s3 = grad_L * (L * (1.0 - L))\n"
        "grad_s2 = grad_s3\n"
        "grad_w2 = grad_s3\n"
        "grad_s0 = grad_s2\n"
        "grad_s1 = grad_s2\n"
        "grad_w1 = grad_s1 * x1\n"
        "grad_x1 = grad_s1 * w1\n"
        "grad_w0 = grad_s0 * x0\n"
        "grad_x0 = grad_s0 * w0\n"
    )


def body(*roots: Value) -> list[str]:
    """The lines of the forward and of the backward part."""
    lines = Tape.record(*roots).python().splitlines()
    return [line for line in lines[lines.index("# forward") :] if line and line[0] != "#"]


a, b = values(a=2, b=3)


@pytest.mark.parametrize(
    ("root", "expected"),
    [
        (a / b, ["s0 = div(a, b)", "grad_s0 = 1.0", "grad_a = grad_s0 * div(1.0, b)",
                 "grad_b = grad_s0 * div(-s0, b)"]),
        (a * a, ["s0 = a * a", "grad_s0 = 1.0", "grad_a = grad_s0 * a", "grad_a += grad_s0 * a"]),
        (a**2, ["s0 = a * a", "grad_s0 = 1.0", "grad_a = grad_s0 * (2.0 * a)"]),
        (a - -3, ["s0 = a - -3.0", "grad_s0 = 1.0", "grad_a = grad_s0"]),
        (1 - a, ["s0 = 1.0 - a", "grad_s0 = 1.0", "grad_a = grad_s0 * -1.0"]),
        (a * 1, ["s0 = a * 1.0", "grad_s0 = 1.0", "grad_a = grad_s0"]),
        (a * math.inf, ["s0 = a * inf", "grad_s0 = 1.0", "grad_a = grad_s0 * inf"]),
        (a**3, ["s0 = pow(a, 3.0)", "grad_s0 = 1.0",
                "grad_a = grad_s0 * (3.0 * pow(a, 3.0 - 1.0))"]),
        (2**a, ["s0 = pow(2.0, a)", "grad_s0 = 1.0", "grad_a = grad_s0 * (s0 * log(2.0))"]),
        (a.cos(), ["s0 = cos(a)", "grad_s0 = 1.0", "grad_a = grad_s0 * -sin(a)"]),
        (a, ["grad_a = 1.0"]),
        (a.detach().exp(), ["s0 = exp(a)", "grad_s0 = 1.0"]),
    ],
)  # fmt: skip
def test_flat_code_is_written_from_the_table(root: Value, expected: list[str]):
    assert expected == body(root)


def test_what_needs_no_gradient_gets_none():
    x, c = Value(2.0, "x"), Value(3.0, "c", requires_grad=False)
    with no_grad():
        k = c * 2
    k.label = "k"
    assert ["s0 = c * x", "s1 = s0 * k", "grad_s1 = 1.0", "grad_s0 = grad_s1 * k",
            "grad_x = grad_s0 * c"] == body(c * x * k)  # fmt: skip


def test_several_roots_start_with_one_each():
    p = a * b
    assert ["s0 = a * b", "s1 = s0 + a", "grad_s1 = 1.0", "grad_s0 = 1.0", "grad_s1 += 1.0",
            "grad_s0 += grad_s1", "grad_a = grad_s1", "grad_a += grad_s0 * b",
            "grad_b = grad_s0 * a"] == body(y := p + a, p, y)  # fmt: skip


def test_every_function_of_the_table_can_be_imported():
    assert set(TABLE) <= set(autograd.__all__)


@pytest.mark.parametrize("op", TABLE.values(), ids=str)
def test_the_flat_code_of_every_row_is_the_engine_bit_for_bit(op: Op):
    points = itertools.product(EDGES, repeat=op.arity)
    apply = getattr(functional, op.name)
    assert_executes([apply(*map(Value, point)) for point in points])


@pytest.mark.parametrize("number", EDGES)
def test_every_number_can_stand_in_flat_code(number: float):
    x = Value(number)
    assert_executes([x * number, number - x, x / number, x**number, number**x])


def assert_executes(roots: list[Value]) -> None:
    """The executed flat code has every value and every gradient of the engine, and no more."""
    tape, nodes = Tape.record(*roots), graph.nodes(*roots)
    names = dict(zip(nodes, tape.identifiers(), strict=True))
    gradients = pullback(dict.fromkeys(roots, 1.0))
    expected = {name: node.data for node, name in names.items()}
    expected |= {f"grad_{names[node]}": gradient for node, gradient in gradients.items()}
    numbers = {name: x for name, x in run(tape).items() if isinstance(x, float)}
    constants = {"inf", "nan"} & numbers.keys()
    assert bits(expected) == bits({name: numbers[name] for name in numbers.keys() - constants})


@calm
@given(graphs(), st.data())
def test_the_flat_code_of_any_graph_is_the_engine_bit_for_bit(recipe: Recipe, data: st.DataObject):
    flags = data.draw(st.lists(st.booleans(), min_size=len(recipe.leaves)))
    leaves = [Value(x, None, flag) for x, flag in zip(recipe.leaves, flags, strict=False)]
    nodes = build(recipe, leaves)
    others = data.draw(st.lists(st.sampled_from(nodes[:-1]), max_size=2, unique_by=id))
    assert_executes([nodes[-1], *others])


@calm
@given(graphs())
def test_the_flat_code_has_the_leaf_gradients_of_backward(recipe: Recipe):
    leaves = [Value(x) for x in recipe.leaves]
    root = build(recipe, leaves)[-1]
    root.backward()
    used = graph.leaves(root)
    names = [f"grad_{name}" for name in Tape.record(root).identifiers()]
    variables = run(Tape.record(root))
    assert [repr(leaf.grad) for leaf in used] == [
        repr(variables[name]) for name in names[: len(used)]
    ]


def test_an_interior_gradient_flows_where_the_flags_are_now():
    x, y = values(x=2.0, y=3.0)
    root = x * y * x
    x.requires_grad = False
    assert_executes([root])


def test_the_numbers_are_those_that_the_leaves_hold_now():
    x = Value(2.0, "x")
    y = x * x
    x.data = 5.0
    assert {"x": 5.0, "s0": 25.0} == {name: run(Tape.record(y))[name] for name in ("x", "s0")}


# Identifiers.


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["x", "y1", "θ", "_"], ["x", "y1", "θ", "_"]),
        (["w", "w", "w_2"], ["w", "w_3", "w_2"]),
        (["z_a'", "my label", "1st", "+"], ["z_a_", "my_label", "_1st", "_"]),
        (["a b", "a_b"], ["a_b", "a_b_2"]),
        (["lambda", "None", "__debug__"], ["lambda_2", "None_2", "__debug___2"]),
        (["double", "struct", "self"], ["double", "struct", "self"]),
        (["exp", "where", "inf"], ["exp_2", "where_2", "inf_2"]),
        (["x", "grad_x"], ["x", "_grad_x"]),
        (["ﬁ", "fi"], ["fi", "fi_2"]),
        (["x\ny = 1", "\ud800"], ["x_ny___1", "_ud800"]),
    ],
)
def test_identifiers(labels: list[str], expected: list[str]):
    first, *others = (Value(1.0, label) for label in labels)
    assert expected == Tape.record(sum(others, first)).identifiers()[: len(labels)]


label = st.text(max_size=4) | st.sampled_from(
    [*keyword.kwlist, *TABLE, "a b", "a_b", "grad_s0", "s0", "inf"]
)


@calm
@given(st.lists(label, min_size=1, max_size=8))
def test_any_labels_make_a_program(labels: list[str]):
    first, *others = (Value(float(i), label) for i, label in enumerate(labels))
    root = sum(others, first).tanh()
    identifiers = Tape.record(root).identifiers()
    assert all(map(str.isidentifier, identifiers))
    assert len(identifiers) == len({*identifiers} - {*keyword.kwlist, *TABLE})
    assert_executes([root])


# LaTeX.


x = Value(2.0, "x")


def test_latex_is_aligned_equations():
    w = Value(3.0, "w_1")
    y = functional.sigmoid(w * x + x)
    y.label = "y"
    assert Tape.record(y).latex().splitlines() == [
        r"\begin{align*}",
        r"  s_{0} &= w_{1} \cdot x \\",
        r"  s_{1} &= s_{0} + x \\",
        r"  y &= \sigma(s_{1}) \\",
        r"  \frac{\partial y}{\partial y} &= 1 \\",
        r"  \frac{\partial y}{\partial s_{1}} &= \frac{\partial y}{\partial y}"
        r" \cdot y \cdot (1 - y) \\",
        r"  \frac{\partial y}{\partial s_{0}} &= \frac{\partial y}{\partial s_{1}} \\",
        r"  \frac{\partial y}{\partial w_{1}} &= \frac{\partial y}{\partial s_{0}} \cdot x \\",
        r"  \frac{\partial y}{\partial x} &= \frac{\partial y}{\partial s_{1}}"
        r" + \frac{\partial y}{\partial s_{0}} \cdot w_{1}",
        r"\end{align*}",
    ]


def test_the_latex_of_several_roots_is_that_of_their_sum():
    p, q = x * 3, x.exp()
    sides = {left: right for _, left, right in Tape.record(p, q).derivatives()}
    over = r"\frac{\partial (s_{0} + s_{1})}{\partial "
    assert sides == {
        rf"{over}s_{{1}}}}": "1",
        rf"{over}s_{{0}}}}": "1",
        rf"{over}x}}": rf"{over}s_{{1}}}} \cdot s_{{1}} + {over}s_{{0}}}} \cdot 3",
    }


@pytest.mark.parametrize(
    ("root", "expected"),
    [
        (x - -3, r"x - (-3)"),
        (-3 - x, r"-3 - x"),
        (x * -0.5, r"x \cdot (-0.5)"),
        (-0.5 * x, r"-0.5 \cdot x"),
        (x / -2, r"\frac{x}{-2}"),
        (x**-2, r"x^{-2}"),
        ((-2) ** x, r"(-2)^{x}"),
        (1e-7**x, r"(1 \cdot 10^{-7})^{x}"),
        (1e-7 * x, r"1 \cdot 10^{-7} \cdot x"),
        (+x, r"x"),
        (-x, r"-x"),
        (x.square(), r"x^2"),
        (abs(x), r"\lvert x \rvert"),
        (x.floor(), r"\lfloor x \rfloor"),
        (x.cbrt(), r"\sqrt[3]{x}"),
        (x.log_sigmoid(), r"\ln\sigma(x)"),
        (functional.maximum(x, 0), r"\max(x, 0)"),
        (functional.less(x, math.inf), r"[x < \infty]"),
        (functional.leaky_relu(x, 0.1), r"\operatorname{leaky\_relu}(x, 0.1)"),
    ],
)
def test_the_latex_of_a_value(root: Value, expected: str):
    assert [expected] == [right for _, _, right in Tape.record(root).equations()]


@pytest.mark.parametrize(
    ("root", "expected"),
    [
        (x.exp(), r"s_{0}"),
        (x.sin(), r"\cos(x)"),
        (x.cos(), r"(-\sin(x))"),
        (x.tan(), r"(1 + s_{0} \cdot s_{0})"),
        (x.reciprocal(), r"(-s_{0} \cdot s_{0})"),
        (x.square(), r"2 \cdot x"),
        (x.log1p(), r"\frac{1}{1 + x}"),
        (x.asin(), r"\frac{1}{\sqrt{1 - x} \cdot \sqrt{1 + x}}"),
        (x.atanh(), r"\frac{1}{(1 - x) \cdot (1 + x)}"),
        (x.erf(), r"1.1283791670955126 \cdot e^{-x \cdot x}"),
        (x.log_sigmoid(), r"\sigma(-x)"),
        (x.sqrt(), r"\frac{0.5}{s_{0}}"),
        (x.floor(), r"0"),
        (x**3, r"3 \cdot x^{3 - 1}"),
        (3.0**x, r"s_{0} \cdot \ln(3)"),
        (functional.pow(Value(3.0, "a"), x), r"\begin{cases} s_{0} \cdot \ln(a + 1) & "
         r"\text{if } a = 0 \\ s_{0} \cdot \ln(a) & \text{otherwise} \end{cases}"),
        (5 / x, r"\frac{-s_{0}}{x}"),
        (5 - x, r"(-1)"),
        (x * -5, r"(-5)"),
        (x + 1, r""),
        (x * 1, r""),
        (functional.leaky_relu(x, -3),
         r"(\operatorname{step}(x) + (-3 \cdot (1 - \operatorname{step}(x))))"),
        (functional.maximum(3.0, x), r"([3 < x] + 0.5 \cdot [3 = x])"),
    ],
)  # fmt: skip
def test_the_latex_of_a_local_derivative(root: Value, expected: str):
    last = [right for _, left, right in Tape.record(root).derivatives() if left.endswith("x}")]
    upstream = r"\frac{\partial s_{0}}{\partial s_{0}}"
    assert [rf"{upstream} \cdot {expected}" if expected else upstream] == last


@pytest.mark.parametrize("op", TABLE.values(), ids=str)
def test_the_latex_of_every_row_closes_what_it_opens(op: Op):
    text = Tape.record(getattr(functional, op.name)(*values(x=1, y=2)[: op.arity])).latex()
    assert [text.count(c) for c in "{(["] == [text.count(c) for c in "})]"]
    assert not any(f"{letter}" in text for letter in "XY")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("x", "x"),
        ("w0", "w_{0}"),
        ("w10", "w_{10}"),
        ("h_a", "h_{a}"),
        ("y_t1", r"y_{\mathrm{t1}}"),
        ("x_1_2", r"x_{\mathrm{1\_2}}"),
        ("θ", "θ"),
        ("loss", r"\mathrm{loss}"),
        ("loss_train", r"\mathrm{loss}_{\mathrm{train}}"),
        ("my label", r"\text{my label}"),
        ("50% & more_", r"\text{50\% \& more\_}"),
        ("{a}^b~\\", r"\text{\{a\}\textasciicircum{}b\textasciitilde{}\textbackslash{}}"),
    ],
)
def test_latex_names(name: str, expected: str):
    assert expected == latex_name(name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2.0", "2"),
        ("-0.0", "-0"),
        ("0.25", "0.25"),
        ("1e-05", r"1 \cdot 10^{-5}"),
        ("-1.5e+300", r"-1.5 \cdot 10^{300}"),
        ("inf", r"\infty"),
        ("-inf", r"-\infty"),
        ("nan", r"\mathrm{nan}"),
    ],
)
def test_latex_numbers(text: str, expected: str):
    assert expected == latex_number(text)


# Size.


def test_a_deep_graph_with_a_wide_leaf_is_written_in_one_go():
    x = Value(1.0, "x")
    y = x
    for _ in range(20_000):
        y = y * 0.5 + x
    tape = Tape.record(y)
    lines = tape.python().splitlines()
    assert 20_000 == sum(line.startswith("grad_x += ") for line in lines)
    assert "s39999 = s39998 + x" in lines
    assert 80_000 == tape.latex().count(" \\\\\n")
