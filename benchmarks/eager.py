"""Recording, the backward pass and memory of scalar graphs, beside floats and the peers."""

import math
import random
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from typing import Any

from benchmarks.contest import Contestant, interleaved, peak_bytes, process, seconds, table
from benchmarks.peers import LEAVES, engines, recorders

FLOAT = Contestant("Python float", "float")
MOONS_STEPS = 5


# Tasks: each prepares, in the contestant's process, the function that is measured.


def products(peer: str, count: int) -> Callable[[], object]:
    """A loop of `c = a * b`."""
    a, b = map(LEAVES[peer](), (1.5, 0.75))

    def run() -> None:
        for _ in range(count):
            c = a * b  # noqa: F841

    return run


def _chain(leaf: Callable[[float], Any], count: int) -> Any:
    x, a, b = map(leaf, (1.0, 0.999, 0.001))
    for _ in range(count // 2):
        x = x * a + b
    return x


def chain(peer: str, count: int) -> Callable[[], object]:
    """Recording a chain of `count` operations, x ← x·a + b."""
    leaf = LEAVES[peer]()
    return lambda: _chain(leaf, count)


def chain_cycle(peer: str, count: int) -> Callable[[], object]:
    """Recording such a chain, its backward pass and freeing it."""
    leaf = LEAVES[peer]()
    return lambda: _chain(leaf, count).backward()


def _tree(leaf: Callable[[float], Any], count: int) -> Any:
    xs = [leaf(0.5 + i / count) for i in range(count // 2 + 1)]
    products = [x * y for x, y in pairwise(xs)]
    while len(products) > 1:
        sums = [x + y for x, y in zip(products[::2], products[1::2], strict=False)]
        products = sums + products[2 * len(sums) :]
    return products[0]


def tree(peer: str, count: int) -> Callable[[], object]:
    """Recording about `count` operations, products and their pairwise sums, about log₂ deep."""
    leaf = LEAVES[peer]()
    return lambda: _tree(leaf, count)


def tree_backward(peer: str, count: int) -> Callable[[], object]:
    """The backward pass of such a tree (a chain would overflow the stack of a recursive engine)."""
    result = _tree(LEAVES[peer](), count)
    return lambda: result.backward()


def moons(peer: str, steps: int) -> Callable[[], object]:
    """Training steps of micrograd's demo, one after the other: a 2-16-16-1 network, 100 points.

    The collector frees what the steps before have left, where an engine leaves it to it.
    """
    leaf = LEAVES[peer]()
    points, labels = half_circles(100, random.Random(1337))
    network = random_network([2, 16, 16, 1], leaf, random.Random(1337))

    def run() -> None:
        for _ in range(steps):
            moons_step(network, points, labels, leaf)

    return run


def half_circles(count: int, rng: random.Random) -> tuple[list[tuple[float, float]], list[float]]:
    """Two interleaving half circles with a little noise, labelled -1 and 1."""
    points, labels = list[tuple[float, float]](), list[float]()
    for i in range(count):
        angle, upper = math.pi * rng.random(), i % 2 == 0
        x = math.cos(angle) if upper else 1.0 - math.cos(angle)
        y = math.sin(angle) if upper else 0.5 - math.sin(angle)
        points.append((x + rng.gauss(0.0, 0.1), y + rng.gauss(0.0, 0.1)))
        labels.append(1.0 if upper else -1.0)
    return points, labels


def random_network(sizes: list[int], leaf: Callable[[float], Any], rng: random.Random) -> Any:
    """By layer, by neuron: (weights, bias)."""
    return [
        [([leaf(rng.uniform(-1.0, 1.0)) for _ in range(n_in)], leaf(0.0)) for _ in range(n_out)]
        for n_in, n_out in pairwise(sizes)
    ]


def moons_step(
    network: Any,
    points: list[tuple[float, float]],
    labels: list[float],
    leaf: Callable[[float], Any],
) -> float:
    """Forward, hinge loss with L2 penalty, backward, update."""
    parameters = [p for layer in network for weights, bias in layer for p in (*weights, bias)]
    losses: list[Any] = []
    for point, label in zip(points, labels, strict=True):
        activations: list[Any] = [leaf(x) for x in point]
        for depth, layer in enumerate(network):
            activations = [
                sum((w * a for w, a in zip(weights, activations, strict=True)), bias)
                for weights, bias in layer
            ]
            if depth < len(network) - 1:
                activations = [a.relu() for a in activations]
        losses.append((1.0 + -label * activations[0]).relu())
    loss = sum(losses) * (1.0 / len(losses)) + 1e-4 * sum(p * p for p in parameters)
    for p in parameters:
        p.grad = 0.0 if isinstance(p.grad, float | int) else None
    loss.backward()
    for p in parameters:
        p.data -= 0.05 * p.grad
    return float(loss.data)


# The tables.


def _seconds_per(
    task: Callable[..., Callable[[], object]], count: int
) -> Callable[[ProcessPoolExecutor, Contestant], float]:
    def measure(pool: ProcessPoolExecutor, contestant: Contestant) -> float:
        return pool.submit(seconds, task, contestant.peer, count).result() / count * 1e9

    return measure


def _moons_milliseconds(pool: ProcessPoolExecutor, contestant: Contestant) -> float:
    return pool.submit(seconds, moons, contestant.peer, MOONS_STEPS).result() / MOONS_STEPS * 1e3


def _growth(contestant: Contestant, rounds: int) -> str:
    """The time per operation of a chain from 10,000 to 1,000,000 operations."""
    figures = {
        f"{count:,}": interleaved([contestant], rounds, _seconds_per(chain_cycle, count))[
            contestant.name
        ]
        for count in (10_000, 100_000, 1_000_000)
    }
    title = f"{contestant.name}: a chain recorded, swept and freed, by length"
    return table(title, "ns/op", figures, "10,000")


def _memory(contestants: list[Contestant], count: int) -> str:
    lines = [f"Memory per node, chain of {count:,} operations, bytes"]
    width = max(len(contestant.name) for contestant in contestants)
    for contestant in contestants:
        with process(contestant) as pool:
            grown = pool.submit(peak_bytes, chain, contestant.peer, count).result()
        lines.append(f"  {contestant.name:{width}}  {grown / count:12.0f}")
    return "\n".join(lines)


def main(rounds: int) -> None:
    """Print the tables of the suite."""
    contestants = engines()
    floats = interleaved([FLOAT, *recorders()], rounds, _seconds_per(products, 50_000))
    print(table("Recording one operation, c = a * b", "ns", floats, FLOAT.name), end="\n\n")
    for title, task in (("Recording", tree), ("Backward pass of", tree_backward)):
        figures = interleaved(contestants, rounds, _seconds_per(task, 20_000))
        title = f"{title} a tree of 20,000 operations"
        print(table(title, "ns/op", figures, contestants[0].name), end="\n\n")
    steps = interleaved(contestants, rounds, _moons_milliseconds)
    title = "Moons step: 2-16-16-1 network, 100 points"
    print(table(title, "ms", steps, contestants[0].name), end="\n\n")
    print(_memory(contestants, 200_000))
    for contestant in contestants:
        if contestant.peer == "autograd":
            print("\n" + _growth(contestant, rounds))
