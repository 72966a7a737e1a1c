"""The numbers of a connection pool, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PoolPolicy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPolicy:
    """How many connections a pool opens on each event loop, and how long it keeps them.

    Raises:
        ValueError: `max_connections` is below 1.
    """

    max_connections: int = 100
    """The most connections that may be open, idle ones included, and so the most requests in
    flight; further requests wait in turn, up to their `pool` timeout. 100 is httpx's default."""

    keepalive_seconds: float = 30.0
    """Idle for longer, a connection is closed. So calls some seconds apart share a TLS
    handshake, which with httpx's 5 s they would not; and most servers have not hung up by then:
    AWS's load balancers do after 60 s by default, and nginx after 75 s."""

    fresh_seconds: float = 1.0
    """Idle for longer, a connection takes no request that must not be repeated. A server
    that hangs up on the idle connection just then loses the request: gunicorn does so after 2 s,
    the shortest default of the common servers. In a test whose connections had been idle for
    about the server's keep-alive time, 34 of 200 code exchanges were lost."""

    close_seconds: float = 5.0
    """A connection that takes longer to close is abandoned. A peer that does not
    answer TLS's closing alert would hold a slot for ever; 5 s is httpx's default timeout."""

    collect_pause: float = 60.0
    """How often a request that got no connection within its `pool` timeout has garbage collected.

    Streamed answers that were dropped hold their connections until then, and an idle process may
    not collect them for minutes. A collection takes some tenths of a second where a process has
    millions of objects, so it is the last resort before `httpx.PoolTimeout`."""

    collect_wait: float = 0.05
    """How long that request then waits for a connection: the loop gives it in its next rounds."""

    def __post_init__(self) -> None:
        if self.max_connections < 1:
            raise ValueError("max_connections must be at least 1")
