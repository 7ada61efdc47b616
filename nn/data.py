"""Data: batches, splits, standardisation, and small data sets drawn from a generator passed in."""

import math
import reprlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Self

from nn import checks
from nn.generators import Generator, gauss, generator_or_new

Data = tuple[list[Any], list[Any]]
"""Points and their labels, one for each point.

A point is a list of numbers, or as an image a list of rows, or as a sequence a list of steps, which
may be longer or shorter than others; a label is a number, such as 0 or 1 or the index of a class,
or a list of numbers.
"""


# What is done with data.


def checked(name: str, data: Any) -> Data:
    """The data as lists of plain numbers, whole labels as ints; arrays are taken as well.

    Raises:
        TypeError: if it is no pair of lists, or holds anything but numbers.
        ValueError: if it is empty, there is not one label for each point, the points or the
            labels are not all nested equally deep, or a number is nan or infinite.
    """
    points, labels = paired(name, data)
    points = _tables(f"{name}: points", points, checks.real)
    labels = _tables(f"{name}: labels", labels, _number)
    if not checks.is_list(points[0]):
        raise TypeError(f"{name}: points[0] must be a list of numbers, received {points[0]!r}")
    return points, labels


def paired(name: str, data: Any) -> tuple[Any, Any]:
    """The points and the labels of data, found to be as many, and at least one.

    Raises:
        TypeError: if the data is no pair of lists.
        ValueError: if it is empty, or there is not one label for each point.
    """
    if not checks.is_list(data) or len(data) != 2 or not all(map(checks.is_list, data)):
        raise TypeError(
            f"{name} must be a pair (points, labels) of lists, "
            f"received the {type(data).__name__} {reprlib.repr(data)}"
        )
    points, labels = data
    if len(points) != len(labels):
        raise ValueError(
            f"{name} must hold one label for each point, "
            f"received {len(points)} points and {len(labels)} labels"
        )
    if not len(points):
        raise ValueError(f"{name} must hold at least one sample, received none")
    return points, labels


def batches(
    data: Any,
    size: int | None = None,
    generator: Generator | None = None,
    shuffle: bool = True,
) -> Iterator[Data]:
    """Every sample once, in batches: one epoch. Each call shuffles anew.

    Args:
        data: points and labels.
        size: the samples of a batch, of which the last may have fewer; 1 is stochastic gradient
            descent. None puts all of them into one batch, in their order.
        generator: shuffles; see `init`.
        shuffle: with False the samples keep their order.
    """
    points, labels = paired("data", data)
    count = len(points)
    size = count if size is None else checks.whole("size", size, at_least=1)
    order = list(range(count))
    if checks.flag("shuffle", shuffle) and size < count:
        generator_or_new(generator).shuffle(order)
    return (_picked(points, labels, order[i : i + size]) for i in range(0, count, size))


def split(
    data: Any, validation: float = 0.3, generator: Generator | None = None
) -> tuple[Data, Data]:
    """The data in two parts drawn at random: for training, and for validation.

    In each the samples keep their order.

    Args:
        data: points and labels.
        validation: the share of the second part.
        generator: draws; see `init`.

    Raises:
        ValueError: if one of the parts would be empty.
    """
    points, labels = paired("data", data)
    share = checks.real("validation", validation, above=0.0, below=1.0)
    count = round(share * len(points))
    if count in (0, len(points)):
        raise ValueError(
            f"validation must leave samples in both parts, received {validation!r} "
            f"for {len(points)} samples"
        )
    order = list(range(len(points)))
    generator_or_new(generator).shuffle(order)
    train, held_out = sorted(order[count:]), sorted(order[:count])
    return _picked(points, labels, train), _picked(points, labels, held_out)


def _picked(points: Any, labels: Any, places: list[int]) -> Data:
    return [points[i] for i in places], [labels[i] for i in places]


@dataclass(frozen=True)
class Standardizer:
    """Brings each feature to mean 0 and standard deviation 1, and back.

    Fit it to the training points alone; then the validation points tell nothing of themselves.

    Attributes:
        mean: the mean of each feature.
        std: its standard deviation (of the population: divided by N); 1 where it is constant.
    """

    mean: list[float]
    std: list[float]

    @classmethod
    def fit(cls, points: Any) -> Self:
        """The standardizer of some points.

        Raises:
            ValueError: if there are none, they differ in length, or hold nan or inf.
        """
        rows = _vectors("points", points)
        mean, std = zip(*map(_mean_and_std, zip(*rows, strict=True)), strict=True)
        return cls(list(mean), list(std))

    def transform(self, points: Any) -> list[list[float]]:
        """(x - mean) / std, feature by feature."""
        return self._mapped(points, lambda x, mean, std: (x - mean) / std)

    def inverse_transform(self, points: Any) -> list[list[float]]:
        """x · std + mean: the points that `transform` was given."""
        return self._mapped(points, lambda x, mean, std: x * std + mean)

    def _mapped(
        self, points: Any, formula: Callable[[float, float, float], float]
    ) -> list[list[float]]:
        return [
            list(map(formula, checks.vector(point, len(self.mean), self), self.mean, self.std))
            for point in checks.listed(points, self)
        ]


def _mean_and_std(xs: Sequence[float]) -> tuple[float, float]:
    low, count = min(xs), len(xs)
    if low == max(xs):
        return low, 1.0
    mean = low + math.fsum((x - low) / count for x in xs)
    std = math.hypot(*(x - mean for x in xs)) / math.sqrt(count)
    return mean, checks.real("the standard deviation of points", std)


def _vectors(name: str, items: Any) -> list[list[float]]:
    """The items, one or more lists of as many plain numbers, at least one."""
    is_table = checks.is_list(items) and len(items) and all(map(checks.is_list, items))
    if not is_table or any(not len(item) or any(map(checks.is_list, item)) for item in items):
        raise ValueError(f"{name} must be a list of lists of numbers, received {items!r}")
    found = _tables(name, items, checks.real)
    _check_alike(name, found, len, "have one shape")
    return found


def _tables(name: str, items: Any, number: Callable[[str, Any], float]) -> list[Any]:
    """The items as nested lists of plain numbers, all nested equally deep."""
    found = [_table(f"{name}[{i}]", item, number) for i, item in enumerate(items)]
    _check_alike(name, found, _depth, "be nested equally deep")
    return found


def _check_alike(name: str, items: list[Any], trait: Callable[[Any], int], wanted: str) -> None:
    traits = list(map(trait, items))
    for i, found in enumerate(traits):
        if found != traits[0]:
            raise ValueError(
                f"{name} must all {wanted}, received {items[0]!r} at place 0 and "
                f"{items[i]!r} at place {i}"
            )


def _table(name: str, item: Any, number: Callable[[str, Any], float]) -> Any:
    if not checks.is_list(item):
        return number(name, item)
    return [_table(f"{name}[{i}]", part, number) for i, part in enumerate(item)]


def _number(name: str, x: Any) -> float:
    """x as an int where it is whole by its type, such as the index of a class, else as a float."""
    number = checks.real(name, x)
    return int(x) if isinstance(x, Integral) else number


def _depth(item: Any) -> int:
    return 1 + max(map(_depth, item), default=0) if checks.is_list(item) else 0


_PLAIN = {float, int}


def structure(item: Any) -> Any:
    """How the lists of an item nest, and how long they are; it can be compared and hashed."""
    if not checks.is_list(item):
        return None
    if _PLAIN.issuperset(map(type, item)):  # as most lists are
        return len(item)
    return tuple(map(structure, item))


# Data sets. Samples of different kinds take turns, so that each part of a data set holds them all.


def xor(samples: int = 4, noise: float = 0.0, generator: Generator | None = None) -> Data:
    """The corners of the unit square, labelled 1 where their coordinates differ, else 0.

    Args:
        samples: how many; the corners take turns.
        noise: the standard deviation of what is added to each coordinate.
        generator: draws the noise; see `init`.
    """
    corners = [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)]
    kinds = [kind for kind, _, _ in _turns(samples, 4)]
    points = _blurred([corners[kind] for kind in kinds], noise, generator)
    return points, [int(kind in (1, 2)) for kind in kinds]


def moons(samples: int = 100, noise: float = 0.0, generator: Generator | None = None) -> Data:
    """Two half circles that reach into each other: label 0 the upper one, 1 the lower one.

    Args:
        samples: how many in both; as in scikit-learn, they stand at equal distances.
        noise: the standard deviation of what is added to each coordinate.
        generator: draws the noise; see `init`.
    """

    def point(kind: int, place: int, count: int) -> tuple[float, float]:
        angle = math.pi * place / max(count - 1, 1)
        x, y = math.cos(angle), math.sin(angle)
        return (1.0 - x, 0.5 - y) if kind else (x, y)

    return _two_classes(point, samples, noise, generator)


def circles(
    samples: int = 100,
    noise: float = 0.0,
    generator: Generator | None = None,
    factor: float = 0.5,
) -> Data:
    """Two circles around the origin: label 0 the outer one of radius 1, 1 the inner one.

    Args:
        samples: how many on both; as in scikit-learn, they stand at equal distances.
        noise: the standard deviation of what is added to each coordinate.
        generator: draws the noise; see `init`.
        factor: the radius of the inner circle.
    """
    factor = checks.real("factor", factor, at_least=0.0, below=1.0)

    def point(kind: int, place: int, count: int) -> tuple[float, float]:
        angle, radius = 2.0 * math.pi * place / count, factor if kind else 1.0
        return radius * math.cos(angle), radius * math.sin(angle)

    return _two_classes(point, samples, noise, generator)


def spiral(
    samples: int = 200,
    noise: float = 0.0,
    generator: Generator | None = None,
    turns: float = 1.75,
) -> Data:
    """Two arms that wind from the origin to radius 5; label 1 the first one, 0 the opposite one.

    Of n points of an arm, point i is at radius r = 5 i/n and t = 2π · turns · i/n, on the other
    arm half a turn further: (r sin t, r cos t), as in TensorFlow Playground.

    Args:
        samples: how many in both arms.
        noise: at most so much is added to each coordinate or subtracted from it, all amounts being
            equally likely. What the Playground's page calls noise 20 is 0.2.
        generator: draws the noise; see `init`.
        turns: how often an arm winds around the origin.
    """
    noise = checks.real("noise", noise, at_least=0.0)
    turns = checks.real("turns", turns)
    uniform = generator_or_new(generator).uniform

    def point(kind: int, place: int, count: int) -> list[float]:
        r, t = 5.0 * place / count, turns * place / count * 2.0 * math.pi + math.pi * (1 - kind)
        exact = r * math.sin(t), r * math.cos(t)
        return [x + float(uniform(-1.0, 1.0)) * noise for x in exact]

    turned = _turns(samples, 2)
    return [point(*turn) for turn in turned], [kind for kind, _, _ in turned]


def blobs(
    samples: int = 90,
    std: float = 0.3,
    generator: Generator | None = None,
    centers: Sequence[Sequence[float]] = ((0.0, 1.0), (1.0, -1.0), (-1.0, -1.0)),
) -> Data:
    """Normally distributed clouds; the label is the index of the cloud.

    Args:
        samples: how many in all clouds.
        std: the standard deviation of each coordinate.
        generator: draws; see `init`.
        centers: the middle of each cloud, in as many dimensions as one likes.
    """
    middles = _vectors("centers", centers)
    kinds = [kind for kind, _, _ in _turns(samples, len(middles))]
    return _blurred([middles[kind] for kind in kinds], std, generator, name="std"), kinds


def linear(
    samples: int = 50,
    noise: float = 0.0,
    generator: Generator | None = None,
    weights: Sequence[float] = (2.0,),
    bias: float = 1.0,
) -> Data:
    """Regression: points between -1 and 1 in each coordinate, labelled w · x + b plus noise.

    Args:
        samples: how many.
        noise: the standard deviation of what is added to each label.
        generator: draws the points, then the noise; see `init`.
        weights: w, one number for each coordinate.
        bias: b.
    """
    if not checks.is_list(weights) or not len(weights):
        raise ValueError(f"weights must be a list of one number or more, received {weights!r}")
    weights = [checks.real(f"weights[{i}]", w) for i, w in enumerate(weights)]
    bias = checks.real("bias", bias)
    draw = generator_or_new(generator)
    count = checks.whole("samples", samples, at_least=1)
    points = [[float(draw.uniform(-1.0, 1.0)) for _ in weights] for _ in range(count)]
    exact = [[math.fsum([*map(float.__mul__, weights, x), bias])] for x in points]
    return points, [label for (label,) in _blurred(exact, noise, draw)]


FOUR_PIXEL_CLASSES = ("solid", "vertical", "diagonal", "horizontal")
"""What the labels of `four_pixel_images` mean."""

_FOUR_PIXELS = (
    (1.0, 1.0, 1.0, 1.0),
    (1.0, -1.0, 1.0, -1.0),
    (1.0, -1.0, -1.0, 1.0),
    (1.0, 1.0, -1.0, -1.0),
)


def four_pixel_images(
    samples: int = 8, noise: float = 0.0, generator: Generator | None = None
) -> Data:
    """Images of two by two pixels between -1 and 1, labelled by their class.

    A class holds its pattern and the negative of it, which no weighted sum of pixels tells from
    nothing: the "intra-class variation" of the lecture "Backpropagation" (E. E. Aksoy).

    Args:
        samples: how many; the eight images take turns.
        noise: the standard deviation of what is added to each pixel, which then is brought back
            between -1 and 1.
        generator: draws the noise; see `init`.

    Returns:
        The pixels row by row, and the places of the classes in FOUR_PIXEL_CLASSES.
    """
    kinds = [kind for kind, _, _ in _turns(samples, 8)]
    exact = [[x if kind < 4 else -x for x in _FOUR_PIXELS[kind % 4]] for kind in kinds]
    images = _blurred(exact, noise, generator)
    return [[max(-1.0, min(1.0, x)) for x in image] for image in images], [k % 4 for k in kinds]


def _turns(samples: int, kinds: int) -> list[tuple[int, int, int]]:
    """For each sample its kind, its place among those of its kind, and how many they are."""
    samples = checks.whole("samples", samples, at_least=1)
    counts = [len(range(kind, samples, kinds)) for kind in range(kinds)]
    return [(i % kinds, i // kinds, counts[i % kinds]) for i in range(samples)]


def _two_classes(
    point: Callable[[int, int, int], Sequence[float]],
    samples: int,
    noise: float,
    generator: Generator | None,
) -> Data:
    turned = _turns(samples, 2)
    points = _blurred([point(*turn) for turn in turned], noise, generator)
    return points, [kind for kind, _, _ in turned]


def _blurred(
    points: Sequence[Sequence[float]], std: float, generator: Generator | None, name: str = "noise"
) -> list[list[float]]:
    """The points with normally distributed noise on each coordinate."""
    std = checks.real(name, std, at_least=0.0)
    generator = generator_or_new(generator)
    if not std:
        return [list(point) for point in points]
    return [[x + gauss(generator, 0.0, std) for x in point] for point in points]
