"""A job without a request: every hour it reads every site that has the app.

Run it in a server with `uvicorn examples.background_job:app`, or once with
`python -m examples.background_job`, with WIX_APP_ID, WIX_APP_SECRET and WIX_PUBLIC_URL in the
environment.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from wix_asgi import Wix, WixError, WixMiddleware

EVERY = 3600.0  # seconds
logger = logging.getLogger(__name__)


async def read_every_site(wix: Wix) -> dict[str, int]:
    """Count the products of every installed site; a failing site does not stop the job."""
    counts: dict[str, int] = {}
    async for installation in wix.installations():
        client = wix.client(installation.instance_id)
        try:
            answer = await client.post("/stores/v1/products/query", json={"query": {}})
        except WixError as error:
            logger.warning("%s was not read: %s", installation.instance_id, error)
            continue
        counts[installation.instance_id] = len(answer.raise_for_status().json()["products"])
    return counts


async def read_for_ever(app: Starlette) -> None:
    """Read every site now, and then every hour."""
    while True:
        app.state.counts = await read_every_site(wix)
        app.state.has_read.set()
        await asyncio.sleep(EVERY)


@contextlib.asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Run the job while the app runs; wix-asgi is open before it and closes after it."""
    app.state.has_read = asyncio.Event()
    job = asyncio.create_task(read_for_ever(app))
    yield
    job.cancel()


async def counts(request: Request) -> Response:
    """Show the counts of the job's latest round."""
    await request.app.state.has_read.wait()
    return JSONResponse(request.app.state.counts)


async def main() -> None:
    """Run the job once."""
    async with wix:
        print(await read_every_site(wix))


wix = Wix()
app = WixMiddleware(Starlette(routes=[Route("/counts", counts)], lifespan=lifespan), wix)

if __name__ == "__main__":
    asyncio.run(main())
