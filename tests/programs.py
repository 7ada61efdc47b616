"""Random programs over Values, and what an engine makes of them, as text to compare."""

import copy
import math
import numbers
import operator
import pickle
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from fractions import Fraction
from typing import Any

import numpy
from strategies import Recipe, build

import autograd
from autograd import Value, ops

ROUND = 150
"""After so many steps a program begins anew, so that its graphs stay small."""


class Parameter(Value):
    """A subclass with attributes of its own."""


class Slotted(Value):
    """A subclass without a dictionary."""

    __slots__ = ("added",)


class Foreign:
    """A real number of somebody else's, that computes with Values when it is asked for a float."""

    def __init__(self, x: float, hook: Callable[[], object]) -> None:
        self.x, self.hook = x, hook

    def __float__(self) -> float:
        self.hook()
        return self.x

    def __repr__(self) -> str:
        return f"Foreign({self.x})"


numbers.Real.register(Foreign)


class Odd:
    """No number at all."""

    def __repr__(self) -> str:
        return "Odd()"


def bits(x: float) -> str:
    """A float in full; all nans alike, for C and Python may give them different signs."""
    return "nan" if math.isnan(x) else x.hex()


def show(x: Any) -> str:
    """A result in full, but for addresses."""
    if isinstance(x, Value) and not hasattr(x, "_op"):
        return f"{type(x).__name__} before __init__"
    if isinstance(x, Value):
        operands = ", ".join(
            bits(y if type(y) is float else y._data) for y in (x._x, x._y) if x._op is not None
        )
        return (
            f"{type(x).__name__}({bits(x._data)}, grad={bits(x._grad)}, label={x._label!r}, "
            f"{x._requires_grad}, {x._op} of [{operands}], stamp {x._stamp})"
        )
    if isinstance(x, float):
        return f"{type(x).__name__} {bits(x)}"
    if isinstance(x, list | tuple):
        return f"{type(x).__name__}[{', '.join(map(show, x))}]"
    return repr(x)


class Program:
    """A pool of Values, and random steps upon it that depend on the seed alone."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.begin()

    def begin(self) -> None:
        draw = self.random
        kinds = [Value, Value, Value, Value, Parameter, Slotted]
        self.pool: list[Any] = [
            draw.choice(kinds)(self.float(), draw.choice([None, "a", "é"]), draw.random() < 0.8)
            for _ in range(6)
        ]

    # What steps are made of.

    def float(self) -> float:
        draw = self.random
        return draw.choice(
            [draw.uniform(-3.0, 3.0)] * 6
            + [float(draw.randint(-3, 3)), draw.choice([0.0, -0.0, 2.0, math.inf, math.nan, 1e308])]
        )

    def node(self) -> Any:
        return self.random.choice(self.pool)

    def number(self) -> Any:
        x = self.float()
        return self.random.choice(
            (
                *(x, x, x, 2, 2.0, -1, 10**400, -(10**400), 2**63, 2**53 + 1, True),
                *(numpy.float64(x), numpy.float32(1.5), numpy.int64(3), numpy.bool_(True)),
                *(Fraction(1, 3), Foreign(x, self.hook())),
            )
        )

    def hook(self) -> Callable[[], object]:
        a, b = self.node(), self.node()
        return self.random.choice(
            [lambda: a * b, lambda: a.__init__(1.0), lambda: 1 / 0, lambda: None]
        )

    def operand(self) -> Any:
        draw = self.random.random()
        if draw < 0.6:
            return self.node()
        if draw < 0.95:
            return self.number()
        kind = self.random.choice([Value, Slotted])
        return self.random.choice([None, "text", 1j, [1.0], Odd(), kind.__new__(kind)])

    def operands(self) -> list[Any]:
        some = self.node if self.random.random() < 0.3 else self.operand
        return [some() for _ in range(self.random.choice([0, 1, 2, 3, 5]))]

    # The steps.

    def arithmetic(self) -> Any:
        function = self.random.choice(
            [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow] * 3
            + [operator.floordiv, operator.mod, divmod, operator.matmul]
        )
        x, y = self.node(), self.operand()
        return function(x, y) if self.random.random() < 0.5 else function(y, x)

    def compare(self) -> Any:
        names = ["eq", "ne", "lt", "le", "gt", "ge"]
        return getattr(operator, self.random.choice(names))(self.node(), self.operand())

    def method(self) -> Any:
        names = [op.name for op in ops.TABLE.values() if op.arity == 1] + ["item", "detach"]
        names += ["rint", "arcsin", "__abs__", "__neg__", "__floor__", "__round__", "__bool__"]
        names += ["__float__", "__repr__", "__copy__"]
        return getattr(self.node(), self.random.choice(names))()

    def function(self) -> Any:
        op = self.random.choice([*ops.TABLE.values()])
        return getattr(autograd, op.name)(*(self.operand() for _ in range(op.arity)))

    def reduction(self) -> Any:
        draw = self.random
        if draw.random() < 0.4:
            return autograd.sum(draw.choice([list, tuple])(self.operands()))
        a = self.operands()
        b = [self.operand() for _ in a] if draw.random() < 0.9 else self.operands()
        bias = [] if draw.random() < 0.5 else [draw.choice([None, self.operand()])]
        return autograd.dot(a, b, *bias)

    def construct(self) -> Any:
        draw = self.random
        kind = draw.choice([Value, Value, Parameter, Slotted])
        label = draw.choice([None, "b", "w_1", 5])
        x = self.operand()
        return draw.choice(
            [
                lambda: kind(x),
                lambda: kind(x, label),
                lambda: kind(x, label, False),
                lambda: kind(data=x, label=label, requires_grad=0),
                lambda: kind(x, requires_grad=True, label=label),
                lambda: self.node().__init__(x, label),
            ]
        )()

    def write(self) -> Any:
        name = self.random.choice(["data", "grad", "label", "requires_grad", "op", "more"])
        if self.random.random() < 0.1:
            delattr(self.node(), name)
        x = self.random.choice([self.operand(), self.float(), None, "c", False])
        setattr(self.node(), name, x)
        return name

    def differentiate(self) -> Any:
        draw = self.random
        if draw.random() < 0.5:
            return self.node().backward(*draw.choice([[], [self.number()], [2.0]]))
        wrt = [self.node() for _ in range(draw.randint(1, 3))]
        return self.node().gradient(wrt, create_graph=draw.random() < 0.2)

    def carry(self) -> Any:
        pair = [self.node(), self.node()]
        return self.random.choice(
            [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
        )(pair)

    def step(self) -> Any:
        draw = self.random
        steps = [self.arithmetic] * 12 + [self.method] * 4 + [self.function] * 6
        steps += [self.compare, self.reduction, self.reduction, self.construct, self.construct]
        steps += [self.write, self.differentiate, self.carry]
        chosen = draw.choice(steps)
        modes = [nullcontext] * 20 + [autograd.no_grad, autograd.no_grad, autograd.detect_anomaly]
        with draw.choice(modes)():
            result = chosen()
        fresh = result if isinstance(result, list) else [result]
        for node in fresh:
            if isinstance(node, Value):
                self.pool[draw.randrange(len(self.pool))] = node
        return result

    def run(self, steps: int) -> Iterator[str]:
        """The outcome of each step: what it gives, or its error."""
        for i in range(steps):
            before = self.random.getstate()
            try:
                yield show(self.step())
            except Exception as error:
                yield f"{type(error).__name__}: {error}"
            # However the step ended, the next one is drawn from the same place.
            self.random.setstate(before)
            self.random.random()
            self.random.seed(self.random.getrandbits(64))
            if i % ROUND == ROUND - 1:
                yield from map(show, self.pool)
                self.begin()


def outcome(recipe: Recipe) -> list[str]:
    """All of a recipe's graph: values, gradients, and the gradients of its gradients."""
    nodes = build(recipe, [Value(x) for x in recipe.leaves])
    root, leaves = nodes[-1], nodes[: len(recipe.leaves)]
    found = [*nodes]
    if root.requires_grad:
        root.backward()
        first = root.gradient(nodes, create_graph=True)
        total = autograd.sum(first)
        found += [root.gradient(leaves), first]
        found += [total.gradient(leaves) if total.requires_grad else None]
    return [show(x) for x in found]


def serve() -> None:
    """Answer pickled recipes from the standard input with their outcomes."""
    while True:
        try:
            recipe = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        sys.stdout.buffer.write(pickle.dumps(outcome(recipe)))
        sys.stdout.buffer.flush()


# `python tests/programs.py SEED STEPS` prints the outcomes for the engine that AUTOGRAD_ENGINE
# chooses; `python tests/programs.py serve` answers recipes of graphs.

if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        serve()
    else:
        for line in Program(int(sys.argv[1])).run(int(sys.argv[2])):
            print(ascii(line))
