"""Augmentation: images flipped, turned, shifted and blurred, so that few become many."""

from typing import Any

from nn import checks
from nn.generators import Generator, gauss, generator_or_new

Image = list[list[float]]
"""Rows of pixels, from the top."""


def flip(image: Any, axis: str = "horizontal") -> Image:
    """The image mirrored: left and right exchanged, or with "vertical" top and bottom."""
    rows = _rows(image)
    if checks.choice("axis", axis, ("horizontal", "vertical")) == "vertical":
        return rows[::-1]
    return [row[::-1] for row in rows]


def rotate(image: Any, quarter_turns: int = 1) -> Image:
    """The image turned anticlockwise by so many quarter turns; three are one clockwise."""
    rows = _rows(image)
    for _ in range(checks.whole("quarter_turns", quarter_turns, at_least=0) % 4):
        rows = [list(column) for column in zip(*rows, strict=True)][::-1]
    return rows


def shift(image: Any, right: int = 0, down: int = 0, fill: float = 0.0) -> Image:
    """The image moved by whole pixels; what moves out is lost, and what comes in is fill.

    Negative numbers move it to the left and up.
    """
    rows = _rows(image)
    height, width = len(rows), len(rows[0])
    right = checks.whole("right", right, at_least=-width)
    down = checks.whole("down", down, at_least=-height)
    fill = checks.real("fill", fill)
    return [
        [
            rows[y][x] if 0 <= y < height and 0 <= x < width else fill
            for x in range(-right, width - right)
        ]
        for y in range(-down, height - down)
    ]


def noise(image: Any, std: float, generator: Generator | None = None) -> Image:
    """The image with normally distributed noise on each pixel.

    Args:
        image: rows of pixels.
        std: the standard deviation of the noise.
        generator: draws it; see `init`.
    """
    rows = _rows(image)
    std = checks.real("std", std, at_least=0.0)
    generator = generator_or_new(generator)
    return [[x + gauss(generator, 0.0, std) for x in row] for row in rows]


def _rows(image: Any) -> Image:
    """The image as lists.

    Raises:
        TypeError: if it is no list of rows.
        ValueError: if it is empty, or the rows differ in length.
    """
    if not checks.is_list(image) or not all(map(checks.is_list, image)):
        raise TypeError(f"image must be a list of rows of pixels, received {image!r}")
    if len({len(row) for row in image}) != 1 or not len(image[0]):
        raise ValueError(f"image must have rows of one length, at least one, received {image!r}")
    if checks.is_list(image[0][0]):
        raise TypeError(
            "image must be one list of rows of pixels, received several of them: "
            "write [flip(channel) for channel in image]"
        )
    return [list(row) for row in image]
