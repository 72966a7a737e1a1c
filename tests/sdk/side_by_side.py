"""Runs Wix's SDK in Node, and keeps a table of its outcomes and ours."""

from __future__ import annotations

import json
import shutil
import subprocess
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.limits import PATIENCE
from wix_asgi.testing import FakeWix
from wix_asgi.testing.fake_wix.calls import Call

__all__ = ["Sdk", "SideBySide", "install_sdk", "requests_of"]

PACKAGES: Final = ["@wix/sdk@1.21.16", "@wix/app-management@1.0.161"]
_DRIVER: Final = Path(__file__).with_name("driver.mjs")
_WIDTH: Final = 38
"""Characters of a column of the table; three columns fill a terminal of 120."""


def install_sdk(room: Path) -> None:
    """Install the SDK from npm, without scripts, beside the program that drives it."""
    (room / "package.json").write_text('{"private": true}')
    command = ["npm", "install", "--no-fund", "--no-audit", "--ignore-scripts", *PACKAGES]
    subprocess.run(command, cwd=room, capture_output=True, timeout=5 * PATIENCE, check=True)
    shutil.copy(_DRIVER, room)


@dataclass(frozen=True, slots=True)
class Sdk:
    """Wix's SDK, for the app of a fake Wix."""

    room: Path
    fake: FakeWix

    def run(self, *steps: list[Any], **options: Any) -> list[dict[str, Any]]:
        """Carry out steps with one `AppStrategy`; return `value` or `error` of each."""
        app = {"appId": self.fake.app_id, "appSecret": self.fake.app_secret}
        given = {"wix": self.fake.url, "options": {**app, **options}, "steps": steps}
        done = subprocess.run(
            ["node", _DRIVER.name],
            cwd=self.room,
            input=json.dumps(given),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert 0 == done.returncode, done.stderr
        outcomes: list[dict[str, Any]] = json.loads(done.stdout)
        return outcomes

    def value(self, *step: Any, **options: Any) -> Any:
        """Carry out one step; return its value."""
        (outcome,) = self.run(list(step), **options)
        assert "value" in outcome, outcome
        return outcome["value"]

    def error(self, *step: Any, **options: Any) -> str:
        """Carry out one step; return the message of its error."""
        (outcome,) = self.run(list(step), **options)
        assert "error" in outcome, outcome
        message: str = outcome["error"]
        return message


@dataclass(slots=True)
class SideBySide:
    """A table of outcomes; a difference needs a reason."""

    rows: list[tuple[str, str, str, str]] = field(default_factory=list)

    def same(self, case: str, *, sdk: object, ours: object) -> None:
        """Keep two outcomes, which have to be the same."""
        self.rows.append((case, str(sdk), str(ours), ""))
        assert sdk == ours, case

    def differ(self, case: str, *, sdk: object, ours: object, because: str) -> None:
        """Keep two outcomes that differ, with the reason of ours."""
        self.rows.append((case, str(sdk), str(ours), because))
        assert sdk != ours, f"{case}: there is no difference any more"

    def lines(self) -> Iterator[str]:
        """Yield the lines of the table."""
        for case, sdk, ours, because in (("input", "@wix/sdk", "wix-asgi", ""), *self.rows):
            columns = [textwrap.wrap(text, _WIDTH) for text in (case, sdk, ours)]
            for number in range(max(map(len, columns))):
                cells = [each[number] if number < len(each) else "" for each in columns]
                yield "  ".join(cell.ljust(_WIDTH) for cell in cells).rstrip()
            if because:
                yield f"    because: {because}"


def requests_of(fake: FakeWix) -> list[tuple[str, str, Any, bool]]:
    """Return method, path and body of each request, and whether it had a token; forget them."""
    requests = [_request(call) for call in fake.calls]
    fake.calls.clear()
    return requests


def _request(call: Call) -> tuple[str, str, Any, bool]:
    assert call.status == 200, f"the fake Wix refuses {call.method} {call.path}: {call.status}"
    token = call.headers.get("authorization", "")
    assert not token.startswith("Bearer ")
    return call.method, call.path, call.json, bool(token)
