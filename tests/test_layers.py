"""The imports between modules, and modules that do no I/O."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from importlinter.cli import lint_imports
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PACKAGES = ("wix_asgi", "wix_asgi_backends")
WITHOUT_IO = [
    "errors",
    "handshake._query",
    "handshake.state",
    "models",
    "protocol.endpoints",
    "protocol.instance_rules",
    "protocol.moments",
    "protocol.signed_instance",
    "sealing.keys",
    "sealing.vault",
    "settings",
]


def sources(package: str) -> Iterator[Path]:
    """Yield the modules of an installed package."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    for location in spec.submodule_search_locations or ():
        yield from Path(location).rglob("*.py")


def imports(source: Path) -> set[str]:
    """Return the top-level packages that a module imports, inside its functions too."""
    found = set[str]()
    for node in ast.walk(ast.parse(source.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def test_contracts_of_imports_are_kept(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The contracts of `pyproject.toml` hold: layers, private modules, circles, HTTP and I/O."""
    # It would switch off all loggers, for all later tests as well.
    monkeypatch.setattr("importlinter.cli._configure_logging", lambda _: None)
    outcome = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)

    assert 0 == outcome, capsys.readouterr().out


def test_one_module_imports_the_http_library() -> None:
    """Moving to another HTTP library is one line in one module."""
    libraries = {"httpx", "httpx2", "httpcore"}
    importing = {
        source.name
        for package in PACKAGES
        for source in sources(package)
        if imports(source) & libraries
    }

    assert {"_http.py"} == importing


def test_imported_distributions_have_floors() -> None:
    """Whatever distribution is imported is a dependency of its own, so that its floor is ours."""
    # The app brings trio and its framework (with asgiref or werkzeug), its tests bring pytest,
    # and pydantic pins pydantic-core.
    frameworks = {"asgiref", "django", "fastapi", "flask", "litestar", "quart", "werkzeug"}
    brought = {*frameworks, "pytest", "pydantic-core", "trio"}
    distributions = importlib.metadata.packages_distributions()
    imported = {
        distribution
        for package in PACKAGES
        for source in sources(package)
        for name in imports(source) - {*PACKAGES, *sys.stdlib_module_names}
        for distribution in distributions[name]
    }
    required = {Requirement(one).name for one in importlib.metadata.requires("wix-asgi") or ()}

    assert set() == {canonicalize_name(name) for name in imported} - required - brought


def test_tests_use_the_same_http_library() -> None:
    """Tests and the chaos program take the HTTP library from the one module that knows it."""
    direct = [
        source.relative_to(ROOT)
        for folder in ("tests", "chaos")
        for source in (ROOT / folder).rglob("*.py")
        if "httpx" in imports(source)
    ]

    assert [] == direct


@pytest.mark.parametrize("module", WITHOUT_IO)
def test_module_without_io_never_waits(module: str) -> None:
    """A module that does no I/O has nothing asynchronous in it, and makes no HTTP client."""
    spec = importlib.util.find_spec(f"wix_asgi.{module}")
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text("utf-8"))
    waiting = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)
    clients = {"AsyncClient", "Client", "AsyncHTTPTransport", "HTTPTransport", "open"}

    assert [] == [node.lineno for node in ast.walk(tree) if isinstance(node, waiting)]
    assert not clients & {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert not clients & {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def test_every_module_names_what_is_public() -> None:
    """Each module lists in `__all__` the names that other modules may import."""
    silent = [
        source.name
        for source in sources("wix_asgi")
        if "__all__" not in source.read_text("utf-8")
        and source.stat().st_size
        and source.name != "__init__.py"
    ]

    assert [] == silent
