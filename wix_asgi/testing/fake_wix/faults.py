"""Makes calls to a fake Wix fail on purpose, and holds answers back."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal, Self

import anyio
from starlette.responses import JSONResponse, Response

from wix_asgi.testing.fake_wix._signal import Signal
from wix_asgi.testing.fake_wix.calls import Call, same_path

__all__ = ["ConnectionLost", "Fault", "FaultKind", "Faults", "Gate", "Gates"]

FaultKind = Literal["answer", "hang", "drop", "raise", "refuse"]
_EMPTY = {"message": "", "details": {}}  # the body of Wix's own 5xx answers


class ConnectionLost(Exception):
    """The connection is lost before the answer; `unsent` if the request was lost, too."""

    def __init__(self, *, unsent: bool) -> None:
        self.unsent = unsent
        super().__init__("FakeWix was told to lose this connection")


@dataclass(slots=True)
class Fault:
    """A fault for the next calls that match, with the arguments of `FakeWix.fail`."""

    path: str
    json_fields: Mapping[str, Any]
    kind: FaultKind
    times: int | None
    status: int
    body: bytes | str | Mapping[str, Any] | None
    headers: Mapping[str, str]

    def matches(self, call: Call) -> bool:
        """Return whether the fault applies to this call."""
        path = same_path(call.path, self.path) or fnmatchcase(call.path, self.path)
        return path and call.has(self.json_fields)

    def response(self) -> Response:
        """Return the answer of a fault of the kind "answer"."""
        if isinstance(self.body, bytes | str):
            return Response(self.body, self.status, self.headers)
        body = _EMPTY if self.body is None else dict(self.body)
        return JSONResponse(body, self.status, self.headers)


class Faults:
    """The faults still to come, in the order they were added; safe for several threads."""

    def __init__(self, signal: Signal) -> None:
        self._signal = signal
        self._lock = threading.Lock()
        self._due: list[Fault] = []
        self._healed = 0

    def add(self, fault: Fault) -> None:
        """Append a fault; it applies after the matching faults before it are used up."""
        with self._lock:
            self._due.append(fault)

    def take(self, call: Call) -> Fault | None:
        """Return the fault for `call`, and count it as used; None if no fault matches."""
        with self._lock:
            fault = next((fault for fault in self._due if fault.matches(call)), None)
            if fault is not None and fault.times is not None:
                fault.times -= 1
                if not fault.times:
                    self._due.remove(fault)
            return fault

    def heal(self) -> None:
        """Remove every fault, and let hanging calls go on."""
        with self._lock:
            self._due.clear()
            self._healed += 1
        self._signal.notify()

    async def hang(self) -> None:
        """Wait until the next `heal`."""
        healed = self._healed
        await self._signal.wait_until(lambda: self._healed != healed)


class Gate:
    """Holds back the answers to some calls until it is released; a context manager releases it."""

    def __init__(self, path: str, json_fields: Mapping[str, Any], signal: Signal) -> None:
        self._path = path
        self._json_fields = json_fields
        self._signal = signal
        self._lock = threading.Lock()
        self._arrived = 0
        self._released = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self.release()

    async def arrived(self, times: int = 1, *, timeout: float = 10.0) -> None:  # noqa: ASYNC109 - a test never waits without a time limit
        """Return once the gate has held back `times` calls in all.

        Raises:
            TimeoutError: The calls have not arrived within `timeout` seconds.
        """
        with anyio.fail_after(timeout):
            await self._signal.wait_until(lambda: self._arrived >= times)

    def release(self) -> None:
        """Send all held answers, and hold no answer back from now on."""
        self._released = True
        self._signal.notify()

    def holds(self, call: Call) -> bool:
        """Return whether the gate holds back the answer to `call`."""
        return (
            not self._released and same_path(call.path, self._path) and call.has(self._json_fields)
        )

    async def wait(self) -> None:
        """Count the call as arrived, and wait for the release."""
        with self._lock:
            self._arrived += 1
        self._signal.notify()
        await self._signal.wait_until(lambda: self._released)


class Gates:
    """The gates in the order of their creation; a call waits at every gate that holds it."""

    def __init__(self, signal: Signal) -> None:
        self._signal = signal
        self._gates: list[Gate] = []

    def add(self, path: str, json_fields: Mapping[str, Any]) -> Gate:
        """Create a gate for the calls to `path` with these fields."""
        gate = Gate(path, json_fields, self._signal)
        self._gates = [*self._gates, gate]
        return gate

    async def pass_through(self, call: Call) -> None:
        """Return once no gate holds `call`."""
        for gate in self._gates:
            if gate.holds(call):
                await gate.wait()
