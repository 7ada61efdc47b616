"""Data: batches, splits, standardisation and data sets, from a generator passed in."""

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nn import data

seeds = st.integers(0, 2**32)
sizes = st.integers(1, 40)

GENERATORS: list[Callable[[int], Any]] = [random.Random, np.random.default_rng]

both_kinds = pytest.mark.parametrize("kind", GENERATORS, ids=["random", "numpy"])


def numbered(count: int) -> data.Data:
    """Samples that tell their number twice, in the point and in the label."""
    return [[float(i)] for i in range(count)], list(range(count))


# Batches.


@both_kinds
@given(count=sizes, size=st.none() | sizes, seed=seeds)
def test_batches_hold_every_sample_once(
    kind: Callable[[int], Any], count: int, size: int | None, seed: int
) -> None:
    found = list(data.batches(numbered(count), size, kind(seed)))
    labels = [label for _, part in found for label in part]
    assert list(range(count)) == sorted(labels)
    assert labels == [int(x) for points, _ in found for (x,) in points]
    width = count if size is None else min(size, count)
    assert {width} >= {len(part) for _, part in found[:-1]}
    assert 1 <= len(found[-1][1]) <= width


@both_kinds
@given(count=sizes, size=sizes, seed=seeds)
def test_a_seed_fixes_the_batches_of_every_epoch(
    kind: Callable[[int], Any], count: int, size: int, seed: int
) -> None:
    first, second = kind(seed), kind(seed)
    for _ in range(3):
        epoch = list(data.batches(numbered(count), size, first))
        assert epoch == list(data.batches(numbered(count), size, second))


def test_each_epoch_is_shuffled_anew() -> None:
    generator = random.Random(0)
    epochs = [[label for _, (label,) in data.batches(numbered(9), 1, generator)] for _ in "123"]
    assert 3 == len({*map(tuple, epochs)} - {tuple(range(9))})


@pytest.mark.parametrize(("size", "shuffle"), [(None, True), (9, True), (20, True), (2, False)])
def test_one_batch_and_unshuffled_ones_keep_the_order(size: int | None, shuffle: bool) -> None:
    generator = random.Random(0)
    before = generator.getstate()
    found = data.batches(numbered(9), size, generator, shuffle)
    assert list(range(9)) == [label for _, part in found for label in part]
    assert before == generator.getstate()


def test_the_hidden_global_generators_are_left_alone() -> None:
    random.seed(1)
    np.random.seed(1)
    before = random.getstate(), np.random.get_state()[1].tolist()
    list(data.batches(numbered(9), 2))
    data.split(numbered(9))
    data.moons(9, 0.1)
    assert before == (random.getstate(), np.random.get_state()[1].tolist())


# Splits.


@both_kinds
@given(
    count=st.integers(2, 60),
    share=st.floats(0.0, 1.0, exclude_min=True, exclude_max=True),
    seed=seeds,
)
def test_a_split_is_disjoint_and_whole(
    kind: Callable[[int], Any], count: int, share: float, seed: int
) -> None:
    if round(share * count) in (0, count):
        with pytest.raises(ValueError, match="validation must leave samples in both parts"):
            data.split(numbered(count), share, kind(seed))
        return
    parts = data.split(numbered(count), share, kind(seed))
    assert list(range(count)) == sorted(label for _, labels in parts for label in labels)
    assert all(labels == sorted(labels) for _, labels in parts)
    assert round(share * count) == len(parts[1][1])
    assert all(labels == [int(x) for (x,) in points] for points, labels in parts)
    assert parts == data.split(numbered(count), share, kind(seed))


# Standardisation.

features = st.integers(1, 4).flatmap(
    lambda width: st.lists(
        st.lists(st.floats(-1e6, 1e6), min_size=width, max_size=width), min_size=1, max_size=12
    )
)


@given(features)
def test_standardisation_gives_the_points_back(points: list[list[float]]) -> None:
    standardizer = data.Standardizer.fit(points)
    back = standardizer.inverse_transform(standardizer.transform(points))
    largest = max(abs(x) for point in points for x in point)
    assert np.allclose(points, back, rtol=0.0, atol=4 * math.ulp(largest))


@given(features)
def test_standardised_features_have_mean_0_and_deviation_1(points: list[list[float]]) -> None:
    columns = np.array(data.Standardizer.fit(points).transform(points)).T
    for column, raw in zip(columns, np.array(points).T, strict=True):
        if raw.min() == raw.max():
            assert [0.0] * len(raw) == column.tolist()
        elif np.ptp(raw) > 1e-6 * np.abs(raw).max():  # else the mean has no digits left
            assert abs(column.mean()) < 1e-9
            assert column.std() == pytest.approx(1.0, rel=1e-9)


def test_standardisation_by_hand() -> None:
    standardizer = data.Standardizer.fit([[1, 5], [3, 5]])
    assert data.Standardizer(mean=[2.0, 5.0], std=[1.0, 1.0]) == standardizer
    assert [[3.0, -1.0]] == standardizer.transform([[5.0, 4.0]])
    assert [[5.0, 4.0]] == standardizer.inverse_transform([[3.0, -1.0]])


@pytest.mark.parametrize("tiny_or_huge", [5e-324, 1e-300, 1e300])
def test_standardisation_of_denormal_and_huge_numbers(tiny_or_huge: float) -> None:
    points = [[-tiny_or_huge], [tiny_or_huge]]
    standardizer = data.Standardizer.fit(points)
    assert [0.0] == standardizer.mean
    assert [tiny_or_huge] == pytest.approx(standardizer.std, rel=1e-15, abs=0.0)
    assert [-1.0, 1.0] == pytest.approx([x for (x,) in standardizer.transform(points)], rel=1e-15)


def test_arrays_are_taken() -> None:
    points, labels = data.checked("data", (np.array([[1, 2], [3, 4]]), np.array([0, 1])))
    assert ([[1.0, 2.0], [3.0, 4.0]], [0, 1]) == (points, labels)
    assert ({float}, {int}) == ({type(x) for p in points for x in p}, {type(x) for x in labels})
    assert [[-1.0], [1.0]] == data.Standardizer.fit(np.array([[1], [3]])).transform([[1], [3]])


# Data sets.

SETS: dict[str, tuple[Callable[[int, float, Any], data.Data], int, set[int]]] = {
    "xor": (data.xor, 2, {0, 1}),
    "moons": (data.moons, 2, {0, 1}),
    "circles": (data.circles, 2, {0, 1}),
    "spiral": (data.spiral, 2, {0, 1}),
    "blobs": (data.blobs, 2, {0, 1, 2}),
    "four pixels": (data.four_pixel_images, 4, {0, 1, 2, 3}),
}

every_set = pytest.mark.parametrize(("make", "width", "classes"), SETS.values(), ids=SETS)


@every_set
@both_kinds
@given(samples=sizes, noise=st.sampled_from([0.0, 0.125, 2.0]), seed=seeds)
def test_a_seed_fixes_a_data_set(
    make: Any, width: int, classes: set[int], kind: Any, samples: int, noise: float, seed: int
) -> None:
    points, labels = make(samples, noise, kind(seed))
    assert (points, labels) == make(samples, noise, kind(seed))
    assert (samples, samples) == (len(points), len(labels))
    assert {width} == {len(point) for point in points}
    assert {float} == {type(x) for point in points for x in point}
    assert classes >= set(labels)
    assert {int} == {type(label) for label in labels}
    assert (points, labels) == data.checked("data", (points, labels))


@pytest.mark.parametrize(("make", "classes"), [(x, classes) for x, _, classes in SETS.values()])
@given(samples=st.integers(8, 40))
def test_classes_are_as_even_as_can_be(make: Any, classes: set[int], samples: int) -> None:
    _, labels = make(samples, 0.0, None)
    counts = [labels.count(c) for c in classes]
    assert max(counts) - min(counts) <= (2 if make is data.xor else 1)


def test_noise_moves_the_points_by_so_much() -> None:
    for make in (data.xor, data.moons, data.circles, data.four_pixel_images):
        exact, _ = make(2000)
        noisy, _ = make(2000, 0.01, random.Random(0))
        moved = np.array(noisy) - np.array(exact)
        bound = 0.01 if make is data.four_pixel_images else None  # half of it is cut off there
        assert abs(moved.mean()) < 0.01
        assert 0.005 < moved.std() < (bound or 0.0105)


def test_xor() -> None:
    points, labels = data.xor()
    assert [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]] == points
    assert [0, 1, 1, 0] == labels


def test_moons_and_circles_are_those_of_scikit_learn() -> None:
    from sklearn.datasets import make_circles, make_moons

    def in_order(points: Any, labels: Any) -> list[tuple[float, ...]]:
        rows = zip(labels, *np.round(np.array(points), 12).T.tolist(), strict=True)
        return sorted(tuple(x + 0.0 for x in row) for row in rows)

    for ours, theirs in (
        (data.moons, make_moons),
        (data.circles, lambda n, shuffle: make_circles(n, shuffle=shuffle, factor=0.5)),
    ):
        for samples in (2, 10, 31):
            expected = theirs(samples, shuffle=False)
            if samples == 31:  # of an odd number, scikit-learn puts the last one into class 1
                assert {15, 16} == {ours(samples)[1].count(0), ours(samples)[1].count(1)}
            else:
                assert in_order(expected[0], expected[1].tolist()) == in_order(*ours(samples))


@given(st.integers(2, 60), st.floats(0.0, 2.0), seeds)
def test_spiral_noise_has_a_bound(samples: int, noise: float, seed: int) -> None:
    exact, labels = data.spiral(samples)
    noisy, same = data.spiral(samples, noise, random.Random(seed))
    assert labels == same
    assert float(np.abs(np.array(noisy) - np.array(exact)).max()) <= noise + 1e-14


def test_spiral_arms_face_each_other() -> None:
    points, labels = data.spiral(40)
    ones, zeros = ([p for p, t in zip(points, labels, strict=True) if t == k] for k in (1, 0))
    assert np.allclose(ones, -np.array(zeros), rtol=0.0, atol=1e-14)
    assert [5.0 * i / 20 for i in range(20)] == pytest.approx([math.hypot(*p) for p in ones])


def test_blobs_lie_around_their_centers() -> None:
    points, labels = data.blobs(300, 0.1, random.Random(0), centers=[[5], [-5], [0]])
    means = [
        np.mean([x for (x,), t in zip(points, labels, strict=True) if t == k]) for k in range(3)
    ]
    assert [5.0, -5.0, 0.0] == pytest.approx(means, abs=0.05)


@both_kinds
def test_linear_labels_follow_the_weights(kind: Any) -> None:
    points, labels = data.linear(30, generator=kind(0), weights=(2.0, -3.0), bias=0.5)
    assert [2.0 * a - 3.0 * b + 0.5 for a, b in points] == pytest.approx(labels)
    assert all(-1.0 <= x <= 1.0 for point in points for x in point)
    assert (points, labels) == data.linear(30, generator=kind(0), weights=(2, -3), bias=0.5)
    same, noisy = data.linear(30, 0.1, kind(0), (2.0, -3.0), 0.5)
    assert points == same
    assert 0.05 < float(np.std(np.array(noisy) - np.array(labels))) < 0.2


def test_four_pixel_images() -> None:
    images, labels = data.four_pixel_images()
    assert 8 == len({*map(tuple, images)})
    for image, label in zip(images, labels, strict=True):
        (a, b), (c, d) = image[:2], image[2:]
        name = {
            (True, True, True): "solid",
            (False, True, False): "vertical",
            (False, False, True): "diagonal",
            (True, False, False): "horizontal",
        }[a == b, a == c, a == d]
        assert name == data.FOUR_PIXEL_CLASSES[label]
    for kind in range(4):  # a class cannot be told by the sum of its pixels, whatever the weights
        members = [image for image, label in zip(images, labels, strict=True) if label == kind]
        assert [0.0] * 4 == np.sum(members, axis=0).tolist()


@given(st.floats(0.0, 5.0), seeds)
def test_pixels_stay_between_black_and_white(noise: float, seed: int) -> None:
    images, _ = data.four_pixel_images(16, noise, random.Random(seed))
    assert all(-1.0 <= x <= 1.0 for image in images for x in image)


# Bad input.

P = [[1.0, 2.0], [3.0, 4.0]]

STANDARDIZER = data.Standardizer([0.0], [1.0])

ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: data.checked("data", P[0]), TypeError, r"data must be a pair \(points, labels\) of"),
    (lambda: data.checked("data", None), TypeError, "received the NoneType None"),
    (lambda: data.checked("data", (P, 1)), TypeError, r"data must be a pair \(points, labels\) of"),
    (lambda: data.checked("data", (P, [1])), ValueError, "received 2 points and 1 labels"),
    (lambda: data.checked("data", ([], [])), ValueError, "data must hold at least one sample, rec"),
    (
        lambda: data.checked("data", ([[1.0, math.nan]], [0])),
        ValueError,
        r"data: points\[0\]\[1\] must be a finite number, received nan",
    ),
    (
        lambda: data.checked("validation", (P, [0, math.inf])),
        ValueError,
        r"validation: labels\[1\] must be a finite number, received inf",
    ),
    (
        lambda: data.checked("data", (P, ["a", "b"])),
        TypeError,
        r"data: labels\[0\] must be a finite number, received the str 'a'",
    ),
    (
        lambda: data.checked("data", ([[1.0, 2.0], [[1.0], [2.0]]], [0, 1])),
        ValueError,
        r"points must all be nested equally deep, received \[1.0, 2.0\] at place 0 and \[\[1.0\], ",
    ),
    (
        lambda: data.checked("data", (P, [0, [1]])),
        ValueError,
        r"labels must all be nested equally deep, received 0 at place 0 and \[1\] at place 1",
    ),
    (
        lambda: data.checked("data", ([1.0, 2.0], [0, 1])),
        TypeError,
        r"data: points\[0\] must be a list of numbers, received 1.0",
    ),
    (lambda: data.batches((P, [0])), ValueError, "received 2 points and 1 labels"),
    (lambda: data.batches((P, P), 0), ValueError, "size must be a whole number ≥ 1, received 0"),
    (lambda: data.batches((P, P), 1.5), TypeError, "size must be a whole number ≥ 1, received"),
    (lambda: data.batches((P, P), 1, 0), TypeError, "generator must be a random.Random or a nu"),
    (lambda: data.batches((P, P), shuffle=1), TypeError, "shuffle must be True or False, received"),
    (
        lambda: data.split((P, P), 1.0),
        ValueError,
        "validation must be .* > 0 and < 1, received 1.0",
    ),
    (lambda: data.split((P, P), 0.1), ValueError, "received 0.1 for 2 samples"),
    (lambda: data.Standardizer.fit([]), ValueError, "points must be a list of lists of numbers"),
    (lambda: data.Standardizer.fit([1.0]), ValueError, "points must be a list of lists of numbers"),
    (lambda: data.Standardizer.fit([[]]), ValueError, "points must be a list of lists of numbers"),
    (lambda: data.Standardizer.fit([[math.nan]]), ValueError, r"points\[0\]\[0\] must be a finite"),
    (
        lambda: data.Standardizer.fit([[-1.7e308], [1.7e308]]),
        ValueError,
        "the standard deviation of points must be a finite number, received inf",
    ),
    (
        lambda: data.Standardizer.fit(P).transform([[1.0]]),
        ValueError,
        "inputs must be a list of 2 numbers or Values for Standardizer",
    ),
    (lambda: data.moons(0), ValueError, "samples must be a whole number ≥ 1, received 0"),
    (lambda: data.moons(4, -1.0), ValueError, "noise must be a finite number ≥ 0, received -1.0"),
    (lambda: data.moons(4, 0.1, 7), TypeError, "generator must be a random.Random or a numpy"),
    (lambda: data.circles(4, factor=1.0), ValueError, "factor must be .* ≥ 0 and < 1, received 1"),
    (lambda: data.spiral(4, math.inf), ValueError, "noise must be a finite number ≥ 0, received"),
    (lambda: data.blobs(4, -1.0), ValueError, "std must be a finite number ≥ 0, received -1.0"),
    (
        lambda: data.blobs(4, centers=[]),
        ValueError,
        "centers must be a list of lists of numbers, r",
    ),
    (lambda: data.blobs(4, centers=[1, 2]), ValueError, "centers must be a list of lists of num"),
    (lambda: data.blobs(4, centers=5), ValueError, "centers must be a list of lists .* received 5"),
    (lambda: data.blobs(4, centers=[[1], [1, 2]]), ValueError, "centers must all have one shape"),
    (lambda: data.linear(2, weights=2.0), ValueError, "weights must be a list of one number or mo"),
    (
        lambda: data.linear(2, weights=[]),
        ValueError,
        "weights must be a list of one number or more",
    ),
    (lambda: data.linear(2, weights=[[1]]), TypeError, r"weights\[0\] must be .* the list \[1\]"),
    (lambda: STANDARDIZER.transform(1.0), TypeError, "must be a list .* received the float 1.0"),
    (lambda: data.Standardizer.fit([[[1.0]]]), ValueError, r"lists of numbers, received \[\[\[1.0"),
    (lambda: data.linear(0), ValueError, "samples must be a whole number ≥ 1, received 0"),
    (
        lambda: data.linear(2, weights=["a"]),
        TypeError,
        r"weights\[0\] must be a finite number, rec",
    ),
]


@pytest.mark.parametrize(("call", "error", "text"), ERRORS)
def test_bad_arguments(call: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()
