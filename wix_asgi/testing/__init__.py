"""For your own tests and demos: a Wix that runs on your machine."""

from wix_asgi.testing._calls import Call
from wix_asgi.testing._clock import Clock
from wix_asgi.testing._faults import Gate
from wix_asgi.testing._installer import InstallerRefused
from wix_asgi.testing._world import DEMO_SITES
from wix_asgi.testing.fake_wix import FakeWix

__all__ = ["DEMO_SITES", "Call", "Clock", "FakeWix", "Gate", "InstallerRefused"]
