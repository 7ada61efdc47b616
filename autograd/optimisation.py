"""Flat code: the columns of a graph, and the passes that shorten it without changing a bit."""

import math
import struct
from array import array
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Any, NamedTuple

from autograd import ops
from autograd.environment import accelerated
from autograd.ops import TABLE
from autograd.value import Value

ROWS = tuple(TABLE.values())

SELECT = len(ROWS)
"""Takes the place of a row: b where a is not 0.0, else c."""

DOT = SELECT + 1
"""Takes the place of a row: a sum of products, ((start + x₀·y₀) + x₁·y₁) + … from left to right."""

_PLACE = {row: place for place, row in enumerate((*ROWS, ops.SELECT, ops.OPTIONS))}
_OPTIONS = _PLACE[ops.OPTIONS]
POS, NEG, ADD, SUB, MUL, DIV, SQUARE = (
    _PLACE[TABLE[name]] for name in ("pos", "neg", "add", "sub", "mul", "div", "square")
)

NOTHING = -1
"""The operand that an instruction does not have."""

Code = tuple[int, int, int, int]
"""An instruction: its row and its operands a, b, c. One ≥ 0 is a slot, one < 0 is ~place among the
constants. The inputs and then the instructions are numbered from 0: these are the slots."""

FOLDING, IDENTITIES, SHARING, DEAD, DOTS = PASSES = (
    "constant folding",
    "exact identities",
    "common subexpressions",
    "dead code",
    "dot products",
)
"""The passes by name. The first three are made together, for each finds work for the others."""


# From the graph.


@accelerated
def columns(
    operations: list[Value], sources: list[Value], wanted: list[Value]
) -> tuple[list[Value], bytes, bytes, bytes]:
    """A graph as columns of numbers.

    Slots are numbered over the sources, then the other leaves, then the operations.

    Args:
        operations: nodes in the order of recording.
        sources: leaves.
        wanted: nodes whose slots are asked for.

    Returns:
        The other leaves; int32 (row, x, y) of each operation, where -1 stands for no operand, and
        another number below 0 is ~place in the next; float64 number operands, after a first one
        that stands for none; the int32 slots of the wanted nodes.
    """
    computed = set(operations)
    leaves = dict.fromkeys(sources)
    for z in [z for node in operations for z in node.operands] + wanted:
        if isinstance(z, Value) and z not in computed:
            leaves[z] = None
    slots: dict[Value, int] = {node: slot for slot, node in enumerate([*leaves, *operations])}
    code, numbers = array("i"), array("d", [0.0])
    for node in operations:
        operands: list[int] = []
        for operand in node.operands:
            if isinstance(operand, Value):
                operands.append(slots[operand])
            else:
                operands.append(~len(numbers))
                numbers.append(operand)
        code.extend((_PLACE[node._op], *operands, NOTHING)[:3])
    places = array("i", [slots[node] for node in wanted])
    return [*leaves][len(sources) :], code.tobytes(), numbers.tobytes(), places.tobytes()


class Constants:
    """The number operands of a program, each once by its bits."""

    def __init__(self) -> None:
        self.numbers = [0.0]  # stands for no operand
        self._places: dict[bytes, int] = {}

    def place(self, number: float) -> int:
        """The operand that stands for a number."""
        return self.place_all(struct.pack("d", number))[0]

    def place_all(self, numbers: bytes) -> list[int]:
        """The operands that stand for float64 numbers."""
        places = self._places
        return [
            places.get(bits) or self._add(bits) for (bits,) in struct.iter_unpack("8s", numbers)
        ]

    def _add(self, bits: bytes) -> int:
        place = self._places[bits] = ~len(self.numbers)
        self.numbers += struct.unpack("d", bits)
        return place


@dataclass
class Flat:
    """Flat code on its way through the passes.

    Attributes:
        inputs: how many there are.
        constants: the number operands.
        code: the instructions.
        outputs: the operand that each output is.
        places: for each slot of `columns` the operand that its node has become.
        first: the slot there of the first operation.
        sizes: how many instructions there were at first and after each pass, by its name.
        uses: of each slot, and by ~place of each constant, how often it is used by live code.
        dots: by slot, the sums of products in place of instructions: start, then x, y, x, y, …
    """

    inputs: int
    constants: Constants
    code: list[Code]
    outputs: list[int]
    places: list[int]
    first: int
    sizes: dict[str, int]
    uses: list[int] = field(default_factory=list[int])
    dots: dict[int, list[int]] = field(default_factory=dict[int, list[int]])


def flatten(
    sources: list[Value],
    outputs: Sequence[Value | float],
    operations: list[Value],
    is_captured: Callable[[Value], bool],
    passes: Container[str] = PASSES,
    noted: Sequence[Value] = (),
) -> tuple[Flat, list[Value], list[int]]:
    """The flat code of a graph after the passes.

    Args:
        sources: the leaves that are inputs.
        outputs: the results.
        operations: the nodes below them, in order.
        is_captured: whether another leaf is an input too; else it is a constant.
        passes: which to make, by name.
        noted: nodes that are asked for.

    Returns:
        The code; the leaves that are inputs after the sources; what the noted nodes have become.
    """
    wanted = [z for z in outputs if isinstance(z, Value)] + [*noted]
    leaves, code, numbers, slots = columns(operations, sources, wanted)
    column, found = array("i", code), iter(array("i", slots))
    constants = Constants()
    results = [next(found) if isinstance(z, Value) else constants.place(z) for z in outputs]
    count, captured, places = len(sources), list[Value](), [*range(len(sources))]
    for leaf in leaves:
        if is_captured(leaf):
            places.append(count + len(captured))
            captured.append(leaf)
        else:
            places.append(constants.place(leaf._data))
    places += [0] * len(operations)
    places += reversed([NOTHING, *constants.place_all(numbers[8:])])
    first = len(sources) + len(leaves)
    sizes = {"recorded": len(operations) - column[0::3].count(_OPTIONS)}
    flat = Flat(count + len(captured), constants, [], results, places, first, sizes)
    _simplify(flat, column, passes)
    flat.outputs = [places[z] if z >= 0 else z for z in results]
    _prune(flat, passes)
    if DOTS in passes:
        _fuse(flat)
    return flat, captured, [places[z] for z in found]


# Folding, identities and common subexpressions.


def _simplify(flat: Flat, column: "array[int]", passes: Container[str]) -> None:
    """Write the code of the columns, leaving out what is known, identical or computed before."""
    places, constants = flat.places, flat.constants
    known, identical, shared = FOLDING in passes, IDENTITIES in passes, SHARING in passes
    identities = _Identities(constants)
    rules = identities.rules if identical else {}
    negated = identities.negated
    code: dict[Any, int] = {}
    slot, folded, same = flat.inputs, 0, 0
    options: dict[int, tuple[int, int]] = {}
    parts = iter(column)
    for node, (row, a, b) in enumerate(zip(parts, parts, parts, strict=True), flat.first):
        c = NOTHING
        if row >= SELECT:
            if row == _OPTIONS:
                options[node] = places[a], places[b]
                continue
            a, b, c = places[b], *options[a]
        else:
            a, b = places[a], places[b]
        if a < 0 and b < 0 and row < SELECT and known:
            places[node] = constants.place(_fold(row, a, b, constants.numbers))
            folded += 1
            continue
        found: int | Code | None = None
        # All identities are about a constant, a changed sign or a selection.
        while (a < 0 or b < 0 or a in negated or b in negated or row == SELECT) and (
            rule := rules.get(row)
        ):
            found = rule(a, b, c)
            if type(found) is not tuple:
                break
            row, a, b, c = found
            found = None
        if type(found) is int:
            places[node] = found
            same += 1
            continue
        earlier = code.setdefault((row, a, b, c) if shared else (row, a, b, c, slot), slot)
        places[node] = earlier
        if earlier == slot:
            if row == NEG:
                negated[slot] = a
            slot += 1
    flat.code = [*code] if shared else [key[:4] for key in code]
    recorded = flat.sizes["recorded"]
    flat.sizes |= {
        FOLDING: recorded - folded,
        IDENTITIES: recorded - folded - same,
        SHARING: len(flat.code),
    }


def _fold(row: int, a: int, b: int, numbers: list[float]) -> float:
    operands = (numbers[~a],) if b == NOTHING else (numbers[~a], numbers[~b])
    return ROWS[row].function(*operands)


class _Identities:
    """The exact identities.

    Each rule takes operands and gives the operand that is the result, or a simpler instruction, or
    None. What is exact holds for every float, signed zeros, inf and nan included: so x + 0.0 is
    not x, for -0.0 + 0.0 is 0.0; and x × 0.0 is not 0.0.
    """

    def __init__(self, constants: Constants) -> None:
        self.constants = constants
        self.negated: dict[int, int] = {}  # the operand of each instruction that changes a sign
        self.one, self.minus_one = constants.place(1.0), constants.place(-1.0)
        self.zero, self.minus_zero = constants.place(0.0), constants.place(-0.0)
        self.rules: dict[int, Callable[[int, int, int], int | Code | None]] = {
            POS: lambda a, _b, _c: a,
            NEG: lambda a, _b, _c: self.negated.get(a),
            ADD: self.add,
            SUB: self.sub,
            MUL: self.mul,
            DIV: self.div,
            SELECT: self.select,
        }

    def add(self, a: int, b: int, _: int) -> int | Code | None:
        """x + -0.0 is x; x + -y is x - y."""
        if b == self.minus_zero:
            return a
        if a == self.minus_zero:
            return b
        if b in self.negated:
            return SUB, a, self.negated[b], NOTHING
        return (SUB, b, self.negated[a], NOTHING) if a in self.negated else None

    def sub(self, a: int, b: int, _: int) -> int | Code | None:
        """x - 0.0 is x; -0.0 - x is -x; x - -y is x + y."""
        if b == self.zero:
            return a
        if a == self.minus_zero:
            return NEG, b, NOTHING, NOTHING
        return (ADD, a, self.negated[b], NOTHING) if b in self.negated else None

    def mul(self, a: int, b: int, _: int) -> int | Code | None:
        """x × 1.0 is x; x × -1.0 is -x."""
        if b < 0:
            a, b = b, a
        if a == self.one:
            return b
        return (NEG, b, NOTHING, NOTHING) if a == self.minus_one else None

    def div(self, a: int, b: int, _: int) -> int | Code | None:
        """x / 1.0 is x; x / 2ⁿ is x × 2⁻ⁿ."""
        if b == self.one:
            return a
        if b < 0 and _is_power_of_two(divisor := self.constants.numbers[~b]):
            return MUL, a, self.constants.place(1.0 / divisor), NOTHING
        return None

    def select(self, a: int, b: int, c: int) -> int | Code | None:
        """One operand, where the condition is known or both are the same."""
        if a < 0:
            return b if self.constants.numbers[~a] != 0.0 else c
        return b if b == c else None


def _is_power_of_two(x: float) -> bool:
    """Whether x is ±2ⁿ and 1 / x a number too."""
    mantissa, exponent = math.frexp(x)
    return abs(mantissa) == 0.5 and abs(exponent) < 1000


# Dead code and dot products.


def _prune(flat: Flat, passes: Container[str]) -> None:
    """Count the uses of each operand by what the outputs need; what has none is dead."""
    first, count = flat.inputs, len(flat.code)
    uses = flat.uses = [0] * (first + count + len(flat.constants.numbers))
    for output in flat.outputs:
        uses[output] += 2  # so that it is not taken for a product that is used once
    if DEAD not in passes:
        for slot in range(first, first + count):
            uses[slot] += 1
    slot, dead = first + count, 0
    for _, a, b, c in reversed(flat.code):
        slot -= 1
        if uses[slot]:
            uses[a] += 1
            uses[b] += 1
            uses[c] += 1
        else:
            dead += 1
    flat.sizes[DEAD] = count - dead


def _fuse(flat: Flat) -> None:
    """Gather sums of products, each of which is used in the sum alone."""
    code, uses, dots, first = flat.code, flat.uses, flat.dots, flat.inputs

    def factors(z: int) -> tuple[int, int] | None:
        if z < first or uses[z] != 1:
            return None
        row, a, b, _ = code[z - first]
        return (a, b) if row == MUL else (a, a) if row == SQUARE else None

    for slot, (row, a, b, _) in enumerate(code, first):
        if row != ADD or not uses[slot] or a == b:
            continue
        product = factors(b)
        if product is None:  # a sum has the same bits the other way round
            a, b = b, a
            product = factors(b)
            if product is None:
                continue
        uses[b] = 0
        if a in dots and uses[a] == 1:
            uses[a] = 0
            dot = dots.pop(a)
        elif before := factors(a):
            uses[a] = 0
            dot = [NOTHING, *before]
        else:
            dot = [a]
        dot += product
        dots[slot] = dot
    flat.sizes[DOTS] = sum(map(bool, uses[first : first + len(code)]))


# To the program.


class Encoded(NamedTuple):
    """Flat code as `Program` takes it: in its slots the constants stand after the inputs.

    Attributes:
        code: int32 (row, a, b, c) of each instruction; -1 is no operand. Of a `DOT` a is the first
            of its terms, b their number and c the slot of its start.
        terms: int32 slots (x, y) of each product.
        constants: float64 numbers.
        inputs: how many inputs there are.
        outputs: int32 slots of the results.
    """

    code: "array[int]"
    terms: "array[int]"
    constants: "array[float]"
    inputs: int
    outputs: "array[int]"


def encode(flat: Flat) -> tuple[Encoded, list[int]]:
    """The live code in the form of a program; and for each operand of the flat code its slot."""
    first, uses, numbers = flat.inputs, flat.uses, flat.constants.numbers
    used = [k for k in range(1, len(numbers)) if uses[~k]]
    live = [place for place in range(first, first + len(flat.code)) if uses[place]]
    slots = [NOTHING] * len(uses)
    slots[:first] = range(first)
    for slot, k in enumerate(used, first):
        slots[~k] = slot
    for slot, place in enumerate(live, first + len(used)):
        slots[place] = slot
    instructions = compress(flat.code, uses[first:])
    code = [z for row, a, b, c in instructions for z in (row, slots[a], slots[b], slots[c])]
    terms: list[int] = []
    for place, (start, *factors) in flat.dots.items():
        at = 4 * (slots[place] - first - len(used))
        code[at : at + 4] = DOT, len(terms) // 2, len(factors) // 2, slots[start]
        terms += [slots[z] for z in factors]
    constants = array("d", [numbers[k] for k in used])
    outputs = array("i", [slots[z] for z in flat.outputs])
    return Encoded(array("i", code), array("i", terms), constants, first, outputs), slots
