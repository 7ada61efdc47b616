"""`Tape`: a graph as a flat list of instructions, and its text as Python and as LaTeX."""

import ast
import keyword
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from autograd import graph
from autograd.ops import TABLE, Op, total_division
from autograd.value import Value

Step = tuple[int, int, int]
"""An instruction's slot, the place of one of its operands (0 is left), and the operand's slot."""


class Input(NamedTuple):
    """A leaf: its display name, its number, and whether it gets a gradient."""

    name: str
    value: float
    requires_grad: bool


class Instruction(NamedTuple):
    """One operation: its display name, its row, its operands, and whether it gets a gradient.

    An operand that is an int is a slot; one that is a float is that number.
    """

    name: str
    op: Op
    operands: tuple[int | float, ...]
    requires_grad: bool


@dataclass(frozen=True)
class StraightLineCode:
    """Inputs, and instructions each of which reads earlier slots only.

    The inputs and then the instructions are numbered from 0: these numbers are the slots.

    Attributes:
        inputs: what is read: leaves and arguments.
        instructions: the operations in the order of their computation.
    """

    inputs: tuple[Input, ...]
    instructions: tuple[Instruction, ...]

    @property
    def slots(self) -> list[Input | Instruction]:
        """What stands in each slot."""
        return [*self.inputs, *self.instructions]

    def identifiers(self) -> list[str]:
        """A name for each slot that is a variable's in Python; no two are alike.

        It is the display name where that serves. None is a keyword or the name of a function, and
        none begins with grad_, so that grad_NAME is free for gradients.
        """
        return graph.distinct([identifier(slot.name) for slot in self.slots], RESERVED)

    def _infinite(self, numbers: Iterable[float] = ()) -> set[str]:
        """Which of inf and nan stand in the text of the code and of these numbers."""
        found = [*numbers, *(x.value for x in self.inputs)]
        for instruction in self.instructions:
            found += [z for z in instruction.operands if not isinstance(z, int)]
        return {repr(x).lstrip("-") for x in found} & {"inf", "nan"}


@dataclass(frozen=True)
class Tape(StraightLineCode):
    """A recorded computation, whose reverse sweep follows from the table.

    The inputs are the leaves in the order of their first use.

    Attributes:
        outputs: the slots of the results.
    """

    outputs: tuple[int, ...]

    @classmethod
    def record(cls, *roots: Value) -> "Tape":
        """The computation of the roots; the inputs hold the numbers that the leaves hold now."""
        names = graph.names(*roots)
        slots = {node: slot for slot, node in enumerate(names)}
        inputs: list[Input] = []
        instructions: list[Instruction] = []
        for node, name in names.items():
            if node._op is None:
                inputs.append(Input(name, node._data, node._requires_grad))
            else:
                operands = tuple(slots[z] if isinstance(z, Value) else z for z in node.operands)
                instructions.append(Instruction(name, node._op, operands, node._requires_grad))
        return cls(tuple(inputs), tuple(instructions), tuple(slots[root] for root in roots))

    def sweep(self) -> Iterator[Step]:
        """The reverse sweep: each step along which gradient flows, in the order of the engine.

        Instructions come in reverse, operands from left to right; operands that need no gradient
        are left out.
        """
        slots, reached = self.slots, set(self.outputs)
        for slot in reversed(range(len(self.inputs), len(slots))):
            if slot not in reached:
                continue
            for place, operand in enumerate(self._instruction(slot).operands):
                if isinstance(operand, int) and slots[operand].requires_grad:
                    reached.add(operand)
                    yield slot, place, operand

    # Python.

    def expressions(self) -> list[str]:
        """What computes each instruction, for a reader: `s0 + s1`, `x ** 3.0`, `sigmoid(s3)`."""
        names = [slot.name for slot in self.slots]
        return [_expression(instruction, names) for instruction in self.instructions]

    def python(self) -> str:
        """The flat code: a program that computes the outputs and then every gradient.

        grad_NAME is the gradient of the sum of the outputs. Run, the program gives bit for bit
        the numbers of the engine.
        """
        names, steps = self.identifiers(), list(self.sweep())
        formulas = {value_formula(instruction.op) for instruction in self.instructions}
        formulas |= {_local(self._instruction(slot), place) for slot, place, _ in steps}
        functions = {name for formula in formulas for name in read_formula(formula, True).calls}
        return "\n".join(
            [
                *imported("math", self._infinite()),
                *imported("autograd", functions),
                *("", "# inputs"),
                *(f"{name} = {x.value!r}" for name, x in zip(names, self.inputs, strict=False)),
                *("", "# forward", *self._forward(names)),
                *("", "# backward", *self._backward(names, steps), ""),
            ]
        ).lstrip("\n")

    def _forward(self, names: Sequence[str]) -> Iterator[str]:
        for slot, instruction in enumerate(self.instructions, len(self.inputs)):
            formula = read_formula(value_formula(instruction.op), True)
            yield f"{names[slot]} = {formula.fill(instruction, names, names[slot])}"

    def _backward(self, names: Sequence[str], steps: Iterable[Step]) -> Iterator[str]:
        assigned: set[int] = set()

        def accumulate(slot: int, gradient: str) -> str:
            sign = "+=" if slot in assigned else "="
            assigned.add(slot)
            return f"grad_{names[slot]} {sign} {gradient}"

        for slot in self.outputs:
            yield accumulate(slot, "1.0")
        for slot, place, operand in steps:
            instruction = self._instruction(slot)
            formula = read_formula(_local(instruction, place), True)
            local = formula.fill(instruction, names, names[slot])
            upstream, factor = f"grad_{names[slot]}", f"({local})" if formula.compound else local
            yield accumulate(operand, upstream if local == "1.0" else f"{upstream} * {factor}")

    def _instruction(self, slot: int) -> Instruction:
        return self.instructions[slot - len(self.inputs)]

    # LaTeX.

    def equations(self) -> Iterator[tuple[int, str, str]]:
        """The forward pass in LaTeX: each instruction's (slot, left side, right side)."""
        names = [_Term(latex_name(slot.name)) for slot in self.slots]
        for slot, instruction in enumerate(self.instructions, len(self.inputs)):
            operands = [_operand_term(z, names) for z in instruction.operands]
            yield slot, names[slot].text, _apply(instruction.op, *operands).text

    def derivatives(self) -> Iterator[tuple[int, str, str]]:
        """The chain rule in LaTeX: (slot, left side, right side) for each gradient.

        Instructions come in reverse, then the inputs; each is a sum over the nodes that use it.
        """
        names = [_Term(latex_name(slot.name)) for slot in self.slots]
        total = " + ".join(names[slot].text for slot in self.outputs)
        over = total if len(self.outputs) == 1 else f"({total})"
        gradient = [_Term(latex_derivative(over, name.text)) for name in names]
        sums: dict[int, list[str]] = defaultdict(list)
        for slot in self.outputs:
            sums[slot].append("1")
        for slot, place, operand in self.sweep():
            instruction = self._instruction(slot)
            operands = [_operand_term(z, names) for z in instruction.operands]
            terms = dict(zip("xy", operands, strict=False), z=names[slot])
            local = _convert(_tree(_local(instruction, place)), terms)
            one = local.text == "1"
            product = gradient[slot] if one else _apply(TABLE["mul"], gradient[slot], local)
            sums[operand].append(product.text)
        count = len(self.inputs)
        for slot in [*reversed(range(count, len(names))), *range(count)]:
            if slot in sums:
                yield slot, gradient[slot].text, " + ".join(sums[slot])

    def latex(self) -> str:
        """The equations of the forward pass and of the gradients, aligned."""
        pairs = [*self.equations(), *self.derivatives()]
        return latex_aligned(f"{left} &= {right}" for _, left, right in pairs)


# Formulas as text.

RESERVED = {*keyword.kwlist, "__debug__", *TABLE, "where", "inf", "nan"}
"""What is no name of a variable in the flat code."""


def identifier(name: str) -> str:
    """The name as one that Python takes, and that is none of a gradient."""
    normal = unicodedata.normalize("NFKC", name)  # as Python reads it
    name = "".join(c if f"_{c}".isidentifier() else "_" for c in normal)
    return name if name.isidentifier() and not name.startswith("grad_") else f"_{name}"


def value_formula(op: Op) -> str:
    """What computes the op: its formula where that is plain arithmetic, else a call by name."""
    return op.value if "(" not in op.value else f"{op.name}({', '.join('xy'[: op.arity])})"


def _expression(instruction: Instruction, names: Sequence[str]) -> str:
    """What computes the instruction, for a reader.

    Flat code calls div and pow instead, which never raise: of floats, Python's / raises at a pole
    and its ** there and on overflow, and gives complex numbers.
    """
    if instruction.op is not TABLE["pow"]:
        return read_formula(value_formula(instruction.op)).fill(instruction, names)
    x, y = (names[z] if isinstance(z, int) else repr(z) for z in instruction.operands)
    return f"({x}) ** {y}" if x.startswith("-") else f"{x} ** {y}"


def _local(instruction: Instruction, place: int) -> str:
    """The formula of a local derivative; of two cases the one that number operands decide."""
    x, y = [z if isinstance(z, float) else None for z in (*instruction.operands, None)][:2]
    return instruction.op.local_at(place, x, y)


class Formula(NamedTuple):
    """A formula with places for its operands.

    Attributes:
        text: the formula in Python, with `{x}`, `{y}` and `{z}` for operands and result.
        calls: the functions it calls.
        compound: whether it is a sum, difference, product or quotient.
    """

    text: str
    calls: frozenset[str]
    compound: bool

    def fill(self, instruction: Instruction, names: Sequence[str], result: str = "") -> str:
        """The formula over the names of the instruction's operands and result."""
        x, *rest = [names[z] if isinstance(z, int) else repr(z) for z in instruction.operands]
        return self.text.format(x=x, y=rest[0] if rest else "", z=result)


@cache
def read_formula(text: str, total: bool = False) -> Formula:
    """Read a formula; total writes division as the call of div, which never raises."""
    tree: ast.AST = ast.parse(text, mode="eval").body
    if total:
        tree = total_division(tree)
    operands = {"x": "{x}", "y": "{y}", "z": "{z}"}
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    calls = frozenset({name.id for name in names} - {*operands})
    for name in names:
        name.id = operands.get(name.id, name.id)
    return Formula(ast.unparse(tree), calls, isinstance(tree, ast.BinOp))


def imported(module: str, names: Iterable[str]) -> list[str]:
    """The line that imports the names, if there are any."""
    return [f"from {module} import {', '.join(sorted(names))}"] if names else []


# Formulas as LaTeX. What stands outside all brackets decides where parentheses are needed: the
# looser it binds, the lower its binding.

_BRACKETS = re.compile(r"\{.*?\}|\(.*?\)|\[.*?\]|\\l(vert|floor|ceil)\b.*?\\r\1\b")
_SUM, _NEGATIVE, _PRODUCT, _POWER, _ATOM = range(5)
_LEFT = (_SUM, _ATOM, _NEGATIVE, _ATOM, _ATOM)
_RIGHT = (_PRODUCT, _PRODUCT, _PRODUCT, _ATOM, _ATOM)
"""How tight an operand outside brackets must bind, standing first or later, for each binding."""

_ROW_OF: dict[type[ast.AST], Op] = {
    ast.Add: TABLE["add"],
    ast.Sub: TABLE["sub"],
    ast.Mult: TABLE["mul"],
    ast.Div: TABLE["div"],
    ast.USub: TABLE["neg"],
}


class _Term(NamedTuple):
    text: str
    binding: int = _ATOM


def _binding(bare: str) -> int:
    if " + " in bare or " - " in bare:
        return _SUM
    if bare.startswith("-"):
        return _NEGATIVE
    if r"\cdot" in bare:
        return _PRODUCT
    return _POWER if "^" in bare or r"\frac" in bare else _ATOM


@cache
def _layout(latex: str) -> tuple[list[str], int, list[int]]:
    """A row's LaTeX cut at its operands; its binding; how tight each operand must bind."""
    bare = _BRACKETS.sub("", latex)
    binding = _binding(bare)
    pieces = re.split(r"\b([XY])\b", latex)
    needed = [
        _LEFT[binding] if bare.startswith(letter) else _RIGHT[binding] if letter in bare else 0
        for letter in pieces[1::2]
    ]
    return pieces, binding, needed


def _apply(op: Op, *operands: _Term) -> _Term:
    """The row's LaTeX over the operands, in parentheses where they bind too loosely."""
    pieces, binding, needed = _layout(op.latex)
    texts = pieces.copy()
    for place, need in enumerate(needed):
        term = operands["XY".index(pieces[2 * place + 1])]
        texts[2 * place + 1] = term.text if term.binding >= need else f"({term.text})"
    text = "".join(texts)
    return _Term(text, min(binding, _NEGATIVE) if text.startswith("-") else binding)


@cache
def _tree(formula: str) -> ast.expr:
    return ast.parse(formula, mode="eval").body


def _convert(formula: ast.expr, terms: dict[str, _Term]) -> _Term:
    """A formula in LaTeX, over the terms that x, y and z stand for."""
    match formula:
        case ast.Name(name):
            return terms[name]
        case ast.Constant(float(number)):
            return _number(number)
        case ast.UnaryOp(operator, operand):
            return _apply(_ROW_OF[type(operator)], _convert(operand, terms))
        case ast.BinOp(left, operator, right):
            return _apply(_ROW_OF[type(operator)], _convert(left, terms), _convert(right, terms))
        case ast.Call(ast.Name("where"), [ast.Compare(x, [ast.Eq()], [y]), case, others]):
            x, y, case, others = (_convert(part, terms).text for part in (x, y, case, others))
            return _Term(latex_cases(case, f"{x} = {y}", others))
        case ast.Call(ast.Name(name), operands):
            return _apply(TABLE[name], *(_convert(operand, terms) for operand in operands))
        case _:
            raise AssertionError(f"no formula: {ast.unparse(formula)}")


def latex_formula(formula: ast.expr, texts: Mapping[str, str]) -> str:
    """A formula of the table in LaTeX, over the names or numbers that its names stand for."""
    return _convert(formula, {name: _given(text) for name, text in texts.items()}).text


def latex_row(op: Op, texts: Iterable[str]) -> str:
    """A row of the table in LaTeX, over the names or numbers of its operands."""
    return _apply(op, *map(_given, texts)).text


def _given(text: str) -> _Term:
    return _Term(text, _NEGATIVE if text.startswith("-") else _ATOM)


def _number(x: float) -> _Term:
    text = latex_number(repr(x))
    return _Term(text, _binding(_BRACKETS.sub("", text)))


def _operand_term(operand: int | float, names: Sequence[_Term]) -> _Term:
    return names[operand] if isinstance(operand, int) else _number(operand)


def latex_number(text: str) -> str:
    r"""A number in LaTeX, of the text Python gives it: `1e-05` becomes `1 \cdot 10^{-5}`."""
    mantissa, _, exponent = text.removesuffix(".0").partition("e")
    if exponent:
        return rf"{mantissa} \cdot 10^{{{int(exponent)}}}"
    return mantissa.replace("inf", r"\infty").replace("nan", r"\mathrm{nan}")


_SPECIAL = str.maketrans(
    {c: rf"\{c}" for c in "{}$&#%_"}
    | {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}"}
)


def latex_text(text: str) -> str:
    """Words in LaTeX, as they stand."""
    return rf"\text{{{text.translate(_SPECIAL)}}}"


def latex_name(name: str) -> str:
    """A display name in LaTeX: `w0` and `w_0` get a subscript, a word stands upright."""
    parts = re.fullmatch(r"([^\W\d_]+)_?([^\W_]\w*)?", name)
    if not parts:
        return latex_text(name)
    base, subscript = (_symbol(part) for part in parts.groups(""))
    return f"{base}_{{{subscript}}}" if subscript else base


def _symbol(text: str) -> str:
    short = len(text) < 2 or text.isdecimal()
    return text if short else rf"\mathrm{{{text.translate(_SPECIAL)}}}"


def latex_derivative(of: str, by: str) -> str:
    r"""∂of/∂by in LaTeX."""
    return rf"\frac{{\partial {of}}}{{\partial {by}}}"


def latex_cases(case: str, condition: str, others: str) -> str:
    """What is one thing if a condition holds, and another otherwise, in LaTeX."""
    return (
        rf"\begin{{cases}} {case} & \text{{if }} {condition} \\ "
        rf"{others} & \text{{otherwise}} \end{{cases}}"
    )


def latex_aligned(lines: Iterable[str]) -> str:
    """Equations under each other, aligned at their &."""
    body = " \\\\\n".join(f"  {line}" for line in lines)
    return f"\\begin{{align*}}\n{body}\n\\end{{align*}}"
