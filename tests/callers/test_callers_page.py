"""docs/callers.md: its snippets run as they are printed, and do what the page says."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.client.clients import install
from tests.middleware.probes import http_scope
from tests.servers import ROOT
from tests.support import PUBLIC_URL, SITE, make_app, make_wix
from wix_asgi import Wix, WixMiddleware
from wix_asgi._http import httpx
from wix_asgi.asgi.require_identity import protected_paths
from wix_asgi.identity._presented_token import is_of_wix
from wix_asgi.identity.policy import TokenPolicy
from wix_asgi.testing import FakeWix

PAGE = (ROOT / "docs" / "callers.md").read_text("utf-8")
SNIPPETS: list[str] = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def run(number: int, **names: Any) -> dict[str, Any]:
    """Run a snippet with these names in reach; return the names there are then."""
    space: dict[str, Any] = {"__name__": "main", "WixMiddleware": WixMiddleware, **names}
    code = compile(SNIPPETS[number], "callers.md", "exec", dont_inherit=True)
    exec(code, space)  # noqa: S102 - ours
    return space


async def ask(app: Any, method: str, path: str, headers: dict[str, str]) -> httpx.Response:
    """Send a request to `app`."""
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as http:
        return await http.request(method, path, headers=headers)


def api(wix: Wix, number: int) -> Any:
    """Return the app of a snippet, whose protected path is that of an app with one route."""
    inner = make_app()
    inner.mount("/api", make_app())
    return run(number, app=inner, wix=wix)["app"]


@pytest.mark.parametrize("number", [0, 1])
async def test_path_is_for_callers_alone(fake: FakeWix, number: int) -> None:
    """The app of either snippet answers callers below /api, and everybody elsewhere (R58)."""
    async with make_wix(fake) as wix:
        await install(wix, fake)
        app = api(wix, number)
        token = {"Authorization": fake.issue_access_token(subject_type="USER")}
        answers = [
            await ask(app, "GET", path, headers)
            for path, headers in (("/api/plain", token), ("/api/plain", {}), ("/plain", {}))
        ]

    assert [200, 401, 200] == [answer.status_code for answer in answers]


async def test_front_end_of_the_page_may_read_answers(fake: FakeWix) -> None:
    """The CORS snippet answers the preflight of a script, and lets it read a refusal (R54)."""
    origin = {"Origin": "https://www.my-site.example"}
    wanted = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    async with make_wix(fake) as wix:
        app = api(wix, 1)
        preflight = await ask(app, "OPTIONS", "/api/plain", {**origin, **wanted})
        refusal = await ask(app, "GET", "/api/plain", origin)

    assert [200, 401] == [preflight.status_code, refusal.status_code]
    assert ["https://www.my-site.example"] * 2 == [
        answer.headers["Access-Control-Allow-Origin"] for answer in (preflight, refusal)
    ]
    assert "WWW-Authenticate" == refusal.headers["Access-Control-Expose-Headers"]


@pytest.mark.parametrize("kind", ["instance", "token"])
async def test_proof_in_a_message(fake: FakeWix, kind: str) -> None:
    """The snippet outside of requests takes either kind of proof."""
    proof = fake.signed_instance(SITE) if kind == "instance" else fake.issue_access_token()
    async with make_wix(fake) as wix:
        await install(wix, fake)
        answer = await run(2)["on_message"](wix, {"proof": proof})

    assert 200 == answer.status_code


def test_numbers_and_forms_are_those_of_the_source() -> None:
    """The page says the rate, the times and the forms that the code has."""
    policy = TokenPolicy()
    (forms,) = re.findall(r"begin with `(\S+)` or `(\S+)`\.", PAGE)
    asked = re.search(r"asks (\d+)\nquestions a second \((\d+) at once", PAGE)

    assert asked is not None
    assert [policy.questions_per_second, policy.questions_burst] == list(map(int, asked.groups()))
    assert (300.0, 60.0) == (policy.keep_for, policy.keep_refused_for)
    assert all(is_of_wix(form.encode()) for form in forms)


def test_spelling_of_the_page_is_protected() -> None:
    """The spelling that the page shows is protected (R58)."""
    guard = protected_paths(["/api"], None)

    assert guard is not None
    assert "`/public/..%2fapi/x`" in PAGE
    assert guard.has(http_scope("/public/../api/x", raw_path=b"/public/..%2fapi/x"))
