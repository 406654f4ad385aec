"""Addresses as texts: `s3://bucket/key` and the like, their kinds and parts."""

import posixpath
from pathlib import Path

from videoswin_cli.errors import OfflineError, UsageError
from videoswin_cli.io.paths import hub_offline, offline

WEB = ("http", "https")
PACKAGES = {  # scheme: the package that fsspec needs for it
    **dict.fromkeys(WEB, ""),
    "memory": "",
    "s3": "s3fs",
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("az", "abfs", "abfss"), "adlfs"),
    "hf": "huggingface_hub",
}


def scheme_of(text: str) -> str:
    """Scheme of an address in small letters; empty for a path."""
    scheme, found, _ = text.partition("://")
    return scheme.lower() if found and scheme.isascii() and scheme.isalnum() else ""


def is_url(text: str) -> bool:
    """Whether a text is an address that can be read."""
    return "://" in text and scheme_of(text) in PACKAGES


def is_web(text: str) -> bool:
    return "://" in text and scheme_of(text) in WEB


def is_bucket(text: str) -> bool:
    """Whether an address is one of a storage service, which lists and takes files."""
    return is_url(text) and not is_web(text)


def is_hub_model(text: str) -> bool:
    """Whether an address is that of a model repository, `hf://org/name` or `hf://org/name@v1`."""
    parts = text.partition("://")[2].rstrip("/").split("/")
    kinds = ("datasets", "spaces", "buckets", "models")
    return scheme_of(text) == "hf" and len(parts) == 2 and parts[0] not in kinds


def is_out_of_reach(address: str) -> bool:
    """Whether offline mode, ours or that of the Hub, forbids to ask for an address."""
    scheme = scheme_of(address)
    return scheme != "memory" and (offline() or (scheme == "hf" and hub_offline()))


def forbid(what: str, shown: str) -> OfflineError:
    """The error that offline mode forbids to fetch or to write something."""
    variable = "VIDEOSWIN_OFFLINE" if offline() else "HF_HUB_OFFLINE"
    other = ", or write a local file and upload it later" if what == "write" else ""
    return OfflineError(
        f"cannot {what} {shown}: offline mode forbids the network",
        hint=f"leave offline mode ({variable}){other}",
    )


def check_scheme(text: str) -> None:
    """Raises UsageError for an address of a scheme that is not known."""
    if (scheme := scheme_of(text)) and scheme not in PACKAGES:
        known = ", ".join(f"{name}://" for name in PACKAGES if name not in ("gcs", "abfss"))
        raise UsageError(
            f"{scheme}:// cannot be read: {text}",
            hint=f"addresses that can: {known}; fetch it by other means first",
        )


def check_no_address(text: str) -> None:
    """Raises UsageError for an address where a path is expected."""
    if scheme_of(text) and not Path(text).exists():
        raise UsageError(f"{text}: an address, where a local file or folder is expected")


def join_address(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}"


def name_of(address: str) -> str:
    """Last part of an address."""
    return posixpath.basename(address.partition("://")[2].rstrip("/"))


def parent_address(address: str) -> str:
    """Address of the folder that an object is in."""
    scheme, _, rest = address.partition("://")
    return f"{scheme}://{posixpath.dirname(rest.rstrip('/'))}"
