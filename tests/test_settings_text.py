"""WixSettings: what files, quotes and editors leave around a value, and what they break in it."""

from __future__ import annotations

import base64
import string
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from wix_asgi.errors import SettingsError
from wix_asgi.settings import WixSettings

APP_ID = "11111111-2222-3333-4444-555555555555"
APP_SECRET = "test-app-secret-number-one"
REQUIRED = {"app_id": APP_ID, "app_secret": APP_SECRET, "public_url": "https://app.example.com"}
KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()
CANARY = "canary-hunter2-canary"

# Every setting, as it is written, and as it is meant.
TEXTS: dict[str, tuple[str, object]] = {
    "app_id": (APP_ID, APP_ID),
    "app_secret": (APP_SECRET, APP_SECRET),
    "previous_app_secrets": ("earlier-secret-1", ("earlier-secret-1",)),
    "previous_secrets_until": ("2026-12-01T12:00:00Z", datetime(2026, 12, 1, 12, tzinfo=UTC)),
    "public_url": ("https://app.example.com", "https://app.example.com"),
    "install_path": ("/in", "/in"),
    "callback_path": ("/back", "/back"),
    "webhook_path": ("/events", "/events"),
    "webhooks": ("store", "store"),
    "webhook_concurrency": ("8", 8),
    "token_cache": ("500", 500),
    "storage": ("sqlite:////srv/it\u2019s mine.db", "sqlite:////srv/it\u2019s mine.db"),
    "encryption_keys": (KEY, (KEY,)),
    "after_install": ("/welcome", "/welcome"),
    "finish_setup": ("true", True),
    "state_ttl": ("60", 60),
    "allowed_permissions": ("SITE OWNER", ("SITE OWNER",)),
    "instance_max_age": ("0", 0),
    "app_name": ("Today\u2019s Orders", "Today\u2019s Orders"),
    "support_url": (
        "https://example.com/help?from=wix#top",
        "https://example.com/help?from=wix#top",
    ),
    "wix_url": ("http://localhost:9001", "http://localhost:9001"),
    "api_url": ("http://localhost:9002", "http://localhost:9002"),
}
AROUND = [
    "{}\n",
    "{}\r\n",
    " {} ",
    "\t{}",
    "\xa0{}\u2028",
    "\ufeff{}",
    '"{}"',
    "'{}'",
    '\ufeff"{}"\r\n',
    ' " {}" ',
]
BROKEN = [
    ('"{}', "has a quotation mark at one end"),
    ("{}'", "has a quotation mark at one end"),
    ("{}`", "has a quotation mark at one end"),
    ("\u201c{}\u201d", "has a quotation mark at one end"),
    ("\"'`{}`'\"", "has a quotation mark at one end"),
    ("{}\u200b", "has invisible characters"),
    ("\u200d{}", "has invisible characters"),
    ("{}\x1b[0m", "has invisible characters"),
    ("{}\udcff", "has invisible characters"),
    ("{}\n{}", "has a line break in it"),
    ("{}\r{}", "has a line break in it"),
    ("${{{}}}", "has a reference in it that nobody replaced by its value"),
    ("${{{{ secrets.{} }}}}", "has a reference in it that nobody replaced by its value"),
    ("{{{{ {} }}}}", "has a reference in it that nobody replaced by its value"),
]
LISTS = ["previous_app_secrets", "encryption_keys", "allowed_permissions"]


def load(**values: Any) -> WixSettings:
    """Load settings from the required values, with `values` added or in their place."""
    return WixSettings.load(**{**REQUIRED, **values})


def read(settings: WixSettings, name: str) -> object:
    """Return the value of a setting, with all that is hidden in the clear."""
    value = getattr(settings, name)
    if isinstance(value, tuple):
        return tuple(plain(part) for part in value)
    return plain(value)


def plain(value: object) -> object:
    """Return a value, a hidden one in the clear."""
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return "WIX_URL" if name == "wix_url" else f"WIX_{name.upper()}"


def refusal(**values: Any) -> str:
    """Return the message of the error about wrong values."""
    with pytest.raises(SettingsError) as caught:
        load(**values)
    return str(caught.value)


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("name", TEXTS)
def test_what_is_around_a_value_is_dropped(
    monkeypatch: pytest.MonkeyPatch, name: str, around: str
) -> None:
    """White space, line ends, a byte order mark and a pair of quotes are no part of a value."""
    text, meant = TEXTS[name]
    by_keyword = load(**{name: around.format(text)})
    monkeypatch.setenv(variable(name), around.format(text))
    by_variable = WixSettings.load(**{key: REQUIRED[key] for key in REQUIRED if key != name})

    assert meant == read(by_keyword, name)
    assert meant == read(by_variable, name)


@pytest.mark.parametrize(("broken", "problem"), BROKEN)
@pytest.mark.parametrize("name", TEXTS)
def test_what_cannot_be_meant_is_refused(name: str, broken: str, problem: str) -> None:
    """A broken value stops start-up by the name of its setting, whichever it is (R47)."""
    text, _ = TEXTS[name]

    assert f"  {name} ({variable(name)}): {problem}." in refusal(
        **{name: broken.format(text, text)}
    )


@pytest.mark.parametrize(
    "listed",
    [
        "{0},{1}\n",
        '"{0},{1}"',
        '"{0}","{1}"',
        "'{0}' , '{1}'\r\n",
        "\ufeff{0}\r\n,{1}\r\n",
        ["{0}\n", '"{1}"'],
        ("\ufeff{0}", " {1} "),
    ],
)
@pytest.mark.parametrize("name", LISTS)
def test_what_is_around_each_of_a_list_is_dropped(name: str, listed: Any) -> None:
    """Values of a list are read as single ones are, in a text and in a real list."""
    pairs = {
        "previous_app_secrets": ("earlier-secret-1", "earlier-secret-2"),
        "encryption_keys": (KEY, bytes(range(1, 33)).hex()),
        "allowed_permissions": ("OWNER", "EDITOR"),
    }
    pair = pairs[name]
    texts = [listed] if isinstance(listed, str) else listed
    filled = [text.format(*pair) for text in texts]

    assert pair == read(load(**{name: filled[0] if isinstance(listed, str) else filled}), name)


@pytest.mark.parametrize(("broken", "problem"), BROKEN)
@pytest.mark.parametrize("name", LISTS)
def test_each_of_a_list_is_checked(name: str, broken: str, problem: str) -> None:
    """One broken value among others of a list is refused by the name of the setting (R47)."""
    text = TEXTS[name][0]

    assert f"  {name} ({variable(name)}): {problem}." in refusal(
        **{name: [text, broken.format(text, text)]}
    )


LOOSE = [
    ("two words of a secret", "has white space in it"),
    (f"{CANARY} # of the dashboard", "has white space in it"),
    (f"{CANARY}\xe9", "has characters outside ASCII"),
    (f"{CANARY}\\n", "ends in an escaped line break"),
    (f"{CANARY}\\r", "ends in an escaped line break"),
    ("$WIX_THING", "is a reference that nobody replaced by its value"),
    ("$(cat secret)", "is a reference that nobody replaced by its value"),
    ("%WIX_THING%", "is a reference that nobody replaced by its value"),
    ("@Microsoft.KeyVault(SecretUri=https://x)", "is a reference that nobody replaced"),
    ("op://vault/wix/secret", "is a reference that nobody replaced by its value"),
    ("arn:aws:secretsmanager:eu-west-1:1:secret:wix", "is a reference that nobody replaced"),
    ("/run/secrets/wix_app_secret", "is a reference that nobody replaced by its value"),
    ("replace-me", "is a placeholder"),
]


@pytest.mark.parametrize("name", ["app_id", "app_secret", "previous_app_secrets"])
@pytest.mark.parametrize(("value", "problem"), LOOSE)
def test_an_id_and_a_secret_are_one_plain_word(name: str, value: str, problem: str) -> None:
    """An ID or a secret with white space, with other letters, or as a reference is refused."""
    assert f"  {name} ({variable(name)}): {problem}" in refusal(**{name: value})


@pytest.mark.parametrize(
    "secret",
    [
        "0a1b2c3d-1111-2222-3333-444455556666",
        "0A1B2C3D4E5F",
        "it's-a-secret",
        "a+b/c==dd",
        "$2b$12$abc.def",
        "{a}-{b}-{c}",
        "100%safe%",
        "key:with:colons",
    ],
)
def test_secrets_of_other_shapes_are_taken(secret: str) -> None:
    """A secret may have any visible ASCII character, quotes within it included."""
    assert secret == read(load(app_secret=secret), "app_secret")


BAD_URLS = [
    ("https://${RAILWAY_PUBLIC_DOMAIN}", "has a reference in it that nobody replaced"),
    ("https://$HOST", "has no plain host"),
    ("https://%HOST%/", "has no plain host"),
    ("https://a.example,https://b.example", "has no plain host"),
    ("https://<app>.example.com", "is not a plain URL"),
    ('https://app.example.com/"a"b', "is not a plain URL"),
]


@pytest.mark.parametrize("name", ["public_url", "wix_url", "api_url", "after_install"])
@pytest.mark.parametrize(("url", "problem"), BAD_URLS)
def test_a_url_is_no_template(name: str, url: str, problem: str) -> None:
    """A URL in which the host was not put in, or that is several, is refused (R47)."""
    assert f"  {name} ({variable(name)}): {problem}" in refusal(**{name: url})


def test_a_secret_is_read_from_bytes_of_a_file(tmp_path: Path) -> None:
    """The bytes of a file are read as its text, and bytes that are no text are refused."""
    file = tmp_path / "secret"
    file.write_bytes(b"\xef\xbb\xbf" + APP_SECRET.encode() + b"\r\n")

    assert APP_SECRET == read(load(app_secret=file.read_bytes()), "app_secret")
    assert "app_secret (WIX_APP_SECRET): has invisible characters" in refusal(
        app_secret=b"\xff" + APP_SECRET.encode()
    )


def test_a_hidden_text_is_read_like_a_plain_one() -> None:
    """What is around a secret is dropped from pydantic's own type as well."""
    settings = load(
        app_secret=SecretStr(f"{APP_SECRET}\n"), encryption_keys=[SecretStr(f'"{KEY}"')]
    )

    assert APP_SECRET == read(settings, "app_secret")
    assert (KEY,) == read(settings, "encryption_keys")


def test_all_broken_values_are_in_one_error() -> None:
    """One error names every broken value, and shows none of them (R35, R47)."""
    broken = dict.fromkeys(TEXTS, f'"{CANARY}')
    message = refusal(**broken)

    assert message.startswith(f"{len(TEXTS)} settings are wrong:\n")
    assert CANARY not in message


SPACE = st.text(" \t\r\n\ufeff", max_size=3)
QUOTE = st.sampled_from(["", '"', "'"])
SECRET = st.text(string.hexdigits + "-_.", min_size=16, max_size=40).map(lambda text: f"s{text}0")


@given(secret=SECRET, before=SPACE, after=SPACE, quote=QUOTE)
def test_any_white_space_and_quotes_around_a_secret(
    secret: str, before: str, after: str, quote: str
) -> None:
    """Whatever white space and pair of quotes is around a secret, the secret is what counts."""
    written = f"{before}{quote}{secret}{quote}{after}"
    settings = load(app_secret=written, previous_app_secrets=f"{written},{written}")

    assert (secret,) * 3 == settings.all_app_secrets


def taken_or_refused(secret: str) -> tuple[str | None, str]:
    """Return the secret that a text is taken for, or None and the message of the refusal."""
    try:
        return str(read(load(app_secret=secret), "app_secret")), ""
    except SettingsError as exc:
        return None, str(exc)


@given(st.text(), st.text())
def test_any_text_is_a_plain_word_or_refused(before: str, after: str) -> None:
    """A secret of any characters is taken as one visible ASCII word, or refused and not shown."""
    written = f"{before}{CANARY}{after}"
    taken, message = taken_or_refused(written)

    assert (taken is None) == ("app_secret (WIX_APP_SECRET): " in message)
    assert CANARY not in message
    assert (taken or "") in written
    assert set(taken or "") <= set(string.printable) - set(string.whitespace)
    assert not {*(taken or "")[:1], *(taken or "")[-1:]} & set("\"'`")
