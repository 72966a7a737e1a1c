"""An app behind a real proxy, which a configuration of docs/servers.md sets up."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.limits import PATIENCE
from tests.processes.apps import APP
from tests.servers import ROOT, Server, environment, serving, uvicorn
from tests.support import SITE
from wix_asgi._http import httpx
from wix_asgi.testing import FakeWix

__all__ = ["PAGE", "Site", "behind", "changed_snippet", "find"]

PAGE = (ROOT / "docs" / "servers.md").read_text("utf-8")


@dataclass
class Site:
    """An app behind a proxy, and a browser that knows its public address alone."""

    browser: httpx.Client
    url: str
    fake: FakeWix
    app: Server
    proxy: Server
    room: Path

    def begin(self) -> str:
        """Begin an install; return the address of the installer."""
        token = self.fake.install_token(SITE)
        answer = self.browser.get(f"{self.url}/wix/install", params={"token": token})
        assert 303 == answer.status_code, answer.text
        return answer.headers["Location"]

    def log(self, name: str) -> str:
        """Return the content of a file that the proxy writes."""
        return (self.room / name).read_text("utf-8")


def changed_snippet(language: str, changes: Mapping[str, str]) -> str:
    """Return the page's one block in `language`, with each of these texts replaced."""
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    (snippet,) = found
    for text, other in changes.items():
        assert text in snippet
        snippet = snippet.replace(text, other)
    return snippet


def find(program: str) -> str:
    """Return the path of a server, which Debian keeps where a user's PATH does not lead."""
    return shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") or program


@contextmanager
def behind(
    command: Sequence[str], room: Path, *, port: int, upstream: int, path: str = ""
) -> Iterator[Site]:
    """Serve an app on `upstream` behind the proxy that `command` starts on `port`."""
    fake, url = FakeWix(), f"http://127.0.0.1:{port}{path}"
    with fake.serve():
        env = {
            **environment(fake, upstream, "memory://"),
            "WIX_PUBLIC_URL": url,
            "WIX_PUBLIC_KEY": fake.public_key,
        }
        with (
            serving(uvicorn(APP, upstream), cwd=room, env=env) as app,
            serving(command, cwd=room, env={**os.environ, "HOME": str(room)}) as proxy,
            httpx.Client(trust_env=False, timeout=PATIENCE) as browser,
        ):
            app.accepts(upstream)
            proxy.accepts(port)
            yield Site(browser, url, fake, app, proxy, room)
