"""Still pictures, shown the right way up."""

from typing import TYPE_CHECKING

from videoswin_cli.data.decoding.container import check_file, check_pixels
from videoswin_cli.errors import VideoError
from videoswin_cli.options.run import MAX_PIXELS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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
