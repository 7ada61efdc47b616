"""The lectures' worked examples: our values are the exact ones, and give the printed digits."""

from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from functools import cache
from typing import Any

import numpy as np
import pytest
from lectures import (
    CIRCUITS,
    EXAMPLES,
    NET322_HIDDEN,
    NOTHING_TO_COMPUTE,
    compute,
    d,
    digits,
    flat_code_circuit,
    net322,
    quantities,
)
from lectures_beyond import BEYOND
from lectures_nn import NETWORKS as MODULES

from autograd import Value, explain
from autograd.tape import Tape

RULES = {"rounded": ROUND_HALF_UP, "truncated": ROUND_DOWN}
"""How a value is written down, by the word for it in the data."""

EPSILON = 2.0**-52

TOLERANCE = 8 * EPSILON
"""Relative. The data's values are exact; ours come of a dozen operations, each of which rounds by
half an ulp or, in a library function, by about one."""

LOST_DIGITS = {
    # h (1 - h) keeps the absolute error of h, and 1 - h is 0.013 and 0.005 in the hidden layer.
    "net322_backward": 128 * EPSILON,
    "net322_discussion_dE_dw3": 128 * EPSILON,
    "layer_delta_formulas": 128 * EPSILON,
    # Two losses that differ little: their difference keeps the absolute error of each.
    "net221_second_forward: E' - E": 128 * EPSILON,
    "net322_second_forward: E' - E": 1024 * EPSILON,
    # -0.5 + 0.43 + 0.1 leaves 0.03, and h_3 - 0.3 leaves 0.06.
    "bptt_tiny_rnn": 16 * EPSILON,
    # One kernel is centred, so the mean of the other cancels in the sum of the products.
    "hsic_estimate": 16 * EPSILON,
    # Errors of a thousand steps, and of a hundred, add up.
    "net221_loss_curve": 32 * EPSILON,
    "gradient_ascent_on_input": 32 * EPSILON,
}
"""The wider tolerance where the arithmetic of an example, or of one quantity, loses digits."""

ROUNDED_ZEROS = {"redunet_layer: E": EPSILON}
"""The absolute tolerance where the data holds the rounding error of a number that is 0."""

NETWORKS = MODULES | BEYOND
"""The functions that compute examples by modules of nn."""

ROWS = [(id, name) for id in CIRCUITS for name in quantities(id)]

computed = cache(compute)


def numbers(x: Any) -> Any:
    """The numbers of Values, in nested lists."""
    if isinstance(x, list):
        return [numbers(item) for item in x]
    return x.data if isinstance(x, Value) else x


def approximately(exact: Any, id: str, name: str) -> Any:
    relative = LOST_DIGITS.get(f"{id}: {name}", LOST_DIGITS.get(id, TOLERANCE))
    absolute = ROUNDED_ZEROS.get(f"{id}: {name}", 0.0)
    return pytest.approx(np.array(exact, float), rel=relative, abs=absolute)


def written(value: float, printed: str, rule: str) -> Decimal:
    """The value at the printed number of decimals."""
    return Decimal(repr(value)).quantize(Decimal(digits(printed)), rule)


def is_printed_right(quantity: dict[str, Any]) -> bool:
    return quantity["printed"] is not None and quantity["agrees"] != "slide-error"


def agreement(value: float, printed: str) -> str:
    """How printed digits arise from a value, in the words of the data."""
    for word, rule in RULES.items():
        if written(value, printed, rule) == Decimal(digits(printed)):
            return word
    return "from-rounded-intermediates"


def test_every_example_that_has_quantities_is_computed() -> None:
    assert [id for id in EXAMPLES if not quantities(id)] == [*NOTHING_TO_COMPUTE]
    assert (CIRCUITS.keys() | NETWORKS.keys()) & NOTHING_TO_COMPUTE.keys() == set()
    assert EXAMPLES.keys() == CIRCUITS.keys() | NETWORKS.keys() | NOTHING_TO_COMPUTE.keys()


@pytest.mark.parametrize("id", CIRCUITS)
def test_every_quantity_is_computed(id: str) -> None:
    assert quantities(id).keys() == computed(id).keys()


@pytest.mark.parametrize(("id", "name"), ROWS)
def test_the_value_is_exact(id: str, name: str) -> None:
    exact = quantities(id)[name]["exact"]
    assert approximately(exact, id, name) == np.array(numbers(computed(id)[name]), float)


@pytest.mark.parametrize(
    ("id", "name"),
    [(id, name) for id, name in ROWS if is_printed_right(quantities(id)[name])],
)
def test_the_printed_digits_follow_from_the_value(id: str, name: str) -> None:
    quantity = quantities(id)[name]
    assert quantity["agrees"] == agreement(numbers(computed(id)[name]), quantity["printed"])


@pytest.mark.parametrize("id", NETWORKS)
def test_modules_of_nn_give_the_same(id: str) -> None:
    found, wanted = compute(id, NETWORKS[id]), quantities(id)
    assert found
    assert (set() if id in CIRCUITS else wanted.keys()) <= found.keys() <= wanted.keys()
    for name, value in found.items():
        quantity = wanted[name]
        exact = approximately(quantity["exact"], id, name)
        assert exact == np.array(numbers(value), float), name
        if is_printed_right(quantity):
            assert quantity["agrees"] == agreement(numbers(value), quantity["printed"]), name


@pytest.mark.parametrize("name", NET322_HIDDEN)
def test_a_hidden_gradient_has_two_paths_of_which_the_slide_prints_one(name: str) -> None:
    printed = quantities("net322_backward")[f"dE/d{name}"]["printed"]
    c = net322(EXAMPLES["net322_backward"]["inputs"])
    explanation = explain(c.E, wrt=c[name])
    through = {
        output: path["product"]
        for path in explanation.paths
        for output in ("y1", "y2")
        if output in path["nodes"]
    }
    assert explanation.count == 2
    assert through.keys() == {"y1", "y2"}
    assert d(c.E, c[name]) == explanation.sum
    assert explanation.sum == pytest.approx(through["y1"] + through["y2"], rel=TOLERANCE, abs=0.0)
    assert Decimal(printed) == written(through["y2"], printed, ROUND_DOWN)
    assert Decimal(printed) not in [
        written(explanation.sum, printed, rule) for rule in RULES.values()
    ]


def test_the_flat_code_gives_every_quantity_under_the_lectures_name() -> None:
    circuit = flat_code_circuit(EXAMPLES["flat_code"]["inputs"])
    program = dict[str, Any]()
    exec(Tape.record(circuit.L).python(), program)
    for name, value in computed("flat_code").items():
        assert numbers(value) == program[name], name
