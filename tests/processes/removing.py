"""The quickstart with a route that removes the calling site, and rechecks that come soon."""

from __future__ import annotations

import functools
import logging
from typing import Any

from fastapi import FastAPI, Request

from tests.limits import PATIENCE
from tests.processes.stamped import Stamp
from wix_asgi import Installation, Wix, WixMiddleware, _assembly
from wix_asgi.fastapi import WixDep
from wix_asgi.tokens.recheck import RecheckPolicy, Rechecks

__all__ = ["app", "wix"]

SOON = RecheckPolicy(pause=0.5, overdue=1.0, wait=PATIENCE)
"""A removal is noticed within a second instead of a minute."""

vars(_assembly)["Rechecks"] = functools.partial(Rechecks, policy=SOON)

# A removed site would come back where Wix grants tokens by client credentials: the fake Wix knows
# nothing of the removal.
wix = Wix(recover=False)
app = FastAPI()
app.add_middleware(WixMiddleware, wix=wix)
app.add_middleware(Stamp)


@wix.on_uninstall
async def tell(installation: Installation) -> None:
    """Tell the log, by which the test counts."""
    logging.getLogger("app").warning("UNINSTALLED %s", installation.instance_id)


@app.get("/products")
async def products(wix: WixDep) -> Any:
    """Answer with the products of the calling site."""
    answer = await wix.post("/stores/v1/products/query", json={"query": {}}, timeout=PATIENCE)
    return answer.raise_for_status().json()


@app.post("/remove")
async def remove(request: Request) -> bool:
    """Remove the calling site."""
    return await wix.remove((await request.state.wix.identify()).instance_id)
