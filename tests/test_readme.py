"""README.md: its snippets run as they are printed, and its tables are those of the sources."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from tests.limits import PATIENCE
from tests.servers import ROOT
from tests.support import PUBLIC_URL
from wix_asgi import CallerReason, Reason, WixMiddleware, WixSettings
from wix_asgi.testing import FORGERIES, FakeSite, FakeWix

README = (ROOT / "README.md").read_text("utf-8")
SNIPPETS: list[str] = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the environment variables of the README."""
    monkeypatch.setenv("WIX_APP_ID", "app-1")
    monkeypatch.setenv("WIX_APP_SECRET", "test-app-secret-number-one")
    monkeypatch.setenv("WIX_PUBLIC_URL", PUBLIC_URL)
    monkeypatch.setenv("WIX_STORAGE", "memory://")


def snippet(text: str) -> str:
    """Return the one snippet that has this text."""
    (found,) = [code for code in SNIPPETS if text in code]
    return found


def run(code: str, **names: Any) -> dict[str, Any]:
    """Run a snippet with these names in reach; return the names there are then."""
    space: dict[str, Any] = {"__name__": "main", **names}
    exec(compile(code, "README.md", "exec", dont_inherit=True), space)  # noqa: S102 - ours
    return space


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table that begins with `heading`."""
    table = README[README.index(heading) :].partition("\n\n")[0]
    return [
        [cell.strip(" `") for cell in line.strip("|").split(" | ")]
        for line in table.splitlines()[2:]
    ]


@pytest.mark.parametrize("code", SNIPPETS)
def test_snippets_are_python(code: str) -> None:
    """Every snippet can be compiled."""
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT

    assert compile(code, "README.md", "exec", flags=flags, dont_inherit=True)


def test_the_first_snippet_is_an_app() -> None:
    """The app that the README begins with has the install path, and a route for callers only."""
    app = run(SNIPPETS[0])["app"]
    with TestClient(app, base_url=PUBLIC_URL, follow_redirects=False) as browser:
        answers = [browser.get("/wix/install").status_code, browser.get("/site").status_code]

    assert [303, 401] == answers


def test_the_test_snippet_passes(tmp_path: Path) -> None:
    """The test that the README shows passes with the app that it begins with."""
    (tmp_path / "main.py").write_text(SNIPPETS[0], "utf-8")
    (tmp_path / "test_main.py").write_text(snippet("def test_site"), "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert "1 passed" in done.stdout, done.stdout
    assert ["main.py", "test_main.py"] == sorted(path.name for path in tmp_path.glob("*.*"))


async def test_the_snippet_of_the_active_fake_installs() -> None:
    """The lines without pytest install the app of the README."""
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(snippet("fake.install("), "README.md", "exec", flags=flags)
    app = run(SNIPPETS[0])["app"]
    space: dict[str, Any] = {"FakeWix": FakeWix, "app": app}
    await eval(code, space)  # noqa: S307 - ours

    assert {space["site"]} == space["fake"].installed


def test_the_answers_snippet_defines_answers() -> None:
    """The lines about answers run, and what they define is answered."""
    fake = FakeWix(sites={"site-0": "Yoga"})
    names = run(
        snippet("fake.answer("), fake=fake, site="site-0", FakeWix=FakeWix, FakeSite=FakeSite
    )
    headers = {"authorization": fake.issue_access_token()}
    orders = TestClient(fake).post("/orders/v1/orders", json=[1], headers=headers)

    assert {"site": "site-0", "asked": [1]} == orders.json()
    assert ["Bread"] == [product["name"] for product in fake.products()[3:]]
    assert [] == names["bakery"].products("site-2")


async def test_the_snippet_of_events_sends_them() -> None:
    """The lines about webhooks run beside an app, and their outcome is in the deliveries (R42)."""
    fake = FakeWix()
    app = WixMiddleware(
        Starlette(), transport=fake.transport, flow="client_credentials", **fake.settings()
    )
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(snippet("fake.send_event("), "README.md", "exec", flags=flags)
    space: dict[str, Any] = {"fake": fake, "app": app, "site": fake.site(), "FORGERIES": FORGERIES}
    await eval(code, space)  # noqa: S307 - ours
    types = [delivery.event_type for delivery in fake.deliveries]
    await app.wix.aclose()

    assert {200} == {delivery.status for delivery in fake.deliveries}
    assert ["AppInstalled", "AppRemoved", "AppInstalled"] == types[7:10]
    assert types[-1].endswith("app_installation_deleted"), types
    assert 200 == space["answer"].status_code


def test_the_hooks_snippet_wraps_the_app() -> None:
    """The snippet of the hooks leaves an app that has them."""
    assert isinstance(run(snippet("@wix.on_install"), app=Starlette())["app"], WixMiddleware)


def test_the_fake_of_the_readme_has_links() -> None:
    """The fake Wix of the README shows the links that add and open the app."""
    fake = run(snippet("dashboard_url"))["fake"]
    browser = TestClient(fake, base_url="http://127.0.0.1:8001", headers={"accept": "text/html"})
    page = browser.get("/").text
    dashboard = browser.get("/dashboard", params={"instanceId": fake.site()}).text

    assert "http://127.0.0.1:8000/wix/install?token=" in page
    assert 'href="http://localhost:8001/dashboard?instanceId=' in page
    assert 'src="http://127.0.0.1:8000/site?instance=' in dashboard


def test_the_credentials_of_the_fake_are_right() -> None:
    """The lines to export are those of a FakeWix that was told nothing."""
    fake = FakeWix()

    assert f"WIX_APP_ID={fake.app_id} WIX_APP_SECRET={fake.app_secret}\n" in README


def test_the_table_of_settings_is_whole() -> None:
    """Every setting has its row, with its variable and its default."""
    named = {cells[0]: (cells[1], cells[2]) for cells in rows("| keyword |")}
    defaults = {
        "app_id": "required",
        "app_secret": "required",
        "public_url": "required",
        "previous_app_secrets": "none",
        "previous_secrets_until": "none",
        "allowed_permissions": "OWNER",
        "allowed_subjects": "USER,APP",
        "after_install": "close",
        "flow": "advanced",
        "recover": "true",
        "session": "false",
        "share_url_id": "none",
        "app_name": "none",
        "support_url": "none",
        "public_key": "none",
        "encryption_keys": "derived from `app_secret",
        "storage": "sqlite:///wix-asgi.db",
        "finish_setup": "false",
    }
    expected = {
        name: (
            f"WIX_{name.removeprefix('wix_').upper()}",
            defaults.get(name, str(field.default)),
        )
        for name, field in WixSettings.model_fields.items()
    }

    assert expected == named


def test_the_table_of_reasons_is_whole() -> None:
    """Every reason has its row, with its status."""
    named = {
        reason.strip("`"): cells[1].split(", ")[0]
        for cells in rows("| reason |")
        for reason in cells[0].split(", ")
    }

    assert {reason.value: str(reason.status) for reason in Reason} == named


def test_the_table_of_refused_callers_is_whole() -> None:
    """Every reason for which a caller is refused has its row (R53)."""
    assert sorted(CallerReason) == sorted(cells[0].strip("`") for cells in rows("| `error` |"))
