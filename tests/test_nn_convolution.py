"""Convolution and pooling: the textbook's formulas, small networks that learn, errors."""

import random
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import correlate2d
from sklearn.datasets import load_digits

import nn
from autograd import Value, dot, maximum, mean, values
from nn import data, init, optim


def leaves(tree: Any) -> Any:
    return [leaves(x) for x in tree] if isinstance(tree, list) else Value(tree)


def numbers(tree: Any) -> Any:
    return [numbers(x) for x in tree] if isinstance(tree, list) else tree.data


def grads(tree: Any) -> Any:
    return [grads(x) for x in tree] if isinstance(tree, list) else tree.grad


def whole(shape: tuple[int, ...]) -> st.SearchStrategy[Any]:
    """Nested lists of small whole numbers, of which every sum of products is exact."""
    if not shape:
        return st.integers(-9, 9).map(float)
    return st.lists(whole(shape[1:]), min_size=shape[0], max_size=shape[0])


# The formulas.


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[nn.Conv2d, Any]:
    """A layer of whole numbers and an image that it fits."""
    kernel, stride = (draw(st.tuples(*[st.integers(1, 3)] * 2)) for _ in range(2))
    padding = draw(st.tuples(*[st.integers(0, 2)] * 2))
    channels, kernels = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    layer = nn.Conv2d(channels, kernels, kernel, stride, padding, bias=draw(st.booleans()))
    parameters = list(layer.parameters())
    for parameter, number in zip(parameters, draw(whole((len(parameters),))), strict=True):
        parameter.data = number
    rows, columns = (k + draw(st.integers(0, 3)) for k in kernel)
    return layer, draw(whole((channels, rows, columns)))


def dense(layer: nn.Conv2d, upstream: Any, shape: tuple[int, int]) -> Any:
    """The upstream gradient of a stride of 1: zeros where the layer's stride leaves outputs out."""
    rows, columns = (
        size + 2 * p - k + 1
        for size, p, k in zip(shape, layer.padding, layer.kernel_size, strict=True)
    )
    spread = np.zeros((len(upstream), rows, columns))
    down, right = layer.stride
    spread[:, ::down, ::right] = upstream
    return spread


@given(convolutions(), st.randoms(use_true_random=False))
def test_forward_and_backward_are_the_cross_correlations_of_the_textbook(
    case: tuple[nn.Conv2d, Any], random: random.Random
) -> None:
    layer, pixels = case
    image = leaves(pixels)
    outputs = layer(image)
    upstream = [[[float(random.randint(-9, 9)) for _ in row] for row in y] for y in outputs]
    dot(upstream, outputs).backward()

    (top, left), (down, right) = layer.padding, layer.stride
    x = np.pad(pixels, ((0, 0), (top, top), (left, left)))
    k = np.array(numbers(layer.weight))
    b = np.zeros(len(k)) if layer.bias is None else np.array(numbers(layer.bias))
    dy = dense(layer, upstream, np.shape(pixels)[1:])
    channels, kernels = range(len(x)), range(len(k))

    y = [sum(correlate2d(x[c], k[f, c], "valid") for c in channels) + b[f] for f in kernels]
    dk = [[correlate2d(x[c], dy[f], "valid") for c in channels] for f in kernels]
    dx = [
        sum(correlate2d(dy[f], np.rot90(k[f, c], 2), "full") for f in kernels)[
            top : top + len(pixels[0]), left : left + len(pixels[0][0])
        ]
        for c in channels
    ]
    np.testing.assert_array_equal(np.array(y)[:, ::down, ::right], numbers(outputs))
    np.testing.assert_array_equal(dk, grads(layer.weight))
    np.testing.assert_array_equal(dx, grads(image))
    if layer.bias is not None:
        np.testing.assert_array_equal(dy.sum((1, 2)), grads(layer.bias))


def test_full_cross_correlation_with_the_rotated_kernel_is_itself_a_convolution_layer() -> None:
    """dX is what a layer makes of dY whose kernels are rotated and whose padding is k - 1."""
    generator = random.Random(0)
    layer = nn.Conv2d(2, 3, (2, 3), bias=False, generator=generator)
    image = leaves([[[generator.random() for _ in range(5)] for _ in range(4)] for _ in range(2)])
    outputs = layer(image)
    upstream = [[[generator.random() for _ in row] for row in channel] for channel in outputs]
    dot(upstream, outputs).backward()
    back = nn.Conv2d(3, 2, (2, 3), padding=(1, 2), bias=False)
    rotated = np.flip(np.array(numbers(layer.weight)), (2, 3)).swapaxes(0, 1)
    for parameter, w in zip(back.parameters(), rotated.ravel().tolist(), strict=True):
        parameter.data = w
    np.testing.assert_allclose(numbers(back(upstream)), grads(image), rtol=1e-14)


def windows(channel: Any, size: tuple[int, int], stride: tuple[int, int]) -> list[list[list[Any]]]:
    """What each window holds, by its place."""
    (height, width), (down, right) = size, stride
    places = [
        range((len(channel) - height) // down + 1),
        range((len(channel[0]) - width) // right + 1),
    ]
    return [
        [
            [channel[down * i + m][right * j + n] for m, n in product(range(height), range(width))]
            for j in places[1]
        ]
        for i in places[0]
    ]


pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@given(st.data(), pairs, pairs)
def test_pooling_is_the_maximum_and_the_mean_of_windows(
    drawn: st.DataObject, size: tuple[int, int], stride: tuple[int, int]
) -> None:
    rows, columns = (k + drawn.draw(st.integers(0, 3)) for k in size)
    image = drawn.draw(whole((2, rows, columns)))
    held = [windows(channel, size, stride) for channel in image]
    for layer, reduce in ((nn.MaxPool2d, max), (nn.AvgPool2d, mean)):
        expected = [[[reduce(window) for window in row] for row in channel] for channel in held]
        assert expected == numbers(layer(size, stride)(leaves(image)))
        assert expected == layer(size, stride)(image), "numbers give numbers"


def test_the_maximum_takes_the_gradient_and_the_mean_shares_it() -> None:
    a, b, c, d = values(a=1, b=4, c=3, d=2)
    image = [[[a, b], [c, d]]]
    for layer, expected in ((nn.MaxPool2d(2), [0.0, 1.0, 0.0, 0.0]), (nn.AvgPool2d(2), [0.25] * 4)):
        (((y,),),) = layer(image)
        assert expected == y.gradient([a, b, c, d])


def test_a_tie_of_the_maximum_halves_the_gradient() -> None:
    x, y = values(x=2, y=2)
    (((largest,),),) = nn.MaxPool2d((1, 2))([[[x, y]]])
    assert maximum(x, y).gradient([x, y]) == largest.gradient([x, y]) == [0.5, 0.5]


def test_windows_do_not_overlap_unless_told() -> None:
    assert ((3, 2), (3, 2)) == (nn.MaxPool2d((3, 2)).kernel_size, nn.MaxPool2d((3, 2)).stride)
    assert (1, 1) == nn.AvgPool2d(2, 1).stride


def test_flatten_goes_channel_by_channel_and_row_by_row() -> None:
    image = np.arange(12.0).reshape(2, 3, 2)
    assert list(range(12)) == nn.Flatten()(image) == nn.Flatten()(image.tolist())


def test_an_image_is_nested_lists_tuples_or_an_array() -> None:
    layer = nn.Conv2d(2, 1, 2, generator=random.Random(0))
    image = np.arange(18.0).reshape(2, 3, 3)
    expected = numbers(layer(image.tolist()))
    assert expected == numbers(layer(image))
    assert expected == numbers(layer(tuple(tuple(map(tuple, c)) for c in image.tolist())))
    assert expected == numbers(layer(list(image)))
    assert expected == numbers(layer(image.astype(int)))
    assert expected == numbers(layer(leaves(image.tolist())))


def test_activations_apply_to_every_pixel() -> None:
    image = [[[1.0, -2.0]], [[-3.0, 4.0]]]
    assert [[[1.0, 0.0]], [[0.0, 4.0]]] == nn.ReLU()(image)


# The first weights.


@pytest.mark.parametrize("seeded", [random.Random, np.random.default_rng])
def test_a_generator_decides_the_first_weights(seeded: Callable[[int], Any]) -> None:
    def state(seed: int) -> dict[str, float]:
        return nn.Conv2d(3, 2, (2, 3), generator=seeded(seed)).state_dict()

    assert state(1) == state(1) != state(2)
    drawn = list(state(1).values())
    assert 2 * 3 * 2 * 3 + 2 == len(set(drawn))
    bound = (3 * 2 * 3) ** -0.5
    assert all(-bound <= w <= bound for w in drawn)


def test_names_follow_pytorch_s_layout() -> None:
    names = list(nn.Conv2d(2, 3, (4, 5)).state_dict())
    assert ("weight.0.0.0.0", "weight.2.1.3.4") == (names[0], names[-4])
    assert ["bias.0", "bias.1", "bias.2"] == names[-3:]
    assert "bias.0" not in nn.Conv2d(1, 1, 1, bias=False).state_dict()


class Unit(random.Random):
    """Says the standard deviation for a normal number."""

    def gauss(self, mu: float = 0.0, sigma: float = 1.0) -> float:
        return mu + sigma


def test_initialisation_counts_what_a_kernel_covers() -> None:
    weight = nn.Conv2d(3, 4, (2, 5)).weight
    init.kaiming_normal_(weight, Unit())
    assert (2.0 / (3 * 10)) ** 0.5 == weight[3][2][1][4].data
    init.xavier_normal_(weight, Unit())
    assert (2.0 / (3 * 10 + 4 * 10)) ** 0.5 == weight[0][0][0][0].data


# Learning.


def accuracy(model: nn.Module, images: list[Any], labels: list[int]) -> float:
    return nn.accuracy([model(x) for x in images], labels)


def test_a_convolutional_network_learns_the_four_pixel_images() -> None:
    generator = random.Random(0)
    pixels, labels = data.four_pixel_images(140, 0.1, generator)
    images = [[[x[:2], x[2:]]] for x in pixels]
    model = nn.Sequential(
        nn.Conv2d(1, 8, 2, generator=generator),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8, 4, generator=generator),
    )
    train, held_out = (images[:40], labels[:40]), (images[40:], labels[40:])
    optimizer = optim.Adam(model.parameters(), 0.05)
    nn.fit(model, nn.CrossEntropyLoss(), train, optimizer, 12, batch_size=10, generator=generator)
    assert 1.0 == accuracy(model, *held_out)


def test_a_convolutional_network_reads_digits_it_has_not_seen() -> None:
    generator = random.Random(0)
    pixels, targets = load_digits(n_class=4, return_X_y=True)
    order = generator.sample(range(len(targets)), 300)
    images = (pixels[order] / 16.0).reshape(-1, 1, 8, 8).tolist()
    labels = targets[order].tolist()
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, generator=generator),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(36, 4, generator=generator),
    )
    train, held_out = (images[:100], labels[:100]), (images[100:], labels[100:])
    assert accuracy(model, *held_out) < 0.5
    optimizer = optim.Adam(model.parameters(), 0.03)
    nn.fit(model, nn.CrossEntropyLoss(), train, optimizer, 6, batch_size=10, generator=generator)
    assert accuracy(model, *held_out) >= 0.9


# Errors.

IMAGE = np.zeros((2, 3, 3))

ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: nn.Conv2d(0, 1, 1), ValueError, "in_channels must be a whole number ≥ 1, received 0"),
    (lambda: nn.Conv2d(1, 0, 1), ValueError, "out_channels must be a whole number ≥ 1, received 0"),
    (lambda: nn.Conv2d(1, 1, 0), ValueError, "kernel_size must be a whole number ≥ 1, received 0"),
    (lambda: nn.Conv2d(1, 1, (2, 0)), ValueError, "kernel_size must be .* ≥ 1, received 0"),
    (lambda: nn.Conv2d(1, 1, (1, 2, 3)), TypeError, r"kernel_size .* the tuple \(1, 2, 3\)"),
    (lambda: nn.Conv2d(1, 1, 1.5), TypeError, "kernel_size .* received the float 1.5"),
    (lambda: nn.Conv2d(1, 1, 1, 0), ValueError, "stride must be a whole number ≥ 1, received 0"),
    (lambda: nn.Conv2d(1, 1, 1, 1, -1), ValueError, "padding must be .* ≥ 0, received -1"),
    (lambda: nn.Conv2d(1, 1, 1, generator=0), TypeError, "generator must be a random.Random"),
    (lambda: nn.MaxPool2d(0), ValueError, "kernel_size must be a whole number ≥ 1, received 0"),
    (lambda: nn.AvgPool2d(2, 0), ValueError, "stride must be a whole number ≥ 1, received 0"),
    (
        lambda: nn.Conv2d(1, 1, 1)(IMAGE),
        ValueError,
        r"inputs must have 1 channels for Conv2d\(in_channels=1, .*, received 2",
    ),
    (
        lambda: nn.Conv2d(2, 1, 4)(IMAGE),
        ValueError,
        r"at least 4 rows and 4 columns, padding included, .* received 3 rows and 3 columns",
    ),
    (
        lambda: nn.Conv2d(2, 1, (3, 6), padding=(0, 1))(IMAGE),
        ValueError,
        "received 3 rows and 5 columns",
    ),
    (lambda: nn.MaxPool2d((1, 4))(IMAGE), ValueError, r"4 columns, .* for MaxPool2d\(kernel_size"),
    (
        lambda: nn.Conv2d(1, 1, 1)([[1.0]]),
        TypeError,
        r"a list \[channel\]\[row\]\[column\], for Conv2d.*received 2 levels .*: write \[image\]",
    ),
    (
        lambda: nn.Conv2d(2, 1, 1)([IMAGE]),
        TypeError,
        r"received 4 levels of lists: write \[model\(x\) for x in samples\] for a batch",
    ),
    (lambda: nn.Flatten()([1.0]), TypeError, "received 1 levels"),
    (lambda: nn.Flatten()(Value(1.0)), TypeError, "received 0 levels"),
    (lambda: nn.Flatten()([]), TypeError, "received 1 levels"),
    (lambda: nn.MaxPool2d(1)([[[]]]), ValueError, r"channels of \[1\] rows and rows of \[0\]"),
    (
        lambda: nn.AvgPool2d(1)([[[1.0], [1.0, 2.0]]]),
        ValueError,
        r"equal rows for AvgPool2d.*received channels of \[2\] rows and rows of \[1, 2\] numbers",
    ),
    (lambda: nn.AvgPool2d(1)([[[1.0]], [[1.0], [2.0]]]), ValueError, r"channels of \[1, 2\] rows"),
    (lambda: nn.AvgPool2d(1)([[[1.0]], Value(1.0)]), ValueError, r"channels of \[0, 1\] rows"),
    (lambda: nn.Conv2d(1, 1, 1)([[["1"]]]), TypeError, "received the str '1'"),
]


@pytest.mark.parametrize(("call", "error", "text"), ERRORS)
def test_bad_arguments(call: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()
