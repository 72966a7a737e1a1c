"""The two installers of Wix: of the legacy OAuth flow, and of the external install flow."""

from __future__ import annotations

from typing import Final
from urllib.parse import SplitResult, urlsplit

from wix_asgi.testing.fake_wix._grants import Grants
from wix_asgi.testing.fake_wix._proofs import InstallTokens, sign_instance
from wix_asgi.testing.fake_wix._wire import add_query
from wix_asgi.testing.fake_wix.installer import (
    EXTERNAL_INSTALL_PATH,
    INSTALL_PATH,
    Installer,
    InstallerRefused,
    InstallRequest,
)
from wix_asgi.testing.fake_wix.world import World, site_id

__all__ = ["Installers"]

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class LegacyInstaller(Installer):
    """The installer of the legacy OAuth flow: approving brings a code.

    Begun outside Wix and without a redirect URL, it only picks the site, and leads to the App URL
    with a token: the app redirects a second time, and the first state is lost.
    """

    path = INSTALL_PATH

    def __init__(self, world: World, grants: Grants, tokens: InstallTokens) -> None:
        super().__init__(world)
        self._grants = grants
        self._tokens = tokens

    def read(self, query: str) -> InstallRequest:
        """Check `token`, `appId`, `redirectUrl` and `state`."""
        values = self._parameters(query, known=("token", "appId", "redirectUrl", "state"))
        site = self._site_of(values.get("token"))
        redirect_url = values.get("redirectUrl", "")
        is_from_wix, is_named = site is not None, "redirectUrl" in values
        if is_from_wix or is_named:
            self._check_redirect_url(redirect_url)
        if is_from_wix or (is_named and not self._world.outside_installs_pass_app_url):
            return InstallRequest(redirect_url, values.get("state"), site)
        if self._world.app_url is None:
            raise InstallerRefused("This app has no App URL.")
        return InstallRequest(self._world.app_url, is_site_picker=True)

    def approve(self, request: InstallRequest, instance_id: str | None = None) -> str:
        """Return the redirect URL with a code for the site, or the App URL with a token."""
        instance_id = instance_id or request.instance_id
        if request.instance_id not in {None, instance_id}:
            raise InstallerRefused("The token is for another site.")
        site = self._world.site(instance_id)
        if request.is_site_picker:
            return add_query(request.redirect_url, token=self._tokens.issue(site))
        if self._world.installs_at_consent:
            self._grants.installations.add(site)
        return _back(request, code=self._grants.issue_code(site), instanceId=site)

    def cancel(self, request: InstallRequest) -> str | None:
        """Return the redirect URL with `error=access_denied`."""
        if request.is_site_picker or not self._world.cancel_redirects:
            return None
        return _back(request, error="access_denied")

    def _check_redirect_url(self, redirect_url: str) -> None:
        known = self._world.redirect_urls
        allowed = _web_address(redirect_url) if known is None else redirect_url in known
        # New apps have no field for it in Wix's dashboard.
        if not allowed or self._world.flow != "advanced":
            raise InstallerRefused("We couldn't find an app with this redirect url")

    def _site_of(self, token: str | None) -> str | None:
        if token is None:
            return None
        instance_id = self._tokens.read(token)
        if instance_id not in self._world.sites:
            raise InstallerRefused("This installation has not been begun here: unknown token.")
        return instance_id


class ExternalInstaller(Installer):
    """The installer of the external install flow: approving installs, and brings no code."""

    path = EXTERNAL_INSTALL_PATH

    def __init__(self, world: World, grants: Grants) -> None:
        super().__init__(world)
        self._grants = grants

    def read(self, query: str) -> InstallRequest:
        """Check `appId`, `postInstallationUrl` and `shareUrlId`."""
        values = self._parameters(query, known=("appId", "postInstallationUrl", "shareUrlId"))
        url = values.get("postInstallationUrl", "")
        parts = _web_address(url)
        if parts is None or not (parts.scheme == "https" or parts.hostname in _LOOPBACK):
            raise InstallerRefused("postInstallationUrl must be an https address.")
        known = self._world.redirect_urls
        # The callback's own query is free: it is where the state of this flow is.
        if known is not None and parts._replace(query="").geturl() not in known:
            raise InstallerRefused("postInstallationUrl is no address of this app.")
        return InstallRequest(url)

    def approve(self, request: InstallRequest, instance_id: str | None = None) -> str:
        """Install the app, and return the callback with the four parameters of Wix."""
        site = self._world.site(instance_id)
        self._grants.installations.add(site)
        answer = {
            "appId": self._world.app_id,
            "tenantId": site_id(site),
            "instanceId": site,
            "signedInstance": sign_instance(self._world, site, {}),
        }
        if self._world.external_install_override is not None:
            answer = dict(self._world.external_install_override(answer))
        return add_query(request.redirect_url, **answer)

    def cancel(self, request: InstallRequest) -> str | None:
        """Return the callback without the four parameters."""
        return request.redirect_url if self._world.cancel_redirects else None


class Installers:
    """The installers by the paths of their URLs."""

    def __init__(self, world: World, grants: Grants, tokens: InstallTokens) -> None:
        installers = [LegacyInstaller(world, grants, tokens), ExternalInstaller(world, grants)]
        self._by_path: dict[str, Installer] = {it.path: it for it in installers}

    def at(self, path: str) -> Installer:
        """Return the installer with this path.

        Raises:
            InstallerRefused: No installer has it.
        """
        if path not in self._by_path:
            raise InstallerRefused(f"not an installer URL: its path is {path!r}")
        return self._by_path[path]

    def approve(self, installer_url: str, instance_id: str | None) -> str:
        """Approve a whole installer URL."""
        url = urlsplit(installer_url)
        installer = self.at(url.path)
        return installer.approve(installer.read(url.query), instance_id)

    def cancel(self, installer_url: str) -> str | None:
        """Cancel a whole installer URL."""
        url = urlsplit(installer_url)
        installer = self.at(url.path)
        return installer.cancel(installer.read(url.query))


def _back(request: InstallRequest, **answer: str) -> str:
    state = {} if request.state is None else {"state": request.state}
    return add_query(request.redirect_url, **answer, **state)


def _web_address(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    is_web = parts.scheme in {"http", "https"} and parts.hostname and not parts.fragment
    return parts if is_web else None
