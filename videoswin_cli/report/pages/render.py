"""Pages from their contents: one file each, which fetches nothing.

Names are hostile: templates escape every text, JSON cannot leave its script element, and a policy
in the page allows its own script only, by its hash.
"""

import base64
import hashlib
import json
from dataclasses import asdict, is_dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videoswin_cli.io.atomic import atomic_write
from videoswin_cli.io.visible import counted, visible
from videoswin_cli.report.pages.contents import Page
from videoswin_cli.report.percent import percent

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

_TEMPLATES = Path(__file__).parent / "templates"
_IN_SCRIPTS = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&'\u2028\u2029"}
_HUES = 137.508  # degrees between the colors of neighboring classes: the golden angle


def write_page(path: Path, page: Page) -> None:
    """Write a page; it appears when it is complete.

    Raises:
        VideoSwinError: the file cannot be written.
    """
    with atomic_write(path) as part:
        part.write_text(render_page(page), encoding="utf-8", errors="backslashreplace")


def render_page(page: Page) -> str:
    """HTML of a page."""
    return render_template("page.html", script="page.js", page=page)[0]


def render_template(name: str, *, script: str, **contents: Any) -> tuple[str, str]:
    """HTML of a template with our style and a script, and the SHA-256 of the latter in base64."""
    from markupsafe import Markup

    source = (_TEMPLATES / script).read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
    html = (
        _environment()
        .get_template(name)
        .render(
            script=Markup(source),  # ours, as is the style
            style=Markup((_TEMPLATES / "page.css").read_text(encoding="utf-8")),
            script_hash=digest,
            **contents,
        )
    )
    return html, digest


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters |= {
        "json": _to_script,
        "clock": format_clock,
        "hue": _hue,
        "percent": percent,
        "counted": counted,
    }
    return environment


def _shown(value: Any) -> Any:
    """Text with control characters as escapes: they would hide or reorder what stands beside."""
    return visible(value) if type(value) is str else value


def _to_script(value: Any) -> "Markup":
    """JSON that no text in it can end, whatever it says."""
    from markupsafe import Markup

    plain = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
    text = json.dumps(plain, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Markup(text.translate(_IN_SCRIPTS))


def format_clock(seconds: float) -> str:
    """0:04.2, 12:30.0, 1:02:03.4."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{head}:{rest // 10:02d}.{rest % 10}"


def _hue(index: int) -> str:
    """Hue in degrees of a class, the same on every page."""
    return f"{index * _HUES % 360:.0f}"
