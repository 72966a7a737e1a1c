"""The package as it is installed: its version, its front door, the cost of importing it."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import inspect
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

import wix_asgi
import wix_asgi_backends
from tests.limits import PATIENCE

SITES = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
HEAVY = ["aiosqlite", "asyncpg", "fastapi", "sqlalchemy", "sqlmodel", "typer", "uvicorn"]
LIBRARIES = ["anyio", "cryptography", "httpx", "pydantic", "pydantic_settings", "starlette"]
PARTS = [
    "httpcore",
    "itsdangerous",
    "joserfc",
    "stamina",
    "wix_asgi.handshake.handshake",
    "wix_asgi.operations",
    "wix_asgi.tokens.cache",
    "wix_asgi.webhooks.endpoint",
    "wix_asgi.webhooks.worker",
]


def test_a_storage_of_the_app_s_own_loads_no_database_library() -> None:
    """Where an object is given, the backend of the default URL is not wanted."""
    code = (
        "import sys, wix_asgi; from wix_asgi_backends.memory import MemoryStorage; "
        "wix_asgi.Wix(app_id='a', app_secret='test-app-secret', public_url='https://a.example', "
        "storage=MemoryStorage()); print('sqlalchemy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "False\n" == done.stdout


def test_version_is_the_installed_one() -> None:
    """`__version__` is the version of the metadata."""
    assert importlib.metadata.version("wix-asgi") == wix_asgi.__version__


def test_all_is_sorted() -> None:
    """The front door is easy to read."""
    assert sorted(wix_asgi.__all__) == wix_asgi.__all__


def test_all_is_the_public_namespace() -> None:
    """`from wix_asgi import *` gives each public name, and nothing that is not meant."""
    public = {
        name
        for name in dir(wix_asgi)
        if not name.startswith("_") and not inspect.ismodule(getattr(wix_asgi, name))
    }

    assert set(wix_asgi.__all__) == public - {"TYPE_CHECKING", "annotations"}


def test_type_checkers_are_shown_the_modules_that_names_are_loaded_from() -> None:
    """The imports for type checkers, the table for the lazy import and `__all__` are the same."""
    module = ast.parse(inspect.getsource(wix_asgi))
    (choice,) = (node for node in module.body if isinstance(node, ast.If))
    imports = [node for node in choice.body if isinstance(node, ast.ImportFrom)]
    typed = {alias.name: node.module for node in imports for alias in node.names}

    assert typed == vars(wix_asgi)["_HOMES"]
    assert {*typed} == {*wix_asgi.__all__}


def test_every_public_name_is_documented() -> None:
    """Every name at the front door has a docstring."""
    undocumented = [name for name in wix_asgi.__all__ if not getattr(wix_asgi, name).__doc__]

    assert [] == undocumented


@pytest.mark.parametrize("package", ["wix_asgi", "wix_asgi_backends"])
def test_packages_are_typed(package: str) -> None:
    """Both packages carry the marker of PEP 561."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations is not None

    assert (Path(spec.submodule_search_locations[0]) / "py.typed").is_file()


def required(name: str, extras: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield the distributions that `pip install name[extras]` brings into an empty environment."""
    yield name
    for requirement in map(Requirement, importlib.metadata.requires(name) or ()):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in {"", *extras}):
            yield from required(requirement.name, frozenset(requirement.extras))


@pytest.fixture(name="slim", params=["folders", "zip"])
def _slim(tmp_path: Path, request: pytest.FixtureRequest) -> list[Path]:
    """Return where all packages of this Python are, ours zipped or not, with no metadata."""
    sources = [Path(package.__path__[0]) for package in (wix_asgi, wix_asgi_backends)]
    ours, others, bundle = tmp_path / "ours", tmp_path / "others", tmp_path / "app.zip"
    ours.mkdir()
    others.mkdir()
    with ZipFile(bundle, "w") as zipped:
        for source in sources:
            (ours / source.name).symlink_to(source)
            for file in source.rglob("*.[ph]*"):
                zipped.write(file, file.relative_to(source.parent))
    left_out = {source.name for source in sources}
    for found in [each for site in {*SITES} for each in Path(site).iterdir()]:
        if found.suffix not in {".dist-info", ".pth"} and found.name not in left_out:
            (others / found.name).symlink_to(found)
    return [bundle if request.param == "zip" else ours, others]


def test_no_metadata_is_needed(slim: list[Path], tmp_path: Path) -> None:
    """In a bundle without `*.dist-info` the backends that come along are found and work."""
    program = """if True:
        import asyncio, importlib.metadata, sys
        sys.path += sys.argv[2:]
        import wix_asgi

        async def main(url):
            async with wix_asgi.open_storage(url) as storage:
                print(type(storage).__name__, await storage.claim("name", "owner", 60.0))

        print([*importlib.metadata.distributions()], wix_asgi.__version__)
        asyncio.run(main("memory://"))
        asyncio.run(main(sys.argv[1]))
        print(type(wix_asgi.open_storage("postgresql://user@host/database")).__name__)
    """
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, f"sqlite:///{tmp_path}/test.db", *slim],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )

    assert [
        f"[] {importlib.metadata.version('wix-asgi')}",
        "MemoryStorage True",
        "SQLiteStorage True",
        "PostgresStorage",
    ] == done.stdout.splitlines()


@pytest.mark.parametrize("named", ["dependencies", "cli"])
def test_floors_have_reasons(named: str) -> None:
    """Each dependency has one floor, and a comment at its line or above it."""
    text = PYPROJECT.read_text("utf-8")
    lines = text.partition(f"\n{named} = [\n")[2].partition("\n]\n")[0].splitlines()
    bare, floors = [], {}
    for above, line in pairwise(["", *lines]):
        _, quote, rest = line.partition('    "')
        written, _, comment = rest.partition('",')
        if quote:
            floors[written] = [each.operator for each in Requirement(written).specifier]
            bare += [] if re.search(r"# \w", comment) or re.match(r"\s+# \w", above) else [written]

    assert [] == bare
    assert dict.fromkeys(floors, 1) == {
        written: operators.count(">=") for written, operators in floors.items()
    }
    assert floors


def test_sniffio_comes_along() -> None:
    """The package alone brings sniffio, so that httpcore does not look for it in vain."""
    brought = set(required("wix-asgi"))

    assert {"httpcore", "sniffio"} <= brought
    assert not brought & {"fastapi", "trio", "typer"}


def test_what_backends_import_needs_no_http_library() -> None:
    """The three modules that backends import lead to httpx by no import of their own."""
    program = (
        # The front door of the package has the client, and with it httpx: it is left out here.
        "import sys, types; package = types.ModuleType('wix_asgi'); "
        f"package.__path__ = {list(wix_asgi.__path__)}; sys.modules['wix_asgi'] = package; "
        "import wix_asgi.errors, wix_asgi.models, wix_asgi.storage; print('httpx' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )

    assert "False\n" == ran.stdout


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import wix_asgi", [*HEAVY, *PARTS, *LIBRARIES]),
        ("from wix_asgi import Reason, Unauthenticated", [*HEAVY, *PARTS, "httpx", "pydantic"]),
        ("from wix_asgi import Wix, WixMiddleware", [*HEAVY, *PARTS]),
        ("from wix_asgi import WebhookEvent, WixClient, get_wix", [*HEAVY, *PARTS]),
    ],
)
def test_import_is_light(statement: str, unwanted: list[str]) -> None:
    """An import loads no ORM, driver, framework or server, and no part before a Wix is made."""
    program = f"import sys; {statement}; print(*[m for m in {unwanted} if m in sys.modules])"
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )

    assert [] == ran.stdout.split()


def test_public_names_are_found_when_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """`wix_asgi` has its public names, and its modules at the top, and tells of them."""
    monkeypatch.delattr(wix_asgi, "errors")
    monkeypatch.delattr(wix_asgi, "Reason", raising=False)
    found = {name: getattr(wix_asgi, name) for name in wix_asgi.__all__}

    assert wix_asgi.middleware.WixMiddleware is found["WixMiddleware"]
    assert wix_asgi.errors.Reason is found["Reason"]
    assert {*wix_asgi.__all__, "__version__", "errors"} <= {*dir(wix_asgi)}
    with pytest.raises(AttributeError, match="module 'wix_asgi' has no attribute 'Wicks'"):
        wix_asgi.Wicks  # type: ignore[attr-defined] # meant # noqa: B018


def test_command_is_installed() -> None:
    """The `wix-asgi` command is declared, and points into the package."""
    (command,) = importlib.metadata.entry_points(group="console_scripts", name="wix-asgi")

    assert "wix_asgi.cli:main" == command.value
