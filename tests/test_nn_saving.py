"""Saving: states come back as they were; damaged files and failed writes change nothing."""

import json
import math
import os
import pickle
import random
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from strategies import EDGES

import nn
from autograd import MissingExtraError

ROOT = Path(__file__).parent.parent

SUFFIXES = [".json", ".npz"]


def small(seed: int = 0) -> nn.MLP:
    return nn.MLP(2, [3, 1], generator=random.Random(seed))


def bits(tree: Any) -> Any:
    """A state in which floats are told apart to the last bit, and from ints and bools."""
    if isinstance(tree, dict):
        return [(key, bits(part)) for key, part in tree.items()]
    if isinstance(tree, list | tuple):
        return [bits(part) for part in tree]
    return (type(tree).__name__, tree.hex() if isinstance(tree, float) else tree)


def is_left_alone(folder: Path, before: dict[str, bytes]) -> bool:
    """Whether a folder holds the files of before, with the same content, and nothing else."""
    return before == {path.name: path.read_bytes() for path in folder.iterdir()}


# Round trips.

finite = st.sampled_from(EDGES).filter(math.isfinite) | st.floats(allow_nan=False).filter(
    math.isfinite
)
texts = st.text(st.characters(exclude_categories=["Cs"]))
states = st.dictionaries(
    texts,
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.integers(-(2**200), 2**200) | finite | texts,
        lambda parts: st.lists(parts) | st.dictionaries(texts, parts),
        max_leaves=20,
    ),
)


@settings(max_examples=40)
@example({x.hex(): x for x in EDGES if math.isfinite(x)})
@given(states)
def test_a_state_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, state: dict[str, Any]
) -> None:
    path = tmp_path_factory.getbasetemp() / "state.json"
    nn.save_state(state, path)
    assert bits(state) == bits(nn.load_state(path))


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=40)
@given(numbers=st.lists(finite, min_size=13, max_size=13))
def test_a_model_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, numbers: list[float]
) -> None:
    path = str(tmp_path_factory.getbasetemp() / f"model{suffix}")
    model, twin = small(), small(1)
    for parameter, number in zip(model.parameters(), numbers, strict=True):
        parameter.data = number
    nn.save(model, path)
    nn.load(twin, path)
    assert bits(numbers) == bits(list(twin.state_dict().values()))


def test_a_tuple_comes_back_as_a_list(tmp_path: Path) -> None:
    nn.save_state({"betas": (0.9, (0.999, ()))}, tmp_path / "state")
    assert {"betas": [0.9, [0.999, []]]} == nn.load_state(tmp_path / "state")


@pytest.mark.parametrize("generator", [random.Random(0), np.random.default_rng(0).bit_generator])
def test_the_state_of_a_generator_can_be_saved(tmp_path: Path, generator: Any) -> None:
    state = generator.getstate() if isinstance(generator, random.Random) else generator.state
    nn.save_state({"generator": state}, tmp_path / "state")
    assert bits(state) == bits(nn.load_state(tmp_path / "state")["generator"])


def test_the_file_is_json_that_says_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    nn.save(small(), path)
    assert {
        "format": "scalar-autograd state",
        "version": 1,
        "state": small().state_dict(),
    } == json.loads(path.read_text(encoding="utf-8"))


def test_the_archive_is_numpys(tmp_path: Path) -> None:
    nn.save(small(), tmp_path / "model.npz")
    with np.load(tmp_path / "model.npz") as archive:
        assert list(small().state_dict()) == archive["names"].tolist()
        assert list(small().state_dict().values()) == archive["numbers"].tolist()
        assert np.float64 == archive["numbers"].dtype


def test_without_numpy_the_error_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nn.save(small(), tmp_path / "model.npz")
    monkeypatch.setitem(sys.modules, "numpy", None)
    for function in (nn.save, nn.load):
        with pytest.raises(MissingExtraError, match=r'pip install "scalar-autograd\[numpy\]"'):
            function(small(), tmp_path / "model.npz")


# What cannot be saved.

ring: list[Any] = []
ring.append(ring)

REFUSED: list[tuple[Any, type[Exception], str]] = [
    (None, TypeError, "state must be a dict, received the NoneType None"),
    ([("a", 1.0)], TypeError, r"state must be a dict, received the list \[\('a', 1.0\)\]"),
    ({"a": math.nan}, ValueError, r"state\['a'\] must be a finite number, received nan"),
    ({"a": [1, {"b": -math.inf}]}, ValueError, r"state\['a'\]\[1\]\['b'\] must be .*received -inf"),
    ({"a": {1: 2.0}}, TypeError, r"the keys of state\['a'\] must be texts, received 1"),
    ({"a": {2}}, TypeError, r"state\['a'\] must be a dict, list, .* received the set \{2\}"),
    ({"a": b"x"}, TypeError, r"state\['a'\] must be .* received the bytes b'x'"),
    ({"a": 1j}, TypeError, r"state\['a'\] must be .* received the complex 1j"),
    ({"a": nn.Parameter(1.0)}, TypeError, r"state\['a'\] must be .* received the Parameter"),
    ({"a": np.int64(1)}, TypeError, r"state\['a'\] must be .* received the int64"),
    ({"a": ring}, ValueError, "state must nest at most 100 deep"),
    ({"a": ["\ud800"]}, ValueError, r"state\['a'\]\[0\] must hold valid Unicode"),
    ({"\udfff": 1}, ValueError, "state must hold valid Unicode"),
    ({"a": 10**5000}, ValueError, "4300 digits"),
]


@pytest.mark.parametrize(("state", "error", "text"), REFUSED, ids=[x[2] for x in REFUSED])
def test_what_json_does_not_keep_is_refused(
    tmp_path: Path, state: Any, error: type[Exception], text: str
) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(b"before")
    with pytest.raises(error, match=text):
        nn.save_state(state, path)
    assert is_left_alone(tmp_path, {"state.json": b"before"})


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_weight_that_is_not_finite_is_refused(tmp_path: Path, suffix: str, number: float) -> None:
    model = small()
    model.layers[2].bias[0].data = number
    with pytest.raises(
        ValueError, match=rf"state\['layers.2.bias.0'\] must be .*received {number}"
    ):
        nn.save(model, tmp_path / f"model{suffix}")
    assert is_left_alone(tmp_path, {})


@pytest.mark.parametrize("function", [nn.save, nn.load])
def test_only_modules_are_saved_and_loaded(function: Any, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"model must be a Module, received the dict \{\}"):
        function({}, tmp_path / "model.json")


# Failed writes.


def full_disk(*_: Any) -> None:
    raise OSError(28, "No space left on device")


def interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


class Full:
    """A file that takes a few bytes and then no more."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def __enter__(self) -> "Full":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def write(self, content: bytes) -> None:
        self.file.write(content[:10])
        full_disk()


def fail_at(stage: str, failure: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    open_ = Path.open
    match stage:
        case "open":
            monkeypatch.setattr(Path, "open", failure)
        case "write":
            monkeypatch.setattr(Path, "open", lambda *arguments: Full(open_(*arguments)))
        case "fsync":
            monkeypatch.setattr(os, "fsync", failure)
        case "replace":
            monkeypatch.setattr(Path, "replace", failure)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("failure", [full_disk, interrupt])
@pytest.mark.parametrize("stage", ["open", "write", "fsync", "replace"])
def test_a_failed_write_leaves_the_file_of_before(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
    failure: Callable[..., None],
    suffix: str,
) -> None:
    path = tmp_path / f"model{suffix}"
    nn.save(small(), path)
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        fail_at(stage, failure, patch)
        with pytest.raises((OSError, KeyboardInterrupt)) as caught:
            nn.save(small(1), path)
    if caught.type is OSError:
        assert (28, "cannot save: No space left on device", str(path)) == (
            caught.value.errno,
            caught.value.strerror,
            caught.value.filename,
        )
    assert is_left_alone(tmp_path, {path.name: before})


def test_the_file_is_on_the_disk_before_it_replaces_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[Any] = []
    fsync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        fsync(descriptor)
        events.append(os.fstat(descriptor).st_size)

    def replaced(self: Path, target: Path) -> Path:
        events.append((self.parent, target.name, self.stat().st_size))
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    nn.save(small(), tmp_path / "model.json")
    size = (tmp_path / "model.json").stat().st_size
    assert [size, (tmp_path, "model.json", size)] == events


DYING = """
import os, sys, nn
os.fsync = lambda _: os._exit(9)
nn.save(nn.Linear(1, 1), sys.argv[1])
"""


def test_a_process_that_dies_leaves_the_file_of_before(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    nn.save(small(), path)
    before = path.read_bytes()
    done = subprocess.run([sys.executable, "-c", DYING, str(path)], cwd=ROOT, check=False)
    assert 9 == done.returncode
    assert before == path.read_bytes()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_permissions_are_those_of_before_or_the_usual_ones(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    before = os.umask(0o027)
    try:
        nn.save(small(), path)
    finally:
        os.umask(before)
    assert 0o640 == mode(path)
    path.chmod(0o604)
    nn.save(small(1), path)
    assert 0o604 == mode(path)


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    link = tmp_path / "model.json"
    link.symlink_to(inner / "real.json")
    nn.save(small(), link)
    assert link.is_symlink()
    assert [inner / "real.json"] == list(inner.iterdir())
    nn.load(small(1), link)


@pytest.mark.parametrize("path", ["folder", "pipe"])
def test_only_files_are_replaced(tmp_path: Path, path: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match=f"path must be that of a file, received '.*{path}'"):
        nn.save(small(), tmp_path / path)
    assert {"folder", "pipe"} == {x.name for x in tmp_path.iterdir()}


@pytest.mark.parametrize("path", ["absent/model.json", "file/model.json"])
def test_a_folder_that_is_none_is_named(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    for function in (nn.save, nn.load):
        with pytest.raises((FileNotFoundError, NotADirectoryError), match=path):
            function(small(), tmp_path / path)
    assert is_left_alone(tmp_path, {"file": b""})


# Damaged and hostile files.


def load_refused(model: nn.Module, path: Path) -> str:
    """What is said against the file, after which the model is as it was."""
    before = bits(model.state_dict())
    with pytest.raises(ValueError, match=r"^cannot load") as caught:
        nn.load(model, path)
    assert caught.type is ValueError
    assert before == bits(model.state_dict())
    assert f"cannot load {str(path)!r}: " in str(caught.value)
    return str(caught.value).partition(": ")[2]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model{suffix}"
    nn.save(small(), path)
    content = path.read_bytes()
    model = small(1)
    for size in range(len(content)):
        path.write_bytes(content[:size])
        load_refused(model, path)


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=150)
@given(data=st.data())
def test_changed_bytes_are_refused_or_leave_finite_numbers(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, data: st.DataObject
) -> None:
    """A changed digit of JSON is a number like any other; an archive has a sum of its bytes."""
    path = tmp_path_factory.getbasetemp() / f"flipped{suffix}"
    nn.save(small(), path)
    content = bytearray(path.read_bytes())
    places = st.integers(0, len(content) - 1)
    for place in data.draw(st.lists(places, min_size=1, max_size=3, unique=True)):
        content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    model = small(1)
    said = None
    try:
        nn.load(model, path)
    except ValueError as error:
        said = str(error)
    if said is not None:
        assert said.startswith(f"cannot load {str(path)!r}: ")
        assert small(1).state_dict() == model.state_dict()
    elif suffix == ".npz":
        assert small().state_dict() == model.state_dict()
    else:
        assert all(map(math.isfinite, model.state_dict().values()))


def document(state: Any, **other: Any) -> bytes:
    whole = {"format": "scalar-autograd state", "version": 1, "state": state, **other}
    return json.dumps(whole).encode()


NEURON = {"weight.0": 1.0, "weight.1": 2.0, "bias": 3.0}
"""The state of `Neuron(2)`."""

KEYS = "state must have exactly the keys of what it is loaded into; "

HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "Expecting value"),
    "text": (b"hello", "Expecting value"),
    "not UTF-8": (b'{"format": "\xff"}', "codec can't decode"),
    "UTF-16": (document(NEURON).decode().encode("utf-16"), "codec can't decode"),
    "a pickle": (pickle.dumps(NEURON), "codec can't decode"),
    "other JSON": (b'{"weight.0": 1.0}', "it holds no state written by save"),
    "a list": (b"[]", "it holds no state written by save"),
    "null": (b"null", "it holds no state written by save"),
    "another format": (document(NEURON, format="png"), "format must be .* received 'png'"),
    "a later version": (document(NEURON, version=2), "version must be 1, received 2"),
    "no version": (
        b'{"format": "scalar-autograd state", "state": {}}',
        "version must be 1, received None",
    ),
    "no state": (b'{"format": "scalar-autograd state", "version": 1}', "missing: 'state'"),
    "more": (document(NEURON, code="import os"), "unknown: 'code'"),
    "state: a list": (document([1.0]), r"state must be a dict, received \[1.0\]"),
    "state: null": (document(None), "state must be a dict, received None"),
    "missing": (document({"weight.0": 1.0, "bias": 3.0}), f"{KEYS}missing: 'weight.1'"),
    "unknown": (document({**NEURON, "x": 4.0}), f"{KEYS}missing: none; unknown: 'x'"),
    "of Neuron(3)": (document({**NEURON, "weight.2": 1.0}), f"{KEYS}.*unknown: 'weight.2'"),
    "NaN": (document({**NEURON, "bias": math.nan}), r"state\['bias'\] must be .*received nan"),
    "inf": (document({**NEURON, "bias": -math.inf}), r"state\['bias'\] must be .*received -inf"),
    "1e999": (document(NEURON).replace(b"3.0", b"1e999"), r"state\['bias'\] must be .*inf"),
    "a text": (document({**NEURON, "bias": "3.0"}), r"state\['bias'\] must be .*the str '3.0'"),
    "a bool": (document({**NEURON, "bias": True}), r"state\['bias'\] must be .*the bool True"),
    "nothing": (document({**NEURON, "bias": None}), r"state\['bias'\] must be .*NoneType None"),
    "a shape": (document({**NEURON, "bias": [3.0]}), r"state\['bias'\] must be .*the list \[3.0"),
    "a huge int": (document({**NEURON, "bias": 10**400}), r"state\['bias'\] must be .*received 1"),
    "a monstrous int": (document(NEURON).replace(b"3.0", b"9" * 10**6), "4300 digits"),
    "twice": (document(NEURON).replace(b"weight.1", b"bias"), "the key 'bias' is there twice"),
    "deep": (b"[" * 10**6, "recursion"),
    "deep state": (document(NEURON).replace(b"3.0", b"[" * 10**5 + b"]" * 10**5), "recursion"),
    "quite deep": (document(NEURON).replace(b"3.0", b"[" * 200 + b"]" * 200), "at most 100 deep"),
    "half a surrogate": (document({**NEURON, "bias": "\ud800"}), "valid Unicode"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_refused_and_named(tmp_path: Path, kind: str) -> None:
    content, text = HOSTILE[kind]
    path = tmp_path / "model.json"
    path.write_bytes(content)
    said = load_refused(nn.Neuron(2, generator=random.Random(0)), path)
    assert re.search(text, said)


def archive(path: Path, **changes: Any) -> None:
    arrays = {
        "format": "scalar-autograd state",
        "version": 1,
        "names": list(NEURON),
        "numbers": list(NEURON.values()),
        **changes,
    }
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


HOSTILE_ARCHIVES: dict[str, tuple[dict[str, Any], str]] = {
    "objects": ({"numbers": np.array([1.0, None, 2.0])}, "no archive that NumPy reads.*pickle"),
    "no numbers": ({"numbers": None}, "missing: 'numbers'"),
    "more": ({"code": 1}, "unknown: 'code'"),
    "another format": ({"format": "png"}, "format must be .* received 'png'"),
    "a later version": ({"version": 2}, "version must be 1, received 2"),
    "too few": ({"numbers": [1.0, 2.0]}, "zip"),
    "a number": ({"numbers": 1.0}, "float"),
    "a table": ({"names": [["weight.0", "weight.1", "bias"]]}, "zip|unhashable"),
    "nan": ({"numbers": [1.0, 2.0, math.nan]}, r"state\['bias'\] must be .*received nan"),
    "complex": ({"numbers": [1.0, 2.0, 3j]}, r"state\['weight.0'\] must be .*the complex"),
    "twice": ({"names": ["weight.0", "bias", "bias"]}, "the key 'bias' is there twice"),
    "unknown": ({"names": ["weight.0", "weight.1", "x"]}, "missing: 'bias'; unknown: 'x'"),
}


@pytest.mark.parametrize("kind", HOSTILE_ARCHIVES)
def test_a_hostile_archive_is_refused_and_named(tmp_path: Path, kind: str) -> None:
    changes, text = HOSTILE_ARCHIVES[kind]
    path = tmp_path / "model.npz"
    archive(path, **changes)
    said = load_refused(nn.Neuron(2, generator=random.Random(0)), path)
    assert re.search(text, said)


def test_no_code_in_a_file_runs(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "exploded",)

    for suffix in SUFFIXES:
        path = tmp_path / f"model{suffix}"
        path.write_bytes(pickle.dumps(Bomb()))
        load_refused(small(), path)
    archive(tmp_path / "objects.npz", numbers=np.array([Bomb(), Bomb(), Bomb()]))
    load_refused(nn.Neuron(2), tmp_path / "objects.npz")
    assert not (tmp_path / "exploded").exists()


def test_an_absent_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.json"):
        nn.load(small(), tmp_path / "absent.json")
    with pytest.raises(IsADirectoryError, match=tmp_path.name):
        nn.load(small(), tmp_path)
