"""`wix-asgi migrate`, in process, beside a fake Wix on a port."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from typer.testing import CliRunner, Result

from tests.cli.commands import run
from tests.cli.kept_storage import install_backend
from tests.servers import environment
from wix_asgi.cli._app import app
from wix_asgi.cli._migrate import tell_pause
from wix_asgi.installations.repository import InstallationRepository
from wix_asgi.installations.stored import StoredInstallation
from wix_asgi.models import AccessToken, Grant
from wix_asgi.sealing.vault import Vault
from wix_asgi.settings import WixSettings
from wix_asgi.storage import open_storage
from wix_asgi.testing import FakeWix

SITES = ("site-a", "site-b", "site-c")
TOKEN = "/oauth2/token"
LISTING = "/stores/v1/listing"


@pytest.fixture(name="fake")
def _fake() -> Iterator[FakeWix]:
    fake = FakeWix(sites={site: site.title() for site in (*SITES, "site-new")})
    with fake.serve():
        yield fake


@pytest.fixture(name="url", autouse=True)
def _url(
    fake: FakeWix,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """Set the variables of an app over a storage of its own; return the URL of the storage."""
    install_backend(tmp_path, monkeypatch)
    url = f"kept://{request.node.name}"
    for name, value in environment(fake, 1, url).items():
        monkeypatch.setenv(name, value)
    return url


def rows(url: str) -> dict[str, StoredInstallation]:
    """Return the stored installations."""

    async def main() -> dict[str, StoredInstallation]:
        async with open_storage(url) as storage:
            stored = _repository(url)
            page = await storage.scan(WixSettings.load().app_id)
            return {row.instance_id: await stored.require(row.instance_id) for row in page}

    return anyio.run(main)


def install(fake: FakeWix, url: str, *sites: str) -> None:
    """Store installations with refresh tokens."""

    async def main() -> None:
        stored = _repository(url)
        for site in sites:
            token = AccessToken(fake.issue_access_token(site), 300.0, time.monotonic() + 300.0)
            await stored.put(site, Grant(token, fake.issue_refresh_token(site)))

    anyio.run(main)


def _repository(url: str) -> InstallationRepository:
    settings = WixSettings.load()
    vault = Vault(settings.key_ring())
    return InstallationRepository(settings.app_id, open_storage(url), vault)


def grants(url: str) -> dict[str, str]:
    """Return by which grant each stored installation gets tokens."""
    return {site: row.grant_type.value for site, row in rows(url).items()}


def separately(*arguments: str) -> Result:
    """Run the command; its two outputs are apart."""
    return CliRunner().invoke(app, arguments)


def test_a_dry_run_is_the_default(fake: FakeWix, url: str) -> None:
    """Each site has a line, and the last line says that nothing was written, and how to."""
    install(fake, url, *SITES)
    done = run("migrate")

    assert 0 == done.exit_code
    assert [
        *(f"{site}  would be moved" for site in SITES),
        "kept://…: 3 installations: 3 would be moved. Nothing was written: --apply does it.",
    ] == done.output.splitlines()
    assert {"refresh_token"} == set(grants(url).values())


def test_it_moves_and_goes_on(fake: FakeWix, url: str) -> None:
    """With --apply all are moved; a second run finds them moved, with status 0."""
    install(fake, url, *SITES)
    first, second = run("migrate", "--apply"), run("migrate", "--apply")

    assert (0, 0) == (first.exit_code, second.exit_code)
    assert "kept://…: 3 installations: 3 moved." == first.output.splitlines()[-1]
    assert [
        *(f"{site}  kept: moved before" for site in SITES),
        "kept://…: 3 installations: 3 kept.",
    ] == second.output.splitlines()
    assert {"client_credentials"} == set(grants(url).values())
    assert 3 == fake.count(TOKEN)


def test_a_refusal_is_status_1(fake: FakeWix, url: str) -> None:
    """The refused site has its line with Wix's answer, and the others are moved."""
    install(fake, url, *SITES)
    fake.uninstall("site-b")
    done = run("migrate", "--apply")

    assert 1 == done.exit_code
    assert "site-b  refused: Wix answered 404 not_found" in done.output
    assert "kept://…: 3 installations: 2 moved, 1 refused." in done.output
    assert "run this again" in done.output


def test_json_has_an_object_a_line(fake: FakeWix, url: str) -> None:
    """Everything on stdout is JSON; the counts are on stderr."""
    install(fake, url, *SITES)
    fake.uninstall("site-c")
    run("migrate", "--apply", "--json")
    install(fake, url, "site-b")
    done = separately("migrate", "--apply", "--json")
    told = [json.loads(line) for line in done.stdout.splitlines()]

    assert ("site-b", "moved", None, True) == tuple(
        next(one for one in told if one["instance_id"] == "site-b").values()
    )
    assert {"site-a": False, "site-b": True, "site-c": False} == {
        one["instance_id"]: one["written"] for one in told
    }
    assert "3 installations: 1 moved, 1 kept, 1 refused." in done.stderr


def test_back_and_forget(fake: FakeWix, url: str) -> None:
    """Moved installations go back, and are moved again; forgotten tokens stay forgotten."""
    install(fake, url, *SITES)
    outputs = [
        run("migrate", *options).output.splitlines()[-1]
        for options in (
            ["--apply"],
            ["--back"],
            ["--back", "--apply"],
            ["--apply"],
            ["--forget-refresh-tokens"],
            ["--forget-refresh-tokens", "--apply"],
            ["--back", "--apply"],
        )
    ]

    dry = "Nothing was written: --apply does it."
    assert [
        "kept://…: 3 installations: 3 moved.",
        f"kept://…: 3 installations: 3 would be moved back. {dry}",
        "kept://…: 3 installations: 3 moved back.",
        "kept://…: 3 installations: 3 moved.",
        f"kept://…: 3 installations: 3 refresh token would be forgotten. {dry}",
        "kept://…: 3 installations: 3 refresh token forgotten.",
        "kept://…: 3 installations: 3 kept.",
    ] == outputs
    assert {""} == {row.refresh_token for row in rows(url).values()}


def test_ids_are_read_from_a_file(fake: FakeWix, url: str, tmp_path: Path) -> None:
    """Stored sites are moved, the file's other sites added, and bad lines told by number."""
    install(fake, url, "site-a")
    fake.mark_installed("site-new")
    ids = tmp_path / "ids.txt"
    ids.write_text("site-a\nsite-new\nnot an id\nsite-unknown\n")
    done = run("migrate", "--apply", "--from-file", str(ids))

    assert 1 == done.exit_code
    assert "site-a  moved\nsite-new  added\nsite-unknown  refused: " in done.output
    assert "lines without an instance id: 3" in done.output
    assert {"site-a", "site-new"} == set(grants(url))
    assert rows(url)["site-new"].owes_on_install


def test_a_file_of_good_ids_is_status_0(fake: FakeWix, url: str, tmp_path: Path) -> None:
    """A storage that was empty has the sites of the file."""
    fake.mark_installed("site-new")
    ids = tmp_path / "ids.csv"
    ids.write_text("name,instanceId\nNew,site-new\n")
    done = run("migrate", "--apply", "--from-file", str(ids))

    assert 0 == done.exit_code, done.output
    assert {"site-new": "client_credentials"} == grants(url)


def test_wix_lists_installations(fake: FakeWix, url: str) -> None:
    """With an access token of a stored site Wix's list adds the unknown sites that have the app."""
    install(fake, url, "site-a")
    fake.mark_installed("site-new")
    fake.mark_installed("site-b")
    fake.uninstall("site-b")
    done = run("migrate", "--apply", "--from-wix")

    assert 0 == done.exit_code, done.output
    assert {"site-a", "site-new"} == set(grants(url))
    assert ["site-a  moved", "site-new  added"] == done.output.splitlines()[:2]


def test_wix_lists_to_a_key_of_the_account(
    fake: FakeWix, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key and its account are read from the environment, and the path may be another."""
    fake.api_key = "test-api-key"
    fake.mark_installed("site-new")
    monkeypatch.setenv("WIX_API_KEY", "test-api-key")
    monkeypatch.setenv("WIX_ACCOUNT_ID", "test-account")
    elsewhere = run("migrate", "--apply", "--from-wix", "--listing-path", LISTING)
    done = run("migrate", "--apply", "--from-wix")
    asked = [call.headers for call in fake.calls if call.path.endswith("/query")]

    assert (1, 0) == (elsewhere.exit_code, done.exit_code), done.output
    assert 1 == fake.count(LISTING)
    assert {"site-new"} == set(grants(url))
    assert ["test-account"] == [headers["wix-account-id"] for headers in asked]


def test_a_list_that_is_refused_is_told(fake: FakeWix, url: str) -> None:
    """The stored sites are moved all the same, with status 1 and Wix's answer."""
    install(fake, url, "site-a")
    fake.answer("POST", LISTING, status=403, json={"message": "no permission"})
    done = run("migrate", "--apply", "--from-wix", "--listing-path", LISTING)

    assert 1 == done.exit_code
    assert "Wix does not list installations: Wix answered 403" in done.output
    assert {"site-a": "client_credentials"} == grants(url)


def test_pauses_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    """A run that waits for Wix says why, and for how long."""
    tell_pause("Wix answered 429", 6.2)

    assert (
        "wix-asgi: a pause of 6 s, since Wix fails: Wix answered 429\n" == capsys.readouterr().err
    )


def test_an_empty_storage_is_status_1() -> None:
    """A wrong storage or app id is likelier than an app without installations."""
    done = run("migrate", "--apply")

    assert 1 == done.exit_code
    assert "is it the right storage, and the right WIX_APP_ID?" in done.output


def test_a_wrong_secret_is_told_once(fake: FakeWix, url: str) -> None:
    """Nothing is written; the error names the variables, and the page on preparing an app."""
    install(fake, url, *SITES)
    fake.fail(TOKEN, status=401, body={"error": "invalid_client"}, times=None)
    done = run("migrate", "--apply")

    assert 1 == done.exit_code
    assert 1 == done.output.count("check WIX_APP_ID and WIX_APP_SECRET")
    assert "docs/moving.md" in done.output
    assert {"refresh_token"} == set(grants(url).values())


@pytest.mark.parametrize(
    "options",
    [
        ["--back", "--forget-refresh-tokens"],
        ["--back", "--from-wix"],
        ["--from-file", "/does/not/exist"],
        ["--never"],
    ],
    ids=" ".join,
)
def test_wrong_options_are_status_2(options: list[str]) -> None:
    """Nothing is done with options that exclude one another, or a file that is not there."""
    assert 2 == run("migrate", *options).exit_code


@pytest.mark.parametrize("content", [b"\xff\xfe", b"name,age\nx,1\n"], ids=["binary", "no column"])
def test_a_file_without_ids_is_status_2(tmp_path: Path, content: bytes) -> None:
    """A file that cannot be meant is told before anything is asked."""
    ids = tmp_path / "ids.csv"
    ids.write_bytes(content)

    assert 2 == run("migrate", "--from-file", str(ids)).exit_code


def test_a_storage_that_keeps_no_grant_type_is_not_written() -> None:
    """A third party's storage without `AddingStorage` would forget which sites were moved."""
    done = run("migrate", "--apply", "--storage", "forgetful://x")

    assert 1 == done.exit_code
    assert "forgetful://… cannot keep by which grant" in done.output


def test_help_tells_the_way_back() -> None:
    """The help of the command is the procedure."""
    result = run("migrate", "--help")

    assert 0 == result.exit_code
    for words in ("--apply", "--back", "--forget-refresh-tokens", "--from-file", "--from-wix"):
        assert words in result.output
