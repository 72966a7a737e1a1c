"""The pages for a site owner's browser: my sites, the consent page, the end of an install."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from wix_asgi.testing.fake_wix._grants import Grants
from wix_asgi.testing.fake_wix._installers import Installers
from wix_asgi.testing.fake_wix._pages import (
    close_window_page,
    consent_page,
    dashboard_page,
    message_page,
    sites_page,
)
from wix_asgi.testing.fake_wix._proofs import InstallTokens, sign_instance
from wix_asgi.testing.fake_wix._wire import add_query, parse_query
from wix_asgi.testing.fake_wix.deliveries import Delivery
from wix_asgi.testing.fake_wix.installer import (
    DASHBOARD_PATH,
    Installer,
    InstallerRefused,
    InstallRequest,
)
from wix_asgi.testing.fake_wix.world import World

__all__ = ["BrowserPages"]

_NO_STORE = {"cache-control": "no-store", "referrer-policy": "no-referrer"}

_OTHER_NAMES: Final = {"127.0.0.1": "localhost", "localhost": "127.0.0.1", "::1": "localhost"}
"""Names of this machine: a page at one of them is of another site than a page at the other."""


class BrowserPages:
    """The pages under www.wix.com."""

    def __init__(
        self,
        world: World,
        grants: Grants,
        tokens: InstallTokens,
        installers: Installers,
        *,
        tell: Callable[[], Awaitable[None]],
        queue_event: Callable[[str, str], object],
        deliveries_of: Callable[[str], Sequence[Delivery]],
    ) -> None:
        self._world = world
        self._grants = grants
        self._tokens = tokens
        self._installers = installers
        self._tell = tell
        self._queue_event = queue_event
        self._deliveries_of = deliveries_of

    def is_browser(self, request: Request) -> bool:
        """Return whether a browser loads a page, and no program calls the API."""
        return (
            request.method in {"GET", "HEAD"}
            and "authorization" not in request.headers
            and "text/html" in request.headers.get("accept", "")
        )

    def wanted(self, request: Request) -> bool:
        """Return whether a browser loads the first page; an API call may have the same path."""
        return request.url.path == "/" and self.is_browser(request)

    async def sites(self, request: Request) -> Response:
        """Show every site, with links that add the app and open it."""
        sites = self._world.sites
        return sites_page(
            sites.items(),
            installed=self._grants.installations.installed,
            links={instance_id: self._links(request, instance_id) for instance_id in sites},
            deliveries={instance_id: self._deliveries_of(instance_id) for instance_id in sites},
            sends_events=self._world.webhook_url is not None,
        )

    async def consent(self, request: Request) -> Response:
        """Ask the site owner for consent."""
        installer = self._installers.at(request.url.path)
        asked = installer.read(request.url.query)
        site = None if asked.instance_id is None else self._world.sites[asked.instance_id]
        return consent_page(
            app_name=self._world.app_name,
            permissions=self._world.permissions,
            site=site,
            choices=self._world.sites,
            action=f"{installer.path}?{request.url.query}",
        )

    async def decide(self, request: Request) -> Response:
        """Carry out the decision of the site owner."""
        installer = self._installers.at(request.url.path)
        asked = installer.read(request.url.query)
        form = dict(parse_qsl((await request.body()).decode(errors="replace")))
        match form.get("decision"):
            case "approve":
                location = _approve(installer, asked, form.get("instanceId"))
                return RedirectResponse(location, 303, _NO_STORE)
            case "cancel":
                return _cancelled(installer, asked)
            case _:
                raise InstallerRefused("The choice is neither to approve nor to cancel.")

    async def dashboard(self, request: Request) -> Response:
        """Show the app in the dashboard of a site: in a frame, with the signed instance."""
        open_url = self._world.open_url()
        try:
            site = self._world.site(request.query_params.get("instanceId", ""))
        except LookupError as exc:
            raise InstallerRefused("There is no such site.") from exc
        if open_url is None:
            raise InstallerRefused("This app has no dashboard page: set dashboard_url.")
        return dashboard_page(
            app_name=self._world.app_name,
            site=self._world.sites[site],
            app=add_query(open_url, instance=sign_instance(self._world, site, {})),
        )

    async def uninstall(self, request: Request) -> Response:
        """Remove the app from a site, and show the sites once the app has been told."""
        site, _ = await self._read_form(request)
        self._grants.uninstall(site)
        await self._tell()
        return RedirectResponse("/", 303, _NO_STORE)

    async def send_event(self, request: Request) -> Response:
        """Send an event of a site, with the data that Wix documents, and show the sites."""
        site, form = await self._read_form(request)
        event_type = form.get("eventType", "").strip()
        if not event_type or self._world.webhook_url is None:
            raise InstallerRefused("An event has a type, and the fake a webhook_url.")
        self._queue_event(event_type, site)
        await self._tell()
        return RedirectResponse("/", 303, _NO_STORE)

    async def _read_form(self, request: Request) -> tuple[str, dict[str, str]]:
        """Return the site that a form names, and all of its fields."""
        form = dict(parse_qsl((await request.body()).decode(errors="replace")))
        try:
            return self._world.site(form.get("instanceId", "")), form
        except LookupError as exc:
            raise InstallerRefused("There is no such site.") from exc

    async def close_window(self, request: Request) -> Response:
        """Show the end of an install to a browser with a live access token."""
        try:
            query = parse_query(request.url.query, known=("access_token",))
        except ValueError as exc:
            raise InstallerRefused("This address is malformed.") from exc
        grant = self._grants.of_app(query.get("access_token", ""))
        if grant is None or grant.instance_id is None:
            raise InstallerRefused("The access token is unknown or has expired.")
        return close_window_page(
            site=self._world.sites[grant.instance_id],
            open_url=self._open(request, grant.instance_id),
        )

    def _links(self, request: Request, instance_id: str) -> dict[str, str]:
        links: dict[str, str] = {}
        if self._world.app_url is not None:
            # Only in the legacy flow does Wix hand the App URL a token of the site.
            is_legacy = self._world.flow == "advanced"
            token = {"token": self._tokens.issue(instance_id)} if is_legacy else {}
            links["Add to site"] = add_query(self._world.app_url, **token)
        open_url = self._open(request, instance_id)
        if open_url is not None:
            links["Open the app"] = open_url
        return links

    def _open(self, request: Request, instance_id: str) -> str | None:
        """Return the dashboard of a site, at another site than the app, as Wix is; or None."""
        open_url = self._world.open_url()
        if open_url is None:
            return None
        url = urlsplit(add_query(DASHBOARD_PATH, instanceId=instance_id))
        own = request.url
        if own.hostname in _OTHER_NAMES and own.hostname == urlsplit(open_url).hostname:
            port = "" if own.port is None else f":{own.port}"
            url = url._replace(scheme=own.scheme, netloc=f"{_OTHER_NAMES[own.hostname]}{port}")
        return urlunsplit(url)


def _approve(installer: Installer, asked: InstallRequest, instance_id: str | None) -> str:
    try:
        return installer.approve(asked, instance_id)
    except LookupError as exc:
        raise InstallerRefused("There is no such site.") from exc


def _cancelled(installer: Installer, asked: InstallRequest) -> Response:
    location = installer.cancel(asked)
    if location is None:
        return message_page("Nothing was added", "You may close this window.")
    return RedirectResponse(location, 303, _NO_STORE)
