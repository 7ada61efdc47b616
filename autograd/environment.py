"""What this installation is: its version, its engine, and warnings where another is in its way."""

import importlib.metadata
import os
import sys
import warnings
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def _load_native() -> Any:
    wanted = os.environ.get("AUTOGRAD_ENGINE") or None
    if wanted not in (None, "native", "python"):
        raise ImportError(f"AUTOGRAD_ENGINE must be 'native' or 'python', received {wanted!r}")
    if wanted == "python":
        return None
    try:
        from autograd import _native
    except ModuleNotFoundError as error:
        if wanted == "native":
            raise ImportError(
                "AUTOGRAD_ENGINE is 'native', but the native engine is not built: install a C "
                "compiler, then scalar-autograd again with AUTOGRAD_REQUIRE_NATIVE=1"
            ) from error
        _warn_if_hiding_a_native_engine()
        return None
    return _native


def _warn_if_hiding_a_native_engine() -> None:
    """Warn where Python finds a checkout in which nothing is built before an installation."""
    folders = [str(Path(entry, "autograd/_native")) for entry in sys.path]
    if PathFinder.find_spec("engine", folders) is None:
        return
    warnings.warn(
        f"autograd was imported from {Path(__file__).parent}, where the native engine is not "
        "built, so the pure one serves, although one with the native engine is installed; remedy: "
        "run Python from another folder, or build the engine here with `pip install -e .`; "
        "AUTOGRAD_ENGINE=python says that the pure engine is meant",
        stacklevel=2,
    )


native: Any = _load_native()
"""The native engine, or None where the pure one serves."""

engine: str = "native" if native else "python"
"""Which engine records and differentiates; the variable AUTOGRAD_ENGINE chooses."""


def accelerated(pure: T) -> T:
    """The native twin of a class or function, where the native engine is on; else itself."""
    return native.twin(pure) if native else pure


def version() -> str:
    """The version of the installed distribution, or that of an uninstalled checkout."""
    try:
        return importlib.metadata.version("scalar-autograd")
    except importlib.metadata.PackageNotFoundError:
        return "0 (not installed)"


def warn_of_namesake() -> None:
    """Warn where HIPS autograd, which has the same import name, is installed as well."""
    try:
        importlib.metadata.distribution("autograd")
    except importlib.metadata.PackageNotFoundError:
        return
    warnings.warn(
        "the distributions `autograd` (HIPS) and `scalar-autograd` are both installed and both "
        "provide the import package `autograd`, so their files are mixed; remedy: install "
        "scalar-autograd into a fresh virtual environment",
        stacklevel=2,
    )


warn_of_namesake()
