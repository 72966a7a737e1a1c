"""The one-time state: its app and browser, its time, and that no edit of it passes."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import URLSafeSerializer, URLSafeTimedSerializer

from tests.engine import ManualClock
from wix_asgi.errors import HandshakeRefused, Reason
from wix_asgi.handshake.state import Flow, StateSigner
from wix_asgi.sealing.keys import derive_key
from wix_asgi.sealing.vault import Vault
from wix_asgi.settings import WixSettings

SECRET_1 = "test-app-secret-number-one"
SECRET_2 = "test-app-secret-number-two"


def settings(**given: Any) -> WixSettings:
    """Return right settings, but for the given ones."""
    right = {"app_id": "app-1", "app_secret": SECRET_1, "public_url": "https://app.example.com"}
    return WixSettings.load(**{**right, **given})


def signer(clock: ManualClock | None = None, **given: Any) -> StateSigner:
    """Return a signer with these settings."""
    return StateSigner(settings(**given), clock=clock or ManualClock())


def cookies(*flows: Flow) -> dict[str, list[str]]:
    """Return the cookies a browser holds after these flows began."""
    return {flow.cookie_name: [flow.cookie_value] for flow in flows}


def refusal(checker: StateSigner, state: str | None) -> Reason:
    """Return why `state` is refused."""
    with pytest.raises(HandshakeRefused) as caught:
        checker.check(state)
    return caught.value.reason


def test_state_comes_back() -> None:
    """A state that comes back in the browser it went out in gives its flow again."""
    checker = signer()
    minted = checker.mint()
    found = checker.check(minted.state)

    assert dataclasses.replace(minted, cookie_value="", state="") == found
    assert found.is_bound_to(cookies(minted))
    assert minted.is_bound_to(cookies(minted))


def test_states_are_random() -> None:
    """States never repeat, and nonce and cookie hold 256 random bits each (R1)."""
    checker = signer()
    flows = [checker.mint() for _ in range(20_000)]
    values = {value for flow in flows for value in (flow.nonce, flow.cookie_value)}

    assert len(values) == 2 * len(flows)
    assert len({flow.state for flow in flows}) == len(flows)
    assert len({flow.cookie_name for flow in flows}) == len(flows)
    assert {43} == {len(value.partition("~")[0]) for value in values}


def test_state_is_safe_in_a_url_and_short() -> None:
    """A state needs no quoting in a URL, and is under 600 characters (R1)."""
    state = signer(public_url="https://app.example.com/" + "x" * 100).mint().state

    assert set(state) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")
    assert len(state) < 600


def test_state_does_not_hold_the_cookie() -> None:
    """A state holds the SHA-256 of the cookie's value, and not the value (R2)."""
    flow = signer().mint()
    signed, payload = URLSafeTimedSerializer("no key").loads_unsafe(flow.state)

    assert [
        flow.nonce,
        "app-1",
        "https://app.example.com/wix/callback",
        hashlib.sha256(flow.cookie_value.encode()).hexdigest(),
    ] == payload
    assert flow.browser_digest == payload[3]
    assert not signed


def _unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_flow_is_bound_to_its_browser() -> None:
    """A flow is bound to no browser without its cookie, or with another cookie (R2)."""
    checker = signer()
    flow, other = checker.mint(), checker.mint()
    found, name = checker.check(flow.state), flow.cookie_name
    jars: list[dict[str, list[str]]] = [
        {},
        {name: [""]},
        {name: [flow.cookie_value + "x"]},
        {name: [flow.cookie_value[:-1]]},
        {name: [flow.browser_digest]},
        {name: [other.cookie_value, flow.browser_digest]},
        {name.upper(): [flow.cookie_value]},
        {other.cookie_name: [flow.cookie_value]},
        cookies(other),
    ]

    assert [False] * len(jars) == [found.is_bound_to(jar) for jar in jars]
    assert found.is_bound_to({name: [other.cookie_value, flow.cookie_value, ""]})


def test_planted_cookie_is_of_another_browser() -> None:
    """A cookie that was planted before the flow began does not bind it (R29)."""
    checker = signer()
    planted = {checker.mint().cookie_name: ["test-planted-cookie-value"]}

    assert not checker.check(checker.mint().state).is_bound_to(planted)


@pytest.mark.parametrize("state", [None, ""])
def test_missing_state_is_refused(state: str | None) -> None:
    """A missing state is refused with a reason of its own (R3)."""
    assert refusal(signer(), state) is Reason.STATE_MISSING


UNKNOWN = ["x", ".", "..", "...", "e30.e30.e30", "null", "[]", "\x00", "é.é.é", "\ud800"]
UNKNOWN += ["A" * 70_000, "." * 70_000]


@pytest.mark.parametrize("state", UNKNOWN, ids=lambda state: ascii(state[:12]))
def test_unknown_state_is_refused(state: str) -> None:
    """A text that we never minted is refused with a reason of ours (R3)."""
    assert refusal(signer(), state) is Reason.STATE_INVALID


@given(st.text(min_size=1))
def test_any_text_is_refused(state: str) -> None:
    """Every text but a minted state is refused as invalid, with no other error (R3)."""
    assert refusal(signer(), state) is Reason.STATE_INVALID


def test_parallel_flows_do_not_disturb_each_other() -> None:
    """Three installs begun in one browser can be finished in any order (R7)."""
    checker = signer()
    flows = [checker.mint() for _ in range(3)]
    jar = cookies(*flows)

    for flow in reversed(flows):
        assert flow.nonce == checker.check(flow.state).nonce
        assert checker.check(flow.state).is_bound_to(jar)


@pytest.mark.parametrize("elapsed", [0.0, 1.0, 599.0, 600.0, -1.0, -300.0])
def test_state_holds_within_its_time(elapsed: float) -> None:
    """A state is good for 600 s, and from a host whose clock is up to 300 s ahead (R5)."""
    clock = ManualClock()
    checker = signer(clock)
    flow = checker.mint()
    clock.now += elapsed

    assert flow.nonce == checker.check(flow.state).nonce


AGES = {
    601.0: "minted 601 s ago, and good for 600 s",
    86_400.0: "minted 86400 s ago, and good for 600 s",
    -301.0: "minted 301 s ahead of this host's clock",
}


@pytest.mark.parametrize(("elapsed", "message"), AGES.items())
def test_state_expires(elapsed: float, message: str) -> None:
    """A state is refused when it is too old or too far ahead, and the refusal says its age (R5)."""
    clock = ManualClock()
    checker = signer(clock)
    flow = checker.mint()
    clock.now += elapsed
    with pytest.raises(HandshakeRefused) as caught:
        checker.check(flow.state)

    assert (Reason.STATE_EXPIRED, message) == (caught.value.reason, caught.value.message)


def test_time_is_a_setting() -> None:
    """`state_ttl` shortens the time (R5)."""
    clock = ManualClock()
    checker = signer(clock, state_ttl=30)
    flow = checker.mint()
    clock.now += 31

    assert refusal(checker, flow.state) is Reason.STATE_EXPIRED


def test_every_changed_character_is_refused() -> None:
    """A state with any one character changed, left out or doubled is refused (R3)."""
    checker = signer()
    flow = checker.mint()
    state = flow.state

    for position, character in enumerate(state):
        head, tail = state[:position], state[position + 1 :]
        for instead in ("A", "B", "-", ".", "é", "", character * 2, f"{character}!"):
            if instead != character:
                edited = head + instead + tail
                assert refusal(checker, edited) is Reason.STATE_INVALID


@given(begin=st.integers(0, 500), length=st.integers(0, 500), instead=st.text(max_size=20))
def test_any_edit_is_refused(begin: int, length: int, instead: str) -> None:
    """A state with any stretch replaced, cut out or put in is refused (R3)."""
    checker = signer()
    flow = checker.mint()
    edited = flow.state[:begin] + instead + flow.state[begin + length :]
    hypothesis.assume(edited not in {"", flow.state})

    assert refusal(checker, edited) is Reason.STATE_INVALID


OTHERS = [
    {"app_id": "app-2"},
    {"app_id": "app-2", "app_secret": SECRET_2},
    {"public_url": "https://other.example.com"},
    {"public_url": "https://app.example.com/sub"},
    {"callback_path": "/other/callback"},
    {"app_secret": SECRET_2},
]


@pytest.mark.parametrize("other", OTHERS)
def test_state_of_another_app_is_refused(other: dict[str, Any]) -> None:
    """A flow that began at one app or redirect URL cannot finish at another (R22)."""
    flow = signer(**other).mint()

    assert refusal(signer(), flow.state) is Reason.STATE_INVALID


def test_signature_has_one_spelling() -> None:
    """A signature with other spare bits at its end, or with more text after it, is refused (R3)."""
    checker = signer()
    flow = checker.mint()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_="
    edits = {flow.state[:-1] + last for last in alphabet} - {flow.state}
    edits |= {flow.state + more for more in ("=", "==", "\n", " ", "!", "é")}

    assert {Reason.STATE_INVALID} == {refusal(checker, edit) for edit in edits}


def test_previous_app_secrets_verify() -> None:
    """Installs on their way while the app secret changes are finished."""
    flow = signer().mint()
    rotated = signer(app_secret=SECRET_2, previous_app_secrets=[SECRET_1])

    assert flow.nonce == rotated.check(flow.state).nonce


def test_previous_app_secrets_do_not_sign() -> None:
    """States are signed with the newest secret, and not with a previous one."""
    flow = signer(app_secret=SECRET_2, previous_app_secrets=[SECRET_1]).mint()

    assert refusal(signer(), flow.state) is Reason.STATE_INVALID
    assert flow.nonce == signer(app_secret=SECRET_2).check(flow.state).nonce


def test_state_and_cookie_are_no_other_credential() -> None:
    """State and cookie are not taken for each other, nor for a seal of the vault (R31)."""
    checker = signer()
    flow = checker.mint()

    for stray in (flow.cookie_value, flow.nonce, flow.browser_digest, flow.cookie_name):
        assert refusal(checker, stray) is Reason.STATE_INVALID
    for stray in (flow.state, flow.nonce, flow.browser_digest):
        assert not checker.check(flow.state).is_bound_to({flow.cookie_name: [stray]})
    assert derive_key(SECRET_1, "install state") != derive_key(SECRET_1, "tokens at rest")
    sealed = Vault(settings().key_ring()).seal("x", app_id="a", instance_id="i", field="f")
    assert refusal(checker, sealed.hex()) is Reason.STATE_INVALID


def test_state_is_not_signed_as_an_instance_is() -> None:
    """A state's signature is not the app secret's over its text, as Wix signs `instance` (R31)."""
    text, _, signature = signer().mint().state.rpartition(".")
    as_wix_signs = hmac.digest(SECRET_1.encode(), text.encode(), "sha256")

    assert _unpadded(signature) != as_wix_signs


@pytest.mark.parametrize("make", [URLSafeSerializer, URLSafeTimedSerializer])
@pytest.mark.parametrize("salt", ["wix-asgi.state", "itsdangerous", "cookie-session"])
def test_what_the_app_signs_is_no_state(make: type[URLSafeSerializer], salt: str) -> None:
    """A text that an app signs with the same secret in its own way is no state (R31)."""
    payload = ["nonce", "app-1", "https://app.example.com/wix/callback", "0" * 64]
    state = str(make(SECRET_1, salt=salt).dumps(payload))

    assert refusal(signer(), state) is Reason.STATE_INVALID


PREFIXES = [
    ("https://app.example.com", "__Host-wix-"),
    ("https://localhost:8443", "__Host-wix-"),
    ("http://localhost:8000", "wix-"),
]


@pytest.mark.parametrize(("public_url", "prefix"), PREFIXES)
def test_cookie_has_a_name_of_its_own(public_url: str, prefix: str) -> None:
    """A cookie's name begins with exactly `__Host-`, but on an http loopback address (R7, R27)."""
    checker = signer(public_url=public_url)
    flow = checker.mint()

    assert prefix == checker.cookie_prefix
    assert flow.cookie_name.startswith(prefix)
    assert flow.nonce not in flow.cookie_name
    assert len(prefix) + 16 == len(flow.cookie_name)


def test_repr_shows_no_secret() -> None:
    """Nonce, cookie and state stay out of a flow's repr (R35)."""
    flow = signer().mint()

    for secret in (flow.nonce, flow.browser_digest, flow.cookie_value, flow.state):
        assert secret not in repr(flow)


def test_refusal_shows_no_state() -> None:
    """The repr of a refusal does not hold the state (R35)."""
    flow = signer(app_id="app-2").mint()
    with pytest.raises(HandshakeRefused) as caught:
        signer().check(flow.state)

    for secret in (flow.nonce, flow.state, flow.cookie_value):
        assert secret not in repr(caught.value)


def test_clock_is_the_systems_by_default() -> None:
    """Without a clock given, a state minted now is good now."""
    checker = StateSigner(settings())
    flow = checker.mint()

    assert flow.nonce == checker.check(flow.state).nonce
