"""Values by name that are read from a request, and that nothing shows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar, overload

__all__ = ["HiddenValues"]

V = TypeVar("V")
D = TypeVar("D")


class HiddenValues(Generic[V]):
    """Values by name, read as a mapping is; it is none.

    Error trackers walk through the mappings, sequences and sets among the locals of a frame, and
    never ask them for a repr. All other objects they show by their repr, which here has no value.
    """

    __slots__ = ("_values",)

    def __init__(self, values: dict[str, V]) -> None:
        """Take over `values`."""
        self._values = values

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self._values)}>"

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, name: str) -> V:
        return self._values[name]

    @overload
    def get(self, name: str) -> V | None: ...
    @overload
    def get(self, name: str, default: D) -> V | D: ...
    def get(self, name: str, default: D | None = None) -> V | D | None:
        """Return the value of this name, or `default`."""
        return self._values.get(name, default)
