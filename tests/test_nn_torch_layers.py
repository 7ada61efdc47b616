"""Beside PyTorch, where it is installed: convolution, pooling and recurrent networks."""

import random
import warnings
from typing import Any

import numpy as np
import pytest

import nn
from autograd import Value, dot
from nn import init

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its own imports
    torch = pytest.importorskip("torch")


def close(theirs: Any) -> Any:
    """What PyTorch gives, to 1e-10."""
    return pytest.approx(theirs.detach().numpy(), rel=1e-10, abs=1e-10)


def tensor(numbers: Any) -> Any:
    return torch.tensor(numbers, dtype=torch.float64, requires_grad=True)


def noise(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).normal(size=shape).tolist()


def leaves(tree: Any) -> Any:
    return [leaves(x) for x in tree] if isinstance(tree, list) else Value(tree)


def data(tree: Any) -> Any:
    return np.array([data(x) for x in tree] if isinstance(tree, list) else tree.data)


def grads(tree: Any) -> Any:
    return np.array([grads(x) for x in tree] if isinstance(tree, list) else tree.grad)


def copy(ours: nn.Module, theirs: Any) -> None:
    """Give PyTorch's module our numbers: the parameters stand in the same order."""
    flat = iter(ours.state_dict().values())
    with torch.no_grad():
        for parameter in theirs.parameters():
            numbers = [next(flat) for _ in range(parameter.numel())]
            parameter.copy_(torch.tensor(numbers, dtype=torch.float64).reshape(parameter.shape))
    assert [] == list(flat)


def agree(ours: nn.Module, theirs: Any, xs: Any, expected_xs: Any, ys: Any, expected: Any) -> None:
    """The outputs, and every gradient of a random combination of them."""
    assert close(expected) == data(ys)
    upstream = noise(9, *expected.shape)
    (expected * torch.tensor(upstream, dtype=torch.float64)).sum().backward()
    dot(upstream, ys).backward()
    assert close(expected_xs.grad) == grads(xs)
    slopes = [parameter.grad.flatten() for parameter in theirs.parameters()]
    if slopes:
        assert close(torch.cat(slopes)) == [parameter.grad for parameter in ours.parameters()]


CONVOLUTIONS: list[tuple[int, int, Any, dict[str, Any]]] = [
    (1, 1, 1, {}),
    (1, 2, 3, {}),
    (2, 3, 3, {"bias": False}),
    (3, 2, (2, 3), {"stride": 2}),
    (2, 2, 3, {"padding": 1}),
    (2, 2, (3, 2), {"stride": (2, 3), "padding": (2, 1)}),
]


@pytest.mark.parametrize(("channels", "kernels", "size", "options"), CONVOLUTIONS)
def test_conv2d(channels: int, kernels: int, size: Any, options: dict[str, Any]) -> None:
    ours = nn.Conv2d(channels, kernels, size, **options, generator=random.Random(0))
    theirs = torch.nn.Conv2d(channels, kernels, size, **options).double()
    copy(ours, theirs)
    numbers = noise(1, channels, 6, 7)
    xs, expected_xs = leaves(numbers), tensor(numbers)
    agree(ours, theirs, xs, expected_xs, ours(xs), theirs(expected_xs))


@pytest.mark.parametrize("name", ["MaxPool2d", "AvgPool2d"])
@pytest.mark.parametrize(("size", "stride"), [(2, None), ((2, 3), None), (3, 1), (3, (1, 2))])
def test_pooling(name: str, size: Any, stride: Any) -> None:
    ours, theirs = getattr(nn, name)(size, stride), getattr(torch.nn, name)(size, stride)
    numbers = noise(2, 3, 7, 6)
    xs, expected_xs = leaves(numbers), tensor(numbers)
    agree(ours, theirs, xs, expected_xs, ours(xs), theirs(expected_xs))


def test_a_convolutional_network() -> None:
    generator = random.Random(3)
    ours = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1, generator=generator),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(3, 2, 2, generator=generator),
        nn.Tanh(),
        nn.AvgPool2d(2, 1),
        nn.Flatten(),
        nn.Linear(8, 2, generator=generator),
    )
    theirs = torch.nn.Sequential(
        torch.nn.Conv2d(1, 3, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(3, 2, 2),
        torch.nn.Tanh(),
        torch.nn.AvgPool2d(2, 1),
        torch.nn.Flatten(0),
        torch.nn.Linear(8, 2),
    ).double()
    copy(ours, theirs)
    numbers = noise(4, 1, 8, 8)
    xs, expected_xs = leaves(numbers), tensor(numbers)
    agree(ours, theirs, xs, expected_xs, ours(xs), theirs(expected_xs))


def both(h: Any, c: Any) -> dict[str, Any]:
    """The state of each kind of network."""
    return {"RNN": h, "GRU": h, "LSTM": (h, c)}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_cells(name: str, bias: bool) -> None:
    ours = getattr(nn, f"{name}Cell")(3, 4, bias, random.Random(5))
    theirs = getattr(torch.nn, f"{name}Cell")(3, 4, bias).double()
    copy(ours, theirs)
    numbers, states = noise(6, 3), noise(7, 2, 4)
    (xs, h, c), (expected_xs, *expected_states) = (
        leaves([numbers, *states]),
        map(tensor, [numbers, *states]),
    )
    found, expected = ours(xs, both(h, c)[name]), theirs(expected_xs, both(*expected_states)[name])
    if name == "LSTM":
        found, expected = [*found], torch.stack(expected)
    agree(ours, theirs, xs, expected_xs, found, expected)
    used = 2 if name == "LSTM" else 1
    for state, other in zip((h, c)[:used], expected_states, strict=False):
        assert close(other.grad) == grads(state)


@pytest.mark.parametrize("given_state", [True, False])
@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_sequences(name: str, given_state: bool) -> None:
    ours = getattr(nn, name)(3, 4, generator=random.Random(8))
    theirs = getattr(torch.nn, name)(3, 4).double()
    copy(ours, theirs)
    numbers, states = noise(10, 6, 3), noise(11, 2, 4)
    xs, expected_xs = leaves(numbers), tensor(numbers)
    state = both(*states)[name] if given_state else None
    expected_state = both(*(tensor([s]) for s in states))[name] if given_state else None
    outputs, last = ours(xs, state)
    expected, expected_last = theirs(expected_xs, expected_state)
    last, expected_last = (last, expected_last) if name == "LSTM" else ([last], [expected_last])
    for part, other in zip(last, expected_last, strict=True):
        assert close(other[0]) == data(part)
    agree(ours, theirs, xs, expected_xs, outputs, expected)


# The first weights.


class Largest(random.Random):
    """Says the upper limit for a uniform number."""

    def uniform(self, _: float, b: float) -> float:
        return b


@pytest.mark.parametrize(
    ("name", "arguments", "many"),
    [
        ("Conv2d", (2, 3, (3, 4)), (2, 1000, (3, 4))),
        ("RNNCell", (2, 50), (200, 50)),
        ("LSTMCell", (2, 50), (200, 50)),
        ("GRUCell", (2, 50), (200, 50)),
    ],
)
def test_the_bound_of_the_first_weights(name: str, arguments: Any, many: Any) -> None:
    (bound,) = set(getattr(nn, name)(*arguments, generator=Largest()).state_dict().values())
    largest = max(p.abs().max().item() for p in getattr(torch.nn, name)(*many).parameters())
    assert bound * (1.0 + 1e-6) >= largest > 0.99 * bound


def test_the_scale_of_an_initialisation_of_kernels() -> None:
    ours, theirs = nn.Conv2d(2, 3, (4, 5)), torch.nn.Conv2d(2, 3, (4, 5))
    fans = torch.nn.init._calculate_fan_in_and_fan_out(theirs.weight)
    init.kaiming_uniform_(ours.weight, Largest())
    assert pytest.approx((6.0 / fans[0]) ** 0.5) == ours.weight[0][0][0][0].data
    init.xavier_uniform_(ours.weight, Largest())
    assert pytest.approx((6.0 / sum(fans)) ** 0.5) == ours.weight[0][0][0][0].data
