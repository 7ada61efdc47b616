"""Nested structures of numbers: lists, tuples, dicts and arrays, taken apart and put together."""

import sys
from collections.abc import Callable, Sequence
from typing import Any, cast

from autograd.predicate import Whole, plain
from autograd.value import Value, is_real

Rebuild = Callable[[Sequence[Any]], Any]


def is_array(x: object) -> bool:
    """Whether x is a NumPy array (without importing NumPy)."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(x, numpy.ndarray)


def is_scalar(x: object) -> bool:
    """Whether x is a Value or a real number."""
    return isinstance(x, Value) or is_real(x)


def flatten(
    tree: Any, name: str = "argument", whole_arrays: bool = False
) -> tuple[list[Any], Rebuild]:
    """The scalars of a structure, left to right, and the function that puts others in their place.

    Arrays come back as float64 arrays, or as object arrays where one of the scalars is a Value.
    With whole_arrays an array is not taken apart: it counts as one scalar.

    Raises:
        TypeError: naming the place of anything that is neither a scalar nor a container of them.
    """
    if is_scalar(tree) or (whole_arrays and is_array(tree)):
        return [tree], lambda scalars: scalars[0]
    if is_array(tree):
        return _items(tree, name), lambda scalars: array(scalars, tree.shape)
    if isinstance(tree, dict):
        mapping = cast(dict[Any, Any], tree)
        parts = [(mapping[key], f"{name}[{key!r}]") for key in mapping]
        scalars, rebuild = _flatten_all(parts, whole_arrays)
        return scalars, lambda scalars: dict(zip(mapping, rebuild(scalars), strict=True))
    if isinstance(tree, (list, tuple)):
        items = cast(Any, tree)
        make: Any = getattr(items, "_make", items.__class__)  # a named tuple has _make
        if all(map(is_scalar, items)):
            return [*items], make
        parts = [(x, f"{name}[{i}]") for i, x in enumerate(items)]
        scalars, rebuild = _flatten_all(parts, whole_arrays)
        return scalars, lambda scalars: make(rebuild(scalars))
    if isinstance(tree, Whole):
        return [tree.value()], lambda scalars: scalars[0]
    raise TypeError(
        f"{name} must be a number, a Value, or a list, tuple, dict or array of them, "
        f"received the {type(tree).__name__} {tree!r}"
    )


def _items(tree: Any, name: str) -> list[Any]:
    items = [*map(plain, tree.ravel().tolist())] if tree.dtype == object else tree.ravel().tolist()
    if not all(map(is_scalar, items)):
        raise TypeError(f"{name} must hold numbers or Values, received an array of {tree.dtype}")
    return items


def _flatten_all(parts: list[tuple[Any, str]], whole_arrays: bool) -> tuple[list[Any], Rebuild]:
    flat = [flatten(part, name, whole_arrays) for part, name in parts]
    sizes = [len(scalars) for scalars, _ in flat]

    def rebuild(scalars: Sequence[Any]) -> list[Any]:
        built, start = list[Any](), 0
        for (_, rebuild_part), size in zip(flat, sizes, strict=True):
            built.append(rebuild_part(scalars[start : start + size]))
            start += size
        return built

    return [scalar for scalars, _ in flat for scalar in scalars], rebuild


def places(tree: Any, name: str) -> list[str]:
    """Where each scalar of a structure stands, in the order of flatten: name[0]['w'][2]."""
    if is_array(tree):
        tree = tree.tolist()
    if isinstance(tree, dict):
        parts = cast(dict[Any, Any], tree).items()
    elif isinstance(tree, (list, tuple)):
        parts = enumerate(cast(Any, tree))
    else:
        return [name]
    return [place for key, part in parts for place in places(part, f"{name}[{key!r}]")]


def array(scalars: Sequence[Any], shape: tuple[int, ...]) -> Any:
    """An array of that shape: float64, or of objects where one of the scalars is a Value."""
    import numpy

    kind = object if any(isinstance(x, Value) for x in scalars) else float
    flat = numpy.empty(len(scalars), dtype=kind)
    flat[:] = scalars
    return flat.reshape(shape)


def map_scalars(function: Callable[[Any], Any], tree: Any, name: str = "argument") -> Any:
    """The same structure with the function applied to each scalar."""
    scalars, rebuild = flatten(tree, name)
    return rebuild([function(x) for x in scalars])
