"""No byte and no bit of the signed instance of an install may differ (R41)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.handshake.flaky import FlakyStorage
from tests.handshake.handshaking import (
    CREDENTIALS,
    TOKEN_INFO,
    begin,
    call_back,
    query_of,
    reason_of,
)
from tests.support import PUBLIC_URL, SITE, Browser, running
from wix_asgi import WixSettings
from wix_asgi.errors import Reason
from wix_asgi.handshake._query import Query
from wix_asgi.handshake.external_install import ExternalInstall
from wix_asgi.oauth.client import OAuthClient
from wix_asgi.protocol.endpoints import Endpoints
from wix_asgi.testing import FakeWix

pytestmark = [pytest.mark.usefixtures("flow"), pytest.mark.flow("client_credentials")]

ASCII = "".join(map(chr, range(128)))


def changed(value: str) -> Iterator[str]:
    """Yield `value` with each of its characters replaced, by each bit and by all of ASCII."""
    for place, char in enumerate(value):
        others = {chr(ord(char) ^ 1 << bit) for bit in range(8)} | set(ASCII)
        for other in sorted(others - {char}):
            yield value[:place] + other + value[place + 1 :]


def cut(value: str) -> Iterator[str]:
    """Yield each beginning and end of `value`, and `value` with a character too many."""
    for place in range(1, len(value)):
        yield value[:place]
        yield value[place:]
    for extra in ("=", "A", ".", "\n", " ", "\u00e9"):
        yield value + extra
        yield extra + value
    signature, data = value.split(".")
    yield f"{data}.{signature}"
    yield f".{data}"
    yield f"{signature}."


def test_every_change_is_refused_or_left_to_wix() -> None:
    """Each changed proof of two parts is refused at sight; other forms are Wix's to judge (R41)."""
    fake = FakeWix()
    settings = WixSettings.load(public_url=PUBLIC_URL, **fake.settings())
    proof = ExternalInstall(settings, OAuthClient(Endpoints(settings), fake.transport))
    installer = Endpoints(settings).external_installer_url("x")
    true = query_of(fake.approve(installer))
    values = [*changed(true["signedInstance"]), *cut(true["signedInstance"])]
    passed, at_wix = list[str](), 0
    for value in values:
        refusal = proof.refusal(Query({**true, "signedInstance": value}))
        if value.count(".") != 1:
            at_wix += 1
            passed += [value] if refusal is not None else []
        elif refusal is None or refusal.reason is not Reason.INSTANCE_MISMATCH:
            passed.append(value)

    assert proof.refusal(Query(true)) is None
    assert [] == passed
    assert len(values) > 100 * len(true["signedInstance"]) > at_wix > 0


@pytest.mark.parametrize("part", range(8))
async def test_changes_at_the_callback(part: int) -> None:
    """A changed proof installs nothing, whether it is refused here or asked of Wix (R41)."""
    fake, storage = FakeWix(), FlakyStorage()
    true, answers = fake.signed_instance(SITE), []
    told = [
        true[:place] + other + true[place + 1 :]
        for place in range(part, len(true), 37)
        for other in {chr(ord(true[place]) ^ 1), ".", "A", "B"} - {true[place]}
    ]
    async with running(fake, storage=storage) as app:
        for value in told:
            fake.external_install_override = lambda query, value=value: {
                **query,
                "signedInstance": value,
            }
            browser = Browser(app)
            answers.append(await call_back(browser, await begin(browser, fake)))

    assert {(403, "instance_mismatch")} == {reason_of(answer) for answer in answers}
    assert len(answers) >= 30
    assert fake.count(TOKEN_INFO) == len([value for value in told if value.count(".") != 1])
    assert 0 == fake.count(CREDENTIALS)
    assert [] == await storage.sites(fake.app_id)
