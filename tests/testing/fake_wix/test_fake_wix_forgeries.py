"""FakeWix's forgeries: bodies that an endpoint must refuse."""

from __future__ import annotations

import base64
import gzip
import json
import re

import pytest

from tests.testing.fake_wix.signed_events import (
    Endpoint,
    claims_of,
    header_of,
    is_signed_by,
    layers_of,
)
from wix_asgi.protocol.webhook_token import ForgedToken, WebhookTokens
from wix_asgi.testing import DEMO_SITES, FORGERIES, FakeWix

_, YOGA, _ = DEMO_SITES

BY_STRANGERS = {"other_key", "jwk", "jku", "x5u", "kid_sql"}
BY_WIX = {
    *("crit_exp", "crit_unknown", "crit_empty"),
    *("no_exp", "expired", "exp_text", "exp_fraction", "exp_infinite", "exp_boolean"),
    *("iat_ahead", "exp_in_years", "exp_twice", "claims_array", "claims_deep"),
    *("data_object", "data_no_json", "instance_list", "nested"),
}


def forged(fake: FakeWix, kind: str) -> str:
    """Return the body of a forgery as text."""
    return fake.forge_event(kind, "AppRemoved", YOGA, issued_at=1_800_000_000).body.decode()


def payload_of(token: str) -> str:
    """Return the second part of a token, decoded."""
    part = token.split(".")[1]
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode()


def test_there_is_one_of_each_kind(fake: FakeWix) -> None:
    """No two kinds have the same body, and none is the good token itself."""
    event = fake.make_event("AppRemoved", YOGA, webhook_id="an-id", issued_at=1_800_000_000)
    bodies = {
        fake.forge_event(kind, "AppRemoved", YOGA, webhook_id="an-id", issued_at=1_800_000_000).body
        for kind in FORGERIES
    }

    assert len(FORGERIES) == len(bodies)
    assert event.token.encode() not in bodies


@pytest.mark.parametrize("kind", sorted(BY_STRANGERS | BY_WIX))
def test_the_signature_is_a_strangers_or_wixs(fake: FakeWix, kind: str) -> None:
    """Some are signed by another key; others by Wix's, so that only their content is wrong."""
    assert (kind in BY_WIX) is is_signed_by(fake.public_key, forged(fake, kind))


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE"])
def test_a_token_may_have_no_signature(fake: FakeWix, alg: str) -> None:
    """`alg` says so in four spellings."""
    token = forged(fake, f"alg_{alg}")

    assert ({"alg": alg}, "") == (header_of(token), token.rpartition(".")[2])


@pytest.mark.parametrize(
    ("kind", "header"),
    [
        ("hs256_by_pem", {"alg": "HS256"}),
        ("hs256_by_der", {"alg": "HS256"}),
        ("rs512", {"alg": "RS512"}),
        ("ps256", {"alg": "PS256"}),
        ("jku", {"jku": "https://wix.example/stranger/jwks.json"}),
        ("x5u", {"x5u": "https://wix.example/stranger/key.pem"}),
        ("kid_path", {"kid": "../../dev/null"}),
        ("kid_sql", {"kid": "' OR 1=1"}),
        ("crit_exp", {"crit": ["exp"]}),
        ("crit_unknown", {"crit": ["x"]}),
        ("crit_empty", {"crit": []}),
        ("nested", {"cty": "JWT"}),
    ],
)
def test_the_header_may_lie(fake: FakeWix, kind: str, header: dict[str, object]) -> None:
    """It names another algorithm, another key, or an extension."""
    assert header.items() <= header_of(forged(fake, kind)).items()


def test_a_key_may_be_in_the_header(fake: FakeWix) -> None:
    """The stranger's own key, of the same size."""
    jwk = header_of(forged(fake, "jwk"))["jwk"]

    assert ("RSA", "AQAB", 342) == (jwk["kty"], jwk["e"], len(jwk["n"]))


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        ("exp_text", '"exp":"1803600000"}'),
        ("exp_fraction", '"exp":1803600000.5}'),
        ("exp_infinite", '"exp":1e400}'),
        ("exp_boolean", '"exp":true}'),
        ("exp_twice", '"exp":1803600000,"exp":1803600001}'),
        ("expired", '"exp":1799999939}'),
        ("iat_ahead", '"iat":1800003600,"exp":1803600000}'),
        ("exp_in_years", '"iat":1797408000,"exp":2115360000}'),
        ("no_exp", '"iat":1800000000}'),
    ],
)
def test_times_may_be_wrong(fake: FakeWix, kind: str, written: str) -> None:
    """The claims end with these times, in this writing."""
    assert payload_of(forged(fake, kind)).endswith(written)


def test_layers_may_be_malformed(fake: FakeWix) -> None:
    """The claims are no object, or the event in them is none."""
    deep = payload_of(forged(fake, "claims_deep"))

    assert "[{" == payload_of(forged(fake, "claims_array"))[:2]
    assert ("[", "]", 400_000) == (deep[0], deep[-1], len(deep))
    assert isinstance(claims_of(forged(fake, "data_object"))["data"], dict)
    assert "no JSON" == claims_of(forged(fake, "data_no_json"))["data"]
    assert [YOGA] == layers_of(forged(fake, "instance_list"))[0]["instanceId"]
    assert header_of(payload_of(forged(fake, "nested")))["alg"] == "RS256"


def test_a_signature_may_be_written_otherwise(fake: FakeWix) -> None:
    """The same 256 bytes for a lenient decoder, and one character more."""
    signatures = [
        forged(fake, f"signature_{name}").rpartition(".")[2]
        for name in ("junk", "padded", "last", "longer")
    ]

    assert [343, 344, 342, 343] == [len(signature) for signature in signatures]
    assert "!" in signatures[0]
    assert signatures[1].endswith("==")
    assert re.fullmatch(r"[\w-]{341}[BRhx]", signatures[2])


def test_a_body_may_be_no_token(fake: FakeWix) -> None:
    """Five parts, two, twenty megabytes, gzip, and nothing."""
    parts = [forged(fake, kind).count(".") for kind in ("five_parts", "two_parts")]
    gzipped = fake.forge_event("gzip")

    assert [4, 1] == parts
    assert len(forged(fake, "huge")) > 20_000_000
    assert {"content-encoding": "gzip"} == gzipped.headers
    assert is_signed_by(fake.public_key, gzip.decompress(gzipped.body).decode())
    assert "" == forged(fake, "empty")


async def test_a_forgery_is_sent_and_not_repeated(fake: FakeWix) -> None:
    """It is none of Wix's deliveries; its repr does not show its content."""
    endpoint = Endpoint(401)
    forgery = fake.forge_event("other_key")
    answer = await fake.deliver(endpoint, forgery)

    assert 401 == answer.status_code
    assert [forgery.body.decode()] == endpoint.bodies
    assert ([], None) == (fake.deliveries, fake.next_repeat)
    assert "Forgery(kind='other_key', headers={})" == repr(forgery)


def test_an_unknown_kind_is_a_mistake(fake: FakeWix) -> None:
    """The error names the kinds."""
    with pytest.raises(LookupError, match="alg_none"):
        fake.forge_event("nothing")


def test_json_of_a_forgery_names_the_installation(fake: FakeWix) -> None:
    """A forged event is about the installation that a test chooses."""
    assert YOGA == json.loads(claims_of(forged(fake, "other_key"))["data"])["instanceId"]


@pytest.mark.parametrize("kind", FORGERIES)
def test_our_own_endpoint_takes_none(fake: FakeWix, kind: str) -> None:
    """Each is refused where the good token is accepted (R42)."""
    tokens = WebhookTokens([fake.public_key], app_id=fake.app_id)
    good = tokens.verify(fake.webhook_token("AppRemoved", YOGA).encode())

    assert YOGA == good.instance_id
    with pytest.raises(ForgedToken):
        tokens.verify(fake.forge_event(kind, "AppRemoved", YOGA).body)
