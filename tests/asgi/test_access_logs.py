"""The access logs of servers, which write down every address they are asked for."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import running
from wix_asgi.asgi.access_logs import redact_access_logs
from wix_asgi.testing import FakeWix

LOGGERS = ["uvicorn.access", "gunicorn.access", "hypercorn.access", "granian.access"]
# uvicorn notes there which websockets it accepts.
LOGGERS += ["uvicorn.error"]


@pytest.fixture(params=LOGGERS)
def logger(request: pytest.FixtureRequest) -> Iterator[logging.Logger]:
    """Each of the access loggers, as the servers configure them: not propagating."""
    redact_access_logs()
    logger = logging.getLogger(request.param)
    before = logger.level, logger.propagate
    logger.setLevel(logging.INFO)
    yield logger
    logger.level, logger.propagate = before


class Atoms(dict[str, Any]):
    """The dictionary of gunicorn and hypercorn: it has an answer for every name."""

    def __missing__(self, name: str) -> str:
        return "-"


class Overriding(dict[str, Any]):
    """The same in the way in which they write it."""

    def __getitem__(self, name: str) -> Any:
        return super().__getitem__(name) if name in self else "-"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("/wix/callback?code=secret&state=secret", "/wix/callback?code=***&state=***"),
        ("/wix/callback?state=secret&instanceId=kept", "/wix/callback?state=***&instanceId=kept"),
        ("/wix/install?token=secret", "/wix/install?token=***"),
        ("/?instance=secret.secret&locale=en", "/?instance=***&locale=en"),
        ("/close?access_token=secret", "/close?access_token=***"),
        ("/a?x=code=kept&y=1", "/a?x=code=kept&y=1"),
        ("/a?barcode=kept&restate=kept", "/a?barcode=kept&restate=kept"),
        ("/a?code=", "/a?code=***"),
        ("/code=kept", "/code=kept"),
        ("/plain", "/plain"),
    ],
)
def test_addresses_lose_their_secrets(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture, address: str, expected: str
) -> None:
    """Values that are worth something are left out, and the rest of the line stays (R35)."""
    line = '%s - "%s %s HTTP/%s" %d'
    logger.info(line, "127.0.0.1:5000", "GET", address, "1.1", 303)

    assert [f'127.0.0.1:5000 - "GET {expected} HTTP/1.1" 303'] == caplog.messages


@pytest.mark.parametrize("kind", [dict, Atoms, Overriding])
def test_atoms_lose_their_secrets(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture, kind: type[dict[str, Any]]
) -> None:
    """So are they in dictionaries, in headers and in a query that stands by itself (R20, R35)."""
    atoms = kind(
        {
            "r": "GET /wix/callback?code=secret&state=secret HTTP/1.1",
            "q": "code=secret&state=secret&instanceId=kept",
            "f": "https://app.example.com/wix/install?token=secret",
            "{location}o": "https://www.wix.com/installer/close-window?access_token=secret",
            "s": 303,
        }
    )
    logger.info('"%(r)s" %(q)s "%(f)s" %(s)d %({location}o)s', atoms)

    expected = (
        '"GET /wix/callback?code=***&state=*** HTTP/1.1" code=***&state=***&instanceId=kept '
        '"https://app.example.com/wix/install?token=***" 303 '
        "https://www.wix.com/installer/close-window?access_token=***"
    )
    assert [expected] == caplog.messages
    assert "code=secret&state=secret&instanceId=kept" == atoms["q"]


@pytest.mark.parametrize("kind", [Atoms, Overriding])
def test_atoms_that_are_missing_stay_missing(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture, kind: type[dict[str, Any]]
) -> None:
    """A format that names a header which is not there goes on working."""
    logger.info("%(r)s %({x-forwarded-for}i)s", kind({"r": "GET /?code=secret HTTP/1.1"}))

    assert ["GET /?code=*** HTTP/1.1 -"] == caplog.messages


def test_lines_without_arguments(logger: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    """A line that was put together before is treated alike; what is no text is left alone."""
    logger.info("GET /wix/callback?code=secret&state=secret 303")
    logger.info(["code=kept"])

    assert ["GET /wix/callback?code=***&state=*** 303", "['code=kept']"] == caplog.messages


def test_records_that_were_sent_over(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    """A record from another process's queue, which has its arguments in it already, is cleaned."""
    record = {"name": logger.name, "levelno": logging.INFO, "msg": "/?code=secret", "args": None}
    logger.handle(logging.makeLogRecord(record))

    assert ["/?code=***"] == caplog.messages


def test_redacting_twice_is_redacting_once() -> None:
    """However many apps there are in a process, each logger has one filter."""
    redact_access_logs()
    before = [list(logging.getLogger(name).filters) for name in LOGGERS]
    redact_access_logs()

    assert [logging.getLogger(name).filters for name in LOGGERS] == before
    assert all(before)


async def test_middleware_redacts(caplog: pytest.LogCaptureFixture) -> None:
    """Who adds the middleware need not think of it (R35)."""
    logging.getLogger("uvicorn.access").setLevel(logging.INFO)
    async with running(FakeWix()):
        logging.getLogger("uvicorn.access").info("%s", "/wix/callback?code=secret")

    assert ["/wix/callback?code=***"] == caplog.messages


def test_other_loggers_are_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    """What an app logs itself is its own."""
    redact_access_logs()
    logging.getLogger("an.app").warning("/?code=kept")

    assert ["/?code=kept"] == caplog.messages
