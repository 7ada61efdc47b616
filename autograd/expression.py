"""Text to graph: an arithmetic expression, read with `ast` against a whitelist, never evaluated."""

import ast
import difflib
import functools
import keyword
import math
import re
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from autograd import functional
from autograd.ops import TABLE
from autograd.value import Value, number

LONGEST = 100_000
"""How many characters an expression may have."""

DEEPEST = 100
"""How deep its parentheses may be nested."""

CONSTANTS = {"pi": math.pi, "e": math.e}
"""What these names mean where no input of that name is given."""

Function = Callable[..., Any]
Scalar = Value | float
Step = float | str | tuple[Function, int]
"""A number to put on the stack, a name whose value to put there, or a function to apply to the
topmost so many."""

_EXCERPT, _QUOTE = 76, 40
"""How many characters of an expression, and of a name, an error shows."""


def _power(x: Scalar, y: Scalar) -> Any:
    """x ** y as its operator records it, and IEEE-754 on floats."""
    return x**y if isinstance(x, Value) else functional.pow(x, y)


def _fold(function: Function) -> Function:
    return lambda *operands: functools.reduce(function, operands)


_UNARY: dict[type[ast.unaryop], Function] = {ast.UAdd: functional.pos, ast.USub: functional.neg}

_BINARY: dict[type[ast.operator], Function] = {
    ast.Add: functional.add,
    ast.Sub: functional.sub,
    ast.Mult: functional.mul,
    ast.Div: functional.div,
    ast.Pow: _power,
}

_FUNCTIONS: dict[str, Function] = {name: getattr(functional, name) for name in TABLE}
_VARIADIC = {"max": _fold(functional.maximum), "min": _fold(functional.minimum)}
_SYMBOLS = {op.symbol: op.name for op in TABLE.values()}

_LANGUAGE = "allowed are numbers, names, functions and + - * / ** ( ) ,"

_FOREIGN = re.compile(r"[^\w\s.,+\-*/()]|[²³]")

_KEYWORD = re.compile(rf"\b({'|'.join(keyword.kwlist)})\b")
"""A word of which Python's parser makes no name."""

_REMEDIES = {
    "^": "write a power as **",
    "²": "write a square as **2",
    "³": "write a cube as **3",
    "×": "write a product with *",
    "·": "write a product with *",
    "÷": "write a quotient with /",
    "−": "write the minus sign of the keyboard, -",
    "=": "values such as x=2 come after the expression; to compare, write equal(a, b)",
    "<": "to compare, write less(a, b)",
    ">": "to compare, write less(b, a)",
}
"""What to do about the characters that are likeliest to be meant well."""

_REFUSED: dict[type[ast.expr], str] = {
    ast.Attribute: "an attribute access",
    ast.BoolOp: "'and' or 'or'",
    ast.Compare: "a comparison",
    ast.GeneratorExp: "a generator",
    ast.IfExp: "a condition",
    ast.Starred: "an unpacking",
    ast.Tuple: "a comma outside the operands of a function",
    ast.UnaryOp: "'not'",
}

_SYNTAX = {
    "decimal literal": "a number runs into a name; write a product with *, as in 2*x",
    "leading zeros": "a whole number begins with 0",
    "digits": "a whole number has too many digits; write a huge one as 1e400",
}
"""What Python's parser says, by a part of it, in the words of this language."""


class ExpressionError(ValueError):
    """Text that is no expression: says what is wrong, and points at it.

    Attributes:
        message: what is wrong, in one line.
        text: the expression.
        column: where in the text, counted from 0; None where no place is to blame.
    """

    def __init__(self, message: str, text: str = "", column: int | None = None) -> None:
        super().__init__(message, text, column)
        self.message = message
        self.text = text
        self.column = column

    def __str__(self) -> str:
        """The message; where there is a column, then an excerpt of the text with a caret."""
        if self.column is None:
            return self.message
        start = max(0, min(self.column - _EXCERPT // 2, len(self.text) - _EXCERPT))
        end = start + _EXCERPT
        before = "…" * (start > 0) + _printable(self.text[start : self.column])
        after = _printable(self.text[self.column : end]) + "…" * (end < len(self.text))
        return f"{self.message}\n  {before}{after}\n  {_blank(before)}^"


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "�" for character in text)


def _blank(text: str) -> str:
    """Blanks as wide as the text; East Asian characters take two columns."""
    return "".join("  " if unicodedata.east_asian_width(c) in "FW" else " " for c in text)


def shortened(text: str) -> str:
    """The text, cut to fit into a message."""
    return text if len(text) <= _QUOTE else text[: _QUOTE - 1] + "…"


def quoted(text: str) -> str:
    """The text in quotes, cut to fit into a message."""
    return repr(shortened(text))


def suggestion(name: str, known: Iterable[str]) -> str:
    """A clause that names the nearest known name, or nothing."""
    nearest = difflib.get_close_matches(name, sorted(known), 1)
    return f"; did you mean {nearest[0]!r}?" if nearest else ""


class Expression:
    """An arithmetic expression, read once and computed on any inputs.

    Its language: numbers, names, `+ - * / **`, parentheses, every row of the table as a function,
    `max` and `min` of two or more operands, and the constants `pi` and `e` unless an input has
    that name. Numbers are IEEE-754 doubles throughout, also between constants: `1/0` is inf.

    Args:
        text: the expression.

    Attributes:
        text: the expression, with a space for each blank and none around it.
        names: the names that stand for numbers, each with the column of its first use.

    Raises:
        ExpressionError: if the text is anything else.
    """

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST:
            raise ExpressionError(
                f"the expression has {len(text):,} characters; at most {LONGEST:,} are read"
            )
        self.text = re.sub(r"\s", " ", text).strip()
        self.names: dict[str, int] = {}
        self._check_characters()
        self._check_parentheses()
        self._steps = self._postfix(self._tree())

    def __call__(self, inputs: Mapping[str, Scalar]) -> Scalar:
        """The result on these inputs: a Value where a Value enters it, else a float.

        Raises:
            ExpressionError: if a name has no value.
        """
        values = CONSTANTS | {name: inputs[name] for name in self.names if name in inputs}
        for name, column in self.names.items():
            if name not in values:
                raise self._error(self._without_value(name, inputs), column)
        stack: list[Any] = []
        for step in self._steps:
            if isinstance(step, tuple):
                function, count = step
                operands = stack[-count:]
                del stack[-count:]
                stack.append(function(*operands))
            else:
                stack.append(values[step] if isinstance(step, str) else step)
        return stack.pop()

    def _without_value(self, name: str, inputs: Mapping[str, Scalar]) -> str:
        if name in _FUNCTIONS or name in _VARIADIC:
            return f"{name} is a function: write {name}(…), or give it a value with {name}=NUMBER"
        unused = ", ".join(given for given in inputs if given not in self.names)
        hint = suggestion(name, self.names.keys() - {name})
        if unused:
            hint = f" (given but not used: {shortened(unused)})"
        return f"{quoted(name)} has no value: add {shortened(name)}=NUMBER{hint}"

    def _error(self, message: str, column: int) -> ExpressionError:
        return ExpressionError(message, self.text, column)

    # Reading: characters, parentheses, syntax, then node by node.

    def _check_characters(self) -> None:
        if not self.text:
            raise ExpressionError("the expression is empty")
        if foreign := _FOREIGN.search(self.text):
            character = foreign.group()
            remedy = _REMEDIES.get(character, _LANGUAGE)
            raise self._error(f"unexpected {character!r}: {remedy}", foreign.start())

    def _check_parentheses(self) -> None:
        opened: list[int] = []
        for parenthesis in re.finditer("[()]", self.text):
            column = parenthesis.start()
            if parenthesis.group() == "(":
                opened.append(column)
            elif opened:
                opened.pop()
            else:
                raise self._error("this ')' closes no '('", column)
            if len(opened) > DEEPEST:
                raise self._error(f"parentheses are nested more than {DEEPEST} deep", column)
        if opened:
            raise self._error("this '(' is never closed", opened[-1])

    def _tree(self) -> ast.expr:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about text that the walk refuses anyway
                return ast.parse(self.text, mode="eval").body
        except SyntaxError as error:
            if reserved := _KEYWORD.search(self.text):
                message = f"{reserved.group()!r} cannot be a name: it is a keyword of Python"
                raise self._error(message, reserved.start()) from None
            # Offsets count from 1; 0 stands for the end of the text.
            column = error.offset - 1 if error.offset else len(self.text)
            raise self._error(_in_words(error), column) from None
        except (RecursionError, MemoryError):
            raise ExpressionError(
                "too many operations in a row: put parentheses around parts of the expression"
            ) from None

    def _postfix(self, tree: ast.expr) -> list[Step]:
        """The steps that compute the expression, operands from left to right before their use."""
        steps: list[Step] = []
        stack: list[ast.expr | Step] = [tree]
        while stack:
            item = stack.pop()
            if isinstance(item, ast.expr):
                step, operands = self._read(item)
                stack.append(step)
                stack.extend(reversed(operands))
            else:
                steps.append(item)
        return steps

    def _read(self, node: ast.expr) -> tuple[Step, list[ast.expr]]:
        """The step of one node, and the operands to be computed before it."""
        match node:
            case ast.Constant(value=value) if type(value) in (int, float):
                return number(value, "number"), []
            case ast.Name(id=name):
                if name not in self.names:
                    self.names[name] = self._column(node)
                return name, []
            case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
                return (_UNARY[type(op)], 1), [operand]
            case ast.BinOp(op=op, left=left, right=right) if type(op) in _BINARY:
                return (_BINARY[type(op)], 2), [left, right]
            case ast.Call(func=ast.Name(id=name), args=operands, keywords=[]):
                return (self._function(node, name, len(operands)), len(operands)), operands
            case _:
                raise self._error(_reason(node), self._column(node))

    def _function(self, node: ast.expr, name: str, count: int) -> Function:
        function = _VARIADIC.get(name) or _FUNCTIONS.get(name)
        if function is None:
            hint = suggestion(_SYMBOLS.get(name, name), [*_FUNCTIONS, *_VARIADIC])
            raise self._error(f"there is no function {quoted(name)}{hint}", self._column(node))
        if name in _VARIADIC:
            if count < 2:
                raise self._error(
                    f"{name} takes 2 or more operands, received {count}", self._column(node)
                )
        elif count != TABLE[name].arity:
            arity = TABLE[name].arity
            operands = "1 operand" if arity == 1 else f"{arity} operands"
            raise self._error(f"{name} takes {operands}, received {count}", self._column(node))
        return function

    def _column(self, node: ast.expr) -> int:
        """Where the node begins, in characters; ast counts bytes of UTF-8."""
        return len(self.text.encode()[: node.col_offset].decode())


def _reason(node: ast.expr) -> str:
    """Why a node of the tree is no part of the language."""
    match node:
        case ast.Constant(value=value):
            return f"{value!r} is not a real number"
        case ast.BinOp(op=ast.FloorDiv()):
            return "// is not understood: write floor(a / b)"
        case ast.Call(func=ast.Name()):
            return "operands are understood by their place only"
        case ast.Call():
            return "only a function's name can be called; a product needs *"
        case _:
            return f"{_REFUSED.get(type(node), 'this')} is not understood: {_LANGUAGE}"


def _in_words(error: SyntaxError) -> str:
    if error.msg.startswith("invalid syntax"):
        return "something is missing or out of place here"
    found = [words for part, words in _SYNTAX.items() if part in error.msg]
    return found[0] if found else error.msg
