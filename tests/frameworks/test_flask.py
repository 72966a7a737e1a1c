"""Flask: `wix_asgi.flask.wix`, and refusals as answers."""

from __future__ import annotations

import pytest
from flask import Flask, request
from flask.typing import ResponseReturnValue

from tests.frameworks.wsgi_calls import Site, call
from tests.support import SITE, make_wix
from wix_asgi import MiddlewareMissing, WixWSGIMiddleware
from wix_asgi.concurrency.portal import portal
from wix_asgi.flask import answer_refusals, wix
from wix_asgi.testing import FakeWix


def make_app(*, testing: bool = False) -> Flask:
    """Return an app with one view."""
    app = Flask("app")
    app.testing = testing

    @app.get("/products")
    def products() -> ResponseReturnValue:
        answer = wix.get("/x", params=request.args)
        return answer.json(), answer.status_code

    return app


def test_view_has_the_client_of_its_request(fake: FakeWix) -> None:
    """`wix` is the calling site's client; nobody gets a 401, and strangers a 403."""
    app, ours = make_app(), make_wix(fake)
    app.wsgi_app = WixWSGIMiddleware(app.wsgi_app, ours)  # type: ignore[method-assign] # Flask's way
    answer_refusals(app)
    site = Site(app, fake)
    nobody, stranger = call(app, "/products"), site.open("/products")
    site.install()
    called = app.test_client().get(
        "/products", query_string={"instance": fake.signed_instance(SITE)}
    )
    portal().call(ours.aclose)

    assert [401, 403] == [nobody.status, stranger.status]
    assert "no_identity" in nobody.headers["WWW-Authenticate"]
    assert called.json is not None
    assert (200, SITE) == (called.status_code, called.json["instanceId"])


def test_missing_middleware_is_told() -> None:
    """A view of an app without the middleware raises, and its tests see that."""
    with pytest.raises(MiddlewareMissing):
        make_app(testing=True).test_client().get("/products")
