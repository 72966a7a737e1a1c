"""A storage that is an `AddingStorage` adds records once, and keeps every field of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Protocol

from wix_asgi.models import Record
from wix_asgi.storage import AddingStorage, Storage
from wix_asgi.testing.storage_check.cases import each
from wix_asgi.testing.storage_check.records import (
    APP,
    CALLERS,
    SITE,
    full_record,
    installed_at,
    put_all,
    read,
    record,
    timeless,
)
from wix_asgi.testing.storage_check.tasks import together

__all__ = [
    "test_add",
    "test_add_after_removal",
    "test_add_beside_a_put",
    "test_add_beside_a_removal",
    "test_add_beside_another_app",
    "test_add_beside_similar_ids",
    "test_add_has_one_winner",
    "test_add_installs_now",
    "test_add_keeps_the_tokens",
    "test_add_leaves_what_is_there",
    "test_add_repeated",
    "test_debts_of_on_install",
    "test_grant_types",
    "test_later_fields_of_a_page",
    "test_origins",
    "test_put_takes_later_fields_away",
    "test_replace_of_what_was_added",
    "test_replace_takes_later_fields_away",
]

_SITES: Final = [f"site-{number}" for number in range(10)]
_FULL: Final = full_record()


class _Adding(Storage, AddingStorage, Protocol):
    """A storage that adds records."""


async def _written(storage: _Adding, written: Record) -> list[Record | None]:
    """Write the fields of a record in each way, and return the record read after each."""
    await storage.put(written)
    found = [await storage.get(APP, SITE)]
    await storage.put(record(version="version-0"))
    await storage.replace(written, expected="version-0")
    found.append(await storage.get(APP, SITE))
    await storage.delete(APP, SITE)
    await storage.add(written)
    found.append(await storage.get(APP, SITE))
    return [timeless(one) for one in found]


@each(
    "grant_type",
    {
        "none": None,
        "refresh token": "refresh_token",
        "client credentials": "client_credentials",
        "a newer word": "token_exchange",
    },
)
async def test_grant_types(storage: _Adding, grant_type: str | None) -> None:
    """The type of the grant is kept as it is, also a word of another release."""
    written = record(grant_type=grant_type)

    assert [timeless(written)] * 3 == await _written(storage, written)


@each(
    "origin",
    {
        "none": None,
        "empty": "",
        "an id": "1f0c7a52-5d0e-4d53-8f3b-2b1a1e0c9a11",
        "capitals": "1F0C7A52",
        "space behind": "origin ",
        "Unicode form": "e\u0301",
        "beyond the BMP": "\U0001f600",
        "zero character": "ori\x00gin",
        "half a pair": "ori\ud800gin",
        "quotes": "o'r\"i\\gin",
        "2000 letters": "o" * 2000,
    },
)
async def test_origins(storage: _Adding, origin: str | None) -> None:
    """The installation of which a site is a copy is kept to the code point, as keys are."""
    written = record(origin_instance_id=origin)

    assert [timeless(written)] * 3 == await _written(storage, written)


@each("owes", {"owed": True, "told": False})
async def test_debts_of_on_install(storage: _Adding, *, owes: bool) -> None:
    """Whether `on_install` is still to be told of an installation is kept."""
    written = record(owes_on_install=owes)

    assert [timeless(written)] * 3 == await _written(storage, written)


async def test_put_takes_later_fields_away(storage: _Adding) -> None:
    """A second install of a site leaves nothing of the grant, the origin and the debt before it."""
    await storage.put(_FULL)
    await storage.put(record(version="version-2"))

    assert timeless(record(version="version-2")) == timeless(await storage.get(APP, SITE))


async def test_replace_takes_later_fields_away(storage: _Adding) -> None:
    """A refresh that names no grant, no origin and no debt takes these away."""
    await storage.put(_FULL)

    assert await storage.replace(record(version="version-2"), expected=_FULL.version)
    assert timeless(record(version="version-2")) == timeless(await storage.get(APP, SITE))


async def test_later_fields_of_a_page(storage: _Adding) -> None:
    """A page has the grant, the origin and the debt of each record."""
    await storage.put(_FULL)
    await storage.put(record("a site that is no copy"))
    page = await storage.scan(APP)

    assert [timeless(_FULL), timeless(record("a site that is no copy"))] == [
        timeless(found) for found in page
    ]


async def test_add(storage: _Adding) -> None:
    """A record is added where there is none, and read as it was written."""
    assert await storage.add(_FULL)
    assert timeless(_FULL) == timeless(await storage.get(APP, SITE))


async def test_add_keeps_the_tokens(storage: _Adding) -> None:
    """An added record has its tokens byte for byte, and None where it had no access token."""
    written = record(refresh_token=bytes(range(256)), access_token=None, lifetime=0.0)

    assert await storage.add(written)
    assert timeless(written) == timeless(await storage.get(APP, SITE))


async def test_add_installs_now(storage: _Adding) -> None:
    """The moment of an added installation is that of the `add`, by the store's clock."""
    await storage.put(record("before"))
    await storage.add(record())
    await storage.put(record("after"))

    assert await installed_at(storage, "before") <= await installed_at(storage)
    assert await installed_at(storage) <= await installed_at(storage, "after")


async def test_add_leaves_what_is_there(storage: _Adding) -> None:
    """A record that is there stays as it is, with the moment of its installation."""
    await storage.put(record())
    first = await installed_at(storage)

    assert not await storage.add(record(version="version-2", refresh_token=b"another"))
    assert timeless(record()) == timeless(await storage.get(APP, SITE))
    assert first == await installed_at(storage)


async def test_add_repeated(storage: _Adding) -> None:
    """Adding the same record again is harmless, and says that nothing was written."""
    assert await storage.add(_FULL)
    assert not await storage.add(_FULL)
    assert [timeless(_FULL)] == [timeless(found) for found in await storage.scan(APP)]


async def test_add_after_removal(storage: _Adding) -> None:
    """A site that was removed can be added again."""
    await storage.put(record())
    await storage.delete(APP, SITE)

    assert await storage.add(record(version="version-2"))
    assert "version-2" == (await read(storage)).version


async def test_add_beside_another_app(storage: _Adding) -> None:
    """The same site of another app is in nobody's way."""
    await storage.put(record(app_id="another"))

    assert await storage.add(record(version="version-2"))
    assert "version-1" == (await read(storage, app_id="another")).version


@each(
    "instance_id",
    {
        "case": SITE.upper(),
        "space behind": f"{SITE} ",
        "beginning": SITE[:-1],
        "longer": f"{SITE}1",
        "wildcard": f"{SITE[:-1]}%",
        "zero character": f"{SITE}\x00",
    },
)
async def test_add_beside_similar_ids(storage: _Adding, instance_id: str) -> None:
    """A site whose id only looks like the id of another site is added."""
    await put_all(storage, SITE)

    assert await storage.add(record(instance_id))
    assert 2 == len(await storage.scan(APP))


async def test_replace_of_what_was_added(storage: _Adding) -> None:
    """An added record is refreshed as any other, and stays the installation of that moment."""
    await storage.add(_FULL)
    first = await installed_at(storage)

    assert await storage.replace(record(version="version-2"), expected=_FULL.version)
    assert "version-2" == (await read(storage)).version
    assert first == await installed_at(storage)


async def test_add_has_one_winner(storage: _Adding) -> None:
    """If twenty callers add a site at once, exactly one succeeds, and its record is stored."""
    calls = [
        partial(storage.add, record(site, version=caller)) for site in _SITES for caller in CALLERS
    ]
    added = await together(*calls)
    winners = {
        call.args[0].instance_id: call.args[0].version
        for call, won in zip(calls, added, strict=True)
        if won
    }

    assert len(_SITES) == sum(added)
    assert winners == {found.instance_id: found.version for found in await storage.scan(APP)}


async def test_add_beside_a_put(storage: _Adding) -> None:
    """Of an `add` and an install at once the install stays, whichever came first."""
    for number, site in enumerate(_SITES):
        calls: list[Callable[[], Awaitable[object]]] = [
            partial(storage.add, record(site, "added")),
            partial(storage.put, record(site, "put")),
        ]
        # Either is begun first in half of the sites.
        await together(*calls[:: -1 if number % 2 else 1])

        assert "put" == (await read(storage, site)).version


async def test_add_beside_a_removal(storage: _Adding) -> None:
    """An `add` at the moment of a removal writes where it came later, and nothing where sooner."""
    for site in _SITES:
        await storage.put(record(site))
        added, removed = await together(
            partial(storage.add, record(site, "added")), partial(storage.delete, APP, site)
        )

        assert removed
        assert added == (await storage.get(APP, site) is not None)
