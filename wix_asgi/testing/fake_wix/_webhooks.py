"""A test's hands on the webhooks: sent at once or later, in any order, again and again."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Unpack

import anyio

from wix_asgi._http import httpx
from wix_asgi.testing.fake_wix._event_data import APP_INSTALLATION, event_data
from wix_asgi.testing.fake_wix._events import Events
from wix_asgi.testing.fake_wix._installations import Installation
from wix_asgi.testing.fake_wix.deliveries import Delivery, Repeat, Repeats, Target, post
from wix_asgi.testing.fake_wix.events import EventOptions, FakeEvent, Installed, make_webhook_id
from wix_asgi.testing.fake_wix.forgeries import Forgery
from wix_asgi.testing.fake_wix.world import FakeSite

__all__ = ["Webhooks"]


class Webhooks(Events):
    """A fake Wix that delivers the events of its app, and repeats its failed deliveries.

    A target is the URL of a webhook endpoint, the URL of an app on a port (`http://127.0.0.1:8000`,
    whose path is then `/wix/webhook`), or an app in this process: an ASGI app such as a
    `WixMiddleware`, a `WixWSGIMiddleware`, or a WSGI app with one in it, such as Flask's.
    """

    def __init__(self, **state: Any) -> None:
        """Begin with the state of a `World`, and with no delivery."""
        super().__init__(**state)
        self._delivery_lock = threading.Lock()
        self._deliveries: list[Delivery] = []
        self._queue: list[FakeEvent] = []
        self._repeats = Repeats()
        self._is_sending = False
        self._grants.installations.watch(self._tell)

    @property
    def deliveries(self) -> list[Delivery]:
        """The attempts to deliver events, in the order of their ends; `clear()` forgets them."""
        return self._deliveries

    @property
    def queued(self) -> list[FakeEvent]:
        """The events that wait for `send_queued`, in their order; a copy."""
        with self._delivery_lock:
            return list(self._queue)

    @property
    def next_repeat(self) -> float | None:
        """The moment of the next repetition by the fake's clock, or None where nothing failed."""
        return self._repeats.next_at()

    async def send_event(
        self,
        to: Target,
        event_type: str,
        site: str | FakeSite | Installed | None = None,
        data: Any = None,
        *,
        path: str | None = None,
        **options: Unpack[EventOptions],
    ) -> httpx.Response:
        """Make an event and deliver it; return the answer of any status.

        Args:
            to: The target.
            event_type: As for `make_event`, and so are `site`, `data` and the options.
            site: The installation.
            data: The data of the event.
            path: The path of the endpoint; by default that of the URL, or of the middleware.
            options: See `EventOptions`.

        Raises:
            httpx.TransportError: There is no answer; the event will be repeated.
            TypeError: `to` is no target.
        """
        return await self.deliver(to, self.make_event(event_type, site, data, **options), path=path)

    async def deliver(
        self, to: Target, event: FakeEvent | Forgery, *, path: str | None = None
    ) -> httpx.Response:
        """Deliver an event that was made before, or a forgery; return the answer.

        An event is noted in `deliveries`, and repeated by `redeliver_due` if its answer is not 200
        within 1250 ms of the fake's clock: a clock that stands still finds no answer late. A
        forgery is neither noted nor repeated.

        Raises:
            httpx.TransportError: There is no answer.
        """
        if isinstance(event, Forgery):
            return await post(to, path, event.body, event.headers, self.delivery_timeout)
        _, answer = await self._attempt(Repeat(event, to, path, 1, 0.0))
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def deliver_copies(
        self, to: Target, event: FakeEvent, copies: int, *, path: str | None = None
    ) -> list[httpx.Response]:
        """Deliver an event several times at once; return the answers.

        Raises:
            ExceptionGroup: Some have no answer.
        """
        answers: list[httpx.Response] = []

        async def deliver_one() -> None:
            answers.append(await self.deliver(to, event, path=path))

        async with anyio.create_task_group() as tasks:
            for _ in range(copies):
                tasks.start_soon(deliver_one)
        return answers

    def queue_event(
        self,
        event_type: str,
        site: str | FakeSite | Installed | None = None,
        data: Any = None,
        **options: Unpack[EventOptions],
    ) -> FakeEvent:
        """Make an event that waits for `send_queued`, and return it.

        The arguments are those of `make_event`.
        """
        event = self.make_event(event_type, site, data, **options)
        with self._delivery_lock:
            self._queue.append(event)
        return event

    async def send_queued(
        self,
        to: Target | None = None,
        *,
        order: Sequence[int] | None = None,
        seed: int | None = None,
        path: str | None = None,
    ) -> list[Delivery]:
        """Deliver the queued events one after another; return the deliveries of this call.

        While the fake sends events by itself, the call waits for the end of that.

        Args:
            to: The target; `webhook_url` by default.
            order: The places in the queue in the order of sending, as `[2, 0, 1]`. A place may be
                there twice, and an event whose place is not there is dropped.
            seed: Sends them in the order of a shuffle with this seed.
            path: The path of the endpoint, as for `send_event`.

        Raises:
            IndexError: There is no such place in the queue; nothing was sent.
            ValueError: There is no target.
        """
        target = self.webhook_url if to is None else to
        if target is None:
            raise ValueError("there is no target: give one, or set webhook_url")
        while not self._begin_sending():
            await self._signal.wait_until(lambda: not self._is_sending)
        try:
            self._arrange(order, seed)
            return await self._send_all(target, path)
        finally:
            self._end_sending()

    async def redeliver_due(self) -> list[Delivery]:
        """Repeat the failed events that are due by the fake's clock; return the deliveries.

        Wix repeats after 1 min, 10 min, 1 h, 3 times 2 h, 3 times 4 h, 2 times 8 h and 12 h, each
        counted from the failure before. `next_repeat` is the moment to set the clock to.
        Wix does not document the form of a repetition: `repeats_keep_webhook_id` and
        `repeats_are_signed_anew` choose it.
        """
        due = self._repeats.take(self.clock.now())
        return [(await self._attempt(self._again(repeat)))[0] for repeat in due]

    async def _send_told(self) -> None:
        """Send the events that installs and their ends have caused, unless a test holds them."""
        # The app asks for tokens while it gets an event: the first sender sends the new ones, too.
        if self.webhook_url is not None and not self.holds_events and self._begin_sending():
            try:
                await self._send_all(self.webhook_url, None)
            finally:
                self._end_sending()

    def _begin_sending(self) -> bool:
        with self._delivery_lock:
            if self._is_sending:
                return False
            self._is_sending = True
            return True

    async def _send_all(self, target: Target, path: str | None) -> list[Delivery]:
        sent: list[Delivery] = []
        while event := self._take_queued():
            delivery, _ = await self._attempt(Repeat(event, target, path, 1, 0.0))
            sent.append(delivery)
        return sent

    def _end_sending(self) -> None:
        self._is_sending = False
        self._signal.notify()

    def _arrange(self, order: Sequence[int] | None, seed: int | None) -> None:
        with self._delivery_lock:
            if order is not None:
                self._queue = [self._queue[place] for place in order]
            if seed is not None:
                random.Random(seed).shuffle(self._queue)  # noqa: S311 - the order of a test

    def _deliveries_of(self, instance_id: str) -> list[Delivery]:
        with self._delivery_lock:
            return [it for it in self._deliveries if it.instance_id == instance_id]

    def _tell(self, before: Installation | None, after: Installation) -> None:
        if self.webhook_url is None:
            return
        for event_type in _told(before, after):
            if self.subscriptions is None or event_type in self.subscriptions:
                data = event_data(self, event_type, after)
                self.queue_event(event_type, after.instance_id, data)

    def _take_queued(self) -> FakeEvent | None:
        with self._delivery_lock:
            return self._queue.pop(0) if self._queue else None

    def _again(self, repeat: Repeat) -> Repeat:
        event, now = repeat.event, self.host_clock()
        if event.webhook_id is not None and not self.repeats_keep_webhook_id:
            event = replace(event, webhook_id=make_webhook_id(now))
        if self.repeats_are_signed_anew:
            event = replace(event, issued_at=int(now))
        if event is not repeat.event:
            event = event.signed(self._webhook_key)
        return replace(repeat, event=event)

    async def _attempt(
        self, attempt: Repeat
    ) -> tuple[Delivery, httpx.Response | httpx.TransportError]:
        sent_at, status = self.clock.now(), 0
        answer: httpx.Response | httpx.TransportError
        body, seconds = attempt.event.token.encode(), self.delivery_timeout
        try:
            answer = await post(attempt.target, attempt.path, body, {}, seconds)
            status = answer.status_code
        except httpx.TransportError as exc:
            answer = exc
        finally:
            # A cancelled request is a failure, too: Wix does not know of cancellations.
            delivery = self._note(attempt, sent_at, status)
        return delivery, answer

    def _note(self, attempt: Repeat, sent_at: float, status: int) -> Delivery:
        now = self.clock.now()
        delivery = Delivery(attempt.event, attempt.attempt, sent_at, now - sent_at, status)
        with self._delivery_lock:
            self._deliveries.append(delivery)
        if delivery.is_failure:
            self._repeats.add(attempt, now)
        self._signal.notify()
        return delivery


def _told(before: Installation | None, after: Installation) -> list[str]:
    """Return the types of the events of a change.

    "created" is the first install, an uninstall and a reinstall are "updated", and "deleted" is the
    end of the site (Wix, "App Installations: Sample Flows").
    """
    if after.is_deleted:
        return [f"{APP_INSTALLATION}_deleted"]
    is_first = before is None and after.is_installed
    return [
        "AppInstalled" if after.is_installed else "AppRemoved",
        f"{APP_INSTALLATION}_{'created' if is_first else 'updated'}",
    ]
