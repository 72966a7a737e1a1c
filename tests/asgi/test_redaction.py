"""Masking the secrets of addresses, in any form in which trackers and logs show them."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wix_asgi import redact_query
from wix_asgi.asgi.redaction import MASK, is_secret

SECRET = "test-secret-0123456789"
NAMES = ["code", "state", "token", "instance", "access_token", "refresh_token", "client_secret"]
NAMES += ["signedInstance", "authorizationCode"]
SPELLINGS = ["%63ode", "c%6Fde", "%73%74%61%74%65", "Code", "STATE", "access-token", "accessToken"]
SPELLINGS += ["+state", "signed_instance"]


@pytest.mark.parametrize("name", NAMES + SPELLINGS)
@pytest.mark.parametrize(
    "template",
    ["{0}={1}", "a=b&{0}={1}&c=d", "https://app.example.com/x?{0}={1}&c=d", "/x?a=b&{0}={1}#f"],
)
def test_secrets_are_masked(name: str, template: str) -> None:
    """The value goes, in any spelling of the name, and the other parameters stay (R52)."""
    text = template.format(name, SECRET)
    expected = template.format(name, MASK).removesuffix("#f")

    assert expected == redact_query(text)
    assert expected.encode() == redact_query(text.encode())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"https://a.example/#access_token={SECRET}", "https://a.example/#access_token=***"),
        (f"/a=b?code={SECRET}", "/a=b?code=***"),
        (f"b'instance={SECRET}'", "b'instance=***"),
        (f'GET "/x?code={SECRET}', 'GET "/x?code=***'),
        (f"code={SECRET}?{SECRET}", "code=***"),
        (f"code={SECRET} {SECRET}'{SECRET}", "code=***"),
        (
            f"next=https%3A%2F%2Fa.example%2F%3Fstate%3D{SECRET}%26b%3Dc&d=e",
            "next=https%3A%2F%2Fa.example%2F%3Fstate%3D***%26b%3Dc&d=e",
        ),
        (f"a=%63ode%3D{SECRET}", "a=code%3D***"),
    ],
)
def test_secrets_inside_of_texts_are_masked(text: str, expected: str) -> None:
    """URLs, fragments, reprs, lines of logs and addresses inside of addresses are masked, too."""
    assert expected == redact_query(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "&&",
        "code",
        "instanceId=1f0c7a52&locale=en",
        "barcode=1&restate=2&codes=3&tokens=4&state[]=5",
        "a=%zz%&b=%C3%A9&c=+d",
        "a=b?c#d",
        "https://app.example.com/code/state",
    ],
)
def test_all_else_stays(text: str) -> None:
    """Nothing but secrets is changed."""
    assert text == redact_query(text)
    assert text.encode() == redact_query(text.encode())


@given(st.binary(max_size=300))
def test_any_bytes_are_taken(query: bytes) -> None:
    """No query makes it raise, and a masked query stays as it is."""
    masked = redact_query(query)

    assert masked == redact_query(masked)


@given(
    st.lists(st.tuples(st.sampled_from([*NAMES, "a", "b"]), st.text(max_size=20)), max_size=6),
    st.booleans(),
)
def test_a_masked_query_holds_no_value(pairs: list[tuple[str, str]], is_nested: bool) -> None:
    """Of every query that is masked, a server would read no secret."""
    query = urlencode(pairs)
    if is_nested:
        outer = redact_query(urlencode({"x": f"https://a.example/?{query}"}))
        masked = dict(parse_qsl(outer))["x"].partition("?")[2]
    else:
        masked = redact_query(query)
    read = parse_qsl(masked)

    assert {MASK} >= {value for name, value in read if is_secret(name)}


def test_nested_addresses_end() -> None:
    """An address in an address in an address is masked; a deeper one is not looked for."""
    text = f"code={SECRET}"
    for _ in range(3):
        text = f"x={quote(text, safe='')}"

    assert SECRET not in redact_query(text)
    assert SECRET in redact_query(f"x={quote(text, safe='')}")
