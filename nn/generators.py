"""Generators of random numbers, Python's and NumPy's alike: drawing from them, saving them."""

import random
import sys
from collections.abc import Iterable
from typing import Any

from nn import checks
from nn.module import Module

Generator = Any
"""A `random.Random` or a `numpy.random.Generator`."""


def is_generator(x: object) -> bool:
    """Whether x is a `random.Random` or a `numpy.random.Generator`."""
    numpy: Any = sys.modules.get("numpy")
    return isinstance(x, random.Random) or bool(numpy and isinstance(x, numpy.random.Generator))


def generator_or_new(generator: Generator | None) -> Generator:
    """The generator itself, or for None a new one that the operating system seeds.

    Raises:
        TypeError: if it is neither a `random.Random` nor a `numpy.random.Generator`.
    """
    if generator is None:
        return random.Random()
    if is_generator(generator):
        return generator
    raise TypeError(
        "generator must be a random.Random or a numpy.random.Generator, such as random.Random(0), "
        f"received the {type(generator).__name__} {generator!r}"
    )


def gauss(generator: Generator, mean: float, std: float) -> float:
    """A number drawn from the normal distribution."""
    draw = generator.gauss if isinstance(generator, random.Random) else generator.normal
    return float(draw(mean, std))


def of_model(model: Module) -> list[Generator]:
    """The generators that the modules hold in their attributes, such as that of a `Dropout`."""
    return [x for module in model.modules() for x in vars(module).values() if is_generator(x)]


class States:
    """The states of some generators, each of them once: what they will draw next."""

    def __init__(self, generators: Iterable[Generator]) -> None:
        self._generators = list({id(x): x for x in generators}.values())

    def state_dict(self) -> dict[str, Any]:
        """The state of each generator by its place; fit for JSON."""
        return {str(i): _state(generator) for i, generator in enumerate(self._generators)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Let the generators go on from a state; on an error some of them may be changed.

        Raises:
            ValueError: if it is of another number or of other kinds of generators.
        """
        found = checks.keys("state", state, map(str, range(len(self._generators))))
        for i, generator in enumerate(self._generators):
            try:
                _load(generator, found[str(i)])
            except (TypeError, ValueError, KeyError, IndexError, OverflowError) as error:
                raise ValueError(
                    f"the state must be one of the {type(generator).__name__} of this training: "
                    f"{error}"
                ) from error


def _state(generator: Generator) -> Any:
    if isinstance(generator, random.Random):
        return generator.getstate()
    return _plain(generator.bit_generator.state)


def _load(generator: Generator, state: Any) -> None:
    if isinstance(generator, random.Random):
        version, numbers, next_gauss = state
        generator.setstate((version, tuple(numbers), next_gauss))
    else:
        generator.bit_generator.state = state


def _plain(state: Any) -> Any:
    """The state of a NumPy generator with lists for arrays."""
    if isinstance(state, dict):
        return {key: _plain(part) for key, part in state.items()}  # pyright: ignore
    return state.tolist() if hasattr(state, "tolist") else state
