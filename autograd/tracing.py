"""A trace: what a function being compiled may ask of its Values, and which selections it made."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn, TypeGuard

from autograd import graph, modes
from autograd.backward import local_derivative, times
from autograd.errors import TraceError
from autograd.functional import add, equal, less, maximum, mul, sub
from autograd.value import Value

_REMEDIES = {
    "bool": "use where(condition, a, b), maximum or minimum in place of if, and, or and while",
    "index": "loop over a range, and use where(i == k, a, b) to pick an element",
    "float": "use the functions of autograd in place of those of math, such as x.exp()",
    "int": "use floor, ceil or round, which stay in the graph",
    "data": "compute with the Value itself, or with detach() where no gradient shall flow",
    "item": "compute with the Value itself, or with detach() where no gradient shall flow",
    "grad": "return what is needed, and use grad or value_and_grad for gradients",
    "backward": "use grad or value_and_grad inside, or f.backward of the compiled function",
    "write": "return the new number, and write it where the compiled function is called",
    "copy": "use the Value itself; it is never changed",
}

_NEUTRAL = -0.0
"""What a sum may be given without changing any of its bits."""


class Predicate:
    """A comparison of traced Values: a condition for `where`; `& | ~ == !=` combine them."""

    __slots__ = ("_value",)

    def __init__(self, value: Value) -> None:
        self._value = value

    def __and__(self, other: object) -> "Predicate":
        return _combined(mul, self, other)

    def __or__(self, other: object) -> "Predicate":
        return _combined(maximum, self, other)

    def __eq__(self, other: object) -> Any:
        return _combined(equal, self, other)

    def __ne__(self, other: object) -> Any:
        return ~(self == other)

    def __invert__(self) -> "Predicate":
        return Predicate(modes.thread.trace.negation(self._value))

    __rand__, __ror__ = __and__, __or__
    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return "<a comparison: where(it, 1.0, 0.0) makes a number of it>"


def _combined(function: Any, left: Predicate, right: object) -> Any:
    if not isinstance(right, Predicate | bool):
        return NotImplemented
    return Predicate(function(left._value, right._value if isinstance(right, Predicate) else right))


def is_traced(x: object) -> bool:
    """Whether x is a Value while a function is being compiled: its number must not be asked for."""
    return isinstance(x, Value) and modes.thread.trace is not None


class Selection(NamedTuple):
    """The operands of a `where`: a predicate that is 0.0 or 1.0, and what it chooses between."""

    predicate: Value
    a: Any  # Value | float
    b: Any


class Trace:
    """The tracing of one function.

    A selection is a leaf that holds the number chosen now.

    Attributes:
        inputs: the Values that stand for the arguments.
        selections: the operands of each selection, in the order of recording.
    """

    def __init__(self, inputs: Sequence[Value]) -> None:
        self.inputs = {*inputs}
        self.selections: dict[Value, Selection] = {}
        self._flags: dict[tuple[Any, ...], Value] = {}
        self._negations: dict[Value, Value] = {}
        self._start = min((x._stamp for x in inputs), default=Value(0.0)._stamp)

    # What the function asks of its Values.

    def is_captured(self, leaf: Value) -> bool:
        """Whether a leaf is from outside: its number is read at every call."""
        return leaf._stamp < self._start

    def refuse(self, value: Value, use: str) -> None:
        """Raise TraceError if a Value depends on anything that another call may change."""
        if any(
            leaf in self.inputs or leaf in self.selections or self.is_captured(leaf)
            for leaf in graph.leaves(value)
        ):
            _refuse(value, use)

    def compare(self, name: str, x: Value, y: Any) -> Predicate:
        """The predicate of a comparison, by the name of its function in `operator`."""
        match name:
            case "lt":
                return Predicate(self.flag(less, x, y))
            case "gt":
                return Predicate(self.flag(less, y, x))
            case "le":
                return Predicate(self.flag(add, self.flag(less, x, y), self.flag(equal, x, y)))
            case "ge":
                return Predicate(self.flag(add, self.flag(less, y, x), self.flag(equal, x, y)))
            case "eq":
                return Predicate(self.flag(equal, x, y))
            case _:
                return Predicate(self.negation(self.flag(equal, x, y)))

    def flag(self, function: Any, x: Any, y: Any) -> Value:
        """A result that is 0.0 or 1.0, the same Value for the same operands; it has no gradient."""
        key = function, x, y
        if key not in self._flags:
            flag = self._flags[key] = function(x, y)
            flag._requires_grad = False
        return self._flags[key]

    def negation(self, flag: Value) -> Value:
        """1.0 where the flag is 0.0, and the other way round."""
        if flag not in self._negations:
            negation = self._negations[flag] = self.flag(sub, 1.0, flag)
            self._negations[negation] = flag
        return self._negations[flag]

    def both(self, condition: Value | None, flag: Value) -> Value:
        """The condition, which None says always holds, and the flag."""
        is_flag = condition is None or condition is flag
        return flag if is_flag else self.flag(mul, condition, flag)

    def select(self, condition: Predicate | Value, a: Any, b: Any) -> Value:
        """The Value of `where(condition, a, b)`."""
        if not isinstance(condition, Predicate):
            condition = self.compare("ne", condition, 0.0)
        return self.choose(condition._value, a, b)

    def choose(self, predicate: Value, a: Any, b: Any) -> Value:
        """The same for a flag."""
        chosen = a if predicate._data != 0.0 else b
        leaf = Value(_number(chosen), requires_grad=_requires_grad(a) or _requires_grad(b))
        self.selections[leaf] = Selection(predicate, a, b)
        return leaf

    # The sweeps through selections.

    def operations(self, *roots: Value, since: int = 0) -> list[Value]:
        """The operations and selections below the roots and all selections, in order."""
        recent = {s: x for s, x in self.selections.items() if s._stamp >= since}
        operands = [z for x in recent.values() for z in x if isinstance(z, Value)]
        found = graph.operations(*roots, *operands, since=since)
        return sorted([*found, *recent], key=lambda node: node._stamp) if recent else found

    def pullback(
        self, seeds: Mapping[Value, Any], wrt: Sequence[Value] | None, since: int
    ) -> dict[Value, Any]:
        """What `backward.pullback` finds with create_graph."""
        return _ReverseSweep(self, seeds, wrt, since).run()

    def pushforward(
        self, tangents: Mapping[Value, Any], roots: Sequence[Value], since: int
    ) -> dict[Value, Any]:
        """What `backward.pushforward` finds with create_graph."""
        sums = _Sums(self)
        for node, tangent in tangents.items():
            sums.add(node, tangent, None)
        for node in self.operations(*roots, since=since):
            if node in tangents:
                continue
            if node in self.selections:
                for operand, predicate in self.branches(node):
                    if isinstance(operand, Value) and operand in sums.totals:
                        condition = self.both(sums.conditions[operand], predicate)
                        sums.add(node, sums.totals[operand], condition)
                continue
            for slot, operand in enumerate(node.operands):
                if isinstance(operand, Value) and operand in sums.totals:
                    product = times(sums.totals[operand], local_derivative(node, slot, True))
                    sums.add(node, product, sums.conditions[operand])
        return sums.chosen(sums.totals)

    def branches(self, selection: Value) -> list[tuple[Any, Value]]:
        """Each operand of a selection with the flag that is 1.0 where it is chosen."""
        predicate, a, b = self.selections[selection]
        return [(a, predicate), (b, self.negation(predicate))]


class _Sums:
    """Sums of contributions, each with the condition under which there is one.

    Outside a trace an operand that was not chosen is no part of the graph, and nothing comes from
    it. Here its contribution is computed and may be anything, such as 0 × inf. So where a sum has
    contributions under several conditions, each is chosen by its own, or is neutral.

    Attributes:
        totals: the sum of each node; it counts only where its condition holds.
        conditions: a flag for each of them, or None where it always holds.
    """

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.totals: dict[Value, Any] = {}
        self.conditions: dict[Value, Value | None] = {}
        self._neutral: set[Value] = set()  # the nodes whose sum is neutral where there is none

    def add(self, node: Value, contribution: Any, condition: Value | None) -> None:
        """Add a contribution that there is under a condition."""
        if node not in self.totals:
            self.totals[node] = contribution
            self.conditions[node] = condition
            return
        total, before = self.totals[node], self.conditions[node]
        if before is condition:
            self.totals[node] = total + contribution
            self._neutral.discard(node)
            return
        if node not in self._neutral:
            total = self._or_neutral(total, before)
        self.totals[node] = total + self._or_neutral(contribution, condition)
        self.conditions[node] = self._either(before, condition)
        self._neutral.add(node)

    def _or_neutral(self, x: Any, condition: Value | None) -> Any:
        return x if condition is None else self.trace.choose(condition, x, _NEUTRAL)

    def _either(self, a: Value | None, b: Value | None) -> Value | None:
        if a is None or b is None or self.trace.negation(a) is b:
            return None
        return self.trace.flag(maximum, a, b)

    def chosen(self, nodes: Iterable[Value]) -> dict[Value, Any]:
        """The sums of the nodes that have one: 0.0 where the condition does not hold."""
        found: dict[Value, Any] = {}
        for node in nodes:
            if node in self.totals:
                total, condition = self.totals[node], self.conditions[node]
                found[node] = (
                    total if condition is None else self.trace.choose(condition, total, 0.0)
                )
        return found


class _ReverseSweep(_Sums):
    """The reverse sweep: `backward.pullback`, through selections.

    Without selections, contributions come in the reverse order of the nodes that use an operand,
    whether by itself or chosen. So what reaches a selection goes at once to both operands. Only
    where no operand is used by itself after the selection was made can its contributions be
    summed first: these selections are `summed`. (Of a chain of conditional updates each selection
    is; else the work would grow with the square of its length.)
    """

    def __init__(
        self, trace: Trace, seeds: Mapping[Value, Any], wrt: Sequence[Value] | None, since: int
    ) -> None:
        super().__init__(trace)
        self.seeds = seeds
        self.wrt = None if wrt is None else self._with_operands(wrt)
        self.nodes = trace.operations(*seeds, since=since)
        self.summed = self._summed()
        self.dependents = None if self.wrt is None else self._dependents(self.wrt)

    def _with_operands(self, wrt: Sequence[Value]) -> dict[Value, None]:
        """The nodes, and of selections the operands too."""
        found = dict.fromkeys(wrt)
        stack = [*wrt]
        while stack:
            for operand in self._operands(stack.pop()):
                if operand not in found:
                    found[operand] = None
                    stack.append(operand)
        return found

    def _summed(self) -> set[Value]:
        last_use: dict[Any, float] = dict.fromkeys(self.seeds, math.inf)
        for node, operand, _ in graph.edges(self.nodes):
            last_use[operand] = max(last_use.get(operand, 0), node._stamp)
        found: set[Value] = set()
        for node in reversed(self.trace.selections):
            operands = self._operands(node)
            use = last_use.get(node, 0)
            if all(last_use.get(z, 0) < node._stamp for z in operands):
                found.add(node)
                use = node._stamp
            for z in operands:
                last_use[z] = max(last_use.get(z, 0), use)
        return found

    def _operands(self, node: Value) -> list[Value]:
        """The nodes that a selection chooses between; none of another node."""
        selection = self.trace.selections.get(node)
        return [] if selection is None else _nodes(*selection[1:])

    def _dependents(self, wrt: Iterable[Value]) -> set[Value]:
        found = {*wrt}
        for node in self.nodes:
            if not found.isdisjoint(self._operands(node) or _nodes(*node.operands)):
                found.add(node)
        return found

    def run(self) -> dict[Value, Any]:
        """The gradients of the nodes wrt, or of all."""
        for root, seed in self.seeds.items():
            self._contribute(root, seed, None)
        for node in reversed(self.nodes):
            if node not in self.totals:
                continue
            condition = self.conditions[node]
            if node in self.trace.selections:
                self._contribute_to_branches(node, self.totals[node], condition)
                continue
            for slot, operand in enumerate(node.operands):
                if self._is_wanted(operand):
                    product = times(self.totals[node], local_derivative(node, slot, True))
                    self._contribute(operand, product, condition)
        return self._found()

    def _is_wanted(self, operand: Value | float) -> TypeGuard[Value]:
        return (
            isinstance(operand, Value)
            and operand._requires_grad
            and (self.dependents is None or operand in self.dependents)
        )

    def _contribute(self, node: Value, contribution: Any, condition: Any) -> None:
        if node in self.trace.selections and node not in self.summed:
            self._contribute_to_branches(node, contribution, condition)
        else:
            self.add(node, contribution, condition)

    def _contribute_to_branches(self, node: Value, contribution: Any, condition: Any) -> None:
        stack = [(node, condition)]
        while stack:
            node, condition = stack.pop()
            for operand, predicate in self.trace.branches(node):
                if not self._is_wanted(operand):
                    continue
                both = self.trace.both(condition, predicate)
                if operand in self.trace.selections and operand not in self.summed:
                    stack.append((operand, both))
                else:
                    self.add(operand, contribution, both)

    def _found(self) -> dict[Value, Any]:
        found = self.chosen(self.totals if self.wrt is None else self.wrt)
        for node, (predicate, a, b) in [*self.trace.selections.items()]:
            if self.wrt is not None and node in self.wrt:
                a, b = (found.get(z, 0.0) if isinstance(z, Value) else 0.0 for z in (a, b))
                found[node] = self.trace.choose(predicate, a, b)
        return found


def _nodes(*operands: Any) -> list[Value]:
    return [z for z in operands if type(z) is not float]


def _number(x: Any) -> float:
    return x if type(x) is float else x._data


def _requires_grad(x: Any) -> bool:
    return type(x) is not float and x._requires_grad


def _refuse(value: Value, use: str) -> NoReturn:
    label = "" if value._label is None else f" {value._label!r}"
    kind = "an input" if value._op is None else f"a result of {value._op}"
    raise TraceError(
        f"{use} of a Value{label} ({kind}) at {modes.calling_line()}: while autograd.compile "
        f"traces a function its numbers are not known, for the program serves any; {_REMEDIES[use]}"
    )
