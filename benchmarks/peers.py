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
    "torch": _torch,
}
"""By peer: the function that imports it and gives its maker of leaves."""


def engines() -> list[Contestant]:
    """The engines of this project that are built here, then the installed peers."""
    ours = [Contestant("autograd (python)", "autograd", {"AUTOGRAD_ENGINE": "python"})]
    if autograd.engine == "native":
        ours.insert(0, Contestant("autograd (native)", "autograd", {"AUTOGRAD_ENGINE": "native"}))
    peers = [name for name in ("micrograd", "torch") if importlib.util.find_spec(name)]
    return ours + [Contestant(name, name) for name in peers]
