"""The cases of a `wix_asgi.storage.EventStorage`, for a storage that is one, for pytest."""

# ruff: noqa: F403 # the cases have their names from other modules

from __future__ import annotations

from wix_asgi.testing.storage import event_lifecycle, event_purging
from wix_asgi.testing.storage._marks import mark
from wix_asgi.testing.storage.event_lifecycle import *
from wix_asgi.testing.storage.event_purging import *
from wix_asgi.testing.storage_check import (
    events_counted,
    events_ended,
    events_kept,
    events_known,
    events_listed,
    events_operated,
    events_owned,
    events_taken,
)
from wix_asgi.testing.storage_check.catalogue import EVENTS
from wix_asgi.testing.storage_check.events_counted import *
from wix_asgi.testing.storage_check.events_ended import *
from wix_asgi.testing.storage_check.events_kept import *
from wix_asgi.testing.storage_check.events_known import *
from wix_asgi.testing.storage_check.events_listed import *
from wix_asgi.testing.storage_check.events_operated import *
from wix_asgi.testing.storage_check.events_owned import *
from wix_asgi.testing.storage_check.events_taken import *

__all__: list[str] = []
__all__ += [name for name in event_lifecycle.__all__ if name.startswith("test_")]
__all__ += event_purging.__all__
__all__ += events_counted.__all__
__all__ += events_ended.__all__
__all__ += events_kept.__all__
__all__ += events_known.__all__
__all__ += events_listed.__all__
__all__ += events_operated.__all__
__all__ += events_owned.__all__
__all__ += events_taken.__all__

mark(getattr(module, name) for module in EVENTS for name in module.__all__)
