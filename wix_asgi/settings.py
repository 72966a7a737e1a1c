"""The settings: a keyword, or an environment variable with the prefix `WIX_`, or a default."""

from __future__ import annotations

import ipaddress
import os
import re
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_core.core_schema import ValidationInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from wix_asgi.errors import BackendNotFound, SettingsError
from wix_asgi.sealing.keys import derive_key, parse_key
from wix_asgi.storage import open_storage

__all__ = ["WixSettings"]

_PLACEHOLDER = re.compile(
    r"<.*>|\$\{.*\}|\.{3}|…|x+|change[-_ ]?me|todo|placeholder"
    r"|((your|my|the)[-_ ])?(wix[-_ ])?app[-_ ]?(id|secret([-_ ]?key)?)"
    r"|(your|my|the|app)[-_ ]?(id|secret)([-_ ](key|here))?|secret",
    re.IGNORECASE,
)
# An ID may begin so, a secret that was generated does not.
_PHRASE = re.compile(r"(your|my|the)[-_ ].*", re.IGNORECASE)
_MIN_SECRET = 8
_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+/?")

_Secrets = Annotated[tuple[SecretStr, ...], NoDecode]

# What was expected for each setting, and where in Wix's dashboard it is found.
_EXPECTED = {
    "app_id": "the App ID, found in the Wix dashboard of the app under Develop > OAuth",
    "app_secret": "the App Secret Key, found in the Wix dashboard of the app under Develop > OAuth",
    "previous_app_secrets": "earlier App Secret Keys, separated by commas",
    "public_url": "the https address at which the world reaches this app, such as "
    "https://app.example.com; it begins the App URL and the Redirect URL in the Wix dashboard",
    "storage": "a URL such as sqlite:///file.db or postgresql://user:password@host/database, "
    "or for tests memory://",
    "install_path": "a path such as /wix/install; it ends the App URL in the Wix dashboard",
    "callback_path": "a path such as /wix/callback; it ends the Redirect URL in the Wix dashboard",
    "encryption_keys": "keys of 32 random bytes, newest first, separated by commas; "
    "`wix-asgi keys new` makes one",
    "after_install": "close (Wix's close-window page), a path such as /welcome, or an https URL",
    "finish_setup": "true or false",
    "state_ttl": "a number of seconds from 1 to 600",
    "wix_url": "https://www.wix.com, or the address of a fake Wix",
    "api_url": "https://www.wixapis.com, or the address of a fake Wix",
}


class WixSettings(BaseSettings):
    """All settings of one app, checked together and immutable; no secret is in its repr.

    Use `load`, which names every wrong value at once, with its variable and its remedy.
    """

    model_config = SettingsConfigDict(
        env_prefix="WIX_",
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        # The storage's would load a backend, also where a Storage object is given.
        validate_default=False,
    )

    app_id: str
    app_secret: SecretStr
    previous_app_secrets: _Secrets = ()
    public_url: str
    install_path: str = "/wix/install"
    callback_path: str = "/wix/callback"
    storage: SecretStr = SecretStr("sqlite:///wix-asgi.db")
    encryption_keys: _Secrets = ()
    after_install: str = "close"
    finish_setup: bool = False
    state_ttl: int = Field(default=600, ge=1, le=600)
    # With the prefix its variable would be WIX_WIX_URL.
    wix_url: str = Field(
        default="https://www.wix.com", validation_alias=AliasChoices("wix_url", "WIX_URL")
    )
    api_url: str = "https://www.wixapis.com"

    @classmethod
    def load(cls, **given: Any) -> WixSettings:
        """Read the settings: what is given wins over the environment; None means not given.

        Raises:
            SettingsError: Values are wrong or missing. All are named at once, none is shown.
        """
        try:
            return cls(**{name: value for name, value in given.items() if value is not None})
        except ValidationError as exc:
            message = _explain(exc.errors(include_input=False))
        # Raised out here and with nothing given left: a traceback with locals shows no secret.
        given.clear()
        raise SettingsError(message)

    def __reduce__(self) -> Any:
        raise TypeError("WixSettings hold secrets, so they cannot be pickled: make them anew.")

    @property
    def redirect_url(self) -> str:
        """The Redirect URL as it is entered in Wix's dashboard."""
        return self.public_url + self.callback_path

    @property
    def app_url(self) -> str:
        """The App URL as it is entered in Wix's dashboard."""
        return self.public_url + self.install_path

    @property
    def all_app_secrets(self) -> tuple[str, ...]:
        """The app secret, then the previous ones."""
        secrets = (self.app_secret, *self.previous_app_secrets)
        return tuple(secret.get_secret_value() for secret in secrets)

    def key_ring(self) -> list[bytes]:
        """Return the keys for tokens at rest: the first seals, all of them open.

        The keys derived from the app secrets always open, so that an app which begins to set
        `encryption_keys` can still read what it stored before.
        """
        given = [parse_key(key.get_secret_value()) for key in self.encryption_keys]
        derived = [derive_key(secret, "tokens at rest") for secret in self.all_app_secrets]
        return [*given, *derived]

    @property
    def is_loopback(self) -> bool:
        """Whether the public URL is plain http on this machine, where no cookie can be Secure."""
        return self.public_url.startswith("http://")

    @field_validator("previous_app_secrets", "encryption_keys", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("app_id")
    @classmethod
    def _check_app_id(cls, value: str) -> str:
        _refuse_placeholder(value)
        if not value.isprintable() or " " in value:
            raise ValueError("has spaces or control characters")
        return value

    @field_validator("app_secret")
    @classmethod
    def _check_app_secret(cls, value: SecretStr) -> SecretStr:
        _refuse_weak_secret(value.get_secret_value())
        return value

    @field_validator("previous_app_secrets")
    @classmethod
    def _check_previous(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for secret in value:
            _refuse_weak_secret(secret.get_secret_value())
        return value

    @field_validator("encryption_keys")
    @classmethod
    def _check_keys(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for key in value:
            parse_key(key.get_secret_value())
        return value

    @field_validator("public_url", "wix_url", "api_url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        if "?" in value or "#" in value:
            raise ValueError("must not have a query or a fragment")
        url = _split_url(value)
        if not _is_secure(url):
            raise ValueError("must be https, or http on loopback")
        return url.geturl().rstrip("/")

    @field_validator("install_path", "callback_path")
    @classmethod
    def _check_path(cls, value: str, info: ValidationInfo) -> str:
        if not _PATH.fullmatch(value) or "/." in value:
            raise ValueError("must begin with / and have plain segments only")
        if info.field_name == "callback_path" and value == info.data.get("install_path"):
            raise ValueError("must not be the same as install_path")
        return value

    @field_validator("storage")
    @classmethod
    def _check_storage(cls, value: SecretStr) -> SecretStr:
        # A secret that is kept in a file has a newline at its end.
        url = value.get_secret_value().strip()
        try:
            # Thrown away: only its backend can tell whether it understands the rest of the URL.
            open_storage(url)
        except (BackendNotFound, SettingsError) as exc:
            raise ValueError(exc.message) from None
        if url.lower().startswith("memory://") and _web_concurrency() > 1:
            raise ValueError(
                "memory:// cannot serve several workers (WEB_CONCURRENCY is above 1): "
                "each would have its own installations"
            )
        return SecretStr(url)

    @field_validator("after_install")
    @classmethod
    def _check_after_install(cls, value: str) -> str:
        if value == "close":
            return value
        if value.startswith("/"):
            if value.startswith(("//", "/\\")) or not value.isprintable():
                raise ValueError("must be a path of this app")
            return value
        url = _split_url(value)
        if not _is_secure(url):
            raise ValueError("must be https, or http on loopback")
        return value


def _refuse_weak_secret(value: str) -> None:
    _refuse_placeholder(value)
    if _PHRASE.fullmatch(value):
        raise ValueError("is a placeholder")
    if len(value.strip()) < _MIN_SECRET:
        raise ValueError("is too short")


def _refuse_placeholder(value: str) -> None:
    if not value:
        raise ValueError("is empty")
    if _PLACEHOLDER.fullmatch(value):
        raise ValueError("is a placeholder")


def _split_url(value: str) -> SplitResult:
    if not value.isprintable() or " " in value or "\\" in value or "*" in value:
        raise ValueError("is not a plain URL")
    try:
        url = urlsplit(value)
        host, _port = url.hostname, url.port
    except ValueError:
        raise ValueError("is not a URL") from None
    if not host:
        raise ValueError("must begin with https:// and a host")
    if url.username is not None or url.password is not None:
        raise ValueError("must not have a user name or password in it")
    return url


def _is_secure(url: SplitResult) -> bool:
    return url.scheme == "https" or (url.scheme == "http" and _is_loopback(url.hostname or ""))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _web_concurrency() -> int:
    try:
        return int(os.environ.get("WEB_CONCURRENCY", "1"))
    except ValueError:
        return 1


def _explain(errors: list[ErrorDetails]) -> str:
    lines = [_explain_one(error) for error in errors]
    count = "One setting is" if len(lines) == 1 else f"{len(lines)} settings are"
    return "\n".join([f"{count} wrong:", *dict.fromkeys(lines)])


def _explain_one(error: ErrorDetails) -> str:
    name = str(error["loc"][0]).lower().replace("wix_url", "url")
    variable = f"WIX_{name.upper()}"
    name = "wix_url" if name == "url" else name
    if name not in _EXPECTED:
        return f"  {name}: is not a setting"
    problem = _problem(error)
    return f"  {name} ({variable}): {problem}. Expected: {_EXPECTED[name]}."


def _problem(error: ErrorDetails) -> str:
    if error["type"] == "missing":
        return "is missing"
    if error["type"] == "value_error":
        return str(error.get("ctx", {}).get("error")).rstrip(".")
    if error["type"] in {"greater_than_equal", "less_than_equal"}:
        return "is out of range"
    return "has the wrong form"
