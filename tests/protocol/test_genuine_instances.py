"""Signed instances that Wix made in 2014, with the secret of their retired test app.

They are the samples in the tests of `wixinstance` 2.0.3 (PyPI).
"""

from __future__ import annotations

import pytest

from wix_asgi.errors import Unauthenticated
from wix_asgi.protocol.moments import read_moment
from wix_asgi.protocol.signed_instance import SignedInstances
from wix_asgi.settings import WixSettings

SECRET = "69ce77e6-2ac1-42ee-bf80-736ef3218c9d"
SITE = "138defd8-5e46-a482-948b-12b37c66bbaf"
OWNER = (
    "ZqQSCUe4Kk6z2EhAbakUNAifGtSTnrogcxySPwz9EM0."
    "eyJpbnN0YW5jZUlkIjoiMTM4ZGVmZDgtNWU0Ni1hNDgyLTk0OGItMTJiMzdjNjZiYmFmIiwic2lnbkRhdGUiOiIyMDE0"
    "LTA4LTI2VDA0OjM5OjMxLjAxMC0wNTowMCIsInVpZCI6IjU0NjgzNWU1LWYyMzQtNDg3NC05NGQxLTcyMmJhZDI2YzY4"
    "OSIsInBlcm1pc3Npb25zIjoiT1dORVIiLCJpcEFuZFBvcnQiOiIxMDguMjI1LjE4OS4xNy82MzM0NiIsInZlbmRvclBy"
    "b2R1Y3RJZCI6bnVsbCwiZGVtb01vZGUiOmZhbHNlfQ"
)
VISITOR = (
    "dF6lBbHgD6AH8BGJLuJ2Pb4jgAOlBG7xC7EP-kPzqMA."
    "eyJpbnN0YW5jZUlkIjoiMTM4ZGVmZDgtNWU0Ni1hNDgyLTk0OGItMTJiMzdjNjZiYmFmIiwic2lnbkRhdGUiOiIyMDE0"
    "LTA4LTI2VDA0OjQ4OjE1Ljc2Ni0wNTowMCIsInVpZCI6bnVsbCwicGVybWlzc2lvbnMiOm51bGwsImlwQW5kUG9ydCI6"
    "IjEwOC4yMjUuMTg5LjE3LzY0MDU3IiwidmVuZG9yUHJvZHVjdElkIjpudWxsLCJkZW1vTW9kZSI6ZmFsc2V9"
)
OF_ANOTHER_APP = (
    "aZe-4vBFcrmVFwqkYy1ovPeiORg2wgcX-R9qzDjQUu8."
    "eyJpbnN0YW5jZUlkIjoiMTM4ZGYwYTItNTAyMS1kNmZmLTQyODktNDMwZTA5ZjFiYTVjIiwic2lnbkRhdGUiOiIyMDE0"
    "LTA4LTI2VDA0OjUzOjU4LjM1Ny0wNTowMCIsInVpZCI6IjU0NjgzNWU1LWYyMzQtNDg3NC05NGQxLTcyMmJhZDI2YzY4"
    "OSIsInBlcm1pc3Npb25zIjoiT1dORVIiLCJpcEFuZFBvcnQiOiIxMDguMjI1LjE4OS4xNy81OTkwNiIsInZlbmRvclBy"
    "b2R1Y3RJZCI6bnVsbCwiZGVtb01vZGUiOmZhbHNlfQ"
)


@pytest.fixture(name="signed")
def _signed() -> SignedInstances:
    return SignedInstances(
        WixSettings.load(
            app_id="retired-test-app",
            app_secret=SECRET,
            public_url="https://app.example.com",
            storage="memory://",
        )
    )


def test_instances_of_wix_are_genuine(signed: SignedInstances) -> None:
    """The owner's and the visitor's instance name their site and their permissions (R41)."""
    owner, visitor = signed.verify(OWNER, 0.0), signed.verify(VISITOR, 0.0)

    assert (SITE, SITE) == (owner.instance_id, visitor.instance_id)
    assert (True, False) == (owner.is_owner, visitor.is_owner)
    assert ("546835e5-f234-4874-94d1-722bad26c689", None) == (owner.user_id, visitor.user_id)


def test_the_date_of_wix_is_read(signed: SignedInstances) -> None:
    """Its offset counts: 04:39 in the zone of Wix's computer was 09:39 in UTC (R53)."""
    assert 1_409_045_971.01 == read_moment(signed.verify(OWNER, 0.0).claims["signDate"])


@pytest.mark.parametrize(
    "value",
    [OF_ANOTHER_APP, OWNER.replace("Kk6z", "Kk7z"), "s" + VISITOR[1:]],
    ids=["another app's", "a changed owner's", "a changed visitor's"],
)
def test_other_instances_are_forgeries(signed: SignedInstances, value: str) -> None:
    """An instance under another secret, or with a character changed, is refused (R41)."""
    with pytest.raises(Unauthenticated):
        signed.verify(value, 0.0)
