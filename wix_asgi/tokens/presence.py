"""Whether the app is on a site still, in Wix's word."""

from __future__ import annotations

from wix_asgi.concurrency.detached import DetachedTasks, Interrupted
from wix_asgi.errors import NotInstalled, WixMisconfigured, WixUnavailable
from wix_asgi.tokens._grant_source import NoAnswer
from wix_asgi.tokens.refresh import Refresher

__all__ = ["Presence"]


class Presence:
    """Asks Wix about stored installations, by their own grants; shared by all event loops."""

    def __init__(self, refresher: Refresher, detached: DetachedTasks) -> None:
        """Ask through `refresher`, in `detached` tasks."""
        self._refresher = refresher
        self._detached = detached

    async def ask(self, instance_id: str) -> bool | None:
        """Ask Wix whether the app is on the site of a stored installation.

        Returns:
            None where Wix gives no answer to that, and never will: there is no refresh token, and
            the app gets no client credentials.

        Raises:
            WixUnavailable: Wix gives no answer now, since it is failing, or since it refuses the
                app's own credentials.
            StorageUnavailable: The storage is failing.
        """
        # Detached: a rotated refresh token may be on its way, which no cancellation may lose.
        task = self._detached.start(lambda: self._refresher.ask(instance_id))
        try:
            await task.result()
        except NotInstalled:
            return False
        except NoAnswer:
            return None
        except WixMisconfigured as exc:
            raise WixUnavailable(f"Wix gives no answer: {exc.message}") from exc
        except Interrupted:
            raise WixUnavailable("The process is shutting down.") from None
        return True
