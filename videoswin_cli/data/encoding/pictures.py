"""Frames of a video as numbered pictures in a folder, which is whole or not there."""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videoswin_cli.data.batches import batches
from videoswin_cli.data.decoding.open import open_as
from videoswin_cli.data.encoding.resized import CopyFacts, from_start_to_end
from videoswin_cli.data.sampling import resample
from videoswin_cli.data.segments import find_span
from videoswin_cli.errors import OutputExistsError, VideoSwinError
from videoswin_cli.io.atomic import write_error
from videoswin_cli.options.prepare import PictureFormat
from videoswin_cli.options.run import OpenOptions
from videoswin_cli.records import VideoPart

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

DRAFTS = ".*.pictures.part"  # folders that are not whole; hidden, or they would be read as others
_PICTURE = re.compile(r"img_\d{5,}\.(?:jpg|png|webp)")


@dataclass(frozen=True, kw_only=True)
class PictureForm:
    """Form of the pictures."""

    format: PictureFormat = "jpg"
    quality: int = 95  # of jpg and webp, 1 to 100
    short_side: int | None = None  # px; None: as it is. Smaller ones are left
    rate: float | None = None  # frames per second; None: all frames


def write_pictures(
    part: VideoPart, folder: Path, form: PictureForm, *, opening: OpenOptions
) -> CopyFacts:
    """Write the frames of a video, or of a part of it, as `FOLDER/img_00001.jpg` and so on.

    Args:
        part: what is read.
        folder: becomes the pictures' when all are there; pictures of an earlier run go.
        form: of the pictures.
        opening: of the video.

    Raises:
        VideoError: the video cannot be read to its end.
        OutputExistsError: the folder has other files.
        VideoSwinError: a picture cannot be written.
    """
    check_pictures_only(folder)
    with open_as(part.path, from_start_to_end(opening)) as video:
        span, info = find_span(video, part.segment), video.info
        bounds = video.bounds()[span.first : span.first + span.count + 1]
        notes = [*video.notes, *span.notes]
        numbers: Sequence[int] = span.numbers
        if form.rate is not None:
            times = None if info.constant_rate else bounds
            kept = resample(form.rate, frames=span.count, fps=info.fps, bounds=times)
            numbers = [span.first + number for number in kept]
        elif not info.constant_rate:
            notes.append("its frame rate is not constant: --fps N keeps its speed")
        draft = folder.with_name(f".{folder.name}.{os.getpid()}.pictures.part")
        try:
            draft.mkdir()
            place = 0
            for some in batches(numbers, pixels=info.width * info.height):
                for image in video.read_frames(some):
                    place += 1
                    _save(image, draft / f"img_{place:05d}.{form.format}", form)
            if folder.exists():
                shutil.rmtree(folder)
            draft.replace(folder)
        except OSError as error:
            raise write_error(folder, error) from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return CopyFacts(frames=len(numbers), fps=form.rate or info.fps, notes=tuple(notes))


def check_pictures_only(folder: Path) -> None:
    """Raises OutputExistsError where a folder has anything but numbered pictures."""
    if not os.path.lexists(folder):
        return
    if folder.is_symlink() or not folder.is_dir():
        raise OutputExistsError(f"{folder} is there and no folder of pictures")
    odd = next((file.name for file in folder.iterdir() if not _PICTURE.fullmatch(file.name)), None)
    if odd is not None:
        raise OutputExistsError(f"{folder} has other files than pictures, such as {odd}")


def _save(image: "NDArray[np.uint8]", file: Path, form: PictureForm) -> None:
    from PIL import Image

    picture = _shrink(Image.fromarray(image), form.short_side)
    options: dict[str, Any] = {} if form.format == "png" else {"quality": form.quality}
    try:
        picture.save(file, **options)
    except ValueError as error:  # larger than the format allows
        raise VideoSwinError(f"cannot write {file}: {error}") from error


def _shrink(picture: "Image", short_side: int | None) -> "Image":
    from PIL.Image import Resampling

    short = min(picture.size)
    if short_side is None or short <= short_side:
        return picture
    width, height = (round(side * short_side / short) for side in picture.size)
    return picture.resize((width, height), Resampling.BICUBIC, reducing_gap=3.0)
