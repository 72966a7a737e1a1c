"""What strangers' access tokens cost Wix at most, and for how long answers are remembered."""

from __future__ import annotations

import hashlib
import traceback
from collections import Counter

import anyio
import pytest

from tests.canaries import found_in
from tests.identity.asking import TOKEN_INFO, Asking
from tests.limits import PATIENCE
from tests.support import SITE
from wix_asgi import Unauthenticated, WixUnavailable
from wix_asgi.identity._token_answers import TokenAnswers
from wix_asgi.identity.policy import TokenPolicy
from wix_asgi.protocol.token_info import TokenInfo
from wix_asgi.testing import FakeWix

PATIENT = TokenPolicy(
    max_questions=5, max_queue=8, questions_burst=10, queue_wait=PATIENCE, caller_wait=PATIENCE
)
INACTIVE = TokenInfo(active=False, client_id=None, instance_id=None)


@pytest.fixture(name="fake")
def _fake() -> FakeWix:
    return FakeWix()


async def test_answer_is_kept_for_five_minutes(fake: FakeWix) -> None:
    """Of a token that lives long Wix is asked every five minutes (R54)."""
    asking = Asking(fake)
    token = fake.issue_access_token(seconds=14_400)
    asked = []
    for seconds in (0.0, 299.0, 300.0, 599.0, 600.0):
        asking.seconds = seconds
        assert SITE == await asking.outcome(token)
        asked.append(asking.questions)

    assert [1, 1, 2, 2, 3] == asked


async def test_answer_is_used_until_the_end_of_its_token(fake: FakeWix) -> None:
    """From its `exp` on a token is refused, though its answer is remembered (R54)."""
    asking = Asking(fake)
    token = fake.issue_access_token(seconds=60)
    before = await asking.outcome(token)
    asking.seconds = 58.0
    nearly = await asking.outcome(token)
    asking.seconds = 60.0

    assert [SITE, SITE, "ended"] == [before, nearly, await asking.outcome(token)]
    assert asking.caller(token).identity is None
    assert 1 == asking.questions


async def test_forgery_is_remembered_for_a_minute(fake: FakeWix) -> None:
    """A forgery that is sent again and again costs Wix one question a minute (R54)."""
    asking = Asking(fake)
    asked = []
    for seconds in (0.0, 30.0, 59.0, 60.0):
        asking.seconds = seconds
        assert "forged" == await asking.outcome("OauthNG.JWS.made-up")
        asked.append(asking.questions)

    assert [1, 1, 1, 2] == asked


async def test_forgeries_oust_no_good_token(fake: FakeWix) -> None:
    """Refused tokens are remembered apart, within a bound of their own (R54)."""
    asking = Asking(fake, policy=TokenPolicy(max_refused=2))
    token = fake.issue_access_token()
    await asking.outcome(token)
    for number in range(5):
        await asking.outcome(f"OauthNG.JWS.made-up-{number}")
    then = asking.questions
    await asking.outcome(token)
    await asking.outcome("OauthNG.JWS.made-up-4")
    remembered = asking.questions
    await asking.outcome("OauthNG.JWS.made-up-0")

    assert (6, 6, 7) == (then, remembered, asking.questions)


async def test_made_up_tokens_cost_wix_the_bound(fake: FakeWix) -> None:
    """Of a thousand made-up tokens at once Wix is asked no more than the policy says (R54).

    The others are told to come again; a known token is served without a question meanwhile, and
    the turns go round over the networks, so that another network has its answer.
    """
    asking = Asking(fake, policy=PATIENT)
    known, honest = fake.issue_access_token(), fake.issue_access_token()
    await asking.outcome(known)
    outcomes: list[str] = []
    others: list[object] = []

    async def send(number: int) -> None:
        try:
            outcomes.append(await asking.outcome(f"OauthNG.JWS.made-up-{number}"))
        except WixUnavailable as refusal:
            outcomes.append(f"{refusal.status_code} {refusal.headers}")

    with fake.hold(TOKEN_INFO) as gate:
        async with anyio.create_task_group() as tasks:
            for number in range(1000):
                tasks.start_soon(send, number)
            await fake.asked(TOKEN_INFO, 6)
            others.append(await asking.outcome(known))
            gate.release()
            others.append(await asking.outcome(honest, host="198.51.100.7"))

    assert [SITE, SITE] == others
    assert asking.questions <= 1 + 5 + 8 + 1
    assert {
        "forged": asking.questions - 2,
        "503 {'Retry-After': '5'}": 1002 - asking.questions,
    } == (Counter(outcomes))


async def test_questions_have_a_rate(fake: FakeWix) -> None:
    """After its burst a process asks at the rate, and beyond the wait for it not at all (R54)."""
    policy = TokenPolicy(questions_per_second=2.0, questions_burst=3, queue_wait=1.0)
    asking = Asking(fake, policy=policy)
    outcomes: list[object] = []
    for number in range(8):
        try:
            outcomes.append(await asking.outcome(f"OauthNG.JWS.made-up-{number}"))
        except WixUnavailable as refusal:
            outcomes.append(refusal.status_code)

    assert ["forged"] * 5 + [503] * 3 == outcomes
    assert [0.5, 1.0] == [round(seconds, 6) for seconds in asking.slept]
    assert 5 == asking.questions


async def test_errors_show_no_token(fake: FakeWix) -> None:
    """The errors of a refused and of an unanswered token have it in no frame (R35)."""
    asking = Asking(fake, policy=TokenPolicy(questions_per_second=1.0, questions_burst=2))
    refused = fake.issue_access_token(subject_type="VISITOR")
    fake.fail(TOKEN_INFO, status=429, headers={"Retry-After": "60"})
    shown: list[str] = []
    for caller in (
        asking.caller(fake.issue_access_token()),
        asking.caller(refused),
        asking.caller(f"Bearer {refused}", query="instance=forged"),
    ):
        try:
            await caller.identify()
        except (Unauthenticated, WixUnavailable) as error:
            told = traceback.TracebackException.from_exception(error, capture_locals=True)
            # The frame of this test holds the token itself.
            del told.stack[0]
            shown.append("".join(told.format()))

    assert ["429", "VISITOR", "not genuine"] == [
        word
        for word, text in zip(["429", "VISITOR", "not genuine"], shown, strict=True)
        if word in text
    ]
    assert [[], [], []] == [found_in(text) for text in shown]


def test_answers_are_bounded() -> None:
    """Of more answers than there is room for, the one used least recently goes first."""
    now = [0.0]
    answers = TokenAnswers(2, clock=lambda: now[0])
    keys = [hashlib.sha256(name).digest() for name in (b"one", b"two", b"three")]
    answers.put(keys[0], INACTIVE, 10.0)
    answers.put(keys[1], INACTIVE, 5.0)
    answers.get(keys[0])
    answers.put(keys[2], INACTIVE, 10.0)
    then = [answers.get(key) is not None for key in keys]
    now[0] = 10.0

    assert [True, False, True] == then
    assert [None, None, None] == [answers.get(key) for key in keys]
