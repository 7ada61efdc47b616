"""The HSIC bottleneck: layers trained one by one by the dependence of their outputs on the data."""

from collections.abc import Sequence
from typing import Any

from autograd import Value, dot, exp, mean, square, sum
from nn import checks
from nn.alternatives.blocks import activations, split
from nn.alternatives.matrices import Matrix, check_samples, plus_identity, solve
from nn.layers import Sequential
from nn.module import Module
from nn.recurrent import detach

Samples = Sequence[Sequence[Any]]


def hsic(xs: Samples, ys: Samples, sigma: float = 1.0) -> Any:
    """How much two variables depend on each other: tr(K_X H K_Y H) / (m - 1)², H = I - 11ᵀ/m.

    It estimates the Hilbert-Schmidt independence criterion, with Gaussian kernels
    exp(-‖a - b‖² / (2 sigma²)); it is 0 for independent variables. (Gretton et al., Measuring
    statistical dependence with Hilbert-Schmidt norms, 2005.)

    Args:
        xs: m samples, each a list of numbers or Values.
        ys: m samples of the other variable.
        sigma: the width of the kernels.

    Raises:
        ValueError: if there are fewer than two samples, not as many xs as ys, or not of one length.
    """
    _check(xs, ys)
    kernels = _kernel(xs, sigma), _centred(_kernel(ys, sigma))  # to centre one of them is enough
    return _trace(*kernels) / (len(xs) - 1) ** 2


def normalized_hsic(xs: Samples, ys: Samples, sigma: float = 1.0, epsilon: float = 1e-5) -> Any:
    """The same without the kernels' scale: tr(A_X A_Y), A = K (K + epsilon m I)⁻¹, K centred.

    It costs two inverses of m rows, and lies between 0 and m - 1. (Fukumizu et al., Kernel measures
    of conditional dependence, 2007; used by Ma, Lewis and Kleijn, 2020.)

    Args:
        xs: as in `hsic`.
        ys: as there.
        sigma: as there.
        epsilon: the regularisation, above 0.

    Raises:
        ValueError: as there.
    """
    _check(xs, ys)
    ridge = checks.real("epsilon", epsilon, above=0.0) * len(xs)
    kernels = (_centred(_kernel(samples, sigma)) for samples in (xs, ys))
    return _trace(*(solve(plus_identity(k, ridge), k) for k in kernels))


class HSICBottleneck(Module):
    """Each layer forgets the input and keeps the label: minimise HSIC(Z, X) - beta · HSIC(Z, Y).

    So its outputs Z depend *less* on the input X and *more* on the label Y. One lecture
    ("Tutorial 2: Backpropagation") states the second half backwards: a layer whose dependence on
    the label were minimised would lose what is to be learned. (Ma, Lewis and Kleijn, The HSIC
    bottleneck: deep learning without back-propagation, 2020.)

    A network whose last layer has one output for each class learns outputs that tell the classes
    apart, but which output stands for which class is not said. To give each its class, train a
    Linear layer on the outputs, or on those of several networks of different sigma
    (`SigmaCombined`).

    Args:
        model: a Sequential of Linear layers and activations, such as an MLP.
        beta: the weight of what is to be kept.
        sigma: the width of the kernels.

    Raises:
        TypeError: if the model is no Sequential.
        ValueError: if it does not begin with a Linear layer, or a number is out of its range.
    """

    def __init__(self, model: Sequential, beta: float = 5.0, sigma: float = 1.0) -> None:
        split(model)
        self.model = model
        self.beta = checks.real("beta", beta, above=0.0)
        self.sigma = checks.real("sigma", sigma, above=0.0)

    def forward(self, inputs: Sequence[Any]) -> list[Value]:
        """The outputs of the model."""
        return self.model(inputs)

    def losses(self, xs: Samples, ys: Samples) -> list[Value]:
        """The objective of each layer, of which the derivatives stay in the layer.

        Args:
            xs: the inputs of a batch of samples.
            ys: their labels, one-hot.

        Raises:
            ValueError: if there are fewer than two samples, or not as many xs as ys.
        """
        _check(xs, ys)
        blocks = split(self.model)
        layers = zip(*(activations(blocks, x) for x in xs), strict=True)
        return [hsic(zs, xs, self.sigma) - self.beta * hsic(zs, ys, self.sigma) for zs in layers]


class SigmaCombined(Module):
    """Networks side by side, each trained with a sigma of its own, and one layer on top of them.

    No gradient flows into the networks, so a loss trains the top layer alone.

    Args:
        networks: the trained networks.
        head: takes all their outputs, one network after the other.
    """

    def __init__(self, networks: Sequence[Module], head: Module) -> None:
        self.networks = list(networks)
        self.head = head

    def forward(self, inputs: Sequence[Any]) -> Any:
        """The outputs of the top layer."""
        return self.head([z for network in self.networks for z in detach(network(inputs))])


def _check(xs: Samples, ys: Samples) -> None:
    check_samples("xs", xs)
    check_samples("ys", ys)
    if len(xs) != len(ys) or len(xs) < 2:
        raise ValueError(
            f"xs and ys must hold the same two samples or more, received {len(xs)} and {len(ys)}"
        )


def _kernel(xs: Samples, sigma: float) -> Matrix:
    """exp(-‖a - b‖² / (2 sigma²)) of each pair of samples."""
    scale = -0.5 / checks.real("sigma", sigma, above=0.0) ** 2
    half = [[exp(scale * _squared_distance(a, b)) for b in xs[:i]] for i, a in enumerate(xs)]
    places = range(len(xs))
    return [[1.0 if i == j else half[max(i, j)][min(i, j)] for j in places] for i in places]


def _centred(kernel: Matrix) -> Matrix:
    """H K H: each number less the means of its row and its column, plus the mean of all."""
    means = [mean(row) for row in kernel]
    overall = mean(means)
    return [
        [k - row_mean - column_mean + overall for k, column_mean in zip(row, means, strict=True)]
        for row, row_mean in zip(kernel, means, strict=True)
    ]


def _squared_distance(a: Sequence[Any], b: Sequence[Any]) -> Any:
    return sum([square(x - y) for x, y in zip(a, b, strict=True)])


def _trace(a: Matrix, b: Matrix) -> Any:
    """tr(A B) of symmetric matrices: the sum of the products, place by place."""
    return sum([dot(left, right) for left, right in zip(a, b, strict=True)])
