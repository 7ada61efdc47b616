"""Expressions: numbers, graphs and gradients as by operators; what is refused, and where."""

import functools
import math
import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import edge_floats

from autograd import Value, functional
from autograd.expression import DEEPEST, LONGEST, Expression, ExpressionError
from autograd.ops import FLOATS, TABLE

NAN = math.nan


def same(a, b):
    return (a == b and math.copysign(1, a) == math.copysign(1, b)) or (a != a and b != b)


# What is understood.


@pytest.mark.parametrize(
    ("text", "inputs", "expected"),
    [
        ("2", {}, 2.0),
        ("  1.5e3 ", {}, 1500.0),
        ("1_000 + 0x10", {}, 1016.0),
        ("x", {"x": -0.0}, -0.0),
        ("-x**2", {"x": 3.0}, -9.0),
        ("2**-x", {"x": 1.0}, 0.5),
        ("2**3**2", {}, 512.0),
        ("x - y - 1", {"x": 1.0, "y": 2.0}, -2.0),
        ("x / y / 2", {"x": 1.0, "y": 2.0}, 0.25),
        ("x - (y - 1)", {"x": 1.0, "y": 2.0}, 0.0),
        ("--x", {"x": 1.0}, 1.0),
        ("+-+x", {"x": 1.0}, -1.0),
        ("x\n+\ty +\N{NO-BREAK SPACE}1", {"x": 1.0, "y": 2.0}, 4.0),
        ("max(x, 3, y)", {"x": 1.0, "y": 2.0}, 3.0),
        ("min(x, y)", {"x": 1.0, "y": 2.0}, 1.0),
        ("pi", {}, math.pi),
        ("log(e)", {}, 1.0),
        ("pi + e", {"e": 1.0, "pi": 2.0}, 3.0),
        ("exp(exp)", {"exp": 0.0}, 1.0),
        ("größe * 变量", {"größe": 2.0, "变量": 3.0}, 6.0),
        ("ﬁ + K", {"fi": 1.0, "K": 2.0}, 3.0),
        # IEEE-754, also between constants
        ("1/0", {}, math.inf),
        ("-1/0", {}, -math.inf),
        ("0/0", {}, NAN),
        ("(-2)**0.5", {}, NAN),
        ("10**400", {}, math.inf),
        ("9" * 400, {}, math.inf),
        ("-" + "9" * 400, {}, -math.inf),
        ("1e999", {}, math.inf),
        ("10**10**10**10", {}, math.inf),
        ("exp(1000)", {}, math.inf),
        ("log(0)", {}, -math.inf),
        ("log(x)", {"x": -1.0}, NAN),
        ("x", {"x": math.inf}, math.inf),
    ],
)
def test_number(text, inputs, expected):
    result = Expression(text)(inputs)
    assert type(result) is float
    assert same(expected, result)


@pytest.mark.parametrize("row", TABLE.values(), ids=str)
def test_every_row_is_a_function(row):
    names = ["x", "y"][: row.arity]
    inputs = {name: Value(0.75, name) for name in names}
    root = Expression(f"{row.name}({', '.join(names)})")(inputs)
    assert row is root.op
    assert tuple(inputs.values()) == root.operands


def test_names_and_their_columns():
    expression = Expression(" 1 / (1 + exp(-(w0*x0 + w1*x1 + w2))) - w0 + pi")
    assert expression.names == {"w0": 15, "x0": 18, "w1": 23, "x1": 26, "w2": 31, "pi": 44}


def test_columns_count_characters():
    assert Expression("ö + 变量 + z").names == {"ö": 0, "变量": 4, "z": 9}


@pytest.mark.parametrize(
    ("text", "ops"),
    [
        ("x**2", ["square"]),
        ("x**2.5", ["pow"]),
        ("2**x", ["pow"]),
        ("+x", ["pos"]),
        ("-x", ["neg"]),
        ("x * -1", ["mul"]),
        ("2 * 3 + x", ["add"]),
        ("max(x, y, 2)", ["maximum", "maximum"]),
        ("x*y + y/x - x", ["mul", "div", "add", "sub"]),
    ],
)
def test_records_what_the_operators_record(text, ops):
    from autograd import graph

    root = Expression(text)({"x": Value(1.0), "y": Value(2.0)})
    assert ops == [node.op.name for node in graph.operations(root)]


@pytest.mark.parametrize("count", [2, 2000])
def test_long_sum(count):
    x = Value(0.5)
    root = Expression(" + ".join(["x"] * count))({"x": x})
    assert (0.5 * count, float(count)) == (root.data, root.gradient(x))


def test_deepest_parentheses():
    text = "(" * DEEPEST + "x" + ")" * DEEPEST
    assert Expression(text)({"x": 2.0}) == 2.0


def test_computes_again_on_other_inputs():
    expression = Expression("x*y")
    assert [expression({"x": 2.0, "y": 3.0}), expression({"x": 4.0, "y": 5.0})] == [6.0, 20.0]


# Random expressions: the text against the same tree computed by operators.

OPERATORS = {
    "+": (operator.add, FLOATS["add"], 1),
    "-": (operator.sub, FLOATS["sub"], 1),
    "*": (operator.mul, FLOATS["mul"], 2),
    "/": (operator.truediv, FLOATS["div"], 2),
    "**": (operator.pow, FLOATS["pow"], 4),
}
VARIADIC = {"max": functional.maximum, "min": functional.minimum}
NEGATION, ATOM = 3, 5


def literal(x):
    return ("1e999" if x == math.inf else repr(x)), ATOM, lambda _: x


def name(x):
    return x, ATOM, operator.itemgetter(x)


def negation(operand):
    text, binding, compute = operand
    return f"-{enclosed(text, binding, NEGATION)}", NEGATION, lambda inputs: -compute(inputs)


def operation(symbol, left, right):
    by_operator, on_floats, binding = OPERATORS[symbol]
    to_left, to_right = (ATOM, NEGATION) if symbol == "**" else (binding, binding + 1)
    x_text, x_binding, x_compute = left
    y_text, y_binding, y_compute = right

    def compute(inputs):
        x, y = x_compute(inputs), y_compute(inputs)
        function = by_operator if Value in (type(x), type(y)) else on_floats
        return function(x, y)

    x_text, y_text = enclosed(x_text, x_binding, to_left), enclosed(y_text, y_binding, to_right)
    return f"{x_text} {symbol} {y_text}", binding, compute


def call(function, operands):
    computes = [compute for _, _, compute in operands]

    def compute(inputs):
        numbers = [each(inputs) for each in computes]
        if function in VARIADIC:
            return functools.reduce(VARIADIC[function], numbers)
        return getattr(functional, function)(*numbers)

    return f"{function}({', '.join(text for text, _, _ in operands)})", ATOM, compute


def enclosed(text, binding, needed):
    return text if binding >= needed else f"({text})"


numbers = st.floats(0.0, allow_nan=False) | st.sampled_from([0.0, 1.0, 2.0, 0.5, math.inf])
leaves = st.sampled_from("xyz").map(name) | numbers.map(literal)


def branches(trees):
    calls = st.sampled_from([*TABLE, *VARIADIC]).flatmap(
        lambda function: st.lists(
            trees,
            min_size=TABLE[function].arity if function in TABLE else 2,
            max_size=TABLE[function].arity if function in TABLE else 4,
        ).map(functools.partial(call, function))
    )
    return (
        st.builds(operation, st.sampled_from([*OPERATORS]), trees, trees)
        | trees.map(negation)
        | calls
    )


trees = st.recursive(leaves, branches, max_leaves=25)
inputs = st.fixed_dictionaries(dict.fromkeys("xyz", edge_floats | st.floats(-4.0, 4.0)))


@given(trees, inputs)
def test_numbers_and_gradients_of_random_expressions(tree, inputs):
    text, _, compute = tree
    expression = Expression(text)
    assert same(compute(inputs), expression(inputs))

    leaves = {label: Value(x, label) for label, x in inputs.items()}
    expected, result = compute(leaves), expression(leaves)
    if isinstance(expected, float):
        assert same(expected, result)
    else:
        wrt = list(leaves.values())
        pairs = zip(expected.gradient(wrt), result.gradient(wrt), strict=True)
        assert same(expected.data, result.data)
        assert all(same(a, b) for a, b in pairs)


# What is refused.

REFUSED = [
    # text, part of the message, column
    ("", "is empty", None),
    (" \n\t", "is empty", None),
    ("x" * (LONGEST + 1), "100,001 characters", None),
    ("x" * 10_000_000, "10,000,000 characters", None),
    ("(" * 1000 + "x" + ")" * 1000, f"more than {DEEPEST} deep", DEEPEST),
    ("exp(" * 1000 + "x" + ")" * 1000, f"more than {DEEPEST} deep", 4 * DEEPEST + 3),
    ("+".join(["x"] * 30_000), "too many operations in a row", None),
    ("-" * 90_000 + "x", "too many operations in a row", None),
    ("(x + y", "'(' is never closed", 0),
    ("exp((x + 1)", "'(' is never closed", 3),
    ("x + y)", "closes no '('", 5),
    (")(", "closes no '('", 0),
    ("sigmiod(x)", "no function 'sigmiod'; did you mean 'sigmoid'?", 0),
    ("1 + arcsin(x)", "no function 'arcsin'; did you mean 'asin'?", 4),
    ("ln(x)", "no function 'ln'; did you mean 'log'?", 0),
    ("x(y)", "no function 'x'", 0),
    ("where(x, y, z)", "no function 'where'", 0),
    ("f" * 500 + "(x)", "no function 'fffff", 0),
    ("pow(x)", "pow takes 2 operands, received 1", 0),
    ("1 + exp(x, y)", "exp takes 1 operand, received 2", 4),
    ("exp()", "exp takes 1 operand, received 0", 0),
    ("max()", "max takes 2 or more operands, received 0", 0),
    ("min(x)", "min takes 2 or more operands, received 1", 0),
    ("__import__('os')", '"\'"', 11),
    ("__import__(os)", "no function '__import__'", 0),
    ("__import__", "'__import__' has no value", 0),
    ("x.real", "an attribute access", 0),
    ("1 + x.real", "an attribute access", 4),
    ("(1).real", "an attribute access", 0),
    ("x.real()", "only a function's name can be called", 0),
    ("2(x)", "a product needs *", 0),
    ("exp(x)(y)", "only a function's name can be called", 0),
    ("x[0]", "'['", 1),
    ("lambda x: x", "':'", 8),
    ("lambda", "'lambda' cannot be a name", 0),
    ("{x}", "'{'", 0),
    ("x := 2", "':'", 2),
    ("'x'", '"\'"', 0),
    ('f"{x}"', "'\"'", 1),
    ("x < y", "write less(a, b)", 2),
    ("x > y", "write less(b, a)", 2),
    ("x == y", "write equal(a, b)", 2),
    ("x in y", "a comparison", 0),
    ("x is y", "a comparison", 0),
    ("x if y else z", "a condition", 0),
    ("x and y", "'and' or 'or'", 0),
    ("1 + (not x)", "'not'", 5),
    ("max(*x, *y)", "an unpacking", 4),
    ("max(**x)", "by their place only", 0),
    ("pow(x, y=2)", "'='", 8),
    ("max(x for x in y)", "max takes 2", 0),
    ("abs(x for x in y)", "a generator", 3),
    ("await x", "is not understood", 0),
    ("x, y", "a comma outside", 0),
    ("()", "a comma outside", 0),
    ("3,5 + x", "a comma outside", 0),
    ("x^2", "write a power as **", 1),
    ("x²", "write a square as **2", 1),
    ("2×x", "write a product with *", 1),
    ("2 − x", "the minus sign of the keyboard", 2),
    ("x // y", "write floor(a / b)", 0),
    ("x % y", "'%'", 2),
    ("x @ y", "'@'", 2),
    ("~x", "'~'", 0),
    ("x & y", "'&'", 2),
    ("x; y", "';'", 1),
    ("x # y", "'#'", 2),
    ("x\\", "'\\\\'", 1),
    ("x!", "'!'", 1),
    ("$x", "'$'", 0),
    ("x\0y", r"'\x00'", 1),
    ("x\ud800", r"'\ud800'", 1),
    ("2j", "2j is not a real number", 0),
    ("x + 2j", "2j is not a real number", 4),
    ("True", "True is not a real number", 0),
    ("None + x", "None is not a real number", 0),
    ("...", "Ellipsis is not a real number", 0),
    ("2x", "as in 2*x", 0),
    ("x + 2exp(x)", "as in 2*x", 4),
    ("2 x", "out of place", 2),
    ("x y", "out of place", 2),
    ("é é", "out of place", 2),
    ("1.2.3", "out of place", 3),
    ("x +", "out of place", 3),
    ("* x", "out of place", 0),
    ("exp(x,,y)", "out of place", 6),
    ("07", "begins with 0", None),
    ("9" * 5000, "too many digits", None),
    ("x + ①", "①", 4),
    ("x + y", "'y' has no value: add y=NUMBER", 4),
    ("x + sin", "sin is a function", 4),
    ("x + max", "max is a function", 4),
]


@pytest.mark.parametrize(
    ("text", "message", "column"), REFUSED, ids=[repr(text[:20]) for text, _, _ in REFUSED]
)
def test_refused(text, message, column):
    with pytest.raises(ExpressionError) as caught:
        Expression(text)({"x": 1.0})
    error = caught.value
    assert message in error.message
    assert "\n" not in error.message
    assert len(error.message) < 160
    if column is not None:
        assert column == error.column


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x$", "  x$\n   ^"),
        ("  x +\n$", "  x + $\n      ^"),
        ("é\0$", "  é�$\n   ^"),
        ("变量$", "  变量$\n      ^"),
        ("x + $ + " + "y" * 200, "  x + $ + " + "y" * 68 + "…\n      ^"),
        ("x" * 200 + "$", "  …" + "x" * 75 + "$\n   " + " " * 75 + "^"),
        (
            "x" * 200 + "$" + "x" * 200,
            "  …" + "x" * 38 + "$" + "x" * 37 + "…\n   " + " " * 38 + "^",
        ),
    ],
)
def test_the_caret_stands_below_the_place(text, expected):
    with pytest.raises(ExpressionError) as caught:
        Expression(text)
    message, excerpt = str(caught.value).split("\n", 1)
    assert message == caught.value.message
    assert expected == excerpt


@pytest.mark.parametrize(
    ("text", "inputs", "hint"),
    [
        ("w0*x0 + weight", {"w0": 1.0, "x0": 1.0}, ""),
        ("weight * x + wieght", {"weight": 1.0, "x": 1.0}, "; did you mean 'weight'?"),
        ("weight * x", {"wieght": 1.0, "x": 1.0}, " (given but not used: wieght)"),
    ],
)
def test_a_name_without_value_is_explained(text, inputs, hint):
    missing = next(word for word in text.split() if word not in inputs and word.isalpha())
    with pytest.raises(ExpressionError) as caught:
        Expression(text)(inputs)
    assert f"{missing!r} has no value: add {missing}=NUMBER{hint}" == caught.value.message


def read(text):
    """The result of a text with 1.5 for every name, or the error it gets."""
    try:
        expression = Expression(text)
        return expression(dict.fromkeys(expression.names, 1.5))
    except ExpressionError as error:
        return error


@given(st.text(max_size=30) | st.text("xyze0123.+-*/(), ^[]_=é'", max_size=60))
def test_any_text_is_an_expression_or_refused(text):
    result = read(text)
    if not isinstance(result, float):
        assert 1 <= len(str(result).splitlines()) <= 3
        assert result.column is None or 0 <= result.column <= len(result.text)
