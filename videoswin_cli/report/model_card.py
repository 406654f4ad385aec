"""The model card of a trained model, in Markdown with the header that the Hub reads."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from videoswin_cli.io.visible import visible
from videoswin_cli.records import METRIC_NAMES, Architecture, InputProtocol
from videoswin_cli.version import __version__

_SHOWN_CLASSES = 1000


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """Facts of a model that its card tells."""

    repository: str  # ORG/NAME
    model: str
    kind: Architecture
    protocol: InputProtocol
    parameters: int
    classes: Sequence[str]
    training: Mapping[str, object]  # recipe, metrics, start, numbers of clips; or nothing
    license: str | None


def write_card(facts: ModelFacts) -> str:
    """The text of README.md."""
    parts = [
        _header(facts),
        f"# {_plain(facts.repository.rpartition('/')[2])}",
        f"A Video Swin Transformer that tells {len(facts.classes)} classes of actions apart, "
        f"trained with videoswin {__version__}"
        + (f" from {_plain(_start(facts))}" if facts.training.get("start") else "")
        + ".",
        '## How to use\n\n```\npip install "videoswin[remote]"\n'
        f"videoswin predict clip.mp4 --model hf://{facts.repository}\n```\n\n"
        f"```python\nfrom videoswin_cli import load_model\n\n"
        f'model = load_model("hf://{facts.repository}")\nmodel.predict("clip.mp4")\n```',
        _metrics(facts),
        _input(facts),
        "## Classes\n\n" + _classes(facts.classes),
        _recipe(facts),
        f"License: {_plain(facts.license or 'none was named')}.",
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _header(facts: ModelFacts) -> str:
    license = [f"license: {json.dumps(facts.license)}"] if facts.license else []
    tags = [f"- {tag}" for tag in ("video-swin", "action-recognition")]
    lines = [
        *license,
        *("library_name: videoswin", "pipeline_tag: video-classification", "tags:", *tags),
    ]
    return "\n".join(("---", *lines, "---"))


def _start(facts: ModelFacts) -> str:
    """Start weights without the folders of the machine that they lay on."""
    text = str(facts.training["start"])
    return text if "://" in text else re.split(r"[/\\]", text)[-1]


def _metrics(facts: ModelFacts) -> str:
    found: Any = facts.training.get("metrics")
    if not isinstance(found, dict) or not found:
        return ""
    clips = facts.training.get("val_clips")
    rows = [
        f"| {METRIC_NAMES.get(name, _plain(name))} | {value:.2f} |"
        for name, value in found.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    of = f" on {clips} validation clips" if clips else ""
    return "\n".join(
        (
            f"## Metrics\n\nOf the best epoch{of}; accuracies in percent.\n",
            "| | |",
            "| --- | ---: |",
            *rows,
        )
    )


def _input(facts: ModelFacts) -> str:
    protocol = facts.protocol
    rate = (
        f", resampled to {protocol.frame_rate:g} frames per second" if protocol.frame_rate else ""
    )
    return (
        f"## Input\n\n{protocol.clip_frames} frames, {protocol.interval_frames} apart{rate}, "
        f"{protocol.crop_size} x {protocol.crop_size} px. {facts.parameters / 1e6:.1f} million "
        "parameters. The weight file describes all of it."
    )


def _classes(names: Sequence[str]) -> str:
    shown = [f"{number}. {_plain(name)}" for number, name in enumerate(names[:_SHOWN_CLASSES])]
    if len(names) > _SHOWN_CLASSES:
        shown.append(f"\nand {len(names) - _SHOWN_CLASSES} more")
    return "\n".join(shown) or "None: features only."


def _recipe(facts: ModelFacts) -> str:
    recipe: Any = facts.training.get("recipe")
    if not isinstance(recipe, dict):
        return ""
    rows = [f"| {_plain(key)} | {_plain(json.dumps(value))} |" for key, value in recipe.items()]
    return "\n".join(("## Recipe\n", "| key | value |", "| --- | --- |", *rows))


def _plain(text: object) -> str:
    """Text of strangers in one line, which Markdown and HTML show as it stands."""
    return re.sub(r"[^\w .,:;/+()=%@-]", lambda found: f"&#{ord(found[0])};", visible(str(text)))
