"""The contract of `wix_asgi.storage.Storage` as cases for pytest, for the authors of backends.

A test module with one fixture and one import runs the whole suite:

    from functools import partial

    import pytest
    from wix_asgi.testing.storage import *

    @pytest.fixture
    def make_storage(tmp_path):
        return partial(JsonFileStorage, tmp_path / "store.json")

`make_storage` returns a function; each call of the function creates another storage over the same
store, not opened. The store is empty when a test begins. More imports test abilities that not every
store has:

    from wix_asgi.testing.storage.adding import *  # it is an `AddingStorage`
    from wix_asgi.testing.storage.claim_owners import *  # it is a `ClaimReader`
    from wix_asgi.testing.storage.combining import *  # it is a `CombiningStorage`
    from wix_asgi.testing.storage.events import *       # it is an `EventStorage`
    from wix_asgi.testing.storage.processes import *    # processes share it; the function pickles
    from wix_asgi.testing.storage.restoring import *  # it is a `RestoringStorage`
    from wix_asgi.testing.storage.unreachable import *  # it may be down: `unreachable_storage`

An `EventStorage` of the last two kinds has cases of its own for them:

    from wix_asgi.testing.storage.event_processes import *
    from wix_asgi.testing.storage.event_unreachable import *

Two fixtures have defaults, and may be overridden beneath the import: `anyio_backend` names the
event loop (asyncio), and `connections_in_use` returns a function that counts the connections of a
storage which were not given back.
"""

# ruff: noqa: E402, F403, F405 # pytest shows both sides of an assert only in modules named before

import sys

import pytest

_MODULES = [
    f"wix_asgi.testing.{name}"
    for name in (
        "storage._fixtures",
        "storage.event_lifecycle",
        "storage.event_processes",
        "storage.event_purging",
        "storage.event_unreachable",
        "storage.lifecycle",
        "storage.processes",
        "storage.purging",
        "storage.unreachable",
        "storage_check",
    )
]
pytest.register_assert_rewrite(*[name for name in _MODULES if name not in sys.modules])

from wix_asgi.testing.storage import lifecycle, purging
from wix_asgi.testing.storage._fixtures import *
from wix_asgi.testing.storage._marks import mark
from wix_asgi.testing.storage.lifecycle import *
from wix_asgi.testing.storage.purging import *
from wix_asgi.testing.storage_check import claims, keys, removals, round_trips, scanning, versions
from wix_asgi.testing.storage_check.catalogue import functions
from wix_asgi.testing.storage_check.claims import *
from wix_asgi.testing.storage_check.keys import *
from wix_asgi.testing.storage_check.removals import *
from wix_asgi.testing.storage_check.round_trips import *
from wix_asgi.testing.storage_check.scanning import *
from wix_asgi.testing.storage_check.versions import *

__all__ = ["anyio_backend", "connections_in_use", "storage"]
__all__ += claims.__all__
__all__ += keys.__all__
__all__ += lifecycle.__all__
__all__ += purging.__all__
__all__ += removals.__all__
__all__ += round_trips.__all__
__all__ += scanning.__all__
__all__ += versions.__all__

mark(functions())
