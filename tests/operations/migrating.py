"""A storage of installations with refresh tokens, and migrations of it that a test watches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from anyio.lowlevel import checkpoint

from tests.engine import ManualClock, Steps, make_oauth, make_settings
from wix_asgi._http import httpx
from wix_asgi.installations.repository import InstallationRepository
from wix_asgi.installations.stored import StoredInstallation
from wix_asgi.models import AccessToken, Grant, GrantType, Record
from wix_asgi.operations.migrate import AskPolicy, Migration, SiteReport
from wix_asgi.protocol.endpoints import Endpoints
from wix_asgi.sealing.vault import Vault
from wix_asgi.testing import FakeWix

TOKEN = "/oauth2/token"
CLIENT_CREDENTIALS = GrantType.CLIENT_CREDENTIALS
REFRESH_TOKEN = GrantType.REFRESH_TOKEN


class Moving:
    """An app on sites of a fake Wix, whose clock passes while a migration pauses.

    Attributes:
        reports: The report of each installation, in order.
        pauses: The seconds of the pauses that were told.
    """

    def __init__(self) -> None:
        self.fake = FakeWix()
        self.clock = ManualClock()
        self.storage = Steps(self.clock)
        self.settings = make_settings(self.fake)
        self.vault = Vault(self.settings.key_ring())
        self.installations = InstallationRepository(
            self.fake.app_id, self.storage, self.vault, clock=self.clock
        )
        self.reports: list[SiteReport] = []
        self.pauses: list[float] = []

    @property
    def outcomes(self) -> dict[str, str]:
        """The outcomes by site."""
        return {report.instance_id: report.outcome.value for report in self.reports}

    @property
    def calls(self) -> list[str]:
        """The sites for which Wix was asked for a token by client credentials."""
        return [call.json["instance_id"] for call in self.fake.calls if call.path == TOKEN]

    async def install(self, *sites: str, refresh_token: str | None = None) -> None:
        """Store installations with a refresh token, which Wix knows, too."""
        for site in sites:
            self.fake.sites.setdefault(site, f"Site {site}")
            self.fake.mark_installed(site)
            token = AccessToken(self.fake.issue_access_token(site), 300.0, self.clock() + 100.0)
            grant = Grant(token, refresh_token or self.fake.issue_refresh_token(site))
            await self.installations.put(site, grant)

    def migration(
        self,
        *,
        applies: bool = True,
        transport: httpx.AsyncBaseTransport | None = None,
        policy: AskPolicy | None = None,
    ) -> Migration:
        """Return a run whose pauses take no time of the test."""
        return Migration(
            self.fake.app_id,
            self.storage,
            self.vault,
            Endpoints(self.settings),
            make_oauth(self.fake, transport, clock=self.clock),
            applies=applies,
            report=self.reports.append,
            tell_pause=lambda _why, seconds: self.pauses.append(seconds),
            policy=policy,
            clock=self.clock,
            jitter=lambda: 0.5,
            sleep=self.sleep,
        )

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.advance(seconds)
        await checkpoint()

    async def row(self, site: str) -> Record:
        """Return the row of a site as it is stored."""
        row = await self.storage.get(self.fake.app_id, site)
        assert row is not None
        return row

    async def stored(self, site: str) -> StoredInstallation:
        """Return the installation of a site, unsealed."""
        return await self.installations.require(site)

    async def grants(self, sites: Sequence[str]) -> dict[str, tuple[GrantType, bool]]:
        """Return by site by which grant it gets tokens, and whether it has a refresh token."""
        found = {site: await self.stored(site) for site in sites}
        return {site: (one.grant_type, bool(one.refresh_token)) for site, one in found.items()}


class Listing(httpx.AsyncBaseTransport):
    """Leads to a fake Wix, except for one path, where it plays the list of installations."""

    def __init__(
        self, fake: FakeWix, path: str, *pages: Mapping[str, Any], status: int = 200
    ) -> None:
        self.fake = fake
        self.path = path
        self.pages = list(pages)
        self.status = status
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path != self.path:
            return await self.fake.transport.handle_async_request(request)
        self.requests.append(request)
        return httpx.Response(self.status, json=self.pages.pop(0) if self.pages else {})
