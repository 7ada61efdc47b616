"""Compiled programs: steps over batches, latency, tracing, beside the peers and C."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from typing import Any, cast

from benchmarks import contenders, problems
from benchmarks.contest import Contestant, interleaved, process, seconds, table

TITLES: dict[str, tuple[str, str, float, int]] = {
    "moons": ("Moons step: value and 337 gradients, 100 samples", "µs", 1e6, 100),
    "rosenbrock": ("Rosenbrock in 10 dimensions: value and gradient", "µs", 1e6, 1000),
    "network": ("2-2-1 network of sigmoids: value and gradient", "µs", 1e6, 1000),
    "bundle": ("Bundle adjustment: 2x15 Jacobians of 10,000 observations", "ms", 1e3, 3),
    "mixture": ("Gaussian mixture (d 2, k 5, n 1,000): value and gradient", "ms", 1e3, 20),
}
"""By problem: its title, the unit, how many of them a second has, and the calls of one turn."""

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}


@cache
def prepared(problem: str, name: str) -> contenders.Run:
    """The run of a contestant, prepared once in its process."""
    return contenders.CONTENDERS[problem][name]()


def calls(problem: str, name: str, count: int) -> Callable[[], None]:
    """So many runs, one after the other."""
    run = prepared(problem, name)

    def repeat() -> None:
        for _ in range(count):
            run()

    return repeat


def fastest(problem: str, name: str, count: int) -> float:
    """Seconds a run takes, of several goes the fastest: what else runs can only slow it."""
    return min(seconds(calls, problem, name, count) for _ in range(5)) / count


def answer(problem: str, name: str) -> list[float]:
    """What a contestant computes, as a flat list."""
    return [*_numbers(prepared(problem, name)())]


def _numbers(result: Any) -> Iterator[float]:
    if hasattr(result, "tolist"):
        result = result.tolist()
    if isinstance(result, Sequence):
        for part in cast(Sequence[Any], result):
            yield from _numbers(part)
    else:
        yield float(result)


def _in_order(problem: str, numbers: list[float]) -> list[float]:
    """Ours gives the Jacobians residual by residual: bring them in the order of observations."""
    if problem != "bundle" or len(numbers) % 30:
        return numbers
    half = len(numbers) // 2
    return [
        x
        for i in range(0, half, 15)
        for x in (*numbers[i : i + 15], *numbers[half + i : half + i + 15])
    ]


def _check(problem: str, answers: Mapping[str, list[float]]) -> None:
    """Raise if anybody's numbers differ from ours."""
    first, *others = answers
    for name in others:
        if not problems.is_close(answers[first], answers[name]):
            raise AssertionError(f"{problem}: {name} computes something else than {first}")


def _contest(problem: str, rounds: int) -> str:
    title, unit, per_second, count = TITLES[problem]
    names = [name for name in contenders.CONTENDERS[problem] if contenders.is_there(name)]

    def measure(pool: ProcessPoolExecutor, contestant: Contestant) -> float:
        name = contestant.name
        if name not in answers:
            found = pool.submit(answer, problem, name).result()
            is_ours = name.startswith("autograd")
            answers[name] = _in_order(problem, found) if is_ours else found
        return pool.submit(fastest, problem, name, count).result() * per_second

    answers: dict[str, list[float]] = {}
    contestants = [Contestant(name, name, ONE_THREAD) for name in names]
    figures = interleaved(contestants, rounds, measure)
    _check(problem, answers)
    return table(title, unit, figures, names[0])


def tracing(length: int) -> float:
    """Seconds to trace, optimise and run a chain of so many operations for the first time."""
    import autograd

    compiled = autograd.compile(problems.chain(autograd, length))
    start = time.perf_counter()
    compiled(0.5)
    return time.perf_counter() - start


def _tracing(length: int) -> str:
    with process(Contestant("autograd", "autograd")) as pool:
        elapsed = pool.submit(tracing, length).result()
    return f"  {length:>9,} operations  {elapsed:8.3f} s  {length / elapsed:>12,.0f} a second"


def main(rounds: int) -> None:
    """Print the tables of the suite."""
    for problem in TITLES:
        print(_contest(problem, rounds), end="\n\n")
    print("Tracing, optimising and the first run of a chain")
    for length in (10_000, 100_000, 1_000_000):
        print(_tracing(length))
