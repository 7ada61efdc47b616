"""How each peer evaluates the problems, with one thread and in float64."""

import ctypes
import importlib
import importlib.util
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Callable
from functools import partial
from importlib.machinery import ExtensionFileLoader
from pathlib import Path
from typing import Any

from benchmarks import problems

Run = Callable[[], Any]
"""One evaluation: it returns value and gradient, or Jacobians, somehow nested."""


# Ours.


def ours(formula: Callable[[Any], Any], data: Callable[[], Any], options: Any = None) -> Run:
    """Value and gradient, with arrays."""
    import numpy as np

    import autograd

    compiled = autograd.compile(formula(autograd), **(options or {}))
    arguments = [np.array(x) if isinstance(x, list) else x for x in data()]
    compiled.value_and_grad(*arguments)
    return partial(compiled.value_and_grad, *arguments)


def ours_lists(formula: Callable[[Any], Any], data: Callable[[], Any]) -> Run:
    """Value and gradient, with lists."""
    import autograd

    compiled = autograd.compile(formula(autograd))
    arguments = data()
    compiled.value_and_grad(*arguments)
    return partial(compiled.value_and_grad, *arguments)


def ours_bundle(reused: bool) -> Run:
    """Jacobians, in new arrays or in the same ones every time."""
    import numpy as np

    import autograd

    compiled = autograd.compile(problems.residual(autograd), in_axes=0)
    rows, seen = map(np.array, problems.bundle_data())
    result = compiled.jacobian(rows, seen)
    if not reused:
        return partial(compiled.jacobian, rows, seen)
    return partial(compiled.jacobian, rows, seen, out=result)


BATCH: dict[str, Any] = {"in_axes": (None, 0, 0), "reduce": "mean"}
SUM: dict[str, Any] = {"in_axes": (None, 0), "reduce": "sum"}


# C.


def _compiled(name: str, *flags: str) -> Path:
    """One of the C files, compiled by gcc -O3 for this processor."""
    library = Path(tempfile.mkdtemp(), f"{name}.so")
    source = Path(__file__).parent / "c" / f"{name}.c"
    command = ["gcc", "-O3", "-march=native", "-Wno-psabi", "-shared", "-fPIC", *flags]
    subprocess.run([*command, str(source), "-o", str(library), "-lm"], check=True)
    return library


def c_extension(name: str, data: Callable[[], Any]) -> Run:
    """A C extension of Python, with lists."""
    library = _compiled("latency", "-I", sysconfig.get_path("include"))
    loader = ExtensionFileLoader("latency", str(library))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("latency", loader))
    return partial(getattr(module, name), *data())


def _pointer(array: Any) -> Any:
    return array.ctypes.data_as(ctypes.POINTER(ctypes.c_double))


def c_batch(name: str, data: Callable[[], Any], count: bool) -> Run:
    """A C function of arrays, by ctypes; it gets the number of samples where it wants it."""
    import numpy as np

    function = getattr(ctypes.CDLL(str(_compiled("batches"))), name)
    function.restype = ctypes.c_double
    arrays = [np.ascontiguousarray(x, dtype=float) for x in data()]
    gradient = np.zeros(len(arrays[0]))
    size = [ctypes.c_int(len(arrays[1]))] if count else []
    arguments = [*map(_pointer, [*arrays, gradient]), *size]

    def run() -> Any:
        return function(*arguments), gradient

    run.arrays = arrays  # type: ignore[attr-defined]  # kept alive
    return run


def c_bundle() -> Run:
    """The Jacobians, into the same array every time."""
    import numpy as np

    function = ctypes.CDLL(str(_compiled("batches"))).bundle
    function.restype = None
    rows, seen = map(np.array, problems.bundle_data())
    jacobians = np.zeros((len(rows), 2, 15))
    arguments = [*map(_pointer, (rows, seen, jacobians)), ctypes.c_int(len(rows))]

    def run() -> Any:
        function(*arguments)
        return jacobians

    run.arrays = rows, seen  # type: ignore[attr-defined]  # kept alive
    return run


# JAX.


class _Jax:
    """JAX's functions under the names of the formulas."""

    def __init__(self) -> None:
        jax: Any = importlib.import_module("jax")
        jax.config.update("jax_enable_x64", True)
        numpy: Any = importlib.import_module("jax.numpy")
        self.jax, self.array = jax, numpy.array
        self.sigmoid, self.relu = jax.nn.sigmoid, jax.nn.relu
        self.exp, self.log, self.sqrt = numpy.exp, numpy.log, numpy.sqrt
        self.sin, self.cos, self.maximum = numpy.sin, numpy.cos, numpy.maximum


def _network_of_matrices(multiply: Any, relu: Any, w: Any, x: Any) -> Any:
    """The moons network as products of matrices, as its users write it; x by sample."""
    start, activations = 0, x
    for n_in, n_out in ((2, 16), (16, 16), (16, 1)):
        layer = w[start : start + (n_in + 1) * n_out].reshape(n_out, n_in + 1)
        activations = multiply(activations, layer[:, :n_in].T) + layer[:, n_in]
        activations = relu(activations) if n_out > 1 else activations
        start += (n_in + 1) * n_out
    return activations[:, 0]


def jax_moons() -> Run:
    """jit of value_and_grad of the mean hinge loss."""
    f = _Jax()

    def loss(w: Any, x: Any, y: Any) -> Any:
        output = _network_of_matrices(lambda a, b: a @ b, f.relu, w, x)
        return f.relu(1.0 - y * output).mean()

    return _jax_run(f, f.jax.value_and_grad(loss), problems.moons_data())


def jax_value(formula: Callable[[Any], Any], data: Callable[[], Any]) -> Run:
    """jit of value_and_grad."""
    f = _Jax()
    return _jax_run(f, f.jax.value_and_grad(formula(f)), data())


def jax_lists(formula: Callable[[Any], Any], data: Callable[[], Any]) -> Run:
    """The same with lists of floats, as a caller has them without JAX."""
    f = _Jax()
    jitted, arguments = f.jax.jit(f.jax.value_and_grad(formula(f))), data()
    return lambda: f.jax.block_until_ready(jitted(*arguments))


def jax_mixture() -> Run:
    """jit of value_and_grad of the sum over the points."""
    f = _Jax()
    each = f.jax.vmap(problems.mixture(f), in_axes=(None, 0))
    function = f.jax.value_and_grad(lambda p, x: each(p, x).sum())
    return _jax_run(f, function, problems.mixture_data())


def jax_bundle() -> Run:
    """jit of the vectorised Jacobian, forward as reverse is slower here."""
    f = _Jax()
    formula = problems.residual(f)
    jacobian = f.jax.vmap(f.jax.jacfwd(lambda p, seen: f.array(formula(p, seen))))
    return _jax_run(f, jacobian, problems.bundle_data())


def _jax_run(f: _Jax, function: Any, data: Any) -> Run:
    jitted, arguments = f.jax.jit(function), [f.array(x) for x in data]
    return lambda: f.jax.block_until_ready(jitted(*arguments))


# PyTorch.


def _torch() -> Any:
    torch: Any = importlib.import_module("torch")
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    return torch


def _torch_run(torch: Any, loss: Callable[..., Any], data: Any) -> Run:
    w, *others = [torch.tensor(x) for x in data]
    w.requires_grad_(True)

    def run() -> Any:
        value = loss(w, *others)
        (gradient,) = torch.autograd.grad(value, w)
        return value.item(), gradient

    return run


def torch_moons() -> Run:
    """Eager PyTorch: the mean hinge loss and its gradient."""
    torch = _torch()

    def loss(w: Any, x: Any, y: Any) -> Any:
        output = _network_of_matrices(torch.matmul, torch.relu, w, x)
        return torch.relu(1.0 - y * output).mean()

    return _torch_run(torch, loss, problems.moons_data())


def torch_rosenbrock() -> Run:
    """Eager PyTorch, over slices."""
    torch = _torch()

    def loss(x: Any) -> Any:
        return (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum()

    return _torch_run(torch, loss, problems.rosenbrock_data())


def torch_network() -> Run:
    """Eager PyTorch, by matrices."""
    torch = _torch()

    def loss(w: Any, x: Any, target: Any) -> Any:
        layer = w[:6].reshape(2, 3)
        hidden = torch.sigmoid(layer[:, :2] @ x + layer[:, 2])
        return 0.5 * (torch.sigmoid(w[6:8] @ hidden + w[8]) - target) ** 2

    return _torch_run(torch, loss, problems.network_data())


def torch_mixture() -> Run:
    """Eager PyTorch, over all points and components at once."""
    torch = _torch()

    def loss(p: Any, x: Any) -> Any:
        weights, means, roots = p[:5], p[5:15].reshape(5, 2), p[15:].reshape(5, 3)
        d = x[:, None, :] - means
        y0 = torch.exp(roots[:, 0]) * d[..., 0]
        y1 = roots[:, 2] * d[..., 0] + torch.exp(roots[:, 1]) * d[..., 1]
        terms = weights + roots[:, 0] + roots[:, 1] - 0.5 * (y0 * y0 + y1 * y1)
        return (torch.logsumexp(terms, 1) - torch.logsumexp(weights, 0)).sum()

    return _torch_run(torch, loss, problems.mixture_data())


def torch_bundle() -> Run:
    """vmap of jacfwd."""
    torch = _torch()
    formula = problems.residual(torch)
    jacobian = torch.func.vmap(
        torch.func.jacfwd(lambda p, seen: torch.stack(formula(p.unbind(), seen.unbind())))
    )
    rows, seen = map(torch.tensor, problems.bundle_data())
    return lambda: jacobian(rows, seen)


# CasADi.


class _Casadi:
    """CasADi's functions under the names of the formulas."""

    def __init__(self) -> None:
        casadi: Any = importlib.import_module("casadi")
        self.casadi, self.maximum = casadi, casadi.fmax
        self.exp, self.log, self.sqrt = casadi.exp, casadi.log, casadi.sqrt
        self.sin, self.cos = casadi.sin, casadi.cos

    def sigmoid(self, x: Any) -> Any:
        return 1.0 / (1.0 + self.exp(-x))

    def relu(self, x: Any) -> Any:
        return self.casadi.fmax(x, 0.0)

    def function(self, formula: Any, widths: list[int], jacobian: bool = False) -> Any:
        """Value and gradient, or the Jacobian, by the first of arguments of those widths."""
        symbols = [self.casadi.SX.sym(f"x{i}", width) for i, width in enumerate(widths)]
        unpacked = [self.casadi.vertsplit(x) if x.numel() > 1 else x for x in symbols]
        value = formula(*unpacked)
        if jacobian:  # transposed: its memory is by columns; with its zeros
            matrix = self.casadi.jacobian(self.casadi.vertcat(*value), symbols[0])
            outputs = [self.casadi.densify(matrix.T)]
        else:
            outputs = [value, self.casadi.gradient(value, symbols[0])]
        return self.casadi.Function("f", symbols, outputs)


GCC: dict[str, Any] = {
    "jit": True,
    "compiler": "shell",
    "jit_options": {"compiler": "gcc", "flags": ["-O3", "-march=native"]},
    "jit_temp_suffix": True,
}


def casadi_latency(formula: Callable[[Any], Any], data: Callable[[], Any], gcc: bool) -> Run:
    """A buffered call; through gcc or by CasADi's own virtual machine."""
    import numpy as np

    f = _Casadi()
    arguments = [np.atleast_1d(np.array(x, dtype=float)) for x in data()]
    function = f.function(formula(f), [len(x) for x in arguments])
    if gcc:
        function = f.casadi.Function("g", function.sx_in(), function(*function.sx_in()), GCC)
    buffer, trigger = function.buffer()
    for i, x in enumerate(arguments):
        buffer.set_arg(i, memoryview(x))
    value, gradient = np.zeros(1), np.zeros(len(arguments[0]))
    buffer.set_res(0, memoryview(value))
    buffer.set_res(1, memoryview(gradient))

    def run() -> Any:
        trigger()
        return value, gradient

    run.kept = buffer, arguments  # type: ignore[attr-defined]
    return run


def casadi_batch(
    formula: Callable[[Any], Any], data: Callable[[], Any], axes: tuple[bool, ...], result: str
) -> Run:
    """map through gcc; the sum or mean over the samples is NumPy's."""
    import numpy as np

    f = _Casadi()
    arguments = [np.array(x, dtype=float) for x in data()]
    arguments = [
        x.reshape(len(x), -1) if mapped else x for x, mapped in zip(arguments, axes, strict=True)
    ]
    size = max(len(x) for x, mapped in zip(arguments, axes, strict=True) if mapped)
    widths = [x.shape[-1] for x in arguments]
    function = f.function(formula(f), widths, result == "jacobian")
    shared = [i for i, mapped in enumerate(axes) if not mapped]
    mapped = function.map("m", "serial", size, shared, [], GCC)
    buffer, trigger = mapped.buffer()
    for i, x in enumerate(arguments):
        buffer.set_arg(i, memoryview(np.ascontiguousarray(x)))
    outputs = [np.zeros((size, function.numel_out(i))) for i in range(function.n_out())]
    for i, x in enumerate(outputs):
        buffer.set_res(i, memoryview(x))

    def run() -> Any:
        trigger()
        if result == "jacobian":
            return outputs[0]
        sums = [x.sum(0) for x in outputs]
        return [x / size for x in sums] if result == "mean" else sums

    run.kept = buffer, arguments  # type: ignore[attr-defined]
    return run


# Numba: the gradient written by hand.


def numba_rosenbrock() -> Run:
    """A compiled loop over an array."""
    import numpy as np

    numba: Any = importlib.import_module("numba")

    @numba.njit
    def value_and_gradient(x: Any) -> Any:
        value, g = 0.0, np.zeros(10)
        for i in range(9):
            d, e = x[i + 1] - x[i] * x[i], 1.0 - x[i]
            value += 100.0 * d * d + e * e
            g[i] -= 400.0 * d * x[i] + 2.0 * e
            g[i + 1] += 200.0 * d
        return value, g

    return partial(value_and_gradient, np.array(*problems.rosenbrock_data()))


def numba_network() -> Run:
    """Straight-line code over arrays."""
    import numpy as np

    numba: Any = importlib.import_module("numba")

    @numba.njit
    def value_and_gradient(w: Any, x: Any, target: float) -> Any:
        a = 1.0 / (1.0 + np.exp(-(w[0] * x[0] + w[1] * x[1] + w[2])))
        b = 1.0 / (1.0 + np.exp(-(w[3] * x[0] + w[4] * x[1] + w[5])))
        o = 1.0 / (1.0 + np.exp(-(w[6] * a + w[7] * b + w[8])))
        go = (o - target) * o * (1.0 - o)
        ga, gb, g = go * w[6] * a * (1.0 - a), go * w[7] * b * (1.0 - b), np.empty(9)
        g[0], g[1], g[2] = ga * x[0], ga * x[1], ga
        g[3], g[4], g[5] = gb * x[0], gb * x[1], gb
        g[6], g[7], g[8] = go * a, go * b, go
        return 0.5 * (o - target) ** 2, g

    w, x, target = problems.network_data()
    return partial(value_and_gradient, np.array(w), np.array(x), target)


def numba_moons() -> Run:
    """Compiled loops, sample by sample."""
    import numpy as np

    numba: Any = importlib.import_module("numba")

    @numba.njit(fastmath=True)
    def value_and_gradient(w: Any, points: Any, labels: Any) -> Any:
        g, value, count = np.zeros(337), 0.0, len(labels)
        a, b, ga, gb = np.empty(16), np.empty(16), np.empty(16), np.empty(16)
        for n in range(count):
            for j in range(16):
                z = w[3 * j] * points[n, 0] + w[3 * j + 1] * points[n, 1] + w[3 * j + 2]
                a[j] = max(z, 0.0)
            for j in range(16):
                z = w[48 + 17 * j + 16]
                for i in range(16):
                    z += w[48 + 17 * j + i] * a[i]
                b[j] = max(z, 0.0)
            z = w[336]
            for i in range(16):
                z += w[320 + i] * b[i]
            loss = 1.0 - labels[n] * z
            if loss <= 0.0:
                continue
            value += loss
            g[336] -= labels[n]
            ga[:] = 0.0
            for j in range(16):
                g[320 + j] -= labels[n] * b[j]
                gb[j] = -labels[n] * w[320 + j] if b[j] > 0.0 else 0.0
                for i in range(16):
                    ga[i] += w[48 + 17 * j + i] * gb[j]
                    g[48 + 17 * j + i] += gb[j] * a[i]
                g[48 + 17 * j + 16] += gb[j]
            for j in range(16):
                if a[j] > 0.0:
                    g[3 * j] += ga[j] * points[n, 0]
                    g[3 * j + 1] += ga[j] * points[n, 1]
                    g[3 * j + 2] += ga[j]
        return value / count, g / count

    return partial(value_and_gradient, *map(np.array, problems.moons_data()))


# All of them.

CONTENDERS: dict[str, dict[str, Callable[[], Run]]] = {
    "moons": {
        "autograd": partial(ours, problems.hinge, problems.moons_data, BATCH),
        "C, SIMD": partial(c_batch, "moons", problems.moons_data, False),
        "jax.jit": jax_moons,
        "torch": torch_moons,
        "casadi (gcc)": partial(
            casadi_batch, problems.hinge, problems.moons_data, (False, True, True), "mean"
        ),
        "numba": numba_moons,
    },
    "rosenbrock": {
        "autograd (list)": partial(ours_lists, problems.rosenbrock, problems.rosenbrock_data),
        "autograd (array)": partial(ours, problems.rosenbrock, problems.rosenbrock_data),
        "C extension": partial(c_extension, "rosenbrock", problems.rosenbrock_data),
        "jax.jit (list)": partial(jax_lists, problems.rosenbrock, problems.rosenbrock_data),
        "jax.jit (array)": partial(jax_value, problems.rosenbrock, problems.rosenbrock_data),
        "torch": torch_rosenbrock,
        "casadi (buffered)": partial(
            casadi_latency, problems.rosenbrock, problems.rosenbrock_data, False
        ),
        "casadi (gcc)": partial(
            casadi_latency, problems.rosenbrock, problems.rosenbrock_data, True
        ),
        "numba": numba_rosenbrock,
    },
    "network": {
        "autograd (list)": partial(ours_lists, problems.network, problems.network_data),
        "autograd (array)": partial(ours, problems.network, problems.network_data),
        "C extension": partial(c_extension, "network", problems.network_data),
        "jax.jit (list)": partial(jax_lists, problems.network, problems.network_data),
        "jax.jit (array)": partial(jax_value, problems.network, problems.network_data),
        "torch": torch_network,
        "casadi (buffered)": partial(
            casadi_latency, problems.network, problems.network_data, False
        ),
        "casadi (gcc)": partial(casadi_latency, problems.network, problems.network_data, True),
        "numba": numba_network,
    },
    "bundle": {
        "autograd": partial(ours_bundle, False),
        "autograd (out=)": partial(ours_bundle, True),
        "C": c_bundle,
        "jax.jit": jax_bundle,
        "torch": torch_bundle,
        "casadi (gcc)": partial(
            casadi_batch, problems.residual, problems.bundle_data, (True, True), "jacobian"
        ),
    },
    "mixture": {
        "autograd": partial(ours, problems.mixture, problems.mixture_data, SUM),
        "C": partial(c_batch, "mixture", problems.mixture_data, True),
        "jax.jit": jax_mixture,
        "torch": torch_mixture,
        "casadi (gcc)": partial(
            casadi_batch, problems.mixture, problems.mixture_data, (False, True), "sum"
        ),
    },
}
"""By problem: who takes part, and how each prepares its run."""

NEEDS = {"jax.jit": "jax", "torch": "torch", "numba": "numba", "casadi": "casadi"}
"""What a contestant imports beyond us, by the first word of its name."""


def is_there(name: str) -> bool:
    """Whether a contestant can take part here."""
    wants_gcc = name.startswith("C") or name.endswith("(gcc)")
    package = NEEDS.get(name.partition(" ")[0])
    return not (wants_gcc and not shutil.which("gcc")) and not (
        package and importlib.util.find_spec(package) is None
    )
