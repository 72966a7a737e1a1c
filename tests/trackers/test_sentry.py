"""A real Sentry with its defaults is given nothing that is good for anything."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.trackers.apart import lines_of
from tests.trackers.scenes import SCENES, app_logs_a_secret

pytestmark = pytest.mark.processes

NAMES = [scene.__name__ for scene in SCENES if scene is not app_logs_a_secret]
BORDER = {("wix_asgi.client.client", "send")}
"""The frame that raises an error anew, as httpx's error as well; it holds no secret."""


@pytest.fixture(scope="module")
def played() -> list[dict[str, Any]]:
    """Play all scenes, in a process of their own."""
    return lines_of("tests.trackers.scenes")


def takes(played: list[dict[str, Any]], scene: str) -> list[dict[str, Any]]:
    """Return the two takes of a scene: with Sentry's defaults, and with stacks for log lines."""
    found = [take for take in played if take["scene"] == scene]
    assert 2 == len(found)
    return found


EVENTS: dict[str, list[str]] = {"wix_is_down": []}
"""The scenes without an error event: anybody's codes can make Wix fail, so that is a WARNING."""


def shown_in(take: dict[str, Any]) -> list[str]:
    """Return the first letters of the secrets that Sentry was given, whole or shortened."""
    text = json.dumps(take["sent"])
    return [each[:12] for each in take["secrets"] if each[:40] in text or each[-40:] in text]


def frames_of(take: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the frames of all errors that Sentry was given."""
    errors = [
        error for event in take["sent"] for error in event.get("exception", {}).get("values", ())
    ]
    return [
        frame for error in errors for frame in (error.get("stacktrace") or {"frames": ()})["frames"]
    ]


@pytest.mark.parametrize("scene", NAMES)
def test_sentry_is_given_no_secret(played: list[dict[str, Any]], scene: str) -> None:
    """Events and transactions hold no code, state, cookie, token or app secret (R35, R52)."""
    for take in takes(played, scene):
        types = [event.get("type", "event") for event in take["sent"]]

        assert take["status"] >= 500
        assert {"transaction", *EVENTS.get(scene, ["event"])} == set(types)
        assert len(take["secrets"]) >= 5
        assert [] == shown_in(take)


@pytest.mark.parametrize("scene", NAMES)
def test_sentry_is_given_no_frame_of_ours(played: list[dict[str, Any]], scene: str) -> None:
    """Errors have no frame of ours, but for the frame that makes an error of ours httpx's (R52)."""
    for take in takes(played, scene):
        places = {(frame["module"], frame["function"]) for frame in frames_of(take)}

        assert [] == [each for each in places - BORDER if each[0].startswith("wix_asgi")]


@pytest.mark.parametrize(
    "scene", ["hook_of_installs_raises", "hook_of_errors_raises", "call_breaks", "refresh_breaks"]
)
def test_frames_of_the_app_stay(played: list[dict[str, Any]], scene: str) -> None:
    """A developer sees the app's own frames with their locals."""
    for take in takes(played, scene):
        found = [frame for frame in frames_of(take) if "of_the_app" in frame.get("vars", {})]

        assert found


def test_search_finds_a_secret(played: list[dict[str, Any]]) -> None:
    """Were a secret among the events, the first test would see it."""
    for take in takes(played, "app_logs_a_secret"):
        assert 3 <= len(shown_in(take))
