"""The `wix-asgi` command, in process; `test_demo.py` runs it for real."""

from __future__ import annotations

import builtins
import re
import socket
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
import uvicorn
from typer.testing import CliRunner

import wix_asgi.cli
from tests.servers import free_port
from wix_asgi._http import httpx
from wix_asgi.cli import _demo
from wix_asgi.cli._app import app
from wix_asgi.cli._demo_app import make_app
from wix_asgi.middleware import WixMiddleware
from wix_asgi.storage import open_storage
from wix_asgi.testing import DEMO_SITES, FakeWix
from wix_asgi.testing.storage_check.records import record

BAKERY, YOGA, _ = DEMO_SITES
ANY_PORTS = ["--port", "0", "--wix-port", "0"]

Serve = Callable[[uvicorn.Server, list[socket.socket]], None]


def run(*arguments: str) -> Any:
    """Run the command in process."""
    return CliRunner().invoke(app, arguments)


def instead_of_serving(monkeypatch: pytest.MonkeyPatch, serve: Serve) -> None:
    """Have `serve` called where the app's server would run; the fake Wix is served as ever."""

    class Server(uvicorn.Server):
        def run(self, sockets: list[socket.socket] | None = None) -> None:
            serve(self, sockets or [])

    stand_in = SimpleNamespace(Config=uvicorn.Config, Server=Server)
    monkeypatch.setattr(_demo, "uvicorn", stand_in)


def started(server: uvicorn.Server, _sockets: list[socket.socket]) -> None:
    """Act like a server that has run and was stopped."""
    server.started = True


def test_the_fake_wix_knows_of_what_was_installed_before(
    fake: FakeWix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A demo that starts again shows which of its sites have the app; others are no sites of it."""
    known: list[frozenset[str]] = []

    def serve(server: uvicorn.Server, _sockets: list[socket.socket]) -> None:
        server.started = True
        known.append(fake.installed)

    async def store() -> None:
        async with open_storage(f"sqlite:///{tmp_path}/demo.db") as storage:
            for site in (YOGA, "of another demo"):
                await storage.put(record(site, app_id=fake.app_id))

    anyio.run(store)
    monkeypatch.setattr(_demo, "_make_fake", lambda *_: fake)
    instead_of_serving(monkeypatch, serve)
    run("demo", *ANY_PORTS, "--storage", f"sqlite:///{tmp_path}/demo.db")

    assert [frozenset({YOGA})] == known


def test_version_is_shown() -> None:
    """`--version` says the installed version, and nothing else."""
    result = run("--version")

    assert (0, f"wix-asgi {version('wix-asgi')}\n") == (result.exit_code, result.output)


@pytest.mark.parametrize("arguments", [["--help"], ["-h"]])
def test_help_names_the_commands(arguments: list[str]) -> None:
    """The help of the command lists the commands."""
    result = run(*arguments)

    assert 0 == result.exit_code
    assert "demo" in result.output
    assert "--version" in result.output


def test_help_of_the_demo_names_its_options() -> None:
    """Ports and storage can be set, and the help shows their defaults."""
    result = run("demo", "--help")

    assert 0 == result.exit_code
    for word in ("--port", "8000", "--wix-port", "8001", "--storage", "wix-asgi-demo.db"):
        assert word in result.output
    for word in ("--flow", "advanced,", "client_credentials,", "[default: advanced]"):
        assert word in result.output


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_what_is_no_port_is_refused(port: str) -> None:
    """A port is a number that a port can have."""
    result = run("demo", "--port", port)

    assert 2 == result.exit_code
    assert "--port" in result.output


def test_demo_prints_the_address_to_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first address is the fake Wix's, which answers already; the app's has its socket."""
    seen: list[int] = []

    def serve(server: uvicorn.Server, sockets: list[socket.socket]) -> None:
        seen.extend(listener.getsockname()[1] for listener in sockets)
        server.started = True

    instead_of_serving(monkeypatch, serve)
    result = run("demo", *ANY_PORTS, "--storage", "memory://")

    assert 0 == result.exit_code
    assert "Open http://127.0.0.1:" in result.output
    assert f"The app is at http://127.0.0.1:{seen[0]}, " in result.output
    assert "memory://" in result.output


def test_demo_takes_the_ports_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--port` and `--wix-port` are where the app and the fake Wix are."""
    port, wix_port = free_port(), free_port()
    instead_of_serving(monkeypatch, started)
    result = run("demo", "--port", str(port), "--wix-port", str(wix_port), "--storage", "memory://")

    assert f"Open http://127.0.0.1:{wix_port} " in result.output
    assert f"The app is at http://127.0.0.1:{port}, " in result.output


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ([], ("advanced", "close", False)),
        (["--flow", "advanced"], ("advanced", "close", False)),
        (["--flow", "client_credentials"], ("client_credentials", "/", True)),
    ],
)
def test_the_flow_decides_how_the_demo_is_installed(
    monkeypatch: pytest.MonkeyPatch, options: list[str], settings: tuple[str, str, bool]
) -> None:
    """The app has the settings of its flow, and "Add to site" leads to its App URL."""
    links: list[str] = []
    used: list[tuple[str, str, bool]] = []

    def serve(server: uvicorn.Server, _sockets: list[socket.socket]) -> None:
        server.started = True
        app = server.config.app
        assert isinstance(app, WixMiddleware)
        used.append(
            (app.wix.settings.flow, app.wix.settings.after_install, app.wix.settings.session)
        )
        page = httpx.get(app.wix.settings.wix_url, headers={"accept": "text/html"}, trust_env=False)
        links.extend(re.findall(r'href="([^"]*)">Add to site', page.text))

    instead_of_serving(monkeypatch, serve)
    result = run("demo", *ANY_PORTS, "--storage", "memory://", *options)

    assert 0 == result.exit_code
    assert [settings] == used
    assert 3 == len(links)
    for link in links:
        assert (settings[0] == "advanced") is ("?token=" in link)
        assert "/wix/install" in link


def test_a_flow_that_does_not_exist_is_refused() -> None:
    """The refusal names the flows."""
    result = run("demo", "--flow", "implicit")

    assert 2 == result.exit_code
    assert "client_credentials" in result.output


def test_ctrl_c_is_a_clean_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C exits with 0, and says no more than that it ended."""

    def interrupt(_server: uvicorn.Server, _sockets: list[socket.socket]) -> None:
        raise KeyboardInterrupt

    instead_of_serving(monkeypatch, interrupt)
    result = run("demo", *ANY_PORTS, "--storage", "memory://")

    assert 0 == result.exit_code
    assert result.output.endswith("\n  Stopped.\n")


def test_a_server_that_does_not_start_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit status is uvicorn's own for this."""
    instead_of_serving(monkeypatch, lambda _server, _sockets: None)
    result = run("demo", *ANY_PORTS, "--storage", "memory://")

    assert 3 == result.exit_code


@pytest.mark.parametrize(("taken", "other"), [("--port", "--wix-port"), ("--wix-port", "--port")])
def test_a_taken_port_is_one_clear_line(taken: str, other: str) -> None:
    """The message names the port, and the option that chooses another port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        result = run("demo", taken, str(port), other, "0", "--storage", "memory://")

    assert 1 == result.exit_code
    assert (
        f"wix-asgi: Port {port} cannot be used: Address already in use. "
        f"Choose another with {taken}.\n"
    ) == result.stderr
    assert "" == result.stdout


def test_an_error_without_a_number_is_told_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not every failure to listen comes from the operating system."""

    def fail(_address: object) -> None:
        raise OSError("no sockets here")

    monkeypatch.setattr(socket, "create_server", fail)
    result = run("demo")

    assert (
        "wix-asgi: Port 8000 cannot be used: no sockets here. Choose another with --port.\n"
    ) == result.stderr


def test_a_storage_that_cannot_be_used_is_told_without_its_password() -> None:
    """There is no traceback and no secret: only the correct form (R47)."""
    result = run("demo", *ANY_PORTS, "--storage", "nosuch://user:the-test-password@host/db")

    assert 1 == result.exit_code
    assert result.stderr.startswith("wix-asgi: ")
    assert "nosuch://" in result.stderr
    assert "the-test-password" not in result.output


def test_passwords_of_storages_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a URL that may have a password in it only the scheme is printed."""
    instead_of_serving(monkeypatch, started)
    monkeypatch.setattr(
        _demo, "make_app", lambda **options: make_app(**{**options, "storage": "memory://"})
    )
    result = run("demo", *ANY_PORTS, "--storage", "postgresql://me:the-test-password@db/x")

    assert 0 == result.exit_code
    assert "its installations are in postgresql://…" in result.output
    assert "the-test-password" not in result.output


@pytest.mark.parametrize("module", ["typer", "uvicorn"])
def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    """`wix-asgi` is there without the extra, and says so."""
    hide(monkeypatch, module)
    with pytest.raises(SystemExit) as exited:
        wix_asgi.cli.main()

    assert f"wix-asgi needs {module}: pip install 'wix-asgi[cli]'" == exited.value.code


def test_another_missing_module_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing module that the extra does not bring is raised as it is."""
    hide(monkeypatch, "starlette.routing")
    with pytest.raises(ModuleNotFoundError, match=r"starlette\.routing"):
        wix_asgi.cli.main()


def test_the_command_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The installed command is the Typer app."""
    monkeypatch.setattr(sys, "argv", ["wix-asgi", "--version"])
    with pytest.raises(SystemExit) as exited:
        wix_asgi.cli.main()

    assert 0 == exited.value.code
    assert f"wix-asgi {version('wix-asgi')}\n" == capsys.readouterr().out


def hide(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    """Make the imports of the command fail for the module `missing`."""
    for name in list(sys.modules):
        if name.startswith("wix_asgi.cli."):
            monkeypatch.delitem(sys.modules, name)
            monkeypatch.delattr(wix_asgi.cli, name.removeprefix("wix_asgi.cli."))
    real = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name == missing:
            raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
