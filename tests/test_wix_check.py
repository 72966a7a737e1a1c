"""The check of an app's set-up: each mistake has its finding."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import partial

import anyio
import pytest
from anyio.lowlevel import checkpoint
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.limits import PATIENCE
from tests.operations.sealed import LOST, OLD, install
from tests.support import PUBLIC_URL, make_wix, without_claim_owner
from wix_asgi import Finding, StorageUnavailable, Wix, WixMiddleware
from wix_asgi._http import httpx
from wix_asgi.models import FindingLevel
from wix_asgi.operations.check_setup import check_setup
from wix_asgi.sealing.vault import Vault
from wix_asgi.storage import open_storage
from wix_asgi.testing import FakeWix
from wix_asgi_backends.memory import MemoryStorage

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


def in_front(wix: Wix, answer: Callable[[Scope], ASGIApp | None]) -> httpx.ASGITransport:
    """Return the way to the app of `wix` through a server that answers some requests itself."""
    app = WixMiddleware(Starlette(), wix)

    async def server(scope: Scope, receive: Receive, send: Send) -> None:
        await (answer(scope) or app)(scope, receive, send)

    return httpx.ASGITransport(app=server)


def nobody(_: Scope) -> None:
    """Leave every request to the app."""


async def found(wix: Wix, answer: Callable[[Scope], ASGIApp | None] = nobody) -> list[Finding]:
    """Check an app behind a server."""
    return await wix.check(transport=in_front(wix, answer))


def errors(findings: list[Finding]) -> list[tuple[str, str]]:
    """Return subjects and messages of the errors."""
    return [(each.subject, each.message) for each in findings if each.level is FindingLevel.ERROR]


@pytest.mark.parametrize("flow", ["advanced", "client_credentials"])
async def test_a_good_app_has_no_error(flow: str) -> None:
    """What is right is told, and what is only good for tests; the app stays closed."""
    fake = FakeWix()
    wix = make_wix(fake, flow=flow)
    await fake.install(wix)
    findings = await found(wix)

    assert [] == errors(findings)
    assert [
        ("ok", "settings"),
        ("warning", "wix_url"),
        ("warning", "api_url"),
        ("ok", "public_key"),
        ("ok", "storage"),
        ("warning", "storage"),
        ("ok", "encryption_keys"),
        ("ok", "api_url"),
        ("warning", "clock"),
        ("ok", "public_url"),
        ("ok", "callback"),
    ] == [(each.level.value, each.subject) for each in findings]
    assert "Not checked: whether Wix knows this app ID and app secret." in findings[0].message
    assert not wix.is_open


async def test_an_open_app_stays_open() -> None:
    """An app may check itself while it serves."""
    async with make_wix(FakeWix()) as wix:
        await found(wix)

        assert wix.is_open


async def test_a_cancelled_check_closes_the_storage(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Wix that is closed stays closed, however its check ends."""
    wix, asked, steps = make_wix(FakeWix()), anyio.Event(), list[str]()

    async def hang(_: httpx.Request) -> httpx.Response:
        asked.set()
        await anyio.sleep_forever()
        raise AssertionError

    async def close() -> None:
        steps.append("closing")
        await checkpoint()
        steps.append("closed")

    monkeypatch.setattr(wix.storage, "aclose", close)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(wix.check, transport=httpx.MockTransport(hang)))
        with anyio.fail_after(PATIENCE):
            await asked.wait()
        tasks.cancel_scope.cancel()

    assert ["closing", "closed"] == steps


async def test_settings_worth_a_look_are_told() -> None:
    """A public URL of this machine, an earlier secret, and an app without webhooks."""
    fake = FakeWix()
    settings = {**fake.settings(), "public_key": None}
    wix = Wix(
        **settings,
        public_url="http://127.0.0.1:8000",
        storage=without_claim_owner(MemoryStorage)(),
        previous_app_secrets=["test-app-secret-of-before"],
        transport=fake.transport,
    )
    findings = await found(wix)
    told = {each.subject: each.message for each in findings}

    assert [] == errors(findings)
    assert "this machine alone" in told["public_url"] or "leads to Wix" in told["public_url"]
    assert "keys rotate" in told["previous_app_secrets"]
    assert "no webhooks" in told["public_key"]
    assert any("ClaimReader" in each.message for each in findings)
    assert "test-app-secret" not in str(findings)


async def test_a_storage_that_is_down_is_told() -> None:
    """The error of the storage is a finding, and the remaining checks go on."""

    class Down(MemoryStorage):
        async def open(self) -> None:
            raise StorageUnavailable("The storage test is down.")

    wix = make_wix(FakeWix(), storage=Down())
    told = errors(await wix.check(transport=httpx.MockTransport(lambda _: httpx.Response(404))))

    assert ("storage", "The storage test is down.") == told[0]
    assert ["storage", "public_url", "callback"] == [subject for subject, _ in told]


async def test_missing_keys_are_told_by_their_ids() -> None:
    """Tokens under a key that is gone, and tokens that were changed, are two errors."""
    storage = open_storage("memory://")
    await install(storage, "old", key=OLD)
    await install(storage, "lost", key=LOST)
    wix = make_wix(FakeWix(app_id="test-app"), storage=storage, encryption_keys=[OLD.hex()])
    told = errors(await found(wix))
    record = await storage.get("test-app", "old")
    assert record is not None
    await storage.delete("test-app", "lost")
    await storage.put(dataclasses.replace(record, instance_id="moved"))
    moved = errors(await found(wix))

    assert ["encryption_keys"] == [subject for subject, _ in told]
    assert Vault([LOST]).newest_id in told[0][1]
    assert [("storage", "Damaged, or moved from other rows: 1 tokens.")] == moved


@pytest.mark.parametrize(
    ("date", "level", "message"),
    [
        (NOW, "ok", "agrees"),
        (datetime(2026, 11, 1, 12, 2, tzinfo=UTC), "error", "120 seconds behind"),
        (datetime(2026, 11, 1, 11, 58, tzinfo=UTC), "error", "120 seconds ahead of"),
        ("nonsense", "warning", "no date"),
    ],
)
async def test_the_clock_is_compared_with_wix(
    date: datetime | str, level: str, message: str
) -> None:
    """Over a minute, in either direction, webhooks are refused."""
    text = date if isinstance(date, str) else format_datetime(date)
    to_wix = httpx.MockTransport(lambda _: httpx.Response(404, headers={"date": text}))
    wix = make_wix(FakeWix())
    findings = await check_setup(
        wix.settings,
        wix.storage,
        to_wix=to_wix,
        to_app=in_front(wix, nobody),
        clock=NOW.timestamp,
    )
    (clock,) = [each for each in findings if each.subject == "clock"]

    assert level == clock.level
    assert message in clock.message


async def test_addresses_out_of_reach_are_told() -> None:
    """Neither Wix nor the app can be reached: three errors, with the reason."""

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("All connection attempts failed", request=request)

    wix = make_wix(FakeWix())
    closed = httpx.MockTransport(refuse)
    told = errors(await check_setup(wix.settings, wix.storage, to_wix=closed, to_app=closed))

    assert ["api_url", "public_url", "callback"] == [subject for subject, _ in told]
    assert all("ConnectError. All connection attempts failed." in message for _, message in told)


@pytest.mark.parametrize(
    ("status", "text", "remedy"),
    [
        (400, "Request Line is too large (5040 &gt; 4094)", "--limit-request-line 8190"),
        (414, "", "large_client_header_buffers 4 32k"),
        (431, "", "request lines of 16 kB"),
    ],
)
async def test_a_server_that_refuses_long_addresses_is_told(
    status: int, text: str, remedy: str
) -> None:
    """The answer of gunicorn has its limit, and that of nginx its remedy."""

    def refuse(scope: Scope) -> ASGIApp | None:
        is_long = scope["path"].endswith("callback") and len(scope["query_string"]) > 4_000
        return PlainTextResponse(text, status) if is_long else None

    ((subject, message),) = errors(await found(make_wix(FakeWix()), refuse))

    assert "callback" == subject
    assert f"{PUBLIC_URL}/wix/callback answers {status} " in message
    assert remedy in message


async def test_a_server_that_refuses_long_headers_is_told() -> None:
    """By default nginx takes no answer whose headers are over 4 kB."""

    def refuse(scope: Scope) -> ASGIApp | None:
        return PlainTextResponse("", 502) if len(scope["query_string"]) > 3_000 else None

    (install, callback) = errors(await found(make_wix(FakeWix()), refuse))

    assert "proxy_buffer_size 16k" in install[1]
    assert "callback" == callback[0]


async def test_another_app_at_the_address_is_told() -> None:
    """An address without the middleware answers, and is not taken for the app."""
    told = errors(await found(make_wix(FakeWix()), lambda _: PlainTextResponse("", 404)))

    assert ["public_url", "callback"] == [subject for subject, _ in told]
    assert "answers 404" in told[0][1]


async def test_a_header_lost_on_the_way_is_told() -> None:
    """Wix closes its window only where the opener policy arrives as it was sent."""
    wix = make_wix(FakeWix())
    app = WixMiddleware(Starlette(), wix)

    def strip(_: Scope) -> ASGIApp:
        async def server(scope: Scope, receive: Receive, send: Send) -> None:
            async def stripped(message: Message) -> None:
                if message["type"] == "http.response.start":
                    headers = MutableHeaders(raw=message["headers"])
                    headers["cross-origin-opener-policy"] = "same-origin"
                await send(message)

            await app(scope, receive, stripped)

        return server

    told = errors(await found(wix, strip))

    assert 2 == len(told)
    assert all("Cross-Origin-Opener-Policy" in message for _, message in told)
