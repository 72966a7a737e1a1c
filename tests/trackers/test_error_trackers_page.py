"""docs/error-trackers.md: its snippets run as they are printed, and keep their promises."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.trackers.apart import lines_of
from tests.trackers.documented import PAGE, SNIPPETS, run
from wix_asgi.asgi.redaction import is_secret

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def told() -> dict[str, dict[str, Any]]:
    """Visit an app under all trackers, in a process of its own."""
    return {line["tracker"]: line for line in lines_of("tests.trackers.documented")}


def shown_in(line: dict[str, Any]) -> list[str]:
    """Return the first letters of the secrets that a tracker was given."""
    text = json.dumps(line["sent"])
    return [secret[:12] for secret in line["secrets"] if secret in text]


@pytest.mark.parametrize("tracker", ["sentry", "opentelemetry"])
def test_trackers_are_given_no_secret(told: dict[str, dict[str, Any]], tracker: str) -> None:
    """With its snippet a tracker gets no instance, code or state of any request (R52)."""
    sent = told[tracker]["sent"]

    assert 4 <= len(sent)
    assert "a=kept" in json.dumps(sent)
    assert [] == shown_in(told[tracker])


def test_sentry_is_given_the_locals_of_the_app(told: dict[str, dict[str, Any]]) -> None:
    """The snippet takes containers alone out of the locals of frames."""
    assert "a local of the app: /site" in json.dumps(told["sentry"]["sent"])


def test_search_finds_secrets(told: dict[str, dict[str, Any]]) -> None:
    """Without a snippet the same requests show their secrets: there is something to hide."""
    assert 3 <= len(shown_in(told["nothing"]))


def test_first_snippet_says_what_it_returns() -> None:
    """The comments beside the calls are their results."""
    lines = [line for line in SNIPPETS[0].splitlines() if "# " in line]
    space = run("OAUTH2.eyJraWQ")

    assert 2 == len(lines)
    for line in lines:
        code, _, result = line.partition("# ")
        assert result == repr(eval(code, space))  # noqa: S307 - ours


def test_all_names_of_the_page_are_masked() -> None:
    """The parameters that the page names are the masked ones."""
    sentence = PAGE[PAGE.index("It knows") : PAGE.index("in any spelling")]
    names = sentence.split("`")[1::2]

    assert 9 == len(names)
    assert all(map(is_secret, names))
