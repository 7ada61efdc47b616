"""The scalar engines that are compared, each as a maker of leaves; absent ones are left out."""

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import autograd
from benchmarks.contest import Contestant


def _autograd() -> Callable[[float], Any]:
    return importlib.import_module("autograd").Value


def _micrograd() -> Callable[[float], Any]:
    return importlib.import_module("micrograd.engine").Value


def _minigrad() -> Callable[[float], Any]:
    return importlib.import_module("minigrad.engine").Value


def _casadi() -> Callable[[float], Any]:
    symbols = importlib.import_module("casadi").SX
    return lambda _: symbols.sym("x")


def _torch() -> Callable[[float], Any]:
    torch = importlib.import_module("torch")
    torch.set_num_threads(1)
    return lambda x: torch.tensor(x, dtype=torch.float64, requires_grad=True)


def _float() -> Callable[[float], Any]:
    return float


LEAVES: dict[str, Callable[[], Callable[[float], Any]]] = {
    "float": _float,
    "autograd": _autograd,
    "micrograd": _micrograd,
    "minigrad": _minigrad,
    "casadi": _casadi,
    "torch": _torch,
}
"""By peer: the function that imports it and gives its maker of leaves."""


def engines() -> list[Contestant]:
    """The engines of this project that are built here, then the installed peers."""
    ours = [Contestant("autograd (python)", "autograd", {"AUTOGRAD_ENGINE": "python"})]
    if autograd.engine == "native":
        ours.insert(0, Contestant("autograd (native)", "autograd", {"AUTOGRAD_ENGINE": "native"}))
    return ours + _installed("micrograd", "torch")


def recorders() -> list[Contestant]:
    """The engines, and those of which only the recording of one operation is compared.

    minigrad 0.0.6 gives away references to None and ends the process when a graph is freed;
    CasADi's SX graphs hold symbols, without numbers and without a backward pass.
    """
    return engines() + _installed("minigrad", "casadi")


def _installed(*names: str) -> list[Contestant]:
    return [Contestant(name, name) for name in names if importlib.util.find_spec(name)]
