"""The command line: an expression and the numbers of its inputs; out come all gradients."""

import argparse
import copy
import json
import math
import os
import re
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from textwrap import fill
from typing import Any, NoReturn, cast

from autograd import graph
from autograd.checking import gradcheck
from autograd.draw import step_through, to_svg
from autograd.draw.diagram import SHOW
from autograd.draw.options import RANKDIRS
from autograd.draw.themes import THEMES
from autograd.environment import engine, version
from autograd.errors import AutogradError, GradcheckError
from autograd.explanation import Explanation, PathExplanation, columns, explain, ljust
from autograd.expression import Expression, ExpressionError, quoted, suggestion
from autograd.ops import TABLE
from autograd.pencil import MOST_DECIMALS, ROUNDINGS, by_hand
from autograd.tape import Tape
from autograd.value import Value


def _functions(arity: int) -> str:
    names = " ".join(op.name for op in TABLE.values() if op.arity == arity)
    return fill(names, 78, initial_indent="  ", subsequent_indent="  ")


_DESCRIPTION = f"""\
Compute an expression and the gradient of every input, and show each step:

  autograd "1 / (1 + exp(-(w*x + b)))" w=2 x=-1 b=0.5

An expression holds numbers, names, parentheses and + - * / ** ; the constants
pi and e, unless inputs have these names; max and min of two or more operands;
the functions of one operand

{_functions(1)}

and those of two

{_functions(2)}
"""

_DRAWABLE = 500
"""How many nodes a drawing may have: Graphviz takes minutes for more."""

_CHECKED = "checked: every gradient agrees with finite differences"

_OPTION = re.compile(r"-h|--[a-z][a-z-]*(=.*)?", re.DOTALL | re.IGNORECASE)
_WITH_OPERAND = ("--svg", "--html", "--wrt", "--explain", "--digits", "--decimals")

_BELONGS = {
    "theme": ("--svg", "--html"),
    "rankdir": ("--svg", "--html"),
    "show": ("--svg",),
    "decimals": ("--by-hand",),
    "rounding": ("--by-hand",),
}
"""The options that say how something is shown, and those that ask for it."""


class UsageError(AutogradError):
    """A command line that cannot be understood or carried out."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0, 1 if `--check` fails, 2 if the input is bad, 130 if interrupted.
    """
    try:
        _write(_output(sys.argv[1:] if argv is None else argv))
    except (AutogradError, ExpressionError) as error:
        failed = isinstance(error, GradcheckError)
        print(f"autograd: {'check failed: ' * failed}{error}", file=sys.stderr)
        return 1 if failed else 2
    except KeyboardInterrupt:
        return 130  # as a shell says of a program that SIGINT ended
    return 0


def _output(argv: Sequence[str]) -> str:
    """Do what the arguments ask for, and give back what is to be printed."""
    parser = _parser()
    options = _options(parser, argv)
    if options.help:
        return parser.format_help().rstrip()
    if options.version:
        return f"scalar-autograd {version()} ({engine} engine)"
    task = _task(options)
    output = _FORMATS[options.format](task)
    style = _given(options, "theme", "rankdir", "digits")
    asked = (
        ("--svg", options.svg, partial(to_svg, **style, **_given(options, "show"))),
        ("--html", options.html, partial(_page, **style)),
    )
    files = [
        (option, file, _drawn(option, draw, task.root))
        for option, file, draw in asked
        if file is not None
    ]
    for option, file, text in files:
        _save(option, file, text)
    return output


# Arguments.


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="autograd",
        usage="autograd EXPRESSION [NAME=NUMBER ...] [options]",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("words", nargs="*", help=argparse.SUPPRESS)
    add("--wrt", metavar="NAMES", help="list the gradients of these inputs only, as in w,b")
    add("--explain", metavar="NAME", help="show the paths from this input to the result")
    digits = _whole(1, 17)
    add("--digits", metavar="N", type=digits, help="significant digits (6, in drawings 4)")
    add("--check", action="store_true", help="compare the gradients with finite differences")
    add("--version", action="store_true", help="print the version and the engine")
    add("-h", "--help", action="store_true", help="print this help")
    _add_drawings(parser)
    _add_formats(parser)
    parser.set_defaults(format="text")
    return parser


def _add_drawings(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("drawings").add_argument
    add("--svg", metavar="FILE", help="draw the graph into this file")
    add("--html", metavar="FILE", help="write a page to step through the computation")
    add("--theme", choices=[*THEMES], help="the colours (light)")
    add("--rankdir", choices=RANKDIRS, help="to the right, or down (LR)")
    add("--show", choices=SHOW, help="what --svg shows, with all before it (local)")


def _add_formats(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("instead of the table")
    formats = group.add_mutually_exclusive_group()
    for name, what in (
        ("json", "JSON, where inf, -inf and nan are strings"),
        ("latex", "LaTeX"),
        ("flat", "flat Python code, the forward and the backward pass"),
        ("by-hand", "the work of a person with pencil and pocket calculator, who rounds each line"),
    ):
        formats.add_argument(
            f"--{name}", dest="format", action="store_const", const=name, help=f"print {what}"
        )
    decimals = _whole(0, MOST_DECIMALS)
    add = group.add_argument
    add("--decimals", metavar="N", type=decimals, help="decimals that --by-hand writes (4)")
    add("--rounding", choices=ROUNDINGS, help="how --by-hand rounds (truncate)")


def _options(parser: argparse.ArgumentParser, argv: Sequence[str]) -> argparse.Namespace:
    options, unknown = parser.parse_known_intermixed_args(_shielded(argv))
    if unknown:
        raise UsageError(
            f"there is no option {quoted(unknown[0])}: see autograd --help, "
            "and put an expression such as --x into parentheses"
        )
    _check_together(options)
    return options


def _check_together(options: argparse.Namespace) -> None:
    """Refuse options that do not go with the others."""
    if options.format in ("flat", "by-hand") and options.explain is not None:
        raise UsageError(f"argument --explain: not allowed with argument --{options.format}")
    files = _given(options, "svg", "html")
    asked = {f"--{name}" for name in [*files, options.format]}
    for name in _given(options, *_BELONGS):
        if asked.isdisjoint(_BELONGS[name]):
            raise UsageError(f"argument --{name}: only with {' or '.join(_BELONGS[name])}")
    if len({*map(os.path.abspath, files.values())}) < len(files):
        raise UsageError("--svg and --html name the same file")


def _given(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    """The options of these names that were given."""
    return {name: x for name in names if (x := getattr(options, name)) is not None}


def _whole(lowest: int, highest: int) -> Callable[[str], int]:
    """What reads a whole number between the two."""

    def read(text: str) -> int:
        if not text.isdecimal() or len(text) > 9 or not lowest <= int(text) <= highest:
            raise argparse.ArgumentTypeError(
                f"must be a whole number from {lowest} to {highest}, received {quoted(text)}"
            )
        return int(text)

    return read


def _shielded(argv: Sequence[str]) -> list[str]:
    """The arguments, with a blank before those that begin with - but are no options."""
    end = argv.index("--") if "--" in argv else len(argv)
    words = [
        f" {word}"
        if word.startswith("-") and not _OPTION.fullmatch(word) and before not in _WITH_OPERAND
        else word
        for before, word in zip(["", *argv], argv[:end], strict=False)
    ]
    return words + [f" {word}" for word in argv[end + 1 :]]


def _inputs(assignments: Iterable[str]) -> dict[str, Value]:
    """The leaves that NAME=NUMBER … ask for, by name."""
    inputs: dict[str, Value] = {}
    for assignment in assignments:
        left, equals, right = assignment.partition("=")
        name = _name(left)
        if not equals:
            raise UsageError(
                f"{quoted(assignment)} is not of the form NAME=NUMBER; "
                "an expression that holds blanks goes into quotes"
            )
        if not name:
            raise UsageError(f"{quoted(assignment)} has no name before the =")
        if name in inputs:
            raise UsageError(f"{quoted(name)} is given twice")
        inputs[name] = Value(_number(right, assignment), name)
    return inputs


def _name(text: str) -> str:
    """A name in the normal form that Python's parser gives to those of the expression."""
    return unicodedata.normalize("NFKC", text.strip())


def _number(text: str, assignment: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(
            f"{quoted(assignment)} gives no number such as 2, -1.5e3, inf or nan"
        ) from None


def _known(text: str, known: Collection[str], what: str) -> str:
    name = _name(text)
    if name not in known:
        raise UsageError(f"{quoted(name)} is no {what}{suggestion(name, known)}")
    return name


# The task.


@dataclass(frozen=True)
class _Task:
    """What is to be shown.

    Attributes:
        expression: the text of the expression.
        inputs: the leaves by name, in the order given.
        root: the result.
        gradients: the gradients to list, by the name of the input.
        explanation: the table, or the paths from one input.
        checked: whether finite differences have confirmed the gradients.
        pencil: how `by_hand` is to write.
    """

    expression: str
    inputs: dict[str, Value]
    root: Value
    gradients: dict[str, float]
    explanation: Explanation | PathExplanation
    checked: bool
    pencil: dict[str, Any]


def _task(options: argparse.Namespace) -> _Task:
    if not options.words:
        raise UsageError('an expression is missing, as in: autograd "x*y" x=2 y=5')
    expression, inputs = Expression(options.words[0]), _inputs(options.words[1:])
    root = _result(expression, inputs)
    for name in inputs:
        _known(name, expression.names, "name in the expression")
    explained = None if options.explain is None else _known(options.explain, inputs, "input")
    if options.wrt is not None:
        wrt = [_known(name, inputs, "input") for name in options.wrt.split(",")]
    else:
        wrt = [*inputs] if explained is None else [explained]
    if options.check:
        gradcheck(expression, [{name: x.data for name, x in inputs.items()}])
    digits = options.digits or 6
    return _Task(
        expression=expression.text,
        inputs=inputs,
        root=root,
        gradients=dict(zip(wrt, root.gradient([inputs[name] for name in wrt]), strict=True)),
        explanation=(
            explain(root, digits=digits)
            if explained is None
            else explain(root, inputs[explained], digits=digits)
        ),
        checked=options.check,
        pencil=_given(options, "decimals", "rounding"),
    )


def _result(expression: Expression, inputs: dict[str, Value]) -> Value:
    """The root, called f unless it is an input itself."""
    result = expression(inputs)
    root = result if isinstance(result, Value) else Value(result, requires_grad=False)
    root.label = root.label or "f"
    return root


# Formats.


def _text(task: _Task) -> str:
    result = task.explanation.result
    title, explanation = f"{result} = {task.expression}", str(task.explanation)
    if isinstance(task.explanation, Explanation):
        title += "\nbelow each node, for each operand: upstream × local = downstream"
        explanation = task.explanation.table  # the gradients come below
    numbers = {result: task.root.data}
    numbers |= {f"∂{result}/∂{name}": gradient for name, gradient in task.gradients.items()}
    width = max(map(columns, numbers))
    lines = [f"{ljust(name, width)} = {number + 0.0: }" for name, number in numbers.items()]
    return "\n".join([title, "", explanation, "", *lines, *[_CHECKED] * task.checked])


def _latex(task: _Task) -> str:
    return "\n".join([task.explanation.latex(), *[f"% {_CHECKED}"] * task.checked])


def _flat(task: _Task) -> str:
    code = Tape.record(task.root).python().rstrip()
    return "\n".join([code, *[f"# {_CHECKED}"] * task.checked])


def _json(task: _Task) -> str:
    data = {
        "expression": task.expression,
        "inputs": {name: x.data for name, x in task.inputs.items()},
        "value": task.root.data,
        **task.explanation.data(),
        "gradients": task.gradients,
        **({"checked": True} if task.checked else {}),
    }
    return json.dumps(_strict(data), indent=2, ensure_ascii=False, allow_nan=False)


def _strict(data: Any) -> Any:
    """The data with strings in place of the numbers that JSON does not have."""
    if isinstance(data, dict):
        return {key: _strict(x) for key, x in cast(dict[str, Any], data).items()}
    if isinstance(data, list):
        return [_strict(x) for x in cast(list[Any], data)]
    return str(data) if isinstance(data, float) and not math.isfinite(data) else data


def _by_hand(task: _Task) -> str:
    root = copy.deepcopy(task.root)
    for node, name in graph.names(root).items():
        node.label = name  # what has a label is written down
    title = f"{task.explanation.result} = {task.expression}"
    return "\n".join([title, "", str(by_hand(root, **task.pencil)), *[_CHECKED] * task.checked])


_FORMATS = {"text": _text, "latex": _latex, "flat": _flat, "json": _json, "by-hand": _by_hand}


# Output.


def _page(root: Value, **style: Any) -> str:
    return step_through(root, **style).html


def _drawn(option: str, draw: Callable[[Value], str], root: Value) -> str:
    """What the option writes into its file."""
    size = len(graph.nodes(root))
    if size > _DRAWABLE:
        raise UsageError(f"{option}: the graph has {size:,} nodes; at most {_DRAWABLE} are drawn")
    try:
        return draw(root)
    except (OSError, subprocess.SubprocessError) as error:
        raise UsageError(f"{option}: Graphviz failed: {error}") from None


def _save(option: str, file: str, text: str) -> None:
    """Write the file as a whole or not at all; a device or a pipe takes what it can."""
    try:
        path = Path(file)
        if path.exists() and not path.is_file():  # a folder raises
            path.write_text(text, encoding="utf-8")
        else:
            _replace(path.resolve(), text)
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: a loop of links
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"{option}: cannot write {file!r}: {reason}") from None


def _replace(path: Path, text: str) -> None:
    """Put a new file, with the rights of the old one, into its place."""
    exists = path.exists()
    if exists:
        path.open("ab").close()  # raises where the file is protected
    draft = path.with_name(f".autograd-{os.getpid()}.draft")
    stream = draft.open("x", encoding="utf-8")
    try:
        with stream:
            if exists:
                shutil.copymode(path, draft)
            stream.write(text)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _write(text: str) -> None:
    """Print, with escapes for what the output's encoding lacks; a closed pipe is no error."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except OSError as error:
        # Python would try to write the rest once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise UsageError(f"cannot write the output: {error.strerror}") from None
