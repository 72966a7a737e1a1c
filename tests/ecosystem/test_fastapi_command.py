"""The example of FastAPI, run by `fastapi run`, in Wix's iframe."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.framework_pages import show_in_iframe
from tests.servers import ROOT

pytestmark = pytest.mark.browser


def test_page_shows_the_data_of_the_calling_site(tmp_path: Path) -> None:
    """FastAPI's own command shows the example in a frame of another site, as Wix does."""
    example = str(ROOT / "examples" / "fastapi_app.py")
    shown = show_in_iframe(["-m", "fastapi", "run", example, "--port"], tmp_path)

    assert '"name"' in shown.text
    assert "127.0.0.1" in shown.frame
    assert "127.0.0.1" not in shown.framed_by
    assert "x-frame-options" not in shown.headers
