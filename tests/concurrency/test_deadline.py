"""A deadline that moves while its block runs, on both event loops."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from tests.limits import PATIENCE
from wix_asgi.concurrency.deadline import Deadline

SOON = 0.01
"""Seconds of a deadline that comes while its block waits."""


async def test_a_block_that_ends_in_time_is_not_cancelled() -> None:
    """Nothing happens to it, then or later."""
    async with Deadline(PATIENCE) as deadline:
        await anyio.lowlevel.checkpoint()
    deadline.move(0)

    assert not deadline.has_cancelled


async def test_a_block_is_cancelled_when_its_time_is_over() -> None:
    """It does not go on, and the code behind it does."""
    steps = ["before"]
    async with Deadline(SOON) as deadline:
        await anyio.sleep(PATIENCE)
        steps.append("inside")

    assert deadline.has_cancelled
    assert ["before"] == steps


@pytest.mark.parametrize(("first", "then"), [(PATIENCE, 0.0), (PATIENCE, SOON), (SOON, 2 * SOON)])
async def test_a_deadline_can_be_moved(first: float, then: float) -> None:
    """The block ends at the moment to which it was moved last."""
    async with Deadline(first) as deadline:
        moved_at = anyio.current_time()
        deadline.move(then)
        await anyio.sleep(PATIENCE)

    assert deadline.has_cancelled
    assert anyio.current_time() >= moved_at + then


async def test_a_block_that_is_being_cancelled_stays_cancelled() -> None:
    """Moving the deadline comes too late then, and does no harm."""
    async with Deadline(0) as deadline:
        try:
            await anyio.sleep(PATIENCE)
        finally:
            deadline.move(PATIENCE)

    assert deadline.has_cancelled


@pytest.mark.parametrize("error", [TimeoutError("mine"), LookupError("mine")])
async def test_an_error_of_the_block_passes(error: Exception) -> None:
    """It is the block's own, also where it is raised while the block is being cancelled."""
    with pytest.raises(type(error), match="mine"):
        async with Deadline(PATIENCE):
            raise error
    with pytest.raises(type(error), match="mine"):
        await raise_when_cancelled(error)


async def raise_when_cancelled(error: Exception) -> None:
    """Raise while the deadline cancels."""
    async with Deadline(0):
        try:
            await anyio.sleep(PATIENCE)
        finally:
            raise error


async def test_a_cancellation_from_outside_passes() -> None:
    """The deadline takes only its own."""
    with anyio.CancelScope() as scope:
        async with Deadline(PATIENCE) as deadline:
            scope.cancel()
            await anyio.sleep(PATIENCE)

    assert scope.cancelled_caught
    assert not deadline.has_cancelled
