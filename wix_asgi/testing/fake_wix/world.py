"""The state of a fake Wix: an app, some sites, a clock, and switches for its behaviour."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlsplit
from wsgiref.types import WSGIApplication

from starlette.types import ASGIApp

from wix_asgi.testing.fake_wix._products import make_products
from wix_asgi.testing.fake_wix.clock import Clock

__all__ = ["CLIENT_CREDENTIALS_SECONDS", "DEMO_SITES", "FakeSite", "World", "owner_id", "site_id"]

DEMO_SITES: Final[Mapping[str, str]] = {
    "1f0c7a52-3b7e-4c0e-9a51-0b6f6a1e5d01": "Corner Bakery",
    "2a9d41c8-6f13-4e2b-8c77-5d2c9b3f7e02": "Lighthouse Yoga",
    "3c5e8b16-92d4-47af-b0e3-8a7f4c6d9b03": "Paper & Ink",
}
# Seconds: "always 14400" (Wix, "Create Access Token").
CLIENT_CREDENTIALS_SECONDS: Final = 14_400.0

_PERMISSIONS = ("Manage your app", "Read your site's name and address", "Read your products")


@dataclass(frozen=True, slots=True)
class FakeSite:
    """A site with products of its own, for the `sites` of a `FakeWix`.

    Attributes:
        name: The name of the site.
        products: The products that `/stores/v1/products/query` sends for the site, as Wix would
            send them; the fields that the app reads are enough.
    """

    name: str
    products: Sequence[Mapping[str, Any]]


class World:
    """The state of a fake Wix that a test may read and change while it is in use.

    Attributes:
        app_id: The ID of the only app.
        app_secret: The secret key of the app.
        flow: How the app is installed: "advanced" (the legacy OAuth flow, whose App URL gets a
            token), or "client_credentials" (the external install flow; the legacy installer knows
            no redirect URL of such an app).
        app_name: The name of the app on the consent page and the dashboard.
        app_url: The URL behind "Add to site"; None hides that link.
        dashboard_url: The page of the app that the dashboard of a site frames, behind "Open the
            app"; None means `/` on the origin of `app_url`.
        redirect_urls: The exact URLs to which the installers may lead back, without the query that
            the callback of the external install flow may have; None allows every URL.
        permissions: The permissions that the consent page lists.
        sites: The name of every site, by instance ID.
        clock: The clock by which codes and tokens expire, and events are repeated.
        host_clock: The clock of the app's host, which dates signed instances and events, in seconds
            since the epoch: real time, unless the app under test reads another.
        url: The origin of all pages and endpoints.
        rotate_refresh_tokens: A refresh spends its refresh token and answers with a new token.
        answer_without_refresh_token: A refresh is answered with an access token alone.
        cancel_redirects: Cancel leads back with `error=access_denied`, or in the external install
            flow without a parameter; else the browser stays with Wix.
        token_info_in_strings: "true" and "1715096067" as Wix documents them; else true and numbers.
        outside_installs_pass_app_url: An install that was begun outside Wix leads to the App URL,
            even where it names a redirect URL; of Wix this is not documented.
        admits_client_credentials: The app may have tokens by its own credentials; else it uses
            custom authentication still.
        expires_in: The lifetime in seconds that the answer to client credentials tells; None leaves
            it out, and a value that makes no sense is sent as it is.
        client_credentials_wrapped: The form of that answer and its refusals, which Wix documents:
            `{"statusCode": …, "body": …}` with the body as "text" or as an "object"; None for the
            plain form, which is the form that was seen.
        uninstalled_refusal: Status and error code of client credentials for a site that had the
            app; of Wix only the 404 for a site that never had it is known.
        client_refusal: Status and error code of the token endpoints for a wrong app ID or secret.
        webhook_url: The target of the events that installs, uninstalls and copies of sites cause
            from now on: a URL, or an app in this process; None for no events.
        holds_events: Such events wait for `send_queued`; else they are sent with the next request
            to the fake, right after its answer.
        delivery_timeout: Seconds of real time after which a delivery without an answer is given up;
            a minute by default, since a test runs on busy machines.
        subscriptions: The types of the events that `webhook_url` gets; None for all.
        installs_at_consent: In the legacy flow the app is on the site from the consent on; else
            from the exchange of the code on. Of Wix this is not documented.
        repeats_keep_webhook_id: A repeated event has the `webhookId` of the first attempt; else a
            new one. Of Wix this is not documented.
        repeats_are_signed_anew: A repeated event has the `iat` of its repetition; else that of the
            first attempt. Of Wix this is not documented.
        origins: The installation that a copied site comes from, by the instance ID of the copy.
        api_key: The only credential of App Installations Query; None for access tokens of the app.
        token_info_override: A function from the true answer of token-info to the answer to send.
        external_install_override: A function from the four parameters that an external install adds
            to the callback to the parameters to add.
    """

    def __init__(
        self,
        *,
        app_id: str,
        app_secret: str,
        redirect_urls: Sequence[str] | None,
        app_url: str | None,
        app_name: str,
        dashboard_url: str | None,
        clock: Clock | None,
        sites: Mapping[str, str | FakeSite] | None,
        rotate_refresh_tokens: bool,
        url: str,
    ) -> None:
        self.app_id = app_id
        self.app_secret = app_secret
        self.flow: Literal["advanced", "client_credentials"] = "advanced"
        self.app_name = app_name
        self.app_url = app_url
        self.dashboard_url = dashboard_url
        self.redirect_urls = redirect_urls
        self.permissions: Sequence[str] = _PERMISSIONS
        self.sites: dict[str, str] = {}
        self._products: dict[str, list[dict[str, Any]]] = {}
        self._given: dict[str, FakeSite] = {}
        for instance_id, site in (DEMO_SITES if sites is None else sites).items():
            self._begin_site(instance_id, site)
        self.clock = clock or Clock()
        self.host_clock: Callable[[], float] = time.time
        self.url = url.rstrip("/")
        self.rotate_refresh_tokens = rotate_refresh_tokens
        self.answer_without_refresh_token = False
        self.cancel_redirects = True
        self.token_info_in_strings = True
        self.outside_installs_pass_app_url = False
        self.admits_client_credentials = True
        self.expires_in: Any = int(CLIENT_CREDENTIALS_SECONDS)
        self.client_credentials_wrapped: Literal["text", "object"] | None = None
        self.uninstalled_refusal: tuple[int, str] = (404, "not_found")
        self.client_refusal: tuple[int, str] = (401, "invalid_client")
        self.webhook_url: str | ASGIApp | WSGIApplication | None = None
        self.holds_events = False
        self.delivery_timeout = 60.0
        self.subscriptions: Collection[str] | None = None
        self.installs_at_consent = False
        self.repeats_keep_webhook_id = True
        self.repeats_are_signed_anew = False
        self.origins: dict[str, str] = {}
        self.api_key: str | None = None
        self.token_info_override: Callable[[dict[str, Any]], Mapping[str, Any]] | None = None
        self.external_install_override: Callable[[dict[str, str]], Mapping[str, str]] | None = None

    def add_site(self, name: str, instance_id: str | None = None) -> str:
        """Add a site, or rename an existing site, and return its instance ID."""
        instance_id = instance_id or str(uuid.uuid4())
        self.sites[instance_id] = name
        return instance_id

    def products(self, instance_id: str | None = None) -> list[dict[str, Any]]:
        """Return the products of this site or the first site; changing the list changes the site.

        A site has three made-up products to begin with, unless it is a `FakeSite` with others.

        Raises:
            LookupError: The site does not exist.
        """
        instance_id = self.site(instance_id)
        if instance_id not in self._products:
            self._products[instance_id] = make_products(instance_id, self.sites[instance_id])
        return self._products[instance_id]

    def site(self, instance_id: str | None = None) -> str:
        """Return `instance_id`, or the instance ID of the first site.

        Raises:
            LookupError: The site does not exist.
        """
        if instance_id is None:
            instance_id = next(iter(self.sites), "")
        if instance_id not in self.sites:
            raise LookupError(f"no site has the instance ID {instance_id!r}: add_site() adds one")
        return instance_id

    def id_of(self, site: FakeSite) -> str:
        """Return the instance ID of a `FakeSite` that this fake Wix was made with.

        Raises:
            LookupError: It was not made with this one.
        """
        for instance_id, given in self._given.items():
            if given is site:
                return instance_id
        raise LookupError(f"the site {site.name!r} is not one of this FakeWix")

    def instance_id_of(self, site: str | FakeSite | None) -> str:
        """Return the instance ID of a site by any of its names; None names the first site.

        Raises:
            LookupError: The site does not exist.
        """
        return self.id_of(site) if isinstance(site, FakeSite) else self.site(site)

    def open_url(self) -> str | None:
        """Return the URL that opens the app, without the signed instance, or None."""
        if self.dashboard_url is not None or self.app_url is None:
            return self.dashboard_url
        return urlsplit(self.app_url)._replace(path="/", query="", fragment="").geturl()

    def _begin_site(self, instance_id: str, site: str | FakeSite) -> None:
        if isinstance(site, FakeSite):
            self._products[instance_id] = [dict(product) for product in site.products]
            self._given[instance_id] = site
            site = site.name
        self.sites[instance_id] = site


def owner_id(instance_id: str) -> str:
    """Return the Wix user ID of the owner of a site."""
    return hashlib.sha256(f"owner of {instance_id}".encode()).hexdigest()[:32]


def site_id(instance_id: str) -> str:
    """Return the site ID of an installation: it differs from the instance ID, and never changes."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"fake-wix:site:{instance_id}"))
