"""Drawings and players of graphs of 30 to 3,000 nodes, beside Graphviz alone."""

import shutil
import statistics
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from autograd import Value, draw_dot, graph, step_through, tanh, to_svg
from autograd.draw.rendering import layout
from benchmarks.contest import seconds, table

SIZES = (30, 300, 3000)

_WALK = """() => {
    const best = steps.map(() => Infinity);
    for (let walk = 0; walk < 5; walk++)
        for (const index of steps.keys()) {
            const start = performance.now();
            show(index);
            svg.getBoundingClientRect();
            best[index] = Math.min(best[index], performance.now() - start);
        }
    return best;
}"""
"""How long the script, the styles and the layout of each step take, in milliseconds."""


def circuit(size: int) -> Value:
    """A graph of about that many nodes: products of neighbours, then tanh of pairwise sums."""
    leaves = [Value(i / size) for i in range(size // 4 + 1)]
    nodes = [x * y for x, y in pairwise(leaves)]
    while len(nodes) > 1:
        sums = [tanh(x + y) for x, y in zip(nodes[::2], nodes[1::2], strict=False)]
        nodes = sums + nodes[2 * len(sums) :]
    return nodes[0]


def main(rounds: int) -> None:
    """Print how long a drawing takes, and a step of the player in a browser."""
    for size in SIZES:
        root = circuit(size)
        count = len(graph.nodes(root))
        drawing = draw_dot(root, max_nodes=count)
        tasks: dict[str, Callable[[], object]] = {
            "Graphviz alone": lambda drawing=drawing: layout(drawing),
            "to_svg": lambda root=root, count=count: to_svg(root, max_nodes=count),
            "step_through": lambda root=root, count=count: step_through(root, max_nodes=count),
        }
        figures: dict[str, list[float]] = {name: [] for name in tasks}
        for _ in range(rounds if count < 1000 else 1):
            for name, task in tasks.items():
                figures[name].append(seconds(lambda task=task: task))
        title = f"{count:,} nodes, laid out by {shutil.which('dot') or 'pygraphviz'}"
        print(table(title, "seconds", figures, "Graphviz alone"))
        if count < 1000:
            print(_player(root))
        print()


def _player(root: Value) -> str:
    """How large the page is, and how long a step of it takes."""
    player = step_through(root)
    line = f"  {len(player.steps)} steps, {len(player.html.encode()):,} bytes"
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        return f"{line}; no Chromium to walk them in"
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        file = Path(folder, "player.html")
        player.save(file)
        page = browser.new_page()
        page.goto(file.as_uri())
        times: list[float] = page.evaluate(_WALK)
        browser.close()
    return f"{line}; a step {statistics.median(times):.1f} ms, the slowest {max(times):.1f} ms"
