"""Forms of timelines: each video's text as it ends, or one text of all videos."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from videoswin_cli.io.atomic import atomic_write
from videoswin_cli.io.visible import for_stream
from videoswin_cli.options.timeline import TimelineFormat
from videoswin_cli.records import Timeline
from videoswin_cli.report.timeline import label_tools, subtitles, tables
from videoswin_cli.report.timeline.elan import to_elan

Write = Callable[[Timeline], None]


@dataclass(frozen=True, kw_only=True)
class Form:
    """Text of timelines, in one of three ways."""

    head: str = ""  # before that of the first video
    each: Callable[[Timeline], str] | None = None  # of a video, as it ends
    whole: Callable[[Sequence[Timeline]], str] | None = None  # of all videos
    file: Callable[[Timeline, Path], str] | None = None  # of a video, for a file in that folder


FORMS: Mapping[TimelineFormat, Form] = {
    "table": Form(each=tables.to_table),
    "json": Form(whole=tables.to_json_list),
    "jsonl": Form(each=tables.to_json_line),
    "csv": Form(head=tables.CSV_HEAD, each=tables.to_csv_rows),
    "srt": Form(each=subtitles.to_srt),
    "vtt": Form(each=subtitles.to_vtt),
    "activitynet": Form(whole=label_tools.to_activitynet),
    "fiftyone": Form(whole=label_tools.to_fiftyone),
    "labelstudio": Form(whole=label_tools.to_labelstudio),
    "elan": Form(file=to_elan),
}
WINDOWS = Form(each=tables.to_window_lines)


@contextmanager
def open_timelines(form: Form, out: Path | None) -> Iterator[Write]:
    """Give a function that writes one timeline; the text is complete when the block ends.

    Args:
        form: of the text.
        out: a file, which appears when the block ends, or a stream; None: stdout.
    """
    if out is None:
        with _writer(form, sys.stdout, Path.cwd()) as write:
            yield write
        return
    with (
        atomic_write(out) as part,
        part.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream,
        _writer(form, stream, out.parent) as write,
    ):
        yield write


@contextmanager
def _writer(form: Form, stream: TextIO, folder: Path) -> Iterator[Write]:
    def print_text(text: str) -> None:
        stream.write(for_stream(text, stream))
        stream.flush()

    def write(timeline: Timeline) -> None:
        if form.each is not None:
            print_text(form.each(timeline))
        elif form.file is not None:
            print_text(form.file(timeline, folder))
        else:
            collected.append(timeline)

    collected: list[Timeline] = []
    print_text(form.head)
    yield write
    if form.whole is not None:
        print_text(form.whole(collected))
