"""The walk: which nodes a result was computed from, in the order of the computation."""

from collections.abc import Container, Iterable, Iterator
from itertools import chain, count
from operator import attrgetter
from typing import TYPE_CHECKING

from autograd.environment import accelerated

if TYPE_CHECKING:
    from autograd.value import Value

_stamp = attrgetter("_stamp")


@accelerated
def operations(
    *roots: "Value", since: int = 0, known: "Container[Value]" = frozenset()
) -> "list[Value]":
    """The computed nodes below and including the roots, in the order of their recording.

    Those that are `known` or were recorded before the stamp `since` are left out, and so is all
    they stand on.
    """
    found = {
        root
        for root in roots
        if root._op is not None and root._stamp >= since and root not in known
    }
    limited = since > 0 or bool(known)
    stack = list(found)
    while stack:
        node = stack.pop()
        x, y = node._x, node._y
        if (type(x) is not float and x._op is not None and x not in found) and (
            not limited or (x._stamp >= since and x not in known)
        ):
            found.add(x)
            stack.append(x)
        if (type(y) is not float and y._op is not None and y not in found) and (
            not limited or (y._stamp >= since and y not in known)
        ):
            found.add(y)
            stack.append(y)
    return sorted(found, key=_stamp)


def leaves(*roots: "Value") -> "list[Value]":
    """The leaves below the roots, in the order of their first use."""
    return _leaves(roots, operations(*roots))


def nodes(*roots: "Value") -> "list[Value]":
    """Every node below and including the roots: the leaves, then the operations in order."""
    computed = operations(*roots)
    return _leaves(roots, computed) + computed


def _leaves(roots: "Iterable[Value]", operations: "list[Value]") -> "list[Value]":
    used = (operand for _, operand, _ in edges(operations))
    return list(dict.fromkeys(node for node in chain(roots, used) if node._op is None))


def edges(operations: "list[Value]") -> "Iterator[tuple[Value, Value, int]]":
    """Each (node, operand, slot) whose operand is a node; slot 0 is the left operand."""
    for node in operations:
        x, y = node._x, node._y
        if type(x) is not float:
            yield node, x, 0
        if type(y) is not float:
            yield node, y, 1


def is_stale(node: "Value", operand: "Value") -> bool:
    """Whether the operand was written after the node was computed from it."""
    return operand._stamp > node._stamp


def stale_edges(operations: "list[Value]") -> "Iterator[tuple[Value, Value]]":
    """Each (node, operand) whose operand was written after the node was computed from it."""
    for node in operations:
        x, y, stamp = node._x, node._y, node._stamp
        if type(x) is not float and x._stamp > stamp:
            yield node, x
        if type(y) is not float and y._stamp > stamp:
            yield node, y


def stale_leaves(*roots: "Value") -> "list[Value]":
    """The leaves that were written after a node below the roots was computed from them."""
    return list(dict.fromkeys(leaf for _, leaf in stale_edges(operations(*roots))))


@accelerated
def dependents(operations: "list[Value]", wrt: "Iterable[Value]") -> "set[Value]":
    """The nodes wrt and those of the operations that were computed from them."""
    found = set(wrt)
    for node, operand, _ in edges(operations):
        if operand in found:
            found.add(node)
    return found


def names(*roots: "Value") -> "dict[Value, str]":
    """A display name for every node below and including the roots, no two alike.

    Its label; else s0, s1, … for the operations in order and v0, v1, … for the leaves, passing
    over labels. A label that was met before gets a number: w, w_2, w_3. What cannot be printed on
    one line stands as an escape such as \\n.
    """
    found = nodes(*roots)
    labels = [printable(node._label or "") for node in found]
    taken = set(labels)
    s = (name for i in count() if (name := f"s{i}") not in taken)
    v = (name for i in count() if (name := f"v{i}") not in taken)
    wanted = [
        label or next(s if node._op else v) for node, label in zip(found, labels, strict=True)
    ]
    return dict(zip(found, distinct(wanted), strict=True))


def printable(text: str) -> str:
    """The text on one line: what cannot be printed becomes an escape such as \\n or \\x1b."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def distinct(wanted: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """The wanted names, with a number after each that is taken or stood before."""
    wanted, used = list(wanted), set(taken)
    known = used.union(wanted)
    numbers: dict[str, Iterator[int]] = {}
    found: list[str] = []
    for name in wanted:
        if name in used:
            counter = numbers.setdefault(name, count(2))
            name = next(f"{name}_{i}" for i in counter if f"{name}_{i}" not in known)
        used.add(name)
        found.append(name)
    return found
