"""`wixinstance` (PyPI), a verifier of signed instances by somebody else, and ours."""

from __future__ import annotations

import wixinstance

from tests.engine import make_settings
from tests.sdk.side_by_side import SideBySide
from wix_asgi.errors import Unauthenticated
from wix_asgi.protocol.signed_instance import SignedInstances
from wix_asgi.testing import FakeWix


def ours(fake: FakeWix, instance: str) -> str | bool:
    """Return the instance ID that we read, or False as that package does."""
    try:
        return SignedInstances(make_settings(fake)).verify(instance, 0.0).instance_id
    except Unauthenticated:
        return False


def test_instances_of_the_fake_wix_are_genuine(fake: FakeWix, both: SideBySide) -> None:
    """Both read the site of a genuine instance, and refuse a forgery."""
    for site in fake.sites:
        instance = fake.signed_instance(site)
        theirs = wixinstance.get_instance_ID(fake.app_secret, instance, check_owner=True)
        both.same("wixinstance: signed instance", sdk=theirs, ours=ours(fake, instance))
        forgery = f"{instance[:-2]}xx"
        theirs = wixinstance.get_instance_ID(fake.app_secret, forgery)
        both.same("wixinstance: forgery", sdk=theirs, ours=ours(fake, forgery))
