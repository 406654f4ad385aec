"""Pages of the site that live elsewhere in the repository, where links on a forge find them."""

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

_MEASUREMENTS = "benchmarks/results.md"


def on_files(files: Any, config: Any) -> Any:
    """The measurements as a page of the site."""
    content = (Path(config.config_file_path).parent / _MEASUREMENTS).read_text(encoding="utf-8")
    files.append(File.generated(config, "results.md", content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links to the measurements, and to headings in them, as links to that page."""
    return markdown.replace(f"](../{_MEASUREMENTS}", "](results.md")
