"""What a thread has switched on: recording off (`no_grad`), anomaly detection, transforms."""

import linecache
import os
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from autograd.environment import native

_PACKAGE = str(Path(__file__).parent) + os.sep
_lock = threading.Lock()

active: int = 0
"""How many modes are on in all threads together: while 0, recording asks nothing more."""


class Anomaly:
    """What `detect_anomaly` remembers: the line that recorded each node, by the node's stamp."""

    def __init__(self) -> None:
        self._lines: dict[int, str] = {}

    def remember(self, stamp: int) -> str:
        """Note the line of the user's code that is recording the node of this stamp."""
        self._lines[stamp] = _calling_line()
        return self._lines[stamp]

    def line(self, stamp: int) -> str:
        """The line that recorded the node of this stamp."""
        return self._lines.get(stamp, "a line outside detect_anomaly()")


class _Thread(threading.local):
    recording: bool = True
    anomaly: Anomaly | None = None
    transforms: int = 0


thread = _Thread()
"""The modes of the running thread."""


def _calling_line() -> str:
    frame = sys._getframe()
    while frame.f_code.co_filename.startswith((_PACKAGE, "<formula ")) and frame.f_back:
        frame = frame.f_back
    filename, number = frame.f_code.co_filename, frame.f_lineno
    return f"{filename}:{number}: {linecache.getline(filename, number).strip()}"


def _count(change: int) -> None:
    global active
    with _lock:
        active += change
        if native:
            native.set_modes_active(active)


@contextmanager
def _switch(name: str, setting: object) -> Generator[None]:
    before = getattr(thread, name)
    turns_on = setting is not getattr(_Thread, name)
    _count(turns_on)
    setattr(thread, name, setting)
    try:
        yield
    finally:
        setattr(thread, name, before)
        _count(-turns_on)


@contextmanager
def no_grad() -> Generator[None]:
    """Record nothing in this thread: results are leaves that receive no gradient.

    A context manager and a decorator, as in PyTorch.
    """
    with _switch("recording", False):
        yield


@contextmanager
def enable_grad() -> Generator[None]:
    """Record again, inside `no_grad()`."""
    with _switch("recording", True):
        yield


@contextmanager
def detect_anomaly() -> Generator[None]:
    """Raise AnomalyError at the first value or gradient in this thread that is inf or nan.

    The error names the operation, its operands and the source line that recorded it. Recording
    is slower inside; outside nothing changes. A context manager and a decorator.
    """
    with _switch("anomaly", Anomaly()):
        yield


@contextmanager
def all_off() -> Generator[None]:
    """Record as outside of all modes: copying a graph is no computation."""
    with _switch("recording", True), _switch("anomaly", None):
        yield
