"""The answers that a test defines for paths of the API."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from wix_asgi.testing.fake_wix.calls import Call

__all__ = ["Answer", "AnswerFunction", "Answers", "fixed", "from_function"]

AnswerFunction = Callable[[Call], Any]
"""Takes the call, and returns a `Response` of Starlette, or a value to be sent as JSON."""

_ANY: Final = "*"


@dataclass(slots=True)
class Answer:
    """An answer for the calls that match, with the arguments of `FakeWix.answer`."""

    method: str
    path: str
    instance_id: str | None
    times: int | None
    respond: Callable[[Call, Request], Awaitable[Response]]

    def __post_init__(self) -> None:
        if not self.path.startswith(("/", _ANY)):
            raise ValueError("the path must begin with a slash")
        if "?" in self.path:
            raise ValueError("the path has no query: a function of the call can read call.query")
        if self.times is not None and self.times < 1:
            raise ValueError("times must be 1 at least, or None")
        self.method = self.method.upper()

    def is_at(self, path: str) -> bool:
        """Return whether the answer is for this path, by any method and for any site."""
        return path == self.path or fnmatchcase(path, self.path)

    def takes(self, method: str) -> bool:
        """Return whether the answer is for this method."""
        return self.method in {method, _ANY}


class Answers:
    """The answers of a test; the newest comes first; safe to be used from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: list[Answer] = []

    def add(self, answer: Answer) -> None:
        """Put an answer in front of those before it."""
        with self._lock:
            self._answers.insert(0, answer)

    def covers(self, call: Call) -> bool:
        """Return whether there is an answer for this path and method, for any site."""
        with self._lock:
            return any(
                answer.is_at(call.path) and answer.takes(call.method) for answer in self._answers
            )

    def take(self, call: Call, instance_id: str) -> Answer | None:
        """Return the newest answer for `call` by this site, and count it as used."""
        with self._lock:
            for answer in self._answers:
                is_for_site = answer.instance_id in {None, instance_id}
                if is_for_site and answer.is_at(call.path) and answer.takes(call.method):
                    if answer.times is not None:
                        answer.times -= 1
                        if not answer.times:
                            self._answers.remove(answer)
                    return answer
        return None

    def known(self) -> list[str]:
        """Return methods and paths of the answers, the newest first."""
        with self._lock:
            return [f"{answer.method} {answer.path}" for answer in self._answers]


def fixed(
    status: int, headers: dict[str, str], json: Any, body: bytes | str | None
) -> Callable[[Call, Request], Awaitable[Response]]:
    """Return the function behind an answer that is always the same."""

    async def respond(_call: Call, _request: Request) -> Response:
        if json is None:
            return Response(body, status, headers)
        return JSONResponse(json, status, headers)

    return respond


def from_function(
    function: AnswerFunction, status: int, headers: dict[str, str]
) -> Callable[[Call, Request], Awaitable[Response]]:
    """Return the function behind an answer that `function` makes for each call."""

    async def respond(call: Call, _request: Request) -> Response:
        made = function(call)
        return made if isinstance(made, Response) else JSONResponse(made, status, headers)

    return respond
