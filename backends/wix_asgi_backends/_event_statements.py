"""Every operation on events as one SQL statement, built once for a dialect.

As in `_statements.py`: times come from the database's clock, and names of parameters begin with
`the_`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Select,
    bindparam,
    case,
    delete,
    func,
    literal_column,
    null,
    or_,
    select,
    tuple_,
    type_coerce,
    union_all,
    update,
)
from sqlalchemy.types import NullType

from wix_asgi.models import EventState
from wix_asgi_backends._schema import EVENTS, Key
from wix_asgi_backends._statements import BegunMs, NowMs

if TYPE_CHECKING:
    # Each storage brings the dialect of its own.
    from sqlalchemy.dialects import postgresql, sqlite

__all__ = ["COUNT", "LISTS", "READ_EVENT", "EventWrites"]

_MOST: Final = 1_000_000_000
"""Attempts that are counted: a number by another hand must not fail the statement for all rows."""

_NOW: Final = NowMs()
_ROW: Final = EVENTS.c
_APP: Final = bindparam("the_app", type_=Key)
_OWNER: Final[BindParameter[str]] = bindparam("the_owner")
_LIMIT: Final = bindparam("the_limit", type_=BigInteger)
_OF_APP: Final = _ROW.app_id == _APP
_OF_KEY: Final = _OF_APP & (_ROW.event_id == bindparam("the_event", type_=Key))


def _state(state: EventState) -> ColumnElement[str]:
    """Return the literal for a state: no parameter, so that a planner finds the partial index."""
    return literal_column(f"'{state}'")


_IS_WAITING: Final = _ROW.due_at.is_not(None)
_IS_TAKEN: Final = _ROW.taken_due_at.is_not(None)
_IS_OWNED: Final = (_ROW.owner == _OWNER) & _IS_TAKEN
_IS_NOT_DONE: Final = _ROW.state != _state(EventState.DONE)
_IS_DEAD: Final = _IS_NOT_DONE & (_ROW.state == _state(EventState.DEAD))

# As the driver gives them, and subtracted by the reader, as in `_statements.py`.
_VALUES: Final[list[Any]] = [
    *[type_coerce(column, NullType()).label(column.key) for column in _ROW],
    _NOW.label("now"),
]

READ_EVENT: Final = select(*_VALUES).where(_OF_KEY)


def _page(*conditions: ColumnElement[bool]) -> Any:
    behind = _ROW.event_id > bindparam("the_start")
    page = select(*_VALUES).where(_OF_APP, behind, *conditions)
    return page.order_by(_ROW.event_id).limit(_LIMIT)


LISTS: Final[dict[EventState | None, Select[Any]]] = {
    None: _page(),
    EventState.WAITING: _page(_IS_NOT_DONE, _ROW.state == _state(EventState.WAITING)),
    EventState.DONE: _page(_ROW.state == _state(EventState.DONE)),
    EventState.DEAD: _page(_IS_DEAD),
}


def _count() -> Any:
    dead = select(_ROW.event_id).where(_OF_APP, _IS_DEAD).limit(_LIMIT)
    waiting = select(
        func.count().label("number"), func.min(_ROW.received_at).label("oldest")
    ).where(_OF_APP, _IS_WAITING)
    of_waiting = waiting.subquery("waiting")
    return select(
        of_waiting.c.number.label("waiting"),
        of_waiting.c.oldest,
        select(func.count()).select_from(dead.subquery("dead")).scalar_subquery().label("dead"),
        select(func.min(_ROW.expires_at))
        .where(_OF_APP, _IS_DEAD)
        .scalar_subquery()
        .label("next_dead"),
        _NOW.label("now"),
    )


COUNT: Final = _count()


def _later(name: str) -> Any:
    return _NOW + bindparam(name, type_=BigInteger)


def _nobody(**changes: Any) -> dict[str, Any]:
    """Return the changes of an event without an owner from now on."""
    return {"taken_due_at": null()} | changes


def _noted() -> dict[str, Any]:
    failure: BindParameter[str | None] = bindparam("the_failure")
    latest = func.coalesce(failure, _ROW.failure)
    return {"outcomes": bindparam("the_outcomes"), "failure": latest}


def _ended(state: EventState, **changes: Any) -> dict[str, Any]:
    payload = {"payload": null()} if state == EventState.DONE else {}
    ended = {"state": _state(state), "due_at": null(), "expires_at": _later("the_keep")}
    return _nobody(**ended, **payload, **changes)


class EventWrites:
    """The statements that change events, for the dialect that `insert` belongs to.

    Where nobody knows whether an earlier attempt was carried out, a statement whose name ends with
    `again` is the next attempt: it finds the event in the state after the earlier one, too.

    Args:
        insert: The dialect's function.
        returning: Whether `take` returns the events. In SQLite it may not: a caller that gives up
            would leave the cursor on the rows open, and with it the lock of the whole file.
    """

    def __init__(
        self,
        insert: Callable[[Any], postgresql.Insert] | Callable[[Any], sqlite.Insert],
        *,
        returning: bool,
    ) -> None:
        new: dict[str, Any] = {
            "event_id": bindparam("the_event", type_=Key),
            "app_id": _APP,
            "alias": bindparam("the_alias", type_=Key),
            "event_type": bindparam("the_type", type_=Key),
            "instance_id": bindparam("the_instance", type_=Key),
            "payload": bindparam("the_payload"),
            "issued_at": bindparam("the_issued_at"),
            "received_at": _NOW,
            "state": _state(EventState.WAITING),
            "attempts": bindparam("the_attempts"),
            "due_at": _later("the_due_in"),
            "outcomes": bindparam("the_outcomes"),
            "failure": bindparam("the_failure"),
        }
        # On a conflict of either key.
        self.add: Final = insert(EVENTS).values(new).on_conflict_do_nothing()
        take, held = _take(), select(*_VALUES).where(_OF_APP, _IS_OWNED)
        self.take: Final = (take.returning(*_VALUES),) if returning else (take, held)
        change = update(EVENTS).where(_OF_KEY)
        self.renew: Final = change.where(_IS_OWNED).values(
            due_at=_later("the_lease"), outcomes=bindparam("the_outcomes")
        )
        of_owner = change.where(_ROW.owner == _OWNER)
        ending = {
            state: change.values(_ended(state, **_noted()))
            for state in (EventState.DONE, EventState.DEAD)
        }
        self.finish: Final = {state: end.where(_IS_OWNED) for state, end in ending.items()}
        self.finish_again: Final = {
            state: end.where(_ROW.owner == _OWNER, or_(_IS_TAKEN, _ROW.state == _state(state)))
            for state, end in ending.items()
        }
        is_counted = _IS_TAKEN & (_ROW.attempts > 0)
        postpone = of_owner.values(
            _nobody(
                due_at=_later("the_delay"),
                attempts=_ROW.attempts - case((is_counted, bindparam("the_uncounted")), else_=0),
                **_noted(),
            )
        )
        self.postpone: Final = postpone.where(_IS_TAKEN)
        self.postpone_again: Final = postpone.where(_IS_WAITING)
        is_free = or_(~_IS_TAKEN, _ROW.due_at <= _NOW)
        self.retry: Final = change.where(or_(_IS_DEAD, _IS_WAITING & is_free)).values(
            _nobody(
                state=_state(EventState.WAITING),
                due_at=_NOW,
                expires_at=null(),
                attempts=0,
                outcomes=bindparam("the_outcomes"),
                owner=null(),
            )
        )
        self.retry_expected: Final = self.retry.where(_ROW.outcomes == bindparam("the_expected"))
        drop = change.values(_ended(EventState.DONE, owner=null()))
        self.drop: Final = drop.where(_IS_NOT_DONE)
        self.drop_again: Final = drop.where(or_(_IS_NOT_DONE, _ROW.owner.is_(None)))
        self.forget: Final = delete(EVENTS).where(_OF_KEY)
        expected = _ROW.payload == bindparam("the_expected")
        reseal = change.values(payload=bindparam("the_payload"))
        self.reseal: Final = reseal.where(expected)
        self.reseal_again: Final = reseal.where(
            or_(expected, _ROW.payload == bindparam("the_payload"))
        )
        batch = EVENTS.alias("batch")
        oldest = (
            select(batch.c.event_id, batch.c.app_id)
            .where(batch.c.expires_at <= BegunMs())
            # Makes every planner use the index, however many events have ended.
            .order_by(batch.c.expires_at)
            .limit(_LIMIT)
        )
        # Compared again, as for claims: a dead letter may have been made to wait again meanwhile.
        self.purge: Final = delete(EVENTS).where(
            tuple_(_ROW.event_id, _ROW.app_id).in_(oldest), _ROW.expires_at <= _NOW
        )


def _take() -> Any:
    held, due, event = EVENTS.alias("held"), EVENTS.alias("due"), EVENTS.c
    earlier = select(held.c.event_id, held.c.due_at, literal_column("0").label("rank")).where(
        held.c.app_id == _APP, held.c.owner == _OWNER, held.c.taken_due_at.is_not(None)
    )
    is_held = (due.c.owner == _OWNER) & due.c.taken_due_at.is_not(None)
    longest = (
        select(due.c.event_id, due.c.due_at, literal_column("1").label("rank"))
        .where(
            due.c.app_id == _APP,
            due.c.due_at <= BegunMs(),
            # Where the owner is null, too, as a comparison would not be.
            case((is_held, 0), else_=1) == 1,
        )
        .order_by(due.c.due_at)
        .limit(_LIMIT)
        # Rows that another process is about to change are left to it: nobody waits.
        .with_for_update(skip_locked=True)
        # Locks cannot be in a part of a union, but in a query of their own.
        .cte("longest_due")
    )
    both = union_all(earlier, select(longest)).subquery("both")
    taken = select(both.c.event_id).order_by(both.c.rank, both.c.due_at).limit(_LIMIT)
    # Compared again: the row may have changed before its lock was got. No index helps to find this
    # form, so that planners look up the few chosen events, and not all due ones.
    is_ours = case((_IS_OWNED, 1), (event.due_at <= _NOW, 1), else_=0) == 1
    return (
        update(EVENTS)
        .where(_OF_APP, event.event_id.in_(taken), is_ours)
        .values(
            owner=_OWNER,
            attempts=event.attempts + case((_IS_OWNED | (event.attempts >= _MOST), 0), else_=1),
            taken_due_at=case((_IS_OWNED, event.taken_due_at), else_=event.due_at),
            due_at=_later("the_lease"),
        )
    )
