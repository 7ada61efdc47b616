"""What a thread has switched on: recording off, anomaly detection, transforms, a trace."""

import linecache
import os
import sys
import sysconfig
import threading
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

from autograd.environment import native

_OURS = (
    "<formula ",
    *(str(Path(__file__).parents[1] / package) + os.sep for package in ("autograd", "nn")),
)
"""How the names of files begin that hold our code."""

_lock = threading.Lock()

active: int = 0
"""How many modes are on in all threads together: while 0, recording asks nothing more."""

tracing: int = 0
"""How many traces run in all threads together: while 0, reading a Value asks nothing more."""


class Anomaly:
    """What `detect_anomaly` remembers: the line that recorded each node, by the node's stamp."""

    def __init__(self) -> None:
        self._lines: dict[int, str] = {}

    def remember(self, stamp: int) -> str:
        """Note the line of the user's code that is recording the node of this stamp."""
        self._lines[stamp] = calling_line()
        return self._lines[stamp]

    def line(self, stamp: int) -> str:
        """The line that recorded the node of this stamp."""
        return self._lines.get(stamp, "a line outside detect_anomaly()")


class _Thread(threading.local):
    recording: bool = True
    anomaly: Anomaly | None = None
    transforms: int = 0
    trace: Any = None  # tracing.Trace | None, which is built on Value


thread = _Thread()
"""The modes of the running thread."""


def calling_line() -> str:
    """The line of the user's code that is running: the innermost one outside all libraries."""
    here = sys._getframe()
    frame = _outside(here, _libraries()) or _outside(here, _OURS) or here
    filename, number = frame.f_code.co_filename, frame.f_lineno
    return f"{filename}:{number}: {linecache.getline(filename, number).strip()}"


def _outside(frame: FrameType | None, theirs: tuple[str, ...]) -> FrameType | None:
    """The innermost frame, from this one on, that is not theirs."""
    while frame and frame.f_code.co_filename.startswith(theirs):
        frame = frame.f_back
    return frame


@cache
def _libraries() -> tuple[str, ...]:
    """How the names of files begin that hold our code, that of Python and what is installed."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return "<frozen ", *(sysconfig.get_path(name) + os.sep for name in names), *_OURS


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


@contextmanager
def transforming() -> Generator[None]:
    """Inside a transform: record, even where no_grad() is on outside."""
    with enable_grad():
        _count_transform(1)
        try:
            yield
        finally:
            _count_transform(-1)


@contextmanager
def traced(trace: object) -> Generator[None]:
    """While a function is traced for compiling; a transform that turns it into a program."""
    before = thread.trace
    with all_off(), transforming():
        _count_trace(1)
        thread.trace = trace
        try:
            yield
        finally:
            thread.trace = before
            _count_trace(-1)


def _count_transform(change: int) -> None:
    thread.transforms += change
    if native:
        native.set_transforming(thread.transforms)


def _count_trace(change: int) -> None:
    global tracing
    with _lock:
        tracing += change
        if native:
            native.set_tracing(tracing)
