"""A fine-tuned model on the Hugging Face Hub, with a card that says what it is."""

from pathlib import Path

from videoswin_cli.errors import CheckpointError, MissingInputError
from videoswin_cli.io.hub import parse_repository, push_files
from videoswin_cli.model.checkpoint import read_checkpoint
from videoswin_cli.model.description import read_description
from videoswin_cli.report.model_card import ModelFacts, write_card

_BEST = "best.safetensors"  # of the folder of a training


def push_model(
    run: Path, address: str, *, license: str | None = None, private: bool = False
) -> str:
    """Upload the weights of a run's best epoch and a model card, in one commit.

    Args:
        run: folder of `finetune`, or a weight file written by videoswin.
        address: hf://ORG/NAME, with @BRANCH for another branch than the main one.
        license: identifier as the Hub has it, such as apache-2.0.
        private: make the repository private, where it is made.

    Returns:
        The URL of the commit.

    Raises:
        MissingInputError: there is no such run, or it has no weights yet.
        CheckpointError: the file does not describe itself.
        FetchError: the Hub refuses it.
    """
    name, _ = parse_repository(address)
    weights = run / _BEST if run.is_dir() else run
    if not weights.is_file():
        raise MissingInputError(
            f"no such file: {weights}",
            hint="give the folder of a training that has finished an epoch, or a weight file",
        )
    raw = read_checkpoint(weights)
    said = read_description(raw.metadata, weights)
    if said is None:
        raise CheckpointError(
            f"{weights} does not say which model it is",
            hint="`videoswin convert` writes one that does",
        )
    facts = ModelFacts(
        repository=name,
        model=said.spec.name,
        kind=said.spec.architecture,
        protocol=said.spec.protocol,
        parameters=sum(tensor.numel() for tensor in raw.tensors.values()),
        classes=said.labels,
        training=said.training or {},
        license=license,
    )
    files: dict[str, Path | bytes] = {_BEST: weights, "README.md": write_card(facts).encode()}
    message = f"Upload {said.spec.name} with videoswin"
    return push_files(address, files, message=message, private=private)
