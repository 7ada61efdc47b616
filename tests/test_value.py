"""`Value`: construction, its attributes, its operators, comparisons, text."""

import copy
import math
import operator
import pickle
import re
from collections.abc import Callable
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import EDGES

from autograd import Value, functional, no_grad, values
from autograd.ops import TABLE

inf, nan = math.inf, math.nan


class Level(IntEnum):
    HIGH = 3


class Length(float):
    pass


class Parameter(Value):
    __slots__ = ("place",)


def message(*parts: object) -> str:
    """A pattern for pytest.raises: these texts in this order."""
    return ".*".join(re.escape(str(part)) for part in parts)


# Numbers: wherever a real number is taken, the same ones are.

REAL = [
    (3, 3.0),
    (-2.5, -2.5),
    (-0.0, -0.0),
    (True, 1.0),
    (Level.HIGH, 3.0),
    (Length(2.5), 2.5),
    (Fraction(1, 3), 1 / 3),
    (2**53 + 1, 2.0**53),
    (10**400, inf),
    (-(10**400), -inf),
    (Fraction(10**400), inf),
    (Fraction(1, 10**400), 0.0),
    (np.float64(0.1), 0.1),
    (np.float32(0.1), 0.10000000149011612),
    (np.float16(0.1), 0.0999755859375),
    (np.int8(-3), -3.0),
    (np.uint64(2**64 - 1), 2.0**64),
    (np.bool_(True), 1.0),
    (np.longdouble(1.5), 1.5),
    *((x, x) for x in (inf, -inf, nan, 5e-324, 1.7976931348623157e308)),
]

NOT_REAL = [
    ("3", "the str '3'"),
    (b"3", "the bytes b'3'"),
    (1j, "the complex 1j"),
    (None, "the NoneType None"),
    (Decimal("1.5"), "the Decimal Decimal('1.5')"),
    ([1.0], "the list [1.0]"),
    (np.array(1.0), "the ndarray array(1.)"),
    (np.array([1.0, 2.0]), "the ndarray array([1., 2.])"),
    (np.complex128(1), "the complex128"),
    (np.datetime64("2020-01-01"), "the datetime64"),
    (np.str_("1"), "the str_"),
    (Value(1.0), "another Value"),
    (Parameter(1.0), "another Value"),
    (float, "the type <class 'float'>"),
]


def written(name: str, x: Any) -> float:
    value = Value(0.0)
    setattr(value, name, x)
    return getattr(value, name)


def seeded(upstream: Any) -> float:
    leaf = Value(1.0)
    leaf.backward(upstream)
    return leaf.grad


DOORS: dict[str, Callable[[Any], float]] = {
    "data must be": lambda x: Value(x).data,
    "data must": lambda x: written("data", x),
    "grad must be": lambda x: written("grad", x),
    "upstream must be": seeded,
    "rate must be": lambda x: values(rate=x)[0].data,
}
"""Where a real number is taken, by how its error begins."""


@pytest.mark.parametrize("begin", DOORS)
@pytest.mark.parametrize(("given", "expected"), REAL, ids=repr)
def test_every_real_number_becomes_the_nearest_float(begin: str, given: Any, expected: float):
    taken = DOORS[begin](given)
    assert (float, repr(expected)) == (type(taken), repr(taken))


@pytest.mark.parametrize("begin", DOORS)
@pytest.mark.parametrize(("given", "received"), NOT_REAL, ids=repr)
def test_what_is_no_real_number_is_named_and_refused(begin: str, given: Any, received: str):
    with pytest.raises(TypeError, match=message(begin, "a real number", f"received {received}")):
        DOORS[begin](given)


def test_a_huge_long_double_is_infinite():
    assert inf == Value(np.longdouble("1e4000")).data or np.finfo(np.longdouble).max < 1e4000


# A leaf.


def test_a_new_leaf():
    leaf = Value(2, "x")
    assert (2.0, 0.0, "x", True, None, ()) == (
        *(leaf.data, leaf.grad, leaf.label, leaf.requires_grad, leaf.op, leaf.operands),
    )


def test_the_defaults():
    leaf = Value(2)
    assert (None, True) == (leaf.label, leaf.requires_grad)


def test_values_makes_labelled_leaves_in_order():
    made = values(b=-2, a=5)
    assert [("b", -2.0), ("a", 5.0)] == [(x.label, x.data) for x in made]
    assert [] == values()


@pytest.mark.parametrize("label", ["", "x", "∂", None])
def test_label_can_be_written_everywhere(label: str | None):
    leaf, node = Value(1.0), Value(1.0) + 1
    leaf.label = node.label = label
    assert (label, label) == (leaf.label, node.label)


@pytest.mark.parametrize("label", [3, b"x", True, ["x"], Value(1.0)])
def test_label_is_a_str_or_none(label: Any):
    leaf = Value(1.0, "x")
    with pytest.raises(TypeError, match=message("label must be a str or None, received", label)):
        leaf.label = label
    with pytest.raises(TypeError, match="label must be a str or None"):
        Value(1.0, label)
    assert "x" == leaf.label


def test_only_the_data_of_a_leaf_can_be_written():
    x = Value(3.0, "x")
    y = x * 2
    y.label = "y"
    with pytest.raises(AttributeError, match=message("mul 'y' = 6.0", "computed", "leaf")):
        y.data = 1.0
    assert 6.0 == y.data
    x.data = 4
    assert (4.0, 6.0) == (x.data, y.data)


def test_a_refused_write_changes_nothing():
    x = Value(3.0)
    y = x * 2
    for attribute in ("data", "grad"):
        with pytest.raises(TypeError):
            setattr(x, attribute, "4")
    y.backward()
    assert (3.0, 2.0) == (x.data, x.grad)


def test_requires_grad_of_a_computed_node_follows_from_its_operands():
    x, c = Value(3.0), Value(2.0, requires_grad=False)
    mul = functional.mul
    assert [True] * 7 == [
        node.requires_grad for node in (x * c, c * x, x * 2, 2 * x, -x, mul(x, c), mul(c, x))
    ]
    assert [False] * 5 == [node.requires_grad for node in (c * c, c * 2, 2 * c, -c, mul(c, c))]
    with pytest.raises(AttributeError, match=message("mul = 6.0", "operands", "detach()")):
        (x * c).requires_grad = False


@pytest.mark.parametrize("attribute", ["op", "operands"])
def test_how_a_node_was_computed_cannot_be_written(attribute: str):
    with pytest.raises(AttributeError):
        setattr(Value(1.0), attribute, None)


def test_a_value_holds_no_other_attributes():
    with pytest.raises(AttributeError):
        Value(1.0).weight = 3  # pyright: ignore[reportAttributeAccessIssue]


def test_item_and_detach_leave_the_graph():
    x = Value(3.0, "x")
    y = x * 2
    y.label = "y"
    detached = y.detach()
    assert (6.0, float) == (y.item(), type(y.item()))
    assert (6.0, "y", False, None) == (
        *(detached.data, detached.label, detached.requires_grad, detached.op),
    )
    detached.data = 1.0
    y.backward()
    assert (6.0, 2.0) == (y.data, x.grad)


# Operators.

BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "pow": operator.pow,
}

UNARY: dict[str, Callable[[Any], Any]] = {
    "pos": operator.pos,
    "neg": operator.neg,
    "abs": abs,
    "round": round,
    "floor": math.floor,
    "ceil": math.ceil,
}

NUMBERS = [
    *(3, 2.5, True, Level.HIGH, Length(2.5), Fraction(1, 2), 10**400, -(10**400)),
    *(np.float64(2.5), np.float32(0.5), np.int64(3), np.bool_(True)),
]


def recorded(node: Value) -> tuple[str, tuple[Any, ...]]:
    """The op and the operands of a node: those that are nodes by identity, numbers by repr."""
    assert type(node) is Value
    return node.op.name, tuple(id(x) if isinstance(x, Value) else repr(x) for x in node.operands)


@pytest.mark.parametrize("name", BINARY)
def test_two_values(name: str):
    x, y = Value(2.5), Value(-1.5)
    node = BINARY[name](x, y)
    assert (name, (id(x), id(y))) == recorded(node)
    assert repr(TABLE[name].function(2.5, -1.5)) == repr(node.data)


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("number", NUMBERS, ids=repr)
def test_a_number_on_either_side_stands_in_its_slot_as_a_float(name: str, number: Any):
    x, nearest = Value(2.5), Value(number).data
    right, left = BINARY[name](x, number), BINARY[name](number, x)
    assert (name, (id(x), repr(nearest))) == recorded(right)
    assert (name, (repr(nearest), id(x))) == recorded(left)
    assert repr(TABLE[name].function(2.5, nearest)) == repr(right.data)
    assert repr(TABLE[name].function(nearest, 2.5)) == repr(left.data)


@pytest.mark.parametrize("name", UNARY)
def test_one_value(name: str):
    x = Value(-2.5)
    node = UNARY[name](x)
    assert (name, (id(x),)) == recorded(node)
    assert repr(TABLE[name].function(-2.5)) == repr(node.data)


@pytest.mark.parametrize("name", [name for name, op in TABLE.items() if op.arity == 1])
def test_every_unary_row_is_a_method(name: str):
    x = Value(0.5)
    node = getattr(x, name)()
    assert (name, (id(x),)) == recorded(node)
    assert repr(getattr(functional, name)(0.5)) == repr(node.data)


NUMPYS_NAMES = {
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arcsinh": "asinh",
    "arccosh": "acosh",
    "arctanh": "atanh",
    "rint": "round",
}


@pytest.mark.parametrize("name", NUMPYS_NAMES)
def test_numpys_name_of_a_method(name: str):
    assert NUMPYS_NAMES[name] == recorded(getattr(Value(0.5), name)())[0]


@pytest.mark.parametrize(("method", "row"), [("arctan2", "atan2"), ("hypot", "hypot")])
def test_methods_of_two_operands(method: str, row: str):
    x, y = Value(3.0), Value(4.0)
    assert (row, (id(x), id(y))) == recorded(getattr(x, method)(y))
    assert (row, (id(x), "4.0")) == recorded(getattr(x, method)(4))


@pytest.mark.parametrize("two", [2, 2.0, np.int64(2), np.float32(2), Fraction(2)], ids=repr)
def test_the_second_power_records_a_square(two: Any):
    x = Value(-3.0)
    assert ("square", (id(x),)) == recorded(x**two)


def test_other_powers_record_pow():
    x, two = Value(-3.0), Value(2.0)
    assert [("pow", (id(x), "3.0")), ("pow", (id(x), id(two))), ("pow", ("2.0", id(x)))] == [
        recorded(node) for node in (x**3, x**two, 2**x)
    ]


def test_a_repeated_operand_stands_in_both_slots():
    x = Value(3.0)
    assert ("mul", (id(x), id(x))) == recorded(x * x)


def test_the_sum_of_python_begins_with_the_number_0():
    x, y = Value(1.0), Value(2.0)
    total = sum([x, y])
    first = total.operands[0]
    assert ("add", ("0.0", id(x))) == recorded(first)


def test_subclasses_are_operands_and_results_are_plain_values():
    x, y = Parameter(3.0), Value(4.0)
    assert [("add", (id(x), id(y))), ("add", (id(y), id(x))), ("add", (id(x), id(x)))] == [
        recorded(node) for node in (x + y, y + x, x + x)
    ]
    assert ("exp", (id(x),)) == recorded(x.exp())


def test_a_subclass_may_extend_a_reflected_operator():
    class Counting(Value):
        def __radd__(self, other: Any) -> Value:
            sums.append(super().__radd__(other))
            return sums[-1]

    sums: list[Value] = []
    x, y = Value(1.0), Counting(2.0)
    total = x + y
    assert ("add", (id(x), id(y))) == recorded(total)
    assert [id(total)] == [*map(id, sums)]


IN_PLACE = {
    name: getattr(operator, name)
    for name in ("iadd", "isub", "imul", "itruediv", "ipow", "ifloordiv", "imod", "imatmul")
}


@pytest.mark.parametrize("name", ["iadd", "isub", "imul", "itruediv", "ipow"])
def test_an_augmented_assignment_rebinds(name: str):
    before = x = Value(3.0)
    y = x * 5
    x = IN_PLACE[name](x, 2.0)
    assert before is not x
    assert before is x.operands[0]
    assert (3.0, None, ()) == (before.data, before.op, before.operands)
    y.backward()
    assert 5.0 == before.grad


def test_there_are_no_in_place_operators():
    assert [] == [name for name in IN_PLACE if hasattr(Value, f"__{name}__")]


# IEEE-754 arithmetic, which never raises.

HUGE = [10**400, -(10**400), 2**1024]


@pytest.mark.parametrize("name", BINARY)
def test_no_pair_of_numbers_raises(name: str):
    compute, expected = BINARY[name], TABLE[name].function
    for x, y in product([*EDGES, *HUGE], repeat=2):
        a, b = Value(x).data, Value(y).data
        results = [compute(Value(x), Value(y)), compute(Value(x), y), compute(x, Value(y))]
        wanted = repr(expected(a, b))
        if name == "pow" and b == 2.0:  # a square where the exponent is a constant
            assert repr(a * a) == repr(results.pop(1).data)
        assert {wanted} == {repr(node.data) for node in results}, (x, y)


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div"])
def test_arithmetic_is_that_of_the_machine(name: str):
    compute = BINARY[name]
    with np.errstate(all="ignore"):
        for x, y in product(EDGES, repeat=2):
            expected = float(compute(np.float64(x), np.float64(y)))
            assert repr(expected) == repr(compute(Value(x), Value(y)).data), (x, y)


SPECIAL = [
    ("1/0", lambda v: v(1) / v(0), inf),
    ("1/-0", lambda v: v(1) / v(-0.0), -inf),
    ("-1/0", lambda v: v(-1) / v(0), -inf),
    ("0/0", lambda v: v(0) / v(0), nan),
    ("inf/inf", lambda v: v(inf) / v(inf), nan),
    ("inf-inf", lambda v: v(inf) - v(inf), nan),
    ("0*inf", lambda v: v(0) * v(inf), nan),
    ("max*2", lambda v: v(1.7976931348623157e308) * v(2), inf),
    ("(-2)**0.5", lambda v: v(-2) ** v(0.5), nan),
    ("0**-1", lambda v: v(0.0) ** v(-1), inf),
    ("(-0)**-1", lambda v: v(-0.0) ** v(-1), -inf),
    ("(-0)**-2", lambda v: v(-0.0) ** v(-2.0), inf),
    ("0**0", lambda v: v(0) ** v(0), 1.0),
    ("nan**0", lambda v: v(nan) ** v(0), 1.0),
    ("1**nan", lambda v: v(1) ** v(nan), 1.0),
    ("10**400", lambda v: v(10) ** v(400), inf),
    ("(-10)**401", lambda v: v(-10) ** v(401), -inf),
    ("log 0", lambda v: v(0).log(), -inf),
    ("log -1", lambda v: v(-1).log(), nan),
    ("exp 1000", lambda v: v(1000).exp(), inf),
    ("sqrt -1", lambda v: v(-1).sqrt(), nan),
    ("sqrt -0", lambda v: v(-0.0).sqrt(), -0.0),
    ("sin inf", lambda v: v(inf).sin(), nan),
    ("reciprocal 0", lambda v: v(0).reciprocal(), inf),
    ("relu nan", lambda v: v(nan).relu(), nan),
]


@pytest.mark.parametrize(("compute", "expected"), [pytest.param(*r[1:], id=r[0]) for r in SPECIAL])
def test_special_results(compute: Callable[[type[Value]], Value], expected: float):
    assert repr(expected) == repr(compute(Value).data)


@settings(deadline=None)
@given(st.sampled_from([*BINARY]), st.floats(), st.floats() | st.integers())
def test_operators_compute_what_their_rows_say(name: str, x: float, y: float):
    a = Value(y).data
    expected = "square" if name == "pow" and a == 2.0 else name
    node = BINARY[name](Value(x), y)
    assert expected == node.op.name
    assert repr(TABLE[expected].function(x, *[a][: node.op.arity - 1])) == repr(node.data)


# What has no derivative or no meaning.

UNSUPPORTED: dict[str, Callable[[Any, Any], Any]] = {
    "//": operator.floordiv,
    "%": operator.mod,
    "divmod": divmod,
    "@": operator.matmul,
    "<<": operator.lshift,
    "&": operator.and_,
}


@pytest.mark.parametrize("name", UNSUPPORTED)
@pytest.mark.parametrize("other", [2, 2.0, Value(2.0), np.float64(2.0)], ids=repr)
def test_unsupported_operators_raise_type_error(name: str, other: Any):
    with pytest.raises(TypeError):
        UNSUPPORTED[name](Value(7.0), other)
    with pytest.raises(TypeError):
        UNSUPPORTED[name](other, Value(7.0))


@pytest.mark.parametrize("digits", [0, 2, -1])
def test_round_to_digits_raises_type_error(digits: int):
    with pytest.raises(TypeError, match=message(f"round(v, {digits})", "whole numbers")):
        round(Value(1.25), digits)


def test_round_to_none_is_round():
    assert ("round", 2.0) == (round(Value(2.5), None).op.name, round(Value(2.5), None).data)


def test_pow_with_a_modulus_raises_type_error():
    with pytest.raises(TypeError):
        pow(Value(2.0), 2, 3)


@pytest.mark.parametrize(
    "leave",
    [float, complex, math.exp, math.sqrt, math.isnan, math.fsum, np.float64, "%.2f".__mod__],
)
def test_leaving_the_graph_unseen_raises_and_names_the_remedies(leave: Callable[[Any], object]):
    with pytest.raises(TypeError, match=message("gradient", "v.exp()", "v.item()")):
        leave([Value(1.0)] if leave is math.fsum else Value(1.0))


@pytest.mark.parametrize("convert", [int, operator.index, math.trunc, range, bytes, len, iter])
def test_a_value_is_no_integer_and_no_container(convert: Callable[[Any], object]):
    with pytest.raises(TypeError):
        convert(Value(1.0))


# Foreign types.

OTHERS = ["a", None, 1j, Decimal(1), [1.0], {}, ...]


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("other", OTHERS, ids=repr)
def test_arithmetic_with_no_number_raises_type_error(name: str, other: Any):
    for x, y in ((Value(1.0), other), (other, Value(1.0))):
        with pytest.raises(TypeError):
            BINARY[name](x, y)


class Foreign:
    """A type that knows what to do with a Value on either side."""

    def _left(self, other: object) -> tuple[str, object]:
        return "left", other

    def _right(self, other: object) -> tuple[str, object]:
        return "right", other

    __add__ = __sub__ = __mul__ = __truediv__ = __pow__ = _left
    __radd__ = __rsub__ = __rmul__ = __rtruediv__ = __rpow__ = _right
    __lt__ = __le__ = __gt__ = __ge__ = __eq__ = __ne__ = _left  # pyright: ignore
    __hash__ = None  # pyright: ignore


@pytest.mark.parametrize("name", BINARY)
def test_a_foreign_type_gets_its_chance_on_either_side(name: str):
    x = Value(1.0)
    assert "right" == BINARY[name](x, Foreign())[0]
    assert "left" == BINARY[name](Foreign(), x)[0]
    assert x is BINARY[name](x, Foreign())[1]


@pytest.mark.parametrize("name", ["lt", "le", "gt", "ge", "eq", "ne"])
def test_a_foreign_type_compares_itself(name: str):
    assert "left" == getattr(operator, name)(Value(1.0), Foreign())[0]


# Comparisons, truth, hash.

COMPARISONS = [operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne]


@pytest.mark.parametrize("compare", COMPARISONS, ids=lambda f: f.__name__)
def test_comparisons_compare_the_numbers(compare: Callable[[Any, Any], bool]):
    for x, y in product(EDGES, repeat=2):
        a, b = Value(x), Value(y)
        expected = compare(x, y)
        actual = [compare(a, b), compare(a, y), compare(x, b), compare(a, Parameter(y))]
        assert [expected] * 4 == actual, (x, y)
        assert {bool} == set(map(type, actual))


@pytest.mark.parametrize("number", NUMBERS, ids=repr)
def test_every_number_compares_as_the_nearest_float(number: Any):
    nearest = Value(Value(number).data)
    assert nearest == number
    assert number == nearest
    assert [False, False, False] == [nearest != number, nearest < number, number > nearest]


@pytest.mark.parametrize("other", OTHERS, ids=repr)
def test_a_value_equals_nothing_that_is_no_number(other: Any):
    x = Value(1.0)
    assert (False, False, True, True) == (x == other, other == x, x != other, other != x)
    for compare in COMPARISONS[:4]:
        with pytest.raises(TypeError):
            compare(x, other)


@pytest.mark.parametrize("x", EDGES)
def test_truth_is_that_of_the_number(x: float):
    assert bool(x) is bool(Value(x))


def test_the_hash_is_that_of_the_node():
    x, y = Value(1.0), Value(1.0)
    assert x == y
    assert 2 == len({x, y})
    named = {x: "x", y: "y"}
    before = hash(x)
    (x * y).backward()
    x.data = 7.0
    assert (before, "x", "y") == (hash(x), named[x], named[y])


def test_values_can_be_sorted_and_searched():
    x, y, z = values(x=2.0, y=-1.0, z=0.5)
    assert ["y", "z", "x"] == [v.label for v in sorted([x, y, z])]
    assert (x, y) == (max(x, y, z), min(x, y, z))
    assert x is max(x, y, z)
    assert 0.5 in [x, y, z]


# Text.


def test_repr_shows_the_number_the_gradient_and_the_label():
    x = Value(2, "x")
    y = x * 3
    y.backward()
    assert ["Value(data=2.0, grad=3.0, label='x')", "Value(data=6.0, grad=1.0)"] == [
        repr(x),
        repr(y),
    ]
    assert "Parameter(data=1.0, grad=0.0)" == repr(Parameter(1.0))
    assert repr(x) == str(x)


@pytest.mark.parametrize("spec", ["", ".3f", ">12", "+.2e", "g", "08.2f", "%"])
@pytest.mark.parametrize("x", [0.1, -0.0, inf, nan, 1e300])
def test_format_is_that_of_the_number(spec: str, x: float):
    assert format(x, spec) == format(Value(x, "x"), spec)


def test_an_unknown_format_raises():
    with pytest.raises(ValueError, match="format"):
        format(Value(1.0), "d")


# Documentation.


def test_every_public_attribute_is_documented():
    public = [name for name in dir(Value) if not name.startswith("_")]
    assert [] == [name for name in public if not getattr(Value, name).__doc__]


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_an_uninitialised_value_raises(duplicate: Callable[[Value], object]):
    empty = Value.__new__(Value)
    for use in (duplicate, repr, operator.neg, lambda v: v + 1.0, lambda v: v.backward()):
        with pytest.raises(AttributeError):
            use(empty)


def test_nothing_is_recorded_under_no_grad():
    x = Value(3.0)
    with no_grad():
        made = [x * x, x * 2, 2 * x, -x, x**2, x.exp(), x + x]
    assert [(None, (), False)] * 7 == [(y.op, y.operands, y.requires_grad) for y in made]
    assert [9.0, 6.0, 6.0, -3.0, 9.0, math.exp(3.0), 6.0] == [y.data for y in made]
