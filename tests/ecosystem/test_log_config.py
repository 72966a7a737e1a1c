"""The log of an app whose code is not changed, by the file that docs/servers.md shows."""

from __future__ import annotations

import re
from pathlib import Path

from tests.processes.apps import APP
from tests.servers import ROOT, environment, free_port, serving, uvicorn
from wix_asgi.testing import FakeWix

PAGE = (ROOT / "docs" / "servers.md").read_text("utf-8")
(FILE,) = re.findall(r"^```json\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def test_uvicorn_logs_by_the_file(tmp_path: Path) -> None:
    """Each line has its time, process, level and logger, and those at INFO are shown."""
    path, port, fake = tmp_path / "log.json", free_port(), FakeWix()
    path.write_text(FILE, "utf-8")
    command = uvicorn(APP, port, "--log-config", str(path))
    with (
        fake.serve(),
        serving(command, cwd=tmp_path, env=environment(fake, port, "memory://")) as app,
    ):
        app.accepts(port)
        app.printed("Application startup complete")
        app.stop()

    line = (
        r"^20\d\d-\d\d-\d\d \d\d:\d\d:\d\d,\d+ \d+ INFO wix_asgi: enter in Wix's dashboard: App URL"
    )
    assert re.search(line, app.output, re.MULTILINE), app.output
