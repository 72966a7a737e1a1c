"""Where settings come from: the environment, and the URL that stands for a storage."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource

from wix_asgi._setting_checks import stripped
from wix_asgi.storage import Storage, open_storage

__all__ = ["Environment", "StorageURL"]

_OTHER_VARIABLES: Final = {"public_key": "wix_app_jwt_key"}
"""Second variables, in lower case as the source has all; Wix's own templates have this one."""


class StorageURL(SecretStr):
    """The URL of a storage, hidden like a password, and the storage that it names."""

    def __deepcopy__(self, _memo: dict[int, Any]) -> StorageURL:
        """Copy the URL alone: a copy of the settings builds a storage of its own."""
        return StorageURL(self.get_secret_value())

    @cached_property
    def backend(self) -> Storage:
        """The storage, built when it is first read and not opened yet; raises as `open_storage`."""
        return open_storage(self.get_secret_value())


class Environment(EnvSettingsSource):
    """The environment variables; one with nothing in it but white space or quotes is not set."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        value, key, is_complex = super().get_field_value(field, field_name)
        if not _is_set(value):
            value = self.env_vars.get(_OTHER_VARIABLES.get(field_name, ""))
        return (value if _is_set(value) else None), key, is_complex


def _is_set(value: str | None) -> bool:
    return value is not None and bool(stripped(value))
