"""Repositories of models on the Hugging Face Hub. The only importer of huggingface_hub.

It finds tokens, caches and the address of the Hub by its own means (`hf auth login`, HF_TOKEN,
HF_HOME, HF_ENDPOINT).
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videoswin_cli.errors import FetchError, OfflineError, UsageError, install_extra
from videoswin_cli.io.addresses import forbid, is_hub_model, is_out_of_reach
from videoswin_cli.io.storage import try_again
from videoswin_cli.io.web_errors import name_host

_MAIN = "main"


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A repository of a model, at a commit."""

    name: str  # ORG/NAME
    revision: str  # as it was asked for; the cache finds it again by that
    commit: str  # hash
    files: tuple[str, ...]

    @property
    def address(self) -> str:
        return f"hf://{self.name}@{self.commit}"


def parse_repository(address: str) -> tuple[str, str | None]:
    """Name and revision of `hf://org/name` or `hf://org/name@revision`.

    Raises:
        UsageError: it is something else.
    """
    if not is_hub_model(address):
        raise UsageError(f"{address}: expected hf://ORG/NAME, the address of a model repository")
    name, _, revision = address.partition("://")[2].rstrip("/").partition("@")
    return name, revision or None


def look_into(address: str) -> Repository:
    """The repository of an address as it is now; where the network is barred, as it was last.

    Raises:
        FetchError: there is none, or it cannot be asked for.
        UsageError: huggingface_hub is not installed.
    """
    hub = _import()
    name, revision = parse_repository(address)
    revision = revision or _MAIN
    if is_out_of_reach(address):
        try:
            found = hub.snapshot_download(
                name, revision=revision, local_files_only=True, cache_dir=_cache()
            )
        except FileNotFoundError as error:
            raise _forbid(address) from error
        folder = Path(found)
        files = tuple(str(p.relative_to(folder)) for p in sorted(folder.rglob("*")) if p.is_file())
        return Repository(name=name, revision=revision, commit=folder.name, files=files)
    shown = _at_host(hub, address)
    info = try_again(lambda: _api(hub).model_info(name, revision=revision), address, shown=shown)
    files = tuple(each.rfilename for each in info.siblings or ())
    return Repository(name=name, revision=revision, commit=str(info.sha), files=files)


def download_file(repository: Repository, file: str) -> Path:
    """A file of a repository, in the cache of huggingface_hub.

    Raises:
        FetchError: it cannot be fetched.
    """
    hub = _import()
    place = f"{repository.address}/{file}"
    if is_out_of_reach(repository.address):
        found = hub.try_to_load_from_cache(
            repository.name, file, revision=repository.commit, cache_dir=_cache()
        )
        if not isinstance(found, str):
            raise _forbid(place)
        return Path(found)
    found = try_again(
        lambda: hub.hf_hub_download(
            repository.name,
            file,
            revision=repository.revision,
            cache_dir=_cache(),
            endpoint=_endpoint(),
        ),
        repository.address,
        shown=_at_host(hub, place),
    )
    # A path such as `snapshots/COMMIT/FILE`: the branch may have moved on.
    if repository.commit not in Path(found).parts:
        raise FetchError(
            f"{repository.address} was replaced meanwhile", hint="run the same command again"
        )
    return Path(found)


def push_files(
    address: str, files: Mapping[str, Path | bytes], *, message: str, private: bool
) -> str:
    """Put files into a repository, which is made, in one commit. Gives the URL of that.

    Raises:
        FetchError: it is refused, or there is no token.
        UsageError: huggingface_hub is not installed.
    """
    hub = _import()
    name, revision = parse_repository(address)
    api = _api(hub)

    def push() -> str:
        api.create_repo(name, private=private, exist_ok=True)
        if revision is not None:
            api.create_branch(name, branch=revision, exist_ok=True)
        operations = [
            hub.CommitOperationAdd(
                path_in_repo=path,
                path_or_fileobj=content if isinstance(content, bytes) else str(content),
            )
            for path, content in files.items()
        ]
        done = api.create_commit(name, operations, commit_message=message, revision=revision)
        return str(done.commit_url)

    return try_again(push, address, what="write", shown=_at_host(hub, address), tries=1)


def _import() -> Any:
    try:
        import huggingface_hub
        from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]
    except ImportError as error:
        raise UsageError(
            "hf:// needs the package huggingface_hub, which is not installed",
            hint=install_extra("remote"),
        ) from error
    disable_progress_bars()
    return huggingface_hub


def _api(hub: Any) -> Any:
    from videoswin_cli.version import __version__

    return hub.HfApi(endpoint=_endpoint(), library_name="videoswin", library_version=__version__)


def _at_host(hub: Any, address: str) -> str:
    """An address with the host that it is asked of."""
    return f"{address} ({name_host(_endpoint() or hub.constants.ENDPOINT)})"


def _forbid(address: str) -> OfflineError:
    refused = forbid("fetch", address)
    return OfflineError(
        f"{refused.message}, and it is not in the cache of huggingface_hub", hint=refused.hint
    )


def _endpoint() -> str | None:
    """As the environment says now, not as it said when huggingface_hub was imported."""
    return os.environ.get("HF_ENDPOINT") or None


def _cache() -> str | None:
    return os.environ.get("HF_HUB_CACHE") or None
