"""An `httpx.AsyncClient` that parses no URL twice, and reads cookies of answers that have some."""

from __future__ import annotations

from typing import Any, Final

from wix_asgi._http import httpx

__all__ = ["QuickClient", "with_defaults"]

_DEFAULTS: Final = httpx.AsyncClient(transport=httpx.AsyncBaseTransport()).headers


def with_defaults(headers: Any) -> httpx.Headers:
    """Return `headers` with those of httpx that they do not replace."""
    whole = httpx.Headers(_DEFAULTS)
    whole.update(headers)
    return whole


class QuickClient(httpx.AsyncClient):
    """An `httpx.AsyncClient` with the same behaviour, for many short calls below one `base_url`."""

    _jar: _Cookies
    _sent: httpx.Headers

    @property
    def headers(self) -> httpx.Headers:
        """The headers that go with each request."""
        return self._sent

    @headers.setter
    def headers(self, headers: Any) -> None:
        self._sent = with_defaults(headers)

    @property
    def cookies(self) -> httpx.Cookies:
        """The cookies of this client alone, made when they are first needed."""
        if "_jar" not in self.__dict__:
            self._jar = _Cookies()
        return self._jar

    @cookies.setter
    def cookies(self, cookies: Any) -> None:
        self._jar = _Cookies(cookies)

    def build_request(self, method: str, url: httpx.URL | str, **options: Any) -> httpx.Request:
        """Return a request as httpx does; it parses a path alone, and again behind `base_url`."""
        if isinstance(url, str) and url.startswith("/") and not url.startswith("//"):
            whole = str(self.base_url).removesuffix("/") + url
            if "#" not in whole:
                url = httpx.URL(whole)
        return super().build_request(method, url, **options)


class _Cookies(httpx.Cookies):
    """Cookies that are looked for in answers with some: the search costs a tenth of a call."""

    def extract_cookies(self, response: httpx.Response) -> None:
        """Keep the cookies of an answer."""
        if "Set-Cookie" in response.headers:
            super().extract_cookies(response)
