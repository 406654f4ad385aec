"""Selection of the videos of a folder: by name, and by content where the name is unclear.

A file that the user names is always tried; this is for files that nobody named.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

from videoswin_cli.data.decoding.animated_webp import is_animated_webp
from videoswin_cli.data.decoding.frame_names import (
    PICTURE_SUFFIXES,
    holds_frames,
    is_flow_folder,
    is_picture_name,
)
from videoswin_cli.data.decoding.probing import holds_video
from videoswin_cli.data.walking import LeftOut, Walk, describe_left_out, walk
from videoswin_cli.errors import UsageError
from videoswin_cli.io.visible import name_some

# What FFmpeg's demuxers read and people call so. Not in it: .swf (nearly all hold drawings), .dat
# (nearly all hold data), .lrv (a small copy that a camera puts beside each video), .bk2 (no
# decoder); --all-files looks into them.
VIDEO_SUFFIXES = frozenset(
    {".3g2", ".3gp", ".3gp2", ".3gpp", ".f4v", ".m4v", ".mov", ".mp4", ".mp4v", ".mpg4", ".qt"}
    | {".360", ".insv", ".ismv"}  # MP4 too, of cameras and servers
    | {".mk3d", ".mkv", ".webm"}
    | {".avi", ".divx", ".xvid", ".amv"}
    | {".evo", ".m1v", ".m2p", ".m2v", ".mp2v", ".mpe", ".mpeg", ".mpg", ".mpv", ".vob", ".vro"}
    | {".m2t", ".m2ts", ".mod", ".mts", ".tod", ".tp", ".trp", ".ts"}
    | {".asf", ".dvr-ms", ".wmv", ".wtv"}
    | {".flv", ".nsv", ".rm", ".rmvb"}
    | {".ogg", ".ogm", ".ogv", ".ogx"}
    | {".dif", ".dv", ".gxf", ".mxf"}
    | {".264", ".265", ".av1", ".avc", ".h261", ".h263", ".h264", ".h265", ".hevc", ".ivf"}
    | {".mjpeg", ".mjpg", ".nut", ".obu", ".vc1", ".y4m"}
    | {".apng", ".gif", ".webp"}
    | {".bik", ".flc", ".fli", ".roq", ".smk"}
)

_START_BYTES = 4096  # that tell kinds apart
_TEXT = bytes([*b"\t\n\r\f", *range(0x20, 0x7F), *range(0x80, 0x100)])
_TRACKER_MARKS = {b"M.K.", b"M!K!", b"FLT4", b"FLT8", b"4CHN", b"6CHN", b"8CHN"}
_OGG_SOUNDS = (b"\x01vorbis", b"OpusHead", b"\x7fFLAC", b"Speex   ", b"PCM     ", b"\x01audio")
_OGG_TIMES = b"fishead"  # an index of the other streams
_FIRST_PAGE = 2  # flag of an Ogg page that begins a stream


def find_videos(folder: Path, *, all_files: bool) -> Walk:
    """Videos below a folder, relative to it: files, and folders of numbered pictures.

    Args:
        folder: what the user named.
        all_files: look into files of every name, with or without an extension.

    Raises:
        UsageError: the folder cannot be read.
    """
    return walk(
        folder,
        partial(is_wanted, all_files=all_files),
        is_whole=_holds_frames_alone,
        is_beside=is_flow_folder,
    )


def describe_frame_folders(found: Walk) -> list[str]:
    """Sentences on the frame folders of a search whose user may mean something else."""
    notices = []
    files = len(found.files) - len(found.wholes)
    if found.wholes and files:
        folders = name_some([path.as_posix() for path in sorted(found.wholes)])
        notices.append(
            f"{len(found.wholes)} folders of numbered pictures are read as a video each, beside "
            f"{files} video files: {folders}"
        )
    if found.passed_over:
        folders = name_some([path.as_posix() for path in found.passed_over])
        notices.append(f"pictures are left out where videos are in folders below them: {folders}")
    return notices


def _holds_frames_alone(place: Path, names: Sequence[str]) -> bool:
    """Whether a folder is one video: numbered pictures, and no video file beside them."""
    pictures = [name for name in names if is_picture_name(name)]
    suffixes = {Path(name).suffix.lower() for name in names}
    if not holds_frames(pictures) or suffixes & (VIDEO_SUFFIXES - PICTURE_SUFFIXES):
        return False
    # A WebP may be a video itself; one tells for all.
    webp = next((name for name in pictures if name.lower().endswith(".webp")), None)
    return webp is None or not is_animated_webp(place / webp)


def describe_left_out_videos(left_out: LeftOut, *, all_files: bool) -> str:
    """One line on what a search for videos left out; empty where that is nothing."""
    advice = "" if all_files else "--all-files looks into them"
    return describe_left_out(left_out, what="video", advice=advice)


def no_video(folder: Path, left_out: LeftOut, *, all_files: bool) -> UsageError:
    """Error for a folder in which no video was found."""
    there = describe_left_out_videos(left_out, all_files=all_files)
    if sum(left_out.files.get(suffix, 0) for suffix in PICTURE_SUFFIXES):
        there += "; the frames of a video are two numbered pictures or more: 1.jpg, 2.jpg"
    return UsageError(
        f"no video in the folder {folder}",
        hint=there or "neither it nor its subfolders contain a file",
    )


def is_wanted(path: Path, *, all_files: bool) -> bool:
    """Whether a file that nobody named is taken for a video, be it a broken one.

    A name of `VIDEO_SUFFIXES` is believed unless the content proves another kind. Other names
    count with `all_files`, where a demuxer finds a video.
    """
    suffix = path.suffix.lower()
    if suffix not in VIDEO_SUFFIXES:
        return all_files and holds_video(path)
    return suffix not in OTHER_KINDS or not _is_other_kind(path, OTHER_KINDS[suffix])


def _is_other_kind(path: Path, proves: Callable[[BinaryIO], bool]) -> bool:
    try:
        if not path.is_file():  # reading a pipe would wait
            return False
        with path.open("rb") as file:
            return proves(file)
    except OSError:  # what cannot be read is reported as a video that cannot be read
        return False


def _is_text(file: BinaryIO) -> bool:
    start = file.read(_START_BYTES)
    return start[:2] in (b"\xff\xfe", b"\xfe\xff") or (bool(start) and not start.strip(_TEXT))


def _is_text_or_music(file: BinaryIO) -> bool:
    """Whether `.mod` is a Go module or music of a tracker, and no MPEG of a camcorder."""
    if _is_text(file):
        return True
    file.seek(1080)
    return file.read(4) in _TRACKER_MARKS


def _is_sound(file: BinaryIO) -> bool:
    """Whether every stream of an Ogg file is sound. Source: RFC 3533; first pages come first."""
    start = file.read(_START_BYTES)
    at, sounds = 0, 0
    while start[at : at + 4] == b"OggS" and len(start) > at + 27 and start[at + 5] & _FIRST_PAGE:
        segments = start[at + 26]
        content = start[at + 27 + segments :]
        if content.startswith(_OGG_SOUNDS):
            sounds += 1
        elif not content.startswith(_OGG_TIMES):
            return False
        at += 27 + segments + sum(start[at + 27 : at + 27 + segments])
    return sounds > 0


def _is_still_webp(file: BinaryIO) -> bool:
    start = file.read(21)
    whole = len(start) == 21 and start[:4] == b"RIFF" and start[8:12] == b"WEBP"
    return whole and not (start[12:16] == b"VP8X" and start[20] & 2)


def _is_still_gif(file: BinaryIO) -> bool:
    """Whether a GIF ends after one picture. Source: GIF89a specification."""

    def skip_table(flags: int) -> None:
        if flags & 0x80:
            file.seek(3 << (flags & 7) + 1, 1)

    def skip_blocks() -> None:
        while size := file.read(1):
            if size == b"\0":
                return
            file.seek(size[0], 1)

    head = file.read(13)
    if len(head) < 13 or head[:3] != b"GIF":
        return False
    skip_table(head[10])
    pictures = 0
    while (mark := file.read(1)) in (b"!", b","):
        if mark == b",":
            pictures += 1
            picture = file.read(9)
            if pictures > 1 or len(picture) < 9:
                return False
            skip_table(picture[8])
        file.seek(1, 1)  # kind of the extension, or size of the codes
        skip_blocks()
    return mark == b";" and pictures == 1


# Names that other kinds of files have too, and what proves that a file is of such a kind.
OTHER_KINDS: Mapping[str, Callable[[BinaryIO], bool]] = {
    ".ts": _is_text,  # TypeScript, translations of Qt
    ".mts": _is_text,
    ".nut": _is_text,  # Squirrel
    ".asf": _is_text,  # skeletons of motion capture
    ".dif": _is_text,  # spreadsheets
    ".tp": _is_text,  # templates
    ".mod": _is_text_or_music,
    ".ogg": _is_sound,
    ".ogx": _is_sound,
    ".gif": _is_still_gif,
    ".webp": _is_still_webp,
}
