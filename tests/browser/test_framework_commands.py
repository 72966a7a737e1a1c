"""The examples of frameworks, run by the frameworks' own commands, in Wix's iframe."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.framework_pages import show_in_iframe

pytestmark = pytest.mark.browser

COMMANDS = {
    "django": ["-m", "examples.django_app", "runserver"],
    "litestar": ["-m", "litestar", "--app", "examples.litestar_app:app", "run", "--port"],
    "quart": ["-m", "quart", "--app", "examples.quart_app", "run", "--port"],
}


@pytest.mark.parametrize("framework", COMMANDS)
def test_page_shows_the_data_of_the_calling_site(framework: str, tmp_path: Path) -> None:
    """The framework's own server shows the example in a frame of another site, as Wix does."""
    shown = show_in_iframe(COMMANDS[framework], tmp_path)

    assert '"name"' in shown.text
    assert "127.0.0.1" in shown.frame
    assert "127.0.0.1" not in shown.framed_by
    assert "x-frame-options" not in shown.headers
    assert "same-origin" != shown.headers.get("cross-origin-opener-policy")
