"""A search for secrets beside every test: in our log lines, in its output, in its databases.

The secrets of a fake Wix are like no other text, so that a search needs no list of them. It sees
each line of ours at every level, with its arguments, its extra fields and the locals of its
traceback, also where no handler is given the line. Lines of httpx and httpcore are not searched:
they are of the browsers that tests use. `tests/processes/test_secrets.py` searches these for an
app, and `tests/trackers` all events of a Sentry and of OpenTelemetry.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Generator
from pathlib import Path
from traceback import StackSummary, walk_tb
from typing import Final

import pytest

__all__ = ["CANARY", "Search", "found_in"]

CANARY: Final = re.compile(
    rb"OAUTH2\.[\w.-]{60,}"  # a code or a refresh token
    rb"|OauthNG\.JWS\.[\w-]{60,}"  # an access token
    rb"|wix-[0-9a-f]{16}=[\w-]{43}"  # the cookie of a flow
    rb"|wix_session-[0-9a-f]{8}-[0-9a-f]{16}=[\w-]{60,}"  # the cookie of a session
    rb"|\.[\w-]{6}\.[\w-]{43}(?![\w-])"  # a state
    rb"|\.eyJ[\w-]{60,}"  # the claims of a signed instance
    rb"|fake-app-secret-0123456789"
)
"""How the secrets of a fake Wix and of our handshake look."""

_EVERY_LEVEL: Final = 1
_LOGGERS: Final = [logging.getLogger(name) for name in ("wix_asgi", "wix_asgi.transport")]
_TESTS: Final = str(Path(__file__).parent)


def found_in(text: str | bytes) -> list[str]:
    """Return the first letters of the secrets in a text."""
    data = text.encode("utf-8", "replace") if isinstance(text, str) else text
    return [match[0][:20].decode() for match in CANARY.finditer(data)]


class Search(logging.Filter):
    """Looks at each line of ours, and lets pass the lines that would pass without it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def filter(self, record: logging.LogRecord) -> bool:
        """Search a line with all that a handler could show of it."""
        shown = [record.getMessage(), repr(record.__dict__)]
        if record.exc_info and record.exc_info[1] is not None:
            # The locals of tests are their own.
            frames = (
                (frame, line)
                for frame, line in walk_tb(record.exc_info[1].__traceback__)
                if not frame.f_code.co_filename.startswith(_TESTS)
            )
            shown += [
                str(each.locals) for each in StackSummary.extract(frames, capture_locals=True)
            ]
        self.found += [f"{each} in {record.msg!r}" for each in found_in("\n".join(shown))]
        level = logging.getLogger(record.name).level
        return record.levelno >= (logging.getLogger().level if level == _EVERY_LEVEL else level)


_SEARCH: Final = Search()


def pytest_configure(config: pytest.Config) -> None:
    """Search from now on."""
    for logger in _LOGGERS:
        logger.setLevel(_EVERY_LEVEL)
        logger.addFilter(_SEARCH)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Search no more."""
    for logger in _LOGGERS:
        logger.removeFilter(_SEARCH)
        logger.setLevel(logging.NOTSET)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Fail the test in which a secret was logged, or left in a database."""
    _SEARCH.found.clear()
    yield
    found = [*_SEARCH.found, *_found_in_databases(item)]
    if found and item.get_closest_marker("shows_secrets") is None:
        pytest.fail(f"Secrets were shown: {found}", pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail the test that printed a secret."""
    report = yield
    found = found_in(report.capstdout + report.capstderr) if call.when == "call" else []
    if found and report.passed and item.get_closest_marker("shows_secrets") is None:
        report.outcome = "failed"
        report.longrepr = f"Secrets were printed: {found}"
    return report


def _found_in_databases(item: pytest.Item) -> list[str]:
    """Return the secrets in the SQLite files of a test, those of its write-ahead log included."""
    room: Path | None = getattr(item, "funcargs", {}).get("tmp_path")
    if room is None:
        return []
    files = [path for path in room.rglob("*.db*") if path.is_file()]
    return [f"{each} in {path.name}" for path in files for each in found_in(path.read_bytes())]
