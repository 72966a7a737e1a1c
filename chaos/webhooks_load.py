"""Wix's side of a load of webhooks: events, copies of them, and forgeries, sent at a rate."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final

import anyio

from tests.limits import PATIENCE
from wix_asgi._http import httpx
from wix_asgi.testing import FakeWix
from wix_asgi.testing.fake_wix.forgeries import FORGERIES

__all__ = ["EVENT_TYPE", "FORGED", "WEBHOOK", "Answers", "Parcel", "mixed", "parcels", "send"]

EVENT_TYPE: Final = "chaos.v1.order_created"
WEBHOOK: Final = "/wix/webhook"
FORGED: Final = 1_000_000
"""Numbers of forged events begin here."""

_REPEAT: Final = 0.5
"""Seconds after which an event that was not answered 200 is sent again; Wix waits a minute."""

_KINDS: Final = [kind for kind in FORGERIES if kind != "huge"]
"""Those of 20 MB would measure the network."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """The body of one request, and the number of the event inside it."""

    number: int
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def is_forged(self) -> bool:
        """Whether it must not be accepted."""
        return self.number >= FORGED


@dataclass
class Answers:
    """The answers to all requests.

    Attributes:
        accepted: The numbers of the events that were answered 200, forged ones among them.
        statuses: How often each status was answered to genuine events; 0 is no answer.
        seconds: The time of each answer to a genuine event.
        log: Beginning, end and status of each request of a genuine event, by `time.monotonic`.
    """

    accepted: set[int] = field(default_factory=set)
    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    log: list[tuple[float, float, int]] = field(default_factory=list)

    @property
    def forged(self) -> int:
        """How many forgeries were accepted."""
        return sum(number >= FORGED for number in self.accepted)

    @property
    def genuine(self) -> AbstractSet[int]:
        """The numbers of the genuine events that were accepted."""
        return {number for number in self.accepted if number < FORGED}

    def within(self, begin: float, end: float) -> Counter[int]:
        """Return the statuses of the requests that began and ended between two moments."""
        return Counter(
            status for began, ended, status in self.log if begin <= began and ended <= end
        )

    def slowest(self, share: float) -> float:
        """Return the seconds within which this share of the answers came."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def parcels(fake: FakeWix, count: int, seconds: Callable[[int], float]) -> list[Parcel]:
    """Return genuine events, whose handlers take `seconds(number)`."""
    made = []
    for number in range(count):
        data = {"number": number, "seconds": seconds(number)}
        made.append(Parcel(number, fake.make_event(EVENT_TYPE, None, data).token.encode()))
    return made


def mixed(
    fake: FakeWix, genuine: Sequence[Parcel], *, copies: float, forgeries: float
) -> list[Parcel]:
    """Return the events with a share of copies, each behind its original, and of forgeries."""
    chance = random.Random(len(genuine))  # noqa: S311 - no secret
    total = len(genuine) / (1 - copies - forgeries)
    mixture: list[tuple[float, Parcel]] = [
        (float(place), each) for place, each in enumerate(genuine)
    ]
    for place in chance.sample(range(len(genuine)), round(total * copies)):
        later = chance.uniform(place, place + len(genuine) / 10)
        mixture.append((later, genuine[place]))
    for number in range(round(total * forgeries)):
        data = {"number": FORGED + number, "seconds": 0.0}
        made = fake.forge_event(_KINDS[number % len(_KINDS)], EVENT_TYPE, None, data)
        parcel = Parcel(FORGED + number, made.body, made.headers)
        mixture.append((chance.uniform(0, len(genuine)), parcel))
    return [parcel for _, parcel in sorted(mixture, key=lambda each: each[0])]


async def send(
    url: str,
    wanted: Iterable[Parcel],
    *,
    rate: float,
    until_accepted: bool = False,
    answers: Answers | None = None,
) -> Answers:
    """Send parcels at `rate` a second, however long the answers take.

    With `until_accepted` a genuine event is sent again until it is answered 200, as Wix does.
    """
    answers = answers or Answers()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
    began = anyio.current_time()
    async with (
        httpx.AsyncClient(base_url=url, limits=limits, timeout=PATIENCE, trust_env=False) as http,
        anyio.create_task_group() as tasks,
    ):
        for place, parcel in enumerate(wanted):
            await anyio.sleep_until(began + place / rate)
            tasks.start_soon(_deliver, http, parcel, answers, until_accepted)
    return answers


async def _deliver(
    http: httpx.AsyncClient, parcel: Parcel, answers: Answers, until_accepted: bool
) -> None:
    while True:
        began, status = time.monotonic(), 0
        try:
            answer = await http.post(WEBHOOK, content=parcel.body, headers=dict(parcel.headers))
            status = answer.status_code
        except httpx.TransportError:
            pass  # The process was killed.
        ended = time.monotonic()
        if status == 200:
            answers.accepted.add(parcel.number)
        if not parcel.is_forged:
            answers.statuses[status] += 1
            answers.log.append((began, ended, status))
            if status:
                answers.seconds.append(ended - began)
        if status == 200 or parcel.is_forged or not until_accepted:
            return
        await anyio.sleep(_REPEAT)
