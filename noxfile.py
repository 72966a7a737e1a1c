"""The development sessions: `nox -s tests` is the one to know, `nox --list` shows all."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from pathlib import Path

import nox
from packaging.requirements import Requirement
from packaging.version import Version

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["lint", "typing", "tests"]

PYPROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PYPROJECT)
SOURCES = {
    "wix_asgi": "wix_asgi",
    "backends/wix_asgi_backends": "wix_asgi_backends",
    "pytest_wix_asgi": "pytest_wix_asgi",
}
# The programs that tests with a mark drive; all other programs come with the tests.
PROGRAMS = {"browser": "chromium", "pgbouncer": "pgbouncer"}
# With the files of the sources the other tests, which take long, go the same way on a wheel.
ON_THE_WHEEL = ("tests/cli", "tests/frameworks", "tests/middleware", "tests/migrations")
WORKERS = ("--numprocesses=auto", "--maxprocesses=4", "--dist=loadfile")


@nox.session
def tests(session: nox.Session) -> None:
    """Run all tests under coverage; arguments are for pytest, and go without coverage."""
    _install(session, "-e", ".[cli]", groups=["test"])
    if session.posargs:
        session.run("pytest", *session.posargs)
        return
    with tempfile.TemporaryDirectory() as room:
        session.env["COVERAGE_FILE"] = f"{room}/coverage"
        # Every process measures itself from its start, the imports of pytest's plugins included.
        start = {"COVERAGE_PROCESS_START": str(Path("pyproject.toml").resolve())}
        session.run("pytest", *WORKERS, *_without(session), env=start)
        session.run("coverage", "combine", "--quiet")
        session.run("coverage", "report", "--fail-under=100")


@nox.session(python=PYTHONS, reuse_venv=False)  # what was installed earlier is not the newest
def matrix(session: nox.Session) -> None:
    """Run all tests on every supported Python that is here, with the newest of everything."""
    tests(session)


@nox.session(venv_backend="uv")
def lowest(session: nox.Session) -> None:
    """Run most tests on the lowest version of each dependency; it needs uv."""
    groups = ["test"]
    _install(session, "--resolution=lowest-direct", "-e", ".[cli]", groups=groups)
    _compare_floors(session, groups)
    # Servers, browsers and faults take long, and meet few of the dependencies.
    rest = [*_without(session, "browser", "processes"), "--ignore=tests/chaos"]
    session.run("pytest", *(session.posargs or [*WORKERS, *rest]))


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, formatting, and the direction of imports."""
    session.install("--no-deps", "-e", ".")
    _install(session, groups=["lint"])
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports", "--no-cache")


@nox.session
def typing(session: nox.Session) -> None:
    """Check the types with mypy and pyright."""
    _install(session, "-e", ".[cli]", "nox", groups=["typing", "ecosystem", "bench"])
    session.run("mypy")
    session.run("pyright")


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the wheel from the sdist, compare it with the sources, and run some tests on it."""
    session.install("build[virtualenv]")
    with tempfile.TemporaryDirectory() as room:
        dist, elsewhere = Path(room, "dist"), Path(room, "checkout")
        session.run("python", "-m", "build", "--installer=pip", f"--outdir={dist}", ".")
        (built,) = dist.glob("*.whl")
        _compare(session, built)
        _install(session, f"{built}[cli]", groups=["test"])
        _copy_without_sources(session, elsewhere)
        with session.chdir(elsewhere):
            top = sorted(str(path) for path in Path("tests").glob("test_*.py"))
            rest = [*WORKERS, *_without(session, "browser", "processes"), *ON_THE_WHEEL, *top]
            session.run("pytest", *(session.posargs or rest))


@nox.session
def demo(session: nox.Session) -> None:
    """Run the demo: an app, a fake Wix, and an install between them."""
    session.install(".[cli]")
    session.run("wix-asgi", "demo", *session.posargs)


@nox.session
def ecosystem(session: nox.Session) -> None:
    """Run the tests with programs that are too heavy for every run."""
    _install(session, "-e", ".[cli]", groups=["ecosystem", "proxies"])
    session.run("pytest", *(session.posargs or ["tests/ecosystem"]))


@nox.session
def sdk(session: nox.Session) -> None:
    """Run Wix's own SDK and ours against a fake Wix, side by side; it needs Node with npm."""
    _install(session, "-e", ".[cli]", groups=["sdk"])
    session.run("pytest", *(session.posargs or ["tests/sdk"]))


@nox.session
def bench(session: nox.Session) -> None:
    """Measure, with the arguments that `python -m benchmarks` takes.

    As a user installs it: a tool of the tests may change what is measured, as trio did.
    """
    _install(session, "-e", ".", groups=["bench"])
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def chaos(session: nox.Session) -> None:
    """Break things at full size, with the arguments that `python -m chaos` takes."""
    _install(session, "-e", ".[cli]", groups=["test"])
    session.run("python", "-m", "chaos", *session.posargs)


def _install(session: nox.Session, *requirements: str, groups: list[str]) -> None:
    session.install(*requirements, *nox.project.dependency_groups(PYPROJECT, *groups))


def _compare_floors(session: nox.Session, groups: list[str]) -> None:
    """Fail unless each floor is the version that is installed: another floor can hide it."""
    listed = session.run("uv", "pip", "freeze", "--quiet", external=True, silent=True)
    if listed is None:  # --install-only runs nothing
        return
    installed = dict(line.split("==") for line in str(listed).splitlines() if "==" in line)
    project = PYPROJECT["project"]
    extras = [one for extra in project["optional-dependencies"].values() for one in extra]
    named = [*project["dependencies"], *extras]
    hidden = []
    for text in [*named, *nox.project.dependency_groups(PYPROJECT, *groups)]:
        wanted = Requirement(text)
        (floor,) = [one.version for one in wanted.specifier if one.operator == ">="]
        if Version(floor) != Version(installed[wanted.name]):
            hidden.append(f"{wanted.name}: {floor} is the floor, {installed[wanted.name]} is here")
    if hidden:
        session.error(f"These floors are not what was run. {'; '.join(hidden)}.")


def _without(session: nox.Session, *marks: str) -> list[str]:
    """Return the options that leave out these marks, and those whose program is missing.

    In CI a missing program is a failure instead.
    """
    missing = [mark for mark in PROGRAMS.keys() - set(marks) if not _find(PROGRAMS[mark])]
    for mark in missing:
        if os.environ.get("CI"):
            session.error(f"No {PROGRAMS[mark]} here: the tests marked `{mark}` cannot run.")
        session.warn(f"NOTICE: no {PROGRAMS[mark]} here, so tests marked `{mark}` are left out.")
    left_out = sorted({*marks, *missing})
    return ["-m", " and ".join(f"not {mark}" for mark in left_out)] if left_out else []


def _find(program: str) -> str | None:
    # Debian keeps servers where a user's PATH does not lead.
    return shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")


def _compare(session: nox.Session, built: Path) -> None:
    """Fail unless the wheel holds just the files of the source roots, data included."""
    tracked = {
        path.replace(root, package, 1)
        for root, package in SOURCES.items()
        for path in _listed(session, root)
    }
    with zipfile.ZipFile(built) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    if tracked != packed:
        missing, extra = sorted(tracked - packed), sorted(packed - tracked)
        session.error(f"The wheel lacks {missing}, and has {extra} that are not in the sources.")
    session.log(f"{built.name} holds the {len(packed)} files of the sources, and no other.")


def _copy_without_sources(session: nox.Session, to: Path) -> None:
    """Copy the checkout but for its packages, so that only the installed ones can be imported."""
    for path in _listed(session, "."):
        if not path.startswith(tuple(f"{root}/" for root in SOURCES)):
            (to / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, to / path)


def _listed(session: nox.Session, under: str) -> list[str]:
    output = session.run(
        "git", "ls-files", "-z", "--cached", "--", under, external=True, silent=True
    )
    return [path for path in str(output).split("\0") if path]
