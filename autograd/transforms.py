"""Transforms: functions made from functions, giving gradients, Jacobians and their products."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, cast

from autograd import modes
from autograd.backward import as_value, pullback, pushforward
from autograd.predicate import plain
from autograd.structure import Rebuild, array, flatten, is_array, is_scalar, places
from autograd.value import Value, number

Function = Callable[..., Any]
Argnums = int | tuple[int, ...]


def grad(f: Function, argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """The function that gives the gradient of f, a function of one number as output.

    It takes what f takes. Arguments are numbers and nested lists, tuples, dicts and arrays of
    them; the gradient has the structure of the argument. It is made of floats; inside another
    transform, or where arguments hold Values, of Values that can be differentiated again.

    Args:
        f: the function; an output that does not depend on an input has the gradient 0.0.
        argnums: which positional arguments to differentiate by; negative counts from the last.
            For a tuple the result is the tuple of their gradients.
        has_aux: whether f returns (output, aux); the result is then (gradient, aux).

    Raises:
        TypeError: if the output of f is not one number.
        ValueError: if there is no such argument.
    """
    differentiated = value_and_grad(f, argnums, has_aux)

    @wraps(f)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, slope = differentiated(*args, **kwargs)
        return (slope, value[1]) if has_aux else slope

    return gradient


def value_and_grad(f: Function, argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """The function that gives (output, gradient) of f, or ((output, aux), gradient); see `grad`."""
    _check_function(f)
    check_argnums(argnums)

    @wraps(f)
    def differentiated(*args: Any, **kwargs: Any) -> Any:
        call = _record(f, args, argnums, kwargs)
        output, aux = _pair(call.output) if has_aux else (call.output, None)
        output = plain(output)
        check_output(output)
        results = _Results(call.holds_value)
        slope = call.arrange(call.gradient(output, results))
        value = results.release(output)
        return (value, results.release_all(aux)) if has_aux else value, slope

    return differentiated


def jacobian(f: Function, argnums: Argnums = 0) -> Function:
    """The function that gives the Jacobian of f: the derivative of each output by each input.

    For M outputs and N inputs it is M×N: a row for each output, which is that output's gradient.
    (Some lectures write its transpose, N×M.) It has the structure of the output, with the
    structure of the input at each leaf, where an array is one leaf: an array input of shape
    (N,) and an array output of shape (M,) give an array of shape (M, N).

    Args:
        f: the function; its output may be any nested structure of numbers.
        argnums: as for `grad`; a tuple gives a tuple at each leaf of the output.
    """
    _check_function(f)
    check_argnums(argnums)

    @wraps(f)
    def jacobian_of_f(*args: Any, **kwargs: Any) -> Any:
        call = _record(f, args, argnums, kwargs)
        outputs, _ = flatten(call.output, "output")
        results = _Results(call.holds_value)
        rows = [call.gradient(output, results) for output in outputs]
        return _blocks(rows, call.output, call.arrange(call.inputs))

    return jacobian_of_f


def hessian(f: Function, argnums: Argnums = 0) -> Function:
    """The function that gives the Hessian of f: the Jacobian of its Jacobian.

    The second derivatives ∂²f/∂xᵢ∂xⱼ, with the structure of the input at each leaf of its own.
    """
    return jacobian(jacobian(f, argnums), argnums)


def hvp(f: Function, x: Any, v: Any) -> Any:
    """The Hessian of f at x times the vector v, in the structure of x, without the Hessian.

    Forward over reverse: the pushforward of v through the recorded gradient, at a small multiple
    of the cost of f. (Pearlmutter, Fast Exact Multiplication by the Hessian, 1994.)
    """
    _matched(v, x, "v", "x")
    return jvp(grad(f), (x,), (v,))[1]


def jvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """The output of f and its derivative in one direction: the Jacobian times the tangents.

    Args:
        f: the function.
        primals: its positional arguments, a tuple or list.
        tangents: for each argument the direction in which it moves, in its structure.

    Returns:
        (output, tangent of the output), both in the structure of the output.
    """
    _check_function(f)
    _check_sequence(primals, "primals")
    directions = _matched(tangents, primals, "tangents", "primals")
    call = _record(f, tuple(primals), tuple(range(len(primals))), {})
    results = _Results(call.holds_value or holds_value(directions))
    outputs, rebuild = flatten(call.output, "output")
    swept = pushforward(
        dict(zip(call.inputs, map(results.weight, directions), strict=True)),
        [output for output in outputs if isinstance(output, Value)],
        results.create_graph,
        call.since,
    )
    derivatives = [swept.get(x, 0.0) if isinstance(x, Value) else 0.0 for x in outputs]
    return (
        rebuild([results.release(output) for output in outputs]),
        rebuild([results.release(derivative) for derivative in derivatives]),
    )


def vjp(f: Function, *primals: Any) -> tuple[Any, Function]:
    """The output of f at the primals, and the function that pulls a cotangent back.

    Returns:
        (output, vjp_fn): vjp_fn(cotangent) takes a weight for each number of the output, in its
        structure, and gives a tuple with, for each primal, the gradient of the weighted sum of
        the outputs: the cotangent times the Jacobian. It can be called many times.
    """
    _check_function(f)
    call = _record(f, primals, tuple(range(len(primals))), {})
    outputs, rebuild = flatten(call.output, "output")

    def vjp_fn(cotangent: Any) -> tuple[Any, ...]:
        weights = _matched(cotangent, call.output, "cotangent", "the output")
        results = _Results(call.holds_value or holds_value(weights))
        seeds: dict[Value, Any] = {}
        for output, weight in zip(outputs, map(results.weight, weights), strict=True):
            if isinstance(output, Value):
                seeds[output] = seeds[output] + weight if output in seeds else weight
        return call.arrange(call.pull(seeds, results))

    release = _Results(call.holds_value).release
    return rebuild([release(output) for output in outputs]), vjp_fn


# Recording a call.


class _Results:
    """What the results of a transform are: floats, or Values that record or that do not.

    Floats where only floats came in, outside every transform. Otherwise Values, so that no
    gradient is lost silently; under no_grad() they are constants.
    """

    def __init__(self, holds_value: bool) -> None:
        self.are_values = holds_value or modes.thread.transforms > 0
        self.create_graph = self.are_values and (
            modes.thread.recording or modes.thread.trace is not None
        )

    def release(self, x: Any) -> Any:
        """A number or Value of the recorded call as a result."""
        if not self.are_values:
            return x._data if isinstance(x, Value) else number(x, "output")
        return as_value(x) if self.create_graph else as_value(x).detach()

    def release_all(self, tree: Any) -> Any:
        """The same structure with every Value released; what is no Value stays as it is."""
        if isinstance(tree, Value):
            return self.release(tree)
        if isinstance(tree, dict):
            mapping = cast(dict[Any, Any], tree)
            return {key: self.release_all(part) for key, part in mapping.items()}
        if isinstance(tree, (list, tuple)):
            items = cast(Any, tree)
            return getattr(items, "_make", items.__class__)(map(self.release_all, items))
        if is_array(tree) and holds_value(tree):
            return array([self.release_all(x) for x in tree.ravel().tolist()], tree.shape)
        return tree

    def weight(self, x: Any) -> Any:
        """A number or Value that a sweep starts from."""
        if isinstance(x, Value):
            return x if self.create_graph else x._data
        return number(x, "a tangent or cotangent")


@dataclass(frozen=True, slots=True)
class _Call:
    """One recorded call of a function.

    Attributes:
        output: what it returned.
        inputs: the fresh Value that stood for each number of the chosen arguments.
        arrange: gives what stands for the inputs the structure that argnums asks for.
        since: the stamp of the first input: nodes recorded before it depend on none.
        holds_value: whether a Value came in.
    """

    output: Any
    inputs: list[Value]
    arrange: Rebuild
    since: int
    holds_value: bool

    def gradient(self, output: Any, results: _Results) -> list[Any]:
        """The gradient of one output: for each input a result, 0.0 where there is no way to it."""
        return self.pull({output: 1.0} if isinstance(output, Value) else {}, results)

    def pull(self, seeds: Mapping[Value, Any], results: _Results) -> list[Any]:
        """The gradient of Σ seed × root."""
        found = pullback(seeds, self.inputs, results.create_graph, since=self.since)
        return [results.release(found.get(x, 0.0)) for x in self.inputs]


def _record(
    f: Function, args: tuple[Any, ...], argnums: Argnums, kwargs: Mapping[str, Any]
) -> _Call:
    """Call f with fresh Values in the chosen arguments."""
    chosen = chosen_arguments(argnums, len(args))
    scalars, rebuild = flatten({n: args[n] for n in chosen}, "args")
    with modes.transforming():
        inputs = [_fresh(x) for x in scalars]
        arguments = dict(enumerate(args)) | rebuild(inputs)
        output = f(*arguments.values(), **kwargs)

    def arrange(scalars: Sequence[Any]) -> Any:
        found = rebuild(scalars)
        return found[chosen[0]] if isinstance(argnums, int) else tuple(found[n] for n in chosen)

    since = inputs[0]._stamp if inputs else 0
    return _Call(output, inputs, arrange, since, holds_value([args, kwargs]))


def _fresh(x: Any) -> Value:
    """A node of its own for this use of x: what else x is used for depends on it no more."""
    if not isinstance(x, Value):
        return Value(x)
    node = +x
    node._label = x._label
    node._requires_grad = True  # the transform asks for it, whatever the outer graph does
    return node


def _blocks(rows: list[list[Any]], output: Any, inputs: Any) -> Any:
    """A matrix as the structure of the output with that of the inputs at each leaf."""
    output_leaves, rebuild_output = flatten(output, "output", whole_arrays=True)
    input_leaves, rebuild_input = flatten(inputs, "args", whole_arrays=True)
    blocks: list[Any] = []
    top = 0
    for output_leaf in output_leaves:
        bottom = top + _size(output_leaf)
        row_blocks: list[Any] = []
        left = 0
        for input_leaf in input_leaves:
            right = left + _size(input_leaf)
            entries = [x for row in rows[top:bottom] for x in row[left:right]]
            row_blocks.append(_block(entries, output_leaf, input_leaf))
            left = right
        blocks.append(rebuild_input(row_blocks))
        top = bottom
    return rebuild_output(blocks)


def _size(leaf: Any) -> int:
    return leaf.size if is_array(leaf) else 1


def _block(entries: list[Any], output_leaf: Any, input_leaf: Any) -> Any:
    """One number for two scalars; else an array of the output's shape + the input's."""
    if not (is_array(output_leaf) or is_array(input_leaf)):
        return entries[0]
    return array(entries, getattr(output_leaf, "shape", ()) + getattr(input_leaf, "shape", ()))


# Checking what came in.


def _check_function(f: Any) -> None:
    if not callable(f):
        raise TypeError(f"f must be a function, received {f!r}")


def check_argnums(argnums: Any) -> None:
    """Refuse what names no argument."""
    numbers = cast(tuple[Any, ...], argnums if isinstance(argnums, tuple) else (argnums,))
    if not all(isinstance(n, int) for n in numbers):
        raise TypeError(f"argnums must be an int or a tuple of ints, received {argnums!r}")


def check_output(output: Any) -> None:
    """Refuse to differentiate what is not one number."""
    if not is_scalar(output):
        raise TypeError(
            "a gradient needs a function whose output is one number, "
            f"received the {type(output).__name__} {output!r}: "
            "for several numbers use jacobian, or vjp with a cotangent for each"
        )


def chosen_arguments(argnums: Argnums, arity: int) -> list[int]:
    """Which positional arguments argnums means, counted from the first."""
    numbers = (argnums,) if isinstance(argnums, int) else argnums
    allowed = range(-arity, arity)
    if not all(n in allowed for n in numbers):
        raise ValueError(
            f"argnums={argnums!r} must count the positional arguments; "
            f"{arity} were given, so that {[*allowed]} are allowed"
        )
    return [n % arity for n in numbers]


def _check_sequence(xs: Any, name: str) -> None:
    if not isinstance(xs, (list, tuple)):
        raise TypeError(
            f"{name} must be a tuple or list with an entry for each argument, received {xs!r}"
        )


def _pair(output: Any) -> tuple[Any, Any]:
    if isinstance(output, tuple) and len(cast(tuple[Any, ...], output)) == 2:
        return cast(tuple[Any, Any], output)
    raise TypeError(f"with has_aux f must return a pair (output, aux), received {output!r}")


def _matched(tree: Any, model: Any, name: str, model_name: str) -> list[Any]:
    """The scalars of tree, in the order of those of the model, which has the same structure."""
    found = dict(zip(places(tree, ""), flatten(tree, name)[0], strict=True))
    wanted = places(model, "")
    if found.keys() == (known := set(wanted)):
        return [found[place] for place in wanted]
    missing = [name + place for place in wanted if place not in found]
    unexpected = [name + place for place in found if place not in known]
    raise ValueError(
        f"{name} must have the structure of {model_name}, missing {missing}, "
        f"not expecting {unexpected}; received {tree!r}"
    )


def holds_value(tree: Any) -> bool:
    """Whether there is a Value in a structure that may hold anything."""
    if isinstance(tree, (dict, list, tuple)):
        parts = cast(Any, tree)
        parts = [*(parts.values() if isinstance(tree, dict) else parts)]
        return not {*map(type, parts)} <= {float} and any(map(holds_value, parts))
    if is_array(tree):
        return tree.dtype == object and holds_value(tree.ravel().tolist())
    return isinstance(tree, Value)
