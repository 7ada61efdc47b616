"""Samples as rows, and small positive definite matrices, of Values or floats."""

from collections.abc import Sequence
from typing import Any

from autograd import dot, log, sum
from nn import checks

Matrix = list[list[Any]]


def check_samples(name: str, samples: Sequence[Sequence[Any]]) -> None:
    """Whether there are samples, all of one length.

    Raises:
        TypeError: if they are no list of lists.
        ValueError: if not.
    """
    if not checks.is_list(samples) or not all(map(checks.is_list, samples)):
        raise TypeError(
            f"{name} must be a list of lists of numbers or Values, received {samples!r}"
        )
    lengths = sorted({len(sample) for sample in samples})
    if len(lengths) != 1:
        received = f"lengths {', '.join(map(str, lengths))}" if lengths else "none"
        raise ValueError(
            f"{name} must be at least one sample, all of one length, received {received}"
        )


def plus_identity(a: Sequence[Sequence[Any]], factor: float = 1.0) -> Matrix:
    """a + factor · I."""
    return [[x + factor if i == j else x for j, x in enumerate(row)] for i, row in enumerate(a)]


def solve(a: Sequence[Sequence[Any]], b: Sequence[Sequence[Any]]) -> Matrix:
    """The X of A X = B, for positive definite A."""
    size = len(a)
    rows = _eliminated([[*left, *right] for left, right in zip(a, b, strict=True)])
    found = Matrix()
    for i in reversed(range(size)):
        pivot, factors, known = rows[i][i], rows[i][i + 1 : size], rows[i][size:]
        columns = zip(*found, strict=True) if found else [()] * len(known)
        found.insert(
            0,
            [(y - dot(factors, column)) / pivot for y, column in zip(known, columns, strict=True)],
        )
    return found


def logdet(a: Sequence[Sequence[Any]]) -> Any:
    """ln det A, for positive definite A. Its derivative by A is the inverse of Aᵀ."""
    return sum([log(row[i]) for i, row in enumerate(_eliminated(a))])


def _eliminated(a: Sequence[Sequence[Any]]) -> Matrix:
    """The rows with zeros below the diagonal (not written down), by Gaussian elimination.

    Without exchanging rows: of a positive definite matrix all pivots are positive.
    """
    rows = [list(row) for row in a]
    for i, pivot_row in enumerate(rows):
        for row in rows[i + 1 :]:
            factor = row[i] / pivot_row[i]
            row[i + 1 :] = [
                x - factor * p for x, p in zip(row[i + 1 :], pivot_row[i + 1 :], strict=True)
            ]
    return rows
