"""The front of the drawing room: its options, checked, and what groups hold."""

from collections.abc import Mapping
from typing import Any

from autograd import graph
from autograd.draw.diagram import SHOW, Diagram
from autograd.draw.options import check_choice, check_options, check_size
from autograd.draw.rendering import Drawing
from autograd.structure import flatten
from autograd.value import Value, describe


def draw_dot(
    root: Value,
    format: str = "svg",
    rankdir: str = "LR",
    *,
    show: str = "local",
    theme: str = "light",
    digits: int = 4,
    groups: Mapping[str, Any] | None = None,
    named: bool = False,
    max_nodes: int = 500,
) -> Drawing:
    """The graph that computed root, as the lectures draw it; a notebook shows it as SVG.

    Each node is a wire with its label, its value above (green) and ∂root/∂node below (red);
    each operation is a gate, with a number operand written into it (`+1`, `×-1`); the local
    derivative stands on the arrow from operand to gate. No `.grad` is read or written. A leaf
    written after its use is marked stale, and the arrow of that use is dashed.

    Args:
        root: the result whose graph is drawn.
        format: what `.render()` and `.pipe()` of the drawing give (these need the dot program).
        rankdir: the direction of the computation, "LR" (to the right) or "TB" (down).
        show: "values" alone, also "gradients", also "local" derivatives, or on each arrow
            upstream × local = "downstream", with the names of the gradient patterns.
        theme: "light", "dark", or "print" (which needs no colour).
        digits: how many significant digits numbers are shown with.
        groups: boxes by their title, each around the Values given (in any nested structure) and
            all that lies between them; a layer is given by its parameters and its outputs.
        named: give a name to the nodes without a label too: s0, s1, … as `explain` does.
        max_nodes: a larger graph is an error.

    Raises:
        TypeError: if root is no Value, groups are not Values by title, format is no str, or
            max_nodes no int.
        ValueError: if an option is not one of those named here, the graph has more than max_nodes
            nodes, or groups overlap or hold what is not part of the graph.
    """
    if not isinstance(root, Value):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"root must be a Value, received the {type(root).__name__} {root!r}")
    check_options(format, rankdir, theme, digits)
    check_choice("show", show, SHOW)
    nodes = graph.nodes(root)
    part = "a part of it, such as one of the nodes it was computed from"
    check_size(f"the graph of {describe(root)}", "nodes", len(nodes), max_nodes, part)
    boxes = _boxes(root, nodes, {} if groups is None else groups)
    drawing = Diagram(root, rankdir, show, theme, digits, named).dot(boxes)
    drawing.format = format
    return drawing


def to_svg(
    root: Value,
    rankdir: str = "LR",
    *,
    show: str = "local",
    theme: str = "light",
    digits: int = 4,
    groups: Mapping[str, Any] | None = None,
    named: bool = False,
    max_nodes: int = 500,
) -> str:
    """The drawing of `draw_dot`, with its options, as SVG text: the same graph, the same text.

    Laid out by the dot program if it is on PATH, otherwise by pygraphviz (the extra `viz`).

    Raises:
        MissingExtraError: if there is neither of the two.
        TypeError, ValueError: as `draw_dot`.
    """
    drawing = draw_dot(
        root,
        rankdir=rankdir,
        show=show,
        theme=theme,
        digits=digits,
        groups=groups,
        named=named,
        max_nodes=max_nodes,
    )
    return drawing.svg()


def _boxes(root: Value, nodes: list[Value], groups: Mapping[str, Any]) -> dict[Value, str]:
    """The group of each node that is in one: the members of a group and all between them."""
    if not isinstance(groups, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(
            f"groups must be a mapping such as {{'layer 1': [w, b]}}, received {groups!r}"
        )
    inside = set(nodes)
    operations = graph.operations(root)
    boxes = dict[Value, str]()
    for title, group in groups.items():
        if not isinstance(title, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"groups must be given by titles, str; received {title!r}")
        members, _ = flatten(group, f"groups[{title!r}]")
        for member in members:
            if member not in inside:
                raise ValueError(
                    f"groups[{title!r}] holds {describe(member)}, which is no node of the graph "
                    f"of {describe(root)}"
                )
        between = graph.dependents(operations, members).intersection(graph.nodes(*members))
        for node in filter(between.__contains__, nodes):
            if node in boxes:
                raise ValueError(
                    f"groups {boxes[node]!r} and {title!r} overlap: {describe(node)} is in both, "
                    "given or lying between Values that were given"
                )
            boxes[node] = title
    return boxes
