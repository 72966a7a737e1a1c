"""The callers that strangers may not hold up: sites with a due refresh, and honest site owners."""

from __future__ import annotations

import contextlib
import dataclasses
import ssl
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Final

import anyio

from chaos.anonymous_app import ROUTE
from chaos.figures import Figure, at_most, exactly, noted
from tests.limits import PATIENCE
from tests.processes.apps import App
from wix_asgi._http import httpx

__all__ = ["Honest", "Refreshes", "at_rate", "percentile"]

_TOLD_TO_WAIT: Final = {202, 503}
_PAUSE: Final = 0.5

_LONGEST_REFRESH: Final = 0.25
_LONGEST_INSTALL: Final = 1.0

# One for all: making them is slow, and nothing here is encrypted.
_SSL: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@dataclasses.dataclass(slots=True)
class Honest:
    """The installs of site owners: the first answer to each, and the browsers without a success.

    Attributes:
        apart: Whether each browser has an address of its own, or that of the strangers.
        outcomes: The last answers to the callbacks that were loaded again.
        waits: The time of each first answer, in seconds.
        to_load_again: The browsers that got no success, and their callbacks.
    """

    sites: Sequence[str]
    apart: bool = False
    answers: Counter[str] = dataclasses.field(default_factory=Counter)
    waits: list[float] = dataclasses.field(default_factory=list)
    outcomes: Counter[str] = dataclasses.field(default_factory=Counter)
    to_load_again: list[tuple[httpx.AsyncClient, str]] = dataclasses.field(default_factory=list)

    async def install(self, app: App, browsers: contextlib.AsyncExitStack, site: str) -> None:
        """Install the app on this site, in a browser that `browsers` closes."""
        address = f"127.0.1.{1 + self.sites.index(site)}" if self.apart else "127.0.0.1"
        http = await browsers.enter_async_context(_browser(app, address))
        answer: httpx.Response | None = None
        callback = ""
        began = time.monotonic()
        with contextlib.suppress(httpx.HTTPError, AssertionError):
            callback = await app.begin(http, site)
            began = time.monotonic()
            answer = await http.get(callback)
        self.waits.append(time.monotonic() - began)
        self.answers[_told(answer, http)] += 1
        if callback and (answer is None or answer.status_code != 303):
            self.to_load_again.append((http, callback))

    async def load_again(self) -> None:
        """Load the callbacks that did not succeed, as browsers do that were told to wait."""
        for http, callback in self.to_load_again:
            with anyio.move_on_after(PATIENCE):
                while True:
                    answer = await http.get(callback)
                    if answer.status_code not in _TOLD_TO_WAIT:
                        self.outcomes[_told(answer, http)] += 1
                        break
                    await anyio.sleep(_PAUSE)

    def figures(self, what: str, store: str, stored: int) -> list[Figure]:
        """Return the counts, now that `stored` of the sites have their installation."""
        expected = self.answers["303"] + self.answers["202"] + self.answers["503"]
        return [
            noted(f"{what}: honest installs", store, len(self.sites)),
            noted(f"{what}: of these at the first load", store, self.answers["303"]),
            exactly(f"{what}: neither done nor told to wait", store, len(self.sites) - expected, 0),
            exactly(f"{what}: installs lost", store, len(self.sites) - stored, 0),
            at_most(
                f"{what}: longest install, s", store, max(self.waits), _LONGEST_INSTALL, timed=True
            ),
        ]


@dataclasses.dataclass(slots=True)
class Refreshes:
    """Calls of sites whose stored tokens have ended, so that each call needs a refresh.

    Attributes:
        waits: The time of each answer, in seconds.
    """

    sites: Sequence[str]
    answers: Counter[str] = dataclasses.field(default_factory=Counter)
    waits: list[float] = dataclasses.field(default_factory=list)

    async def call(self, http: httpx.AsyncClient, site: str) -> None:
        """Have the app call Wix as this site."""
        began = time.monotonic()
        try:
            answer = await http.get(ROUTE, params={"site": site})
        except httpx.HTTPError as exc:
            self.answers[type(exc).__name__] += 1
        else:
            self.answers[str(answer.status_code)] += 1
        self.waits.append(time.monotonic() - began)

    def figures(self, what: str, store: str) -> list[Figure]:
        """Return the counts and times."""
        failed = len(self.sites) - self.answers["200"]
        usual, slow = percentile(self.waits, 0.5), percentile(self.waits, 0.99)
        return [
            noted(f"{what}: refreshes", store, len(self.sites)),
            exactly(f"{what}: failed refreshes", store, failed, 0),
            noted(f"{what}: a usual refresh, s", store, usual),
            at_most(f"{what}: a refresh at p99, s", store, slow, _LONGEST_REFRESH, timed=True),
        ]


def _told(answer: httpx.Response | None, http: httpx.AsyncClient) -> str:
    """Return the status of an answer, and whether a refusal to wait has cost the state."""
    if answer is None:
        return "no answer"
    spent = answer.status_code == 503 and not http.cookies
    return "503, with the state spent" if spent else str(answer.status_code)


def _browser(app: App, address: str) -> httpx.AsyncClient:
    """Return a browser that comes from an address of this host."""
    transport = httpx.AsyncHTTPTransport(verify=_SSL, local_address=address)
    return httpx.AsyncClient(base_url=app.url, transport=transport, timeout=PATIENCE)


async def at_rate(
    work: Callable[[str], Coroutine[object, object, None]], sites: Sequence[str], per_second: float
) -> None:
    """Begin `work` for each site when it is due, however long the work before it takes."""
    began = time.monotonic()
    async with anyio.create_task_group() as tasks:
        for number, site in enumerate(sites):
            await anyio.sleep(max(0.0, began + number / per_second - time.monotonic()))
            tasks.start_soon(work, site)


def percentile(values: Sequence[float], part: float) -> float:
    """Return the value below which this part of the values is; 0 where there is none."""
    ordered = sorted(values) or [0.0]
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]
