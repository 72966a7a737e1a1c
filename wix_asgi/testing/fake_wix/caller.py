"""A caller of an app in tests: the owner of a site, as Wix proves it to the app."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["FakeCaller"]


@dataclass(frozen=True, slots=True)
class FakeCaller:
    """A caller with a signed instance, to be sent in the query or in a header of a request.

    Attributes:
        instance_id: The site of the caller.
        instance: The signed instance.
    """

    instance_id: str
    instance: str = field(repr=False)

    @property
    def params(self) -> dict[str, str]:
        """The query by which Wix opens the app's page in a dashboard."""
        return {"instance": self.instance}

    @property
    def headers(self) -> dict[str, str]:
        """The headers by which the page's own scripts call the app."""
        return {"Authorization": self.instance}
