"""The lectures' worked examples as circuits of Values, each giving every quantity by its name."""

# ruff: noqa: N803, N806
# The names are the lectures' own: E, W, X.

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

import autograd
from autograd import (
    Value,
    dot,
    exp,
    log,
    maximum,
    mean,
    relu,
    sigmoid,
    softmax,
    square,
    tanh,
    values,
)
from autograd.transforms import jacobian

_DATA = json.loads((Path(__file__).parent / "data" / "worked_examples.json").read_text("utf-8"))

EXAMPLES: dict[str, dict[str, Any]] = {example["id"]: example for example in _DATA["examples"]}
"""Every worked example by its id. The data file says what its fields mean."""


def quantities(id: str) -> dict[str, dict[str, Any]]:
    """The quantities of an example, by name."""
    return {quantity["name"]: quantity for quantity in EXAMPLES[id]["quantities"]}


def digits(printed: str) -> str:
    """The number in a printed value: "≈ -1.1" is "-1.1"."""
    return printed.removeprefix("≈ ")


def as_printed(id: str) -> dict[str, float]:
    """The numbers that the lecture prints for an example."""
    return {name: float(digits(q["printed"])) for name, q in quantities(id).items()}


def compute(id: str, function: Callable[..., dict[str, Any]] | None = None) -> dict[str, Any]:
    """The quantities of a covered example by name: Values, numbers or nested lists of them.

    Without a function, every quantity, by its circuit.
    """
    example = EXAMPLES[id]
    rate = [example["learning_rate"]] if "learning_rate" in example else []
    return (function or CIRCUITS[id])(example["inputs"], *rate)


# How circuits are written: labelled leaves, nodes by name, derivatives as ∂y/∂x.


def leaves(tree: Any) -> Any:
    """A leaf for each number, in the same nested lists."""
    return [leaves(x) for x in tree] if isinstance(tree, list) else Value(tree)


class Circuit:
    """Nodes by their names in the lecture, which become their labels; or nested lists of nodes."""

    def __init__(self, **inputs: Any) -> None:
        for name, x in inputs.items():
            self[name] = leaves(x)

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def __setitem__(self, name: str, node: Any) -> None:
        setattr(self, name, node)

    def __setattr__(self, name: str, node: Any) -> None:
        if isinstance(node, Value):
            node.label = name
        super().__setattr__(name, node)

    def nodes(self, names: Iterable[str]) -> dict[str, Any]:
        return {name: self[name] for name in names}


def d(y: Value, x: Any) -> Any:
    """∂y/∂x, in the structure of x."""
    return y.gradient(x)


def affine(W: list[Any], x: list[Any], b: list[Any]) -> list[Any]:
    """W x + b, row by row."""
    return [dot(row, x, bias) for row, bias in zip(W, b, strict=True)]


def half_square(r: Any) -> Any:
    return 0.5 * r**2


def descended(nodes: dict[str, Value], E: Value, rate: float) -> dict[str, float]:
    """The numbers after one step of gradient descent on E: p - rate × ∂E/∂p."""
    return {name: nodes[name].data - rate * slope for name, slope in d(E, nodes).items()}


def suffixed(numbers: dict[str, Any], suffix: str) -> dict[str, Any]:
    return {name + suffix: x for name, x in numbers.items()}


def without_new(numbers: dict[str, Any]) -> dict[str, Any]:
    """The updated parameters `w1_new`, … under the names that the network gives them."""
    return {name.removesuffix("_new"): x for name, x in numbers.items() if name.endswith("_new")}


# Lecture 002: the 2-2-1 network.

NET221_FORWARD = ("z_a", "h_a", "z_b", "h_b", "z_c", "y", "E")
NET221_WEIGHTS = ("w1", "w2", "w3", "w4", "w5", "w6")


def net221(given: dict[str, float]) -> Circuit:
    c = Circuit(**given)
    c.z_a = c.x1 * c.w1 + c.x2 * c.w3
    c.z_b = c.x1 * c.w2 + c.x2 * c.w4
    c.h_a = sigmoid(c.z_a)
    c.h_b = sigmoid(c.z_b)
    c.z_c = c.h_a * c.w5 + c.h_b * c.w6
    c.y = sigmoid(c.z_c)
    c.E = half_square(c.y_t - c.y)
    return c


def net221_forward(given: dict[str, float]) -> dict[str, Any]:
    return net221(given).nodes(NET221_FORWARD)


def net221_backward(given: dict[str, float]) -> dict[str, Any]:
    c = net221(given)
    c.E.backward()
    return {
        "dE/dy": c.y.grad,
        "dy/dz_c": d(c.y, c.z_c),
        "dz_c/dw5 (=h_a)": d(c.z_c, c.w5),
        "dz_c/dw6 (=h_b)": d(c.z_c, c.w6),
        "dz_c/dh_a (=w5)": d(c.z_c, c.h_a),
        "dz_c/dh_b (=w6)": d(c.z_c, c.h_b),
        "LABEL dz_c/dh_a printed on the dE/dw4 slide (line 694)": d(c.z_c, c.h_b),
        "dh_a/dz_a": d(c.h_a, c.z_a),
        "dh_b/dz_b": d(c.h_b, c.z_b),
        "dz_a/dw1 (=x1)": d(c.z_a, c.w1),
        "dz_a/dw3 (=x2)": d(c.z_a, c.w3),
        "dz_b/dw2 (=x1)": d(c.z_b, c.w2),
        "dz_b/dw4 (=x2)": d(c.z_b, c.w4),
        "delta_c = dE/dz_c": c.z_c.grad,
        "delta_a = dE/dz_a": c.z_a.grad,
        "delta_b = dE/dz_b": c.z_b.grad,
        **{f"dE/d{name}": c[name].grad for name in ("h_a", "h_b", "x1", "x2", *NET221_WEIGHTS)},
    }


def net221_update(given: dict[str, float], eta: float) -> dict[str, Any]:
    c = net221({name: x for name, x in given.items() if not name.startswith("dE/")})
    return suffixed(descended(c.nodes(NET221_WEIGHTS), c.E, eta), "_new")


def net221_second_forward(given: dict[str, float]) -> dict[str, Any]:
    before = EXAMPLES["net221_forward"]["inputs"]
    after = net221(before | without_new(given))
    printed = net221(before | without_new(as_printed("net221_update")))
    return {
        **suffixed(after.nodes(NET221_FORWARD), "'"),
        "E' - E": after.E - net221(before).E,
        **suffixed(printed.nodes(NET221_FORWARD), "' (from the six PRINTED rounded weights)"),
    }


def net221_loss_curve(given: dict[str, float], eta: float) -> dict[str, Any]:
    curve = list[Value]()
    for _ in range(1001):
        c = net221(given)
        curve.append(c.E)
        given = given | descended(c.nodes(NET221_WEIGHTS), c.E, eta)
    steps = (0, 1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)
    return {f"E after {k} steps": curve[k] for k in steps}


def gradient_ascent_on_input(given: dict[str, float], rate: float) -> dict[str, Any]:
    """Lecture 001: the input climbs the loss while the weights stay."""
    climb = [net221(given)]
    for _ in range(100):
        c = climb[-1]
        given = given | descended(c.nodes(("x1", "x2")), c.E, -rate)
        climb.append(net221(given))
    before, after, end = climb[0], climb[1], climb[100]
    return {
        "dE/dx1": d(before.E, before.x1),
        "dE/dx2": d(before.E, before.x2),
        "x1_new": after.x1,
        "x2_new": after.x2,
        "E before": before.E,
        "E after one ascent step": after.E,
        "E after 100 ascent steps": end.E,
        "x after 100 ascent steps": [end.x1, end.x2],
    }


def empirical_ntk_221(given: dict[str, Any]) -> dict[str, Any]:
    """The neural tangent kernel, K(x, x') = Σ ∂y(x)/∂w × ∂y(x')/∂w (Jacot et al., 2018)."""

    def slopes(x1: float, x2: float) -> list[float]:
        c = net221(network | {"x1": x1, "x2": x2})
        return d(c.y, [c[name] for name in NET221_WEIGHTS])

    network = {name: number for name, number in given.items() if name != "x_prime"}
    x, x_prime = slopes(given["x1"], given["x2"]), slopes(*given["x_prime"])
    return {
        "K(x,x)": dot(x, x),
        "K(x,x')": dot(x, x_prime),
        "K(x',x')": dot(x_prime, x_prime),
    }


# Lecture 002: the 3-2-2 network.

NET322_FORWARD = ("z_a", "h_a", "z_b", "h_b", "z_c", "y1", "z_d", "y2", "E")
NET322_HIDDEN = ("w1", "w2", "w3", "w4", "w5", "w6", "b1", "b2")
NET322_PARAMETERS = (*NET322_HIDDEN, "w7", "w8", "w9", "w10", "b3", "b4")


def net322(given: dict[str, float]) -> Circuit:
    c = Circuit(**given)
    c.z_a = c.x1 * c.w1 + c.x2 * c.w3 + c.x3 * c.w5 + c.b1
    c.z_b = c.x1 * c.w2 + c.x2 * c.w4 + c.x3 * c.w6 + c.b2
    c.h_a = sigmoid(c.z_a)
    c.h_b = sigmoid(c.z_b)
    c.z_c = c.h_a * c.w7 + c.h_b * c.w9 + c.b3
    c.z_d = c.h_a * c.w8 + c.h_b * c.w10 + c.b4
    c.y1 = sigmoid(c.z_c)
    c.y2 = sigmoid(c.z_d)
    c.E = 0.5 * ((c.y_t1 - c.y1) ** 2 + (c.y_t2 - c.y2) ** 2)
    return c


def through(c: Circuit, output: str, name: str) -> float:
    """The part of ∂E/∂name that flows through one output of the 3-2-2 network."""
    return d(c.E, c[output]) * d(c[output], c[name])


def net322_forward(given: dict[str, float]) -> dict[str, Any]:
    return net322(given).nodes(NET322_FORWARD)


def net322_backward(given: dict[str, float]) -> dict[str, Any]:
    c = net322(given)
    c.E.backward()
    return {
        "dy1/dz_c": d(c.y1, c.z_c),
        "dy2/dz_d": d(c.y2, c.z_d),
        "dz_c/dw7 (=h_a)": d(c.z_c, c.w7),
        "dz_c/dh_a (=w7)": d(c.z_c, c.h_a),
        "dz_d/dh_a (=w8)": d(c.z_d, c.h_a),
        "dz_d/db4": d(c.z_d, c.b4),
        "dh_a/dz_a": d(c.h_a, c.z_a),
        "dh_b/dz_b": d(c.h_b, c.z_b),
        "dz_a/dw1 (=x1)": d(c.z_a, c.w1),
        "dz_a/db1": d(c.z_a, c.b1),
        "delta_a = dE/dz_a": c.z_a.grad,
        "delta_b = dE/dz_b": c.z_b.grad,
        "delta_c = dE/dz_c": c.z_c.grad,
        "delta_d = dE/dz_d": c.z_d.grad,
        **{f"dE/d{name}": c[name].grad for name in ("y1", "y2", "h_a", "h_b", *NET322_PARAMETERS)},
        **suffixed(
            {f"dE/d{name}": through(c, "y2", name) for name in NET322_HIDDEN},
            " (path through y2 only: what the slide really prints)",
        ),
        **suffixed(
            {f"delta_{unit}": through(c, "y1", f"z_{unit}") for unit in "ab"},
            " (path through y1 only: what the slide leaves out)",
        ),
    }


def net322_discussion(given: dict[str, float]) -> dict[str, Any]:
    c = net322(given)
    return {
        "path through y1": through(c, "y1", "w3"),
        "path through y2": through(c, "y2", "w3"),
        "dE/dw3 (sum)": d(c.E, c.w3),
    }


def net322_update(given: dict[str, float], eta: float) -> dict[str, Any]:
    c = net322({name: x for name, x in given.items() if not name.startswith("dE/")})
    return suffixed(descended(c.nodes(NET322_PARAMETERS), c.E, eta), "_new")


def net322_second_forward(given: dict[str, Any]) -> dict[str, Any]:
    before = EXAMPLES["net322_forward"]["inputs"]
    eta = EXAMPLES["net322_update"]["learning_rate"]
    c = net322(before)
    after = net322(before | without_new(given))
    printed = net322(before | without_new(as_printed("net322_update")))
    one_path = net322(
        before
        | without_new(given)
        | {name: c[name].data - eta * through(c, "y2", name) for name in NET322_HIDDEN}
    )
    return {
        **suffixed(after.nodes(NET322_FORWARD), "'"),
        "E' - E": after.E - c.E,
        **suffixed(printed.nodes(NET322_FORWARD), "' (from the 14 PRINTED parameters)"),
        **suffixed(
            one_path.nodes(NET322_FORWARD),
            "' (exact arithmetic but with the slide's one-path hidden gradients)",
        ),
    }


def layer_delta_formulas(given: dict[str, float]) -> dict[str, Any]:
    """Lecture 004's formulas, on lecture 002's 3-2-2 network."""
    c = net322(given)
    W1 = [[c.w1, c.w3, c.w5], [c.w2, c.w4, c.w6]]
    W2 = [[c.w7, c.w9], [c.w8, c.w10]]
    delta2 = d(c.E, [c.z_c, c.z_d])
    return {
        "delta^2 = (delta_c, delta_d)": delta2,
        "delta^1 = (delta_a, delta_b)": d(c.E, [c.z_a, c.z_b]),
        "dL/dW2 = delta^2 (a^1)^T": d(c.E, W2),
        "dL/dW1 = delta^1 x^T": d(c.E, W1),
        "delta^1 if the printed index order w_jk^(l+1) is taken literally (W2 not transposed)": [
            dot(row, delta2) * d(h, z)
            for row, h, z in zip(W2, (c.h_a, c.h_b), (c.z_a, c.z_b), strict=True)
        ],
    }


# Lecture 002: four-pixel images.


def four_pixel_sum_unit_weights(given: dict[str, Any]) -> dict[str, Any]:
    return {"sum": dot(leaves(given["pixels"]), leaves(given["weights"]))}


def four_pixel_neuron(given: dict[str, Any]) -> dict[str, Any]:
    x, w = leaves(given["pixels"]), leaves(given["weights"])
    terms = [x_i * w_i for x_i, w_i in zip(x, w, strict=True)]
    z = autograd.sum(terms)
    y = sigmoid(z)
    z_printed = float(digits(quantities("four_pixel_neuron")["z"]["printed"]))
    return {
        "z": z,
        **{f"term x{i}*w{i}": term for i, term in enumerate(terms, 1)},
        "sigmoid(z)": y,
        "sigmoid(-1.1) (from the printed z)": sigmoid(Value(z_printed)),
        "tanh(z)": tanh(z),
        **{f"d sigmoid/dw{i}": d(y, w_i) for i, w_i in enumerate(w, 1)},
        **{f"d sigmoid/dx{i}": d(y, x_i) for i, x_i in enumerate(x, 1)},
    }


def error_table(given: dict[str, Any]) -> dict[str, Any]:
    truths, predictions = leaves(given["ground_truth"]), leaves(given["predictions"])
    errors = [abs(truth - y) for truth, y in zip(truths, predictions, strict=True)]
    total = autograd.sum(errors)
    return {
        **{f"error {name}": e for name, e in zip(given["classes"], errors, strict=True)},
        "total error": total,
        "dTotal/dprediction (sign of prediction - truth)": d(total, predictions),
    }


# Lecture 002: computational graphs.


def fxyz(given: dict[str, float]) -> dict[str, Any]:
    x, y, z = values(**given)
    q = x + y
    f = q * z
    f.backward()
    return {
        "q": q,
        "f": f,
        "df/df": f.grad,
        "df/dq (upstream)": q.grad,
        "dq/dx (local)": d(q, x),
        "dq/dy (local)": d(q, y),
        "df/dx": x.grad,
        "df/dy": y.grad,
        "df/dz (=q)": z.grad,
    }


def cs231n_sigmoid_neuron(given: dict[str, float]) -> dict[str, Any]:
    w0, x0, w1, x1, w2 = values(**given)
    a = w0 * x0
    b = w1 * x1
    ab = a + b
    s = ab + w2
    n = s * -1
    e = exp(n)
    den = e + 1
    f = 1 / den
    f.backward()
    return {
        "value w0*x0": a,
        "value w1*x1": b,
        "value w0*x0+w1*x1": ab,
        "value s = w0*x0+w1*x1+w2": s,
        "value -s": n,
        "value exp(-s)": e,
        "value 1+exp(-s)": den,
        "value f = 1/(1+exp(-s))": f,
        "grad f": f.grad,
        "grad of (1+exp(-s)) = -1/d^2 (the UPSTREAM of the +1 gate)": den.grad,
        "grad of exp(-s) (downstream of the +1 gate)": e.grad,
        "local gradient d(x+1)/dx": d(den, e),
        "grad of -s": n.grad,
        "grad of s": s.grad,
        "grad of w0*x0+w1*x1": ab.grad,
        "grad of w2": w2.grad,
        "grad of w0*x0": a.grad,
        "grad of w1*x1": b.grad,
        "grad of w0": w0.grad,
        "grad of x0": x0.grad,
        "grad of w1": w1.grad,
        "grad of x1": x1.grad,
        "single sigmoid gate: (1-f)*f": d(sigmoid(s), s),
    }


def flat_code_circuit(given: dict[str, float]) -> Circuit:
    c = Circuit(**given)
    c.s0 = c.w0 * c.x0
    c.s1 = c.w1 * c.x1
    c.s2 = c.s0 + c.s1
    c.s3 = c.s2 + c.w2
    c.L = sigmoid(c.s3)
    return c


def flat_code(given: dict[str, float]) -> dict[str, Any]:
    c = flat_code_circuit(given)
    c.L.backward()
    forward = ("s0", "s1", "s2", "s3", "L")
    return {
        **c.nodes(forward),
        **{f"grad_{name}": c[name].grad for name in (*forward, *given)},
    }


def derivative_cheat_sheet(given: dict[str, float]) -> dict[str, Any]:
    (x,), a, n = values(x=given["x"]), given["a"], given["n"]
    return {
        "d(ax)/dx": d(a * x, x),
        "d(a+x)/dx": d(a + x, x),
        "d(x^4)/dx": d(x**n, x),
        "d(e^x)/dx": d(exp(x), x),
        "sigma(x)": sigmoid(x),
        "dsigma/dx": d(sigmoid(x), x),
        "e^-x/(1+e^-x)^2": exp(-x) / (1 + exp(-x)) ** 2,
    }


def gate_patterns(given: dict[str, dict[str, Any]]) -> dict[str, Any]:
    def pull(gate: Any, x: float, y: float, upstream: float) -> tuple[Value, float, float]:
        x, y = values(x=x, y=y)
        out = gate(x, y)
        out.backward(upstream)
        return out, x.grad, y.grad

    add, add_x, add_y = pull(autograd.add, **given["add"])
    mul, mul_x, mul_y = pull(autograd.mul, **given["mul"])
    max, max_x, max_y = pull(maximum, **given["max"])
    _, tie_x, tie_y = pull(maximum, x=given["max"]["y"], y=given["max"]["y"], upstream=1.0)
    (x,) = values(x=given["copy"]["x"])
    copies = [+x, +x]
    dot(copies, given["copy"]["upstreams"]).backward()
    return {
        "add out": add,
        "add grad x": add_x,
        "add grad y": add_y,
        "mul out": mul,
        "mul grad x (=5*3)": mul_x,
        "mul grad y (=2*5)": mul_y,
        "copy grad x (=4+2)": x.grad,
        "max out": max,
        "max grad x": max_x,
        "max grad y": max_y,
        "max TIE grad x (torch.maximum splits)": tie_x,
        "max TIE grad y (torch.maximum splits)": tie_y,
    }


def gate_circuit_cs231n(given: dict[str, float]) -> dict[str, Any]:
    x, y, z, w = values(**given)
    m = x * y
    k = maximum(z, w)
    a = m + k
    f = a * 2
    f.backward()
    return {
        "x*y": m,
        "max(z,w)": k,
        "sum": a,
        "f": f,
        "grad x": x.grad,
        "grad y": y.grad,
        "grad z": z.grad,
        "grad w": w.grad,
    }


def two_layer_relu_sigmoid(given: dict[str, Any]) -> dict[str, Any]:
    """Example IV, under both lectures' derivative of ReLU at 0."""

    def network(activation: Callable[[Value], Value]) -> Circuit:
        c = Circuit(**given)
        c.z1 = affine(c.W1, c.x, c.b1)
        c.a1 = [activation(z) for z in c.z1]
        c.z2 = dot(c.W2, c.a1, c.b2)
        c.y = sigmoid(c.z2)
        return c

    def relu_sloping_at_0(z: Value) -> Value:
        """max(0, z) as z + max(0, -z), whose derivative at 0 is 1."""
        return z + relu(-z)

    c, other = network(relu), network(relu_sloping_at_0)
    parameters = ("z1", "W1", "b1", "x")
    return {
        **{f"z1[{i}]": z for i, z in enumerate(c.z1)},
        "a1": c.a1,
        "z2": c.z2,
        "y = a2": c.y,
        **{f"dy/d{name}": d(c.y, c[name]) for name in ("z2", "W2", "b2", "a1")},
        **suffixed(
            {f"dy/d{name}": d(c.y, c[name]) for name in parameters},
            ", ReLU'(0)=0 (lecture 001 line 525; PyTorch)",
        ),
        **suffixed(
            {f"dy/d{name}": d(other.y, other[name]) for name in parameters},
            ", ReLU'(0)=1 (lecture 002 line 1656)",
        ),
    }


def deep_sigmoid_composition(given: dict[str, float]) -> dict[str, Any]:
    c = Circuit(**given)
    c.a1 = sigmoid(c.W1 * c.x + c.b1)
    c.a2 = sigmoid(c.W2 * c.a1 + c.b2)
    c.a3 = sigmoid(c.W3 * c.a2 + c.b3)
    c.a3.backward()
    return {**c.nodes(("a1", "a2", "a3")), **{f"dy/d{name}": c[name].grad for name in given}}


def title_slide_logistic_gradient(given: dict[str, Any]) -> dict[str, Any]:
    theta3, a3, y, m = leaves(given["theta3"]), leaves(given["a3"]), given["y"], given["m"]
    z4 = dot(theta3, a3)
    h = sigmoid(z4)
    J = -1 / m * (y * log(h) + (1 - y) * log(1 - h))
    return {
        "z4": z4,
        "h": h,
        "J": J,
        "delta4 = h - y": m * d(J, z4),
        "dJ/dtheta3": d(J, theta3),
    }


def title_slide_two_layer_mse(given: dict[str, float]) -> dict[str, Any]:
    X, W1, W2, y = values(**given)
    A1 = sigmoid(W1 * X)
    ybar = sigmoid(W2 * A1)
    E = half_square(ybar - y)
    return {"A1": A1, "ybar": ybar, "E": E, "dE/dW2": d(E, W2), "dE/dW1": d(E, W1)}


def jacobian_layout(given: dict[str, Any]) -> dict[str, Any]:
    def y(x: list[Value]) -> list[Value]:
        x1, x2 = x
        return [x1 * x2, x1 + x2, x1**2]

    rows = jacobian(y)(given["x"])
    columns = [list(column) for column in zip(*rows, strict=True)]
    return {
        "y": y(leaves(given["x"])),
        "Jacobian in the LECTURE layout (N x M = 2 x 3)": columns,
        "Jacobian in PyTorch/numerator layout (M x N = 3 x 2)": rows,
    }


# Lecture 002: the network of Bernacki, Włodarczyk and Gołda, with their own rule.

AGH_INPUTS = {
    "w_x1_1": "x1", "w_x2_1": "x2",
    "w_x1_2": "x1", "w_x2_2": "x2",
    "w_x1_3": "x1", "w_x2_3": "x2",
    "w14": "y1", "w24": "y2", "w34": "y3",
    "w15": "y1", "w25": "y2", "w35": "y3",
    "w46": "y4", "w56": "y5",
}  # fmt: skip
"""What each weight multiplies; the last character of its name is the neuron that it feeds."""


def agh_network(given: dict[str, float], f: Callable[[Value], Value]) -> Circuit:
    c = Circuit(**{name.removeprefix("target "): x for name, x in given.items()})
    for n in "123456":
        c[f"e{n}"] = autograd.sum([c[w] * c[x] for w, x in AGH_INPUTS.items() if w[-1] == n])
        c[f"y{n}"] = f(c[f"e{n}"])
    c.E = half_square(c.z - c.y6)
    return c


def agh_three_layer(given: dict[str, float], eta: float) -> dict[str, Any]:
    c = agh_network(given, sigmoid)
    c.E.backward()
    # The error signal goes back through the weights alone, as the gradient does where f is linear.
    linear = agh_network(given, autograd.pos)
    error = (c.z - c.y6).data
    delta = {n: error * d(linear.y6, linear[f"y{n}"]) for n in "123456"}
    slope = {n: d(c[f"y{n}"], c[f"e{n}"]) for n in "123456"}
    by_agh = {
        w: c[w].data + eta * delta[w[-1]] * slope[w[-1]] * c[x].data for w, x in AGH_INPUTS.items()
    }
    by_gradient = descended(c.nodes(AGH_INPUTS), c.E, eta)
    return {
        **c.nodes(("y1", "y2", "y3", "y4", "y5")),
        "y (=y6)": c.y6,
        "delta (output) = z - y": delta["6"],
        **{f"delta_{n} (AGH rule, no f')": delta[n] for n in "12345"},
        **{f"df_{n}(e)/de": slope[n] for n in "123456"},
        **suffixed(by_agh, "' (AGH rule, eta=0.5)"),
        **{f"dE/d{w} (true gradient of E = 1/2 (z-y)^2)": c[w].grad for w in AGH_INPUTS},
        **suffixed(by_gradient, "' (true gradient descent, eta=0.5)"),
        "E before": c.E,
        "E after one AGH update": agh_network(given | by_agh, sigmoid).E,
        "E after one true gradient step": agh_network(given | by_gradient, sigmoid).E,
    }


# Lecture 001.


def perceptron_delta_rule(given: dict[str, Any], alpha: float) -> dict[str, Any]:
    xs, labels, w = given.values()
    weights = list[list[float]]()
    mistakes = len(xs)
    while mistakes:
        mistakes = 0
        for x, label in zip(xs, labels, strict=True):
            error = label - autograd.step(dot(w, x))
            w = [w_i + alpha * error * x_i for w_i, x_i in zip(w, x, strict=True)]
            mistakes += error != 0
        weights.append(w)
    return {
        **{f"weights after epoch {i}": w for i, w in enumerate(weights, 1)},
        "epochs until an error-free epoch": len(weights),
    }


def delta_rule_linear_unit(given: dict[str, Any], alpha: float) -> dict[str, Any]:
    w, x, label = leaves(given["w"]), given["x"], given["l"]
    y = dot(w, x)
    error = label - y
    half_square(error).backward()
    return {"y = w.x": y, "l - y": error, "w_new": [w_i - alpha * w_i.grad for w_i in w]}


def sigmoid_neuron_mean_half_squared_error(given: dict[str, Any]) -> dict[str, Any]:
    X, labels, W = given["X"], given["labels"], leaves(given["w"])
    net = [dot(W, x) for x in X]
    out = [sigmoid(z) for z in net]
    errors = [y - label for y, label in zip(out, labels, strict=True)]
    E = mean([half_square(e) for e in errors])
    gradient = d(E, W)
    alpha = 0.5
    return {
        "Net": net,
        "Out": out,
        "E_total": E,
        "dE/dw (true gradient: mean over samples of (Out-l) Out (1-Out) x)": gradient,
        '(1/N) sum (Out_i - l_i) ("= Error" on the slide, line 313)': mean(errors),
        "W after W += -alpha*W_gradient, alpha = 0.5": [
            w + -alpha * g for w, g in zip(W, gradient, strict=True)
        ],
    }


def activation_table(given: dict[str, Any]) -> dict[str, Any]:
    pieces, alpha = given["maxout"], given["elu alpha"]
    activations: dict[str, Callable[[Value], Value]] = {
        "sigmoid": sigmoid,
        "tanh": tanh,
        "relu": relu,
        "leaky_relu_0.1": lambda x: autograd.leaky_relu(x, 0.1),
        "elu_1": lambda x: autograd.elu(x, alpha),
        "maxout": lambda x: autograd.maxout(
            pieces["w1"] * x + pieces["b1"], pieces["w2"] * x + pieces["b2"]
        ),
    }
    table = dict[str, Any]()
    for name, f in activations.items():
        xs = leaves(given["x"])
        ys = [f(x) for x in xs]
        table[f"{name} values"] = ys
        table[f"{name} derivatives (PyTorch convention at 0)"] = [
            d(y, x) for x, y in zip(xs, ys, strict=True)
        ]
    return table


def l2_regularised_loss(given: dict[str, Any]) -> dict[str, Any]:
    W, lam, data_loss = leaves(given["W"]), given["lambda"], mean(given["L_i"])
    l2 = autograd.sum(square(W))
    l1 = autograd.sum(autograd.abs(W))
    return {
        "R(W)": l2,
        "L": data_loss + lam * l2,
        "d(lambda R)/dW = 2 lambda W": d(lam * l2, W),
        "L1: sum |W|": l1,
        "L1: L with lambda=0.01": data_loss + lam * l1,
        "L1 subgradient lambda sign(W), sign(0)=0": d(lam * l1, W),
        "elastic net lambda1=0.01 (L1) + lambda2=0.02 (L2): L": data_loss + 0.01 * l1 + 0.02 * l2,
    }


def vanishing_exploding_products(given: dict[str, Any]) -> dict[str, Any]:
    def slope(layer: Callable[[Value], Value], depth: int) -> float:
        x = y = Value(0.0)
        for _ in range(depth):
            y = layer(y)
        return d(y, x)

    steepest = slope(sigmoid, 1)
    products = dict[str, Any]()
    for n in given["depths"]:
        products[f"dy/dx, n={n} sigmoid layers"] = slope(sigmoid, n)
        products[f"bound 0.25^{n}"] = slope(lambda x: steepest * x, n)
        products[f"linear chain weight 2, n={n}"] = slope(lambda x: 2 * x, n)
    return products | {"max of sigma' (at x=0)": steepest}


# Lecture 003.


def chain_rule_iris(given: dict[str, Any]) -> dict[str, Any]:
    computed = dict[str, Any]()
    for at in given["L"]:
        L = Value(at, "L")
        S = L**2 + 2
        P = S.sqrt()
        named = {"S": S, "P": P, "dP/dS": d(P, S), "dS/dL": d(S, L), "dP/dL": d(P, L)}
        computed |= suffixed(named, f" at L={at:g}")
    return computed


def linear_regression_gradient(given: dict[str, Any], alpha: float) -> dict[str, Any]:
    def loss(w1: Value) -> Value:
        squares = [(y - w1 * x) ** 2 for x, y in zip(given["x"], given["y"], strict=True)]
        return 1 / (2 * len(squares)) * autograd.sum(squares)

    w1 = Value(given["w1"], "w1")
    slope = loss(w1).gradient(w1, create_graph=True)
    after = Value((w1 - alpha * slope).data)
    return {
        "L": loss(w1),
        "dL/dw1": slope,
        "w1 after one step, alpha=0.1": after,
        "L after the step": loss(after),
        # L is a parabola: one Newton step, by its second derivative, finds the minimum.
        "closed form w1* = sum xy / sum x^2": w1 - slope / d(slope, w1),
    }


def forward_numpy_snippet(given: dict[str, Any]) -> dict[str, Any]:
    w1, b1, w2, x = (np.array(leaves(given[name])) for name in ("w1", "b1", "w2", "x"))
    pre_activation = np.dot(w1, x) + b1
    v = np.tanh(pre_activation)
    yhat = np.dot(w2, v) + given["b2"]
    return {"pre-activation": pre_activation.tolist(), "v": v.tolist(), "yhat": yhat}


def relu_stacks(given: dict[str, Any]) -> dict[str, Any]:
    X, W1, W2, W3 = (np.array(leaves(given[name])) for name in ("X", "W1", "W2", "W3"))
    v1 = relu(W1 @ X)
    v2 = relu(W2 @ v1)
    (f,) = W3 @ v2
    return {"max(0,W1 X)": v1.tolist(), "max(0,W2 ...)": v2.tolist(), "f": f}


def cross_entropy_multiclass(given: dict[str, Any]) -> dict[str, Any]:
    def cross_entropy(observed: list[float], predicted: list[Any]) -> Value:
        return -dot(observed, log(predicted))

    observed = given["observed"]
    predicted, logits = leaves(given["predicted"]), leaves(given["logits (own)"])
    loss = cross_entropy(observed, predicted)
    p = softmax(logits)
    logits_loss = cross_entropy(observed, p)
    return {
        "loss (observed one-hot)": loss,
        "dloss/dpredicted = -observed/predicted": d(loss, predicted),
        "loss with soft observed (0.1,0.8,0.1)": cross_entropy([0.1, 0.8, 0.1], predicted),
        "softmax(logits)": p,
        "cross entropy of softmax, class 1": logits_loss,
        "dloss/dlogits = softmax - observed": d(logits_loss, logits),
    }


# Losses of several lectures.


def loss_conventions(given: dict[str, Any]) -> dict[str, Any]:
    predictions = leaves(given["prediction"])
    r = [target - y for target, y in zip(given["target"], predictions, strict=True)]
    N = len(r)
    squares = autograd.sum(square(r))
    losses = {
        '1/2 sum r^2 (002 "Mean Squared Error")': 0.5 * squares,
        "1/N sum 1/2 r^2 (001 E_total)": mean([half_square(r_i) for r_i in r]),
        "1/(2m) sum r^2 (003 linear regression; 004 line 46 with n)": 1 / (2 * N) * squares,
        "1/N sum r^2 (the usual MSE; torch.nn.MSELoss)": mean(square(r)),
        "sum r^2 (000, figure back1.jpg: E = sum (Obs_i - Model_i)^2)": squares,
    }
    return {
        **losses,
        **{f"gradient wrt prediction: {name}": d(E, predictions) for name, E in losses.items()},
        "sum |r| (002 error table)": autograd.sum(autograd.abs(r)),
    }


def binary_cross_entropy(y: list[float], y_hat: list[Value]) -> Value:
    return -mean([t * log(p) + (1 - t) * log(1 - p) for t, p in zip(y, y_hat, strict=True)])


def bce_derivative(given: dict[str, Any]) -> dict[str, Any]:
    y, y_hat = given["y"], leaves(given["y_hat"])
    L = binary_cross_entropy(y, y_hat)
    z = leaves([log(p / (1 - p)) for p in given["y_hat"]])
    return {
        "L": L,
        "dL/dy_hat": d(L, y_hat),
        "dL/dz if y_hat=sigmoid(z): (y_hat - y)/n": d(binary_cross_entropy(y, sigmoid(z)), z),
    }


# Lecture 000: layers.


def dense_layer_backward(given: dict[str, Any], eta: float) -> dict[str, Any]:
    W, b, x = (leaves(given[name]) for name in ("W", "b", "x"))
    z = affine(W, x, b)
    y_hat = sigmoid(z)
    L = binary_cross_entropy(given["y"], y_hat)
    L.backward()
    return {
        "z": z,
        "y_hat": y_hat,
        "L": L,
        "dL/dy_hat": d(L, y_hat),
        "dL/dz": d(L, z),
        "dL/dW": d(L, W),
        "dL/dx": d(L, x),
        "dL/db": d(L, b),
        "W_new": [[w.data - eta * w.grad for w in row] for row in W],
        "b_new": [b_i.data - eta * b_i.grad for b_i in b],
    }


def correlate(X: list[Any], K: list[Any], b: Any) -> list[Any]:
    """The valid cross-correlation of the channels X with the channels of one kernel, plus b."""
    k = len(K[0])
    size = range(len(X[0]) - k + 1)

    def at(i: int, j: int) -> Value:
        patch = [[row[j : j + k] for row in channel[i : i + k]] for channel in X]
        return dot(patch, K, b)

    return [[at(i, j) for j in size] for i in size]


def conv_backward(given: dict[str, Any]) -> dict[str, Any]:
    X, K, b = (leaves(given[name]) for name in ("X", "K", "b"))
    Y = correlate([X], [K], b)
    L = dot(given["dL/dY"], Y)
    L.backward()
    eta = 0.25
    return {
        "Y": Y,
        "dL/dK": d(L, K),
        "K rotated by 180 degrees": [row[::-1] for row in K[::-1]],
        "dL/dX": d(L, X),
        "dL/db": b.grad,
        "K_new, eta=0.25": [[w - eta * w.grad for w in row] for row in K],
        "b_new, eta=0.25": b - eta * b.grad,
    }


def conv_backward_multichannel(given: dict[str, Any]) -> dict[str, Any]:
    X, K, b, upstream = given.values()
    X, K, b = leaves(X), leaves(K), leaves(b)
    Y = [correlate(X, kernel, bias) for kernel, bias in zip(K, b, strict=True)]
    L = dot(upstream, Y)
    return {"Y": Y, "dL/dK": d(L, K), "dL/dX": d(L, X), "dL/db": d(L, b)}


# Lecture 004, and what the lectures name without numbers.


def chain_rule_general(given: dict[str, float]) -> dict[str, Any]:
    (x,) = values(**given)
    g = x**2
    f = g.sin()
    return {"g": g, "f(g(x))": f, "df/dg": d(f, g), "dg/dx": d(g, x), "d/dx": d(f, x)}


def minibatch_vs_sgd(given: dict[str, Any], rate: float) -> dict[str, Any]:
    samples = list(zip(given["x"], given["y"], strict=True))

    def gradient(w: float, batch: list[tuple[float, float]]) -> float:
        weight = Value(w, "w")
        return d(mean([half_square(y - weight * x) for x, y in batch]), weight)

    def epoch(size: int) -> list[float]:
        ws = [given["w"]]
        for start in range(0, len(samples), size):
            ws.append(ws[-1] - rate * gradient(ws[-1], samples[start : start + size]))
        return ws[1:]

    return {
        "w after each mini-batch (one epoch)": epoch(given["batch_size"]),
        "w after each SGD step (one epoch)": epoch(1),
        "full-batch averaged gradient at w=0.5": gradient(given["w"], samples),
        "w after one full-batch step": epoch(len(samples))[-1],
    }


def bptt_tiny_rnn(given: dict[str, Any]) -> dict[str, Any]:
    w, u, b = values(w=given["w"], u=given["u"], b=given["b"])

    def next(h: Any, x: float) -> Value:
        return tanh(w * x + u * h + b)

    x1, x2, x3 = given["x"]
    h1 = next(given["h0"], x1)
    h2 = next(h1, x2)
    h3 = next(h2, x3)
    L = half_square(h3 - given["target"])
    last_step = half_square(next(h2.detach(), x3) - given["target"])
    shared = {"w": w, "u": u, "b": b}
    return {
        "h_1": h1,
        "h_2": h2,
        "h_3": h3,
        "L": L,
        **{f"dL/d{name}": d(L, p) for name, p in shared.items()},
        **{
            f"dL/d{name} truncated to the last time step": d(last_step, p)
            for name, p in shared.items()
        },
    }


def infonce_greedy_infomax(given: dict[str, Any]) -> dict[str, Any]:
    z, positive, negatives, _ = given.values()  # W_k is the identity
    scores = [dot(leaves(code), z) for code in (positive, *negatives)]
    loss = -log(softmax(scores)[0])
    return {"scores": scores, "loss": loss, "dloss/dscores": d(loss, scores)}


def difference_target_propagation(given: dict[str, float], eta: float) -> dict[str, Any]:
    x, w1, w2, v2, t, eta_hat = values(**given)
    h1 = tanh(w1 * x)
    h2 = w2 * h1
    h2_target = h2 - eta_hat * d(half_square(h2 - t), h2)
    h1_target = h1 + v2 * h2_target - v2 * h2
    w1_slope = d(half_square(h1_target.detach() - h1), w1)
    w2_slope = d(half_square(h2_target.detach() - h2), w2)
    return {
        "h1": h1,
        "h2": h2,
        "target h2^": h2_target,
        "target h1^": h1_target,
        "local gradient w2": w2_slope,
        "local gradient w1": w1_slope,
        "w2_new, eta=0.1": w2 - eta * w2_slope,
        "w1_new, eta=0.1": w1 - eta * w1_slope,
    }


CIRCUITS: dict[str, Callable[..., dict[str, Any]]] = {
    "net221_forward": net221_forward,
    "net221_backward": net221_backward,
    "net221_update": net221_update,
    "net221_second_forward": net221_second_forward,
    "net221_loss_curve": net221_loss_curve,
    "net322_forward": net322_forward,
    "net322_backward": net322_backward,
    "net322_discussion_dE_dw3": net322_discussion,
    "net322_update": net322_update,
    "net322_second_forward": net322_second_forward,
    "four_pixel_sum_unit_weights": four_pixel_sum_unit_weights,
    "four_pixel_neuron": four_pixel_neuron,
    "error_table": error_table,
    "fxyz": fxyz,
    "cs231n_sigmoid_neuron": cs231n_sigmoid_neuron,
    "flat_code": flat_code,
    "derivative_cheat_sheet": derivative_cheat_sheet,
    "gate_patterns": gate_patterns,
    "gate_circuit_cs231n": gate_circuit_cs231n,
    "two_layer_relu_sigmoid": two_layer_relu_sigmoid,
    "deep_sigmoid_composition": deep_sigmoid_composition,
    "title_slide_logistic_gradient": title_slide_logistic_gradient,
    "title_slide_two_layer_mse": title_slide_two_layer_mse,
    "jacobian_layout": jacobian_layout,
    "agh_three_layer": agh_three_layer,
    "perceptron_delta_rule": perceptron_delta_rule,
    "delta_rule_linear_unit": delta_rule_linear_unit,
    "sigmoid_neuron_mean_half_squared_error": sigmoid_neuron_mean_half_squared_error,
    "activation_table": activation_table,
    "l2_regularised_loss": l2_regularised_loss,
    "gradient_ascent_on_input": gradient_ascent_on_input,
    "vanishing_exploding_products": vanishing_exploding_products,
    "chain_rule_iris": chain_rule_iris,
    "linear_regression_gradient": linear_regression_gradient,
    "forward_numpy_snippet": forward_numpy_snippet,
    "relu_stacks": relu_stacks,
    "cross_entropy_multiclass": cross_entropy_multiclass,
    "loss_conventions": loss_conventions,
    "bce_derivative": bce_derivative,
    "dense_layer_backward": dense_layer_backward,
    "conv_backward": conv_backward,
    "conv_backward_multichannel": conv_backward_multichannel,
    "layer_delta_formulas": layer_delta_formulas,
    "minibatch_vs_sgd": minibatch_vs_sgd,
    "chain_rule_general": chain_rule_general,
    "empirical_ntk_221": empirical_ntk_221,
    "infonce_greedy_infomax": infonce_greedy_infomax,
    "difference_target_propagation": difference_target_propagation,
    "bptt_tiny_rnn": bptt_tiny_rnn,
}
"""The function that computes each example."""

NOTHING_TO_COMPUTE: dict[str, str] = {
    "example_III_lost": "the lecture kept none of its content",
}
"""The examples without quantities, and why."""
