"""The fixtures of wix-asgi for pytest, which finds this module by its entry point.

Nothing of wix-asgi is imported before a test asks for a fixture.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from wix_asgi.testing import FakeCaller, FakeWix
    from wix_asgi.testing.secret_search import SecretSearch

__all__ = ["assert_no_secrets_leaked", "fake_wix", "wix_caller", "wix_site"]

_SEARCH = "assert_no_secrets_leaked"


@pytest.fixture
def fake_wix() -> Iterator[FakeWix]:
    """A fake Wix, which every `Wix` of the process uses during the test (`FakeWix.active`).

    `fake_wix.clock.advance(seconds)` moves the time of codes and tokens.
    """
    from wix_asgi.testing import FakeWix  # noqa: PLC0415 - heavy, and most tests are without it

    with FakeWix().active() as fake:
        yield fake


@pytest.fixture
def wix_site(fake_wix: FakeWix) -> str:
    """The instance ID of a site that has the app, without a handshake of the app.

    The app gets its first token by client credentials; `await fake_wix.install(app)` runs the
    handshake, for an app with `recover=False` or with an `on_install` hook.
    """
    return fake_wix.mark_installed()


@pytest.fixture
def wix_caller(fake_wix: FakeWix, wix_site: str) -> FakeCaller:
    """The owner of `wix_site` as a caller of the app, with `headers` and `params` for a request."""
    return fake_wix.caller(wix_site)


@pytest.fixture
def assert_no_secrets_leaked(
    fake_wix: FakeWix, request: pytest.FixtureRequest
) -> Iterator[SecretSearch]:
    """Fails the test if a secret is in its logs, its captured output or its storage.

    Log records of httpx are left out: they have the addresses that the test itself opens. Of
    storages it searches the records of installations and events, and the files below `tmp_path`.
    `assert_no_secrets_leaked(text)` searches a text, too, and all but the output at that moment.
    """
    from wix_asgi.testing.secret_search import SecretSearch  # noqa: PLC0415 - as above

    room = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    with SecretSearch(fake_wix.app_secret, room) as search:
        yield search


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that asked for the search and leaked a secret."""
    report = yield
    search: SecretSearch | None = getattr(item, "funcargs", {}).get(_SEARCH)
    if search is not None and call.when == "call" and report.passed:
        found = search.found(report.capstdout, report.capstderr)
        if found:
            report.outcome = "failed"
            report.longrepr = search.told(found)
    return report
