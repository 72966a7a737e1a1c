"""Secrets are compared in constant time, in all sources and in three running checks."""

from __future__ import annotations

import ast
import hmac
import importlib.util
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.identity import signing
from wix_asgi.errors import WixError
from wix_asgi.handshake.state import StateSigner

SECRETS = re.compile(
    r"digests?|hexdigest|hmac|mac|nonce|passwords?|secrets?|sig|signatures?|tokens?", re.IGNORECASE
)
WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")
PLAIN = (ast.Eq, ast.NotEq, ast.In, ast.NotIn)


def is_secret(name: str) -> bool:
    """Return whether a word of an identifier names a secret; our constants hold no secrets."""
    return not name.isupper() and any(map(SECRETS.fullmatch, WORD.findall(name)))


def names(operand: ast.expr) -> Iterator[str]:
    """Yield the names of a compared value, and of the values that it is computed from.

    Of `a.b` that is `b`, unless `b` is a token: the tokens in our values came from Wix, and are
    compared to tell which of two was refused or replaced.
    """
    match operand:
        case ast.Attribute(attr=name):
            yield from [] if "token" in name else [name]
        case ast.Call(func=ast.Name(id="len")):
            return  # a length is no secret
        case ast.Name(id=name) | ast.Subscript(slice=ast.Constant(value=str(name))):
            yield name
        case ast.Call(func=ast.Attribute(value=receiver)):
            yield from names(receiver)
    if not isinstance(operand, ast.Attribute):
        for child in ast.iter_child_nodes(operand):
            part = child.value if isinstance(child, ast.keyword) else child
            yield from names(part) if isinstance(part, ast.expr) else []


def plain_comparisons(source: str) -> list[str]:
    """Return the comparisons of secrets in `source` that stop at the first difference."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare) and any(isinstance(op, PLAIN) for op in node.ops):
            operands = [node.left, *node.comparators]
            if any(is_secret(name) for operand in operands for name in names(operand)):
                found.append(ast.unparse(node))
    return found


def sources() -> Iterator[Path]:
    """Yield the modules of both packages as they are installed, but those for tests."""
    for package in ("wix_asgi", "wix_asgi_backends"):
        spec = importlib.util.find_spec(package)
        assert spec is not None
        for location in spec.submodule_search_locations or ():
            for path in Path(location).rglob("*.py"):
                if "testing" not in path.relative_to(location).parts:
                    yield path


def test_sources_compare_no_secret_plainly() -> None:
    """No module compares a secret, digest, signature or token by `==` or `in` (R6)."""
    found = {source.name: plain_comparisons(source.read_text("utf-8")) for source in sources()}

    assert {"state.py", "signed_instance.py", "vault.py", "callback.py"} <= set(found)
    assert {} == {name: comparisons for name, comparisons in found.items() if comparisons}


@pytest.mark.parametrize(
    "comparison",
    [
        "digest == self.browser_digest",
        "self.browser_digest != other",
        "_digest(value) == expected",
        "hmac.digest(key, data, 'sha256') == given",
        "base64_encode(base64_decode(sig)) == want_bytes(sig)",
        "given in digests",
        "sealed not in {signature, other}",
        "app_secret.encode() == value",
        "setting.get_secret_value() == value",
        "query['token'] == value",
        "appSecret == value",
        "hashlib.sha256(value).hexdigest() in known",
        "check(value=nonce) == value",
        "a < b == token",
    ],
)
def test_plain_comparison_is_found(comparison: str) -> None:
    """A plain comparison is found, by whichever expression the secret is reached (R6)."""
    assert [comparison] == plain_comparisons(f"if x:\n    y = {comparison}")


@pytest.mark.parametrize(
    "comparison",
    [
        "token.value == refused.value",
        "grant.refresh_token != stored.refresh_token",
        "name in SECRET_NAMES",
        "len(tokens) != 1",
        "name == 'secret'",
        "'token' in query",
        "signer == design",
        "secret is None",
        "token < other",
        "hmac.compare_digest(digest, other)",
    ],
)
def test_harmless_comparison_is_not_found(comparison: str) -> None:
    """A comparison without a secret is not found, nor is one in constant time."""
    assert [] == plain_comparisons(comparison)


def _check_cookie() -> bool:
    flow = StateSigner(signing.settings()).mint()
    return flow.is_bound_to({flow.cookie_name: [flow.cookie_value]})


def _check_state() -> bool:
    signer = StateSigner(signing.settings())
    return bool(signer.check(signer.mint().state).nonce)


def _check_instance() -> bool:
    return bool(signing.INSTANCES.verify(signing.GOOD, signing.NOW.timestamp()))


@pytest.mark.parametrize("check", [_check_cookie, _check_state, _check_instance])
def test_secrets_are_compared_in_constant_time(
    check: Callable[[], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cookie, a state and a signed instance pass only by `hmac.compare_digest` (R6)."""
    passed = []
    for compare in (hmac.compare_digest, lambda *_: False):
        monkeypatch.setattr(hmac, "compare_digest", compare)
        try:
            passed.append(check())
        except WixError:
            passed.append(False)

    assert [True, False] == passed
