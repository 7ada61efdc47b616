"""What a thread switches on: `no_grad` and `detect_anomaly`, nested, as decorators, in threads."""

import linecache
import math
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograd import (
    AnomalyError,
    AutogradError,
    Value,
    detect_anomaly,
    dot,
    modes,
    no_grad,
    sum,
    values,
)

inf, nan = math.inf, math.nan


@pytest.fixture(autouse=True)
def all_modes_are_off_again() -> Iterator[None]:
    assert records()
    yield
    assert records()
    assert 0 == modes.active


def records() -> bool:
    return (Value(1.0) * 2).op is not None


def in_another_thread(work: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


# no_grad.


def test_no_grad_records_nothing():
    x = Value(3.0, "x")
    with no_grad():
        y = x * 2
        assert not records()
    assert (6.0, None, (), False, None) == (y.data, y.op, y.operands, y.requires_grad, y.label)


def test_results_under_no_grad_are_leaves_that_can_be_written():
    with no_grad():
        y = Value(3.0) * 2
    y.data = 1.0
    assert 1.0 == y.data


def test_leaves_made_under_no_grad_are_ordinary():
    with no_grad():
        x = Value(3.0)
    (x * 2).backward()
    assert 2.0 == x.grad


def test_a_graph_recorded_before_is_swept_under_no_grad():
    x = Value(3.0)
    y = x * 2
    with no_grad():
        y.backward()
        assert 2.0 == y.gradient(x)
    assert 2.0 == x.grad


def test_no_grad_is_a_decorator():
    @no_grad()
    def double(x: Value) -> Value:
        """Twice x."""
        return x * 2

    result = double(Value(3.0))
    assert (None, 6.0) == (result.op, result.data)
    assert ("double", "Twice x.") == (double.__name__, double.__doc__)
    assert records()


def test_a_decorated_function_may_call_itself():
    @no_grad()
    def power(x: Value, n: int) -> Value:
        return x * power(x, n - 1) if n else Value(1.0)

    result = power(Value(2.0), 5)
    assert (32.0, None) == (result.data, result.op)


def test_no_grad_nests():
    with no_grad():
        with no_grad():
            assert not records()
        assert not records()


def test_exceptions_pass_and_switch_back():
    with pytest.raises(KeyError), no_grad(), detect_anomaly(), no_grad():
        raise KeyError


def test_no_grad_is_of_its_thread():
    with no_grad():
        assert in_another_thread(records)
    inside, done = threading.Event(), threading.Event()

    def hold() -> bool:
        with no_grad():
            inside.set()
            done.wait()
            return records()

    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(hold)
        inside.wait()
        assert records()
        done.set()
        assert not held.result()


def test_many_threads_switch_at_once():
    def work(_: int) -> list[bool]:
        found: list[bool] = []
        for _ in range(200):
            found.append(records())
            with no_grad():
                found.append(records())
        return found

    with ThreadPoolExecutor(8) as pool:
        assert [[True, False] * 200] * 8 == [*pool.map(work, range(8))]


def test_what_copies_graphs_records_under_every_mode():
    with no_grad(), detect_anomaly(), modes.all_off():
        assert records()
        assert math.isinf((Value(1.0) / 0).data)


def test_switching_off_what_is_off_slows_nobody_down():
    with modes.all_off(), modes.enable_grad():
        assert 0 == modes.active


def test_enable_grad_records_inside_no_grad():
    with no_grad():
        with modes.enable_grad():
            assert records()
        assert not records()


# detect_anomaly.


def here(marker: str) -> str:
    """How an error names the line of this file that ends with that comment."""
    lines = linecache.getlines(__file__)
    number = next(i for i, line in enumerate(lines, 1) if line.endswith(f"# {marker}\n"))
    return f"{__file__}:{number}: {lines[number - 1].strip()}"


VALUES: dict[str, Callable[[Value, Value], Value]] = {
    "log = -inf, computed from (leaf 'x' = 0.0)": lambda x, _y: x.log(),
    "div = -inf, computed from (leaf 'y' = -2.0, leaf 'x' = 0.0)": lambda x, y: y / x,
    "div = inf, computed from (the number 1.0, leaf 'x' = 0.0)": lambda x, _y: 1 / x,
    "pow = nan, computed from (leaf 'y' = -2.0, the number 0.5)": lambda _x, y: y**0.5,
    "sqrt = nan, computed from (add = -2.0)": lambda x, y: (x + y).sqrt(),
    "mul = inf, computed from (leaf = inf, leaf = inf)": lambda _x, _y: Value(inf) * Value(inf),
}


@pytest.mark.parametrize("expected", VALUES)
def test_the_first_value_that_is_not_finite_is_named(expected: str):
    with detect_anomaly(), pytest.raises(AnomalyError, match=f"^{re.escape(expected)} at "):
        VALUES[expected](*values(x=0.0, y=-2.0))


def test_a_value_is_named_with_the_line_that_computed_it():
    x = Value(0.0)
    with detect_anomaly(), pytest.raises(AnomalyError) as error:
        x.log()  # log of zero
    assert str(error.value).endswith(f" at {here('log of zero')}")


def test_a_gradient_is_named_with_the_line_that_recorded_its_node():
    x = Value(0.0, "x")
    with detect_anomaly():
        y = x.sqrt()  # root of zero
        with pytest.raises(AnomalyError) as error:
            (y * 1).backward()
    assert str(error.value) == (
        "the gradient of leaf 'x' = 0.0 turned inf in the backward pass of sqrt = 0.0, "
        f"recorded at {here('root of zero')}"
    )
    assert [0.0, 0.0] == [x.grad, y.grad]


SUMS: list[Callable[[Value], Value]] = [lambda y: y + y, lambda y: y * 1 + y * 1]


@pytest.mark.parametrize("double", SUMS)
def test_a_sum_of_gradients_is_checked(double: Callable[[Value], Value]):
    x = Value(2.0)
    with detect_anomaly():
        y = x * 0.5
        z = double(y)
        with pytest.raises(AnomalyError, match=r"the gradient of mul = 1\.0 turned inf"):
            z.backward(1e308)


def test_gradients_that_nobody_asked_for_are_not_computed():
    x, w = Value(0.0), Value(2.0)
    y = x.sqrt() + w
    with detect_anomaly():
        assert 1.0 == y.gradient(w)
        with pytest.raises(AnomalyError):
            y.gradient([w, x])


def test_a_graph_recorded_outside_is_checked_inside():
    y = Value(0.0).sqrt()
    with detect_anomaly(), pytest.raises(AnomalyError, match="a line outside"):
        y.gradient(y.operands[0])


def test_recorded_derivatives_name_the_line_that_asked_for_them():
    x = Value(0.0)
    y = x.sqrt()
    with detect_anomaly(), pytest.raises(AnomalyError) as error:
        y.gradient(x, create_graph=True)  # slope of a root
    assert str(error.value) == (
        "div = inf, computed from (the number 0.5, sqrt = 0.0) at " + here("slope of a root")
    )


def test_the_line_is_that_of_the_user_even_beside_the_package():
    beside = f"{Path(modes.__file__).parent}_users.py"
    code = compile("\n\nresult = x.log()", beside, "exec")
    with detect_anomaly(), pytest.raises(AnomalyError, match=re.escape(f" at {beside}:3: ")):
        exec(code, {"x": Value(0.0)})


def test_nothing_is_detected_outside():
    x = Value(0.0)
    with detect_anomaly():
        x.exp()
    y = x.sqrt() + x.log()
    y.backward()
    assert inf == x.grad


def test_finite_graphs_pass_unchanged():
    def step(x: Value) -> list[float]:
        y = (x * 3).sin() / (x + 1)
        y.backward()
        return [y.data, x.grad]

    with detect_anomaly():
        found = step(Value(0.5))
    assert step(Value(0.5)) == found


def test_an_inf_or_nan_leaf_is_no_anomaly_until_it_is_used():
    with detect_anomaly():
        large, lost = Value(inf), Value(nan)
        assert 0.0 == (1 / large).data
        with pytest.raises(AnomalyError):
            lost * 0


def test_detect_anomaly_is_a_decorator():
    @detect_anomaly()
    def logarithm(x: float) -> float:
        return Value(x).log().data

    assert 0.0 == logarithm(1.0)
    for _ in range(2):
        with pytest.raises(AnomalyError):
            logarithm(0.0)
    assert -inf == Value(0.0).log().data


def test_detect_anomaly_detects_under_no_grad():
    with detect_anomaly(), no_grad(), pytest.raises(AnomalyError, match="log = -inf"):
        Value(0.0).log()


def test_detect_anomaly_is_of_its_thread():
    with detect_anomaly():
        assert -inf == in_another_thread(lambda: Value(0.0).log().data)


def test_an_anomaly_is_an_error_of_the_engine():
    assert issubclass(AnomalyError, AutogradError)


@given(st.lists(st.floats(), max_size=5), st.booleans())
def test_sums_and_products_under_no_grad_are_constants(numbers: list[float], biased: bool):
    xs = [Value(x) for x in numbers]
    bias = Value(0.5) if biased else None

    def results() -> list[Any]:
        return [sum(xs), dot(xs, numbers, bias), dot(xs, xs)]

    with no_grad():
        found = results()
    for constant, recorded in zip(found, results(), strict=True):
        assert repr(as_float(recorded)) == repr(as_float(constant))
        if isinstance(constant, Value) and not any(constant is x for x in xs):
            assert ((), False) == (constant.operands, constant.requires_grad)
    assert all(x.requires_grad for x in xs)


def as_float(x: Value | float) -> float:
    return x.data if isinstance(x, Value) else x
