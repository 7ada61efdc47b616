"""`History`: what a training recorded, epoch by epoch."""

import math
from collections.abc import Iterator
from typing import Any, cast

from nn import checks

Record = dict[str, float]


def described(record: Record) -> str:
    """The numbers of an epoch in one line, to four digits."""
    return ", ".join(f"{name}={x:.4g}" for name, x in record.items() if name != "epoch")


class History:
    """The records of a training, one for each epoch that was completed.

    Attributes:
        records: for each epoch its number "epoch", from 1; "train_loss", the mean over its batches,
            each taken before its step and without the penalty; the metrics, by name;
            "validation_loss" and "validation_…" the metrics, taken at the end of the epoch, where
            there are validation data; and the "learning_rate" that its steps had.
        stopped: why the training ended before its last epoch, or None.
    """

    def __init__(self) -> None:
        self.records = list[Record]()
        self.stopped: str | None = None

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __getitem__(self, name: str) -> list[float]:
        """A column: the numbers of that name, epoch by epoch; empty if they were not recorded."""
        return [record[name] for record in self.records if name in record]

    @property
    def train_loss(self) -> list[float]:
        """The loss on the training data, epoch by epoch."""
        return self["train_loss"]

    @property
    def validation_loss(self) -> list[float]:
        """The loss on the validation data, epoch by epoch; empty if there were none."""
        return self["validation_loss"]

    @property
    def learning_rate(self) -> list[float]:
        """The learning rate, epoch by epoch."""
        return self["learning_rate"]

    def plot(self, ax: Any = None) -> Any:
        """Draw the curves with matplotlib; see `plot_history`."""
        from nn.plotting import plot_history

        return plot_history(self, ax)

    def __repr__(self) -> str:
        parts = ["1 epoch" if len(self) == 1 else f"{len(self)} epochs"]
        parts += [described(record) for record in self.records[-1:]]
        parts += [f"stopped: {self.stopped}"] if self.stopped else []
        return f"History({'; '.join(parts)})"

    def state_dict(self) -> dict[str, Any]:
        """The records and why they end; fit for JSON, with texts for nan and inf."""
        return {"records": [_encoded(record) for record in self.records], "stopped": self.stopped}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the records of a state; on an error nothing changes.

        Raises:
            TypeError: if a part is of the wrong type.
            ValueError: if a name is missing or unknown.
        """
        found = checks.keys("state", state, self.state_dict())
        if not isinstance(found["records"], list):
            raise TypeError(f"state['records'] must be a list, received {found['records']!r}")
        if not isinstance(found["stopped"], str | None):
            raise TypeError(
                f"state['stopped'] must be a text or None, received {found['stopped']!r}"
            )
        self.records = [_decoded(record) for record in cast(list[object], found["records"])]
        self.stopped = found["stopped"]


_WORDS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
"""The numbers that JSON has no word for."""


def _encoded(record: Record) -> dict[str, float | str]:
    return {name: x if math.isfinite(x) else str(x) for name, x in record.items()}


def _decoded(record: object) -> Record:
    if not isinstance(record, dict):
        raise TypeError(f"state['records'] must hold dicts, received {record!r}")
    return {name: _number(name, x) for name, x in cast(dict[str, object], record).items()}


def _number(name: str, x: Any) -> float:
    if isinstance(x, str) and x in _WORDS:
        return _WORDS[x]
    number = checks.real(f"{name} in state['records']", x)
    return x if isinstance(x, int) else number
