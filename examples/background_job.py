"""A job without a request: every hour it reads every site that has the app.

Run it in a server with `uvicorn examples.background_job:app --workers 4`, or once with
`python -m examples.background_job`, with WIX_APP_ID, WIX_APP_SECRET and WIX_PUBLIC_URL in the
environment. Of all workers one does the job, and another takes over when it ends. A site that
fails is logged, and the others are read; a round that fails is logged, and comes again.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from wix_asgi import Wix, WixMiddleware

EVERY = float(os.environ.get("READ_EVERY", "3600"))  # seconds
AFTER_A_FAILURE = min(EVERY, 60.0)  # seconds
logger = logging.getLogger(__name__)


async def read_every_site(wix: Wix) -> dict[str, int]:
    """Count the products of every installed site; a failing site does not stop the job."""
    counts: dict[str, int] = {}
    async for installation in wix.installations():
        client = wix.client(installation.instance_id)
        try:
            answer = await client.post("/stores/v1/products/query", json={"query": {}})
            counts[installation.instance_id] = len(answer.raise_for_status().json()["products"])
        except Exception as error:
            # Whatever it is: Wix fails, the app was removed, or the answer is not as expected.
            logger.warning("%s was not read: %r", installation.instance_id, error)
    return counts


async def read_for_ever(app: Starlette) -> None:
    """Read every site now, and then every hour, in one of all workers."""
    while True:
        try:
            # Kept between the rounds, too: otherwise each worker would have a round an hour.
            async with wix.only_one("read every site"):
                while True:
                    app.state.counts = await read_every_site(wix)
                    app.state.has_read.set()
                    logger.info("%d sites were read", len(app.state.counts))
                    await asyncio.sleep(EVERY)
        except Exception:
            # The storage failed, or this worker was frozen, and another one reads now.
            logger.exception("the job was interrupted, and begins again")
            app.state.has_read.clear()
            await asyncio.sleep(AFTER_A_FAILURE)


@contextlib.asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Run the job while the app runs; wix-asgi is open before it and closes after it."""
    app.state.has_read = asyncio.Event()
    job = asyncio.create_task(read_for_ever(app))
    yield
    job.cancel()


async def counts(request: Request) -> Response:
    """Show the counts of the job's latest round, if this worker is the one that reads."""
    try:
        await asyncio.wait_for(request.app.state.has_read.wait(), 5.0)
    except TimeoutError:
        return PlainTextResponse("Another worker reads the sites.", 503, {"Retry-After": "5"})
    return JSONResponse(request.app.state.counts)


async def main() -> None:
    """Run the job once."""
    async with wix:
        print(await read_every_site(wix))


wix = Wix()
app = WixMiddleware(Starlette(routes=[Route("/counts", counts)], lifespan=lifespan), wix)

if __name__ == "__main__":
    asyncio.run(main())
