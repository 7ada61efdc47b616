"""Contestants in processes of their own, measured in turn, round by round."""

import gc
import os
import resource
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context


@dataclass(frozen=True)
class Contestant:
    """A name, the peer (see `peers`) that runs, and the environment of its process."""

    name: str
    peer: str
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


@contextmanager
def process(contestant: Contestant) -> Iterator[ProcessPoolExecutor]:
    """A fresh process with the contestant's environment, running one task at a time."""
    before = dict(os.environ)
    os.environ.update(contestant.environment)
    try:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            pool.submit(os.getpid).result()  # starts the process while the environment is set
            os.environ.clear()
            os.environ.update(before)
            yield pool
    finally:
        os.environ.update(before)


def seconds(task: Callable[..., Callable[[], object]], *arguments: object) -> float:
    """How long the function that `task(*arguments)` prepares takes to run once."""
    run = task(*arguments)
    gc.collect()
    start = time.perf_counter()
    kept = run()
    elapsed = time.perf_counter() - start
    del kept
    return elapsed


def peak_bytes(task: Callable[..., Callable[[], object]], *arguments: object) -> int:
    """By how much the process grows while the prepared function runs; wants a fresh process."""
    run = task(*arguments)
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    kept = run()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    del kept
    return (after - before) * 1024


def interleaved(
    contestants: Sequence[Contestant],
    rounds: int,
    measure: Callable[[ProcessPoolExecutor, Contestant], float],
) -> dict[str, list[float]]:
    """Each contestant's figures, taken in turn: what slows the machine slows them all."""
    figures: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
    with ExitStack() as stack:
        pools = [(c, stack.enter_context(process(c))) for c in contestants]
        for turn in range(rounds + 1):
            for contestant, pool in pools:
                figure = measure(pool, contestant)
                if turn:  # the first turn warms up
                    figures[contestant.name].append(figure)
    return figures


def table(title: str, unit: str, figures: Mapping[str, Sequence[float]], reference: str) -> str:
    """Medians, and the median over the rounds of the ratio to the reference."""
    width = max(map(len, figures))
    lines = [title, f"  {'':{width}}  {unit:>12}  × {reference}"]
    for name, values in figures.items():
        ratios = [x / y for x, y in zip(values, figures[reference], strict=True)]
        lines.append(
            f"  {name:{width}}  {statistics.median(values):12.4g}  {statistics.median(ratios):8.3f}"
        )
    return "\n".join(lines)
