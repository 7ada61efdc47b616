"""Functions of Values and floats: one for each row of the table, and those built from them."""

import math
from collections.abc import Callable
from typing import Any

from autograd import modes
from autograd.environment import accelerated
from autograd.ops import TABLE, Op
from autograd.predicate import Whole, plain
from autograd.structure import array, flatten, is_array, is_scalar, map_scalars, places
from autograd.value import Value, is_real, number, record

Elementwise = Callable[[Any], Any]
Pairwise = Callable[[Any, Any], Any]


def _document(function: Any, op: Op, signature: str) -> None:
    local = ", ".join(f"∂/∂{name}: {text}" for name, text in zip("xy", op.local, strict=False))
    function.__name__ = function.__qualname__ = op.name
    function.__doc__ = f"""{op.name}{signature}: {op.meaning}.

    Value `{op.value}`; local derivatives {local} (z is the result). Of Values it gives a Value,
    of floats a float, of a list, tuple, dict or array the same structure, elementwise.
    """


def _unary(name: str) -> Elementwise:
    op = TABLE[name]

    def function(x: Any) -> Any:
        if isinstance(x, Value):
            return record(op, op.function(x._data), x, 0.0)
        if type(x) is float:
            return op.function(x)
        if is_scalar(x):
            return op.function(number(x, f"the operand of {name}"))
        return map_scalars(function, x, f"the operand of {name}")

    _document(function, op, "(x)")
    return accelerated(function)


def _binary(name: str) -> Pairwise:
    op = TABLE[name]

    def function(x: Any, y: Any) -> Any:
        if not (is_scalar(x) and is_scalar(y)):
            return _elementwise(function, x, y)
        a = x._data if isinstance(x, Value) else number(x, f"the left operand of {name}")
        b = y._data if isinstance(y, Value) else number(y, f"the right operand of {name}")
        z = op.function(a, b)
        if not (isinstance(x, Value) or isinstance(y, Value)):
            return z
        return record(op, z, x if isinstance(x, Value) else a, y if isinstance(y, Value) else b)

    _document(function, op, "(x, y)")
    return accelerated(function)


def _elementwise(function: Pairwise, x: Any, y: Any) -> Any:
    """The function over the pairs of two like structures, or of a structure and a scalar."""
    if is_array(x) or is_array(y):
        return _broadcast(function, x, y)
    x, y = plain(x), plain(y)
    left, rebuild = flatten(x, f"the left operand of {function.__name__}")
    right, rebuild_right = flatten(y, f"the right operand of {function.__name__}")
    if is_scalar(x):
        left, rebuild = left * len(right), rebuild_right
    elif is_scalar(y):
        right = right * len(left)
    elif places(x, "") != places(y, ""):
        raise ValueError(
            f"{function.__name__} needs operands of one structure, received {x!r} and {y!r}"
        )
    return rebuild([function(a, b) for a, b in zip(left, right, strict=True)])


def _broadcast(function: Pairwise, x: Any, y: Any) -> Any:
    import numpy

    result = numpy.asarray(numpy.frompyfunc(function, 2, 1)(x, y))
    return array(result.ravel().tolist(), result.shape)


# One line a row.

pos = _unary("pos")
neg = _unary("neg")
square = _unary("square")
reciprocal = _unary("reciprocal")
abs = _unary("abs")
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
floor = _unary("floor")
ceil = _unary("ceil")
round = _unary("round")
add = _binary("add")
sub = _binary("sub")
mul = _binary("mul")
div = _binary("div")
pow = _binary("pow")
less = _binary("less")
equal = _binary("equal")
maximum = _binary("maximum")
minimum = _binary("minimum")
atan2 = _binary("atan2")
leaky_relu = _binary("leaky_relu")
elu = _binary("elu")
hypot = _binary("hypot")

# Built from the rows.


def where(condition: object, a: Any, b: Any) -> Any:
    """a where the condition is true, else b: the operand itself, so its gradient is 1.

    Raises:
        TypeError: if the condition is no bool, number or Value, or a or b no number or Value.
        ValueError: if it is -1 or -2: what Python's ~ makes of a bool, both of which are true.
    """
    if condition is None or is_array(condition) or not hasattr(condition, "__bool__"):
        raise TypeError(
            "condition must be a bool, a number or a Value, "
            f"received the {type(condition).__name__} {condition!r}"
        )
    if type(condition) is int and condition in (-1, -2):
        raise ValueError(
            f"condition is {condition}, as ~ gives of the bool {condition == -2}, and so always "
            "true: use not, or condition == 0, which is right in a compiled function too"
        )
    a, b = _scalar(a, "a"), _scalar(b, "b")
    if modes.tracing and modes.thread.trace and not is_real(condition):
        return modes.thread.trace.select(condition, a, b)
    return a if condition else b


@accelerated
def sum(xs: Any) -> Any:
    """The sum of every scalar of a nested structure, from left to right; 0.0 of nothing."""
    scalars = _scalars(xs, "xs")
    total = scalars[0] if scalars else 0.0
    for x in scalars[1:]:
        total = total + x
    return total


def mean(xs: Any) -> Any:
    """The sum of every scalar of a nested structure, divided by their number."""
    scalars = _nonempty(xs, "mean")
    return div(sum(scalars), len(scalars))


@accelerated
def dot(a: Any, b: Any, bias: Any = None) -> Any:
    """a₀·b₀ + a₁·b₁ + …, from left to right, and + bias at the end where one is given.

    Raises:
        ValueError: if a and b differ in length.
    """
    left, right = _scalars(a, "a"), _scalars(b, "b")
    if len(left) != len(right):
        raise ValueError(f"dot needs as many a as b, received {len(left)} and {len(right)}")
    total = sum([mul(x, y) for x, y in zip(left, right, strict=True)])
    return total if bias is None else add(total, bias)


def norm(xs: Any) -> Any:
    """The Euclidean length √(x₀² + x₁² + …), of scalars whose squares do not overflow.

    Its derivative at the zero vector is nan.
    """
    return sqrt(sum([square(x) for x in _scalars(xs, "xs")]))


def maxout(*xs: Any) -> Any:
    """The largest scalar of the arguments; the gradient goes to the winner, halved at each tie.

    Goodfellow et al., Maxout Networks (2013).
    """
    first, *others = _nonempty(xs[0] if len(xs) == 1 else xs, "maxout")
    for x in others:
        first = maximum(first, x)
    return first


def logsumexp(xs: Any) -> Any:
    """log(exp(x₀) + exp(x₁) + …), without overflow."""
    scalars = _nonempty(xs, "logsumexp")
    shift = _shift(scalars)
    return add(shift, log(sum([exp(sub(x, shift)) for x in scalars])))


def softmax(xs: Any) -> Any:
    """exp(xᵢ) / (exp(x₀) + exp(x₁) + …) in the structure of xs, without overflow."""
    xs = _listed(xs)
    scalars = _nonempty(xs, "softmax")
    shift = _shift(scalars)
    powers = [exp(sub(x, shift)) for x in scalars]
    total = sum(powers)
    return flatten(xs)[1]([div(power, total) for power in powers])


def _shift(scalars: list[Any]) -> Any:
    """The largest scalar as a constant: softmax and logsumexp do not depend on the shift."""
    if not modes.thread.trace:
        scalars = [x._data if isinstance(x, Value) else x for x in scalars]
    with modes.no_grad():
        largest = pos(maxout(scalars))
        return where(abs(largest) < math.inf, largest, 0.0)


def _scalar(x: Any, name: str) -> Any:
    if isinstance(x, Value) or type(x) is float:
        return x
    return plain(x) if isinstance(x, Whole) else number(x, name)


def _scalars(xs: Any, name: str) -> list[Any]:
    return [_scalar(x, name) for x in flatten(_listed(xs), name)[0]]


def _listed(xs: Any) -> Any:
    return [*xs] if hasattr(xs, "__next__") else xs


def _nonempty(xs: Any, name: str) -> list[Any]:
    scalars = _scalars(xs, "xs")
    if not scalars:
        raise ValueError(f"{name} needs at least one number, received none")
    return scalars
