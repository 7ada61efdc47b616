"""What this installation is: its version, its engine, and a warning where the name is taken."""

import importlib.metadata
import os
import warnings
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
        return None
    return _native


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
