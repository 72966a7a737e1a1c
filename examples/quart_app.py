"""Quart: a page for site owners, and the products of the calling site.

Run it with `hypercorn examples.quart_app:app` or `quart --app examples.quart_app run`, with
WIX_APP_ID, WIX_APP_SECRET and WIX_PUBLIC_URL in the environment. Open it as Wix does, with
`?instance=…`.
"""

from typing import Any

from quart import Quart

from wix_asgi.quart import add_wix, wix

app = Quart(__name__)
add_wix(app)


@app.get("/products")
async def products() -> Any:
    answer = await wix.post("/stores/v1/products/query", json={"query": {}})
    return answer.raise_for_status().json()
