"""Every number of a callback, with its unit, its reason and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CallbackPolicy", "OnInstallPolicy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackPolicy:
    """The bounds, waits and pauses of callbacks; the defaults hold for every app.

    All durations are seconds.
    """

    # The storage, before which strangers queue

    max_claims: int = 4
    """Callbacks of one event loop that may write a claim at one time.

    One less than the connections that the smallest storage pool has (5), so that one is left for
    refreshes and for the installs whose code is spent.
    """

    claim_wait: float = 0.5
    """How long a callback waits for its turn to claim, and then gets 503 with its state unspent.

    Half of the second within which a browser is told; a claim takes some milliseconds, so a longer
    queue is the storage's failure.
    """

    max_questions: int = 2
    """Reads of one event loop about used states that may be under way at one time.

    They only make an answer kinder: loads above the bound get the less kind answer.
    """

    questions_per_second: float = 10.0
    questions_burst: int = 20
    """The rate of those reads for loads without the cookie of their flow, which anybody can send.

    A read takes about a millisecond of the event loop, so strangers get a hundredth of it. (At
    fifty, refreshes took 0.27 s at p99 beside 900 loads a second: `chaos anonymous`.)
    """

    claims_per_second: float = 100.0
    claims_burst: int = 500
    """The rate at which callbacks of a process may use states up, and how many at once.

    Twice the fifty installs a second that ask Wix at most (`MAX_EXCHANGES`), which is far more than
    an app has. With two names for each, kept for 16 minutes, strangers leave 192,000 rows at most.
    """

    denials_per_second: float = 5.0
    denials_burst: int = 20
    """The rate at which callbacks without a code (`?error=`) may leave a row in the storage.

    A twentieth of all: site owners seldom say no, and anybody can write the address. A state above
    the rate ends with its cookie, and leaves nothing.
    """

    max_known: int = 4096
    """Used states that are remembered in the memory of an event loop; the oldest goes first.

    One takes some 300 bytes. A forgotten state costs one question to the storage when it comes
    again.
    """

    # The browser

    answer_wait: float = 10.0
    """How long a browser waits for an install that was granted its tokens, until it gets 202.

    Well under the 30 s after which a gateway such as Heroku's gives the request up. The install
    goes on.
    """

    refresh_after: int = 5
    """Whole seconds after which that page loads the callback again."""

    # A grant in hand

    retry_pause: float = 1.0
    max_retry_pause: float = 5.0
    """The pause between two tries to finish an install whose code is spent: from the first,
    doubled, up to the last; times 0.5 to 1.5, by chance.

    Short enough for some tries within the ten seconds that an orderly shutdown waits.
    """

    keep_for: float = 6 * 3600.0
    """How long a process tries to finish such an install before it gives up.

    The grant is in memory only, and its code is spent: giving up costs the site owner a reinstall.
    Six hours outlast the outage of a database that nobody notices before the morning.
    """

    line_interval: float = 600.0
    """Seconds between two log lines about one such install."""

    token_reserve: float = 20.0
    """An access token that ends within this time is renewed before Wix is asked whose it is.

    Longer than one question may take with its repeats (15 s).
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class OnInstallPolicy:
    """The lease under which `on_install` is told of an installation; durations are seconds."""

    lease_ttl: float = 10.0
    """How long the lease lasts unless it is renewed: the wait for the debt of a killed process.

    A third of it passes between two renewals, so that two of them may fail (`OnlyOnePolicy`).
    """

    callback_wait: float = 3.0
    """How long a debt without a request waits for the callback of the same install.

    Wix sends AppInstalled at the moment in which it sends the browser back: the two questions of a
    callback take about a second. Whoever comes first tells, and only a callback has a browser to
    which the response of a hook can be sent. A choice, not a measurement.
    """

    poll_pause: float = 1.0
    """The pause between two tries for a lease that another process has, or at a storage that fails;
    times 0.5 to 1.5, by chance.

    A try is a write to the storage. The other process is in the app's hook, which may take long.
    """

    max_owed: int = 10
    """Installations without a request that an event loop tells at one time; the rest queue.

    As many as the threads that plain `on_install` hooks have (`HookPolicy`). An app that moves its
    sites here may owe thousands, and each that is told renews a lease meanwhile.
    """
