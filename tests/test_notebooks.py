"""What every notebook keeps to, as committed; `execute_notebooks.py` runs them."""

import ast
import re
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from execute_notebooks import FOLDER, NOTEBOOKS, VARIES, read, warnings

ALLOWED = {
    *sys.stdlib_module_names,
    *("autograd", "nn", "numpy", "scipy", "matplotlib", "sklearn", "optuna"),
    *("ipywidgets", "IPython"),
}
"""What a notebook may import."""

MACHINE_PATH = re.compile(r"(?<![\w.)/])(/(home|root|tmp|usr|work|Users|opt|var)/|[A-Z]:\\+Users)")

HEADING = re.compile(r"### Exercise \d")

LARGEST = 1_000_000
"""How many bytes a notebook may have."""

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in code(notebook) for output in cell.outputs]


def kinds(notebook: Any) -> set[str]:
    """The MIME types of all outputs."""
    return {kind for output in outputs(notebook) for kind in output.get("data", {})}


def imports(cell: Any) -> set[str]:
    """The packages that a cell imports."""
    nodes = list(ast.walk(ast.parse(cell.source)))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.partition(".")[0] for name in names}


def test_notebooks_are_numbered_and_alone_in_their_folder() -> None:
    names = [path.name for path in FOLDER.iterdir() if not path.name.startswith(".")]
    assert sorted(path.name for path in NOTEBOOKS) == sorted(names)
    numbers = [re.sub(r"^(\d\d)_[a-z0-9_]+$", r"\1", path.stem) for path in NOTEBOOKS]
    assert sorted({number for number in numbers if len(number) == 2}) == numbers


@every_notebook
def test_it_opens_with_what_you_will_be_able_to_do(path: Path) -> None:
    first = read(path).cells[0]
    assert first.cell_type == "markdown"
    title, _, rest = first.source.partition("\n")
    assert re.fullmatch("# .+", title)
    assert "After this notebook you can" in rest
    assert 3 <= len(re.findall(r"^[-*] .", rest, re.MULTILINE)) <= 5


@every_notebook
def test_it_ends_with_exercises_and_checked_answers(path: Path) -> None:
    cells = read(path).cells
    (start,) = [i for i, cell in enumerate(cells) if "## Exercises" in cell.source.splitlines()]
    questions = [
        line for cell in cells[start:] for line in cell.source.splitlines() if HEADING.match(line)
    ]
    answers = [c for c in cells[start:] if c.cell_type == "code" and "assert " in c.source]
    assert 3 <= len(questions) <= 5
    assert len(questions) <= len(answers)


@every_notebook
def test_it_is_committed_as_it_ran_from_first_to_last_cell(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    cells = code(notebook)
    assert list(range(1, len(cells) + 1)) == [cell.execution_count for cell in cells]
    assert [f"cell-{i}" for i in range(len(notebook.cells))] == [c.id for c in notebook.cells]
    assert {"kernelspec"} == notebook.metadata.keys()
    assert [] == [c.id for c in notebook.cells if c.metadata not in ({}, {"tags": [VARIES]})]


@every_notebook
def test_it_shows_pictures_and_neither_errors_nor_warnings(path: Path) -> None:
    notebook = read(path)
    assert kinds(notebook) & {"image/svg+xml", "image/png", "text/html"}
    assert [] == [o for o in outputs(notebook) if o.output_type == "error"]
    assert [] == [text for cell in code(notebook) for text in warnings(cell)]


@every_notebook
def test_it_stands_alone_and_is_small(path: Path) -> None:
    notebook = read(path)
    assert set() == set().union(*map(imports, code(notebook))) - ALLOWED
    text = re.sub(r'"image/png": "[^"]*"', "", path.read_text("utf-8"))
    assert [] == [match[0] for match in MACHINE_PATH.finditer(text)]
    assert path.stat().st_size < LARGEST
