"""Every number of a refresh, with its unit, its reason and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RefreshPolicy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshPolicy:
    """The windows, bounds and pauses of refreshes; the defaults hold for every app.

    All durations are seconds. "Measured" names a scenario of `python -m chaos`, which breaks
    processes, databases and Wix at full size.
    """

    # The windows of a token's life

    advisory_share: float = 0.30
    advisory_max: float = 90.0
    """The last part of a token's life in which one caller refreshes it ahead of its end.

    Wix's tokens live 300 s, so that the fixed margins of other libraries (MSAL 300 s, botocore
    900 s) would refresh at every call: a share of the lifetime, with a bound.
    """

    mandatory_share: float = 0.07
    mandatory_max: float = 20.0
    """The last part of a token's life in which callers wait for its successor.

    Longer than one call to Wix may take with its repeats (15 s), so that a refresh which begins
    with the window ends before the token does.
    """

    # The cache of one event loop

    max_cached_tokens: int = 10_000
    """Installations whose access token is kept in memory; the least recently used goes first.

    One takes 1.7 kB, of which Wix's token has 1.2 (measured: `nox -s bench -- growth`), so all of
    them take 17 MB. The setting `token_cache` has the number of an app.
    """

    caller_wait: float = 10.0
    """How long one caller waits for a refresh, and then gets 503 with Retry-After.

    Well under the 30 s after which a gateway such as Heroku's gives the request up. The refresh
    goes on, and the next caller finds its token.
    """

    failure_pause: float = 5.0
    """After a failed refresh, how long the living token is served before the next refresh.

    Several tries still fit into the mandatory window. Times 0.5 to 1.5, by chance.
    """

    useless_renewal_pause: float = 10.0
    """How long a token that was renewed for a 401, and answered with a 401 again, is not renewed.

    An API that refuses a fresh token objects to something else, a missing permission for instance;
    a refresh for each such call would only load Wix.
    """

    max_renewals: int = 2
    """Refreshes that one refused token may cost a caller.

    The refresh under way when the 401 arrives may have brought the refused token itself; the next
    one cannot have.
    """

    storage_slow: float = 1.0
    """A failure of the storage that takes longer makes further callers stop waiting for it.

    A database that refuses connections fails in milliseconds, and callers may all try; a host that
    does not answer takes ten seconds.
    """

    storage_pause: float = 1.0
    """After such a failure, how long callers are told of it without another try.

    Without the pause each caller would wait ten seconds, and a page would hold its worker as long.
    """

    storage_probe_wait: float = 0.5
    """How long a caller waits for the next try after that pause, until the storage has answered.

    A storage that is well again answers in milliseconds, and this caller is the first to be served.
    """

    # The coordination of processes

    budget: float = 30.0
    """The longest that a refresh may last, all of its waits included.

    Room for one wait for the storage (10 s), one for a slot at Wix (5 s) and one call with its
    repeats (15 s).
    """

    lease_ttl: float = 2.0
    """How long a lease lasts unless its holder renews it, where refresh tokens stay the same.

    A holder that is killed or frozen holds up other processes for this long and one refresh
    (measured: `chaos refreshing`, 2.6 s). Two processes that send the same refresh token harm
    nobody there. A shorter lease runs out under its holder where a storage answers late.
    """

    lease_growth: float = 8.0
    """By how many times the longest delay of a claim a lease is longer than that.

    A renewal is asked for after a third of the lease, and so may come twelve times as late as any
    before it. On a busy machine renewals came two seconds late, and refresh tokens were sent twice
    (measured: `chaos refreshing` beside four busy processes, 2,025 calls instead of 2,000).
    """

    delay_half_life: float = 10.0
    """In this time the longest delay counts half: a storage that is well again has short leases."""

    lease_margin: float = 5.0
    """By how much a lease outlives the longest call to Wix, where refresh tokens were seen to
    rotate.

    The lease is then 20 s long. A third of that passes before a renewal, and the rest covers
    a renewal that is answered late; before a further try, a lease that is too short is renewed.
    """

    send_margin: float = 1.0
    """By how much a lease must outlive the longest call when the refresh token is sent.

    A call is cancelled at its time-out; on a busy event loop that comes later than its moment.
    """

    rotation_memory: float = 30 * 86400.0
    """How long the storage remembers that Wix has rotated a refresh token of the app.

    Every rotated token prolongs it. Without any for a month, processes that start begin with short
    leases again.
    """

    rotation_recall_pause: float = 60.0
    """How often a process that has not seen a rotated refresh token asks the storage for a sight.

    One read a minute. The row of a rotated token says so itself; only for a token that was never
    refreshed, in the first minute of an app whose refresh tokens rotate, may a process be unaware.
    """

    rotation_note_pause: float = 86400.0
    """How often a process prolongs that memory: one write a day, of the thirty that it lasts."""

    lease_ask_pause: float = 0.4
    """How often a waiting process asks for the lease: five times until a dead holder's runs out.

    It reads the row more often than that: a claim is a write, and a holder that ends well stores
    its outcome in the row. (Asking at each read kept a hundred installations over four processes
    waiting 0.3 s longer than their one refresh.)
    """

    max_refreshes: int = 50
    """Refreshes of one event loop that may be at Wix at one time.

    Half the connections of their pool, so that a refresh under way never waits for a connection.
    """

    max_readers: int = 4
    """Refreshes of one event loop that may read the storage or ask for a lease at one time.

    One less than the connections that the smallest storage pool has (5): a lease holder, which
    goes past this queue, never waits behind refreshes that wait for that holder. Without the queue
    leases ran out under their holders and refresh tokens were sent twice (measured: `chaos
    refreshing`, 1,094 calls instead of 1,000).
    """

    reader_wait: float = 10.0
    """How long a refresh waits in that queue before it is told that the storage is unavailable.

    The time that a storage has for one operation (`wix_asgi.storage`).
    """

    arrival_spread: float = 0.1
    """By how much a refresh that finds the queue full is put off, times 0 to 1 by chance.

    Processes that start together would otherwise ask for the same leases in the same order: only
    one process gets each, and all the rest have written in vain.
    """

    slot_wait: float = 5.0
    """How long a refresh waits for a slot at Wix before it looks into the storage again.

    Another process may have stored a token long before this one has a free slot.
    """

    first_poll: float = 0.1
    last_poll: float = 0.25
    """The pause between two looks at another process's refresh: from the first, doubled, up to the
    last; times 0.5 to 1.5, by chance.

    A refresh at Wix takes about 0.2 s. Polling adds a third of that at the median (measured:
    65 to 85 ms against LISTEN/NOTIFY's 11 to 23 ms, which PgBouncer and CockroachDB do not have).
    """

    usual_refresh_max: float = 1.0
    usual_refresh_memory: int = 4
    """The pause before the first poll is the usual length of a refresh, at most this long.

    The usual length is a moving average over about that many refreshes. It saves
    nearly half of the reads and claims of a round (measured: `chaos refreshing`, 1,500 storage
    operations instead of 2,600).
    """

    # Failures

    refused_pause: float = 30.0
    """How long a refusal by Wix (of the refresh token, or of the app) is not questioned again.

    Times 0.5 to 1.5, by chance. Only a reinstall or another setting changes it, and either writes
    the row anew or restarts the process.
    """

    missing_pause: float = 60.0
    """How long a process does not ask again for an installation that Wix did not know.

    Calls of a removed site, and of strangers, cost Wix one question a minute. An install ends it
    at once: then there is a row.
    """

    max_missing: int = 10_000
    """Remembered answers of that kind; the oldest goes first. They take 2 MB."""

    origin_wait: float = 3.0
    """How long Wix may take to tell the origin of a site that may be a copy (Get App Instance).

    The token is there by then, and its callers wait: two thirds of `caller_wait` are left to them.
    """

    max_failure_pause: float = 60.0
    """The longest pause after a passing failure, even where Wix asks for more (Retry-After).

    A fifth of a token's life: a Wix that works again is noticed by every installation within it.
    """

    token_reserve: float = 0.5
    """A pause ends at least this long before the token does, so that one more try can save it."""

    last_pause: float = 5.0
    """If Retry-After outlives the token by at most this much, the lease holder waits it out.

    Callers wait for 10 s (`caller_wait`), so they get a token instead of a failure.
    """

    save_pause: float = 1.0
    """The pause between two tries to store a rotated refresh token; times 0.5 to 1.5, by chance."""

    save_for: float = 6 * 3600.0
    """How long a process tries to store a rotated refresh token before it gives up.

    The token is in memory only, and Wix has revoked its predecessor: giving up costs the site owner
    a reinstall. Six hours outlast the outage of a database that nobody notices before the morning.
    """

    def advisory_window(self, lifetime: float) -> float:
        """Return the length of the advisory window of a token granted for `lifetime` seconds."""
        return min(self.advisory_max, self.advisory_share * lifetime)

    def mandatory_window(self, lifetime: float) -> float:
        """Return the length of the mandatory window of a token granted for `lifetime` seconds."""
        return min(self.mandatory_max, self.mandatory_share * lifetime)
