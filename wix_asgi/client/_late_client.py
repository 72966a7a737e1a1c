"""A client that is built when an attribute of its httpx part is first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

__all__ = ["LateClient"]


class LateClient:
    """The base, before the class of httpx, of a client that is made for each request.

    Most are never used, so that no Python runs where one is made. `_build_httpx_part` calls the
    `__init__` of httpx by the name of its class: `super()` would find that of `object`.
    """

    __slots__ = ()

    if TYPE_CHECKING:

        def __init__(self) -> None: ...

    else:
        __init__ = object.__init__

    def __getattr__(self, name: str) -> Any:
        """Build the httpx part when an attribute of it is first asked for."""
        attributes = self.__dict__
        if "_built" not in attributes:
            set_early = dict(attributes)
            attributes["_built"] = True
            self._build_httpx_part()
            attributes.update(set_early)
        # Raises again the error of a property, or the one for an attribute that does not exist.
        return object.__getattribute__(self, name)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"A {type(self).__name__} belongs to its process: pass the instance id instead."
        )

    def _build_httpx_part(self) -> None: ...
