"""Proofs and answers of Wix in the external install flow, true and false ones."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support import SITE
from wix_asgi.testing import FakeWix
from wix_asgi.testing.fake_wix.world import site_id

__all__ = ["OTHER_SITE", "SECRET", "ago", "lying", "told_by_wix", "without"]

OTHER_SITE = "2a9d41c8-6f13-4e2b-8c77-5d2c9b3f7e02"
SECRET = "fake-app-secret-0123456789"


def ago(seconds: float) -> str:
    """Return a `signDate` of this many seconds before now."""
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


def lying(fake: FakeWix, **lies: str | None) -> None:
    """Have Wix add other parameters to the address than the true ones; None leaves one out."""

    def answer(true: dict[str, str]) -> Mapping[str, str]:
        told = {**true, **lies}
        return {name: value for name, value in told.items() if value is not None}

    fake.external_install_override = answer


def without(answer: dict[str, Any], part: str, name: str) -> dict[str, Any]:
    """Return an answer of Get App Instance without a field."""
    return {**answer, part: {k: v for k, v in answer[part].items() if k != name}}


def told_by_wix(**parts: dict[str, Any]) -> dict[str, Any]:
    """Return the true answer of Get App Instance for the first site, changed."""
    true = {"instance": {"instanceId": SITE}, "site": {"siteId": site_id(SITE)}}
    return {name: {**true[name], **parts.get(name, {})} for name in true}
