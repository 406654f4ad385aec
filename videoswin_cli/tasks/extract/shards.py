"""Features in tar shards: `KEY.npy` with the rows of a video, `KEY.json` with all else of it."""

import io
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from videoswin_cli.data.encoding.shards import Sample, make_key, write_shards
from videoswin_cli.errors import ResumeError
from videoswin_cli.io.atomic import to_json
from videoswin_cli.io.tar_files import index_tar, open_member
from videoswin_cli.tasks.extract.output import Output
from videoswin_cli.tasks.extract.tables import StoredVideo, read_npy

_SAMPLES = 1000  # of a shard; by number alone, so that more videos never make fewer shards


def pack(output: Output, videos: Sequence[StoredVideo]) -> None:
    """Write the shards of an output to `OUT.part`.

    Args:
        output: where to.
        videos: in order; the features of those without are in the shards that are in place.
    """
    names = output.shard_names
    for left in names.existing(output.part):  # by a run that was killed here
        left.unlink()
    samples = make_samples(videos, _find_features(output))
    names = replace(names, folder=output.part)
    write_shards(samples, names, most_samples=_SAMPLES, most_bytes=sys.maxsize)


def find_stored(output: Output, videos: Iterable[StoredVideo]) -> Iterator[StoredVideo]:
    """The videos of an index whose features are in the shards; others are computed again."""
    found = _find_features(output)
    return (v for v in videos if v.error is not None or _member(v.path) in found)


def _member(path: str) -> str:
    return f"{make_key(path)}.npy"


def _find_features(output: Output) -> dict[str, Path]:
    """Shards in place, by the members that they have."""
    shards = output.shard_names.existing()
    return {name: shard for shard in shards for name in index_tar(str(shard)).members}


def make_samples(videos: Sequence[StoredVideo], stored: Mapping[str, Path]) -> Iterator[Sample]:
    """Samples of videos; `stored` are shards with the features of those that have none here."""
    for video in videos:
        files: dict[str, bytes | Path] = {}
        if video.error is None:
            features = video.features
            if features is None:
                if (shard := stored.get(_member(video.path))) is None:
                    raise ResumeError(f"the features of {video.path} are in none of the shards")
                with open_member(f"{shard}/{_member(video.path)}") as file:
                    features = read_npy(file)
            content = io.BytesIO()
            np.save(content, features, allow_pickle=False)
            files["npy"] = content.getvalue()
        described = {
            "path": video.path,
            "status": video.error or "ok",
            "times": video.times,  # seconds, start and end of each row
            "gaps": {str(row): reason for row, reason in video.gaps.items()},  # rows of NaN
            "decoder": video.decoder,
            "notes": video.notes,
        }
        files["json"] = to_json(described).encode()
        yield Sample(key=make_key(video.path), source=video.path, files=files)
