"""A test's hands on the calls to a fake Wix: their record, their answers, and their failures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio

from wix_asgi.testing.fake_wix._answers import (
    Answer,
    AnswerFunction,
    Answers,
    fixed,
    from_function,
)
from wix_asgi.testing.fake_wix._echo import echo_of
from wix_asgi.testing.fake_wix._signal import Signal
from wix_asgi.testing.fake_wix.calls import Call, CallLog
from wix_asgi.testing.fake_wix.faults import Fault, FaultKind, Faults, Gate, Gates
from wix_asgi.testing.fake_wix.installer import (
    CLOSE_WINDOW_PATH,
    DASHBOARD_PATH,
    EXTERNAL_INSTALL_PATH,
    INSTALL_PATH,
    PUBLIC_KEY_PATH,
    SEND_EVENT_PATH,
    UNINSTALL_PATH,
)
from wix_asgi.testing.fake_wix.world import World

__all__ = ["PLAYED_PATHS", "Control"]

PLAYED_PATHS = frozenset(
    {
        INSTALL_PATH,
        EXTERNAL_INSTALL_PATH,
        CLOSE_WINDOW_PATH,
        DASHBOARD_PATH,
        UNINSTALL_PATH,
        SEND_EVENT_PATH,
        PUBLIC_KEY_PATH,
        "/oauth/access",
        "/oauth/access/",
        "/oauth2/token",
        "/oauth2/token-info",
    }
)
"""The installers and the token endpoints, which have no access token and no answers of a test."""


class Control(World):
    """A fake Wix whose calls a test can count, answer, hold back and make fail."""

    def __init__(self, **state: Any) -> None:
        """Begin with the state of a `World`, and with no call, answer or fault."""
        super().__init__(**state)
        self._signal = Signal()
        self._faults = Faults(self._signal)
        self._gates = Gates(self._signal)
        self._log = CallLog()
        self._answers = Answers()

    @property
    def calls(self) -> list[Call]:
        """The requests in the order of their arrival; `calls.clear()` forgets them."""
        return self._log.calls

    def count(self, path: str, **json_fields: Any) -> int:
        """Return the number of requests to `path` with these fields in a JSON body."""
        return self._log.count(path, json_fields)

    async def asked(
        self,
        path: str,
        times: int = 1,
        *,
        timeout: float = 10.0,  # noqa: ASYNC109 - a test never waits without a time limit
        **json_fields: Any,
    ) -> None:
        """Return once there were `times` requests to `path` with these fields.

        Raises:
            TimeoutError: The requests have not arrived within `timeout` seconds.
        """
        with anyio.fail_after(timeout):
            await self._signal.wait_until(lambda: self.count(path, **json_fields) >= times)

    def answer(
        self,
        method: str,
        path: str,
        function: AnswerFunction | None = None,
        *,
        status: int = 200,
        json: Any = None,
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        times: int | None = None,
        instance_id: str | None = None,
    ) -> None:
        """Define the answer to calls of the API; of several that match, the newest is sent.

        The calls must have a live access token, like all calls of the API; others get a 401. The
        answer stands in front of the API's own (`/apps/v1/instance`), but not in front of the
        installer and the token endpoints: `fail` changes these.

        Args:
            method: The method, or `*` for every method.
            path: The exact path without its query, or a pattern such as `/stores/*`.
            function: A function of the call (`call.instance_id` is its site, `call.json` its body)
                that returns the answer: a value to be sent as JSON, or a `Response` of Starlette.
            status: The status of the answer.
            json: The body of the answer, to be sent as JSON.
            body: The body of the answer, to be sent as it is; empty by default.
            headers: The headers of the answer.
            times: The number of calls that get this answer; None means all calls.
            instance_id: The site whose calls get this answer; None means all sites.

        Raises:
            ValueError: The path or the number cannot be, or there are two kinds of answer.
        """
        if sum(given is not None for given in (function, json, body)) > 1:
            raise ValueError("an answer has one of a function, json and body")
        kept = dict(headers or {})
        respond = (
            fixed(status, kept, json, body)
            if function is None
            else from_function(function, status, kept)
        )
        self._define(Answer(method, path, instance_id, times, respond))

    def echo(self, path: str) -> None:
        """Answer every call to `path`, or to a pattern such as `/x/*`, with the call itself.

        The answer has the method, path, query, headers and body of the call, and the
        instance ID and the name of its site, in JSON. It stands where an `answer` would.

        Raises:
            ValueError: The path cannot be.
        """
        self._define(Answer("*", path, None, None, echo_of(self)))

    def fail(
        self,
        path: str,
        *,
        status: int = 503,
        times: int | None = 1,
        body: bytes | str | Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        kind: FaultKind = "answer",
        **json_fields: Any,
    ) -> None:
        """Let the next matching calls fail.

        Args:
            path: The exact path, or a pattern such as `/stores/*`.
            status: The status of the answer, for the kind "answer".
            times: The number of calls that fail; None means all calls until `heal()`.
            body: The body of that answer; a mapping is sent as JSON. Wix's own empty error by
                default.
            headers: The headers of that answer.
            kind: "answer": the call gets this answer and has no effect. "hang": the call waits for
                `heal()`, and is then answered as usual. "drop": the call takes effect, but its
                answer is lost. "raise": the app raises RuntimeError, a 500 over a port. "refuse":
                the connection is refused; over a port it is lost before the call has an effect.
            json_fields: Fields that the JSON body must have.
        """
        if times is not None and times < 1:
            raise ValueError("times must be 1 at least, or None")
        fault = Fault(path, json_fields, kind, times, status, body, headers or {})
        self._faults.add(fault)

    def heal(self) -> None:
        """End every fault of `fail`, and let hanging calls go on."""
        self._faults.heal()

    def hold(self, path: str, **json_fields: Any) -> Gate:
        """Hold back the answers of `path`: calls take effect, answers wait for the release."""
        return self._gates.add(path, json_fields)

    def _define(self, answer: Answer) -> None:
        if answer.path in PLAYED_PATHS:
            raise ValueError(f"FakeWix plays {answer.path} itself: fail() changes its answers")
        self._answers.add(answer)
