"""Layers: what they compute, which gradients they give, how they are drawn and refused."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
import nn
from autograd import Value

numbers = st.floats(-10.0, 10.0)


@given(st.data(), st.integers(1, 4), st.integers(1, 4), st.booleans())
def test_linear_is_the_matrix_product_with_its_gradients(
    data: st.DataObject, n_in: int, n_out: int, bias: bool
) -> None:
    layer = nn.Linear(n_in, n_out, bias)
    x = [Value(data.draw(numbers)) for _ in range(n_in)]
    upstream = np.array([data.draw(numbers) for _ in range(n_out)])
    outputs = layer(x)
    matrix = np.array([[w.data for w in row] for row in layer.weight])
    b = np.array([p.data for p in layer.bias]) if layer.bias is not None else 0.0
    xs = np.array([x_i.data for x_i in x])
    close = {"rtol": 1e-12, "atol": 1e-12}
    np.testing.assert_allclose([y.data for y in outputs], matrix @ xs + b, **close)
    autograd.dot(upstream, outputs).backward()
    np.testing.assert_allclose(
        [[w.grad for w in row] for row in layer.weight], np.outer(upstream, xs), **close
    )
    np.testing.assert_allclose([x_i.grad for x_i in x], upstream @ matrix, **close)
    if layer.bias is not None:
        np.testing.assert_allclose([p.grad for p in layer.bias], upstream, **close)


def test_linear_yields_the_weights_output_by_output_then_the_biases() -> None:
    layer = nn.Linear(3, 2)
    assert [*layer.weight[0], *layer.weight[1], *layer.bias] == list(layer.parameters())
    assert 6 == len(list(nn.Linear(3, 2, bias=False).parameters()))


@pytest.mark.parametrize("x", [[1.0, 2.0], (1.0, 2.0), np.array([1.0, 2.0]), [1, Value(2.0)]])
def test_inputs_are_lists_tuples_arrays_numbers_and_values(x: Any) -> None:
    layer = nn.Linear(2, 1)
    layer.load_state_dict({"weight.0.0": 3.0, "weight.0.1": 5.0, "bias.0": 0.5})
    (y,) = layer(x)
    assert 13.5 == y.data


def test_a_neuron_is_one_row_of_a_linear_layer_with_an_activation() -> None:
    neuron = nn.Neuron(2, nn.Tanh)
    neuron.load_state_dict({"weight.0": 0.5, "weight.1": -1.0, "bias": 0.25})
    assert [autograd.tanh(0.5 * 2.0 - 1.0 * 3.0 + 0.25)] == [y.data for y in neuron([2.0, 3.0])]
    linear = nn.Neuron(2, bias=False)
    linear.load_state_dict({"weight.0": 0.5, "weight.1": -1.0})
    assert [-2.0] == [y.data for y in linear([2.0, 3.0])]


def test_logistic_regression_is_a_sigmoid_neuron() -> None:
    model = nn.LogisticRegression(1)
    model.load_state_dict({"weight.0": 2.0, "bias": -1.0})
    assert autograd.sigmoid(5.0) == model([3.0])[0].data


def test_sequential_feeds_each_layer_with_the_one_before() -> None:
    first, second = nn.Linear(2, 3), nn.ReLU()
    model = nn.Sequential(first, second)
    x = [1.0, -2.0]
    assert [y.data for y in second(first(x))] == [y.data for y in model(x)]
    assert (2, second, [first, second]) == (len(model), model[1], list(model))
    assert x is nn.Sequential()(x)


def test_an_mlp_is_linear_at_its_output_and_returns_a_list() -> None:
    model = nn.MLP(2, [3, 4, 1], activation=lambda: nn.LeakyReLU(0.1))
    assert [nn.Linear, nn.LeakyReLU, nn.Linear, nn.LeakyReLU, nn.Linear] == [
        type(layer) for layer in model
    ]
    assert [(2, 3), (3, 4), (4, 1)] == [
        (layer.in_features, layer.out_features) for layer in model if isinstance(layer, nn.Linear)
    ]
    assert 1 == len(model([0.0, 0.0]))
    assert [nn.Linear] == [type(layer) for layer in nn.MLP(2, [1])]
    assert [nn.ReLU] == [type(layer) for layer in nn.MLP(2, [1, 1])][1:2]


def test_a_residual_adds_its_input() -> None:
    inner = nn.Linear(1, 1)
    inner.load_state_dict({"weight.0.0": 0.25, "bias.0": 1.0})
    x = Value(4.0)
    (y,) = nn.Residual(inner)([x])
    assert (4.0 + 2.0, 1.0 + 0.25) == (y.data, y.gradient(x))


def test_arrays_pass_through_every_layer() -> None:
    layers = [nn.ReLU(), nn.Maxout(1), nn.Softmax(), nn.Dropout(0.0), nn.Residual(nn.Linear(2, 2))]
    for layer in layers:
        x = [0.5, -1.0]
        assert [float(y) if isinstance(y, float) else y.data for y in layer(x)] == [
            float(y) if isinstance(y, float) else y.data for y in layer(np.array(x))
        ]


# The first weights.


@pytest.mark.parametrize(
    "make",
    [
        lambda g: nn.Linear(4, 3, generator=g),
        lambda g: nn.Neuron(4, nn.Sigmoid, generator=g),
        lambda g: nn.Perceptron(4, generator=g),
        lambda g: nn.LogisticRegression(4, generator=g),
        lambda g: nn.MLP(4, [4, 4], generator=g),
    ],
)
def test_a_generator_decides_the_first_weights(make: Callable[[Any], nn.Module]) -> None:
    for seeded in (random.Random, np.random.default_rng):
        assert make(seeded(1)).state_dict() == make(seeded(1)).state_dict()
        assert make(seeded(1)).state_dict() != make(seeded(2)).state_dict()
    assert make(None).state_dict() != make(None).state_dict()
    state = random.getstate()
    drawn = make(None).state_dict().values()
    assert state == random.getstate()
    assert len(drawn) == len(set(drawn))
    assert all(-0.5 <= x <= 0.5 for x in drawn)


# The perceptron.


def test_a_perceptron_answers_0_at_exactly_0() -> None:
    model = nn.Perceptron(1)
    model.load_state_dict({"weight.0": 1.0, "bias": -2.0})
    assert [0.0, 0.0, 1.0] == [model([x])[0].data for x in (1.0, 2.0, 2.0 + 2.0**-50)]


def test_the_delta_rule_moves_the_weights_by_lr_error_input() -> None:
    model = nn.Perceptron(2)
    model.load_state_dict({"weight.0": 0.5, "weight.1": 1.0, "bias": -0.25})
    assert -1.0 == model.delta_rule([1.0, 2.0], target=0, lr=0.5)
    assert {"weight.0": 0.0, "weight.1": 0.0, "bias": -0.75} == model.state_dict()
    assert 1.0 == model.delta_rule([1.0, 2.0], target=1, lr=0.5)
    assert {"weight.0": 0.5, "weight.1": 1.0, "bias": -0.25} == model.state_dict()
    assert 0.0 == model.delta_rule([1.0, 2.0], target=1, lr=0.5)
    assert {"weight.0": 0.5, "weight.1": 1.0, "bias": -0.25} == model.state_dict()


CORNERS = [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)]


@pytest.mark.parametrize(
    ("targets", "separable"),
    [((0, 0, 0, 1), True), ((0, 1, 1, 1), True), ((1, 1, 1, 0), True), ((0, 1, 1, 0), False)],
    ids=["and", "or", "nand", "xor"],
)
def test_a_perceptron_learns_what_a_line_separates(
    targets: tuple[int, ...], separable: bool
) -> None:
    model = nn.Perceptron(2, generator=random.Random(0))
    for _ in range(100):
        for x, target in zip(CORNERS, targets, strict=True):
            model.delta_rule(x, target, lr=0.1)
    answers = tuple(model(x)[0].data for x in CORNERS)
    assert separable == (targets == answers)


# Errors.

BATCH = [[1.0, 2.0], [3.0, 4.0]]

ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: nn.Linear(0, 1), ValueError, "in_features must be a whole number ≥ 1, received 0"),
    (lambda: nn.Linear(1, -1), ValueError, "out_features must be a whole number ≥ 1, received -1"),
    (lambda: nn.Linear(1.5, 1), TypeError, "in_features must be a whole number ≥ 1, received the"),
    (lambda: nn.Linear(True, 1), TypeError, "received the bool True"),
    (lambda: nn.Neuron(0), ValueError, "in_features must be a whole number ≥ 1, received 0"),
    (
        lambda: nn.Linear(2, 1, generator=0),
        TypeError,
        r"generator must be a random.Random or a numpy.random.Generator, .* received the int 0",
    ),
    (lambda: nn.Linear(2, 1, generator=random), TypeError, "received the module"),
    (lambda: nn.Linear(2, 1, generator=np.random), TypeError, "received the module"),
    (
        lambda: nn.Linear(2, 1)([1.0]),
        ValueError,
        r"inputs must be a list of 2 numbers or Values for Linear\(in_features=2, .*received 1",
    ),
    (lambda: nn.Linear(2, 1)([]), ValueError, "received 0"),
    (lambda: nn.Linear(1, 1)(1.0), TypeError, "inputs must be a list .*received the float 1.0"),
    (lambda: nn.Linear(1, 1)("1"), TypeError, "received the str '1'"),
    (lambda: nn.Linear(1, 1)(Value(1.0)), TypeError, "received the Value"),
    (lambda: nn.Linear(2, 1)(BATCH), TypeError, r"one sample at a time, so write \[model\(x\)"),
    (lambda: nn.Linear(2, 1)(np.array(BATCH)), TypeError, "one sample at a time"),
    (lambda: nn.Neuron(2)([1.0]), ValueError, "inputs must be a list of 2 numbers or Values"),
    (lambda: nn.Linear(1, 1)(["1"]), TypeError, "received the str '1'"),
    (lambda: nn.MLP(2, []), ValueError, r"sizes must be a list of layer sizes, .*received \[\]"),
    (lambda: nn.MLP(2, 3), ValueError, "sizes must be a list of layer sizes, .*received 3"),
    (lambda: nn.MLP(2, [0]), ValueError, "out_features must be a whole number ≥ 1, received 0"),
    (lambda: nn.MLP(2, [1], nn.ReLU()), TypeError, r"activation must make .*received ReLU\(\)"),
    (lambda: nn.Neuron(2, lambda: 3), TypeError, "activation must make a module"),
    (lambda: nn.Sequential(abs), TypeError, "layers must be modules, .* at place 0"),
    (
        lambda: nn.Residual(nn.Linear(2, 1))([1.0, 2.0]),
        ValueError,
        "outputs in the shape of its inputs, received a list of 1 for a list of 2 from Linear",
    ),
    (
        lambda: nn.Perceptron(1).delta_rule([1.0], 0.5, 0.1),
        ValueError,
        "target must be 0 or 1, received 0.5",
    ),
    (
        lambda: nn.Perceptron(1).delta_rule([1.0], 1, -0.1),
        ValueError,
        "lr must be a finite number > 0, received -0.1",
    ),
]


def test_a_residual_adds_images_pixel_by_pixel() -> None:
    image = [[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, -8.0]]]
    expected = [[[2.0, 4.0], [6.0, 8.0]], [[10.0, 12.0], [14.0, -8.0]]]
    assert expected == nn.Residual(nn.ReLU())(image)
    assert expected == nn.Residual(nn.ReLU())(np.array(image))
    with pytest.raises(ValueError, match="received a list of 1 for a list of 2 from MaxPool2d"):
        nn.Residual(nn.MaxPool2d(2))(image)


def test_a_slice_of_a_sequential_holds_the_same_modules() -> None:
    model = nn.MLP(2, [3, 3, 1], generator=random.Random(0))
    body = model[:-1]
    assert [nn.Sequential, *model.layers[:4]] == [type(body), *body]
    assert model[-1](body([1.0, 2.0])) == model([1.0, 2.0])


@pytest.mark.parametrize(("call", "error", "text"), ERRORS)
def test_bad_arguments(call: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()
