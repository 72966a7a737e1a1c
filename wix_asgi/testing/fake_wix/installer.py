"""The installer: the checks of the consent page, and the redirects of its two buttons."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from wix_asgi.testing.fake_wix._grants import Grants
from wix_asgi.testing.fake_wix._proofs import InstallTokens
from wix_asgi.testing.fake_wix._wire import MalformedQuery, add_query, parse_query
from wix_asgi.testing.fake_wix.world import World

__all__ = ["CLOSE_WINDOW_PATH", "INSTALL_PATH", "InstallRequest", "Installer", "InstallerRefused"]

INSTALL_PATH = "/installer/install"
CLOSE_WINDOW_PATH = "/installer/close-window"
_PARAMETERS = ("token", "appId", "redirectUrl", "state")


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
    """

    redirect_url: str
    state: str | None
    instance_id: str | None


class Installer:
    """Checks installer URLs at least as strictly as Wix, and answers for the site owner."""

    def __init__(self, world: World, grants: Grants, tokens: InstallTokens) -> None:
        self._world = world
        self._grants = grants
        self._tokens = tokens

    def read_url(self, installer_url: str) -> InstallRequest:
        """Check a whole installer URL.

        Raises:
            InstallerRefused: It is no installer URL, or its query is refused.
        """
        url = urlsplit(installer_url)
        if url.path != INSTALL_PATH:
            raise InstallerRefused(f"not an installer URL: its path is {url.path!r}")
        return self.read(url.query)

    def read(self, query: str) -> InstallRequest:
        """Check the query of an installer URL.

        Raises:
            InstallerRefused: A parameter is missing, repeated, empty, unknown or wrong.
        """
        try:
            values = parse_query(query, known=_PARAMETERS)
        except ValueError as exc:
            reason = exc if isinstance(exc, MalformedQuery) else "the query is not UTF-8"
            raise InstallerRefused(f"This address is malformed: {reason}.") from exc
        if values.get("appId") != self._world.app_id:
            raise InstallerRefused("We couldn't find an app with this ID")
        redirect_url = self._redirect_url(values.get("redirectUrl", ""))
        return InstallRequest(redirect_url, values.get("state"), self._site_of(values.get("token")))

    def approve(self, request: InstallRequest, instance_id: str | None = None) -> str:
        """Return the URL to which approving leads, with a code for the site.

        Raises:
            InstallerRefused: The token belongs to another site than `instance_id`.
            LookupError: The site does not exist.
        """
        instance_id = instance_id or request.instance_id
        if request.instance_id not in {None, instance_id}:
            raise InstallerRefused("The token is for another site.")
        site = self._world.site(instance_id)
        answer = {"code": self._grants.issue_code(site), "instanceId": site}
        return self._back(request, answer)

    def cancel(self, request: InstallRequest) -> str | None:
        """Return the URL to which cancelling leads; None if the browser stays with Wix."""
        if not self._world.cancel_redirects:
            return None
        return self._back(request, {"error": "access_denied"})

    def _back(self, request: InstallRequest, answer: dict[str, str]) -> str:
        state = {} if request.state is None else {"state": request.state}
        return add_query(request.redirect_url, **answer, **state)

    def _redirect_url(self, redirect_url: str) -> str:
        known = self._world.redirect_urls
        allowed = _is_web_address(redirect_url) if known is None else redirect_url in known
        if not allowed:
            raise InstallerRefused("We couldn't find an app with this redirect url")
        return redirect_url

    def _site_of(self, token: str | None) -> str | None:
        if token is None:
            return None
        instance_id = self._tokens.read(token)
        if instance_id not in self._world.sites:
            raise InstallerRefused("This installation has not been begun here: unknown token.")
        return instance_id


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and not parts.fragment
