"""`wix.identify`: the caller of a proof that came by no request of ours."""

from __future__ import annotations

import traceback

import pytest

from tests.canaries import found_in
from tests.support import SITE, make_wix
from wix_asgi import Unauthenticated
from wix_asgi.testing import FakeWix


@pytest.fixture(name="fake")
def _fake() -> FakeWix:
    return FakeWix()


@pytest.mark.parametrize("scheme", ["", "Bearer ", "bearer "])
@pytest.mark.parametrize("kind", ["instance", "token"])
async def test_either_proof_names_its_site(fake: FakeWix, kind: str, scheme: str) -> None:
    """A signed instance and an access token are told apart, and need no open Wix (R53, R54)."""
    proof = fake.signed_instance(SITE) if kind == "instance" else fake.issue_access_token()
    wix = make_wix(fake)
    try:
        identity = await wix.identify(scheme + proof)
        opened = wix.is_open
    finally:
        await wix.aclose()

    assert SITE == identity.instance_id
    assert (kind == "token") == opened


REFUSED = {
    "nothing": (None, "no_identity"),
    "an empty text": ("", "no_identity"),
    "rubbish": ("rubbish", "forged"),
    "a credential of the app's own": ("Bearer eyJhbGciOiJub25lIn0.e30.", "forged"),
    "another alphabet": ("\u03c9\ud800", "forged"),
    "a made-up token": ("OauthNG.JWS.made-up", "forged"),
    "a long one": ("A" * 43 + "." + "a" * 9000, "forged"),
}


@pytest.mark.parametrize(("value", "reason"), REFUSED.values(), ids=REFUSED)
async def test_any_other_value_is_refused(fake: FakeWix, value: str | None, reason: str) -> None:
    """A value that is no proof is refused with its reason (R41, R54)."""
    async with make_wix(fake) as wix:
        with pytest.raises(Unauthenticated) as caught:
            await wix.identify(value)

    assert reason == caught.value.reason
    assert 1 >= fake.count("/oauth2/token-info")


async def test_refusal_shows_no_proof(fake: FakeWix, caplog: pytest.LogCaptureFixture) -> None:
    """The error has no frame of ours, and the log names the site alone (R35)."""
    proofs = [
        fake.signed_instance(SITE, permissions="EDITOR"),
        fake.issue_access_token(subject_type="MEMBER"),
    ]
    shown = []
    async with make_wix(fake) as wix:
        for proof in proofs:
            try:
                await wix.identify(proof)
            except Unauthenticated as error:
                told = traceback.TracebackException.from_exception(error, capture_locals=True)
                assert 1 == len(told.stack)
                shown.append(str(error))
    lines = [record.getMessage() for record in caplog.records if record.name == "wix_asgi"]

    assert 2 == len(shown)
    assert 1 == len(lines)
    assert f"caller refused: permissions, site {SITE}" in lines[0]
    assert [] == found_in("".join([*shown, *lines]))
