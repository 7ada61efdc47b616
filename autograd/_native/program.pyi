"""The types of the module that runs compiled programs natively."""

from collections.abc import Callable
from typing import Any

row_texts: tuple[tuple[str, str, str], ...]
versions: tuple[str, ...]

def use(name: str, /) -> None: ...
def set_transforming(depth: int, /) -> None: ...

class Entry:
    target: Callable[..., Any]
    def __init__(self, owner: Any, name: str, target: Callable[..., Any]) -> None: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...

class Program:
    def __init__(
        self, code: Any, terms: Any, constants: Any, inputs: int, outputs: Any
    ) -> None: ...
    def bind(
        self,
        arguments: tuple[Any, ...],
        axes: tuple[int | None, ...],
        results: Any,
        modes: str,
        captured: tuple[Any, ...],
        threads: int,
        otherwise: Callable[..., Any],
    ) -> Callable[..., Any]: ...
