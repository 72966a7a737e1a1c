"""The errors on their way to another process: through pickles, copies and pools of workers."""

from __future__ import annotations

import copy
import json
import multiprocessing
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest

from tests.limits import PATIENCE
from wix_asgi import errors
from wix_asgi.errors import (
    CallerReason,
    HandshakeRefused,
    Reason,
    StorageUnavailable,
    Unauthenticated,
    UnknownKey,
    WixError,
    WixUnavailable,
)

TOLD = "What went wrong here."
BARE = [
    getattr(errors, name)
    for name in errors.__all__
    if name not in {"CallerReason", "HandshakeRefused", "Reason", "UnknownKey"}
]


class OfTheApp(WixError):
    """An error that an app derives from ours, with arguments of its own."""

    def __init__(self, order: int, *, shop: str) -> None:
        self.order = order
        self.shop = shop
        super().__init__(f"Order {order} of {shop} is lost.")


ERRORS: list[WixError] = [
    *(error(TOLD) for error in BARE),
    HandshakeRefused(Reason.DENIED),
    HandshakeRefused(Reason.BAD_REQUEST, TOLD, status=414, headers={"Allow": "GET"}),
    UnknownKey("0a1b2c3d"),
    Unauthenticated(TOLD, reason=CallerReason.FORGED, instance_id="site-1", headers={"X": "1"}),
    StorageUnavailable(TOLD, retry_after=9.5),
    WixUnavailable(TOLD, asked=17.5, unsent=True),
    OfTheApp(7, shop="shop-1"),
]


def pickled(protocol: int) -> Callable[[WixError], Any]:
    """Return a function that writes an error to bytes of this protocol, and reads it again."""
    return lambda error: pickle.loads(pickle.dumps(error, protocol))  # noqa: S301 - our own


WAYS: dict[str, Callable[[WixError], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"pickle {number}": pickled(number) for number in range(pickle.HIGHEST_PROTOCOL + 1)},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_arrives_as_it_left(error: WixError, way: str) -> None:
    """A copied or pickled error has its class, message, arguments, attributes and notes."""
    sent = copy.copy(error)
    sent.add_note("A note of the app.")
    arrived = WAYS[way](sent)

    assert type(sent) is type(arrived)
    assert (str(sent), sent.args, vars(sent)) == (str(arrived), arrived.args, vars(arrived))
    assert ["A note of the app."] == arrived.__notes__
    assert sent is not arrived


@pytest.mark.parametrize("error", ERRORS[:-1], ids=lambda error: type(error).__name__)
def test_an_error_is_made_anew_of_its_args(error: WixError) -> None:
    """Celery writes the class and the `args` of an error as JSON, and makes it anew of them."""
    args = json.loads(json.dumps(error.args))
    again = type(error)(*args)

    assert (str(error), error.args) == (str(again), again.args)


def test_the_reason_of_a_refusal_is_among_its_args() -> None:
    """A refusal that was made anew of its `args` has its reason, and the status of that."""
    refused = HandshakeRefused(*json.loads(json.dumps(HandshakeRefused(Reason.DENIED, TOLD).args)))

    assert Reason.DENIED is refused.reason
    assert (TOLD, 403) == (str(refused), refused.status)


def refuse() -> None:
    """Be a job that fails in another process."""
    raise HandshakeRefused(Reason.DENIED, TOLD, status=418)


def test_an_error_leaves_a_pool_of_processes() -> None:
    """The error of a job in another process is raised in this one, with its attributes."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn) as pool, pytest.raises(HandshakeRefused) as caught:
        pool.submit(refuse).result(PATIENCE)

    assert (TOLD, Reason.DENIED, 418) == (
        str(caught.value),
        caught.value.reason,
        caught.value.status,
    )
