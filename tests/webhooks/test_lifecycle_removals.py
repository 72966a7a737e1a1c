"""Events of a removal: believed once Wix has said so, and told of once."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
import stamina

from tests.engine import MISCONFIGURED
from tests.handshake.flaky import FlakyStorage
from tests.handshake.handshaking import ACCESS, CREDENTIALS
from tests.support import SITE
from tests.webhooks.lifecycles import DELETED, UPDATED, app_process
from wix_asgi.errors import NotInstalled, WixUnavailable
from wix_asgi.models import GrantType
from wix_asgi.testing import FakeWix

EXTERNAL: dict[str, Any] = {"flow": "client_credentials"}
HOUR_AGO: dict[str, Any] = {"issued_at": time.time() - 3600}
OLD_KEY, NEW_KEY = bytes(range(32)).hex(), bytes(range(1, 33)).hex()


@pytest.fixture(autouse=True)
def no_pauses() -> Iterator[None]:
    """Do not pause between the tries of one question."""
    with stamina.set_testing(True, attempts=3):
        yield


@pytest.fixture(name="options", params=[{}, EXTERNAL], ids=["advanced", "client_credentials"])
def _options(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the settings of each flow, which the browser of a test follows."""
    options: dict[str, Any] = request.param
    monkeypatch.setenv("WIX_FLOW", options.get("flow", "advanced"))
    return options


@pytest.mark.parametrize("event_type", ["AppRemoved", UPDATED, DELETED])
@pytest.mark.parametrize("refusal", [(404, "not_found"), (400, "invalid_grant")])
async def test_removed(options: dict[str, Any], event_type: str, refusal: tuple[int, str]) -> None:
    """Where Wix refuses the installation it is removed, and its token served no more."""
    fake = FakeWix()
    fake.uninstalled_refusal = refusal
    async with app_process(fake, "memory://", **options) as one:
        before = await one.install()
        await one.wix.client(SITE).get("/x")
        fake.uninstall(SITE)
        await one.apply(event_type)
        left = await one.all()
        with pytest.raises(NotInstalled):
            await one.wix.client(SITE).get("/x")

    assert ([], [before]) == (left, one.uninstalled)


@pytest.mark.parametrize(
    ("sent", "pauses"), [({}, [0.0, 0.5, 1.5]), (HOUR_AGO, [0.0])], ids=["recent", "old"]
)
async def test_installed_still(
    options: dict[str, Any],
    sent: dict[str, Any],
    pauses: list[float],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Where Wix grants a token the installation stays, with a line in the log: a reinstall."""
    fake = FakeWix()
    with caplog.at_level(logging.INFO, "wix_asgi"):
        async with app_process(fake, "memory://", **options) as one:
            before = await one.install()
            await one.apply("AppRemoved", **sent)
            after = await one.only()

    assert (before, [], pauses) == (after, one.uninstalled, one.pauses)
    assert "followed by a reinstall" in caplog.text


async def test_wix_hears_of_the_removal_late() -> None:
    """Where its token endpoint is behind its event, it is asked again in a moment."""
    fake = FakeWix()
    async with app_process(fake, "memory://") as one:
        await one.install()

        async def uninstall(seconds: float) -> None:
            if seconds:
                fake.uninstall(SITE)

        one.lifecycle._sleep = uninstall
        await one.apply("AppRemoved")

    assert 1 == len(one.uninstalled)


@pytest.mark.parametrize("fault", [{"status": 503}, {"kind": "drop"}, MISCONFIGURED])
async def test_wix_gives_no_answer(options: dict[str, Any], fault: dict[str, Any]) -> None:
    """The installation stays, and the event is to be tried again; then it removes."""
    fake = FakeWix()
    async with app_process(fake, "memory://", **options) as one:
        await one.install()
        fake.uninstall(SITE)
        fake.fail(CREDENTIALS if options else ACCESS, times=None, **fault)
        with pytest.raises(WixUnavailable):
            await one.apply("AppRemoved")
        stays = await one.all()
        fake.heal()
        await one.apply("AppRemoved")
        left = await one.all()

    assert (1, 0, 1) == (len(stays), len(left), len(one.uninstalled))


async def test_credentials_that_cannot_be_asked_for() -> None:
    """Where the refresh token is refused, and Wix fails beside it, the installation stays."""
    fake = FakeWix()
    async with app_process(fake, "memory://") as one:
        await one.install()
        fake.uninstall(SITE)
        fake.fail(CREDENTIALS, times=None, status=503)
        with pytest.raises(WixUnavailable):
            await one.apply("AppRemoved")

    assert [] == one.uninstalled


@pytest.mark.parametrize("is_gone", [True, False])
@pytest.mark.parametrize("recover", [True, False])
async def test_app_without_client_credentials(*, recover: bool, is_gone: bool) -> None:
    """The refresh token is the question: it is good as long as the app is installed."""
    fake = FakeWix()
    fake.admits_client_credentials = False
    async with app_process(fake, "memory://", recover=recover) as one:
        await one.install()
        if is_gone:
            fake.uninstall(SITE)
        await one.apply("AppRemoved")
        left = await one.all()

    assert (is_gone, is_gone) == (not left, bool(one.uninstalled))


@pytest.mark.parametrize("recover", [True, False])
async def test_no_grant_to_ask_by(*, recover: bool, caplog: pytest.LogCaptureFixture) -> None:
    """The installation stays for good, and an operator is told how to remove it."""
    fake, storage = FakeWix(), FlakyStorage()
    fake.admits_client_credentials = False
    async with app_process(fake, storage, encryption_keys=[OLD_KEY]) as one:
        await one.install()
    fake.uninstall(SITE)
    async with app_process(fake, storage, encryption_keys=[NEW_KEY], recover=recover) as one:
        await one.apply("AppRemoved")
        left = await one.all()

    assert (1, []) == (len(left), one.uninstalled)
    assert "it stays, until `wix.remove()` or `wix-asgi installations remove`" in caplog.text


async def test_lost_key_and_client_credentials() -> None:
    """An installation whose refresh token no key opens is asked for by client credentials."""
    fake, storage = FakeWix(), FlakyStorage()
    async with app_process(fake, storage, encryption_keys=[OLD_KEY]) as one:
        await one.install()
    async with app_process(fake, storage, encryption_keys=[NEW_KEY]) as one:
        await one.apply("AppRemoved")
        stays = await one.only()
        fake.uninstall(SITE)
        await one.apply("AppRemoved")

    assert GrantType.CLIENT_CREDENTIALS is stays.grant
    assert [stays] == one.uninstalled


async def test_rotated_refresh_token_is_kept() -> None:
    """A question by a refresh token ends that token: the next one is stored."""
    fake = FakeWix(rotate_refresh_tokens=True)
    async with app_process(fake, "memory://", recover=False) as one:
        await one.install()
        await one.apply("AppRemoved")
        stored = await one.stored()
        assert stored is not None
        again = await one.wix._oauth.refresh(stored.refresh_token)

    assert stored.has_rotated_token
    assert again.refresh_token


async def test_lost_installation_is_removed_without_another_word() -> None:
    """A question writes no verdict, logs no error, and calls no `on_error`."""
    fake, errors = FakeWix(), list[Any]()
    async with app_process(fake, "memory://", on_error=errors.append) as one:
        await one.install()
        fake.uninstall(SITE)
        await one.apply("AppRemoved")
        await one.settled()

    assert ([], 1) == (errors, len(one.uninstalled))


async def test_verdict_of_a_moment_before(options: dict[str, Any]) -> None:
    """Wix is asked anew where a refresh was refused a moment ago: the app may be back."""
    fake = FakeWix()
    async with app_process(fake, "memory://", **options) as one:
        await one.install()
        fake.uninstall(SITE)
        with pytest.raises(NotInstalled):
            await one.wix.client(SITE).get("/x")
        fake.mark_installed(SITE)
        await one.apply("AppRemoved")
        stays = await one.stored()

    assert stays is not None
    assert (None, []) == (stays.failure, one.uninstalled)


async def test_no_installation() -> None:
    """Wix is asked nothing for an installation that is not stored."""
    fake = FakeWix()
    async with app_process(fake, "memory://") as one:
        await one.apply("AppRemoved")
        await one.apply(DELETED, data={"deletedEvent": {}})

    assert ([], []) == (fake.calls, one.uninstalled)


async def test_another_installation_in_the_entity() -> None:
    """The installation of the entity is removed, and not that of the second layer."""
    fake = FakeWix()
    other = fake.add_site("Other")
    async with app_process(fake, "memory://") as one:
        await one.install()
        await one.apply("AppInstalled", fake.mark_installed(other))
        entity = {"appId": fake.app_id, "instanceId": other, "status": "UNINSTALLED"}
        fake.uninstall(SITE)
        fake.uninstall(other)
        await one.apply(UPDATED, SITE, {"updatedEvent": {"currentEntity": entity}})
        left = await one.only()

    assert (SITE, [other]) == (left.instance_id, [it.instance_id for it in one.uninstalled])
