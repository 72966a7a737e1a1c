"""Hints in the log where a request comes by another address than the settings say."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import pytest

from tests.engine import ManualClock
from tests.middleware.probes import CALLBACK, INSTALL, Probe, call, http_scope, is_ours
from tests.support import make_wix
from wix_asgi import WixMiddleware
from wix_asgi._addresses import routes
from wix_asgi.testing import FakeWix


def wrapped(**options: Any) -> WixMiddleware:
    """Return a middleware in front of an app that answers 204."""
    return WixMiddleware(Probe(), make_wix(FakeWix(), **options))


def from_host(*values: str, path: str = INSTALL, **more: Any) -> dict[str, Any]:
    """Return the scope of a request with these headers `Host`."""
    headers = [(b"host", value.encode("latin-1")) for value in values]
    return dict(http_scope(path, headers=headers, **more))


def hints(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the hints that were logged."""
    assert all(record.levelno == logging.WARNING for record in caplog.records)
    return caplog.messages


DIFFERENT_HOSTS = [
    ("http://127.0.0.1:8000", "localhost:8000", "localhost"),
    ("http://localhost:8000", "127.0.0.1:8000", "127.0.0.1"),
    ("http://localhost:8000", "[::1]:8000", "::1"),
    ("https://example.com", "www.example.com", "www.example.com"),
    ("https://www.example.com", "Example.COM.:443", "example.com"),
    ("https://app.example.com", "app.internal", "app.internal"),
]


@pytest.mark.parametrize(("public_url", "host", "told"), DIFFERENT_HOSTS)
async def test_another_host_is_told(
    public_url: str, host: str, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An App URL that is opened at another host is told: the cookie would not come back."""
    app = wrapped(public_url=public_url)
    (start, _) = await call(app, from_host(host))
    location = dict(start["headers"])[b"location"].decode()
    (hint,) = hints(caplog)

    assert f"the App URL was opened at host {told}, and public_url is {public_url}: " in hint
    assert "browser_mismatch" in hint
    assert host.partition(":")[0].lower() not in location.replace(public_url, "")


async def test_another_host_of_an_install_link_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """In the external install flow the address is an install link, and no App URL."""
    app = wrapped(flow="client_credentials")
    await call(app, from_host("other.example.com"))
    await call(app, from_host("app.example.com", path=f"{INSTALL}/"))
    host, slash = hints(caplog)

    assert "the install link was opened at host other.example.com" in host
    assert "publish that, without a slash at its end" in slash


SAME_HOSTS: list[Iterable[str]] = [
    ["app.example.com"],
    ["APP.example.com:443"],
    ["app.example.com."],
    [],
    [""],
    ["evil example"],
    ["evil\x1b[2J"],
    ["forged, incident 0123"],
    ["a" * 300 + ".example"],
    ["x" * 5_000_000],
]


@pytest.mark.parametrize("hosts", SAME_HOSTS, ids=lambda hosts: ascii(hosts)[:20])
async def test_the_same_host_and_nonsense_are_not_told(
    hosts: Iterable[str], caplog: pytest.LogCaptureFixture
) -> None:
    """The right host needs no line, and text that is no host never comes into the log (R36)."""
    assert await is_ours(wrapped(), from_host(*hosts))
    assert [] == hints(caplog)


async def test_the_host_that_a_proxy_names_is_compared(caplog: pytest.LogCaptureFixture) -> None:
    """A proxy that changes Host and names the browser's beside it needs no line."""
    app = wrapped()
    scope = from_host("backend:8000")
    scope["headers"].append((b"x-forwarded-host", b"app.example.com, proxy.internal"))
    await call(app, scope)

    assert [] == hints(caplog)


@pytest.mark.parametrize(
    "scope",
    [
        from_host("localhost", path=CALLBACK),
        {**from_host("localhost"), "method": "HEAD"},
        from_host("localhost", path="/elsewhere"),
    ],
    ids=["callback", "probe", "foreign path"],
)
async def test_other_requests_are_not_compared(
    scope: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Only a browser that opens the App URL tells an address: Wix chose that of the callback."""
    await call(wrapped(), scope)

    assert not [message for message in caplog.messages if "localhost" in message]


MOUNTS = [
    ("https://app.example.com", "/sub", "/sub"),
    ("https://app.example.com/shop", "/sub/", "/sub"),
    ("https://app.example.com", "/forged, incident 0123", "another path"),
]


@pytest.mark.parametrize(("public_url", "root_path", "told"), MOUNTS)
async def test_another_mount_is_told(
    public_url: str, root_path: str, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An app that is mounted elsewhere than public_url says is told where browsers will go."""
    await call(wrapped(public_url=public_url), http_scope(INSTALL, root_path=root_path))
    (hint,) = hints(caplog)

    assert f"the App URL was opened below {told}, and public_url is {public_url}: " in hint
    assert f"Wix sends browsers back to {public_url}/wix/callback " in hint


@pytest.mark.parametrize(
    ("public_url", "root_path"),
    [
        ("https://app.example.com/shop", "/shop"),
        ("https://app.example.com/shop", ""),
        ("https://app.example.com/caf%C3%A9", "/caf\xe9"),
        ("https://app.example.com", ""),
    ],
)
async def test_the_right_mount_is_not_told(
    public_url: str, root_path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The mount of public_url needs no line; nor does a proxy that removes it from paths."""
    await call(wrapped(public_url=public_url), http_scope(INSTALL, root_path=root_path))

    assert [] == hints(caplog)


async def test_a_server_without_root_path_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """With the mount in the path and no root_path the request is the app's, and the log says so."""
    app = wrapped(public_url="https://app.example.com/shop")
    ours = await is_ours(app, http_scope("/shop/wix/install"))
    await is_ours(app, http_scope("/shop/shop/wix/install", root_path="/shop"))
    (hint,) = hints(caplog)

    assert not ours
    assert hint.startswith("a request for /shop/wix/install is left to the app, since ")
    assert "set it to /shop," in hint


SLASHES = [
    ({}, "/wix/install/", "https://app.example.com/wix/install", "without a slash at its end"),
    ({}, "/wix/callback/", "https://app.example.com/wix/callback", "without a slash at its end"),
    (
        {"install_path": "/begin/"},
        "/begin",
        "https://app.example.com/begin/",
        "with a slash at its end",
    ),
]


@pytest.mark.parametrize(("options", "path", "url", "told"), SLASHES)
async def test_a_slash_at_the_end_is_told(
    options: dict[str, Any], path: str, url: str, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A path that differs by a slash is the app's (R45), and the log says what to enter at Wix."""
    app = wrapped(**options)
    ours = await is_ours(app, http_scope(path))
    (hint,) = hints(caplog)

    assert not ours
    assert f"its path differs from {url} by a slash: " in hint
    assert told in hint


async def test_two_paths_that_differ_by_a_slash_are_both_ours() -> None:
    """A hint takes no path away: a callback path may be the install path with a slash."""
    app = wrapped(callback_path="/wix/install/")

    assert await is_ours(app, http_scope("/wix/install"))
    assert await is_ours(app, http_scope("/wix/install/"))


async def test_hints_are_one_a_minute_and_kind(caplog: pytest.LogCaptureFixture) -> None:
    """However often strangers choose a Host, each kind of hint is one line a minute (R49)."""
    clock = ManualClock()
    wix = make_wix(FakeWix())
    found = routes(wix.settings, wix.handshake, clock=clock)
    for number in range(60):
        assert wix.handshake.install is found[INSTALL](from_host(f"host-{number}", root_path="/x"))
        assert found[f"{INSTALL}/"](http_scope(f"{INSTALL}/")) is None
        clock.advance(1)
    found[INSTALL](from_host("last"))

    assert 4 == len(hints(caplog))
    assert "at host last," in caplog.messages[3]
    assert caplog.messages[3].endswith(" (and 59 more before it)")


def test_foreign_paths_are_looked_up_in_one_dict() -> None:
    """The paths that are taken for ours are keys beside them, so foreign paths cost no more."""
    wix = make_wix(FakeWix(), public_url="https://app.example.com/shop")
    own = {INSTALL, CALLBACK}
    near = {f"{path}/" for path in own} | {f"/shop{path}" for path in own}

    assert own | near == set(routes(wix.settings, wix.handshake))
