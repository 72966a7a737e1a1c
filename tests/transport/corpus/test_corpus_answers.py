"""Each answer of the corpus, in one piece and byte by byte."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from typing import Final

import anyio
import pytest

from tests.limits import PATIENCE
from tests.transport.corpus.cases import Case, Outcome, Read, Refused
from tests.transport.corpus.chunks import CHUNKS
from tests.transport.corpus.conftest import WIRES, Reciter, Wire, asked, client_on, settled
from tests.transport.corpus.heads import HEADS
from tests.transport.corpus.lengths import LENGTHS
from tests.transport.corpus.manners import MANNERS, SECOND_ANSWERS
from tests.transport.corpus.statuses import STATUSES
from wix_asgi.transport.policy import PoolPolicy

CASES: Final = [*STATUSES, *HEADS, *LENGTHS, *CHUNKS, *MANNERS]

MANY_PIECES: Final = 300
"""An answer that is longer comes in so many pieces, since each piece takes a round of the loop."""


def whole(raw: bytes) -> list[bytes]:
    """Return all in one piece."""
    return [raw] if raw else []


def pieces(raw: bytes) -> list[bytes]:
    """Return single bytes, or the pieces of a long answer."""
    size = 1 + len(raw) // MANY_PIECES
    return [raw[start : start + size] for start in range(0, len(raw), size)]


CUTS: Final = whole, pieces


def compared(told: Outcome, wanted: Outcome, *, is_kept: bool) -> Outcome:
    """Return an outcome with the fate of its connection, its headers if the case is about them."""
    if isinstance(told, Refused) or isinstance(wanted, Refused):
        return told
    return replace(told, kept=is_kept, headers=told.headers if wanted.headers is not None else None)


def expected(case: Case, wire: Wire) -> Outcome:
    """Return what this transport must make of the answer."""
    apart = case.by_h11 if wire.parser == "h11" else case.by_llhttp
    return apart or case.outcome


def plays() -> Iterator[object]:
    """Give each case to each transport, in both cuts."""
    for wire, case, cut in product(WIRES, [*CASES, *SECOND_ANSWERS], CUTS):
        # The one thing that httpcore gets wrong: see SECOND_ANSWERS.
        is_wrong = wire.parser == "h11" and case in SECOND_ANSWERS and cut is whole
        # The pieces are h11's to put together, on each event loop alike.
        is_known = str(wire) == "h11-asyncio" and cut is pieces
        if not (is_wrong or is_known):
            yield pytest.param(wire, case, cut, id=f"{wire}-{case}-{cut.__name__}")


@pytest.mark.parametrize(("wire", "case", "cut"), [*plays()], indirect=["wire"])
async def test_an_answer_is_read_or_refused(
    case: Case, cut: Callable[[bytes], list[bytes]], wire: Wire
) -> None:
    """The answer is read as it was meant, or refused; a doubtful connection is used no more."""
    transport = wire.make(PoolPolicy(max_connections=1))
    wanted = expected(case, wire)
    async with (
        Reciter(cut(case.raw), hangs_up=case.hangs_up).listening() as server,
        client_on(transport) as client,
    ):
        with anyio.fail_after(PATIENCE):
            told = await asked(client, case.method, server.url)
            await server.done.wait()
            await settled()
            probe = await client.get(server.url)
        is_kept = server.connections == 1

    assert wanted == compared(told, wanted, is_kept=is_kept)
    assert "probe" == probe.text
    assert is_kept == (isinstance(wanted, Read) and wanted.kept)
