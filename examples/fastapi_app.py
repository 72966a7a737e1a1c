"""FastAPI: a page for site owners, with the products of the calling site.

Run it with `fastapi run examples/fastapi_app.py`, with WIX_APP_ID, WIX_APP_SECRET and
WIX_PUBLIC_URL in the environment. Open it as Wix does, with `?instance=…`.
"""

from typing import Any

from fastapi import FastAPI

from wix_asgi.fastapi import WixDep, add_wix

app = FastAPI()
add_wix(app)


@app.get("/products")
async def products(wix: WixDep) -> Any:
    answer = await wix.post("/stores/v1/products/query", json={"query": {}})
    return answer.raise_for_status().json()
