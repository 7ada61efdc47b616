"""Bad input: the error names the argument, what was received and what is allowed."""

import math
import random
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import nn
from autograd import Value
from nn import init, optim, schedulers

NAN, INF = math.nan, math.inf
SCORE = Value(0.5)
GENERATOR = random.Random(0)

Case = tuple[Callable[[], object], type[Exception], str, str]
"""A call, its error, and what its text must say: argument and what is allowed, what came."""


def whole(name: str) -> str:
    return f"{name} must be a whole number ≥ 1"


def inputs_of(module: str, count: str = "2 ") -> str:
    return f"inputs must be a list of {count}numbers or Values for {module}"


NEURON = "Neuron(in_features=2, bias=True)"
LINEAR = "Linear(in_features=2, out_features=1, bias=True)"
ONE_SAMPLE = "a list of lists: a module takes one sample at a time"
ACTIVATION = "activation must make a module, such as nn.ReLU or lambda: nn.LeakyReLU(0.1)"
SIZES = "sizes must be a list of layer sizes, such as [3, 1]"
RANDOM = "generator must be a random.Random or a numpy.random.Generator"

LAYERS: list[Case] = [
    (lambda: nn.Linear(2, 1)([1.0]), ValueError, inputs_of(LINEAR), "received 1"),
    (lambda: nn.Linear(2, 1)([]), ValueError, inputs_of(LINEAR), "received 0"),
    (lambda: nn.Linear(2, 1)(1.0), TypeError, inputs_of(LINEAR), "the float 1.0"),
    (lambda: nn.Linear(2, 1)(SCORE), TypeError, inputs_of(LINEAR), "the Value Value(data=0.5"),
    (lambda: nn.Linear(2, 1)("ab"), TypeError, inputs_of(LINEAR), "the str 'ab'"),
    (lambda: nn.Linear(2, 1)(None), TypeError, inputs_of(LINEAR), "the NoneType None"),
    (lambda: nn.Linear(2, 1)({0: 1.0, 1: 2.0}), TypeError, inputs_of(LINEAR), "the dict {0: 1.0"),
    (lambda: nn.Linear(2, 1)([[1.0, 2.0]]), TypeError, inputs_of(LINEAR), ONE_SAMPLE),
    (lambda: nn.Linear(2, 1)(np.zeros((2, 2))), TypeError, inputs_of(LINEAR), ONE_SAMPLE),
    (lambda: nn.Linear(2, 1)([1.0, "b"]), TypeError, "inputs[1] must be a number or", "str 'b'"),
    (lambda: nn.Linear(2, 1)([None, 1.0]), TypeError, "inputs[0] must be a number or", "None"),
    (lambda: nn.Linear(2, 1)([1.0, 1j]), TypeError, "inputs[1] must be a number or", "complex 1j"),
    (lambda: nn.Neuron(2)([1.0, "b"]), TypeError, "inputs[1] must be a number or", "str 'b'"),
    (lambda: nn.Neuron(2)([1.0]), ValueError, inputs_of(NEURON), "received 1"),
    (lambda: nn.MLP(2, [1])([1.0]), ValueError, inputs_of(LINEAR), "received 1"),
    (lambda: nn.Linear(0, 1), ValueError, whole("in_features"), "received 0"),
    (lambda: nn.Linear(2, -1), ValueError, whole("out_features"), "received -1"),
    (lambda: nn.Linear(2.0, 1), TypeError, whole("in_features"), "the float 2.0"),
    (lambda: nn.Linear("2", 1), TypeError, whole("in_features"), "the str '2'"),
    (lambda: nn.Linear(True, 1), TypeError, whole("in_features"), "the bool True"),
    (lambda: nn.Linear(2, 1, bias=1), TypeError, "bias must be True or False", "the int 1"),
    (lambda: nn.Linear(2, 1, generator=0), TypeError, RANDOM, "the int 0"),
    (lambda: nn.Neuron(0), ValueError, whole("in_features"), "received 0"),
    (lambda: nn.Neuron(2, bias=None), TypeError, "bias must be True or False", "NoneType None"),
    (lambda: nn.Neuron(2, nn.ReLU()), TypeError, ACTIVATION, "received ReLU()"),
    (lambda: nn.Neuron(2, "relu"), TypeError, ACTIVATION, "received 'relu'"),
    (lambda: nn.Neuron(2, nn.relu), TypeError, ACTIVATION, "missing 1 required positional"),
    (lambda: nn.Conv2d(1, 1, 1, bias=1), TypeError, "bias must be True or False", "the int 1"),
    (lambda: nn.GRU(1, 1, bias="no"), TypeError, "bias must be True or False", "the str 'no'"),
    (lambda: nn.ReLU().train("on"), TypeError, "mode must be True or False", "the str 'on'"),
    (lambda: nn.Neuron(2, list), TypeError, ACTIVATION, "received <class 'list'>"),
    (lambda: nn.MLP(2, [1], "relu"), TypeError, ACTIVATION, "received 'relu'"),
    (lambda: nn.MLP(2, []), ValueError, SIZES, "received []"),
    (lambda: nn.MLP(2, 3), ValueError, SIZES, "received 3"),
    (lambda: nn.MLP(2, [3, 0]), ValueError, whole("out_features"), "received 0"),
    (lambda: nn.Sequential(nn.ReLU), TypeError, "layers must be modules", "<class 'nn.act"),
    (lambda: nn.Sequential([nn.ReLU()]), TypeError, "layers must be modules", "[ReLU()] at pl"),
    (lambda: nn.Residual(3), TypeError, "module must be a Module", "received 3"),
    (
        lambda: nn.Residual(nn.Linear(2, 1))([1.0, 2.0]),
        *(
            ValueError,
            "outputs in the shape of its inputs",
            "list of 1 for a list of 2 from Linear",
        ),
    ),
]

ACTIVATIONS: list[Case] = [
    *(
        (lambda module=module, x=x: module(x), TypeError, inputs_of(repr(module), ""), received)
        for module in (
            *(nn.ReLU(), nn.Step(), nn.Sigmoid(), nn.Tanh(), nn.GELU(), nn.SiLU(), nn.Softmax()),
            *(nn.LeakyReLU(), nn.ELU(), nn.Maxout(), nn.Dropout(), nn.Dropout().eval()),
        )
        for x, received in ((1.0, "the float 1.0"), (SCORE, "the Value Value(data=0.5"))
    ),
    (lambda: nn.Softmax()([]), ValueError, "softmax needs at least one number", "received none"),
    (lambda: nn.Softmax()([[1.0]]), TypeError, inputs_of("Softmax()", "1 "), ONE_SAMPLE),
    (lambda: nn.Maxout(2)([1.0]), ValueError, "must be a multiple of 2 in number", "received 1"),
    (lambda: nn.Maxout(2)([]), ValueError, "must be a multiple of 2 in number", "received 0"),
    (lambda: nn.Maxout(0), ValueError, whole("pieces"), "received 0"),
    (lambda: nn.LeakyReLU("a"), TypeError, "negative_slope must be a finite number", "str 'a'"),
    (lambda: nn.LeakyReLU(NAN), ValueError, "negative_slope must be a finite number", "nan"),
    (lambda: nn.ELU(INF), ValueError, "alpha must be a finite number", "received inf"),
    (lambda: nn.Dropout(1.5), ValueError, "p must be a finite number ≥ 0 and ≤ 1", "received 1.5"),
    (lambda: nn.Dropout(-0.1), ValueError, "p must be a finite number ≥ 0", "received -0.1"),
    (lambda: nn.Dropout(NAN), ValueError, "p must be a finite number ≥ 0", "received nan"),
    (lambda: nn.Dropout("a"), TypeError, "p must be a finite number ≥ 0", "the str 'a'"),
    (lambda: nn.Dropout(generator=0), TypeError, RANDOM, "the int 0"),
    (lambda: nn.Dropout()([[None]]), TypeError, "must be a number, a Value", "the NoneType None"),
    (lambda: nn.ReLU()(["a"]), TypeError, "must be a number, a Value", "received the str 'a'"),
]

PERCEPTRON = "Perceptron( in_features=2, bias=True (activation): Step() )"


def learned(inputs: Any, target: Any = 1, lr: Any = 0.1) -> float:
    return nn.Perceptron(2).delta_rule(inputs, target, lr)


PERCEPTRONS: list[Case] = [
    (lambda: learned([1.0]), ValueError, inputs_of(PERCEPTRON), "received 1"),
    (lambda: learned([1.0, NAN]), ValueError, "inputs must be a finite number", "received nan"),
    (lambda: learned([1.0, "b"]), TypeError, "inputs must be a finite number", "the str 'b'"),
    (lambda: learned([1.0, 2.0], 2), ValueError, "target must be 0 or 1", "received 2"),
    (lambda: learned([1.0, 2.0], "a"), ValueError, "target must be 0 or 1", "received 'a'"),
    (lambda: learned([1.0, 2.0], NAN), ValueError, "target must be 0 or 1", "received nan"),
    (lambda: learned([1.0, 2.0], Value(1)), ValueError, "target must be 0 or 1", "received Value"),
    (lambda: learned([1.0, 2.0], lr=-0.1), ValueError, "lr must be a finite number > 0", "-0.1"),
    (lambda: learned([1.0, 2.0], lr=0.0), ValueError, "lr must be a finite number > 0", "0.0"),
]

PAIRWISE = (nn.MSELoss(), nn.L1Loss(), nn.BCELoss(), nn.BCEWithLogitsLoss(), nn.HingeLoss())
SHAPE = "predictions and targets must have one shape"
PREDICTION = "predictions[0] must be a number or a Value"
PROBABILITY = "must be probabilities between 0 and 1"


def each_loss(
    losses: Any, predictions: Any, targets: Any, error: type[Exception], allowed: str, received: str
) -> list[Case]:
    return [
        (lambda loss=loss: loss(predictions, targets), error, allowed, received) for loss in losses
    ]


PAIRWISE_LOSSES: list[Case] = [
    *each_loss(PAIRWISE, [SCORE], [1.0, 1.0], ValueError, SHAPE, "list of 1 and targets with a l"),
    *each_loss(PAIRWISE, [SCORE], 1.0, ValueError, SHAPE, "targets with a number"),
    *each_loss(PAIRWISE, [[SCORE]], [1.0], ValueError, SHAPE, "predictions[0] with a list of 1"),
    *each_loss(PAIRWISE, [], [], ValueError, "predictions must hold at least one", "none"),
    *each_loss(PAIRWISE, [[]], [[]], ValueError, "predictions[0] must hold at least one", "none"),
    *each_loss(PAIRWISE, ["a"], [1.0], TypeError, PREDICTION, "the str 'a'"),
    *each_loss(PAIRWISE, None, 1.0, TypeError, PREDICTION, "the NoneType None"),
    *each_loss(PAIRWISE, [SCORE], [NAN], ValueError, "targets must be", "received nan"),
    *each_loss(PAIRWISE, [SCORE], ["1"], TypeError, "targets must be", "received '1'"),
    *each_loss(PAIRWISE, [SCORE], [None], TypeError, "targets must be", "received None"),
    *(
        case
        for target in (1.5, -1, 1.0 + 2.0**-52, INF)
        for case in each_loss(
            PAIRWISE[2:4], [SCORE], [target], ValueError, f"targets {PROBABILITY}", f"{target!r}"
        )
    ),
    *each_loss(PAIRWISE[2:4], [SCORE], [Value(2.0)], ValueError, f"targets {PROBABILITY}", "2.0"),
    *each_loss(PAIRWISE[2:3], [Value(1.5)], [1.0], ValueError, f"predictions {PROBABILITY}", "1.5"),
    *each_loss(PAIRWISE[2:3], [NAN], [1.0], ValueError, f"predictions {PROBABILITY}", "nan"),
    *each_loss(PAIRWISE[4:], [SCORE], [0], ValueError, "targets must be -1 or 1", "received 0"),
    *each_loss(PAIRWISE[4:], [SCORE], [0.5], ValueError, "targets must be -1 or 1", "0.5"),
    (lambda: nn.MSELoss("average"), ValueError, "reduction must be one of 'mean', 'sum'", "'av"),
    (lambda: nn.MSELoss(None), ValueError, "reduction must be one of 'mean', 'sum'", "None"),
]

CATEGORICAL = (nn.CrossEntropyLoss(), nn.CategoricalCrossEntropyLoss())
PAIR = [SCORE, SCORE]
INDEX = "the class index in targets must be"
DISTRIBUTION = "a target must be a class index or 2 probabilities that sum to 1"
CLASSES = "predictions[1] must be a list of at least one class, and as many as in the first sample"

CATEGORICAL_LOSSES: list[Case] = [
    *each_loss(CATEGORICAL, PAIR, 2, ValueError, f"{INDEX} below 2", "received 2"),
    *each_loss(CATEGORICAL, PAIR, -1, ValueError, f"{INDEX} a whole number ≥ 0", "received -1"),
    *each_loss(CATEGORICAL, PAIR, 1.0, TypeError, f"{INDEX} a whole number ≥ 0", "the float 1.0"),
    *each_loss(CATEGORICAL, PAIR, True, TypeError, f"{INDEX} a whole number ≥ 0", "the bool True"),
    *each_loss(CATEGORICAL, PAIR, None, TypeError, f"{INDEX} a whole number ≥ 0", "None"),
    *(
        case
        for target in ([0.5, 0.6], [1.0], [NAN, 1.0], [2.0, -1.0], ["a", "b"], [0.5, None])
        for case in each_loss(CATEGORICAL, PAIR, target, ValueError, DISTRIBUTION, repr(target))
    ),
    *each_loss(CATEGORICAL, [PAIR], [0, 1], ValueError, "targets must be a list of 1", "[0, 1]"),
    *each_loss(CATEGORICAL, [PAIR], 0, ValueError, "targets must be a list of 1", "received 0"),
    *each_loss(CATEGORICAL, [PAIR, [SCORE]], [0, 0], ValueError, CLASSES, "received [Value("),
    *each_loss(CATEGORICAL, [PAIR, SCORE], [0, 0], ValueError, CLASSES, "received Value("),
    *each_loss(CATEGORICAL, [[]], [0], ValueError, "predictions[0] must be a list", "received []"),
    *each_loss(CATEGORICAL, [], [], ValueError, "predictions must hold at least one", "none"),
    *each_loss(CATEGORICAL, SCORE, 0, TypeError, "predictions must be a list of", "Value(data=0"),
    *each_loss(CATEGORICAL, ["a", "b"], 0, TypeError, PREDICTION, "the str 'a'"),
    *each_loss(CATEGORICAL, [[None]], [0], TypeError, "predictions[0][0] must be a number", "None"),
    *each_loss(CATEGORICAL[1:], [1.5, 0.0], 0, ValueError, f"predictions {PROBABILITY}", "1.5"),
]

PARAMETER = nn.Parameter(1.0)
ROWS = "weight must be a list of rows of equal length, one row an output"

INITIALISATION: list[Case] = [
    (lambda: init.constant_([PARAMETER], NAN), ValueError, "value must be a finite", "nan"),
    (lambda: init.constant_([PARAMETER], "a"), TypeError, "value must be a finite", "the str 'a'"),
    (lambda: init.zeros_([1.0]), TypeError, "parameters must be a Parameter or a list", "float 1"),
    (lambda: init.zeros_("ab"), TypeError, "parameters must be a Parameter or a list", "str 'ab'"),
    (lambda: init.normal_([PARAMETER], 0), TypeError, RANDOM, "the int 0"),
    (lambda: init.normal_([PARAMETER], random), TypeError, RANDOM, "the module <module 'random'"),
    (
        lambda: init.normal_([PARAMETER], GENERATOR, std=-1.0),
        *(ValueError, "std must be a finite number ≥ 0", "received -1.0"),
    ),
    (
        lambda: init.uniform_([PARAMETER], GENERATOR, 2.0, 1.0),
        *(ValueError, "high must be a finite number ≥ 2", "received 1.0"),
    ),
    (
        lambda: init.kaiming_normal_([[PARAMETER]], GENERATOR, slope=INF),
        *(ValueError, "slope must be a finite number", "received inf"),
    ),
    (
        lambda: init.xavier_uniform_([[PARAMETER]], GENERATOR, gain=0.0),
        *(ValueError, "gain must be a finite number > 0", "received 0.0"),
    ),
    *(
        (lambda draw=draw, weight=weight: draw(weight, GENERATOR), ValueError, ROWS, "received ")
        for draw in (init.kaiming_normal_, init.xavier_normal_, init.lecun_normal_)
        for weight in ([PARAMETER], [], [[]], [[PARAMETER], [PARAMETER, PARAMETER]], PARAMETER)
    ),
]

OPTIMISERS = (optim.SGD, optim.Adagrad, optim.RMSprop, optim.Adam, optim.AdamW)
OWN, OTHER = (optim.SGD([nn.Parameter(1.0)], lr=0.1) for _ in range(2))
RATE = "lr must be a finite number ≥ 0"

OPTIMISATION: list[Case] = [
    (partial(make, *arguments, **options), error, allowed, received)
    for arguments, options, error, allowed, received in (
        ([[]], {}, ValueError, "params must hold at least one Parameter", "received none"),
        ([iter([])], {}, ValueError, "params must hold at least one Parameter", "received none"),
        ([PARAMETER], {}, TypeError, "params must be an iterable of Parameters", "the Parameter"),
        ([nn.Linear(2, 1)], {}, TypeError, "params must be an iterable of", "the Linear Linear("),
        ([[1.0]], {}, TypeError, "params must hold Parameters", "the float 1.0"),
        ([[PARAMETER] * 2], {}, ValueError, "params must hold each Parameter once", "twice"),
        ([[PARAMETER * 2.0]], {}, ValueError, "params must hold Parameters", "a result of mul"),
        ([[PARAMETER]], {"lr": -0.1}, ValueError, RATE, "received -0.1"),
        ([[PARAMETER]], {"lr": NAN}, ValueError, RATE, "received nan"),
        ([[PARAMETER]], {"lr": INF}, ValueError, RATE, "received inf"),
        ([[PARAMETER]], {"lr": "a"}, TypeError, RATE, "the str 'a'"),
        ([[PARAMETER]], {"lr": None}, TypeError, RATE, "the NoneType None"),
        ([[PARAMETER]], {"lr": True}, TypeError, RATE, "the bool True"),
        (
            *([[PARAMETER]], {"lr": 0.1, "weight_decay": -1}),
            *(ValueError, "weight_decay must be a finite number ≥ 0", "received -1"),
        ),
    )
    for make in OPTIMISERS
]

SCHEDULERS: list[Case] = [
    *(
        (partial(make, 3, *arguments), TypeError, "optimizer must be one of nn.optim", "the int 3")
        for make, arguments in (
            *((schedulers.StepLR, [1]), (schedulers.ExponentialLR, [0.5])),
            *((schedulers.LinearLR, []), (schedulers.ReduceLROnPlateau, [])),
        )
    ),
    *(
        (
            lambda other=other: schedulers.SequentialLR(
                OWN, [schedulers.LinearLR(OWN), other], [1]
            ),
            *(ValueError, "schedulers must give optimizer, and no other, a rate", "received "),
        )
        for other in (3, schedulers.LinearLR(OTHER), schedulers.ReduceLROnPlateau(OWN))
    ),
]

PENALTIES: list[Case] = [
    *(
        (lambda penalty=penalty, x=x: penalty(x), error, f"parameters must {allowed}", received)
        for penalty in (nn.l1, nn.l2)
        for x, error, allowed, received in (
            ([], ValueError, "hold at least one Parameter", "received none"),
            (1.0, TypeError, "be an iterable of Parameters", "the float 1.0"),
            ([1.0], TypeError, "hold Parameters", "the float 1.0"),
            ([PARAMETER * 2.0], ValueError, "hold Parameters", "a result of mul"),
        )
    ),
    (
        lambda: nn.elastic_net([PARAMETER], -1.0, 1.0),
        *(ValueError, "l1_factor must be a finite number ≥ 0", "received -1.0"),
    ),
    (
        lambda: nn.elastic_net([PARAMETER], 1.0, "a"),
        *(TypeError, "l2_factor must be a finite number ≥ 0", "the str 'a'"),
    ),
    (
        lambda: nn.clip_grad_norm_([PARAMETER], -1.0),
        *(ValueError, "max_norm must be a finite number ≥ 0", "received -1.0"),
    ),
]

CASES = [
    *(LAYERS + ACTIVATIONS + PERCEPTRONS),
    *(PAIRWISE_LOSSES + CATEGORICAL_LOSSES),
    *(INITIALISATION + OPTIMISATION + SCHEDULERS + PENALTIES),
]


@pytest.mark.parametrize(
    ("call", "error", "allowed", "received"), CASES, ids=[f"{case[2]}, {case[3]}" for case in CASES]
)
def test_the_error_names_the_argument_what_is_allowed_and_what_was_received(
    call: Callable[[], object], error: type[Exception], allowed: str, received: str
) -> None:
    before = [*GENERATOR.getstate()], PARAMETER.data
    with pytest.raises(error) as caught:
        call()
    text = str(caught.value)
    assert error is caught.type
    assert allowed in text
    assert received in text
    assert before == ([*GENERATOR.getstate()], PARAMETER.data)


def test_a_perceptron_stays_as_it_was_when_it_refuses_a_sample() -> None:
    perceptron = nn.Perceptron(2)
    before = perceptron.state_dict()
    with pytest.raises(ValueError, match="received nan"):
        perceptron.delta_rule([1.0, NAN], 1, 0.1)
    assert before == perceptron.state_dict()


@pytest.mark.parametrize("target", [0, 1, 0.0, 1.0, False, True, 0.5, np.float64(0.25), Value(0.5)])
@pytest.mark.parametrize("loss", PAIRWISE[2:4])
def test_what_is_allowed_is_taken(loss: nn.Loss, target: Any) -> None:
    assert math.isfinite(loss([SCORE], [target]).data)
