"""What the log says of refused callers: the rule, the site, the value, and what to look at."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.identity.signing import CLAIMS, GOOD, OLD_SECRET, settings, sign
from tests.support import SITE
from wix_asgi import Unauthenticated
from wix_asgi.identity._refusal_log import RefusalLog
from wix_asgi.identity.callers import RequestCaller
from wix_asgi.identity.signed_callers import SignedCallers

HOSTILE = "site\n2026 ERROR forged" + "x" * 5000


@pytest.fixture(name="now")
def _now() -> list[float]:
    """Return the monotonic clock of the log, which a test may move."""
    return [1000.0]


@pytest.fixture(name="ask")
def _ask(now: list[float]) -> Callable[..., RequestCaller]:
    """Return a function that makes the caller of a request with this query."""
    signed = SignedCallers(
        settings(previous_app_secrets=OLD_SECRET), refusals=RefusalLog(clock=lambda: now[0])
    )
    return lambda query, **given: RequestCaller(signed, query.encode(), [], **given)


async def refuse(asked: RequestCaller) -> None:
    """Let a caller be refused."""
    with pytest.raises(Unauthenticated):
        await asked.identify()


def instance(**change: Any) -> str:
    """Return the query with an instance of which these claims are changed."""
    return f"instance={sign({**CLAIMS, **change})}"


Expected = tuple[str, str, str | None, str]
"""A query, its reason, the value in the line, and a part of the hint."""

STALE = "2020-01-01T00:00:00.000Z"
LINES: list[Expected] = [
    ("", "no_identity", None, "opened outside Wix"),
    ("instance=forged", "forged", None, "is WIX_APP_SECRET this app's?"),
    (instance(permissions="EDITOR"), "permissions", "'EDITOR'", "WIX_ALLOWED_PERMISSIONS"),
    (instance(permissions=None), "permissions", "None", "WIX_ALLOWED_PERMISSIONS"),
    (instance(signDate=STALE), "too_old", STALE, "WIX_INSTANCE_MAX_AGE"),
    (instance(expirationDate=17), "ended", "17", "clock"),
    (instance(appDefId="app-2"), "other_app", "'app-2'", "WIX_APP_ID"),
    (instance(aid="visitor-1"), "visitor", "'visitor-1'", "visitors"),
]


@pytest.mark.parametrize("expected", LINES)
async def test_line_names_rule_site_value_and_setting(
    ask: Callable[..., RequestCaller], caplog: pytest.LogCaptureFixture, expected: Expected
) -> None:
    """A refused caller is one WARNING; a site is named by a genuine instance alone (R53)."""
    query, reason, value, hint = expected
    await refuse(ask(query))
    (line,) = caplog.records
    text, site = line.getMessage(), None if value is None else SITE

    assert (logging.WARNING, reason, site) == (
        line.levelno,
        vars(line)["reason"],
        vars(line)["instance_id"],
    )
    assert text.startswith(f"caller refused: {reason}")
    assert hint in text
    assert re.search(r"\w[.?]$", text)
    assert (f", site {SITE}: " in text) == (site is not None)
    assert (value or "") in text


async def test_line_about_a_previous_secret_names_its_setting(
    ask: Callable[..., RequestCaller], caplog: pytest.LogCaptureFixture
) -> None:
    """After a rotation without a time, the log says why all open pages fail (R57)."""
    await refuse(ask(f"instance={sign(CLAIMS, OLD_SECRET)}"))
    (line,) = caplog.records

    assert "of a previous app secret" in line.getMessage()
    assert "WIX_PREVIOUS_SECRETS_UNTIL" in line.getMessage()
    assert vars(line)["instance_id"] is None


async def test_two_sites_are_both_named(
    ask: Callable[..., RequestCaller], caplog: pytest.LogCaptureFixture
) -> None:
    """Where a page and the app's own function differ, the line names both sites."""
    await refuse(ask(instance(signDate=STALE), resolve=lambda _: "site-9", scope={"type": "http"}))
    (line,) = caplog.records

    assert f"names the sites {SITE} and site-9" in line.getMessage()


async def test_one_line_a_minute_and_reason(
    ask: Callable[..., RequestCaller], caplog: pytest.LogCaptureFixture, now: list[float]
) -> None:
    """Repeated refusals of one reason are counted, and another reason has lines of its own."""
    for _ in range(5):
        await refuse(ask("instance=forged"))
    await refuse(ask(""))
    now[0] += 60
    await refuse(ask("instance=forged"))
    texts = [line.getMessage() for line in caplog.records]

    assert ["forged", "no_identity", "forged"] == [vars(line)["reason"] for line in caplog.records]
    assert ["more before" in text for text in texts] == [False, False, True]
    assert "(and 4 more before it)" in texts[-1]


async def test_one_request_is_one_refusal(
    ask: Callable[..., RequestCaller], caplog: pytest.LogCaptureFixture, now: list[float]
) -> None:
    """A request that looks at the caller again is not counted again."""
    asked = ask("instance=forged")
    assert asked.identity is None
    await refuse(asked)
    await refuse(asked)
    now[0] += 60
    await refuse(ask("instance=forged"))

    assert ["more before" in line.getMessage() for line in caplog.records] == [False, False]


async def test_a_glance_logs_refusals_and_no_strangers(
    ask: Callable[..., RequestCaller], caplog: pytest.LogCaptureFixture
) -> None:
    """`client.identity` logs a refused instance; a page for everybody is not a refusal."""
    found = [ask(query).identity for query in ("", f"instance={GOOD}", "instance=forged")]

    assert [False, True, False] == [identity is not None for identity in found]
    assert ["forged"] == [vars(line)["reason"] for line in caplog.records]


async def test_overruled_age_is_no_refusal(
    ask: Callable[..., RequestCaller], caplog: pytest.LogCaptureFixture
) -> None:
    """An old instance whose site the app knows is not logged."""
    asked = ask(instance(signDate=STALE), resolve=lambda _: SITE, scope={"type": "http"})
    await asked.identify()

    assert [] == caplog.records


async def test_line_cannot_be_forged(
    ask: Callable[..., RequestCaller], caplog: pytest.LogCaptureFixture
) -> None:
    """Claims are shown printable and short, since whoever signs may choose them."""
    await refuse(ask(instance(instanceId=HOSTILE, permissions=HOSTILE)))
    await refuse(ask(instance(aid="v"), resolve=None))
    line = caplog.records[0]

    assert line.getMessage().isprintable()
    assert len(line.getMessage()) < 500
    assert len(vars(line)["instance_id"] or "") <= 64
