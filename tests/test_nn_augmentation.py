"""Augmentation: images flipped, turned, shifted and blurred, as by NumPy."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nn import augmentation

images = st.tuples(st.integers(1, 5), st.integers(1, 5)).flatmap(
    lambda shape: st.lists(
        st.lists(st.floats(-9.0, 9.0), min_size=shape[1], max_size=shape[1]),
        min_size=shape[0],
        max_size=shape[0],
    )
)


@given(images)
def test_flips(image: Any) -> None:
    assert np.fliplr(image).tolist() == augmentation.flip(image)
    assert np.flipud(image).tolist() == augmentation.flip(image, "vertical")


@given(images, st.integers(0, 9))
def test_quarter_turns(image: Any, turns: int) -> None:
    assert np.rot90(image, turns).tolist() == augmentation.rotate(image, turns)


@given(images, st.data())
def test_shifts(image: Any, draw: st.DataObject) -> None:
    height, width = np.shape(image)
    down = draw.draw(st.integers(-height, 2 * height))
    right = draw.draw(st.integers(-width, 2 * width))
    wide = np.pad(image, ((2 * height, 2 * height), (2 * width, 2 * width)), constant_values=7.0)
    top, left = 2 * height - down, 2 * width - right
    expected = wide[top : top + height, left : left + width]
    assert expected.tolist() == augmentation.shift(image, right, down, fill=7.0)


@pytest.mark.parametrize("kind", [random.Random, np.random.default_rng], ids=["random", "numpy"])
def test_noise(kind: Callable[[int], Any]) -> None:
    image = np.zeros((50, 40))
    noisy = augmentation.noise(image, 0.5, kind(0))
    assert noisy == augmentation.noise(image, 0.5, kind(0))
    assert 0.0 == image.max()
    assert (50, 40) == np.shape(noisy)
    assert abs(np.mean(noisy)) < 0.05
    assert 0.45 < np.std(noisy) < 0.55


@given(images)
def test_the_image_stays_and_is_not_shared(image: Any) -> None:
    before = [list(row) for row in image]
    for turned in (
        augmentation.flip(image),
        augmentation.flip(image, "vertical"),
        augmentation.rotate(image, 0),
        augmentation.shift(image),
        augmentation.noise(image, 0.0),
    ):
        turned[0][0] = 99.0
    assert before == image


ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: augmentation.flip([1.0]), TypeError, r"image must be a list of rows .* \[1.0\]"),
    (lambda: augmentation.flip(1.0), TypeError, "image must be a list of rows of pixels, rec"),
    (lambda: augmentation.flip([]), ValueError, "image must have rows of one length, at least"),
    (lambda: augmentation.rotate([[], []]), ValueError, "image must have rows of one length"),
    (lambda: augmentation.rotate([[1], [1, 2]]), ValueError, "image must have rows of one length"),
    (lambda: augmentation.flip([[[1.0]]]), TypeError, r"write \[flip\(channel\) for channel in im"),
    (lambda: augmentation.flip([[1]], "both"), ValueError, "axis must be one of 'horizontal', 'v"),
    (lambda: augmentation.rotate([[1]], 0.5), TypeError, "quarter_turns must be a whole number"),
    (lambda: augmentation.shift([[1]], 1.0), TypeError, "right must be a whole number ≥ -1, rec"),
    (lambda: augmentation.shift([[1]], 0, -2), ValueError, "down must be a whole number ≥ -1, rec"),
    (lambda: augmentation.noise([[1]], -1.0), ValueError, "std must be a finite number ≥ 0, rec"),
]


@pytest.mark.parametrize(("call", "error", "text"), ERRORS)
def test_bad_arguments(call: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()
