"""Saving: states as files, written whole or not at all, and read back digit for digit."""

import io
import json
import os
import secrets
import shutil
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

from autograd import MissingExtraError
from nn import checks
from nn.module import Module, check_module

_FORMAT = "scalar-autograd state"
_VERSION = 1
_DEEPEST = 100

PathLike = str | os.PathLike[str]


def save(model: Module, path: PathLike) -> None:
    """Write the number of every Parameter to a file, for `load`.

    The file is as `save_state` writes it, or, where the name ends in .npz, an archive for NumPy
    with the arrays `names` and `numbers`. A file of that name is replaced, but only by a whole new
    one: on any error, or if the machine stops, it stays as it was.

    Raises:
        ValueError: if a Parameter is nan or infinite.
        MissingExtraError: for .npz, if NumPy is not installed.
    """
    check_module(model)
    _write(path, _pack(model.state_dict()) if _is_npz(path) else _encode(model.state_dict()))


def load(model: Module, path: PathLike) -> None:
    """Write the numbers of a file by `save` into the Parameters: all, or none on an error.

    Raises:
        ValueError: naming the file, if it is damaged or of another kind, and the keys that are
            missing, unknown or hold anything but a finite number.
        MissingExtraError: for .npz, if NumPy is not installed.
    """
    check_module(model)
    state = _unpack(path) if _is_npz(path) else load_state(path)
    with _naming(path):
        model.load_state_dict(state)


def save_state(state: Mapping[str, Any], path: PathLike) -> None:
    """Write a state, such as `optimizer.state_dict()`, to a JSON file, for `load_state`.

    A file of that name is replaced, but only by a whole new one: on any error, or if the machine
    stops, it stays as it was.

    Args:
        state: dicts with text as keys, lists, texts, whole and finite numbers, bools and None,
            nested at most 100 deep. Tuples come back as lists.
        path: the file.

    Raises:
        TypeError: if the state holds anything else.
        ValueError: if it holds nan or inf, which JSON has no words for, or nests too deep.
    """
    _write(path, _encode(state))


def load_state(path: PathLike) -> dict[str, Any]:
    """The state in a file written by `save_state`, the same to the last digit.

    Raises:
        ValueError: naming the file, if it is damaged, of another kind or of a later version.
    """
    content = Path(path).read_bytes()
    with _naming(path):
        return _decode(content)


@contextmanager
def _naming(path: PathLike) -> Generator[None]:
    """Names the file in what is said against its content."""
    try:
        yield
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"cannot load {os.fspath(path)!r}: {error}") from None


# JSON.


def _encode(state: Mapping[str, Any]) -> bytes:
    if not isinstance(state, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"state must be a dict, received the {type(state).__name__} {state!r}")
    document = {"format": _FORMAT, "version": _VERSION, "state": dict(state)}
    _check("state", document["state"])
    return json.dumps(document, ensure_ascii=False).encode()


def _decode(content: bytes) -> dict[str, Any]:
    document = json.loads(content.decode(), object_pairs_hook=_once)
    if not isinstance(document, dict) or "format" not in document:
        raise ValueError("it holds no state written by save or save_state")
    document = cast(dict[str, Any], document)
    _refuse_other_formats(document["format"], document.get("version"))
    state = checks.keys("the file", document, ("format", "version", "state"))["state"]
    if not isinstance(state, dict):
        raise TypeError(f"state must be a dict, received {state!r}")
    _check("state", cast(object, state))
    return cast(dict[str, Any], state)


def _once(items: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """A dict of what JSON would let stand twice, the last in force."""
    found = dict[str, Any]()
    for key, item in items:
        if key in found:
            raise ValueError(f"the key {key!r} is there twice")
        found[key] = item
    return found


def _refuse_other_formats(format: object, version: object) -> None:
    if format != _FORMAT:
        raise ValueError(f"its format must be {_FORMAT!r}, received {format!r}")
    if version != _VERSION:
        raise ValueError(f"its version must be {_VERSION}, received {version!r}")


def _check(place: str, item: Any, depth: int = 0) -> None:
    """Refuse what JSON would not bring back as it was."""
    if depth > _DEEPEST:
        raise ValueError(f"state must nest at most {_DEEPEST} deep")
    if isinstance(item, dict):
        for key, part in cast(dict[object, Any], item).items():
            if not isinstance(key, str):
                raise TypeError(f"the keys of {place} must be texts, received {key!r}")
            _check(f"{place}[{_text(place, key)!r}]", part, depth + 1)
    elif isinstance(item, (list, tuple)):
        for i, part in enumerate(cast(list[Any], item)):
            _check(f"{place}[{i}]", part, depth + 1)
    elif isinstance(item, str):
        _text(place, item)
    elif isinstance(item, float):
        checks.real(place, item)
    elif not (item is None or isinstance(item, int)):
        raise TypeError(
            f"{place} must be a dict, list, text, number, bool or None, "
            f"received the {type(item).__name__} {item!r}"
        )


def _text(place: str, text: str) -> str:
    """The text, which a file can hold: one with half a surrogate pair cannot be encoded."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{place} must hold valid Unicode, received {text!r}") from None
    return text


# NumPy's archives.


def _is_npz(path: PathLike) -> bool:
    return Path(path).suffix == ".npz"


def _numpy() -> Any:
    try:
        import numpy
    except ImportError:
        raise MissingExtraError(
            'a file of type .npz needs NumPy: run `pip install "scalar-autograd[numpy]"`, '
            "or choose another ending to get JSON"
        ) from None
    return numpy


def _pack(state: dict[str, float]) -> bytes:
    numpy = _numpy()
    _check("state", state)
    file = io.BytesIO()
    arrays = {"names": list(state), "numbers": list(state.values())}
    numpy.savez(file, format=_FORMAT, version=_VERSION, **arrays)
    return file.getvalue()


def _unpack(path: PathLike) -> dict[str, Any]:
    numpy = _numpy()
    content = io.BytesIO(Path(path).read_bytes())
    with _naming(path):
        try:
            with numpy.load(content, allow_pickle=False) as archive:
                parts = {name: archive[name].tolist() for name in archive.files}
        except Exception as error:  # NumPy and zipfile raise a dozen kinds
            raise ValueError(f"it is no archive that NumPy reads: {error!r}") from None
        _refuse_other_formats(parts.get("format"), parts.get("version"))
        parts = checks.keys("the file", parts, ("format", "version", "names", "numbers"))
        return _once(zip(parts["names"], parts["numbers"], strict=True))


# Files.


def _write(path: PathLike, content: bytes) -> None:
    """Make a file of the content; first a new file beside it, which takes its place when whole."""
    target = Path(path).resolve()  # a link stays, what it points to is replaced
    if target.exists() and not target.is_file():
        raise ValueError(f"path must be that of a file, received {os.fspath(path)!r}")
    beside = target.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with beside.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, beside)
        beside.replace(target)
    except BaseException as error:
        with suppress(OSError):
            beside.unlink()
        if isinstance(error, OSError):  # it names the file beside
            raise OSError(error.errno, f"cannot save: {error.strerror}", str(target)) from None
        raise
