"""`Parameter` and `Module`: what a network is made of, and how it is walked, saved and shown."""

from collections.abc import Callable, Iterator
from typing import Any, Self, cast

from autograd import Value
from nn import checks


class Parameter(Value):
    """A leaf that belongs to a module and is changed by training."""

    __slots__ = ()


class Module:
    """A part of a network: Parameters and other modules in its attributes, and `forward`.

    Whatever stands in an attribute belongs to the module: a Parameter, a Module, or a list, tuple,
    dict or object array of them, nested as one likes. Names follow the way to it, as in
    `layers.0.weight.1.2`.
    """

    training: bool = True
    """Whether it is being trained; `Dropout` is the identity where it is not."""

    forward: Callable[..., Any]
    """What the module computes: a method of each subclass."""

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """What `forward` computes."""
        return self.forward(*inputs, **options)

    # What it holds.

    def named_parameters(self, recurse: bool = True) -> Iterator[tuple[str, Parameter]]:
        """Each Parameter once, with its name; without recurse only those in no other module."""
        for prefix, key, item in _walk(self, recurse):
            if isinstance(item, Parameter):
                yield f"{prefix}{key}", item

    def parameters(self) -> Iterator[Parameter]:
        """Each Parameter once, in the order of the attributes."""
        return (item for _, _, item in _walk(self) if isinstance(item, Parameter))

    def named_modules(self) -> "Iterator[tuple[str, Module]]":
        """The module itself under the name "", then each module below it once."""
        for prefix, key, item in _walk(self):
            if isinstance(item, Module):
                yield f"{prefix}{key}", item

    def modules(self) -> "Iterator[Module]":
        """The module itself, then each module below it once."""
        return (module for _, module in self.named_modules())

    def named_children(self) -> "Iterator[tuple[str, Module]]":
        """The modules directly below it."""
        for prefix, key, item in _walk(self, recurse=False):
            if isinstance(item, Module) and item is not self:
                yield f"{prefix}{key}", item

    def children(self) -> "Iterator[Module]":
        """The modules directly below it."""
        return (module for _, module in self.named_children())

    # How it is trained.

    def train(self, mode: bool = True) -> Self:
        """Switch the module and all below it to training, or with False to use."""
        checks.flag("mode", mode)
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Switch the module and all below it to use: `Dropout` drops nothing."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Set the gradient of every Parameter to 0.0."""
        for parameter in self.parameters():
            parameter.grad = 0.0

    def freeze(self) -> Self:
        """Let no gradient reach the Parameters, so that training leaves them as they are."""
        return self._require_grad(False)

    def unfreeze(self) -> Self:
        """Let gradients reach the Parameters again."""
        return self._require_grad(True)

    def _require_grad(self, requires_grad: bool) -> Self:
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    # How it is saved.

    def state_dict(self) -> dict[str, float]:
        """The number of every Parameter by its name; fit for JSON."""
        return {name: parameter.data for name, parameter in self.named_parameters()}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Write the numbers of a state into the Parameters: all of them, or none on an error.

        Raises:
            TypeError: if the state is no dict, or one of its values no number.
            ValueError: if a name is missing or unknown, or a value is not finite.
        """
        parameters = dict(self.named_parameters())
        found = checks.keys("state", state, parameters)
        numbers = {name: checks.real(f"state[{name!r}]", x) for name, x in found.items()}
        for name, parameter in parameters.items():
            parameter.data = numbers[name]

    # How it is shown.

    def extra_repr(self) -> str:
        """What stands between the parentheses of the repr."""
        return ""

    def __repr__(self) -> str:
        children = [f"({name}): {module!r}" for name, module in self.named_children()]
        if not children:
            return self._head()
        lines = [line for part in (self.extra_repr(), *children) for line in part.splitlines()]
        return "\n".join([f"{type(self).__name__}(", *(f"  {line}" for line in lines), ")"])

    def _head(self) -> str:
        return f"{type(self).__name__}({self.extra_repr()})"

    def summary(self) -> str:
        """A table of the modules, each with the number of Parameters that are its own."""
        rows = [("name", "module", "parameters")]
        for name, module in self.named_modules():
            count = sum(1 for _ in module.named_parameters(recurse=False))
            rows.append((name or "(whole)", module._head(), str(count)))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            f"{name:<{widths[0]}}  {module:<{widths[1]}}  {count:>{widths[2]}}"
            for name, module, count in rows
        ]
        parameters = list(self.parameters())
        trainable = sum(parameter.requires_grad for parameter in parameters)
        return "\n".join([*lines, f"{len(parameters)} parameters, {trainable} of them trainable"])


def check_module(model: object) -> None:
    """Refuse what is no Module.

    Raises:
        TypeError: naming what was received.
    """
    if not isinstance(model, Module):
        raise TypeError(f"model must be a Module, received the {type(model).__name__} {model!r}")


def _walk(root: Module, recurse: bool = True) -> Iterator[tuple[str, Any, object]]:
    """What the attributes of a module lead to, each object once; the root comes first.

    Without recurse the other modules are met, but not entered. The name of an object comes in two
    parts, prefix and key, for most walks are not after names.
    """
    met = dict[int, object]()  # the objects too, so that none is freed and its id used again
    stack: list[tuple[str, Iterator[tuple[Any, object]]]] = [("", iter([("", root)]))]
    while stack:
        prefix, parts = stack[-1]
        for key, item in parts:
            if id(item) in met:
                continue
            met[id(item)] = item
            yield prefix, key, item
            is_entered = recurse or item is root or not isinstance(item, Module)
            if is_entered and not isinstance(item, Value) and (inner := _parts(item)):
                stack.append(("" if item is root else f"{prefix}{key}.", iter(inner)))
                break
        else:
            stack.pop()


def _parts(item: Any) -> list[tuple[Any, object]]:
    """What an object that may hold Parameters holds, by attribute, key or place."""
    if isinstance(item, Module):
        return list(vars(item).items())
    if isinstance(item, dict):
        return list(cast(dict[Any, object], item).items())
    if isinstance(item, (list, tuple)):
        return list(enumerate(cast(list[object], item)))
    if str(getattr(item, "dtype", "")) == "object":
        return list(enumerate(cast(list[object], item.tolist())))
    return []
