"""The origin of a copied site, which an event tells, and its row may lack."""

from __future__ import annotations

import pytest

from tests.handshake.handshaking import INSTANCE
from tests.handshake.owing import OTHER_SITE
from tests.support import SITE
from tests.webhooks.lifecycles import app_process
from wix_asgi.installations.stored import StoredInstallation
from wix_asgi.testing import FakeWix

OURS = {"appId": "fake-app-id"}


@pytest.mark.parametrize(
    ("told", "noted"), [(OTHER_SITE, OTHER_SITE), ("", None), (SITE, None), ("\n", None)]
)
@pytest.mark.parametrize("is_stored", [True, False])
async def test_origin_of_a_copy(told: str, noted: str | None, *, is_stored: bool) -> None:
    """It is noted where the row lacks it, before `on_install` is told; no other text is."""
    fake = FakeWix()
    fake.mark_installed(SITE)
    data = {**OURS, "originInstanceId": told}
    async with app_process(fake, "memory://") as one:
        if is_stored:
            await one.install()
        for _ in range(2):
            await one.apply("AppInstalled", data=data)
        found = await one.only()

    assert noted == found.origin_instance_id
    assert is_stored or [noted] == [it.origin_instance_id for it, _ in one.installed]


async def test_origin_that_is_known_stays() -> None:
    """The word of Get App Instance is older than the event, and not overwritten."""
    fake = FakeWix()
    copied = fake.copy_site(SITE)
    async with app_process(fake, "memory://") as one:
        await one.apply("AppInstalled", copied)
        await one.apply("AppInstalled", copied, {**OURS, "originInstanceId": OTHER_SITE})
        found = await one.only()

    assert SITE == found.origin_instance_id


async def test_origin_beside_another_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that another process writes meanwhile is read again."""
    fake = FakeWix()
    async with app_process(fake, "memory://") as one:
        await one.install()
        installations = one.wix._installations
        note = installations.note_origin

        async def note_late(stored: StoredInstallation, origin: str) -> bool:
            monkeypatch.undo()
            await installations.note_told(stored)
            return await note(stored, origin)

        monkeypatch.setattr(installations, "note_origin", note_late)
        await one.apply("AppInstalled", data={**OURS, "originInstanceId": OTHER_SITE})
        found = await one.only()

    assert OTHER_SITE == found.origin_instance_id


async def test_row_that_is_removed_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left to note, and nobody to be told of."""
    fake = FakeWix()
    async with app_process(fake, "memory://") as one:
        await one.install()

        async def remove(*_: object) -> bool:
            await one.removal.remove(SITE)
            return False

        monkeypatch.setattr(one.wix._installations, "note_origin", remove)
        await one.apply("AppInstalled", data={**OURS, "originInstanceId": OTHER_SITE})
        left = await one.all()

    assert [] == left
    assert 1 == len(one.installed)


async def test_origin_of_no_answer_of_get_app_instance() -> None:
    """The event alone tells of the origin where the app may not ask for it."""
    fake = FakeWix()
    copied = fake.copy_site(SITE)
    fake.answer("GET", INSTANCE, status=403, json={})
    async with app_process(fake, "memory://") as one:
        await one.apply("AppInstalled", copied)

    assert [SITE] == [it.origin_instance_id for it, _ in one.installed]
