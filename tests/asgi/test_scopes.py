"""The secrets in a request's scope: masked for all in front of us, and taken out for hooks."""

from __future__ import annotations

import copy
from traceback import StackSummary, walk_stack
from typing import Any

import pytest
from starlette.requests import Request

from wix_asgi.asgi.scopes import hide_secrets, without_secrets

SECRET = b"test-secret-0123456789"
QUERY = b"code=" + SECRET + b"&instanceId=kept&state=" + SECRET
FLOW = b"__Host-wix-0123456789abcdef"
SESSION = b"__Host-wix_session-01234567-0123456789abcdef"
COOKIES = b";".join(
    [
        b"theirs=kept",
        b" " + FLOW + b"=" + SECRET,
        b"wix-fedcba9876543210=" + SECRET,
        b" " + SESSION + b"=" + SECRET,
    ]
)
REFERER = (b"referer", b"https://app.example.com/site?instance=" + SECRET + b"&a=b")
HOST = (b"host", b"app.example.com")


def scope_of(query: bytes = QUERY, *headers: tuple[bytes, bytes], **more: Any) -> dict[str, Any]:
    """Return the scope of a request with this query and these headers."""
    return {"type": "http", "path": "/x", "query_string": query, "headers": headers, **more}


def test_the_given_scope_is_masked() -> None:
    """A reader of the scope behind us sees the parameters, and no secret of them (R52)."""
    scope = scope_of(QUERY, HOST, (b"cookie", COOKIES), REFERER)
    inner = hide_secrets(scope)

    assert b"code=***&instanceId=kept&state=***" == scope["query_string"]
    assert [
        HOST,
        (
            b"cookie",
            b"theirs=kept; " + FLOW + b"=***;wix-fedcba9876543210=***; " + SESSION + b"=***",
        ),
        (b"referer", b"https://app.example.com/site?instance=***&a=b"),
    ] == scope["headers"]
    assert QUERY == inner["query_string"]
    assert [HOST, (b"cookie", COOKIES), REFERER] == inner["headers"]
    assert {*scope_of()} == {*inner}


def test_the_copy_does_not_show_its_secrets() -> None:
    """A traceback with locals shows nothing of either scope's secrets (R35, R52)."""
    scope = scope_of(QUERY, (b"cookie", COOKIES), REFERER, raw_path=b"/x?" + QUERY)
    inner = hide_secrets(scope)
    frames = StackSummary.extract(walk_stack(None), limit=1, capture_locals=True)
    del scope["headers"]

    assert "hidden bytes" in str(frames[0].locals)
    assert SECRET.decode() not in str(frames[0].locals)
    assert SECRET.decode() not in f"{inner['query_string']} {inner!r}"


@pytest.mark.parametrize("again", [lambda scope: scope, dict, copy.copy])
def test_a_second_try_finds_the_secrets(again: Any) -> None:
    """A middleware that tries again with the same scope, or with a copy of it, gets its answer."""
    scope = scope_of(QUERY, (b"cookie", COOKIES))
    first = hide_secrets(scope)
    second = hide_secrets(again(scope))

    assert first == second
    assert QUERY == second["query_string"]


def test_a_query_that_was_changed_counts() -> None:
    """A middleware that tries again with another query is taken at its word."""
    scope = scope_of(QUERY)
    hide_secrets(scope)
    scope["query_string"] = b"error=denied"

    assert b"error=denied" == hide_secrets(scope)["query_string"]


@pytest.mark.parametrize("raw_path", [None, b"/x", b""])
def test_a_path_without_a_query_stays(raw_path: bytes | None) -> None:
    """The path of the request's target is no secret."""
    scope = scope_of(QUERY, raw_path=raw_path)

    assert raw_path == hide_secrets(scope)["raw_path"] == scope["raw_path"]


def test_a_path_with_a_query_is_masked() -> None:
    """Some servers put the query behind the path as well."""
    scope = scope_of(QUERY, raw_path=b"/x?" + QUERY)
    inner = hide_secrets(scope)

    assert b"/x?code=***&instanceId=kept&state=***" == scope["raw_path"]
    assert b"/x?" + QUERY == inner["raw_path"]


@pytest.mark.parametrize("count", [1, 400])
def test_long_headers_are_masked_as_a_whole(count: int) -> None:
    """A header over the bound, or beside too many others, is not read but to be replaced (R51)."""
    long = (COOKIES + b"; ") * (1 if count > 1 else 200)
    scope = scope_of(b"a=" + b"x" * 17_000, *[(b"cookie", long)] * count, *[REFERER] * count)
    inner = hide_secrets(scope)

    assert b"***" == scope["query_string"]
    assert {b"***"} == {value for name, value in scope["headers"] if name == b"cookie"}
    assert [(b"cookie", long)] * count + [REFERER] * count == inner["headers"]
    assert SECRET.decode() not in str(scope)


@pytest.mark.parametrize("text", [b"a=b&" * 70, b"?" * 70, b"x" * 17_000])
def test_texts_of_many_parts_are_masked_as_a_whole(text: bytes) -> None:
    """A text of more parts than any query of ours is not read but to be replaced (R51)."""
    scope = scope_of(text, (b"referer", b"/?a=" + text))
    inner = hide_secrets(scope)

    assert (b"***", [(b"referer", b"***")]) == (scope["query_string"], scope["headers"])
    assert b"" == without_secrets(Request(inner)).scope["query_string"]


def test_headers_without_an_address_stay() -> None:
    """A question mark alone makes no address: browsers send `?0` in a header of theirs."""
    sent = [(b"sec-ch-ua-mobile", b"?0")] * 20

    assert sent == list(hide_secrets(scope_of(b"", *sent))["headers"])


def test_hooks_get_no_secret() -> None:
    """The request of a hook has neither code nor state nor our cookies, and all else (R52)."""
    scope = scope_of(
        QUERY + b"&%63ode=x&a=b", (b"cookie", COOKIES), HOST, REFERER, raw_path=b"/x?" + QUERY
    )
    request = without_secrets(Request(hide_secrets(scope)))

    assert {"instanceId": "kept", "a": "b"} == dict(request.query_params)
    assert {"theirs": "kept"} == request.cookies
    assert "app.example.com" == request.headers["host"]
    assert b"/x" == request.scope["raw_path"]
    assert SECRET.decode() not in str(request.scope) + str(request.url)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b"a=1; b=2", b"a=1; b=2"),
        (b"wix-a=1; wix-0123456789abcdef0=2", b"wix-a=1; wix-0123456789abcdef0=2"),
        (FLOW + b"=1", b""),
        (b"a=1;  " + FLOW + b"=1 ;b=2", b"a=1; b=2"),
        (b"a=1; " + FLOW + b"=" + b"x" * 17_000, b""),
    ],
)
def test_cookies_of_the_app_stay(sent: bytes, kept: bytes) -> None:
    """Cookies whose names only begin as ours do are the app's."""
    request = without_secrets(Request(scope_of(b"", (b"cookie", sent))))

    assert [(b"cookie", kept)] == request.scope["headers"]


def test_a_request_of_a_test_may_lack_parts() -> None:
    """A scope without query, path and headers is good enough for a hook."""
    request = without_secrets(Request({"type": "http"}))

    assert (b"", []) == (request.scope["query_string"], request.scope["headers"])


def test_a_query_over_the_bound_is_left_out() -> None:
    """A query that no install may have is not read for a hook (R51)."""
    assert b"" == without_secrets(Request(scope_of(b"a=" + b"x" * 17_000))).scope["query_string"]
