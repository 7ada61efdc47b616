"""Initialisation: writes the first numbers of Parameters, drawn from a generator passed in."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from autograd import Value
from nn import checks
from nn.generators import Generator, gauss, generator_or_new

# Numbers that do not depend on the shape. Parameters may be nested in lists, or an
# iterator such as model.parameters().


def zeros_(parameters: Any) -> None:
    """Write 0.0 everywhere; the right choice for biases.

    In weights it makes all units of a layer alike, and they stay alike.
    """
    constant_(parameters, 0.0)


def constant_(parameters: Any, value: float) -> None:
    """Write the same number everywhere."""
    number = checks.real("value", value)
    _fill(parameters, lambda: number)


def uniform_(parameters: Any, generator: Generator, low: float = 0.0, high: float = 1.0) -> None:
    """Draw from the uniform distribution between low and high."""
    low = checks.real("low", low)
    high = checks.real("high", high, at_least=low)
    draw = generator_or_new(generator).uniform
    _fill(parameters, lambda: draw(low, high))


def normal_(parameters: Any, generator: Generator, mean: float = 0.0, std: float = 1.0) -> None:
    """Draw from the normal distribution of that mean and standard deviation."""
    mean = checks.real("mean", mean)
    std = checks.real("std", std, at_least=0.0)
    generator = generator_or_new(generator)
    _fill(parameters, lambda: gauss(generator, mean, std))


# Numbers that keep the variance of signals from layer to layer. A weight is a list of rows, one an
# output, so fan_in is the length of a row and fan_out the number of rows; for a convolution each
# counts as often as a kernel has numbers.


def kaiming_normal_(weight: Any, generator: Generator, slope: float = 0.0) -> None:
    """N(0, 2 / ((1 + slope²) fan_in)): for ReLU, and leaky ReLU of that slope (He et al., 2015)."""
    normal_(weight, generator, std=_kaiming_std(weight, slope))


def kaiming_uniform_(weight: Any, generator: Generator, slope: float = 0.0) -> None:
    """The uniform distribution of the same variance as `kaiming_normal_`."""
    _uniform_of_std(weight, generator, _kaiming_std(weight, slope))


def xavier_normal_(weight: Any, generator: Generator, gain: float = 1.0) -> None:
    """N(0, gain² · 2 / (fan_in + fan_out)): for tanh and sigmoid (Glorot and Bengio, 2010)."""
    normal_(weight, generator, std=_xavier_std(weight, gain))


def xavier_uniform_(weight: Any, generator: Generator, gain: float = 1.0) -> None:
    """The uniform distribution of the same variance as `xavier_normal_`."""
    _uniform_of_std(weight, generator, _xavier_std(weight, gain))


def lecun_normal_(weight: Any, generator: Generator) -> None:
    """N(0, 1 / fan_in) (LeCun et al., 1998); what some lectures call Xavier's."""
    normal_(weight, generator, std=math.sqrt(1.0 / _fans(weight)[0]))


def _kaiming_std(weight: Any, slope: float) -> float:
    slope = checks.real("slope", slope)
    return math.sqrt(2.0 / ((1.0 + slope * slope) * _fans(weight)[0]))


def _xavier_std(weight: Any, gain: float) -> float:
    return checks.real("gain", gain, above=0.0) * math.sqrt(2.0 / sum(_fans(weight)))


def _uniform_of_std(weight: Any, generator: Generator, std: float) -> None:
    bound = math.sqrt(3.0) * std  # the variance of U(-b, b) is b² / 3
    uniform_(weight, generator, -bound, bound)


def _fans(weight: Any) -> tuple[int, int]:
    """How many inputs and outputs a weight connects."""
    is_table = checks.is_list(weight) and len(weight) and all(map(checks.is_list, weight))
    if not is_table or len({len(row) for row in weight}) != 1 or not len(weight[0]):
        raise ValueError(
            "weight must be a list of rows of equal length, one row an output, such as "
            f"Linear(2, 3).weight, received {weight!r}"
        )
    kernel, field = weight[0][0], 1  # a Linear layer's is a number, a convolution's a table
    while checks.is_list(kernel):
        field, kernel = field * len(kernel), kernel[0]
    return field * len(weight[0]), field * len(weight)


def _fill(parameters: Any, draw: Callable[[], float]) -> None:
    """Write a drawn number into each Parameter, from left to right."""
    if isinstance(parameters, Value):
        parameters.data = float(draw())
    elif checks.is_list(parameters) or isinstance(parameters, Iterator):
        for part in cast(Iterable[Any], parameters):
            _fill(part, draw)
    else:
        raise TypeError(
            "parameters must be a Parameter or a list of them, "
            f"received the {type(parameters).__name__} {parameters!r}"
        )
