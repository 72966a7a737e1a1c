"""Public helpers for the tests and demos of apps and backends.

`FakeWix` plays Wix on this machine, and the fixtures of `pytest_wix_asgi` put it in place. The
subpackage `storage` has the contract of a storage as cases for pytest, and `storage_check` checks a
storage in use. The package may import everything except `wix_asgi.cli`; it needs uvicorn only to
serve on a port, and pytest only in `storage`.
"""

from wix_asgi.testing.fake_wix.app import FakeWix
from wix_asgi.testing.fake_wix.caller import FakeCaller
from wix_asgi.testing.fake_wix.calls import Call
from wix_asgi.testing.fake_wix.clock import Clock
from wix_asgi.testing.fake_wix.deliveries import Delivery
from wix_asgi.testing.fake_wix.events import FakeEvent
from wix_asgi.testing.fake_wix.faults import Gate
from wix_asgi.testing.fake_wix.forgeries import FORGERIES, Forgery
from wix_asgi.testing.fake_wix.installer import InstallerRefused
from wix_asgi.testing.fake_wix.world import DEMO_SITES, FakeSite

__all__ = [
    "DEMO_SITES",
    "FORGERIES",
    "Call",
    "Clock",
    "Delivery",
    "FakeCaller",
    "FakeEvent",
    "FakeSite",
    "FakeWix",
    "Forgery",
    "Gate",
    "InstallerRefused",
]
