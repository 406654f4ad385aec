"""Folders of videoswin's files, and the environment variables that set them."""

import os
from pathlib import Path, PurePosixPath

PRIVATE_REDIRECTS_VARIABLE = "VIDEOSWIN_PRIVATE_REDIRECTS"


def configs_dir() -> Path:
    """Folder of `models` and `labels`: in the package when installed, beside it in a clone."""
    package = Path(__file__).parents[1]
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def cache_dir() -> Path:
    """Return the directory of everything that videoswin keeps; it need not exist."""
    if own := os.environ.get("VIDEOSWIN_HOME"):
        return Path(own).expanduser()
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(caches).expanduser() / "videoswin"


def offline() -> bool:
    """Tell whether VIDEOSWIN_OFFLINE forbids the network."""
    return os.environ.get("VIDEOSWIN_OFFLINE", "").lower() in ("1", "true", "yes")


def hub_offline() -> bool:
    """Tell whether the variables of huggingface_hub forbid it the network."""
    found = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return found.lower() in ("1", "on", "true", "yes")


def private_redirects() -> bool:
    """Tell whether VIDEOSWIN_PRIVATE_REDIRECTS lets a public server redirect to a private one."""
    return os.environ.get(PRIVATE_REDIRECTS_VARIABLE, "").lower() in ("1", "true", "yes")


def file_below(folder: Path, path: str, suffix: str) -> Path | None:
    """File of one video in a folder: its path without what leads out of the folder.

    None where that leaves no name, as of `..`.
    """
    parts = PurePosixPath(path.replace(os.sep, "/").replace("://", "/")).parts
    kept = [part for part in parts if part not in ("/", "//", "..", ".")]
    return folder.joinpath(*kept[:-1], f"{kept[-1]}{suffix}") if kept else None
