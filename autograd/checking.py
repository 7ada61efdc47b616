"""The checker: the engine's derivatives beside finite differences of the function itself."""

import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise, takewhile
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
    estimate of their error; a derivative is called wrong only where it is off by more, and right
    only where that error is small enough to tell. On a kink, where the slopes on the left and on
    the right differ, any derivative between them is right; at the edge of the domain the slope on
    the one side counts; an infinite slope asks for inf.

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
            operation at fault; or if it cannot be checked: f is not finite at args, gives other
            numbers when it is called again, or is too rough for its differences to settle.
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
                finding = partial.finding(tolerance)
                if finding and (cause := _cause(partial, finding.wrong, depth, tolerance)):
                    raise GradcheckError(f"{finding.text};\n{cause}")
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


def _cause(partial: "_Partial", wrong: bool, order: int, tolerance: _Tolerance) -> str | None:
    """Why a derivative is wrong, or in doubt, found by checking each operation by itself.

    There is no doubt, and None is returned, if it must be right by the chain rule: the function
    is nothing but its graph, and every operation of that is smooth and right.
    """
    operations = _distinct_operations(partial.root)
    functions = [_alone(node) for node in operations]
    for _ in range(order):
        for node, function in zip(operations, functions, strict=True):
            for local in function.partials():
                if (finding := local.finding(tolerance)) and finding.wrong:
                    return (
                        f"the operation {node._op} is wrong by itself: "
                        f"{finding.text}, at {_describe(node)}"
                    )
        functions = [function.slopes() for function in functions]
    for node in operations:
        if not all(local.is_smooth(tolerance) for local in _alone(node).partials()):
            return (
                "every operation is right by itself, but one is not smooth here, so that the "
                f"chain rule need not hold: {_describe(node)}; check beside this point"
            )
    if not partial.is_its_graph():
        return (
            "every operation is right by itself, so "
            f"{'the gradient is lost' if wrong else 'what is rough lies'} outside the graph: "
            "look for .item(), .data, detach(), no_grad() or arithmetic on plain floats"
        )
    if not wrong:
        return None
    return (
        "every operation is right by itself and nothing happens outside the graph, so that only "
        "rounding is left: numbers cancel here; rewrite the formula, or check at another point"
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
            taken: dict[float, list[float]] = {}
            outputs_at = self._along(j, len(roots), taken)
            for i, root in enumerate(roots):
                yield _Partial(
                    name=f"∂{self.outputs[i]}/∂{self.inputs[j]}",
                    root=root,
                    leaf=leaf,
                    engine=sweeps[i].get(leaf, 0.0),
                    engine_at=lambda x, i=i, j=j: self._slope(i, j, x),
                    differences=_Differences(
                        lambda x, i=i, outputs_at=outputs_at: outputs_at(x)[i],
                        leaf._data,
                        noises[i],
                    ),
                    taken=taken,
                )

    def _slope(self, i: int, j: int, x: float) -> float:
        """The derivative of the output i by the engine where the input j is x."""
        leaves = _leaves([*self.point[:j], x, *self.point[j + 1 :]], self.inputs)
        root = self.call(leaves)[i]
        return pullback({root: 1.0}, leaves).get(leaves[j], 0.0) if isinstance(root, Value) else 0.0

    def _along(
        self, j: int, size: int, taken: dict[float, list[float]]
    ) -> Callable[[float], list[float]]:
        """The outputs as functions of the input j alone; nan where there are none."""

        def outputs_at(x: float) -> list[float]:
            if x not in taken:
                try:
                    outputs = self.call([*self.point[:j], x, *self.point[j + 1 :]])
                except (ArithmeticError, ValueError):
                    outputs = []
                taken[x] = [*map(_data, outputs)] if len(outputs) == size else [math.nan] * size
            return taken[x]

        return outputs_at


def _flat(f: Callable[..., Any], args: tuple[Any, ...]) -> _Function:
    """f as a function of the list of the numbers in its arguments."""
    scalars, rebuild = flatten(args, "args")
    point, inputs = [*map(_data, scalars)], places(args, "args")

    def call(xs: list[Any]) -> list[Any]:
        leaves = [x if isinstance(x, Value) else Value(x) for x in xs]
        return flatten(f(*rebuild(leaves)), "output")[0]

    result = f(*rebuild(_leaves(point, inputs)))
    first, second = ([*map(_data, roots)] for roots in (flatten(result, "output")[0], call(point)))
    if repr(first) != repr(second):
        raise GradcheckError(
            f"f is not deterministic: called twice at args it gave {first} and {second}; switch "
            "off what is random in it, or seed it inside"
        )
    return _Function(call, point, inputs, places(result, "output"))


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
class _Finding:
    """What is to be said of a derivative: that it is wrong, or why that cannot be told."""

    text: str
    wrong: bool


@dataclass(frozen=True, slots=True)
class _Partial:
    """One derivative by the engine, and the finite differences to compare it with.

    Attributes:
        name: how it is written.
        root: the output as it was recorded, and leaf the input.
        engine: the derivative by the engine, and engine_at what it is for another input.
        differences: the output as a function of the input.
        taken: the inputs where the output is known by now.
    """

    name: str
    root: Any
    leaf: Value
    engine: float
    engine_at: Callable[[float], float]
    differences: "_Differences"
    taken: Iterable[float]

    def finding(self, tolerance: _Tolerance) -> _Finding | None:
        """How the finite differences contradict the engine, or fail to tell; None if it agrees."""
        if self._agrees_across(tolerance):
            return None
        sides = self.differences.sides()
        if not sides:
            return self._doubt("its function is not finite on either side")
        low, high = min(side.low for side in sides), max(side.high for side in sides)
        allowed = tolerance(self.engine, low, high)
        if not low - allowed <= self.engine <= high + allowed:
            found = f"{min(sides, key=_width)}"
            if _gap(sides) > 0.0:
                found = f"{sides[0]} on the left and {sides[1]} on the right"
            return self._wrong(found)
        if beyond := self._beyond_the_graph(tolerance):
            return self._wrong(f"{beyond}")
        error = max((0.5 * side.width for side in sides if math.isfinite(side.width)), default=0.0)
        if error > self._telling(tolerance):
            return self._doubt(f"the differences settle to ±{error:.1g} only")
        return None

    def is_smooth(self, tolerance: _Tolerance) -> bool:
        """Whether the slopes on both sides are finite and the same."""
        sides = self.differences.sides()
        finite = all(math.isfinite(side.width) for side in sides)
        return len(sides) == 2 and finite and _gap(sides) <= tolerance(self.engine)

    def is_its_graph(self) -> bool:
        """Whether the graph alone, computed again, gives the same as the function.

        The widest steps taken are enough: what happens outside the graph shows there.
        """
        function, recomputed = self.differences.function, _recomputer(self.root, self.leaf)
        widest = islice((x for x in [*self.taken] if math.isfinite(function(x))), 8)
        return all(function(x) == recomputed(x) for x in widest)

    def _wrong(self, found: str) -> _Finding:
        text = f"{self.name} is {self.engine!r} in the engine, {found} by finite differences"
        return _Finding(text, wrong=True)

    def _doubt(self, reason: str) -> _Finding:
        return _Finding(f"{self.name} cannot be checked: {reason}", wrong=False)

    def _telling(self, tolerance: _Tolerance) -> float:
        """The error up to which differences tell the engine's derivative from a wrong one.

        It is a hundredth of the derivative; or next to nothing: a thousandth of the function's
        own size, in units of x, or hardly more than what rounding does over the widest step.
        """
        differences = self.differences
        widest = next(_steps(differences.x))
        around = [differences.function(differences.x + h) for h in (-widest, 0.0, widest)]
        size = max((abs(y) for y in around if math.isfinite(y)), default=0.0) / widest
        rounding = differences.noise / widest
        return max(
            *(0.01 * abs(self.engine), 1e-3 * size, 1e3 * rounding),
            *(tolerance(self.engine), sys.float_info.min),
        )

    def _agrees_across(self, tolerance: _Tolerance) -> bool:
        """Whether differences across the point settle on the derivative, at whatever step.

        They do where their error is within the tolerance; or where it is all rounding, so that
        smaller steps can but make it worse, and none over larger steps contradicts the derivative.
        If larger steps do, it may be flat but between the stairs of something outside the graph.
        """
        agreed = True
        for estimate in self.differences.central():
            off, allowed = abs(estimate.value - self.engine), tolerance(estimate.value)
            if off <= allowed and estimate.error <= allowed:
                return agreed or not self._beyond_the_graph(tolerance)
            agreed = agreed and off <= estimate.error
            settled = estimate.change <= estimate.rounding
            if agreed and settled and estimate.error <= self._telling(tolerance):
                return self._holds_closer()
        return False

    def _holds_closer(self) -> bool:
        """Whether the secants over some much smaller steps are the derivative, but for rounding.

        A function may be flat to the left and right of a narrow bump at x.
        """
        closer = map(self.differences.secant, islice(_steps(self.differences.x), 10, 50, 10))
        return all(abs(secant.value - self.engine) <= secant.rounding for secant in closer)

    def _beyond_the_graph(self, tolerance: _Tolerance) -> "_Estimate | None":
        """A slope that the function has over some step, and that the engine has nowhere around.

        A mean slope is the slope at some point between (the mean value theorem), also of a
        function in pieces, each of its own graph. It is not of one that changes in small steps
        outside the graph, as a solver does that stops early: it is flat, and yet rises.
        """
        if self.is_its_graph():
            return None
        steps = [*_steps(self.differences.x)]
        secants = [*map(self.differences.secant, steps)]
        slopes, found = [self.engine], list[_Estimate]()
        for i in reversed(range(len(steps))):
            slopes += filter(math.isfinite, map(self.engine_at, self.differences.beside(steps[i])))
            window = secants[max(i - _HIGHEST, 0) : i + 1]
            for estimate in [*_extrapolate(window, 4.0)][-1:]:
                if all(slope.is_beyond(slopes, tolerance) for slope in (secants[i], estimate)):
                    found.append(estimate)
        return min(found, key=_error, default=None)


def _recomputer(root: Any, leaf: Value) -> Callable[[float], float]:
    """The graph of root as a function of the leaf."""
    operations = graph.operations(root) if isinstance(root, Value) else []

    def recomputed(x: float) -> float:
        found = {leaf: x}
        for node in operations:
            operands = (found.get(y, y._data) if isinstance(y, Value) else y for y in node.operands)
            found[node] = node._op.function(*operands)
        return found.get(root, _data(root))

    return recomputed


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
        return str(_Estimate(self.low + 0.5 * self.width, rounding=0.5 * self.width))


_width = attrgetter("width")


def _gap(sides: list[_Slope]) -> float:
    """By how much the slopes on the left and on the right surely differ, if it is positive."""
    return max(side.low for side in sides) - min(side.high for side in sides)


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

    def is_beyond(self, slopes: list[float], tolerance: _Tolerance) -> bool:
        """Whether it is surely more than all the slopes, or less."""
        allowed = tolerance(self.value) + self.error
        return self.value - allowed > max(slopes) or self.value + allowed < min(slopes)

    def __str__(self) -> str:
        return f"{self.value!r} ± {self.error:.1g}"


_error = attrgetter("error")


@dataclass(frozen=True, slots=True)
class _Differences:
    """A function of one number near x; noise bounds the rounding error of its values."""

    function: Callable[[float], float]
    x: float
    noise: float

    def central(self) -> Iterator[_Estimate]:
        """The slope by differences across x, over smaller and smaller steps."""
        return _extrapolate(map(self.secant, _steps(self.x)), 4.0)

    def secant(self, h: float) -> _Estimate:
        """The difference quotient from a step h below x to a step above."""
        return self._across(self.x - h, self.x + h)

    def beside(self, h: float) -> list[float]:
        """The points a step away from x where the function is finite."""
        return [x for x in (self.x - h, self.x + h) if math.isfinite(self.function(x))]

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
    """Steps from about |x|, and at least 1, down to an ulp of x, each half of the last."""
    step = 2.0 ** (math.frexp(max(abs(x), 1.0))[1] - 1)
    neighbour = min(abs(x) + 2.0 * math.ulp(x), sys.float_info.max)  # it may have a larger ulp
    smallest = math.ulp(neighbour) if x else 2.0**-120
    while step >= smallest:
        yield step
        step *= 0.5


_LOWEST, _HIGHEST = 3, 6
"""How often a quotient is extrapolated: fewer agree by chance, more would but amplify rounding."""


def _extrapolate(quotients: Iterable[_Estimate], base: float) -> Iterator[_Estimate]:
    """The limits of difference quotients over halved steps, as the tableau of Richardson grows.

    Halving the step divides the leading error by base. The error estimates are those of
    C. J. F. Ridders, Accurate computation of F'(x) and F'(x)F''(x), 1982.
    """
    above: list[float] = []
    for quotient in quotients:
        row = [quotient.value]
        for order, older in enumerate(above[:_HIGHEST], start=1):
            row.append(row[-1] + (row[-1] - older) / (base**order - 1.0))
        estimates = [
            _Estimate(row[order], change, quotient.rounding)
            for order in range(_LOWEST, len(row))
            if math.isfinite(
                change := max(abs(row[order] - row[order - 1]), abs(row[order] - above[order - 1]))
            )
        ]
        if estimates:
            yield min(estimates, key=_error)
        above = row


def _best(estimates: list[_Estimate]) -> "_Estimate | None":
    """The most certain estimate that those of smaller steps do not contradict.

    Larger steps are of no use where they would cross a kink, or where the function changes too
    fast for them: where extrapolating changes the slope a thousand times more than rounding can,
    or where the error, that shrinks as rounding does, has grown sixteenfold again.
    """
    low, high, agreeing = -math.inf, math.inf, list[_Estimate]()
    for estimate in reversed(estimates):
        low = max(low, estimate.value - estimate.error)
        high = min(high, estimate.value + estimate.error)
        if low > high or (agreeing and estimate.error > 16.0 * min(map(_error, agreeing))):
            break
        agreeing.append(estimate)
        if estimate.change > 1000.0 * estimate.rounding:
            break
    return min(agreeing, key=_error, default=None)


def _is_growing(quotients: list[_Estimate]) -> bool:
    """Whether the quotients over the smallest steps, the first ones, grow to an infinite slope.

    They do so without settling over 16 halvings of the step, as 1/√h and log h do. Each halving
    makes log h grow by as much as the last, and a power of h that settles, h**p, by 2**-p of
    that, which is less than 0.97 for p > 0.05. Quotients beyond all floats, whose differences are
    nan, do not settle.
    """
    sign = math.copysign(1.0, quotients[0].value)
    growth = [sign * (a.value - b.value) for a, b in pairwise(quotients[:16])]
    settles = any(a < 0.97 * b or b <= 0.0 for a, b in pairwise(growth))
    return len(growth) == 15 and not settles
