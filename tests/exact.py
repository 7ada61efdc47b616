"""The rows of the table over mpmath's numbers, by definitions that owe nothing to the table."""

import math
from collections.abc import Callable, Sequence
from itertools import combinations_with_replacement
from typing import Any

from mpmath import mp

EXACT: dict[str, Callable[..., Any]] = {
    "pos": lambda x: x,
    "neg": lambda x: -x,
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "pow": mp.power,
    "square": lambda x: x**2,
    "reciprocal": lambda x: 1 / x,
    "abs": mp.fabs,
    "sign": mp.sign,
    "step": lambda x: mp.mpf(x > 0),
    "less": lambda x, y: mp.mpf(x < y),
    "equal": lambda x, y: mp.mpf(x == y),
    "maximum": max,
    "minimum": min,
    "exp": mp.exp,
    "expm1": mp.expm1,
    "log": mp.log,
    "log1p": mp.log1p,
    "log2": lambda x: mp.log(x) / mp.ln2,
    "log10": mp.log10,
    "sqrt": mp.sqrt,
    "cbrt": lambda x: mp.sign(x) * mp.cbrt(mp.fabs(x)),
    "sin": mp.sin,
    "cos": mp.cos,
    "tan": mp.tan,
    "asin": mp.asin,
    "acos": mp.acos,
    "atan": mp.atan,
    "atan2": mp.atan2,
    "sinh": mp.sinh,
    "cosh": mp.cosh,
    "tanh": mp.tanh,
    "asinh": mp.asinh,
    "acosh": mp.acosh,
    "atanh": mp.atanh,
    "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
    "log_sigmoid": lambda x: -mp.log1p(mp.exp(-x)),
    "softplus": lambda x: mp.log1p(mp.exp(x)),
    "relu": lambda x: x if x > 0 else mp.zero,
    "leaky_relu": lambda x, slope: x if x > 0 else slope * x,
    "elu": lambda x, alpha: x if x > 0 else alpha * mp.expm1(x),
    "gelu": lambda x: x * mp.ncdf(x),
    "silu": lambda x: x / (1 + mp.exp(-x)),
    "erf": mp.erf,
    "erfc": mp.erfc,
    "hypot": mp.hypot,
    "floor": mp.floor,
    "ceil": mp.ceil,
    "round": mp.nint,
}


def exact_partials(
    function: Callable[..., Any], point: Sequence[float]
) -> tuple[list[Any], dict[tuple[int, int], Any]]:
    """The first partial derivatives, and the second ones by their two places i ≤ j.

    They are central differences whose step and working precision follow from `mp.dps`, so that
    about that many digits are right.
    """
    places = range(len(point))

    def partial(*wrt: int) -> Any:
        return mp.diff(function, point, [wrt.count(place) for place in places])

    first = [partial(place) for place in places]
    return first, {pair: partial(*pair) for pair in combinations_with_replacement(places, 2)}


def ulps(actual: float, exact: Any, operands: Sequence[float]) -> float:
    """The absolute error in units of the last place of the largest of 1, operands and result."""
    largest = max(1.0, abs(float(exact)), *map(abs, operands))
    return float(abs(mp.mpf(actual) - exact)) / math.ulp(largest)
