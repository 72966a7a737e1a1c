"""Installs through a real nginx, with the configuration that docs/servers.md shows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.ecosystem.proxied import PAGE, Site, behind, changed_snippet, find
from tests.processes.apps import Secrets
from tests.servers import free_port
from tests.support import SITE

BELOW = {"location / ": "location /shop/ ", ":8000;": ":8000/;"}
"""The changes for an app below a path, as the page has them."""

FOREIGN = f"utm_campaign={'x' * 7_000}"
"""A parameter with which the address of a callback is 12 kB long."""

MAIN = """
daemon off;
error_log {room}/errors.log;
events {{}}
http {{
    client_body_temp_path {room}/body;
    proxy_temp_path {room}/proxy;
    fastcgi_temp_path {room}/fastcgi;
    uwsgi_temp_path {room}/uwsgi;
    scgi_temp_path {room}/scgi;
    {snippet}
}}
"""


@contextmanager
def behind_nginx(room: Path, path: str = "", **changed: str) -> Iterator[Site]:
    """Serve an app at `path`, with this snippet or the page's."""
    port, upstream = free_port(), free_port()
    changes = {
        "listen 443 ssl;": f"listen 127.0.0.1:{port};",
        "/var/log/nginx/app.log": f"{room}/access.log",
        "/var/log/nginx/app-errors.log": f"{room}/app-errors.log",
        ":8000": f":{upstream}",
        **changed,
    }
    snippet = changed_snippet("nginx", {**BELOW, **changes} if path else changes)
    configuration = room / "nginx.conf"
    user = "user root;" if os.getuid() == 0 else ""
    configuration.write_text(user + MAIN.format(room=room, snippet=snippet), "utf-8")
    nginx = [find("nginx"), "-p", str(room), "-c", str(configuration)]
    nginx += ["-e", str(room / "errors.log"), "-g", f"pid {room}/nginx.pid;"]
    with behind(nginx, room, port=port, upstream=upstream, path=path) as site:
        yield site


@pytest.mark.parametrize("path", ["", "/shop"])
def test_an_install_through_nginx(tmp_path: Path, path: str) -> None:
    """By the page's configuration installs of any size work, and no log has a secret (R35)."""
    secrets = Secrets()
    with behind_nginx(tmp_path, path) as site:
        callback = site.fake.approve(site.begin())
        secrets.note(callback, "code", "state")
        finished = site.browser.get(f"{callback}&{FOREIGN}")
        instance = site.fake.signed_instance(SITE)
        called = site.browser.get(f"{site.url}/products", params={"instance": instance})
        longest = site.browser.get(f"{site.url}/wix/install", params={"token": "t" * 4_096})
        refused = site.browser.get(f"{site.url}/wix/callback", headers={"Accept": "text/html"})
        site.app.stop()
        logs = site.log("access.log") + site.log("errors.log") + site.app.output

    assert 12_000 < len(callback) + len(FOREIGN)
    assert 303 == finished.status_code
    assert "/installer/close-window?" in finished.headers["Location"]
    assert {SITE} == site.fake.installed
    assert (200, 303, 400) == (called.status_code, longest.status_code, refused.status_code)
    for answer in (finished, longest, refused):
        assert "unsafe-none" == answer.headers["Cross-Origin-Opener-Policy"]
    assert f"GET {path}/wix/callback" in logs
    assert [] == secrets.found_in(logs.encode())
    assert instance not in logs
    assert "the App URL was opened" not in logs


def test_no_log_has_a_secret_while_the_app_is_down(tmp_path: Path) -> None:
    """An app that is down is a 502 in the access log, and no address is in the error log (R35)."""
    secrets = Secrets()
    with behind_nginx(tmp_path) as site:
        callback = site.fake.approve(site.begin())
        secrets.note(callback, "code", "state")
        instance = site.fake.signed_instance(SITE)
        site.app.stop()
        finished = site.browser.get(callback)
        called = site.browser.get(f"{site.url}/products", params={"instance": instance})
        logs = site.log("access.log") + site.log("errors.log") + site.log("app-errors.log")

    assert [502, 502] == [finished.status_code, called.status_code]
    assert '"GET /wix/callback" 502' in logs
    assert [] == secrets.found_in(logs.encode())
    assert instance not in logs


def test_the_buffers_of_the_snippet_are_needed(tmp_path: Path) -> None:
    """By default nginx refuses addresses over 8 kB, and answers with headers over a page."""
    changed = {
        "large_client_header_buffers 4 32k;": "",
        "proxy_buffer_size 16k;": "proxy_buffer_size 4k;",
        "proxy_buffers 8 16k;": "",
    }
    with behind_nginx(tmp_path, **changed) as site:
        callback = site.fake.approve(site.begin())
        long_address = site.browser.get(f"{callback}&{FOREIGN}")
        long_headers = site.browser.get(f"{site.url}/wix/install", params={"token": "t" * 4_096})
        finished = site.browser.get(callback)

    assert (414, 502, 303) == (
        long_address.status_code,
        long_headers.status_code,
        finished.status_code,
    )


def test_the_page_names_what_changes_below_a_path() -> None:
    """The sentence below the snippet has both lines, as the test uses them."""
    assert "`location /shop/`" in PAGE
    assert "`proxy_pass http://127.0.0.1:8000/;`" in PAGE
