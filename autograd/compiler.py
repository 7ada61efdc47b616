"""`compile`: a function traced once into flat code, which then runs without Python."""

import gc
import inspect
import math
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial, update_wrapper
from importlib.util import find_spec
from itertools import product
from operator import attrgetter
from typing import Any, cast, overload

from autograd import functional, graph, modes, structure, transforms
from autograd.backward import accumulate, pullback
from autograd.environment import engine
from autograd.errors import AutogradError, MissingExtraError, TraceError
from autograd.functional import div, mean
from autograd.listing import Names, ProgramTape, tape_of
from autograd.optimisation import Encoded, encode, flatten
from autograd.predicate import plain
from autograd.program import Entry, Program, Spec, assembled, leaf_count, written
from autograd.structure import is_array, is_scalar
from autograd.tracing import Trace
from autograd.transforms import Argnums
from autograd.value import Value, is_real, number

Function = Callable[..., Any]
Axes = None | int | tuple[int | None, ...]

_REDUCTIONS = {None: "ee", "sum": "se", "mean": "md"}
"""What results hold of a batch: those that all samples share, and those of each sample."""


@overload
def compile(
    f: Function,
    in_axes: Axes = None,
    reduce: str | None = None,
    threads: int = 1,
    argnums: Argnums = 0,
) -> "CompiledFunction": ...


@overload
def compile(
    f: None = None,
    in_axes: Axes = None,
    reduce: str | None = None,
    threads: int = 1,
    argnums: Argnums = 0,
) -> "Callable[[Function], CompiledFunction]": ...


def compile(
    f: Function | None = None,
    in_axes: Axes = None,
    reduce: str | None = None,
    threads: int = 1,
    argnums: Argnums = 0,
) -> "CompiledFunction | Callable[[Function], CompiledFunction]":
    """f as a program that runs without Python: see `CompiledFunction`.

    A decorator, with options too: `@compile` and `@compile(in_axes=0, reduce="mean")`.

    Args:
        f: a function of numbers and nested lists, tuples, dicts and arrays of them.
        in_axes: which arguments are batches: for each positional argument 0 where it holds many
            samples along its leading axis, None where all samples share it; one number for all.
        reduce: what becomes of the results for a batch: "sum", "mean", or None for all of them.
        threads: how many threads may work on a batch; the results do not depend on it.
        argnums: which arguments `value_and_grad` and `jacobian` differentiate by.

    Raises:
        TypeError, ValueError: if an argument is none of these.
    """
    options = _Options(in_axes, reduce, threads, argnums)
    return partial(CompiledFunction, options=options) if f is None else CompiledFunction(f, options)


class CompiledFunction(Entry):
    """A function as a program.

    The first call with a structure of arguments traces the function: it runs once, with Values in
    place of numbers, and what it computes becomes flat code that serves every later call with
    that structure. So what else the function does (printing, drawing random numbers, writing to
    a list) is done once, when it is traced. Numbers from outside are constants; `Value`s from
    outside, such as Parameters, are read at every call. A comparison is a condition for `where`,
    and the number 0.0 or 1.0 in arithmetic and as a result; anything that would need the number
    of a Value, or write to one from outside, raises `TraceError`. The keys of a dict and their
    order are part of the structure.

    A method is compiled for each instance, which is from outside: its numbers are constants.

    A program runs no Python, so that `detect_anomaly()` around a call finds nothing in it.

    Called with Values, or inside a transform, it is the function itself; so `grad(compile(f))`
    and `compile(grad(f))` both work.

    A batch is an array with an axis more, a list of samples, or a dict or named tuple of such. The
    result for n samples has at each leaf a float64 array with a leading axis of n; where `reduce`
    is given, results and gradients by arguments that all samples share are reduced, and the
    gradient by a mapped argument still has one entry for each sample.

    A compiled function pickles, with its programs and without the Python function: other processes
    can call it with the structures of arguments that it was called with before.

    Attributes:
        value_and_grad: takes what f takes and gives (output, gradient), the gradient in the
            structure of the argument that argnums names.
        jacobian: takes what f takes and gives the Jacobian, as `autograd.jacobian` does.
        backward: takes what f takes, gives the output and adds its gradients to the `.grad` of
            the leaves from outside that require one now, as `loss.backward()` does.

    All take `out=`, the structure of the result with float64 arrays, which they write and return.
    """

    value_and_grad: Entry
    jacobian: Entry
    backward: Entry
    __wrapped__: Function

    def __init__(self, f: Function, options: "_Options") -> None:
        if not callable(f):
            raise TypeError(f"f must be a function, received {f!r}")
        self.__name__ = type(f).__name__
        update_wrapper(self, f, updated=())
        super().__init__(None, self.__name__, f)
        self._options = options
        self._ways = {"__call__": _Way(f, options, self)}
        for name, kind in _OTHER_WAYS.items():
            entry = Entry(self, name, f)
            self._ways[name] = kind(f, options, entry)
            setattr(self, name, entry)

    def __get__(self, instance: Any, owner: type | None = None) -> "CompiledFunction":
        """As a method: the compiled function of the other arguments, kept in the instance."""
        bind = getattr(type(self.__wrapped__), "__get__", None)
        if instance is None or bind is None:
            return self
        attributes: dict[str, Any] | None = getattr(instance, "__dict__", None)
        if type(attributes) is not dict:
            raise TypeError(
                f"{self!r} as a method needs an instance with a __dict__, to keep its programs in; "
                f"received {instance!r}: compile a function of what the method needs"
            )
        methods: _Methods | None = attributes.get(_METHODS)
        if methods is None or methods.instance is not instance:
            methods = attributes[_METHODS] = _Methods(instance)
        if self not in methods.compiled:
            method = bind(self.__wrapped__, instance, owner)
            methods.compiled[self] = CompiledFunction(method, self._options)
        return methods.compiled[self]

    @property
    def tape(self) -> ProgramTape:
        """The latest program: that of value_and_grad, else of backward, the function, jacobian.

        Raises:
            AutogradError: if there is none yet.
        """
        for name in ("value_and_grad", "backward", "__call__", "jacobian"):
            for variant in reversed(self._ways[name].variants.values()):
                return variant.tape()
        raise AutogradError(
            f"{self!r} has no program yet: call it, or its value_and_grad, once with arguments"
        )

    @property
    def source(self) -> str:
        """The flat code of the tape in Python: it runs, for the inputs of the first call."""
        return self.tape.python()

    def to_c(self) -> str:
        """The tape as a C file, whose function writes the results for given inputs.

        Of a library function the last bits may differ from those of the engine.
        """
        return self.tape.c(self.__name__)

    def to_latex(self) -> str:
        """The equations of the tape in LaTeX."""
        return self.tape.latex()

    def __repr__(self) -> str:
        return f"<compiled {self.__name__}>"

    def __copy__(self) -> "CompiledFunction":
        return self

    def __deepcopy__(self, memo: object) -> "CompiledFunction":
        return self  # as copy has it for functions

    def __reduce__(self) -> tuple[Any, ...]:
        programs = {name: way.variants for name, way in self._ways.items()}
        return _unpickled, (self.__name__, self.__doc__, self._options, programs)


_METHODS = "_compiled_methods"


class _Methods:
    """The compiled methods of an instance, which keeps them; a copy of it has its own."""

    def __init__(self, instance: Any = None) -> None:
        self.instance = instance
        self.compiled: dict[CompiledFunction, CompiledFunction] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return _Methods, ()


class _Travelled:
    """Stands for the function of a compiled function that was unpickled."""

    def __init__(self, name: str, doc: str | None) -> None:
        self.__name__ = name
        self.__doc__ = doc

    def __call__(self, *args: Any) -> Any:
        raise AutogradError(
            f"the compiled function {self.__name__} was unpickled: its programs travel, the "
            "function itself does not; so call it before pickling with every structure of "
            f"arguments that is needed, received {args!r}"
        )


def _unpickled(
    name: str,
    doc: str | None,
    options: "_Options",
    programs: "dict[str, dict[tuple[Spec, ...], _Variant]]",
) -> CompiledFunction:
    found = CompiledFunction(_Travelled(name, doc), options)
    for way, variants in programs.items():
        found._ways[way].variants.update(variants)
    return found


# Options.


@dataclass(frozen=True)
class _Options:
    in_axes: Axes
    reduce: str | None
    threads: int
    argnums: Argnums

    def __post_init__(self) -> None:
        axes, reduce, threads = self._axes(), self.reduce, self.threads
        if not all(axis is None or (type(axis) is int and axis == 0) for axis in axes):
            raise ValueError(
                f"in_axes must be None, 0 or a tuple of these, one for each argument, "
                f"received {self.in_axes!r}"
            )
        if reduce not in _REDUCTIONS:
            raise ValueError(f"reduce must be None, 'sum' or 'mean', received {reduce!r}")
        if reduce is not None and not self.is_batched:
            raise ValueError(
                f"reduce={reduce!r} needs in_axes, which names the arguments to map over"
            )
        if type(threads) is not int or not 1 <= threads <= 1024:
            raise ValueError(f"threads must be a whole number from 1 to 1024, received {threads!r}")
        transforms.check_argnums(self.argnums)

    def _axes(self) -> tuple[Any, ...]:
        return self.in_axes if isinstance(self.in_axes, tuple) else (self.in_axes,)

    @property
    def is_batched(self) -> bool:
        return 0 in self._axes()

    def axes(self, count: int) -> tuple[int | None, ...]:
        """The axis of each of so many arguments."""
        if not isinstance(self.in_axes, tuple):
            return (self.in_axes,) * count
        if len(self.in_axes) != count:
            raise ValueError(
                f"in_axes={self.in_axes!r} is for {len(self.in_axes)} arguments, received {count}"
            )
        return self.in_axes

    def gradient_modes(self, specs: tuple[Spec, ...], axes: tuple[int | None, ...]) -> str:
        """What each leaf of a gradient by the chosen arguments holds of a batch."""
        chosen = transforms.chosen_arguments(self.argnums, len(specs))
        return "".join(self.mode(axes[n]) * _leaf_count(specs[n]) for n in chosen)

    def mode(self, axis: int | None = None) -> str:
        """What a result holds of a batch, by the axis of the argument whose gradient it is."""
        return _REDUCTIONS[self.reduce][axis == 0]


# One way to call a compiled function.


@dataclass
class _Variant:
    """What was traced for one structure of arguments.

    Attributes:
        encoded: the program.
        specs: the structure of each argument.
        results: that of the result.
        modes: what each leaf of the result holds of a batch.
        captured: the leaves from outside that are inputs.
        targets: those to which `backward` adds gradients.
        names: what the slots are called.
        sizes: how many instructions there were after each pass.
    """

    encoded: Encoded
    specs: tuple[Spec, ...]
    results: Spec
    modes: str
    captured: tuple[Value, ...]
    targets: list[Value]
    names: Names
    sizes: dict[str, int]

    def tape(self) -> ProgramTape:
        """The program as a tape."""
        return tape_of(self.encoded, self.names, _structure(self.results), self.sizes)


@dataclass
class _Record:
    """What a function has recorded while it was traced.

    Attributes:
        output: the result, of Values and numbers.
        targets: the leaves to which `backward` adds gradients.
        gradients: those that the reverse sweep found, by node.
        reverse: the stamp at which it began.
    """

    output: Any
    targets: list[Value] = field(default_factory=list[Value])
    gradients: Mapping[Value, Any] = field(default_factory=dict[Value, Any])
    reverse: float = math.inf


class _Way:
    """A function as programs: one for each structure of arguments."""

    def __init__(self, function: Function, options: _Options, entry: Entry) -> None:
        self.function = function
        self.options = options
        self.variants: dict[tuple[Spec, ...], _Variant] = {}
        self.bound: dict[tuple[Spec, ...], Function] = {}
        self.entry = entry
        entry.target = self.found

    def found(self, *args: Any, **kwargs: Any) -> Any:
        """Find the program for these arguments, or trace one, and run it."""
        if kwargs.keys() - {"out"}:
            raise TypeError(
                "a compiled function takes positional arguments and out=, received the keyword "
                f"arguments {sorted(kwargs)}: give them by position, or fix them before compiling "
                "with functools.partial"
            )
        out = kwargs.get("out")
        axes = self.options.axes(len(args))
        if modes.thread.transforms or any(map(transforms.holds_value, args)):
            if out is not None:
                raise TypeError(
                    "out= takes numbers: there is none inside a transform or for Values"
                )
            return self.inlined(args, axes)
        specs, arguments = _conformed(args, axes)
        if specs not in self.bound:
            if specs not in self.variants:
                self.variants[specs] = self.trace(specs, axes, arguments)
            self.bound[specs] = self.bind(self.variants[specs], axes)
        bound = self.entry.target = self.bound[specs]  # the next call goes to it at once
        result = bound(*arguments)
        return result if out is None else written(result, out, "out")

    def trace(
        self, specs: tuple[Spec, ...], axes: tuple[int | None, ...], arguments: Sequence[Any]
    ) -> _Variant:
        """Run the function once, on Values, and make a program of what it recorded."""
        numbers = [
            x
            for spec, axis, argument in zip(specs, axes, arguments, strict=True)
            for x in _sample(spec, argument, axis)
        ]
        inputs = [Value(x) for x in numbers]
        trace = Trace(inputs)
        with _uncollected(), modes.traced(trace):
            free = iter(inputs)
            record = self.record(trace, [_filled(spec, free) for spec in specs])
            results, outputs = _described(record.output, "output")
        with _uncollected():
            encoded, captured, names, sizes = _programmed(trace, inputs, outputs, record)
        names.inputs[:0] = _argument_names(self.function, specs)
        leaf_modes = self.modes(specs, axes, results)
        return _Variant(encoded, specs, results, leaf_modes, captured, record.targets, names, sizes)

    def record(self, trace: Trace, arguments: list[Any]) -> _Record:
        """Call the function with Values."""
        before = [*map(_identity, arguments)]
        output = self.output(trace, arguments)
        for n, argument in enumerate(arguments):
            if _identity(argument) != before[n]:
                raise TraceError(
                    f"the function wrote into argument {n}: it would do so once, into a copy, "
                    "while autograd.compile traces it; let it make its own list, dict or array "
                    "to write into, and return that"
                )
        return _Record(output)

    def output(self, trace: Trace, arguments: list[Any]) -> Any:
        """What the function gives for Values."""
        output = self.function(*arguments)
        if trace.refused:  # and the function has caught it
            raise trace.refused
        return plain(output)

    def modes(self, specs: tuple[Spec, ...], axes: tuple[int | None, ...], results: Spec) -> str:
        """What each leaf of the result holds of a batch."""
        del specs, axes
        return self.options.mode() * _leaf_count(results)

    def bind(self, variant: _Variant, axes: tuple[int | None, ...]) -> Function:
        """The program as a function."""
        return self._bind(variant, axes, self.found)

    def _bind(
        self, variant: _Variant, axes: tuple[int | None, ...], otherwise: Function
    ) -> Function:
        if self.options.is_batched and (engine == "python" or set("ed") & set(variant.modes)):
            _require_numpy()
        return Program(*variant.encoded).bind(
            variant.specs,
            axes,
            variant.results,
            variant.modes,
            variant.captured,
            self.options.threads,
            otherwise,
        )

    def inlined(self, args: tuple[Any, ...], axes: tuple[int | None, ...]) -> Any:
        """The result of the function itself."""
        return self._mapped(self.function, args, axes)

    def _mapped(
        self, function: Function, args: tuple[Any, ...], axes: tuple[int | None, ...]
    ) -> Any:
        """The result of a function, mapped over a batch by Python."""
        if not self.options.is_batched:
            return function(*args)
        samples = _samples(args, axes)
        specs = tuple(_described(x, "argument")[0] for x in samples[0])
        found = [_described(function(*sample), "output") for sample in samples]
        results = found[0][0]
        leaf_modes = self.modes(specs, axes, results)
        if set("ed") & set(leaf_modes):
            _require_numpy()
        columns = zip(*(scalars for _, scalars in found), strict=True)
        return _reduced(results, columns, iter(leaf_modes))


def _require_numpy() -> None:
    if find_spec("numpy") is None:
        raise MissingExtraError(
            "a batch needs NumPy, here or for its results: run "
            '`pip install "scalar-autograd[numpy]"`'
        )


class _Gradient(_Way):
    """The function together with its gradient."""

    def __init__(self, function: Function, options: _Options, entry: Entry) -> None:
        super().__init__(function, options, entry)
        self.transform = transforms.value_and_grad(function, options.argnums)

    def record(self, trace: Trace, arguments: list[Any]) -> _Record:
        chosen = transforms.chosen_arguments(self.options.argnums, len(arguments))
        described = [_described(arguments[n], "argument") for n in chosen]
        targets = [z for _, scalars in described for z in scalars]
        for z in trace.inputs.difference(targets):
            z._requires_grad = False
        output = self.output(trace, arguments)
        transforms.check_output(output)
        found = _reverse(output, targets)
        slopes = iter([found.gradients.get(z, 0.0) for z in targets])
        gradient = tuple(_filled(spec, slopes) for spec, _ in described)
        is_one = isinstance(self.options.argnums, int)
        found.output = (output, gradient[0] if is_one else gradient)
        return found

    def modes(self, specs: tuple[Spec, ...], axes: tuple[int | None, ...], results: Spec) -> str:
        del results
        return self.options.mode() + self.options.gradient_modes(specs, axes)

    def inlined(self, args: tuple[Any, ...], axes: tuple[int | None, ...]) -> Any:
        return self._mapped(self.transform, args, axes)


class _Jacobian(_Way):
    """The Jacobian of the function."""

    def __init__(self, function: Function, options: _Options, entry: Entry) -> None:
        super().__init__(transforms.jacobian(function, options.argnums), options, entry)

    def modes(self, specs: tuple[Spec, ...], axes: tuple[int | None, ...], results: Spec) -> str:
        row = self.options.gradient_modes(specs, axes)
        return row * (_leaf_count(results) // max(len(row), 1))


_requires_grad = attrgetter("_requires_grad")


class _Backward(_Way):
    """The function together with the gradients of the leaves from outside."""

    def record(self, trace: Trace, arguments: list[Any]) -> _Record:
        for z in trace.inputs:
            z._requires_grad = False
        output = self.output(trace, arguments)
        transforms.check_output(output)
        leaves = graph.leaves(output) if isinstance(output, Value) else []
        targets = [z for z in leaves if trace.is_captured(z) and z._requires_grad]
        if not targets:
            raise AutogradError(
                "backward: the output depends on no Value from outside that requires a gradient; "
                "for gradients by the arguments use value_and_grad"
            )
        found = _reverse(output, targets)
        found.output = (output, [found.gradients.get(z, 0.0) for z in targets])
        found.targets = targets
        return found

    def bind(self, variant: _Variant, axes: tuple[int | None, ...]) -> Function:
        if self.options.is_batched and self.options.reduce is None:
            raise ValueError("backward of a batch needs reduce='sum' or 'mean': one number")
        bound = self._bind(variant, axes, lambda *_args, **_kwargs: None)
        targets, captured = variant.targets, variant.captured
        required = [*map(_requires_grad, captured)]

        def backward(*args: Any, **kwargs: Any) -> Any:
            if required != [*map(_requires_grad, captured)]:  # frozen or unfrozen since the trace
                if self.bound.get(variant.specs) is backward:
                    self.bound.pop(variant.specs, None)
                    self.variants.pop(variant.specs, None)
                return self.found(*args, **kwargs)
            result = None if kwargs else bound(*args)
            if result is None:
                return self.found(*args, **kwargs)
            accumulate(targets, result[1])
            return result[0]

        return backward

    def inlined(self, args: tuple[Any, ...], axes: tuple[int | None, ...]) -> Any:
        output = super().inlined(args, axes)
        output.backward()
        return output


def _programmed(
    trace: Trace, inputs: list[Value], outputs: list[Any], record: _Record
) -> tuple[Encoded, tuple[Value, ...], Names, dict[str, int]]:
    """The program of a trace; the leaves that are inputs too; names; the sizes after each pass."""
    operations = graph.operations(*(z for z in outputs if isinstance(z, Value)))
    labelled = [node for node in operations if node._label is not None]
    pairs = [z for pair in record.gradients.items() if isinstance(pair[1], Value) for z in pair]
    flat, captured, noted = flatten(
        inputs,
        outputs,
        operations,
        trace.is_captured,
        noted=[*labelled, *pairs],
    )
    encoded, slots = encode(flat)
    noted = [slots[z] for z in noted]
    forward = bisect_left(operations, record.reverse, key=lambda node: node._stamp)
    before = [slots[z] for z in flat.places[flat.first : flat.first + forward]]
    shares = Counter(before)  # a slot that several nodes share has several gradients
    known = [
        z
        for primal, slot in zip(*[iter(noted[len(labelled) :])] * 2, strict=True)
        if primal < encoded.inputs or shares[primal] == 1
        for z in (primal, slot)
    ]
    names = Names(
        [leaf._label or f"v{i}" for i, leaf in enumerate(captured)],
        array("d", [z._data for z in (*inputs, *captured)]),
        {slot: str(z._label) for slot, z in zip(noted, labelled, strict=False)},
        array("i", known),
        1 + max(before, default=-1),
    )
    return encoded, tuple(captured), names, flat.sizes


@contextmanager
def _uncollected() -> Generator[None]:
    """Without the garbage collector, which would go through what grows here again and again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _reverse(output: Any, targets: list[Value]) -> _Record:
    """The reverse sweep from an output, recorded."""
    start = Value(0.0)._stamp
    found = pullback({output: 1.0}, targets, True) if isinstance(output, Value) else {}
    return _Record(output, [], found, start)


_OTHER_WAYS = {
    "value_and_grad": _Gradient,
    "jacobian": _Jacobian,
    "backward": _Backward,
}
"""The attributes of a compiled function that are programs."""


# Names.


def _argument_names(function: Function, specs: tuple[Spec, ...]) -> list[str]:
    try:
        parameters = [*inspect.signature(function).parameters]
    except (TypeError, ValueError):
        parameters = []
    parameters += [f"x{n}" for n in range(len(parameters), len(specs))]
    return [name for spec, of in zip(specs, parameters, strict=False) for name in _named(spec, of)]


def _named(spec: Spec, name: str) -> list[str]:
    """A name for each number of a structure."""
    if spec == "scalar":
        return [name]
    if spec[0] == "array":
        return [
            "_".join([name, *map(str, place)]) for place in product(*(range(n) for n in spec[1]))
        ]
    keys = spec[1] if spec[0] == "dict" else getattr(spec[1], "_fields", range(len(spec[-1])))
    return [
        x for key, part in zip(keys, spec[-1], strict=True) for x in _named(part, f"{name}_{key}")
    ]


def _structure(spec: Spec) -> str:
    """A structure as text, with a place for each number."""
    if spec == "scalar":
        return "{}"
    if spec[0] == "array":
        text = "{}"
        for size in reversed(spec[1]):
            text = f"[{', '.join([text] * size)}]"
        return text
    parts = [_structure(part) for part in spec[-1]]
    if spec[0] == "list":
        return f"[{', '.join(parts)}]"
    if spec[0] == "dict":
        keys = [repr(key).replace("{", "{{").replace("}", "}}") for key in spec[1]]
        items = [f"{key}: {part}" for key, part in zip(keys, parts, strict=True)]
        return f"{{{{{', '.join(items)}}}}}"
    return f"({', '.join(parts)}{',' * (len(parts) == 1)})"


# Structures.

_NUMBERS: set[type] = {float, int}
_SCALARS: set[type] = {float, Value}


def _conformed(
    args: tuple[Any, ...], axes: tuple[int | None, ...]
) -> tuple[tuple[Spec, ...], list[Any]]:
    """The structure of each argument, and its numbers as floats and float64 arrays.

    Raises:
        TypeError: naming the place of what is neither a number nor a container of numbers.
        ValueError: if batches differ in size, or samples in structure.
    """
    sizes: dict[str, int] = {}
    found = [
        _conformed_one(x, f"argument {n}")
        if axis is None
        else _conformed_batch(x, f"argument {n}", sizes)
        for n, (x, axis) in enumerate(zip(args, axes, strict=True))
    ]
    if len({*sizes.values()}) > 1:
        raise ValueError(f"batches must be of one size, received {sizes}")
    return tuple(spec for spec, _ in found), [x for _, x in found]


def _conformed_one(x: Any, name: str) -> tuple[Spec, Any]:
    if is_real(x):
        return "scalar", number(x, name)
    if is_array(x):
        return ("array", x.shape), _float64(x, name)
    if _holds_only(x, _NUMBERS):  # perhaps very many: no name for each
        spec = _container(x, ("scalar",) * len(x))
        return spec, assembled(spec, [number(z, name) for z in x])
    if not isinstance(x, (list, tuple, dict)):
        raise TypeError(
            f"{name} must be a number, or a list, tuple, dict or array of numbers, "
            f"received the {type(x).__name__} {x!r}; make it one of these, or give it to the "
            "function with functools.partial before compiling"
        )
    spec, parts = _walked(_conformed_one, x, name)
    return spec, assembled(spec, parts)


def _conformed_batch(x: Any, name: str, sizes: dict[str, int]) -> tuple[Spec, Any]:
    if is_array(x) and x.ndim:
        sizes[name] = len(x)
        return ("array", x.shape[1:]) if x.ndim > 1 else "scalar", _float64(x, name)
    if isinstance(x, dict) or hasattr(x, "_fields"):
        spec, parts = _walked(partial(_conformed_batch, sizes=sizes), x, name)
        return spec, assembled(spec, parts)
    if not isinstance(x, (list, tuple)):
        raise TypeError(
            f"{name} must be a batch: an array or a list of samples, or a dict of such, "
            f"received the {type(x).__name__} {x!r}"
        )
    samples = [_conformed_one(part, f"{name}[{i}]") for i, part in _items(x)]
    if not samples:
        raise ValueError(
            f"{name} is an empty list, which does not tell the structure of a sample; "
            "an array of shape (0, …) does"
        )
    for i, (spec, _) in enumerate(samples):
        if spec != samples[0][0]:
            raise ValueError(f"{name}[{i}] differs in structure from {name}[0]")
    sizes[name] = len(samples)
    return samples[0][0], [sample for _, sample in samples]


def _walked(
    walk: Callable[[Any, str], tuple[Spec, Any]], x: Any, name: str
) -> tuple[Spec, list[Any]]:
    """The structure of a container, and what the walk finds in each of its parts."""
    parts = [walk(part, f"{name}[{key!r}]") for key, part in _items(x)]
    return _container(x, tuple(spec for spec, _ in parts)), [found for _, found in parts]


def _holds_only(x: Any, types: set[type]) -> bool:
    """Whether x is a list or tuple of objects of these types."""
    return isinstance(x, (list, tuple)) and {*map(type, cast(list[Any], x))} <= types


def _items(x: Any) -> list[tuple[Any, Any]]:
    return [*(x.items() if isinstance(x, dict) else enumerate(x))]  # pyright: ignore


def _container(x: Any, parts: tuple[Spec, ...]) -> Spec:
    if isinstance(x, dict):
        return "dict", tuple(cast(dict[Any, Any], x)), parts
    if hasattr(x, "_fields"):
        return "named", type(x), parts
    return "list" if isinstance(x, list) else "tuple", parts


def _float64(x: Any, name: str) -> Any:
    if x.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers, received an array of {x.dtype}")
    if hasattr(x, "mask"):
        raise TypeError(f"{name} is an array with a mask, which a program does not know: fill it")
    import numpy

    return numpy.array(x, dtype=float)  # not of a subclass


def _sample(spec: Spec, x: Any, axis: int | None) -> list[float]:
    """The numbers of an argument, or of the first sample of a batch; 0.0 of an empty one."""
    if axis is None:
        return _described(x, "argument")[1]
    if isinstance(x, list) or is_array(x):
        items = cast(Any, x)
        return _described(items[0], "")[1] if len(items) else [0.0] * leaf_count(spec)
    parts = zip(spec[-1], (part for _, part in _items(x)), strict=True)
    return [z for part_spec, part in parts for z in _sample(part_spec, part, 0)]


def _filled(spec: Spec, scalars: Iterator[Any]) -> Any:
    """The structure with these scalars."""
    if spec == "scalar":
        return next(scalars)
    if spec[0] == "array":
        return structure.array([next(scalars) for _ in range(math.prod(spec[1]))], spec[1])
    return assembled(
        spec, [next(scalars) if part == "scalar" else _filled(part, scalars) for part in spec[-1]]
    )


def _described(x: Any, name: str) -> tuple[Spec, list[Any]]:
    """The structure of a result, and its scalars: Values and floats."""
    x = plain(x)
    if is_scalar(x):
        return "scalar", [x if isinstance(x, Value) else number(x, name)]
    if is_array(x):
        return ("array", x.shape), [z for y in x.ravel().tolist() for z in _described(y, name)[1]]
    if _holds_only(x, _SCALARS):
        return _container(x, ("scalar",) * len(x)), [*x]
    if not isinstance(x, (list, tuple, dict)):
        raise TypeError(
            f"the {name} of a compiled function must be a number, a Value, or a list, tuple, dict "
            f"or array of them, received the {type(x).__name__} {x!r}"
        )
    spec, parts = _walked(_described, x, name)
    return spec, [z for scalars in parts for z in scalars]


def _samples(args: tuple[Any, ...], axes: tuple[int | None, ...]) -> list[tuple[Any, ...]]:
    """The arguments for each sample of a batch."""
    batches = [None if axis is None else _unbatched(x) for x, axis in zip(args, axes, strict=True)]
    sizes = {len(batch) for batch in batches if batch is not None}
    if len(sizes) != 1 or sizes == {0}:
        raise ValueError(f"batches must be of one size, at least 1, received {sorted(sizes)}")
    return [
        tuple(x if batch is None else batch[i] for x, batch in zip(args, batches, strict=True))
        for i in range(sizes.pop())
    ]


def _unbatched(x: Any) -> list[Any]:
    if isinstance(x, dict) or hasattr(x, "_fields"):
        parts = [_unbatched(part) for _, part in _items(x)]
        spec = _container(x, ())
        return [assembled(spec, sample) for sample in zip(*parts, strict=True)]
    return [*x]


def _reduced(spec: Spec, columns: Iterator[tuple[Any, ...]], leaf_modes: Iterator[str]) -> Any:
    """The result of a batch, of the numbers of each sample, as `Program` has it."""
    if spec != "scalar" and spec[0] != "array":
        return assembled(spec, [_reduced(part, columns, leaf_modes) for part in spec[-1]])
    shape = () if spec == "scalar" else spec[1]
    found = [next(columns) for _ in range(math.prod(shape))]
    mode = next(leaf_modes)
    if mode in "sm":
        sums = [functional.sum([*column]) if mode == "s" else mean([*column]) for column in found]
        return sums[0] if spec == "scalar" else structure.array(sums, shape)
    size = len(found[0]) if found else 0
    rows = [x if mode == "e" else div(x, size) for row in zip(*found, strict=True) for x in row]
    return structure.array(rows, (size, *shape))


def _identity(x: Any) -> Any:
    """What a structure holds, to see whether it was written into."""
    if is_array(x) or _holds_only(x, _SCALARS):  # perhaps very many
        return [*map(id, x.ravel().tolist() if is_array(x) else x)]
    if isinstance(x, (list, tuple, dict)):
        return [(key, _identity(part)) for key, part in _items(x)]
    return id(x)


def _leaf_count(spec: Spec) -> int:
    """How many leaves a structure has; an array is one."""
    return 1 if spec == "scalar" or spec[0] == "array" else sum(map(_leaf_count, spec[-1]))
