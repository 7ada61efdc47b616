"""What arguments may be: errors that name the argument, what was received and what is allowed."""

import math
import numbers
import operator
from collections.abc import Iterable, Mapping
from typing import Any, cast

from autograd import Value

_BOUNDS = {
    "at_least": (operator.ge, "≥"),
    "above": (operator.gt, ">"),
    "at_most": (operator.le, "≤"),
    "below": (operator.lt, "<"),
}


def is_real(x: object) -> bool:
    """Whether x is a real number: an int, a float, a bool or a NumPy scalar."""
    return isinstance(x, (float, int, numbers.Real))  # the last is slow


def real(name: str, x: object, **bounds: float) -> float:
    """x as a float: a finite real number within the bounds (at_least, above, at_most, below).

    Raises:
        TypeError: if x is no real number; a bool is none.
        ValueError: if x is nan, infinite or out of bounds.
    """
    if isinstance(x, bool) or not isinstance(x, (float, numbers.Real)):  # the last is slow
        raise TypeError(f"{_allowed(name, bounds)}, received the {type(x).__name__} {x!r}")
    try:
        number = float(x)
    except OverflowError:  # an integer beyond all floats
        number = math.inf
    if not math.isfinite(number) or not all(
        _BOUNDS[bound][0](number, limit) for bound, limit in bounds.items()
    ):
        raise ValueError(f"{_allowed(name, bounds)}, received {x!r}")
    return number


def _allowed(name: str, bounds: dict[str, float]) -> str:
    wanted = " and ".join(f"{_BOUNDS[bound][1]} {limit:g}" for bound, limit in bounds.items())
    return f"{name} must be a finite number {wanted}".rstrip()


def whole(name: str, x: object, at_least: int) -> int:
    """x as an int: a whole number that is at least so large.

    Raises:
        TypeError: if x is no integer; a bool and the float 2.0 are none.
        ValueError: if x is smaller.
    """
    allowed = f"{name} must be a whole number ≥ {at_least}"
    if isinstance(x, bool) or not isinstance(x, numbers.Integral):
        raise TypeError(f"{allowed}, received the {type(x).__name__} {x!r}")
    if x < at_least:
        raise ValueError(f"{allowed}, received {x!r}")
    return int(x)


def flag(name: str, x: object) -> bool:
    """x, a bool.

    Raises:
        TypeError: if it is none.
    """
    if not isinstance(x, bool):
        raise TypeError(f"{name} must be True or False, received the {type(x).__name__} {x!r}")
    return x


def function(name: str, x: object, example: str) -> None:
    """Refuse what cannot be called, and a class: a module that is not made yet.

    Raises:
        TypeError: if it is such.
    """
    if not callable(x) or isinstance(x, type):
        raise TypeError(
            f"{name} must be a function or a module, such as {example}, "
            f"received the {type(x).__name__} {x!r}"
        )


def choice(name: str, x: str, options: Iterable[str]) -> str:
    """x, one of the options.

    Raises:
        ValueError: if it is none of them.
    """
    options = tuple(options)
    if x not in options:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, options))}, received {x!r}")
    return x


def is_list(x: object) -> bool:
    """Whether x is a list, a tuple or an array with axes: something that modules take."""
    if isinstance(x, (list, tuple)):
        return True
    return not isinstance(x, (Value, float)) and getattr(x, "ndim", 0) > 0


def listed(xs: Any, owner: object) -> Any:
    """xs, a list of inputs that the owner takes.

    Raises:
        TypeError: if it is none.
    """
    if is_list(xs):
        return xs
    raise TypeError(
        f"inputs must be a list of numbers or Values for {_line(owner)}, "
        f"received the {type(xs).__name__} {xs!r}"
    )


def vector(xs: Any, size: int, owner: object) -> Any:
    """xs, a list of so many numbers or Values: one sample that the owner takes.

    Raises:
        TypeError: if xs is no list, or a list of lists.
        ValueError: if its length is another.
    """
    if is_list(xs) and len(xs) == size and not (size and is_list(xs[0])):
        return xs
    allowed = f"inputs must be a list of {size} numbers or Values for {_line(owner)}"
    if not is_list(xs):
        raise TypeError(f"{allowed}, received the {type(xs).__name__} {xs!r}")
    if len(xs) and is_list(xs[0]):
        raise TypeError(
            f"{allowed}, received a list of lists: a module takes one sample at a time, "
            "so write [model(x) for x in samples]"
        )
    raise ValueError(f"{allowed}, received {len(xs)}")


def numbers_or_values(name: str, xs: Iterable[Any]) -> None:
    """Refuse a list that holds anything but numbers and Values.

    Raises:
        TypeError: naming the first such thing.
    """
    for i, x in enumerate(xs):
        if not isinstance(x, Value) and not is_real(x):
            raise TypeError(
                f"{name}[{i}] must be a number or a Value, received the {type(x).__name__} {x!r}"
            )


def _line(owner: object) -> str:
    """The repr of a module on one line."""
    return " ".join(repr(owner).split())


def leaves(name: str, xs: Any) -> list[Value]:
    """The Values of an iterable, in which lists may nest; each a leaf: what can be trained.

    Raises:
        TypeError: if xs is no iterable, such as a single Value, or holds anything else.
        ValueError: if it is empty, holds a Value twice or one that was computed.
    """
    if not hasattr(xs, "__iter__"):
        raise TypeError(
            f"{name} must be an iterable of Parameters, received the {type(xs).__name__} {xs!r}"
        )
    found = list[Any]()
    for part in xs:
        found += [part] if isinstance(part, Value) else _flat(part)
    for x in found:
        if not isinstance(x, Value):
            raise TypeError(f"{name} must hold Parameters, received the {type(x).__name__} {x!r}")
        if x.op is not None:
            raise ValueError(f"{name} must hold Parameters, received a result of {x.op}: {x!r}")
    if not found:
        raise ValueError(
            f"{name} must hold at least one Parameter, received none; "
            "an iterator such as model.parameters() is empty after its first use"
        )
    if len({id(x) for x in found}) < len(found):
        raise ValueError(f"{name} must hold each Parameter once, received one of them twice")
    return found


def _flat(tree: Any) -> list[Any]:
    return [x for part in tree for x in _flat(part)] if is_list(tree) else [tree]


def keys(name: str, state: object, expected: Iterable[str]) -> dict[str, Any]:
    """The state, a mapping with exactly the expected keys.

    Raises:
        TypeError: if it is no mapping.
        ValueError: naming the missing and the unknown keys.
    """
    if not isinstance(state, Mapping):
        raise TypeError(f"{name} must be a dict, received the {type(state).__name__} {state!r}")
    found = dict(cast(Mapping[str, Any], state))
    wanted = list(expected)
    missing = [key for key in wanted if key not in found]
    unknown = [key for key in found if key not in set(wanted)]
    if missing or unknown:
        raise ValueError(
            f"{name} must have exactly the keys of what it is loaded into; "
            f"missing: {_listed(missing)}; unknown: {_listed(unknown)}"
        )
    return found


def _listed(names: list[Any], most: int = 8) -> str:
    shown = ", ".join(map(repr, names[:most])) or "none"
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
