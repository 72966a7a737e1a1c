"""A test's hands on events: made, signed, forged, and with the data that Wix documents."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Unpack

from wix_asgi.testing.fake_wix._event_data import (
    SAMPLE_INSTANCE_ID,
    event_data,
    sample_data,
)
from wix_asgi.testing.fake_wix._installs import Installs
from wix_asgi.testing.fake_wix._webhook_key import WebhookKey, own_key
from wix_asgi.testing.fake_wix.events import (
    TOKEN_SECONDS,
    DomainEventKind,
    EventOptions,
    FakeEvent,
    Installed,
    make_domain_data,
    make_webhook_id,
)
from wix_asgi.testing.fake_wix.forgeries import Forgery, forge
from wix_asgi.testing.fake_wix.world import FakeSite

__all__ = ["Events"]


class Events(Installs):
    """A fake Wix that signs the events of its app, by a key of its own."""

    def __init__(self, *, webhook_key: str | None = None, **state: Any) -> None:
        """Begin with the state of a `World`, and the private key in this PEM."""
        super().__init__(**state)
        self._given_key = None if webhook_key is None else WebhookKey.read(webhook_key)

    @property
    def public_key(self) -> str:
        """The app's public webhook key in PEM, for the setting `public_key`.

        Unless the fake was made with a key, it is one for all fakes of the process, and made where
        it is first used.
        """
        return self._webhook_key.public_pem

    def change_webhook_key(self) -> str:
        """Sign with a new key from now on, as after a change in Wix's dashboard; return its PEM."""
        self._given_key = WebhookKey.make()
        return self.public_key

    def make_event(
        self,
        event_type: str,
        site: str | FakeSite | Installed | None = None,
        data: Any = None,
        **options: Unpack[EventOptions],
    ) -> FakeEvent:
        """Return a signed event, to be delivered once or several times.

        Args:
            event_type: Wix's word for the kind of event, such as `AppInstalled`.
            site: The instance ID, or an object that has one; the first site by default. An unknown
                instance ID is taken as it is.
            data: The data of the event: a text is sent as it is, all else as JSON. None stands for
                the data that Wix documents for events of installations and plans, and else for an
                empty object.
            options: See `EventOptions`.

        Raises:
            LookupError: There is no first site, or the `FakeSite` belongs to another fake.
        """
        instance_id = self._instance_id_of(site)
        if data is None:
            data = event_data(self, event_type, self._grants.installations.shown(instance_id))
        issued_at = options.get("issued_at")
        if isinstance(issued_at, datetime):
            issued_at = issued_at.timestamp()
        elif issued_at is None:
            issued_at = self.host_clock()
        webhook_id = options.get("webhook_id", True)
        if webhook_id is True:
            webhook_id = make_webhook_id(issued_at)
        event = FakeEvent(
            event_type=event_type,
            instance_id=instance_id,
            data=data,
            identity=options.get("identity"),
            webhook_id=webhook_id or None,
            account_info=options.get("account_info"),
            issued_at=int(issued_at),
            lifetime=options.get("lifetime", TOKEN_SECONDS),
        )
        return event.signed(self._webhook_key)

    def webhook_token(
        self,
        event_type: str,
        site: str | FakeSite | Installed | None = None,
        data: Any = None,
        **options: Unpack[EventOptions],
    ) -> str:
        """Return the token of an event, which is the whole body of Wix's request.

        The arguments are those of `make_event`.
        """
        return self.make_event(event_type, site, data, **options).token

    def domain_data(
        self,
        event_type: str,
        entity: Mapping[str, Any] | None = None,
        *,
        kind: DomainEventKind | None = None,
        as_json: bool = False,
        **fields: Any,
    ) -> dict[str, Any]:
        """Return the data of a domain event, such as `wix.contacts.v4.contact_created`.

        Args:
            event_type: The type: the domain name of the entity, `_`, and the slug.
            entity: The entity, or the body of an action; None leaves it out.
            kind: The kind of the event; by default the slug is its name.
            as_json: Whether the content is a text (`entityAsJson`); which of the two forms Wix
                sends is not documented.
            fields: Fields of the data that replace the usual ones, such as `id` or `slug`.

        Raises:
            ValueError: The kind is not given, and the slug is no kind.
        """
        return make_domain_data(
            event_type,
            entity,
            kind=kind,
            as_json=as_json,
            moment=self.host_clock(),
            fields=fields,
        )

    def dashboard_test(self, event_type: str = "AppInstalled") -> FakeEvent:
        """Return the event of "Trigger test" in Wix's dashboard.

        It has the sample values of Wix's documentation, so that it is of an app and an installation
        that are not there, but the signature of this app's real key, and no `webhookId`.
        """
        data = sample_data(event_type)
        return self.make_event(event_type, SAMPLE_INSTANCE_ID, data, webhook_id=False)

    def forge_event(
        self,
        kind: str,
        event_type: str = "AppInstalled",
        site: str | FakeSite | Installed | None = None,
        data: Any = None,
        **options: Unpack[EventOptions],
    ) -> Forgery:
        """Return a body that an endpoint must refuse, to be sent by `deliver`.

        Args:
            kind: A name in `FORGERIES`. With "jku" and "x5u" the token names this fake as the
                place of its key: an endpoint that falls for it leaves a call in `calls`.
            event_type: The type of the event, as for `make_event`.
            site: The installation that the event would be about.
            data: The data that the event would have.
            options: See `EventOptions`.

        Raises:
            LookupError: There is no such kind.
        """
        event = self.make_event(event_type, site, data, **options)
        return forge(kind, self._webhook_key, event, self.url)

    @property
    def _webhook_key(self) -> WebhookKey:
        return self._given_key or own_key()

    def _instance_id_of(self, site: str | FakeSite | Installed | None) -> str:
        if site is None:
            return self.site()
        if isinstance(site, str):
            return site
        if isinstance(site, FakeSite):
            return self.id_of(site)
        return site.instance_id
