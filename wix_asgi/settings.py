"""The settings: a keyword, or an environment variable with the prefix `WIX_`, or a default."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, cast

from pydantic import AliasChoices, Field, ValidationError, field_validator
from pydantic_core.core_schema import ValidationInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from wix_asgi._setting_checks import (
    read_text,
    read_texts,
    refuse_loose_text,
    refuse_placeholder,
)
from wix_asgi._setting_errors import explain
from wix_asgi._setting_sources import Environment, StorageURL
from wix_asgi._setting_types import (
    AppID,
    AppName,
    AppSecret,
    AppSecrets,
    EncryptionKeys,
    Names,
    NextPage,
    OwnPath,
    PublicKeys,
    SecureURL,
    StorageText,
    SupportURL,
    Time,
    read_keys,
)
from wix_asgi.errors import SettingsError
from wix_asgi.models import InstallFlow
from wix_asgi.sealing.keys import derive_key, parse_key
from wix_asgi.storage import Storage

__all__ = ["WixSettings", "read_app_id"]

_ENV_PREFIX: Final = "WIX_"
_MAX_STATE_TTL: Final = 600
"""Seconds: the life of Wix's authorization codes, and the most that ASVS 10.4.3 allows a code."""

_INSTANCE_MAX_AGE: Final = 86400
"""Seconds: a day, after which Wix wants an app to act on no signed instance ("About Security and
Privacy"). Dashboard pages stay open for hours, so less would cost site owners their work."""

_WEBHOOK_CONCURRENCY: Final = 4
"""Events at once: handlers mostly wait for Wix or a database, and share the loop with requests."""

_TOKEN_CACHE: Final = 10_000
"""Access tokens of 1.7 kB in memory each (`RefreshPolicy`): few apps have more sites in use."""

_MAX_INSTANCE_AGE: Final = 1_000_000_000
"""Seconds: 31 years. Wix has signed instances for less long; 0 is the way to say "for ever"."""

_READERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "previous_app_secrets": read_texts,
    "encryption_keys": read_texts,
    "allowed_permissions": read_texts,
    "allowed_subjects": read_texts,
    "public_key": read_keys,
}
"""Readers of settings with several values; `read_text` reads all others."""


class WixSettings(BaseSettings):
    """All settings of one app, checked together and immutable; no secret is in its repr.

    Use `load`, which names every wrong value at once, with its variable and its remedy: the
    description of a setting says which values are right, and where the Wix dashboard shows them.
    """

    model_config = SettingsConfigDict(
        env_prefix=_ENV_PREFIX,
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        # To check the default storage would load a backend even where a Storage object is given.
        validate_default=False,
    )

    app_id: AppID = Field(
        description="the App ID, found in the Wix dashboard of the app under Develop > OAuth"
    )
    app_secret: AppSecret = Field(
        description="the App Secret Key, found in the Wix dashboard of the app under Develop > "
        "OAuth"
    )
    previous_app_secrets: AppSecrets = Field(
        default=(), description="earlier App Secret Keys, separated by commas"
    )
    previous_secrets_until: Time = Field(
        default=None,
        description="the UTC time until which signed instances of an earlier App Secret Key are "
        "accepted, such as 2026-12-01T12:00:00Z",
    )
    public_url: SecureURL = Field(
        description="the https address at which the world reaches this app, such as "
        "https://app.example.com; it begins the App URL and the Redirect URL in the Wix dashboard"
    )
    flow: InstallFlow = Field(
        default=InstallFlow.ADVANCED,
        description="advanced (the handshake with code and refresh token, of existing apps), or "
        "client_credentials (what Wix gives new apps)",
    )
    install_path: OwnPath = Field(
        default="/wix/install",
        description="a path such as /wix/install; it ends the App URL in the Wix dashboard",
    )
    callback_path: OwnPath = Field(
        default="/wix/callback",
        description="a path such as /wix/callback; it ends the Redirect URL in the Wix dashboard",
    )
    webhook_path: OwnPath = Field(
        default="/wix/webhook",
        description="a path such as /wix/webhook; it ends the Callback URL of the webhooks in the "
        "Wix dashboard",
    )
    public_key: PublicKeys = Field(
        default=(),
        description="the app's public key, found in the Wix dashboard of the app under Webhooks > "
        "Get Public Key: RSA of 2048 bits or more, as PEM or base64 of PEM; several separated by "
        "commas; WIX_APP_JWT_KEY is read, too",
    )
    storage: StorageText = Field(
        default_factory=lambda: StorageURL("sqlite:///wix-asgi.db"),
        description="a URL such as sqlite:///file.db or postgresql://user:password@host/database, "
        "or for tests memory://",
    )
    encryption_keys: EncryptionKeys = Field(
        default=(),
        description="keys of 32 random bytes, newest first, separated by commas; "
        "`wix-asgi keys new` makes one",
    )
    after_install: NextPage = Field(
        default=None,  # by the flow
        validate_default=True,
        description="close (Wix's close-window page), a path such as /welcome, or an https URL",
    )
    finish_setup: bool = Field(default=False, description="true or false")
    recover: bool = Field(default=True, description="true or false")
    state_ttl: int = Field(
        default=_MAX_STATE_TTL,
        ge=1,
        le=_MAX_STATE_TTL,
        description=f"a number of seconds from 1 to {_MAX_STATE_TTL}",
    )
    share_url_id: str | None = Field(
        default=None,
        description="the share URL ID of an unlisted app, found in the Wix dashboard of the app",
    )
    allowed_permissions: Names = Field(
        default=("OWNER",),
        description="OWNER, or values of `permissions` in signed instances, separated by commas, "
        "or * for anybody's",
    )
    allowed_subjects: Names = Field(
        default=("USER", "APP"),
        description="USER, APP, MEMBER or VISITOR, separated by commas: values of `subjectType` in "
        "Wix's answers about access tokens",
    )
    session: bool = Field(default=False, description="true or false")
    instance_max_age: int = Field(
        default=_INSTANCE_MAX_AGE,
        ge=0,
        le=_MAX_INSTANCE_AGE,
        description=f"a number of seconds such as {_INSTANCE_MAX_AGE}, or 0 for ever",
    )
    webhooks: Literal["run", "store"] = Field(
        default="run",
        description="run (keep events and run their handlers), or store (keep them for another "
        "process)",
    )
    webhook_concurrency: int = Field(
        default=_WEBHOOK_CONCURRENCY, ge=1, description="a number of events, 1 or more"
    )
    token_cache: int = Field(
        default=_TOKEN_CACHE, ge=1, description="a number of access tokens, 1 or more"
    )
    app_name: AppName | None = Field(
        default=None, description="the app's name for people, of 80 characters at most"
    )
    support_url: SupportURL | None = Field(
        default=None,
        description="an https URL or a mailto: address, at which the app's support is reached",
    )
    # With the prefix its variable would be WIX_WIX_URL.
    wix_url: SecureURL = Field(
        default="https://www.wix.com",
        validation_alias=AliasChoices("wix_url", "WIX_URL"),
        description="https://www.wix.com, or the address of a fake Wix",
    )
    api_url: SecureURL = Field(
        default="https://www.wixapis.com",
        description="https://www.wixapis.com, or the address of a fake Wix",
    )

    @classmethod
    def load(cls, **given: Any) -> WixSettings:
        """Read the settings: keywords win over the environment, and None counts as not given.

        Raises:
            SettingsError: Values are wrong or missing. All are named at once, none is shown.
        """
        try:
            return cls(**{name: value for name, value in given.items() if value is not None})
        except ValidationError as exc:
            message = explain(exc.errors(include_input=False), cls.model_fields, _ENV_PREFIX)
        # Raised out here, without a context, and from a frame without the values: a traceback
        # with locals shows no secret. `without_frames` cannot help, since this frame comes after.
        given.clear()
        raise SettingsError(message)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the environment by `Environment`, and all else as pydantic-settings does."""
        return init_settings, Environment(settings_cls), dotenv_settings, file_secret_settings

    def __reduce__(self) -> Any:
        raise TypeError("WixSettings hold secrets, so they cannot be pickled: make them anew.")

    @property
    def backend(self) -> Storage:
        """The storage that `storage` names, not opened yet; the same object each time.

        Raises:
            BackendNotFound: The driver of the default storage is missing. That of any other has
                been loaded to check its URL.
        """
        return cast("StorageURL", self.storage).backend

    @property
    def redirect_url(self) -> str:
        """The Redirect URL as it is entered in Wix's dashboard."""
        return self.public_url + self.callback_path

    @property
    def app_url(self) -> str:
        """The App URL as it is entered in Wix's dashboard."""
        return self.public_url + self.install_path

    @property
    def webhook_url(self) -> str:
        """The Callback URL of webhooks as it is entered in Wix's dashboard."""
        return self.public_url + self.webhook_path

    @property
    def all_app_secrets(self) -> tuple[str, ...]:
        """The app secret, then the previous ones."""
        secrets = (self.app_secret, *self.previous_app_secrets)
        return tuple(secret.get_secret_value() for secret in secrets)

    def key_ring(self) -> list[bytes]:
        """Return the keys for tokens at rest: the first seals, all of them open.

        The keys derived from the app secrets always open, so that an app which begins to set
        `encryption_keys` can still read the tokens it stored before.
        """
        given = [parse_key(key.get_secret_value()) for key in self.encryption_keys]
        derived = [derive_key(secret, "tokens at rest") for secret in self.all_app_secrets]
        return [*given, *derived]

    @property
    def is_loopback(self) -> bool:
        """Whether the public URL is plain http, which it may be on this machine only."""
        return self.public_url.startswith("http://")

    # Before the checks of the types.
    @field_validator("*", mode="before")
    @classmethod
    def _read(cls, value: Any, info: ValidationInfo) -> Any:
        return _READERS.get(str(info.field_name), read_text)(value)


def read_app_id(value: str) -> str:
    """Return the app ID that `value` means, as `WixSettings` reads it.

    Raises:
        SettingsError: It is no app ID, such as a placeholder or a damaged copy of one.
    """
    try:
        app_id: str = read_text(value)
        refuse_placeholder(app_id)
        refuse_loose_text(app_id)
    except ValueError as exc:
        raise SettingsError(f"The app ID {exc}.") from None
    return app_id
