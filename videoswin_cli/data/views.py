"""Clips and crops of a video: `--views` resolved with the model's protocol."""

import re

from videoswin_cli.errors import UsageError
from videoswin_cli.ranges import shown
from videoswin_cli.records import InputProtocol, Views


def resolve_views(text: str, protocol: InputProtocol) -> Views:
    """`paper` is the published test protocol; `CxK` is C clips times K crops, K 1 or 3.

    One crop is the centre of a frame with short side `quick_short_side`, unless the protocol itself
    takes one; three go along the longer side of a frame with short side `short_side`.

    Raises:
        UsageError: the text is neither, or the model's rules do not allow it.
    """
    if text == "paper":
        return Views(clips=protocol.clips, crops=protocol.crops, short_side=protocol.short_side)
    match = re.fullmatch(r"([1-9][0-9]{0,2})x([13])", text)
    if match is None:
        raise UsageError(
            f"unknown views {shown(text)}",
            hint="use paper, or CLIPSxCROPS with 1 to 999 clips and 1 (centre) or 3 crops, like "
            "1x1 or 4x3",
        )
    clips, crops = int(match[1]), int(match[2])
    if protocol.sampling == "uniform" and clips > 1:
        raise UsageError(
            f"views {text}: this model spreads one clip over the whole video, so there is only one",
            hint="use 1x1, 1x3 or paper",
        )
    short_side = protocol.short_side if crops == protocol.crops else None
    if short_side is None:
        short_side = protocol.quick_short_side if crops == 1 else protocol.crop_size
    return Views(clips=clips, crops=crops, short_side=short_side)
