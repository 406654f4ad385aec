"""Names of the parameters of a Video Swin network, and their places in it."""

import re
from typing import NamedTuple

from videoswin_cli.errors import UsageError

_NAME = re.compile(
    r"(?P<part>patch_embed|norm|head)\.[a-z_.]+"
    r"|(?P<layers>layers)\.(?P<stage>\d+)\.(?:blocks\.(?P<block>\d+)|downsample)\.[a-z0-9_.]+"
)


class Place(NamedTuple):
    """Place of a parameter in the network."""

    part: str  # patch_embed, layers, norm or head
    stage: int  # 0 outside of `layers`
    block: int | None  # None outside of a block: merging of patches, say


def parse_name(name: str) -> Place:
    """The place of a parameter.

    Raises:
        UsageError: no Video Swin network has one of that name.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise UsageError(
            f"parameter {name!r} is of no Video Swin network, so its stage is not known",
            hint="freezing and learning rates by layer work for networks of `load_model`",
        )
    block = found["block"]
    return Place(
        part=found["part"] or found["layers"],
        stage=int(found["stage"] or 0),
        block=None if block is None else int(block),
    )
