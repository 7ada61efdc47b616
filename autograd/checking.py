"""The checker: the engine's derivatives beside finite differences of the function itself."""

import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise, takewhile
from operator import attrgetter
from typing import Any

from autograd import functional, graph, modes
from autograd.backward import pullback
from autograd.errors import GradcheckError
from autograd.structure import flatten, places
from autograd.transforms import jacobian
from autograd.value import Value, describe, number


def gradcheck(
    f: Callable[..., Any],
    args: Sequence[Any],
    order: int = 1,
    rtol: float = 1e-6,
    atol: float = 0.0,
) -> bool:
    """Check the engine's derivatives of f at args against finite differences of f.

    The differences are taken with steps of all sizes and extrapolated to the step 0, with an
    estimate of their error; a derivative is called wrong only where it is off by more. On a kink,
    where the slopes on the left and on the right differ, any derivative between them is right;
    at the edge of the domain the slope on the one side counts; an infinite slope asks for inf.

    Args:
        f: a function of numbers, or of nested lists, tuples, dicts and arrays of them, whose
            output is any of these. It is called with Values.
        args: its positional arguments.
        order: 1 to check the first derivatives, 2 to check the second ones too.
        rtol: by how much a derivative may be off, relative to its size.
        atol: by how much it may be off besides.

    Returns:
        True.

    Raises:
        GradcheckError: if a derivative is wrong, naming the argument, both numbers and the
            operation at fault; or if f is not finite at args.
    """
    if not isinstance(args, list | tuple):
        raise TypeError(f"args must be the tuple of positional arguments, received {args!r}")
    if order not in (1, 2):
        raise ValueError(f"order must be 1 or 2, received {order!r}")
    tolerance = _Tolerance(rtol, atol)
    with modes.all_off():
        function = _flat(f, tuple(args))
        for depth in range(1, order + 1):
            for partial in function.partials():
                if not math.isfinite(value := _data(partial.root)):
                    point = ", ".join(map("{} = {!r}".format, function.inputs, function.point))
                    raise GradcheckError(
                        f"{partial.name} cannot be checked: its function is {value!r} at {point}"
                    )
                if disagreement := partial.disagreement(tolerance):
                    cause = _cause(partial.root, depth, tolerance)
                    raise GradcheckError(f"{disagreement};\n{cause}")
            function = function.slopes()
    return True


@dataclass(frozen=True, slots=True)
class _Tolerance:
    relative: float
    absolute: float

    def __call__(self, *sizes: float) -> float:
        """By how much a number of these sizes may be off; infinite ones do not count."""
        finite = [abs(size) for size in sizes if math.isfinite(size)]
        return self.relative * max(finite, default=0.0) + self.absolute


# The operation at fault.


def _cause(root: Any, order: int, tolerance: _Tolerance) -> str:
    """Why a derivative of root is wrong, found by checking each operation by itself."""
    operations = _distinct_operations(root)
    functions = [_alone(node) for node in operations]
    for _ in range(order):
        for node, function in zip(operations, functions, strict=True):
            for partial in function.partials():
                if disagreement := partial.disagreement(tolerance):
                    return (
                        f"the operation {node._op} is wrong by itself: "
                        f"{disagreement}, at {_describe(node)}"
                    )
        functions = [function.slopes() for function in functions]
    for node in operations:
        if not all(partial.is_smooth() for partial in _alone(node).partials()):
            return (
                "every operation is right by itself, but one is not smooth here, so that the "
                f"chain rule need not hold: {_describe(node)}; check beside this point"
            )
    return (
        "every operation is right by itself, so the gradient is lost outside the graph: "
        "look for .item(), .data, detach(), no_grad() or arithmetic on plain floats"
    )


def _distinct_operations(root: Any) -> list[Value]:
    """The operations below root, the first of each kind at the same operands."""
    found: dict[Any, Value] = {}
    for node in graph.operations(root) if isinstance(root, Value) else []:
        found.setdefault((node._op, *map(_data, node.operands)), node)
    return list(found.values())


def _alone(node: Value) -> "_Function":
    """The operation of a node as a function of its operands, but for those that are numbers."""
    operands = node.operands
    names = [name for name, x in zip("xy", operands, strict=False) if isinstance(x, Value)]
    point = [x._data for x in operands if isinstance(x, Value)]

    def call(xs: list[Any]) -> list[Any]:
        given = iter(xs)
        operation = getattr(functional, str(node._op))
        return [operation(*(next(given) if isinstance(x, Value) else x for x in operands))]

    return _Function(call, point, names, [str(node._op)])


def _describe(node: Value) -> str:
    return f"{describe(node)}, computed from ({', '.join(map(describe, node.operands))})"


# A function at a point, and its partial derivatives.


@dataclass(frozen=True, slots=True)
class _Function:
    """A function from a list of numbers to a list of numbers, and the point to check it at."""

    call: Callable[[list[Any]], list[Any]]
    point: list[float]
    inputs: list[str]
    outputs: list[str]

    def slopes(self) -> "_Function":
        """Its derivatives as a function, output by output."""
        names = [f"(∂{output}/∂{name})" for output in self.outputs for name in self.inputs]
        derivative = jacobian(self.call)
        return _Function(lambda xs: flatten(derivative(xs))[0], self.point, self.inputs, names)

    def partials(self) -> "Iterator[_Partial]":
        """Each of its derivatives by the engine, with what it takes to check it."""
        leaves = _leaves(self.point, self.inputs)
        roots = self.call(leaves)
        sweeps = [pullback({x: 1.0}, leaves) if isinstance(x, Value) else {} for x in roots]
        noises = [_noise(sweep) for sweep in sweeps]
        for j, leaf in enumerate(leaves):
            outputs_at = self._along(j, len(roots))
            for i, root in enumerate(roots):
                yield _Partial(
                    name=f"∂{self.outputs[i]}/∂{self.inputs[j]}",
                    root=root,
                    engine=sweeps[i].get(leaf, 0.0),
                    differences=_Differences(
                        lambda x, i=i, outputs_at=outputs_at: outputs_at(x)[i],
                        leaf._data,
                        noises[i],
                    ),
                )

    def _along(self, j: int, size: int) -> Callable[[float], list[float]]:
        """The outputs as functions of the input j alone; nan where there are none."""

        @cache
        def outputs_at(x: float) -> list[float]:
            try:
                outputs = self.call([*self.point[:j], x, *self.point[j + 1 :]])
            except (ArithmeticError, ValueError):
                outputs = []
            return [*map(_data, outputs)] if len(outputs) == size else [math.nan] * size

        return outputs_at


def _flat(f: Callable[..., Any], args: tuple[Any, ...]) -> _Function:
    """f as a function of the list of the numbers in its arguments."""
    scalars, rebuild = flatten(args, "args")
    point, inputs = [*map(_data, scalars)], places(args, "args")

    def call(xs: list[Any]) -> list[Any]:
        leaves = [x if isinstance(x, Value) else Value(x) for x in xs]
        return flatten(f(*rebuild(leaves)), "output")[0]

    outputs = places(f(*rebuild(_leaves(point, inputs))), "output")
    return _Function(call, point, inputs, outputs)


def _leaves(point: list[float], labels: list[str]) -> list[Value]:
    return [Value(x, label) for x, label in zip(point, labels, strict=True)]


def _data(x: Any) -> float:
    return x._data if isinstance(x, Value) else number(x, "output")


def _noise(sweep: dict[Value, float]) -> float:
    """How far rounding may take a root: each operation is off by an ulp, times its gradient."""
    errors = [
        abs(gradient) * math.ulp(node._data)
        for node, gradient in sweep.items()
        if node._op is not None
    ]
    return math.fsum(error for error in errors if math.isfinite(error))


@dataclass(frozen=True, slots=True)
class _Partial:
    """One derivative by the engine, and the finite differences to compare it with."""

    name: str
    root: Any
    engine: float
    differences: "_Differences"

    def disagreement(self, tolerance: _Tolerance) -> str | None:
        """How the finite differences contradict the engine; None where they agree."""
        if self._agrees_with_central(tolerance):
            return None
        sides = self.differences.sides()
        if not sides:
            return f"{self.name} cannot be checked: its function is not finite on either side"
        low, high = min(side.low for side in sides), max(side.high for side in sides)
        allowed = tolerance(self.engine, low, high)
        if low - allowed <= self.engine <= high + allowed:
            return None
        found = f"{min(sides, key=_width)}"
        if _is_kink(sides):
            found = f"{sides[0]} on the left and {sides[1]} on the right"
        return f"{self.name} is {self.engine!r} in the engine, {found} by finite differences"

    def is_smooth(self) -> bool:
        """Whether the slopes on both sides are finite and the same."""
        sides = self.differences.sides()
        finite = all(math.isfinite(side.width) for side in sides)
        return len(sides) == 2 and finite and not _is_kink(sides)

    def _agrees_with_central(self, tolerance: _Tolerance) -> bool:
        """Whether differences across the point settle on the derivative, at whatever step.

        They do where their error is within the tolerance; or, for a slope that is next to nothing
        beside the function itself, where they come near the least error that rounding allows
        and none over larger steps contradicts the derivative.
        """
        size = abs(_data(self.root)) / max(abs(self.differences.x), 1.0)
        negligible = 1e-12 * size + sys.float_info.min
        agreed = True
        for estimate in self.differences.central():
            off, allowed = abs(estimate.value - self.engine), tolerance(estimate.value)
            if off <= allowed and estimate.error <= allowed:
                return True
            agreed = agreed and off <= estimate.error
            if agreed and estimate.error <= negligible:
                return True
        return False


# Finite differences.


@dataclass(frozen=True, slots=True)
class _Slope:
    """The slope on one side lies between low and high."""

    low: float
    high: float

    @property
    def width(self) -> float:
        """How uncertain it is."""
        return self.high - self.low

    def __str__(self) -> str:
        if math.isinf(self.width):
            return repr(self.high if math.isinf(self.high) else self.low)
        return f"{self.low + 0.5 * self.width!r} ± {0.5 * self.width:.1g}"


_width = attrgetter("width")


def _is_kink(sides: list[_Slope]) -> bool:
    """Whether the slopes on the left and on the right differ."""
    return max(side.low for side in sides) > min(side.high for side in sides)


@dataclass(frozen=True, slots=True)
class _Estimate:
    """A slope by differences.

    Attributes:
        value: the slope.
        change: how much the last extrapolation changed it.
        rounding: a bound of what rounding did to it.
    """

    value: float
    change: float = 0.0
    rounding: float = 0.0

    @property
    def error(self) -> float:
        """By how much it may be off; with a margin, for the change is but a hint."""
        return 4.0 * self.change + self.rounding


_error = attrgetter("error")


@dataclass(frozen=True, slots=True)
class _Differences:
    """A function of one number near x; noise bounds the rounding error of its values."""

    function: Callable[[float], float]
    x: float
    noise: float

    def central(self) -> Iterator[_Estimate]:
        """The slope by differences across x, over smaller and smaller steps."""
        return _extrapolate((self._across(self.x - h, self.x + h) for h in _steps(self.x)), 4.0)

    def sides(self) -> list[_Slope]:
        """The slope on the left and on the right of x, as far as the function is finite there."""
        return [slope for sign in (-1.0, 1.0) if (slope := self._side(sign))]

    def _side(self, sign: float) -> _Slope | None:
        quotients = [
            self._across(self.x + sign * h, self.x + sign * (2.0 * h)) for h in _steps(self.x)
        ]
        near = [*takewhile(lambda quotient: not math.isnan(quotient.value), reversed(quotients))]
        if near and _is_growing(near):
            steepest = near[0].value
            return _Slope(*sorted((steepest, math.copysign(math.inf, steepest))))
        best = _best([*_extrapolate(reversed(near), 2.0)])
        return best and _Slope(best.value - best.error, best.value + best.error)

    def _across(self, a: float, b: float) -> _Estimate:
        """The difference quotient between a and b; nan where the function is not finite."""
        left, right = self.function(a), self.function(b)
        if not (math.isfinite(left) and math.isfinite(right)):
            return _Estimate(math.nan)
        noise = self.noise + math.ulp(max(abs(left), abs(right)))
        rounding = 16.0 * noise / abs(b - a)  # two values, and extrapolating makes it 8 times worse
        return _Estimate((right - left) / (b - a), rounding=rounding)


def _steps(x: float) -> Iterator[float]:
    """Steps from about |x|, and at least 1, down to two ulps of x, each half of the last."""
    step = 2.0 ** (math.frexp(max(abs(x), 1.0))[1] - 1)
    smallest = 2.0 * math.ulp(x) if x else 2.0**-120
    while step >= smallest:
        yield step
        step *= 0.5


def _extrapolate(quotients: Iterable[_Estimate], base: float) -> Iterator[_Estimate]:
    """The limits of difference quotients over halved steps, as the tableau of Richardson grows.

    Halving the step divides the leading error by base. The error estimates are those of
    C. J. F. Ridders, Accurate computation of F'(x) and F'(x)F''(x), 1982. Each quotient is
    extrapolated 3 to 6 times: fewer may agree by chance, more would only amplify rounding.
    """
    above: list[float] = []
    for quotient in quotients:
        row = [quotient.value]
        for order, older in enumerate(above[:6], start=1):
            row.append(row[-1] + (row[-1] - older) / (base**order - 1.0))
        estimates = [
            _Estimate(row[order], change, quotient.rounding)
            for order in range(3, len(row))
            if math.isfinite(
                change := max(abs(row[order] - row[order - 1]), abs(row[order] - above[order - 1]))
            )
        ]
        if estimates:
            yield min(estimates, key=_error)
        above = row


def _best(estimates: list[_Estimate]) -> _Estimate | None:
    """The most certain estimate that those of smaller steps do not contradict.

    Larger steps are of no use where they would cross a kink, or where the function changes too
    fast for them: where extrapolating changes the slope far more than rounding can.
    """
    low, high, agreeing = -math.inf, math.inf, list[_Estimate]()
    for estimate in reversed(estimates):
        low = max(low, estimate.value - estimate.error)
        high = min(high, estimate.value + estimate.error)
        if low > high:
            break
        agreeing.append(estimate)
        if estimate.change > 1000.0 * estimate.rounding:
            break
    return min(agreeing, key=_error, default=None)


def _is_growing(quotients: list[_Estimate]) -> bool:
    """Whether the quotients over the smallest steps, the first ones, grow to an infinite slope.

    They do so without settling over 16 halvings of the step, as 1/√h and log h do. Quotients
    beyond all floats, whose differences are nan, do not settle.
    """
    sign = math.copysign(1.0, quotients[0].value)
    growth = [sign * (a.value - b.value) for a, b in pairwise(quotients[:16])]
    settles = any(a < 0.97 * b or b <= 0.0 for a, b in pairwise(growth))
    return len(growth) == 15 and not settles
