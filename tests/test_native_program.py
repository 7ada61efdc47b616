"""Native programs: the bits of the rows, whatever the batch, the threads and the processor."""

import ast
import gc
import inspect
import math
import pickle
import struct
import sys
import threading
import weakref
from array import array
from collections import namedtuple
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import EDGES

import autograd
from autograd import Value, ops
from autograd.ops import TABLE, Op

if autograd.engine != "native":
    pytest.skip("the native engine is not built or not chosen", allow_module_level=True)

from autograd._native import generate, program
from autograd._native.program import Program

ROWS = [*TABLE.values()]
PLACE = {row.name: place for place, row in enumerate(ROWS)}
SELECT, DOT = len(ROWS), len(ROWS) + 1
EXACT_ROWS = [row for row in ROWS if generate.is_exact(row, ops)]
SIZES = (*range(18), 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, 255, 511, 512, 513, 1000, 1025)

Instruction = tuple[int, int, int, int]


class Code(NamedTuple):
    """A program in numbers."""

    inputs: int
    constants: tuple[float, ...]
    code: tuple[Instruction, ...]
    terms: tuple[tuple[int, int], ...]
    outputs: tuple[int, ...]

    def program(self) -> Any:
        return Program(*self.buffers())

    def buffers(self) -> tuple[Any, ...]:
        return (
            array("i", [x for instruction in self.code for x in instruction]),
            array("i", [x for term in self.terms for x in term]),
            array("d", self.constants),
            self.inputs,
            array("i", self.outputs),
        )


def evaluate(code: Code, inputs: Sequence[float]) -> list[float]:
    """The outputs by the rows' functions of floats."""
    z = [*inputs, *code.constants]
    for operation, a, b, c in code.code:
        if operation == SELECT:
            z.append(z[b] if z[a] != 0.0 else z[c])
        elif operation == DOT:
            products = [z[x] * z[y] for x, y in code.terms[a : a + b]]
            total = products.pop(0) if c < 0 else z[c]
            for product in products:
                total = total + product
            z.append(total)
        else:
            row = ROWS[operation]
            z.append(row.function(*(z[slot] for slot in (a, b)[: row.arity])))
    return [z[slot] for slot in code.outputs]


def of_row(row: Op) -> Code:
    operands = (0, 1, -1) if row.arity == 2 else (0, -1, -1)
    return Code(row.arity, (), ((PLACE[row.name], *operands),), (), (row.arity,))


def refuse(*args: Any, **kwargs: Any) -> Any:
    raise AssertionError(f"not taken: {args} {kwargs}")


def scalars(count: int) -> tuple[str, ...]:
    return ("scalar",) * count


def bound(code: Code, mapped: Sequence[bool], modes: str = "", threads: int = 1) -> Any:
    """The program of scalar arguments, giving a tuple of all outputs."""
    count = len(code.outputs)
    axes = tuple(0 if each else None for each in mapped)
    results, modes = ("tuple", scalars(count)), modes or "e" * count
    return code.program().bind(scalars(code.inputs), axes, results, modes, (), threads, refuse)


def bits(numbers: Any) -> list[int]:
    """The bits of floats; all nans are one."""
    return [
        -1 if math.isnan(x) else int.from_bytes(struct.pack("<d", x), "little")
        for x in np.ravel(numbers).tolist()
    ]


def distance(x: float, y: float) -> int:
    """How many floats lie between two; nan is near nan only, 0.0 far from -0.0."""
    if math.isnan(x) or math.isnan(y):
        return 0 if math.isnan(x) and math.isnan(y) else sys.maxsize
    if x == y == 0.0 and math.copysign(1.0, x) != math.copysign(1.0, y):
        return sys.maxsize
    places = [struct.unpack("<q", struct.pack("<d", abs(z)))[0] for z in (x, y)]
    signs = [math.copysign(1.0, z) for z in (x, y)]
    return abs(int(signs[0]) * places[0] - int(signs[1]) * places[1])


@contextmanager
def using(version: str) -> Iterator[None]:
    """What is bound inside runs by the kernels for that instruction set."""
    program.use(version)
    try:
        yield
    finally:
        program.use(program.versions[0])


@pytest.fixture(params=program.versions)
def version(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each of the instruction sets that this processor has, and without machine code."""
    with using(request.param):
        yield request.param


# Rows.

ORDINARY = tuple(float(x) for x in np.random.default_rng(7).uniform(-6.0, 6.0, 400))
WIDE = tuple(
    float(sign * 10.0**x)
    for sign in (-1.0, 1.0)
    for x in np.random.default_rng(8).uniform(-30.0, 30.0, 100)
)
NEAR_LIMITS = (709.7, 709.8, -708.3, -708.5, -745.1, -745.2, 26.5, 26.6, 27.3, -38.04, 1e22, 36.8)


def points(row: Op) -> list[tuple[float, ...]]:
    singles = [*EDGES, *NEAR_LIMITS, *ORDINARY, *WIDE]
    if row.arity == 1:
        return [(x,) for x in singles]
    pairs = [(x, y) for x in EDGES for y in EDGES]
    return pairs + list(zip(singles, reversed(singles), strict=True))


@pytest.mark.usefixtures("version")
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_row_over_samples_is_near_its_value(row: Op):
    found = points(row)
    columns = [np.array(column) for column in zip(*found, strict=True)]
    (actual,) = bound(of_row(row), [True] * row.arity)(*columns)
    tolerance = 0 if row in EXACT_ROWS else 4
    far = [
        (point, got, want)
        for point, got in zip(found, actual.tolist(), strict=True)
        if distance(got, want := row.function(*point)) > tolerance
    ]
    assert [] == far


@pytest.mark.usefixtures("version")
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_row_has_the_same_bits_for_one_sample_and_in_any_place(row: Op):
    found = points(row)[:200]
    columns = [np.array(column) for column in zip(*found, strict=True)]
    alone = bound(of_row(row), [False] * row.arity)
    expected = bits([alone(*point)[0] for point in found])
    together = bound(of_row(row), [True] * row.arity)
    assert expected == bits(together(*columns)[0])
    assert expected[3:] == bits(together(*(column[3:] for column in columns))[0])


def test_every_primitive_of_ieee_arithmetic_makes_exact_rows():
    names = {row.name for row in EXACT_ROWS}
    assert {"add", "sub", "mul", "div", "sqrt", "relu", "maximum", "less", "round"} <= names
    assert not names & {"exp", "sigmoid", "silu", "pow", "gelu", "hypot"}


def test_the_kernels_are_those_of_the_table():
    assert generate.texts(ops) == program.row_texts


# Programs.

numbers = st.one_of(st.sampled_from(EDGES), st.floats(-4.0, 4.0))


@st.composite
def codes(draw: st.DrawFn, rows: Sequence[Op] = tuple(ROWS)) -> Code:
    """A random program."""
    inputs = draw(st.integers(1, 5))
    constants = tuple(draw(st.lists(numbers, max_size=3)))
    code: list[Instruction] = []
    terms: list[tuple[int, int]] = []
    slots = inputs + len(constants)
    for _ in range(draw(st.integers(0, 14))):
        slot = st.integers(0, slots - 1)
        kind = draw(st.integers(0, 3))
        if kind == 0:
            start = draw(st.sampled_from([-1, draw(slot)]))
            products = draw(st.lists(st.tuples(slot, slot), min_size=1, max_size=7))
            code.append((DOT, len(terms), len(products), start))
            terms += products
        elif kind == 1:
            code.append((SELECT, draw(slot), draw(slot), draw(slot)))
        else:
            row = draw(st.sampled_from(rows))
            second = draw(slot) if row.arity == 2 else -1
            code.append((PLACE[row.name], draw(slot), second, -1))
        slots += 1
    outputs = tuple(draw(st.lists(st.integers(0, slots - 1), min_size=1, max_size=5)))
    return Code(inputs, constants, tuple(code), tuple(terms), outputs)


def columns_of(draw: Callable[..., Any], size: int, mapped: Sequence[bool]) -> list[Any]:
    """Arguments: of a mapped one a float for each sample."""
    pool = draw(st.lists(numbers, min_size=12, max_size=12))
    return [
        np.array([pool[(i * 5 + k * 7) % 12] for i in range(size)]) if each else pool[k]
        for k, each in enumerate(mapped)
    ]


@settings(max_examples=300)
@given(codes(EXACT_ROWS), st.data())
def test_a_program_of_exact_rows_has_the_bits_of_the_rows(code: Code, data: st.DataObject):
    inputs = data.draw(st.lists(numbers, min_size=code.inputs, max_size=code.inputs))
    for name in program.versions:
        with using(name):
            assert bits(evaluate(code, inputs)) == bits(bound(code, [False] * code.inputs)(*inputs))


def long_code(rng: Random, rows: Sequence[Op], count: int) -> Code:
    """More numbers than a processor has registers, and dot products of up to 100 terms."""
    code: list[Instruction] = []
    terms: list[tuple[int, int]] = []
    for slot in range(6, 6 + count):
        near = [rng.randrange(max(0, slot - 20), slot) for _ in range(3)]
        if rng.random() < 0.1:
            size = rng.choice((1, 2, 3, 63, 64, 65, 100))
            code.append((DOT, len(terms), size, rng.choice((-1, near[0]))))
            terms += [(rng.randrange(slot), rng.randrange(6)) for _ in range(size)]
        elif rng.random() < 0.1:
            code.append((SELECT, *near))
        else:
            row = rng.choice(rows)
            code.append((PLACE[row.name], near[0], near[1] if row.arity == 2 else -1, -1))
    return Code(6, (), tuple(code), tuple(terms), tuple(range(6 + count)))


@pytest.mark.parametrize("seed", range(40))
def test_long_programs(seed: int):
    rng = Random(seed)
    exact = long_code(rng, [*EXACT_ROWS, *[TABLE["add"], TABLE["mul"]] * 4], 300)
    others = long_code(rng, ROWS, 300)
    found: list[list[int]] = []
    for _ in range(5):
        inputs = [rng.choice((rng.uniform(-1.5, 1.5), rng.choice(EDGES))) for _ in range(6)]
        expected = bits(evaluate(exact, inputs))
        for name in program.versions:
            with using(name):
                assert expected == bits(bound(exact, [False] * 6)(*inputs))
                found.append(bits(bound(others, [False] * 6)(*inputs)))
        assert found[-1] == found[-2]  # the baseline's numbers, with and without machine code


@settings(max_examples=300)
@given(codes(), st.sampled_from(SIZES), st.data())
def test_a_sample_has_the_same_bits_in_every_batch(code: Code, size: int, data: st.DataObject):
    mapped = data.draw(st.lists(st.booleans(), min_size=code.inputs, max_size=code.inputs))
    mapped[data.draw(st.integers(0, code.inputs - 1))] = True
    arguments = columns_of(data.draw, size, mapped)
    alone = bound(code, [False] * code.inputs)
    samples = [
        [float(x[i]) if each else x for x, each in zip(arguments, mapped, strict=True)]
        for i in range(size)
    ]
    expected = [bits(alone(*sample)) for sample in samples]
    threads = data.draw(st.integers(1, 4))
    for name in program.versions if code_is_exact(code) else program.versions[:1]:
        with using(name):
            actual = bound(code, mapped, threads=threads)(*arguments)
        assert [(size,)] * len(actual) == [column.shape for column in actual]
        assert expected == [bits(sample) for sample in zip(*actual, strict=True)]


def code_is_exact(code: Code) -> bool:
    return all(i[0] >= SELECT or ROWS[i[0]] in EXACT_ROWS for i in code.code)


@settings(max_examples=200)
@given(codes(EXACT_ROWS), st.sampled_from(SIZES), st.data())
def test_sums_over_a_batch(code: Code, size: int, data: st.DataObject):
    mapped = [True] * code.inputs
    arguments = [np.array(x) for x in columns_of(data.draw, size, mapped)]
    modes = data.draw(st.text("edsm", min_size=len(code.outputs), max_size=len(code.outputs)))
    each = bound(code, mapped)(*arguments)
    expected = None
    actual = ()
    for name, threads in product(program.versions, (1, 3)):
        with using(name):
            actual = bound(code, mapped, modes, threads)(*arguments)
        expected = expected or [bits(x) for x in actual]
        assert expected == [bits(x) for x in actual]
    for mode, column, result in zip(modes, each, actual, strict=True):
        assert type(result) is (float if mode in "sm" else np.ndarray)
        assert_reduced(mode, column, result)


def assert_reduced(mode: str, column: Any, result: Any) -> None:
    size = len(column)
    if mode in "ed":
        assert bits(column if mode == "e" else column / size) == bits(result)
    elif size == 0:
        assert bits(0.0 if mode == "s" else math.nan) == bits(result)
    elif np.isfinite(column).all() and np.abs(column).max() < 1e300:
        total = math.fsum(column) if mode == "s" else math.fsum(column) / size
        allowed = 1e-14 * math.fsum(np.abs(column)) / (size if mode == "m" else 1)
        assert abs(result - total) <= allowed


TOGETHER = Code(
    2,
    (),
    ((PLACE["sub"], 0, 1, -1), (PLACE["mul"], 0, 2, -1), (PLACE["maximum"], 3, 1, -1)),
    (),
    (3, 4, 2),
)


def test_sums_do_not_depend_on_the_threads():
    code = Code(2, (0.5,), ((PLACE["mul"], 0, 1, -1), (PLACE["tanh"], 3, -1, -1)), (), (3, 4))
    x, y = np.random.default_rng(1).normal(size=(2, 300_001))
    expected = bound(code, [True, True], "se")(x, y)
    for threads in (2, 3, 4):
        actual = bound(code, [True, True], "se", threads)(x, y)
        assert [bits(z) for z in expected] == [bits(z) for z in actual]


@pytest.mark.parametrize("size", [1, 100, 129, 1025, 100_003])
def test_sums_do_not_depend_on_the_rest_of_the_program(size: int):
    """However many numbers are alive at a time, and so however few samples a block holds."""
    x, y = np.random.default_rng(2).normal(size=(2, size))
    expected = bound(TOGETHER, [True, True], "sse")(x, y)
    for alive in (60, 400, 3000):
        first = len(TOGETHER.code) + 2
        products = tuple((PLACE["mul"], 2 + k % 3, first + k - 1, -1) for k in range(1, alive))
        last = (DOT, 0, alive, -1)
        code = TOGETHER._replace(
            code=(*TOGETHER.code, (PLACE["sub"], 0, 1, -1), *products, last),
            terms=tuple((first + k, first + alive - 1 - k) for k in range(alive)),
            outputs=(*TOGETHER.outputs, first + alive),
        )
        actual = bound(code, [True, True], "ssee")(x, y)
        assert [bits(z) for z in expected] == [bits(z) for z in actual[:3]]
        samples = zip(x[:5].tolist(), y[:5].tolist(), strict=True)
        assert [bits(evaluate(code, xy)[3])[0] for xy in samples] == bits(actual[3][:5])


def test_a_program_of_many_instructions():
    count = 200_000
    code = Code(
        2,
        (0.5,),
        tuple((DOT, k, 1, 2 + k) for k in range(count)),
        tuple((k % 2, 2 + k) for k in range(count)),
        (count + 2,),
    )
    inputs = (-0.75, 0.25)
    assert evaluate(code, inputs) == list(bound(code, [False, False])(*inputs))
    (batched,) = bound(code, [True, False])(np.full(3, inputs[0]), inputs[1])
    assert evaluate(code, inputs) * 3 == batched.tolist()


# Malformed programs.

GOOD = Code(2, (3.0,), ((PLACE["add"], 0, 2, -1), (DOT, 0, 2, 3)), ((0, 1), (2, 3)), (4,))
BAD: dict[str, Code] = {
    "a row that is none": GOOD._replace(code=((DOT + 1, 0, 1, -1),)),
    "a negative row": GOOD._replace(code=((-1, 0, 1, -1),)),
    "an operand too late": GOOD._replace(code=((PLACE["add"], 0, 3, -1),)),
    "an operand missing": GOOD._replace(code=((PLACE["add"], 0, -1, -1),)),
    "an operand too many": GOOD._replace(code=((PLACE["exp"], 0, 1, -1),)),
    "a selection of two": GOOD._replace(code=((SELECT, 0, 1, -1),)),
    "no terms": GOOD._replace(code=((DOT, 0, 0, -1),)),
    "terms from before the first": GOOD._replace(code=((DOT, -1, 1, -1),)),
    "terms beyond the last": GOOD._replace(code=((DOT, 1, 2, -1),)),
    "very many terms": GOOD._replace(code=((DOT, 2**31 - 1, 2**31 - 1, -1),)),
    "a start too late": GOOD._replace(code=((DOT, 0, 1, 3),)),
    "a start that is none": GOOD._replace(code=((DOT, 0, 1, -2),)),
    "a term too late": GOOD._replace(terms=((0, 1), (2, 4))),
    "a negative term": GOOD._replace(terms=((0, 1), (-1, 0))),
    "an output too late": GOOD._replace(outputs=(5,)),
    "a negative output": GOOD._replace(outputs=(-1,)),
    "inputs fewer than none": GOOD._replace(inputs=-1),
}


@pytest.mark.parametrize("name", BAD)
def test_a_malformed_program_is_refused(name: str):
    assert Program(*GOOD.buffers())
    with pytest.raises(ValueError, match=r"."):
        Program(*BAD[name].buffers())


@pytest.mark.parametrize("place", [0, 1, 2, 4])
def test_a_buffer_of_part_of_an_item_is_refused(place: int):
    buffers = [*GOOD.buffers()]
    buffers[place] = bytes(buffers[place]) + b"\0"
    with pytest.raises(ValueError, match="must hold items of"):
        Program(*buffers)


small = st.integers(-3, 12)


@settings(max_examples=500)
@given(
    st.lists(st.tuples(st.integers(-1, DOT + 1), small, small, small), max_size=5),
    st.lists(st.tuples(small, small), max_size=4),
    st.lists(small, max_size=3),
    st.integers(0, 4),
)
def test_any_numbers_make_a_program_or_a_value_error(
    code: list[Instruction], terms: list[tuple[int, int]], outputs: list[int], inputs: int
):
    found = Code(inputs, (1.0,), tuple(code), tuple(terms), tuple(outputs))
    try:
        found.program()
    except ValueError:
        assert not is_well_formed(found)
        return
    assert is_well_formed(found)
    bound(found, [False] * inputs)(*[0.5] * inputs)
    if inputs:
        bound(found, [True] * inputs)(*[[0.5, 2.0]] * inputs)


def is_well_formed(code: Code) -> bool:
    """Whether every instruction has the operands of its row, all in earlier slots."""
    slots = code.inputs + len(code.constants)
    for operation, a, b, c in code.code:
        read, unused = [a, b, c], []
        if not 0 <= operation <= DOT:
            return False
        if operation == DOT:
            if not (a >= 0 and b >= 1 and a + b <= len(code.terms) and c >= -1):
                return False
            read = [z for term in code.terms[a : a + b] for z in term] + [c] * (c >= 0)
        elif operation < SELECT:
            arity = ROWS[operation].arity
            read, unused = read[:arity], read[arity:]
        if any(not 0 <= z < slots for z in read) or any(z != -1 for z in unused):
            return False
        slots += 1
    return all(0 <= z < slots for z in code.outputs)


# Binding.

SUM = Code(4, (), ((PLACE["add"], 0, 1, -1), (PLACE["mul"], 2, 3, -1)), (), (4, 5))
"""x0 + x1 and x2 · x3."""

Point = namedtuple("Point", "x y")
PAIR = ("tuple", ("scalar", "scalar"))


def bind(
    arguments: tuple[Any, ...],
    axes: tuple[int | None, ...],
    results: Any = PAIR,
    modes: str = "ee",
    captured: tuple[Value, ...] = (),
    otherwise: Callable[..., Any] = refuse,
    code: Code = SUM,
    threads: int = 1,
) -> Any:
    return code.program().bind(arguments, axes, results, modes, captured, threads, otherwise)


WRONG_BINDINGS: dict[str, dict[str, Any]] = {
    "too few scalars": {"arguments": scalars(3), "axes": (None,) * 3},
    "too many scalars": {"arguments": scalars(5), "axes": (None,) * 5},
    "axes for others": {"arguments": scalars(4), "axes": (None,) * 3},
    "another axis": {"arguments": scalars(4), "axes": (1,) * 4},
    "no spec": {"arguments": ("number",) * 4, "axes": (None,) * 4},
    "parts that are none": {"arguments": (("list", 4),), "axes": (None,)},
    "a negative shape": {"arguments": (("array", (-4,)),), "axes": (None,)},
    "keys for others": {"arguments": (("dict", ("a",), scalars(4)),), "axes": (None,)},
    "a type that is none": {"arguments": (("named", "x", scalars(4)),), "axes": (None,)},
    "results of others": {"arguments": scalars(4), "axes": (None,) * 4, "results": "scalar"},
    "modes of others": {"arguments": scalars(4), "axes": (None,) * 4, "modes": "e"},
    "a sum of one sample": {"arguments": scalars(4), "axes": (None,) * 4, "modes": "es"},
    "a mode that is none": {"arguments": scalars(4), "axes": (0,) * 4, "modes": "ex"},
    "no threads": {"arguments": scalars(4), "axes": (None,) * 4, "threads": 0},
}


@pytest.mark.parametrize("name", WRONG_BINDINGS)
def test_a_wrong_binding_is_refused(name: str):
    with pytest.raises(ValueError, match=r"."):
        bind(**WRONG_BINDINGS[name])


def test_a_spec_may_not_be_endlessly_deep():
    spec: Any = "scalar"
    for _ in range(100_000):
        spec = ("list", (spec,))
    with pytest.raises(RecursionError):
        bind((spec, *scalars(3)), (None,) * 4)


SHARED: dict[str, tuple[Any, Any]] = {
    "list": (("list", scalars(4)), [1.0, 2, 3.0, 4.0]),
    "tuple": (("tuple", scalars(4)), (1.0, 2, 3.0, 4.0)),
    "dict": (("dict", ("a", "b"), (PAIR, PAIR)), {"a": (1.0, 2.0), "b": (3.0, 4.0)}),
    "named": (("named", Point, (PAIR, PAIR)), Point((1.0, 2.0), (3.0, 4.0))),
    "array": (("array", (2, 2)), np.array([[1.0, 2.0], [3.0, 4.0]])),
    "strided": (("array", (2, 2)), np.array([[1.0, 3.0], [2.0, 4.0]]).T),
    "backwards": (("array", (4,)), np.array([4.0, 3.0, 2.0, 1.0])[::-1]),
    "nested": (("list", (("array", (2,)), PAIR)), [np.array([1.0, 2.0]), (3.0, 4.0)]),
}


@pytest.mark.parametrize("name", SHARED)
def test_structures_of_an_argument(name: str):
    spec, argument = SHARED[name]
    assert (3.0, 12.0) == bind((spec,), (None,))(argument)


STRUCTURES: dict[str, tuple[Any, Any]] = {
    "list": (("list", scalars(2)), [3.0, 12.0]),
    "tuple": (PAIR, (3.0, 12.0)),
    "dict": (("dict", ("p", "q"), scalars(2)), {"p": 3.0, "q": 12.0}),
    "named": (("named", Point, scalars(2)), Point(3.0, 12.0)),
    "nested": (
        ("list", (("dict", ("p",), ("scalar",)), ("tuple", ("scalar",)))),
        [{"p": 3.0}, (12.0,)],
    ),
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_structures_of_a_result(name: str):
    spec, expected = STRUCTURES[name]
    actual = bind(scalars(4), (None,) * 4, spec)(1.0, 2.0, 3.0, 4.0)
    assert (expected, type(expected)) == (actual, type(actual))


def test_an_array_as_a_result():
    actual = bind(scalars(4), (None,) * 4, ("array", (2, 1)), "e")(1.0, 2.0, 3.0, 4.0)
    assert ([[3.0], [12.0]], np.dtype(float)) == (actual.tolist(), actual.dtype)


ROWS_OF_FOUR = np.arange(12.0).reshape(3, 4)
LISTS = ("list", scalars(4))
SQUARE = ("list", (("list", scalars(2)),) * 2)
BATCHES: dict[str, tuple[Any, Any]] = {
    "an array": (("array", (4,)), ROWS_OF_FOUR),
    "an array of arrays": (("array", (2, 2)), ROWS_OF_FOUR.reshape(3, 2, 2)),
    "an array for lists": (LISTS, ROWS_OF_FOUR),
    "an array for nested lists": (SQUARE, ROWS_OF_FOUR.reshape(3, 2, 2)),
    "an array in another order": (LISTS, np.asfortranarray(ROWS_OF_FOUR)),
    "an array backwards": (LISTS, ROWS_OF_FOUR[::-1][::-1]),
    "every other of an array": (LISTS, np.repeat(ROWS_OF_FOUR, 2, axis=0)[::2]),
    "one array broadcast": (LISTS, np.broadcast_to(ROWS_OF_FOUR, (1, 3, 4))[0]),
    "a list of lists": (LISTS, ROWS_OF_FOUR.tolist()),
    "a tuple of lists": (LISTS, tuple(ROWS_OF_FOUR.tolist())),
    "a list of arrays": (("array", (4,)), [*ROWS_OF_FOUR]),
    "a list of tuples": (("tuple", scalars(4)), [tuple(row) for row in ROWS_OF_FOUR.tolist()]),
    "a list of dicts": (
        ("dict", ("p", "q"), (PAIR, PAIR)),
        [{"p": (a, b), "q": (c, d)} for a, b, c, d in ROWS_OF_FOUR.tolist()],
    ),
    "a dict of batches": (
        ("dict", ("p", "q"), (("array", (2,)), PAIR)),
        {"p": ROWS_OF_FOUR[:, :2], "q": ROWS_OF_FOUR[:, 2:]},
    ),
    "a named tuple of batches": (
        ("named", Point, (PAIR, PAIR)),
        Point(ROWS_OF_FOUR[:, :2], [tuple(row) for row in ROWS_OF_FOUR[:, 2:].tolist()]),
    ),
    "a list of named tuples": (
        ("named", Point, (PAIR, PAIR)),
        [Point((a, b), (c, d)) for a, b, c, d in ROWS_OF_FOUR.tolist()],
    ),
}


@pytest.mark.parametrize("name", BATCHES)
def test_structures_of_a_batch(name: str):
    spec, argument = BATCHES[name]
    actual = bind((spec,), (0,))(argument)
    assert ([1.0, 9.0, 17.0], [6.0, 42.0, 110.0]) == tuple(x.tolist() for x in actual)


def test_read_only_arrays_are_read():
    frozen = ROWS_OF_FOUR.copy()
    frozen.flags.writeable = False
    assert [6.0, 42.0, 110.0] == bind((LISTS,), (0,))(frozen)[1].tolist()


def test_arrays_not_aligned_are_read():
    packed = np.zeros(3, dtype=[("flag", "i1"), ("row", float, (4,))])
    packed["row"] = ROWS_OF_FOUR
    assert [6.0, 42.0, 110.0] == bind((LISTS,), (0,))(packed["row"])[1].tolist()


def test_leaves_of_a_result_over_a_batch():
    run = bind((("array", (4,)),), (0,), ("dict", ("p", "q"), (("array", (1,)), "scalar")), "em")
    actual = run(ROWS_OF_FOUR)
    assert [[1.0], [9.0], [17.0]] == actual["p"].tolist()
    assert ((6.0 + 42.0 + 110.0) / 3.0, float) == (actual["q"], type(actual["q"]))


def test_an_empty_batch():
    run = bind((LISTS,), (0,), ("list", scalars(2)), "es")
    for empty in (np.zeros((0, 4)), []):
        actual = run(empty)
        assert ((0,), 0.0) == (actual[0].shape, actual[1])


# What is not taken.

OTHERS: dict[str, tuple[Any, ...]] = {
    "a shorter list": ([1.0, 2.0, 3.0],),
    "a tuple": ((1.0, 2.0, 3.0, 4.0),),
    "a string": ([1.0, 2.0, 3.0, "x"],),
    "a Value": ([1.0, 2.0, 3.0, Value(4.0)],),
    "a bool": ([1.0, 2.0, 3.0, True],),
    "a NumPy scalar": ([1.0, 2.0, 3.0, np.float64(4.0)],),
    "a very large int": ([1.0, 2.0, 3.0, 10**400],),
    "an array": (np.zeros(4),),
    "two arguments": ([1.0] * 4, 1.0),
    "no argument": (),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_structure_is_handed_on(name: str):
    received: list[Any] = []
    run = bind((LISTS,), (None,), otherwise=lambda *args, **kwargs: received.append((args, kwargs)))
    assert run(*OTHERS[name]) is None
    ((args, kwargs),) = received
    assert [*map(id, OTHERS[name])] == [*map(id, args)]
    assert {} == kwargs


def test_keys_in_another_order_are_handed_on():
    """A function may depend on the order of its dict."""
    run = bind((("dict", ("p", "q"), (PAIR, PAIR)),), (None,), otherwise=lambda *_: "otherwise")
    assert "otherwise" == run({"q": (3.0, 4.0), "p": (1.0, 2.0)})


def test_an_array_with_a_dtype_of_its_own():
    array = pickle.loads(pickle.dumps(ROWS_OF_FOUR))
    count = sys.getrefcount(array)
    expected = bind((LISTS,), (0,), modes="sm")(ROWS_OF_FOUR)
    assert expected == bind((LISTS,), (0,), modes="sm")(array)
    assert count == sys.getrefcount(array)


def test_an_array_is_not_written_where_it_is_read_only():
    out = (np.zeros(3), np.zeros(3))
    out[1].flags.writeable = False
    run = bind((LISTS,), (0,), otherwise=lambda *_args, **_kwargs: "otherwise")
    assert "otherwise" == run(ROWS_OF_FOUR, out=out)
    assert [0.0] * 6 == [*out[0], *out[1]]


OTHER_BATCHES: dict[str, Any] = {
    "ints": np.zeros((3, 4), dtype=int),
    "float32": np.zeros((3, 4), dtype=np.float32),
    "objects": np.zeros((3, 4), dtype=object),
    "another byte order": np.zeros((3, 4), dtype=">f8"),
    "another shape": np.zeros((3, 5)),
    "one dimension less": np.zeros(4),
    "one dimension more": np.zeros((3, 4, 1)),
    "bytes": bytes(32),
    "an array of another type": np.ma.masked_array(np.zeros((3, 4)), True),
    "a memoryview": memoryview(np.zeros((3, 4))),
    "samples of different lengths": [[1.0] * 4, [1.0] * 5],
    "a number": 1.0,
    "None": None,
}


@pytest.mark.parametrize("name", OTHER_BATCHES)
def test_another_batch_is_handed_on(name: str):
    run = bind((LISTS,), (0,), otherwise=lambda *_args, **kwargs: (name, kwargs))
    assert (name, {}) == run(OTHER_BATCHES[name])


def test_batches_of_different_sizes_are_handed_on():
    run = bind((PAIR, PAIR), (0, 0), otherwise=lambda *_: "handed on")
    assert "handed on" == run(np.zeros((3, 2)), np.zeros((4, 2)))
    assert "handed on" == run(np.zeros((3, 2)), [(0.0, 0.0)])


def test_other_keywords_are_handed_on():
    run = bind((LISTS,), (None,), otherwise=lambda *args, **kwargs: (args, kwargs))
    assert (([1.0],), {"key": 2.0}) == run([1.0], key=2.0)


def test_inside_a_transform_nothing_runs_natively():
    run = bind((LISTS,), (None,), otherwise=lambda *_: "handed on")
    argument = [1.0, 2.0, 3.0, 4.0]
    program.set_transforming(1)
    try:
        assert "handed on" == run(argument)
        there: list[Any] = []
        thread = threading.Thread(target=lambda: there.append(run(argument)))
        thread.start()
        thread.join()
        assert [(3.0, 12.0)] == there
    finally:
        program.set_transforming(0)
    assert (3.0, 12.0) == run(argument)


def test_errors_of_the_other_function_pass():
    def fail(*_: Any) -> None:
        raise KeyError("other")

    with pytest.raises(KeyError, match="other"):
        bind((LISTS,), (None,), otherwise=fail)(None)


def test_errors_of_keys_pass():
    class Key:
        def __hash__(self) -> int:
            return 1

        def __eq__(self, other: object) -> bool:
            if other is not self:
                raise ZeroDivisionError
            return True

    run = bind((("dict", (Key(),), (LISTS,)),), (None,))
    with pytest.raises(ZeroDivisionError):
        run({Key(): [1.0] * 4})


# out=.


def test_out_is_written_and_returned():
    out = (np.zeros(3), np.zeros(6)[::2])
    assert bind((LISTS,), (0,))(ROWS_OF_FOUR, out=out) is out
    assert ([1.0, 9.0, 17.0], [6.0, 42.0, 110.0]) == tuple(x.tolist() for x in out)


def test_out_of_sums_and_single_samples():
    out = (np.zeros(()), np.zeros(()))
    assert bind((LISTS,), (0,), modes="sm")(ROWS_OF_FOUR, out=out) is out
    assert (27.0, 158.0 / 3.0) == tuple(map(float, out))
    assert bind((LISTS,), (None,))([1.0, 2.0, 3.0, 4.0], out=out) is out
    assert (3.0, 12.0) == tuple(map(float, out))


def test_out_none_is_no_out():
    assert (3.0, 12.0) == bind((LISTS,), (None,))([1.0, 2.0, 3.0, 4.0], out=None)


def test_out_may_overlap_a_batch():
    numbers = np.arange(4.0 * 300).reshape(300, 4)
    run = bind((("array", (4,)),), (0,))
    expected = [x.tolist() for x in run(numbers.copy())]
    places = numbers.reshape(-1)[1:301], numbers.reshape(-1)[1000:400:-2]
    assert expected == [x.tolist() for x in run(numbers, out=places)]


def test_out_may_overlap_a_sample():
    numbers = np.array([1.0, 2.0, 3.0, 4.0])
    run = bind((("array", (4,)),), (None,), ("array", (2,)), "e")
    assert [3.0, 12.0] == run(numbers, out=numbers[2:0:-1]).tolist()


def frozen(array: Any) -> Any:
    array.flags.writeable = False
    return array


WRONG_OUTS: dict[str, Any] = {
    "a list": [np.zeros(3), np.zeros(3)],
    "one array": (np.zeros(3),),
    "another size": (np.zeros(3), np.zeros(4)),
    "another type": (np.zeros(3), np.zeros(3, dtype=np.float32)),
    "read-only": (np.zeros(3), frozen(np.zeros(3))),
    "a number": (np.zeros(3), 1.0),
}


@pytest.mark.parametrize("name", WRONG_OUTS)
def test_another_out_is_handed_on(name: str):
    run = bind((LISTS,), (0,), otherwise=lambda *_, out: (name, out))
    assert (name, WRONG_OUTS[name]) == run(ROWS_OF_FOUR, out=WRONG_OUTS[name])


# Captured leaves.


def test_captured_leaves_are_read_at_every_call():
    x, y = Value(3.0), Value(4.0)
    run = bind((PAIR,), (None,), captured=(x, y))
    assert (3.0, 12.0) == run((1.0, 2.0))
    x.data = 5.0
    assert (3.0, 20.0) == run((1.0, 2.0))
    assert ([3.0], [20.0]) == tuple(
        z.tolist() for z in bind((PAIR,), (0,), captured=(x, y))([(1.0, 2.0)])
    )


def test_captured_leaves_may_be_of_another_class():
    class Leaf:
        _data = 3.0

    run = bind((PAIR,), (None,), captured=(Leaf(), Leaf()))  # type: ignore[arg-type]
    assert (3.0, 9.0) == run((1.0, 2.0))
    Leaf._data = "x"  # type: ignore[assignment]
    with pytest.raises(TypeError):
        run((1.0, 2.0))


# Memory and threads.


def test_nothing_leaks():
    argument, other = ROWS_OF_FOUR.tolist(), {"p": (1.0, 2.0), "q": (3.0, 4.0)}
    dicts = ("dict", ("p", "q"), (PAIR, PAIR))

    def work() -> None:
        received = bind((LISTS,), (0,), otherwise=lambda *_: None)
        for given_argument in (argument, ROWS_OF_FOUR, [1.0]):
            received(given_argument)
        bind((LISTS,), (0,), modes="sm")(argument)
        bind((LISTS,), (0,))(ROWS_OF_FOUR, out=(np.zeros(3), np.zeros(3)))
        bind((dicts,), (None,), ("dict", ("p", "q"), scalars(2)))(other)
        for wrong in WRONG_BINDINGS.values():
            with pytest.raises(ValueError, match=r"."):
                bind(**wrong)

    counted = [argument, other, dicts, ROWS_OF_FOUR, LISTS, *argument]
    work()
    gc.collect()
    before = [sys.getrefcount(x) for x in counted], sys.getallocatedblocks()
    for _ in range(30):
        work()
    gc.collect()
    after = [sys.getrefcount(x) for x in counted], sys.getallocatedblocks()
    assert before[0] == after[0]
    assert after[1] - before[1] < 100


def test_a_cycle_through_the_other_function_is_collected():
    class Owner:
        run: Any

        def other(self, *_: Any) -> None:
            """Where nothing matches."""

    gc.collect()
    owner = Owner()
    owner.run = bind((LISTS,), (None,), otherwise=owner.other)
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is None


def test_calls_from_many_threads():
    code = Code(1, (), tuple((PLACE["sin"], k, -1, -1) for k in range(40)), (), (40,))
    run = bound(code, [True])
    batches = [np.linspace(-k, k, 4000 + k) for k in range(1, 9)]
    expected = [bits(run(x)[0]) for x in batches]
    wrong: list[int] = []

    def call(k: int) -> None:
        for _ in range(10):
            if expected[k] != bits(run(batches[k])[0]):
                wrong.append(k)

    threads = [threading.Thread(target=call, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == wrong


def test_a_call_within_a_call():
    """A function called instead may call the same program."""

    def other(*args: Any) -> Any:
        return inner[0]([1.0, 2.0, 3.0, 4.0]) if args else None

    inner = [bind((LISTS,), (None,), otherwise=other)]
    assert (3.0, 12.0) == inner[0]("anything")


# Entries.


class Owner:
    """Something with an entry."""

    def __init__(self) -> None:
        self.double = program.Entry(self, "double", lambda x, y=2.0: x * y)

    def __repr__(self) -> str:
        return "<owner>"


def test_an_entry_calls_its_target():
    entry = Owner().double
    assert 6.0 == entry(3.0)
    assert 12.0 == entry(3.0, y=4.0)
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        entry()
    entry.target = abs
    assert 3.0 == entry(-3.0)
    assert "<owner>.double" == repr(entry)


def test_the_target_of_an_entry_may_change_during_a_call():
    entry = Owner().double
    target = weakref.ref(replacing := lambda x: (setattr(entry, "target", abs), x)[1])
    entry.target = replacing
    del replacing
    assert -3.0 == entry(-3.0)
    assert target() is None
    assert 3.0 == entry(-3.0)


def test_an_entry_pickles_as_the_attribute_of_its_owner():
    assert (getattr, (owner := Owner(), "double")) == owner.double.__reduce__()


def test_an_entry_and_its_owner_are_collected():
    owner = Owner()
    found = weakref.ref(owner)
    del owner
    gc.collect()
    assert found() is None


def test_classes_that_are_entries():
    class Named(program.Entry):
        def __init__(self, name: str) -> None:
            super().__init__(None, name, abs)

    assert 2.0 == Named("n")(-2.0)
    with pytest.raises(TypeError, match="not callable"):
        Named.__new__(Named, "n")(-2.0)
    with pytest.raises(TypeError, match="required argument"):
        program.Entry()


# The module.


def test_versions():
    assert ("baseline", "interpreted") == program.versions[-2:]
    with pytest.raises(ValueError, match="this processor runs no version 'mmx'"):
        program.use("mmx")


def test_the_stub_says_what_there_is():
    stub = ast.parse(Path(program.__file__).with_name("program.pyi").read_text(encoding="utf-8"))
    names, functions = set[str](), dict[str, list[str]]()
    for node in ast.walk(stub):
        if isinstance(node, ast.FunctionDef):
            functions[node.name] = [x.arg for x in (*node.args.posonlyargs, *node.args.args)]
    for node in stub.body:
        if isinstance(node, ast.AnnAssign):
            names.add(ast.unparse(node.target))
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
    assert names == {name for name in dir(program) if not name.startswith("_")}
    assert functions["bind"] == [*inspect.signature(Program.bind).parameters]
    assert functions["__init__"][1:] == [*inspect.signature(Program).parameters]
    assert functions["use"] == [*inspect.signature(program.use).parameters]
    depth = inspect.signature(program.set_transforming).parameters
    assert functions["set_transforming"] == [*depth]
