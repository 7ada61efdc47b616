"""The native engine as a drop-in: C where it is hot, and the pure engine's code everywhere else."""

from importlib import import_module
from types import FunctionType
from typing import Any

import autograd._native.engine as engine  # a ModuleNotFoundError where it is not built
from autograd import ops
from autograd._native import generate

set_modes_active = engine.set_modes_active
set_tracing = engine.set_tracing

program: Any
"""The module that runs programs; None where it is not built, and the pure one serves."""
try:
    program = import_module("autograd._native.program")
except ModuleNotFoundError:
    program = None


def set_transforming(depth: int) -> None:
    """Tell the programs of this thread how many transforms run in it."""
    if program:
        program.set_transforming(depth)


def twin(pure: Any) -> Any:
    """The native class or function of that name, connected to the pure one."""
    if pure.__name__ in ("Program", "Entry"):
        return getattr(program, pure.__name__, pure)
    native = getattr(engine, pure.__name__)
    engine.connect(pure.__name__, pure)
    if isinstance(pure, FunctionType):
        engine.document(native, _signature(pure) + (pure.__doc__ or ""))
    else:
        _complete(native, pure)
    return native


def _signature(pure: FunctionType) -> str:
    """The line from which `inspect` and `help` read a built-in function's parameters."""
    code, defaults = pure.__code__, pure.__defaults__ or ()
    names = list(code.co_varnames[: code.co_argcount])
    for i, default in enumerate(defaults, len(names) - len(defaults)):
        names[i] += f"={default!r}"
    return f"{pure.__name__}({', '.join(['$module', *names])})\n--\n\n"


def _complete(native: Any, pure: Any) -> None:
    """Give the native class what only the pure one has, and the documentation of the rest."""
    hot: dict[str, Any] = dict(native.__dict__)
    members: dict[str, Any] = dict(pure.__dict__)
    twins = {id(members[name]): hot[name] for name in members if name in hot}
    for name, member in members.items():
        is_dunder = name.startswith("__")
        if name.startswith("_") and not is_dunder:
            continue  # a slot or a helper
        if name not in hot:
            row = "" if is_dunder else getattr(member, "__name__", "")
            hot[name] = engine.binary_methods.get(row) or twins.get(id(member), member)
            setattr(native, name, hot[name])
        if not is_dunder:
            engine.document(hot[name], member.__doc__ or "")  # python -OO strips it
    native.__doc__ = pure.__doc__
    from autograd import modes, value  # whose module this call is part of

    for name in ("number", "_constant", "_refuse_traced", "_under_modes"):
        engine.connect(name, getattr(value, name))
    engine.connect_modes(modes.thread)


def _connect_table() -> None:
    if any(built.row_texts != generate.texts(ops) for built in (engine, program) if built):
        raise ImportError(
            "the native engine was built from another table of operations: build it again "
            "(pip install .), or set AUTOGRAD_ENGINE=python"
        )
    engine.connect_rows((*ops.TABLE.values(), ops.SELECT, ops.OPTIONS))
    for name in generate.python_primitives(ops):
        engine.connect(f"primitive {name}", ops.PRIMITIVES[name])


_connect_table()
