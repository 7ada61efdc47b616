"""Losses: values, gradients and accuracy against definitions in exact arithmetic; bad input."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mpmath import mp

import nn
from autograd import Value

ULPS = 2.0**-49


def exact(number: Any) -> Any:
    return pytest.approx(float(number), rel=ULPS, abs=5e-324)


# Reductions.

REDUCTIONS = {"mean": 1.0 / 4.0, "sum": 1.0, "half_sum": 1.0 / 2.0, "mean_of_halves": 1.0 / 8.0}
"""The factor of the sum of four terms."""

PAIRWISE: list[tuple[type[nn.Loss], list[float], list[float], list[float]]] = [
    # loss, predictions, targets, terms
    (nn.MSELoss, [0.5, 0.25, 3.0, -1.0], [1.0, 0.0, 2.0, -1.0], [0.25, 0.0625, 1.0, 0.0]),
    (nn.L1Loss, [0.5, 0.25, 3.0, -1.0], [1.0, 0.0, 2.0, -1.0], [0.5, 0.25, 1.0, 0.0]),
    (nn.HingeLoss, [0.5, -2.0, 3.0, 0.25], [1.0, -1.0, -1.0, 1.0], [0.5, 0.0, 4.0, 0.75]),
]


@pytest.mark.parametrize("shape", ["flat", "nested", "array"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("loss", "predictions", "targets", "terms"), PAIRWISE)
def test_the_reduction_makes_one_number_of_the_terms(
    loss: Any, predictions: Any, targets: Any, terms: list[float], reduction: str, shape: str
) -> None:
    ys = [Value(y) for y in predictions]
    given: Any = ys
    if shape == "nested":
        given, targets = [ys[:2], ys[2:]], (tuple(targets[:2]), tuple(targets[2:]))
    elif shape == "array":
        given, targets = np.array(ys).reshape(2, 2), np.array(targets).reshape(2, 2)
    result = loss(reduction)(given, targets)
    assert REDUCTIONS[reduction] * sum(terms) == result.data
    sums = loss("sum")(given, targets).gradient(ys)
    assert [REDUCTIONS[reduction] * slope for slope in sums] == result.gradient(ys)


def test_the_mean_is_the_default_as_in_pytorch() -> None:
    assert "MSELoss(reduction='mean')" == repr(nn.MSELoss())
    assert 2.5 == nn.MSELoss()([Value(1.0), Value(2.0)], [0.0, 0.0]).data


def test_a_single_prediction_is_a_number_beside_a_number() -> None:
    assert 4.0 == nn.MSELoss()(Value(3.0), 1.0).data


def test_both_sides_of_the_squared_and_absolute_error_may_be_trained() -> None:
    a, b = Value(3.0), Value(1.0)
    assert [4.0, -4.0] == nn.MSELoss()([a], [b]).gradient([a, b])
    assert [1.0, -1.0] == nn.L1Loss()([a], [b]).gradient([a, b])


def test_derivatives_at_the_kinks_are_0() -> None:
    y = Value(1.0)
    assert 0.0 == nn.L1Loss()([y], [1.0]).gradient(y)
    assert 0.0 == nn.HingeLoss()([y], [1]).gradient(y)


# Cross-entropies, against their definitions at 400 digits.

LOGITS = [-745.0, -40.0, -2.0, -1e-20, 0.0, 1e-9, 3.0, 37.0, 700.0, 1e4]


def sigmoid(z: float) -> Any:
    return 1 / (1 + mp.exp(-mp.mpf(z)))


def binary_cross_entropy(p: Any, t: float) -> Any:
    terms = [(mp.mpf(t), p), (1 - mp.mpf(t), 1 - p)]
    return -mp.fsum(weight * mp.log(q) for weight, q in terms if weight)


@pytest.mark.parametrize("t", [0, 1, 0.0, 1.0, 0.25, True])
@pytest.mark.parametrize("z", LOGITS)
def test_bce_with_logits_loses_no_digit(z: float, t: float) -> None:
    with mp.workdps(5000):
        loss, slope = binary_cross_entropy(sigmoid(z), t), sigmoid(z) - mp.mpf(t)
    logit = Value(z)
    result = nn.BCEWithLogitsLoss()([logit], [t])
    assert exact(loss) == result.data
    if t in (0, 1):
        assert exact(slope) == result.gradient(logit)
    else:  # t - (1 - t) cancels in the sum of both terms
        assert pytest.approx(float(slope), rel=ULPS, abs=2.0**-52) == result.gradient(logit)


@pytest.mark.parametrize("t", [0, 1, 0.25])
@pytest.mark.parametrize("p", [1e-300, 1e-20, 0.25, 0.5, 1.0 - 2.0**-53])
def test_bce_of_probabilities(p: float, t: float) -> None:
    with mp.workdps(400):
        loss = binary_cross_entropy(mp.mpf(p), t)
        slope = (1 - mp.mpf(t)) / (1 - mp.mpf(p)) - mp.mpf(t) / mp.mpf(p)
    prediction = Value(p)
    result = nn.BCELoss()([prediction], [t])
    assert exact(loss) == result.data
    assert exact(slope) == result.gradient(prediction)


def test_bce_at_certainty() -> None:
    assert [0.0, 0.0, math.inf, math.inf] == [
        nn.BCELoss()([Value(p)], [t]).data for p, t in ((0.0, 0), (1.0, 1), (0.0, 1), (1.0, 0))
    ]


logits = st.lists(st.floats(-800.0, 800.0), min_size=1, max_size=5)


@example([0.0, -128.0, 0.99], 1)
@given(logits, st.integers(0, 4))
def test_cross_entropy_of_logits(zs: list[float], index: int) -> None:
    index %= len(zs)
    with mp.workdps(800):
        powers = [mp.exp(mp.mpf(z)) for z in zs]
        ps = [power / mp.fsum(powers) for power in powers]
        loss = -mp.log(ps[index])
    values = [Value(z) for z in zs]
    result = nn.CrossEntropyLoss()(values, index)
    assert pytest.approx(float(loss), rel=ULPS, abs=ULPS) == result.data
    slopes = [float(p) - (i == index) for i, p in enumerate(ps)]
    assert pytest.approx(slopes, rel=ULPS, abs=ULPS) == result.gradient(values)
    one_hot = [float(i == index) for i in range(len(zs))]
    assert result.data == nn.CrossEntropyLoss()(values, one_hot).data
    probabilities = [float(p) for p in ps]
    likelihood = nn.CategoricalCrossEntropyLoss()(probabilities, index)
    assert (math.inf if probabilities[index] == 0.0 else exact(-mp.log(probabilities[index]))) == (
        likelihood
    )


@pytest.mark.parametrize("reduction", ["mean", "sum", "half_sum", "mean_of_halves"])
@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss, nn.CategoricalCrossEntropyLoss])
def test_categorical_losses_have_one_term_a_sample(loss: Any, reduction: str) -> None:
    samples = [[Value(0.25), Value(0.75)], [Value(0.5), Value(0.5)]]
    targets = [1, [0.25, 0.75]]
    terms = [loss("sum")(sample, t).data for sample, t in zip(samples, targets, strict=True)]
    factor = {"mean": 0.5, "sum": 1.0, "half_sum": 0.5, "mean_of_halves": 0.25}[reduction]
    assert factor * sum(terms) == loss(reduction)(samples, targets).data
    assert factor * sum(terms) == loss(reduction)(np.array(samples), targets).data


def test_a_class_may_be_impossible_where_its_target_is_0() -> None:
    loss = nn.CategoricalCrossEntropyLoss()
    assert 0.0 == loss([Value(0.0), Value(1.0)], [0.0, 1.0]).data
    assert math.inf == loss([Value(0.0), Value(1.0)], 0).data
    assert 0.0 == nn.CrossEntropyLoss()([Value(-1e308), Value(1e308)], 1).data


def test_one_hot_targets_record_no_products() -> None:
    losses = [
        nn.BCELoss()([Value(0.5)], [1]),
        nn.BCEWithLogitsLoss()([Value(0.5)], [0]),
        nn.CategoricalCrossEntropyLoss()([Value(0.5), Value(0.5)], [0.0, 1.0]),
    ]
    assert ["neg", "neg", "softplus"] == sorted(
        next(x for x in loss.operands if isinstance(x, Value)).op.name for loss in losses
    )


# Bad input.

Y = Value(0.5)

ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (
        lambda: nn.MSELoss("average"),
        ValueError,
        "reduction must be one of 'mean', 'sum', 'half_sum', 'mean_of_halves', received 'average'",
    ),
    (
        lambda: nn.MSELoss()([Y], [1.0, 2.0]),
        ValueError,
        "one shape, received predictions with a list of 1 and targets with a list of 2",
    ),
    (
        lambda: nn.MSELoss()([[Y], [Y]], [1.0, 2.0]),
        ValueError,
        r"received predictions\[0\] with a list of 1 and targets\[0\] with a number",
    ),
    (lambda: nn.MSELoss()([Y], 1.0), ValueError, "a list of 1 and targets with a number"),
    (lambda: nn.MSELoss()([], []), ValueError, "predictions must hold at least one prediction"),
    (lambda: nn.MSELoss()([[]], [[]]), ValueError, r"predictions\[0\] must hold at least one"),
    (lambda: nn.MSELoss()([Y], [math.nan]), ValueError, "targets must be numbers other than nan"),
    (lambda: nn.MSELoss()([Y], ["1"]), TypeError, "targets must be numbers .*received '1'"),
    (lambda: nn.L1Loss()([Y], [None]), TypeError, "targets must be numbers .*received None"),
    (
        lambda: nn.BCELoss()([Y], [1.5]),
        ValueError,
        "targets must be probabilities between 0 and 1, received 1.5",
    ),
    (lambda: nn.BCELoss()([Y], [math.nan]), ValueError, "targets must be probabilities .* nan"),
    (lambda: nn.BCEWithLogitsLoss()([Y], [-1]), ValueError, "between 0 and 1, received -1"),
    (
        lambda: nn.BCELoss()([Value(1.5)], [1]),
        ValueError,
        "predictions must be probabilities between 0 and 1, .*BCEWithLogitsLoss takes any numbers",
    ),
    (lambda: nn.BCELoss()([Value(math.nan)], [1]), ValueError, "predictions must be probabilities"),
    (lambda: nn.HingeLoss()([Y], [0]), ValueError, "targets must be -1 or 1, received 0"),
    (
        lambda: nn.CrossEntropyLoss()([Y, Y], 2),
        ValueError,
        "the class index in targets must be below 2, received 2",
    ),
    (
        lambda: nn.CrossEntropyLoss()([Y, Y], -1),
        ValueError,
        "the class index in targets must be a whole number ≥ 0, received -1",
    ),
    (lambda: nn.CrossEntropyLoss()([Y, Y], 1.0), TypeError, "must be a whole number ≥ 0, received"),
    (
        lambda: nn.CrossEntropyLoss()([Y, Y], [1.0]),
        ValueError,
        r"a class index or 2 probabilities that sum to 1, received \[1.0\]",
    ),
    (lambda: nn.CrossEntropyLoss()([Y, Y], [0.5, 0.6]), ValueError, "2 probabilities that sum to"),
    (lambda: nn.CrossEntropyLoss()([Y, Y], [1.5, -0.5]), ValueError, "2 probabilities that sum"),
    (lambda: nn.CrossEntropyLoss()(Y, 0), TypeError, "predictions must be a list of classes"),
    (lambda: nn.CrossEntropyLoss()([], 0), ValueError, "predictions must hold at least one"),
    (
        lambda: nn.CrossEntropyLoss()([[Y, Y]], [0, 1]),
        ValueError,
        r"targets must be a list of 1, one for each sample, received \[0, 1\]",
    ),
    (lambda: nn.CrossEntropyLoss()([[Y, Y]], 0), ValueError, "targets must be a list of 1, one"),
    (
        lambda: nn.CategoricalCrossEntropyLoss()([Value(-0.5), Y], 0),
        ValueError,
        "predictions must be probabilities between 0 and 1, .*CrossEntropyLoss takes any numbers",
    ),
]


@pytest.mark.parametrize(("call", "error", "text"), ERRORS)
def test_bad_arguments(call: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()
