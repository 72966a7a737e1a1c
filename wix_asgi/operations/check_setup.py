"""Checks the set-up of an app: its settings, storage, keys, public URL, Wix, and the clock.

It writes nothing but the tables that each start of the app makes, and shows no secret. Of the app's
addresses it opens the two of the handshake, as a stranger may: without the cookie of an install
they store nothing.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Final

from wix_asgi._http import httpx
from wix_asgi.errors import StorageUnavailable, UnknownKey, UnsealError
from wix_asgi.models import Finding, FindingLevel, InstallFlow
from wix_asgi.sealing.vault import Vault
from wix_asgi.settings import WixSettings
from wix_asgi.storage import Storage, shortcomings

__all__ = ["check_setup"]

_TIMEOUT: Final = 10.0
"""Seconds for one call: the most that an install waits for an answer of Wix."""

_CODE_BYTES: Final = 5_000
"""The length of Wix's authorization codes: about 5 kB, as they were seen."""

_TOKEN_BYTES: Final = 3_800
"""The length of a `token` with which the request line is below every server's limit, while the
headers of the answer, which has it in its Location, are over the 4 kB of nginx."""

_MAX_SKEW: Final = 60.0
"""Seconds by which the clocks may differ, before webhooks are refused as too new."""

_TOLD_AT_MOST: Final = 100
"""Installations whose keys are tried: one page of the storage; `keys rotate` tries all."""

_WIX_HOSTS: Final = re.compile(r"https://(?:[a-z0-9-]+\.)*(?:wix|wixapis)\.com")

_GUNICORN: Final = "request line is too large"
"""The beginning of gunicorn's message about a request line, in the letters of no one worker."""


async def check_setup(
    settings: WixSettings,
    storage: Storage,
    *,
    to_wix: httpx.AsyncBaseTransport | None = None,
    to_app: httpx.AsyncBaseTransport | None = None,
    clock: Callable[[], float] = time.time,
) -> list[Finding]:
    """Return the findings about an app, in the order in which they are best mended.

    The storage is opened, and left open.

    Args:
        settings: The settings of the app.
        storage: Its storage.
        to_wix: The transport for the call to Wix; by default a connection.
        to_app: The transport for calls to the public URL; by default connections.
        clock: The seconds since the epoch by this host.
    """
    findings = _check_settings(settings)
    findings += await _check_storage(settings, storage)
    async with _browser(to_wix) as browser:
        findings += await _check_wix(browser, settings, clock)
    async with _browser(to_app) as browser:
        findings += await _check_install(browser, settings)
        findings += await _check_callback(browser, settings)
    return findings


def _browser(transport: httpx.AsyncBaseTransport | None) -> httpx.AsyncClient:
    # No proxy of the environment, but its certificates, as for the calls of the app.
    return httpx.AsyncClient(
        transport=transport,
        timeout=_TIMEOUT,
        trust_env=False,
        verify=httpx.create_ssl_context(),
    )


def _ok(subject: str, message: str) -> Finding:
    return Finding(FindingLevel.OK, subject, message)


def _warning(subject: str, message: str) -> Finding:
    return Finding(FindingLevel.WARNING, subject, message)


def _error(subject: str, message: str) -> Finding:
    return Finding(FindingLevel.ERROR, subject, message)


def _check_settings(settings: WixSettings) -> list[Finding]:
    told = "All settings can be read. Not checked: whether Wix knows this app ID and app secret."
    findings = [_ok("settings", told)]
    if settings.is_loopback:
        findings.append(
            _warning("public_url", f"{settings.public_url} is reached from this machine alone.")
        )
    findings += [
        _warning(name, f"{url} is not Wix: right for a fake Wix alone.")
        for name, url in (("wix_url", settings.wix_url), ("api_url", settings.api_url))
        if not _WIX_HOSTS.fullmatch(url)
    ]
    if settings.previous_app_secrets:
        findings.append(
            _warning(
                "previous_app_secrets",
                "An earlier app secret still opens tokens: take it out once `wix-asgi keys rotate` "
                "has ended with status 0.",
            )
        )
    number = len(settings.public_key)
    findings.append(
        _ok("public_key", f"Webhooks are verified; public keys: {number}.")
        if number
        else _ok("public_key", "None is set, so the app has no webhooks.")
    )
    return findings


async def _check_storage(settings: WixSettings, storage: Storage) -> list[Finding]:
    try:
        await storage.open()
        page = await storage.scan(settings.app_id, limit=_TOLD_AT_MOST)
    except StorageUnavailable as exc:
        return [_error("storage", exc.message)]
    findings = [_ok("storage", f"{type(storage).__name__} opens, and its installations are read.")]
    findings += [_warning("storage", lack) for lack in shortcomings(storage)]
    if settings.storage.get_secret_value().startswith("memory:"):
        findings.append(_warning("storage", "memory:// is lost with the process."))
    vault, unknown, damaged = Vault(settings.key_ring()), set[str](), 0
    for record in page:
        try:
            vault.unseal(
                record.refresh_token,
                app_id=record.app_id,
                instance_id=record.instance_id,
                field="refresh_token",
            )
        except UnknownKey as exc:
            unknown.add(exc.key_id)
        except UnsealError:
            damaged += 1
    if unknown:
        findings.append(
            _error(
                "encryption_keys",
                f"Stored tokens need keys that are missing here: {', '.join(sorted(unknown))}.",
            )
        )
    if damaged:
        findings.append(_error("storage", f"Damaged, or moved from other rows: {damaged} tokens."))
    if not unknown and not damaged:
        findings.append(_ok("encryption_keys", f"Stored tokens that were opened: {len(page)}."))
    return findings


async def _check_wix(
    browser: httpx.AsyncClient, settings: WixSettings, clock: Callable[[], float]
) -> list[Finding]:
    try:
        answer = await browser.get(f"{settings.api_url}/")
    except httpx.HTTPError as exc:
        return [_error("api_url", f"{settings.api_url} cannot be reached: {_reason(exc)}")]
    findings = [_ok("api_url", f"{settings.api_url} answers.")]
    try:
        ahead = clock() - parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (KeyError, ValueError):
        return [*findings, _warning("clock", "Wix's answer has no date to compare the clock with.")]
    if abs(ahead) > _MAX_SKEW:
        way = "ahead of" if ahead > 0 else "behind"
        findings.append(
            _error(
                "clock",
                f"The clock of this host is {abs(ahead):.0f} seconds {way} Wix's: webhooks and "
                "signed instances may be refused. Let it keep NTP's time.",
            )
        )
    else:
        findings.append(_ok("clock", "The clock of this host agrees with Wix's."))
    return findings


async def _check_install(browser: httpx.AsyncClient, settings: WixSettings) -> list[Finding]:
    is_legacy = settings.flow is InstallFlow.ADVANCED
    try:
        plain = await browser.get(settings.app_url)
        # Without a token in the other flow, where one is logged as a mistake.
        params = {"token": "t" * _TOKEN_BYTES} if is_legacy else {}
        long = await browser.get(settings.app_url, params=params)
    except httpx.HTTPError as exc:
        told = f"{settings.app_url} cannot be reached from this host: {_reason(exc)}"
        return [_error("public_url", told)]
    if not _leads_to(plain, settings.wix_url):
        return [
            _error(
                "public_url",
                f"{settings.app_url} answers {plain.status_code}, and does not lead to Wix. Is "
                "WixMiddleware in front of the app there, with these settings?",
            )
        ]
    findings = [_ok("public_url", f"{settings.app_url} leads to Wix.")]
    findings += _check_opener(plain, settings.app_url)
    if not _leads_to(long, settings.wix_url):
        findings.append(
            _error(
                "public_url",
                f"{settings.app_url} answers {long.status_code} to a long token: the server in "
                "front refuses headers over 4 kB. nginx needs proxy_buffer_size 16k.",
            )
        )
    return findings


async def _check_callback(browser: httpx.AsyncClient, settings: WixSettings) -> list[Finding]:
    url = settings.redirect_url
    try:
        short = await browser.get(url)
        long = await browser.get(url, params={"code": "c" * _CODE_BYTES, "state": "s"})
    except httpx.HTTPError as exc:
        return [_error("callback", f"{url} cannot be reached from this host: {_reason(exc)}")]
    if not _is_ours(short):
        told = f"{url} answers {short.status_code}, and not by WixMiddleware."
        return [_error("callback", told)]
    findings = _check_opener(short, url)
    if _is_ours(long):
        return [*findings, _ok("callback", f"{url} takes addresses as long as Wix's.")]
    if _GUNICORN in long.text.lower():
        remedy = "gunicorn takes 4094 bytes by default: start it with --limit-request-line 8190."
    elif long.status_code == 414:
        remedy = "the server in front takes less: nginx needs large_client_header_buffers 4 32k."
    else:
        remedy = "let the server in front take request lines of 16 kB."
    told = f"{url} answers {long.status_code} to an address as long as Wix's, so installs fail: "
    return [*findings, _error("callback", told + remedy)]


def _check_opener(answer: httpx.Response, url: str) -> list[Finding]:
    if answer.headers.get("cross-origin-opener-policy") == "unsafe-none":
        return []
    told = (
        f"{url} has lost its Cross-Origin-Opener-Policy: unsafe-none on the way, without which Wix "
        "cannot close its window."
    )
    return [_error("public_url", told)]


def _leads_to(answer: httpx.Response, wix_url: str) -> bool:
    location = answer.headers.get("location", "")
    return answer.status_code == 303 and location.startswith(f"{wix_url}/")


def _is_ours(answer: httpx.Response) -> bool:
    """Whether the answer has the policy of the pages that `WixMiddleware` answers with."""
    return "frame-ancestors https://*.wix.com" in answer.headers.get("content-security-policy", "")


def _reason(exc: httpx.HTTPError) -> str:
    return f"{type(exc).__name__}. {exc}".rstrip(". ") + "."
