"""Copies and pickles of graphs, of any depth, in which shared nodes stay shared."""

import copy
import operator
import threading
import weakref
from typing import Any, cast

from autograd import graph, modes
from autograd.backward import refuse_stale
from autograd.ops import op_named
from autograd.value import Value, record

_REMEDY = "a copy would hide that; compute the result again, then copy"
"""What is said to who copies a stale graph."""


def reduce(value: Value) -> tuple[Any, ...]:
    """How pickle takes a node apart: a leaf by itself, an operation with its whole graph."""
    if value._op is None:
        added = _added(value) or None
        return _make_leaf, (type(value), *_content(value)), added, None, None, added and _add
    cargo = _cargo_of(value) or _Cargo(value)
    return operator.getitem, (cargo, cargo.places[value])


def shallow_copy(value: Value) -> Value:
    """A node with the same number, computed from the same operands."""
    if value._op is None:
        twin = _make_leaf(type(value), *_content(value))
        _add(twin, _added(value))
        return twin
    refuse_stale([value], _REMEDY)
    with modes.all_off():
        return _restore(value._op.name, value._x, value._y, *_content(value))


def deep_copy(value: Value, memo: dict[int, Any]) -> Value:
    """A copy of the whole graph below value; nodes that memo holds are not copied again."""
    if value._op is None:
        memo[id(value)] = twin = _make_leaf(type(value), *_content(value))
        if added := _added(value):
            _add(twin, copy.deepcopy(added, memo))
        return twin
    operations = graph.operations(value, known=_Memo(memo))
    refuse_stale(operations, _REMEDY)
    with modes.all_off():
        for node in operations:
            x, y = (copy.deepcopy(z, memo) for z in (node._x, node._y))
            if id(node) not in memo:  # else an attribute of a leaf led here
                memo[id(node)] = _restore(node._op.name, x, y, *_content(node))
    return memo[id(value)]


class _Memo:
    """The nodes whose copies the memo of deepcopy holds."""

    def __init__(self, memo: dict[int, Any]) -> None:
        self._memo = memo

    def __contains__(self, node: object) -> bool:
        return id(node) in self._memo


# Pickling. pickle recurses into what it finds, so an operation is not taken apart into its
# operands: all operations below it travel as one cargo, and each is an element of it. While a
# pickle is being written, its memo keeps the cargo alive, and a second root finds it here; what
# that root adds travels in a cargo of its own.


class _Cargo:
    """The operations that travel together, and the place of each."""

    def __init__(self, root: Value) -> None:
        cargoes = _travelling.cargoes
        operations = graph.operations(root, known=cargoes)
        refuse_stale(operations, _REMEDY)
        self.places = {node: place for place, node in enumerate(operations)}
        self._older = {
            cargo for _, operand, _ in graph.edges(operations) if (cargo := _cargo_of(operand))
        }
        self._depth = 1 + max((cargo._depth for cargo in self._older), default=0)
        self._is_written = False

        def forget(_: object) -> None:
            for node in operations:
                cargoes.pop(node, None)

        cargoes.update(dict.fromkeys(operations, weakref.ref(self, forget)))

    def __reduce__(self) -> tuple[Any, ...]:
        operations = list(self.places)
        columns = (
            [node._op.name for node in operations],
            [self._packed(node._x) for node in operations],
            [self._packed(node._y) for node in operations],
            *map(list, zip(*map(_content, operations), strict=True)),
        )
        # Another pickler than the first has yet to meet the older cargoes, and would recurse from
        # each into the next: so at every 16th all of them come first.
        first = self._all_older() if self._is_written and self._depth % 16 == 0 else []
        self._is_written = True
        return _unpack, (first, *columns)

    def _all_older(self) -> "list[_Cargo]":
        found = set(self._older)
        stack = list(found)
        while stack:
            new = stack.pop()._older - found
            found |= new
            stack += new
        return sorted(found, key=lambda cargo: cargo._depth)

    def _packed(self, operand: Any) -> Any:
        return operand if type(operand) is float else self.places.get(operand, operand)


class _Travelling(threading.local):
    def __init__(self) -> None:
        self.cargoes: dict[Value, weakref.ref[_Cargo]] = {}


_travelling = _Travelling()
"""The cargo of each operation in the pickles that this thread is writing."""


def _cargo_of(node: Value) -> _Cargo | None:
    reference = _travelling.cargoes.get(node)
    return reference and reference()


def _unpack(_older: list[Any], *columns: list[Any]) -> list[Value]:
    """The operations of a cargo; an int operand is the place of an earlier one."""
    nodes: list[Value] = []
    with modes.all_off():
        for name, x, y, *content in zip(*columns, strict=True):
            x = nodes[x] if type(x) is int else x
            y = nodes[y] if type(y) is int else y
            nodes.append(_restore(name, x, y, *content))
    return nodes


def _content(node: Value) -> tuple[float, float, str | None, bool]:
    return node._data, node._grad, node._label, node._requires_grad


def _restore(
    name: str, x: Any, y: Any, data: float, grad: float, label: str | None, requires_grad: bool
) -> Value:
    node = record(op_named(name), data, x, y)
    node._grad = grad
    node._label = label
    node._requires_grad = requires_grad
    return node


def _make_leaf(
    kind: type[Value], data: float, grad: float, label: str | None, requires_grad: bool
) -> Value:
    leaf = kind.__new__(kind)
    Value.__init__(leaf, data, label, requires_grad)
    leaf._grad = grad
    return leaf


def _added(leaf: Value) -> dict[str, Any]:
    """The attributes that a subclass added to a leaf."""
    if type(leaf) is Value:
        return {}
    state = cast(Any, object.__getstate__(leaf))
    attributes, slots = cast(Any, state if isinstance(state, tuple) else (state, None))
    added: dict[str, Any] = {**(attributes or {}), **(slots or {})}
    return {name: added[name] for name in added if name not in Value.__slots__}


def _add(leaf: Value, attributes: dict[str, Any]) -> None:
    for name, attribute in attributes.items():
        setattr(leaf, name, attribute)
