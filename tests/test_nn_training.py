"""Training: what fit does in an epoch, how it ends, and that it resumes exactly."""

import json
import math
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lectures import EXAMPLES, quantities

import nn
from autograd import AutogradError, MissingExtraError, Value, no_grad
from nn import data, optim, schedulers

LOGITS = nn.BCEWithLogitsLoss()
ACCURACY = {"accuracy": nn.accuracy}


def line(samples: int = 8) -> data.Data:
    return data.linear(samples, 0.1, random.Random(0))


def neuron(seed: int = 0) -> nn.Neuron:
    return nn.Neuron(1, generator=random.Random(seed))


def sgd(model: nn.Module, lr: float = 0.1) -> optim.SGD:
    return optim.SGD(model.parameters(), lr)


# Learning.


def taught(
    model: nn.Module,
    samples: data.Data,
    generator: random.Random,
    lr: float,
    epochs: int,
    loss: nn.Loss = LOGITS,
) -> None:
    optimizer = optim.Adam(model.parameters(), lr)
    scheduler = schedulers.CosineAnnealingLR(optimizer, epochs)
    nn.fit(
        model,
        loss,
        samples,
        optimizer,
        epochs,
        batch_size=10,
        generator=generator,
        scheduler=scheduler,
    )


SEPARABLE: dict[str, tuple[Callable[[Any], data.Data], list[int], int]] = {
    "xor": (lambda _: data.xor(), [4, 1], 60),
    "moons": (lambda g: data.moons(60, 0.1, g), [8, 1], 60),
    "circles": (lambda g: data.circles(60, 0.05, g), [6, 1], 40),
    "linear": (lambda g: data.blobs(40, 0.3, g, [[-1, 0], [1, 1]]), [1], 5),
}


@pytest.mark.parametrize(("make", "sizes", "epochs"), SEPARABLE.values(), ids=SEPARABLE)
def test_every_sample_is_learnt(make: Any, sizes: list[int], epochs: int) -> None:
    generator = random.Random(2)
    samples = make(generator)
    model = nn.MLP(2, sizes, nn.Tanh, generator=generator)
    taught(model, samples, generator, 0.1, epochs)
    assert 1.0 == nn.evaluate(model, LOGITS, samples, ACCURACY)["accuracy"]


def test_the_spiral_is_learnt_to_95_percent() -> None:
    generator = random.Random(3)
    samples = data.spiral(80)
    model = nn.MLP(2, [12, 12, 1], nn.SiLU, generator=generator)
    for layer in model.layers[::2]:
        nn.init.kaiming_normal_(layer.weight, generator)
    taught(model, samples, generator, 0.05, 70)
    assert nn.evaluate(model, LOGITS, samples, ACCURACY)["accuracy"] >= 0.95


def test_iris_is_learnt_to_95_percent_of_what_was_held_out() -> None:
    from sklearn.datasets import load_iris

    generator = random.Random(0)
    train, held_out = data.split(load_iris(return_X_y=True), 0.3, generator)
    standardizer = data.Standardizer.fit(train[0])
    model = nn.MLP(4, [6, 3], nn.Tanh, generator=generator)
    loss = nn.CrossEntropyLoss()
    taught(model, (standardizer.transform(train[0]), train[1]), generator, 0.05, 15, loss)
    unseen = standardizer.transform(held_out[0]), held_out[1]
    assert 45 == len(held_out[1])
    assert nn.evaluate(model, loss, unseen, ACCURACY)["accuracy"] >= 0.95


def test_four_pixel_images_are_learnt_in_their_classes() -> None:
    generator = random.Random(0)
    samples = data.four_pixel_images(32, 0.1, generator)
    model = nn.MLP(4, [8, 4], nn.SiLU, generator=generator)
    taught(model, samples, generator, 0.1, 30, nn.CrossEntropyLoss())
    assert 1.0 == nn.evaluate(model, nn.CrossEntropyLoss(), samples, ACCURACY)["accuracy"]


SHAPES: dict[str, tuple[nn.Loss, list[Any], int]] = {
    "a number for one output": (nn.MSELoss(), [0.5, -1.0, 2.0], 1),
    "a list of one": (nn.MSELoss(), [[0.5], [-1.0], [2.0]], 1),
    "a list for two outputs": (nn.L1Loss(), [[0.5, 1.0], [-1.0, 0.0], [2.0, 0.0]], 2),
    "probabilities": (LOGITS, [0, 1, 0.5], 1),
    "signs": (nn.HingeLoss(), [1, -1, 1], 1),
    "classes": (nn.CrossEntropyLoss(), [0, 2, 1], 3),
    "distributions": (nn.CrossEntropyLoss(), [[0, 1], [0.5, 0.5], [1, 0]], 2),
}


@pytest.mark.parametrize(("loss", "labels", "size"), SHAPES.values(), ids=SHAPES)
def test_labels_of_every_shape(loss: nn.Loss, labels: list[Any], size: int) -> None:
    model = nn.Linear(2, size, generator=random.Random(0))
    samples = [[1.0, 0.0], [0.0, 1.0], [-1.0, 1.0]], labels
    before = nn.evaluate(model, loss, samples)["loss"]
    history = nn.fit(model, loss, samples, sgd(model), 5, compile=False)
    assert before == history.train_loss[0]
    assert before > nn.evaluate(model, loss, samples)["loss"]


# What happens in an epoch.


def test_the_losses_of_the_lecture_are_recorded() -> None:
    given, exact = EXAMPLES["net221_loss_curve"]["inputs"], quantities("net221_loss_curve")
    model = nn.Sequential(
        *(nn.Linear(2, 2, bias=False), nn.Sigmoid(), nn.Linear(2, 1, bias=False), nn.Sigmoid())
    )
    names = ["w1", "w3", "w2", "w4", "w5", "w6"]
    for parameter, name in zip(model.parameters(), names, strict=True):
        parameter.data = given[name]
    samples = [[given["x1"], given["x2"]]], [given["y_t"]]
    history = nn.fit(model, nn.MSELoss("half_sum"), samples, sgd(model, 0.7), 101)
    for steps in (0, 1, 2, 3, 5, 10, 20, 50, 100):
        expected = exact[f"E after {steps} steps"]["exact"]
        assert expected == pytest.approx(history.train_loss[steps], rel=1e-14, abs=0.0)


@pytest.mark.parametrize(
    ("batch_size", "expected"),
    [(2, [0.555, 0.92625]), (1, [0.53, 0.6076, 0.798232, 1.26279776]), (None, [0.72])],
)
def test_one_update_for_each_batch(batch_size: int | None, expected: list[float]) -> None:
    weights = list[float]()

    class Noting(optim.SGD):
        def step(self) -> None:
            super().step()
            weights.append(self.params[0].data)

    model = nn.Neuron(1, bias=False)
    nn.init.constant_(model.weight, 0.5)
    samples = [[1], [2], [3], [4]], [2, 3, 5, 9]
    optimizer = Noting(model.parameters(), 0.02)
    nn.fit(
        model,
        nn.MSELoss("mean_of_halves"),
        samples,
        optimizer,
        1,
        batch_size=batch_size,
        shuffle=False,
    )
    assert expected == pytest.approx(weights, rel=1e-14)


@pytest.mark.parametrize("reduction", ["mean", "sum", "half_sum", "mean_of_halves"])
@given(batch_size=st.none() | st.integers(1, 12), seed=st.integers(0, 9))
@settings(max_examples=10)
def test_the_loss_of_an_epoch_is_that_of_all_samples(
    reduction: str, batch_size: int | None, seed: int
) -> None:
    model, loss = neuron(), nn.MSELoss(reduction)
    history = nn.fit(
        model,
        loss,
        line(),
        sgd(model, 0.0),
        2,
        batch_size=batch_size,
        generator=random.Random(seed),
        validation=line(),
    )
    exact = nn.evaluate(model, loss, line())["loss"]
    assert [exact, exact] == pytest.approx(history.train_loss, rel=1e-14)
    assert [exact, exact] == history.validation_loss


def test_the_records_of_an_epoch() -> None:
    model = nn.MLP(2, [3, 1], generator=random.Random(0))
    optimizer = sgd(model, 0.5)
    samples = data.xor()
    history = nn.fit(
        model,
        LOGITS,
        samples,
        optimizer,
        3,
        validation=data.xor(8),
        metrics=ACCURACY,
        scheduler=schedulers.StepLR(optimizer, 1, 0.5),
    )
    names = ["epoch", "train_loss", "accuracy", "validation_loss", "validation_accuracy"]
    assert [*names, "learning_rate"] == list(history.records[0])
    assert ([1, 2, 3], [0.5, 0.25, 0.125]) == (history["epoch"], history.learning_rate)
    assert 0.0625 == optimizer.lr
    found = nn.evaluate(model, LOGITS, samples, ACCURACY)
    assert found == {
        "loss": pytest.approx(history.validation_loss[-1]),
        "accuracy": history["validation_accuracy"][-1],
    }
    assert ([], None, 3) == (history["unknown"], history.stopped, len(history))


def test_a_plateau_is_told_by_the_validation_loss() -> None:
    model = neuron()
    optimizer = sgd(model, 0.0)
    plateau = schedulers.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    optimizer.lr = 1e-30
    history = nn.fit(
        model, nn.MSELoss(), line(), optimizer, 4, scheduler=plateau, validation=line()
    )
    assert [1e-30, 1e-30, 5e-31, 2.5e-31] == history.learning_rate
    assert plateau.best == history.validation_loss[0]


def test_dropout_drops_in_training_alone() -> None:
    model = nn.Sequential(nn.Dropout(0.5, random.Random(0)), neuron())
    history = nn.fit(model, nn.MSELoss(), line(), sgd(model, 0.0), 5, validation=line())
    assert 5 == len(set(history.train_loss))
    assert 1 == len(set(history.validation_loss))
    assert not any(module.training for module in model.modules())


def test_a_penalty_pulls_but_is_not_recorded() -> None:
    free, pulled = neuron(), neuron()
    plain = nn.fit(free, nn.MSELoss(), line(), sgd(free), 1)
    before = neuron().weight[0].data
    penalty = lambda: 0.25 * nn.l2(pulled.weight)  # noqa: E731
    history = nn.fit(pulled, nn.MSELoss(), line(), sgd(pulled), 1, penalty=penalty)
    assert plain.train_loss == history.train_loss
    expected = free.weight[0].data - 0.1 * 0.5 * before
    assert expected == pytest.approx(pulled.weight[0].data, rel=1e-14)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (4.0, -3.0)),
        ({"clip_norm": 1.0}, (0.8, -0.6)),
        ({"clip_value": 1.0}, (1.0, -1.0)),
        ({"clip_norm": 1.0, "clip_value": 0.7}, (0.7, -0.6)),
    ],
)
def test_gradients_are_clipped(options: Any, expected: tuple[float, float]) -> None:
    model = nn.Neuron(2, bias=False)
    nn.init.zeros_(model.weight)
    loss = lambda ys, _: -ys[0]  # noqa: E731
    nn.fit(model, loss, ([[4.0, -3.0]], [0]), sgd(model, 1.0), 1, **options)
    assert expected == pytest.approx(tuple(w.data for w in model.weight))


def test_every_use_of_a_point_is_augmented() -> None:
    seen = list[tuple[float, Any]]()

    def augment(point: list[float], generator: Any) -> list[float]:
        seen.append((point[0], generator))
        return [0.0]

    model, generator = neuron(), random.Random(0)
    model.bias.data = 1.0  # pyright: ignore
    samples = line()
    history = nn.fit(
        model,
        nn.MSELoss(),
        samples,
        sgd(model, 0.0),
        2,
        batch_size=3,
        generator=generator,
        augment=augment,
    )
    points = [x for (x,) in samples[0]]
    assert sorted(points * 2) == sorted(x for x, _ in seen)
    assert {id(generator)} == {id(g) for _, g in seen}
    exact = sum((1.0 - y) ** 2 for y in samples[1]) / 8
    assert [exact, exact] == pytest.approx(history.train_loss)


# How training ends.


def scripted(losses: list[float]) -> Callable[[Any, Any], Any]:
    """A loss that on validation data, where nothing is recorded, gives these numbers in turn."""
    numbers = iter(losses)

    def loss(outputs: Any, labels: Any) -> Any:
        return nn.MSELoss()(outputs, labels) if outputs[0].__class__ is not float else next(numbers)

    return loss


def test_the_lectures_early_stopping() -> None:
    given, exact = EXAMPLES["early_stopping"]["inputs"], quantities("early_stopping")
    model = neuron()
    states = list[dict[str, float]]()
    history = nn.fit(
        model,
        scripted(given["val_loss"]),
        line(),
        sgd(model),
        100,
        validation=line(),
        patience=given["patience"],
        callbacks=[lambda _: states.append(model.state_dict())],
    )
    assert exact["stop epoch"]["exact"] == len(history)
    assert states[exact["best epoch"]["exact"] - 1] == model.state_dict()
    assert "no improvement for 3 epochs" == history.stopped
    assert 6 == len({*map(str, states)})


NAN, INF = math.nan, math.inf

SERIES: list[tuple[list[float], int, float, tuple[int, int, float | None]]] = [
    ([3.0, 2.0, 1.0], 1, 0.0, (3, 3, 1.0)),
    ([1.0, 1.0, 1.0], 1, 0.0, (2, 1, 1.0)),
    ([1.0, 2.0, 0.5, 3.0, 3.0, 0.0], 2, 0.0, (5, 3, 0.5)),
    ([1.0, 0.95, 0.9, 0.85], 2, 0.1, (3, 1, 1.0)),
    ([1.0, 0.8, 0.6], 1, 0.1, (3, 3, 0.6)),
    ([NAN, 2.0, NAN, NAN], 2, 0.0, (4, 2, 2.0)),
    ([INF, -INF, NAN], 3, 0.0, (3, 0, None)),
]


@pytest.mark.parametrize(("losses", "patience", "min_delta", "expected"), SERIES)
def test_early_stopping(losses: Any, patience: int, min_delta: float, expected: Any) -> None:
    stopping = nn.EarlyStopping(patience, min_delta)
    for loss in losses:
        stopping.update(loss, {"loss": loss})
        if stopping.is_due:
            break
    assert expected == (stopping.epoch, stopping.best_epoch, stopping.best)
    assert stopping.best_state == (None if stopping.best is None else {"loss": stopping.best})


def test_without_validation_data_the_training_loss_is_watched() -> None:
    model = neuron()
    history = nn.fit(model, nn.MSELoss(), line(), sgd(model, 0.0), 100, patience=4)
    assert (5, "no improvement for 4 epochs") == (len(history), history.stopped)


def test_the_best_weights_come_back_however_training_ends() -> None:
    model = neuron()
    states = list[dict[str, float]]()
    nn.fit(
        model,
        scripted([2.0, 1.0, 3.0]),
        line(),
        sgd(model),
        3,
        validation=line(),
        patience=10,
        callbacks=[lambda _: states.append(model.state_dict())],
    )
    assert states[1] == model.state_dict()


def test_a_tolerance_ends_training() -> None:
    model = neuron()
    history = nn.fit(model, nn.MSELoss(), line(), sgd(model), 1000, tolerance=0.5)
    assert history.train_loss[-1] < 0.5 <= history.train_loss[-2]
    assert "the training loss is below 0.5" == history.stopped


def test_callbacks_are_called_after_each_epoch_and_may_end_training() -> None:
    model, calls = neuron(), list[tuple[str, int]]()

    def enough(history: nn.History) -> None:
        calls.append(("enough", len(history)))
        if len(history) == 3:
            history.stopped = "enough"

    history = nn.fit(
        model,
        nn.MSELoss(),
        line(),
        sgd(model),
        9,
        callbacks=[lambda h: calls.append(("first", len(h))), enough],
    )
    assert [(name, i) for i in (1, 2, 3) for name in ("first", "enough")] == calls
    assert ("enough", 3) == (history.stopped, len(history))


DIVERGING: list[tuple[Any, float, float, str]] = [
    (nn.MSELoss(), 1e100, 1.0, "the loss turned inf in epoch 3"),
    (nn.MSELoss(), 1e308, 1.0, "a Parameter or buffer turned -inf in epoch 1"),
    (nn.MSELoss(), 0.1, 1e200, "the loss turned inf in epoch 1"),
    (lambda ys, _: ys[0].sqrt(), 0.1, 0.0, "a gradient turned inf in epoch 1"),
    (lambda ys, _: ys[0].log(), 1.0, 0.5, "the loss turned nan in epoch 2"),
]


@pytest.mark.parametrize(("loss", "lr", "start", "text"), DIVERGING)
def test_divergence_ends_training_before_it_does_harm(
    loss: Any, lr: float, start: float, text: str
) -> None:
    model = nn.Neuron(1, bias=False)
    model.weight[0].data = start
    states = [model.state_dict()]
    with pytest.warns(RuntimeWarning, match=f"training ended: {text}; the model is as before it"):
        history = nn.fit(
            model,
            loss,
            ([[1.0]], [0.0]),
            sgd(model, lr),
            9,
            callbacks=[lambda _: states.append(model.state_dict())],
        )
    assert (text, len(states) - 1) == (history.stopped, len(history))
    assert states[-1] == model.state_dict()


# Interruption and resuming. A run is described by how its parts are made; no two runs share a seed
# for what a checkpoint brings back.

OPTIMIZERS: dict[str, Callable[[Any], optim.Optimizer]] = {
    "sgd": lambda p: optim.SGD(p, 0.1),
    "momentum": lambda p: optim.SGD(p, 0.1, momentum=0.9),
    "nesterov": lambda p: optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.1, nesterov=True),
    "classical": lambda p: optim.SGD(p, 0.1, momentum=0.9, momentum_form="classical"),
    "adagrad": lambda p: optim.Adagrad(p, 0.1),
    "rmsprop": lambda p: optim.RMSprop(p, 0.1),
    "adam": lambda p: optim.Adam(p, 0.1),
    "adamw": lambda p: optim.AdamW(p, 0.1),
}

SCHEDULERS: dict[str, Callable[[optim.Optimizer], Any]] = {
    "none": lambda _: None,
    "cosine": lambda o: schedulers.CosineAnnealingLR(o, 6),
    "plateau": lambda o: schedulers.ReduceLROnPlateau(o, factor=0.5, patience=0),
    "warm-up": lambda o: schedulers.SequentialLR(
        o, [schedulers.LinearLR(o, 0.5, 1.0, 2), schedulers.ExponentialLR(o, 0.5)], [2]
    ),
}

KINDS: dict[str, Callable[[int], Any]] = {
    "random": random.Random,
    "pcg": np.random.default_rng,
    "mt": lambda seed: np.random.Generator(np.random.MT19937(seed)),
}

EPOCHS = 6


class Run:
    """A training of a small network, made afresh."""

    def __init__(self, optimizer: str, scheduler: str, kind: str, seed: int) -> None:
        start, drops = random.Random(seed), KINDS[kind](seed + 1)
        self.generator = KINDS[kind](seed + 2)
        self.model = nn.Sequential(
            nn.Linear(2, 3, generator=start),
            nn.Tanh(),
            nn.Dropout(0.25, drops),
            nn.Linear(3, 1, generator=start),
        )
        self.optimizer = OPTIMIZERS[optimizer](self.model.parameters())
        self.scheduler = SCHEDULERS[scheduler](self.optimizer)

    def fit(self, epochs: int, loss: Any = LOGITS, **options: Any) -> nn.History:
        return nn.fit(
            self.model,
            loss,
            data.xor(6),
            self.optimizer,
            epochs,
            batch_size=4,
            generator=self.generator,
            scheduler=self.scheduler,
            validation=data.xor(),
            metrics=ACCURACY,
            **{"patience": 4, "compile": False} | options,
        )

    def numbers(self) -> Any:
        """All that the next numbers depend on."""
        parts = [self.model, self.optimizer, *([self.scheduler] if self.scheduler else [])]
        drops = self.model.layers[2].generator
        draws = [g.random() for g in (self.generator, drops)]
        return json.dumps([part.state_dict() for part in parts]), draws


runs = st.tuples(
    st.sampled_from([*OPTIMIZERS]), st.sampled_from([*SCHEDULERS]), st.sampled_from([*KINDS])
)

in_a_folder = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@given(run=runs, seed=st.integers(0, 99), done=st.integers(1, EPOCHS), every=st.integers(1, 3))
@in_a_folder
def test_a_resumed_training_gives_the_numbers_of_an_unbroken_one(
    tmp_path: Path, run: tuple[str, str, str], seed: int, done: int, every: int
) -> None:
    whole, first, second = Run(*run, seed), Run(*run, seed), Run(*run, seed + 100)
    files = [tmp_path / name for name in ("whole", "parts")]
    unbroken = whole.fit(EPOCHS, checkpoint=files[0])
    first.fit(done, checkpoint=files[1], checkpoint_every=every)
    resumed = second.fit(EPOCHS, checkpoint=files[1], resume=files[1])
    assert (unbroken.records, unbroken.stopped) == (resumed.records, resumed.stopped)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert whole.numbers() == second.numbers()


class Interrupter:
    """Ctrl-C at the call of that number."""

    def __init__(self, calls: int) -> None:
        self.calls = calls

    def __call__(self) -> None:
        self.calls -= 1
        if self.calls == 0:
            raise KeyboardInterrupt


PLACES = ["loss", "update", "augment", "callback", "scheduler"]


def interrupted(run: Run, place: str, calls: int, **options: Any) -> nn.History:
    """Train until Ctrl-C comes at a call of what stands at that place."""
    count = Interrupter(calls)

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            count()
            return function(*arguments)

        return call

    if place == "update":
        run.optimizer._updated = counted(run.optimizer._updated)
    if place == "scheduler" and run.scheduler:
        run.scheduler.step = counted(run.scheduler.step)
    if place == "augment":
        options["augment"] = counted(lambda point, _: point)
    if place == "callback":
        options["callbacks"] = [counted(lambda _: None)]
    history = run.fit(EPOCHS, counted(LOGITS) if place == "loss" else LOGITS, **options)
    vars(run.optimizer).pop("_updated", None)
    return history


@given(run=runs, place=st.sampled_from(PLACES), calls=st.integers(1, 40))
@in_a_folder
def test_ctrl_c_leaves_the_last_complete_epoch_which_resumes_exactly(
    tmp_path: Path, run: tuple[str, str, str], place: str, calls: int
) -> None:
    file = tmp_path / "file"
    broken, whole, same = Run(*run, 0), Run(*run, 0), Run(*run, 0)
    history = interrupted(broken, place, calls, patience=None, checkpoint=file)
    if history.stopped is not None:
        assert f"interrupted in epoch {len(history) + 1}" == history.stopped
    if len(history):
        assert same.fit(len(history), patience=None).records == history.records
    unbroken = whole.fit(EPOCHS, patience=None, checkpoint=tmp_path / "whole")
    resumed = Run(*run, 1)
    records = resumed.fit(EPOCHS, patience=None, resume=file, checkpoint=file).records
    assert unbroken.records == records
    assert (tmp_path / "whole").read_bytes() == file.read_bytes()
    assert whole.numbers() == resumed.numbers()
    assert same.numbers() == broken.numbers()
    assert not broken.model.training


def test_a_signal_ends_training() -> None:
    old = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run = Run("adam", "none", "random", 0)
        history = run.fit(
            99, callbacks=[lambda h: len(h) == 3 and signal.raise_signal(signal.SIGINT)]
        )
    finally:
        signal.signal(signal.SIGINT, old)
    assert (3, "interrupted in epoch 4") == (len(history), history.stopped)
    assert Run("adam", "none", "random", 0).fit(3).records == history.records


@pytest.mark.parametrize("calls", [1, 2])
def test_ctrl_c_while_it_is_traced_is_one_in_the_first_epoch(calls: int) -> None:
    """The model is tried at the first call, and traced at the second."""
    run, count = Run("adam", "cosine", "random", 0), Interrupter(calls)
    forward = run.model.forward

    def counted(inputs: Any) -> Any:
        count()
        return forward(inputs)

    run.model.forward = counted
    history = run.fit(EPOCHS, compile=True)
    assert ([], "interrupted in epoch 1") == (history.records, history.stopped)
    assert not run.model.training
    assert Run("adam", "cosine", "random", 0).fit(2, compile=True).records == (
        run.fit(2, compile=True).records
    )


@pytest.mark.parametrize("compile", [None, False, True])
def test_without_gradients_there_is_no_training(compile: bool | None) -> None:
    run = Run("adam", "none", "random", 0)
    with no_grad(), pytest.raises(AutogradError, match=r"fit needs gradients, which no_grad\(\)"):
        run.fit(1, compile=compile)
    assert Run("adam", "none", "random", 0).numbers() == run.numbers()


def test_an_error_leaves_the_last_complete_epoch_and_goes_on_to_the_caller() -> None:
    run = Run("adam", "none", "random", 0)
    calls = iter(range(6))

    def failing(outputs: Any, labels: Any) -> Any:
        return LOGITS(outputs, labels) if next(calls) < 5 else outputs.unknown

    with pytest.raises(AttributeError, match="unknown"):
        run.fit(9, failing)
    after_one = Run("adam", "none", "random", 0)
    after_one.fit(1)
    assert after_one.numbers() == run.numbers()


def test_a_checkpoint_holds_what_its_name_says(tmp_path: Path) -> None:
    run, file = Run("adam", "cosine", "random", 0), tmp_path / "file"
    history = run.fit(2, checkpoint=file)
    state = nn.load_state(file)
    names = ["model", "history", "optimizer", "scheduler", "stopping", "generators"]
    assert names == list(state)
    assert history.state_dict() == state["history"]
    assert {"last_epoch": 2} == state["scheduler"]
    assert 2 == len(state["generators"])


def test_a_history_with_nan_and_inf_is_saved(tmp_path: Path) -> None:
    losses = [INF, NAN, -INF]
    file, model = tmp_path / "file", neuron()
    options: Any = {"validation": line(), "checkpoint": file}
    nn.fit(model, scripted(losses), line(), sgd(model), 3, **options)
    resumed = nn.fit(model, nn.MSELoss(), line(), sgd(model), 3, **options, resume=file)
    assert [INF, "nan", -INF] == [x if x == x else "nan" for x in resumed.validation_loss]


def broken_checkpoint(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def write(file: Path) -> None:
        state = nn.load_state(file)
        change(state)
        nn.save_state(state, file)

    return write


CHECKPOINTS: list[tuple[Callable[[Path], Any], str]] = [
    (lambda file: file.write_text("{"), "Expecting"),
    (broken_checkpoint(lambda s: s.pop("model")), "missing: 'model'; unknown: none"),
    (broken_checkpoint(lambda s: s.pop("scheduler")), "missing: 'scheduler'; unknown: none"),
    (broken_checkpoint(lambda s: s.update(more=1)), "missing: none; unknown: 'more'"),
    (broken_checkpoint(lambda s: s["model"].popitem()), "missing: 'layers.3.bias.0'"),
    (broken_checkpoint(lambda s: s["optimizer"].update(lr=-1)), "lr must be a finite number ≥ 0"),
    (broken_checkpoint(lambda s: s.update(history=[])), "state must be a dict, received the list"),
    (broken_checkpoint(lambda s: s["history"].update(records=1)), r"\['records'\] must be a list"),
    (broken_checkpoint(lambda s: s["history"].update(records=[1])), "must hold dicts, received 1"),
    (
        broken_checkpoint(lambda s: s["history"]["records"][0].update(epoch="one")),
        "epoch in .* must be a finite number, received the str 'one'",
    ),
    (broken_checkpoint(lambda s: s["history"].update(stopped=1)), "must be a text or None"),
    (broken_checkpoint(lambda s: s["stopping"].update(best="x")), r"\['best'\] must be a finite"),
    (broken_checkpoint(lambda s: s["stopping"].update(epoch=-1)), r"\['epoch'\] must be a whole"),
    (broken_checkpoint(lambda s: s["stopping"].update(best_state=1)), "must be a dict or None"),
    (broken_checkpoint(lambda s: s["generators"].pop("1")), "missing: '1'; unknown: none"),
    (broken_checkpoint(lambda s: s["generators"].update({"0": 1})), "one of the Random of this"),
    (broken_checkpoint(lambda s: s["generators"].update({"0": [3, [], None]})), "of the Random"),
]


@pytest.mark.parametrize(("damage", "text"), CHECKPOINTS)
def test_a_bad_checkpoint_is_refused_and_changes_nothing(
    tmp_path: Path, damage: Callable[[Path], Any], text: str
) -> None:
    file = tmp_path / "file"
    Run("adam", "cosine", "random", 0).fit(1, checkpoint=file)
    damage(file)
    run = Run("adam", "cosine", "random", 1)
    with pytest.raises(ValueError, match=text) as refused:
        run.fit(2, resume=file)
    assert "file" in str(refused.value)
    assert Run("adam", "cosine", "random", 1).numbers() == run.numbers()


def test_states_of_another_kind_of_generator_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    Run("adam", "none", "random", 0).fit(1, checkpoint=file)
    with pytest.raises(ValueError, match="the state must be one of the Generator of this training"):
        Run("adam", "none", "pcg", 0).fit(1, resume=file)


# Metrics.

ACCURACIES: list[tuple[list[Any], list[Any], dict[str, float], float]] = [
    ([2.0, -1.0, 0.5, -3.0], [1, 0, 0, 1], {}, 0.5),
    ([2.0, -1.0], [1, -1], {}, 1.0),
    ([0.0], [0], {}, 1.0),
    ([0.6, 0.4], [1, 1], {"threshold": 0.5}, 0.5),
    ([[2.0], [-1.0]], [[1], [1]], {}, 0.5),
    ([[2.0], [-1.0], [3.0]], [1, -1, 0], {}, 2 / 3),
    ([[Value(2.0)], [Value(-1.0)]], [1, 0], {}, 1.0),
    (np.array([[2.0], [-1.0]]), np.array([1.0, 1.0]), {}, 0.5),
    ([[2.0, 3.0], [1.0, 0.0]], [1, 1], {}, 0.5),
    ([[2.0, 3.0], [1.0, 0.0]], [[0, 1], [1, 0]], {}, 1.0),
    ([[1.0, 1.0]], [0], {}, 1.0),
]


@pytest.mark.parametrize(("outputs", "labels", "options", "expected"), ACCURACIES)
def test_accuracy(outputs: Any, labels: Any, options: Any, expected: float) -> None:
    found = nn.accuracy(outputs, labels, **options)
    assert (expected, float) == (found, type(found))


def test_evaluation_leaves_each_module_in_its_mode() -> None:
    model = nn.Sequential(nn.Dropout(0.9, random.Random(0)), nn.Dropout(0.9), neuron())
    model.layers[1].eval()
    losses = {nn.evaluate(model, nn.MSELoss(), line())["loss"] for _ in "1234"}
    assert 1 == len(losses)
    assert [True, True, False, True] == [module.training for module in model.modules()]


def test_metrics_are_plain_numbers_which_a_checkpoint_takes(tmp_path: Path) -> None:
    file = tmp_path / "file"
    half = {"half": lambda ys, labels: np.float32(0.5)}  # noqa: ARG005
    model = neuron()
    history = nn.fit(
        model, nn.MSELoss(), line(), sgd(model), 1, metrics=half, validation=line(), checkpoint=file
    )
    (record,) = history.records
    assert [(0.5, float)] * 2 == [(record[x], type(record[x])) for x in ("half", "validation_half")]
    assert nn.load_state(file)["history"]["records"] == [record]


def test_a_history_shows_its_last_epoch() -> None:
    model = neuron()
    empty = nn.History()
    assert "History(0 epochs)" == repr(empty)
    empty.stopped = "interrupted in epoch 1"
    assert "History(0 epochs; stopped: interrupted in epoch 1)" == repr(empty)
    history = nn.fit(model, nn.MSELoss(), ([[0.0]], [0.0]), sgd(model, 0.0), 1, tolerance=9.0)
    square = model.bias.data**2  # pyright: ignore
    assert f"History(1 epoch; train_loss={square:.4g}, learning_rate=0)" == repr(history)
    history.stopped = "enough"
    assert repr(history).endswith("; stopped: enough)")
    assert history.records == list(history)


# The progress bar.


def test_the_progress_bar(capsys: pytest.CaptureFixture[str]) -> None:
    model = neuron()
    nn.fit(model, nn.MSELoss(), line(), sgd(model, 0.0), 2, progress=True)
    shown = capsys.readouterr().err
    assert "2/2" in shown
    loss = nn.evaluate(model, nn.MSELoss(), line())["loss"]
    assert f"train_loss={loss:.4g}, learning_rate=0" in shown
    nn.fit(model, nn.MSELoss(), line(), sgd(model), 2)
    assert "" == capsys.readouterr().err


def test_without_tqdm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    model = neuron()
    with pytest.raises(MissingExtraError, match=r"scalar-autograd\[progress\]"):
        nn.fit(model, nn.MSELoss(), line(), sgd(model), 2, progress=True)


# Bad input.


def trained(
    loss: Any = LOGITS,
    points: Any = ((0.0, 1.0), (1.0, 0.0)),
    labels: Any = (0, 1),
    model: Any = None,
    epochs: Any = 1,
    **options: Any,
) -> nn.History:
    model = model or nn.MLP(2, [2, 1], generator=random.Random(0))
    return nn.fit(model, loss, (points, labels), sgd(model), epochs, **options)


OTHER = neuron()
FROZEN = nn.Neuron(2).freeze()

ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: trained(points=[], labels=[]), ValueError, "data must hold at least one sample, rec"),
    (lambda: trained(points=[[0.0, NAN], [0, 1]]), ValueError, r"data: points\[0\]\[1\] .* nan"),
    (lambda: trained(points=[[0.0, INF], [0, 1]]), ValueError, r"data: points\[0\]\[1\] .* inf"),
    (lambda: trained(labels=[0, NAN]), ValueError, r"data: labels\[1\] must be a finite number"),
    (lambda: trained(labels=[0]), ValueError, "received 2 points and 1 labels"),
    (lambda: trained(points=[[0], [1]]), ValueError, "inputs must be a list of 2 numbers .* rec"),
    (lambda: trained(labels=[0, 1.5]), ValueError, "targets must be prob.* 0 and 1, received 1.5"),
    (lambda: trained(labels=[[0, 1], [1, 0]]), ValueError, "predictions and targets must have one"),
    (
        lambda: trained(nn.CrossEntropyLoss(), labels=[0, 2], model=nn.Linear(2, 2)),
        ValueError,
        "the class index in targets must be below 2, received 2",
    ),
    (
        lambda: trained(nn.CrossEntropyLoss(), labels=[0, -1], model=nn.Linear(2, 2)),
        ValueError,
        "the class index in targets must be a whole number ≥ 0, received -1",
    ),
    (
        lambda: trained(nn.CrossEntropyLoss(), labels=[0, 0.5], model=nn.Linear(2, 2)),
        TypeError,
        "the class index in targets must be a whole number ≥ 0, received the float 0.5",
    ),
    (lambda: trained(lambda *_: 1.0), TypeError, "loss must return a Value, .* received 1.0"),
    (lambda: trained(epochs=0), ValueError, "epochs must be a whole number ≥ 1, received 0"),
    (lambda: trained(epochs=1.5), TypeError, "epochs must be a whole number ≥ 1, received the flo"),
    (
        lambda: trained(batch_size=0),
        ValueError,
        "batch_size must be a whole number ≥ 1, received 0",
    ),
    (lambda: trained(shuffle=1), TypeError, "shuffle must be True or False, received the int 1"),
    (lambda: trained(generator=0), TypeError, "generator must be a random.Random or a numpy.rand"),
    (lambda: trained(validation=([], [])), ValueError, "validation must hold at least one sample"),
    (
        lambda: trained(clip_norm=-1.0),
        ValueError,
        "clip_norm must be a finite number ≥ 0, received",
    ),
    (lambda: trained(clip_value=NAN), ValueError, "clip_value must be a finite number ≥ 0, receiv"),
    (lambda: trained(tolerance="x"), TypeError, "tolerance must be a finite number, received the"),
    (lambda: trained(patience=0), ValueError, "patience must be a whole number ≥ 1, received 0"),
    (lambda: trained(patience=1, min_delta=-1), ValueError, "min_delta must be a finite number ≥"),
    (lambda: trained(checkpoint_every=0), ValueError, "checkpoint_every must be a whole number ≥"),
    (lambda: trained(progress=1), TypeError, "progress must be True or False, received the int 1"),
    (lambda: trained(resume="no such file"), FileNotFoundError, "no such file"),
    (
        lambda: nn.fit(neuron(), LOGITS, line(), sgd(OTHER), 1),
        ValueError,
        "optimizer must hold Parameters of model, .* received a SGD of 2 others",
    ),
    (
        lambda: trained(scheduler=schedulers.StepLR(sgd(OTHER), 1)),
        ValueError,
        "scheduler must be made for the optimizer of this training, received a StepLR of another",
    ),
    (lambda: trained(model=FROZEN), ValueError, "must hold a Parameter that is not frozen"),
    (lambda: nn.fit(3, LOGITS, line(), sgd(OTHER), 1), TypeError, "model must be a Module, .* 3"),
    (lambda: nn.fit(OTHER, LOGITS, line(), "adam", 1), TypeError, "optimizer must be one of nn.op"),
    (lambda: trained("mse"), TypeError, "loss must be a function or a module, .* the str 'mse'"),
    (lambda: trained(nn.BCELoss), TypeError, r"such as nn.MSELoss\(\), .* <class 'nn.losses.BCE"),
    (lambda: trained(scheduler=schedulers.StepLR), TypeError, "scheduler must be one of nn.sched"),
    (lambda: trained(penalty=Value(1.0)), TypeError, "penalty must be a function .* the Value"),
    (lambda: trained(augment=3), TypeError, "augment must be a function .* received the int 3"),
    (lambda: trained(callbacks=print), TypeError, "callbacks must be a list of functions"),
    (lambda: trained(callbacks=[3]), TypeError, "a callback must be a function .* the int 3"),
    (lambda: trained(metrics=nn.accuracy), TypeError, 'must be a dict, such as {"accuracy": nn.ac'),
    (lambda: trained(metrics={"a": 3}), TypeError, r"metrics\['a'\] must be a function"),
    (lambda: trained(metrics={"a": print}), TypeError, r"metrics\['a'\] must return a .* None"),
    *(
        (
            lambda name=name: trained(metrics={name: nn.accuracy}),
            *(ValueError, f"metrics must have names other than epoch, .* received '{name}'"),
        )
        for name in ("epoch", "loss", "train_loss", "learning_rate", "validation_accuracy")
    ),
    (lambda: sgd(neuron(), -0.1), ValueError, "lr must be a finite number ≥ 0, received -0.1"),
    (lambda: sgd(nn.ReLU()), ValueError, "params must hold at least one Parameter, received none"),
    (lambda: nn.EarlyStopping(0), ValueError, "patience must be a whole number ≥ 1, received 0"),
    (lambda: nn.accuracy([], []), ValueError, "at least one, received 0 outputs and 0 labels"),
    (lambda: nn.accuracy([1.0], [0, 1]), ValueError, "received 1 outputs and 2 labels"),
    (lambda: nn.accuracy([1.0], [0.5]), ValueError, "labels must be 1, or 0 or -1 for the other"),
    (
        lambda: nn.accuracy([[1.0, 2.0]], [2]),
        ValueError,
        "the class index in labels must be below 2",
    ),
    (lambda: nn.accuracy([[1.0, 2.0]], [0.5]), TypeError, "the class index in labels must be a wh"),
    (lambda: nn.accuracy([[1.0, 2.0]], [[0, 1, 0]]), ValueError, "must have the shape of outputs"),
    (lambda: nn.accuracy(1.0, 1), TypeError, "outputs and labels must be lists, received 1.0 and"),
    (lambda: nn.accuracy(["1"], [1]), TypeError, r"output\[0\] must be a number or a Value"),
    (lambda: nn.accuracy([1.0], [1], None), TypeError, "threshold must be a finite number"),
    (lambda: nn.evaluate(3, LOGITS, line()), TypeError, "model must be a Module, received the int"),
    (lambda: nn.evaluate(OTHER, "mse", line()), TypeError, "loss must be a function or a module"),
    (lambda: nn.evaluate(OTHER, LOGITS, line(), nn.accuracy), TypeError, "metrics must be a dict"),
    (
        lambda: nn.evaluate(OTHER, LOGITS, ([], [])),
        ValueError,
        "data must hold at least one sample",
    ),
]


@pytest.mark.parametrize(("call", "error", "text"), ERRORS)
def test_bad_arguments(call: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()
