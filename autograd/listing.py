"""The tape of a compiled function, and its text as Python, C and LaTeX."""

import ast
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count as count_from
from typing import Any

from autograd import graph
from autograd.ops import PRIMITIVES, TABLE, Op
from autograd.optimisation import DOT, NOTHING, ROWS, SELECT, Encoded
from autograd.tape import (
    RESERVED,
    Input,
    Instruction,
    Tape,
    identifier,
    latex_aligned,
    latex_derivative,
    latex_name,
    latex_number,
    latex_row,
    read_formula,
    value_formula,
)

CHOICE = Op("select", "where", "where", (), (), "y where x is not 0, else z", r"\ ")
"""The instruction of a `where`; its operands are the condition and what it chooses between."""

PRODUCTS = Op("dot", "·", "dot", (), (), "a sum of products, from left to right", r"\ ")
"""The instruction of a dot product; its operands are the start, if it has one, and then the two
factors of each product."""

Operand = int | float


@dataclass(frozen=True)
class Names:
    """What a program's inputs and results are called.

    Attributes:
        inputs: the names of the inputs.
        values: the numbers that they had when the function was traced.
        labels: the labels of instructions, by slot.
        gradients: slots, each followed by that of its gradient; one below 0 is no slot any more.
        reverse: the first slot of the reverse sweep.
    """

    inputs: list[str]
    values: Sequence[float]
    labels: Mapping[int, str]
    gradients: Sequence[int]
    reverse: int


@dataclass(frozen=True)
class ProgramTape(Tape):
    """The tape of a program; its gradients are instructions like all others.

    Attributes:
        results: the slot or number of each result.
        structure: the text of the result, with a place `{}` for each of them.
        primals: for each instruction that is a gradient the slot of which it is one.
        reverse: how many instructions stand before the reverse sweep.
        sizes: how many instructions there were after each pass.
    """

    results: tuple[Operand, ...]
    structure: str
    primals: Mapping[int, int]
    reverse: int
    sizes: Mapping[str, int]

    def stats(self) -> dict[str, int]:
        """How many instructions were recorded, and how many there were after each pass."""
        return dict(self.sizes)

    # Python.

    def identifiers(self) -> list[str]:
        """A name for each slot that is a variable's in Python and in C; no two are alike."""
        taken = RESERVED | C_FUNCTIONS | {"inputs", "outputs", "result"}
        return graph.distinct([_variable(slot.name) for slot in self.slots], taken)

    def python(self) -> str:
        """The flat code: a program that computes the result, for the inputs of the first call."""
        names = self.identifiers()
        lines = [*self._assignments(names, _python_expression)]
        calls = {name for x in self.instructions for name in _calls(x.op)}
        infinite = {repr(x).lstrip("-") for x in self._numbers()} & {"inf", "nan"}
        results = self.structure.format(*(_text(z, names) for z in self.results))
        sections = [
            *([f"from math import {', '.join(sorted(infinite))}"] if infinite else []),
            *([f"from autograd import {', '.join(sorted(calls))}"] if calls else []),
            *("", "# inputs"),
            *(f"{name} = {x.value!r}" for name, x in zip(names, self.inputs, strict=False)),
            *("", "# forward", *lines[: self.reverse]),
            *(("", "# backward", *lines[self.reverse :]) if lines[self.reverse :] else ()),
            *("", "# result", f"result = {results}", ""),
        ]
        return "\n".join(sections).lstrip("\n")

    def _assignments(self, names: Sequence[str], expression: Any) -> Iterator[str]:
        for name, instruction in zip(names[len(self.inputs) :], self.instructions, strict=True):
            yield f"{name} = {expression(instruction, names)}"

    def _numbers(self) -> list[float]:
        operands = [z for x in self.instructions for z in x.operands]
        numbers = [z for z in (*operands, *self.results) if not isinstance(z, int)]
        return [*numbers, *(x.value for x in self.inputs)]

    # C.

    def c(self, function: str) -> str:
        """The program as a C file with the function `void NAME(const double *, double *)`."""
        names = self.identifiers()
        lines = self._assignments(names, _c_expression)
        rows = {x.op for x in self.instructions}
        return _C.format(
            name=function,
            inputs=_listed("inputs", [x.name for x in self.inputs]),
            outputs=_listed("outputs", [_text(z, names) for z in self.results]),
            definitions="".join(f"\n{text}\n" for text in c_definitions(rows)),
            body="\n".join(
                [
                    *(
                        f"    const double {name} = inputs[{i}];"
                        for i, name in enumerate(names[: len(self.inputs)])
                    ),
                    *(f"    const double {line};" for line in lines),
                    *(
                        f"    outputs[{i}] = {_c_text(z, names)};"
                        for i, z in enumerate(self.results)
                    ),
                    "    (void)inputs;",
                    "    (void)outputs;",
                ]
            ),
        )

    # LaTeX.

    def latex(self) -> str:
        """The equations of the forward pass and of the gradients, aligned."""
        names = [latex_name(slot.name) for slot in self.slots]
        first = len(self.inputs)
        of = next((names[z] for z in self.results if isinstance(z, int)), "f")
        for slot, primal in self.primals.items():
            names[slot] = latex_derivative(of, names[primal])
        return latex_aligned(
            f"{names[slot]} &= {_latex_expression(instruction, names)}"
            for slot, instruction in enumerate(self.instructions, first)
        )


def tape_of(
    encoded: Encoded, names: Names, structure: str, sizes: Mapping[str, int]
) -> ProgramTape:
    """The tape of a program."""
    count, constants = encoded.inputs, encoded.constants
    first = count + len(constants)

    def operand(slot: int) -> Operand:
        if slot < count:
            return slot
        return constants[slot - count] if slot < first else slot - len(constants)

    operations = [(*_operation(encoded, k), first + k // 4) for k in range(0, len(encoded.code), 4)]
    pairs = zip(names.gradients[0::2], names.gradients[1::2], strict=True)
    primals = {
        slot - len(constants): primal if primal < count else primal - len(constants)
        for primal, slot in sorted(pairs, reverse=True)  # inputs are named last, and so for good
        if slot >= first and (0 <= primal < count or primal >= first)
    }
    free = count_from(0)
    shown = dict(enumerate(names.inputs))
    for _, _, slot in operations:
        shown[slot - len(constants)] = names.labels.get(slot) or f"s{next(free)}"
    for slot, primal in primals.items():
        shown[slot] = f"grad_{shown[primal]}"
    return ProgramTape(
        tuple(map(Input, names.inputs, names.values, [False] * count)),
        tuple(
            Instruction(shown[slot - len(constants)], op, tuple(map(operand, operands)), False)
            for op, operands, slot in operations
        ),
        tuple(z for z in map(operand, encoded.outputs) if isinstance(z, int)),
        tuple(map(operand, encoded.outputs)),
        structure,
        primals,
        max(names.reverse - first, 0),
        sizes,
    )


def _operation(encoded: Encoded, place: int) -> tuple[Op, list[int]]:
    """The op of an instruction and the slots of its operands."""
    row, *operands = encoded.code[place : place + 4]
    if row == DOT:
        start, count, total = operands
        return PRODUCTS, [
            *([] if total == NOTHING else [total]),
            *encoded.terms[2 * start : 2 * (start + count)],
        ]
    return CHOICE if row == SELECT else ROWS[row], [z for z in operands if z != NOTHING]


# Python.


def _variable(name: str) -> str:
    primal = name.removeprefix("grad_")
    return identifier(name) if primal == name else f"grad_{identifier(primal)}"


def _text(operand: Operand, names: Sequence[str]) -> str:
    return names[operand] if isinstance(operand, int) else repr(operand)


def _calls(op: Op) -> Iterable[str]:
    if op is CHOICE:
        return ["where"]
    return [] if op is PRODUCTS else read_formula(value_formula(op), True).calls


def _sum_of_products(texts: list[str], times: str) -> str:
    start = texts[: len(texts) % 2]
    factors = texts[len(start) :]
    products = map(times.join, zip(factors[0::2], factors[1::2], strict=True))
    return " + ".join([*start, *products])


def _python_expression(instruction: Instruction, names: Sequence[str]) -> str:
    texts = [_text(z, names) for z in instruction.operands]
    if instruction.op is CHOICE:
        return f"where({', '.join(texts)})"
    if instruction.op is PRODUCTS:
        return _sum_of_products(texts, " * ")
    return read_formula(value_formula(instruction.op), True).fill(instruction, names)


# C.

_C = """\
/* {name}: written by scalar-autograd.

   Inputs: {inputs}
   Outputs: {outputs}

   Where the compiler may fuse a product and a sum into one operation, -ffp-contract=off keeps the
   last bits. Link with the library of mathematics (-lm). */

#include <math.h>

void {name}(const double *inputs, double *outputs);
{definitions}
void {name}(const double *inputs, double *outputs)
{{
{body}
}}
"""

_C_NAMES = {"abs": "fabs", "round": "nearbyint"}
"""The primitives that have another name in C."""

C_FUNCTIONS = frozenset({*PRIMITIVES, *_C_NAMES.values(), "where"})


def _listed(array: str, names: Sequence[str]) -> str:
    return ", ".join(f"{array}[{i}] = {name}" for i, name in enumerate(names)).replace("*/", "* /")


def _c_text(operand: Operand, names: Sequence[str]) -> str:
    if isinstance(operand, int):
        return names[operand]
    if math.isnan(operand):
        return "NAN"
    return repr(operand).replace("inf", "INFINITY")


def _c_expression(instruction: Instruction, names: Sequence[str]) -> str:
    texts = [_c_text(z, names) for z in instruction.operands]
    if instruction.op is CHOICE:
        condition, a, b = texts
        return f"{condition} != 0.0 ? {a} : {b}"
    if instruction.op is PRODUCTS:
        return _sum_of_products(texts, " * ")
    op = instruction.op
    if "(" in op.value:
        return f"{_c_name(op.name)}({', '.join(texts)})"
    return op.value.replace("x", "{x}").replace("y", "{y}").format(x=texts[0], y=texts[-1])


def _c_name(name: str) -> str:
    """The function in C of a row or primitive."""
    return _C_NAMES.get(name, name) if name in PRIMITIVES else f"autograd_{name}"


@cache
def _c_formula(formula: str) -> tuple[str, frozenset[str]]:
    """A formula of the table in C, and the rows that it calls."""
    tree = ast.parse(formula, mode="eval").body
    called = [x.func for x in ast.walk(tree) if isinstance(x, ast.Call)]
    names = {x.id for x in called if isinstance(x, ast.Name)}
    for x in called:
        if isinstance(x, ast.Name) and x.id != "where":
            x.id = _c_name(x.id)
    return ast.unparse(tree), frozenset(names & TABLE.keys())


def c_definitions(rows: Iterable[Op]) -> list[str]:
    """The functions of C for rows that are neither arithmetic nor in its library."""
    wanted: set[str] = set()
    stack = [op.name for op in rows if op.name in TABLE and "(" in op.value]
    while stack:
        name = stack.pop()
        if name not in wanted and name not in PRIMITIVES:
            wanted.add(name)
            stack += _c_formula(TABLE[name].value)[1]
    found = [
        f"static double {_c_name(op.name)}({', '.join(f'double {x}' for x in 'xy'[: op.arity])})\n"
        f"{{\n    return {_c_formula(op.value)[0]};\n}}"
        for op in TABLE.values()
        if op.name in wanted
    ]
    macro = ["#define where(condition, a, b) ((condition) ? (a) : (b))"]
    return (macro if any("where(" in text for text in found) else []) + found


# LaTeX.


def _latex_expression(instruction: Instruction, names: Sequence[str]) -> str:
    texts = [
        names[z] if isinstance(z, int) else latex_number(repr(z)) for z in instruction.operands
    ]
    if instruction.op is PRODUCTS:
        factors = [f"({text})" if text.startswith("-") else text for text in texts]
        return _sum_of_products(factors, r" \cdot ")
    if instruction.op is CHOICE:
        condition, a, b = texts
        return (
            rf"\begin{{cases}} {a} & \text{{if }} {condition} \neq 0 \\ "
            rf"{b} & \text{{otherwise}} \end{{cases}}"
        )
    return latex_row(instruction.op, texts)
