"""The products of the sites: three made-up ones for each, unless a test has others."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any, Final

__all__ = ["make_products"]

_GOODS: Final = (("Mug", 12), ("Tote bag", 18), ("Gift card", 25))


def make_products(instance_id: str, site: str) -> list[dict[str, Any]]:
    """Return three products, always the same ones for this site and name."""
    return [_product(instance_id, site, *goods) for goods in _GOODS]


def _product(instance_id: str, site: str, goods: str, base_price: int) -> dict[str, Any]:
    # A few cents of difference tell the products of two sites apart.
    cents = hashlib.sha256(f"{instance_id} {goods}".encode()).digest()[0] % 100
    price = round(base_price + cents / 100, 2)
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"fake-wix:{instance_id}:{goods}")),
        "name": f"{site} {goods}",
        "slug": goods.lower().replace(" ", "-"),
        "visible": True,
        "price": {"currency": "EUR", "price": price, "formatted": {"price": f"{price:.2f} €"}},
        "stock": {"inStock": True, "quantity": 1 + cents % 20},
    }
