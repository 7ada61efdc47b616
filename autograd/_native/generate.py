"""Turns the table into the C kernels of the engine and of compiled programs, and into stubs."""

import ast
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

_SAME_NAME = """
acos acosh asin asinh atan atan2 atanh cbrt ceil cos cosh erf erfc exp expm1 floor log log10 log1p
log2 pow sin sinh sqrt tan tanh
"""
LIBRARY = {name: name for name in _SAME_NAME.split()} | {"abs": "fabs", "round": "nearbyint"}
"""The primitives whose bits are those of a C library function; the others call CPython's."""

_SUBSET = (
    ast.Expression, ast.Name, ast.Load, ast.Constant, ast.Call, ast.Compare, ast.UnaryOp, ast.USub,
    ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq,
)  # fmt: skip


class _Names(ast.NodeTransformer):
    """Reads the name of a called row or primitive as that of its function in C."""

    def __init__(self, ops: Any) -> None:
        self.ops = ops

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        assert isinstance(node.func, ast.Name)
        name = node.func.id
        if name in self.ops.PRIMITIVES:
            node.func.id = LIBRARY.get(name, f"python_{name}")
        elif name in self.ops.TABLE:
            node.func.id = f"value_{name}"
        elif name != "where":
            raise ValueError(f"{name} is neither a row of the table nor a primitive")
        return node


class _Lanes(ast.NodeTransformer):
    """Reads a formula as one of vectors: numbers in all lanes, functions of lanes."""

    def __init__(self, ops: Any) -> None:
        self.ops = ops

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Call(ast.Name("all_lanes", ast.Load()), [node], [])

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        assert isinstance(node.func, ast.Name)
        is_row = node.func.id in self.ops.TABLE and node.func.id not in self.ops.PRIMITIVES
        node.func.id = f"{'lanes' if is_row else 'each'}_{node.func.id}"
        return node


def c_formula(formula: str, ops: Any) -> str:
    """A formula of the table as an expression in C; `where` is a macro there.

    Raises:
        ValueError: if the formula leaves the subset common to Python and C, or calls what the
            table does not know.
    """
    return ast.unparse(_Names(ops).visit(_common(formula)))


def _common(formula: str) -> ast.Expression:
    tree = ast.parse(formula, mode="eval")
    for node in ast.walk(tree):
        chained = isinstance(node, ast.Compare) and len(node.ops) > 1
        whole = isinstance(node, ast.Constant) and not isinstance(node.value, float)
        if not isinstance(node, _SUBSET) or chained or whole:
            raise ValueError(f"{formula!r}: {ast.unparse(node)!r} is not common to Python and C")
    return tree


def _value(op: Any, ops: Any) -> str:
    return (
        f"static inline double value_{op.name}({_parameters(op.arity)})\n"
        f"{{\n    return {c_formula(op.value, ops)};\n}}\n"
    )


def _parameters(arity: int) -> str:
    return ", ".join(f"double {operand}" for operand in "xy"[:arity])


def _locals(slot: int, rows: list[Any], ops: Any) -> str:
    cases = "".join(
        f"    case ROW_{op.name}:\n        return {c_formula(op.local[slot], ops)};\n"
        for op in rows
        if slot < op.arity
    )
    return (
        f"/* d z / d {'xy'[slot]} of the row, at the operands x and y and the result z. */\n"
        f"static inline double local_{'xy'[slot]}(enum Row row, double x, double y, double z)\n"
        f"{{\n    switch (row) {{\n{cases}    default:\n        return 0.0;\n    }}\n}}\n"
    )


def _each(macro: str, names: list[str]) -> str:
    return " \\\n".join([f"#define {macro}(F)", *(f"    F({name})" for name in names)]) + "\n"


def _python_primitive(name: str, arity: int) -> str:
    return (
        f"static double python_{name}({_parameters(arity)})\n"
        f"{{\n    const double operands[] = {{{', '.join('xy'[:arity])}}};\n"
        f'    return call_primitive("primitive {name}", operands, {arity});\n}}\n'
    )


def python_primitives(ops: Any) -> list[str]:
    """The primitives for which CPython's own functions are called."""
    return [name for name in ops.PRIMITIVES if name not in LIBRARY and name != "div"]


def texts(ops: Any) -> tuple[tuple[str, ...], ...]:
    """What each row says, as far as kernels are made from it."""
    return tuple((op.name, op.value, "; ".join(op.local)) for op in ops.TABLE.values())


def kernels(ops: Any) -> str:
    """The table as a C header."""
    rows = list(ops.TABLE.values())
    unary, binary = ([op.name for op in rows if op.arity == arity] for arity in (1, 2))
    return "\n".join(
        [
            "/* Generated from autograd/ops.py by autograd/_native/generate.py. */\n",
            "#define where(condition, a, b) ((condition) ? (a) : (b))\n",
            "enum Row {\n    LEAF,",
            *(f"    ROW_{op.name}," for op in rows),
            "    ROWS\n};\n",
            _each("EACH_UNARY_ROW", unary),
            _each("EACH_BINARY_ROW", binary),
            "/* What each row says, to be compared with the table at run time. */",
            "static const char *const row_texts[ROWS][3] = {",
            *(
                f'    [ROW_{name}] = {{"{name}", "{value}", "{local}"}},'
                for name, value, local in texts(ops)
            ),
            "};\n",
            "/* Primitives for which CPython's own functions are called. */\n",
            "static double call_primitive(const char *name, const double *operands, int arity);\n",
            *(_python_primitive(name, ops.TABLE[name].arity) for name in python_primitives(ops)),
            "/* The values. */\n",
            *(_value(op, ops) for op in rows),
            "/* The local derivatives. */\n",
            _locals(0, rows, ops),
            _locals(1, rows, ops),
        ]
    )


EXACT = {"div", "abs", "sqrt", "floor", "ceil", "round"}
"""The primitives that IEEE arithmetic rounds correctly: the same bits wherever they run."""


def is_exact(op: Any, ops: Any) -> bool:
    """Whether a row stands on exact primitives alone."""
    tree = ast.walk(ast.parse(op.value))
    calls = [ast.unparse(node.func) for node in tree if isinstance(node, ast.Call)]
    return all(
        name in EXACT
        or name == "where"
        or (name not in ops.PRIMITIVES and is_exact(ops.TABLE[name], ops))
        for name in calls
    )


def _lanes_value(op: Any, ops: Any) -> str:
    parameters = ", ".join(f"lanes {operand}" for operand in "xy"[: op.arity])
    formula = ast.unparse(_Lanes(ops).visit(_common(op.value)))
    return (
        f"static ALWAYS_INLINE lanes lanes_{op.name}({parameters})\n{{\n    return {formula};\n}}\n"
    )


def lane_rows(ops: Any) -> str:
    """The rows of compiled programs as a C header."""
    rows = list(ops.TABLE.values())
    kinds = {
        f"EACH_{'EXACT' if exact else 'LIBRARY'}_{'UNARY' if arity == 1 else 'BINARY'}_ROW": [
            op.name for op in rows if op.arity == arity and is_exact(op, ops) == exact
        ]
        for exact in (True, False)
        for arity in (1, 2)
    }
    return "\n".join(
        [
            "/* Generated from autograd/ops.py by autograd/_native/generate.py. */\n",
            "/* The rows are numbered by their place in the table. */",
            "enum Row {",
            *(f"    ROW_{op.name}," for op in rows),
            "    ROWS\n};\n",
            *(_each(macro, names) for macro, names in kinds.items()),
            "/* What each row says, to be compared with the table at run time. */",
            "#define ROW_TEXTS \\",
            " \\\n".join(
                f'    {{"{name}", "{value}", "{local}"}},' for name, value, local in texts(ops)
            )
            + "\n",
        ]
    )


def lane_values(ops: Any) -> str:
    """The values of the rows as a C header: the exact ones of numbers, all of them of lanes."""
    rows = list(ops.TABLE.values())
    return "\n".join(
        [
            "/* Generated from autograd/ops.py by autograd/_native/generate.py. */\n",
            "#define where(condition, a, b) ((condition) ? (a) : (b))\n",
            *(_value(op, ops) for op in rows if is_exact(op, ops)),
            *(_lanes_value(op, ops) for op in rows),
        ]
    )


def stub(ops: Any) -> str:
    """The types of the native engine's module."""
    rows = list(ops.TABLE.values())
    unary, binary = ([op.name for op in rows if op.arity == arity] for arity in (1, 2))
    return _STUB.format(
        methods="\n".join(f"    def {name}(self) -> Value: ..." for name in unary),
        functions="\n".join(
            [f"def {name}(x: Any) -> Any: ..." for name in unary]
            + [f"def {name}(x: Any, y: Any) -> Any: ..." for name in binary]
        ),
    )


_STUB = '''"""The native engine's module: this stub is written by generate.py, from the table."""

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from autograd.ops import Op

row_texts: tuple[tuple[str, str, str], ...]
data_offset: int
binary_methods: dict[str, Any]

class Value:
    _data: float
    _grad: float
    _label: str | None
    _op: Op | None
    _requires_grad: bool
    _stamp: int
    _x: Any
    _y: Any
    data: float
    grad: float
    def __init__(self, data: Any, label: str | None = None, requires_grad: bool = ...) -> None: ...
    def __add__(self, other: Any) -> Value: ...
    def __radd__(self, other: Any) -> Value: ...
    def __sub__(self, other: Any) -> Value: ...
    def __rsub__(self, other: Any) -> Value: ...
    def __mul__(self, other: Any) -> Value: ...
    def __rmul__(self, other: Any) -> Value: ...
    def __truediv__(self, other: Any) -> Value: ...
    def __rtruediv__(self, other: Any) -> Value: ...
    def __pow__(self, other: Any) -> Value: ...
    def __rpow__(self, other: Any) -> Value: ...
    def __neg__(self) -> Value: ...
    def __pos__(self) -> Value: ...
    def __abs__(self) -> Value: ...
    def __bool__(self) -> bool: ...
    def __eq__(self, other: object) -> bool: ...
    def __ne__(self, other: object) -> bool: ...
    def __lt__(self, other: Any) -> bool: ...
    def __le__(self, other: Any) -> bool: ...
    def __gt__(self, other: Any) -> bool: ...
    def __ge__(self, other: Any) -> bool: ...
    def __hash__(self) -> int: ...
{methods}

{functions}
def sum(xs: Any) -> Any: ...
def dot(a: Any, b: Any, bias: Any = None) -> Any: ...
def record(op: Op, data: float, x: Any, y: Any, /) -> Value: ...
def operations(
    *roots: Value, since: int = 0, known: Container[Value] = frozenset()
) -> list[Value]: ...
def pullback(
    seeds: Mapping[Value, Any],
    wrt: Sequence[Value] | None = None,
    create_graph: bool = False,
    allow_stale: bool = False,
    since: int = 0,
) -> dict[Value, Any]: ...
def backward(root: Value, upstream: float) -> None: ...
def dependents(operations: list[Value], wrt: Iterable[Value], /) -> set[Value]: ...
def accumulate(leaves: list[Value], gradients: list[float], /) -> None: ...
def columns(
    operations: list[Value], sources: list[Value], wanted: list[Value], /
) -> tuple[list[Value], bytes, bytes, bytes]: ...
def connect(name: str, pure: Any, /) -> None: ...
def connect_rows(rows: tuple[Op, ...], /) -> None: ...
def connect_modes(thread: Any, /) -> None: ...
def set_modes_active(active: int, /) -> None: ...
def set_tracing(count: int, /) -> None: ...
def document(twin: Any, text: str, /) -> None: ...
def live() -> int: ...
'''


def load_table(path: Path) -> ModuleType:
    """The module ops.py by itself: the package needs not be installed."""
    spec = importlib.util.spec_from_file_location("autograd_ops", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_kernels(table: Path, folder: Path) -> None:
    """Write the headers of the kernels into a folder, from the table at that path."""
    folder.mkdir(parents=True, exist_ok=True)
    ops = load_table(table)
    for header in (kernels, lane_rows, lane_values):
        (folder / f"{header.__name__}.h").write_text(header(ops), encoding="utf-8")


if __name__ == "__main__":
    folder = Path(__file__).parent
    table = load_table(folder.parent / "ops.py")
    (folder / "engine.pyi").write_text(stub(table), encoding="utf-8")
