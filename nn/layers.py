"""Layers: neurons and what is built of them. They take a list, one sample, and return a list."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, overload

from autograd import Value, dot, no_grad
from nn import checks, init
from nn.activations import ReLU, Sigmoid, Step
from nn.init import Generator
from nn.module import Module, Parameter


def _draw(parameters: list[Any], in_features: int, generator: Generator | None) -> None:
    """PyTorch's default for weights and biases: uniform between ±1/√in_features."""
    bound = 1.0 / math.sqrt(in_features)
    init.uniform_(parameters, generator, -bound, bound)


def _made(activation: Any) -> Module:
    """A new activation module.

    Raises:
        TypeError: if the argument does not make a module, such as a module made already.
    """
    text = (
        "activation must make a module, such as nn.ReLU or lambda: nn.LeakyReLU(0.1), "
        f"received {activation!r}"
    )
    if not callable(activation) or isinstance(activation, Module):
        raise TypeError(text)
    try:
        made: object = activation()
    except TypeError as error:  # such as that of autograd.relu, which wants an argument
        raise TypeError(f"{text}: {error}") from error
    if not isinstance(made, Module):
        raise TypeError(text)
    return made


def weighted_sums(
    weight: list[list[Parameter]],
    inputs: Sequence[Any],
    bias: Sequence[Parameter | None] | None,
    owner: Module,
) -> list[Value]:
    """The weighted sum of the inputs for each row of the weight, with its bias if there are any.

    Raises:
        TypeError: if an input is neither a number nor a Value.
        ValueError: if there are not as many inputs as weights in a row.
    """
    inputs = checks.vector(inputs, len(weight[0]), owner)
    biases = [None] * len(weight) if bias is None else bias
    try:
        return [dot(row, inputs, b) for row, b in zip(weight, biases, strict=True)]
    except TypeError:
        checks.numbers_or_values("inputs", inputs)
        raise


class Neuron(Module):
    """One unit: activation(w · x + b).

    Args:
        in_features: how many inputs it takes.
        activation: makes its activation, such as nn.Sigmoid; without it the neuron is linear.
        bias: whether it has a bias.
        generator: draws the first weights; see `init`.
    """

    def __init__(
        self,
        in_features: int,
        activation: Callable[[], Module] | None = None,
        bias: bool = True,
        generator: Generator | None = None,
    ) -> None:
        self.in_features = checks.whole("in_features", in_features, at_least=1)
        self.weight = [Parameter(0.0) for _ in range(in_features)]
        self.bias = Parameter(0.0) if checks.flag("bias", bias) else None
        self.activation = None if activation is None else _made(activation)
        _draw(list(self.parameters()), in_features, generator)

    def forward(self, inputs: Sequence[Any]) -> list[Any]:
        """A list of one: the output.

        Raises:
            ValueError: if the number of inputs is not in_features.
        """
        outputs = weighted_sums([self.weight], inputs, [self.bias], self)
        return outputs if self.activation is None else self.activation(outputs)

    def extra_repr(self) -> str:
        """The size."""
        return f"in_features={self.in_features}, bias={self.bias is not None}"


class LogisticRegression(Neuron):
    """One sigmoid neuron: the probability of class 1, trained by `BCELoss`."""

    def __init__(self, in_features: int, generator: Generator | None = None) -> None:
        super().__init__(in_features, Sigmoid, generator=generator)


class Perceptron(Neuron):
    """One step neuron that learns by the delta rule (Rosenblatt, 1958).

    It answers 1 where w · x + b > 0, else 0; so 0 where the sum is exactly 0. It finds a solution
    of every linearly separable problem, and of no other.
    """

    def __init__(
        self, in_features: int, bias: bool = True, generator: Generator | None = None
    ) -> None:
        super().__init__(in_features, Step, bias, generator)

    def delta_rule(self, inputs: Sequence[float], target: float, lr: float) -> float:
        """Learn from one sample: w ← w + lr · (target - output) · x, and b with x = 1.

        Returns:
            The error target - output: 0.0 if the answer was right.

        Raises:
            TypeError: if an input is no number.
            ValueError: if an input is not finite, the target neither 0 nor 1, or lr not positive.
        """
        inputs = [checks.real("inputs", x) for x in checks.vector(inputs, self.in_features, self)]
        if not checks.is_real(target) or target not in (0, 1):
            raise ValueError(f"target must be 0 or 1, received {target!r}")
        lr = checks.real("lr", lr, above=0.0)
        with no_grad():
            (output,) = self(inputs)
        error = float(target) - output.item()
        for weight, x in zip(self.weight, inputs, strict=True):
            weight.data += lr * error * x
        if self.bias is not None:
            self.bias.data += lr * error
        return error


class Linear(Module):
    """A dense layer without activation: W x + b, one row of the weight an output.

    Args:
        in_features: how many inputs it takes.
        out_features: how many outputs it gives.
        bias: whether each output has a bias.
        generator: draws the first weights; see `init`.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        generator: Generator | None = None,
    ) -> None:
        self.in_features = checks.whole("in_features", in_features, at_least=1)
        self.out_features = checks.whole("out_features", out_features, at_least=1)
        self.weight = [[Parameter(0.0) for _ in range(in_features)] for _ in range(out_features)]
        self.bias = (
            [Parameter(0.0) for _ in range(out_features)] if checks.flag("bias", bias) else None
        )
        _draw(list(self.parameters()), in_features, generator)

    def forward(self, inputs: Sequence[Any]) -> list[Value]:
        """The weighted sums.

        Raises:
            ValueError: if the number of inputs is not in_features.
        """
        return weighted_sums(self.weight, inputs, self.bias, self)

    def extra_repr(self) -> str:
        """The sizes."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class Sequential(Module):
    """Modules one after the other, each fed with the outputs of the one before."""

    def __init__(self, *layers: Module) -> None:
        for i, layer in enumerate(layers):
            if not isinstance(layer, Module):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError(
                    f"layers must be modules, such as nn.ReLU(), received {layer!r} at place {i}"
                )
        self.layers = list(layers)

    def forward(self, inputs: Sequence[Any]) -> Any:
        """The outputs of the last module."""
        for layer in self.layers:
            inputs = layer(inputs)
        return inputs

    def __len__(self) -> int:
        return len(self.layers)

    @overload
    def __getitem__(self, place: int) -> Module: ...
    @overload
    def __getitem__(self, place: slice) -> "Sequential": ...
    def __getitem__(self, place: int | slice) -> Module:
        """The module at a place; of a slice a Sequential of the same modules, as in PyTorch."""
        if isinstance(place, slice):
            return Sequential(*self.layers[place])
        return self.layers[place]

    def __iter__(self) -> Iterator[Module]:
        return iter(self.layers)


class MLP(Sequential):
    """A multi-layer perceptron: Linear layers with an activation between them, none at the end.

    Args:
        in_features: how many inputs it takes.
        sizes: how many outputs each Linear layer gives; the last is the network's.
        activation: makes the activation after each hidden layer.
        generator: draws the first weights, layer by layer; see `init`.
    """

    def __init__(
        self,
        in_features: int,
        sizes: Sequence[int],
        activation: Callable[[], Module] = ReLU,
        generator: Generator | None = None,
    ) -> None:
        if not checks.is_list(sizes) or not len(sizes):
            raise ValueError(
                f"sizes must be a list of layer sizes, such as [3, 1], received {sizes!r}"
            )
        generator = init.generator_or_new(generator)
        layers = list[Module]()
        for size in sizes:
            layers += [Linear(in_features, size, generator=generator), _made(activation)]
            in_features = size
        super().__init__(*layers[:-1])


class Residual(Module):
    """A skip connection: x + F(x), so that gradients pass F unchanged (He et al., 2015)."""

    def __init__(self, module: Module) -> None:
        if not isinstance(module, Module):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"module must be a Module, such as nn.ReLU(), received {module!r}")
        self.module = module

    def forward(self, inputs: Sequence[Any]) -> list[Any]:
        """Each input, or pixel of an image, plus the output of the module at its place.

        Raises:
            ValueError: if the module gives outputs in another shape than its inputs.
        """
        return self._added(inputs, self.module(inputs))

    def _added(self, xs: Any, ys: Any) -> Any:
        if not checks.is_list(xs) and not checks.is_list(ys):
            return xs + ys
        sizes = [len(x) if checks.is_list(x) else None for x in (xs, ys)]
        if sizes[0] != sizes[1]:
            inputs, outputs = ("a number" if n is None else f"a list of {n}" for n in sizes)
            raise ValueError(
                "the module of a Residual must give outputs in the shape of its inputs, received "
                f"{outputs} for {inputs} from {self.module!r}"
            )
        return [self._added(*pair) for pair in zip(xs, ys, strict=True)]
