"""`Program`: flat code that runs, over the numbers of one call or over a batch."""

import math
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from autograd import modes
from autograd.environment import accelerated
from autograd.ops import TABLE
from autograd.optimisation import DOT, NOTHING, ROWS, SELECT
from autograd.structure import is_array
from autograd.value import Value, number

Spec = Any
"""A structure: "scalar" | ("list" | "tuple", specs) | ("dict", keys, specs) |
("named", type, specs) | ("array", shape)."""


@accelerated
class Entry:
    """What calls whatever its target is now; it pickles as the attribute of its owner."""

    def __init__(self, owner: Any, name: str, target: Callable[..., Any]) -> None:
        self._owner = owner
        self._name = name
        self.target = target

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the target gives."""
        return self.target(*args, **kwargs)

    def __repr__(self) -> str:
        return f"{self._owner!r}.{self._name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (self._owner, self._name)


@accelerated
class Program:
    """Straight-line code over float64 slots, checked once.

    Slots are numbered over the inputs, the constants and the instructions.

    Args:
        code: int32, four to an instruction: a row's place in the table and the slots of its
            operands, -1 where there is none. Two more places: `SELECT` gives b where a is not
            0.0, else c; `DOT` sums b products, from the a-th of the terms, to the slot c.
        terms: int32, the two slots of each product.
        constants: float64.
        inputs: how many inputs there are.
        outputs: int32 slots.

    Raises:
        ValueError: if an instruction is none or reads what is not computed yet.
    """

    def __init__(self, code: Any, terms: Any, constants: Any, inputs: int, outputs: Any) -> None:
        column = _unpacked(code, "i")
        columns = (column[place::4] for place in range(4))
        self._code: list[tuple[int, ...]] = [*zip(*columns, strict=True)]
        self._terms = _unpacked(terms, "i")
        self._constants = _unpacked(constants, "d")
        self._inputs = inputs
        self._outputs = _unpacked(outputs, "i")
        self._check()

    def _check(self) -> None:
        first = self._inputs + len(self._constants)
        if self._inputs < 0 or len(self._terms) % 2:
            raise ValueError("inputs must not be negative, and terms come in pairs")
        for slot, (row, a, b, c) in enumerate(self._code, first):
            if not 0 <= row <= DOT:
                raise ValueError(f"row {row} is none")
            if row == DOT:
                if a < 0 or b < 1 or 2 * (a + b) > len(self._terms):
                    raise ValueError(f"the dot product in slot {slot} has no terms {a} to {a + b}")
                read = self._terms[2 * a : 2 * (a + b)] + [c] * (c != NOTHING)
            else:
                read = [a, b, c] if row == SELECT else [a, b][: ROWS[row].arity]
            if not all(0 <= z < slot for z in read):
                raise ValueError(f"slot {slot} reads {read}: only slots below it can be read")
        if not all(0 <= z < first + len(self._code) for z in self._outputs):
            raise ValueError("outputs must be slots")

    def bind(
        self,
        arguments: tuple[Spec, ...],
        axes: tuple[int | None, ...],
        results: Spec,
        modes: str,
        captured: tuple[Value, ...],
        threads: int,
        otherwise: Callable[..., Any],
    ) -> Callable[..., Any]:
        """The program as a function of arguments with that structure.

        Args:
            arguments: the structure of each argument; of a mapped one, that of one sample.
            axes: for each argument 0 where it is mapped, None where all samples share it.
            results: the structure of the result; its leaves take the outputs in order.
            modes: for each leaf of the results what it holds of a batch of n: "e" each sample,
                "d" each divided by n, "s" the sum, "m" the sum divided by n.
            captured: the leaves whose numbers are the inputs after the arguments'.
            threads: how many may work on a batch.
            otherwise: is called where arguments do not match.
        """
        del threads  # the pure twin works alone
        return _Bound(self, arguments, axes, results, modes, captured, otherwise).call

    def _run(self, inputs: list[Any], batch: bool) -> list[Any]:
        """The outputs, of inputs that are floats or, in a batch, arrays of a number a sample."""
        functions = _array_functions() if batch else [row.function for row in ROWS]
        z: list[Any] = [*inputs, *self._constants]
        for row, a, b, c in self._code:
            if row == SELECT:
                z.append(_choose(z[a], z[b], z[c]))
            elif row == DOT:
                z.append(self._dot(z, a, b, c))
            else:
                z.append(functions[row](z[a]) if b == NOTHING else functions[row](z[a], z[b]))
        return [z[slot] for slot in self._outputs]

    def _dot(self, z: list[Any], start: int, count: int, total: int) -> Any:
        slots = iter(self._terms[2 * start : 2 * (start + count)])
        products = (z[x] * z[y] for x, y in zip(slots, slots, strict=True))
        found = next(products) if total == NOTHING else z[total]
        for product in products:
            found = found + product
        return found


def _unpacked(data: Any, kind: str) -> list[Any]:
    """The int32 or float64 numbers of a buffer."""
    return [*cast(Sequence[Any], array(kind, memoryview(data).tobytes()))]


def _choose(condition: Any, a: Any, b: Any) -> Any:
    if type(condition) is float:
        return a if condition != 0.0 else b
    import numpy

    return cast(Any, numpy.where(condition != 0.0, a, b))


def _array_functions() -> list[Callable[..., Any]]:
    """The rows over arrays of float64; the bits are those of the rows over floats."""
    import numpy

    exact: dict[str, Any] = {
        "neg": numpy.negative,
        "add": numpy.add,
        "sub": numpy.subtract,
        "mul": numpy.multiply,
        "div": numpy.divide,
        "square": numpy.square,
        "sqrt": numpy.sqrt,
        "abs": numpy.fabs,
    }

    def elementwise(function: Callable[..., float], arity: int) -> Callable[..., Any]:
        ufunc = numpy.frompyfunc(function, arity, 1)
        return lambda *operands: numpy.asarray(ufunc(*operands), dtype=float)

    return [exact.get(op.name) or elementwise(op.function, op.arity) for op in TABLE.values()]


class _MismatchError(Exception):
    """The arguments have another structure."""


class _Bound:
    """A program with the structures of its arguments and results."""

    def __init__(
        self,
        program: Program,
        arguments: tuple[Spec, ...],
        axes: tuple[int | None, ...],
        results: Spec,
        modes: str,
        captured: tuple[Value, ...],
        otherwise: Callable[..., Any],
    ) -> None:
        self.program = program
        self.arguments = arguments
        self.axes = axes
        self.results = results
        self.modes = modes
        self.captured = captured
        self.otherwise = otherwise
        self.batch = any(axis is not None for axis in axes)

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """The result of a call."""
        if modes.thread.transforms or kwargs.keys() - {"out"}:
            return self.otherwise(*args, **kwargs)
        try:
            inputs, size = self._inputs(args)
        except _MismatchError:
            return self.otherwise(*args, **kwargs)
        inputs += [leaf._data for leaf in self.captured]
        out = kwargs.get("out")
        if not self.batch:
            outputs = self.program._run(inputs, False)
            result = _single(self.results, iter(outputs))
        else:
            import numpy

            with numpy.errstate(all="ignore"):
                outputs = self.program._run(inputs, True)
                result = _batched(self.results, iter(outputs), iter(self.modes), size)
        return result if out is None else written(result, out, "out")

    def _inputs(self, args: tuple[Any, ...]) -> tuple[list[Any], int]:
        if len(args) != len(self.arguments):
            raise _MismatchError
        inputs: list[Any] = []
        sizes: set[int] = set()
        for spec, axis, x in zip(self.arguments, self.axes, args, strict=True):
            if axis is None:
                inputs += _scalars(spec, x)
            else:
                inputs += _columns(spec, x, sizes)
        if len(sizes) > 1:
            raise _MismatchError
        return inputs, sizes.pop() if sizes else 0


def _scalars(spec: Spec, x: Any) -> list[float]:
    """The numbers of an argument that has the structure."""
    if spec == "scalar":
        if type(x) not in (float, int):
            raise _MismatchError
        return [number(x, "argument")]
    if spec[0] == "array":
        if not (_is_float64(x) and x.shape == spec[1]):
            raise _MismatchError
        return x.ravel().tolist()
    return [z for part, y in zip(spec[-1], _parts(spec, x), strict=True) for z in _scalars(part, y)]


def _is_float64(x: Any) -> bool:
    """Whether x is an array of float64, and of no subclass, which may mean something else."""
    if not is_array(x):
        return False
    import numpy

    return type(x) is numpy.ndarray and x.dtype == float


_TYPES: dict[str, type] = {"list": list, "tuple": tuple, "dict": dict}


def _parts(spec: Spec, x: Any) -> list[Any]:
    """The parts of a container that has the structure."""
    kind = spec[1] if spec[0] == "named" else _TYPES[spec[0]]
    if type(x) is not kind or len(x) != len(spec[-1]):
        raise _MismatchError
    if kind is not dict:
        return [*x]
    if (*x,) != spec[1]:  # the function may depend on the order
        raise _MismatchError
    return [*x.values()]


def _columns(spec: Spec, x: Any, sizes: set[int]) -> list[Any]:
    """For each number of a sample the array of it over the batch."""
    import numpy

    if is_array(x):
        if not _is_float64(x) or x.ndim == 0 or x.shape[1:] != _shape(spec):
            raise _MismatchError
        sizes.add(len(x))
        return [*numpy.ascontiguousarray(x.reshape(len(x), math.prod(x.shape[1:])).T)]
    if spec[0] in ("dict", "named") and type(x) not in (list, tuple):
        parts = zip(spec[-1], _parts(spec, x), strict=True)
        return [column for part, y in parts for column in _columns(part, y, sizes)]
    if type(x) not in (list, tuple):
        raise _MismatchError
    sizes.add(len(x))
    rows = [_scalars(spec, sample) for sample in x]
    return [*numpy.array(rows, dtype=float).reshape(len(rows), leaf_count(spec)).T]


def leaf_count(spec: Spec) -> int:
    """How many numbers a structure holds."""
    if spec == "scalar":
        return 1
    return math.prod(spec[1]) if spec[0] == "array" else sum(map(leaf_count, spec[-1]))


def _shape(spec: Spec) -> tuple[int, ...] | None:
    """The shape of the array that may stand for nested lists."""
    if spec == "scalar":
        return ()
    if spec[0] == "array":
        return spec[1]
    shapes = [_shape(part) for part in spec[-1]] if spec[0] in ("list", "tuple") else [None]
    if not shapes or shapes[0] is None or any(shape != shapes[0] for shape in shapes):
        return None
    return (len(shapes), *shapes[0])


def _single(spec: Spec, outputs: Iterator[float]) -> Any:
    """The result of one sample."""
    if spec == "scalar":
        return next(outputs)
    if spec[0] == "array":
        import numpy

        return numpy.array([next(outputs) for _ in range(math.prod(spec[1]))]).reshape(spec[1])
    return assembled(spec, [_single(part, outputs) for part in spec[-1]])


def assembled(spec: Spec, parts: Sequence[Any]) -> Any:
    """A container of that structure."""
    match spec[0]:
        case "list":
            return [*parts]
        case "tuple":
            return (*parts,)
        case "dict":
            return dict(zip(spec[1], parts, strict=True))
        case _:
            return spec[1]._make(parts)


def _batched(spec: Spec, outputs: Iterator[Any], leaf_modes: Iterator[str], size: int) -> Any:
    """The result of a batch."""
    if spec != "scalar" and spec[0] != "array":
        parts = [_batched(part, outputs, leaf_modes, size) for part in spec[-1]]
        return assembled(spec, parts)
    import numpy

    shape = () if spec == "scalar" else spec[1]
    columns = numpy.empty((math.prod(shape), size))
    for column in columns:
        column[:] = next(outputs)
    mode = next(leaf_modes)
    if mode in "sm":
        sums = numpy.add.reduce(columns, axis=1)
        found = (sums if mode == "s" else sums / numpy.float64(size)).reshape(shape)
        return found if shape or spec != "scalar" else float(found)
    found = columns if mode == "e" else columns / size
    return numpy.ascontiguousarray(found.T).reshape((size, *shape))


def written(result: Any, out: Any, name: str) -> Any:
    """out, a structure of arrays like the result, after the result was copied into it.

    Raises:
        ValueError: naming the place that is no writable float64 array of the right shape.
    """
    if isinstance(result, (dict, list, tuple)):
        parts, places = _by_key(result), _by_key(out)
        if parts.keys() == places.keys():
            for key in parts:
                written(parts[key], places[key], f"{name}[{key!r}]")
            return out
    shape: Any = getattr(cast(Any, result), "shape", ())
    if is_array(out) and out.dtype == float and out.flags.writeable and out.shape == shape:
        out[...] = result
        return out
    raise ValueError(
        f"{name} must be a writable float64 array of shape {shape}, or have such arrays in the "
        f"structure of the result; received {out!r}"
    )


def _by_key(tree: Any) -> dict[Any, Any]:
    """The parts of a container by key or place; none of anything else."""
    if isinstance(tree, (list, tuple)):
        return dict(enumerate(cast(Sequence[Any], tree)))
    return cast(dict[Any, Any], tree) if isinstance(tree, dict) else {}
