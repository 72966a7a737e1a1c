"""A worker that applies one event to a site, and whose hooks say that they were told.

`python -m tests.processes.ending NAME EVENT_TYPE SITE`, with the settings in the environment. A
worker named "deleting" stops behind the delete of a row, and one that is named "adding" behind the
write of a new row.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from functools import partial
from typing import Any

import anyio

from tests.processes.interruptible import run
from tests.processes.owed import say
from wix_asgi import Installation, Wix
from wix_asgi.handshake.on_install import OnInstall
from wix_asgi.handshake.policy import OnInstallPolicy
from wix_asgi.protocol.webhook_event import SignedEvent
from wix_asgi.tokens.presence import Presence
from wix_asgi.webhooks.lifecycle import Lifecycle

__all__: list[str] = []

_STEPS = {"deleting": "delete", "adding": "add_and_get"}


def lifecycle_of(wix: Wix) -> Lifecycle:
    """Return the parts that apply events, which wait for no callback."""
    tokens, on_install = wix._tokens, wix.handshake.on_install
    assert isinstance(on_install, OnInstall)
    on_install._policy = OnInstallPolicy(callback_wait=0.0, poll_pause=0.1)
    return Lifecycle(
        app_id=wix.settings.app_id,
        flow=wix.settings.flow,
        installations=wix._installations,
        refresher=tokens._refresher,
        tokens=tokens,
        presence=Presence(tokens._refresher, wix._detached),
        removal=wix._removal,
        pay_on_install=on_install.pay,
        forget=tokens.forget,
    )


async def work(name: str, event_type: str, site: str) -> None:
    """Apply the event, and live on; print each step."""

    async def tell(hook: str, installation: Installation) -> None:
        say(f"{name} is told by {hook} of {installation.instance_id}")

    wix = Wix(on_install=partial(tell, "on_install"), on_uninstall=partial(tell, "on_uninstall"))
    async with wix:
        if name in _STEPS:
            step = getattr(wix.storage, _STEPS[name])

            async def stop_behind(*args: Any, **options: Any) -> None:
                await step(*args, **options)
                say(f"{name} is behind it")
                await anyio.sleep_forever()

            setattr(wix.storage, _STEPS[name], stop_behind)
        event = SignedEvent(
            event_type=event_type,
            instance_id=site,
            data={"appId": wix.settings.app_id},
            issued_at=datetime.now(UTC),
            text="",
        )
        await lifecycle_of(wix).apply(event)
        say(f"{name} has applied {event_type}")
        await anyio.sleep_forever()


if __name__ == "__main__":
    run(work, sys.argv[1], sys.argv[2], sys.argv[3])
