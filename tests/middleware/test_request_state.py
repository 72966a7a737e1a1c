"""The state of a request: seen in front of the middleware, and by no other request."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import anyio
import pytest
from starlette.types import Message, Receive, Scope, Send

from tests.middleware.probes import Probe, call, http_scope
from tests.processes.apps import at_once
from tests.support import SITE, make_wix
from wix_asgi import Wix, WixClient, WixMiddleware
from wix_asgi.testing import FakeWix

OTHER = "2a6f1f0e-64b5-4d9b-8a5c-0f4f7b0d9c02"
THIRD = "3b7f2e1d-75c6-4eac-9b6d-1a5f8c1eac03"


@pytest.fixture(name="wix")
def _wix() -> Wix:
    return make_wix(FakeWix(), resolve_identity=lambda connection: connection.headers.get("site"))


def request_of(site: str, **more: Any) -> Scope:
    """Return the scope of a request by which this site calls."""
    return http_scope("/x", **{"headers": [(b"site", site.encode())], **more})


def site_in(state: Any) -> str | None:
    """Return the site for which the client in this state works."""
    identity = state["wix"].identity
    return identity.instance_id if identity else None


class Meeting:
    """An app in which requests wait for each other, and tell whose client and state they have."""

    def __init__(self, requests: int = 1) -> None:
        self._awaited = requests
        self._all_here = anyio.Event()
        self.told: dict[str, list[str | None]] = {}
        self.leftovers: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        site = dict(scope["headers"])[b"site"].decode()
        state = scope["state"]
        self.leftovers += [name for name in state if name.startswith("left by")]
        state[f"left by {site}"] = True
        told = self.told.setdefault(site, [])
        told.append(site_in(state))
        self._awaited -= 1
        if self._awaited <= 0:
            self._all_here.set()
        await self._all_here.wait()
        await anyio.lowlevel.checkpoint()
        told.append(site_in(scope["state"]))


@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_state_that_is_there_stays_the_same(
    wrapped: WixMiddleware, probe: Probe, kind: str
) -> None:
    """The app gets the dict that is in the scope, with its client; nothing else changes (R46)."""
    state = {"mine": [1]}
    scope = {**http_scope("/x", root_path="/sub", raw_path=b"/x", state=state), "type": kind}
    before = copy.deepcopy(scope)
    values = dict(scope)
    await call(wrapped, scope)
    (inner,) = probe.scopes

    assert inner["state"] is scope["state"] is state
    assert isinstance(state.pop("wix"), WixClient)
    assert before == scope == inner
    assert all(inner[name] is values[name] for name in values)


@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_missing_state_is_put_into_the_scope(
    wrapped: WixMiddleware, probe: Probe, kind: str
) -> None:
    """Where a server gives no state, the dict that the app gets is seen in front, too (R46)."""
    scope = {**http_scope("/x"), "type": kind}
    await call(wrapped, scope)
    (inner,) = probe.scopes

    assert inner["state"] is scope["state"]
    assert {**http_scope("/x"), "type": kind, "state": scope["state"]} == scope
    assert ["wix"] == list(scope["state"])


async def test_client_stays_for_tasks_that_outlive_the_request(
    wrapped: WixMiddleware, probe: Probe
) -> None:
    """A task that an app began finds its client after the request has ended."""
    state: dict[str, Any] = {}
    await call(wrapped, http_scope("/x", state=state))

    assert probe.scopes[0]["state"]["wix"] is state["wix"]


async def in_turn(calls: Sequence[Callable[[], Awaitable[Any]]]) -> None:
    """Make the calls one after another."""
    for each in calls:
        await each()


@pytest.mark.parametrize(("together", "requests"), [(in_turn, 1), (at_once, 3)])
@pytest.mark.parametrize("sharing", ["lifespan", "connection"])
async def test_requests_that_were_given_one_state_share_nothing(
    wix: Wix, together: Callable[[Any], Awaitable[Any]], requests: int, sharing: str
) -> None:
    """Where a server gives one dict to several requests, each has a client and state (R40, R46).

    In the end no client is in that dict, which the next request gets.
    """
    meeting = Meeting(requests)
    app = WixMiddleware(meeting, wix)
    given: dict[str, Any] = {"mine": 1}
    await start(app, given)
    shared = given if sharing == "lifespan" else {**given}
    seen: list[object] = []

    async def request(site: str) -> None:
        scope = request_of(site, state=shared)
        await call(app, scope)
        seen.append(scope["state"].get("mine"))

    await together([partial(request, site) for site in (SITE, OTHER, THIRD)])
    late = request_of(SITE, state=shared)
    await call(app, late)

    assert {SITE: [SITE] * 4, OTHER: [OTHER] * 2, THIRD: [THIRD] * 2} == meeting.told
    assert [] == meeting.leftovers
    assert [1, 1, 1] == seen
    assert late["state"] is not shared
    assert not isinstance(shared.get("wix"), WixClient)
    assert "WixClient" not in repr(shared)


async def start(app: WixMiddleware, state: dict[str, Any]) -> None:
    """Run the lifespan of the app, as a server with this state does."""
    messages: list[Message] = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        assert message["type"].endswith(".complete")

    await app({"type": "lifespan", "state": state}, receive, send)


async def test_state_that_is_a_copy_of_another_requests(wix: Wix) -> None:
    """A pushed request, whose state was copied from that of a page, has its own (R40, R46)."""
    meeting = Meeting()
    app = WixMiddleware(meeting, wix)
    pushed: list[Scope] = []

    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["left by the page"] = True
        pushed.append(request_of(OTHER, state=dict(scope["state"])))
        await WixMiddleware(meeting, wix)(pushed[0], receive, send)
        pushed.append(scope)

    await call(WixMiddleware(page, wix), request_of(SITE))
    late = request_of(OTHER, state=dict(pushed[1]["state"]))
    await call(app, late)

    assert {OTHER: [OTHER] * 4} == meeting.told
    assert [] == meeting.leftovers
    assert [SITE, OTHER, OTHER] == [site_in(one["state"]) for one in (pushed[1], pushed[0], late)]


@pytest.mark.parametrize("copies", [False, True])
async def test_middleware_inside_another(wix: Wix, copies: bool) -> None:
    """The inner app has the inner client, and the outer app has its own again afterwards (R40)."""
    inner_wix = make_wix(FakeWix(), resolve_identity=lambda _: OTHER)
    told: list[str | None] = []

    async def innermost(scope: Scope, receive: Receive, send: Send) -> None:
        told.append(site_in(scope["state"]))
        scope["state"]["written"] = scope["state"]["between"]

    inner = WixMiddleware(innermost, inner_wix)

    async def between(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["between"] = "between"
        passed = dict(scope) if copies else scope
        await inner(passed, receive, send)
        told.extend((site_in(scope["state"]), passed["state"]["written"]))

    state: dict[str, Any] = {}
    await call(WixMiddleware(between, wix), request_of(SITE, state=state))

    assert [OTHER, SITE, "between"] == told
    assert SITE == site_in(state)
    assert copies is ("written" not in state)


async def test_outer_client_is_back_after_an_error(wix: Wix) -> None:
    """An error of the inner app leaves the outer client as it was, and comes out (R40)."""
    inner_wix = make_wix(FakeWix(), resolve_identity=lambda _: OTHER)

    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        raise LookupError(site_in(scope["state"]))

    state: dict[str, Any] = {}
    with pytest.raises(LookupError, match=OTHER):
        await call(
            WixMiddleware(WixMiddleware(failing, inner_wix), wix), request_of(SITE, state=state)
        )

    assert SITE == site_in(state)


async def test_parts_of_a_batch_have_their_own_clients(wix: Wix) -> None:
    """Requests that are made of one, and are answered at the same time, mix up nothing (R40)."""
    told: dict[str, list[str | None]] = {SITE: [], OTHER: []}

    async def probe(scope: Scope, receive: Receive, send: Send) -> None:
        mine = told[scope["path"]]
        mine.append(site_in(scope["state"]))
        mine.append(scope["state"]["user"])
        if len(told[SITE]) == len(told[OTHER]) == 2:
            both.set()
        await both.wait()
        mine.append(site_in(scope["state"]))

    both = anyio.Event()

    def app_of(site: str) -> WixMiddleware:
        return WixMiddleware(probe, make_wix(FakeWix(), resolve_identity=lambda _: site))

    apps = {site: app_of(site) for site in (SITE, OTHER)}
    batch = request_of(SITE, state={"user": "somebody"})
    await at_once([partial(call, app, {**batch, "path": site}) for site, app in apps.items()])

    assert {site: [site, "somebody", site] for site in apps} == told


async def test_a_second_try_has_the_state_of_the_first(wix: Wix, probe: Probe) -> None:
    """A middleware that tries again with the scope that it has keeps the values in its state."""
    app = WixMiddleware(probe, wix)
    state: dict[str, Any] = {"user": "somebody"}
    scope = request_of(SITE, state=state)
    await call(app, scope)
    first = state["wix"]
    await call(app, scope)

    assert scope["state"] is state
    assert state["wix"] is not first
    assert "somebody" == state["user"]


async def test_middleware_inside_another_where_a_state_is_shared(wix: Wix) -> None:
    """Neither client of a nested request stays in a dict that another request got (R40, R46)."""
    meeting = Meeting(2)
    shared: dict[str, Any] = {}
    nested = WixMiddleware(WixMiddleware(meeting, wix), wix)
    sites = (SITE, OTHER)
    await at_once([partial(call, nested, request_of(site, state=shared)) for site in sites])

    assert {site: [site] * 2 for site in sites} == meeting.told
    assert [] == meeting.leftovers
    assert not isinstance(shared["wix"], WixClient)


@pytest.mark.parametrize("value", [None, "text", "client"])
async def test_value_of_the_app_under_our_name_is_replaced(
    wix: Wix, probe: Probe, value: str | None
) -> None:
    """A lifespan or a middleware in front that sets `state.wix` is overruled, and no more."""
    state = {"wix": wix.client(OTHER) if value == "client" else value, "mine": 1}
    await call(WixMiddleware(probe, wix), request_of(SITE, state=state))

    assert (SITE, 1) == (site_in(state), state["mine"])
    assert probe.scopes[0]["state"] is state


async def test_shared_state_explains_itself(wix: Wix) -> None:
    """A developer who looks into the shared dict reads why there is no client."""
    state: dict[str, Any] = {}
    for site in (SITE, OTHER):
        await call(WixMiddleware(Probe(), wix), request_of(site, state=state))

    assert "<several requests were given this state>" == repr(state["wix"])
