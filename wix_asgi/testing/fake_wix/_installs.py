"""A test's hands on the app's installations: consents, their tokens, and their ends."""

from __future__ import annotations

import copy
from typing import Any

from wix_asgi.testing.fake_wix._control import Control
from wix_asgi.testing.fake_wix._grants import ACCESS_TOKEN_SECONDS, Grants, SubjectType
from wix_asgi.testing.fake_wix._installers import Installers
from wix_asgi.testing.fake_wix._proofs import InstallTokens, sign_instance
from wix_asgi.testing.fake_wix.caller import FakeCaller
from wix_asgi.testing.fake_wix.world import FakeSite

__all__ = ["Installs"]


class Installs(Control):
    """A fake Wix whose app a test can put on sites and remove, with every token in between."""

    def __init__(self, **state: Any) -> None:
        """Begin with the state of a `World`, and with no installation."""
        super().__init__(**state)
        self._grants = Grants(self)
        self._install_tokens = InstallTokens(self)
        self._installers = Installers(self, self._grants, self._install_tokens)

    @property
    def installed(self) -> frozenset[str]:
        """The instance IDs of the sites that the app is installed on."""
        return self._grants.installations.installed

    def approve(self, installer_url: str, *, instance_id: str | None = None) -> str:
        """Press the Approve button: return the URL at the app to which it leads.

        For `/installer/install` it has code and instanceId; for `/app-installer` it has appId,
        tenantId, instanceId and signedInstance, and the app is then installed.

        Args:
            installer_url: The URL to which the install path redirected.
            instance_id: The site to pick if the URL names none; the first site by default.

        Raises:
            InstallerRefused: The page would show an error instead.
            LookupError: The site does not exist.
        """
        return self._installers.approve(installer_url, instance_id)

    def cancel(self, installer_url: str) -> str | None:
        """Press the Cancel button: return the redirect URL, or None if the browser stays with Wix.

        Raises:
            InstallerRefused: The page would show an error instead.
        """
        return self._installers.cancel(installer_url)

    def install_token(self, instance_id: str | None = None) -> str:
        """Return an App URL's `token`, for this site or the first site."""
        return self._install_tokens.issue(self.site(instance_id))

    def signed_instance(self, instance_id: str, **claims: Any) -> str:
        """Return the signed `instance` of a site, known or not; a claim of None is left out."""
        return sign_instance(self, instance_id, claims)

    def caller(self, site: str | FakeSite | None = None, **claims: Any) -> FakeCaller:
        """Return the owner of this site or the first site as a caller of the app.

        Args:
            site: The instance ID, or a `FakeSite` that this fake Wix was made with.
            claims: Claims of the signed instance, as for `signed_instance`.

        Raises:
            LookupError: The site does not exist.
        """
        instance_id = self.instance_id_of(site)
        return FakeCaller(instance_id, self.signed_instance(instance_id, **claims))

    def issue_code(self, instance_id: str | None = None) -> str:
        """Return a code without a consent."""
        return self._grants.issue_code(self.site(instance_id))

    def issue_refresh_token(self, instance_id: str | None = None) -> str:
        """Return a refresh token without an exchange."""
        return self._grants.issue_refresh_token(self.site(instance_id))

    def issue_access_token(
        self,
        instance_id: str | None = None,
        *,
        subject_type: SubjectType = "APP",
        subject_id: str | None = None,
        seconds: float = ACCESS_TOKEN_SECONDS,
        client_id: str | None = None,
        with_instance: bool = True,
    ) -> str:
        """Return an access token that no request of the app has obtained.

        Only the app's own tokens with an instance open the API. `httpClient.fetchWithAuth()` sends
        those of a `USER` from a dashboard page, of a `MEMBER` or a `VISITOR` from a site widget:
        bare, in the `Authorization` header of the app.

        Args:
            instance_id: The installation; the first site by default.
            subject_type: Whose rights the token has.
            subject_id: The ID of that subject; by default the app ID, the ID of the site's owner,
                or that of a member or a visitor.
            seconds: Its lifetime.
            client_id: The app that it was issued to; this app by default.
            with_instance: Whether it names the installation: tokens of an account name none.

        Raises:
            LookupError: The site does not exist.
        """
        return self._grants.issue_access_token(
            self.site(instance_id) if with_instance else None,
            subject_type=subject_type,
            subject_id=subject_id,
            client_id=client_id,
            seconds=seconds,
        )

    def mark_installed(self, instance_id: str | None = None) -> str:
        """Put the app on this site, or the first site, without a browser; return the instance ID.

        As on a copied site, there is no refresh token: client credentials alone bring tokens.
        """
        instance_id = self.site(instance_id)
        self._grants.installations.add(instance_id)
        return instance_id

    def copy_site(self, instance_id: str, name: str | None = None) -> str:
        """Duplicate a site with the app on it, as in the site owner's dashboard.

        The app is on the copy, without a consent and without a refresh token; its signed instance
        and Get App Instance tell the installation that it comes from.

        Args:
            instance_id: The site to copy.
            name: The name of the copy; "Copy of …" by default.

        Returns:
            The instance ID of the copy.

        Raises:
            LookupError: The site does not exist.
        """
        origin = self.site(instance_id)
        copied = self.add_site(name or f"Copy of {self.sites[origin]}")
        self.products(copied)[:] = copy.deepcopy(self.products(origin))
        self.origins[copied] = origin
        self._grants.installations.add(copied)
        return copied

    def uninstall(self, instance_id: str) -> None:
        """Remove the app from a site: its tokens end, and a later install does not revive them."""
        self._grants.uninstall(instance_id)

    def delete_site(self, instance_id: str) -> None:
        """Delete a site, and with it the installation of the app: client credentials find neither.

        Raises:
            LookupError: The site does not exist.
        """
        del self.sites[self.site(instance_id)]
        self._grants.delete(instance_id)

    def expire_access_tokens(self, instance_id: str | None = None) -> None:
        """End the access tokens of one site, or of all sites, before their time."""
        self._grants.expire_access_tokens(instance_id)
