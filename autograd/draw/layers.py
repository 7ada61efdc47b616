"""A network as columns of neurons: read from what holds its weights, and computed."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

from autograd import functional
from autograd.modes import no_grad
from autograd.ops import TABLE
from autograd.structure import is_array, is_scalar
from autograd.value import Value, number

Weight = Value | float


class Activation(NamedTuple):
    """What is applied to the numbers of a column, all together."""

    name: str
    function: Callable[[list[Any]], Any]


class Column(NamedTuple):
    """The inputs, or a layer of neurons.

    Attributes:
        size: how many there are.
        weights: for each neuron its weight for each of the column before; of the inputs none.
        biases: for each neuron its bias, or None.
        activations: what is applied to the weighted sums, or to the inputs.
    """

    size: int
    weights: list[list[Weight]]
    biases: list[Weight | None]
    activations: list[Activation]


def columns(net: object) -> list[Column]:
    """The inputs and then the layers of a network; see `draw_network` for what net may be.

    Raises:
        TypeError: if a part of net is neither a layer nor an activation.
        ValueError: if the shapes of weights and biases do not fit, or there is no layer.
    """
    layers: list[Column] = []
    before: list[Activation] = []
    for name, part in _parts(net):
        layer = _layer(name, part)
        if layer is None:
            (layers[-1].activations if layers else before).append(_activation(name, part))
            continue
        taken = len(layer.weights[0])
        if layers and layers[-1].size != taken:
            raise ValueError(
                f"the neurons of {name} have {taken} weights each, but there are "
                f"{layers[-1].size} neurons in the layer before"
            )
        layers.append(layer)
    if not layers:
        raise ValueError(f"net must have at least one layer with weights, received {net!r}")
    return [Column(len(layers[0].weights[0]), [], [], before), *layers]


def outputs(net: Sequence[Column], inputs: Sequence[Any]) -> list[list[float]]:
    """What every neuron gives, column by column, where these are the inputs.

    Raises:
        TypeError: if an input is no number.
        ValueError: if the number of inputs is not that of the network, or an activation gives
            another number of numbers than it is given.
    """
    if not _is_list(inputs) or len(inputs) != net[0].size:
        raise ValueError(f"inputs must be a list of {net[0].size} numbers, received {inputs!r}")
    numbers: list[Any] = [
        x if isinstance(x, Value) else Value(number(x, f"inputs[{i}]"))
        for i, x in enumerate(inputs)
    ]
    found: list[list[float]] = []
    with no_grad(), _in_use(net):
        for column in net:
            numbers = _given(column, numbers)
            found.append([as_float(x) for x in numbers])
    return found


def _given(column: Column, numbers: list[Any]) -> list[Any]:
    """What a column makes of the numbers of the one before; the inputs, of themselves."""
    if column.weights:
        rows = zip(column.weights, column.biases, strict=True)
        numbers = [functional.dot(row, numbers, bias) for row, bias in rows]
    for activation in column.activations:
        numbers = list(activation.function(numbers))
        if len(numbers) != column.size:
            raise ValueError(
                f"{activation.name} gives {len(numbers)} numbers for {column.size} neurons: it "
                "cannot be drawn as their activation"
            )
    return numbers


@contextmanager
def _in_use(net: Sequence[Column]) -> Generator[None]:
    """Inside it all modules are in use: a dropout drops nothing, and its generator stays."""
    functions = [activation.function for column in net for activation in column.activations]
    modules = [module for function in functions for module in _modules(function)]
    training = [module for module in modules if getattr(module, "training", False)]
    try:
        for module in training:
            module.training = False
        yield
    finally:
        for module in training:
            module.training = True


def _modules(function: Any) -> Iterable[Any]:
    """The modules that a function consists of, if it is one."""
    return function.modules() if callable(getattr(function, "modules", None)) else [function]


def as_float(weight: Any) -> float:
    """The number of a weight, or of what an activation gives."""
    return weight.data if isinstance(weight, Value) else float(weight)


def _weight(x: object, name: str) -> Weight:
    return x if isinstance(x, Value) else number(x, name)


def _parts(net: object) -> Iterator[tuple[str, Any]]:
    """The layers and activations that net holds, in their order, with where they stand."""
    stack: list[tuple[str, Any]] = [("net", net)]
    while stack:
        name, part = stack.pop()
        layers: Any = getattr(part, "layers", None)
        if _is_list(layers):
            name, part = f"{name}.layers", layers
        if _is_list(part) and not (_is_row(part) or _is_matrix(part) or _is_pair(part)):
            stack += reversed([(f"{name}[{i}]", x) for i, x in enumerate(part)])
        else:
            yield name, part


def _layer(name: str, part: Any) -> Column | None:
    """The neurons of a part, if it has weights."""
    if _is_pair(part):
        weight, bias = part
    else:
        weight = part if _is_list(part) else getattr(part, "weight", None)
        bias = getattr(part, "bias", None)
    if weight is None:
        return None
    if _is_row(weight):  # a single neuron
        weight, bias = [weight], None if bias is None else [bias]
    rows = _rows(name, part, weight)
    activation = getattr(part, "activation", None)
    own = [] if activation is None else [_activation(f"{name}.activation", activation)]
    return Column(len(rows), rows, _biases(name, len(rows), bias), own)


def _rows(name: str, part: object, weight: Any) -> list[list[Weight]]:
    if not _is_matrix(weight):
        raise TypeError(
            f"the weight of {name} must be a matrix of numbers or Values, a row for each neuron, "
            f"received that of {part!r}"
        )
    rows = [[_weight(x, name) for x in row] for row in weight]
    if len({len(row) for row in rows}) > 1:
        raise ValueError(
            f"the rows of the weight of {name} must be of one length, received rows of "
            f"{[len(row) for row in rows]}"
        )
    return rows


def _biases(name: str, count: int, bias: Any) -> list[Weight | None]:
    if bias is None:
        return [None] * count
    if not (_is_row(bias) and len(bias) == count):
        raise ValueError(
            f"the bias of {name} must be {count} numbers or Values, one for each neuron, "
            f"received {bias!r}"
        )
    return [_weight(x, name) for x in bias]


def _activation(name: str, part: Any) -> Activation:
    """The activation that a part is: a name, a function of a number, or a module."""
    if isinstance(part, str) and part in TABLE and TABLE[part].arity == 1:
        return Activation(part, _each(getattr(functional, part)))
    if isinstance(part, (str, type)) or not callable(part):
        raise TypeError(
            f"{name} must be a layer with weights or an activation: a module such as nn.ReLU(), a "
            f"function, or the name of a function of one number such as 'relu', received {part!r}"
        )
    kind, parameters = type(part).__name__, getattr(part, "parameters", None)
    has_parameters = callable(parameters) and [*cast(Any, parameters())]
    if has_parameters or hasattr(part, "pieces"):  # a Maxout joins neurons
        raise TypeError(f"{name}, {part!r}, cannot be drawn: it is more than an activation")
    if hasattr(part, "forward"):
        return Activation(kind, part)
    return Activation(getattr(part, "__name__", kind), _each(part))


def _each(function: Callable[[Any], Any]) -> Callable[[list[Any]], list[Any]]:
    return lambda numbers: [function(x) for x in numbers]


def _is_list(x: object) -> bool:
    return isinstance(x, (list, tuple)) or (is_array(x) and cast(Any, x).ndim > 0)


def _is_row(x: Any) -> bool:
    return _is_list(x) and len(x) > 0 and all(map(is_scalar, x))


def _is_matrix(x: Any) -> bool:
    return _is_list(x) and len(x) > 0 and all(map(_is_row, x))


def _is_pair(x: Any) -> bool:
    """Whether it is the tuple of a matrix and a row of biases, or None."""
    if not isinstance(x, tuple) or len(cast(Any, x)) != 2:
        return False
    weight, bias = cast(Any, x)
    return _is_matrix(weight) and (bias is None or _is_row(bias))
