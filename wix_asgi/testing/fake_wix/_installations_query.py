"""App Installations Query: the installations of an account's apps, by pages.

Wix documents its fields and its pages, but neither its path nor the credential it takes. A query is
read strictly: an unknown field is refused, and so is anything beside the cursor of a next page.
"""

from __future__ import annotations

import hmac
import uuid
from dataclasses import asdict, dataclass, field
from typing import Any, Final, NoReturn

from itsdangerous import BadSignature, URLSafeSerializer
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from wix_asgi.sealing.keys import derive_key
from wix_asgi.testing.fake_wix._event_data import installation_entity
from wix_asgi.testing.fake_wix._grants import Grants
from wix_asgi.testing.fake_wix._wire import api_refusal, read_authorization, read_object
from wix_asgi.testing.fake_wix.world import World

__all__ = ["INSTALLATIONS_QUERY_PATH", "InstallationsQuery"]

INSTALLATIONS_QUERY_PATH: Final = "/app-installations/v1/app-installations/query"

# Wix, "Query App Installations": 50 to a page by default, and at most 100.
_DEFAULT_LIMIT: Final = 50
_MAX_LIMIT: Final = 100

_FILTERS: Final = frozenset({"appId", "instanceId", "status"})
_SORTS: Final = frozenset({"createdDate", "updatedDate"})


@dataclass(frozen=True, slots=True)
class _Page:
    """A page of the answer; its fields but `limit` go into the cursor of the next page."""

    wanted: dict[str, list[str]] = field(default_factory=dict)
    sort: str = "createdDate"
    descending: bool = True
    offset: int = 0
    limit: int = _DEFAULT_LIMIT


class InstallationsQuery:
    """Lists installed and uninstalled sites, and that of another app of the same account."""

    def __init__(self, world: World, grants: Grants) -> None:
        self._world = world
        self._grants = grants
        key = derive_key(world.app_secret, f"fake cursors of {world.app_id}")
        self._serializer = URLSafeSerializer(key)

    async def answer(self, request: Request) -> Response:
        """Return one page.

        Raises:
            Refusal: The credential or the query is refused.
        """
        self._check_credential(read_authorization(request))
        body = await read_object(request, api_refusal, "INVALID_ARGUMENT")
        page = self._page(body)
        found = [it for it in self._entries() if _matches(it, page.wanted)]
        found.sort(key=lambda it: it[page.sort], reverse=page.descending)
        end = page.offset + page.limit
        shown = found[page.offset : end]
        has_next = end < len(found)
        metadata: dict[str, Any] = {"count": len(shown), "hasNext": has_next, "cursors": {}}
        if has_next:
            following = {**asdict(page), "offset": end}
            metadata["cursors"] = {"next": str(self._serializer.dumps(following))}
        return JSONResponse({"appInstallations": shown, "pagingMetadata": metadata})

    def _check_credential(self, credential: str) -> None:
        api_key = self._world.api_key
        if api_key is not None:
            is_admitted = hmac.compare_digest(credential.encode(), api_key.encode())
        elif self._grants.live(credential) is None:
            raise api_refusal(401, "UNAUTHENTICATED", "the access token is unknown or has expired")
        else:
            is_admitted = self._grants.of_app(credential) is not None
        if not is_admitted:
            raise api_refusal(403, "PERMISSION_DENIED", "Read App Installations is not permitted")

    def _entries(self) -> list[dict[str, Any]]:
        world, known = self._world, self._grants.installations.all()
        other = str(uuid.uuid5(uuid.NAMESPACE_URL, "other"))
        others = [installation_entity(world, it, other) for it in known]
        return [*(installation_entity(world, it, world.app_id) for it in known), *others[:1]]

    def _page(self, body: dict[str, Any]) -> _Page:
        query = body.get("query", {})
        if body.keys() - {"query"} or not isinstance(query, dict):
            _refuse("the body has a query, and nothing else")
        paging = query.get("cursorPaging", {})
        if not isinstance(paging, dict) or paging.keys() - {"limit", "cursor"}:
            _refuse("cursorPaging has a limit and a cursor")
        limit = paging.get("limit", _DEFAULT_LIMIT)
        if type(limit) is not int or not 1 <= limit <= _MAX_LIMIT:
            _refuse(f"the limit must be from 1 to {_MAX_LIMIT}")
        if "cursor" in paging:
            if query.keys() != {"cursorPaging"}:
                _refuse("filter and sort are inside the cursor, and cannot be beside it")
            return self._following(paging["cursor"], limit)
        if query.keys() - {"filter", "sort", "cursorPaging"}:
            _refuse("a query has filter, sort and cursorPaging")
        sort, descending = _sort(query.get("sort", []))
        return _Page(_filter(query.get("filter", {})), sort, descending, limit=limit)

    def _following(self, cursor: Any, limit: int) -> _Page:
        try:
            page = self._serializer.loads(cursor)
        except (BadSignature, TypeError, UnicodeError) as exc:
            raise api_refusal(400, "INVALID_CURSOR", "the cursor is not of this query") from exc
        return _Page(**{**page, "limit": limit})


def _filter(given: Any) -> dict[str, list[str]]:
    if not isinstance(given, dict) or given.keys() - _FILTERS:
        _refuse(f"a filter is an object with some of {', '.join(sorted(_FILTERS))}")
    return {name: _values(condition) for name, condition in given.items()}


def _values(condition: Any) -> list[str]:
    values: Any
    if isinstance(condition, dict) and condition.keys() == {"$in"}:
        values = condition["$in"]
    elif isinstance(condition, dict) and condition.keys() == {"$eq"}:
        values = [condition["$eq"]]
    else:
        values = [condition]
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        _refuse("a condition is a text, {$eq: text} or {$in: [text, …]}")
    return values


def _sort(given: Any) -> tuple[str, bool]:
    match given:
        case []:
            return "createdDate", True
        case [{"fieldName": name, "order": "ASC" | "DESC" as order}] if name in _SORTS:
            return name, order == "DESC"
        case _:
            names = ", ".join(sorted(_SORTS))
            raise api_refusal(400, "INVALID_ARGUMENT", f"sort has one fieldName of {names}")


def _matches(entry: dict[str, Any], wanted: dict[str, list[str]]) -> bool:
    return all(entry[name] in values for name, values in wanted.items())


def _refuse(why: str) -> NoReturn:
    raise api_refusal(400, "INVALID_ARGUMENT", why)
