"""Django in one file: the products of the calling site, in Wix's iframe.

Run it with `uvicorn examples.django_app:app` or `python -m examples.django_app runserver`, with
WIX_APP_ID, WIX_APP_SECRET and WIX_PUBLIC_URL in the environment. Open it as Wix does, with
`?instance=…`. It needs `pip install django daphne`. In a project, `app` is the `application` of
asgi.py, the last line is that of manage.py, and the settings are those of settings.py.
"""

import sys
from typing import Any

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.management import execute_from_command_line
from django.http import JsonResponse
from django.urls import path

from wix_asgi import WixMiddleware

settings.configure(
    SECRET_KEY="only-for-this-example",  # noqa: S106 # it signs nothing of worth
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["daphne"],  # with it `runserver` serves ASGI
    ASGI_APPLICATION=f"{__name__}.app",
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
        "wix_asgi.django.WixRequestMiddleware",
    ],
)


async def products(request: Any) -> Any:
    answer = await request.wix.post("/stores/v1/products/query", json={"query": {}})
    return JsonResponse(answer.raise_for_status().json())


urlpatterns = [path("products", products)]
app = WixMiddleware(get_asgi_application())

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
