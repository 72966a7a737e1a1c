"""Goes through the cases on a store that is in use."""

from __future__ import annotations

import inspect
import linecache
import secrets
import traceback
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Final

import anyio

from wix_asgi.storage import Storage
from wix_asgi.testing.storage_check import claims, keys, removals, round_trips, scanning, versions
from wix_asgi.testing.storage_check._sandbox import Sandbox
from wix_asgi.testing.storage_check.cases import Function, expand, functions

__all__ = ["MODULES", "Finding", "check"]

MODULES: Final = (round_trips, keys, versions, removals, claims, scanning)
"""The modules of the cases that a store in use may be asked, in the order of asking."""

_LONGEST: Final = 20.0
_CLEANING: Final = 10.0


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that a store does not keep.

    Attributes:
        rule: What is so in every store that keeps the contract, in one sentence.
        case: The name of the case, as pytest shows it where the kit is run.
        seen: The line that did not hold, or what was raised there; no value of a record.
    """

    rule: str
    case: str
    seen: str


@dataclass(frozen=True, slots=True)
class _Case:
    function: Function
    name: str
    run: Callable[[Storage], Awaitable[None]]


async def check(storage: Storage, *, seconds: float = 120.0) -> list[Finding]:
    """Try on an open storage whether it keeps the contract, and leave it as it was.

    The storage may be in use. All is written under app ids and names of the check's own, which
    begin with `wix-asgi-check-` and are random, and is removed again, also after a failure or
    when the caller gives up. Nothing is purged, and the storage stays open.

    Returns:
        What is wrong; nothing where all is well. No more cases are begun after `seconds`, or once
        the store does not answer; that is told as well.

    Raises:
        RuntimeError: Python leaves out assertions (`-O`), so that nothing would be found.
    """
    if not __debug__:
        raise RuntimeError("A storage cannot be checked by a Python that leaves out assertions.")
    todo = [*_cases()]
    known, findings = len(todo), list[Finding]()
    deadline = anyio.current_time() + seconds
    while todo and (left := deadline - anyio.current_time()) > 0:
        found = await _check_one(storage, todo.pop(0), min(left, _LONGEST))
        findings += found
        if found and not await _answers(storage):
            break
    if todo:
        seen = f"{len(todo)} of {known} were left when time was up or nothing answered"
        findings.append(Finding("Every rule is looked at.", "check", seen))
    return findings


def _cases() -> Iterator[_Case]:
    for function in functions(*MODULES):
        for name, run in expand(function):
            yield _Case(function, name, run)


async def _check_one(storage: Storage, case: _Case, longest: float) -> list[Finding]:
    rule = (inspect.getdoc(case.function) or "").partition("\n")[0]
    sandbox, findings = Sandbox(storage), list[Finding]()
    try:
        with anyio.move_on_after(longest) as scope:
            await case.run(sandbox)
        if scope.cancelled_caught:
            findings.append(Finding(rule, case.name, "it was not done when its time was up"))
    except Exception as exc:
        findings.append(Finding(rule, case.name, _seen(exc, case.function)))
    finally:
        errors: list[Exception] = [TimeoutError()]
        with anyio.move_on_after(_CLEANING, shield=True):
            errors = await sandbox.remove_all()
    if errors:
        kinds = ", ".join(sorted({type(error).__name__ for error in errors}))
        seen = f"something is left under {sandbox.prefix}… ({kinds})"
        findings.append(Finding("What was written can be removed.", case.name, seen))
    return findings


async def _answers(storage: Storage) -> bool:
    try:
        with anyio.fail_after(_LONGEST):
            await storage.get(f"wix-asgi-check-{secrets.token_hex(8)}", "nobody")
    except Exception:
        return False
    return True


def _seen(error: Exception, function: Function) -> str:
    """Return the line of the case where it failed, and how; the line has no value in it."""
    frames = traceback.extract_tb(error.__traceback__)
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
        frames += traceback.extract_tb(error.__traceback__)
    source = inspect.getfile(function)
    *_, frame = (frame for frame in frames if frame.filename == source)
    first = frame.lineno or 0
    lines = linecache.getlines(source)[first - 1 : frame.end_lineno or first]
    kind = type(error).__name__
    if error.__cause__ is not None:
        kind += f" from {type(error.__cause__).__name__}"
    return f"{kind} at: {' '.join(' '.join(lines).split())}"
