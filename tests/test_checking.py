"""`gradcheck`: it accepts what is right, everywhere, and finds what is wrong, by name."""

import math
import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import Recipe, build, domain_point, smooth_graphs

import autograd as ag
from autograd import GradcheckError, Value, functional, grad, gradcheck
from autograd.ops import TABLE, Op

pure_only = pytest.mark.skipif(
    ag.engine == "native", reason="the native engine has compiled the derivatives of the table in"
)


@contextmanager
def planted(name: str, slot: int, wrong: Callable[[float], float]) -> Iterator[None]:
    """A table with something else for one local derivative."""
    row = TABLE[name]
    rules = row.rules
    right = rules[slot]
    changed = [*rules]
    changed[slot] = lambda x, y, z: wrong(right(x, y, z))
    row.rules = tuple(changed)
    try:
        yield
    finally:
        row.rules = rules


def complaint(f: Callable[..., Any], args: tuple[Any, ...], **options: Any) -> str:
    """What gradcheck says where it finds fault."""
    with pytest.raises(GradcheckError) as raised:
        gradcheck(f, args, **options)
    return str(raised.value)


rows = pytest.mark.parametrize("row", TABLE.values(), ids=str)


# Nothing right is called wrong.


@rows
def test_every_row_is_right_over_its_domain(row: Op):
    @settings(max_examples=12, deadline=None)
    @given(domain_point(row))
    def check(point: tuple[float, ...]):
        assert gradcheck(getattr(functional, row.name), point, order=2)

    check()


@settings(max_examples=50, deadline=None)
@given(smooth_graphs(max_steps=40))
def test_random_programs_are_right(recipe: Recipe):
    assert gradcheck(lambda *xs: build(recipe, xs)[-1], recipe.leaves)


@settings(max_examples=30, deadline=None)
@given(smooth_graphs(max_steps=12, max_leaves=3))
def test_random_programs_are_right_to_second_order(recipe: Recipe):
    assert gradcheck(lambda *xs: build(recipe, xs)[-1], recipe.leaves, order=2)


@settings(max_examples=50, deadline=None)
@given(
    smooth_graphs(max_steps=12, max_leaves=3),
    st.integers(-8, 8),
    st.integers(-8, 8),
    st.sampled_from([1.0, 10.0, 50.0]),
    st.booleans(),
)
def test_random_programs_are_right_at_any_scale(
    recipe: Recipe, inner: int, outer: int, curvature: float, shifted: bool
):
    x_scale, y_scale = 10.0**inner, 10.0**outer
    shift = 1e6 * y_scale * shifted  # adding it and taking it away again rounds off six digits

    def f(*xs: Any) -> Any:
        y = build(recipe, [x / x_scale for x in xs])[-1]
        return ag.sin(curvature * y) * y_scale + shift - shift

    assert gradcheck(f, tuple(x * x_scale for x in recipe.leaves))


POINTS: dict[str, tuple[Callable[..., Any], list[tuple[float, ...]]]] = {
    # kinks and jumps
    "relu": (ag.relu, [(0.0,), (-0.0,), (5e-324,), (1e-300,), (-1e-12,)]),
    "abs": (abs, [(0.0,), (-0.0,)]),
    "sign": (ag.sign, [(0.0,)]),
    "step": (ag.step, [(0.0,)]),
    "leaky_relu": (ag.leaky_relu, [(0.0, 0.1)]),
    "elu": (ag.elu, [(0.0, 1.0), (0.0, 0.5), (0.0, 0.0)]),
    "maximum": (ag.maximum, [(1.0, 1.0), (0.0, -0.0), (1e8, 1e8), (1e-8, 1e-8)]),
    "minimum": (ag.minimum, [(1.0, 1.0), (-3.0, -3.0)]),
    "less": (ag.less, [(1.0, 1.0)]),
    "equal": (ag.equal, [(1.0, 1.0)]),
    "floor": (ag.floor, [(0.0,), (3.0,), (-2.0,), (8.0009765625,), (1e9,)]),
    "ceil": (ag.ceil, [(0.0,), (3.0,)]),
    "round": (ag.round, [(0.5,), (1.5,), (2.0,)]),
    "kink in a program": (lambda x: ag.exp(abs(x - 1.0) * 3.0) + x, [(1.0,)]),
    "kink at π": (lambda x: abs(ag.sin(x)), [(math.pi,)]),
    # edges of a domain, infinite slopes
    "sqrt": (ag.sqrt, [(0.0,), (5e-324,), (1e-300,), (1e300,)]),
    "cbrt": (ag.cbrt, [(0.0,), (-1e-300,)]),
    "asin": (ag.asin, [(1.0,), (-1.0,), (1.0 - 2.0**-53,)]),
    "acos": (ag.acos, [(1.0,), (-1.0,)]),
    "acosh": (ag.acosh, [(1.0,)]),
    "root of a sum": (lambda x, y: ag.sqrt(x - y), [(3.0, 3.0)]),
    "power at 0": (ag.pow, [(0.0, 0.5), (0.0, 1.0), (0.0, 2.0), (0.0, 3.0), (0.0, 0.0)]),
    "x**1.5": (lambda x: x**1.5, [(0.0,)]),
    "slow limit": (lambda x: x - x**1.2, [(0.0,)]),
    "log": (ag.log, [(5e-324,), (1e-300,), (1e300,)]),
    "half a domain": (lambda x: ag.where(x >= 2.0, x * x, math.nan), [(2.0,)]),
    # badly scaled, very curved, large
    "tiny slope": (lambda x: 1e-12 * x, [(1.0,), (1e8,), (0.0,)]),
    "huge slope": (lambda x: 1e300 * x, [(1.0,), (3e7,), (1e-8,)]),
    "x² tiny": (lambda x: x * x, [(1e-8,), (1e-150,), (0.0,)]),
    "x² huge": (lambda x: x * x, [(1e8,), (1e150,)]),
    "log and exp": (lambda x: ag.log(x) * ag.exp(x), [(1e-8,), (1.0,), (500.0,)]),
    "sin(50x)": (lambda x: ag.sin(50.0 * x), [(0.3,), (0.0,), (math.pi / 100.0,)]),
    "sin(1e6x)": (lambda x: ag.sin(1e6 * x), [(0.3,), (0.0,)]),
    "sin far out": (ag.sin, [(1e8,), (1e12,), (1e15,)]),
    "saturated": (ag.tanh, [(20.0,), (1e300,), (-40.0,)]),
    "underflow": (ag.exp, [(-745.0,), (-1e6,)]),
    "overflow near": (ag.exp, [(709.7,)]),
    "reciprocal": (ag.reciprocal, [(1e-300,), (1e300,), (1e-8,)]),
    "steep": (lambda x: ag.log(x + 1e-12), [(0.0,)]),
    "rounded norm": (lambda x: ag.sqrt(x * x + 1e-24), [(0.0,), (1e-12,)]),
    "product": (ag.mul, [(1e200, 1e100), (1e-200, 1e-200), (1e308, 1.0), (1e-8, 1e8)]),
    "lost digits": (lambda x: (x * 1.1 + 1e12) - 1e12, [(0.7,), (0.0,)]),
    "all digits lost": (lambda x: (x * 1.1 + 1e20) - 1e20, [(0.7,), (0.0,), (1e-8,)]),
    "largest": (lambda x: 2.0 * (x * 0.25), [(1.7976931348623157e308,), (1.0 - 2.0**-53,)]),
    # flat
    "number": (lambda _: 3, [(1.0,), (1e8,)]),
    "constant": (lambda _: Value(1e20), [(1.0,)]),
    "zero product": (lambda x: x * 0.0, [(1.0,), (0.0,)]),
    "dead unit": (lambda x: ag.relu(x - 5.0) + 7.0, [(1.0,)]),
    "extremum": (ag.cos, [(0.0,)]),
    "extremum at π/2": (ag.sin, [(math.pi / 2.0,)]),
    # piecewise programs
    "branch": (lambda x: x * x if x > 0.0 else -x, [(2.0,), (-2.0,), (0.0,)]),
    "sawtooth": (lambda x: x - ag.floor(x), [(0.3,), (-7.75,)]),
    "jump": (lambda x: x if x < 2.0 else x + 5.0, [(1.999,), (1.9999999,), (2.1,)]),
    "dead zone": (lambda x: x - 1e-6 if x > 1e-6 else x * 0.0, [(0.0,), (3e-7,), (1e-3,)]),
    "clamp": (lambda x: x if abs(x) < 1e-6 else x * 0.0 + 1e-6, [(0.0,), (3e-7,), (1e-3,)]),
    "sinc by branches": (
        lambda x: ag.sin(x) / x if abs(x) > 1e-4 else 1.0 - x * x / 6.0,
        [(0.0,), (1e-5,), (1e-3,)],
    ),
    "raises beside": (lambda x: x * (1.0 if x.data >= 1.0 else [][0:1].index(x)), [(1.0,)]),
}


@pytest.mark.parametrize("name", POINTS)
def test_special_points_are_right(name: str):
    f, points = POINTS[name]
    for point in points:
        assert gradcheck(f, point), point


def test_second_derivatives_on_kinks_are_right():
    for f in (ag.relu, abs, ag.softplus, ag.gelu, lambda x: ag.maximum(x, 0.0) ** 2):
        assert gradcheck(f, (0.0,), order=2)


class Point(NamedTuple):
    x: Any
    y: Any


STRUCTURES: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "no arguments": (lambda: 1.0, ()),
    "list": (lambda xs: xs[0] * xs[1], ([1.0, 2],)),
    "values": (lambda x, y: x * y, (Value(2.0), 3.0)),
    "dict": (lambda p: {"a": p["w"] * p["x"][0]}, ({"w": 2.0, "x": (3.0,)},)),
    "named tuple": (lambda p: Point(p.x * p.y, 1.0), (Point(1.0, 2.0),)),
    "arrays": (lambda a, b: a @ b, (np.eye(2), np.array([1.0, 2.0]))),
    "softmax": (ag.softmax, ([1.0, 2.0, 3.0],)),
    "mixed": (lambda x, p: [x * p["w"], {"s": ag.sum(p["w"])}], (2.0, {"w": np.ones(3)})),
}


@pytest.mark.parametrize("name", STRUCTURES)
@pytest.mark.parametrize("order", [1, 2])
def test_any_structure_is_checked(name: str, order: int):
    f, args = STRUCTURES[name]
    assert gradcheck(f, args, order=order)


def test_functions_with_gradients_inside_are_right():
    def f(x: Any) -> Any:
        y = x**3
        return y.gradient(x, create_graph=True) * x + grad(lambda z: z * z * x)(x)

    assert gradcheck(f, (1.5,), order=2)


# What is wrong is found, and named.


@pure_only
@rows
def test_a_wrong_derivative_of_any_row_is_named(row: Op):
    @settings(max_examples=8, deadline=None)
    @given(domain_point(row))
    def check(point: tuple[float, ...]):
        for slot in range(row.arity):
            with planted(row.name, slot, lambda local: 1.1 * local + 0.01):
                text = complaint(getattr(functional, row.name), point)
            assert text.startswith(f"∂output/∂args[{slot}] is ")
            operand = "xy"[slot]
            assert f"the operation {row} is wrong by itself: ∂{row}/∂{operand} is " in text

    check()


WRONG: dict[str, Callable[[float], float]] = {
    "sign": lambda local: -local,
    "zero": lambda _: 0.0,
    "a little": lambda local: local * (1.0 + 3e-6),
    "inf": lambda _: math.inf,
    "nan": lambda _: math.nan,
}


@pure_only
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_derivative_is_found_among_many(name: str):
    def f(p: Any, x: float) -> Any:
        hidden = [ag.tanh(ag.dot(w, [x, 1.0])) for w in p["w"]]
        return [ag.exp(hidden[0]) + hidden[1], ag.log(hidden[1] ** 2 + 1.0)]

    args = ({"w": [[0.1, 0.2], [0.3, 0.4]]}, 0.5)
    assert gradcheck(f, args, order=2)
    with planted("log", 0, WRONG[name]):
        text = complaint(f, args)
    assert text.startswith("∂output[1]/∂args[0]['w'][1][0] is ")
    assert "the operation log is wrong by itself: ∂log/∂x is " in text
    assert re.search(r"at log = 0\.2\d+, computed from \(add = 1\.2\d+\)$", text)


@pure_only
def test_the_complaint_reads_well():
    with planted("mul", 1, lambda _: 5.0):
        text = complaint(lambda x, y: x * y + 1.0, (2.0, 4.0))
    number = r"2\.0\d* ± \de-1\d"
    assert re.fullmatch(
        rf"∂output/∂args\[1\] is 5\.0 in the engine, {number} by finite differences;\n"
        rf"the operation mul is wrong by itself: ∂mul/∂y is 5\.0 in the engine, {number} by "
        r"finite differences, at mul = 8\.0, computed from "
        r"\(leaf 'args\[0\]' = 2\.0, leaf 'args\[1\]' = 4\.0\)",
        text.replace("1.9999999999999", "2.0"),
    )


@pure_only
def test_the_second_order_finds_what_the_first_does_not_use():
    with planted("cos", 0, lambda local: 1.01 * local):
        assert gradcheck(ag.sin, (1.0,))
        text = complaint(ag.sin, (1.0,), order=2)
    assert text.startswith("∂(∂output/∂args[0])/∂args[0] is ")
    assert "the operation cos is wrong by itself" in text


def test_a_wrong_rule_over_values_is_found_by_the_second_order(monkeypatch: pytest.MonkeyPatch):
    if ag.engine == "native":
        pytest.skip("the native engine has rules of its own")
    from autograd import backward

    rules = dict(backward.RULES_OF_VALUES)
    monkeypatch.setattr(backward, "RULES_OF_VALUES", rules)
    monkeypatch.setitem(rules, TABLE["tanh"], (lambda _x, _y, z: 1.0 - z,))
    assert gradcheck(lambda x: ag.tanh(x) * 2.0, (0.5,))
    text = complaint(lambda x: ag.tanh(x) * 2.0, (0.5,), order=2)
    assert "the operation tanh is wrong by itself: ∂(∂tanh/∂x)/∂x is " in text


@pure_only
@pytest.mark.parametrize(
    ("slope", "right"), [(0.0, True), (0.7, True), (1.0, True), (1.1, False), (-0.1, False)]
)
def test_on_a_kink_any_slope_between_the_sides_is_right(slope: float, right: bool):
    with planted("relu", 0, lambda _: slope):
        if right:
            assert gradcheck(ag.relu, (0.0,))
        else:
            text = complaint(ag.relu, (0.0,))
            assert re.search(r"0\.0 ± \S+ on the left and 1\.0 ± \S+ on the right", text)


@pure_only
def test_beside_a_kink_only_the_slope_there_is_right():
    with planted("relu", 0, lambda _: 0.5):
        for x in (1e-3, -1e-3, 1e-6):
            assert "the operation relu is wrong by itself" in complaint(ag.relu, (x,))
    with planted("relu", 0, lambda _: 0.7):  # rounding of 1 + x almost hides the kink
        assert "is 0.7 in the engine" in complaint(lambda x: ag.relu(x) + 1.0, (1e-12,))


@pure_only
def test_a_small_error_of_a_small_slope_is_found():
    with planted("mul", 1, lambda local: 1.0001 * local):
        assert "the operation mul is" in complaint(lambda x: 1e6 + 1e-3 * x, (0.0,))


@pure_only
def test_an_infinite_slope_asks_for_inf():
    for f, name, x, expected in [
        (ag.sqrt, "sqrt", 0.0, "inf"),
        (ag.cbrt, "cbrt", 0.0, "inf"),
        (ag.acos, "acos", 1.0, "-inf"),
    ]:
        with planted(name, 0, lambda _: 1e9):
            assert f"is 1000000000.0 in the engine, {expected} by" in complaint(f, (x,))
        with planted(name, 0, lambda local: -local):
            assert f"{expected} by finite differences" in complaint(f, (x,))
    with planted("sqrt", 0, lambda _: math.inf):
        assert re.match(r"∂output/∂args\[0\] is inf .*, 0\.(5|49999)", complaint(ag.sqrt, (1.0,)))


def test_a_slope_that_settles_slowly_is_not_infinite():
    def f(x: Any) -> Any:
        return 2.0 * x - x.item() - ag.pow(x.item(), 1.2)

    assert "is 2.0 in the engine, 0.9999" in complaint(f, (0.0,))


@pure_only
def test_rtol_and_atol_widen_what_is_accepted():
    with planted("exp", 0, lambda local: local * 1.001):
        complaint(ag.exp, (2.0,))
        complaint(ag.exp, (2.0,), rtol=5e-4)
        assert gradcheck(ag.exp, (2.0,), rtol=2e-3)
        complaint(ag.exp, (2.0,), atol=5e-3)
        assert gradcheck(ag.exp, (2.0,), atol=1e-2)


LOST: dict[str, Callable[[Any], Any]] = {
    "item": lambda x: x * x.item(),
    "data": lambda x: x * 2.0 + x.data,
    "detach": lambda x: x.detach().exp() * x,
    "float": lambda x: math.sin(x.data),
    "all": lambda x: Value(x.data) * 3.0,
    "of period 1": lambda x: Value(math.sin(2.0 * math.pi * x.data + 1.0)),
}


def bisected(a: Any, tolerance: float = 1e-6) -> float:
    """The root of x² = a by bisection: a staircase."""
    low, high = 0.0, 10.0
    while high - low > tolerance:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if middle * middle < a.item() else (low, middle)
    return 0.5 * (low + high)


LOST |= {
    "solver": lambda x: bisected(x) + 0.0 * x,
    "coarse solver beside others": lambda x: bisected(x, 1e-4) + x * x,
    "fine solver beside others": lambda x: bisected(x, 1e-10) + ag.sin(x),
    "rounded": lambda x: round(x.item(), 6) + 0.3 * x,
    "digits lost": lambda x: (x.detach() + 1e10) - 1e10,
    "digits lost beside others": lambda x: (x.detach() * 0.7 + 1e10) - 1e10 + 0.3 * x,
    "fast": lambda x: ag.sin(x.detach() * 1e10),
    "bump": lambda x: ag.exp(-((1e8 * (x.detach() - 1.5) - 1.0) ** 2)) + 0.0 * x,
}


@pytest.mark.parametrize("name", LOST)
def test_a_gradient_lost_outside_the_graph_is_told(name: str):
    assert "the gradient is lost outside the graph" in complaint(LOST[name], (1.5,))


def test_what_is_too_rough_to_check_is_told():
    def f(x: Any) -> Any:
        return 0.5 * x * x + random.Random(x.item()).random()

    text = complaint(f, (1000.0,))
    assert re.match(
        r"∂output/∂args\[0\] cannot be checked: the differences settle to ±\S+ only;\n", text
    )
    assert "so what is rough lies outside the graph: look for .item()" in text


@pytest.mark.parametrize("noise", [1.0, 1e-6])
def test_a_function_that_is_not_deterministic_is_told(noise: float):
    generator = random.Random(0)

    def f(x: Any) -> Any:
        return x.detach() * 5.0 + noise * generator.random()

    assert re.fullmatch(
        r"f is not deterministic: called twice at args it gave \[15\.\d+\] and \[15\.\d+\]; "
        r"switch off what is random in it, or seed it inside",
        complaint(f, (3.0,)),
    )


def test_rounding_is_not_called_a_lost_gradient():
    text = complaint(lambda x: (1.0 - ag.cos(x)) / x**2, (1e-5,))
    assert "nothing happens outside the graph, so that only rounding is left" in text


def test_a_gradient_lost_under_no_grad_is_told():
    def f(x: Any) -> Any:
        with ag.no_grad():
            scale = x * 2.0
        return x * scale

    assert "lost outside the graph: look for .item(), .data, detach(), no_grad()" in complaint(
        f, (3.0,)
    )


def test_the_argument_is_named():
    def f(a: Any, p: Any) -> Any:
        return a * p["w"][2].item() + p["w"][0]

    assert complaint(f, (1.0, {"w": np.ones(3)})).startswith("∂output/∂args[1]['w'][2] is 0.0 ")


CHAINS = {
    "relu(x) - relu(-x)": (lambda x: ag.relu(x) - ag.relu(-x), "is 0.0 in the engine, 1.0", "relu"),
    "sqrt(x²)": (lambda x: ag.sqrt(x * x), "is nan in the engine, -1.0", "sqrt"),
    "norm": (lambda x: ag.norm([x, x]), "is nan in the engine, -1.4", "sqrt"),
}


@pytest.mark.parametrize("name", CHAINS)
def test_where_the_chain_rule_fails_the_kink_is_named(name: str):
    f, difference, operation = CHAINS[name]
    text = complaint(f, (0.0,))
    assert difference in text
    assert f"but one is not smooth here, so that the chain rule need not hold: {operation}" in text


def test_a_nan_derivative_is_never_right():
    for name in ("hypot", "atan2"):
        assert "is nan in the engine" in complaint(getattr(ag, name), (0.0, 0.0))


UNDEFINED: dict[str, tuple[Callable[..., Any], tuple[float, ...], int, str]] = {
    "nan": (ag.log, (-3.0,), 1, "its function is nan at args[0] = -3.0"),
    "pole": (ag.reciprocal, (0.0,), 1, "its function is inf at args[0] = 0.0"),
    "one of two": (lambda x: [x, ag.log(x)], (0.0,), 1, "∂output[1]/∂args[0] cannot be checked"),
    "second order": (ag.sqrt, (0.0,), 2, "∂(∂output/∂args[0])/∂args[0] cannot be checked"),
    "lone point": (ag.pow, (-2.0, 2.0), 1, "∂output/∂args[1] cannot be checked: its function is"),
}


@pytest.mark.parametrize("name", UNDEFINED)
def test_where_nothing_can_be_checked_it_says_so(name: str):
    f, args, order, text = UNDEFINED[name]
    assert text in complaint(f, args, order=order)


# Manners.


def test_no_grad_of_the_user_is_touched():
    w, x = Value(3.0), Value(2.0)
    w.grad = x.grad = 0.5
    assert gradcheck(lambda x: w * x * x, (x,), order=2)
    assert (0.5, 0.5, 2.0) == (w.grad, x.grad, x.data)


def test_modes_outside_do_not_matter():
    with ag.no_grad():
        assert gradcheck(lambda x: x.log() * x, (2.0,), order=2)
    with ag.detect_anomaly():
        assert gradcheck(ag.sqrt, (0.0,))
    assert 1.0 == grad(lambda x: x * gradcheck(ag.exp, (x,), order=2))(2.0)


def test_equal_operations_are_checked_but_once():
    calls = 0

    def f(x: Any) -> Any:
        nonlocal calls
        calls += 1
        y = x
        for _ in range(300):
            y = y * 1.0
        return y + x.item()

    assert "lost outside" in complaint(f, (1.0,))
    assert calls < 500


def test_few_evaluations_are_enough():
    calls = 0

    def counted(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def g(x: Any) -> Any:
            nonlocal calls
            calls += 1
            return f(x)

        return g

    for f, x in [
        (ag.exp, 1.0),
        (ag.sin, 1e-200),
        (lambda x: ag.relu(x) + 1.0, -2.0),
        (ag.cos, 0.0),
    ]:
        calls = 0
        assert gradcheck(counted(f), (x,), order=2)
        assert calls < 60


@pytest.mark.parametrize("args", [3.0, Value(1.0), "ab", None, {"x": 1.0}])
def test_args_must_be_a_tuple(args: Any):
    with pytest.raises(TypeError, match="args must be the tuple of positional arguments, received"):
        gradcheck(ag.exp, args)


def test_other_bad_input_is_named():
    with pytest.raises(ValueError, match="order must be 1 or 2, received 3"):
        gradcheck(ag.exp, (1.0,), order=3)
    with pytest.raises(TypeError, match=r"args\[0\]\[1\] must be a number.* the str 'b'"):
        gradcheck(ag.exp, ([1.0, "b"],))
    with pytest.raises(TypeError, match=r"output must be a number.* received the NoneType None"):
        gradcheck(lambda _: None, (1.0,))
