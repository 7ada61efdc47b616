"""Adversarial inputs: the network stays, the input moves until the network is wrong."""

from itertools import islice
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
from autograd import sum
from nn import adversarial, optim

seeds = st.integers(0, 10**6).map(Random)


def square(x: Any) -> Any:
    return sum([a * a for a in x])


def test_the_path_of_a_square() -> None:
    path = list(islice(adversarial.gradient_ascent(square, [1.0, -2.0], lr=0.5), 3))
    assert [[1.0, -2.0], [2.0, -4.0], [4.0, -8.0]] == path


@pytest.mark.parametrize(
    ("lr", "path"),
    [
        (None, [[1.0, -2.0, 0.0], [1.5, -2.5, 0.0], [1.5, -2.5, 0.0]]),
        (0.25, [[1.0, -2.0, 0.0], [1.25, -2.25, 0.0], [1.5, -2.5, 0.0], [1.5, -2.5, 0.0]]),
        (4.0, [[1.0, -2.0, 0.0], [1.5, -2.5, 0.0]]),
    ],
)
def test_the_path_of_signs_stays_in_the_box(lr: float | None, path: list[list[float]]) -> None:
    steps = adversarial.sign_ascent(square, [1.0, -2.0, 0.0], epsilon=0.5, lr=lr)
    assert path == list(islice(steps, len(path)))


@given(seeds, st.floats(0.01, 2.0), st.floats(0.01, 2.0))
def test_no_number_leaves_the_box(generator: Random, epsilon: float, lr: float) -> None:
    model = nn.MLP(3, [4, 2], nn.Tanh, generator=generator)
    x = [generator.gauss(0.0, 1.0) for _ in range(3)]
    loss = nn.CrossEntropyLoss()
    before = model.state_dict()
    steps = adversarial.sign_ascent(lambda x: loss(model(x), 0), x, epsilon, lr)
    for moved in islice(steps, 4):
        assert all(a - epsilon <= b <= a + epsilon for a, b in zip(x, moved, strict=True))
    assert before == model.state_dict()
    assert {0.0} == {parameter.grad for parameter in model.parameters()}


def test_inputs_may_be_nested() -> None:
    path = adversarial.gradient_ascent(lambda image: square(image[0]), [[1.0, 2.0], [3.0, 4.0]])
    assert [[3.0, 6.0], [3.0, 4.0]] == next(islice(path, 1, None))
    boxed = adversarial.sign_ascent(lambda image: square(image[0]), [[1.0, 2.0], [3.0, 4.0]], 1.0)
    assert [[2.0, 3.0], [3.0, 4.0]] == next(islice(boxed, 1, None))


def test_a_trained_network_is_fooled() -> None:
    """As lecture 001 has it: a picture climbs the loss until it is taken for something else."""
    pictures = [[1.0, 1.0, 1.0, 1.0], [1.0, -1.0, 1.0, -1.0], [1.0, 1.0, -1.0, -1.0]]
    model = nn.MLP(4, [5, 3], nn.Tanh, generator=Random(0))
    loss, optimizer = nn.CrossEntropyLoss(), optim.Adam(model.parameters(), 0.1)
    for _ in range(60):
        optimizer.zero_grad()
        loss([model(x) for x in pictures], [0, 1, 2]).backward()
        optimizer.step()

    def seen(x: list[float]) -> int:
        scores = [score.data for score in model(x)]
        return scores.index(max(scores))

    assert [0, 1, 2] == [seen(x) for x in pictures]
    for label, x in enumerate(pictures):
        path = adversarial.gradient_ascent(lambda x, label=label: loss(model(x), label), x, lr=20.0)
        fooling = next(moved for moved in islice(path, 500) if seen(moved) != label)
        boxed = adversarial.sign_ascent(
            lambda x, label=label: loss(model(x), label), x, epsilon=1.0, lr=0.1
        )
        near = next(moved for moved in islice(boxed, 40) if seen(moved) != label)
        assert max(abs(a - b) for a, b in zip(x, near, strict=True)) <= 1.0
        assert label != seen(fooling)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: adversarial.gradient_ascent(square, [1.0], lr=0.0), "lr must be"),
        (lambda: adversarial.sign_ascent(square, [1.0], epsilon=-1.0), "epsilon must be"),
        (lambda: adversarial.sign_ascent(square, [1.0], epsilon=1.0, lr=0.0), "lr must be"),
    ],
)
def test_bad_arguments_are_named(call: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        call()
