"""Plots: what is drawn are the data, on the axes that were given; bad input."""

import random
import sys
from collections.abc import Callable, Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import colors
from matplotlib.axes import Axes
from matplotlib.contour import QuadContourSet

import nn
from autograd import MissingExtraError

mpl.use("Agg")
from matplotlib import pyplot as plt


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    plt.close("all")


def recorded(*records: dict[str, float]) -> nn.History:
    history = nn.History()
    history.records = [{"epoch": i, **record} for i, record in enumerate(records, start=1)]
    return history


HISTORY = recorded(
    {"train_loss": 1.0, "validation_loss": 2.0, "accuracy": 0.5, "learning_rate": 0.1},
    {"train_loss": 0.5, "validation_loss": 1.5, "accuracy": 0.75, "learning_rate": 0.1},
    {"train_loss": 0.25, "validation_loss": 1.75, "accuracy": 1.0, "learning_rate": 0.05},
)


def lines(ax: Axes) -> dict[Any, list[tuple[float, float]]]:
    return {
        line.get_label(): list(zip(*map(np.ndarray.tolist, line.get_data()), strict=True))
        for line in ax.get_lines()
    }


# The curves of a training.


def test_the_losses_are_drawn_over_the_epochs() -> None:
    ax = nn.plot_history(HISTORY)
    assert {
        "train loss": [(1, 1.0), (2, 0.5), (3, 0.25)],
        "validation loss": [(1, 2.0), (2, 1.5), (3, 1.75)],
    } == lines(ax)
    assert "epoch" == ax.get_xlabel()
    assert ["train loss", "validation loss"] == [x.get_text() for x in ax.get_legend().get_texts()]
    ax.figure.canvas.draw()
    assert all(tick == round(tick) for tick in ax.get_xticks())


def test_the_columns_are_those_asked_for_and_recorded() -> None:
    ax = nn.plot_history(HISTORY, columns=["accuracy", "validation_accuracy"])
    assert {"accuracy": [(1, 0.5), (2, 0.75), (3, 1.0)]} == lines(ax)


def test_a_column_recorded_late_stands_at_its_epochs() -> None:
    ax = nn.plot_history(recorded({"train_loss": 3.0}, {"train_loss": 2.0, "validation_loss": 5.0}))
    assert {"train loss": [(1, 3.0), (2, 2.0)], "validation loss": [(2, 5.0)]} == lines(ax)
    assert ["None", "o"] == [line.get_marker() for line in ax.get_lines()]


def test_a_history_plots_itself() -> None:
    assert lines(nn.plot_history(HISTORY)) == lines(HISTORY.plot())


@pytest.mark.parametrize("history", [recorded(), recorded({"accuracy": 1.0})])
def test_a_history_without_the_columns_is_refused(history: nn.History) -> None:
    with pytest.raises(ValueError, match=r"history must hold one of \['train_loss', .*History\("):
        nn.plot_history(history)


# Decision boundaries.


class Made(nn.Module):
    """A module of a function."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def forward(self, inputs: Any) -> Any:
        return self.function(inputs)


CORNERS = ([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 0, 1, 1])


def contours(ax: Axes, filled: bool) -> list[QuadContourSet]:
    return [x for x in ax.collections if isinstance(x, QuadContourSet) and x.filled == filled]


def places(ax: Axes) -> list[tuple[str, list[list[float]]]]:
    """Of each group of points its colour and the points."""
    return [
        (colors.to_hex(x.get_facecolor()[0]), np.asarray(x.get_offsets()).tolist())
        for x in ax.collections
        if not isinstance(x, QuadContourSet) and len(x.get_offsets())
    ]


def cycle(k: int) -> str:
    return colors.to_hex(f"C{k}")


@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_the_boundary_of_one_output_is_where_it_equals_the_threshold(threshold: float) -> None:
    model = Made(lambda xs: [2.0 * xs[0] - xs[1]])
    ax = nn.plot_decision_boundary(model, CORNERS, threshold=threshold, resolution=31)
    for boundary in contours(ax, filled=False):
        (path,) = boundary.get_paths()
        xs, ys = path.vertices.T
        assert pytest.approx(np.full(len(xs), threshold), abs=1e-9) == 2.0 * xs - ys
        assert pytest.approx([-0.1, 1.1]) == [ys.min(), ys.max()]
    assert 2 == len(contours(ax, filled=False))


def test_the_regions_have_the_colours_of_the_points_in_them() -> None:
    ax = nn.plot_decision_boundary(Made(lambda xs: [xs[0] - 0.5]), CORNERS)
    assert [(cycle(0), CORNERS[0][:2]), (cycle(1), CORNERS[0][2:])] == places(ax)
    left, right = contours(ax, filled=True)
    assert [(cycle(0), 0.3), (cycle(1), 0.3)] == [
        (colors.to_hex(x.get_facecolor()[0]), x.get_alpha()) for x in (left, right)
    ]
    assert pytest.approx([-0.1, 0.5]) == extent(left)
    assert pytest.approx([0.5, 1.1]) == extent(right)


def extent(region: QuadContourSet) -> list[float]:
    """From where to where along x."""
    xs = np.concatenate([path.vertices[:, 0] for path in region.get_paths()])
    return [xs.min(), xs.max()]


SIGNS = [-1, -1, 1, 1]
SHAPES = [SIGNS, [[x] for x in SIGNS], [0, 0, 1, 1], [[0], [0], [1], [1]]]


@pytest.mark.parametrize("labels", SHAPES)
def test_labels_of_one_output(labels: Any) -> None:
    ax = nn.plot_decision_boundary(Made(lambda xs: [xs[0]]), (CORNERS[0], labels), resolution=2)
    assert [(cycle(0), CORNERS[0][:2]), (cycle(1), CORNERS[0][2:])] == places(ax)


THREE = ([[0.0, 0.0], [1.0, 0.0], [0.5, 1.0]], [0, 1, 2])


@pytest.mark.parametrize(
    "labels", [[0, 1, 2], np.arange(3), np.eye(3), [[9, 1, 0], [0, 1, 0], [0, 0, 1]]]
)
def test_of_scores_the_largest_decides(labels: Any) -> None:
    model = Made(lambda xs: [-xs[0], xs[0] - 1.0, 2.0 * xs[1] - 1.5])
    ax = nn.plot_decision_boundary(model, (THREE[0], labels), resolution=25)
    assert [(cycle(k), [point]) for k, point in enumerate(THREE[0])] == places(ax)
    for k, boundary in enumerate(contours(ax, filled=False)):
        for x, y in np.concatenate([path.vertices for path in boundary.get_paths()]):
            scores = model([x, y])
            others = [score for i, score in enumerate(scores) if i != k]
            assert pytest.approx(max(others), abs=0.05) == scores[k]
    assert 3 == len(contours(ax, filled=False))


def test_a_class_that_is_never_answered_has_no_region() -> None:
    ax = nn.plot_decision_boundary(Made(lambda _: [1.0]), CORNERS, resolution=3)
    assert 1 == len(contours(ax, filled=True))
    assert [] == contours(ax, filled=False)
    assert 2 == len(places(ax))


def test_the_model_is_asked_in_use_without_a_graph_and_left_in_its_mode() -> None:
    modes = set[Any]()
    model = nn.Sequential(
        nn.Linear(2, 1), Made(lambda xs: [modes.add((xs[0].op, model[1].training)) or xs[0]])
    )
    nn.plot_decision_boundary(model, CORNERS, resolution=3)
    assert {(None, False)} == modes
    assert all(module.training for module in model.modules())


def test_points_may_lie_on_a_line() -> None:
    data = ([[0.0, 5.0], [1.0, 5.0]], [0, 1])
    ax = nn.plot_decision_boundary(Made(lambda xs: [xs[0] - 0.5]), data, resolution=3)
    assert pytest.approx([4.0, 6.0]) == list(ax.get_ylim())


BAD_DATA: list[tuple[Any, Any, str]] = [
    (([[1.0]], [0]), [0.0], r"data: points must be pairs of numbers, received \[1.0\]"),
    (([], []), [0.0], "data must hold at least one sample"),
    (([[1.0, float("nan")]], [0]), [0.0], "nan"),
    (([[1.0, 2.0]], [2]), [0.0], r"labels must be classes below 2, received 2"),
    (([[1.0, 2.0]], [0.5]), [0.0], r"labels must be classes below 2, received 0.5"),
    (([[1.0, 2.0]], [-1]), [0.0] * 3, r"labels must be classes below 3, received -1"),
    (([[1.0, 2.0]], [[0, 1]]), [0.0] * 3, r"labels must be classes below 3, received \[0, 1\]"),
    (([[1.0, 2.0]], [0]), [float("nan")], r"the output of model for \[0.0, 1.0\] must be .*nan"),
    (([[1.0, 2.0]], [0]), 0.0, r"model must give a list of numbers for \[0.0, 1.0\], received 0.0"),
]


@pytest.mark.parametrize(("data", "outputs", "text"), BAD_DATA, ids=[x[2] for x in BAD_DATA])
def test_bad_data_are_refused(data: Any, outputs: Any, text: str) -> None:
    with pytest.raises((TypeError, ValueError), match=text):
        nn.plot_decision_boundary(Made(lambda _: outputs), data, resolution=3)


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ({"resolution": 1}, "resolution must be a whole number ≥ 2, received 1"),
        ({"threshold": float("inf")}, "threshold must be a finite number, received inf"),
    ],
)
def test_bad_options_are_refused(option: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        nn.plot_decision_boundary(Made(lambda _: [0.0]), CORNERS, **option)


# Networks.


def network() -> nn.MLP:
    model = nn.MLP(2, [3, 1], generator=random.Random(0))
    numbers = [1.0, -2.0, 0.0, 4.0, -1e-9, 0.5, 7.0, 7.0, 7.0, 2.0, 0.0, -4.0, 7.0]
    for parameter, number in zip(model.parameters(), numbers, strict=True):
        parameter.data = number
    return model


def test_every_weight_but_zeros_has_an_edge_as_thick_as_it_is_large() -> None:
    ax = nn.plot_network(network())
    hidden = [(1.0, 1.0), (1.0, 0.0), (1.0, -1.0)]
    first, second, output = (0.0, 0.5), (0.0, -0.5), (2.0, 0.0)
    assert [
        ([first, hidden[0]], 1.0, "-", "#1f77b4"),
        ([second, hidden[0]], 2.0, "--", "#d95f02"),
        ([second, hidden[1]], 4.0, "-", "#1f77b4"),
        ([first, hidden[2]], 0.1, "--", "#d95f02"),
        ([second, hidden[2]], 0.5, "-", "#1f77b4"),
        ([hidden[0], output], 2.0, "-", "#1f77b4"),
        ([hidden[2], output], 4.0, "--", "#d95f02"),
    ] == [
        (
            [tuple(place) for place in line.get_xydata().tolist()],
            line.get_linewidth(),
            line.get_linestyle(),
            line.get_color(),
        )
        for line in ax.get_lines()
    ]
    (circles,) = ax.collections
    assert [first, second, *hidden, output] == [tuple(x) for x in circles.get_offsets().tolist()]


@pytest.mark.parametrize(
    ("model", "layers"),
    [
        (nn.Neuron(3, nn.Sigmoid), [3, 1]),
        (nn.Linear(2, 4, bias=False), [2, 4]),
        (nn.Sequential(nn.Linear(2, 3), nn.Dropout(), nn.Tanh(), nn.Neuron(3)), [2, 3, 1]),
        (nn.Residual(nn.Linear(2, 2)), [2, 2]),
    ],
)
def test_a_layer_of_circles_stands_for_the_inputs_and_for_each_layer(
    model: nn.Module, layers: list[int]
) -> None:
    (circles,) = nn.plot_network(model).collections
    xs = [x for x, _ in circles.get_offsets().tolist()]
    assert layers == [xs.count(i) for i in range(len(layers))]


def test_a_network_of_zeros_has_no_edges() -> None:
    model = nn.Linear(2, 2)
    nn.init.zeros_(model.weight)
    assert [] == list(nn.plot_network(model).get_lines())


@pytest.mark.parametrize(
    "model",
    [
        nn.ReLU(),
        nn.Sequential(nn.Linear(2, 6), nn.Maxout(2), nn.Linear(3, 1)),
        nn.Sequential(nn.Conv2d(1, 1, 2), nn.Flatten(), nn.Linear(4, 1)),
    ],
)
def test_other_models_are_refused(model: nn.Module) -> None:
    with pytest.raises(ValueError, match=r"model must be made of Linear layers .* received"):
        nn.plot_network(model)


# All of them.

PLOTS: dict[str, Callable[..., Any]] = {
    "history": lambda **options: nn.plot_history(HISTORY, **options),
    "boundary": lambda **options: nn.plot_decision_boundary(
        Made(lambda xs: [xs[0]]), CORNERS, resolution=3, **options
    ),
    "network": lambda **options: nn.plot_network(network(), **options),
}


@pytest.mark.parametrize("plot", PLOTS.values(), ids=PLOTS)
def test_given_axes_are_drawn_on_and_returned(plot: Callable[..., Any]) -> None:
    _, (left, right) = plt.subplots(1, 2)
    assert right is plot(ax=right)
    assert right.has_data()
    assert not left.has_data()
    assert [1] == plt.get_fignums()


@pytest.mark.parametrize("plot", PLOTS.values(), ids=PLOTS)
def test_without_axes_there_is_a_new_figure(plot: Callable[..., Any]) -> None:
    assert plot().figure is not plot().figure
    assert [1, 2] == plt.get_fignums()


@pytest.mark.parametrize("plot", PLOTS.values(), ids=PLOTS)
def test_without_matplotlib_the_error_names_the_extra(
    plot: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r'pip install "scalar-autograd\[plot\]"'):
        plot()
