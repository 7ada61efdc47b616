"""`by_hand`: a computation as a person with pencil and pocket calculator writes it down."""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, localcontext
from functools import reduce
from typing import Any, Literal, cast

from autograd import decimals as calculator
from autograd import graph
from autograd.backward import local_derivative, pullback
from autograd.decimals import as_decimal
from autograd.explanation import require_value
from autograd.solution import (
    LONGEST,
    ONE,
    TOO_LONG,
    Constant,
    Entry,
    Formula,
    Kind,
    Name,
    Quantity,
    WorkedSolution,
    compose,
    written_formula,
)
from autograd.value import Number, Value, number

Rounding = Literal["truncate", "half-up", "half-even"]

ROUNDINGS = {"truncate": ROUND_DOWN, "half-up": ROUND_HALF_UP, "half-even": ROUND_HALF_EVEN}
"""The rules by which digits are cut off, and their names in `decimal`."""

DECIMALS = 4
"""How many decimals are written where nothing else is said."""

MOST_DECIMALS = 100


# The pencil: digits on paper.


@dataclass(frozen=True)
class _Pencil:
    """How numbers are written down.

    Attributes:
        decimals: how many decimals a quantity has; those of None are for all others.
        rule: how digits are cut off.
        overrides: what is written instead of what was computed.
    """

    decimals: Mapping[Quantity | None, int]
    rule: str
    overrides: Mapping[Quantity, float]

    def places(self, quantity: Quantity) -> int:
        """How many decimals the quantity has."""
        return self.decimals.get(quantity, self.decimals.get(None, DECIMALS))

    def round(self, quantity: Quantity, computed: Decimal) -> Decimal:
        """What is written of a computed number."""
        return calculator.rounded(computed, self.places(quantity), self.rule)

    def correct(self, quantity: Quantity, exact: float) -> Decimal:
        """What would be written of the exact number; its 16th digit is noise."""
        rule = ROUND_HALF_UP if self.rule == ROUND_DOWN else self.rule
        return calculator.rounded(Decimal(f"{exact:.15g}"), self.places(quantity), rule)


# The work.


class _Work:
    """The work on one result: its entries, in the order in which they are written.

    A node is kept if a formula may stand on it: it is a leaf, or it is written for its label or
    for being the result. All others are keystrokes between two lines.
    """

    def __init__(self, root: Value, pencil: _Pencil) -> None:
        self.root = root
        self.pencil = pencil
        self.exact = pullback({root: 1.0})
        self.names = graph.names(root)
        leaves = graph.leaves(root)
        self.kept = {node for node in self.names if node.label}.union([root], leaves)
        self.unlabelled = {self.names[leaf] for leaf in leaves if not leaf.label}
        self.places = {node: place for place, node in enumerate(self.names)}
        self.numbers: dict[Value, Decimal] = {}
        self.formulas: dict[Value, Formula] = {}
        self.paper: dict[Quantity, Decimal] = {}
        self.entries: list[Entry] = []

    def forward(self) -> None:
        """Compute every value from those before it, as they are written."""
        for node, name in self.names.items():
            operands = node.operands
            if node.op:
                number = calculator.functions()[node.op.name](*map(self._number_of, operands))
                formula = compose(written_formula(node.op), *map(self._formula_of, operands))
            else:
                number, formula = as_decimal(node.data), Name(name)
            if node in self.kept:
                kind = "value" if node.op else "given"
                number = self._write(kind, name, formula, number, node.data)
                formula = Name(name)
            self.numbers[node], self.formulas[node] = number, formula

    def backward(self) -> None:
        """Sum the products of the local derivatives, as they are written, over all paths."""
        gradients, paths = {self.root: Decimal(1)}, {self.root: [ONE]}
        for node in reversed(self.names):
            if node not in self.kept or node not in gradients:
                continue
            for operand, quantity, local in self._locals(node):
                gradients[operand] = gradients.get(operand, 0) + gradients[node] * local
                longer = [path * Name(quantity) for path in paths[node]]
                paths[operand] = _unless_long([*longer, *paths.get(operand, [])])
        inner = [node for node in reversed(self.names) if node.op]
        for node in [*inner, *graph.leaves(self.root)]:
            if node in gradients and node is not self.root:
                quantity = (self.names[self.root], self.names[node])
                formula = reduce(Formula.__add__, paths[node])
                self._write("gradient", quantity, formula, gradients[node], self.exact[node])

    def _locals(self, node: Value) -> Iterator[tuple[Value, Quantity, Decimal]]:
        """Write ∂node/∂operand for each kept node that keystrokes lead from to node."""
        operands = [z for z in node.operands if isinstance(z, Value)]
        steps = [*graph.operations(*operands, known=self.kept), node]
        formulas = _sweep(steps, ONE, self._local_formula)
        numbers = _sweep(steps, Decimal(1), self._local_number)
        exact = _sweep(steps, 1.0, local_derivative)
        for operand in sorted(numbers, key=self.places.__getitem__):
            quantity = (self.names[node], self.names[operand])
            yield (
                operand,
                quantity,
                self._write(
                    "local derivative",
                    quantity,
                    formulas[operand],
                    numbers[operand],
                    exact[operand],
                ),
            )

    def _local_number(self, node: Value, slot: int) -> Decimal:
        assert node.op is not None
        x, y = [*map(self._number_of, node.operands), Decimal(0)][:2]
        return calculator.local_rule(node.op, slot)(x, y, self.numbers[node])

    def _local_formula(self, node: Value, slot: int) -> Formula:
        assert node.op is not None
        numbers = [*map(float, map(self._number_of, node.operands)), 0.0][:2]
        x, y = [*map(self._formula_of, node.operands), Constant(0.0)][:2]
        return compose(node.op.local_at(slot, *numbers), x, y, self.formulas[node])

    def _number_of(self, operand: Value | float) -> Decimal:
        return self.numbers[operand] if isinstance(operand, Value) else as_decimal(operand)

    def _formula_of(self, operand: Value | float) -> Formula:
        if isinstance(operand, Value):
            return self.formulas[operand]
        return Constant(operand)

    def _write(
        self, kind: Kind, quantity: Quantity, formula: Formula, computed: Decimal, exact: float
    ) -> Decimal:
        """Write a line; return the number that stands there."""
        total = kind == "gradient" and quantity in self.paper and formula != Name(quantity)
        overridden = kind != "gradient" and quantity in self.pencil.overrides
        correct = self.pencil.correct(quantity, exact)
        if overridden:
            written = as_decimal(self.pencil.overrides[quantity])
        elif quantity in self.unlabelled:
            written = correct = computed
        else:
            written = self._copied(formula, quantity, self.pencil.round(quantity, computed))
        if kind != "gradient":
            self.paper[quantity] = written
        self.entries.append(
            Entry(kind, quantity, formula, computed, written, exact, correct, overridden, total)
        )
        return written

    def _copied(self, formula: Formula, quantity: Quantity, number: Decimal) -> Decimal:
        """The number, with the zeros with which it stands where it is copied from."""
        if isinstance(formula, Name):
            source = self.paper.get(formula.quantity, number)
            if source == number and calculator.decimals(source) <= self.pencil.places(quantity):
                return source
        return number


def _sweep(
    steps: Sequence[Value], one: Any, local: Callable[[Value, int], Any]
) -> dict[Value, Any]:
    """The derivative of the last step by all that the steps stand on: the chain rule, backward."""
    found = {steps[-1]: one}
    for step in reversed(steps):
        upstream = found.pop(step, None)
        if upstream is None:
            continue
        for slot, operand in enumerate(step.operands):
            if isinstance(operand, Value) and operand.requires_grad:
                downstream = upstream * local(step, slot)
                found[operand] = found[operand] + downstream if operand in found else downstream
    return found


def _unless_long(paths: list[Formula]) -> list[Formula]:
    return paths if sum(path.size for path in paths) <= LONGEST else [TOO_LONG]


def by_hand(
    root: Value,
    decimals: int | Mapping[Quantity | None, int] = DECIMALS,
    rounding: Rounding = "truncate",
    written: Mapping[Quantity, Number] | None = None,
) -> WorkedSolution:
    """Work out root and its gradients as a person with pencil and pocket calculator does.

    Forward, the value of every labelled node and of root is rounded when it is written down, and
    later values are computed from what is written; a node without label is a keystroke in
    between, which nothing rounds. Backward, the derivative of each written node by each that its
    formula names is computed from the written values and written down too. A gradient is the
    sum over all paths of the products of these written factors, and only the sum is rounded.
    The lecture's two networks are worked out so, truncating. No `.grad` is touched. The text needs
    an output with the signs ∂ and ≈, as that of `explain` does.

    Arithmetic is decimal: 0.1 + 0.2 is 0.3. Library functions are known to 12 significant digits.
    The time is that of the graph, plus a visit to a node without label for every written node
    whose formula it is part of.

    Args:
        root: the result.
        decimals: how many decimals are written, 0 to 100; or a mapping from quantities to theirs,
            in which None stands for all others (4 if it is missing). A quantity is the name of a
            node or, for ∂y/∂x, the pair of names (y, x). Names are those of `graph.names`: the
            labels, where no two are alike.
        rounding: "truncate" (toward zero), "half-up" (at a tie away from zero) or "half-even".
        written: what to write for the value of a node or for a local derivative, by quantity,
            whatever was computed; all that follows is computed from it.

    Raises:
        TypeError: if root is no Value, or decimals or written hold no numbers.
        ValueError: if decimals, rounding or written is none of the allowed, or names a quantity
            that is not written.
        StaleGraphError: if a leaf was written after it was used.
    """
    require_value(root, "root")
    if rounding not in [*ROUNDINGS]:
        raise ValueError(f"rounding must be one of {[*ROUNDINGS]}, received {rounding!r}")
    pencil = _Pencil(_as_mapping(decimals), ROUNDINGS[rounding], _as_numbers(written))
    work = _Work(root, pencil)
    with localcontext(calculator.ARITHMETIC):
        work.forward()
        work.backward()
    known = {entry.quantity for entry in work.entries} - work.unlabelled
    _require_known(pencil.overrides, known & work.paper.keys(), "written")
    _require_known(pencil.decimals, known | {None}, "decimals")
    return WorkedSolution(work.names[root], calculator.DIGITS, work.entries, work.paper)


def _as_mapping(decimals: object) -> Mapping[Quantity | None, int]:
    mapping = cast(Any, decimals if isinstance(decimals, Mapping) else {None: decimals})
    for quantity, count in mapping.items():
        if not isinstance(count, int) or not 0 <= count <= MOST_DECIMALS:
            place = "decimals" if mapping is not decimals else f"decimals[{quantity!r}]"
            raise ValueError(
                f"{place} must be an integer from 0 to {MOST_DECIMALS}, received {count!r}"
            )
    return mapping


def _as_numbers(written: object) -> Mapping[Quantity, float]:
    if written is None:
        return {}
    if not isinstance(written, Mapping):
        raise TypeError(
            f"written must be a mapping from quantities to numbers, received {written!r}"
        )
    return {q: number(x, f"written[{q!r}]") for q, x in cast(Any, written).items()}


def _require_known(quantities: Iterable[object], known: Container[object], name: str) -> None:
    for quantity in quantities:
        if quantity not in known:
            raise ValueError(
                f"{name} has {quantity!r}, of which nothing is written: allowed are the name of a "
                "labelled node or of the result, and the names (y, x) for a written ∂y/∂x"
            )
