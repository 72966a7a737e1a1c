"""Litestar: a page for site owners, with the products of the calling site.

Run it with `litestar --app examples.litestar_app:app run`, with WIX_APP_ID, WIX_APP_SECRET and
WIX_PUBLIC_URL in the environment. Open it as Wix does, with `?instance=…`.
"""

from typing import Any

from litestar import Litestar, get

from wix_asgi.litestar import WixDep, WixPlugin


@get("/products")
async def products(wix: WixDep) -> Any:
    answer = await wix.post("/stores/v1/products/query", json={"query": {}})
    return answer.raise_for_status().json()


app = Litestar([products], plugins=[WixPlugin()])
