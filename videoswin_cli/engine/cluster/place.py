"""View of the videos from a process of a cluster."""

import os
from pathlib import Path

from videoswin_cli.io.addresses import is_url
from videoswin_cli.io.tar_files import containing_file


def enter(folder: str, sample: str | None) -> str | None:
    """Make a folder the current one, where it is there; gives the reason against this process.

    Args:
        folder: the current one of the driver, to which paths are relative.
        sample: a video that the driver sees.
    """
    if Path(folder).is_dir():
        os.chdir(folder)
    if sample is None or is_url(sample) or Path(containing_file(sample)).exists():
        return None
    return f"it does not see {sample}: expected a folder that all nodes share"
