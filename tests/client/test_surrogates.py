"""Ids that no codec takes: they are no installations, and no error holds our secret."""

from __future__ import annotations

import pytest

from tests.support import make_wix
from wix_asgi import NotInstalled
from wix_asgi.testing import FakeWix


async def test_lone_surrogate_is_no_installation(
    fake: FakeWix, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No error of a codec, which would hold the body with the app secret, is raised (R35)."""
    monkeypatch.setenv("WIX_FLOW", "client_credentials")
    async with make_wix(fake) as wix:
        with pytest.raises(NotInstalled) as caught:
            await wix.client("x\ud800").get("/echo")
    chain = list[BaseException]()
    error: BaseException | None = caught.value
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__

    assert [] == [each for each in chain if isinstance(each, UnicodeError)]
    assert [] == [each for each in chain if fake.app_secret in repr((each.args, vars(each)))]
