"""The text of the one error that names every wrong setting, and shows no value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic import AliasChoices
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

__all__ = ["explain"]


def explain(errors: Iterable[ErrorDetails], fields: Mapping[str, FieldInfo], prefix: str) -> str:
    """Return the message: a line for each wrong setting, with its variable and its remedy.

    `prefix` begins the variables of all settings of `fields` that have no variable of their own.
    """
    lines = dict.fromkeys(_explain_one(error, fields, prefix) for error in errors)
    count = "One setting is" if len(lines) == 1 else f"{len(lines)} settings are"
    return "\n".join([f"{count} wrong:", *lines])


def _explain_one(error: ErrorDetails, fields: Mapping[str, FieldInfo], prefix: str) -> str:
    # Lower case also makes `wix_url` of the name by which the environment gives it.
    name = str(error["loc"][0]).lower()
    field = fields.get(name)
    if field is None and name == "require_identity":
        return f"  {name}: is a keyword of WixMiddleware and add_wix alone, for ASGI apps"
    if field is None:
        return f"  {name}: is not a setting"
    problem, variable = _problem(error), _variable(name, field, prefix)
    return f"  {name} ({variable}): {problem}. Expected: {field.description}."


def _variable(name: str, field: FieldInfo, prefix: str) -> str:
    """Return the environment variable of a setting."""
    if isinstance(field.validation_alias, AliasChoices):
        return str(field.validation_alias.choices[-1])
    return f"{prefix}{name.upper()}"


def _problem(error: ErrorDetails) -> str:
    if error["type"] == "missing":
        return "is missing"
    if error["type"] == "value_error":
        return str(error.get("ctx", {}).get("error")).rstrip(".")
    if error["type"] in {"greater_than_equal", "less_than_equal"}:
        return "is out of range"
    return "has the wrong form"
