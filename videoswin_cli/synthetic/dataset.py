"""A folder of synthetic clips, one subfolder per camera motion."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from videoswin_cli.data.check import describe_broken, find_broken_pictures
from videoswin_cli.data.decoding.picture import read_picture
from videoswin_cli.data.walking import describe_left_out, walk
from videoswin_cli.data.workers import count_workers, load_in_workers
from videoswin_cli.errors import MissingInputError, OutputExistsError, VideoSwinError
from videoswin_cli.io.atomic import atomic_write, remove_drafts, write_error
from videoswin_cli.io.process_state import torch_threads
from videoswin_cli.synthetic.camera import MOTIONS
from videoswin_cli.synthetic.clips import make_clip, write_clip
from videoswin_cli.synthetic.pictures import Picture

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})


def make_camera_motion(
    folder: Path,
    *,
    clips_per_class: int,
    seed: int,
    pictures: Path | None = None,
    workers: int | None = None,
    notice: Callable[[str], None],
) -> Iterator[Path]:
    """Paths of all missing clips, each as soon as it is written.

    A clip follows from the seed, its class and its number alone (and the pictures).

    Args:
        folder: gets CLASS/SEED-NUMBER.mp4.
        clips_per_class: how many.
        seed: other seeds give other clips.
        pictures: folder of still pictures to look at, instead of procedural ones.
        workers: processes that render them; None: as many as there are cores.
        notice: called with a sentence about pictures that cannot be read; they are left out.

    Raises:
        UsageError: no such folder of pictures, or none in it that can be read; or `folder` is none.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputExistsError(f"{folder} is a file", hint="give a folder; it need not exist")
    files = _find_pictures(pictures, workers, notice) if pictures is not None else []
    keys = [
        (motion, number)
        for number in range(clips_per_class)
        for motion in MOTIONS
        if not _is_whole(_path(folder, motion, seed, number))
    ]
    if kept := clips_per_class * len(MOTIONS) - len(keys):
        notice(f"{kept} clips exist and are kept, {len(keys)} to render")
    for motion in MOTIONS:
        try:
            (folder / motion).mkdir(parents=True, exist_ok=True)
            remove_drafts(folder / motion)
        except OSError as error:
            raise write_error(folder / motion, error) from error
    if workers is None:
        workers = count_workers(len(keys), on_cpu=False)
    maker = _Maker(folder, seed, files)
    with closing(load_in_workers(maker, keys, workers=workers, notice=notice)) as clips:
        for made in clips:
            if isinstance(made, VideoSwinError):
                raise made
            yield made


class _Maker:
    """Renderer of one clip by (motion, number). A `VideoSwinError` is returned, not raised.

    Of an error that is raised in a worker the main process gets the text, with a traceback in it.
    """

    def __init__(self, folder: Path, seed: int, pictures: Sequence[str]) -> None:
        self.folder = folder
        self.seed = seed
        self.pictures = pictures

    def __getitem__(self, key: tuple[str, int]) -> Path | VideoSwinError:
        motion, number = key
        digest = hashlib.sha256(f"{self.seed}/{motion}/{number}".encode()).digest()
        rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
        path = _path(self.folder, motion, self.seed, number)
        with torch_threads(1):  # there is a process for each core
            clip = make_clip(motion, rng, picture=self._picture(rng))
        try:
            with atomic_write(path, tidy=False) as part:
                write_clip(part, clip)
        except VideoSwinError as error:
            return error
        return path

    def failed(self, key: tuple[str, int], reason: str) -> Path | VideoSwinError:
        raise RuntimeError(f"{key}: {reason}")

    def _picture(self, rng: np.random.Generator) -> Picture | None:
        if not self.pictures:
            return None
        return read_picture(self.pictures[int(rng.integers(len(self.pictures)))]).astype(np.float32)


def _is_whole(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0  # we write nothing empty


def _path(folder: Path, motion: str, seed: int, number: int) -> Path:
    return folder / motion / f"{seed}-{number:05}.mp4"


def _find_pictures(folder: Path, workers: int | None, notice: Callable[[str], None]) -> list[str]:
    if not folder.is_dir():
        raise MissingInputError(
            f"no such folder: {folder}", hint="--pictures takes a folder of pictures"
        )
    walked = walk(folder, lambda path: path.suffix.lower() in PICTURE_SUFFIXES)
    found = [str(folder / file) for file in walked.files]
    if text := describe_left_out(walked.left_out, what="picture"):
        notice(text)
    reasons = list(zip(found, find_broken_pictures(found, workers=workers), strict=True))
    for text in describe_broken([(file, why) for file, why in reasons if why is not None]):
        notice(text)
    readable = [file for file, why in reasons if why is None]
    if not readable:
        raise MissingInputError(
            f"no {'readable ' if found else ''}picture in {folder}",
            hint=f"looked for {' '.join(sorted(PICTURE_SUFFIXES))}",
        )
    return readable
