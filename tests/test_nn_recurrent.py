"""Recurrent networks: the cells' formulas, gradients through time, small tasks learned, errors."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
import nn
from autograd import StaleGraphError, Value
from nn import optim

CELLS: list[type[Any]] = [nn.RNNCell, nn.LSTMCell, nn.GRUCell]
NETWORKS: list[type[Any]] = [nn.RNN, nn.LSTM, nn.GRU]
BLOCKS = {nn.RNNCell: 1, nn.LSTMCell: 4, nn.GRUCell: 3}

every_cell = pytest.mark.parametrize("kind", CELLS)
every_network = pytest.mark.parametrize("kind", NETWORKS)


def data(tree: Any) -> Any:
    """The numbers of Values in nested lists and pairs."""
    return [data(x) for x in tree] if isinstance(tree, list | tuple) else tree.data


def noise(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).normal(size=shape).tolist()


def hidden(state: Any) -> Any:
    return state[0] if isinstance(state, tuple) else state


# The formulas.


def sigma(x: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-x))


def expected_step(cell: Any, x: Any, h: Any, c: Any) -> Any:
    """The next state, in arrays."""
    n = len(h)
    sums = [
        np.array(data(weight)) @ xs + (0.0 if bias is None else np.array(data(bias)))
        for weight, xs, bias in (
            (cell.weight_ih, x, cell.bias_ih),
            (cell.weight_hh, h, cell.bias_hh),
        )
    ]
    blocks = [(sums[0][i : i + n], sums[1][i : i + n]) for i in range(0, len(sums[0]), n)]
    if isinstance(cell, nn.GRUCell):
        r, z = (sigma(a + b) for a, b in blocks[:2])
        new = np.tanh(blocks[2][0] + r * blocks[2][1])
        return (1.0 - z) * new + z * h
    if isinstance(cell, nn.LSTMCell):
        i, f, g, o = (a + b for a, b in blocks)
        c = sigma(f) * c + sigma(i) * np.tanh(g)
        return sigma(o) * np.tanh(c), c
    return np.tanh(blocks[0][0] + blocks[0][1])


@every_cell
@given(st.integers(1, 3), st.integers(1, 4), st.booleans(), st.integers(0, 2**32))
def test_a_step_follows_the_formulas(
    kind: type[Any], n_in: int, n_hidden: int, bias: bool, seed: int
) -> None:
    cell = kind(n_in, n_hidden, bias, random.Random(seed))
    x, h, c = noise(seed, n_in), noise(seed + 1, n_hidden), noise(seed + 2, n_hidden)
    state = (h, c) if kind is nn.LSTMCell else h
    expected = expected_step(cell, np.array(x), np.array(h), np.array(c))
    np.testing.assert_allclose(data(cell(x, state)), expected, rtol=1e-12, atol=1e-15)


@every_cell
def test_without_a_state_a_cell_begins_at_zero(kind: type[Any]) -> None:
    cell = kind(2, 3, generator=random.Random(0))
    zeros = [0.0] * 3
    state = (zeros, zeros) if kind is nn.LSTMCell else zeros
    assert data(cell([1.0, -1.0], state)) == data(cell([1.0, -1.0]))


@every_cell
def test_names_and_sizes_are_pytorch_s(kind: type[Any]) -> None:
    cell, rows = kind(2, 3), 3 * BLOCKS[kind]
    names = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
    assert names == list(dict.fromkeys(name.split(".")[0] for name in cell.state_dict()))
    sizes = [len(cell.weight_ih), len(cell.weight_hh), len(cell.bias_ih), len(cell.bias_hh)]
    assert [rows] * 4 == sizes
    assert ({2}, {3}) == (set(map(len, cell.weight_ih)), set(map(len, cell.weight_hh)))
    assert rows * (2 + 3) == len(list(kind(2, 3, bias=False).parameters()))


@every_network
def test_a_network_is_its_cell_in_a_loop(kind: type[Any]) -> None:
    network, sequence = kind(2, 3, generator=random.Random(0)), noise(0, 5, 2)
    outputs, last = network(sequence)
    state, expected = None, []
    for x in sequence:
        state = network.cell(x, state)
        expected.append(data(hidden(state)))
    assert expected == data(outputs)
    assert data(state) == data(last)
    assert outputs[-1] is hidden(last), "many-to-one takes the last output"


@every_network
def test_a_sequence_in_parts_gives_the_same_numbers(kind: type[Any]) -> None:
    network, sequence = kind(2, 3, generator=random.Random(1)), noise(1, 6, 2)
    whole, last = network(sequence)
    first, between = network(sequence[:2])
    second, after = network(sequence[2:], nn.detach(between))
    assert data(whole) == data(first + second)
    assert data(last) == data(after)


@pytest.mark.parametrize("make", [tuple, np.array])
def test_sequences_and_states_are_lists_tuples_or_arrays(make: Callable[[Any], Any]) -> None:
    sequence, state = noise(2, 4, 2), noise(3, 3)
    for kind in (nn.RNN, nn.GRU):
        network = kind(2, 3, generator=random.Random(0))
        assert data(network(sequence, state)) == data(network(make(sequence), make(state)))
    network = nn.LSTM(2, 3, generator=random.Random(0))
    assert data(network(sequence, (state, state))) == data(
        network(make(sequence), make([state, state]))
    )


# Gradients through time.


@every_network
def test_the_gradient_of_a_shared_weight_is_the_sum_over_the_steps(kind: type[Any]) -> None:
    """Each step gets a cell of its own with the same numbers; their gradients add up."""
    network, sequence = kind(1, 2, generator=random.Random(0)), noise(0, 4, 1)
    outputs, _ = network(sequence)
    autograd.sum(outputs[-1]).backward()
    copies = [kind(1, 2).cell for _ in sequence]
    state = None
    for copy, x in zip(copies, sequence, strict=True):
        copy.load_state_dict(network.cell.state_dict())
        state = copy(x, state)
    autograd.sum(hidden(state)).backward()
    steps = [[p.grad for p in copy.parameters()] for copy in copies]
    assert all(any(g != 0.0 for g in step) for step in steps)
    shared = [p.grad for p in network.parameters()]
    assert pytest.approx(np.sum(steps, 0), rel=1e-12, abs=1e-15) == shared


@every_network
def test_no_gradient_flows_through_a_detached_state(kind: type[Any]) -> None:
    network = kind(1, 2, generator=random.Random(0))
    before, after = Value(0.5), Value(-1.0)
    _, state = network([[before]])
    outputs, _ = network([[after]], nn.detach(state))
    assert 0.0 == outputs[-1][0].gradient(before) != outputs[-1][0].gradient(after)
    connected, _ = network([[after]], state)
    assert connected[-1][0].gradient(before) != 0.0


def test_detach_keeps_numbers_and_structure() -> None:
    x = Value(3.0) * 2.0
    h, c = nn.detach(([x, 1.5], [Value(4.0)]))
    assert ([6.0, 1.5], [4.0]) == ([h[0].data, h[1]], data(c))
    assert (None, False) == (h[0].op, h[0].requires_grad)
    assert nn.detach(None) is None


def test_a_step_of_training_makes_a_state_stale_that_was_not_detached() -> None:
    network = nn.RNN(1, 1, generator=random.Random(0))
    optimizer = optim.SGD(network.parameters(), 0.1)
    outputs, state = network([[1.0]])
    outputs[-1][0].backward()
    optimizer.step()
    stale, _ = network([[1.0]], state)
    with pytest.raises(StaleGraphError):
        stale[-1][0].backward()
    fresh, _ = network([[1.0]], nn.detach(state))
    fresh[-1][0].backward()


def test_backpropagation_through_a_thousand_steps_is_no_recursion() -> None:
    network = nn.RNN(1, 1, bias=False)
    network.load_state_dict({"cell.weight_ih.0.0": 1.0, "cell.weight_hh.0.0": 1.0})
    x = Value(1e-6)
    outputs, _ = network([[x], *[[0.0]] * 999])
    assert pytest.approx(1.0, abs=1e-6) == outputs[-1][0].gradient(x)


# Learning.

Samples = list[tuple[list[list[float]], list[float]]]


class Tagger(nn.Module):
    """Many-to-many: one logit after each step."""

    def __init__(self, network: Any, generator: random.Random) -> None:
        self.network = network
        self.head = nn.Linear(network.cell.hidden_size, 1, generator=generator)

    def forward(self, sequence: Any, state: Any = None) -> tuple[list[Value], Any]:
        outputs, state = self.network(sequence, state)
        return [self.head(h)[0] for h in outputs], state


def echo(generator: random.Random, n: int) -> tuple[list[list[float]], list[float]]:
    """Bits, and as targets the bit before."""
    bits = [float(generator.randint(0, 1)) for _ in range(n)]
    return [[bit] for bit in bits], [0.0, *bits[:-1]]


def addition(generator: random.Random, n: int) -> tuple[list[list[float]], list[float]]:
    """The bits of two numbers, the lowest first, and those of their sum, which has n bits."""
    a, b = (generator.randrange(2 ** (n - 1)) for _ in range(2))
    bits = [[float(x >> i & 1) for i in range(n)] for x in (a, b, a + b)]
    return [list(pair) for pair in zip(bits[0], bits[1], strict=True)], bits[2]


def train(model: Tagger, lr: float, steps: int, sample: Callable[[], Any]) -> None:
    optimizer = optim.Adam(model.parameters(), lr)
    for _ in range(steps):
        sequences, targets = zip(*[sample() for _ in range(4)], strict=True)
        loss = nn.BCEWithLogitsLoss()([model(x)[0] for x in sequences], targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def mistakes(model: Tagger, samples: Samples) -> int:
    """How many bits are wrong."""
    return sum(
        (logit.data > 0.0) != (target == 1.0)
        for sequence, targets in samples
        for logit, target in zip(model(sequence)[0], targets, strict=True)
    )


@pytest.mark.parametrize(("kind", "steps"), [(nn.RNN, 60), (nn.GRU, 60), (nn.LSTM, 100)])
def test_echo_the_bit_before(kind: type[Any], steps: int) -> None:
    generator = random.Random(0)
    model = Tagger(kind(1, 4, generator=generator), generator)
    held_out = [echo(generator, 20) for _ in range(10)]
    assert mistakes(model, held_out) > 20
    train(model, 0.1, steps, lambda: echo(generator, 8))
    assert 0 == mistakes(model, held_out)


def test_addition_of_binary_numbers_longer_than_those_learned() -> None:
    generator = random.Random(0)
    model = Tagger(nn.RNN(2, 8, generator=generator), generator)
    held_out = [addition(generator, 12) for _ in range(20)]
    assert mistakes(model, held_out) > 60
    train(model, 0.03, 400, lambda: addition(generator, 5))
    assert 0 == mistakes(model, held_out)


def test_truncated_backpropagation_learns_from_one_long_sequence() -> None:
    generator = random.Random(0)
    model = Tagger(nn.RNN(1, 4, generator=generator), generator)
    optimizer = optim.Adam(model.parameters(), 0.1)
    sequence, targets = echo(generator, 600)
    state = None
    for start in range(0, 600, 6):
        part = slice(start, start + 6)
        logits, state = model(sequence[part], nn.detach(state))
        optimizer.zero_grad()
        nn.BCEWithLogitsLoss()(logits, targets[part]).backward()
        optimizer.step()
    assert 0 == mistakes(model, [echo(generator, 20) for _ in range(10)])


def test_many_to_one_remembers_the_first_of_four_bits() -> None:
    generator = random.Random(0)
    network, head = nn.LSTM(1, 4, generator=generator), nn.Linear(4, 1, generator=generator)
    sequences = [[[float(i >> k & 1)] for k in range(4)] for i in range(16)]
    targets = [sequence[0] for sequence in sequences]
    optimizer = optim.Adam([*network.parameters(), *head.parameters()], 0.1)

    def logits() -> list[Any]:
        return [head(network(sequence)[0][-1]) for sequence in sequences]

    for _ in range(40):
        optimizer.zero_grad()
        nn.BCEWithLogitsLoss()(logits(), targets).backward()
        optimizer.step()
    assert targets == [[float(y.data > 0.0)] for (y,) in logits()]


# Errors and text.


def test_the_repr_tells_the_sizes() -> None:
    assert (
        "GRU(\n  (cell): GRUCell(input_size=2, hidden_size=3, bias=False)\n)"
        == f"{nn.GRU(2, 3, bias=False)!r}"
    )


@pytest.mark.parametrize("seeded", [random.Random, np.random.default_rng])
@every_network
def test_a_generator_decides_the_first_weights(kind: type[Any], seeded: Any) -> None:
    states = [kind(2, 4, generator=seeded(seed)).state_dict() for seed in (1, 1, 2)]
    assert states[0] == states[1] != states[2]
    assert len(states[0]) == len(set(states[0].values()))
    assert all(-0.5 <= w <= 0.5 for w in states[0].values())


ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: nn.RNN(0, 1), ValueError, "input_size must be a whole number ≥ 1, received 0"),
    (lambda: nn.LSTMCell(1, 0), ValueError, "hidden_size must be a whole number ≥ 1, received 0"),
    (lambda: nn.GRU(1, 1.0), TypeError, "hidden_size .* received the float 1.0"),
    (lambda: nn.GRU(1, 1, generator=0), TypeError, "generator must be a random.Random"),
    (
        lambda: nn.RNNCell(2, 1)([1.0]),
        ValueError,
        r"inputs must be a list of 2 numbers or Values for RNNCell\(input_size=2, .*received 1",
    ),
    (lambda: nn.RNNCell(1, 1)([[1.0]]), TypeError, "one sample at a time"),
    (
        lambda: nn.RNNCell(1, 2)([1.0], [1.0]),
        ValueError,
        r"state must be None or a list of 2 numbers or Values for RNNCell.*received \[1.0\]",
    ),
    (lambda: nn.GRUCell(1, 2)([1.0], ([1.0, 1.0], [1.0, 1.0])), ValueError, "state must be None"),
    (lambda: nn.GRUCell(1, 1)([1.0], 0.0), ValueError, "received 0.0"),
    (
        lambda: nn.LSTMCell(1, 2)([1.0], [1.0, 1.0]),
        ValueError,
        r"h must be None or a list of 2 numbers or Values for LSTMCell.*received 1.0",
    ),
    (
        lambda: nn.LSTMCell(1, 1)([1.0], ([1.0], [1.0, 2.0])),
        ValueError,
        r"c must be None or a list of 1 numbers or Values for LSTMCell.*received \[1.0, 2.0\]",
    ),
    (
        lambda: nn.LSTMCell(1, 1)([1.0], [1.0]),
        ValueError,
        r"state must be None or a pair \(h, c\) for LSTMCell.*received \[1.0\]",
    ),
    (
        lambda: nn.LSTM(3, 1)([]),
        ValueError,
        r"sequence must be a list of at least one step, each a list of 3 inputs, received \[\]",
    ),
    (lambda: nn.RNN(1, 1)(1.0), ValueError, "sequence must be a list .* received 1.0"),
    (lambda: nn.RNN(1, 1)([1.0]), TypeError, "inputs must be a list of 1 .*the float 1.0"),
]


@pytest.mark.parametrize(("call", "error", "text"), ERRORS)
def test_bad_arguments(call: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()
