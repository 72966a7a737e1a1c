"""The search for secrets in what an app under test has logged, printed and stored."""

from __future__ import annotations

import dataclasses
import logging
import re
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from anyio.from_thread import start_blocking_portal

from wix_asgi.storage import EventStorage, Storage
from wix_asgi.wix import Wix

__all__ = ["SecretSearch", "read_records"]

_SECRETS: Final = {
    "an authorization code or a refresh token": rb"OAUTH2\.[\w.-]{60,}",
    "an access token": rb"OauthNG\.JWS\.[\w-]{60,}",
    "a signed instance, or another token with claims": rb"\.eyJ[\w-]{60,}",
    "the cookie of an install": rb"wix-[0-9a-f]{16}=[\w-]{43}",
    "the cookie of a session": rb"wix_session-[0-9a-f]{8}-[0-9a-f]{16}=[\w-]{60,}",
}
"""How the secrets of Wix and of wix-asgi look, by their names."""

_HTTP_LOGGERS: Final = ("httpx", "httpcore", "httpx2", "httpcore2")


class SecretSearch(logging.Handler):
    """Collects the log records of a `with` block, and searches them and all storages for secrets.

    Every level of every logger is searched, with the extra fields and the traceback of a record.
    """

    def __init__(self, app_secret: str, room: Path | None = None) -> None:
        """Search for this app secret as well, and in the files below `room`."""
        super().__init__(logging.NOTSET)
        self._patterns = {
            name: re.compile(pattern)
            for name, pattern in {
                "the app secret": re.escape(app_secret.encode()),
                **_SECRETS,
            }.items()
        }
        self._room = room
        self._lines: list[str] = []
        self._level_before = logging.NOTSET

    def __enter__(self) -> Self:
        root = logging.getLogger()
        self._level_before = root.level
        root.setLevel(1)
        root.addHandler(self)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        root = logging.getLogger()
        root.removeHandler(self)
        root.setLevel(self._level_before)

    def emit(self, record: logging.LogRecord) -> None:
        """Note all that a handler could write of a record."""
        if record.name.partition(".")[0] not in _HTTP_LOGGERS:
            self._lines.append(f"{self.format(record)}\n{record.__dict__}")

    def __call__(self, *texts: str | bytes) -> None:
        """Search the logs and storages until now, and further texts.

        Raises:
            AssertionError: A secret was found; the message names its kind and its place.
        """
        found = self.found(*texts)
        assert not found, self.told(found)  # noqa: S101 - a test calls it

    def found(self, *texts: str | bytes) -> list[str]:
        """Return the kind and the place of each secret in the texts, the logs and the storages."""
        places = [("the output", text) for text in texts]
        places += [("the log", line) for line in self._lines]
        # A thread of its own: the test may run on an event loop, or its framework keep one.
        with start_blocking_portal() as portal:
            places += [("the storage", fields) for fields in portal.call(read_records)]
        files = self._room.rglob("*") if self._room is not None else ()
        places += [(path.name, path.read_bytes()) for path in files if path.is_file()]
        return sorted({each for place, text in places for each in self._search(place, text)})

    def told(self, found: list[str]) -> str:
        """Return the message about secrets that were found, which shows none of them."""
        return f"Secrets were leaked: {'; '.join(found)}."

    def _search(self, place: str, text: str | bytes) -> list[str]:
        data = text.encode("utf-8", "replace") if isinstance(text, str) else text
        return [
            f"{name} in {place}" for name, pattern in self._patterns.items() if pattern.search(data)
        ]


async def read_records() -> list[str]:
    """Return the fields of each row in the storage of the fake Wix in place.

    They are of the installations and, where it has an inbox of webhooks, of the events.
    """
    async with Wix() as wix:
        app_id, after, fields = wix.settings.app_id, "", []
        while page := await wix.storage.scan(app_id, after=after):
            fields += [str(dataclasses.astuple(record)) for record in page]
            after = page[-1].instance_id
        return [*fields, *await _read_events(wix.storage, app_id)]


async def _read_events(storage: Storage, app_id: str) -> list[str]:
    after, fields = "", list[str]()
    while isinstance(storage, EventStorage) and (page := await storage.events(app_id, after=after)):
        fields += [str(dataclasses.astuple(record)) for record in page]
        after = page[-1].event_id
    return fields
