"""The text in a drawing: numbers, names, gates, and what makes any text safe for DOT and SVG."""

import html

from autograd.value import Value

LONGEST = 32
"""How many characters of a label are shown."""

COMMUTATIVE = ("add", "mul", "maximum", "minimum", "equal", "hypot")
"""The rows whose operands may change places."""

SPACE = "&#160;"
"""A space that SVG keeps at the ends of a text."""


def significant(number: float, digits: int) -> str:
    """The number with that many significant digits."""
    return f"{number:.{digits}g}"


def gate_text(node: Value, digits: int) -> str:
    """What stands in the gate of a computed node: its symbol, with a number operand folded in.

    The other operand is then x: `+1`, `×-1`, `÷2`, `^3`, but `3−x`, `1/x`, `2^x`, `max(x, 0)`.
    """
    op, operands = node.op, node.operands
    assert op is not None
    if all(isinstance(x, Value) for x in operands):
        return op.symbol
    x, y = ("x" if isinstance(x, Value) else significant(x, digits) for x in operands)
    if len(op.symbol) > 1:
        return f"{op.symbol}({x}, {y})"
    if y == "x" and op.name in COMMUTATIVE:
        x, y = y, x
    if x == "x":
        return f"{op.symbol}{y}"
    return f"{x}/x" if op.symbol == "÷" else f"{x}{op.symbol}x"


def printable(text: str) -> str:
    """The text on one line: what cannot be printed becomes an escape such as \\n or \\x1b."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shortened(text: str) -> str:
    """The text, or the beginning of a long one and …"""
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def escaped(text: str) -> str:
    """The text as a part of an HTML-like label of Graphviz, where a backslash begins an escape."""
    return html.escape(text).replace("\\", r"\\")
