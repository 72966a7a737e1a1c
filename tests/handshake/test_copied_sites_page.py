"""docs/copied-sites.md: its code carries the data of a site over to its copy."""

from __future__ import annotations

import re
from typing import Any

import pytest
from starlette.responses import PlainTextResponse

from tests.handshake.handshaking import begin
from tests.servers import ROOT
from tests.support import PUBLIC_URL, SITE, Browser
from wix_asgi import Wix, WixMiddleware
from wix_asgi.testing import FakeWix

PAGE = (ROOT / "docs" / "copied-sites.md").read_text("utf-8")
CARRY_OVER, LIST = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def run(code: str, **names: Any) -> dict[str, Any]:
    """Run a block of the page with these names in reach; return the names there are then."""
    space: dict[str, Any] = {"__name__": "main", **names}
    exec(compile(code, "copied-sites.md", "exec", dont_inherit=True), space)  # noqa: S102 - ours
    return space


async def test_data_are_carried_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy begins with the settings of its origin, keeps its own, and is listed."""
    fake = FakeWix()
    copy = fake.add_site("The copy")
    for name, value in {**fake.settings(), "public_url": PUBLIC_URL}.items():
        monkeypatch.setenv("WIX_URL" if name == "wix_url" else f"WIX_{name.upper()}", value)
    monkeypatch.setenv("WIX_FLOW", "client_credentials")
    monkeypatch.setenv("WIX_STORAGE", "memory://")
    names = run(CARRY_OVER, Wix=Wix)
    wix, settings = names["wix"], names["settings"]
    monkeypatch.setattr(wix.handshake.callback._oauth, "_transport", fake.transport)
    async with wix:
        browser = Browser(WixMiddleware(PlainTextResponse("app"), wix))
        await browser.install(fake, SITE)
        settings[SITE]["greeting"] = "Welcome"
        fake.external_install_override = lambda query: {
            **query,
            "signedInstance": fake.signed_instance(copy, originInstanceId=SITE),
        }
        for _ in range(2):
            await browser.http.get(await begin(browser, fake, copy))
        settings[SITE]["greeting"] = "Changed later"
        listed = await run(LIST)["copies"](wix)

    assert {SITE: "Changed later", copy: "Welcome"} == {
        site: kept["greeting"] for site, kept in settings.items()
    }
    assert {copy: SITE} == listed
