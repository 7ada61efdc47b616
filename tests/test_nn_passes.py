"""The compiled pass against the eager one: the same losses, outputs, gradients and errors."""

import copy
import random
import sys
from collections.abc import Callable
from typing import Any

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd
import nn
from nn import alternatives, data, optim, passes

REDUCTIONS = ["mean", "sum", "half_sum", "mean_of_halves"]

LOSSES: dict[str, tuple[Callable[[str], nn.Loss], int, Any]] = {
    "squared": (nn.MSELoss, 1, [0.5, -1.0, 2.0]),
    "squared lists": (nn.MSELoss, 2, [[0.5, 1.0], [-1.0, 0.0], [2.0, 0.0]]),
    "absolute": (nn.L1Loss, 1, [[0.5], [-1.0], [2.0]]),
    "logits": (nn.BCEWithLogitsLoss, 1, [0, 1, 0.5]),
    "hinge": (nn.HingeLoss, 1, [1, -1, 1]),
    "classes": (nn.CrossEntropyLoss, 3, [0, 2, 1]),
    "distributions": (nn.CrossEntropyLoss, 2, [[0, 1], [0.5, 0.5], [1, 0]]),
}

POINTS = [[1.0, -0.5], [0.25, 1.0], [-1.0, 2.0]]


def network(outputs: int, seed: int) -> nn.Sequential:
    """With every way a sample can go, and two dropouts that draw from one generator."""
    start, drops = random.Random(seed), random.Random(seed + 1)
    return nn.Sequential(
        nn.Linear(2, 4, generator=start),
        nn.Dropout(0.25, drops),
        nn.Residual(nn.Linear(4, 4, generator=start)),
        nn.LeakyReLU(),
        nn.Dropout(0.5, drops),
        nn.Linear(4, outputs, generator=start),
    )


def close(x: Any) -> Any:
    return pytest.approx(x, rel=1e-12, abs=1e-15)


def trained(compile: bool | None, loss: nn.Loss, size: int, labels: Any, seed: int) -> Any:
    """The losses and last Parameters of a short training."""
    model = network(size, seed)
    history = nn.fit(
        model,
        loss,
        (POINTS, labels),
        optim.Adam(model.parameters(), lr=0.02),
        6,
        batch_size=2,
        generator=random.Random(seed),
        penalty=lambda: 0.01 * nn.l2(model.parameters()),
        clip_norm=1.0,
        compile=compile,
    )
    return history.train_loss, list(model.state_dict().values())


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("loss", "size", "labels"), LOSSES.values(), ids=LOSSES)
def test_a_compiled_training_is_the_eager_one(
    loss: Callable[[str], nn.Loss], size: int, labels: Any, reduction: str
) -> None:
    eager, compiled = (trained(x, loss(reduction), size, labels, 0) for x in (False, True))
    assert close(eager[0]) == compiled[0]
    assert pytest.approx(eager[1], rel=1e-9) == compiled[1]


@given(st.sampled_from([*LOSSES]), st.integers(0, 1000), st.integers(1, 3))
def test_one_pass(name: str, seed: int, count: int) -> None:
    """Loss, outputs and gradients of one batch, and what the generators draw next."""
    loss, size, labels = LOSSES[name]
    batch = POINTS[:count], labels[:count]
    found = []
    for make in (passes.EagerPass, lambda *x: passes.CompiledPass(*x, (POINTS, labels), True)):
        model = network(size, seed)
        value, outputs = make(model, loss("mean"))(*batch)
        gradients = [parameter.grad for parameter in model.parameters()]
        found.append((value, outputs, gradients, model.layers[1].generator.random()))
    assert_alike(*found)


def assert_alike(eager: Any, compiled: Any) -> None:
    """Two passes found the same: loss, outputs, gradients, and what the generators draw next."""
    assert close(eager[0]) == compiled[0]
    assert eager[3] == compiled[3]
    for x, y in zip(eager[1], compiled[1], strict=True):
        assert close(x) == y
    assert close(eager[2]) == compiled[2]


class Readout(nn.Module):
    """The last output of a recurrent network, weighed."""

    def __init__(self, kind: Any, generator: random.Random) -> None:
        self.recurrent = kind(1, 2, generator=generator)
        self.head = nn.Linear(2, 1, generator=generator)

    def forward(self, inputs: Any) -> Any:
        outputs, _ = self.recurrent([[x] for x in inputs])
        return self.head(outputs[-1])


def image_network(pool: nn.Module, generator: random.Random) -> nn.Module:
    block = nn.Residual(nn.Conv2d(1, 1, 3, padding=1, generator=generator))
    head = nn.Linear(1, 1, generator=generator)
    return nn.Sequential(AsImage(), block, nn.Dropout(0.3, generator), pool, nn.Flatten(), head)


class AsImage(nn.Module):
    def forward(self, inputs: Any) -> Any:
        a, b = inputs
        return [[[a, b], [b, a]]]


MODELS: dict[str, Callable[[random.Random], nn.Module]] = {
    "RNN": lambda g: Readout(nn.RNN, g),
    "LSTM": lambda g: Readout(nn.LSTM, g),
    "GRU": lambda g: Readout(nn.GRU, g),
    "largest pixels": lambda g: image_network(nn.MaxPool2d(2), g),
    "mean pixels": lambda g: image_network(nn.AvgPool2d(2), g),
    "maxout": lambda g: nn.Sequential(nn.Linear(2, 2, generator=g), nn.Maxout(2)),
    "feedback alignment": lambda g: alternatives.FeedbackAlignment(nn.MLP(2, [2, 1], generator=g)),
    "direct": lambda g: alternatives.DirectFeedbackAlignment(nn.MLP(2, [2, 1], generator=g)),
    "combined": lambda g: alternatives.SigmaCombined([nn.Neuron(2, generator=g)], nn.Linear(1, 1)),
}


def losses(model: nn.Module, epochs: int, **options: Any) -> list[float]:
    """Those of a training with number labels."""
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    samples = POINTS, [0.0, 1.0, 2.0]
    return nn.fit(model, nn.MSELoss(), samples, optimizer, epochs, **options).train_loss


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_every_kind_of_module_is_compiled(make: Callable[[random.Random], nn.Module]) -> None:
    original = make(random.Random(0))
    found = []
    for compile in (False, True):
        options: Any = {"batch_size": 2, "generator": random.Random(1), "compile": compile}
        found.append(losses(copy.deepcopy(original), 3, **options))
    eager, compiled = found
    assert close(eager) == compiled


# Samples of different structures.


class Tagger(Readout):
    """An output for each step."""

    def __init__(self, kind: Any, generator: random.Random) -> None:
        super().__init__(kind, generator)
        self.drop = nn.Dropout(0.25, generator)

    def forward(self, inputs: Any) -> Any:
        outputs, _ = self.recurrent([[x] for x in inputs])
        return [self.head(self.drop(y))[0] for y in outputs]


def sequences(lengths: list[int], make: Any, seed: int) -> data.Data:
    """For a Tagger the labels are sequences too."""
    generator = random.Random(seed)
    points = [[generator.gauss(0.0, 1.0) for _ in range(length)] for length in lengths]
    return points, [[float(x > 0) for x in xs] if make is Tagger else sum(xs) for xs in points]


LENGTHS = [2, 5, 3, 6, 4, 2, 3, 6, 6]


@pytest.mark.parametrize("make", [Readout, Tagger])
@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_sequences_of_many_lengths(kind: Any, make: Any) -> None:
    """Compiled, each record of the history is as it is eagerly."""
    found = []
    for compile in (False, True):
        model = make(kind, random.Random(0))
        history = nn.fit(
            model,
            nn.MSELoss(),
            sequences(LENGTHS, make, 1),
            optim.Adam(model.parameters(), lr=0.05),
            4,
            batch_size=4,
            generator=random.Random(2),
            validation=sequences(LENGTHS[:4], make, 3),
            metrics={"largest": lambda ys, _: max(map(abs, map(numpy.max, ys)))},
            compile=compile,
        )
        found.append(history.records)
    eager, compiled = found
    assert [close(record) for record in eager] == compiled
    assert eager[-1]["train_loss"] < eager[0]["train_loss"]


@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=5),
    st.sampled_from([Readout, Tagger]),
    st.sampled_from(REDUCTIONS),
    st.integers(0, 1000),
)
@settings(max_examples=30)
def test_one_pass_of_sequences(lengths: list[int], make: Any, reduction: str, seed: int) -> None:
    """Loss, outputs and gradients, and what the generators draw next."""
    loss, samples = nn.MSELoss(reduction), sequences(lengths, make, seed)
    found = []
    for kind in (passes.EagerPass, lambda *x: passes.CompiledPass(*x, samples, True)):
        generator = random.Random(seed)
        model = make(nn.RNN, generator)
        value, outputs = kind(model, loss)(*samples)
        gradients = [parameter.grad for parameter in model.parameters()]
        found.append((value, outputs, gradients, generator.random()))
    assert_alike(*found)


@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_the_loss_of_an_epoch_weighs_all_terms_alike(reduction: str, compile: bool) -> None:
    """Where longer samples have more of them, too."""
    model, loss = Tagger(nn.RNN, random.Random(0)), nn.MSELoss(reduction)
    model.drop.p = 0.0
    samples, optimizer = sequences(LENGTHS, Tagger, 1), optim.SGD(model.parameters(), lr=0.0)
    history = nn.fit(model, loss, samples, optimizer, 1, batch_size=2, compile=compile)
    assert close([nn.evaluate(model, loss, samples)["loss"]]) == history.train_loss


def test_augmentation_may_change_the_length() -> None:
    def cropped(point: list[float], generator: Any) -> list[float]:
        return point[generator.randrange(len(point)) :]

    found = []
    for compile in (False, True):
        model, generator = Readout(nn.RNN, random.Random(0)), random.Random(2)
        options: Any = {"augment": cropped, "generator": generator, "compile": compile}
        samples = sequences([4] * 6, Readout, 1)
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        found.append(nn.fit(model, nn.MSELoss(), samples, optimizer, 5, **options).train_loss)
    eager, compiled = found
    assert close(eager) == compiled


def test_there_is_one_program_for_each_structure() -> None:
    """The model runs twice for each length: tried, and traced."""
    lengths = list[int]()

    class Noting(Readout):
        def forward(self, inputs: Any) -> Any:
            lengths.append(len(inputs))
            return super().forward(inputs)

    model = Noting(nn.RNN, random.Random(0))
    samples, optimizer = sequences(LENGTHS, Readout, 1), optim.SGD(model.parameters(), lr=0.1)
    nn.fit(model, nn.MSELoss(), samples, optimizer, 5, batch_size=4, compile=True)
    assert sorted([*set(LENGTHS)] * 2) == sorted(lengths)


class Scaled(nn.MSELoss):
    """A loss with a Parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(1.5)

    def forward(self, predictions: Any, targets: Any) -> Any:
        return self.scale * super().forward(predictions, targets)


def test_a_parameter_of_the_loss_is_trained_too() -> None:
    found = []
    for compile in (False, True):
        model, loss = network(1, 0), Scaled()
        optimizer = optim.SGD([*model.parameters(), loss.scale], lr=0.05)
        history = nn.fit(model, loss, (POINTS, [1, 2, 3]), optimizer, 3, compile=compile)
        found.append([*history.train_loss, loss.scale.data])
    eager, compiled = found
    assert close(eager) == compiled
    assert compiled[-1] != 1.5


def unfreeze(model: Any) -> None:
    model[0].unfreeze()


def keep(model: Any) -> None:
    model[1].p = 0.0


def stop_dropping(model: Any) -> None:
    model[1].eval()


@pytest.mark.parametrize("change", [unfreeze, keep, stop_dropping])
def test_a_callback_may_change_the_model(change: Callable[[Any], None]) -> None:
    found = []
    for compile in (False, True):
        model = network(1, 0)
        model[0].freeze()

        def changed(history: nn.History, model: nn.Module = model) -> None:
            if len(history) == 2:
                change(model)

        found.append(losses(model, 6, callbacks=[changed], compile=compile))
    eager, compiled = found
    assert close(eager) == compiled


def test_a_compiled_training_resumes_exactly(tmp_path: Any) -> None:
    file = tmp_path / "file"

    def run(epochs: int, **options: Any) -> Any:
        model = network(1, 0)
        optimizer = optim.Adam(model.parameters(), lr=0.05)
        history = nn.fit(
            model, nn.MSELoss(), (POINTS, [1, 2, 3]), optimizer, epochs, batch_size=1,
            generator=random.Random(0), compile=True, **options,
        )  # fmt: skip
        return history.train_loss, model.state_dict()

    run(3, checkpoint=file)
    assert run(6) == run(6, resume=file)


class Own(nn.Module):
    def __init__(self) -> None:
        self.layer = nn.Linear(2, 1, generator=random.Random(0))

    def forward(self, inputs: Any) -> Any:
        return self.layer(inputs)


class Asking(Own):
    def forward(self, inputs: Any) -> Any:
        (y,) = self.layer(inputs)
        return [y if y > 0 else 0.1 * y]


def kind(model: nn.Module, loss: Any, compile: bool | None) -> type:
    samples = data.checked("data", (POINTS, [1, -1, 1]))
    return type(passes.chosen(compile, model, loss, samples, False))


def test_who_is_compiled() -> None:
    native = passes.CompiledPass if autograd.engine == "native" else passes.EagerPass
    ours, loss = network(1, 0), nn.HingeLoss()
    assert native is kind(ours, loss, None)
    assert passes.EagerPass is kind(ours, loss, False)
    assert passes.CompiledPass is kind(ours, loss, True)
    assert passes.EagerPass is kind(ours, lambda ys, labels: loss(ys, labels), None)
    assert passes.EagerPass is kind(Own(), loss, None)
    assert passes.CompiledPass is kind(Own(), loss, True)
    assert passes.EagerPass is kind(nn.Sequential(Own()), loss, None)


def test_what_does_not_trace_stays_eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Asking, "__module__", "nn.layers")
    assert passes.EagerPass is kind(Asking(), nn.HingeLoss(), None)


def test_if_a_single_structure_does_not_trace_all_stay_eager(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class AskingLate(Readout):
        def forward(self, inputs: Any) -> Any:
            (y,) = super().forward(inputs)
            return [abs(y) if len(inputs) > 2 and y < 0 else y]

    for own in (Readout, AskingLate):
        monkeypatch.setattr(own, "__module__", "nn.layers")
    model, samples = AskingLate(nn.RNN, random.Random(0)), sequences([1, 2, 3], Readout, 0)
    found = passes.chosen(None, model, nn.MSELoss(), samples, False)
    assert passes.EagerPass is type(found)
    assert not any(parameter.grad for parameter in model.parameters())


def test_what_cannot_be_compiled() -> None:
    with pytest.raises(autograd.TraceError, match="where"):
        kind(Asking(), nn.HingeLoss(), True)
    with pytest.raises(TypeError, match="compile=True needs a loss of nn"):
        kind(network(1, 0), lambda ys, _: ys[0], True)
    with pytest.raises(TypeError, match="compile must be True or False, received the int 1"):
        kind(network(1, 0), nn.HingeLoss(), 1)  # pyright: ignore


WRONG: dict[str, tuple[nn.Loss, int, Any, str]] = {
    "signs": (nn.HingeLoss(), 1, [1, -1, 0], "targets must be -1 or 1, received 0"),
    "probabilities": (nn.BCEWithLogitsLoss(), 1, [1, 0, 2], "targets must be probabilities"),
    "classes": (nn.CrossEntropyLoss(), 2, [0, 1, 2], "class index in targets must be below 2"),
    "shape": (nn.MSELoss(), 2, [1.0, 2.0, 3.0], "must have one shape"),
}


@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize(("loss", "size", "labels", "text"), WRONG.values(), ids=WRONG)
def test_wrong_labels_are_refused(
    loss: nn.Loss, size: int, labels: Any, text: str, compile: bool
) -> None:
    with pytest.raises(ValueError, match=text):
        trained(compile, loss, size, labels, 0)


def test_a_training_without_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    model = network(1, 0)
    options: Any = {"metrics": {"accuracy": nn.accuracy}}
    samples, optimizer = (POINTS, [1, -1, 1]), optim.SGD(model.parameters(), lr=0.1)
    assert 2 == len(nn.fit(model, nn.HingeLoss(), samples, optimizer, 2, **options))
    with pytest.raises(autograd.MissingExtraError, match=r"scalar-autograd\[numpy\]"):
        nn.fit(model, nn.HingeLoss(), samples, optimizer, 2, compile=True, **options)
