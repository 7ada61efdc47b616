"""The tape of a program and its texts: names that nobody expects, C for every compiler, LaTeX."""

import ctypes
import inspect
import keyword
import math
import re
import subprocess
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import bits
from strategies import EXACT_ROWS, FUNCTIONS, Recipe, build, choosing_graphs, smooth_graphs

import autograd
from autograd import Value, compile, exp, functional, where
from autograd.listing import CHOICE, PRODUCTS, ProgramTape
from autograd.ops import TABLE
from autograd.tape import identifier

STANDARDS = ("c99", "c11", "c17", "gnu17")


# C for every compiler.


def gcc(*arguments: str | Path) -> str:
    """What gcc prints; any warning is an error."""
    flags = ["-pedantic", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off"]
    done = subprocess.run(["gcc", *flags, *arguments], capture_output=True, text=True)
    assert done.stderr == ""
    return done.stdout


def c_name(text: str) -> str:
    """The name of the function in a C file."""
    found = re.search(r"^void (\w+)\(const double \*inputs, double \*outputs\);$", text, re.M)
    assert found
    return found[1]


def run_c(compiled: Any, inputs: list[float], size: int, standard: str) -> list[float]:
    """What the C file of a compiled function computes."""
    text = compiled.to_c()
    with TemporaryDirectory() as folder:
        source, library = Path(folder) / "program.c", Path(folder) / "program.so"
        source.write_text(text, encoding="utf-8")
        gcc(f"-std={standard}", "-O1", "-shared", "-fPIC", source, "-o", library, "-lm")
        outputs = (ctypes.c_double * size)()
        arguments = (ctypes.c_double * max(len(inputs), 1))(*inputs)
        getattr(ctypes.CDLL(str(library)), c_name(text))(arguments, outputs)
    return [*outputs]


def named(function: Any, name: str, parameters: Iterable[str]) -> Any:
    """The function under another name, with parameters of these names."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    function.__name__ = name
    function.__signature__ = inspect.Signature([inspect.Parameter(x, kind) for x in parameters])
    return function


WORDS = """
    double struct auto register restrict inline typeof bool constexpr nullptr true NULL linux unix
    NAN INFINITY M_PI M_2_PI M_E HUGE_VAL FP_NAN X_TLOSS MATH_ERRNO math_errhandling signgam EOF
    exp fabs abs sqrt sqrtf nearbyint y0 y1 gamma lgamma_r isnan isless signbit where div pow main
    printf malloc free index memcpy inputs outputs result name body condition autograd
    autograd_sigmoid autograd_relu s0 s1 v0 grad_s0 grad_x grad_grad_x _x __LINE__ _Bool
    __attribute__ x X W1 w_1 MSE θ Δ é ß ﬁ 变 µ lambda_ None_ self
"""
NAMES = WORDS.split()
MARKS = """* / */ /* /*/ // **// ??/ ???/ ?? \\ x\\ ½ 🙂 {x} {} %d w[0] x' " & $ a=b 1st <lambda>"""
LINES = [
    "",
    " ",
    "a b",
    "a\nb",
    "\n#error no\n",
    "\r",
    "\0",
    "\x1b[0m",
    "\u202e",
    "\ud800",
    "e\u0301",
]
TEXTS = [*NAMES, *keyword.kwlist, *TABLE, *MARKS.split(), *LINES]
text = st.sampled_from(TEXTS) | st.text(max_size=5)
identifiers = (st.sampled_from(NAMES) | text.map(identifier)).filter(
    lambda x: x.isidentifier() and not keyword.iskeyword(x)
)


@settings(deadline=None, max_examples=25)
@given(
    choosing_graphs(EXACT_ROWS, max_steps=12),
    text,
    st.lists(identifiers, min_size=4, max_size=4, unique=True),
    st.lists(text, min_size=1),
    st.sampled_from(STANDARDS),
)
def test_any_names_make_a_c_file_and_a_source(
    recipe: Recipe, name: str, parameters: list[str], labels: list[str], standard: str
):
    outside = Value(0.5, labels[0])

    def labelled(*xs: Any) -> Any:
        nodes = build(recipe, xs, FUNCTIONS)
        for node, label in zip(nodes[len(xs) :], labels, strict=False):
            if isinstance(node, Value):
                node.label = label
        return nodes[-1] * outside + outside

    inputs = [*recipe.leaves]
    compiled = compile(
        named(labelled, name, parameters[: len(inputs)]), argnums=(*range(len(inputs)),)
    )
    value, gradients = compiled.value_and_grad(*inputs)
    expected = [*map(bits, (value, *gradients))]
    assert expected == [*map(bits, run_c(compiled, [*inputs, 0.5], len(expected), standard))]
    variables: dict[str, Any] = {}
    exec(compiled.source, variables)
    value, gradients = variables["result"]
    assert expected == [*map(bits, (value, *gradients))]
    assert_closes(compiled.to_latex())


@pytest.mark.parametrize("last", ["last\\", "last??/", "last*"])
def test_any_labels_make_a_comment(last: str, tmp_path: Path):
    labels = [*TEXTS, *map("".join, pairwise(TEXTS)), last]
    leaves = [Value(0.5, label) for label in labels]
    compiled = compile(lambda: autograd.sum(leaves))
    compiled()
    source = tmp_path / "labels.c"
    source.write_text(compiled.to_c(), encoding="utf-8")
    for standard in STANDARDS:
        gcc(f"-std={standard}", "-fsyntax-only", source)


def words_of_c() -> list[str]:
    """Every name that the headers of C and the compiler have, for any of the standards."""
    folder = ["math", "stdlib", "stdio", "string", "ctype", "time", "wctype", "fenv", "complex"]
    includes = "".join(f"#include <{x}.h>\n" for x in [*folder, "inttypes", "strings", "unistd"])
    with TemporaryDirectory() as path:
        source = Path(path) / "headers.c"
        source.write_text(includes)
        declared = gcc("-E", "-std=gnu17", "-D_GNU_SOURCE", source)
        source.write_text("#include <math.h>\n")
        macros = gcc("-E", "-dM", "-std=gnu17", "-D_GNU_SOURCE", source)
    names = re.findall(r"[A-Za-z_]\w*", declared) + re.findall(r"#define (\w+)", macros)
    return [*dict.fromkeys([*names, *NAMES])]


def test_no_name_of_the_compiler_or_of_math_h_is_in_the_way(tmp_path: Path):
    words = words_of_c()
    assert {"M_PI", "NAN", "linux", "double", "signgam", "strlen", "log1pf", "__LINE__"} <= {*words}
    parameters = [x for x in words if identifier(x) == x and not keyword.iskeyword(x)]
    assert len(parameters) > 1000
    compiled = compile(named(lambda *xs: autograd.sum(xs), "all_of_c", parameters))
    compiled(*[1.0] * len(parameters))
    identity = compile(lambda x: x)
    identity(1.0)
    tape = identity.tape
    functions = [c_name(tape.c(x)) for x in words]
    prototypes = (f"void {x}(const double *, double *);\n" for x in functions)
    source = tmp_path / "words.c"
    source.write_text(compiled.to_c() + "".join(prototypes))
    for standard in STANDARDS:
        gcc(f"-std={standard}", "-fsyntax-only", source)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("loss", "loss"),
        ("<lambda>", "lambda"),
        ("grad_loss", "grad_loss"),
        ("__call__", "call"),
        ("double", "double_2"),
        ("exp", "exp_2"),
        ("y1", "y1_2"),
        ("where", "where_2"),
        ("main", "main_2"),
        ("autograd_sigmoid", "v_autograd_sigmoid"),
        ("NAN", "v_NAN"),
        ("Loss", "Loss"),
        ("W_1", "W_1"),
        ("2nd", "v_2nd"),
        ("θ", "theta"),
        ("", "v_"),
    ],
)
def test_the_function_of_a_c_file_has_the_name_of_ours_where_it_is_free(name: str, expected: str):
    compiled = compile(lambda x: autograd.sigmoid(x))
    compiled(1.0)
    assert expected == c_name(compiled.tape.c(name))


def test_the_inputs_of_a_c_file_have_the_names_of_ours_where_they_are_free():
    parameters = ["x", "double", "M_PI", "θ", "grad_x", "_x", "y1", "exp"]
    compiled = compile(named(lambda *xs: autograd.sum(xs).exp(), "f", parameters))
    compiled(*[0.0] * len(parameters))
    assert [*("x", "double_2", "v_M_PI", "theta", "v_grad_x", "x_2", "y1", "exp_2")] == re.findall(
        r"const double (\w+) = inputs", compiled.to_c()
    )
    assert ["x", "double", "M_PI", "θ", "_grad_x", "_x", "y1", "exp_2"] == (
        compiled.tape.identifiers()[: len(parameters)]
    )


@pytest.mark.parametrize(
    ("f", "inputs", "expected"),
    [
        (lambda x, _: 2.0 * x, [3.0, 4.0], [6.0]),
        (lambda *_: 2.0, [3.0, 4.0], [2.0]),
        (lambda _, y: y, [3.0, 4.0], [4.0]),
        (lambda *_: [], [3.0, 4.0], []),
        (lambda: 2.0, [], [2.0]),
        (lambda _, y: [math.nan, -math.inf, y / math.inf], [3.0, 4.0], [math.nan, -math.inf, 0.0]),
    ],
)
def test_a_c_file_declares_the_inputs_it_reads(f: Any, inputs: list[float], expected: list[float]):
    compiled = compile(f)
    compiled(*inputs)
    assert [*map(bits, expected)] == [*map(bits, run_c(compiled, inputs, len(expected), "c99"))]


def test_the_comment_of_a_c_file_names_the_inputs_as_they_are_labelled():
    leaves = [Value(0.5, label) for label in ("w[0]", "a*/b", "θ", "line\nline", "w[0]")]
    compiled = compile(lambda: autograd.sum(leaves))
    compiled()
    assert (
        "   Inputs: inputs[0] = w[0], inputs[1] = a* /b, inputs[2] = θ, "
        "inputs[3] = line\\nline, inputs[4] = w[0]_2\n"
    ) in compiled.to_c()


# The tape.


def test_a_tape_of_a_program_offers_what_works_on_it():
    compiled = compile(lambda x: x * x)
    compiled.value_and_grad(3.0)
    offered = {name for name in dir(compiled.tape) if name[0] != "_"}
    assert offered == {
        *("inputs", "instructions", "slots", "results", "structure", "primals", "reverse", "sizes"),
        *("identifiers", "stats", "python", "c", "latex"),
    }


def test_display_names_are_distinct():
    leaf = Value(1.0, "h")

    def f(s0: Any) -> Any:
        first, second = s0 * leaf, s0.exp() + leaf
        first.label = second.label = "h"
        return first * second

    compiled = compile(f)
    compiled(2.0)
    names = [slot.name for slot in compiled.tape.slots]
    assert ["s0", "h", "h_2", "s1", "h_3", "s2"] == names


def computed(tape: ProgramTape) -> list[Any]:
    """Every slot of a tape as a Value that was computed from the inputs."""
    slots: list[Any] = [Value(x.value) for x in tape.inputs]
    for instruction in tape.instructions:
        x = [slots[z] if isinstance(z, int) else z for z in instruction.operands]
        if instruction.op is CHOICE:
            slots.append(where(x[0] != 0.0, x[1], x[2]) + 0.0)
        elif instruction.op is PRODUCTS:
            start = x[: len(x) % 2]
            factors = x[len(start) :]
            slots.append(sum(map(functional.mul, factors[::2], factors[1::2]), *start))
        else:
            slots.append(vars(functional)[instruction.op.name](*x))
    return slots


def assert_primals(f: Any, *args: Any) -> dict[str, str]:
    """What is called the gradient of a slot is its gradient; gives the names of both."""
    compiled = compile(f, argnums=(*range(len(args)),))
    compiled.value_and_grad(*args)
    tape = compiled.tape
    slots, output = computed(tape), tape.results[0]
    if isinstance(output, int) and slots[output].requires_grad:
        expected = slots[output].gradient([slots[primal] for primal in tape.primals.values()])
        found = [slots[slot].data for slot in tape.primals]
        assert pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True) == found
    names = tape.identifiers()
    return {names[slot]: names[primal] for slot, primal in tape.primals.items()}


@settings(deadline=None, max_examples=60)
@given(smooth_graphs(max_steps=20))
def test_gradients_are_called_what_they_are(recipe: Recipe):
    assert_primals(lambda *xs: build(recipe, xs, FUNCTIONS)[-1] * 1.0, *recipe.leaves)


@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (lambda x: x.exp(), {}),
        (lambda x: x.exp() * (x.exp() + 1.0), {"grad_x": "x"}),
        (lambda x: ((x.exp() + x.exp()) * 0.1).sin(), {"grad_x": "x"}),
        (lambda x: (x * 1.0) * (x * 1.0).sin(), {"grad_x": "x"}),
        (lambda x: (+x).sin() * (+x), {"grad_x": "x"}),
        (lambda x: (x.exp() * x) * x + x.exp(), {"grad_x": "x"}),
    ],
)
def test_a_gradient_has_its_name_where_passes_made_one_slot_of_two(f: Any, expected: Any):
    found = assert_primals(f, 0.7)
    assert expected == {name: primal for name, primal in found.items() if primal == "x"}


# LaTeX.


def assert_closes(latex: str) -> None:
    bare = re.sub(r"\\[{}]", "", latex)
    assert bare.count("{") == bare.count("}")


@pytest.mark.parametrize(
    ("f", "way", "expected"),
    [
        (lambda x, y: x * y, "value_and_grad", r"(s_{0}, (y, x))"),
        (lambda x, y: x + 2.0 * y, "value_and_grad", r"(s_{0}, (1, 2))"),
        (lambda x, y: x.sin() + y, "value_and_grad",
         r"(s_{1}, (\frac{\partial s_{1}}{\partial x}, 1))"),
        (lambda x, _: x.exp(), "value_and_grad", r"(s_{0}, (s_{0}, 0))"),
        (lambda x, y: x * y, "__call__", r"s_{0}"),
        (lambda result, _: result, "__call__", r"\mathrm{result}_{2}"),
        (lambda *_: 2.0, "__call__", r"2"),
        (lambda x, y: [x, (y,), -math.inf], "__call__", r"[x, (y,), -\infty]"),
        (lambda x, _: {"a_b": x, "b c": [1e-7]}, "__call__",
         r"\text{\{}\text{'a\_b': }x\text{, 'b c': [}1 \cdot 10^{-7}\text{]\}}"),
        (lambda *_: [], "__call__", r"[]"),
    ],
)  # fmt: skip
def test_the_latex_ends_with_the_result(f: Any, way: str, expected: str):
    compiled = compile(f, argnums=(0, 1))
    getattr(compiled, way)(2.0, 3.0)
    last = compiled.to_latex().splitlines()[-2]
    assert rf"  \mathrm{{result}} &= {expected}" == last
    assert_closes(last)


def test_the_latex_of_a_program_with_gradients():
    compiled = compile(lambda x, y: exp(x) * y, argnums=(0, 1))
    compiled.value_and_grad(2.0, 3.0)
    assert (
        "\\begin{align*}\n"
        "  s_{0} &= e^{x} \\\\\n"
        "  s_{1} &= s_{0} \\cdot y \\\\\n"
        "  \\frac{\\partial s_{1}}{\\partial x} &= y \\cdot s_{0} \\\\\n"
        "  \\mathrm{result} &= (s_{1}, (\\frac{\\partial s_{1}}{\\partial x}, s_{0}))\n"
        "\\end{align*}"
    ) == compiled.to_latex()
