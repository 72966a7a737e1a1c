"""The shortest app: FastAPI, and the products of the calling site.

Run it with `uvicorn examples.quickstart:app`, with WIX_APP_ID, WIX_APP_SECRET and WIX_PUBLIC_URL
in the environment. Open it as Wix does, with `?instance=…`.
"""

from typing import Any

from fastapi import FastAPI

from wix_asgi import WixMiddleware
from wix_asgi.fastapi import WixDep

app = FastAPI()
app.add_middleware(WixMiddleware)


@app.get("/products")
async def products(wix: WixDep) -> Any:
    answer = await wix.post("/stores/v1/products/query", json={"query": {}})
    return answer.raise_for_status().json()
