"""A training step of a tiny GPT on a document of 8 characters, scalar by scalar and as matrices."""

import importlib
import math
import random
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from importlib.util import find_spec
from operator import getitem
from typing import Any, NamedTuple

import autograd
from benchmarks.compile import ONE_THREAD
from benchmarks.contest import Contestant, interleaved, seconds, table
from benchmarks.peers import engines
from benchmarks.problems import is_close

VOCABULARY, WIDTH, HEADS, CONTEXT = 27, 16, 4, 8
HEAD = WIDTH // HEADS
SHAPES = {
    "token": (VOCABULARY, WIDTH),
    "position": (CONTEXT, WIDTH),
    "query": (WIDTH, WIDTH),
    "key": (WIDTH, WIDTH),
    "value": (WIDTH, WIDTH),
    "mix": (WIDTH, WIDTH),
    "widen": (4 * WIDTH, WIDTH),
    "narrow": (WIDTH, 4 * WIDTH),
    "logits": (VOCABULARY, WIDTH),
}
"""The parameters, matrices of (outputs, inputs); the embeddings have a row for each token."""

DOCUMENT = [VOCABULARY - 1, *(ord(letter) - ord("a") for letter in "gradient")]
"""What begins a document, then its characters: each is to be guessed from those before."""

TOKENS, TARGETS = DOCUMENT[:-1], DOCUMENT[1:]

RATE, BETAS, EPSILON = 0.01, (0.9, 0.95), 1e-8
STEPS = {"plain": 1, "autograd": 3}
"""How many steps a turn takes, where it is not 50."""

Step = Callable[[], float]
"""One training step; its result is the loss before it."""

Matrices = dict[str, list[list[Any]]]


def first_numbers() -> Matrices:
    """The parameters before training, the same for every contestant."""
    draw = random.Random(42).gauss
    return {
        name: [[draw(0.0, 0.08) for _ in range(columns)] for _ in range(rows)]
        for name, (rows, columns) in SHAPES.items()
    }


# Scalar by scalar: the same code over ours, compiled or not, and over the plain engine.


class Plain:
    """A plain scalar engine with the operations that a GPT needs.

    A node holds its operands and the local derivatives by them, and no closure as in micrograd,
    which would make a cycle of each node and leave it to the garbage collector.
    """

    __slots__ = ("_locals", "_operands", "data", "grad")

    def __init__(
        self,
        data: float,
        operands: tuple["Plain", ...] = (),
        local_derivatives: tuple[float, ...] = (),
    ) -> None:
        self.data = data
        self.grad = 0.0
        self._operands = operands
        self._locals = local_derivatives

    def __add__(self, other: Any) -> "Plain":
        other = other if isinstance(other, Plain) else Plain(other)
        return Plain(self.data + other.data, (self, other), (1.0, 1.0))

    def __mul__(self, other: Any) -> "Plain":
        other = other if isinstance(other, Plain) else Plain(other)
        return Plain(self.data * other.data, (self, other), (other.data, self.data))

    def __pow__(self, exponent: float) -> "Plain":
        return Plain(self.data**exponent, (self,), (exponent * self.data ** (exponent - 1),))

    def exp(self) -> "Plain":
        """e to the power of it."""
        power = math.exp(self.data)
        return Plain(power, (self,), (power,))

    def log(self) -> "Plain":
        """Its natural logarithm."""
        return Plain(math.log(self.data), (self,), (1 / self.data,))

    def relu(self) -> "Plain":
        """Itself, or 0 where it is negative."""
        return Plain(max(self.data, 0.0), (self,), (float(self.data > 0),))

    def __neg__(self) -> "Plain":
        return self * -1

    def __sub__(self, other: Any) -> "Plain":
        return self + -other

    def __truediv__(self, other: Any) -> "Plain":
        return self * other**-1

    def backward(self) -> None:
        """Add its gradient to that of every node it was computed from."""
        order: list[Plain] = []
        met: set[Plain] = set()

        def visit(node: Plain) -> None:
            if node not in met:
                met.add(node)
                for operand in node._operands:
                    visit(operand)
                order.append(node)

        visit(self)
        self.grad = 1.0
        for node in reversed(order):
            for operand, local in zip(node._operands, node._locals, strict=True):
                operand.grad += local * node.grad


def _total(terms: Iterable[Any]) -> Any:
    first, *rest = terms
    return sum(rest, first)


def _dot(a: list[Any], b: list[Any]) -> Any:
    return _total([x * y for x, y in zip(a, b, strict=True)])


def _added(a: list[Any], b: list[Any]) -> list[Any]:
    return [x + y for x, y in zip(a, b, strict=True)]


def _columns(rows: list[list[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _softmax(logits: list[Any]) -> list[Any]:
    largest = max(logit.data for logit in logits)
    powers = [(logit - largest).exp() for logit in logits]
    total = _total(powers)
    return [power / total for power in powers]


class Functions(NamedTuple):
    """What the loss needs of an engine beside its operators.

    Attributes:
        dot: the sum of products of two lists.
        softmax: the powers of e by the numbers of a list, as parts of their sum.
        pick: the number of a list that a token stands for.
    """

    dot: Callable[[list[Any], list[Any]], Any]
    softmax: Callable[[list[Any]], list[Any]]
    pick: Callable[[list[Any], Any], Any]


PLAIN = Functions(_dot, _softmax, getitem)
EAGER = Functions(autograd.dot, _softmax, getitem)
TRACED = Functions(autograd.dot, autograd.softmax, autograd.dot)
"""Here a token is one-hot, so that a program serves all documents of their length."""


def scalar_loss(
    p: Matrices, tokens: Sequence[Any], targets: Sequence[Any], functions: Functions
) -> Any:
    """The mean surprise at the characters of the document."""
    dot, softmax, pick = functions

    def linear(name: str, x: list[Any]) -> list[Any]:
        return [dot(row, x) for row in p[name]]

    def normalised(x: list[Any]) -> list[Any]:
        scale = (dot(x, x) * (1 / len(x)) + 1e-5) ** -0.5
        return [number * scale for number in x]

    def attention(query: list[Any]) -> list[Any]:
        """What the heads take from the characters so far, one head after the other."""
        taken: list[Any] = []
        for head in range(0, WIDTH, HEAD):
            part = slice(head, head + HEAD)
            weights = softmax([dot(query[part], key[part]) * HEAD**-0.5 for key in keys])
            taken += [dot(weights, column) for column in _columns([v[part] for v in values])]
        return taken

    keys, values, losses = list[list[Any]](), list[list[Any]](), list[Any]()
    embedding = _columns(p["token"])
    for token, target, position in zip(tokens, targets, p["position"], strict=True):
        x = normalised(_added([pick(column, token) for column in embedding], position))
        normal = normalised(x)
        keys.append(linear("key", normal))
        values.append(linear("value", normal))
        x = _added(linear("mix", attention(linear("query", normal))), x)
        wide = [unit.relu() for unit in linear("widen", normalised(x))]
        x = _added(linear("narrow", wide), x)
        losses.append(-pick(softmax(linear("logits", x)), target).log())
    return _total(losses) * (1 / len(losses))


def scalar_step(leaf: Callable[[float], Any], functions: Functions) -> Step:
    """A step of Adam, parameter by parameter."""
    p = {name: [list(map(leaf, row)) for row in m] for name, m in first_numbers().items()}
    parameters = [parameter for matrix in p.values() for row in matrix for parameter in row]
    means, squares, (beta1, beta2) = [0.0] * len(parameters), [0.0] * len(parameters), BETAS
    steps = 0

    def step() -> float:
        nonlocal steps
        loss = scalar_loss(p, TOKENS, TARGETS, functions)
        for parameter in parameters:
            parameter.grad = 0.0
        loss.backward()
        steps += 1
        rate, correction = RATE / (1 - beta1**steps), 1 / (1 - beta2**steps)
        for i, parameter in enumerate(parameters):
            gradient = parameter.grad
            means[i] = mean = beta1 * means[i] + (1 - beta1) * gradient
            squares[i] = square = beta2 * squares[i] + (1 - beta2) * gradient * gradient
            parameter.data -= rate * mean / (math.sqrt(square * correction) + EPSILON)
        return loss.data

    return step


def compiled_step() -> Step:
    """The step with the value and gradient of the same loss as a program."""
    import numpy as np

    def loss_of(numbers: list[Any], tokens: list[Any], targets: list[Any]) -> Any:
        rest = iter(numbers)
        p = {
            name: [[next(rest) for _ in range(columns)] for _ in range(rows)]
            for name, (rows, columns) in SHAPES.items()
        }
        return scalar_loss(p, tokens, targets, TRACED)

    compiled = autograd.compile(loss_of)
    p = np.concatenate([np.ravel(matrix) for matrix in first_numbers().values()])
    one_hot = np.eye(VOCABULARY)
    means, squares, (beta1, beta2) = np.zeros_like(p), np.zeros_like(p), BETAS
    steps = 0

    def step() -> float:
        nonlocal p, means, squares, steps
        loss, gradients = compiled.value_and_grad(p, one_hot[TOKENS], one_hot[TARGETS])
        steps += 1
        rate, correction = RATE / (1 - beta1**steps), 1 / (1 - beta2**steps)
        means = beta1 * means + (1 - beta1) * gradients
        squares = beta2 * squares + (1 - beta2) * gradients * gradients
        p = p - rate * means / (np.sqrt(squares * correction) + EPSILON)
        return loss

    return step


# As matrices: the same step over all characters at once.


def matrix_loss(array: Any, softmax: Any, relu: Any, log: Any) -> Callable[..., Any]:
    """The loss of `scalar_loss` as a function of arrays of the library that has these functions."""
    places = array(list(range(CONTEXT)))
    later = [[-math.inf if j > i else 0.0 for j in range(CONTEXT)] for i in range(CONTEXT)]
    mask = array(later)  # hides what comes later

    def normalised(x: Any) -> Any:
        return x * ((x * x).mean(axis=-1, keepdims=True) + 1e-5) ** -0.5

    def heads(x: Any) -> Any:
        return x.reshape(CONTEXT, HEADS, HEAD).swapaxes(0, 1)

    def loss(p: Any, tokens: Any, targets: Any) -> Any:
        x = normalised(p["token"][tokens] + p["position"])
        normal = normalised(x)
        query, key, value = (heads(normal @ p[name].T) for name in ("query", "key", "value"))
        taken = softmax(query @ key.swapaxes(1, 2) * HEAD**-0.5 + mask, -1) @ value
        x = x + taken.swapaxes(0, 1).reshape(CONTEXT, WIDTH) @ p["mix"].T
        x = x + relu(normalised(x) @ p["widen"].T) @ p["narrow"].T
        guesses = softmax(x @ p["logits"].T, -1)
        return -log(guesses[places, targets]).mean()

    return loss


def torch_step() -> Step:
    """The step in PyTorch, without a compiler."""
    torch: Any = importlib.import_module("torch")
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    p = {name: torch.tensor(rows, requires_grad=True) for name, rows in first_numbers().items()}
    loss_of = matrix_loss(torch.tensor, torch.softmax, torch.relu, torch.log)
    adam = torch.optim.Adam(p.values(), RATE, BETAS, EPSILON)
    tokens, targets = torch.tensor(TOKENS), torch.tensor(TARGETS)

    def step() -> float:
        loss = loss_of(p, tokens, targets)
        adam.zero_grad()
        loss.backward()
        adam.step()
        return loss.item()

    return step


def jax_step() -> Step:
    """The step in JAX, compiled by XLA."""
    jax: Any = importlib.import_module("jax")
    jax.config.update("jax_enable_x64", True)
    np, tree = jax.numpy, jax.tree_util.tree_map
    loss_of = matrix_loss(np.array, jax.nn.softmax, jax.nn.relu, np.log)
    beta1, beta2 = BETAS

    @jax.jit
    def updated(data: Any, steps: Any, p: Any, means: Any, squares: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(p, *data)
        means = tree(lambda m, g: beta1 * m + (1 - beta1) * g, means, gradients)
        squares = tree(lambda s, g: beta2 * s + (1 - beta2) * g * g, squares, gradients)
        rate, correction = RATE / (1 - beta1**steps), 1 / (1 - beta2**steps)
        adapted = tree(lambda m, s: rate * m / (np.sqrt(s * correction) + EPSILON), means, squares)
        return loss, (tree(np.subtract, p, adapted), means, squares)

    p = {name: np.array(rows) for name, rows in first_numbers().items()}
    state = (p, tree(np.zeros_like, p), tree(np.zeros_like, p))
    data = np.array(TOKENS), np.array(TARGETS)
    steps = 0

    def step() -> float:
        nonlocal state, steps
        steps += 1
        loss, state = updated(data, float(steps), *state)
        return float(loss)

    return step


# The table.

STEP_OF: dict[str, Callable[[], Step]] = {
    "compiled": compiled_step,
    "autograd": lambda: scalar_step(autograd.Value, EAGER),
    "plain": lambda: scalar_step(Plain, PLAIN),
    "torch": torch_step,
    "jax": jax_step,
}
"""What prepares the step of each peer."""


@cache
def prepared(peer: str) -> tuple[Step, list[float]]:
    """The step of a peer, prepared once in its process, and the losses of the first three."""
    step = STEP_OF[peer]()
    return step, [step() for _ in range(3)]


def first_losses(peer: str) -> list[float]:
    """The losses by which the peers are compared."""
    return prepared(peer)[1]


def training(peer: str, count: int) -> Callable[[], object]:
    """Training steps, one after the other."""
    step, _ = prepared(peer)
    return lambda: [step() for _ in range(count)]


def contestants() -> list[Contestant]:
    """The compiled step, our engines, the plain one, and the libraries that are installed."""
    ours = [contestant for contestant in engines() if contestant.peer == "autograd"]
    compiled = Contestant("autograd.compile", "compiled", ours[0].environment)
    libraries = {"torch": "PyTorch, matrices", "jax": "jax.jit, matrices"}
    found = [
        Contestant(name, peer, ONE_THREAD) for peer, name in libraries.items() if find_spec(peer)
    ]
    return [compiled, *ours, Contestant("plain Python engine", "plain"), *found]


def main(rounds: int) -> None:
    """Print the table of the suite, or raise if anybody's losses differ from the first one's."""
    answers: dict[str, list[float]] = {}

    def milliseconds(pool: ProcessPoolExecutor, contestant: Contestant) -> float:
        peer = contestant.peer
        answers[contestant.name] = pool.submit(first_losses, peer).result()
        count = STEPS.get(peer, 50)
        return pool.submit(seconds, training, peer, count).result() / count * 1e3

    figures = interleaved(contestants(), rounds, milliseconds)
    first, *others = answers.values()
    if not all(is_close(first, other) for other in others):
        raise AssertionError(f"the losses of the first steps differ: {answers}")
    count = sum(rows * columns for rows, columns in SHAPES.values())
    title = f"A step of a GPT of {count:,} parameters on {CONTEXT} characters"
    print(table(title, "ms", figures, next(iter(figures))))
