"""Features of a part of the list as a file: Parquet, a tar shard of WebDataset, or a matrix.

Each holds rows in the order of the list, with all that the index of a matrix says of them.
"""

import io
import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from videoswin_cli.data.encoding.shards import write_shard
from videoswin_cli.engine.provenance import Description
from videoswin_cli.errors import UsageError, install_extra
from videoswin_cli.io.atomic import to_json
from videoswin_cli.io.csv_text import from_csv
from videoswin_cli.options.tasks import PartFormat
from videoswin_cli.tasks.extract.features import Plan
from videoswin_cli.tasks.extract.shards import make_samples
from videoswin_cli.tasks.extract.tables import (
    INDEX_COLUMNS,
    StoredVideo,
    all_rows,
    group_rows,
    index_rows,
    save_npy,
    write_index,
)

SUFFIXES: Mapping[PartFormat, str] = {"parquet": ".parquet", "webdataset": ".tar", "npy": ".npy"}

METADATA = b"videoswin"  # key of our entry in the metadata of a Parquet schema
INDEX = ".index.csv"  # beside a matrix, in place of its suffix

Write = Callable[[str, Callable[[Path], None]], None]  # name, and what writes it to a path


def check_format(format: PartFormat) -> None:
    """Raises UsageError where the package of a format is missing."""
    if format == "parquet" and find_spec("pyarrow") is None:
        raise UsageError(
            "--output-format parquet: the package pyarrow is not installed",
            hint=install_extra("parquet"),
        )


def write_part(
    write: Write,
    name: str,
    videos: Sequence[StoredVideo],
    plan: Plan,
    description: Description,
) -> None:
    """Write the file of a part, after those beside it.

    Args:
        write: writes a file whole.
        name: of the file; its suffix says the format.
        videos: of the part, with their features.
        plan: of the rows.
        description: of the run.
    """
    if name.endswith(".parquet"):
        table = make_arrow_table(videos, plan, description)
        write(name, lambda path: _write_parquet(path, table))
    elif name.endswith(".tar"):
        write(name, lambda path: write_shard(path, make_samples(videos, {})))
    else:
        index = f"{name.removesuffix('.npy')}{INDEX}"
        write(index, lambda path: write_index(path, videos, plan, each_alone=False))
        write(name, lambda path: _write_npy(path, videos, plan))


def _write_npy(path: Path, videos: Sequence[StoredVideo], plan: Plan) -> None:
    save_npy(path, all_rows(videos, plan), plan)


def _write_parquet(path: Path, table: Any) -> None:
    from pyarrow import parquet

    parquet.write_table(table, path, compression="zstd", write_statistics=["path", "start", "end"])


def make_arrow_table(videos: Sequence[StoredVideo], plan: Plan, description: Description) -> Any:
    """A row per feature: its vector is null where there is nothing to be had.

    Columns: path, start and end in seconds, status ("ok", or why there is nothing), decoder, notes,
    file_stamp, feature (a list of fixed size: the values of a row, flat).
    """
    import pyarrow as pa

    rows = [row for video in videos for row in index_rows(video, plan)]
    paths, start, end, status, decoder, notes, stamps = zip(*rows, strict=True)
    good = np.array([text == "ok" for text in status])
    values = np.concatenate(all_rows(videos, plan)).reshape(len(rows), -1)
    values[~good] = 0
    kind = pa.from_numpy_dtype(plan.dtype)
    feature = pa.FixedSizeListArray.from_arrays(
        pa.array(values.reshape(-1), kind), values.shape[1], mask=pa.array(~good)
    )
    columns = {
        # Names that are no text have escapes in them, which Parquet could not hold as they are.
        "path": pa.array([p.encode("utf-8", "backslashreplace").decode() for p in paths]),
        "start": pa.array(np.array(start), pa.float64(), from_pandas=True),
        "end": pa.array(np.array(end), pa.float64(), from_pandas=True),
        "status": pa.array(status, pa.string()),
        "decoder": pa.array([text or None for text in decoder], pa.string()),
        "notes": pa.array([text or None for text in notes], pa.string()),
        "file_stamp": pa.array([text or None for text in stamps], pa.string()),
        "feature": feature,
    }
    told = to_json({**description, "row_shape": plan.shape})
    return pa.table(columns).replace_schema_metadata({METADATA: told})


def read_part(read: Callable[[str], bytes | None], name: str) -> dict[str, StoredVideo]:
    """Videos of a part that is there, by path, without their features.

    Raises:
        UsageError: it is gone, or damaged.
    """
    own = f"{name.removesuffix('.npy')}{INDEX}" if name.endswith(".npy") else name
    content = read(own)
    try:
        if content is None:
            raise ValueError("it is gone")
        if own.endswith(".tar"):
            return _read_shard(content)
        rows = _read_parquet(content) if own.endswith(".parquet") else _read_index(content)
        return {video.path: video for video in group_rows(rows, None)}
    except (ValueError, KeyError, TypeError, OSError, tarfile.TarError) as error:
        raise UsageError(
            f"{own} cannot be read: {error}", hint="remove it: the same command makes it again"
        ) from error


def _read_parquet(content: bytes) -> list[dict[str, Any]]:
    from pyarrow import parquet

    columns = [name for name in INDEX_COLUMNS if name != "row"]
    found = parquet.read_table(io.BytesIO(content), columns=columns).to_pylist()
    return [{key: "" if value is None else value for key, value in row.items()} for row in found]


def _read_index(content: bytes) -> list[dict[str, Any]]:
    header, *rows = from_csv(content.decode("utf-8", "surrogateescape"))
    return [dict(zip(header, row, strict=True)) for row in rows]


def _read_shard(content: bytes) -> dict[str, StoredVideo]:
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        files = [tar.extractfile(each) for each in tar if each.name.endswith(".json")]
        found = [json.load(file) for file in files if file is not None]
    return {
        each["path"]: StoredVideo(
            path=each["path"],
            times=tuple((start, end) for start, end in each["times"]),
            decoder=each["decoder"],
            error=None if each["status"] == "ok" else each["status"],
            gaps={int(row): reason for row, reason in each["gaps"].items()},
            notes=tuple(each["notes"]),
        )
        for each in found
    }
