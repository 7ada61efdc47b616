"""The house: what may be imported where, and what is never found in which room."""

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import autograd
import nn
from autograd import Value
from autograd.ops import PRIMITIVES, TABLE
from nn import alternatives

ROOT = Path(__file__).parent.parent

# Import rules. A room is a module of autograd, or one of the packages draw, _native and nn; inside
# itself a package imports freely.

MAY_IMPORT = {
    "errors": "",
    "ops": "",
    "environment": "",
    "modes": "environment",
    "value": "environment errors modes ops",
    "graph": "environment",
    "predicate": "errors modes value",
    "structure": "predicate value",
    "functional": "environment modes ops predicate structure value",
    "backward": "environment errors functional graph modes ops structure value",
    "persistence": "backward graph modes ops value",
    "transforms": "backward errors modes predicate structure value",
    "tracing": "backward errors functional graph modes predicate value ops",
    "optimisation": "environment ops value",
    "program": "environment modes ops optimisation structure value",
    "listing": "graph ops optimisation tape",
    "compiler": "backward environment errors functional graph listing modes optimisation predicate "
    "program structure tape tracing transforms value",
    "checking": "backward errors functional graph modes structure transforms value",
    "expression": "errors functional ops value",
    "tape": "errors graph ops value",
    "explanation": "backward errors graph tape value",
    "decimals": "ops",
    "solution": "decimals explanation ops tape",
    "pencil": "backward decimals explanation graph solution value",
    "draw": "backward errors functional graph modes ops structure tape value",
    "cli": "checking draw environment errors explanation expression graph ops pencil tape value",
    "__main__": "cli",
    "_native": "ops",
    "autograd": "checking compiler draw environment errors explanation functional modes pencil "
    "tracing transforms value",
    "nn": "autograd",
}
"""The rooms that a room may import where its modules begin; "autograd" is the front door."""

MAY_IMPORT_LATE = {
    "environment": "_native",  # where it was built
    "value": "backward persistence",  # which are built on Value
    "graph": "value",  # for the type checker only
    "_native": "modes value",  # which are being imported when it is called
}
"""The rooms that a room may import besides inside its functions and conditions."""

OUTSIDE = {"draw": "graphviz"}
"""The packages of others that a room may import where its modules begin."""

OUTSIDE_LATE = {
    "compiler": "numpy",
    "draw": "pygraphviz",
    "functional": "numpy",
    "program": "numpy",
    "structure": "numpy",
    "nn": "matplotlib numpy tqdm",
}
"""The packages of extras: imported where they are used, so that nobody else needs them."""


# Reading the sources.


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def room(module: str) -> str:
    """The room of a module by its dotted name: autograd.draw.labels belongs to draw."""
    package, *inner = module.split(".")
    return inner[0] if package == "autograd" and inner else package


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def is_module(dotted: str) -> bool:
    path = ROOT.joinpath(*dotted.split("."))
    return path.with_suffix(".py").exists() or path.is_dir()


def imported(node: ast.AST) -> list[str]:
    """The modules that a statement imports, by their dotted names."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.module, "imports are absolute"
        inner = [f"{node.module}.{alias.name}" for alias in node.names]
        return [dotted if is_module(dotted) else node.module for dotted in inner]
    return []


def imports(path: Path, late: bool) -> Iterator[str]:
    """What a file imports where it begins, or late: inside functions and conditions."""
    beginning = {id(node) for node in tree(path).body}
    for node in ast.walk(tree(path)):
        if late == (id(node) not in beginning):
            yield from imported(node)


def is_ours(dotted: str) -> bool:
    return dotted.split(".")[0] in ("autograd", "nn", "tests", "benchmarks")


def permitted(where: str, *tables: dict[str, str]) -> set[str]:
    return {x for table in tables for x in table.get(where, "").split()}


PACKAGES = sources("autograd", "nn")

every_file = pytest.mark.parametrize("path", PACKAGES, ids=name)


def every(*names: str) -> Any:
    """A parametrization over these files."""
    return pytest.mark.parametrize("path", [ROOT / x for x in names], ids=name)


# Imports.


@every_file
def test_a_room_imports_the_rooms_it_may(path: Path):
    here = room(module(path))
    assert here in MAY_IMPORT, "every room has a row in the table"
    found = [{room(x) for x in imports(path, late) if is_ours(x)} - {here} for late in (0, 1)]
    assert set() == found[0] - permitted(here, MAY_IMPORT)
    assert set() == found[1] - permitted(here, MAY_IMPORT, MAY_IMPORT_LATE)


@every_file
def test_a_room_imports_the_packages_of_others_that_it_may(path: Path):
    here = room(module(path))
    found = [
        {x.split(".")[0] for x in imports(path, late) if not is_ours(x)}
        - set(sys.stdlib_module_names)
        for late in (0, 1)
    ]
    assert set() == found[0] - permitted(here, OUTSIDE)
    assert set() == found[1] - permitted(here, OUTSIDE, OUTSIDE_LATE)


def test_every_rule_is_about_a_room():
    rooms = {room(module(path)) for path in PACKAGES}
    for table in (MAY_IMPORT, MAY_IMPORT_LATE, OUTSIDE, OUTSIDE_LATE):
        assert set() == set(table) - rooms
    for table in (MAY_IMPORT, MAY_IMPORT_LATE):
        assert set() == {x for where in table for x in permitted(where, table)} - rooms


def test_importing_needs_no_extra():
    code = "import sys, autograd, nn, autograd.cli; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = {x.split(".")[0] for x in done.stdout.split()}
    assert {"autograd", "nn"} <= loaded
    extras = {"numpy", "pygraphviz", "pytest", "hypothesis", "mpmath", "matplotlib", "tqdm"}
    assert set() == loaded & extras


# The front doors.

DOORS = [
    "autograd/__init__.py",
    "autograd/draw/__init__.py",
    "nn/__init__.py",
    "nn/alternatives/__init__.py",
]


@every(*DOORS)
def test_a_front_door_holds_a_docstring_imports_and_all(path: Path):
    _, *statements = tree(path).body
    others = [x for x in statements if not isinstance(x, ast.Import | ast.ImportFrom)]
    assert ["__all__"] == [
        target.id
        for x in others
        if isinstance(x, ast.Assign)
        for target in x.targets
        if isinstance(target, ast.Name)
    ]
    assert 1 == len(others)


@pytest.mark.parametrize(
    "door", [autograd, nn, alternatives, importlib.import_module("autograd.draw")]
)
def test_a_front_door_lists_what_it_imports(door: ModuleType):
    assert sorted(door.__all__) == sorted(set(door.__all__))
    assert door.__file__ is not None
    names = {
        alias.asname or alias.name
        for x in tree(Path(door.__file__)).body
        if isinstance(x, ast.ImportFrom)
        for alias in x.names
    }
    assert names == set(door.__all__)
    assert [] == [x for x in door.__all__ if not hasattr(door, x)]


WANTED = """
    Value values where sum dot mean norm softmax logsumexp maxout
    grad value_and_grad jacobian hessian hvp jvp vjp gradcheck explain draw_dot to_svg
    no_grad detect_anomaly engine
    AutogradError AnomalyError GradcheckError MissingExtraError StaleGraphError
    TraceError compile
"""


def test_the_public_names_are_there():
    assert set() == {*WANTED.split(), *TABLE} - set(autograd.__all__)


def test_the_public_methods_are_there():
    unary = [x for x, op in TABLE.items() if op.arity == 1]
    wanted = ["backward", "gradient", "detach", "item", "data", "grad", "label", "op", "operands"]
    assert [] == [x for x in [*wanted, *unary] if not hasattr(Value, x)]


@pytest.mark.parametrize("door", [autograd, nn, alternatives])
def test_no_module_is_named_like_a_public_function(door: ModuleType):
    modules = {x.stem for x in PACKAGES if module(x.parent) == door.__name__}
    assert set() == modules & {x for x in door.__all__ if callable(getattr(door, x))}


@every_file
def test_public_functions_have_docstrings(path: Path):
    assert [] == [
        x.name
        for x in tree(path).body
        if isinstance(x, ast.FunctionDef | ast.ClassDef)
        and not x.name.startswith("_")
        and not ast.get_docstring(x)
        and "overload" not in [ast.unparse(decorator) for decorator in x.decorator_list]
    ]


@pytest.mark.parametrize("path", sources("autograd", "nn", "tests", "benchmarks"), ids=name)
def test_a_module_opens_with_one_line(path: Path):
    docstring = ast.get_docstring(tree(path), clean=False) or ""
    assert re.fullmatch(r"[^\n]+\.", docstring)


def test_every_error_is_an_autograd_error():
    errors = [x for x in autograd.__all__ if x.endswith("Error")]
    assert {"autograd.errors"} == {getattr(autograd, x).__module__ for x in errors}
    assert [] == [x for x in errors if not issubclass(getattr(autograd, x), autograd.AutogradError)]


# nn knows the front door only.


@pytest.mark.parametrize("path", sources("nn"), ids=name)
def test_nn_uses_public_names_of_autograd(path: Path):
    taken = [
        alias.name
        for x in ast.walk(tree(path))
        if isinstance(x, ast.ImportFrom) and x.module and room(x.module) == "autograd"
        for alias in x.names
    ]
    used = [
        x.attr
        for x in ast.walk(tree(path))
        if isinstance(x, ast.Attribute)
        and isinstance(x.value, ast.Name)
        and x.value.id == "autograd"
    ]
    assert set() == {*taken, *used} - set(autograd.__all__)


PRIVATE = set(Value.__slots__) | {"_stamp", "_x", "_y", "_op"}


@pytest.mark.parametrize("path", sources("nn"), ids=name)
def test_nn_looks_into_no_value(path: Path):
    assert set() == PRIVATE & {x.attr for x in attributes(path)}


# Formulas and names of operations.


def attributes(path: Path) -> list[ast.Attribute]:
    return [x for x in ast.walk(tree(path)) if isinstance(x, ast.Attribute)]


def strings(path: Path) -> set[str]:
    found = [x.value for x in ast.walk(tree(path)) if isinstance(x, ast.Constant)]
    return {x for x in found if isinstance(x, str)}


def shape(node: ast.AST) -> Any:
    """An expression without the names in it: operators, calls, numbers, equal names."""
    seen: dict[str, int] = {}

    def of(x: ast.AST) -> Any:
        match x:
            case ast.BinOp():
                return type(x.op).__name__, of(x.left), of(x.right)
            case ast.UnaryOp():
                return type(x.op).__name__, of(x.operand)
            case ast.Call(func=ast.Name(id=function) | ast.Attribute(attr=function)):
                return function, *map(of, x.args)
            case ast.Constant(value=int() | float()):
                return float(x.value)
            case _:
                return seen.setdefault(ast.unparse(x), len(seen))

    return of(node)


def expressions(parsed: ast.AST) -> Iterator[ast.expr]:
    return (x for x in ast.walk(parsed) if isinstance(x, ast.BinOp | ast.Call))


DERIVATIVES = {
    shape(parsed.body): local
    for op in TABLE.values()
    for local in op.local
    if len([*expressions(parsed := ast.parse(local, mode="eval"))]) > 1
}
"""Every local derivative of two operators or more, by its shape."""

NO_DERIVATIVES = {
    "1.0 + slope * slope": "what the variance grows by in a leaky ReLU; looks like tan's",
}


every_other_file = pytest.mark.parametrize(
    "path", [x for x in PACKAGES if x != ROOT / "autograd/ops.py"], ids=name
)


@every_other_file
def test_derivatives_are_written_in_the_table_only(path: Path):
    assert {} == {
        text: DERIVATIVES[shape(x)]
        for x in expressions(tree(path))
        if shape(x) in DERIVATIVES and (text := ast.unparse(x)) not in NO_DERIVATIVES
    }
    assert [] == [x for x in strings(path) for text in DERIVATIVES.values() if text in x]


CONSTANTS = {
    x.value
    for op in TABLE.values()
    for formula in (op.value, *op.local)
    for x in ast.walk(ast.parse(formula))
    if isinstance(x, ast.Constant) and isinstance(x.value, float) and len(repr(x.value)) > 6
}
"""The numbers of the table that one does not invent twice: ln 2, 1/√2π and the like."""


@every_other_file
def test_the_numbers_of_the_table_are_in_the_table_only(path: Path):
    found = {x.value for x in ast.walk(tree(path)) if isinstance(x, ast.Constant)}
    assert CONSTANTS
    assert set() == CONSTANTS & found


MATH_ELSEWHERE = {"autograd/explanation.py": {"log10"}}  # how many digits a count has


@pytest.mark.parametrize(
    "path", [x for x in sources("autograd") if x != ROOT / "autograd/ops.py"], ids=name
)
def test_functions_of_math_are_called_in_the_table_only(path: Path):
    called = {
        x.attr for x in attributes(path) if isinstance(x.value, ast.Name) and x.value.id == "math"
    }
    assert set() == (called & {*PRIMITIVES, *TABLE}) - MATH_ELSEWHERE.get(name(path), set())


def test_the_native_engine_calls_no_function_of_math():
    parts = sorted((ROOT / "autograd/_native").glob("*.[ch]"))
    source = "".join(part.read_text(encoding="utf-8") for part in parts)
    called = set(re.findall(r"\b(\w+)\s*\(", source))
    assert "record" in source
    assert set() == called & {*PRIMITIVES, "fabs", "fmax", "fmin", "fma"}


@every("autograd/graph.py", "autograd/backward.py", "autograd/transforms.py")
def test_no_operation_is_named(path: Path):
    assert set() == strings(path) & {*TABLE, *(op.symbol for op in TABLE.values())}


@every("autograd/backward.py", "autograd/graph.py", "autograd/value.py", "autograd/transforms.py")
def test_no_case_is_made_for_an_operation(path: Path):
    """An op is compared with None, which tells a leaf, and with nothing else."""
    compared = [
        ast.unparse(x)
        for x in ast.walk(tree(path))
        if isinstance(x, ast.Compare)
        and any(ast.unparse(side).split(".")[-1] in ("op", "_op") for side in [x.left])
        and ast.unparse(x.comparators[0]) != "None"
    ]
    assert [] == compared


ARITHMETIC = ast.Add | ast.Sub | ast.Mult | ast.Div | ast.Pow | ast.Mod | ast.FloorDiv


@every("autograd/value.py")
def test_no_arithmetic_is_done(path: Path):
    assert [] == [
        ast.unparse(x)
        for x in ast.walk(tree(path))
        if isinstance(x, ast.BinOp) and isinstance(x.op, ARITHMETIC)
    ]


@every("autograd/graph.py")
def test_the_walk_multiplies_nothing(path: Path):
    operators = {type(x.op) for x in ast.walk(tree(path)) if isinstance(x, ast.BinOp)}
    assert set() == operators & {ast.Mult, ast.Div, ast.Pow, ast.Sub}


# Who may do what.


def writers(attribute: str) -> set[str]:
    """The files of autograd that assign to an attribute of that name."""
    return {
        name(path)
        for path in sources("autograd")
        for x in attributes(path)
        if x.attr == attribute and isinstance(x.ctx, ast.Store)
    }


def test_gradients_are_written_by_backward_alone():
    """Besides the constructor, and the copies that keep what they copy."""
    assert {f"autograd/{x}.py" for x in ("backward", "value", "persistence")} == writers("_grad")
    assert set() == writers("grad")


def test_operands_are_walked_in_the_engine_alone():
    engine = {f"autograd/{x}.py" for x in ("value", "graph", "backward", "tracing", "persistence")}
    assert engine == {
        name(path) for path in PACKAGES for x in attributes(path) if x.attr in ("_x", "_y")
    }


def callers(*functions: str) -> set[str]:
    return {
        name(path)
        for path in PACKAGES
        for x in ast.walk(tree(path))
        if isinstance(x, ast.Call) and isinstance(x.func, ast.Name) and x.func.id in functions
    }


def test_only_the_table_compiles_text():
    assert {"autograd/ops.py"} == callers("eval", "exec", "compile")


PROCESSES = {"subprocess", "multiprocessing", "concurrent", "ctypes", "socket", "urllib"}


@every("autograd/tape.py", "autograd/explanation.py", "autograd/expression.py")
def test_no_process_is_started(path: Path):
    found = {x.split(".")[0] for late in (False, True) for x in imports(path, late)}
    assert set() == PROCESSES & found


@pytest.mark.parametrize("path", sources("benchmarks"), ids=name)
def test_benchmarks_assert_nothing(path: Path):
    found = ast.walk(tree(path))
    assert [] == [x for x in found if isinstance(x, ast.Assert)]


def test_notebooks_have_no_helper_modules():
    assert [] == sources("notebooks")
