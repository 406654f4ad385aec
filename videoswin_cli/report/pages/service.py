"""Pages of the server: one to try the model with, and one that lists its routes."""

from typing import Any

from videoswin_cli.report.pages.render import render_template

_POLICY = (
    "default-src 'none'; img-src data: blob:; media-src blob:; style-src 'unsafe-inline'; "
    "script-src 'sha256-{script}'; connect-src 'self'; base-uri 'none'; form-action 'none'"
)
_LONG_SECONDS = 8  # from which on a clip gets a timeline


def render_service_page(model: str, *, needs_token: bool) -> tuple[str, str]:
    """HTML of the page for people, and the policy that it is sent with."""
    facts = {"model": model, "needs_token": needs_token, "long_seconds": _LONG_SECONDS}
    html, digest = render_template("service.html", script="service.js", **facts)
    return html, _POLICY.format(script=digest)


def render_api_page(schema: dict[str, Any]) -> tuple[str, str]:
    """HTML of the routes of an OpenAPI schema, and the policy that it is sent with."""
    html, _ = render_template("api.html", script="service.js", schema=schema)
    return html, "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'"
