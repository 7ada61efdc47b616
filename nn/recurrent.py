"""Recurrent networks: cells that pass a state from step to step, and their run over a sequence."""

import math
from collections.abc import Sequence
from typing import Any

from autograd import no_grad, pos, sigmoid, tanh
from nn import checks, init
from nn.init import Generator
from nn.layers import weighted_sums
from nn.module import Module, Parameter

Table = list[list[Parameter]]
Hidden = list[Any]
"""hidden_size numbers or Values."""


def detach(state: Any) -> Any:
    """The state without its past: the same numbers, through which no gradient flows.

    Truncated backpropagation through time is a loop over parts of a sequence, each of which begins
    with `outputs, state = model(part, nn.detach(state))`; None, the state before the first, stays.
    """
    with no_grad():
        return None if state is None else pos(state)


class _Cell(Module):
    """One step: the next state, of the inputs of the step and the state before it.

    Args:
        input_size: how many inputs a step has.
        hidden_size: how many numbers the hidden state has.
        bias: whether there are biases; as in PyTorch, one beside each of the two weights.
        generator: draws the first weights, between ±1/√hidden_size as PyTorch does; see `init`.
    """

    gates: int
    """How many blocks of hidden_size rows the weights have, one below the other."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        generator: Generator | None = None,
    ) -> None:
        self.input_size = checks.whole("input_size", input_size, at_least=1)
        self.hidden_size = checks.whole("hidden_size", hidden_size, at_least=1)
        rows = self.gates * hidden_size
        self.weight_ih = _table(rows, input_size)
        self.weight_hh = _table(rows, hidden_size)
        biased = checks.flag("bias", bias)
        self.bias_ih = [Parameter(0.0) for _ in range(rows)] if biased else None
        self.bias_hh = [Parameter(0.0) for _ in range(rows)] if biased else None
        bound = 1.0 / math.sqrt(hidden_size)
        init.uniform_(list(self.parameters()), generator, -bound, bound)

    def hidden(self, state: Any) -> Hidden:
        """The hidden state: what the rest of the network sees of a state."""
        return state

    def _sums(self, inputs: Any, hidden: Hidden) -> tuple[list[Hidden], list[Hidden]]:
        """W_ih x + b_ih and W_hh h + b_hh, each gate by gate."""
        return (
            self._by_gate(weighted_sums(self.weight_ih, inputs, self.bias_ih, self)),
            self._by_gate(weighted_sums(self.weight_hh, hidden, self.bias_hh, self)),
        )

    def _by_gate(self, sums: Hidden) -> list[Hidden]:
        return [sums[i : i + self.hidden_size] for i in range(0, len(sums), self.hidden_size)]

    def _vector(self, name: str, xs: Any) -> Hidden:
        """A part of the state: zeros where nothing is given.

        Raises:
            TypeError: if it holds anything but numbers and Values.
            ValueError: if it is no list of hidden_size of them.
        """
        if xs is None:
            return [0.0] * self.hidden_size
        if checks.is_list(xs) and len(xs) == self.hidden_size and not any(map(checks.is_list, xs)):
            checks.numbers_or_values(name, xs)
            return xs
        raise ValueError(
            f"{name} must be None or a list of {self.hidden_size} numbers or Values for {self!r}, "
            f"received {xs!r}"
        )

    def extra_repr(self) -> str:
        """The sizes."""
        return (
            f"input_size={self.input_size}, hidden_size={self.hidden_size}, "
            f"bias={self.bias_ih is not None}"
        )


class RNNCell(_Cell):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh) (Elman, 1990). The state is the list h."""

    gates = 1

    def forward(self, inputs: Sequence[Any], state: Hidden | None = None) -> Hidden:
        """The next state.

        Raises:
            ValueError: if the inputs or the state have another size.
        """
        ((xs,), (hs,)) = self._sums(inputs, self._vector("state", state))
        return tanh(_added(xs, hs))


class LSTMCell(_Cell):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997; forget gate: Gers et al., 2000).

    The state is the pair (h, c). With i, f, o = σ(…) and g = tanh(…) of W_ih x + b_ih + W_hh h +
    b_hh, whose blocks of rows are i, f, g, o: c' = f c + i g, h' = o tanh(c').
    """

    gates = 4

    def forward(
        self, inputs: Sequence[Any], state: tuple[Hidden, Hidden] | None = None
    ) -> tuple[Hidden, Hidden]:
        """The next state.

        Raises:
            ValueError: if the inputs or the state have another size.
        """
        hidden, cells = self._state(state)
        sums = zip(*self._sums(inputs, hidden), strict=True)
        i, f, g, o = (_added(xs, hs) for xs, hs in sums)
        gated = zip(sigmoid(f), cells, sigmoid(i), tanh(g), strict=True)
        new_cells = [forget * c + write * new for forget, c, write, new in gated]
        new_hidden = [o * c for o, c in zip(sigmoid(o), tanh(new_cells), strict=True)]
        return new_hidden, new_cells

    def hidden(self, state: tuple[Hidden, Hidden]) -> Hidden:
        """The hidden state: what the rest of the network sees of a state."""
        return state[0]

    def _state(self, state: Any) -> tuple[Hidden, Hidden]:
        if state is not None and not (checks.is_list(state) and len(state) == 2):
            raise ValueError(
                f"state must be None or a pair (h, c) for {self!r}, received {state!r}"
            )
        h, c = (None, None) if state is None else state
        return self._vector("h", h), self._vector("c", c)


class GRUCell(_Cell):
    """Gated recurrent unit (Cho et al., 2014), in PyTorch's form. The state is the list h.

    With r, z = σ(W_ih x + b_ih + W_hh h + b_hh) and n = tanh(W_ih x + b_ih + r (W_hh h + b_hh)),
    each of its own block of rows, r, z, n: h' = (1 - z) n + z h.
    """

    gates = 3

    def forward(self, inputs: Sequence[Any], state: Hidden | None = None) -> Hidden:
        """The next state.

        Raises:
            ValueError: if the inputs or the state have another size.
        """
        hidden = self._vector("state", state)
        (r_x, z_x, n_x), (r_h, z_h, n_h) = self._sums(inputs, hidden)
        reset, keep = sigmoid(_added(r_x, r_h)), sigmoid(_added(z_x, z_h))
        new = [tanh(x + r * h) for x, r, h in zip(n_x, reset, n_h, strict=True)]
        return [(1.0 - z) * n + z * h for z, n, h in zip(keep, new, hidden, strict=True)]


class _Recurrent(Module):
    """A cell run over a sequence: many-to-many by its outputs, many-to-one by the last of them.

    Args:
        input_size: how many inputs a step has.
        hidden_size: how many numbers the hidden state has.
        bias: whether the cell has biases.
        generator: draws the first weights; see `init`.
    """

    cell_type: type[_Cell]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        generator: Generator | None = None,
    ) -> None:
        self.cell = self.cell_type(input_size, hidden_size, bias, generator)

    def forward(self, sequence: Sequence[Any], state: Any = None) -> tuple[list[Hidden], Any]:
        """The hidden state after each step, and the state after the last.

        Args:
            sequence: the inputs of each step.
            state: the state before the first step; zeros where none is given.

        Raises:
            TypeError: if the sequence is no list of lists.
            ValueError: if it has no step, or the inputs or the state have another size.
        """
        if not checks.is_list(sequence) or not len(sequence):
            raise ValueError(
                "sequence must be a list of at least one step, each a list of "
                f"{self.cell.input_size} inputs, received {sequence!r}"
            )
        outputs = list[Hidden]()
        for inputs in sequence:
            state = self.cell(inputs, state)
            outputs.append(self.cell.hidden(state))
        return outputs, state


class RNN(_Recurrent):
    """`RNNCell` run over a sequence; returns the outputs and the last state h."""

    cell_type = RNNCell


class LSTM(_Recurrent):
    """`LSTMCell` run over a sequence; returns the outputs and the last state (h, c)."""

    cell_type = LSTMCell


class GRU(_Recurrent):
    """`GRUCell` run over a sequence; returns the outputs and the last state h."""

    cell_type = GRUCell


def _table(rows: int, columns: int) -> Table:
    return [[Parameter(0.0) for _ in range(columns)] for _ in range(rows)]


def _added(xs: Hidden, hs: Hidden) -> Hidden:
    return [x + h for x, h in zip(xs, hs, strict=True)]
