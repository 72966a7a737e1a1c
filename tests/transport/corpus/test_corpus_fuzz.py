"""Answers that nobody has thought of, with h11 as the judge."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import anyio
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.limits import PATIENCE
from tests.transport.corpus.cases import Read, answer
from tests.transport.corpus.conftest import Reciter, Wire, asked, client_on, settled
from tests.transport.corpus.judge import judged
from wix_asgi.transport.policy import PoolPolicy

STARTS: Final = st.sampled_from(
    [
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 200 ",
        b"HTTP/1.0 200 OK",
        b"HTTP/1.1 204 No Content",
        b"HTTP/1.1 304 Not Modified",
        b"HTTP/1.1 404 Not Found",
    ]
)
HINTS: Final = st.sampled_from([b"", b"HTTP/1.1 100 \r\n\r\n", b"HTTP/1.1 103 E\r\nX: y\r\n\r\n"])
LINES: Final = st.lists(
    st.sampled_from(
        [
            b"Content-Length: 0",
            b"Content-Length: 5",
            b"Transfer-Encoding: chunked",
            b"Connection: close",
            b"Connection: keep-alive",
            b"Content-Type: application/json",
            b"X: y",
            b"X:",
            b"X: \xc3\xa4",
            b" folded",
        ]
    ),
    max_size=5,
)
BODIES: Final = st.sampled_from(
    [
        b"",
        b"hello",
        b"hello, world",
        b"5\r\nhello\r\n0\r\n\r\n",
        b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n",
    ]
)
CRUMBS: Final = st.sampled_from(
    [
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b" ",
        b"\t",
        b":",
        b"0",
        b"f",
        b"-",
        b"\xff",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
    ]
) | st.binary(max_size=3)
DAMAGES: Final = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 5), CRUMBS), max_size=3)


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """Return an answer, good or bad, with up to three damages."""
    raw = draw(HINTS) + answer(*draw(LINES), start=draw(STARTS), body=draw(BODIES))
    for at, gone, crumb in draw(DAMAGES):
        raw = raw[:at] + crumb + raw[at + gone :]
    return raw


def cut(raw: bytes, places: list[int]) -> list[bytes]:
    """Return `raw` in pieces."""
    edges = [0, *sorted(place for place in set(places) if 0 < place < len(raw)), len(raw)]
    pairs = pairwise(edges)
    return [raw[start:end] for start, end in pairs if start < end]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    raw=answers(),
    places=st.lists(st.integers(1, 200), max_size=4),
    method=st.sampled_from(["GET", "HEAD", "POST"]),
)
async def test_any_answer_is_read_as_h11_reads_it_or_refused(
    raw: bytes, places: list[int], method: str, wire: Wire
) -> None:
    """No bytes make it hang, fail otherwise, or use a doubtful connection again."""
    verdict = judged(method, raw)
    # See SECOND_ANSWERS.
    assume(wire.parser != "h11" or not verdict.has_more)
    transport = wire.make(PoolPolicy(max_connections=1))
    async with (
        Reciter(cut(raw, places), hangs_up=not verdict.ends).listening() as server,
        client_on(transport) as client,
    ):
        with anyio.fail_after(PATIENCE):
            told = await asked(client, method, server.url)
            await server.done.wait()
            await settled()
            probe = await client.get(server.url)
        is_kept = server.connections == 1

    assert "probe" == probe.text
    assert not is_kept or (verdict.ends and not verdict.has_more)
    if isinstance(told, Read) and verdict.status is not None:
        assert (verdict.status, verdict.headers, verdict.body) == (
            told.status,
            told.headers,
            told.body,
        )
