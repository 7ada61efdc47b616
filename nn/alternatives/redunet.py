"""ReduNet: layers built, not trained, so that each raises the coding rate reduction."""

from collections.abc import Hashable, Sequence
from typing import Any

from autograd import dot, grad, norm, softmax, sum
from nn import checks
from nn.alternatives.matrices import Matrix, check_samples, logdet, plus_identity
from nn.module import Module

Samples = Sequence[Sequence[Any]]


def coding_rate(zs: Samples, epsilon: float = 0.5) -> Any:
    """½ ln det(I + α Σ z zᵀ), α = d / (m epsilon²): how much room m samples of d numbers take.

    It is about the number of nats that code a sample up to a distortion of epsilon. (Ma, Derksen,
    Hong and Wright, Segmentation of multivariate mixed data via lossy coding, 2007.)

    Raises:
        ValueError: if there is no sample, or epsilon is not positive.
    """
    return 0.5 * logdet(_spread(zs, epsilon))


def rate_reduction(zs: Samples, labels: Sequence[Hashable], epsilon: float = 0.5) -> Any:
    """The coding rate of all samples less that of the classes, each by its share of the samples.

    It is large where the classes lie in different directions and each takes little room. (Yu et
    al., Learning diverse and discriminative representations via the principle of maximal coding
    rate reduction, 2020.)

    Args:
        zs: the samples, usually of length 1.
        labels: the class of each.
        epsilon: the distortion.
    """
    parts = _classes(zs, labels).values()
    return coding_rate(zs, epsilon) - sum(
        [len(part) / len(zs) * coding_rate(part, epsilon) for part in parts]
    )


class ReduLayer(Module):
    """One step up the rate reduction: z ← (z + lr · (E z - Σ γⱼ πⱼ Cⱼ z)), scaled to length 1.

    E z expands all samples, Cⱼ z compresses those of class j: the derivatives of the coding rates
    by z. They are computed from the samples that the layer is built of; γⱼ is the share of class
    j. A sample of unknown class belongs to class j by π = softmax(-sharpness · ‖Cⱼ z‖), as each Cⱼ
    shrinks the directions of its own class. (Chan et al., ReduNet: a white-box deep network from
    the principle of maximizing rate reduction, 2021.)

    Args:
        zs: the samples, each of length 1.
        labels: the class of each.
        epsilon: the distortion.
        lr: the size of the step.
        sharpness: how surely the nearest class is taken.
    """

    def __init__(
        self,
        zs: Samples,
        labels: Sequence[Hashable],
        epsilon: float = 0.5,
        lr: float = 0.5,
        sharpness: float = 500.0,
    ) -> None:
        self.lr = checks.real("lr", lr, above=0.0)
        self.sharpness = checks.real("sharpness", sharpness, at_least=0.0)
        parts = _classes(zs, labels)
        self.classes = list(parts)
        self.shares = [len(part) / len(zs) for part in parts.values()]
        self.expansion = _operator(zs, epsilon)
        self.compressions = [_operator(part, epsilon) for part in parts.values()]

    def membership(self, z: Sequence[Any]) -> list[Any]:
        """How much a sample belongs to each of `classes`, estimated."""
        return softmax([-self.sharpness * norm(_times(c, z)) for c in self.compressions])

    def forward(self, z: Sequence[Any], label: Hashable = None) -> list[Any]:
        """The sample after the step; of a given class, or without one of the estimated class.

        Raises:
            ValueError: if there is no such class.
        """
        if label is None:
            members = self.membership(z)
        elif label in self.classes:
            members = [float(label == c) for c in self.classes]
        else:
            raise ValueError(f"label must be one of {self.classes}, received {label!r}")
        step = _times(self.expansion, z)
        for share, member, compression in zip(self.shares, members, self.compressions, strict=True):
            pulls = _times(compression, z)
            step = [s - share * member * pull for s, pull in zip(step, pulls, strict=True)]
        return _scaled([x + self.lr * s for x, s in zip(z, step, strict=True)])


class ReduNet(Module):
    """`ReduLayer`s one after the other, each built of what the one before made of the samples.

    Args:
        xs: the samples to build of; they are scaled to length 1.
        labels: the class of each.
        depth: how many layers.
        epsilon: as in `ReduLayer`.
        lr: as there.
        sharpness: as there.
    """

    def __init__(
        self,
        xs: Samples,
        labels: Sequence[Hashable],
        depth: int,
        epsilon: float = 0.5,
        lr: float = 0.5,
        sharpness: float = 500.0,
    ) -> None:
        self.layers = list[ReduLayer]()
        zs = [_scaled(x) for x in xs]
        for _ in range(checks.whole("depth", depth, at_least=1)):
            layer = ReduLayer(zs, labels, epsilon, lr, sharpness)
            zs = [layer(z, label) for z, label in zip(zs, labels, strict=True)]
            self.layers.append(layer)
        self.classes = self.layers[-1].classes

    def forward(self, x: Sequence[Any]) -> list[Any]:
        """The features of a sample of unknown class."""
        return self._passed(x, self.layers)

    def membership(self, x: Sequence[Any]) -> list[Any]:
        """How much a sample belongs to each of `classes`, as the last layer estimates it."""
        *before, last = self.layers
        return last.membership(self._passed(x, before))

    @staticmethod
    def _passed(x: Sequence[Any], layers: Sequence[ReduLayer]) -> list[Any]:
        z = _scaled(x)
        for layer in layers:
            z = layer(z)
        return z


def _classes(zs: Samples, labels: Sequence[Hashable]) -> dict[Hashable, list[Sequence[Any]]]:
    """The samples of each class, in the order in which the classes appear."""
    if len(zs) != len(labels) or not len(zs):
        raise ValueError(
            f"samples and labels must be as many, at least one, received {len(zs)} samples "
            f"and {len(labels)} labels"
        )
    parts = dict[Hashable, list[Sequence[Any]]]()
    for z, label in zip(zs, labels, strict=True):
        parts.setdefault(label, []).append(z)
    return parts


def _factor(zs: Samples, epsilon: float) -> float:
    """α = d / (m epsilon²)."""
    check_samples("samples", zs)
    return len(zs[0]) / (len(zs) * checks.real("epsilon", epsilon, above=0.0) ** 2)


def _spread(zs: Samples, epsilon: float) -> Matrix:
    """I + α Σ z zᵀ."""
    factor = _factor(zs, epsilon)
    columns = list(zip(*zs, strict=True))
    return plus_identity([[factor * dot(a, b) for b in columns] for a in columns])


def _operator(zs: Samples, epsilon: float) -> Matrix:
    """α (I + α Σ z zᵀ)⁻¹, the inverse being the derivative of the log-determinant."""
    inverse = grad(logdet)(_spread(zs, epsilon))
    factor = _factor(zs, epsilon)
    return [[factor * x for x in row] for row in inverse]


def _times(matrix: Matrix, z: Sequence[Any]) -> list[Any]:
    return [dot(row, z) for row in matrix]


def _scaled(z: Sequence[Any]) -> list[Any]:
    """The sample at length 1.

    Raises:
        ValueError: if it has no direction.
    """
    length = norm(z)
    try:
        return [x / length for x in z]
    except ZeroDivisionError:
        raise ValueError(f"a sample must not be all zeros, received {z!r}") from None
