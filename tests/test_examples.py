"""The examples, as their first lines say to run them, beside a fake Wix."""

from __future__ import annotations

import ast
import contextlib
import importlib
import logging
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import anyio
import pytest
from starlette.applications import Starlette

from tests.limits import PATIENCE
from tests.servers import ROOT, Server, environment, free_port, serving, uvicorn
from wix_asgi import StorageUnavailable, Wix
from wix_asgi._http import httpx
from wix_asgi.testing import DEMO_SITES, FakeWix

BAKERY, YOGA, _ = DEMO_SITES
EXAMPLES = [
    "background_job",
    "django_app",
    "fastapi_app",
    "flask_app",
    "litestar_app",
    "quart_app",
    "quickstart",
    "starlette_app",
    "webhooks",
]


@pytest.fixture(name="anyio_backend")
def _anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(name="fake")
def _fake() -> Iterator[FakeWix]:
    fake = FakeWix()
    with fake.serve():
        yield fake


@pytest.fixture(name="storage")
def _storage(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/wix-asgi.db"


class Example:
    """An example that is being served, and a browser."""

    def __init__(self, fake: FakeWix, url: str, server: Server) -> None:
        self.fake = fake
        self.server = server
        self.tracebacks = 0  # that its log is to have
        self.http = httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE)

    def begin(self, site: str) -> str:
        """Click on "Add to Site"; return where the app sends the browser."""
        begun = self.http.get("/wix/install", params={"token": self.fake.install_token(site)})
        assert 303 == begun.status_code, begun.text
        return begun.headers["Location"]

    def install(self, site: str) -> httpx.Response:
        """Install the app; return the answer of the callback."""
        return self.http.get(self.fake.approve(self.begin(site)))

    def open(self, path: str, site: str) -> httpx.Response:
        """Open a page of the app as this site does."""
        return self.http.get(path, params={"instance": self.fake.signed_instance(site)})


@pytest.fixture(name="example")
def _example(
    request: pytest.FixtureRequest, fake: FakeWix, storage: str, tmp_path: Path
) -> Iterator[Example]:
    port = free_port()
    command = uvicorn(f"examples.{request.param}:app", port)
    env = {**environment(fake, port, storage), "WIX_PUBLIC_KEY": fake.public_key}
    with serving(command, cwd=tmp_path, env=env) as server:
        server.accepts(port)
        example = Example(fake, f"http://127.0.0.1:{port}", server)
        yield example
        example.http.close()
        server.stop()
        assert example.tracebacks == server.output.count("Traceback")


def test_every_example_is_tested_here() -> None:
    """An example that nobody runs would rot."""
    assert EXAMPLES == sorted(path.stem for path in (ROOT / "examples").glob("[!_]*.py"))


def test_the_quickstart_is_short() -> None:
    """It has less than twenty lines, its docstring left aside."""
    source = (ROOT / "examples" / "quickstart.py").read_text("utf-8")
    code = source.split('"""', 2)[2].strip()

    assert len(code.splitlines()) < 20


@pytest.mark.processes
@pytest.mark.parametrize(
    "example",
    ["django_app", "fastapi_app", "litestar_app", "quart_app", "quickstart"],
    indirect=True,
)
def test_quickstart(example: Example) -> None:
    """After an install the products of the calling site come; nobody gets a 401."""
    installed = example.install(YOGA)
    products = example.open("/products", YOGA)
    nobody = example.http.get("/products")
    stranger = example.open("/products", BAKERY)

    assert (
        f"{example.fake.url}/installer/close-window"
        == (installed.headers["Location"].partition("?")[0])
    )
    assert "Lighthouse Yoga Mug" == products.json()["products"][0]["name"]
    assert [401, 403] == [nobody.status_code, stranger.status_code]


@pytest.mark.processes
@pytest.mark.parametrize("example", ["starlette_app"], indirect=True)
def test_starlette_app(example: Example) -> None:
    """Its hooks answer the install, the refusal and an event, and its routes know the caller."""
    installed = example.install(BAKERY)
    url = str(example.http.base_url)
    told = anyio.run(example.fake.send_event, url, "PaidPlanPurchased", BAKERY)
    bought = example.server.printed(r"(\S+) bought the plan premium")
    example.fake.cancel_redirects = True
    refused = example.http.get(str(example.fake.cancel(example.begin(BAKERY))))
    elsewhere = example.http.get("/wix/callback?code=x&state=forged")
    about = example.open("/about", BAKERY)
    who = example.open("/who", BAKERY)

    assert (200, BAKERY) == (told.status_code, bought[1])
    assert f"Welcome, Corner Bakery! You are {BAKERY}." == installed.text
    assert (403, "No hard feelings. Come back any time.") == (refused.status_code, refused.text)
    assert "This installation was not begun here" in elsewhere.text
    assert "Corner Bakery" == about.json()["site"]["siteDisplayName"]
    assert {"instance": BAKERY, "owner": True} == who.json()
    assert 401 == example.http.get("/who").status_code


@pytest.mark.processes
@pytest.mark.parametrize("example", ["webhooks"], indirect=True)
def test_webhooks(example: Example) -> None:
    """A handler that fails is told of, called again ten seconds later, and returns then."""
    example.install(YOGA)
    example.fake.answer("GET", "/apps/v1/instance", status=500, times=1)
    url = str(example.http.base_url)
    example.tracebacks = 1
    told = anyio.run(example.fake.send_event, url, "PaidPlanPurchased", YOGA)
    example.server.printed(r"handler \S*thank failed with .*\(attempt 1 of 3\)")
    example.server.printed(r"Lighthouse Yoga bought a plan \(event \w{32}, attempt 2\)")

    assert 200 == told.status_code


@pytest.mark.processes
def test_background_job_reads_every_installed_site(
    fake: FakeWix, storage: str, tmp_path: Path
) -> None:
    """Served, it takes installs; run without a server, it refreshes and reads every site."""
    port = free_port()
    env = environment(fake, port, storage)
    command = uvicorn("examples.background_job:app", port)
    with serving(command, cwd=tmp_path, env=env) as server:
        server.accepts(port)
        example = Example(fake, f"http://127.0.0.1:{port}", server)
        at_first = example.http.get("/counts").json()
        for site in (BAKERY, YOGA):
            example.install(site)
        example.http.close()
        server.stop()
        output = server.output
    fake.expire_access_tokens()
    once = subprocess.run(
        [sys.executable, "-m", "examples.background_job"],
        cwd=tmp_path,
        env={**env, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert {} == at_first
    assert "Traceback" not in output
    assert (0, "") == (once.returncode, once.stderr)
    assert {BAKERY: 3, YOGA: 3} == ast.literal_eval(once.stdout)
    assert 2 == fake.count("/oauth/access", grant_type="refresh_token")


PRODUCTS = "/stores/v1/products/query"


def counts(example: Example, expected: dict[str, int]) -> None:
    """Return when a worker shows these counts, or fail."""
    deadline = time.monotonic() + PATIENCE
    while (answer := example.http.get("/counts")).status_code != 200 or answer.json() != expected:
        assert time.monotonic() < deadline, answer.text


@pytest.mark.processes
def test_background_job_survives_in_one_of_two_workers(
    fake: FakeWix, storage: str, tmp_path: Path
) -> None:
    """A site that fails stops nothing, one worker reads, and the other one when that is killed."""
    with contextlib.ExitStack() as stack:
        workers = []
        for _ in range(2):
            port = free_port()
            env = {**environment(fake, port, storage), "READ_EVERY": "0.1"}
            command = uvicorn("examples.background_job:app", port)
            server = stack.enter_context(serving(command, cwd=tmp_path, env=env))
            server.accepts(port)
            worker = Example(fake, f"http://127.0.0.1:{port}", server)
            stack.callback(worker.http.close)
            workers.append((server, worker))
            counts(workers[0][1], {})
        (server, first), (_, second) = workers
        fake.answer("POST", PRODUCTS, status=500, instance_id=BAKERY, times=1)
        for site in (BAKERY, YOGA):
            first.install(site)
        server.printed(f"{BAKERY} was not read")
        counts(first, {BAKERY: 3, YOGA: 3})
        idle = second.http.get("/counts")
        server.stop(signal.SIGKILL)
        counts(second, {BAKERY: 3, YOGA: 3})

    assert (503, "Another worker reads the sites.") == (idle.status_code, idle.text)


async def test_a_round_that_fails_is_repeated(
    background_job: ModuleType, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A storage that fails does not end the job; the log has the failure."""
    failures = [StorageUnavailable("down")]
    scan = background_job.wix.storage.scan

    async def failing(*args: object, **options: object) -> object:
        if failures:
            raise failures.pop()
        return await scan(*args, **options)

    monkeypatch.setattr(background_job.wix.storage, "scan", failing)
    app = Starlette()
    with anyio.fail_after(PATIENCE):
        async with background_job.wix, background_job.lifespan(app):
            await app.state.has_read.wait()

    assert {} == app.state.counts
    assert ["the job was interrupted, and begins again"] == caplog.messages


@pytest.fixture(name="background_job")
def _background_job(monkeypatch: pytest.MonkeyPatch, fake: FakeWix) -> ModuleType:
    """Import the example as a process does that has its settings in the environment."""
    monkeypatch.setenv("READ_EVERY", "0.01")
    for name, value in environment(fake, free_port(), "memory://").items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.delitem(sys.modules, "examples.background_job", raising=False)
    return importlib.import_module("examples.background_job")


async def test_one_site_that_fails_does_not_stop_the_job(
    background_job: ModuleType, fake: FakeWix, caplog: pytest.LogCaptureFixture
) -> None:
    """The remaining sites are read, and the log names the failing site."""
    wix: Wix = background_job.wix
    async with wix:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=background_job.app),
            base_url=wix.settings.public_url,
        ) as http:
            for site in (BAKERY, YOGA):
                begun = await http.get("/wix/install", params={"token": fake.install_token(site)})
                await http.get(fake.approve(begun.headers["Location"]))
        every = await background_job.read_every_site(wix)
        fake.uninstall(BAKERY)
        with caplog.at_level(logging.WARNING, "examples.background_job"):
            counts = await background_job.read_every_site(wix)

    assert {BAKERY: 3, YOGA: 3} == every
    assert {YOGA: 3} == counts
    assert f"{BAKERY} was not read" in caplog.text
