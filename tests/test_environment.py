"""What the package does as it is imported: with its documentation stripped, or in another's way."""

import os
import shutil
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from autograd import environment

ROOT = Path(__file__).parent.parent


def printed(code: str, folder: Path, *options: str, **variables: str) -> tuple[str, str]:
    """What a Python that starts in the folder prints, with these variables: output and errors."""
    inherited = {k: x for k, x in os.environ.items() if not k.startswith(("AUTOGRAD_", "PYTHON"))}
    command = [sys.executable, *options, "-c", code]
    done = subprocess.run(
        command, cwd=folder, env=inherited | variables, capture_output=True, encoding="utf-8"
    )
    assert 0 == done.returncode, done.stderr
    return done.stdout.strip(), done.stderr


@pytest.mark.parametrize("choice", ["", "python"])
@pytest.mark.parametrize("option", ["-O", "-OO"])
def test_a_python_that_strips_documentation(option: str, choice: str):
    code = "import autograd; x = autograd.Value(3.0); (x * x).backward(); print(x.grad)"
    assert ("6.0", "") == printed(code, ROOT, option, AUTOGRAD_ENGINE=choice)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout in which nothing is built."""
    without = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
    shutil.copytree(ROOT / "autograd", tmp_path / "checkout" / "autograd", ignore=without)
    return tmp_path / "checkout"


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder on the path as if the native engine had been installed there."""
    native = tmp_path / "installed" / "autograd" / "_native"
    native.mkdir(parents=True)
    (native / f"engine{EXTENSION_SUFFIXES[0]}").touch()
    return tmp_path / "installed"


ENGINE = "import autograd; print(autograd.engine)"


def test_a_checkout_that_hides_a_native_engine_says_so(checkout: Path, installed: Path):
    output, errors = printed(ENGINE, checkout, PYTHONPATH=str(installed))
    assert "python" == output
    assert 1 == errors.count("UserWarning")
    for part in (str(checkout), "run Python from another folder", "pip install -e ."):
        assert part in errors


def test_where_no_native_engine_is_hidden_nothing_is_said(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys, "path", [str(checkout), str(checkout / "missing"), "", __file__])
    monkeypatch.chdir(checkout)
    environment._warn_if_hiding_a_native_engine()


def test_a_pure_engine_that_is_meant_needs_no_warning(checkout: Path, installed: Path):
    variables = {"PYTHONPATH": str(installed), "AUTOGRAD_ENGINE": "python"}
    assert ("python", "") == printed(ENGINE, checkout, **variables)
