"""docs/frameworks.md: the page's app of FastStream and its worker, with a real Redis."""

from __future__ import annotations

import os
import queue
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
import redis
from starlette.responses import Response

from tests.client.clients import install
from tests.ecosystem.proxied import find
from tests.limits import PATIENCE
from tests.servers import ROOT, Server, environment, free_port, serving
from tests.support import SITE, make_wix
from wix_asgi._http import httpx
from wix_asgi.testing import Call, FakeWix

PAGE = (ROOT / "docs" / "frameworks.md").read_text("utf-8")
SECTION = PAGE.partition("\n## FastStream\n")[2].partition("\n## ")[0]
BROKER = "redis://localhost:6379"
WAITING = "waiting for messages"
ENDED = "shut down gracefully"


@dataclass
class Shop:
    """The page's app, which is installed on a site, and its queue of orders."""

    room: Path
    env: dict[str, str]
    port: int
    fake: FakeWix
    orders: redis.Redis
    counted: queue.Queue[str | None]

    @contextmanager
    def running(self, *command: str) -> Iterator[Server]:
        """Run a command of Python on the page's code."""
        with serving([sys.executable, "-m", *command], cwd=self.room, env=self.env) as server:
            yield server

    @contextmanager
    def served(self) -> Iterator[tuple[Server, httpx.Client]]:
        """Serve the app; give the server, and a browser of it."""
        url = f"http://127.0.0.1:{self.port}"
        with (
            self.running("uvicorn", "shop:app", "--port", str(self.port)) as server,
            httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE) as browser,
        ):
            server.accepts(self.port)
            yield server, browser


@pytest.fixture(name="shop")
def _shop(tmp_path: Path) -> Iterator[Shop]:
    """Give the page's code as a module, a Redis of its own, and a Wix that notes counted orders."""
    port, redis_port = free_port(), free_port()
    code = "\n".join(re.findall(r"^```python\n(.*?)^```$", SECTION, re.DOTALL | re.MULTILINE))
    assert BROKER in code
    (tmp_path / "shop.py").write_text(code.replace(BROKER, f"redis://127.0.0.1:{redis_port}"))
    fake = FakeWix()
    counted: queue.Queue[str | None] = queue.Queue()

    def count(call: Call) -> Response:
        counted.put(call.instance_id)
        return Response(status_code=204)

    fake.answer("POST", "/orders/v1/counted", count)
    storage = f"sqlite:///{tmp_path}/wix-asgi.db"
    command = [find("redis-server"), "--bind", "127.0.0.1", "--port", str(redis_port)]
    command += ["--save", "", "--dir", str(tmp_path)]
    with (
        fake.serve(),
        serving(command, cwd=tmp_path, env=os.environ) as server,
        redis.Redis(port=redis_port, socket_timeout=PATIENCE) as orders,
    ):
        anyio.run(put_installation, fake, storage)
        server.accepts(redis_port)
        env = {**environment(fake, port, storage), "WIX_PUBLIC_KEY": fake.public_key}
        yield Shop(tmp_path, env, port, fake, orders, counted)


async def put_installation(fake: FakeWix, storage: str) -> None:
    """Install the app on the site."""
    async with make_wix(fake, storage=storage) as wix:
        await install(wix, fake)


def test_a_route_has_a_client_and_answers_refusals(shop: Shop) -> None:
    """A caller's site is asked; nobody gets 401, a site without the app 403, as JSON or page."""
    installed, unknown = (
        {"instance": shop.fake.signed_instance(site)} for site in (SITE, "site-unknown")
    )
    person = {"Accept": "text/html,*/*;q=0.8"}
    with shop.served() as (_, browser):
        begun = browser.get("/wix/install", params={"token": shop.fake.install_token()})
        finished = browser.get(shop.fake.approve(begun.headers["Location"]))
        called = browser.get("/instance", params=installed)
        refused = [browser.get("/instance"), browser.get("/instance", params=unknown)]
        pages = [
            browser.get("/instance", headers=person),
            browser.get("/instance", headers=person, params=unknown),
        ]

    assert (303, 303) == (begun.status_code, finished.status_code)
    assert (200, SITE) == (called.status_code, called.json()["instance"]["instanceId"])
    assert [401, 403, 401, 403] == [each.status_code for each in [*refused, *pages]]
    assert ["no_identity", "not_installed"] == [each.json()["error"] for each in refused]
    assert all("<!doctype html>" in each.text for each in pages)


def test_an_event_reaches_a_subscriber_that_calls_wix(shop: Shop) -> None:
    """Jobs of before the start, and of events, call Wix as their site; the app ends by itself."""
    shop.orders.rpush("orders", SITE)
    with shop.served() as (server, browser):
        early = shop.counted.get(timeout=PATIENCE)
        event = shop.fake.make_event("wix.ecom.v1.order_created", SITE)
        taken = browser.post("/wix/webhook", content=event.token)
        told = shop.counted.get(timeout=PATIENCE)
        server.stop()

    assert (SITE, 200, SITE) == (early, taken.status_code, told)
    assert (1, 1) == (server.output.count(WAITING), server.output.count(ENDED))
    assert "Application shutdown complete" in server.output
    assert "Traceback" not in server.output


def test_a_worker_without_http(shop: Shop) -> None:
    """`faststream run` runs the worker of the page, which calls Wix and ends by itself."""
    with shop.running("faststream", "run", "shop:worker") as worker:
        worker.printed(WAITING)
        shop.orders.rpush("orders", SITE)
        told = shop.counted.get(timeout=PATIENCE)
        status = worker.stop()

    assert (SITE, 0) == (told, status)
    assert (1, 1) == (worker.output.count(WAITING), worker.output.count(ENDED))
    assert "Traceback" not in worker.output


def test_its_own_command_takes_no_wrapped_app(shop: Shop) -> None:
    """`faststream run` refuses the app in `WixMiddleware`, as the page says."""
    with shop.running("faststream", "run", "shop:app") as refused:
        status = refused.exited()

    assert 0 != status
    assert '"Application" type' in " ".join(refused.output.split())
