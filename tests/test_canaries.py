"""The search for secrets beside every test finds them."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.canaries import Search, found_in
from tests.servers import ROOT
from tests.support import SITE, Browser, running
from wix_asgi.testing import FakeWix

pytest_plugins = ["pytester"]

SHOWING = (
    'logging.getLogger("wix_asgi").debug("%s", SECRET)',
    'logging.getLogger("wix_asgi.transport").info("%.1s", SECRET)',
    'logging.getLogger("wix_asgi").info("x", extra={"code": SECRET})',
    "print(SECRET)",
    '(tmp_path / "x.db-wal").write_text(SECRET)',
)
"""Ways to show a secret: a message, an argument, an extra field, the output, a database."""


async def test_secrets_of_an_install_are_known(fake: FakeWix) -> None:
    """Codes, tokens, states, cookies, instances and the app's secret are found by their looks."""
    async with running(fake) as app:
        browser = Browser(app)
        location = await browser.begin(fake)
    ((cookie, value),) = browser.http.cookies.items()
    secrets = [
        fake.issue_code(SITE),
        fake.issue_refresh_token(SITE),
        fake.issue_access_token(SITE),
        fake.signed_instance(SITE),
        fake.app_secret,
        f"{cookie}={value}",
        location.partition("state=")[2],
    ]

    assert [1] * 7 == [len(found_in(f"before {secret} behind")) for secret in secrets]


@pytest.mark.parametrize("text", ["", SITE, "1.2.3", "wix_asgi.handshake.callback", "OAUTH2.test"])
def test_other_texts_are_no_secrets(text: str) -> None:
    """Ids, versions, modules and made-up codes are none."""
    assert [] == found_in(text)


@pytest.mark.shows_secrets("the tests in it print one")
def test_tests_that_show_a_secret_fail(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A test fails by any of these ways, unless it is marked with a reason (R35)."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makeini("[pytest]\nmarkers = shows_secrets(reason): shows a secret on purpose")
    code = "import logging\nimport pytest\nSECRET = 'fake-app-secret' + '-0123456789'\n"
    for number, way in enumerate(SHOWING):
        code += f"def test_{number}(tmp_path):\n    {way}\n"
        code += "@pytest.mark.shows_secrets('the test is about it')\n"
        code += f"def test_marked_{number}(tmp_path):\n    {way}\n"
    pytester.makepyfile(f"{code}def test_quiet(tmp_path):\n    print('nothing')\n")
    result = pytester.runpytest_subprocess("-p", "tests.canaries", "-p", "no:asyncio")

    result.assert_outcomes(passed=len(SHOWING) + 1, failed=len(SHOWING))


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO, logging.WARNING])
def test_lines_pass_as_they_would_without_a_search(
    caplog: pytest.LogCaptureFixture, level: int
) -> None:
    """A handler is given the lines of the level that a test sets, and no others."""
    logger = logging.getLogger("wix_asgi")
    logger.info("unheard")
    caplog.set_level(level, "wix_asgi")
    for each in (logging.DEBUG, logging.INFO, logging.WARNING):
        logger.log(each, "%d", each)

    assert [each for each in (10, 20, 30) if each >= level] == list(map(int, caplog.messages))


def test_locals_of_a_traceback_are_searched() -> None:
    """Frames of a library show their locals; those of a test are its own."""
    space: dict[str, Any] = {}
    code = "def fail():\n    secret = 'fake-app-secret' + '-0123456789'\n    raise LookupError\n"
    exec(compile(code, "library.py", "exec"), space)  # noqa: S102 - ours
    search = Search()
    try:
        space["fail"]()
    except LookupError as exc:
        error = exc
    record = logging.LogRecord("x", logging.ERROR, "", 0, "x", (), None)
    record.exc_info = (LookupError, error, error.__traceback__)
    search.filter(record)

    assert ["fake-app-secret-0123 in 'x'"] == search.found
