"""The client in the state of its request, where no other request can get it (R40, R46).

The app writes to the dict that is in the scope already, so that middlewares in front see its
values. Servers make that dict for each request, as a copy of the lifespan's (ASGI, "Lifespan
State"). Some programs hand out the lifespan's own dict (asgi-lifespan 2.1), or a copy of another
request's (Hypercorn 0.18, for requests that it pushes): there each request gets a dict of its own.
"""

from __future__ import annotations

from typing import Any, Final

from starlette.types import Scope

from wix_asgi.client.client import STATE_KEY, WixClient

__all__ = ["enter_state", "leave_state"]


class _Shared:
    """Stands in for the client in a state that several requests were given."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<several requests were given this state>"


_SHARED: Final = _Shared()


def enter_state(
    scope: Scope, client: WixClient, lifespan_state: dict[str, Any] | None
) -> WixClient | None:
    """Put `client` into the state of `scope`; return the client that `leave_state` puts back.

    That is the client of a middleware around this one. Called where the state is missing, is the
    lifespan's, or has a client; without a pause, so that no other request comes between.
    """
    state = own = scope.get("state")
    if state is not None and state is not lifespan_state:
        present = state[STATE_KEY]
        placed = present._placed_for if isinstance(present, WixClient) else None
        if (
            placed is scope["headers"]
            or placed is scope
            or (placed is None and present is not _SHARED)
        ):
            # The same request once more, a middleware inside another, or a value of the app's own.
            state[STATE_KEY] = client
            return present if placed is scope else None
        if not (isinstance(placed, dict) and placed["headers"] is scope["headers"]):
            # Another request: its app may have written to this dict, for itself alone.
            _keep_apart(state, present)
            own = lifespan_state
        # Else it is a copy of the scope of a request under way: both may go on at the same time.
    scope["state"] = {**(own or {}), STATE_KEY: client}
    return None


def leave_state(scope: Scope, client: WixClient, outer: WixClient | None) -> None:
    """End the request of `client`: put back the client of the middleware around this one.

    Otherwise the client stays, for tasks that outlive the request, unless another request was
    given the same state meanwhile.
    """
    is_shared = client._placed_for is _SHARED
    client._placed_for = scope["headers"]
    if outer is not None:
        scope["state"][STATE_KEY] = outer
        client = outer
    if is_shared:
        _keep_apart(scope["state"], client)


def _keep_apart(state: dict[str, Any], present: Any) -> None:
    """Have no later request find the client in `state`; its own request keeps it until its end."""
    placed = present._placed_for if isinstance(present, WixClient) else None
    if isinstance(placed, dict) and placed.get("state") is state:
        present._placed_for = _SHARED
    elif placed is not _SHARED:
        state[STATE_KEY] = _SHARED
