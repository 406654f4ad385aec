"""Models of the Hugging Face Hub: which of a repository's files is the model."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from videoswin_cli.errors import CheckpointError
from videoswin_cli.io.hub import Repository, download_file, look_into
from videoswin_cli.io.visible import name_some
from videoswin_cli.model.checkpoint import read_checkpoint
from videoswin_cli.model.description import read_description

_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".pdparams")  # the first that is there counts
_USUAL = ("best.safetensors", "model.safetensors")
_SPECS = (".yml", ".yaml")


@dataclass(frozen=True, kw_only=True)
class HubModel:
    """A model of a repository, as `find_model` takes one."""

    model: str  # a file that describes itself, or a YAML
    checkpoint: Path | None  # the weights of a YAML
    origin: str  # the repository and its commit


def fetch_hub_model(address: str) -> HubModel:
    """The model of a repository, fetched into the cache of huggingface_hub.

    Raises:
        FetchError: there is no such repository, or it cannot be fetched.
        CheckpointError: it has no weights, several of them, or nothing says what they are.
        UsageError: huggingface_hub is not installed.
    """
    repository = look_into(address)
    weights = download_file(repository, _choose_weights(repository))
    if read_description(read_checkpoint(weights).metadata, weights) is not None:
        return HubModel(model=str(weights), checkpoint=None, origin=repository.address)
    specs = [f for f in _top_files(repository) if PurePosixPath(f).suffix in _SPECS]
    if len(specs) != 1:
        file = _choose_weights(repository)
        raise CheckpointError(
            f"{repository.address}: {file} does not say which model it is, and there are "
            f"{len(specs)} YAML files beside it that could",
            hint=f"use --model NAME --checkpoint hf://{repository.name}/{file}",
        )
    spec = download_file(repository, specs[0])
    return HubModel(model=str(spec), checkpoint=weights, origin=repository.address)


def _choose_weights(repository: Repository) -> str:
    for suffix in _SUFFIXES:
        found = [f for f in _top_files(repository) if PurePosixPath(f).suffix == suffix]
        usual = [file for file in found if file in _USUAL]
        if len(found) == 1 or len(usual) == 1:
            return (usual or found)[0]
        if found:
            raise CheckpointError(
                f"{repository.address} has {len(found)} weight files: {name_some(found)}",
                hint=f"choose one: --model hf://{repository.name}/{found[0]}",
            )
    raise CheckpointError(
        f"{repository.address} has no weight file; it holds {name_some(repository.files) or 'none'}"
    )


def _top_files(repository: Repository) -> list[str]:
    return [file for file in repository.files if "/" not in file]
