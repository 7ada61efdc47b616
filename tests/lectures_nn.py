"""The lectures' networks, losses and optimisers as modules of nn, giving quantities by name."""

import random
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Any

from lectures import EXAMPLES, as_printed, leaves, suffixed, without_new

import nn
from autograd import Value, dot
from nn import init, optim

Quantities = dict[str, Any]


# How networks are written: modules loaded with the lecture's parameters, by the lecture's names.


def loaded(model: nn.Module, given: Mapping[str, Any], names: Iterable[str] = ()) -> nn.Module:
    """The model with given numbers: those of the names in the order of parameters(), or all."""
    numbers = [given[name] for name in names or given]
    model.load_state_dict(dict(zip(model.state_dict(), numbers, strict=True)))
    return model


def filled(model: nn.Module, *tables: Any) -> nn.Module:
    """The model with the numbers of nested lists, from left to right."""
    return loaded(model, {str(i): number for i, number in enumerate(flat(tables))})


def flat(tree: Any) -> list[float]:
    return [x for part in tree for x in flat(part)] if isinstance(tree, list | tuple) else [tree]


def outputs(model: Any, inputs: Any) -> list[list[Value]]:
    """What each module of a Sequential gives."""
    found = list[list[Value]]()
    for layer in model:
        inputs = layer(inputs)
        found.append(inputs)
    return found


def grads(tree: Any) -> Any:
    """The gradients in nested lists of Values."""
    return [grads(x) for x in tree] if isinstance(tree, list) else tree.grad


def step(optimizer: optim.Optimizer, loss: Value) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def sigmoid_network(sizes: list[int], bias: bool) -> nn.Sequential:
    """Linear and Sigmoid layers in turn."""
    layers = list[nn.Module]()
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out, bias), nn.Sigmoid()]
    return nn.Sequential(*layers)


# Lecture 002: the 2-2-1 and the 3-2-2 network.


class Net:
    """A two-layer sigmoid network of lecture 002 under the lecture's names."""

    def __init__(
        self, given: Mapping[str, float], sizes: list[int], parameters: str, out: str
    ) -> None:
        """parameters and out: the lecture's names, in the order of parameters() and as outputs."""
        self.names = parameters.split()
        self.ys = out.split()
        model = sigmoid_network(sizes, bias="b1" in self.names)
        self.model = loaded(model, given, self.names)
        self.x = leaves([given[f"x{i}"] for i in range(1, sizes[0] + 1)])
        self.targets = [given[y.replace("y", "y_t")] for y in self.ys]

    def loss(self) -> Value:
        """½ Σ (target - y)², which the lecture calls the mean squared error."""
        return nn.MSELoss("half_sum")(self.model(self.x), self.targets)

    def forward(self) -> dict[str, Value]:
        self.z, self.h, self.z_out, self.y = outputs(self.model, self.x)
        z_names = ["z_c", "z_d"][: len(self.y)]
        return {
            **dict(zip(("z_a", "z_b"), self.z, strict=True)),
            **dict(zip(("h_a", "h_b"), self.h, strict=True)),
            **dict(zip(z_names, self.z_out, strict=True)),
            **dict(zip(self.ys, self.y, strict=True)),
            "E": nn.MSELoss("half_sum")(self.y, self.targets),
        }

    def gradients(self) -> Quantities:
        nodes = self.forward()
        nodes.pop("E").backward()
        parameters = dict(zip(self.names, self.model.parameters(), strict=True))
        inner = {name: node for name, node in nodes.items() if not name.startswith("z")}
        sums = {name: node for name, node in nodes.items() if name.startswith("z")}
        return {
            **{f"dE/d{name}": node.grad for name, node in (inner | parameters).items()},
            **{f"delta_{name[2]} = dE/d{name}": node.grad for name, node in sums.items()},
        }

    def updated(self, eta: float, steps: int = 1) -> Quantities:
        """The parameters after so many steps of gradient descent."""
        optimizer = optim.SGD(self.model.parameters(), eta)
        for _ in range(steps):
            step(optimizer, self.loss())
        return {
            f"{name}_new": p.data
            for name, p in zip(self.names, self.model.parameters(), strict=True)
        }


def net221(given: Mapping[str, float]) -> Net:
    return Net(given, [2, 2, 1], "w1 w3 w2 w4 w5 w6", "y")


def net322(given: Mapping[str, float]) -> Net:
    return Net(given, [3, 2, 2], "w1 w3 w5 w2 w4 w6 b1 b2 w7 w9 w8 w10 b3 b4", "y1 y2")


def net221_backward(given: Quantities) -> Quantities:
    net = net221(given)
    found = net.gradients()
    return found | {f"dE/dx{i}": x.grad for i, x in enumerate(net.x, 1)}


def second_forward(net: Callable[[Quantities], Net], id: str) -> Callable[..., Quantities]:
    def after_one_step(_: Quantities) -> Quantities:
        """The second forward pass, after a step that the optimiser made."""
        given = EXAMPLES[f"{id}_forward"]["inputs"]
        network = net(given)
        before = network.loss()
        network.updated(EXAMPLES[f"{id}_update"]["learning_rate"])
        printed = net(given | without_new(as_printed(f"{id}_update")))
        note = {"net221": "six PRINTED rounded weights", "net322": "14 PRINTED parameters"}[id]
        return {
            **suffixed(network.forward(), "'"),
            "E' - E": network.loss() - before,
            **suffixed(printed.forward(), f"' (from the {note})"),
        }

    return after_one_step


def net221_loss_curve(given: Quantities, eta: float) -> Quantities:
    net = net221(given)
    optimizer = optim.SGD(net.model.parameters(), eta)
    curve = [net.loss()]
    for _ in range(1000):
        step(optimizer, curve[-1])
        curve.append(net.loss())
    steps = (0, 1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)
    return {f"E after {k} steps": curve[k] for k in steps}


# Lecture 002: neurons, layers, the network of Bernacki, Włodarczyk and Gołda.


def four_pixel_sum_unit_weights(given: Quantities) -> Quantities:
    neuron = filled(nn.Neuron(4, bias=False), given["weights"])
    (z,) = neuron(given["pixels"])
    return {"sum": z}


def four_pixel_neuron(given: Quantities) -> Quantities:
    neuron: Any = filled(nn.Neuron(4, nn.Sigmoid, bias=False), given["weights"])
    linear = filled(nn.Neuron(4, bias=False), given["weights"])
    squashed = filled(nn.Neuron(4, nn.Tanh, bias=False), given["weights"])
    x = leaves(given["pixels"])
    (y,) = neuron(x)
    y.backward()
    return {
        "z": linear(x)[0],
        "sigmoid(z)": y,
        "tanh(z)": squashed(x)[0],
        **{f"d sigmoid/dw{i}": w.grad for i, w in enumerate(neuron.weight, 1)},
        **{f"d sigmoid/dx{i}": x_i.grad for i, x_i in enumerate(x, 1)},
    }


def error_table(given: Quantities) -> Quantities:
    predictions = leaves(given["predictions"])
    pairs = zip(given["classes"], predictions, given["ground_truth"], strict=True)
    loss = nn.L1Loss("sum")
    total = loss(predictions, given["ground_truth"])
    return {
        **{f"error {name}": loss([y], [truth]) for name, y, truth in pairs},
        "total error": total,
        "dTotal/dprediction (sign of prediction - truth)": total.gradient(predictions),
    }


def two_layer_relu_sigmoid(given: Quantities) -> Quantities:
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1), nn.Sigmoid())
    filled(model, given["W1"], given["b1"], given["W2"], given["b2"])
    first, _, second, _ = model.layers
    x = leaves(given["x"])
    z1, a1, (z2,), (y,) = outputs(model, x)
    y.backward()
    at_0 = ", ReLU'(0)=0 (lecture 001 line 525; PyTorch)"
    return {
        **{f"z1[{i}]": z for i, z in enumerate(z1)},
        "a1": a1,
        "z2": z2,
        "y = a2": y,
        "dy/dz2": z2.grad,
        "dy/dW2": grads(second.weight[0]),
        "dy/db2": second.bias[0].grad,
        "dy/da1": grads(a1),
        f"dy/dz1{at_0}": grads(z1),
        f"dy/dW1{at_0}": grads(first.weight),
        f"dy/db1{at_0}": grads(first.bias),
        f"dy/dx{at_0}": grads(x),
    }


def deep_sigmoid_composition(given: Quantities) -> Quantities:
    model = nn.Sequential(*(nn.Neuron(1, nn.Sigmoid) for _ in range(3)))
    names = ["W1", "b1", "W2", "b2", "W3", "b3"]
    loaded(model, given, names)
    x = Value(given["x"])
    (a1,), (a2,), (a3,) = outputs(model, [x])
    a3.backward()
    slopes = dict(zip(names, grads(list(model.parameters())), strict=True))
    return {
        "a1": a1,
        "a2": a2,
        "a3": a3,
        **{f"dy/d{n}": g for n, g in slopes.items()},
        "dy/dx": x.grad,
    }


AGH_WEIGHTS = (
    *("w_x1_1", "w_x2_1", "w_x1_2", "w_x2_2", "w_x1_3", "w_x2_3"),
    *("w14", "w24", "w34", "w15", "w25", "w35"),
    *("w46", "w56"),
)


def agh_three_layer(given: Quantities, eta: float) -> Quantities:
    """The forward pass and true gradient descent; their own rule is no gradient of a loss."""
    model = loaded(sigmoid_network([2, 3, 2, 1], bias=False), given, AGH_WEIGHTS)
    x, target = [given["x1"], given["x2"]], [given["target z"]]
    loss = nn.MSELoss("half_sum")
    _, first, _, second, _, (y,) = outputs(model, x)
    before = loss([y], target)
    optimizer = optim.SGD(model.parameters(), eta)
    step(optimizer, before)
    weights = dict(zip(AGH_WEIGHTS, model.parameters(), strict=True))
    gradient = " (true gradient of E = 1/2 (z-y)^2)"
    return {
        **{f"y{i}": y for i, y in enumerate([*first, *second], 1)},
        "y (=y6)": y,
        **{f"dE/d{name}{gradient}": w.grad for name, w in weights.items()},
        **{f"{name}' (true gradient descent, eta=0.5)": w.data for name, w in weights.items()},
        "E before": before,
        "E after one true gradient step": loss(model(x), target),
    }


# Lecture 001.


def perceptron_delta_rule(given: Quantities, alpha: float) -> Quantities:
    xs, labels, w = given.values()
    model: Any = filled(nn.Perceptron(3, bias=False), w)
    weights = list[list[float]]()
    errors = [1.0]
    while any(errors):
        errors = [model.delta_rule(x, t, alpha) for x, t in zip(xs, labels, strict=True)]
        weights.append([w.data for w in model.weight])
    return {
        **{f"weights after epoch {i}": w for i, w in enumerate(weights, 1)},
        "epochs until an error-free epoch": len(weights),
    }


def delta_rule_linear_unit(given: Quantities, alpha: float) -> Quantities:
    model = filled(nn.Neuron(2, bias=False), given["w"])
    (y,) = model(given["x"])
    step(optim.SGD(model.parameters(), alpha), nn.MSELoss("half_sum")([y], [given["l"]]))
    return {"y = w.x": y, "l - y": given["l"] - y, "w_new": list(model.state_dict().values())}


def sigmoid_neuron_mean_half_squared_error(given: Quantities) -> Quantities:
    model: Any = filled(nn.Neuron(2, nn.Sigmoid, bias=False), given["w"])
    linear = filled(nn.Neuron(2, bias=False), given["w"])
    out = [y for x in given["X"] for y in model(x)]
    loss = nn.MSELoss("mean_of_halves")(out, given["labels"])
    step(optim.SGD(model.parameters(), 0.5), loss)
    return {
        "Net": [z for x in given["X"] for z in linear(x)],
        "Out": out,
        "E_total": loss,
        "dE/dw (true gradient: mean over samples of (Out-l) Out (1-Out) x)": grads(model.weight),
        "W after W += -alpha*W_gradient, alpha = 0.5": [w.data for w in model.weight],
    }


def activation_table(given: Quantities) -> Quantities:
    pieces = given["maxout"]
    affine = filled(nn.Linear(1, 2), pieces["w1"], pieces["w2"], pieces["b1"], pieces["b2"])
    modules = {
        "sigmoid": nn.Sigmoid(),
        "tanh": nn.Tanh(),
        "relu": nn.ReLU(),
        "leaky_relu_0.1": nn.LeakyReLU(0.1),
        "elu_1": nn.ELU(given["elu alpha"]),
        "maxout": nn.Sequential(affine, nn.Maxout(2)),
    }
    table = dict[str, Any]()
    for name, module in modules.items():
        xs = leaves(given["x"])
        ys = [module([x])[0] for x in xs]
        table[f"{name} values"] = ys
        table[f"{name} derivatives (PyTorch convention at 0)"] = [
            y.gradient(x) for x, y in zip(xs, ys, strict=True)
        ]
    return table


def l2_regularised_loss(given: Quantities) -> Quantities:
    layer: Any = filled(nn.Linear(2, 2, bias=False), given["W"])
    lam, data_loss = given["lambda"], sum(given["L_i"]) / len(given["L_i"])
    l1, l2 = nn.l1(layer.parameters()), nn.l2(layer.parameters())
    both = nn.elastic_net(layer.parameters(), 0.01, 0.02)
    return {
        "R(W)": l2,
        "L": data_loss + lam * l2,
        "d(lambda R)/dW = 2 lambda W": (lam * l2).gradient(layer.weight),
        "L1: sum |W|": l1,
        "L1: L with lambda=0.01": data_loss + lam * l1,
        "L1 subgradient lambda sign(W), sign(0)=0": (lam * l1).gradient(layer.weight),
        "elastic net lambda1=0.01 (L1) + lambda2=0.02 (L2): L": data_loss + both,
    }


def vanishing_exploding_products(given: Quantities) -> Quantities:
    def slope(activation: Any, weight: float, depth: int) -> float:
        model = nn.Sequential(*(nn.Neuron(1, activation, bias=False) for _ in range(depth)))
        init.constant_(list(model.parameters()), weight)
        x = Value(0.0)
        return model([x])[0].gradient(x)

    products = dict[str, Any]()
    for n in given["depths"]:
        products[f"dy/dx, n={n} sigmoid layers"] = slope(nn.Sigmoid, 1.0, n)
        products[f"linear chain weight 2, n={n}"] = slope(None, 2.0, n)
    return products


def bowl(w: list[Any]) -> Value:
    """½ (w₁² + 10 w₂²), on which the optimisers are compared."""
    return 0.5 * (w[0] ** 2 + 10 * w[1] ** 2)


def descent(make: Any, given: Quantities) -> tuple[list[list[float]], list[dict[str, Any]]]:
    """The Parameters and the optimiser's buffers after each of three steps on the bowl."""
    w = [nn.Parameter(x) for x in given["W0"]]
    optimizer = make(w)
    points, buffers = list[list[float]](), list[dict[str, Any]]()
    for _ in range(3):
        step(optimizer, bowl(w))
        points.append([p.data for p in w])
        buffers.append(optimizer.state_dict()["buffers"])
    return points, buffers


def momentum_update(given: Quantities, alpha: float) -> Quantities:
    points, buffers = descent(
        lambda w: optim.SGD(w, alpha, given["gamma"], momentum_form="classical"), given
    )
    return {
        **{f"W_{t}": w for t, w in enumerate(points, 1)},
        **{f"V_{t}": b["momentum_buffer"] for t, b in enumerate(buffers, 1)},
    }


def optimiser_trajectories(given: Quantities, alpha: float) -> Quantities:
    gamma = 0.9
    ahead, buffers = descent(
        lambda w: optim.SGD(w, alpha, gamma, nesterov=True, momentum_form="classical"), given
    )
    return {
        "GD W_1..W_3": descent(lambda w: optim.SGD(w, alpha), given)[0],
        "AdaGrad W_1..W_3": descent(lambda w: optim.Adagrad(w, alpha), given)[0],
        "RMSprop(0.9) W_1..W_3": descent(lambda w: optim.RMSprop(w, alpha, alpha=0.9), given)[0],
        "Adam W_1..W_3": descent(lambda w: optim.Adam(w, alpha), given)[0],
        "Nesterov (look-ahead form) W_1..W_3": [
            [phi + gamma * v for phi, v in zip(point, b["momentum_buffer"], strict=True)]
            for point, b in zip(ahead, buffers, strict=True)
        ],
        "phi_t = W_t - gamma V_t": ahead,
    }


# Lectures 000, 003 and 004.


def dense_layer_backward(given: Quantities, eta: float) -> Quantities:
    layer: Any = filled(nn.Linear(3, 2), given["W"], given["b"])
    x = leaves(given["x"])
    z, y_hat = outputs(nn.Sequential(layer, nn.Sigmoid()), x)
    loss = nn.BCELoss()(y_hat, given["y"])
    step(optim.SGD(layer.parameters(), eta), loss)
    return {
        "z": z,
        "y_hat": y_hat,
        "L": loss,
        "dL/dy_hat": grads(y_hat),
        "dL/dz": grads(z),
        "dL/dW": grads(layer.weight),
        "dL/dx": grads(x),
        "dL/db": grads(layer.bias),
        "W_new": [[w.data for w in row] for row in layer.weight],
        "b_new": [b.data for b in layer.bias],
    }


class Unscaled(random.Random):
    """Says 1 where a standard normal number is drawn, and the upper limit of a uniform one."""

    def gauss(self, mu: float = 0.0, sigma: float = 1.0) -> float:
        return mu + sigma

    def uniform(self, _: float, b: float) -> float:
        return b


def weight_initialisation_factors(given: Quantities) -> Quantities:
    def factor(draw: Any, n_in: int, n_out: int = 1) -> float:
        layer = nn.Linear(n_in, n_out, bias=False)
        draw(layer.weight, Unscaled())
        (number,) = set(layer.state_dict().values())
        return number

    sizes = given["size[l-1]"]
    return {
        **{f"He factor, size={n}": factor(init.kaiming_normal_, n) for n in sizes},
        **{f"Xavier factor (lecture), size={n}": factor(init.lecun_normal_, n) for n in sizes},
        "Glorot normal std, n_in=3, n_out=2": factor(init.xavier_normal_, 3, 2),
        "Glorot uniform limit, n_in=3, n_out=2": factor(init.xavier_uniform_, 3, 2),
    }


def linear_regression_gradient(given: Quantities, alpha: float) -> Quantities:
    model: Any = filled(nn.Neuron(1, bias=False), given["w1"])

    def loss() -> Value:
        ys = [model([x])[0] for x in given["x"]]
        return nn.MSELoss("mean_of_halves")(ys, given["y"])

    before = loss()
    step(optim.SGD(model.parameters(), alpha), before)
    return {
        "L": before,
        "dL/dw1": model.weight[0].grad,
        "w1 after one step, alpha=0.1": model.weight[0].data,
        "L after the step": loss(),
    }


def forward_numpy_snippet(given: Quantities) -> Quantities:
    model = filled(nn.MLP(2, [3, 1], nn.Tanh), given["w1"], given["b1"], given["w2"], given["b2"])
    z, v, (y,) = outputs(model, given["x"])
    return {"pre-activation": z, "v": v, "yhat": y}


def relu_stacks(given: Quantities) -> Quantities:
    sizes = [(2, 3), (3, 2), (2, 1)]
    first, second, third = (nn.Linear(*size, bias=False) for size in sizes)
    model = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third)
    filled(model, given["W1"], given["W2"], given["W3"])
    _, v1, _, v2, (f,) = outputs(model, given["X"])
    return {"max(0,W1 X)": v1, "max(0,W2 ...)": v2, "f": f}


def cross_entropy_multiclass(given: Quantities) -> Quantities:
    predicted, logits = leaves(given["predicted"]), leaves(given["logits (own)"])
    likelihood = nn.CategoricalCrossEntropyLoss()
    loss = likelihood(predicted, given["observed"])
    logits_loss = nn.CrossEntropyLoss()(logits, given["observed"].index(1))
    return {
        "loss (observed one-hot)": loss,
        "dloss/dpredicted = -observed/predicted": loss.gradient(predicted),
        "loss with soft observed (0.1,0.8,0.1)": likelihood(predicted, [0.1, 0.8, 0.1]),
        "softmax(logits)": nn.Softmax()(logits),
        "cross entropy of softmax, class 1": logits_loss,
        "dloss/dlogits = softmax - observed": logits_loss.gradient(logits),
    }


def loss_conventions(given: Quantities) -> Quantities:
    reductions = {
        '1/2 sum r^2 (002 "Mean Squared Error")': "half_sum",
        "1/N sum 1/2 r^2 (001 E_total)": "mean_of_halves",
        "1/(2m) sum r^2 (003 linear regression; 004 line 46 with n)": "mean_of_halves",
        "1/N sum r^2 (the usual MSE; torch.nn.MSELoss)": "mean",
        "sum r^2 (000, figure back1.jpg: E = sum (Obs_i - Model_i)^2)": "sum",
    }
    predictions, targets = leaves(given["prediction"]), given["target"]
    losses = {name: nn.MSELoss(how)(predictions, targets) for name, how in reductions.items()}
    return {
        **losses,
        **{
            f"gradient wrt prediction: {name}": E.gradient(predictions)
            for name, E in losses.items()
        },
        "sum |r| (002 error table)": nn.L1Loss("sum")(predictions, targets),
    }


def bce_derivative(given: Quantities) -> Quantities:
    y, y_hat = given["y"], leaves(given["y_hat"])
    loss = nn.BCELoss()(y_hat, y)
    z = leaves([(Value(p) / (1 - p)).log().item() for p in given["y_hat"]])
    return {
        "L": loss,
        "dL/dy_hat": loss.gradient(y_hat),
        "dL/dz if y_hat=sigmoid(z): (y_hat - y)/n": nn.BCEWithLogitsLoss()(z, y).gradient(z),
    }


def minibatch_vs_sgd(given: Quantities, rate: float) -> Quantities:
    samples = list(zip(given["x"], given["y"], strict=True))

    def epoch(size: int) -> tuple[list[float], float]:
        """The weight after each step of an epoch, and the last gradient."""
        model: Any = filled(nn.Neuron(1, bias=False), given["w"])
        optimizer = optim.SGD(model.parameters(), rate)
        ws = list[float]()
        for start in range(0, len(samples), size):
            xs, targets = zip(*samples[start : start + size], strict=True)
            ys = [model([x])[0] for x in xs]
            step(optimizer, nn.MSELoss("mean_of_halves")(ys, targets))
            ws.append(model.weight[0].data)
        return ws, model.weight[0].grad

    full_batch, gradient = epoch(len(samples))
    return {
        "w after each mini-batch (one epoch)": epoch(given["batch_size"])[0],
        "w after each SGD step (one epoch)": epoch(1)[0],
        "full-batch averaged gradient at w=0.5": gradient,
        "w after one full-batch step": full_batch[0],
    }


def gradient_clipping(given: Quantities) -> Quantities:
    def with_gradients() -> list[Any]:
        w = leaves([0.0 for _ in given["g"]])
        dot(given["g"], w).backward()
        return w

    by_norm, by_value = with_gradients(), with_gradients()
    norm = nn.clip_grad_norm_(by_norm, given["max_norm"])
    nn.clip_grad_value_(by_value, given["clip_value"])
    return {
        "norm": norm,
        "clipped by norm": grads(by_norm),
        "clipped by value": grads(by_value),
    }


class Masks(random.Random):
    """Draws what makes dropout follow a mask: 1 where it keeps, 0 where it drops."""

    def __init__(self, mask: list[float]) -> None:
        super().__init__()
        self._mask = iter(mask)

    def random(self) -> float:
        return next(self._mask)


def dropout_mask(given: Quantities) -> Quantities:
    h, keep = leaves(given["h"]), given["keep_prob"]
    out = nn.Dropout(1.0 - keep, Masks(given["mask"]))(h)
    dot(given["upstream"], out).backward()
    unscaled = "out without scaling (original 2014 form, scale by keep at test time)"
    return {"out": out, "grad_h": grads(h), unscaled: [keep * y for y in out]}


# Lecture 000: convolution, and what it names without numbers: backpropagation through time.


def conv_backward(given: Quantities) -> Quantities:
    layer, image = filled(nn.Conv2d(1, 1, 2), given["K"], given["b"]), leaves([given["X"]])
    (output,) = layer(image)
    step(optim.SGD(layer.parameters(), 0.25), dot(given["dL/dY"], output))
    ((kernel,),), (bias,) = layer.weight, layer.bias
    return {
        "Y": output,
        "dL/dK": grads(kernel),
        "dL/dX": grads(image[0]),
        "dL/db": bias.grad,
        "K_new, eta=0.25": kernel,
        "b_new, eta=0.25": bias,
    }


def conv_backward_multichannel(given: Quantities) -> Quantities:
    inputs, kernels, biases, upstream = given.values()
    layer, image = filled(nn.Conv2d(2, 2, 2), kernels, biases), leaves(inputs)
    output = layer(image)
    dot(upstream, output).backward()
    return {
        "Y": output,
        "dL/dK": grads(layer.weight),
        "dL/dX": grads(image),
        "dL/db": grads(layer.bias),
    }


def bptt_tiny_rnn(given: Quantities) -> Quantities:
    """PyTorch's cell has two biases, of which the second is 0 here."""
    rnn = filled(nn.RNN(1, 1), given["w"], given["u"], given["b"], 0.0)
    cell, xs, start = rnn.cell, [[x] for x in given["x"]], [given["h0"]]
    shared = {"w": cell.weight_ih[0][0], "u": cell.weight_hh[0][0], "b": cell.bias_ih[0]}

    def loss(h: list[Value]) -> Value:
        return nn.MSELoss("half_sum")(h, [given["target"]])

    def slopes(loss: Value) -> Quantities:
        return {f"dL/d{name}": slope for name, slope in loss.gradient(shared).items()}

    hs, _ = rnn(xs, start)
    _, state = rnn(xs[:-1], start)
    _, last = rnn(xs[-1:], nn.detach(state))
    return {
        **{f"h_{t}": h for t, (h,) in enumerate(hs, 1)},
        "L": loss(hs[-1]),
        **slopes(loss(hs[-1])),
        **suffixed(slopes(loss(last)), " truncated to the last time step"),
    }


def early_stopping(given: Quantities) -> Quantities:
    stopping = nn.EarlyStopping(given["patience"])
    for loss in given["val_loss"]:
        stopping.update(loss)
        if stopping.is_due:
            break
    return {
        "stop epoch": stopping.epoch,
        "best epoch": stopping.best_epoch,
        "best loss": stopping.best,
    }


def playground_configuration(_: Quantities, __: float) -> Quantities:
    points, labels = nn.data.spiral(200)
    arm = [point for point, label in zip(points, labels, strict=True) if label == 1]
    return {f"noise-free spiral point i={i} of n=100, label +1": arm[i] for i in (0, 25, 50)}


NETWORKS: dict[str, Callable[..., Quantities]] = {
    "net221_forward": lambda given: net221(given).forward(),
    "net221_backward": net221_backward,
    "net221_update": lambda given, eta: net221(given).updated(eta),
    "net221_second_forward": second_forward(net221, "net221"),
    "net221_loss_curve": net221_loss_curve,
    "net322_forward": lambda given: net322(given).forward(),
    "net322_backward": lambda given: net322(given).gradients(),
    "net322_discussion_dE_dw3": lambda given: {"dE/dw3 (sum)": net322(given).gradients()["dE/dw3"]},
    "net322_update": lambda given, eta: net322(given).updated(eta),
    "net322_second_forward": second_forward(net322, "net322"),
    "four_pixel_sum_unit_weights": four_pixel_sum_unit_weights,
    "four_pixel_neuron": four_pixel_neuron,
    "error_table": error_table,
    "two_layer_relu_sigmoid": two_layer_relu_sigmoid,
    "deep_sigmoid_composition": deep_sigmoid_composition,
    "agh_three_layer": agh_three_layer,
    "perceptron_delta_rule": perceptron_delta_rule,
    "delta_rule_linear_unit": delta_rule_linear_unit,
    "sigmoid_neuron_mean_half_squared_error": sigmoid_neuron_mean_half_squared_error,
    "activation_table": activation_table,
    "l2_regularised_loss": l2_regularised_loss,
    "vanishing_exploding_products": vanishing_exploding_products,
    "momentum_update": momentum_update,
    "optimiser_trajectories": optimiser_trajectories,
    "dense_layer_backward": dense_layer_backward,
    "weight_initialisation_factors": weight_initialisation_factors,
    "linear_regression_gradient": linear_regression_gradient,
    "forward_numpy_snippet": forward_numpy_snippet,
    "relu_stacks": relu_stacks,
    "cross_entropy_multiclass": cross_entropy_multiclass,
    "loss_conventions": loss_conventions,
    "bce_derivative": bce_derivative,
    "minibatch_vs_sgd": minibatch_vs_sgd,
    "gradient_clipping": gradient_clipping,
    "dropout_mask": dropout_mask,
    "early_stopping": early_stopping,
    "playground_configuration": playground_configuration,
    "conv_backward": conv_backward,
    "conv_backward_multichannel": conv_backward_multichannel,
    "bptt_tiny_rnn": bptt_tiny_rnn,
}
"""The function that computes each example: all its quantities, or those that nn has a name for."""
