"""Still pictures, shown the right way up."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from videoswin_cli.data.decoding.container import check_file, check_pixels
from videoswin_cli.errors import VideoError
from videoswin_cli.options.run import MAX_PIXELS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

# What Pillow raises for pictures that it cannot read; its DecompressionBombError is no OSError.
PICTURE_ERRORS: Final = (OSError, ValueError, SyntaxError, EOFError, IndexError)

_FRAME_FORMATS = ("JPEG", "PNG", "WEBP")  # whatever their names; others may run programs
_EIGHT_BITS = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}
_ORIENTATION = 0x0112  # EXIF
_TURNED = (5, 6, 7, 8)  # by a quarter


def read_picture(path: str) -> "NDArray[np.uint8]":
    """A still picture, (height, width, 3) uint8 RGB, turned and mirrored as it says (EXIF).

    Raises:
        VideoError: it cannot be read, or has more pixels than `MAX_PIXELS`.
    """
    import numpy as np
    from PIL import Image, ImageOps

    check_file(path)
    try:
        with Image.open(path) as image:
            check_pixels(path, image.size, MAX_PIXELS)
            return np.array(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise VideoError(f"{path}: not a readable picture: {error}") from error


def open_picture(path: Path) -> "Image":
    """A picture that may be a frame, of any size; its pixels are not decoded yet.

    Raises:
        PICTURE_ERRORS: it cannot be read, or its colors have more than 8 bits.
    """
    from PIL import Image, UnidentifiedImageError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            image = Image.open(path, formats=_FRAME_FORMATS)
        except Image.DecompressionBombError as error:
            raise ValueError(str(error)) from error
        except UnidentifiedImageError as error:
            raise ValueError("no JPEG, PNG or WebP") from error
    if image.mode not in _EIGHT_BITS:  # Pillow would cut their values off
        image.close()
        raise ValueError(f"a picture of mode {image.mode}, where 8 bits a color are expected")
    return image


def upright_size(image: "Image") -> tuple[int, int]:
    """(width, height) in px, as the picture is shown; of a PNG this decodes it."""
    width, height = image.size
    return (height, width) if _read_orientation(image) in _TURNED else (width, height)


def to_rgb(image: "Image") -> "NDArray[np.uint8]":
    """Pixels of an opened picture, as it is shown."""
    import numpy as np
    from PIL import ImageOps

    if _read_orientation(image) != 1:  # else it would be copied for nothing
        image = ImageOps.exif_transpose(image)
    return np.asarray(image.convert("RGB"))


@contextmanager
def truncation_refused() -> Iterator[None]:
    """A block in which Pillow fills up no truncated picture, whatever the calling program set."""
    from PIL import ImageFile

    lenient, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = lenient


def _read_orientation(image: "Image") -> int:
    return int(image.getexif().get(_ORIENTATION, 1))
