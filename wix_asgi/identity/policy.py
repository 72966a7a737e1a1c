"""Every number of callers by access token, with its unit, its reason and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TokenPolicy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPolicy:
    """The bounds of the questions to Wix about access tokens, and for how long answers are kept.

    Anybody can send an access token, so that anybody can cause a question. All durations are
    seconds, and all bounds are for a process.
    """

    # Known answers

    keep_for: float = 300.0
    """How long an answer about a good token is used, unless the token ends before.

    Wix's access tokens live 5 minutes to 4 hours. A token that Wix ends earlier, since its
    user was removed from a site, is good here for this time.
    """

    keep_refused_for: float = 60.0
    """How long a refusal is remembered: a forgery that is sent again costs Wix nothing.

    A minute bounds the harm of a wrong answer of Wix about a good token.
    """

    max_kept: int = 10_000
    """Good tokens that are remembered; the one used least recently goes first.

    The number of access tokens in memory (`RefreshPolicy.max_cached_tokens`); an answer takes
    about a kilobyte.
    """

    max_refused: int = 4096
    """Refused tokens that are remembered, apart from the good ones, which strangers cannot oust.

    More than `questions_per_second` brings in `keep_refused_for` (3,100).
    """

    # Questions

    max_questions: int = 20
    """Questions that are at Wix at one time.

    At the 0.2 s that Wix takes for one they are a hundred a second, twice `questions_per_second`.
    """

    questions_per_second: float = 50.0
    questions_burst: int = 100
    """The rate of the questions, and how many are asked at once after a pause.

    The fifty a second that installs may ask (`MAX_EXCHANGES`). Asked once in five minutes, they
    are enough for the dashboards of 15,000 people at one time.
    """

    max_queue: int = 200
    """Questions that wait for their turn, each with its request in memory.

    The queue of installs has the same length (`_code_exchange`). Where it is full, the
    network of clients with the most in it gives up its newest.
    """

    queue_wait: float = 1.0
    """How long a question waits for its turn and then for the rate, until its caller gets 503."""

    # Wix

    caller_wait: float = 10.0
    """How long a caller waits for an answer, as for a token (`RefreshPolicy.caller_wait`).

    The question goes on, and its answer is kept.
    """

    max_tries: int = 2
    total_seconds: float = 8.0
    """Tries of a question, and the seconds of one: a hanging Wix keeps no slot for longer."""
