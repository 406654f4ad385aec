"""A folder with one subfolder a class, read as a list."""

from pathlib import Path

from videoswin_cli.data.lists import ListRow, VideoList
from videoswin_cli.data.sources import VIDEO_SUFFIXES, files_below
from videoswin_cli.errors import UsageError


def read_class_folder(folder: Path) -> VideoList:
    """Videos of a folder that has one subfolder a class; the label is the subfolder's name.

    Raises:
        UsageError: no such folder, or no video in a subfolder.
    """
    if not folder.is_dir():
        raise UsageError(
            f"no such folder: {folder}", hint="give a folder of class folders, or --list FILE"
        )
    found = [path.relative_to(folder) for path in files_below(folder, VIDEO_SUFFIXES)]
    if loose := [path for path in found if len(path.parts) == 1]:
        raise UsageError(
            f"{folder / loose[0]} is in no class folder ({len(loose)} such videos)",
            hint="expected FOLDER/CLASS/VIDEO; a folder without labels is for predict and extract",
        )
    if not found:
        raise UsageError(f"no video in the class folders of {folder}")
    rows = [
        ListRow(line=number, name=path.as_posix(), label=path.parts[0])
        for number, path in enumerate(found, start=1)
    ]
    return VideoList(source=str(folder), format="folder", rows=tuple(rows))
