"""NumPy: object arrays of Values, its functions on them, its scalars beside them."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from autograd import Value, values

Array = Any


def leaves(*numbers: float) -> Array:
    """An object array of leaves."""
    return np.array([Value(x) for x in numbers])


def data(array: Array) -> list[Any]:
    return [x.data if isinstance(x, Value) else x for x in np.asarray(array).ravel()]


def rows(array: Array) -> list[str]:
    return [x.op.name for x in np.asarray(array).ravel()]


# Arithmetic.

ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": lambda a, b: a**b,
}

LEFT, RIGHT = [3.0, 0.5, 1.75], [1.5, 2.5, 1.0]

COMPANIONS: dict[str, Callable[[], Any]] = {
    "an object array": lambda: leaves(*RIGHT),
    "a float array": lambda: np.array(RIGHT),
    "a float32 array": lambda: np.array(RIGHT, dtype=np.float32),
    "a list": lambda: [*RIGHT],
    "a mixed array": lambda: np.array([Value(1.5), 2.5, np.float64(1.0)], dtype=object),
}


@pytest.mark.parametrize("name", ARITHMETIC)
@pytest.mark.parametrize("companion", COMPANIONS)
def test_arrays_elementwise(name: str, companion: str):
    compute, other = ARITHMETIC[name], COMPANIONS[companion]()
    result = compute(leaves(*LEFT), other)
    assert object == result.dtype
    assert [compute(x, y) for x, y in zip(LEFT, RIGHT, strict=True)] == data(result)
    assert [name] * 3 == rows(result)
    reflected = compute(other, leaves(*LEFT))
    assert [compute(y, x) for x, y in zip(LEFT, RIGHT, strict=True)] == data(reflected)


SINGLE = [3, 2.5, True, np.float64(2.5), np.float32(0.5), np.int64(3), np.bool_(True), Value(1.5)]


@pytest.mark.parametrize("name", ARITHMETIC)
@pytest.mark.parametrize("other", SINGLE, ids=repr)
def test_arrays_with_one_number_or_value(name: str, other: Any):
    compute = ARITHMETIC[name]
    number = float(other.data if isinstance(other, Value) else other)
    assert [compute(x, number) for x in LEFT] == data(compute(leaves(*LEFT), other))
    assert [compute(number, x) for x in LEFT] == data(compute(other, leaves(*LEFT)))


@pytest.mark.parametrize("name", ARITHMETIC)
def test_a_value_with_an_array_of_floats(name: str):
    compute, x = ARITHMETIC[name], Value(2.0)
    for result in (compute(x, np.array(LEFT)), compute(np.array(LEFT), x)):
        assert object == result.dtype
        assert [name] * 3 == rows(result)


@pytest.mark.parametrize("scalar", [np.float64(2.5), np.float32(2.5), np.int8(3), np.bool_(True)])
@pytest.mark.parametrize("name", ARITHMETIC)
def test_numpys_scalars_on_either_side(name: str, scalar: Any):
    compute, x = ARITHMETIC[name], Value(1.5)
    for node, expected in (
        (compute(x, scalar), compute(1.5, float(scalar))),
        (compute(scalar, x), compute(float(scalar), 1.5)),
    ):
        assert (Value, name, expected) == (type(node), node.op.name, node.data)
        assert {Value, float} == set(map(type, node.operands))


def test_numpys_scalars_never_raise_nor_warn():
    x = Value(0.0)
    for node in (np.float64(1) / x, x / np.float64(0), np.float64(1e308) * (x + 10)):
        assert not math.isfinite(node.data)


def test_an_array_is_changed_in_place_without_changing_its_values():
    a = leaves(*LEFT)
    before = [*a]
    a += 1
    a[0] *= 2
    assert [8.0, 1.5, 2.75] == data(a)
    assert LEFT == [x.data for x in before]
    a.sum().backward()
    assert [2.0, 1.0, 1.0] == [x.grad for x in before]


# Products and sums.


def test_a_matrix_product_and_its_gradients():
    w = leaves(1.0, 2.0, 3.0, 4.0, 5.0, 6.0).reshape(2, 3)
    x = leaves(7.0, 8.0, 9.0)
    y = w @ x
    assert [50.0, 122.0] == data(y)
    (y @ np.array([1.0, 10.0])).backward()
    assert [7.0, 8.0, 9.0, 70.0, 80.0, 90.0] == [v.grad for v in w.ravel()]
    assert [41.0, 52.0, 63.0] == [v.grad for v in x]


SUMS: dict[str, tuple[Callable[[Array], Any], list[float]]] = {
    "sum": (np.sum, [10.0]),
    "sum of rows": (lambda a: a.sum(axis=1), [3.0, 7.0]),
    "sum of columns": (lambda a: np.sum(a, axis=0), [4.0, 6.0]),
    "mean": (np.mean, [2.5]),
    "prod": (np.prod, [24.0]),
    "cumsum": (np.cumsum, [1.0, 3.0, 6.0, 10.0]),
    "dot": (lambda a: np.dot(a, a), [7.0, 10.0, 15.0, 22.0]),
    "matmul": (lambda a: np.matmul(a, a), [7.0, 10.0, 15.0, 22.0]),
    "outer": (lambda a: np.outer(a[0], a[1]), [3.0, 4.0, 6.0, 8.0]),
    "inner": (lambda a: np.inner(a[0], a[1]), [11.0]),
    "einsum": (lambda a: np.einsum("ij,ij->i", a, a), [5.0, 25.0]),
    "trace": (np.trace, [5.0]),
    "max": (np.max, [4.0]),
    "min": (np.min, [1.0]),
    "sort": (lambda a: np.sort(a.ravel()), [1.0, 2.0, 3.0, 4.0]),
    "argmax": (lambda a: np.argmax(a.ravel()), [3]),
    "diff": (np.diff, [1.0, 1.0]),
    "transpose": (np.transpose, [1.0, 3.0, 2.0, 4.0]),
}


@pytest.mark.parametrize("name", SUMS)
def test_functions_of_whole_arrays(name: str):
    compute, expected = SUMS[name]
    assert expected == data(compute(leaves(1.0, 2.0, 3.0, 4.0).reshape(2, 2)))


def test_a_sum_is_recorded_from_left_to_right():
    a, b, c = found = leaves(0.1, 0.2, 0.3)
    total = np.sum(found)
    assert (0.1 + 0.2) + 0.3 == total.data
    assert [*map(id, (a, b))] == [*map(id, total.operands[0].operands)]
    assert total.operands[1] is c


# Functions of NumPy, and the rows they come to.

FUNCTIONS: dict[str, tuple[str, list[float]]] = {
    "positive": ("pos", [-1.5, 0.0, 2.5]),
    "negative": ("neg", [-1.5, 0.0, 2.5]),
    "absolute": ("abs", [-1.5, 0.5, 2.5]),
    "abs": ("abs", [-1.5, 0.5, 2.5]),
    "square": ("mul", [-1.5, 0.5, 2.5]),
    "reciprocal": ("div", [-1.5, 0.5, 2.5]),
    "sqrt": ("sqrt", [0.25, 1.0, 2.0]),
    "cbrt": ("cbrt", [-8.0, 0.125, 2.0]),
    "exp": ("exp", [-1.5, 0.0, 2.5]),
    "expm1": ("expm1", [-1.5, 1e-9, 2.5]),
    "log": ("log", [0.25, 1.0, 2.5]),
    "log1p": ("log1p", [-0.5, 1e-9, 2.5]),
    "log2": ("log2", [0.25, 1.0, 3.0]),
    "log10": ("log10", [0.25, 1.0, 100.0]),
    "sin": ("sin", [-1.5, 0.0, 2.5]),
    "cos": ("cos", [-1.5, 0.0, 2.5]),
    "tan": ("tan", [-1.5, 0.0, 1.0]),
    "arcsin": ("asin", [-0.5, 0.0, 0.75]),
    "arccos": ("acos", [-0.5, 0.0, 0.75]),
    "arctan": ("atan", [-1.5, 0.0, 2.5]),
    "sinh": ("sinh", [-1.5, 0.0, 2.5]),
    "cosh": ("cosh", [-1.5, 0.0, 2.5]),
    "tanh": ("tanh", [-1.5, 0.0, 2.5]),
    "arcsinh": ("asinh", [-1.5, 0.0, 2.5]),
    "arccosh": ("acosh", [1.5, 2.0, 2.5]),
    "arctanh": ("atanh", [-0.5, 0.0, 0.75]),
    "floor": ("floor", [-1.5, 0.0, 2.5]),
    "ceil": ("ceil", [-1.5, 0.0, 2.5]),
    "rint": ("round", [-1.5, 0.5, 2.5]),
    "round": ("round", [-1.5, 0.5, 2.5]),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_numpy(name: str):
    function, (row, numbers) = getattr(np, name), FUNCTIONS[name]
    result = function(leaves(*numbers))
    assert [row] * 3 == rows(result)
    assert pytest.approx(function(np.array(numbers)).tolist(), rel=1e-15) == data(result)
    single = function(Value(numbers[2]))
    assert (Value, row, data(result)[2]) == (type(single), single.op.name, single.data)


@pytest.mark.parametrize(("name", "row"), [("arctan2", "atan2"), ("hypot", "hypot")])
def test_functions_of_numpy_of_two_operands(name: str, row: str):
    function = getattr(np, name)
    for other in (leaves(*RIGHT), np.array(RIGHT), 2.0, Value(2.0)):
        result = function(leaves(*LEFT), other)
        assert [row] * 3 == rows(result)
        numbers = np.broadcast_to(np.array(data(other)), 3).astype(float)
        assert pytest.approx(function(np.array(LEFT), numbers).tolist(), rel=1e-15) == data(result)


@pytest.mark.parametrize(("name", "row"), [("add", "add"), ("power", "pow"), ("divide", "div")])
def test_numpys_functions_of_arithmetic(name: str, row: str):
    assert [row] * 3 == rows(getattr(np, name)(leaves(*LEFT), leaves(*RIGHT)))


def test_the_square_of_an_array_of_values():
    assert [9.0, 0.25, 3.0625] == data(leaves(*LEFT) ** 2)
    x = Value(3.0)
    (np.array([x]) ** 2)[0].backward()
    assert 6.0 == x.grad


def test_the_sign_of_an_array_is_made_of_numbers():
    assert [-1, 0, 1] == np.sign(leaves(-2.0, 0.0, 3.0)).tolist()


def test_maximum_and_minimum_choose_one_of_the_operands():
    a, b = leaves(*LEFT), leaves(*RIGHT)
    assert [*map(id, [a[0], b[1], a[2]])] == [*map(id, np.maximum(a, b))]
    assert [*map(id, [b[0], a[1], b[2]])] == [*map(id, np.minimum(a, b))]


def test_comparisons_of_arrays_are_boolean():
    a = leaves(1.0, 2.0, 3.0)
    for mask in (a > 2, a >= Value(3.0), a == np.array([0.0, 0.0, 3.0])):
        assert bool == mask.dtype
        assert [False, False, True] == mask.tolist()
    assert [3.0] == data(a[a > 2])
    assert [1.0, 2.0, 0.0] == data(np.where(a > 2, 0.0, a))


def test_gradients_flow_through_arrays():
    x, y = values(x=0.5, y=-2.0)
    a = np.array([x, y])
    np.sum(np.exp(a) * np.arctan2(a, 2.0) + np.tanh(a) ** 2).backward()
    assert pytest.approx([slope(0.5), slope(-2.0)], rel=1e-14) == [x.grad, y.grad]


def slope(x: float) -> float:
    """d/dx of exp(x) atan2(x, 2) + tanh(x)²."""
    angle = math.exp(x) * (math.atan2(x, 2.0) + 2.0 / (x * x + 4.0))
    return angle + 2.0 * math.tanh(x) * (1.0 - math.tanh(x) ** 2)


# What would lose the gradient.


@pytest.mark.parametrize(
    "lose",
    [
        lambda a: a.astype(float),
        lambda a: np.array(a, dtype=np.float32),
        lambda a: np.array([*a], dtype=float),
        lambda a: np.float64(a[0]),
        lambda a: np.zeros(3).__setitem__(0, a[0]),
    ],
)
def test_a_float_array_takes_no_value(lose: Callable[[Array], Any]):
    with pytest.raises((TypeError, ValueError)) as error:
        lose(leaves(*LEFT))
    reasons = [error.value, error.value.__cause__]
    assert any("v.item()" in str(reason) for reason in reasons)


def test_an_array_of_values_is_an_object_array():
    for array in (np.array([Value(1.0)]), np.asarray([[Value(1.0), 2.0]]), np.array(Value(1.0))):
        assert object == array.dtype
        assert all(isinstance(x, Value) for x in array.ravel()[:1])
