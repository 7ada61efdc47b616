"""The options that all drawings have, checked."""

from autograd.draw.themes import THEMES

RANKDIRS = ("LR", "TB")
"""The directions of a drawing: to the right, or down."""


def check_options(format: object, rankdir: str, theme: str, digits: object) -> None:
    """Raise an error for an option that is not allowed."""
    if not isinstance(format, str):
        raise TypeError(f"format must be a name such as 'svg' or 'pdf', received {format!r}")
    check_choice("rankdir", rankdir, RANKDIRS)
    check_choice("theme", theme, tuple(THEMES))
    if type(digits) is not int or not 1 <= digits <= 17:
        raise ValueError(f"digits must be a whole number from 1 to 17, received {digits!r}")


def check_size(what: str, name: str, count: int, most: object, remedy: str) -> None:
    """Raise an error if what is drawn has more nodes or edges (the name) than the option allows."""
    if type(most) is not int:
        raise TypeError(f"max_{name} must be a whole number, received {most!r}")
    if count > most:
        raise ValueError(
            f"{what} has {count:,} {name}, more than max_{name}={most}: pass max_{name}={count} to "
            f"draw them all, or draw {remedy}"
        )


def check_choice(name: str, received: str, allowed: tuple[str, ...]) -> None:
    """Raise a ValueError that names the option, unless it is one of those allowed."""
    if received not in allowed:
        raise ValueError(f"{name} must be one of {allowed}, received {received!r}")
