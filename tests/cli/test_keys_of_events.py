"""`wix-asgi keys rotate` with events in the inbox."""

from __future__ import annotations

import pytest

from tests.cli.commands import run, seal
from tests.cli.kept_events import change, keep
from tests.operations.events import MAIL, event, id_of
from tests.operations.sealed import LOST, NEW, OLD
from wix_asgi.sealing.vault import Vault
from wix_asgi.webhooks.inbox import Inbox

pytestmark = pytest.mark.usefixtures("kept_inbox")


@pytest.fixture(name="url")
def _url(request: pytest.FixtureRequest) -> str:
    return f"kept://{request.node.name}"


def use(monkeypatch: pytest.MonkeyPatch, *keys: bytes) -> None:
    """Set the keys of the environment."""
    monkeypatch.setenv("WIX_ENCRYPTION_KEYS", ",".join(key.hex() for key in keys))


def test_the_inbox_is_resealed(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second line counts events; afterwards the new key alone opens them (R33)."""
    seal(url, "site-a", key=OLD)
    use(monkeypatch, OLD)
    keep("first", "second")
    use(monkeypatch, NEW, OLD)
    keep("third")
    result = run("keys", "rotate")
    use(monkeypatch, NEW)

    async def read(inbox: Inbox) -> str:
        kept = await inbox.find(id_of("first"))
        assert kept is not None
        return inbox.unseal(kept)

    key = Vault([NEW]).newest_id

    assert (0, "") == (result.exit_code, result.stderr)
    assert [
        f"kept://…: 1 installation: 1 resealed with key {key}, 0 already new, 0 unreadable.",
        f"kept://…: 3 events: 2 resealed with key {key}, 1 already new, 0 unreadable.",
    ] == result.stdout.splitlines()
    assert event("first").text == change(read)


def test_events_of_a_lost_key_are_a_failure(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are counted by the missing key, and the status is 1 (R33, R35)."""
    seal(url, "site-a", key=OLD)
    use(monkeypatch, LOST)
    keep("first", "second")
    use(monkeypatch, NEW, OLD)
    result = run("keys", "rotate")

    assert 1 == result.exit_code
    assert (
        "wix-asgi: 2 events cannot be read; nothing was changed there. "
        "Neither in WIX_ENCRYPTION_KEYS nor derived from WIX_APP_SECRET or "
        f"WIX_PREVIOUS_APP_SECRETS: key {Vault([LOST]).newest_id} (2).\n"
    ) == result.stderr
    assert MAIL not in result.output


def test_progress_of_events_is_shown(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `--verbose` there is a line on stderr for every thousand events."""
    seal(url, "site-a", key=NEW)
    use(monkeypatch, NEW)
    keep(*(f"event-{number}" for number in range(1001)))

    assert run("keys", "rotate", "--verbose").stderr.startswith("1,000 events: 0 resealed ")


def test_storages_without_an_inbox_have_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a storage keeps no events, installations alone are counted."""
    monkeypatch.setenv("WIX_STORAGE", "plain://")
    result = run("keys", "rotate")

    assert 1 == result.exit_code
    assert 1 == result.stdout.count("\n")
