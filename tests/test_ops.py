"""The table: its row rules, its accuracy, its kinks and IEEE edges, the primitives under it."""

import ast
import copy
import inspect
import math
import pickle
from collections.abc import Sequence
from itertools import chain, product
from typing import Any

import numpy as np
import pytest
from exact import EXACT, exact_partials, ulps
from hypothesis import given, settings
from mpmath import mp
from strategies import EDGES, domain_point

import autograd
from autograd import Value
from autograd.ops import FLOATS, PRIMITIVES, TABLE, Op, compile_formula, op_named

ROWS = [*TABLE.values()]
inf, nan = math.inf, math.nan

WANTED = [
    *("pos", "neg", "add", "sub", "mul", "div", "pow", "square", "reciprocal"),
    *("abs", "sign", "step", "less", "equal", "maximum", "minimum"),
    *("exp", "expm1", "log", "log1p", "log2", "log10", "sqrt", "cbrt"),
    *("sin", "cos", "tan", "asin", "acos", "atan", "atan2"),
    *("sinh", "cosh", "tanh", "asinh", "acosh", "atanh"),
    *("sigmoid", "log_sigmoid", "softplus", "relu", "leaky_relu", "elu", "gelu", "silu"),
    *("erf", "erfc", "hypot", "floor", "ceil", "round"),
]

every_row = pytest.mark.parametrize("row", ROWS, ids=str)


# Row rules.


def formulas(row: Op) -> list[ast.AST]:
    return [ast.parse(text, mode="eval") for text in (row.value, *row.local)]


def names(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def calls(tree: ast.AST, name: str) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
    ]


def test_the_table_has_the_rows_wanted():
    assert sorted(WANTED) == sorted(row.name for row in ROWS)


def test_names_are_unique_and_lead_to_their_rows():
    assert [*TABLE] == [row.name for row in ROWS]
    assert ROWS == [op_named(row.name) for row in ROWS]


@every_row
def test_a_row_is_complete(row: Op):
    assert 1 <= row.arity <= 2
    assert [row.arity] * 3 == [len(row.local), len(row.domain), len(row.rules)]
    assert all([row.name, row.symbol, row.value, row.meaning, row.latex])
    assert row.function is FLOATS[row.name]
    assert str(row) == row.name


@every_row
def test_the_domain_of_each_operand_is_a_list_of_disjoint_intervals(row: Op):
    for intervals in row.domain:
        ends = [end for interval in intervals for end in interval]
        assert len(ends) >= 2
        assert ends == sorted(set(ends))
        assert all(map(math.isfinite, ends))


@every_row
def test_formulas_use_the_subset_common_to_python_and_c(row: Op):
    allowed = (
        *(ast.Expression, ast.Name, ast.Load, ast.Constant, ast.Call, ast.Compare),
        *(ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.UnaryOp, ast.USub),
        *(ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq),
    )
    for node in (node for tree in formulas(row) for node in ast.walk(tree)):
        assert isinstance(node, allowed)
        if isinstance(node, ast.Constant):
            assert type(node.value) is float
            assert math.isfinite(node.value)
        if isinstance(node, ast.Call):
            assert isinstance(node.func, ast.Name)
            assert node.keywords == []
        if isinstance(node, ast.Compare):
            assert len(node.ops) == 1


@every_row
def test_formulas_name_operands_and_other_rows(row: Op):
    operands = set("xy"[: row.arity])
    known_before = set(WANTED) & set(PRIMITIVES) | {above.name for above in ROWS[: ROWS.index(row)]}
    value, *local = formulas(row)
    assert names(value) <= operands | known_before | {"where"}
    for tree in local:
        assert names(tree) <= operands | set(WANTED) | {"z", "where"}


@every_row
def test_comparisons_are_the_conditions_of_where(row: Op):
    for tree in formulas(row):
        conditions = [call.args[0] for call in calls(tree, "where")]
        comparisons = [node for node in ast.walk(tree) if isinstance(node, ast.Compare)]
        assert {*map(id, conditions)} == {*map(id, comparisons)}


@every_row
def test_calls_pass_as_many_operands_as_the_row_takes(row: Op):
    arities = {"where": 3} | {op.name: op.arity for op in ROWS}
    for name, arity in arities.items():
        for call in (call for tree in formulas(row) for call in calls(tree, name)):
            assert len(call.args) == arity


# Formulas.


def test_formulas_divide_as_ieee_and_select_lazily():
    quotient = compile_formula("quotient", "xy", "x / y", FLOATS)
    assert [inf, -inf, 2.0] == [quotient(1.0, 0.0), quotient(1.0, -0.0), quotient(4.0, 2.0)]
    chosen = compile_formula("chosen", "x", "where(x < 0.0, 1.0, where(x > 2.0, 2.0, x))", FLOATS)
    assert [1.0, 2.0, 0.5] == [chosen(-1.0), chosen(3.0), chosen(0.5)]


def test_the_source_of_a_compiled_formula_can_be_read():
    source = "def tanh_local_x(x, y, z):\n    return 1.0 - z * z\n"
    assert source == inspect.getsource(TABLE["tanh"].rules[0])


def test_copies_of_a_row_are_the_row():
    row = TABLE["mul"]
    assert [row] * 3 == [copy.copy(row), copy.deepcopy(row), pickle.loads(pickle.dumps(row))]


# Accuracy.


def apply(row: Op, leaves: Sequence[Value]) -> Value:
    return getattr(autograd, row.name)(*leaves)


def derivatives(
    row: Op, point: Sequence[float]
) -> tuple[float, list[float], dict[tuple[int, int], float]]:
    """The value, the first derivatives, and the second ones by the places of the operands."""
    leaves = [Value(x) for x in point]
    result = apply(row, leaves)
    first = result.gradient(leaves, create_graph=True)
    second = {
        (i, j): gradient
        for i, derivative in enumerate(first)
        for j, gradient in enumerate(derivative.gradient(leaves))
    }
    return result.data, [derivative.data for derivative in first], second


@every_row
def test_value_and_derivatives_agree_with_50_digits(row: Op):
    @settings(max_examples=200, derandomize=True, deadline=None)
    @given(domain_point(row))
    def agree(point: tuple[float, ...]) -> None:
        value, first, second = derivatives(row, point)
        exact_first, exact_second = exact_partials(EXACT[row.name], point)
        assert ulps(value, EXACT[row.name](*map(mp.mpf, point)), point) <= 4.0
        for actual, exact in zip(first, exact_first, strict=True):
            assert ulps(actual, exact, point) <= 8.0
        for (i, j), actual in second.items():
            assert ulps(actual, exact_second[min(i, j), max(i, j)], point) <= 64.0

    with mp.workdps(50):
        agree()


# Cases of local derivatives.


@pytest.mark.parametrize(
    ("exponent", "expected"),
    [
        (-1.0, [inf, -inf, inf, -inf]),
        (0.0, [1.0, 0.0, 0.0, 0.0]),
        (0.5, [0.0, inf, -inf, inf]),
        (1.0, [0.0, 1.0, 0.0, 0.0]),
        (1.5, [0.0, 0.0, inf, -inf]),
        (2.5, [0.0, 0.0, 0.0, inf]),
        (3.0, [0.0, 0.0, 0.0, 6.0]),
    ],
)
def test_powers_at_zero(exponent: float, expected: list[float]):
    z = x = Value(0.0)
    found = [(z := x**exponent).data]
    for _ in expected[1:]:
        z = z.gradient(x, create_graph=True) if isinstance(z, Value) else 0.0
        found.append(z.data if isinstance(z, Value) else z)
    assert expected == found


def test_the_formula_for_the_case():
    row = TABLE["pow"]
    assert "y * pow(x, y - 1.0)" == row.local_at(0, 2.0, 3.0)
    assert "y * pow(x + less(abs(x), 1e-300), y - 1.0)" == row.local_at(0, 2.0, 0.0)
    assert ["z * log(x)", "z * log(x + 1.0)"] == [row.local_at(1, x, 3.0) for x in (2.0, -0.0)]
    assert TABLE["div"].local[1] == TABLE["div"].local_at(1, 0.0, 0.0)
    assert [*row.local] == [row.local_at(0, 2.0, None), row.local_at(1, None, 3.0)]


def is_near(x: Any, y: Any) -> bool:
    return (x != x and y != y) or math.isclose(x, y, rel_tol=1e-13)


def test_a_compiled_function_chooses_the_case_at_each_call():
    def power(v: Any) -> Any:
        return v[0] ** v[1]

    compiled = autograd.compile(power)
    hessian = autograd.compile(autograd.hessian(power))
    far: list[Any] = []
    for point in map(list, product([*EDGES, 2.0, 0.5, -3.0], repeat=2)):
        expected = [*autograd.grad(power)(point), *chain(*autograd.hessian(power)(point))]
        actual = [*compiled.value_and_grad(point)[1], *chain(*hessian(point))]
        far += [(point, expected, actual)] * (not all(map(is_near, expected, actual)))
    assert [] == far


# Kinks, edges, IEEE values.


def digits(x: float) -> str:
    """Every bit of a float but the sign and payload of nan."""
    return x.hex()


def unsigned_zero(x: float) -> str:
    return digits(x + 0.0)


KINKS = [
    # row, operands, value, local derivatives
    ("relu", (0.0,), 0.0, (0.0,)),
    ("relu", (-0.0,), -0.0, (0.0,)),
    ("relu", (nan,), nan, (nan,)),
    ("abs", (0.0,), 0.0, (0.0,)),
    ("abs", (-0.0,), 0.0, (0.0,)),
    ("sign", (0.0,), 0.0, (0.0,)),
    ("sign", (-0.0,), -0.0, (0.0,)),
    ("sign", (nan,), nan, (0.0,)),
    ("step", (0.0,), 0.0, (0.0,)),
    ("step", (nan,), nan, (0.0,)),
    ("leaky_relu", (0.0, 0.25), 0.0, (0.25, 0.0)),
    ("leaky_relu", (-0.0, 0.25), -0.0, (0.25, 0.0)),
    ("elu", (0.0, 0.25), 0.0, (0.25, 0.0)),
    ("maximum", (3.0, 3.0), 3.0, (0.5, 0.5)),
    ("maximum", (inf, inf), inf, (0.5, 0.5)),
    ("maximum", (0.0, -0.0), -0.0, (0.5, 0.5)),
    ("maximum", (nan, 1.0), nan, (0.0, 0.0)),
    ("maximum", (1.0, nan), nan, (0.0, 0.0)),
    ("minimum", (3.0, 3.0), 3.0, (0.5, 0.5)),
    ("minimum", (-inf, -inf), -inf, (0.5, 0.5)),
    ("minimum", (nan, 1.0), nan, (0.0, 0.0)),
    ("minimum", (1.0, nan), nan, (0.0, 0.0)),
    ("less", (3.0, 3.0), 0.0, (0.0, 0.0)),
    ("equal", (3.0, 3.0), 1.0, (0.0, 0.0)),
    ("equal", (0.0, -0.0), 1.0, (0.0, 0.0)),
    ("equal", (nan, nan), 0.0, (0.0, 0.0)),
    ("sqrt", (0.0,), 0.0, (inf,)),
    ("sqrt", (-0.0,), -0.0, (-inf,)),
    ("sqrt", (-1.0,), nan, (nan,)),
    ("cbrt", (0.0,), 0.0, (inf,)),
    ("cbrt", (-0.0,), -0.0, (inf,)),
    ("cbrt", (-8.0,), -2.0, (1.0 / 12.0,)),
    ("pow", (0.0, 0.0), 1.0, (0.0, 0.0)),
    ("pow", (-3.0, 0.0), 1.0, (0.0, nan)),
    ("pow", (5e-324, 0.0), 1.0, (0.0, math.log(5e-324))),
    ("pow", (inf, 0.0), 1.0, (0.0, inf)),
    ("pow", (nan, 0.0), 1.0, (nan, nan)),
    ("pow", (0.0, 1.0), 0.0, (1.0, 0.0)),
    ("pow", (0.0, 2.0), 0.0, (0.0, 0.0)),
    ("pow", (0.0, 0.5), 0.0, (inf, 0.0)),
    ("pow", (-0.0, 0.5), 0.0, (inf, 0.0)),
    ("pow", (0.0, -1.0), inf, (-inf, nan)),
    ("pow", (-0.0, -1.0), -inf, (-inf, nan)),
    ("pow", (-0.0, -2.0), inf, (inf, nan)),
    ("pow", (-2.0, 3.0), -8.0, (12.0, nan)),
    ("pow", (-2.0, 0.5), nan, (nan, nan)),
    ("pow", (1e300, 3.0), inf, (inf, inf)),
    ("atan2", (0.0, 0.0), 0.0, (nan, nan)),
    ("atan2", (-0.0, -0.0), -math.pi, (nan, nan)),
    ("atan2", (0.0, 2.0), 0.0, (0.5, 0.0)),
    ("atan2", (0.0, -2.0), math.pi, (-0.5, 0.0)),
    ("atan2", (1e200, 1e200), math.pi / 4.0, (0.5e-200, -0.5e-200)),
    ("hypot", (0.0, 0.0), 0.0, (nan, nan)),
    ("hypot", (0.0, -3.0), 3.0, (0.0, -1.0)),
    ("hypot", (3.0 * 2.0**600, 4.0 * 2.0**600), 5.0 * 2.0**600, (0.6, 0.8)),
    ("hypot", (inf, nan), inf, (nan, nan)),
    ("div", (1.0, 0.0), inf, (inf, -inf)),
    ("div", (1.0, -0.0), -inf, (-inf, -inf)),
    ("div", (0.0, 0.0), nan, (inf, nan)),
    ("div", (1.0, inf), 0.0, (0.0, 0.0)),
    ("reciprocal", (0.0,), inf, (-inf,)),
    ("reciprocal", (-0.0,), -inf, (-inf,)),
    ("log", (0.0,), -inf, (inf,)),
    ("log", (-1.0,), nan, (-1.0,)),
    ("log1p", (-1.0,), -inf, (inf,)),
    ("log2", (0.0,), -inf, (inf,)),
    ("log10", (0.0,), -inf, (inf,)),
    ("exp", (1000.0,), inf, (inf,)),
    ("exp", (-inf,), 0.0, (0.0,)),
    ("expm1", (-inf,), -1.0, (0.0,)),
    ("sinh", (-1000.0,), -inf, (inf,)),
    ("cosh", (-1000.0,), inf, (-inf,)),
    ("tanh", (-1000.0,), -1.0, (0.0,)),
    ("sin", (inf,), nan, (nan,)),
    ("asin", (1.0,), math.pi / 2.0, (inf,)),
    ("asin", (1.5,), nan, (nan,)),
    ("acos", (1.0,), 0.0, (-inf,)),
    ("acosh", (1.0,), 0.0, (inf,)),
    ("acosh", (0.5,), nan, (nan,)),
    ("atanh", (1.0,), inf, (inf,)),
    ("atanh", (-1.0,), -inf, (inf,)),
    ("square", (1e200,), inf, (2e200,)),
    ("sigmoid", (0.0,), 0.5, (0.25,)),
    ("sigmoid", (-1000.0,), 0.0, (0.0,)),
    ("sigmoid", (inf,), 1.0, (0.0,)),
    ("log_sigmoid", (-1000.0,), -1000.0, (1.0,)),
    ("log_sigmoid", (-inf,), -inf, (1.0,)),
    ("softplus", (1000.0,), 1000.0, (1.0,)),
    ("softplus", (-inf,), 0.0, (0.0,)),
    ("gelu", (-1e200,), -0.0, (0.0,)),
    ("gelu", (1e200,), 1e200, (1.0,)),
    ("silu", (-1e200,), -0.0, (0.0,)),
    ("silu", (1e200,), 1e200, (1.0,)),
    ("erf", (-inf,), -1.0, (0.0,)),
    ("erfc", (-inf,), 2.0, (0.0,)),
    ("floor", (-0.5,), -1.0, (0.0,)),
    ("ceil", (-0.5,), -0.0, (0.0,)),
    ("round", (0.5,), 0.0, (0.0,)),
    ("round", (1.5,), 2.0, (0.0,)),
    ("round", (2.5,), 2.0, (0.0,)),
    ("round", (-0.5,), -0.0, (0.0,)),
]


@pytest.mark.parametrize(("name", "point", "value", "local"), KINKS)
def test_kinks_and_domain_edges(
    name: str, point: tuple[float, ...], value: float, local: tuple[float, ...]
):
    leaves = [Value(x) for x in point]
    result = apply(TABLE[name], leaves)
    recorded = result.gradient(leaves, create_graph=True)
    result.backward()
    assert digits(value) == digits(result.data)
    assert [*map(unsigned_zero, local)] == [unsigned_zero(leaf.grad) for leaf in leaves]
    assert [*map(unsigned_zero, local)] == [unsigned_zero(x.data) for x in recorded]


@every_row
def test_nothing_raises_at_edge_values_and_both_modes_agree(row: Op):
    for point in product(EDGES, repeat=row.arity):
        value, first, second = derivatives(row, point)
        leaves = [Value(x) for x in point]
        result = apply(row, leaves)
        result.backward()
        assert digits(row.function(*point)) == digits(value)
        assert [*map(digits, first)] == [digits(leaf.grad) for leaf in leaves]
        assert {float} == {*map(type, [value, *first, *second.values()])}


# The primitives, beside C's.

NUMPY = {
    "div": np.divide,
    "pow": np.power,
    "abs": np.fabs,
    "round": np.rint,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "atan2": np.arctan2,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    **{name: getattr(np, name) for name in ("hypot", "floor", "ceil")},
    **{name: getattr(np, name) for name in ("exp", "expm1", "log", "log1p", "log2", "log10")},
    **{name: getattr(np, name) for name in ("sqrt", "cbrt", "sin", "cos", "tan")},
    **{name: getattr(np, name) for name in ("sinh", "cosh", "tanh")},
}


def is_close(expected: float, actual: float) -> bool:
    """Both nan, or of one sign and equal within 4 units in the last place."""
    if math.isnan(expected) or math.isnan(actual):
        return math.isnan(expected) and math.isnan(actual)
    if math.copysign(1.0, actual) != math.copysign(1.0, expected):
        return False
    return actual == expected or abs(actual - expected) <= 4.0 * math.ulp(expected)


def test_the_primitives_are_those_of_numpy_and_the_error_functions():
    assert {*PRIMITIVES} == {*NUMPY, "erf", "erfc"}


@pytest.mark.parametrize("name", NUMPY)
def test_primitives_equal_c_at_edge_values(name: str):
    points = [*product(EDGES, repeat=NUMPY[name].nin)]
    with np.errstate(all="ignore"):
        expected = NUMPY[name](*np.array(points).T).tolist()
    actual = [PRIMITIVES[name](*point) for point in points]
    rows = zip(points, expected, actual, strict=True)
    assert [] == [row for row in rows if not is_close(*row[1:])]


PRIMITIVE_VALUES = [
    ("pow", (-0.0, -3.0), -inf),
    ("pow", (-0.0, -2.0), inf),
    ("pow", (-0.0, 3.0), -0.0),
    ("pow", (-1e300, 3.0), -inf),
    ("pow", (-1e300, 2.0), inf),
    ("pow", (-1e300, -3.0), -0.0),
    ("pow", (-1e300, 1.5), nan),
    ("pow", (-8.0, 1.0 / 3.0), nan),
    ("pow", (-2.0, 1e300), inf),
    ("pow", (-1.0, inf), 1.0),
    ("pow", (1.0, nan), 1.0),
    ("pow", (nan, 0.0), 1.0),
    ("div", (-1.0, 0.0), -inf),
    ("div", (-0.0, 0.0), nan),
    ("div", (-inf, -0.0), inf),
    ("log", (-0.0,), -inf),
    ("log", (-inf,), nan),
    ("log1p", (-1.0,), -inf),
    ("atanh", (1.0,), inf),
    ("atanh", (-1.0,), -inf),
    ("exp", (710.0,), inf),
    ("sinh", (-711.0,), -inf),
    ("sqrt", (-0.0,), -0.0),
    ("sin", (-inf,), nan),
    ("erf", (-0.0,), -0.0),
    ("erf", (inf,), 1.0),
    ("erf", (nan,), nan),
    ("erfc", (inf,), 0.0),
    ("erfc", (-inf,), 2.0),
    ("erfc", (nan,), nan),
    ("floor", (-0.0,), -0.0),
    ("floor", (-0.5,), -1.0),
    ("ceil", (-0.5,), -0.0),
    ("round", (-2.5,), -2.0),
    ("round", (1e300,), 1e300),
    ("round", (-inf,), -inf),
    ("atan2", (-0.0, -0.0), -math.pi),
    ("atan2", (0.0, -inf), math.pi),
    ("hypot", (nan, -inf), inf),
]


@pytest.mark.parametrize(("name", "operands", "value"), PRIMITIVE_VALUES)
def test_primitives_at_poles_overflow_and_zeros(
    name: str, operands: tuple[float, ...], value: float
):
    assert digits(value) == digits(PRIMITIVES[name](*operands))
