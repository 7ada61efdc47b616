"""The native engine: the same results as the pure one, bit for bit, and safe in memory."""

import gc
import inspect
import os
import pickle
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import Foreign, Parameter, Program, Slotted, bits, outcome
from strategies import EDGES, Recipe, graphs

import autograd
from autograd import Value, functional, graph, ops

if autograd.engine != "native":
    pytest.skip("the native engine is not built or not chosen", allow_module_level=True)

from autograd._native import engine, generate

ROOT = Path(__file__).parent.parent
ROWS = [*ops.TABLE.values()]

every_row = pytest.mark.parametrize("row", ROWS, ids=str)


def command(choice: str, *arguments: str) -> dict[str, Any]:
    """How to start Python with a chosen engine."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environment = os.environ | {"AUTOGRAD_ENGINE": choice, "PYTHONPATH": path}
    return {"args": [sys.executable, *arguments], "env": environment, "cwd": ROOT}


def run(choice: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(**command(choice, *arguments), capture_output=True, text=True)


def output(choice: str, code: str) -> str:
    done = run(choice, "-c", code)
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout.strip()


# The same as the pure engine.


@pytest.mark.parametrize("seed", range(4))
def test_a_program_runs_alike_in_both_engines(seed: int):
    arguments = ("tests/programs.py", str(seed), "20000")
    native, python = (run(choice, *arguments) for choice in ("native", "python"))
    assert (0, "", 0, "") == (native.returncode, native.stderr, python.returncode, python.stderr)
    assert python.stdout.splitlines() == native.stdout.splitlines()


@pytest.fixture(scope="module")
def pure_outcome() -> Iterator[Callable[[Recipe], list[str]]]:
    process = subprocess.Popen(
        **command("python", "tests/programs.py", "serve"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdin
        assert process.stdout
        requests, answers = process.stdin, process.stdout

        def answer(recipe: Recipe) -> list[str]:
            requests.write(pickle.dumps(recipe))
            requests.flush()
            return pickle.load(answers)

        yield answer
        requests.close()


def without_stamps(lines: list[str]) -> list[str]:
    return [line.split(", stamp ")[0] for line in lines]


@settings(max_examples=200, deadline=None)
@given(recipe=graphs(max_steps=25))
def test_graphs_agree_bit_for_bit(pure_outcome: Callable[[Recipe], list[str]], recipe: Recipe):
    assert without_stamps(pure_outcome(recipe)) == without_stamps(outcome(recipe))


@every_row
def test_kernels_agree_bit_for_bit(row: ops.Op):
    function = getattr(engine, row.name)
    for x in EDGES:
        for y in EDGES if row.arity == 2 else EDGES[:1]:
            operands = (x, y)[: row.arity]
            z = row.function(*operands)
            assert bits(z) == bits(function(*operands)), operands
            leaves = [Value(operand) for operand in operands]
            function(*leaves).backward()
            expected = [bits(1.0 * rule(*(*operands, 0.0)[:2], z)) for rule in row.rules]
            assert expected == [bits(leaf.grad) for leaf in leaves], operands


DUMP = """
import pickle, sys
from autograd import Value
x, w = Value(0.5, "x"), Value(1.5, "w")
y = (x * w + 2.0).sigmoid() + x
y.backward()
sys.stdout.write(pickle.dumps([y, x, w, Value(3.0, requires_grad=False)]).hex())
"""

LOAD = """
import pickle, sys
from programs import show
y, x, w, c = pickle.loads(bytes.fromhex({!r}))
y.backward()
print([show(v).split(", stamp")[0] for v in (y, x, w, c, *y.operands)])
"""


def test_pickles_cross_between_the_engines():
    dumps = {choice: output(choice, DUMP) for choice in ("native", "python")}
    assert dumps["python"] == dumps["native"]
    loaded = {choice: output(choice, LOAD.format(dumps["native"])) for choice in dumps}
    assert loaded["python"] == loaded["native"]


def test_the_pure_engine_serves_on_demand():
    assert "python" == output("python", "import autograd; print(autograd.engine)")
    assert "native" == output("native", "import autograd; print(autograd.engine)")
    assert "native" == output("", "import autograd; print(autograd.engine)")


def test_an_unknown_engine_is_an_error():
    assert (
        "AUTOGRAD_ENGINE must be 'native' or 'python', received 'c'"
        in run("c", "-c", "import autograd").stderr
    )


def test_another_table_is_an_error():
    code = """
import autograd.ops as ops
ops.TABLE["exp"].value = "exp(x) + 0.0"
try:
    import autograd._native
except ImportError as error:
    print(error)
"""
    # The front door imports the native engine first, so the package is entered without it.
    bare = f"import sys, types; m = types.ModuleType('autograd'); m.__path__ = [{str(ROOT / 'autograd')!r}]; sys.modules['autograd'] = m"  # noqa: E501
    assert "was built from another table" in output("native", bare + code)


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_a_new_row_needs_no_edit_in_c(tmp_path: Path):
    for name in ("autograd", "nn"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.so"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    table = tmp_path / "autograd" / "ops.py"
    last = "    # the error function"
    row = """Op("cube", "x³", "square(x) * x", ("3.0 * x * x",), (REAL,), "the cube"),"""
    table.write_text(table.read_text().replace(last, f"    {row}\n{last}"))
    build = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"]
    required = os.environ | {"AUTOGRAD_REQUIRE_NATIVE": "1"}
    subprocess.run(build, cwd=tmp_path, env=required, check=True, capture_output=True)
    code = """
from autograd import Value
x = Value(2.0)
y = x.cube()
y.backward()
print(y.op.name, y.data, x.grad)
"""
    found = subprocess.check_output([sys.executable, "-c", code], cwd=tmp_path, text=True)
    assert "cube 8.0 12.0" == found.strip()


def test_formulas_outside_the_common_subset_are_refused():
    for formula in ("x ** 2.0", "x if x > 0.0 else y", "1 * x", "0.0 < x < 1.0", "x and y"):
        with pytest.raises(ValueError, match="is not common to Python and C"):
            generate.c_formula(formula, ops)
    with pytest.raises(ValueError, match="gamma is neither a row of the table nor a primitive"):
        generate.c_formula("x * gamma(x)", ops)


def test_the_stub_comes_from_the_table():
    stub = ROOT / "autograd" / "_native" / "engine.pyi"
    assert generate.stub(ops) == stub.read_text(encoding="utf-8")
    declared = {line.split("(")[0][4:] for line in stub.read_text().splitlines() if "def " in line}
    assert {name.strip() for name in declared if "__" not in name} >= set(ops.TABLE)


# One class, subclasses, documentation.


def test_there_is_one_class():
    assert (Value,) == (autograd.value.Value,)
    assert ("Value", "Value", "autograd.value") == (
        Value.__name__,
        Value.__qualname__,
        Value.__module__,
    )
    assert engine.Value is Value


@pytest.mark.parametrize("kind", [Parameter, Slotted])
def test_a_subclass_takes_the_fast_path(kind: type[Value]):
    x = kind(3.0, "x")
    y = x * x + 2.0 * x
    y.backward()
    assert (Value, 15.0, 8.0) == (type(y), y.data, x.grad)
    assert (x, x) == y.operands[0].operands  # pyright: ignore[reportAttributeAccessIssue]


def test_a_subclass_overrides_operators():
    class Loud(Value):
        def __radd__(self, other: Any) -> Any:
            return "reflected"

        def __mul__(self, other: Any) -> Any:
            return super().__mul__(other) + 1.0

    assert "reflected" == Value(1.0) + Loud(1.0)
    assert 7.0 == (Loud(2.0) * 3.0).data


def test_a_subclass_without_super_init_is_an_error():
    class Forgetful(Value):
        def __init__(self) -> None:
            pass

    with pytest.raises(AttributeError, match="Forgetful' object has no attribute '_data'"):
        Forgetful() + 1.0


def test_cycles_of_subclasses_are_collected():
    gc.collect()
    before = engine.live()
    x = Parameter(1.0)
    x.more = [x, Value(2.0) * 3.0]  # pyright: ignore[reportAttributeAccessIssue]
    del x
    gc.collect()
    assert before == engine.live()


def test_the_class_of_a_node_cannot_be_written():
    for x, kind in ((Value(1.0), Slotted), (Slotted(1.0), Value)):
        with pytest.raises(TypeError, match="__class__ assignment"):
            x.__class__ = kind


def test_documentation_is_that_of_the_pure_engine():
    assert "(a, b, bias=None)" == str(inspect.signature(functional.dot))
    assert "(x)" == str(inspect.signature(functional.exp))
    assert functional.exp.__doc__
    assert "exp(self): e to the power x." == Value.exp.__doc__
    assert Value.__doc__
    assert Value.__doc__.startswith("A real number in a computational graph.")


def test_operations_come_in_order_however_far_apart_they_were_recorded():
    nodes = [Value(1.0)]
    draw = random.Random(5)
    for _ in range(300):
        for _ in range(draw.choice([0, 0, 0, 1, 50, 5000])):
            nodes[0] * 2.0
        nodes.append(draw.choice(nodes) + draw.choice(nodes))
    roots = draw.sample(nodes[1:], len(nodes) - 1)
    assert [id(x) for x in nodes[1:]] == [id(x) for x in graph.operations(*roots)]
    since = nodes[100]._stamp
    assert [id(x) for x in nodes[100:]] == [id(x) for x in graph.operations(*roots, since=since)]


# Weak spots.


@pytest.mark.parametrize("kind", [Value, Parameter, Slotted])
def test_an_object_before_init_raises(kind: type[Value]):
    x = kind.__new__(kind)
    uses: list[tuple[str, Callable[[], object]]] = [
        ("_data", lambda: x + 1.0),
        ("_data", lambda: 1.0 - x),
        ("_data", lambda: Value(1.0) * x),
        ("_data", lambda: x.exp()),
        ("_data", lambda: autograd.exp(x)),
        ("_data", lambda: x < 1.0),
        ("_data", lambda: bool(x)),
        ("_data", lambda: x.data),
        ("_op", lambda: setattr(x, "data", 1.0)),
        ("_requires_grad", lambda: x.backward()),
        ("_op", lambda: graph.operations(x)),
    ]
    for attribute, use in uses:
        with pytest.raises(
            AttributeError, match=rf"'[\w.]*{kind.__name__}' object has no attribute '{attribute}'"
        ):
            use()
    x.__init__(2.0)
    assert 4.0 == (x * x).data


def test_init_again_makes_a_leaf_and_lets_go_of_the_operands():
    x = Value(2.0)
    y = x * x
    references = sys.getrefcount(x)
    y.__init__(5.0, "y")
    assert ("Value(data=5.0, grad=0.0, label='y')", ()) == (repr(y), y.operands)
    assert references - 2 == sys.getrefcount(x)


def test_a_foreign_number_may_change_the_operands():
    x = Value(2.0) * 3.0
    y = x * Foreign(10.0, lambda: x.__init__(7.0))
    assert 70.0 == y.data
    with pytest.raises(ZeroDivisionError):
        Value(2.0) + Foreign(1.0, lambda: 1 / 0)


def test_labels_may_be_odd_strings():
    class Text(str):
        def __del__(self) -> None:
            Value(1.0) * 2.0

    text = Text("ééé")
    x = Value(1.0, text)
    assert x.label is text
    y = x + 1.0
    del x, text
    assert "ééé" == y.operands[0].label  # pyright: ignore[reportAttributeAccessIssue]
    del y


@pytest.mark.parametrize("name", ["data", "grad", "label", "op", "_data", "_grad", "_x", "_label"])
def test_attributes_cannot_be_deleted(name: str):
    with pytest.raises(AttributeError):
        delattr(Value(1.0), name)


def test_private_slots_refuse_what_would_break_them():
    x = Value(2.0)
    y = x * x
    for name, bad in (("_op", ops.TABLE["mul"]), ("_x", y), ("_y", 3.0), ("_data", 1.0)):
        with pytest.raises(AttributeError):
            setattr(x, name, bad)
    for arguments in (("mul", 1.0, x, x), (ops.TABLE["mul"], 1.0, x, "x"), (1.0,)):
        with pytest.raises(TypeError):
            engine.record(*arguments)


def test_collecting_garbage_at_any_time_is_safe():
    expected = list(Program(11).run(300))
    thresholds = gc.get_threshold()
    gc.set_threshold(1)
    try:
        found = list(Program(11).run(300))
    finally:
        gc.set_threshold(*thresholds)
    assert without_stamps(expected) == without_stamps(found)


def test_threads_build_separate_graphs():
    def work(seed: int) -> None:
        results[seed] = without_stamps(list(Program(seed).run(1500)))

    results: dict[int, list[str]] = {}
    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed in range(4):
        together = results[seed]
        work(seed)
        assert results[seed] == together


# Memory.


def test_a_node_is_64_bytes_and_no_business_of_the_collector():
    x = Value(1.0)
    assert 64 == (x * 2.0).__sizeof__()
    assert not gc.is_tracked(x)


def test_chains_in_fresh_memory_are_freed():
    before = engine.live()
    for length in (1_000, 100_000, 1_000_000):  # the last one outgrows the list of free nodes
        v = Value(1.0)
        for _ in range(length):
            v = v + 1.0
        assert before + length + 1 == engine.live()
        del v
        assert before == engine.live()


def operations() -> dict[str, Callable[[], object]]:
    x, y, p = Value(0.5, "x"), Value(2.0), Parameter(0.75)
    values = [x, y, p, 3.0, 2]
    bad: Any = "text"

    def failing(use: Callable[[], object]) -> Callable[[], object]:
        def attempt() -> None:
            with pytest.raises((TypeError, AttributeError, autograd.AutogradError)):
                use()

        return attempt

    def stale() -> object:
        leaf = Value(1.0)
        root = leaf * 2.0
        leaf.data = 2.0
        return root.backward()

    def anomaly() -> object:
        with autograd.detect_anomaly():
            return x / 0.0

    def quietly() -> object:
        with autograd.no_grad():
            return x * y

    functions = {
        row.name: partial(getattr(autograd, row.name), *(x, y)[: row.arity]) for row in ROWS
    }
    methods = {f"method {row.name}": getattr(x, row.name) for row in ROWS if row.arity == 1}
    return {
        **functions,
        **methods,
        "x + y": lambda: x + y,
        "x - 1": lambda: x - 1,
        "1.0 * p": lambda: 1.0 * p,
        "p / x": lambda: p / x,
        "x ** 2": lambda: x**2,
        "2 ** x": lambda: 2**x,
        "x < y": lambda: x < y,
        "x == None": lambda: x == None,  # noqa: E711
        "Value": lambda: Value(1.0, "label", False),
        "Value of keywords": lambda: Value(data=1, label="label"),
        "Parameter": lambda: Parameter(1.0),
        "init again": lambda: (x * y).__init__(1.0, "label"),
        "data": lambda: setattr(y, "data", x.data),
        "grad": lambda: setattr(x, "grad", x.grad * 0.0),
        "label": lambda: setattr(x, "label", x.label),
        "attributes": lambda: (x._op, x._x, x._y, x._stamp, x._label, (x * y)._x),
        "sum": lambda: autograd.sum(values),
        "dot": lambda: autograd.dot(values, values, x),
        "dot of floats": lambda: autograd.dot([1.0], [2.0]),
        "backward": lambda: (x * y + p).backward(),
        "gradient": lambda: (x * y + p).gradient(values[:3]),
        "second": lambda: (x * y).gradient(x, create_graph=True),
        "operations": lambda: graph.operations(x * y, (x * y).exp()),
        "no_grad": quietly,
        "foreign": lambda: x * Foreign(1.0, lambda: None),
        "x + text": failing(lambda: x + bad),
        "sum of text": failing(lambda: autograd.sum([x * y, bad])),
        "dot of text": failing(lambda: autograd.dot([x * y, x], [x, bad])),
        "Value of text": failing(lambda: Value(bad)),
        "Value of nothing": failing(Value),
        "label 5": failing(lambda: Value(1.0, 5)),  # pyright: ignore[reportArgumentType]
        "data of a node": failing(lambda: setattr(x * y, "data", 1.0)),
        "before __init__": failing(lambda: Value.__new__(Value) + 1.0),
        "stale": failing(stale),
        "anomaly": failing(anomaly),
        "no gradient": failing(lambda: Value(1.0, requires_grad=False).backward()),
    }


@pytest.mark.parametrize("use", operations().values(), ids=operations())
def test_nothing_leaks(use: Callable[[], object]):
    for _ in range(100):
        use()
    gc.collect()
    nodes, blocks = engine.live(), sys.getallocatedblocks()
    for _ in range(10_000):
        use()
    gc.collect()
    assert nodes == engine.live()
    assert sys.getallocatedblocks() - blocks < 500


CHAIN = """
import resource, time
from autograd import Value
x = v = Value(1.0)
start = time.perf_counter()
for _ in range({0}):
    v = v * 1.0
v.backward()
assert x.grad == 1.0
del v
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_ten_million_operations_in_a_chain():
    assert int(output("native", CHAIN.format(10_000_000))) < 2**20  # KiB


@given(st.lists(st.tuples(st.sampled_from([0, 1, 9, 500]), st.integers(0, 99)), max_size=60))
def test_operations_are_in_order_however_much_was_recorded_between(steps: list[tuple[int, int]]):
    nodes = [Value(1.0) * 2.0]
    for gap, back in steps:
        for _ in range(gap):
            nodes[0] * 3.0  # another graph, which is freed at once
        nodes.append(nodes[-1] + nodes[-1 - back % len(nodes)])
    found = graph.operations(nodes[-1])
    assert len(nodes) == len(found)
    assert all(expected is actual for expected, actual in zip(nodes, found, strict=True))


COUNT = 20_000
"""Of so many nodes memory is taken in several pieces."""


@given(st.lists(st.integers(0, COUNT), max_size=30), st.integers(1, 7))
@settings(max_examples=20)
def test_nodes_keep_their_numbers_while_others_die_and_are_born(starts: list[int], stride: int):
    nodes = {i: Value(float(i)) for i in range(COUNT)}
    for start in starts:
        for i in range(start, min(start + COUNT // 4, COUNT), stride):
            nodes.pop(i, None)
        nodes |= {i: Value(float(i)) for i in range(start, min(start + COUNT // 8, COUNT), 2)}
    assert {i: float(i) for i in nodes} == {i: node.data for i, node in nodes.items()}
    assert len(nodes) == len({id(node) for node in nodes.values()})


MEMORY = """
import resource
from pathlib import Path
from autograd import Value

def megabytes():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20

def graph(count, kept):
    v = x = Value(1.0)
    for i in range(count):
        v = v * x
        if i % 1000 == 0:
            kept.append(Value(v.data))
    return v

before = megabytes()
graph(1_000_000, [])
print(megabytes() - before < 20)  # a chain of 61 MB is given back
kept = []
for _ in range(30):
    graph(100_000, kept)
print(megabytes() - before < 60)  # 30 chains that leave nodes everywhere, one by one
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="asks Linux how much is in use")
def test_memory_is_given_back_and_used_again():
    assert ["True", "True"] == output("native", MEMORY).split()
