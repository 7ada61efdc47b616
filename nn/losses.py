"""Losses: how far predictions are from targets, reduced to one number as said explicitly."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from autograd import (
    Value,
    abs,
    exp,
    is_traced,
    log,
    log1p,
    maxout,
    mean,
    no_grad,
    relu,
    softplus,
    square,
    sum,
    where,
)
from nn import checks
from nn.module import Module

REDUCTIONS: dict[str, Callable[[list[Any]], Any]] = {
    "mean": mean,
    "sum": sum,
    "half_sum": lambda terms: 0.5 * sum(terms),
    "mean_of_halves": lambda terms: 0.5 * mean(terms),
}
"""How the terms of a loss become one number; N terms give Σ/N, Σ, Σ/2 or Σ/(2N)."""


class Loss(Module):
    """Compares predictions with targets, term by term, and reduces the terms to one Value."""

    def __init__(self, reduction: str = "mean") -> None:
        self.reduction = checks.choice("reduction", reduction, REDUCTIONS)

    @property
    def is_sum(self) -> bool:
        """Whether that of many samples is the sum of theirs; else it is the mean."""
        return self.reduction in ("sum", "half_sum")

    def count(self, targets: list[Any]) -> int:
        """How many terms there are for the targets of so many samples."""
        return len(targets)

    def reduce(self, terms: list[Any]) -> Any:
        """The terms as one number."""
        return REDUCTIONS[self.reduction](terms)

    def extra_repr(self) -> str:
        """The reduction."""
        return f"reduction={self.reduction!r}"


class _PairwiseLoss(Loss):
    """A loss with one term for each prediction and the target at its place.

    Predictions and targets are lists of one shape: the outputs for one sample, or a list of such
    lists for many.
    """

    targets_allowed: str
    """Which targets there are, in words."""

    is_target: Callable[[float], bool]
    """Whether a number is one of them."""

    term: Callable[[Any, Any], Any]
    """The loss of one prediction, given its target."""

    def count(self, targets: list[Any]) -> int:
        """How many terms there are for the targets of so many samples: one for each number."""
        return len(_pairs(targets, targets)) if checks.is_list(targets[0]) else len(targets)

    def forward(self, predictions: Any, targets: Any) -> Any:
        """The loss.

        Raises:
            TypeError: if a prediction is neither a number nor a Value, or a target no number.
            ValueError: if the shapes differ, nothing is compared or a target is not allowed.
        """
        pairs = _pairs(predictions, targets)
        checks.numbers_or_values("predictions", [y for y, _ in pairs])
        for _, target in pairs:
            if is_traced(target):
                continue
            number = target.item() if hasattr(target, "item") else target
            is_number = checks.is_real(number)
            if not (is_number and self.is_target(number)):
                text = f"targets must be {self.targets_allowed}, received {target!r}"
                raise ValueError(text) if is_number else TypeError(text)
        return self.reduce([self.term(y, target) for y, target in pairs])


def _pairs(predictions: Any, targets: Any, place: str = "") -> list[tuple[Any, Any]]:
    """Each prediction with the target at its place."""
    if not checks.is_list(predictions) and not checks.is_list(targets):
        return [(predictions, targets)]
    sizes = [len(x) if checks.is_list(x) else None for x in (predictions, targets)]
    if sizes[0] != sizes[1]:
        received = ["a number" if size is None else f"a list of {size}" for size in sizes]
        raise ValueError(
            f"predictions and targets must have one shape, received predictions{place} "
            f"with {received[0]} and targets{place} with {received[1]}"
        )
    if not sizes[0]:
        raise ValueError(f"predictions{place} must hold at least one prediction, received none")
    parts = enumerate(zip(predictions, targets, strict=True))
    return [pair for i, (y, target) in parts for pair in _pairs(y, target, f"{place}[{i}]")]


def _is_number(x: Any) -> bool:
    return x == x


def _is_probability(x: Any) -> bool:
    return 0.0 <= x <= 1.0


def _is_sign(x: Any) -> bool:
    return x in (-1.0, 1.0)


class MSELoss(_PairwiseLoss):
    """The squared error (prediction - target)².

    The lectures' ½ Σ r² is the reduction "half_sum", their (1/N) Σ ½ r² "mean_of_halves".
    """

    targets_allowed = "numbers other than nan"
    is_target = staticmethod(_is_number)

    @staticmethod
    def term(prediction: Any, target: Any) -> Any:
        """The square of the difference."""
        return square(prediction - target)


class L1Loss(_PairwiseLoss):
    """The absolute error |prediction - target|; its derivative is 0 where they are equal."""

    targets_allowed = "numbers other than nan"
    is_target = staticmethod(_is_number)

    @staticmethod
    def term(prediction: Any, target: Any) -> Any:
        """The size of the difference."""
        return abs(prediction - target)


class BCELoss(_PairwiseLoss):
    """Binary cross-entropy of probabilities: -(t ln p + (1 - t) ln(1 - p)), with 0 ln 0 = 0.

    It is inf where a prediction of 0 or 1 is wrong (PyTorch stops at 100): prefer
    `BCEWithLogitsLoss`, which takes what goes into the sigmoid.
    """

    targets_allowed = "probabilities between 0 and 1"
    is_target = staticmethod(_is_probability)

    @staticmethod
    def term(prediction: Any, target: Any) -> Any:
        """The binary cross-entropy of one probability.

        Raises:
            ValueError: if the prediction is no probability.
        """
        if not is_traced(prediction) and not _is_probability(prediction):
            raise ValueError(
                f"predictions must be probabilities between 0 and 1, received {prediction!r}; "
                "BCEWithLogitsLoss takes any numbers"
            )
        surprisals = [lambda: -log(prediction), lambda: -log1p(-prediction)]
        return _expected([target, 1 - target], surprisals)


class BCEWithLogitsLoss(_PairwiseLoss):
    """Binary cross-entropy of sigmoid(prediction), without overflow or lost digits.

    -ln sigmoid(z) is softplus(-z), and -ln(1 - sigmoid(z)) is softplus(z).
    """

    targets_allowed = "probabilities between 0 and 1"
    is_target = staticmethod(_is_probability)

    @staticmethod
    def term(prediction: Any, target: Any) -> Any:
        """The binary cross-entropy of one logit."""
        surprisals = [lambda: softplus(-prediction), lambda: softplus(prediction)]
        return _expected([target, 1 - target], surprisals)


class HingeLoss(_PairwiseLoss):
    """max(0, 1 - target · prediction) for targets -1 and 1; the derivative at the kink is 0."""

    targets_allowed = "-1 or 1"
    is_target = staticmethod(_is_sign)

    @staticmethod
    def term(prediction: Any, target: Any) -> Any:
        """How far the prediction is from the margin on the right side."""
        return relu(1 - target * prediction)


class _CategoricalLoss(Loss):
    """A loss of one list of class scores, or of a list of such lists, one for each sample.

    The target of a sample is the index of its class, or a list of the classes' probabilities.
    """

    surprisals: Callable[[Sequence[Any]], Callable[[int], Any]]
    """Of the scores of a sample: the function that gives -ln p of a class by its index."""

    def forward(self, predictions: Any, targets: Any) -> Any:
        """The loss: one term -Σ tᵢ ln pᵢ for each sample.

        Raises:
            TypeError: if predictions are no list or hold anything but numbers and Values, or a
                target is neither index nor list.
            ValueError: if nothing is compared, the lengths differ or a target is not allowed.
        """
        if not checks.is_list(predictions):
            raise TypeError(f"predictions must be a list of classes, received {predictions!r}")
        if not len(predictions):
            raise ValueError("predictions must hold at least one prediction, received none")
        if not checks.is_list(predictions[0]):
            _check_classes("predictions", predictions, predictions)
            predictions, targets = [predictions], [targets]
        elif not checks.is_list(targets) or len(targets) != len(predictions):
            raise ValueError(
                f"targets must be a list of {len(predictions)}, one for each sample, "
                f"received {targets!r}"
            )
        else:
            for i, classes in enumerate(predictions):
                _check_classes(f"predictions[{i}]", classes, predictions[0])
        pairs = zip(predictions, targets, strict=True)
        return self.reduce([self.term(classes, target) for classes, target in pairs])

    def term(self, classes: Sequence[Any], target: Any) -> Any:
        """The cross-entropy of one sample."""
        size = len(classes)
        surprisal = self.surprisals(classes)
        if is_traced(target):
            return _picked(surprisal, size, target)
        if not checks.is_list(target):
            index = checks.whole("the class index in targets", target, at_least=0)
            if index >= size:
                raise ValueError(
                    f"the class index in targets must be below {size}, received {index}"
                )
            return surprisal(index)
        known = not any(map(is_traced, target))
        if len(target) != size or (known and not _is_distribution(target)):
            raise ValueError(
                f"a target must be a class index or {size} probabilities that sum to 1, "
                f"received {target!r}"
            )
        return _expected(target, [partial(surprisal, i) for i in range(size)])


def _check_classes(name: str, classes: Any, first: Sequence[Any]) -> None:
    """Refuse the scores of a sample if they are not as many as those of the first, and numbers."""
    if not checks.is_list(classes) or len(classes) != len(first) or not len(first):
        raise ValueError(
            f"{name} must be a list of at least one class, and as many as in the first sample, "
            f"received {classes!r}"
        )
    checks.numbers_or_values(name, classes)


def _is_distribution(xs: Sequence[Any]) -> bool:
    are_probabilities = all(checks.is_real(x) and _is_probability(x) for x in xs)
    return are_probabilities and math.isclose(math.fsum(xs), 1.0, rel_tol=1e-6)


class CrossEntropyLoss(_CategoricalLoss):
    """Cross-entropy of softmax(predictions): takes logits, as PyTorch's.

    -ln softmax(z)ᵢ is ln Σ exp(zⱼ - m) - (zᵢ - m), which cannot overflow where m is the largest
    logit, taken as a constant.
    """

    @staticmethod
    def surprisals(logits: Sequence[Any]) -> Callable[[int], Any]:
        """-ln of the softmax at an index."""
        largest = _largest(logits)
        shifted = [logit - largest for logit in logits]
        log_total = log(sum([exp(z) for z in shifted]))
        return lambda index: log_total - shifted[index]


class CategoricalCrossEntropyLoss(_CategoricalLoss):
    """Cross-entropy of probabilities: the negative log-likelihood -ln pᵢ of the class.

    PyTorch's NLLLoss wants log-probabilities in their place. Prefer `CrossEntropyLoss`, which
    takes what goes into the softmax.
    """

    @staticmethod
    def surprisals(probabilities: Sequence[Any]) -> Callable[[int], Any]:
        """-ln of the probability at an index.

        Raises:
            ValueError: if one of them is no probability.
        """
        for p in probabilities:
            if not is_traced(p) and not _is_probability(p):
                raise ValueError(
                    f"predictions must be probabilities between 0 and 1, received {p!r}; "
                    "CrossEntropyLoss takes any numbers"
                )
        return lambda index: -log(probabilities[index])


def _largest(logits: Sequence[Any]) -> Any:
    """The largest logit as a constant."""
    if any(map(is_traced, logits)):
        with no_grad():
            return maxout(logits)
    return max(logit.item() if isinstance(logit, Value) else logit for logit in logits)


def _picked(surprisal: Callable[[int], Any], size: int, index: Any) -> Any:
    """The surprisal at an index that is known only when a compiled function is called."""
    picked = surprisal(0)
    for i in range(1, size):
        picked = where(index == i, surprisal(i), picked)
    return picked


def _expected(weights: Sequence[Any], surprisals: Sequence[Callable[[], Any]]) -> Any:
    """Σ weight × surprisal where the weight is not 0; a weight of 1 records no product."""
    if any(map(is_traced, weights)):
        pairs = zip(weights, surprisals, strict=True)
        return sum([where(weight != 0, weight * surprisal(), -0.0) for weight, surprisal in pairs])
    return sum(
        [
            surprisal() if weight == 1 else weight * surprisal()
            for weight, surprisal in zip(weights, surprisals, strict=True)
            if weight != 0
        ]
    )
