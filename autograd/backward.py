"""The sweeps: upstream × local, summed where paths meet, over a recorded graph."""

import math
from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from autograd import functional, graph, modes
from autograd.environment import accelerated
from autograd.errors import AnomalyError, AutogradError, StaleGraphError
from autograd.ops import TABLE
from autograd.structure import flatten
from autograd.value import Value, describe


def _choose(condition: Any, case: Callable[[], Any], others: Callable[[], Any]) -> Any:
    """What a formula is where the condition holds or not; both where that is for the program."""
    if isinstance(condition, bool):
        return case() if condition else others()
    return functional.where(condition, case(), others())


_FUNCTIONS = {**vars(functional), "choose": _choose}
RULES_OF_VALUES = {
    op: [
        None if formula == "1.0" else rule
        for formula, rule in zip(op.local, op.derivatives(_FUNCTIONS), strict=True)
    ]
    for op in TABLE.values()
}
"""The local derivatives as functions of Values: they record themselves. None is always 1."""


def local_derivative(node: Value, slot: int, create_graph: bool = False) -> Any:
    """∂node/∂operand for the operand in that slot (0 is the left one) of a computed node.

    A float; with create_graph a Value, or a float where the derivative is a constant.
    """
    op, x, y = node._op, node._x, node._y
    if create_graph:
        rule = RULES_OF_VALUES[op][slot]
        return rule(x, y, node) if rule else 1.0
    a = x if type(x) is float else x._data
    b = y if type(y) is float else y._data
    return op.rules[slot](a, b, node._data)


def times(upstream: Any, local: Any) -> Any:
    """upstream × local, recording no product with the number 1."""
    if type(local) is float and local == 1.0:
        return upstream
    if type(upstream) is float and upstream == 1.0:
        return local
    return upstream * local


@accelerated
def pullback(
    seeds: Mapping[Value, Any],
    wrt: Sequence[Value] | None = None,
    create_graph: bool = False,
    allow_stale: bool = False,
    since: int = 0,
) -> dict[Value, Any]:
    """The gradient of Σ seed × root at every node below the roots that needs one.

    The reverse sweep: nodes in the exact reverse of their recording, operands from left to
    right; the first contribution to a gradient is assigned, later ones are added.

    Args:
        seeds: the upstream gradient of each root.
        wrt: the nodes whose gradients are wanted; without it those that require a gradient.
        create_graph: record the derivatives, so that they can be differentiated.
        allow_stale: go on where a leaf was written after it was used.
        since: a stamp; nodes recorded before it are left out, for none of them depends on wrt.
    """
    trace = modes.thread.trace
    if create_graph and wrt is not None and trace and trace.selects:
        return trace.pullback(seeds, wrt, since)
    operations = graph.operations(*seeds, since=since)
    if not allow_stale:
        refuse_stale(operations)
    dependents = None if wrt is None else graph.dependents(operations, wrt)
    return (_pull_values if create_graph else _pull_numbers)(seeds, operations, dependents)


# The two slots are written out: a loop over them would cost a third of the sweep.


def _pull_numbers(
    seeds: Mapping[Value, Any], operations: list[Value], dependents: Container[Value] | None
) -> dict[Value, Any]:
    anomaly = modes.thread.anomaly
    gradients = dict(seeds)
    for node in reversed(operations):
        upstream = gradients.get(node)
        if upstream is None:
            continue
        rules, x, y, z = node._op.rules, node._x, node._y, node._data
        a = x._data if isinstance(x, Value) else x
        b = y._data if isinstance(y, Value) else y
        if type(x) is not float and x._requires_grad and (dependents is None or x in dependents):
            downstream = upstream * rules[0](a, b, z)
            gradients[x] = gradients[x] + downstream if x in gradients else downstream
            if anomaly:
                _check(anomaly, node, x, gradients[x])
        if type(y) is not float and y._requires_grad and (dependents is None or y in dependents):
            downstream = upstream * rules[1](a, b, z)
            gradients[y] = gradients[y] + downstream if y in gradients else downstream
            if anomaly:
                _check(anomaly, node, y, gradients[y])
    return gradients


def _pull_values(
    seeds: Mapping[Value, Any], operations: list[Value], dependents: Container[Value] | None
) -> dict[Value, Any]:
    anomaly = modes.thread.anomaly
    gradients = dict(seeds)
    for node in reversed(operations):
        upstream = gradients.get(node)
        if upstream is None:
            continue
        rules, x, y = RULES_OF_VALUES[node._op], node._x, node._y
        if type(x) is not float and x._requires_grad and (dependents is None or x in dependents):
            rule = rules[0]
            downstream = times(upstream, rule(x, y, node)) if rule else upstream
            gradients[x] = gradients[x] + downstream if x in gradients else downstream
            if anomaly:
                _check(anomaly, node, x, gradients[x])
        if type(y) is not float and y._requires_grad and (dependents is None or y in dependents):
            rule = rules[1]
            downstream = times(upstream, rule(x, y, node)) if rule else upstream
            gradients[y] = gradients[y] + downstream if y in gradients else downstream
            if anomaly:
                _check(anomaly, node, y, gradients[y])
    return gradients


def pushforward(
    tangents: Mapping[Value, Any],
    roots: Sequence[Value],
    create_graph: bool = False,
    since: int = 0,
) -> dict[Value, Any]:
    """The tangent of every node below the roots: Σ local × tangent of the operand.

    The forward sweep, in the order of recording. A node that depends on no node of `tangents`
    has none; those recorded before the stamp `since` are known to depend on none.
    """
    trace = modes.thread.trace
    if create_graph and trace and trace.selects:
        return trace.pushforward(tangents, roots, since)
    found = dict(tangents)
    for node in graph.operations(*roots, since=since):
        if node in tangents or not node._requires_grad:
            continue
        for slot, operand in enumerate((node._x, node._y)):
            if type(operand) is float or operand not in found:
                continue
            tangent = times(found[operand], local_derivative(node, slot, create_graph))
            found[node] = found[node] + tangent if node in found else tangent
    return found


@accelerated
def backward(root: Value, upstream: float) -> None:
    """Add the gradients of root to its leaves, and set them on the nodes between."""
    if not root._requires_grad:
        raise AutogradError(
            f"backward from {describe(root)}: it requires no gradient, for it was computed from "
            "numbers, detached values or under no_grad(); start from a node above a leaf that does"
        )
    for node, gradient in pullback({root: upstream}).items():
        accumulates = node._op is None and node._grad != 0.0
        node._grad = node._grad + gradient if accumulates else gradient


@accelerated
def accumulate(leaves: list[Value], gradients: list[float]) -> None:
    """Add gradients that were computed elsewhere to those of the leaves."""
    for leaf, gradient in zip(leaves, gradients, strict=True):
        leaf._grad = leaf._grad + gradient if leaf._grad != 0.0 else gradient


def gradient(root: Value, wrt: Any, create_graph: bool) -> Any:
    """∂root/∂wrt in the structure of wrt; see `Value.gradient`."""
    targets, rebuild = flatten(wrt, "wrt")
    for target in targets:
        if not isinstance(target, Value):
            raise TypeError(f"wrt must hold Values, received the number {target!r}")
        if not target._requires_grad:
            raise AutogradError(f"wrt: {describe(target)} requires no gradient")
    are_values = create_graph or modes.thread.trace is not None
    with modes.enable_grad() if create_graph else modes.no_grad() if are_values else nullcontext():
        gradients = pullback({root: 1.0}, targets, are_values)
    found = [gradients.get(target, 0.0) for target in targets]
    return rebuild([as_value(x) for x in found] if are_values else found)


def as_value(x: Value | float) -> Value:
    """x itself, or a constant with that number."""
    return x if isinstance(x, Value) else Value(x, requires_grad=False)


def refuse_stale(operations: list[Value], remedy: str = "compute the result again") -> None:
    """Raise the error for the first operation that stands on a leaf written since."""
    for node, leaf in graph.stale_edges(operations):
        raise StaleGraphError(
            f"{describe(leaf)} was written after {describe(node)} was computed from it: {remedy}"
        )


def _check(anomaly: modes.Anomaly, node: Value, operand: Value, gradient: Any) -> None:
    if not math.isfinite(gradient.data if isinstance(gradient, Value) else gradient):
        raise AnomalyError(
            f"the gradient of {describe(operand)} turned {gradient} in the backward pass of "
            f"{describe(node)}, recorded at {anomaly.line(node._stamp)}"
        )
