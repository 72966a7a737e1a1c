"""The cookie of a session is sealed: nothing else is a session, and it is good for nothing else."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.handshake.handshaking import call_back, reason_of, state_of
from tests.identity.signing import BASE64URL, GOOD, OLD_SECRET, SECRET, settings
from tests.identity.visiting import NOBODY, PREFIX, installed, opened, outcome, visited
from tests.support import SITE, Browser
from wix_asgi.errors import UnsealError
from wix_asgi.identity._session_seal import Session, SessionSeal
from wix_asgi.sealing.vault import Vault
from wix_asgi.testing import FakeWix
from wix_asgi_backends.memory import MemoryStorage

KEYS = [base64.b64encode(bytes(range(start, start + 32))).decode() for start in (0, 32)]
SEAL = SessionSeal(settings())
SESSION = Session(SITE, datetime.now(UTC).isoformat(), 1.5, {"uid": "user-1"})
NAME = SEAL.name_of(SITE)


def sealed(seal: SessionSeal = SEAL, session: Session = SESSION) -> str:
    """Return the value of a session's cookie."""
    value = seal.seal(session)
    assert value is not None
    return value


def test_a_session_is_read_as_it_was_sealed() -> None:
    """The name tells no instance ID, and the value is a cookie's as it stands (RFC 6265, 4.1.1)."""
    value = sealed()

    assert SESSION == SEAL.open(NAME, value)
    assert {*value} <= {*BASE64URL}
    assert NAME.startswith(PREFIX)
    assert SITE not in NAME
    assert sealed() != value


def test_every_changed_character_is_refused() -> None:
    """Each character in turn, replaced by each other one, makes the cookie none (R59)."""
    value = sealed()
    opened = [
        changed
        for place in range(len(value))
        for other in BASE64URL
        if (changed := value[:place] + other + value[place + 1 :]) != value
        and SEAL.open(NAME, changed) is not None
    ]

    assert [] == opened


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value[:-1],
        lambda value: value + "A",
        lambda value: value + "=",
        lambda value: f" {value}",
        lambda value: value.replace(value[5], "é", 1),
        lambda value: value[: len(value) // 2],
        lambda value: value * 40,
        lambda _: "",
        lambda _: "=",
        lambda _: "A",
    ],
)
def test_another_text_is_refused(change: Any) -> None:
    """A text of another length or other characters is no session, and raises nothing."""
    assert SEAL.open(NAME, change(sealed())) is None


def test_every_changed_character_of_the_name_is_refused() -> None:
    """A session belongs to its cookie, and so to its site: it cannot be given another's name."""
    digits = [place for place in range(len(NAME)) if NAME[place].isalnum()]
    names = [NAME[:place] + "z" + NAME[place + 1 :] for place in digits]

    assert [None] * len(digits) == [SEAL.open(name, sealed()) for name in names]


@pytest.mark.parametrize(
    "other",
    [
        {"app_id": "app-2"},
        {"app_secret": OLD_SECRET, "previous_app_secrets": [SECRET]},
        {
            "app_secret": OLD_SECRET,
            "previous_app_secrets": [SECRET],
            "previous_secrets_until": "2099-01-01T00:00:00Z",
        },
        {"encryption_keys": [KEYS[0]]},
    ],
)
def test_other_keys_do_not_open_it(other: dict[str, Any]) -> None:
    """Another app's keys do not, nor those of an app whose secret or key was changed (R57)."""
    seal = SessionSeal(settings(**other))

    assert seal.open(seal.name_of(SITE), sealed()) is None
    assert SEAL.open(NAME, sealed(seal)) is None


def test_previous_keys_do_not_open_it() -> None:
    """Of the encryption keys the first one counts alone, though all of them open tokens (R57)."""
    before = SessionSeal(settings(encryption_keys=[KEYS[0]]))
    rotated = SessionSeal(settings(encryption_keys=[KEYS[1], KEYS[0]]))
    same = SessionSeal(settings(encryption_keys=[KEYS[0], KEYS[1]]))

    assert rotated.open(NAME, sealed(before)) is None
    assert SESSION == same.open(NAME, sealed(before))


def test_a_token_of_the_storage_is_no_session() -> None:
    """The keys differ, and each seal says what it is the seal of (R31)."""
    own = settings()
    names = [NAME, SITE]
    tokens = [
        Vault(own.key_ring()).seal("[]", app_id="app-1", instance_id=name, field=field)
        for name in names
        for field in ("session", "refresh_token")
    ]
    values = [base64.urlsafe_b64encode(token).rstrip(b"=").decode() for token in tokens]
    raw = base64.urlsafe_b64decode(sealed() + "===")

    assert [None] * 4 == [SEAL.open(NAME, value) for value in values]
    for field in ("session", "refresh_token", "access_token"):
        with pytest.raises(UnsealError):
            Vault(own.key_ring()).unseal(raw, app_id="app-1", instance_id=SITE, field=field)


VALUES = {
    "an instance": GOOD,
    "its signature": GOOD.partition(".")[0],
    "a list": "[]",
    "a name": NAME,
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_other_values_of_ours_are_no_session(value: str) -> None:
    """A signed instance, a signature, a payload: none of them opens (R31)."""
    assert SEAL.open(NAME, value) is None


async def test_a_state_and_a_session_do_not_stand_in_for_each_other(fake: FakeWix) -> None:
    """The cookie of an install is no session, and a session finishes no install (R29, R31)."""
    async with visited(fake) as app:
        browser = await installed(app, fake)
        session = await opened(browser, fake)
        location = await browser.begin(fake)
        (flow,) = {*browser.http.cookies} - {session.name}
        planted = {
            f"{session.name}={browser.http.cookies[flow]}",
            f"{session.name}={state_of(location)}",
            f"{flow}={session.value}",
        }
        answers = [
            await Browser(app).http.get("/who", headers={"Cookie": cookie}) for cookie in planted
        ]
        browser.http.cookies.set(flow, session.value, domain="app.example.com", path="/")
        refused = await call_back(browser, fake.approve(location))
        used = await Browser(app).http.get("/who", headers={"Authorization": session.value})
        queried = await Browser(app).http.get("/who", params={"instance": session.value})

    assert [NOBODY] * 3 == [outcome(answer) for answer in answers]
    assert (403, "browser_mismatch") == reason_of(refused)
    assert NOBODY == outcome(used)
    assert (401, 'Wix error="forged"') == outcome(queried)


async def test_a_planted_session_is_none(fake: FakeWix) -> None:
    """The session that follows an install is a new one, whatever cookie was there before (R29)."""
    async with visited(fake) as app:
        browser = Browser(app)
        name = (await opened(await installed(app, fake), fake)).name
        browser.http.cookies.set(name, "planted", domain="app.example.com", path="/")
        before = await browser.http.get("/who")
        await browser.install(fake)
        after = await browser.http.get("/who")

    assert NOBODY == outcome(before)
    assert SITE == outcome(after)
    assert "planted" != browser.http.cookies[name]


async def test_a_rotation_ends_sessions_and_keeps_installations(fake: FakeWix) -> None:
    """With a new secret the tokens are read by the old one, and its sessions are over (R57)."""
    storage = MemoryStorage()
    async with visited(fake, storage=storage) as app:
        browser = await installed(app, fake)
        await opened(browser, fake)
    previous, fake.app_secret = fake.app_secret, "fake-app-secret-9876543210"
    async with visited(fake, storage=storage, previous_app_secrets=[previous]) as app:
        browser = Browser(app, cookies=browser.http.cookies)
        over = await browser.http.get("/who")
        await opened(browser, fake)
        again = await browser.http.get("/who")

    assert [NOBODY, SITE] == [outcome(answer) for answer in (over, again)]
