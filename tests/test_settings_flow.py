"""The settings that depend on the flow."""

from __future__ import annotations

import pytest

from wix_asgi.settings import WixSettings


@pytest.mark.parametrize(
    ("flow", "after_install"), [("advanced", "close"), ("client_credentials", "/")]
)
def test_page_after_an_install_depends_on_the_flow(flow: str, after_install: str) -> None:
    """Only the old flow has a window to close; the new flow leads into the app."""
    assert after_install == _load(flow).after_install
    assert "/welcome" == _load(flow, after_install="/welcome").after_install


def _load(flow: str, **given: str) -> WixSettings:
    return WixSettings.load(
        app_id="app-1",
        app_secret="app-secret-0123456789",
        public_url="https://app.example.com",
        flow=flow,
        **given,
    )
