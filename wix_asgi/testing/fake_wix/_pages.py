"""The HTML pages for a site owner: without external resources or scripts, readable on a phone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Final

from starlette.responses import HTMLResponse

from wix_asgi.testing.fake_wix.deliveries import Delivery
from wix_asgi.testing.fake_wix.installer import SEND_EVENT_PATH, UNINSTALL_PATH

__all__ = [
    "close_window_page",
    "consent_page",
    "dashboard_page",
    "error_page",
    "message_page",
    "not_found_page",
    "sites_page",
]

_EVENTS_SHOWN: Final = 6  # an install, an uninstall and a reinstall have two each

# No form-action: browsers apply it to the redirect after the consent form, too.
_HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_STYLE: Final = """
:root { color-scheme: light dark; --ink: #162d3d; --soft: #5f6f7a; --line: #dfe5eb;
  --card: #fff; --ground: #f0f3f5; --blue: #116dff; }
@media (prefers-color-scheme: dark) { :root { --ink: #eef3f7; --soft: #a3b1bc; --line: #33424d;
  --card: #1b2730; --ground: #10181e; --blue: #5c9dff; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 3rem 1rem; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 44rem; margin: 0 auto; }
main.narrow { max-width: 28rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 1.5rem; margin: 0 0 1rem; box-shadow: 0 1px 3px #0001; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .5rem; }
h2 { font-size: 1.1rem; margin: 0; }
p { margin: .5rem 0; }
.soft, small { color: var(--soft); }
.all { flex: 1 0 100%; min-width: 0; max-width: 100%; }
form { margin: 0; }
input { width: 20rem; max-width: 100%; }
code { font-size: .8rem; overflow-wrap: anywhere; }
ul { padding-left: 1.25rem; }
.row { display: flex; flex-wrap: wrap; gap: .75rem; align-items: center; }
.grow { flex: 1 1 16rem; }
.badge { font-size: .75rem; padding: .1rem .6rem; border-radius: 1rem; background: #60bc5733;
  margin-left: .5rem; white-space: nowrap; }
.button { display: inline-block; border: 1px solid var(--blue); border-radius: 18px;
  padding: .4rem 1.1rem; font: inherit; color: var(--blue); background: none; cursor: pointer;
  text-decoration: none; }
.button.first { background: #116dff; border-color: #116dff; color: #fff; }
.button:focus-visible, label:focus-within { outline: 3px solid #116dff88; outline-offset: 2px; }
fieldset { border: 0; padding: 0; margin: 1rem 0; }
label { display: block; padding: .4rem 0; }
"""
_FRAME_STYLE: Final = """
body { margin: 0; font: 16px/1.5 system-ui, sans-serif; }
header { padding: .75rem 1rem; background: #162d3d; color: #fff; }
header a { color: #fff; }
header p { margin: .25rem 0 0; font-size: .8rem; }
iframe { display: block; width: 100%; height: 80vh; border: 0; }
"""


def sites_page(
    sites: Iterable[tuple[str, str]],
    *,
    installed: frozenset[str],
    links: Mapping[str, Mapping[str, str]],
    deliveries: Mapping[str, Sequence[Delivery]],
    sends_events: bool,
) -> HTMLResponse:
    """Return "My sites": each site with its links, by their text, and its newest events."""
    cards = "".join(
        _site_card(
            instance_id,
            name,
            links[instance_id],
            deliveries[instance_id],
            installed=instance_id in installed,
            sends_events=sends_events,
        )
        for instance_id, name in sites
    )
    intro = (
        "<h1>My sites</h1><p class='soft'>This is a fake Wix for trying an app out: "
        "the sites are made up, and nothing leaves this machine.</p>"
    )
    hint = "" if any(links.values()) else "<p class='soft'>Set app_url to see links here.</p>"
    return _page("My sites", f"{intro}{hint}{cards}")


def consent_page(
    *,
    app_name: str,
    permissions: Iterable[str],
    site: str | None,
    choices: Mapping[str, str],
    action: str,
) -> HTMLResponse:
    """Return the question to the site owner; `choices` is shown where no `site` is given."""
    items = "".join(f"<li>{escape(permission)}</li>" for permission in permissions)
    where = f"<b>{escape(site)}</b>" if site is not None else "one of your sites"
    return _page(
        f"Add {app_name} to your site",
        f"""<form class="card" method="post" action="{escape(action)}">
<h1>Add {escape(app_name)} to your site</h1>
<p>{escape(app_name)} asks for these permissions on {where}:</p>
<ul>{items}</ul>
{_site_picker(choices) if site is None else ""}
<div class="row">
<button class="button first" name="decision" value="approve">Approve</button>
<button class="button" name="decision" value="cancel">Cancel</button>
</div></form>""",
        narrow=True,
    )


def close_window_page(*, site: str, open_url: str | None) -> HTMLResponse:
    """Return the end of an install, with a way into the app where there is one."""
    link = _link(open_url, "Open the app", first=True) if open_url else ""
    return _page(
        "The app was added",
        f"""<div class="card"><h1>The app was added to {escape(site)}</h1>
<p>You may close this window.</p>
<div class="row">{link}{_link("/", "My sites")}</div></div>""",
        narrow=True,
    )


def dashboard_page(*, app_name: str, site: str, app: str) -> HTMLResponse:
    """Return the dashboard of a site with the page of the app, whose URL is `app`, in a frame."""
    policy = f"{_HEADERS['content-security-policy']}; frame-src http: https:"
    return HTMLResponse(
        f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(app_name)} - {escape(site)} - Fake Wix</title><style>{_FRAME_STYLE}</style></head>
<body><header><b>{escape(site)}</b> · {escape(app_name)} · <a href="/">My sites</a>
<p>The page below is in an iframe of another site, as at Wix. If it stays empty, the app forbids
framing (X-Frame-Options, frame-ancestors); if it forgets its visitor, its cookies lack
SameSite=None; Secure; Partitioned.</p></header>
<iframe title="{escape(app_name)}" src="{escape(app)}"></iframe></body></html>
""",
        headers={**_HEADERS, "content-security-policy": policy},
    )


def message_page(title: str, message: str, status: int = 200) -> HTMLResponse:
    """Return a page that says one thing."""
    return _page(
        title,
        f"""<div class="card"><h1>{escape(title)}</h1><p>{escape(message)}</p>
<div class="row">{_link("/", "My sites")}</div></div>""",
        status=status,
        narrow=True,
    )


def error_page(message: str) -> HTMLResponse:
    """Return the page of an install that Wix stops."""
    return message_page("Something went wrong", message, 400)


def not_found_page() -> HTMLResponse:
    """Return the page for an address of www.wix.com that leads nowhere."""
    return message_page("Page not found", "There is no page of Wix at this address.", 404)


def _site_card(
    instance_id: str,
    name: str,
    links: Mapping[str, str],
    deliveries: Sequence[Delivery],
    *,
    installed: bool,
    sends_events: bool,
) -> str:
    badge = "<span class='badge'>Installed</span>" if installed else ""
    buttons = "".join(
        _link(url, text, first=index == 0) for index, (text, url) in enumerate(links.items())
    )
    return f"""<section class="card row">
<div class="grow"><h2>{escape(name)}{badge}</h2>
<code class="soft">{escape(instance_id)}</code></div>
{buttons}{_uninstall_button(instance_id) if installed else ""}
{_event_form(instance_id) if sends_events else ""}{_events(deliveries)}</section>"""


def _uninstall_button(instance_id: str) -> str:
    return f"""<form method="post" action="{UNINSTALL_PATH}">
<button class="button" name="instanceId" value="{escape(instance_id)}">Uninstall</button></form>"""


def _event_form(instance_id: str) -> str:
    return f"""<form class="all" method="post" action="{SEND_EVENT_PATH}">
<input name="eventType" aria-label="Event type" value="PaidPlanPurchased" required>
<button class="button" name="instanceId" value="{escape(instance_id)}">Send event</button></form>"""


def _events(deliveries: Sequence[Delivery]) -> str:
    if not deliveries:
        return ""
    items = "".join(
        f"<li><code>{escape(delivery.event_type)}</code> {_outcome(delivery.status)}</li>"
        for delivery in deliveries[-_EVENTS_SHOWN:]
    )
    return f'<details class="all" open><summary>Events</summary><ul>{items}</ul></details>'


def _outcome(status: int) -> str:
    return f"answered {status}" if status else "not answered"


def _site_picker(choices: Mapping[str, str]) -> str:
    radios = "".join(
        f"<label><input type='radio' name='instanceId' value='{escape(instance_id)}'"
        f"{' checked' if index == 0 else ''}> {escape(name)}</label>"
        for index, (instance_id, name) in enumerate(choices.items())
    )
    return f"<fieldset><legend>Which site?</legend>{radios}</fieldset>"


def _link(url: str, text: str, *, first: bool = False) -> str:
    kind = "button first" if first else "button"
    return f'<a class="{kind}" href="{escape(url)}">{escape(text)}</a>'


def _page(title: str, body: str, *, status: int = 200, narrow: bool = False) -> HTMLResponse:
    return HTMLResponse(
        f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} - Fake Wix</title><style>{_STYLE}</style></head>
<body><main{' class="narrow"' if narrow else ""}>{body}</main></body></html>
""",
        status,
        _HEADERS,
    )
