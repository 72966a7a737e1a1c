"""What an operator is told when Wix cannot be reached: the class and the text of the failure."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

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
def listening(certificate: Path | None = None) -> Iterator[int]:
    """Listen on a port of loopback and answer nothing; with a certificate, shake hands."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        if certificate is None:
            yield server.getsockname()[1]
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)

        def shake_hands() -> None:
            connection, _ = server.accept()
            with contextlib.suppress(OSError), contextlib.closing(connection):
                context.wrap_socket(connection, server_side=True).close()

        thread = threading.Thread(target=shake_hands)
        thread.start()
        yield server.getsockname()[1]
        thread.join(PATIENCE)


@pytest.fixture(name="self_signed")
def _self_signed(tmp_path: Path) -> Path:
    """Return the file of a certificate for 127.0.0.1 that nobody but itself has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "self-signed.pem"
    pem = serialization.Encoding.PEM
    file.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(pem)
    )
    return file


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


async def test_an_untrusted_certificate_is_told(fake: FakeWix, self_signed: Path) -> None:
    """A certificate that is not trusted, such as a proxy's of the company, is told as such."""
    with listening(self_signed) as port:
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
