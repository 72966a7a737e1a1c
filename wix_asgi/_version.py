"""The version: in the source, for bundles that leave the metadata out."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
