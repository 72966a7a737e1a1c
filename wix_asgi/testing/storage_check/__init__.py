"""Checks whether a store that is in use keeps the contract of `wix_asgi.storage.Storage`.

    async with open_storage(url) as storage:
        for finding in await check(storage):
            print(finding.rule, finding.case, finding.seen)

The check runs the cases of `wix_asgi.testing.storage` that do no harm to other data, and needs no
pytest. `wix_asgi.testing.storage` builds on this package: it adds the cases for an empty store.
"""

from wix_asgi.testing.storage_check._checking import CHECK_SECONDS, Finding, check

__all__ = ["CHECK_SECONDS", "Finding", "check"]
