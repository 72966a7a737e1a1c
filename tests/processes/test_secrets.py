"""No secret is in the output of a server, nor in its database (R32, R35)."""

from __future__ import annotations

import functools
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.processes.apps import App, Secrets, at_once, running
from wix_asgi._http import httpx
from wix_asgi.testing import DEMO_SITES, FakeWix

pytestmark = pytest.mark.processes

BAKERY, YOGA, PAPER = DEMO_SITES
DONE = [
    "DEBUG wix_asgi.transport",
    "DEBUG aiosqlite",
    "installed",
    "refused: state_reused",
    "refused: wix_unavailable",
    "refused: state_invalid",
    "refused: exchange_rejected",
    "refused: browser_mismatch",
]
"""Words that must be in the log, so that the search for secrets had something to search."""


async def use(app: App, http: httpx.AsyncClient) -> None:
    """Use the app as people use apps, the wrong uses included."""
    fake = app.fake
    callback = await app.begin(http, BAKERY)
    app.secrets.note((await http.get(callback)).headers["Location"], "access_token")
    await http.get(callback)
    await http.get("/products", params=app.opened_by(BAKERY))
    await http.get("/products", headers={"Authorization": app.opened_by(BAKERY)["instance"]})
    fake.expire_access_tokens(BAKERY)
    call = functools.partial(http.get, "/products", params=app.opened_by(BAKERY))
    await at_once([call] * 5)
    fake.fail("/oauth/access", status=500, times=None)
    await http.get(await app.begin(http, YOGA))
    fake.expire_access_tokens(BAKERY)
    await call()
    fake.heal()
    fake.fail("/oauth/access", kind="drop")
    await http.get(await app.begin(http, YOGA))
    fake.uninstall(BAKERY)
    await call()
    await http.get(f"{await app.begin(http, PAPER)}x")
    await http.get((await app.begin(http, PAPER)).replace("code=", "code=test-code-nobody-issued"))
    async with app.browser() as other:
        await other.get(await app.begin(http, PAPER))


def read_database(room: Path) -> dict[str, bytes]:
    """Return the bytes of the database's files, by name."""
    return {path.name: path.read_bytes() for path in room.glob("wix-asgi.db*")}


async def test_secrets_are_nowhere(fake: FakeWix, tmp_path: Path) -> None:
    """Codes, states, cookies, tokens, secrets: none is printed at DEBUG, none is in the files."""
    with running(
        fake, f"sqlite:///{tmp_path}/wix-asgi.db", room=tmp_path, log_level="debug"
    ) as app:
        async with app.browser() as http:
            await use(app, http)
        files = read_database(tmp_path)
        app.server.stop()
    files |= read_database(tmp_path)
    app.secrets.note_calls(fake)
    app.secrets.values |= {quote(value) for value in app.secrets.values}
    printed = app.server.output

    assert len(app.secrets.values) > 20
    assert "GET /wix/callback?code=***" in printed
    assert [] == [words for words in DONE if words not in printed]
    assert [] == app.secrets.found_in(printed.encode())
    assert BAKERY.encode() in b"".join(files.values())
    assert {name: [] for name in files} == {
        name: app.secrets.found_in(data) for name, data in files.items()
    }


def test_the_search_finds_what_is_there() -> None:
    """Were a secret there, the test above would see it."""
    secrets = Secrets()
    secrets.note("https://app.example.com/?code=the-test-code&state=the-test-state", "code")

    assert ["est-code"] == secrets.found_in(b"GET /?code=the-test-code&state=the-test-state")
