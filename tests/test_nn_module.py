"""Modules: what belongs to them, by which name; freezing, saving, showing, copying."""

import copy
import json
import math
import pickle
import random
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
from autograd import Value


def small(seed: int = 0) -> nn.MLP:
    return nn.MLP(2, [3, 1], generator=random.Random(seed))


class Everywhere(nn.Module):
    """Parameters wherever an attribute can lead."""

    def __init__(self) -> None:
        self.alone = nn.Parameter(1.0)
        self.rate = 0.5
        self.words = "no parameters"
        self.constant = Value(7.0)
        self.table = [[nn.Parameter(2.0)], (nn.Parameter(3.0),)]
        self.named = {"a": nn.Parameter(4.0), "b": nn.Linear(1, 1)}
        self.array = np.array([nn.Parameter(5.0), nn.Parameter(6.0)])
        self.numbers = np.arange(4.0)
        self.none = None
        self.again = self.alone
        self.child = nn.Sequential(nn.Tanh(), self.named["b"])
        self.itself = self
        self.loop = [self.table]
        self.loop.append(self.loop)

    def forward(self, x: float) -> Value:
        return self.alone * x


EVERYWHERE = [
    "alone",
    "table.0.0",
    "table.1.0",
    "named.a",
    "named.b.weight.0.0",
    "named.b.bias.0",
    "array.0",
    "array.1",
]

MLP_NAMES = [
    *(f"layers.0.weight.{unit}.{x}" for unit in range(3) for x in range(2)),
    *(f"layers.0.bias.{unit}" for unit in range(3)),
    *(f"layers.2.weight.0.{unit}" for unit in range(3)),
    "layers.2.bias.0",
]


# What belongs to a module.


def test_parameters_are_named_by_the_way_to_them_each_once() -> None:
    assert EVERYWHERE == [name for name, _ in Everywhere().named_parameters()]
    assert MLP_NAMES == [name for name, _ in small().named_parameters()]


def test_parameters_are_values_of_their_own_type() -> None:
    parameter = nn.Parameter(1.5, label="w")
    assert isinstance(parameter, Value)
    assert (1.5, 0.0, "w", True, None) == (
        parameter.data,
        parameter.grad,
        parameter.label,
        parameter.requires_grad,
        parameter.op,
    )
    assert type(parameter * 2.0) is Value


def test_without_recursion_only_its_own_parameters_count() -> None:
    own = [name for name, _ in Everywhere().named_parameters(recurse=False)]
    assert [name for name in EVERYWHERE if not name.startswith("named.b")] == own
    assert [] == list(small().named_parameters(recurse=False))


def test_modules_and_children() -> None:
    model = nn.Sequential(nn.Linear(1, 1), nn.Sequential(nn.ReLU()))
    first, inner = model.layers
    assert [("", model), ("layers.0", first), ("layers.1", inner)] == [*model.named_modules()][:3]
    assert ["", "layers.0", "layers.1", "layers.1.layers.0"] == [
        name for name, _ in model.named_modules()
    ]
    assert [("layers.0", first), ("layers.1", inner)] == list(model.named_children())
    assert [first, inner] == list(model.children())
    assert 4 == len(list(model.modules()))


def test_modules_nest_deeper_than_python_recurses() -> None:
    model = nn.Sequential(nn.Linear(1, 1))
    for _ in range(5000):
        model = nn.Sequential(model)
    assert 2 == len(list(model.parameters()))
    assert model.eval().training is False


def test_a_call_is_forward() -> None:
    assert 3.0 == Everywhere()(3.0).data


# Training.


def test_train_and_eval_reach_every_module() -> None:
    model = nn.Sequential(nn.Sequential(nn.ReLU()), nn.Linear(1, 1))
    assert {True} == {module.training for module in model.modules()}
    assert model.eval() is model
    assert {False} == {module.training for module in model.modules()}
    assert model.train() is model
    assert {True} == {module.training for module in model.modules()}
    assert nn.ReLU().training is True


def test_zero_grad_clears_every_gradient() -> None:
    model = small()
    (y,) = model([1.0, -2.0])
    y.backward()
    assert any(parameter.grad for parameter in model.parameters())
    model.zero_grad()
    assert [0.0] * 13 == [parameter.grad for parameter in model.parameters()]


def test_a_frozen_layer_receives_no_gradient_until_it_is_unfrozen() -> None:
    model = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    frozen, trained = model.layers
    assert frozen.freeze() is frozen
    model([2.0])[0].backward()
    assert [0.0, 0.0] == [parameter.grad for parameter in frozen.parameters()]
    assert 1.0 == trained.bias[0].grad
    assert frozen.unfreeze() is frozen
    model.zero_grad()
    model([2.0])[0].backward()
    assert trained.weight[0][0].data == frozen.bias[0].grad


# States.


def test_a_state_is_a_flat_dict_of_names_and_floats() -> None:
    model = small()
    state = model.state_dict()
    assert MLP_NAMES == list(state)
    assert {float} == {type(x) for x in state.values()}
    assert [parameter.data for parameter in model.parameters()] == list(state.values())


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(finite, min_size=13, max_size=13))
def test_a_state_survives_json_exactly(numbers: list[float]) -> None:
    model = small()
    model.load_state_dict(json.loads(json.dumps(dict(zip(MLP_NAMES, numbers, strict=True)))))
    assert list(map(repr, numbers)) == [repr(p.data) for p in model.parameters()]


def test_numbers_of_all_kinds_load_as_floats() -> None:
    model = nn.Linear(1, 1)
    model.load_state_dict({"weight.0.0": 2, "bias.0": np.float32(0.5)})
    assert [2.0, 0.5] == [p.data for p in model.parameters()]
    assert {float} == {type(p.data) for p in model.parameters()}


GOOD = {"weight.0.0": 1.0, "weight.0.1": 2.0, "bias.0": 3.0}

BAD_STATES: list[tuple[Any, type[Exception], str]] = [
    ([1.0], TypeError, r"state must be a dict, received the list \[1.0\]"),
    ({}, ValueError, "missing: 'weight.0.0', 'weight.0.1', 'bias.0'; unknown: none"),
    (GOOD | {"x": 1.0}, ValueError, "missing: none; unknown: 'x'"),
    (
        {"weight.0.0": 1.0, "weight.0.1": 2.0, "bias": 3.0},
        ValueError,
        "missing: 'bias.0'; unknown: 'bias'",
    ),
    (
        GOOD | {str(i): 0.0 for i in range(10)},
        ValueError,
        "unknown: '0', '1', '2', '3', '4', '5', '6', '7' and 2 more",
    ),
    (
        GOOD | {"bias.0": math.nan},
        ValueError,
        r"state\['bias.0'\] must be a finite number, received nan",
    ),
    (GOOD | {"bias.0": math.inf}, ValueError, "must be a finite number, received inf"),
    (GOOD | {"bias.0": 10**400}, ValueError, "must be a finite number, received 1000"),
    (GOOD | {"bias.0": "3.0"}, TypeError, "must be a finite number, received the str '3.0'"),
    (GOOD | {"bias.0": True}, TypeError, "must be a finite number, received the bool True"),
    (GOOD | {"bias.0": None}, TypeError, "must be a finite number, received the NoneType None"),
    (GOOD | {"bias.0": [3.0]}, TypeError, r"received the list \[3.0\]"),
]


@pytest.mark.parametrize(("state", "error", "text"), BAD_STATES)
def test_a_bad_state_is_refused_and_changes_nothing(
    state: Any, error: type[Exception], text: str
) -> None:
    model = nn.Linear(2, 1)
    before = model.state_dict()
    with pytest.raises(error, match=text):
        model.load_state_dict(state)
    assert before == model.state_dict()


# Showing and copying.


def test_repr_is_a_tree() -> None:
    model = nn.Sequential(nn.Linear(2, 1, bias=False), nn.Residual(nn.LeakyReLU(0.1)))
    assert repr(model) == (
        "Sequential(\n"
        "  (layers.0): Linear(in_features=2, out_features=1, bias=False)\n"
        "  (layers.1): Residual(\n"
        "    (module): LeakyReLU(negative_slope=0.1)\n"
        "  )\n"
        ")"
    )
    assert "Sequential()" == repr(nn.Sequential())
    assert repr(nn.Neuron(2, nn.Tanh)) == (
        "Neuron(\n  in_features=2, bias=True\n  (activation): Tanh()\n)"
    )


def test_summary_counts_the_parameters_of_each_module_and_of_all() -> None:
    model = small()
    model.layers[0].freeze()
    assert [
        ["name", "module", "parameters"],
        ["(whole)", "MLP()", "0"],
        ["layers.0", "Linear(in_features=2, out_features=3, bias=True)", "9"],
        ["layers.1", "ReLU()", "0"],
        ["layers.2", "Linear(in_features=3, out_features=1, bias=True)", "4"],
        ["13 parameters, 4 of them trainable"],
    ] == [re.split("  +", line) for line in model.summary().splitlines()]
    *table, _ = model.summary().splitlines()
    assert 1 == len({len(line) for line in table})


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_is_equal_and_independent(twin: Any) -> None:
    model = small()
    other = twin(model)
    assert model.state_dict() == other.state_dict()
    assert {nn.Parameter} == {type(p) for p in other.parameters()}
    assert model([1.0, 2.0])[0].data == other([1.0, 2.0])[0].data
    for parameter in other.parameters():
        parameter.data = 0.0
    assert small().state_dict() == model.state_dict()
