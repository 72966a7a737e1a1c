"""docs/moving.md: its commands, one after another, on an app with a refresh token of each site."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import Result

from tests.cli.commands import run
from tests.cli.kept_storage import install_backend
from tests.cli.test_migrate_command import grants, install, rows
from tests.servers import ROOT, environment
from wix_asgi.models import InstallFlow
from wix_asgi.operations.migrate import Outcome
from wix_asgi.settings import WixSettings
from wix_asgi.testing import FakeWix

PAGE = (ROOT / "docs" / "moving.md").read_text("utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def follow(block: str, room: Path, monkeypatch: pytest.MonkeyPatch) -> Result | None:
    """Carry out the one line of a block; return what the command printed."""
    (line,) = block.splitlines()
    program, *arguments = shlex.split(line)
    if program == "export":
        name, _, value = arguments[0].partition("=")
        monkeypatch.setenv(name, value)
        return None
    assert "wix-asgi" == program
    monkeypatch.chdir(room)
    return run(*arguments)


def test_page_leads_to_client_credentials_and_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each command of the page ends with status 0, and does as the text beside it says."""
    fake = FakeWix(sites={site: site.title() for site in ("a", "b", "of-file", "of-wix")})
    (tmp_path / "ids.csv").write_text("name,instanceId\nShop,of-file\n")
    install_backend(tmp_path, monkeypatch)
    url = "kept://moving-page"
    seen: list[dict[str, str]] = []
    with fake.serve():
        for name, value in environment(fake, 1, url).items():
            monkeypatch.setenv(name, value)
        install(fake, url, "a", "b")
        for site in ("of-file", "of-wix"):
            fake.mark_installed(site)
        for block in BLOCKS:
            done = follow(block, tmp_path, monkeypatch)
            assert done is None or 0 == done.exit_code, done.output
            seen.append(grants(url))
        # The page goes back before it forgets; a real app would move once more.
        assert 0 == run("migrate", "--apply").exit_code
        follow(BLOCKS[-1], tmp_path, monkeypatch)

    old, new = "refresh_token", "client_credentials"
    moved = {"a": new, "b": new}
    assert [
        {"a": old, "b": old},
        moved,
        {**moved, "of-file": new},
        {**moved, "of-file": new, "of-wix": new},
        {**moved, "of-file": new, "of-wix": new},
        {"a": old, "b": old, "of-file": new, "of-wix": new},
        {"a": old, "b": old, "of-file": new, "of-wix": new},
    ] == seen
    assert WixSettings.load().flow is InstallFlow.CLIENT_CREDENTIALS
    assert {""} == {row.refresh_token for row in rows(url).values()}


def test_page_names_every_outcome() -> None:
    """A reader of the JSON finds each outcome on the page."""
    assert [] == [outcome for outcome in Outcome if f"`{outcome}`" not in PAGE]
