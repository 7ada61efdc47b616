"""`Predicate`: a comparison of traced Values, a condition for `where` and the number 0.0 or 1.0."""

import operator
from collections.abc import Callable
from typing import Any

from autograd import modes
from autograd.errors import TraceError
from autograd.value import Value


def plain(x: Any) -> Any:
    """The Value of a comparison or of a number made of comparisons; anything else as it is."""
    return x.value() if isinstance(x, Whole) else x


def _arithmetic(name: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """An operator and its reflection. Of whole numbers + - * make whole numbers, as of bools."""
    compute = getattr(operator, name)

    def apply(x: Any, y: Any) -> Any:
        z = compute(plain(x), plain(y))
        if name in ("add", "sub", "mul") and all(isinstance(n, Whole | int) for n in (x, y)):
            # 0 × -1 is 0, but 0.0 × -1.0 is -0.0
            return Whole(modes.thread.trace, z + 0.0 if name == "mul" else z)
        return z

    def reflected(x: Any, y: Any) -> Any:
        return apply(y, x)

    return apply, reflected


def _comparison(name: str) -> Callable[["Whole", object], Any]:
    compare = getattr(operator, name)
    return lambda self, other: compare(self.value(), plain(other))


class Whole:
    """A whole number made of comparisons of traced Values, as bools make ints.

    Args:
        trace: the running trace, outside of which it has no meaning.
        value: the number in it.
    """

    __slots__ = ("_trace", "_value")

    def __init__(self, trace: Any, value: Value) -> None:
        self._trace = trace
        self._value = value

    def value(self) -> Value:
        """The number as a Value.

        Raises:
            TraceError: if the function that made it is not being traced any more.
        """
        if modes.thread.trace is not self._trace:
            raise TraceError(
                f"{self!r} was used at {modes.calling_line()}: it belongs to another call of a "
                "compiled function, which is over; compare again where the condition is needed"
            )
        return self._value

    def known(self, use: str) -> float:
        """The number, where it depends on nothing that another call may change."""
        value = self.value()
        self._trace.refuse(value, use, "a comparison")
        return value._data

    __add__, __radd__ = _arithmetic("add")
    __sub__, __rsub__ = _arithmetic("sub")
    __mul__, __rmul__ = _arithmetic("mul")
    __truediv__, __rtruediv__ = _arithmetic("truediv")
    __pow__, __rpow__ = _arithmetic("pow")
    __eq__, __ne__ = _comparison("eq"), _comparison("ne")
    __lt__, __le__ = _comparison("lt"), _comparison("le")
    __gt__, __ge__ = _comparison("gt"), _comparison("ge")

    def __neg__(self) -> Any:
        return 0 - self

    def __abs__(self) -> "Whole":
        return Whole(self._trace, abs(self.value()))

    def __pos__(self) -> "Whole":
        return Whole(self._trace, self.value())

    __floor__ = __ceil__ = __trunc__ = __round__ = __pos__

    def __bool__(self) -> bool:
        return bool(self.known("bool"))

    def __float__(self) -> float:
        return self.known("float")

    def __int__(self) -> int:
        return int(self.known("int"))

    def __index__(self) -> int:
        return int(self.known("index"))

    def __hash__(self) -> int:
        return hash(self.known("hash"))

    def __repr__(self) -> str:
        return "<a number made of comparisons while autograd.compile traces a function>"


class Predicate(Whole):
    """A comparison of traced Values; `& | ^ ~` combine them."""

    __slots__ = ()

    def __and__(self, other: object) -> Any:
        return self._joined(self._trace.both, other)

    def __or__(self, other: object) -> Any:
        return self._joined(self._trace.either, other)

    def __xor__(self, other: object) -> Any:
        return self != other if isinstance(other, Predicate | bool) else NotImplemented

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def _joined(self, join: Callable[[Value, Any], Value], other: Any) -> Any:
        if not isinstance(other, Predicate | bool):
            return NotImplemented
        flag = float(other) if isinstance(other, bool) else other.value()
        return Predicate(self._trace, join(self.value(), flag))

    def __invert__(self) -> "Predicate":
        return Predicate(self._trace, self._trace.negation(self.value()))

    def __repr__(self) -> str:
        return "<a comparison, made while autograd.compile traces a function>"
