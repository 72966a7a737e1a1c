"""The base of both installers: the checks of an installer URL, and the site owner's decision."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

from wix_asgi.testing.fake_wix._wire import MalformedQuery, parse_query
from wix_asgi.testing.fake_wix.world import World

__all__ = [
    "CLOSE_WINDOW_PATH",
    "DASHBOARD_PATH",
    "EXTERNAL_INSTALL_PATH",
    "INSTALL_PATH",
    "PUBLIC_KEY_PATH",
    "SEND_EVENT_PATH",
    "UNINSTALL_PATH",
    "InstallRequest",
    "Installer",
    "InstallerRefused",
]

INSTALL_PATH = "/installer/install"
EXTERNAL_INSTALL_PATH = "/app-installer"
CLOSE_WINDOW_PATH = "/installer/close-window"
DASHBOARD_PATH = "/dashboard"
UNINSTALL_PATH = "/installer/uninstall"
SEND_EVENT_PATH = "/installer/send-event"
PUBLIC_KEY_PATH = "/public-key"


class InstallerRefused(ValueError):
    """The installer shows an error page, and the browser stays with Wix."""


@dataclass(frozen=True, slots=True)
class InstallRequest:
    """An install for which the site owner's consent is needed.

    Attributes:
        redirect_url: The URL to which both buttons lead back.
        state: The app's state, which is sent back unchanged; None if there is none.
        instance_id: The site of the install; None if the owner picks the site, as in an install
            that began outside Wix.
        is_site_picker: Whether only the site is picked: `redirect_url` is then the App URL, and
            cancelling leads nowhere.
    """

    redirect_url: str
    state: str | None = None
    instance_id: str | None = None
    is_site_picker: bool = False


class Installer(ABC):
    """Checks installer URLs at least as strictly as Wix, and answers for the site owner."""

    path: ClassVar[str]

    def __init__(self, world: World) -> None:
        self._world = world

    @abstractmethod
    def read(self, query: str) -> InstallRequest:
        """Check the query of an installer URL.

        Raises:
            InstallerRefused: A parameter is missing, repeated, empty, unknown or wrong.
        """

    @abstractmethod
    def approve(self, request: InstallRequest, instance_id: str | None = None) -> str:
        """Return the URL to which approving leads.

        Raises:
            InstallerRefused: The install was begun for another site than `instance_id`.
            LookupError: The site does not exist.
        """

    @abstractmethod
    def cancel(self, request: InstallRequest) -> str | None:
        """Return the URL to which cancelling leads; None if the browser stays with Wix."""

    def _parameters(self, query: str, known: Collection[str]) -> dict[str, str]:
        try:
            values = parse_query(query, known=known)
        except ValueError as exc:
            reason = exc if isinstance(exc, MalformedQuery) else "the query is not UTF-8"
            raise InstallerRefused(f"This address is malformed: {reason}.") from exc
        if values.get("appId") != self._world.app_id:
            raise InstallerRefused("We couldn't find an app with this ID")
        return values
