"""Django behind the middleware: the client, pages, and what its defaults keep out of the iframe."""

from __future__ import annotations

import json
import pickle
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.exceptions import ImproperlyConfigured
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import RequestFactory, override_settings
from django.urls import path
from django.views.decorators.clickjacking import xframe_options_deny

from tests.client.clients import install
from tests.frameworks.wsgi_calls import Site, call
from tests.support import PUBLIC_URL, SITE, make_wix
from wix_asgi import (
    NotInstalled,
    SyncWixClient,
    WixClient,
    WixMiddleware,
    WixWSGIMiddleware,
)
from wix_asgi._http import httpx
from wix_asgi.concurrency.portal import portal
from wix_asgi.django import WixRequestMiddleware
from wix_asgi.testing import FakeWix

PAGE = {"Accept": "text/html,*/*;q=0.8"}
ANCESTORS = "frame-ancestors https://*.wix.com https://wix.example"

settings.configure(
    SECRET_KEY="test-secret-key",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    SESSION_COOKIE_SAMESITE="None",
    SESSION_COOKIE_SECURE=True,
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
        "wix_asgi.django.WixRequestMiddleware",
    ],
)


async def echo(request: HttpRequest) -> Any:
    """Ask Wix for what was asked of us."""
    return JsonResponse((await request.wix.get("/x")).json())


def echo_by_wsgi(request: HttpRequest) -> Any:
    """Ask Wix for what was asked of us, without an event loop."""
    assert isinstance(request.wix, SyncWixClient)
    return JsonResponse(request.wix.get("/x").json())


def visit(request: HttpRequest) -> Any:
    """Begin a session of Django, and set cookies of the view."""
    request.session["visits"] = 1
    response = HttpResponse("welcome")
    response.set_cookie("lax", "1", samesite="Lax", secure=True)
    response.set_cookie("lax", "2", samesite="Lax", secure=True)
    response.headers["Content-Security-Policy"] = "img-src 'self'"
    return response


def alone(_request: HttpRequest) -> Any:
    """Be a page that no iframe shows."""
    return HttpResponse("alone")


def framed(_request: HttpRequest) -> Any:
    """Be a page that says by itself who may show it."""
    policy = {"Content-Security-Policy": "Frame-Ancestors https://*.wix.com https://other.example"}
    return HttpResponse("framed", headers=policy)


def fail(_request: HttpRequest) -> Any:
    """Have a bug."""
    raise ZeroDivisionError


urlpatterns = [
    path("echo", echo),
    path("echo-by-wsgi", echo_by_wsgi),
    path("visit", visit),
    path("alone", xframe_options_deny(alone)),
    path("framed", framed),
    path("fail", fail),
]


@pytest.fixture(name="anyio_backend")
def _anyio_backend() -> str:
    """Return the one loop that Django knows."""
    return "asyncio"


@asynccontextmanager
async def browsing() -> AsyncIterator[tuple[FakeWix, httpx.AsyncClient]]:
    """Give a Wix, and a browser of an app that is installed on the first site."""
    fake = FakeWix()
    async with make_wix(fake, app_name="Shop Sync") as wix:
        await install(wix, fake)
        transport = httpx.ASGITransport(
            app=WixMiddleware(get_asgi_application(), wix), raise_app_exceptions=False
        )
        async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as http:
            yield fake, http


async def test_request_has_the_client() -> None:
    """`request.wix` is the client of the calling site."""
    async with browsing() as (fake, http):
        answer = await http.get("/echo", params={"instance": fake.signed_instance(SITE)})

    assert (200, SITE) == (answer.status_code, answer.json()["instanceId"])


async def test_refused_person_gets_a_page() -> None:
    """Nobody is 401, a person with a page and a program with JSON; never a 500."""
    async with browsing() as (fake, http):
        page = await http.get("/echo", headers=PAGE)
        program = await http.get("/echo")
        unknown = {"instance": fake.signed_instance("site-unknown")}
        elsewhere = await http.get("/echo", params=unknown)

    assert (401, True) == (page.status_code, "Shop Sync" in page.text)
    assert "X-Frame-Options" not in page.headers
    assert 1 == page.headers["Content-Security-Policy"].count("frame-ancestors")
    assert (401, "no_identity") == (program.status_code, program.json()["error"])
    assert 'Wix error="no_identity"' == program.headers["WWW-Authenticate"]
    assert 403 == elsewhere.status_code


async def test_page_may_be_shown_by_wix_alone() -> None:
    """Django's own headers do not keep a page out of Wix's iframe, and nobody else has one."""
    async with browsing() as (fake, http):
        query = {"instance": fake.signed_instance(SITE)}
        answers = [await http.get(path, params=query) for path in ("/echo", "/visit")]

    assert [ANCESTORS, f"img-src 'self'; {ANCESTORS}"] == [
        answer.headers["Content-Security-Policy"] for answer in answers
    ]
    for answer in answers:
        assert "X-Frame-Options" not in answer.headers
        assert "unsafe-none" == answer.headers["Cross-Origin-Opener-Policy"]


async def test_choice_of_a_view_is_kept() -> None:
    """A view that refuses iframes stays out of all, and one that names its own keeps them."""
    async with browsing() as (_fake, http):
        alone, framed = await http.get("/alone"), await http.get("/framed")

    assert "DENY" == alone.headers["X-Frame-Options"]
    assert "Content-Security-Policy" not in alone.headers
    assert "same-origin" == alone.headers["Cross-Origin-Opener-Policy"]
    assert "https://other.example" in framed.headers["Content-Security-Policy"]
    assert "X-Frame-Options" not in framed.headers


async def test_session_cookie_is_for_wixs_iframe() -> None:
    """A cookie that is `SameSite=None; Secure` is `Partitioned`, too, and no other cookie is."""
    async with browsing() as (_fake, http):
        answer = await http.get("/visit")
    cookies = {
        line.partition("=")[0]: set(line.split("; ")[1:])
        for line in answer.headers.get_list("Set-Cookie")
    }

    assert {"sessionid", "lax"} == set(cookies)
    assert {"SameSite=None", "Secure", "Partitioned"} <= cookies["sessionid"]
    assert "Partitioned" not in cookies["lax"]


@pytest.mark.shows_secrets("Django logs the request that failed")
async def test_other_errors_are_djangos() -> None:
    """A bug is Django's 500, as without the middleware."""
    async with browsing() as (_fake, http):
        answer = await http.get("/fail")

    assert 500 == answer.status_code


@pytest.fixture(name="site")
def _site() -> Iterator[Site]:
    """Give a site with the app, whose browser is in front of Django's WSGI app."""
    fake = FakeWix()
    wix = make_wix(fake, app_name="Shop Sync")
    site = Site(WixWSGIMiddleware(get_wsgi_application(), wix), fake)
    site.install()
    yield site
    portal().call(wix.aclose)


def test_request_by_wsgi_has_the_sync_client(site: Site) -> None:
    """`request.wix` is the calling site's client of `environ["wix"]`, and nobody else has one."""
    answer = site.open("/echo-by-wsgi")
    page = call(site.app, "/echo-by-wsgi", HTTP_ACCEPT=PAGE["Accept"])
    program = call(site.app, "/echo-by-wsgi")

    assert (200, SITE) == (answer.status, json.loads(answer.body)["instanceId"])
    assert (401, True) == (page.status, b"Shop Sync" in page.body)
    assert 1 == page.headers["Content-Security-Policy"].count("frame-ancestors")
    assert (401, "no_identity") == (program.status, json.loads(program.body)["error"])
    assert 'Wix error="no_identity"' == program.headers["WWW-Authenticate"]


def test_page_by_wsgi_may_be_shown_by_wix_alone(site: Site) -> None:
    """The headers and cookies of an answer are those that it has on ASGI."""
    visited, alone, framed = (site.open(path) for path in ("/visit", "/alone", "/framed"))
    cookies = visited.headers.get_list("Set-Cookie")

    assert f"img-src 'self'; {ANCESTORS}" == visited.headers["Content-Security-Policy"]
    assert "unsafe-none" == visited.headers["Cross-Origin-Opener-Policy"]
    assert "X-Frame-Options" not in visited.headers
    assert "DENY" == alone.headers["X-Frame-Options"]
    assert "Content-Security-Policy" not in alone.headers
    assert "https://other.example" in framed.headers["Content-Security-Policy"]
    assert {"sessionid": True, "lax": False} == {
        line.partition("=")[0].strip(): line.endswith("; Partitioned") for line in cookies
    }


def test_session_by_wsgi_begins() -> None:
    """The answer of a view that was opened by Wix has the session of its site (R59)."""
    fake = FakeWix()
    wix = make_wix(fake, session=True)
    site = Site(WixWSGIMiddleware(get_wsgi_application(), wix), fake)
    site.install()
    opened = site.open("/echo-by-wsgi")
    cookie = opened.headers["Set-Cookie"].partition(";")[0]
    further = call(site.app, "/echo-by-wsgi", HTTP_COOKIE=cookie)
    portal().call(wix.aclose)

    assert [SITE, SITE] == [json.loads(each.body)["instanceId"] for each in (opened, further)]


@pytest.mark.shows_secrets("Django logs the request that failed")
def test_other_errors_by_wsgi_are_djangos(site: Site) -> None:
    """A bug is Django's 500, as without the middleware."""
    answer = site.open("/fail")

    assert 500 == answer.status


def test_request_by_wsgi_without_ours_passes() -> None:
    """Without a middleware of ours in front there is no client, and nothing changes."""
    request = RequestFactory().get("/")
    response = HttpResponse("x")
    middleware = WixRequestMiddleware(lambda _: response)

    assert response is middleware(request)
    assert not hasattr(request, "wix")
    assert middleware.process_exception(request, NotInstalled()) is None


def test_middleware_of_a_synchronous_chain() -> None:
    """Behind a middleware that is not async, Django calls ours without a loop."""
    fake = FakeWix()
    request = RequestFactory().get("/")
    client = make_wix(fake).client(SITE)
    request.scope = {"type": "http", "headers": [], "state": {"wix": client}}
    middleware = WixRequestMiddleware(lambda _: HttpResponse("x"))
    response = middleware(request)
    refused = middleware.process_exception(request, NotInstalled())

    assert isinstance(request.wix, WixClient)
    assert ANCESTORS == response.headers["Content-Security-Policy"]
    assert 403 == refused.status_code


def test_cookies_can_be_cached() -> None:
    """Django's cache pickles responses: their cookies stay as they are."""
    request = RequestFactory().get("/")
    request.scope = {
        "type": "http",
        "headers": [],
        "state": {"wix": make_wix(FakeWix()).client(SITE)},
    }
    response = WixRequestMiddleware(lambda _: HttpResponse("x"))(request)
    response.set_cookie("a", "b c", samesite="None", secure=True)
    copied = pickle.loads(pickle.dumps(response.cookies))  # noqa: S301

    assert response.cookies["a"].OutputString() == copied["a"].OutputString()
    assert copied["a"].OutputString().endswith("; Partitioned")


def test_policy_of_django_has_its_place() -> None:
    """Django 6 would leave out `SECURE_CSP` in front of us, so the app does not start."""
    django, ours = "django.middleware.csp.ContentSecurityPolicyMiddleware", settings.MIDDLEWARE[-1]
    with override_settings(MIDDLEWARE=[ours, django]):
        WixRequestMiddleware(visit)
    with (
        override_settings(MIDDLEWARE=[django, ours]),
        pytest.raises(ImproperlyConfigured, match="SECURE_CSP"),
    ):
        WixRequestMiddleware(visit)
