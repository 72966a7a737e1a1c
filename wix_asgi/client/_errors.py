"""Errors of wix-asgi that a call raises, and that are errors of httpx too where one fits.

A library that takes an `httpx.AsyncClient` catches `httpx.HTTPError`, and nothing of wix-asgi:

- Without a token, because Wix or the storage is failing, a call never does anything at Wix. That is
  `httpx.ConnectError`, after which libraries repeat a call, a `POST` included.
- An answer over the limit is `httpx.RequestError`, as httpx's own TooManyRedirects is: no error of
  the transport, after which libraries repeat a call, for the next answer would be as large.

All further errors stay as they are. Unauthenticated and NotInstalled are about the caller, and are
no failure of the call: an app may answer `httpx.HTTPError` with cached data, and a caller without
proof must not get those. AuthorizationConflict, WixMisconfigured and UnsealError are mistakes in
the app or in its settings, which a developer or an operator has to see.

The classes are here and not in `wix_asgi.errors`, which backends import without httpx.
"""

from __future__ import annotations

from typing import Final

from wix_asgi._frames import without_our_frames
from wix_asgi._http import httpx
from wix_asgi.errors import ResponseTooLarge, StorageUnavailable, WixError, WixUnavailable

__all__ = [
    "CallResponseTooLarge",
    "CallStorageUnavailable",
    "CallWixUnavailable",
    "error_of_call",
]


class CallWixUnavailable(WixUnavailable, httpx.ConnectError):
    """Wix gives no token for a call: it cannot be reached, or is failing."""


class CallStorageUnavailable(StorageUnavailable, httpx.ConnectError):
    """No token for a call can be read: the storage cannot be reached, or is failing."""


class CallResponseTooLarge(ResponseTooLarge, httpx.RequestError):
    """The answer to a call is larger than may be read whole: use `client.stream()` for it."""


_Both = CallWixUnavailable | CallStorageUnavailable | CallResponseTooLarge
_AS_HTTPX: Final[dict[type[WixError], type[_Both]]] = {
    WixUnavailable: CallWixUnavailable,
    StorageUnavailable: CallStorageUnavailable,
    ResponseTooLarge: CallResponseTooLarge,
}
_ALSO_HTTPX: Final = tuple(_AS_HTTPX)


def error_of_call(
    exc: Exception, request: httpx.Request, *, until: BaseException | None
) -> WixError | None:
    """Return the error that a call raises in place of `exc`; None where it raises `exc` itself.

    The frames of wix-asgi leave `exc`, as by `without_our_frames`; those of the app and of httpx
    stay.
    """
    without_our_frames(exc, until=until)
    if not isinstance(exc, _ALSO_HTTPX):
        return None
    return _as_httpx_error(exc, request)


def _as_httpx_error(error: WixError, request: httpx.Request) -> WixError:
    """Return `error` as httpx's too, with its `request`; or itself, where none of httpx's fits.

    It is another object, since all calls that wait for one refresh share its error. A class that
    another package derives from ours is kept, so that its own `except` clauses go on working.
    """
    kind = _AS_HTTPX.get(type(error))
    if kind is None:
        return error
    both = kind(error.message)
    # Its data, and the notes that were added to it.
    vars(both).update(vars(error))
    both.request = request
    return both.with_traceback(error.__traceback__)
