"""Graph → DOT: wires with the value above and the gradient below, operations as gates."""
# The package graphviz is typed in part.
# pyright: reportUnknownMemberType=false

from collections import Counter
from collections.abc import Callable, Mapping

from autograd import graph
from autograd.backward import local_derivative, pullback
from autograd.draw.labels import (
    COMMUTATIVE,
    SPACE,
    escaped,
    gate_text,
    shortened,
    significant,
)
from autograd.draw.rendering import Drawing
from autograd.draw.themes import FONT, THEMES
from autograd.graph import printable
from autograd.value import Value

SHOW = ("values", "gradients", "local", "downstream")
"""What a drawing can show; each adds to the one before it."""

PORTS = {"LR": ("w", "e"), "TB": ("n", "below:s")}
"""Where a wire enters and leaves a node, by the direction of the drawing."""

PATTERNS = {
    "add": ("distributor", "each operand gets the upstream gradient"),
    "mul": ("switcher", "each operand gets upstream × the other operand"),
    "maximum": ("router", "the larger operand gets the upstream gradient (half each at a tie)"),
    "minimum": ("router", "the smaller operand gets the upstream gradient (half each at a tie)"),
}
"""What a gate of two nodes does to the gradient: the lectures' name for it, and why."""


class Diagram:
    """A graph on its way to DOT: what is shown of it, in which colours, with how many digits."""

    def __init__(
        self, root: Value, rankdir: str, show: str, theme: str, digits: int, named: bool
    ) -> None:
        level = SHOW.index(show)
        self.root = root
        self.nodes = graph.nodes(root)
        self.names = graph.names(root)
        self.ids = {node: f"n{i}" for i, node in enumerate(self.nodes)}
        self.edges = list(graph.edges(graph.operations(root)))
        self.uses = Counter(operand for _, operand, _ in self.edges)
        self.is_tree = all(count == 1 for count in self.uses.values())
        self.stale = set(graph.stale_leaves(root))
        self.gradients = dict[Value, float]()
        if level >= SHOW.index("gradients") and root.requires_grad:
            self.gradients = pullback({root: 1.0}, allow_stale=True)
        self.shows_local = level >= SHOW.index("local")
        self.shows_downstream = level >= SHOW.index("downstream")
        self.rankdir = rankdir
        self.entry, self.exit = PORTS[rankdir]
        self.theme = THEMES[theme]
        self.digits = digits
        self.named = named
        self.drawing = self.sheet()

    def dot(self, boxes: Mapping[Value, str]) -> Drawing:
        """The drawing in DOT; boxes gives the group of each node that is in one."""
        titles = dict.fromkeys(boxes.values())
        clusters = {title: self.cluster(f"cluster{i}", title) for i, title in enumerate(titles)}
        for node in self.nodes:
            place = clusters[boxes[node]] if node in boxes else self.drawing
            self.wire(place, node)
            if node.op:
                self.gate(place, node)
        for cluster in clusters.values():
            self.drawing.subgraph(cluster)
        for node, operand, slot in self.edges:
            self.arrow(node, operand, slot)
        return self.drawing

    # Elements of the drawing.

    def sheet(self) -> Drawing:
        """The empty drawing: its style, its legend, and what it shows in words."""
        font = {"fontname": FONT, "fontcolor": self.theme.ink}
        drawing = Drawing(
            "computation",
            graph_attr=font
            | {
                "rankdir": self.rankdir,
                "bgcolor": self.theme.paper,
                "pad": "0.15",
                "nodesep": "0.3",
                "ranksep": "0.2",
                "label": self.legend(),
                "labeljust": "l",
            },
            node_attr=font | {"fontsize": "14", "color": self.theme.ink, "margin": "0.03"},
            edge_attr=font | {"fontsize": "11", "color": self.theme.wire, "arrowsize": "0.6"},
        )
        drawing.title = f"Computational graph of {shortened(self.names[self.root])}"
        drawing.description = "\n".join(
            self.sentence(node, shortened(self.names[node]), self.number) for node in self.nodes
        )
        return drawing

    def cluster(self, name: str, title: str) -> Drawing:
        """The box of a group."""
        self.drawing.titles[name] = printable(title)
        label = f"<{escaped(shortened(printable(title)))}>"
        return Drawing(
            name,
            graph_attr={
                "id": name,
                "label": label,
                "labeljust": "r" if self.rankdir == "LR" else "l",  # where few arrows enter
                "margin": "9",  # keeps the border off the numbers on short arrows
                "color": self.theme.wire,
                "style": "rounded",
            },
        )

    def wire(self, place: Drawing, node: Value) -> None:
        """The node: its value above the line, its gradient below; a leaf's label before it."""
        name, title = self.ids[node], self.sentence(node, self.names[node], repr)
        label = self.label(node)
        before, above, below = "", self.coloured("value", self.number(node.data)), SPACE
        if label and node.op:
            above = f"{label}{SPACE}{SPACE}{above}"
        elif label:
            before = f'<TD ROWSPAN="2">{label}{SPACE}</TD>'
        if node in self.gradients:
            below = self.coloured("gradient", self.number(self.gradients[node]))
            if self.uses[node] > 1:
                title += "; gradient adder: the gradients of its uses are added"
                if self.shows_downstream:
                    below = f"{_caption('adder')}{SPACE}{below}"
        table = (
            '<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="2" '
            f'COLOR="{self.theme.wire}"><TR>{before}<TD>{above}</TD></TR><HR/>'
            f'<TR><TD PORT="below">{below}</TD></TR></TABLE>'
        )
        place.node(name, f"<{table}>", id=name, shape="plain")
        self.drawing.titles[name] = title

    def gate(self, place: Drawing, node: Value) -> None:
        """The operation that computed the node, and the wire from it to the node."""
        op, name, text = node.op, self.gate_id(node), gate_text(node, self.digits)
        assert op is not None
        label, shape = escaped(text), "circle" if len(text) < 4 else "ellipse"
        title = f"{op.name}: {op.meaning}"
        if op.name in PATTERNS and all(isinstance(x, Value) for x in node.operands):
            pattern, effect = PATTERNS[op.name]
            title += f"; gradient {pattern}: {effect}"
            if self.shows_downstream and node in self.gradients:
                label, shape = f"{label}<BR/>{_caption(pattern)}", "ellipse"
        ordered = self.is_tree or op.name not in COMMUTATIVE
        place.node(
            name,
            f"<{label}>",
            id=name,
            shape=shape,
            width="0.4",
            height="0.4",
            ordering="in" if ordered else None,
        )
        wire = f"{name}-{self.ids[node]}"
        place.edge(name, f"{self.ids[node]}:{self.entry}", id=wire, arrowhead="none")
        self.drawing.titles[name] = title

    def arrow(self, node: Value, operand: Value, slot: int) -> None:
        """The wire from an operand to the gate of the node, with the local derivative."""
        name = f"{self.ids[operand]}-{self.gate_id(node)}-{slot}"
        label = None
        if self.shows_local and operand in self.gradients:
            upstream, local = self.gradients[node], local_derivative(node, slot)
            downstream = upstream * local
            text = self.coloured("local", self.number(local))
            if self.shows_downstream:
                text = self.product(*map(self.number, (upstream, local, downstream)))
            label = f"<{SPACE}{text}{SPACE}>"
            self.drawing.titles[name] = (
                f"upstream × local = downstream: {upstream!r} × {local!r} = {downstream!r}"
            )
        self.drawing.edge(
            f"{self.ids[operand]}:{self.exit}",
            self.gate_id(node),
            label,
            id=name,
            style="dashed" if graph.is_stale(node, operand) else None,
        )

    # Text.

    def gate_id(self, node: Value) -> str:
        """What the gate of the node n3 is called in DOT: g3."""
        return f"g{self.ids[node][1:]}"

    def number(self, number: float) -> str:
        """The number with as many digits as asked for."""
        return significant(number, self.digits)

    def coloured(self, part: str, text: str) -> str:
        """Text in the colour of a part of the theme; gradients slanted, to do without colour."""
        text = f"<I>{text}</I>" if part == "gradient" else text
        return f'<FONT COLOR="{getattr(self.theme, part)}">{text}</FONT>'

    def product(self, upstream: str, local: str, downstream: str) -> str:
        """The chain rule on an arrow: upstream × local = downstream."""
        return (
            f"{self.coloured('gradient', upstream)}{SPACE}×{SPACE}{self.coloured('local', local)}"
            f"{SPACE}={SPACE}{self.coloured('gradient', downstream)}"
        )

    def legend(self) -> str | None:
        """What stands where, in the colours of the drawing; none where only values stand."""
        if not self.gradients:
            return None
        parts = [
            f"{self.coloured('value', 'value')}{SPACE}above",
            f"{self.coloured('gradient', 'gradient')}{SPACE}below",
        ]
        if self.shows_downstream:
            parts.append(f"{self.product('upstream', 'local', 'downstream')}{SPACE}on the arrow")
        elif self.shows_local:
            parts.append(f"{self.coloured('local', 'local derivative')}{SPACE}on the arrow")
        return f'<<FONT POINT-SIZE="10">{f",{SPACE}".join(parts)}</FONT>>'

    def label(self, node: Value) -> str:
        """The label of the node, or its name if all are named, and whether it is stale."""
        name = self.names[node] if self.named else printable(node.label or "")
        label = f"<B>{escaped(shortened(name))}</B>" if name else ""
        return label + self.coloured("warning", f"{SPACE}stale") if node in self.stale else label

    def sentence(self, node: Value, name: str, write: Callable[[float], str]) -> str:
        """The node in words, as `q = add(x, y) = 3.0, gradient -4.0`."""
        terms = [name]
        if node.op:
            operands = (
                shortened(self.names[x]) if isinstance(x, Value) else write(x)
                for x in node.operands
            )
            terms.append(f"{node.op.name}({', '.join(operands)})")
        text = " = ".join([*terms, write(node.data)])
        if node in self.gradients:
            text += f", gradient {write(self.gradients[node])}"
        if node in self.stale:
            text += " (stale: written after it was used; compute the graph again)"
        return text


def _caption(text: str) -> str:
    return f'<FONT POINT-SIZE="9">{text}</FONT>'
