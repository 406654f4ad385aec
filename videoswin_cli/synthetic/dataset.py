"""A folder of synthetic clips, one subfolder per camera motion, or tar shards of them."""

import hashlib
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from shutil import rmtree

import numpy as np

from videoswin_cli.data.check import describe_broken, find_broken_pictures
from videoswin_cli.data.decoding.picture import read_picture
from videoswin_cli.data.encoding.shards import Sample, parse_names, write_shard
from videoswin_cli.data.walking import describe_left_out, walk
from videoswin_cli.data.workers import count_workers, load_in_workers
from videoswin_cli.errors import MissingInputError, OutputExistsError, VideoSwinError
from videoswin_cli.io.atomic import atomic_write, remove_drafts, write_error
from videoswin_cli.io.process_state import torch_threads
from videoswin_cli.io.tar_files import index_tar
from videoswin_cli.synthetic.camera import MOTIONS
from videoswin_cli.synthetic.clips import make_clip, write_clip
from videoswin_cli.synthetic.pictures import Picture

_UNPACKED = ".unpacked"  # clips of the shard that comes next; no walk enters hidden folders
_Key = tuple[str, int]  # motion and number

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
    _check_folder(folder)
    files = _find_pictures(pictures, workers, notice) if pictures is not None else []
    keys = [key for key in _keys(clips_per_class) if not _is_whole(_path(folder, seed, key))]
    if kept := clips_per_class * len(MOTIONS) - len(keys):
        notice(f"{kept} clips exist and are kept, {len(keys)} to render")
    yield from _render(_Maker(folder, seed, files), keys, workers, notice)


def make_camera_motion_shards(
    folder: Path,
    *,
    clips_per_class: int,
    clips_per_shard: int,
    seed: int,
    pictures: Path | None = None,
    workers: int | None = None,
    notice: Callable[[str], None],
) -> Iterator[Path]:
    """As `make_camera_motion`, into FOLDER/000000.tar and on; a path per clip that was rendered.

    A sample has `mp4`, the class as a number in `cls` and as a name in `txt`. Shards that exist are
    kept, if they hold what they would now.

    Raises:
        UsageError: as there; or a shard that exists holds other clips.
    """
    _check_folder(folder)
    files = _find_pictures(pictures, workers, notice) if pictures is not None else []
    keys = _keys(clips_per_class)
    names = parse_names(folder / "{000000}.tar")
    wanted = {
        names.file(number): keys[first : first + clips_per_shard]
        for number, first in enumerate(range(0, len(keys), clips_per_shard))
    }
    left = {shard: own for shard, own in wanted.items() if not shard.exists()}
    for shard in names.existing():
        _check_shard(shard, wanted.get(shard, []), seed)
    if left != wanted:
        notice(f"{len(wanted) - len(left)} of {len(wanted)} tar files exist and are kept")
    maker = _Maker(folder / _UNPACKED, seed, files)
    try:
        missing = [key for own in left.values() for key in own]
        with closing(_render(maker, missing, workers, notice)) as clips:
            for shard, own in left.items():
                made = []
                for clip in islice(clips, len(own)):
                    made.append(clip)
                    yield clip
                write_shard(shard, map(partial(_to_sample, seed), own, made))
                for clip in made:
                    clip.unlink()
    finally:
        rmtree(maker.folder, ignore_errors=True)


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise OutputExistsError(f"{folder} is a file", hint="give a folder; it need not exist")


def _keys(clips_per_class: int) -> list[_Key]:
    return [(motion, number) for number in range(clips_per_class) for motion in MOTIONS]


def _check_shard(shard: Path, keys: Sequence[_Key], seed: int) -> None:
    names = {f"{_to_sample(seed, key, shard).key}.mp4" for key in keys}
    index = index_tar(str(shard))
    if index.damage or {name for name in index.members if name.endswith(".mp4")} != names:
        raise OutputExistsError(
            f"{shard} exists and holds other clips", hint="remove it, or give another folder"
        )


def _to_sample(seed: int, key: _Key, clip: Path) -> Sample:
    motion, number = key
    name = f"{motion}/{seed}-{number:05}"
    label = str(sorted(MOTIONS).index(motion)).encode()
    return Sample(key=name, source=name, files={"mp4": clip, "cls": label, "txt": motion.encode()})


def _render(
    maker: "_Maker", keys: Sequence[_Key], workers: int | None, notice: Callable[[str], None]
) -> Generator[Path, None, None]:
    """Paths of clips in the order of their keys, each as soon as it is written."""
    for motion in MOTIONS:
        place = maker.folder / motion
        try:
            place.mkdir(parents=True, exist_ok=True)
            remove_drafts(place)
        except OSError as error:
            raise write_error(place, error) from error
    if workers is None:
        workers = count_workers(len(keys), on_cpu=False)
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

    def __getitem__(self, key: _Key) -> Path | VideoSwinError:
        motion, number = key
        digest = hashlib.sha256(f"{self.seed}/{motion}/{number}".encode()).digest()
        rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
        path = _path(self.folder, self.seed, key)
        with torch_threads(1):  # there is a process for each core
            clip = make_clip(motion, rng, picture=self._picture(rng))
        try:
            with atomic_write(path, tidy=False) as part:
                write_clip(part, clip)
        except VideoSwinError as error:
            return error
        return path

    def failed(self, key: _Key, reason: str) -> Path | VideoSwinError:
        raise RuntimeError(f"{key}: {reason}")

    def _picture(self, rng: np.random.Generator) -> Picture | None:
        if not self.pictures:
            return None
        return read_picture(self.pictures[int(rng.integers(len(self.pictures)))]).astype(np.float32)


def _is_whole(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0  # we write nothing empty


def _path(folder: Path, seed: int, key: _Key) -> Path:
    motion, number = key
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
