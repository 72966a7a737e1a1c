"""The shortest app: FastAPI, and the products of whichever site is calling.

Run it with `uvicorn examples.quickstart:app`, with WIX_APP_ID, WIX_APP_SECRET and WIX_PUBLIC_URL
in the environment. Open it as Wix does, with `?instance=…`.
"""

from typing import Any

from fastapi import FastAPI

from wix_asgi import WixMiddleware
from wix_asgi.fastapi import WixDep

api = FastAPI()


@api.get("/products")
async def products(wix: WixDep) -> Any:
    answer = await wix.get("/stores/v1/products")
    return answer.raise_for_status().json()


app = WixMiddleware(api)
