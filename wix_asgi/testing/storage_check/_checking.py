"""Runs the cases on a store that is in use."""

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
from wix_asgi.testing.storage_check._sandbox import Sandbox
from wix_asgi.testing.storage_check.cases import Function
from wix_asgi.testing.storage_check.catalogue import capability, expand, functions

__all__ = ["CHECK_SECONDS", "Finding", "check"]

# Seconds for one case: twice the ten within which a storage has to report an unreachable store, so
# that a case fails by the storage's own error wherever there is one.
_CASE_SECONDS: Final = 20.0

CHECK_SECONDS: Final = 120.0
"""Seconds for all cases: they take some on a local database, and two minutes do for a slow one."""

# Seconds for removing the records and claims of one case: the ten of a storage's own operations.
_CLEANING_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that a store does not keep, or the cases that were not checked.

    Attributes:
        rule: The rule of the contract, in one sentence.
        case: The name of the case, as pytest shows it when the suite is run.
        seen: The line of the case that failed, with the kind of the error; no value of a record.
        capability: The protocol of `wix_asgi.storage` whose rule it is, such as `EventStorage`.
        unchecked: The number of cases that were not checked; 0 in a finding of a broken rule.
    """

    rule: str
    case: str
    seen: str
    capability: str = Storage.__name__
    unchecked: int = 0


@dataclass(frozen=True, slots=True)
class _Case:
    function: Function
    name: str
    run: Callable[[Storage], Awaitable[None]]


async def check(
    storage: Storage,
    *,
    seconds: float = CHECK_SECONDS,
    case_seconds: float = _CASE_SECONDS,
    cleaning_seconds: float = _CLEANING_SECONDS,
) -> list[Finding]:
    """Check whether an open storage keeps the contract, and leave its contents as they were.

    The storage may be in use. The cases write under random app ids and names that begin with
    `wix-asgi-check-`; all of it is removed again, also after a failure or a cancellation. Nothing
    is purged, and the storage stays open. The cases of a `ClaimReader`, of an `AddingStorage`,
    of a `CombiningStorage`, of a `RestoringStorage` and of an `EventStorage` are among them if
    it is one.

    Args:
        storage: An open storage.
        seconds: Seconds after which the case under way is given up, and no further one is begun.
        case_seconds: Seconds after which a case is given up, and counted as a finding.
        cleaning_seconds: Seconds that removing the records of a case may take.

    Returns:
        The rules that the storage breaks; an empty list if it keeps all of them. If the time is up
        or the store stops answering before the end of the last case, the last finding has the
        number of `unchecked` cases, which are not said to be broken.

    Raises:
        RuntimeError: Python leaves out assertions (`-O`), so that nothing would be found.
    """
    if not __debug__:
        raise RuntimeError(
            "A storage cannot be checked by a Python that leaves out assertions: "
            "run it without -O and PYTHONOPTIMIZE."
        )
    cases, checked, findings = [*_cases(storage)], 0, list[Finding]()
    deadline = anyio.current_time() + seconds
    for case in cases:
        if (left := deadline - anyio.current_time()) <= 0:
            break
        is_done, found = await _check_one(storage, case, left, case_seconds, cleaning_seconds)
        checked += is_done
        findings += found
        if found and not await _answers(storage, case_seconds):
            break
    if unchecked := len(cases) - checked:
        seen = f"{unchecked} of {len(cases)} cases, when the time was up or nothing answered"
        findings.append(Finding("Every rule is looked at.", "check", seen, unchecked=unchecked))
    return findings


def _cases(storage: Storage) -> Iterator[_Case]:
    for function in functions(storage):
        for name, run in expand(function):
            yield _Case(function, name, run)


async def _check_one(
    storage: Storage, case: _Case, left: float, case_seconds: float, cleaning_seconds: float
) -> tuple[bool, list[Finding]]:
    """Return whether the case came to its end in the seconds `left`, and what it found."""
    rule = (inspect.getdoc(case.function) or "").partition("\n")[0]
    kind = capability(case.function)
    sandbox, findings, is_done = Sandbox(storage), list[Finding](), True
    try:
        with anyio.move_on_after(min(left, case_seconds)) as scope:
            await case.run(sandbox)
        if scope.cancelled_caught and left < case_seconds:
            is_done = False
        elif scope.cancelled_caught:
            findings.append(Finding(rule, case.name, "it was not done when its time was up", kind))
    except Exception as exc:
        findings.append(Finding(rule, case.name, _seen(exc, case.function), kind))
    finally:
        errors: list[Exception] = [TimeoutError()]
        with anyio.move_on_after(cleaning_seconds, shield=True):
            errors = await sandbox.remove_all()
    if errors:
        kinds = ", ".join(sorted({type(error).__name__ for error in errors}))
        seen = f"something is left under {sandbox.prefix}… ({kinds})"
        findings.append(Finding("What was written can be removed.", case.name, seen, kind))
    return is_done, findings


async def _answers(storage: Storage, seconds: float) -> bool:
    try:
        with anyio.fail_after(seconds):
            await storage.get(f"wix-asgi-check-{secrets.token_hex(8)}", "nobody")
    except Exception:
        return False
    return True


def _seen(error: Exception, function: Function) -> str:
    """Return the kind of the error, and the line of the case that raised it.

    The line is source text, and so contains no value of a record.
    """
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
