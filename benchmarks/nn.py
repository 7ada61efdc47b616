"""A training step of a small network, written with `nn`, beside micrograd's own modules."""

import random
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from benchmarks.contest import Contestant, interleaved, seconds, table
from benchmarks.eager import half_circles
from benchmarks.peers import engines

POINTS = 100
STEPS = 5

Step = Callable[[], float]
"""One training step; its result is the loss before it."""


def ours(points: list[tuple[float, float]], labels: list[float]) -> Step:
    """The step of micrograd's demo with our modules: hinge loss, L2 penalty, plain descent."""
    import nn

    model = nn.MLP(2, [16, 16, 1], generator=random.Random(1337))
    parameters = list(model.parameters())
    hinge = nn.HingeLoss()
    optimizer = nn.optim.SGD(parameters, lr=0.05)

    def step() -> float:
        loss = hinge([model(point)[0] for point in points], labels)
        loss += 1e-4 * nn.l2(parameters)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.data

    return step


def micrograds(points: list[tuple[float, float]], labels: list[float]) -> Step:
    """The step of micrograd's demo."""
    from micrograd.engine import Value
    from micrograd.nn import MLP

    random.seed(1337)  # micrograd draws from the global generator
    model: Any = MLP(2, [16, 16, 1])

    def step() -> float:
        scores = [model(list(map(Value, point))) for point in points]
        losses = [(1 + -y * score).relu() for y, score in zip(labels, scores, strict=True)]
        loss = sum(losses) * (1.0 / len(losses)) + 1e-4 * sum(p * p for p in model.parameters())
        model.zero_grad()
        loss.backward()
        for p in model.parameters():
            p.data -= 0.05 * p.grad
        return loss.data

    return step


STEP_OF = {"autograd": ours, "micrograd": micrograds}


def moons(peer: str, steps: int) -> Callable[[], object]:
    """Training steps on 100 points, one after the other."""
    step = STEP_OF[peer](*half_circles(POINTS, random.Random(1337)))
    return lambda: [step() for _ in range(steps)]


def _milliseconds(pool: ProcessPoolExecutor, contestant: Contestant) -> float:
    return pool.submit(seconds, moons, contestant.peer, STEPS).result() / STEPS * 1e3


def main(rounds: int) -> None:
    """Print the table of the suite."""
    contestants = [contestant for contestant in engines() if contestant.peer in STEP_OF]
    figures = interleaved(contestants, rounds, _milliseconds)
    title = f"Moons step with nn: 2-16-16-1 network, {POINTS} points"
    print(table(title, "ms", figures, contestants[0].name))
