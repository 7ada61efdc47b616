"""The problems that compiled programs are measured on: data, and formulas for tracing."""

import math
import random
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from benchmarks.eager import half_circles

Numbers = list[float]

SIZES = (2, 16, 16, 1)
OBSERVATIONS = 10_000
COMPONENTS, POINTS = 5, 1000


# Data.


def moons_data() -> tuple[Numbers, list[tuple[float, float]], Numbers]:
    """The parameters of the network, the points and their labels."""
    rng = random.Random(1337)
    return [rng.uniform(-1.0, 1.0) for _ in range(337)], *half_circles(100, rng)


def rosenbrock_data() -> tuple[Numbers]:
    """A point in 10 dimensions."""
    return ([0.1 * i for i in range(10)],)


def network_data() -> tuple[Numbers, Numbers, float]:
    """The parameters of the 2-2-1 network, an input and its target."""
    return [0.1, 0.2, 0.3, 0.4, -0.5, 0.6, 0.7, -0.8, 0.9], [0.5, 0.25], 1.0


def bundle_data() -> tuple[list[Numbers], list[Numbers]]:
    """By observation the 15 parameters of its residual, and the pixel."""
    rng = random.Random(7)
    rows = [[rng.gauss(0.0, 0.3) for _ in range(15)] for _ in range(OBSERVATIONS)]
    for row in rows:
        row[6], row[13] = 500.0 + row[6], 5.0 + row[13]
    return rows, [[rng.uniform(0.0, 500.0) for _ in range(2)] for _ in rows]


def mixture_data() -> tuple[Numbers, list[Numbers]]:
    """The 30 parameters of the mixture, and the points."""
    rng = random.Random(11)
    parameters = [rng.gauss(0.0, 0.5) for _ in range(6 * COMPONENTS)]
    return parameters, [[rng.gauss(0.0, 1.0) for _ in range(2)] for _ in range(POINTS)]


# Formulas. `f` has the functions of whoever traces them: sin, exp, relu, …


def network_output(f: Any, w: Sequence[Any], x: Sequence[Any], sizes: Sequence[int]) -> Any:
    """The output of a network of relus, linear at its end; w by neuron weights, then the bias."""
    start, activations = 0, [*x]
    for n_in, n_out in pairwise(sizes):
        sums: list[Any] = []
        for _ in range(n_out):
            total = w[start + n_in]
            for i in range(n_in):
                total = total + w[start + i] * activations[i]
            sums.append(total)
            start += n_in + 1
        activations = sums if n_out == 1 else [f.relu(z) for z in sums]
    return activations[0]


def hinge(f: Any) -> Callable[..., Any]:
    """The hinge loss of the moons network at one point."""
    return lambda w, x, y: f.relu(1.0 - y * network_output(f, w, x, SIZES))


def rosenbrock(_: Any) -> Callable[..., Any]:
    """Rosenbrock's function."""
    return lambda x: sum(
        100.0 * (x[i + 1] - x[i] * x[i]) ** 2 + (1.0 - x[i]) ** 2 for i in range(9)
    )


def network(f: Any) -> Callable[..., Any]:
    """Half the squared error of a 2-2-1 network of sigmoids."""

    def error(w: Sequence[Any], x: Sequence[Any], target: Any) -> Any:
        a = f.sigmoid(w[0] * x[0] + w[1] * x[1] + w[2])
        b = f.sigmoid(w[3] * x[0] + w[4] * x[1] + w[5])
        e = f.sigmoid(w[6] * a + w[7] * b + w[8]) - target
        return 0.5 * e * e

    return error


def _cross(a: Sequence[Any], b: Sequence[Any]) -> list[Any]:
    return [a[i - 2] * b[i - 1] - a[i - 1] * b[i - 2] for i in range(3)]


def residual(f: Any) -> Callable[..., Any]:
    """The residual of bundle adjustment, as in ADBench: rotation 3, centre 3, focal length,
    principal point 2, distortion 2, point 3, weight."""

    def difference(p: Sequence[Any], seen: Sequence[Any]) -> list[Any]:
        r, v = [p[i] for i in range(3)], [p[11 + i] - p[3 + i] for i in range(3)]
        angle = f.sqrt(r[0] * r[0] + r[1] * r[1] + r[2] * r[2])
        c, axis = f.cos(angle), [z / angle for z in r]
        s, along = f.sin(angle), (axis[0] * v[0] + axis[1] * v[1] + axis[2] * v[2]) * (1.0 - c)
        turned = _cross(axis, v)
        camera = [v[i] * c + turned[i] * s + axis[i] * along for i in range(3)]
        at = [camera[0] / camera[2], camera[1] / camera[2]]
        square = at[0] * at[0] + at[1] * at[1]
        factor = (1.0 + p[9] * square + p[10] * square * square) * p[6]
        return [p[14] * (at[i] * factor + p[7 + i] - seen[i]) for i in range(2)]

    return difference


def log_sum_exp(f: Any, xs: Sequence[Any]) -> Any:
    """log Σ exp, from the largest on."""
    largest = xs[0]
    for x in xs[1:]:
        largest = f.maximum(largest, x)
    return largest + f.log(sum((f.exp(x - largest) for x in xs[1:]), f.exp(xs[0] - largest)))


def mixture(f: Any) -> Callable[..., Any]:
    """The log-likelihood of a point under the mixture, as in ADBench: weights, means, and the
    roots of the inverse covariances, their diagonals as logarithms."""

    def likelihood(p: Sequence[Any], point: Sequence[Any]) -> Any:
        terms: list[Any] = []
        for k in range(COMPONENTS):
            mean, root = COMPONENTS + 2 * k, 3 * COMPONENTS + 3 * k
            x = [point[i] - p[mean + i] for i in range(2)]
            y = f.exp(p[root]) * x[0], p[root + 2] * x[0] + f.exp(p[root + 1]) * x[1]
            terms.append(p[k] + p[root] + p[root + 1] - 0.5 * (y[0] * y[0] + y[1] * y[1]))
        return log_sum_exp(f, terms) - log_sum_exp(f, [p[k] for k in range(COMPONENTS)])

    return likelihood


def chain(f: Any, length: int) -> Callable[..., Any]:
    """So many operations, one on the other."""

    def value(x: Any) -> Any:
        for _ in range(length // 2):
            x = f.sin(x) * 0.999
        return x

    return value


def is_close(a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether two contestants have computed the same."""
    scale = max(map(abs, a), default=0.0)
    return len(a) == len(b) and all(
        math.isclose(x, y, rel_tol=1e-9, abs_tol=1e-11 * scale) for x, y in zip(a, b, strict=True)
    )
