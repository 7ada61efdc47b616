"""Every notebook runs alone and shows the same again: `pytest tests/execute_notebooks.py`."""

# The plain `pytest` leaves this file out, for it takes minutes. Without pytest it writes the
# outputs into notebooks: `python tests/execute_notebooks.py notebooks/01*.ipynb` (or all of them).

import re
import resource
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parent.parent / "notebooks"

NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))

LIMIT = 30.0
"""How many seconds of the processor a notebook may take, with the start of its kernel."""

VARIES = "varies"
"""The tag of a cell whose output is not the same each time, such as a measured time."""

COMPARED = ("text/plain", "text/html", "text/latex", "text/markdown")
"""The kinds of output that are the same on every machine; a drawing depends on its fonts."""


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def executed(path: Path) -> Any:
    """The notebook after all its cells ran in a fresh kernel, in its own folder."""
    notebook = read(path)
    resources = {"metadata": {"path": str(path.parent)}}
    options = {"resources": resources, "record_timing": False, "coalesce_streams": True}
    NotebookClient(notebook, timeout=120, **options).execute()
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"]}
    return notebook


def is_compared(cell: Any) -> bool:
    return cell.cell_type == "code" and VARIES not in cell.metadata.get("tags", [])


def texts(cell: Any) -> list[str]:
    """What a cell wrote, without the addresses of objects, and without drawings."""
    data = [output.data for output in cell.outputs if "data" in output]
    found = ["".join(o.text for o in cell.outputs if o.output_type == "stream")]
    found += [bundle[kind] for bundle in data for kind in COMPARED if kind in bundle]
    shown = [text for text in found if not re.search("(<|&lt;)svg", text)]
    return [re.sub(r"\b0x[0-9a-f]+", "0x…", text) for text in shown]


def warnings(cell: Any) -> list[str]:
    """What a cell wrote to the stream for errors and warnings."""
    return [output.text for output in cell.get("outputs", []) if output.get("name") == "stderr"]


def processor_seconds() -> float:
    """What the kernels that ended have used; their waiting on a shared machine does not count."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_by_itself_and_shows_the_same(path: Path) -> None:
    start = processor_seconds()
    again = executed(path)
    seconds = processor_seconds() - start
    for old, new in zip(read(path).cells, again.cells, strict=True):
        assert [] == warnings(new)
        if is_compared(new):
            assert texts(old) == texts(new), f"of {old.id}:\n{old.source}"
    assert seconds < LIMIT


def main(*names: str) -> None:
    """Execute notebooks and write their outputs into them."""
    for path in map(Path, names or NOTEBOOKS):
        start = time.perf_counter()
        nbformat.write(executed(path), path)
        print(f"{path.name}: {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
