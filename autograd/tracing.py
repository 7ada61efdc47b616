"""A trace: what a function being compiled may ask of its Values, and which selections it made."""

import math
from collections.abc import Iterable, Mapping, Sequence
from heapq import heappop, heappush
from itertools import count
from operator import attrgetter, itemgetter
from typing import Any

from autograd import graph, modes
from autograd.backward import RULES_OF_VALUES, local_derivative, times
from autograd.errors import TraceError
from autograd.functional import add, equal, less, maximum, mul, sub
from autograd.ops import OPTIONS, SELECT
from autograd.predicate import Predicate, Whole, plain
from autograd.value import Value, record

_REMEDIES = {
    "bool": "use where(condition, a, b), maximum or minimum, for each element of an array, in "
    "place of if and while, and & | in place of and, or",
    "hash": "use where(condition, a, b) to pick one of several",
    "index": "loop over a range, and use where(i == k, a, b) to pick an element",
    "float": "use the functions of autograd in place of those of math, such as x.exp(), and lists "
    "or arrays of dtype=object to hold Values",
    "float of a comparison": "it counts as 0.0 or 1.0 without float()",
    "int of a comparison": "it counts as 0.0 or 1.0 without int()",
    "int": "use floor, ceil or round, which stay in the graph",
    "data": "compute with the Value itself, or with detach() where no gradient shall flow; "
    "an optimiser's step() belongs outside the compiled function",
    "item": "compute with the Value itself, or with detach() where no gradient shall flow",
    "grad": "return what is needed, and use grad or value_and_grad for gradients",
    "backward": "use grad or value_and_grad inside, or f.backward of the compiled function",
    "write": "return the new number, and write (or call zero_grad(), step()) outside of it",
    "copy": "use the Value itself; it is never changed",
    "format": "print(x) shows the number of the first call; texts with numbers belong outside",
}

_NEUTRAL = -0.0
"""What a sum may be given without changing any of its bits."""


def is_traced(x: object) -> bool:
    """Whether x is a Value while a function is being compiled: its number must not be asked for.

    So is a comparison of Values.
    """
    return isinstance(x, Value | Whole) and modes.thread.trace is not None


class Trace:
    """The tracing of one function.

    Attributes:
        inputs: the Values that stand for the arguments.
        refused: the latest error, which the function must not pass over: outside of tracing there
            would be none.
        selects: whether there is a selection yet.
    """

    def __init__(self, inputs: Sequence[Value]) -> None:
        self.inputs = {*inputs}
        self.refused: TraceError | None = None
        self.selects = False
        self._flags: dict[tuple[Any, ...], Value] = {}
        self._negations: dict[Value, Value] = {}
        self._start = min((x._stamp for x in inputs), default=Value(0.0)._stamp)

    # What the function asks of its Values.

    def is_captured(self, leaf: Value) -> bool:
        """Whether a leaf is from outside: its number is read at every call."""
        return leaf._stamp < self._start

    def refuse(self, value: Value, use: str, kind: str | None = None) -> None:
        """Raise TraceError if a Value depends on anything that another call may change."""
        if any(
            leaf in self.inputs or self.is_captured(leaf) for leaf in graph.leaves(value)
        ) or any(node._op is SELECT for node in graph.operations(value)):
            error = _refusal(kind or _described(value), use)
            if kind or use not in ("float", "int", "index"):  # which a Value refuses always
                self.refused = error
            raise error

    def compare(self, name: str, x: Value, y: Any) -> Predicate:
        """The predicate of a comparison, by the name of its function in `operator`."""
        if name in ("gt", "ge"):
            x, y = y, x
        match name:
            case "lt" | "gt":
                flag = self.flag(less, x, y)
            case "le" | "ge":
                flag = self.flag(add, self.flag(less, x, y), self.flag(equal, x, y))
            case "eq":
                flag = self.flag(equal, x, y)
            case _:
                flag = self.negation(self.flag(equal, x, y))
        return Predicate(self, flag)

    def flag(self, function: Any, x: Any, y: Any) -> Value:
        """A result that is 0.0 or 1.0, the same Value for the same operands; it has no gradient."""
        key = function, x, y
        flag = self._flags.get(key)
        if flag is None:
            flag = self._flags[key] = function(x, y)
            flag._requires_grad = False
        return flag

    def negation(self, flag: Value) -> Value:
        """1.0 where the flag is 0.0, and the other way round."""
        negation = self._negations.get(flag)
        if negation is None:
            negation = self._negations[flag] = sub(1.0, flag)
            self._negations[negation] = flag
        return negation

    def are_opposite(self, a: Value, b: Value) -> bool:
        """Whether the one flag was made as the negation of the other."""
        return self._negations.get(a) is b

    def both(self, a: Value | None, b: Any) -> Any:
        """The one condition and the other; None is one that always holds."""
        if b is None or a is b:
            return a
        return b if a is None else self.flag(mul, a, b)

    def either(self, a: Value, b: Any) -> Value:
        """The one flag or the other."""
        return self.flag(maximum, a, b)

    def select(self, condition: Whole | Value, a: Any, b: Any) -> Value:
        """The Value of `where(condition, a, b)`."""
        if not isinstance(condition, Predicate):
            condition = self.compare("ne", plain(condition), 0.0)
        return self.choose(condition.value(), a, b)

    def choose(self, predicate: Value, a: Any, b: Any) -> Value:
        """The same for a flag.

        The node holds the number chosen now.
        """
        self.selects = True
        chosen = a if predicate._data != 0.0 else b
        options = record(OPTIONS, 0.0, a, b)
        node = record(SELECT, chosen if type(chosen) is float else chosen._data, options, predicate)
        if modes.active:  # even under no_grad() it stands for an operand, which may require one
            node._requires_grad = _requires_grad(a) or _requires_grad(b)
        return node

    # The sweeps through selections.

    def pullback(
        self, seeds: Mapping[Value, Any], wrt: Sequence[Value], since: int
    ) -> dict[Value, Any]:
        """What `backward.pullback` finds with create_graph, for the nodes wrt."""
        return _ReverseSweep(self, seeds, wrt, since).run()

    def pushforward(
        self, tangents: Mapping[Value, Any], roots: Sequence[Value], since: int
    ) -> dict[Value, Any]:
        """What `backward.pushforward` finds with create_graph."""
        sums = _Sums(self)
        for node, tangent in tangents.items():
            sums.add(node, tangent, None)
        for node in graph.operations(*roots, since=since):
            if node in tangents or not node._requires_grad or node._op is OPTIONS:
                continue
            if node._op is SELECT:
                for operand, flag in self.branches(node):
                    if operand in sums.found:
                        total, condition, _ = sums.found[operand]
                        sums.add(node, total, self.both(condition, flag))
                continue
            for slot, operand in enumerate(node.operands):
                if isinstance(operand, Value) and operand in sums.found:
                    total, condition, _ = sums.found[operand]
                    sums.add(node, times(total, local_derivative(node, slot, True)), condition)
        return sums.chosen(sums.found)

    def branches(self, selection: Value) -> list[tuple[Value, Value]]:
        """Each node that a selection chooses between, with the flag that is 1.0 where it does."""
        options, flag = selection._x, selection._y
        found = [] if type(options._x) is float else [(options._x, flag)]
        if type(options._y) is not float:
            found.append((options._y, self.negation(flag)))
        return found


class _Sums:
    """Sums of contributions, each with the condition under which there is one.

    Outside a trace an operand that was not chosen is no part of the graph, and nothing comes from
    it. Here its contribution is computed and may be anything, such as 0 × inf. So where a sum has
    contributions under several conditions, each is chosen by its own, or is neutral.

    Attributes:
        found: of each node its sum, the flag without which that means nothing, or None where it
            always counts, and whether the sum is neutral where there is none.
    """

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.found: dict[Value, tuple[Any, Value | None, bool]] = {}

    def add(self, node: Value, contribution: Any, condition: Value | None) -> None:
        """Add a contribution that there is under a condition."""
        before = self.found.get(node)
        if before is None:
            self.found[node] = contribution, condition, False
            return
        total, under, is_neutral = before
        if under is condition:
            self.found[node] = total + contribution, condition, False
            return
        if not is_neutral:
            total = self._or_neutral(total, under)
        total = total + self._or_neutral(contribution, condition)
        self.found[node] = total, self.either(under, condition), True

    def _or_neutral(self, x: Any, condition: Value | None) -> Any:
        return x if condition is None else self.trace.choose(condition, x, _NEUTRAL)

    def either(self, a: Value | None, b: Value | None) -> Value | None:
        """The one condition or the other; None is one that always holds."""
        if a is None or b is None or self.trace.are_opposite(a, b):
            return None
        return self.trace.either(a, b)

    def chosen(self, nodes: Iterable[Value]) -> dict[Value, Any]:
        """The sums of the nodes that have one: 0.0 where the condition does not hold."""
        chosen: dict[Value, Any] = {}
        for node in nodes:
            if node in self.found:
                total, condition, _ = self.found[node]
                chosen[node] = (
                    total if condition is None else self.trace.choose(condition, total, 0.0)
                )
        return chosen


class _ReverseSweep(_Sums):
    """The reverse sweep: `backward.pullback`, through selections.

    Without a trace a selection is the operand that it chose. So what reaches an operand by itself
    and what reaches the selections that may be it is one sum, in the order of arrival. Where all
    that reached a selection came first, its sum is the start of that sum, and is taken as it is.
    (So the work for a chain of conditional updates does not grow with the square of its length.)

    Attributes:
        operations: what the sweep goes through.
        dependents: the nodes wrt and what was computed from them.
        arrivals: for a selection, or an operand of one, what reached it by itself: the time, the
            contribution and the condition under which there is one.
        choosers: for an operand the selections that were reached and may be it, each with the flag
            under which it is.
        last: for a selection the time at which something reached it, or its choosers, for the last
            time.
    """

    def __init__(
        self, trace: Trace, seeds: Mapping[Value, Any], wrt: Sequence[Value], since: int
    ) -> None:
        super().__init__(trace)
        self.seeds = seeds
        self.wrt = _with_operands(wrt)
        self.operations = graph.operations(*seeds, since=since)
        self.dependents = graph.dependents(self.operations, [*self.wrt])
        self.arrivals: dict[Value, list[_Arrival]] = {}
        self.choosers: dict[Value, list[tuple[Value, Value]]] = {}
        self.last: dict[Value, int] = {}
        self._now = count().__next__
        for node in self.operations:
            if node._op is SELECT:
                for z in (node, *_options(node)):
                    if z._requires_grad and z in self.dependents:
                        self.arrivals.setdefault(z, [])

    def run(self) -> dict[Value, Any]:
        """The gradients of the nodes wrt."""
        arrivals, found, dependents = self.arrivals, self.found, self.dependents
        for root, seed in self.seeds.items():
            self._contribute(root, seed, None)
        for node in reversed(self.operations):
            if node in arrivals:
                self._gather(node)
            sum_here, op = found.get(node), node._op
            if sum_here is None or op is SELECT:
                continue
            upstream, condition, _ = sum_here
            x, y, rules = node._x, node._y, RULES_OF_VALUES[op]
            if type(x) is not float and x._requires_grad and x in dependents:
                rule = rules[0]
                product = times(upstream, rule(x, y, node)) if rule else upstream
                self._contribute(x, product, condition)
            if type(y) is not float and y._requires_grad and y in dependents:
                rule = rules[1]
                product = times(upstream, rule(x, y, node)) if rule else upstream
                self._contribute(y, product, condition)
        for node in self.wrt:
            if node in arrivals and node not in found:
                self._gather(node)
        return self._gradients()

    def _contribute(self, node: Value, contribution: Any, condition: Value | None) -> None:
        if node in self.arrivals:
            self.arrivals[node].append((self._now(), contribution, condition))
        elif node in self.found:
            self.add(node, contribution, condition)
        else:
            self.found[node] = contribution, condition, False

    def _gather(self, node: Value) -> None:
        """Sum what reached a node, and the selections that may be it."""
        found, choosers = self.arrivals[node], self.choosers.get(node)
        if choosers:
            is_one = len(choosers) == 1 and not found
            found = [self._as_one(*choosers[0])] if is_one else self._merged(node)
        for _, contribution, condition in found:
            self.add(node, contribution, condition)
        if found and node._op is SELECT:
            self.last[node] = found[-1][0]
            for operand, flag in self.trace.branches(node):
                self.choosers.setdefault(operand, []).append((node, flag))

    def _as_one(self, selection: Value, condition: Value | None) -> "_Arrival":
        """All that reached a selection as one arrival, at what it is under the condition."""
        total, under, _ = self.found[selection]
        return self.last[selection], total, self.trace.both(under, condition)

    def _merged(self, node: Value) -> "list[_Arrival]":
        """What reached a node and the selections that may be it, in the order of arrival."""
        found: list[_Arrival] = []
        first = math.inf
        conditions: dict[Value, Any] = {node: None}  # under which each of them is the node
        todo = [(node._stamp, node)]
        while todo:
            _, below = heappop(todo)
            condition = conditions[below]
            if not todo and below is not node and self.last[below] < first:
                found.append(self._as_one(below, condition))
                break
            for time, contribution, under in self.arrivals[below]:
                found.append((time, contribution, self.trace.both(under, condition)))
                first = min(first, time)
            for selection, flag in self.choosers.get(below, ()):
                both = self.trace.both(condition, flag)
                if selection in conditions:
                    conditions[selection] = self.either(conditions[selection], both)
                else:
                    conditions[selection] = both
                    heappush(todo, (selection._stamp, selection))
        return sorted(found, key=itemgetter(0))

    def _gradients(self) -> dict[Value, Any]:
        found = self.chosen(self.wrt)
        for node in sorted((z for z in self.wrt if z._op is SELECT), key=attrgetter("_stamp")):
            options, flag = node._x, node._y
            a, b = (found.get(z, 0.0) for z in (options._x, options._y))
            found[node] = self.trace.choose(flag, a, b)
        return found


_Arrival = tuple[int, Any, Value | None]


def _with_operands(wrt: Sequence[Value]) -> dict[Value, None]:
    """The nodes, and of selections the operands too."""
    found = dict.fromkeys(wrt)
    stack = [*wrt]
    while stack:
        for operand in _options(stack.pop()):
            if operand not in found:
                found[operand] = None
                stack.append(operand)
    return found


def _options(node: Value) -> list[Value]:
    """The nodes that a selection chooses between; none of another node."""
    options = node._x.operands if node._op is SELECT else ()
    return [z for z in options if isinstance(z, Value)]


def _requires_grad(x: Any) -> bool:
    return type(x) is not float and x._requires_grad


def _described(value: Value) -> str:
    label = "" if value._label is None else f" {value._label!r}"
    return f"a Value{label} ({'an input' if value._op is None else f'a result of {value._op}'})"


def _refusal(kind: str, use: str) -> TraceError:
    reason = (
        "what a compiled function writes is written once, while it is traced, not at each call"
        if use == "write"
        else "while autograd.compile traces a function its numbers are not known, for the program "
        "serves any"
    )
    remedy = _REMEDIES.get(f"{use} of {kind}", _REMEDIES[use])
    return TraceError(f"{use} of {kind} at {modes.calling_line()}: {reason}; {remedy}")
