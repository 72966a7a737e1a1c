"""A storage that was written against the contract without `add` passes the cases that it knew."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.backends.of_before import OfBefore
from wix_asgi.storage import Storage
from wix_asgi.testing.storage import *
from wix_asgi.testing.storage.claim_owners import *


@pytest.fixture
def make_storage() -> Callable[[], Storage]:
    """Return a function that always returns the same storage: no other storage sees its records."""
    storage = OfBefore()
    return lambda: storage
