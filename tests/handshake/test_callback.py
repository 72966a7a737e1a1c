"""The callback path: the queries, methods and loads that it takes, and those it refuses."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.handshake.flaky import FlakyStorage
from tests.handshake.handshaking import (
    CLOSE_WINDOW,
    JSON,
    FlowUnderTest,
    ask,
    begin,
    call_back,
    cookies_set,
    reason_of,
    state_of,
)
from tests.limits import PATIENCE
from tests.support import SITE, Browser, running
from wix_asgi.testing import FakeWix

pytestmark = pytest.mark.usefixtures("flow")

CALLBACK = "/wix/callback"


OTHER_SITE = "2a9d41c8-6f13-4e2b-8c77-5d2c9b3f7e02"


REPEATED = [
    "{rest}&state=other",
    "state=other&{rest}",
    "{rest}&{proof}=other",
    "{proof}=other&{rest}",
    "{rest}&instanceId=other",
    "instanceId=other&{rest}",
    "{rest}&error=a&error=b",
    "{rest}&token=a&token=b",
    "{rest}&{escaped}=other",
    "{rest}&stat%65=other",
]


OUT_OF_BOUNDS = [
    ("state=" + "x" * 70_000, 414),
    ("state=" + "x" * 4097, 414),
    ("{proof}=" + "x" * 8193, 414),
    ("instanceId=" + "x" * 4097, 414),
    ("error=" + "x" * 4097, 414),
    ("other=" + "x" * 16_384, 414),
    ("state=%ff", 400),
    ("{proof}=%c3%28", 400),
    ("{proof}=a%00b", 400),
    ("{proof}=a%0db", 400),
    ("{proof}=a%0ab", 400),
    ("state=%1b[2J", 400),
    ("state=%7f", 400),
]


def with_query(url: str, template: str, proof: str) -> str:
    """Return `url` with its query put into `template`, beside the parameter `proof`."""
    parts = urlsplit(url)
    escaped = f"%{ord(proof[0]):02x}{proof[1:]}"
    query = template.format(rest=parts.query, proof=proof, escaped=escaped)
    return parts._replace(query=query).geturl()


async def test_install(flow: FlowUnderTest) -> None:
    """After a consent the browser ends at Wix's close-window page, and the site is stored."""
    fake = FakeWix()
    storage = FlakyStorage()
    async with running(fake, storage=storage) as app:
        answer = await Browser(app).install(fake)
        stored = [found.instance_id async for found in app.wix.installations()]
        called = await app.wix.client(SITE).get("/echo")

    assert 303 == answer.status_code
    assert answer.headers["Location"].startswith(CLOSE_WINDOW)
    assert [SITE] == stored
    assert 200 == called.status_code
    assert (1, 1) == (fake.count(flow.grants), fake.count(flow.proves))


async def test_reinstall() -> None:
    """The same site may be installed again, in the same browser."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        answers = [await browser.install(fake) for _ in range(3)]
        stored = [found.instance_id async for found in app.wix.installations()]

    assert [303, 303, 303] == [answer.status_code for answer in answers]
    assert [SITE] == stored


@pytest.mark.parametrize("template", REPEATED)
async def test_repeated_parameters_are_refused(flow: FlowUnderTest, template: str) -> None:
    """A parameter that is named twice is refused before the state is touched (R13)."""
    fake = FakeWix()
    storage = FlakyStorage()
    async with running(fake, storage=storage) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        storage.steps.clear()
        refused = await call_back(browser, with_query(url, template, flow.proof))
        steps = list(storage.steps)
        finished = await browser.http.get(url)

    assert (400, "bad_request") == reason_of(refused)
    assert not steps
    assert 303 == finished.status_code


@pytest.mark.parametrize(("query", "status"), OUT_OF_BOUNDS, ids=lambda value: str(value)[:20])
async def test_query_out_of_bounds_is_refused(flow: FlowUnderTest, query: str, status: int) -> None:
    """A query that is too long or not plain text reaches neither storage nor Wix (R14)."""
    storage = FlakyStorage()
    fake = FakeWix()
    async with running(fake, storage=storage) as app:
        storage.steps.clear()
        answer = await ask(app, CALLBACK, query.replace("{proof}", flow.proof).encode())

    assert status == answer.status
    assert not storage.steps
    assert not fake.calls


async def test_raw_bytes_are_refused() -> None:
    """Bytes that no browser sends unescaped are refused (R14)."""
    async with running(FakeWix()) as app:
        answers = [
            await ask(app, CALLBACK, query) for query in (b"state=\xff", "a=\u00e9".encode())
        ]

    assert [400, 400] == [answer.status for answer in answers]


@pytest.mark.flow("advanced")
async def test_long_codes_are_taken(flow: FlowUnderTest) -> None:
    """A code of 8 kB, longer than the codes of Wix, reaches Wix whole (R14)."""
    fake = FakeWix()
    code = "x" * 8192
    async with running(fake) as app:
        browser = Browser(app)
        state = state_of(await browser.begin(fake))
        answer = await browser.http.get(CALLBACK, params={"code": code, "state": state})

    assert 502 == answer.status_code
    assert 1 == fake.count(flow.grants, code=code)


async def test_site_owner_cancels(flow: FlowUnderTest) -> None:
    """A cancelled install is told so; the flow is over, and its state used up (R19)."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        location = await browser.begin(fake)
        cookies = dict(browser.http.cookies)
        refused = await call_back(browser, fake.cancel(location) or "")
        (removed,) = cookies_set(refused)
        browser.http.cookies.update(cookies)
        later = await call_back(browser, fake.approve(location))

    assert (403, "denied") == reason_of(refused)
    assert {removed.name: ""} == dict.fromkeys(cookies, removed.value)
    assert (403, "denied") == reason_of(later)
    assert 0 == fake.count(flow.grants)


@pytest.mark.parametrize("error", ["access_denied", "server_error", "made_up", "", "<b>x</b>"])
@pytest.mark.parametrize("headers", [JSON, {"Accept": "text/html"}])
async def test_errors_are_not_reflected(error: str, headers: dict[str, str]) -> None:
    """No text of an error response is shown: the page is the same for all (R19)."""
    fake = FakeWix()
    hostile = "<script>alert(document.domain)</script>"
    async with running(fake) as app:
        browser = Browser(app)
        state = state_of(await browser.begin(fake))
        params = {"error": error, "error_description": hostile, "error_uri": hostile}
        answer = await browser.http.get(
            CALLBACK, params={**params, "state": state}, headers=headers
        )

    assert 403 == answer.status_code
    assert "made_up" not in answer.text
    assert "server_error" not in answer.text
    assert "alert" not in answer.text
    assert "<b>" not in answer.text


async def test_error_with_a_code_is_an_error(flow: FlowUnderTest) -> None:
    """A callback with both an error and a code is an error (R19)."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        answer = await call_back(browser, f"{url}&error=access_denied")

    assert (403, "denied") == reason_of(answer)
    assert 0 == fake.count(flow.grants)


async def test_error_of_another_browser_is_refused() -> None:
    """An attacker cannot cancel somebody else's install (R2, R19)."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        forged = f"{CALLBACK}?error=access_denied&state={state_of(url)}"
        refused = await call_back(Browser(app), forged)
        finished = await browser.http.get(url)

    assert (403, "browser_mismatch") == reason_of(refused)
    assert 303 == finished.status_code


@pytest.mark.flow("advanced")
@pytest.mark.parametrize("query", ["", "&code=", "&code", "&instanceId=" + SITE])
async def test_neither_code_nor_error(query: str) -> None:
    """A callback without a code and an error uses nothing up: the true callback still works."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        refused = await call_back(browser, f"{CALLBACK}?state={state_of(url)}{query}")
        finished = await browser.http.get(url)

    assert (400, "bad_request") == reason_of(refused)
    assert 303 == finished.status_code


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
async def test_other_methods_use_nothing_up(flow: FlowUnderTest, method: str) -> None:
    """Other methods than GET are refused, and use nothing up (R9, R23)."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        refused = await browser.http.request(method, url)
        assert 0 == fake.count(flow.grants)
        finished = await browser.http.get(url)

    assert (405, "GET") == (refused.status_code, refused.headers["Allow"])
    assert 303 == finished.status_code


OURS = ["code", "state", "instanceId", "error", "token", "appId", "tenantId", "signedInstance", "x"]
NAMES = st.sampled_from(OURS) | st.text()


PAIRS = st.lists(st.tuples(NAMES, st.text(max_size=300)), max_size=25)


QUERIES = st.binary(max_size=400) | PAIRS.map(
    lambda pairs: "&".join(f"{quote(name)}={quote(value)}" for name, value in pairs).encode()
)


# The event loop is no state that one example leaves to the next.
settled = settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@settled
@given(query=QUERIES)
async def test_any_query_is_answered(query: bytes) -> None:
    """Every query without a state of ours gets 400 or 414, and Wix is not asked (R3, R14)."""
    fake = FakeWix()
    with anyio.fail_after(PATIENCE):
        async with running(fake) as app:
            answer = await ask(app, CALLBACK, query)

    assert answer.status in {400, 414}
    assert not fake.calls


@settled
@given(pairs=PAIRS)
async def test_any_query_with_a_true_state_is_answered(pairs: list[tuple[str, str]]) -> None:
    """Every query with a state of ours gets the response of some reason (R14, R21)."""
    fake = FakeWix()
    extra = "&".join(f"{quote(name)}={quote(value)}" for name, value in pairs)
    with anyio.fail_after(PATIENCE):
        async with running(fake) as app:
            browser = Browser(app)
            state = state_of(await browser.begin(fake))
            answer = await browser.http.get(f"{CALLBACK}?state={state}&{extra}")

    # 502 is Wix's refusal of a code that it never gave.
    assert answer.status_code in {400, 403, 414, 502}
    assert not fake.installed
