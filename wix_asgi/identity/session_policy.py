"""The numbers of sessions."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SessionPolicy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPolicy:
    """The bounds of sessions; the defaults hold for every app. All durations are seconds."""

    max_cookies: int = 8
    """Sites of a browser that have a session; a ninth one ends the oldest.

    A cookie has about 700 bytes, and servers take 8 kB of request head (nginx, gunicorn).
    """

    max_read: int = 32
    """Cookies of a request that are opened, a few microseconds each (R51).

    Four times `max_cookies`: cookies of ended sessions stay until an answer clears them.
    """

    max_age: int = 400 * 86_400
    """How long a session lasts where `instance_max_age` is longer, or 0.

    Browsers keep no cookie for longer (RFC 6265bis, 5.5).
    """

    renewal: float = 86_400.0
    """The age from which an instance that says nothing new renews a session.

    It matters only where instances are good for ever; once a day is far below 400 days.
    """

    look_age: float = 60.0
    """How old the look at an installation may be by which a session is believed.

    So a removed site is served for no longer than that, and a site in use costs a read a minute.
    """

    fresh_look_age: float = 1.0
    """How old the look may be by which a session begins, or is told to be of another installation.

    The dashboard may open in one process a moment after the install ended in another. Once a second
    bounds the reads of front ends that send an instance with each call and take no cookies.
    """

    look_wait: float = 1.0
    """How long a request waits for a look, and an answer that would begin a session.

    Without it the request goes on, and only the use of the session waits for the storage. A read
    takes a few milliseconds where the storage is well.
    """

    max_looks: int = 10_000
    """Sites whose look is remembered on an event loop; the token cache has the same bound."""
