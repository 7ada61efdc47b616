"""The command line: what it prints, writes and refuses, and its exit codes."""

import contextlib
import io
import itertools
import json
import math
import os
import stat
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
from autograd import cli, graph, values
from autograd.environment import version
from autograd.explanation import explain
from autograd.tape import Tape

NEURON = "1 / (1 + exp(-(w0*x0 + w1*x1 + w2)))"
POINT = {"w0": 2.0, "x0": -1.0, "w1": -3.0, "x1": -2.0, "w2": -3.0}
ARGUMENTS = [NEURON, *(f"{name}={x:g}" for name, x in POINT.items())]


@pytest.fixture
def run(capsys):
    """Runs the command line in this process: the exit code, the output, the errors."""

    def run(*argv):
        code = cli.main(argv)
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def succeed(run):
    """Runs the command line and gives the output of a run without errors."""

    def succeed(*argv):
        code, output, errors = run(*argv)
        assert (0, "") == (code, errors)
        return output

    return succeed


def process(*argv, **options):
    """Runs the command line in a process of its own."""
    command = [sys.executable, "-m", "autograd", *argv]
    return subprocess.run(command, capture_output=True, timeout=60, check=False, **options)


def neuron():
    """The neuron by operators: its inputs and its result."""
    w0, x0, w1, x1, w2 = inputs = values(**POINT)
    f = 1 / (1 + (-(w0 * x0 + w1 * x1 + w2)).exp())
    f.label = "f"
    return inputs, f


# The main job.


def test_table_then_gradients(succeed):
    inputs, f = neuron()
    table = str(explain(f)).partition("\n\n")[0]
    title, shown, closing = succeed(*ARGUMENTS).split("\n\n")
    assert f"f = {NEURON}" == title.splitlines()[0]
    assert table == shown
    lines = [line.split(" = ") for line in closing.splitlines()]
    numbers = {name.strip(): float(number) for name, number in lines}
    gradients = zip(inputs, f.gradient(inputs), strict=True)
    assert {"f": f.data, **{f"∂f/∂{x.label}": gradient for x, gradient in gradients}} == numbers


def test_the_digits_of_the_lecture(succeed):
    closing = succeed(*ARGUMENTS).split("\n\n")[-1]
    expected = [
        "f      =  0.7310",
        "∂f/∂w0 = -0.1966",
        "∂f/∂x0 =  0.3932",
        "∂f/∂w1 = -0.3932",
        "∂f/∂x1 = -0.5898",
        "∂f/∂w2 =  0.1966",
    ]
    assert expected == [line[:16] for line in closing.splitlines()]


def test_the_output_fits_into_a_terminal(succeed):
    assert max(map(len, succeed(*ARGUMENTS, "--check").splitlines())) <= 80


def test_drawing(succeed, tmp_path):
    file = tmp_path / "neuron.svg"
    assert succeed(*ARGUMENTS) == succeed(*ARGUMENTS, "--svg", str(file))
    assert autograd.to_svg(neuron()[1]) == file.read_text(encoding="utf-8")
    assert ElementTree.parse(file).getroot().tag.endswith("svg")
    assert [file] == list(tmp_path.iterdir())


def test_drawing_replaces_a_file(succeed, tmp_path):
    file = tmp_path / "neuron.svg"
    file.write_text("an older drawing, and a longer one" * 1000)
    link = tmp_path / "link.svg"
    link.symlink_to(file)
    succeed(*ARGUMENTS, "--svg", str(link))
    assert link.is_symlink()
    assert autograd.to_svg(neuron()[1]) == file.read_text(encoding="utf-8")


@pytest.mark.skipif(not Path(os.devnull).is_char_device(), reason="no null device")
def test_drawing_into_a_device(succeed):
    succeed(*ARGUMENTS, f"--svg={os.devnull}")
    assert Path(os.devnull).is_char_device()


@pytest.mark.skipif(os.name == "nt", reason="needs the rights of a file")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755])
def test_a_replaced_drawing_keeps_its_rights(succeed, tmp_path, mode):
    file = tmp_path / "neuron.svg"
    file.touch()
    file.chmod(mode)
    succeed(*ARGUMENTS, "--svg", str(file))
    assert autograd.to_svg(neuron()[1]) == file.read_text(encoding="utf-8")
    assert mode == stat.S_IMODE(file.stat().st_mode)


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="no device for the output")
def test_drawing_into_a_pipe(succeed):
    finished = process(*ARGUMENTS, "--svg", "/dev/stdout", encoding="utf-8")
    assert (0, "") == (finished.returncode, finished.stderr)
    assert autograd.to_svg(neuron()[1]) + succeed(*ARGUMENTS) == finished.stdout


# Options.


@pytest.mark.parametrize(
    "style",
    [
        {"theme": "dark"},
        {"rankdir": "TB"},
        {"show": "values"},
        {"digits": 2},
        {"theme": "print", "rankdir": "TB", "show": "downstream", "digits": 17},
    ],
    ids=str,
)
def test_style_of_a_drawing(succeed, tmp_path, style):
    file = tmp_path / "neuron.svg"
    options = [f"--{name}={x}" for name, x in style.items()]
    succeed(*ARGUMENTS, "--svg", str(file), *options)
    expected = autograd.to_svg(neuron()[1], **style)
    assert expected == file.read_text(encoding="utf-8") != autograd.to_svg(neuron()[1])


def test_style_of_a_page(succeed, tmp_path):
    file = tmp_path / "neuron.html"
    style = {"theme": "dark", "rankdir": "TB", "digits": 3}
    options = [f"--{name}={x}" for name, x in style.items()]
    succeed(*ARGUMENTS, "--html", str(file), *options)
    assert autograd.step_through(neuron()[1], **style).html == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("digits", [1, 3, 17])
def test_digits_of_the_table_and_of_paths(succeed, digits):
    (w0, *_), f = neuron()
    for option, explanation in [
        ([], explain(f, digits=digits).table),
        (["--explain=w0"], explain(f, w0, digits=digits)),
    ]:
        assert str(explanation) in succeed(*ARGUMENTS, "--digits", str(digits), *option)


@pytest.mark.parametrize(
    "pencil", [{}, {"decimals": 0}, {"decimals": 2, "rounding": "half-up"}], ids=str
)
def test_by_hand(succeed, pencil):
    f = neuron()[1]
    for node, name in graph.names(f).items():
        node.label = name
    options = [f"--{name}={x}" for name, x in pencil.items()]
    title, _, shown = succeed(*ARGUMENTS, "--by-hand", *options).partition("\n\n")
    assert (f"f = {NEURON}", f"{autograd.by_hand(f, **pencil)}\n") == (title, shown)


def test_the_work_leaves_the_drawing_alone(succeed, tmp_path):
    file = tmp_path / "neuron.svg"
    succeed(*ARGUMENTS, "--by-hand", "--svg", str(file))
    assert autograd.to_svg(neuron()[1]) == file.read_text(encoding="utf-8")


def test_wrt(succeed):
    everything = succeed(*ARGUMENTS).splitlines()
    expected = [line for line in everything if not line.startswith(("∂f/∂w0", "∂f/∂x", "∂f/∂w2"))]
    assert expected == succeed(*ARGUMENTS, "--wrt", "w1").splitlines()
    *_, first, second = succeed(*ARGUMENTS, "--wrt=x1, w0").splitlines()
    assert ("∂f/∂x1", "∂f/∂w0") == (first[:6], second[:6])


def test_json(succeed):
    inputs, f = neuron()
    data = json.loads(succeed(*ARGUMENTS, "--json"))
    gradients = dict(zip(POINT, f.gradient(inputs), strict=True))
    assert {
        "expression": NEURON,
        "inputs": POINT,
        "value": f.data,
        **explain(f).data(),
        "gradients": gradients,
    } == data


def test_json_of_paths(succeed):
    (w0, *_), f = neuron()
    data = json.loads(succeed(*ARGUMENTS, "--json", "--explain=w0"))
    assert explain(f, w0).data().items() <= data.items()
    assert {"w0": f.gradient(w0)} == data["gradients"]


def test_json_keeps_every_bit(succeed):
    x = 0.1 + 0.2
    assert x == json.loads(succeed("x", f"x={x!r}", "--json"))["value"]


def test_json_is_strict(succeed):
    def refuse(constant):
        raise AssertionError(constant)

    data = json.loads(
        succeed("x*y + z", "x=inf", "y=nan", "z=-inf", "--json"), parse_constant=refuse
    )
    assert {"x": "inf", "y": "nan", "z": "-inf"} == data["inputs"]
    assert {"x": "nan", "y": "inf", "z": 1.0} == data["gradients"]
    assert "nan" == data["value"] == data["nodes"][-1]["value"]


def test_latex(succeed):
    (w0, *_), f = neuron()
    assert explain(f).latex() == succeed(*ARGUMENTS, "--latex").rstrip()
    assert explain(f, w0).latex() == succeed(*ARGUMENTS, "--latex", "--explain", "w0").rstrip()


def test_paths(succeed):
    x, y = values(x=3, y=5)
    f = x * x + x * y
    f.label = "f"
    title, paths, closing = succeed("x*x + x*y", "x=3", "y=5", "--explain", "x").split("\n\n")
    assert ("f = x*x + x*y", str(explain(f, x))) == (title, paths)
    assert closing == "f     =  24.0\n∂f/∂x =  11.0\n"


@pytest.mark.parametrize("argv", [ARGUMENTS, ["x**2 / y", "x=inf", "y=-0.0"], ["-x", "x=nan"]])
def test_flat_code_runs(succeed, argv):
    code = succeed(*argv, "--flat")
    data = json.loads(succeed(*argv, "--json"))
    scope = {}
    exec(code, scope)
    gradients = {name: scope[f"grad_{name}"] for name in data["gradients"]}
    assert str(float(data["value"])) == str(scope["f"])
    assert {name: float(x) for name, x in data["gradients"].items()} == pytest.approx(
        gradients, rel=0, abs=0, nan_ok=True
    )


def test_flat_code_is_that_of_the_tape(succeed):
    assert Tape.record(neuron()[1]).python().rstrip() == succeed(*ARGUMENTS, "--flat").rstrip()


CHECKED = "checked: every gradient agrees with finite differences"


@pytest.mark.parametrize(
    ("option", "mark"),
    [((), ""), (("--by-hand",), ""), (("--latex",), "% "), (("--flat",), "# ")],
)
def test_check(succeed, option, mark):
    lines = succeed(*ARGUMENTS, *option).splitlines()
    assert [*lines, mark + CHECKED] == succeed(*ARGUMENTS, "--check", *option).splitlines()


def test_check_in_json(succeed):
    data = json.loads(succeed(*ARGUMENTS, "--json"))
    assert {**data, "checked": True} == json.loads(succeed(*ARGUMENTS, "--json", "--check"))


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (["relu(x) - relu(-x)", "x=0"], "'x'"),  # it is x, but each relu has derivative 0 at 0
        (["log(x)", "x=-1"], "nan"),
    ],
)
def test_failed_check(run, tmp_path, argv, reason):
    file = tmp_path / "f.svg"
    code, output, errors = run(*argv, "--check", "--svg", str(file))
    assert (1, "") == (code, output)
    assert errors.startswith("autograd: check failed: ")
    assert reason in errors
    assert not file.exists()


def test_version(succeed):
    expected = f"scalar-autograd {version()} ({autograd.engine} engine)\n"
    assert expected == succeed("--version") == succeed("--version", *ARGUMENTS)


def test_help_names_every_function_and_option(succeed):
    output = succeed("--help")
    assert output == succeed("-h")
    words = output.split()
    options = [
        "--svg",
        "--html",
        "--wrt",
        "--explain",
        "--check",
        "--json",
        "--latex",
        "--flat",
        "--by-hand",
        "--decimals",
        "--rounding",
        "--digits",
        "--theme",
        "--rankdir",
        "--show",
        "--version",
        "--help",
    ]
    assert set(options) | {op.name for op in autograd.ops.TABLE.values()} <= set(words)
    assert max(map(len, output.splitlines())) <= 80


# How arguments are read.


def test_options_stand_anywhere(succeed):
    expected = succeed("x*y", "x=2", "y=5", "--wrt", "y", "--check")
    groups = [["x*y"], ["x=2"], ["y=5"], ["--wrt", "y"], ["--check"]]
    for order in itertools.permutations(groups):
        words = [word for group in order for word in group]
        if words.index("x*y") < min(words.index("x=2"), words.index("y=5")):
            assert expected == succeed(*words), words


@pytest.mark.parametrize(
    ("argv", "value"),
    [
        (["-x*y", "x=2", "y=5"], -10.0),
        (["-2", "--json"], -2.0),
        (["--x*y", "x=2", "y=5"], 10.0),
        (["--2"], 2.0),
        (["-(x)", "x=-3"], 3.0),
        (["-x", "x=2"], -2.0),
        (["-h*x", "h=2", "x=3"], -6.0),
        (["--json", "-x", "x=2"], -2.0),
        (["--wrt", "x", "-x", "x=2"], -2.0),
        (["--", "-x", "x=2"], -2.0),
        (["--json", "--", "--x", "x=2"], 2.0),
        (["-json", "json=2"], -2.0),
        ([" x ", "x=2"], 2.0),
        (["x", " x = 2 "], 2.0),
        (["x", "x=-2"], -2.0),
        (["x", "x=1e-5"], 1e-5),
        (["x", "x=1_000"], 1000.0),
        (["x", "x=-inf"], -math.inf),
        (["x", "x=Infinity"], math.inf),
        (["x", "x=" + "9" * 5000], math.inf),
        (["pi*e", "e=2"], 2 * math.pi),
        (["ﬁ", "fi=2"], 2.0),
        (["fi", "ﬁ=2"], 2.0),
        (["Å", "Å=2"], 2.0),
        (["1 + 2"], 3.0),
        (["e"], math.e),
    ],
)
def test_value(succeed, argv, value):
    data = json.loads(succeed("--json", *(word for word in argv if word != "--json")))
    assert value == float(data["value"])


@pytest.mark.parametrize("name", ["f", "s0", "grad_x", "result", "exp", "math", "div"])
def test_an_input_may_have_any_name(succeed, name):
    argv = [f"{name}*y / exp(y)", f"{name}=3", "y=2"]
    data = json.loads(succeed(*argv, "--json"))
    assert 3 * 2 / math.exp(2) == data["value"]
    assert len(data["nodes"]) == len({node["name"] for node in data["nodes"]})
    exec(succeed(*argv, "--flat"), {})


# Bad input.

UNREADABLE = [
    # arguments, part of the message, column of the caret
    ([], "an expression is missing", None),
    (["--json"], "an expression is missing", None),
    ([""], "the expression is empty", None),
    (["x=2"], "unexpected '='", 1),
    (["x", "*", "y"], "'*' is not of the form NAME=NUMBER", None),
    (["sigmiod(x)", "x=1"], "did you mean 'sigmoid'?", 0),
    (["x*y", "x=1"], "'y' has no value: add y=NUMBER", 2),
    (["weight*x", "x=1", "wieght=2"], "'weight' has no value", 0),
    (["x", "x=1", "y=2"], "'y' is no name in the expression", None),
    (["rate*x", "x=1", "rate=2", "raet=2"], "did you mean 'rate'?", None),
    (["x", "pi=3", "x=1"], "'pi' is no name in the expression", None),
    (["x", "x=1", "x=1"], "'x' is given twice", None),
    (["fi", "fi=1", "ﬁ=1"], "'fi' is given twice", None),
    (["x", "x=abc"], "'x=abc' gives no number", None),
    (["x", "x="], "'x=' gives no number", None),
    (["x", "x=1=2"], "'x=1=2' gives no number", None),
    (["x", "x=1/3"], "'x=1/3' gives no number", None),
    (["x", "x=2j"], "'x=2j' gives no number", None),
    (["x", "=3"], "'=3' has no name", None),
    (["x", "="], "'=' has no name", None),
    (["x", "x"], "'x' is not of the form NAME=NUMBER", None),
    (["x", ""], "'' is not of the form NAME=NUMBER", None),
    (["x", "x.y=1"], "'x' has no value", 0),
    (["(x + 1", "x=1"], "'(' is never closed", 0),
    (["x + 1)", "x=1"], "closes no '('", 5),
    (["__import__('os')"], 'unexpected "\'"', 11),
    (["__import__(os)"], "no function '__import__'", 0),
    (["x.__class__", "x=1"], "an attribute access", 0),
    (["x[0]", "x=1"], "unexpected '['", 1),
    (["lambda: x", "x=1"], "unexpected ':'", 6),
    (["x < 2", "x=1"], "write less(a, b)", 2),
    (["x^2", "x=1"], "write a power as **", 1),
    (["2x", "x=1"], "as in 2*x", 0),
    (["exp(x, x)", "x=1"], "exp takes 1 operand, received 2", 0),
    (["x\0", "x=1"], "unexpected", 1),
    (["x" * 10_000_000, "x=1"], "10,000,000 characters", None),
    (["(" * 1000 + "x" + ")" * 1000, "x=1"], "nested more than 100 deep", None),
    (["x", "x=1", "--svgg", "f.svg"], "no option '--svgg'", None),
    (["x", "x=1", "--svgg=f.svg"], "no option '--svgg=f.svg'", None),
    (["x", "x=1", "--jso"], "no option '--jso'", None),
    (["--x", "x=1"], "no option '--x'", None),
    (["x", "x=1", "--svg"], "--svg: expected one argument", None),
    (["x", "x=1", "--svg", "--json"], "--svg: expected one argument", None),
    (["x", "x=1", "--json=1"], "--json: ignored explicit argument '1'", None),
    (["x", "x=1", "--json", "--latex"], "not allowed with argument --json", None),
    (["x", "x=1", "--flat", "--explain", "x"], "not allowed with argument --flat", None),
    (["x", "x=1", "--by-hand", "--explain=x"], "not allowed with argument --by-hand", None),
    (["x", "x=1", "--by-hand", "--json"], "not allowed with argument --by-hand", None),
    (["x", "x=1", "--digits", "0"], "--digits: must be a whole number from 1 to 17", None),
    (["x", "x=1", "--digits", "18"], "from 1 to 17, received '18'", None),
    (["x", "x=1", "--digits", "-1"], "from 1 to 17, received '-1'", None),
    (["x", "x=1", "--digits", "9" * 5000], "from 1 to 17, received '999", None),
    (["x", "x=1", "--digits"], "--digits: expected one argument", None),
    (["x", "x=1", "--by-hand", "--decimals", "101"], "from 0 to 100, received '101'", None),
    (["x", "x=1", "--by-hand", "--rounding", "up"], "--rounding: invalid choice: 'up'", None),
    (["x", "x=1", "--svg=f.svg", "--theme=blue"], "--theme: invalid choice: 'blue'", None),
    (["x", "x=1", "--decimals", "2"], "--decimals: only with --by-hand", None),
    (["x", "x=1", "--json", "--rounding", "half-up"], "--rounding: only with --by-hand", None),
    (["x", "x=1", "--theme", "dark"], "--theme: only with --svg or --html", None),
    (["x", "x=1", "--html=f", "--show", "local"], "--show: only with --svg", None),
    (["x", "x=1", "--svg=f", "--html=./f"], "--svg and --html name the same file", None),
    (["lambda*2", "lambda=1"], "'lambda' cannot be a name: it is a keyword of Python", 0),
    (["x + in", "x=1", "in=1"], "'in' cannot be a name", 4),
    (["rate", "rate=1", "--wrt", "raet"], "'raet' is no input; did you mean 'rate'?", None),
    (["x", "x=1", "--wrt", ""], "'' is no input", None),
    (["x", "x=1", "--wrt", "x,"], "'' is no input", None),
    (["rate", "rate=1", "--explain", "raet"], "'raet' is no input; did you mean 'rate'?", None),
    (["pi", "--explain", "pi"], "'pi' is no input", None),
    (["x", "x=1", "--explain", ""], "'' is no input", None),
    (["x" + "+x" * 500, "x=1", "--svg", "f.svg"], "501 nodes; at most 500 are drawn", None),
    (["x", "y" * 5000 + "=1"], "'x' has no value", 0),
    (["x", "y" * 5000 + "=" + "z" * 5000], "gives no number", None),
    (["x", "x=" + "z" * 5000], "gives no number", None),
    (["x", *(f"y{i}=1" for i in range(2000))], "given but not used: y0, y1,", 0),
    (["x", "z" * 5000], "is not of the form NAME=NUMBER", None),
]


@pytest.mark.parametrize(
    ("argv", "message", "column"),
    UNREADABLE,
    ids=[" ".join(word[:20] for word in argv) or "nothing" for argv, _, _ in UNREADABLE],
)
def test_bad_input(run, tmp_path, monkeypatch, argv, message, column):
    monkeypatch.chdir(tmp_path)
    code, output, errors = run(*argv)
    first, *excerpt = errors.splitlines()
    assert (2, "") == (code, output)
    assert first.startswith("autograd: ")
    assert message in first
    assert len(first) < 200
    if column is not None:
        text, caret = excerpt
        assert " " * (column + 2) + "^" == caret
        assert len(text) <= 80
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("", "Is a directory"),
        (".", "Is a directory"),
        ("missing/neuron.svg", "No such file or directory"),
        ("file/neuron.svg", "Not a directory"),
        ("n" * 300, "File name too long"),
        ("null\0", "null"),
    ],
)
def test_unwritable_drawing(run, tmp_path, monkeypatch, file, reason):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    code, output, errors = run(*ARGUMENTS, "--svg", file)
    assert (2, "") == (code, output)
    assert errors.startswith(f"autograd: --svg: cannot write {file!r}: ")
    assert reason in errors
    assert [Path("file")] == list(Path().iterdir())


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs permissions that bind")
@pytest.mark.parametrize("protected", ["folder", "folder/neuron.svg"])
def test_protected_drawing(run, tmp_path, protected):
    file = tmp_path / "folder" / "neuron.svg"
    file.parent.mkdir()
    file.write_text("precious")
    (tmp_path / protected).chmod(stat.S_IRUSR | stat.S_IXUSR)
    code, output, errors = run(*ARGUMENTS, "--svg", str(file))
    assert (2, "") == (code, output)
    assert "Permission denied" in errors
    assert "precious" == file.read_text()


def test_a_full_disk_leaves_the_old_drawing(run, tmp_path, monkeypatch):
    file = tmp_path / "neuron.svg"
    file.write_text("precious")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    code, output, errors = run(*ARGUMENTS, "--svg", str(file))
    assert (2, "") == (code, output)
    assert f"autograd: --svg: cannot write {str(file)!r}: No space left on device\n" == errors
    assert {file: "precious"} == {path: path.read_text() for path in tmp_path.iterdir()}


def test_an_interruption_is_quiet_and_leaves_the_old_drawing(run, tmp_path, monkeypatch):
    file = tmp_path / "neuron.svg"
    file.write_text("precious")

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupt)
    assert (130, "", "") == run(*ARGUMENTS, "--svg", str(file))
    assert {file: "precious"} == {path: path.read_text() for path in tmp_path.iterdir()}


@pytest.mark.skipif(os.name == "nt", reason="needs a shell script as a program")
def test_a_broken_dot_program(run, tmp_path, monkeypatch):
    program = tmp_path / "dot"
    program.write_text("#!/bin/sh\nwhile read -r line; do :; done\nexit 3\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    code, output, errors = run(*ARGUMENTS, "--svg", str(tmp_path / "neuron.svg"))
    assert (code, output) == (2, "")
    assert errors.startswith("autograd: --svg: Graphviz failed: ")
    assert errors.count("\n") == 1
    assert list(tmp_path.iterdir()) == [program]


def test_bad_input_leaves_the_old_drawing(run, tmp_path):
    file = tmp_path / "neuron.svg"
    file.write_text("precious")
    assert 2 == run(NEURON, "--svg", str(file))[0]
    assert "precious" == file.read_text()


EXPRESSIONS = ["x", "y", "x*y", "-x", "--x*y", "max(x,y)", "exp(x", "(x)", "1/0", "pi", "-"]
ASSIGNMENTS = ["x=1", "y=2", "x=inf", "x=", "="]
OPTIONS = [
    *["--json", "--latex", "--flat", "--check", "--wrt", "--wrt=x", "--explain", "--explain=y"],
    *["--by-hand", "--decimals", "--decimals=2", "--rounding=half-up", "--digits", "--digits=3"],
]
OTHERS = ["--", "-h", "--version", "--x"]
WORDS = st.sampled_from([*EXPRESSIONS, *ASSIGNMENTS, *OPTIONS, *OTHERS])


@given(st.lists(WORDS | st.text(max_size=20), max_size=8))
def test_any_arguments_end_in_an_exit_code(argv):
    argv = [word for word in argv if not word.startswith("--svg")]
    with (
        contextlib.redirect_stdout(io.StringIO()) as output,
        contextlib.redirect_stderr(io.StringIO()) as errors,
    ):
        code = cli.main(argv)
    assert code in (0, 2) or (code == 1 and "--check" in argv)
    assert bool(code) == bool(errors.getvalue()) != bool(output.getvalue())


# Processes.


def test_module(tmp_path):
    file = tmp_path / "neuron.svg"
    finished = process(*ARGUMENTS, "--svg", str(file), encoding="utf-8")
    assert 0 == finished.returncode
    assert "∂f/∂w0 = -0.1966" in finished.stdout
    assert autograd.to_svg(neuron()[1]) == file.read_text(encoding="utf-8")


def test_module_on_bad_input():
    finished = process("x +", "x=1", encoding="utf-8")
    message = "autograd: something is missing or out of place here\n  x +\n     ^\n"
    assert (2, "", message) == (finished.returncode, finished.stdout, finished.stderr)


def test_a_pipe_that_closes_early():
    command = [sys.executable, "-m", "autograd", "+".join(f"x*{i}" for i in range(1400)), "x=2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        running.stdout.readline()
        running.stdout.close()
        assert b"" == running.stderr.read()
        assert 0 == running.wait(60)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_an_output_that_cannot_be_written():
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "autograd", "x", "x=2"]
        finished = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, encoding="utf-8", check=False
        )
    expected = "autograd: cannot write the output: No space left on device\n"
    assert (2, expected) == (finished.returncode, finished.stderr)


def test_an_encoding_without_our_signs():
    finished = process(*ARGUMENTS, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (0, b"") == (finished.returncode, finished.stderr)
    assert rb"\u2202f/\u2202w0 = -0.1966" in finished.stdout
