"""Wix's list of the sites that have an app: Query App Installations, a Developer Preview.

Wix's pages do not say which credential it takes, and the copies of them at hand do not show its
path: `PATH` follows the paths of Wix's other queries.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from wix_asgi._http import httpx
from wix_asgi.errors import WixUnavailable
from wix_asgi.protocol.answers import read_object, text_of

__all__ = ["PATH", "InstallationsPage", "ListingCredential", "parse_installations", "query_of"]

PATH: Final = "/app-installations/v1/app-installations/query"

_PAGE: Final = 100
"""Installations in an answer, at most (Wix, "Query App Installations")."""


@dataclass(frozen=True, slots=True)
class ListingCredential:
    """Authorizes a question: an access token of the app, or a key of the account.

    Attributes:
        authorization: The value of the header.
        account_id: The account of a key (Wix, "About API Keys"); None beside an access token.
    """

    authorization: str = field(repr=False)
    account_id: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the question."""
        account = {"wix-account-id": self.account_id} if self.account_id else {}
        return {"Authorization": self.authorization, **account}


@dataclass(frozen=True, slots=True)
class InstallationsPage:
    """A part of the list.

    Attributes:
        next_cursor: Asks for the next page; None after the last.
    """

    instance_ids: list[str]
    next_cursor: str | None


def query_of(app_id: str, cursor: str | None) -> dict[str, Any]:
    """Return the body of a question for the sites that have this app.

    A cursor stands for the filter of its first question, which may not be sent again beside it
    (Wix, "About Sorting and Paging").
    """
    if cursor is not None:
        return {"query": {"cursorPaging": {"limit": _PAGE, "cursor": cursor}}}
    return {
        "query": {
            "filter": {"appId": app_id, "status": "INSTALLED"},
            "cursorPaging": {"limit": _PAGE},
        }
    }


def parse_installations(response: httpx.Response, *, app_id: str) -> InstallationsPage:
    """Read an answer; Wix lists the installations of all apps of an account.

    Raises:
        GrantRefused: Wix refuses the question.
        WixMisconfigured: Wix refuses the app's own credentials.
        WixUnavailable: Wix is failing, or its answer is no list.
    """
    body = read_object(response)
    listed = body.get("appInstallations")
    if not isinstance(listed, list):
        raise WixUnavailable("Wix answered without a list of installations.")
    paging = body.get("pagingMetadata")
    cursors = paging.get("cursors") if isinstance(paging, dict) else None
    cursor = text_of(cursors.get("next")) if isinstance(cursors, dict) else None
    # A cursor behind an empty page would lead round for ever.
    return InstallationsPage(_instance_ids(listed, app_id), cursor if listed else None)


def _instance_ids(listed: list[Any], app_id: str) -> list[str]:
    own = [
        text_of(each.get("instanceId"))
        for each in listed
        if isinstance(each, dict)
        and each.get("appId") == app_id
        and each.get("status") == "INSTALLED"
    ]
    return [instance_id for instance_id in own if instance_id is not None]
