"""Checkpoints: all that a training goes on from, kept after each epoch, put back, and saved."""

import os
from collections.abc import Mapping
from typing import Any

from nn import checks
from nn.history import History
from nn.module import Module
from nn.saving import PathLike, load_state, save_state


class Checkpoint:
    """The state of a training at the end of its last complete epoch.

    Args:
        model: whose Parameters it holds.
        history: of which it knows how many epochs were complete.
        parts: whatever else has a state_dict and a load_state_dict, by name.
    """

    def __init__(self, model: Module, history: History, parts: Mapping[str, Any]) -> None:
        self._model = model
        self._parameters = dict(model.named_parameters())
        self._history = history
        self._parts = parts
        self.keep()

    def keep(self) -> None:
        """Note the state of now."""
        self._kept = (
            [parameter.data for parameter in self._parameters.values()],
            {name: part.state_dict() for name, part in self._parts.items()},
            len(self._history),
        )

    def numbers(self) -> dict[str, float]:
        """The numbers of the Parameters of now: the model's state_dict."""
        return {name: parameter.data for name, parameter in self._parameters.items()}

    def restore(self) -> None:
        """Bring everything back to the state noted."""
        numbers, states, epochs = self._kept
        for parameter, number in zip(self._parameters.values(), numbers, strict=True):
            parameter.data = number
        for name, part in self._parts.items():
            part.load_state_dict(states[name])
        del self._history.records[epochs:]

    def save(self, path: PathLike) -> None:
        """Write the state noted into a file; see `save_state`."""
        numbers, states, _ = self._kept
        model = dict(zip(self._parameters, numbers, strict=True))
        save_state({"model": model, "history": self._history.state_dict(), **states}, path)

    def load(self, path: PathLike) -> None:
        """Go on from a file: wholly, or on an error not at all.

        Raises:
            ValueError: naming the file, if it is damaged or comes of another training.
        """
        state = load_state(path)
        parts = {"model": self._model, "history": self._history, **self._parts}
        try:
            found = checks.keys("the checkpoint", state, parts)
            for name, part in parts.items():
                part.load_state_dict(found[name])
        except (TypeError, ValueError) as error:
            self.restore()
            raise ValueError(f"cannot resume from {os.fspath(path)!r}: {error}") from error
        self._history.stopped = None
        self.keep()
