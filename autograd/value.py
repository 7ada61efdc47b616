"""`Value`: a number that remembers how it was computed."""

import math
import numbers
import operator
from collections.abc import Callable
from itertools import count
from typing import Any, NoReturn, cast

from autograd import modes
from autograd.environment import accelerated
from autograd.errors import AnomalyError
from autograd.ops import TABLE, Op

Number = float | numbers.Real

_tick = count(1).__next__
"""The clock: every recording and every write of a leaf takes the next integer."""


def is_real(x: object) -> bool:
    """Whether x is a real number; NumPy's bool is one, though it is not registered as such."""
    return isinstance(x, (float, int, numbers.Real)) or type(x).__name__ in ("bool", "bool_")


def number(x: object, name: str) -> float:
    """The float nearest to a real number; an integer beyond all floats is ±inf.

    Raises:
        TypeError: naming the argument, if x is no real number.
    """
    if type(x) is float:
        return x
    if not is_real(x):
        received = "another Value" if isinstance(x, Value) else f"the {type(x).__name__} {x!r}"
        raise TypeError(
            f"{name} must be a real number (int, float or NumPy scalar), received {received}"
        )
    real = cast(Any, x)
    try:
        return float(real)
    except OverflowError:
        return math.inf if real > 0 else -math.inf


def describe(value: "Value | float") -> str:
    """An operand in words, for errors: its op, its label and its value."""
    if not isinstance(value, Value):
        return f"the number {value!r}"
    kind = value.op.name if value.op else "leaf"
    label = "" if value.label is None else f" {value.label!r}"
    return f"{kind}{label} = {value._data!r}"


def _constant(other: object) -> Any:
    """The float of a number operand; NotImplemented for what is no number."""
    if type(other) is float:
        return other
    return number(other, "operand") if is_real(other) else NotImplemented


# Recording.


@accelerated
def record(op: Op, data: float, x: Any, y: Any) -> "Value":
    """The node that applies op to the operands x and y, each a Value or a float.

    y is 0.0 where op takes one operand.
    """
    node = _new(Value)
    node._data = data
    node._grad = 0.0
    node._op = op
    node._x = x
    node._y = y
    node._label = None
    node._stamp = _tick()
    node._requires_grad = (type(x) is not float and x._requires_grad) or (
        type(y) is not float and y._requires_grad
    )
    return _under_modes(node) if modes.active else node


def _under_modes(node: "Value") -> "Value":
    if modes.thread.anomaly:
        line = modes.thread.anomaly.remember(node._stamp)
        if not math.isfinite(node._data):
            operands = ", ".join(map(describe, node.operands))
            raise AnomalyError(f"{describe(node)}, computed from ({operands}) at {line}")
    if not modes.thread.recording:
        if not modes.thread.trace:
            node._op = None
            node._x = node._y = 0.0
        node._requires_grad = False
    return node


def _refuse_traced(value: "Value", use: str) -> None:
    """Raise TraceError where a function is being traced and its program could not use it so."""
    if modes.tracing and modes.thread.trace:
        modes.thread.trace.refuse(value, use)


def _unary(name: str) -> "Callable[[Value], Value]":
    op = TABLE[name]
    function = op.function

    def method(self: "Value") -> "Value":
        return record(op, function(self._data), self, 0.0)

    method.__name__ = name
    method.__doc__ = f"{name}(self): {op.meaning}."
    return method


def _binary(name: str) -> "tuple[Callable[[Value, Any], Value], Callable[[Value, Any], Value]]":
    op = TABLE[name]
    function = op.function

    def forward(self: "Value", other: Any) -> "Value":
        if type(other) is Value:  # what record does, without the cost of calling it
            node = _new(Value)
            node._data = function(self._data, other._data)
            node._grad = 0.0
            node._op = op
            node._x = self
            node._y = other
            node._label = None
            node._stamp = _tick()
            node._requires_grad = self._requires_grad or other._requires_grad
            return _under_modes(node) if modes.active else node
        if isinstance(other, Value):
            return record(op, function(self._data, other._data), self, other)
        if (y := _constant(other)) is NotImplemented:
            return NotImplemented
        return record(op, function(self._data, y), self, y)

    def reflected(self: "Value", other: Any) -> "Value":
        if isinstance(other, Value):
            return forward(other, self)
        if (x := _constant(other)) is NotImplemented:
            return NotImplemented
        return record(op, function(x, self._data), x, self)

    forward.__name__ = reflected.__name__ = name
    forward.__doc__ = reflected.__doc__ = f"{name}: {op.meaning}."
    return forward, reflected


def _comparison(name: str) -> "Callable[[Value, object], Any]":
    compare = getattr(operator, name)

    def method(self: "Value", other: object) -> Any:
        y = other._data if isinstance(other, Value) else _constant(other)
        if y is NotImplemented:
            return NotImplemented
        if modes.tracing and modes.thread.trace:
            return modes.thread.trace.compare(name, self, other if isinstance(other, Value) else y)
        return compare(self._data, y)

    return method


@accelerated
class Value:
    """A real number in a computational graph.

    A leaf is made from a number; arithmetic on Values records new ones, each with the operation
    and the operands it came from. `backward()` then gives every leaf its gradient.

    Args:
        data: the number (int, float or NumPy scalar).
        label: a name for drawings, explanations and errors.
        requires_grad: whether `backward` gives this leaf a gradient.

    Raises:
        TypeError: if data is no real number, or label is neither a str nor None.
    """

    __slots__ = ("_data", "_grad", "_label", "_op", "_requires_grad", "_stamp", "_x", "_y")

    _data: float
    _grad: float
    _label: str | None
    _op: Any  # Op | None
    _requires_grad: bool
    _stamp: int
    _x: Any  # Value | float, which no checker narrows by the `type(x) is float` of the hot paths
    _y: Any

    def __init__(self, data: Number, label: str | None = None, requires_grad: bool = True) -> None:
        self._data = number(data, "data")
        self._grad = 0.0
        self._op = None
        self._x = self._y = 0.0
        self.label = label
        self._requires_grad = bool(requires_grad)
        self._stamp = _tick()

    # What a node holds.

    @property
    def data(self) -> float:
        """The number. Only a leaf's can be written; graphs recorded from it are then stale."""
        _refuse_traced(self, "data")
        return self._data

    @data.setter
    def data(self, data: Number) -> None:
        if self._op is not None:
            raise AttributeError(
                f"data of {describe(self)} cannot be written: it was computed; "
                "write the data of a leaf and compute again"
            )
        _refuse_traced(self, "write")
        self._data = number(data, "data")
        self._stamp = _tick()

    @property
    def grad(self) -> float:
        """The gradient: accumulated over backward calls on a leaf, of the last one elsewhere."""
        _refuse_traced(self, "grad")
        return self._grad

    @grad.setter
    def grad(self, grad: Number) -> None:
        if modes.tracing:
            _refuse_traced(self, "write")
        self._grad = grad if type(grad) is float else number(grad, "grad")

    @property
    def label(self) -> str | None:
        """The name shown in drawings, explanations and errors."""
        return self._label

    @label.setter
    def label(self, label: str | None) -> None:
        if not isinstance(label, str | None):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"label must be a str or None, received {label!r}")
        self._label = label

    @property
    def requires_grad(self) -> bool:
        """Whether gradients reach this node. Only a leaf's can be written."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, requires_grad: bool) -> None:
        if self._op is not None:
            raise AttributeError(
                f"requires_grad of {describe(self)} follows from its operands; "
                "write that of a leaf, or use detach()"
            )
        if modes.tracing:
            _refuse_traced(self, "write")
        self._requires_grad = bool(requires_grad)

    @property
    def op(self) -> Op | None:
        """The row of the table that computed this node; None for a leaf."""
        return self._op

    @property
    def operands(self) -> "tuple[Value | float, ...]":
        """What it was computed from, left to right; a number is no node and stands as it is."""
        return (self._x, self._y)[: self._op.arity] if self._op else ()

    def item(self) -> float:
        """The number, outside the graph."""
        _refuse_traced(self, "item")
        return self._data

    def detach(self) -> "Value":
        """A new leaf with the same number, through which no gradient flows."""
        if modes.tracing and modes.thread.trace:
            node = self.pos()
            node._requires_grad = False
            node._label = self._label
            return node
        return Value(self._data, self._label, requires_grad=False)

    # Gradients.

    def backward(self, upstream: Number = 1.0) -> None:
        """Add upstream × ∂self/∂leaf to the `.grad` of every leaf; set it on the nodes between.

        Raises:
            StaleGraphError: if a leaf was written after it was used.
            AutogradError: if self requires no gradient.
        """
        from autograd.backward import backward  # the sweep is built on Value

        _refuse_traced(self, "backward")
        backward(self, number(upstream, "upstream"))

    def gradient(self, wrt: Any, create_graph: bool = False) -> Any:
        """∂self/∂wrt, without touching any `.grad`.

        Args:
            wrt: a Value, or a nested list, tuple, dict or array of Values.
            create_graph: record the derivatives too, so that they can be differentiated.

        Returns:
            In the structure of wrt: floats, or Values with create_graph. A Value on which self
            does not depend gets 0.0.
        """
        from autograd.backward import gradient

        return gradient(self, wrt, create_graph)

    # Arithmetic. Each line names its row in the table.

    __add__, __radd__ = _binary("add")
    __sub__, __rsub__ = _binary("sub")
    __mul__, __rmul__ = _binary("mul")
    __truediv__, __rtruediv__ = _binary("div")
    _power, __rpow__ = _binary("pow")
    __pos__ = pos = _unary("pos")
    __neg__ = neg = _unary("neg")
    __abs__ = abs = _unary("abs")
    __floor__ = floor = _unary("floor")
    __ceil__ = ceil = _unary("ceil")
    round = _unary("round")

    def __pow__(self, other: Any) -> "Value":
        exponent = other if isinstance(other, Value) else _constant(other)
        is_two = type(exponent) is float and exponent == 2.0
        return self.square() if is_two else self._power(exponent)

    def __round__(self, digits: None = None) -> "Value":
        if digits is not None:
            raise TypeError(f"round(v, {digits!r}): a Value is rounded to whole numbers only")
        return self.round()

    # Functions.

    square = _unary("square")
    reciprocal = _unary("reciprocal")
    sign = _unary("sign")
    step = _unary("step")
    exp = _unary("exp")
    expm1 = _unary("expm1")
    log = _unary("log")
    log1p = _unary("log1p")
    log2 = _unary("log2")
    log10 = _unary("log10")
    sqrt = _unary("sqrt")
    cbrt = _unary("cbrt")
    sin = _unary("sin")
    cos = _unary("cos")
    tan = _unary("tan")
    asin = _unary("asin")
    acos = _unary("acos")
    atan = _unary("atan")
    sinh = _unary("sinh")
    cosh = _unary("cosh")
    tanh = _unary("tanh")
    asinh = _unary("asinh")
    acosh = _unary("acosh")
    atanh = _unary("atanh")
    sigmoid = _unary("sigmoid")
    log_sigmoid = _unary("log_sigmoid")
    softplus = _unary("softplus")
    relu = _unary("relu")
    gelu = _unary("gelu")
    silu = _unary("silu")
    erf = _unary("erf")
    erfc = _unary("erfc")

    # NumPy's names, which its functions look up in arrays of Values.

    arcsin, arccos, arctan = asin, acos, atan
    arcsinh, arccosh, arctanh = asinh, acosh, atanh
    rint = round
    arctan2, _ = _binary("atan2")
    hypot, _ = _binary("hypot")

    # Comparisons of the numbers; the hash is that of the node.

    __eq__ = cast(Any, _comparison("eq"))
    __ne__ = cast(Any, _comparison("ne"))
    __lt__ = _comparison("lt")
    __le__ = _comparison("le")
    __gt__ = _comparison("gt")
    __ge__ = _comparison("ge")
    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        _refuse_traced(self, "bool")
        return self._data != 0.0

    def __float__(self) -> NoReturn:
        _refuse_traced(self, "float")
        raise TypeError(
            "float(v) and the functions of math would drop the gradient of a Value: "
            "use v.exp() and the like to stay in the graph, v.item() to leave it"
        )

    def __int__(self) -> NoReturn:
        _refuse_traced(self, "int")
        raise TypeError("int(v) would drop the gradient of a Value: use int(v.item()) to leave it")

    def __index__(self) -> NoReturn:
        _refuse_traced(self, "index")
        raise TypeError("a Value is no index: use int(v.item())")

    # Text and copies.

    def __repr__(self) -> str:
        label = "" if self._label is None else f", label={self._label!r}"
        return f"{type(self).__name__}(data={self._data!r}, grad={self._grad!r}{label})"

    def __format__(self, spec: str) -> str:
        _refuse_traced(self, "format")
        return format(self._data, spec)

    def __copy__(self) -> "Value":
        from autograd.persistence import shallow_copy

        _refuse_traced(self, "copy")
        return shallow_copy(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Value":
        from autograd.persistence import deep_copy

        _refuse_traced(self, "copy")
        return deep_copy(self, memo)

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        from autograd.persistence import reduce

        _refuse_traced(self, "copy")
        return reduce(self)


_new = cast(Callable[[type[Value]], Value], object.__new__)


def values(**data: Number) -> list[Value]:
    """Labelled leaves, in the order given: `x, y = values(x=-2, y=5)`."""
    return [Value(number(x, label), label) for label, x in data.items()]
