"""The access logs of servers, which hold the URL of every request."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import running
from wix_asgi.asgi.access_logs import redact_access_logs
from wix_asgi.testing import FakeWix

LOGGERS = ["uvicorn.access", "gunicorn.access", "hypercorn.access", "granian.access"]
# uvicorn logs the URLs of accepted websockets there.
LOGGERS += ["uvicorn.error"]
# uvicorn logs whole scopes there, at its level TRACE.
LOGGERS += ["uvicorn.asgi"]
# `flask run` logs there.
LOGGERS += ["werkzeug"]


@pytest.fixture(params=LOGGERS)
def logger(request: pytest.FixtureRequest) -> Iterator[logging.Logger]:
    """Return each access logger, as the servers configure them: not propagating."""
    redact_access_logs()
    logger = logging.getLogger(request.param)
    before = logger.level, logger.propagate
    logger.setLevel(logging.INFO)
    yield logger
    logger.level, logger.propagate = before


class Atoms(dict[str, Any]):
    """A dictionary as of gunicorn and hypercorn, with a value for every missing key."""

    def __missing__(self, name: str) -> str:
        return "-"


class Overriding(dict[str, Any]):
    """The same by `__getitem__`, as those servers write it."""

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
    """Secret values are replaced, and the rest of the line stays (R35)."""
    line = '%s - "%s %s HTTP/%s" %d'
    logger.info(line, "127.0.0.1:5000", "GET", address, "1.1", 303)

    assert [f'127.0.0.1:5000 - "GET {expected} HTTP/1.1" 303'] == caplog.messages


def test_scopes_lose_their_secrets(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    """Secrets are replaced in scopes, where the query is bytes (R35)."""
    scope = {"type": "http", "query_string": b"code=secret&a=kept", "state": {"b": 1}}
    logger.info("%s [%d] Started scope=%s", "127.0.0.1:5000", 7, scope)

    expected = {**scope, "query_string": b"code=***&a=kept"}
    assert [f"127.0.0.1:5000 [7] Started scope={expected}"] == caplog.messages
    assert b"code=secret&a=kept" == scope["query_string"]


@pytest.mark.parametrize("kind", [dict, Atoms, Overriding])
def test_atoms_lose_their_secrets(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture, kind: type[dict[str, Any]]
) -> None:
    """Secrets are replaced in dictionaries, in headers and in a query by itself (R20, R35)."""
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
    """A format that names a missing header goes on working."""
    logger.info("%(r)s %({x-forwarded-for}i)s", kind({"r": "GET /?code=secret HTTP/1.1"}))

    assert ["GET /?code=*** HTTP/1.1 -"] == caplog.messages


def test_lines_without_arguments(logger: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    """A line without arguments is cleaned too; a message that is no text is left alone."""
    logger.info("GET /wix/callback?code=secret&state=secret 303")
    logger.info(["code=kept"])

    assert ["GET /wix/callback?code=***&state=*** 303", "['code=kept']"] == caplog.messages


def test_records_of_another_process(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    """A record from another process's queue, with its arguments merged already, is cleaned."""
    record = {"name": logger.name, "levelno": logging.INFO, "msg": "/?code=secret", "args": None}
    logger.handle(logging.makeLogRecord(record))

    assert ["/?code=***"] == caplog.messages


def test_redacting_twice_is_redacting_once() -> None:
    """Each logger has one filter, for any number of apps in a process."""
    redact_access_logs()
    before = [list(logging.getLogger(name).filters) for name in LOGGERS]
    redact_access_logs()

    assert before == [logging.getLogger(name).filters for name in LOGGERS]
    assert all(before)


async def test_middleware_redacts(caplog: pytest.LogCaptureFixture) -> None:
    """Adding the middleware is enough for redacted logs (R35)."""
    logging.getLogger("uvicorn.access").setLevel(logging.INFO)
    async with running(FakeWix()):
        logging.getLogger("uvicorn.access").info("%s", "/wix/callback?code=secret")

    assert ["/wix/callback?code=***"] == caplog.messages


def test_other_loggers_are_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    """The lines that an app logs itself stay unchanged."""
    redact_access_logs()
    logging.getLogger("an.app").warning("/?code=kept")

    assert ["/?code=kept"] == caplog.messages
