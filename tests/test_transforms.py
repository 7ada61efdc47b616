"""Gradients, Jacobians and their products: against closed forms, mpmath and each other."""

import math
import threading
from collections.abc import Callable
from functools import reduce
from itertools import product
from typing import Any, NamedTuple

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import Recipe, build, smooth_graphs

import autograd as ag
from autograd import (
    Value,
    grad,
    graph,
    hessian,
    hvp,
    jacobian,
    jvp,
    modes,
    value_and_grad,
    vjp,
)


class Point(NamedTuple):
    x: Any
    y: Any


def same(expected: Any, actual: Any) -> bool:
    """Whether two structures are of the same types and hold the same numbers, to the last bit."""
    if type(expected) is not type(actual):
        return False
    if isinstance(expected, np.ndarray):
        return expected.dtype == actual.dtype and np.array_equal(expected, actual)
    if isinstance(expected, dict):
        return expected.keys() == actual.keys() and all(
            same(expected[key], actual[key]) for key in expected
        )
    if isinstance(expected, (list, tuple)):
        return len(expected) == len(actual) and all(map(same, expected, actual))
    return expected == actual


def close(expected: Any, actual: Any, tolerance: float = 1e-12) -> bool:
    """Whether arrays agree, relative to the largest number that is expected."""
    expected, actual = np.asarray(expected), np.asarray(actual)
    scale = float(np.max(np.abs(expected), initial=1.0))
    return np.shape(expected) == np.shape(actual) and bool(
        np.all(np.abs(expected - actual) <= tolerance * scale)
    )


# Closed forms.

GRADIENTS: dict[str, tuple[Callable[..., Any], tuple[Any, ...], Any]] = {
    "square": (lambda x: x * x, (3.0,), 6.0),
    "int": (lambda x: x**3, (2,), 12.0),
    "numpy scalar": (lambda x: x**3, (np.float32(2.0),), 12.0),
    "identity": (lambda x: x, (7.0,), 1.0),
    "same operand": (lambda x: x + x + x, (7.0,), 3.0),
    "first of two": (lambda x, y: x * y, (3.0, 4.0), 4.0),
    "constant": (lambda _: 5.0, (1.0,), 0.0),
    "constant Value": (lambda _: Value(5.0), (1.0,), 0.0),
    "rest unused": (lambda x, *_: x * 2.0, (1.0, "text", None), 2.0),
    "list": (lambda p: p[0] * p[0] * p[1], ([3.0, 4.0],), [24.0, 9.0]),
    "tuple": (lambda p: p[0] / p[1], ((3.0, 4.0),), (0.25, -0.1875)),
    "dict": (lambda p: p["w"] * 2.0 + p["b"], ({"w": 1.0, "b": 2.0},), {"w": 2.0, "b": 1.0}),
    "named tuple": (lambda p: p.x - p.y * 3.0, (Point(1.0, 2.0),), Point(1.0, -3.0)),
    "nested": (
        lambda p: p["a"][0].x * p["a"][1] + p["b"][0],
        ({"a": [Point(2.0, 3.0), 4.0], "b": (5.0,)},),
        {"a": [Point(4.0, 0.0), 2.0], "b": (1.0,)},
    ),
    "vector": (lambda x: np.sum(x * x), (np.array([1.0, 2.0]),), np.array([2.0, 4.0])),
    "int vector": (lambda x: x @ x, (np.array([1, 2]),), np.array([2.0, 4.0])),
    "matrix": (lambda x: ag.sum(x @ x), (np.eye(2),), np.full((2, 2), 2.0)),
    "scalar array": (lambda x: x * x, (np.array(3.0),), np.array(6.0)),
    "empty list": (lambda _: 1.0, ([],), []),
    "empty array": (ag.sum, (np.zeros((0, 2)),), np.zeros((0, 2))),
    "array in dict": (
        lambda p: ag.dot(p["w"], [1.0, 2.0]) + p["b"],
        ({"w": np.array([3.0, 4.0]), "b": 1.0},),
        {"w": np.array([1.0, 2.0]), "b": 1.0},
    ),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_the_gradient_is_the_closed_form(name: str):
    f, args, expected = GRADIENTS[name]
    assert same(expected, grad(f)(*args))
    value, gradient = value_and_grad(f)(*args)
    assert same(expected, gradient)
    assert type(value) is float
    assert same((expected,), vjp(lambda x: f(x, *args[1:]), args[0])[1](1.0))


ARGNUMS = [
    (0, 12.0),
    (1, 8.0),
    (-1, 6.0),
    ((0,), (12.0,)),
    ((0, 2), (12.0, 6.0)),
    ((2, 0), (6.0, 12.0)),
    ((-1, -2), (6.0, 8.0)),
    ((), ()),
]


@pytest.mark.parametrize(("argnums", "expected"), ARGNUMS)
def test_argnums_choose_the_arguments(argnums: Any, expected: Any):
    def f(x: Any, y: Any, z: Any) -> Any:
        return x * y * z

    args = (2.0, 3.0, 4.0)
    assert expected == grad(f, argnums)(*args)
    assert (24.0, expected) == value_and_grad(f, argnums)(*args)
    assert expected == jacobian(f, argnums)(*args)


def test_hessian_by_two_arguments_has_four_blocks():
    def f(x: Any, y: Any) -> Any:
        return x[0] ** 2 * x[1] * y

    expected = ([([30.0, 10.0], 6.0), ([10.0, 0.0], 1.0)], ([6.0, 1.0], 0.0))
    assert expected == hessian(f, (0, 1))([1.0, 3.0], 5.0)
    blocks = (
        (np.array([[30.0, 10.0], [10.0, 0.0]]), np.array([6.0, 1.0])),
        (np.array([6.0, 1.0]), 0.0),
    )
    assert same(blocks, hessian(f, (0, 1))(np.array([1.0, 3.0]), 5.0))


def test_aux_comes_back_beside_the_gradient():
    def f(x: Any) -> Any:
        y = x * x
        return y, {"twice": [y * 2.0, "text", None], "array": np.array([y, 1.0]), "at": Point(y, 1)}

    aux = {"twice": [18.0, "text", None], "array": np.array([9.0, 1.0]), "at": Point(9.0, 1)}
    assert same((6.0, aux), grad(f, has_aux=True)(3.0))
    assert same(((9.0, aux), 6.0), value_and_grad(f, has_aux=True)(3.0))


def test_aux_stays_in_the_graph_inside_another_transform():
    def outer(x: Any) -> Any:
        _, aux = grad(lambda y: (y * y, y * y * y), has_aux=True)(x)
        return aux

    assert 12.0 == grad(outer)(2.0)


def test_keyword_arguments_pass_through_untouched():
    scale = object()

    def f(x: Any, *, factor: float, tag: object) -> Any:
        assert tag is scale
        assert type(factor) is int
        return x * x * factor

    assert 30.0 == grad(f)(5.0, factor=3, tag=scale)
    assert (75.0, 30.0) == value_and_grad(f)(5.0, factor=3, tag=scale)
    assert 30.0 == jacobian(f)(5.0, factor=3, tag=scale)
    assert 6.0 == hessian(f)(5.0, factor=3, tag=scale)


@pytest.mark.parametrize("transform", [grad, value_and_grad, jacobian, hessian])
def test_the_result_wraps_the_function(transform: Callable[..., Any]):
    def loss(x: Any) -> Any:
        """How far it is off."""
        return x

    assert ("loss", loss.__doc__) == (transform(loss).__name__, transform(loss).__doc__)


# Jacobians: the structure of the output, with that of the input at each leaf.

X = np.array([2.0, 3.0])
JACOBIANS: dict[str, tuple[Callable[..., Any], Any, Any]] = {
    "number by number": (lambda x: x * 3.0, 2.0, 3.0),
    "list by number": (lambda x: [x, x * x], 3.0, [1.0, 6.0]),
    "number by list": (lambda x: x[0] * x[1], [2.0, 3.0], [3.0, 2.0]),
    "list by list": (
        lambda x: [x[0] * x[1], x[0] + x[1], x[1]],
        [2.0, 3.0],
        [[3.0, 2.0], [1.0, 1.0], [0.0, 1.0]],
    ),
    "vector by vector": (
        lambda x: np.array([x[0] * x[1], x[0], 5.0]),
        X,
        np.array([[3.0, 2.0], [1.0, 0.0], [0.0, 0.0]]),
    ),
    "number by vector": (lambda x: x[0] * x[1], X, np.array([3.0, 2.0])),
    "vector by number": (lambda x: X * x, 1.0, X),
    "list by vector": (
        lambda x: [x[0], x[1] * 2.0],
        X,
        [np.array([1.0, 0.0]), np.array([0.0, 2.0])],
    ),
    "vector by list": (lambda x: X * x[0] + x[1], [1.0, 1.0], [X, np.array([1.0, 1.0])]),
    "matrix by vector": (
        lambda x: np.outer(x, [1.0, 0.0]),
        X,
        np.eye(4).reshape(2, 2, 4)[:, :, ::2],
    ),
    "dict by dict": (
        lambda p: {"a": p["x"] * p["y"], "b": (p["x"],)},
        {"x": 2.0, "y": 3.0},
        {"a": {"x": 3.0, "y": 2.0}, "b": ({"x": 1.0, "y": 0.0},)},
    ),
    "named tuple of mixed": (
        lambda p: Point(p.x * p.y, p.y),
        Point(X, 2.0),
        Point(Point(2.0 * np.eye(2), X), Point(np.zeros(2), 1.0)),
    ),
    "constants": (lambda _: [1, Value(2.0)], 3.0, [0.0, 0.0]),
    "twice the same": (lambda x: [y := x * x, y], 3.0, [6.0, 6.0]),
    "no output": (lambda _: [], [1.0], []),
    "empty vector": (lambda x: x, np.zeros(0), np.zeros((0, 0))),
}


@pytest.mark.parametrize("name", JACOBIANS)
def test_jacobians_have_the_structure_of_output_and_input(name: str):
    f, x, expected = JACOBIANS[name]
    assert same(expected, jacobian(f)(x))


def test_the_jacobian_has_a_row_for_each_output():
    assert (3, 2) == np.shape(jacobian(lambda x: [x[0], x[1], x[0] * x[1]])([1.0, 2.0]))
    assert (3, 4, 2, 5) == jacobian(lambda x: np.ones((3, 2)) @ x[:, :4])(np.ones((2, 5))).shape


def test_the_hessian_of_an_array_has_its_shape_twice():
    expected = np.zeros((2, 2, 2, 2))
    expected[[0, 0, 1, 1], [0, 1, 0, 1], [0, 0, 1, 1], [0, 1, 0, 1]] = [6.0, 12.0, 18.0, 24.0]
    assert same(expected, hessian(lambda x: ag.sum(x**3))(np.array([[1.0, 2.0], [3.0, 4.0]])))


# Products.


def test_jvp_gives_the_output_and_its_tangent():
    def f(x: Any, y: Any) -> Any:
        return {"product": x * y["a"], "rest": [y["b"], 7, x]}

    actual = jvp(f, (2.0, {"a": 3.0, "b": np.array([1.0])}), [1.0, {"a": 10.0, "b": np.ones(1)}])
    value = {"product": 6.0, "rest": [np.array([1.0]), 7.0, 2.0]}
    tangent = {"product": 23.0, "rest": [np.array([1.0]), 0.0, 1.0]}
    assert same((value, tangent), actual)


def test_vjp_gives_the_output_and_pulls_cotangents_back():
    output, vjp_fn = vjp(lambda x, y: (x * y, [y, y, 7]), 2.0, 3.0)
    assert same((6.0, [3.0, 3.0, 7.0]), output)
    assert same((3.0, 2.0), vjp_fn((1.0, [0.0, 0.0, 0.0])))
    assert same((0.0, 111.0), vjp_fn((0, [1, 110, 1000])))
    assert same((30.0, 21.0), vjp_fn([10.0, np.array([0.0, 1.0, 0.0])]))
    assert same(({"a": 1.0, "b": 0.0},), vjp(lambda p: [p["a"]], {"a": 2.0, "b": 3.0})[1]([1.0]))
    assert same((5.0, ()), (vjp(lambda: 5, *())[0], vjp(lambda: 5)[1](1.0)))


def test_a_structure_may_come_in_another_order_of_keys():
    x, v = {"a": 2.0, "b": 3.0}, {"b": 10.0, "a": 1.0}
    assert 2.0 * 10.0 + 3.0 == jvp(lambda p: p["a"] * p["b"], (x,), (v,))[1]


def test_hvp_is_the_hessian_times_the_vector():
    def f(p: Any) -> Any:
        return p["x"][0] ** 3 * p["x"][1] + ag.sin(p["y"]) * p["x"][0]

    x = {"x": np.array([2.0, 3.0]), "y": 0.5}
    actual = hvp(f, x, {"x": np.array([1.0, 10.0]), "y": 100.0})
    assert close([36.0 + 120.0 + 100.0 * math.cos(0.5), 12.0], actual["x"])
    assert close(math.cos(0.5) - 200.0 * math.sin(0.5), actual["y"])


# Nested: every sequence of forward and reverse, up to the third order.


def reverse(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return grad(f)


def forward(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: jvp(f, (x,), (1.0,))[1]


def by_rows(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: jacobian(lambda xs: [f(xs[0])])([x])[0][0]


def by_cotangent(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: vjp(f, x)[1](1.0)[0]


DERIVATIVES = (reverse, forward, by_rows, by_cotangent)
NESTINGS = [path for order in (1, 2, 3) for path in product(DERIVATIVES, repeat=order)]

CURVES: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any], float]] = {
    "x^5": (lambda x: x**5.0, lambda x: x**5, 1.5),
    "sin exp": (lambda x: ag.sin(ag.exp(x)), lambda x: mpmath.sin(mpmath.exp(x)), 0.7),
    "tanh": (lambda x: ag.tanh(x * 2.0) / x, lambda x: mpmath.tanh(2 * x) / x, 0.6),
    "x^x": (lambda x: x**x, lambda x: x**x, 1.3),
    "log sqrt": (lambda x: ag.log(x) * ag.sqrt(x), lambda x: mpmath.log(x) * mpmath.sqrt(x), 2.5),
}


@pytest.mark.parametrize("name", CURVES)
def test_derivatives_nest_in_any_way(name: str):
    f, exact, x = CURVES[name]
    with mpmath.workdps(50):
        expected = [float(mpmath.diff(exact, mpmath.mpf(x), order)) for order in range(4)]
    for path in NESTINGS:
        derivative = reduce(lambda inner, transform: transform(inner), path, f)
        actual = derivative(x)
        assert type(actual) is float
        assert close(expected[len(path)], actual), path


def test_a_hessian_goes_through_an_inner_gradient():
    def f(x: Any) -> Any:
        inner = grad(lambda y: y[0] ** 2 * y[1] * x[0])(x)  # [2·x0²·x1, x0³]
        return inner[0] + inner[1]

    x, y = 2.0, 3.0
    assert [[4.0 * y + 6.0 * x, 4.0 * x], [4.0 * x, 0.0]] == hessian(f)([x, y])


def test_gradient_descent_differentiates_through_its_steps():
    def trained(rate: Any) -> Any:
        w = 1.0
        for _ in range(3):
            w = w - rate * grad(lambda w: w * w)(w)
        return w  # (1 - 2 rate)³

    assert close(-6.0 * (1.0 - 0.2) ** 2, grad(trained)(0.1))


# Perturbation confusion (Siskind & Pearlmutter, 2005): an inner derivative must not see the outer
# use of a Value.

X0 = 2.0
CONFUSIONS: dict[str, tuple[float, Callable[[], float]]] = {
    "grad in grad": (1.0, lambda: grad(lambda x: x * grad(lambda y: x + y)(1.0))(X0)),
    "at the outer": (1.0, lambda: grad(lambda x: grad(lambda y: x + y)(x) * x)(X0)),
    "product at the outer": (1.0, lambda: grad(lambda x: grad(lambda y: x * y)(x))(X0)),
    "square at the outer": (4.0 * X0, lambda: grad(lambda x: x * grad(lambda y: y * y)(x))(X0)),
    "jvp in jvp": (1.0, lambda: forward(lambda x: x * forward(lambda y: x + y)(1.0))(X0)),
    "jvp in grad": (1.0, lambda: grad(lambda x: x * forward(lambda y: x + y)(1.0))(X0)),
    "grad in jvp": (1.0, lambda: forward(lambda x: x * grad(lambda y: x + y)(1.0))(X0)),
    "jvp at the outer": (1.0, lambda: forward(lambda x: forward(lambda y: x * y)(x))(X0)),
    "outer as tangent": (
        2.0 * X0,
        lambda: grad(lambda x: jvp(lambda y: x * y, (3.0,), (x,))[1])(X0),
    ),
    "outer as cotangent": (
        2.0 * X0,
        lambda: grad(lambda x: vjp(lambda y: x * y, 3.0)[1](x)[0])(X0),
    ),
    "outer twice": (0.0, lambda: grad(lambda x: grad(lambda y: y[0] - y[1])([x, x])[0] * 3.0)(X0)),
    "outer output": (0.0, lambda: grad(lambda x: grad(lambda _: x * x)(1.0))(X0)),
    "value of inner": (2.0 * X0, lambda: grad(lambda x: value_and_grad(lambda y: y * y)(x)[0])(X0)),
    "three deep": (
        6.0,
        lambda: grad(lambda x: grad(lambda y: grad(lambda z: x * y * z * z)(x))(1.0))(1.5),
    ),
}


@pytest.mark.parametrize("name", CONFUSIONS)
def test_an_inner_derivative_does_not_see_the_outer(name: str):
    expected, actual = CONFUSIONS[name]
    assert expected == actual()


# Random programs.


def program(recipe: Recipe, outputs: int) -> Callable[[Any], list[Any]]:
    return lambda xs: build(recipe, xs)[-outputs:]


vectors = st.lists(st.floats(-2.0, 2.0), min_size=5, max_size=5)


@settings(max_examples=100, deadline=None)
@given(smooth_graphs(max_steps=12), vectors, vectors)
def test_jacobian_rows_are_pulled_back_and_columns_pushed_forward(
    recipe: Recipe, v: list[float], u: list[float]
):
    f, x = program(recipe, 3), [*recipe.leaves]
    matrix = np.array(jacobian(f)(x))
    outputs, vjp_fn = vjp(f, x)
    rows = [vjp_fn([*row])[0] for row in np.eye(len(outputs))]
    assert rows == matrix.tolist()
    columns = [jvp(f, (x,), ([*column],))[1] for column in np.eye(len(x))]
    assert close(matrix, np.transpose(columns))
    v, u = v[: len(x)], u[: len(outputs)]
    scale = float(np.abs(matrix).sum())
    assert close(matrix @ v, jvp(f, (x,), (v,))[1], 1e-12 * (1.0 + scale))
    assert close(u @ matrix, vjp_fn(u)[0], 1e-12 * (1.0 + scale))


@settings(max_examples=60, deadline=None)
@given(smooth_graphs(max_steps=10, max_leaves=3), vectors)
def test_hessians_are_symmetric_and_hvp_multiplies_by_them(recipe: Recipe, v: list[float]):
    def f(xs: Any) -> Any:
        return program(recipe, 1)(xs)[0]

    x = [*recipe.leaves]
    matrix = np.array(hessian(f)(x))
    scale = 1.0 + float(np.abs(matrix).sum())
    assert close(matrix, matrix.T, 1e-9)
    assert close(matrix @ v[: len(x)], hvp(f, x, v[: len(x)]), 1e-9 * scale)
    forward_rows = [jvp(grad(f), (x,), ([*row],))[1] for row in np.eye(len(x))]
    assert close(matrix, forward_rows, 1e-9)


@settings(max_examples=100, deadline=None)
@given(smooth_graphs(max_steps=20))
def test_gradients_equal_those_of_backward(recipe: Recipe):
    leaves = [Value(x) for x in recipe.leaves]
    build(recipe, leaves)[-1].backward()
    actual = grad(lambda xs: program(recipe, 1)(xs)[0])([*recipe.leaves])
    assert [leaf.grad for leaf in leaves] == actual


# What comes in, what comes out.


@pytest.mark.parametrize(
    "call",
    [
        lambda v: grad(lambda x: x**3)(v),
        lambda v: value_and_grad(lambda x: x**3)(v)[1],
        lambda v: value_and_grad(lambda x: x**3)(v)[0],
        lambda v: grad(lambda x: (x**2, [x**3]), has_aux=True)(v)[1][0],
        lambda v: grad(lambda x, w: w["w"] * x * x * 1.5)(3.0, {"w": v}),
        lambda v: grad(lambda x, w: w * x * x * 1.5)(3.0, w=v),
        lambda v: jacobian(lambda x: [x**3])(v)[0],
        lambda v: jvp(lambda x: x**3, (v,), (1.0,))[1],
        lambda v: jvp(lambda x: x * x * 4.5, (1.0,), (v,))[1],
        lambda v: vjp(lambda x: x**3, v)[1](1.0)[0],
        lambda v: vjp(lambda x: x * x * 4.5, 1.0)[1](v)[0],
        lambda v: hvp(lambda x: x**4 * 0.25, v, 1.0),
        lambda v: grad(lambda x: ag.sum(x**3))(np.array([v, 1.0]))[0],
    ],
)
def test_values_give_values_through_which_gradients_flow(call: Callable[[Value], Value]):
    v = Value(3.0)
    actual = call(v)
    assert (Value, 27.0) == (type(actual), actual.data)
    with ag.no_grad():
        constant = call(v)
    assert (27.0, False, ()) == (constant.data, constant.requires_grad, constant.operands)
    assert 0.0 == v.grad
    actual.backward()
    assert v.grad != 0.0


def test_values_that_require_no_gradient_are_differentiated_nevertheless():
    v = Value(3.0, requires_grad=False)
    seen: list[float] = []

    def f(x: Any) -> Any:
        y = x * x
        seen.append(y.gradient(x))
        return y

    assert 6.0 == grad(f)(v).data
    assert [6.0] == seen


def test_labels_come_along():
    labels: list[str | None] = []
    grad(lambda x: (labels.append(x.label), x)[1])(Value(1.0, "w"))
    assert ["w"] == labels


def test_recording_is_on_inside_and_as_before_outside():
    with ag.no_grad():
        assert 12.0 == grad(grad(lambda x: x**3))(2.0)
        assert 4.0 == jvp(lambda x: x * x, (2.0,), (1.0,))[1]
        output, vjp_fn = vjp(lambda x: x * x, 2.0)
        assert (4.0, (4.0,)) == (output, vjp_fn(1.0))
        assert (Value(2.0) * 2.0).operands == ()
    assert len((Value(2.0) * 2.0).operands) == 2


def test_no_grad_inside_makes_constants():
    def f(x: Any) -> Any:
        with ag.no_grad():
            scale = x * x
            slope = grad(lambda y: y**3)(x)
        return x * scale + slope

    assert 4.0 == grad(f)(2.0)


def test_closed_over_values_keep_their_grad():
    w = Value(3.0)
    w.grad = 0.25

    def f(x: Any) -> Any:
        return w * x * x

    assert 12.0 == grad(f)(2.0)
    assert 6.0 == hessian(f)(2.0)
    assert 12.0 == jvp(f, (2.0,), (1.0,))[1]
    assert (12.0,) == vjp(f, 2.0)[1](1.0)
    assert 6.0 == hvp(f, 2.0, 1.0)
    assert 0.25 == w.grad


def test_a_value_passed_in_keeps_its_grad_and_its_flags():
    v = Value(3.0, requires_grad=False)
    grad(grad(lambda x: x**3))(v)
    assert (0.0, False) == (v.grad, v.requires_grad)


def test_the_depth_is_restored_after_an_error():
    def f(_: Any) -> Any:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        grad(grad(f))(1.0)
    assert 0 == modes.thread.transforms
    assert type(grad(lambda x: x)(1.0)) is float


def test_threads_do_not_see_each_other():
    inside, outside = threading.Event(), threading.Event()
    found: list[Any] = []

    def waits(x: Any) -> Any:
        inside.set()
        assert outside.wait(10.0)
        return x * x

    def other() -> None:
        assert inside.wait(10.0)
        found.append(grad(grad(lambda x: x**3))(2.0))
        outside.set()

    thread = threading.Thread(target=other)
    thread.start()
    assert 6.0 == grad(waits)(3.0)
    thread.join()
    assert same([12.0], found)


def test_many_threads_find_the_same_gradients():
    expected = [grad(grad(lambda x: ag.sin(x) * x))(x / 7.0) for x in range(40)]
    found: dict[int, list[float]] = {}

    def work(k: int) -> None:
        found[k] = [grad(grad(lambda x: ag.sin(x) * x))(x / 7.0) for x in range(40)]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [expected] * 8 == [found[k] for k in range(8)]


# Size.


def test_deep_functions_are_no_deep_recursion():
    def f(x: Any) -> Any:
        for _ in range(20_000):
            x = -x
        return x * x

    assert (6.0, 2.0) == (grad(f)(3.0), hvp(f, 3.0, 1.0))


@pytest.mark.parametrize("derivative", DERIVATIVES)
def test_an_inner_derivative_does_not_walk_the_outer_graph(
    derivative: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
):
    walked: list[int] = []
    operations = graph.operations

    def counted(*roots: Value, **limits: Any) -> list[Value]:
        found = operations(*roots, **limits)
        walked.append(len(found))
        return found

    monkeypatch.setattr(graph, "operations", counted)

    def descent(x: Any) -> Any:
        for _ in range(100):
            x = x - 0.1 * derivative(lambda y: y * y)(x)
        return x

    assert close(0.8**100, grad(descent)(1.0))
    assert set(walked[:100]) <= {2}


# Errors.

ERRORS: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "list": (
        lambda: grad(lambda x: [x])(1.0),
        TypeError,
        "one number, received the list .* jacobian",
    ),
    "array": (lambda: grad(lambda x: x)(X), TypeError, "one number, received the ndarray"),
    "nothing": (lambda: grad(lambda _: None)(1.0), TypeError, "received the NoneType None"),
    "text": (lambda: grad(lambda x: x)("a"), TypeError, r"args\[0\] must be .* the str 'a'"),
    "place": (
        lambda: grad(lambda _: 1.0, 1)(1, [2, "b"]),
        TypeError,
        r"args\[1\]\[1\] must .* 'b'",
    ),
    "complex": (lambda: grad(lambda x: x)(1j), TypeError, "complex 1j"),
    "no function": (lambda: grad(3.0), TypeError, "f must be a function, received 3.0"),
    "no function jvp": (lambda: jvp(3.0, (), ()), TypeError, "f must be a function, received 3.0"),
    "no function vjp": (lambda: vjp(3.0), TypeError, "f must be a function, received 3.0"),
    "argnums text": (lambda: grad(abs, "x"), TypeError, "argnums must be .* received 'x'"),
    "argnums float": (lambda: jacobian(abs, (0, 1.0)), TypeError, r"received \(0, 1.0\)"),
    "argnums big": (
        lambda: grad(abs, 1)(1.0),
        ValueError,
        r"argnums=1 .* 1 were given, .*\[-1, 0\]",
    ),
    "argnums small": (lambda: hessian(abs, -2)(1.0), ValueError, r"argnums=-2 .*\[-1, 0\]"),
    "argnums none": (lambda: grad(abs)(), ValueError, r"0 were given, so that \[\] are allowed"),
    "aux": (
        lambda: grad(abs, has_aux=True)(1.0),
        TypeError,
        r"pair \(output, aux\), received Value",
    ),
    "jacobian of text": (lambda: jacobian(lambda _: "a")(1.0), TypeError, "output must .* 'a'"),
    "primals": (lambda: jvp(abs, 1.0, (1.0,)), TypeError, "primals must be a tuple or list.* 1.0"),
    "tangents few": (
        lambda: jvp(abs, (1.0,), ()),
        ValueError,
        r"tangents must have the structure of primals, missing \['tangents\[0\]'\]",
    ),
    "tangents many": (
        lambda: jvp(abs, (1.0,), (1.0, 2.0)),
        ValueError,
        r"expecting \['tangents\[1\]'\]",
    ),
    "tangents keys": (
        lambda: jvp(abs, ({"a": 1.0},), ({"b": 1.0},)),
        ValueError,
        r"missing \[\"tangents\[0\]\['a'\]\"\], not expecting \[\"tangents\[0\]\['b'\]\"\]",
    ),
    "tangents shape": (lambda: jvp(abs, (X,), (np.ones(3),)), ValueError, r"tangents\[0\]\[2\]"),
    "tangents text": (
        lambda: jvp(abs, (1.0,), ("a",)),
        TypeError,
        r"tangents\[0\] must be a number",
    ),
    "v": (lambda: hvp(abs, [1.0], 1.0), ValueError, r"v must have the structure of x, .*'v\[0\]'"),
    "cotangent": (
        lambda: vjp(lambda x: [x, x], 1.0)[1]([1.0]),
        ValueError,
        r"cotangent must have the structure of the output, missing \['cotangent\[1\]'\]",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_say_what_is_wrong(name: str):
    call, error, text = ERRORS[name]
    with pytest.raises(error, match=text):
        call()


def test_a_stale_graph_raises():
    w = Value(3.0)

    def f(x: Any) -> Any:
        y = w * x
        w.data = 4.0
        return y

    with pytest.raises(ag.StaleGraphError, match=r"leaf = 4\.0 was written after mul = 6\.0"):
        grad(f)(2.0)
