"""The options that all drawings have, checked."""

from autograd.draw.themes import THEMES

RANKDIRS = ("LR", "TB")
"""The directions of a drawing: to the right, or down."""


def check_options(rankdir: str, theme: str, digits: object) -> None:
    """Raise a ValueError for an option that is not allowed."""
    check_choice("rankdir", rankdir, RANKDIRS)
    check_choice("theme", theme, tuple(THEMES))
    if type(digits) is not int or not 1 <= digits <= 17:
        raise ValueError(f"digits must be a whole number from 1 to 17, received {digits!r}")


def check_choice(name: str, received: str, allowed: tuple[str, ...]) -> None:
    """Raise a ValueError that names the option, unless it is one of those allowed."""
    if received not in allowed:
        raise ValueError(f"{name} must be one of {allowed}, received {received!r}")
