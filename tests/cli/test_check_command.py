"""`wix-asgi check`: the findings about an app, and its exit status."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from cryptography import x509

from tests.certificates import self_signed
from tests.cli.commands import run
from tests.processes.apps import APP
from tests.servers import environment, free_port, serving, uvicorn
from wix_asgi.testing import FakeWix


@pytest.fixture(name="variables")
def _variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {
        "APP_ID": "app-1",
        "APP_SECRET": "test-app-secret-number-one",
        "PUBLIC_URL": f"http://127.0.0.1:{free_port()}",
        "URL": "http://127.0.0.1:9",
        "API_URL": "http://127.0.0.1:9",
        "STORAGE": f"sqlite:///{tmp_path}/app.db",
    }.items():
        monkeypatch.setenv(f"WIX_{name}", value)


def test_wrong_settings_are_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that are missing are one error, with the names of the variables."""
    result = run("check")

    assert 1 == result.exit_code
    assert "error    settings: 3 settings are wrong" in result.output
    assert "WIX_APP_SECRET" in result.output


@pytest.mark.usefixtures("variables")
def test_findings_are_lines_or_json() -> None:
    """Each finding is a line with its level and subject, or an object; no secret is in them."""
    lines, as_json = run("check"), run("check", "--json")
    told = {each["subject"]: each["level"] for each in json.loads(as_json.stdout)}

    assert (1, 1) == (lines.exit_code, as_json.exit_code)
    assert "ok       storage: SQLiteStorage opens" in lines.output
    assert "error    callback: http://127.0.0.1:" in lines.output
    assert ("ok", "error", "error") == (told["settings"], told["api_url"], told["callback"])
    assert "test-app-secret" not in lines.output + as_json.output


@pytest.mark.processes
def test_an_app_that_serves_is_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Beside a running app the status is 0, and its two addresses are told as good."""
    fake, port = FakeWix(), free_port()
    with fake.serve():
        env = environment(fake, port, f"sqlite:///{tmp_path}/app.db")
        for name in [name for name in env if name.startswith("WIX_")]:
            monkeypatch.setenv(name, env[name])
        with serving(uvicorn(APP, port), cwd=tmp_path, env=env) as server:
            server.accepts(port)
            result = run("check")

    assert 0 == result.exit_code, result.output
    assert "takes addresses as long as Wix's" in result.output
    assert "The clock of this host agrees with Wix's." in result.output


@pytest.mark.processes
def test_an_authority_of_the_environment_is_trusted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A certificate that the app's own client trusts is good in the check, too."""
    fake, port = FakeWix(), free_port()
    key, certificate = self_signed(tmp_path, "localhost")
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    with fake.serve():
        env = environment(fake, port, f"sqlite:///{tmp_path}/app.db")
        env["WIX_PUBLIC_URL"] = f"https://localhost:{port}"
        for name in [name for name in env if name.startswith("WIX_")]:
            monkeypatch.setenv(name, env[name])
        command = uvicorn(APP, port, "--ssl-keyfile", str(key), "--ssl-certfile", str(certificate))
        with serving(command, cwd=tmp_path, env=env) as server:
            server.accepts(port)
            untrusted = run("check")
            monkeypatch.setenv("SSL_CERT_DIR", directory_of(certificate))
            by_directory = run("check")
            monkeypatch.delenv("SSL_CERT_DIR")
            monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
            by_file = run("check")

    assert 1 == untrusted.exit_code, untrusted.output
    assert "CERTIFICATE_VERIFY_FAILED" in untrusted.output
    for result in (by_directory, by_file):
        assert 0 == result.exit_code, result.output
        assert f"ok       callback: https://localhost:{port}" in result.output


def directory_of(certificate: Path) -> str:
    """Return the directory of a certificate, which OpenSSL finds there by its subject hash."""
    subject = x509.load_pem_x509_certificate(certificate.read_bytes()).subject.public_bytes()
    # The canonical form of a name in small letters is its DER without the outer tag and length.
    digest = hashlib.sha1(subject[2:], usedforsecurity=False).digest()
    shutil.copy(certificate, certificate.parent / f"{int.from_bytes(digest[:4], 'little'):08x}.0")
    return str(certificate.parent)
