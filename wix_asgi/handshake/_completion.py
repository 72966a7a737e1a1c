"""The end of an install in the storage: its grant is kept in memory until it is stored."""

from __future__ import annotations

from wix_asgi.errors import HandshakeRefused, Reason
from wix_asgi.handshake._install_proof import ProvenInstall
from wix_asgi.handshake._retrying import Retrying
from wix_asgi.installations.repository import InstallationRepository
from wix_asgi.installations.stored import StoredInstallation
from wix_asgi.models import Grant

__all__ = ["Completion"]


class Completion:
    """Stores installs, for hours where the storage fails; shared by all callbacks."""

    def __init__(self, installations: InstallationRepository, retrying: Retrying) -> None:
        """Store in `installations`, as long as `retrying` goes on."""
        self._installations = installations
        self._retrying = retrying
        # By instance id, the install that was proved last: an older one never overwrites it.
        self._newest: dict[str, ProvenInstall] = {}

    async def store(
        self, proven: ProvenInstall, *, begun_at: float, owes_on_install: bool
    ) -> StoredInstallation:
        """Store the installation, and return it as stored before anybody is told of a success.

        An installation that was found at Wix since its flow has `begun_at` (seconds since the
        epoch) is of this install: a webhook or a caller came before its browser, and `on_install`
        is owed for it, or was told. It gets the grant, and stays the same installation. Every other
        row is that of an earlier install, which this one replaces: with a row that is older, or
        that a browser has brought, or to which Wix has refused its grants since, this is a
        reinstall.

        Raises:
            HandshakeRefused: The installation is gone already, a later install of the same site has
                taken its place, or the storage has failed for hours.
        """
        instance_id = proven.instance_id
        self._newest[instance_id] = proven
        saving = _Saving(
            self._installations, proven, begun_at=begun_at, owes_on_install=owes_on_install
        )

        async def save() -> StoredInstallation:
            if self._newest.get(instance_id) is not proven:
                raise HandshakeRefused(
                    Reason.STATE_REUSED, "the site was installed again meanwhile"
                )
            return await saving.run()

        try:
            return await self._retrying.run(save, instance_id, "stored")
        finally:
            if self._newest.get(instance_id) is proven:
                del self._newest[instance_id]


class _Saving:
    """One install on its way into the storage, in steps that may be repeated."""

    def __init__(
        self,
        installations: InstallationRepository,
        proven: ProvenInstall,
        *,
        begun_at: float,
        owes_on_install: bool,
    ) -> None:
        self._installations = installations
        self._proven = proven
        self._begun_at = begun_at
        self._owes_on_install = owes_on_install
        self._is_written = False
        self._may_be_written = False
        self._stored: StoredInstallation | None = None

    async def run(self) -> StoredInstallation:
        """Write the installation where that was not done, and return it as it is stored."""
        if self._may_be_written and not self._is_written:
            self._is_written = await self._is_there()
        while not self._is_written:
            self._may_be_written = True
            # Once: the site's token may be refreshed by another process from here on, and a second
            # `put` would bring a revoked refresh token back, and have on_install told twice.
            self._is_written = await self._add() or await self._write_over()
        # Of most storages the write itself has returned the row, as `get` would.
        stored = self._stored or await self._installations.get(self._proven.instance_id)
        if stored is None:
            raise HandshakeRefused(Reason.INTERNAL, "the installation is gone already")
        return stored

    async def _add(self) -> bool:
        """Write it where there is none; a `put` would not see a row of the moment before."""
        addition = await self._installations.add(
            self._proven.instance_id,
            self._proven.grant,
            origin_instance_id=self._proven.origin_instance_id,
            owes_on_install=self._owes_on_install,
            is_found=False,
        )
        self._stored = addition.stored
        return addition.is_stored

    async def _write_over(self) -> bool:
        """Write it over the row that there is; False where that has changed meanwhile."""
        stored = await self._installations.get(self._proven.instance_id)
        if stored is None:
            return False
        if stored.is_found and not stored.is_lost and self._is_younger(stored):
            return await self._installations.take_over(
                stored, self._proven.grant, origin_instance_id=self._proven.origin_instance_id
            )
        self._stored = await self._installations.put(
            self._proven.instance_id,
            self._proven.grant,
            origin_instance_id=self._proven.origin_instance_id,
            owes_on_install=self._owes_on_install,
        )
        return True

    def _is_younger(self, stored: StoredInstallation) -> bool:
        """Whether the row was made since the flow began, by the clocks of the store and a host.

        Where these differ, `on_install` is called once more than it had to be, or the app was
        removed and installed again within the difference.
        """
        return stored.installed_at.timestamp() >= self._begun_at

    async def _is_there(self) -> bool:
        """Whether a write without an answer was carried out all the same."""
        stored = await self._installations.get(self._proven.instance_id)
        return stored is not None and _holds(stored, self._proven.grant)


def _holds(stored: StoredInstallation, grant: Grant) -> bool:
    """Whether the row has this grant, as far as it can be told from other grants."""
    if grant.refresh_token is not None:
        return stored.refresh_token == grant.refresh_token
    token = stored.access_token
    return token is not None and token.value == grant.access_token.value
