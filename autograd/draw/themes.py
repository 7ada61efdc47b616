"""The colours of a drawing."""

from dataclasses import dataclass

FONT = "Helvetica,Arial,sans-serif"


@dataclass(frozen=True, slots=True)
class Theme:
    """What is drawn in which colour; text on `paper` has a contrast of at least 4.5 to 1."""

    paper: str
    ink: str  # labels and gates
    wire: str  # edges, rules, the legend
    value: str
    gradient: str
    local: str
    positive: str  # the edges of a network
    negative: str
    warning: str  # what is stale


THEMES = {
    "light": Theme(
        paper="#ffffff",
        ink="#1f2328",
        wire="#656d76",
        value="#1a7f37",
        gradient="#cf222e",
        local="#0969da",
        positive="#0550ae",
        negative="#bc4c00",
        warning="#9a6700",
    ),
    "dark": Theme(
        paper="#0d1117",
        ink="#e6edf3",
        wire="#8b949e",
        value="#56d364",
        gradient="#ff7b72",
        local="#79c0ff",
        positive="#58a6ff",
        negative="#f0883e",
        warning="#e3b341",
    ),
    "print": Theme(
        paper="#ffffff",
        ink="#000000",
        wire="#000000",
        value="#000000",
        gradient="#000000",
        local="#000000",
        positive="#000000",
        negative="#000000",
        warning="#000000",
    ),
}
"""The themes by name; `print` needs no colour: places and slants tell the numbers apart."""
