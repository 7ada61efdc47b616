"""A computation step by step, as plain data: forward node by node, then backward edge by edge."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple, TypedDict

from autograd import graph
from autograd.backward import local_derivative, pullback
from autograd.draw.diagram import PATTERNS
from autograd.draw.labels import shortened, significant
from autograd.tape import Instruction, Tape, read_formula, value_formula
from autograd.value import Value


class Span(NamedTuple):
    """A piece of an equation; part says which number it is: value, gradient, local, or none."""

    text: str
    part: str = ""


Equation = list[Span]


class Step(TypedDict):
    """One step of the computation.

    phase is "inputs", "forward", "backward" or "gradients". shows gives the text that appears at
    a place in the drawing: `n3.value`, `n3.gradient`, `n0-g3-0.local`. focus lists the parts of
    the drawing that take part, by id; chain is the node from which the gradients that the step
    stands on are followed up to the result, if it has one.
    """

    phase: str
    equations: list[Equation]
    words: str
    shows: dict[str, str]
    focus: list[str]
    chain: str | None


def plain(equation: Equation) -> str:
    """The text of an equation."""
    return "".join(span.text for span in equation)


class Node(TypedDict):
    """What can be read of a node: its name, how it came about, and its exact numbers."""

    name: str
    origin: str
    gate: str
    value: str
    gradient: str | None


class Computation:
    """A graph by its slots: slot 3 is the node n3 of the drawing, computed by the gate g3."""

    def __init__(self, root: Value, digits: int) -> None:
        self.values = graph.nodes(root)
        self.root = len(self.values) - 1
        self.tape = Tape.record(root)
        self.digits = digits
        self.names = [shortened(slot.name) for slot in self.tape.slots]
        self.sweep = [*self.tape.sweep()] if root.requires_grad else []
        self.contributions = Counter(operand for _, _, operand in self.sweep)
        self.direct = Counter(operand for slot, _, operand in self.sweep if slot == self.root)
        self.gradients = {self.root: 1.0}

    def nodes(self) -> list[Node]:
        """Every node by its slot."""
        root = self.values[self.root]
        gradients = pullback({root: 1.0}, allow_stale=True) if root.requires_grad else {}
        return [self._node(slot, gradients.get(x)) for slot, x in enumerate(self.values)]

    def steps(self) -> Iterator[Step]:
        """Every step of the computation and of its gradients, in the order of the engine."""
        inputs = range(len(self.tape.inputs))
        yield self._inputs(inputs)
        for slot, instruction in enumerate(self.tape.instructions, len(inputs)):
            yield self._forward(slot, instruction)
        if not self.values[self.root].requires_grad:
            return
        yield self._start()
        arrived = Counter[int]()
        for slot, place, operand in self.sweep:
            arrived[operand] += 1
            local = local_derivative(self.values[slot], place)
            downstream = self.gradients[slot] * local
            yield self._edge(slot, place, operand, local, arrived[operand])
            if arrived[operand] == 1:
                self.gradients[operand] = downstream
            else:
                yield self._sum(operand, downstream, arrived[operand])
        yield self._gradients(inputs)

    def _node(self, slot: int, gradient: float | None) -> Node:
        value, name = self.values[slot], self.names[slot]
        origin, gate = name, "An input."
        if value.op:
            names, _ = self._terms(slot)
            origin += f" = {plain(_filled(_template(value_formula(value.op)), names))}"
            gate = f"{self._gate(slot)} {self._pattern(slot)}".strip()
        return {
            "name": name,
            "origin": origin,
            "gate": gate,
            "value": repr(value.data),
            "gradient": None if gradient is None else repr(gradient),
        }

    # The kinds of steps.

    def _inputs(self, inputs: range) -> Step:
        words = "The inputs are given. "
        stale = {*graph.stale_leaves(self.values[self.root])}
        if stale:
            names = ", ".join(self.names[slot] for slot in inputs if self.values[slot] in stale)
            words += f"Stale, written after it was used: {names}. Compute the graph again. "
        return {
            "phase": "inputs",
            "equations": [[Span(f"{self.names[i]} = "), self._value(i)] for i in inputs],
            "words": words + "Forward, each gate computes its value from its operands.",
            "shows": {f"n{slot}.value": self._value(slot).text for slot in inputs},
            "focus": [f"n{slot}" for slot in inputs],
            "chain": None,
        }

    def _forward(self, slot: int, instruction: Instruction) -> Step:
        template = _template(value_formula(instruction.op))
        operands = [
            (place, x) for place, x in enumerate(instruction.operands) if isinstance(x, int)
        ]
        words = self._gate(slot)
        if self._is_stale(slot):
            words += " An operand is stale: the value was computed from what it was before."
        return {
            "phase": "forward",
            "equations": [self._equation(self.names[slot], slot, template, self._value(slot))],
            "words": words,
            "shows": {f"n{slot}.value": self._value(slot).text},
            "focus": [
                *(f"n{x}-g{slot}-{place}" for place, x in operands),
                f"g{slot}",
                f"g{slot}-n{slot}",
                f"n{slot}",
            ],
            "chain": None,
        }

    def _start(self) -> Step:
        gradient = self._gradient(1.0)
        return {
            "phase": "backward",
            "equations": [[Span(f"{self._derivative(self.root)} = "), gradient]],
            "words": "Backward, from the result to the inputs: a node's gradient times the local "
            "derivative is what flows to the operand; upstream × local = downstream.",
            "shows": {f"n{self.root}.gradient": gradient.text},
            "focus": [f"n{self.root}"],
            "chain": None,
        }

    def _edge(self, slot: int, place: int, operand: int, local: float, nth: int) -> Step:
        upstream, factor = self.gradients[slot], Span(self._number(local), "local")
        derivative = self._local_derivative(slot, place, operand)
        product = f"{self._derivative(slot)} × {derivative} = "
        shown, count = self._gradient(upstream * local), self.contributions[operand]
        edge = f"n{operand}-g{slot}-{place}"
        shows = {f"{edge}.local": factor.text}
        if count == 1 and slot != self.root:  # ∂f/∂q = ∂f/∂f × ∂f/∂q says nothing of ∂f/∂q
            product = f"{self._derivative(operand)} = {product}"
        if nth == 1:
            shows[f"n{operand}.gradient"] = shown.text + " +" * (count > 1)
        numbers = {"x": self._gradient(upstream), "y": factor, "z": shown}
        return {
            "phase": "backward",
            "equations": [
                self._equation(derivative, slot, self._local_template(slot, place), factor),
                [Span(product), *_filled("{x} × {y} = {z}", numbers)],
            ],
            "words": self._flow(slot, place, operand, nth),
            "shows": shows,
            "focus": [f"n{slot}", f"g{slot}-n{slot}", f"g{slot}", edge, f"n{operand}"],
            "chain": f"n{slot}",
        }

    def _flow(self, slot: int, place: int, operand: int, nth: int) -> str:
        name, count = self.names[operand], self.contributions[operand]
        words = f"The gradient flows from {self.names[slot]} to {name}"
        if side := self._side(slot, place):
            words += f", its {side} operand"
        words += f": upstream × local = downstream. {self._pattern(slot)}".strip()
        if count > 1:
            words += f" This is contribution {nth} of {count}, for {name} is used {count} times."
        return words

    def _sum(self, operand: int, downstream: float, nth: int) -> Step:
        before, count = self.gradients[operand], self.contributions[operand]
        total = self.gradients[operand] = before + downstream
        terms = {
            "x": self._gradient(before),
            "y": self._gradient(downstream),
            "z": self._gradient(total),
        }
        words = f"Fan-out is a gradient adder: {self.names[operand]} is used {count} times, "
        words += "and what its uses send back is added."
        left = f"{self._derivative(operand)} = "
        if nth < count:
            left = ""
            words += f" {nth} of {count} contributions are in."
        elif self._is_total(operand):
            term = f"∂{self.names[self.root]}/∂{self.names[operand]}"
            words += f" The sum is written {self._derivative(operand)}: {term} is one of its terms."
        return {
            "phase": "backward",
            "equations": [[Span(left), *_filled("{x} + {y} = {z}", terms)]],
            "words": words,
            "shows": {f"n{operand}.gradient": terms["z"].text + " +" * (nth < count)},
            "focus": [f"n{operand}"],
            "chain": f"n{operand}",
        }

    def _gradients(self, inputs: range) -> Step:
        found = [slot for slot in inputs if slot in self.gradients]
        return {
            "phase": "gradients",
            "equations": [
                [Span(f"{self._derivative(slot)} = "), self._gradient(self.gradients[slot])]
                for slot in found
            ],
            "words": "Every gradient is computed: how the result changes with each input.",
            "shows": {},
            "focus": [f"n{slot}" for slot in found],
            "chain": None,
        }

    # Text.

    def _equation(self, left: str, slot: int, template: str, result: Span) -> Equation:
        """The left side, the formula with names, the formula with numbers, the result.

        What was computed from the former number of a stale operand is shown without numbers.
        """
        names, numbers = self._terms(slot)
        sides = [[Span(left)], _filled(template, names), _filled(template, numbers), [result]]
        if self._is_stale(slot):
            del sides[2]
        equation: Equation = []
        for side, after in pairwise(sides):
            if plain(side) != plain(after):
                equation += [*side, Span(" = ")]
        return equation + sides[-1]

    def _terms(self, slot: int) -> tuple[dict[str, Span], dict[str, Span]]:
        """What x, y and z stand for in a formula of the node: as names, and as numbers."""
        names, numbers = {"z": Span(self.names[slot])}, {"z": self._value(slot)}
        for letter, x in zip("xy", self._instruction(slot).operands, strict=False):
            is_slot = isinstance(x, int)
            names[letter] = Span(self.names[x] if is_slot else self._number(x))
            numbers[letter] = self._value(x) if is_slot else Span(self._number(x))
        return names, numbers

    def _is_stale(self, slot: int) -> bool:
        node = self.values[slot]
        return any(isinstance(x, Value) and graph.is_stale(node, x) for x in node.operands)

    def _gate(self, slot: int) -> str:
        """What the gate of the node does, in words."""
        op = self._instruction(slot).op
        return f"The {op.name} gate computes {op.meaning}."

    def _pattern(self, slot: int) -> str:
        """What the gate does to the gradient, by the lectures' name; empty for most."""
        op, operands = self._instruction(slot).op, self.values[slot].operands
        if op.name not in PATTERNS or not all(isinstance(x, Value) for x in operands):
            return ""
        pattern, effect = PATTERNS[op.name]
        return f"The {op.name} gate is a {pattern}: {effect}."

    def _instruction(self, slot: int) -> Instruction:
        return self.tape.instructions[slot - len(self.tape.inputs)]

    def _derivative(self, slot: int) -> str:
        """The gradient of the slot, as ∂f/∂x; as df/dx if ∂f/∂x is but one contribution to it."""
        d = "d" if self._is_total(slot) else "∂"
        return f"{d}{self.names[self.root]}/{d}{self.names[slot]}"

    def _is_total(self, slot: int) -> bool:
        """Whether its gradient is a sum of which the local derivative of the root is a term."""
        return self.direct[slot] == 1 < self.contributions[slot]

    def _local_derivative(self, slot: int, place: int, operand: int) -> str:
        """∂q/∂x; or ∂q/∂(left x), ∂q/∂(right x) where x is both operands."""
        side, name = self._side(slot, place), self.names[operand]
        return f"∂{self.names[slot]}/∂" + (f"({side} {name})" if side else name)

    def _local_template(self, slot: int, place: int) -> str:
        """The formula of a local derivative, for the case that the operands are."""
        node = self.values[slot]
        x, y = [z.data if isinstance(z, Value) else z for z in (*node.operands, 0.0)][:2]
        return _template(self._instruction(slot).op.local_at(place, x, y))

    def _side(self, slot: int, place: int) -> str:
        """On which side an operand stands that is both operands; empty for others."""
        operands = self.values[slot].operands
        is_both = len(operands) == 2 and operands[0] is operands[1]
        return ("left", "right")[place] if is_both else ""

    def _number(self, x: float) -> str:
        return significant(x, self.digits)

    def _value(self, slot: int) -> Span:
        return Span(self._number(self.values[slot].data), "value")

    def _gradient(self, x: float) -> Span:
        return Span(self._number(x), "gradient")


def _template(formula: str) -> str:
    """A formula of the table as it is written by hand, with places for x, y and z."""
    text = read_formula(formula).text.replace(" * ", " × ").replace(" - ", " − ")
    return re.sub(r"\.0\b", "", text)


def _filled(template: str, terms: Mapping[str, Span]) -> Equation:
    """The template over the terms; a negative number after an operator gets parentheses."""
    equation: Equation = []
    for i, piece in enumerate(re.split(r"\{(\w)\}", template)):
        if i % 2 == 0:
            equation.append(Span(piece))
            continue
        text, part = terms[piece]
        alone = equation[-1].text == "" or equation[-1].text.endswith(("(", ", ", "= "))
        equation.append(Span(text if alone or text[0] != "-" else f"({text})", part))
    return [span for span in equation if span.text]
