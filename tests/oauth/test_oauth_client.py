from __future__ import annotations

from collections.abc import Iterator
from traceback import TracebackException

import pytest
import stamina

from tests.engine import ACCESS, ManualClock, make_oauth
from tests.oauth.answering import CANARY, Answers, fails
from tests.support import SITE
from wix_asgi._http import httpx
from wix_asgi.errors import GrantRefused, WixError, WixMisconfigured, WixUnavailable
from wix_asgi.models import AccessToken
from wix_asgi.oauth.client import OAuthPolicy
from wix_asgi.testing import FakeWix

QUICK = OAuthPolicy(total_seconds=1.0)
"""Long enough for a request to be sent, also on a busy machine, and short for one that hangs."""

TOKEN_INFO = "/oauth2/token-info"
EVENT = "/apps/v1/bi-event"


@pytest.fixture(name="sleeps", autouse=True)
def _sleeps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Skip the pauses between tries, and list them."""
    sleeps: list[float] = []

    async def skip(seconds: float) -> None:
        sleeps.append(seconds)

    monkeypatch.setattr("stamina._core._smart_sleep", skip)
    return sleeps


@pytest.fixture(name="active_stamina", autouse=True)
def _active_stamina() -> Iterator[None]:
    before = stamina.is_active()
    stamina.set_active(True)
    yield
    stamina.set_active(before)


def unavailable(error: WixError) -> WixUnavailable:
    """Return `error`, which must be a WixUnavailable."""
    assert isinstance(error, WixUnavailable)
    return error


async def test_a_code_is_exchanged(fake: FakeWix) -> None:
    """The grant has an access token and a refresh token, and both are good."""
    grant = await make_oauth(fake).exchange(fake.issue_code())
    again = await make_oauth(fake).refresh(grant.refresh_token or "")

    assert 300.0 == grant.access_token.lifetime
    assert grant.access_token.value != again.access_token.value


async def test_a_life_is_counted_from_before_the_request(fake: FakeWix) -> None:
    """The time of the request is off the token's life (and a retry counts anew)."""
    clock = ManualClock()

    class Slow(Answers):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            clock.advance(7)
            return await super().handle_async_request(request)

    answer = httpx.Response(200, json={"access_token": CANARY, "expires_in": 100})
    transport = Slow(httpx.Response(503), answer)
    oauth = make_oauth(fake, transport, clock=clock)
    grant = await oauth.refresh(CANARY)

    assert AccessToken(CANARY, 100.0, 1_107.0) == grant.access_token


@pytest.mark.parametrize("kind", ["drop", "hang"])
async def test_an_exchange_is_not_repeated_once_it_was_sent(fake: FakeWix, kind: str) -> None:
    """Where the answer was lost the code may be spent: exactly one POST (R26)."""
    fake.fail(ACCESS, kind=kind, times=None)  # type: ignore[arg-type] # one of the kinds
    oauth = make_oauth(fake, policy=QUICK)
    error = unavailable(await fails(lambda: oauth.exchange(fake.issue_code())))

    assert not error.unsent
    assert 1 == fake.count(ACCESS)


@pytest.mark.parametrize("status", [408, 429, 500, 503])
async def test_an_exchange_that_was_answered_is_not_repeated(fake: FakeWix, status: int) -> None:
    """A transient refusal says nothing of whether the code is spent (R26)."""
    fake.fail(ACCESS, status=status)
    error = unavailable(await fails(lambda: make_oauth(fake).exchange(fake.issue_code())))

    assert not error.unsent
    assert 1 == fake.count(ACCESS)


async def test_an_exchange_that_was_not_sent_is_repeated(
    fake: FakeWix, sleeps: list[float]
) -> None:
    """A refused connection spent no code, so the next one may succeed (R26)."""
    fake.fail(ACCESS, kind="refuse", times=2)
    grant = await make_oauth(fake).exchange(fake.issue_code())

    assert grant.access_token.value
    assert 2 == len(sleeps)
    assert 1 == fake.count(ACCESS)


@pytest.mark.parametrize(
    "lost",
    [httpx.ConnectError("x"), httpx.ConnectTimeout("x"), httpx.PoolTimeout("x")],
    ids=lambda lost: type(lost).__name__,
)
async def test_a_request_that_was_never_sent_says_so(fake: FakeWix, lost: Exception) -> None:
    """After three connections that failed the code is known to be unspent."""
    transport = Answers(lost)
    error = unavailable(await fails(lambda: make_oauth(fake, transport).exchange(CANARY)))

    assert error.unsent
    assert 3 == len(transport.requests)
    assert lost is error.__cause__


@pytest.mark.parametrize(
    "lost",
    [
        httpx.ReadTimeout("x"),
        httpx.WriteTimeout("x"),
        httpx.ReadError("x"),
        httpx.WriteError("x"),
        httpx.RemoteProtocolError("x"),
        httpx.DecodingError("x"),
        httpx.StreamClosed(),
    ],
    ids=lambda lost: type(lost).__name__,
)
async def test_a_request_that_may_have_been_sent_leaves_the_code_open(
    fake: FakeWix, lost: Exception
) -> None:
    """Any other failure of the connection leaves it open whether the code is spent."""
    transport = Answers(lost)
    error = unavailable(await fails(lambda: make_oauth(fake, transport).exchange(CANARY)))

    assert not error.unsent
    assert 1 == len(transport.requests)


async def test_a_refresh_has_three_tries(fake: FakeWix, sleeps: list[float]) -> None:
    """It is repeated twice after transient failures of any kind."""
    fake.fail(ACCESS, kind="drop")
    fake.fail(ACCESS, status=500)
    oauth = make_oauth(fake)
    grant = await oauth.refresh(fake.issue_refresh_token())
    fake.fail(ACCESS, times=None)
    error = await fails(lambda: oauth.refresh(fake.issue_refresh_token()))

    assert grant.access_token.value
    assert 6 == fake.count(ACCESS)
    assert 4 == len(sleeps)
    assert "Wix answered 503" in str(error)


@pytest.mark.parametrize(
    ("jitter", "expected"), [(0.0, [0.0, 0.0]), (0.5, [0.5, 1.0]), (1.0, [1.0, 2.0])]
)
async def test_pauses_grow_and_have_full_jitter(
    fake: FakeWix, sleeps: list[float], jitter: float, expected: list[float]
) -> None:
    """Calls that failed at one moment are repeated at any moment of the next second or two."""
    fake.fail(ACCESS, times=None)
    oauth = make_oauth(fake, jitter=lambda: jitter)
    await fails(lambda: oauth.refresh(fake.issue_refresh_token()))

    assert expected == sleeps


async def test_each_try_sends_the_same(fake: FakeWix) -> None:
    """A repeated request has its body again, and a timeout of its own."""
    transport = Answers(
        httpx.Response(503), httpx.ReadError("x"), httpx.Response(200, json={"access_token": "t"})
    )
    await make_oauth(fake, transport).refresh(CANARY)

    assert 3 == len(transport.bodies)
    assert 1 == len(set(transport.bodies))
    assert all(request.extensions["timeout"]["read"] for request in transport.requests)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, {"error": "invalid_grant"}, GrantRefused),
        (401, {"error": "invalid_client"}, WixMisconfigured),
    ],
)
async def test_a_refusal_for_good_is_not_repeated(
    fake: FakeWix, status: int, body: dict[str, str], expected: type[WixError]
) -> None:
    """Another request would be refused, too."""
    fake.fail(ACCESS, status=status, body=body)
    error = await fails(lambda: make_oauth(fake).refresh(fake.issue_refresh_token()))

    assert type(error) is expected
    assert 1 == fake.count(ACCESS)


@pytest.mark.parametrize(("asked", "expected"), [("0", 0.05), ("1", 1.0), ("5", 5.0)])
async def test_a_pause_that_wix_asks_for_is_made(
    fake: FakeWix, sleeps: list[float], asked: str, expected: float
) -> None:
    """Retry-After is the pause before the next try, and never none at all."""
    fake.fail(ACCESS, status=429, headers={"Retry-After": asked})
    await make_oauth(fake).refresh(fake.issue_refresh_token())

    assert [expected] == sleeps


async def test_a_long_retry_after_is_the_callers(fake: FakeWix, sleeps: list[float]) -> None:
    """More than five seconds are not waited out: the error says how many."""
    fake.fail(ACCESS, status=429, headers={"Retry-After": "6"})
    error = unavailable(await fails(lambda: make_oauth(fake).refresh(fake.issue_refresh_token())))

    assert (6.0, 6.0) == (error.asked, error.retry_after)
    assert [] == sleeps


async def test_a_refresh_that_hangs_ends(fake: FakeWix) -> None:
    """Each try is bounded as a whole, not only between two bytes."""
    fake.fail(ACCESS, kind="hang", times=None)
    oauth = make_oauth(fake, policy=QUICK)
    error = unavailable(await fails(lambda: oauth.refresh(fake.issue_refresh_token())))

    assert "Wix did not answer within 1 s." == str(error)
    assert isinstance(error.__cause__, TimeoutError)


async def test_token_info_tells_whose_a_token_is(fake: FakeWix) -> None:
    """Token-info is asked again after a transient failure; an unknown token is inactive."""
    fake.fail(TOKEN_INFO, status=503, times=2)
    oauth = make_oauth(fake)
    info = await oauth.token_info(fake.issue_access_token(SITE))
    unknown = await oauth.token_info("unknown")

    assert (True, fake.app_id, SITE) == (info.active, info.client_id, info.instance_id)
    assert not unknown.active
    assert 4 == fake.count(TOKEN_INFO)


async def test_token_info_gives_up(fake: FakeWix) -> None:
    """After three tries nothing is known of the token."""
    fake.fail(TOKEN_INFO, times=None)
    unavailable(await fails(lambda: make_oauth(fake).token_info(CANARY)))

    assert 3 == fake.count(TOKEN_INFO)


async def test_an_event_is_sent_once(fake: FakeWix) -> None:
    """It cannot be undone, so that it is not repeated."""
    oauth = make_oauth(fake)
    token = AccessToken(fake.issue_access_token(SITE), 300.0, 0.0)
    await oauth.send_event(token, "APP_FINISHED_CONFIGURATION")
    fake.fail(EVENT)
    unavailable(await fails(lambda: oauth.send_event(token, "APP_FINISHED_CONFIGURATION")))

    assert [200, 503] == [call.status for call in fake.calls]


async def test_an_event_with_a_dead_token_is_refused(fake: FakeWix) -> None:
    """Wix takes events from installed apps alone."""
    token = AccessToken("dead", 300.0, 0.0)

    assert isinstance(await fails(lambda: make_oauth(fake).send_event(token, "x")), GrantRefused)


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("exchange", httpx.ConnectError("x")),
        ("exchange", httpx.ReadError("x")),
        ("refresh", httpx.Response(400, json={"error": "x", "error_description": CANARY})),
        ("refresh", httpx.Response(401, json={"error": "invalid_client", "token": CANARY})),
        ("refresh", httpx.Response(429, headers={"Retry-After": "60"})),
        ("refresh", httpx.Response(200, json={"refresh_token": CANARY})),
        ("refresh", httpx.Response(200, content=CANARY.encode())),
        ("token_info", httpx.ReadTimeout("x")),
        ("token_info", httpx.Response(503, json={"message": CANARY})),
    ],
    ids=repr,
)
async def test_an_error_has_no_secret_in_its_frames(
    fake: FakeWix, method: str, answer: httpx.Response | Exception
) -> None:
    """Neither message nor locals of the frames show credentials, codes or tokens (R35)."""
    oauth = make_oauth(fake, Answers(answer))
    with pytest.raises(WixError) as caught:
        await getattr(oauth, method)(CANARY)
    trace = "".join(TracebackException.from_exception(caught.value, capture_locals=True).format())

    assert fake.app_secret not in trace
    assert CANARY not in trace
