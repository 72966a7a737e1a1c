"""A project of Django on WSGI, as its wsgi.py and settings.py would have it."""

from __future__ import annotations

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from wix_asgi import WixWSGIMiddleware

settings.configure(
    SECRET_KEY="test-secret-key",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=[
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
        "wix_asgi.django.WixRequestMiddleware",
    ],
)


def products(request: HttpRequest) -> HttpResponse:
    """Show the products of the calling site."""
    answer = request.wix.post("/stores/v1/products/query", json={"query": {}})
    return JsonResponse(answer.raise_for_status().json())


urlpatterns = [path("products", products)]
app = WixWSGIMiddleware(get_wsgi_application())
