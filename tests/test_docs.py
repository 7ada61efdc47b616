"""The documentation names only what there is, and every worked example."""

import importlib
import re
from pathlib import Path

import pytest
from lectures import EXAMPLES

FOLDER = Path(__file__).parent.parent / "docs"
TECHNIQUES = (FOLDER / "techniques.md").read_text("utf-8")
LINKS = dict(re.findall(r"^\[(.+)\]: (.+)$", TECHNIQUES, re.MULTILINE))
TEXT = re.sub(r"^\[.+\]: .+$", "", TECHNIQUES, flags=re.MULTILINE)
ROWS = [line.strip("|").split("|") for line in TEXT.splitlines() if line.startswith("| ")]


@pytest.mark.parametrize("target", LINKS.values())
def test_a_file_that_is_linked_exists(target: str) -> None:
    assert (FOLDER / target).exists()


def test_links_are_defined_and_used() -> None:
    assert set(re.findall(r"\[(\w+)\]", TEXT)) == LINKS.keys()


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`((?:nn|autograd)\.[\w.]+)`", TEXT))))
def test_a_name_of_the_packages_exists(name: str) -> None:
    package, *attributes = name.split(".")
    thing = importlib.import_module(package)
    for attribute in attributes:
        thing = getattr(thing, attribute)


def test_every_worked_example_is_named_and_no_other() -> None:
    cells = [row[3] for row in ROWS if len(row) == 4]
    assert EXAMPLES.keys() == set(re.findall(r"`(\w+)`", "".join(cells)))


def test_every_row_says_where() -> None:
    silent = [row for row in ROWS if len(row) == 4 and not row[2].strip(" -")]
    assert [] == silent
