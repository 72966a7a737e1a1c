"""Callers by access token: whose lends the client, which values are asked about, and how often."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.identity.asking import TOKEN_INFO, Asking
from tests.limits import PATIENCE
from tests.support import SITE
from wix_asgi import Identity, WixUnavailable
from wix_asgi.identity._presented_token import PresentedToken
from wix_asgi.identity.policy import TokenPolicy
from wix_asgi.testing import DEMO_SITES, FakeWix

_, OTHER, _ = DEMO_SITES

ANSWERS: dict[str, tuple[dict[str, Any], str]] = {
    "a user's": ({"subjectType": "USER"}, SITE),
    "an app's": ({"subjectType": "APP"}, SITE),
    "active as a boolean": ({"active": True, "exp": 4_000_000_000}, SITE),
    "active as a text": ({"active": "true", "exp": "4000000000"}, SITE),
    "inactive": ({"active": False}, "forged"),
    "inactive as a text": ({"active": "false"}, "forged"),
    "inactive as a number": ({"active": 1}, "forged"),
    "another app's": ({"clientId": "another-app"}, "other_app"),
    "no app's": ({"clientId": None}, "other_app"),
    "of no installation": ({"instanceId": None}, "no_identity"),
    "of an empty installation": ({"instanceId": ""}, "no_identity"),
    "over": ({"exp": "1715096067"}, "ended"),
    "over and inactive": ({"exp": 1715096067, "active": "false"}, "ended"),
    "without an end": ({"exp": None}, "ended"),
    "with an end that is no moment": ({"exp": "tomorrow"}, "ended"),
    "with an end that is a boolean": ({"exp": True}, "ended"),
    "a visitor's": ({"subjectType": "VISITOR"}, "visitor"),
    "a member's": ({"subjectType": "MEMBER"}, "permissions"),
    "of an unknown subject": ({"subjectType": "UNKNOWN"}, "permissions"),
    "of no subject": ({"subjectType": None}, "permissions"),
    "of a subject in small letters": ({"subjectType": "user"}, "permissions"),
}


@pytest.fixture(name="fake")
def _fake() -> FakeWix:
    return FakeWix()


@pytest.mark.parametrize("scheme", ["", "Bearer ", "bearer "])
@pytest.mark.parametrize(("change", "expected"), ANSWERS.values(), ids=ANSWERS)
async def test_whose_token_lends_the_client(
    fake: FakeWix, change: dict[str, Any], expected: str, scheme: str
) -> None:
    """Only an active token of this app, of an installation and an allowed subject does (R54)."""
    fake.token_info_override = lambda info: {**info, **change}
    asking = Asking(fake)
    token = scheme + fake.issue_access_token()

    assert expected == await asking.outcome(token)
    assert expected == await asking.outcome(token)
    assert 1 == asking.questions


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_token_that_wix_refuses_is_a_forgery(fake: FakeWix, status: int) -> None:
    """A refusal of the question is a refusal of the token (R54)."""
    fake.fail(TOKEN_INFO, status=status)

    assert "forged" == await Asking(fake).outcome(fake.issue_access_token())


@pytest.mark.parametrize("subject", ["MEMBER", "VISITOR"])
async def test_settings_widen_whose_token_it_may_be(fake: FakeWix, subject: Any) -> None:
    """An app that means to lend its rights to visitors and members says so (R54)."""
    asking = Asking(fake, allowed_subjects=["MEMBER", "VISITOR"])

    assert SITE == await asking.outcome(fake.issue_access_token(subject_type=subject))
    assert "permissions" == await asking.outcome(fake.issue_access_token())


async def test_identity_has_the_fields_of_the_answer(fake: FakeWix) -> None:
    """The claims are the documented fields of Wix's answer, and make nobody an owner (R54)."""
    fake.token_info_override = lambda info: {**info, "permissions": "OWNER", "uid": "somebody"}
    asking = Asking(fake)
    user = await asking.caller(
        fake.issue_access_token(subject_type="USER", subject_id="user-1")
    ).identify()
    app = await asking.caller(fake.issue_access_token()).identify()

    assert ("user-1", False) == (user.user_id, user.is_owner)
    assert ("USER", "user-1", SITE) == tuple(
        user.claims[name] for name in ("subjectType", "subjectId", "instanceId")
    )
    assert (None, False) == (app.user_id, app.is_owner)
    assert {"permissions", "uid", "active"}.isdisjoint(user.claims)


OF_THE_APP = [
    "Basic dXNlcjpwYXNz",
    "Digest username=OauthNG.JWS.x",
    "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "Bearer session-1",
    "Token OauthNG.JWS.x",
    "Bearer  OauthNG.JWS.x",
    "IST.eyJraWQiOiJQb3pIX2FDMiJ9",
    "oauthng.jws.x",
    "xOauthNG.JWS.x",
    "Bearer",
    "",
    "\xff\xfe",
]


@pytest.mark.parametrize("value", OF_THE_APP)
async def test_credential_of_the_app_is_not_given_away(fake: FakeWix, value: str) -> None:
    """A value in another form than Wix's is asked of nobody, and left to the app (R54)."""
    asking = Asking(fake)
    named = await asking.caller(value, resolve=lambda _: "site-9").identify()

    assert Identity("site-9") == named
    assert 0 == asking.questions


MALFORMED = ["OauthNG.JWS.a b", "OauthNG.JWS.\xff", "OauthNG.JWS." + "a" * 8192]


@pytest.mark.parametrize("value", MALFORMED)
async def test_malformed_token_is_refused_unasked(fake: FakeWix, value: str) -> None:
    """A value that begins as Wix's tokens do, and can be none, is a forgery (R51, R54)."""
    asking = Asking(fake)

    assert "forged" == await asking.outcome(value, resolve=lambda _: SITE)
    assert asking.caller(value).identity is None
    assert 0 == asking.questions


async def test_older_form_is_asked_about(fake: FakeWix) -> None:
    """Tokens of the older form are Wix's, too."""
    fake.token_info_override = lambda _: {
        "active": True,
        "clientId": fake.app_id,
        "instanceId": SITE,
        "exp": fake.clock.now() + 60,
        "subjectType": "APP",
    }

    assert SITE == await Asking(fake).outcome("OAUTH2.eyJraWQiOiJkZ0x3cjNRMCJ9")


async def test_refused_token_ends_the_search(fake: FakeWix) -> None:
    """After a refused token the app's own function is not asked (R47, R54)."""
    asking = Asking(fake)
    token = fake.issue_access_token(subject_type="VISITOR")

    assert "visitor" == await asking.outcome(token, resolve=lambda _: SITE)


@pytest.mark.parametrize(
    ("site", "changed", "expected"),
    [
        (SITE, {}, SITE),
        (OTHER, {}, "two_sites"),
        (SITE, {"signDate": "2020-01-01T00:00:00.000Z"}, SITE),
        (OTHER, {"signDate": "2020-01-01T00:00:00.000Z"}, "two_sites"),
        (SITE, {"permissions": "EDITOR"}, "permissions"),
    ],
)
async def test_token_beside_an_instance(
    fake: FakeWix, site: str, changed: dict[str, Any], expected: str
) -> None:
    """Both name the same site, and the token makes up for the age of the instance (R53, R54)."""
    asking = Asking(fake)
    token = fake.issue_access_token(site, subject_type="USER")
    query = f"instance={fake.signed_instance(SITE, **changed)}"

    assert expected == await asking.outcome(token, query=query)


async def test_instance_wins_over_a_token_of_its_site(fake: FakeWix) -> None:
    """The claims are those of the signed instance, which tell more."""
    asking = Asking(fake)
    token = fake.issue_access_token(subject_type="USER")
    both = asking.caller(token, query=f"instance={fake.signed_instance(SITE)}")

    assert both.identity is None
    assert (await both.identify()).is_owner
    assert both.identity is not None
    assert both.identity.is_owner


async def test_instance_does_not_make_up_for_a_refused_token(fake: FakeWix) -> None:
    """Each proof that a request has must be good."""
    asking = Asking(fake)
    query = f"instance={fake.signed_instance(SITE)}"

    assert "forged" == await asking.outcome("OauthNG.JWS.made-up", query=query)


async def test_many_requests_ask_once(fake: FakeWix) -> None:
    """A hundred requests with one token ask one question (R54)."""
    asking = Asking(fake)
    token = fake.issue_access_token()
    found: list[object] = []

    async def ask() -> None:
        found.append(await asking.outcome(token))

    with fake.hold(TOKEN_INFO) as gate:
        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(ask)
            await fake.asked(TOKEN_INFO)
            gate.release()

    assert [SITE] * 100 == found
    assert 1 == asking.questions


async def test_caller_that_leaves_takes_nobody_along(fake: FakeWix) -> None:
    """The question goes on for the others when the caller that began it hangs up."""
    asking = Asking(fake)
    token = fake.issue_access_token()
    found: list[object] = []
    first = anyio.CancelScope()

    async def ask(scope: anyio.CancelScope) -> None:
        with scope:
            found.append(await asking.outcome(token))

    with fake.hold(TOKEN_INFO) as gate:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, first)
            await fake.asked(TOKEN_INFO)
            tasks.start_soon(ask, anyio.CancelScope())
            await anyio.wait_all_tasks_blocked()
            first.cancel()
            gate.release()

    assert [SITE] == found
    assert 1 == asking.questions


async def test_what_is_known_is_told_at_once(fake: FakeWix) -> None:
    """`identity` asks nobody: it knows the caller once a question was answered, in any thread."""
    asking = Asking(fake)
    good, bad = fake.issue_access_token(), "OauthNG.JWS.made-up"
    before = asking.caller(good).identity
    named = await asking.caller(good).identify()
    refused = await asking.outcome(bad)
    in_thread = await anyio.to_thread.run_sync(lambda: asking.caller(good).identity)

    assert (None, "forged") == (before, refused)
    assert named == asking.caller(good).identity == in_thread
    assert asking.caller(bad).identity is None
    assert 2 == asking.questions


async def test_wix_is_asked_again_after_a_failure(fake: FakeWix) -> None:
    """While Wix fails nobody is refused, and nothing is remembered (R54)."""
    asking = Asking(fake)
    token = fake.issue_access_token()
    fake.fail(TOKEN_INFO, status=429, headers={"Retry-After": "60"})
    with pytest.raises(WixUnavailable) as caught:
        await asking.caller(token).identify()

    assert (503, {"Retry-After": "60"}) == (caught.value.status_code, caught.value.headers)
    assert SITE == await asking.outcome(token)


async def test_caller_does_not_wait_for_ever(fake: FakeWix) -> None:
    """A caller that has waited long enough gets 503, and the answer is kept for the next (R54)."""
    asking = Asking(fake, policy=TokenPolicy(caller_wait=0.01))
    token = fake.issue_access_token()
    with fake.hold(TOKEN_INFO) as gate:
        with pytest.raises(WixUnavailable, match="takes too long"):
            await asking.caller(token).identify()
        gate.release()
        await anyio.wait_all_tasks_blocked()

    assert SITE == await asking.outcome(token)
    assert 1 == asking.questions


async def test_shutdown_ends_questions(fake: FakeWix) -> None:
    """A shutdown waits for no question, and after it Wix can be asked again."""
    asking = Asking(fake)
    token = fake.issue_access_token()
    refused: list[WixUnavailable] = []

    async def ask() -> None:
        with pytest.raises(WixUnavailable, match="shutting down") as caught:
            await asking.caller(token).identify()
        refused.append(caught.value)

    with fake.hold(TOKEN_INFO):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await fake.asked(TOKEN_INFO)
            await asking.detached.aclose(PATIENCE)
    again = await asking.outcome(token)

    assert (1, SITE) == (len(refused), again)


def test_token_is_shown_by_nothing() -> None:
    """A frame with a token in it shows no part of it (R35)."""
    token = PresentedToken(b"OauthNG.JWS.secret")

    assert "<an access token>" == repr(token)
    assert "OauthNG.JWS.secret" == token.reveal()
    assert not hasattr(token, "__dict__")
