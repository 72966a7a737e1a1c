"""For your own tests and demos: a Wix that runs on your machine."""

from wix_asgi.testing.fake_wix.app import FakeWix
from wix_asgi.testing.fake_wix.calls import Call
from wix_asgi.testing.fake_wix.clock import Clock
from wix_asgi.testing.fake_wix.faults import Gate
from wix_asgi.testing.fake_wix.installer import InstallerRefused
from wix_asgi.testing.fake_wix.world import DEMO_SITES

__all__ = ["DEMO_SITES", "Call", "Clock", "FakeWix", "Gate", "InstallerRefused"]
