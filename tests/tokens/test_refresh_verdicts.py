"""How long a failed refresh is remembered, and whose failure it is."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.engine import (
    ACCESS,
    FAILING,
    MISCONFIGURED,
    REFUSED,
    Engine,
    ManualClock,
    Steps,
    refresh,
    refresh_failure,
)
from tests.support import SITE
from wix_asgi.models import AccessToken, Grant
from wix_asgi.testing import FakeWix
from wix_asgi.tokens.refresh import Refresher


@pytest.mark.parametrize("fault", [REFUSED, MISCONFIGURED])
@pytest.mark.parametrize(("jitter", "expected"), [(0.0, 15.0), (1.0, 45.0)])
async def test_a_refusal_for_good_is_remembered_with_jitter(
    engine: Engine, fault: dict[str, Any], jitter: float, expected: float
) -> None:
    """Installations that were refused together are not asked for again together."""
    await engine.install(left=0)
    engine.fail(fault)
    engine.refresher = Refresher(
        engine.installations,
        engine.storage,
        engine.oauth,
        app_id=engine.fake.app_id,
        clock=engine.clock,
        jitter=lambda: jitter,
    )
    await refresh_failure(engine)

    assert expected == (await engine.stored()).retry_in


@pytest.mark.parametrize("fault", [REFUSED, FAILING])
async def test_a_failure_after_another_process_rotated_the_token_is_no_verdict(
    storage: Steps, clock: ManualClock, fault: dict[str, Any]
) -> None:
    """The row is read again: the token of the other process is served, and no failure noted."""
    engine = Engine(FakeWix(rotate_refresh_tokens=True), storage, clock)
    await engine.install(left=0)
    before = await engine.stored()
    value = engine.fake.issue_access_token()
    refresh_token = engine.fake.issue_refresh_token(SITE)
    engine.fail(fault, times=3 if fault is FAILING else 1)
    got: list[AccessToken] = []

    async def run() -> None:
        got.append(await refresh(engine))

    with engine.fake.hold(ACCESS) as gate:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await gate.arrived()
            token = AccessToken(value, 300.0, clock() + 300.0)
            assert await engine.installations.replace(before, Grant(token, refresh_token))
            gate.release()
    stored = await engine.stored()

    assert [value] == [token.value for token in got]
    assert (refresh_token, None) == (stored.refresh_token, stored.failure)
