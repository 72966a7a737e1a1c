"""docs/webhooks.md: its snippets run as they are printed, and its figures are the source's."""

from __future__ import annotations

import ast
import re
from typing import Any

import pytest

from tests.servers import ROOT
from tests.support import make_app, make_wix
from wix_asgi import WixMiddleware
from wix_asgi.testing import FakeWix
from wix_asgi.webhooks.lifecycle import Lifecycle
from wix_asgi.webhooks.policy import WebhookPolicy

PAGE = (ROOT / "docs" / "webhooks.md").read_text("utf-8")
SNIPPETS: list[str] = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_snippets_are_python(number: int) -> None:
    """Every snippet can be compiled."""
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT

    assert compile(SNIPPETS[number], "webhooks.md", "exec", flags=flags, dont_inherit=True)


async def test_the_first_snippet_is_an_app(fake: FakeWix, monkeypatch: pytest.MonkeyPatch) -> None:
    """The app that the page begins with keeps the events for which it has handlers."""
    for name, value in fake.settings().items():
        monkeypatch.setenv("WIX_URL" if name == "wix_url" else f"WIX_{name.upper()}", str(value))
    monkeypatch.setenv("WIX_STORAGE", "memory://")
    monkeypatch.setenv("WIX_PUBLIC_URL", "https://app.example.com")
    monkeypatch.setenv("WIX_WEBHOOKS", "store")
    space: dict[str, Any] = {"__name__": "main", "app": make_app()}
    exec(compile(SNIPPETS[0], "webhooks.md", "exec", dont_inherit=True), space)  # noqa: S102 - ours
    async with space["wix"]:
        answer = await fake.send_event(space["app"], "wix.contacts.v4.contact_created", data={})

    assert 200 == answer.status_code
    assert isinstance(space["app"], WixMiddleware)


async def test_the_idempotent_handler_counts_once(fake: FakeWix) -> None:
    """The handler of the page has its effect once, however often it is called for an event."""
    seen, revenue = set[str](), list[object]()

    class Database:
        def transaction(self) -> Any:
            return self

        async def __aenter__(self) -> None: ...

        async def __aexit__(self, *_: object) -> None: ...

        async def seen_before(self, event_id: str) -> bool:
            was_seen = event_id in seen
            seen.add(event_id)
            return was_seen

        async def add_to_revenue(self, instance_id: str, data: object) -> None:
            revenue.append((instance_id, data))

    class Event:
        id, instance_id, data = "an-id", "a-site", 7

    space: dict[str, Any] = {"database": Database(), "wix": make_wix(fake)}
    exec(compile(SNIPPETS[1], "webhooks.md", "exec", dont_inherit=True), space)  # noqa: S102 - ours
    for _ in range(3):
        await space["count_order"](Event())

    assert [("a-site", 7)] == revenue


def test_the_figures_are_those_of_the_policy() -> None:
    """The bounds and the pauses that the page tells are those of the source."""
    policy = WebhookPolicy()
    pauses = [policy.delay_after(number, 0.5) for number in range(1, 8)]

    assert [10, 52, 270, 1406, 7312, 38020, 43200] == [round(pause) for pause in pauses]
    assert "10 s, 52 s, 4.5 min, 23 min, 2 h, 10.5 h and 12 h" in PAGE
    assert (500, 32_000_000) == (policy.max_bodies, policy.max_bytes)
    assert "at most 500 bodies are under way, with 32 MB in all" in PAGE
    assert (1_000_000, 10.0, 1.0) == (policy.max_body, policy.body_timeout, policy.keep_wait)
    assert (72 * 3600, 30 * 86400) == (policy.keep_keys, policy.keep_dead)
    assert 100_000 == policy.max_waiting
    assert 5 == len(Lifecycle.TYPES)
    assert "and the five that\nkeep installations true" in PAGE
