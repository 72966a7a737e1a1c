"""What an operator is told when Wix cannot be reached: the class and the text of the failure."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.certificates import self_signed
from tests.limits import PATIENCE
from tests.oauth.answering import CANARY, fails
from tests.support import PUBLIC_URL
from wix_asgi.errors import WixUnavailable
from wix_asgi.oauth.client import OAuthClient, OAuthPolicy
from wix_asgi.protocol.endpoints import Endpoints
from wix_asgi.settings import WixSettings
from wix_asgi.testing import FakeWix
from wix_asgi.transport.pooled import PoolTransport

PATIENT = OAuthPolicy(
    connect_seconds=PATIENCE, read_seconds=PATIENCE, total_seconds=PATIENCE, max_tries=1
)


async def failure(fake: FakeWix, api_url: str, policy: OAuthPolicy = PATIENT) -> WixUnavailable:
    """Return the error of an exchange at `api_url`, over real sockets."""
    given = {**fake.settings(), "api_url": api_url}
    settings = WixSettings.load(public_url=PUBLIC_URL, storage="memory://", **given)
    pool = PoolTransport()
    oauth = OAuthClient(Endpoints(settings), pool, policy=policy)
    error = await fails(lambda: oauth.exchange(CANARY))
    await pool.aclose()

    assert isinstance(error, WixUnavailable)
    assert "Wix is not available at the moment." == error.detail
    assert CANARY not in str(error)
    assert fake.app_secret not in str(error)
    return error


@contextlib.contextmanager
def listening(tls: tuple[Path, Path] | None = None) -> Iterator[int]:
    """Listen on a port of loopback and answer nothing; with TLS, shake hands."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        if tls is None:
            yield server.getsockname()[1]
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        key, certificate = tls
        context.load_cert_chain(certificate, key)

        def shake_hands() -> None:
            connection, _ = server.accept()
            with contextlib.suppress(OSError), contextlib.closing(connection):
                context.wrap_socket(connection, server_side=True).close()

        thread = threading.Thread(target=shake_hands)
        thread.start()
        yield server.getsockname()[1]
        thread.join(PATIENCE)


async def test_a_refused_connection_is_told(fake: FakeWix) -> None:
    """A port where nobody listens is told with the text of the operating system, and the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    error = await failure(fake, f"http://127.0.0.1:{port}")

    assert error.unsent
    assert re.fullmatch(
        rf"Wix cannot be reached \(ConnectError: \[Errno \d+\] .*{port}.*\)\.", str(error)
    )


async def test_a_name_that_does_not_resolve_is_told(fake: FakeWix) -> None:
    """A failure of DNS is told with the resolver's text (RFC 6761, 6.4: .invalid is no name)."""
    error = await failure(fake, "https://wix.invalid")

    assert error.unsent
    assert re.fullmatch(r"Wix cannot be reached \(ConnectError: \[Errno -?\d+\] .+\)\.", str(error))


async def test_an_untrusted_certificate_is_told(fake: FakeWix, tmp_path: Path) -> None:
    """A certificate that is not trusted, such as a proxy's of the company, is told as such."""
    with listening(self_signed(tmp_path, "127.0.0.1")) as port:
        error = await failure(fake, f"https://127.0.0.1:{port}")

    assert error.unsent
    assert "Wix cannot be reached (ConnectError: " in str(error)
    assert "certificate verify failed: self-signed certificate" in str(error)


async def test_a_time_out_is_told(fake: FakeWix) -> None:
    """A server that takes the request and does not answer is told by httpx's class."""
    quick = OAuthPolicy(connect_seconds=PATIENCE, read_seconds=0.2, max_tries=1)
    with listening() as port:
        error = await failure(fake, f"http://127.0.0.1:{port}", quick)

    assert not error.unsent
    assert "The answer of Wix was lost (ReadTimeout)." == str(error)
