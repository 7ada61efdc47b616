"""The text in a drawing: numbers, names, gates, and what makes any text safe for DOT and SVG."""

import html
import re

from autograd.graph import printable
from autograd.value import Value

LONGEST = 32
"""How many characters of a label are shown."""

SHORT = 3
"""How many characters a label has at most to stand in a gate."""

COMMUTATIVE = ("add", "mul", "maximum", "minimum", "equal", "hypot")
"""The rows whose operands may change places."""

SPACE = "&#160;"
"""A space that SVG keeps at the ends of a text."""


def significant(number: float, digits: int) -> str:
    """The number with that many significant digits; -0.0 is 0."""
    return f"{number + 0.0:.{digits}g}"


def gate_text(node: Value, digits: int) -> str:
    """What stands in the gate of a computed node: its symbol, with a number operand folded in.

    The other operand is written where it must be: `+1`, `÷2`, `^3`, but `3−x`, `1/x`, `max(x, 0)`.
    """
    op, operands = node.op, node.operands
    assert op is not None
    if all(isinstance(x, Value) for x in operands):
        return re.sub(r"\bx(?![a-z])", lambda _: _short_name(operands[0]), op.symbol)
    x, y = (_short_name(x) if isinstance(x, Value) else significant(x, digits) for x in operands)
    if len(op.symbol) > 1:
        return f"{op.symbol}({x}, {y})"
    if isinstance(operands[0], Value):
        return f"{op.symbol}{y}"
    if op.name in COMMUTATIVE:
        return f"{op.symbol}{x}"
    return f"{x}/{y}" if op.symbol == "÷" else f"{x}{op.symbol}{y}"


def _short_name(operand: Value | float) -> str:
    """The label of an operand, or a dot."""
    label = printable(operand.label or "") if isinstance(operand, Value) else ""
    return label if 0 < len(label) <= SHORT else "·"


def shortened(text: str) -> str:
    """The text, or the beginning of a long one and …"""
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def escaped(text: str) -> str:
    """The text as a part of an HTML-like label of Graphviz, where a backslash begins an escape."""
    return html.escape(text).replace("\\", r"\\")
