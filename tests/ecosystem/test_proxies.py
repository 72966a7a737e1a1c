"""Installs and webhooks through Caddy, HAProxy and Traefik, configured as docs/servers.md shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.ecosystem.proxied import Site, behind, changed_snippet, find
from tests.processes.apps import Secrets
from tests.servers import free_port
from tests.support import SITE

LONGEST = 16 * 1024
"""Bytes of the longest query that a callback may have."""

ROUTES = """
http:
  routers:
    app: {{rule: "PathPrefix(`/`)", service: app}}
  services:
    app: {{loadBalancer: {{servers: [{{url: "http://127.0.0.1:{upstream}"}}]}}}}
"""
MORE_OF_TRAEFIK = """
global: {{checkNewVersion: false, sendAnonymousUsage: false}}
providers: {{file: {{filename: {room}/routes.yaml}}}}
"""


def _caddy(room: Path, port: int, upstream: int) -> list[str]:
    of_room = f"\tadmin off\n\tstorage file_system {room}"
    changes = {
        "{\n\tlog {\n\t\timport": f"{{\n{of_room}\n\tlog {{\n\t\timport",
        "app.example.com {": f"http://127.0.0.1:{port} {{",
        "/var/log/caddy/app.log": f"{room}/access.log",
        ":8000": f":{upstream}",
    }
    configuration = room / "Caddyfile"
    configuration.write_text(changed_snippet("caddyfile", changes), "utf-8")
    return [find("caddy"), "run", "--config", str(configuration), "--adapter", "caddyfile"]


def _haproxy(room: Path, port: int, upstream: int, **changed: str) -> list[str]:
    changes = {
        ":443 ssl crt /etc/haproxy/app.pem": f"127.0.0.1:{port}",
        ":8000": f":{upstream}",
        **changed,
    }
    configuration = room / "haproxy.cfg"
    configuration.write_text(changed_snippet("haproxy", changes), "utf-8")
    return [find("haproxy"), "-db", "-f", str(configuration)]


def _traefik(room: Path, port: int, upstream: int) -> list[str]:
    snippet = changed_snippet("yaml", {'":443"': f'"127.0.0.1:{port}"'})
    configuration = room / "traefik.yaml"
    configuration.write_text(snippet + MORE_OF_TRAEFIK.format(room=room), "utf-8")
    (room / "routes.yaml").write_text(ROUTES.format(upstream=upstream), "utf-8")
    return [find("traefik"), f"--configFile={configuration}"]


PROXIES = {"caddy": _caddy, "haproxy": _haproxy, "traefik": _traefik}


def _filled(callback: str, length: int) -> str:
    """Return the address with a foreign parameter more, and a query of `length` bytes."""
    start = f"{callback}&utm_campaign="
    return start + "x" * (length - len(urlsplit(start).query))


@contextmanager
def through(configure: Callable[..., list[str]], room: Path, **changed: str) -> Iterator[Site]:
    """Serve an app behind a proxy, with the page's configuration or a change of it."""
    port, upstream = free_port(), free_port()
    command = configure(room, port, upstream, **changed)
    with behind(command, room, port=port, upstream=upstream) as site:
        yield site


def _logs(site: Site) -> str:
    site.app.stop()
    site.proxy.stop()
    written = site.room / "access.log"
    return site.proxy.output + (written.read_text("utf-8") if written.exists() else "")


@pytest.mark.parametrize("name", PROXIES)
def test_an_install_through_a_proxy(tmp_path: Path, name: str) -> None:
    """By the page's configuration queries of 16 kB work, and no log has a secret (R35)."""
    secrets = Secrets()
    with through(PROXIES[name], tmp_path) as site:
        callback = site.fake.approve(site.begin())
        secrets.note(callback, "code", "state")
        finished = site.browser.get(_filled(callback, LONGEST))
        secrets.note(finished.headers["Location"], "access_token")
        instance = site.fake.signed_instance(SITE)
        page = f"{site.url}/products?instance={instance}"
        called = site.browser.get(page, headers={"Referer": page})
        longest = site.browser.get(f"{site.url}/wix/install", params={"token": "t" * 4_096})
        logs = _logs(site)

    assert (303, 200, 303) == (finished.status_code, called.status_code, longest.status_code)
    assert {SITE} == site.fake.installed
    assert "unsafe-none" == finished.headers["Cross-Origin-Opener-Policy"]
    assert "/wix/callback" in logs
    assert 3 == len(secrets.values)
    assert [] == secrets.found_in(logs.encode())
    assert instance not in logs


@pytest.mark.parametrize("name", PROXIES)
def test_no_log_has_a_secret_while_the_app_is_down(tmp_path: Path, name: str) -> None:
    """An app that is down is a 502 or 503, and no address is in the proxy's logs (R35)."""
    secrets = Secrets()
    with through(PROXIES[name], tmp_path) as site:
        callback = site.fake.approve(site.begin())
        secrets.note(callback, "code", "state")
        instance = site.fake.signed_instance(SITE)
        site.app.stop()
        finished = site.browser.get(callback)
        called = site.browser.get(f"{site.url}/products", params={"instance": instance})
        logs = _logs(site)

    assert {finished.status_code, called.status_code} <= {502, 503}
    assert urlsplit(callback).path in logs
    assert [] == secrets.found_in(logs.encode())
    assert instance not in logs


@pytest.mark.parametrize("name", PROXIES)
def test_a_webhook_of_a_megabyte_through_a_proxy(tmp_path: Path, name: str) -> None:
    """The largest event that the app takes gets through; the app itself refuses a larger one."""
    with through(PROXIES[name], tmp_path) as site:
        event = site.fake.make_event("AppInstalled", SITE, "x" * 740_000)
        taken = site.browser.post(f"{site.url}/wix/webhook", content=event.token)
        refused = site.browser.post(f"{site.url}/wix/webhook", content=event.token * 2)

    assert 950_000 < len(event.token) <= 1_000_000
    assert (200, 413) == (taken.status_code, refused.status_code)


def test_haproxy_takes_wixs_addresses_by_default(tmp_path: Path) -> None:
    """Without `tune.bufsize` addresses of 12 kB work, and those over 15 kB are refused."""
    with through(_haproxy, tmp_path, **{"tune.bufsize 32768": ""}) as site:
        callback = site.fake.approve(site.begin())
        too_long = site.browser.get(_filled(callback, LONGEST))
        finished = site.browser.get(_filled(callback, 12_000))

    assert (400, 303) == (too_long.status_code, finished.status_code)
