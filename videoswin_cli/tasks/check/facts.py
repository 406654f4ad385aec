"""Facts of each video of a data set, found by opening it in a worker process."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

from videoswin_cli.data.decoding.coding import PLAIN, Coding
from videoswin_cli.data.decoding.frame_folder import is_folder
from videoswin_cli.data.decoding.open import Video, open_as
from videoswin_cli.data.decoding.orientation import UPRIGHT, Orientation
from videoswin_cli.data.decoding.picture_index import RATELESS_KINDS
from videoswin_cli.data.failures import name_reason
from videoswin_cli.data.fingerprints import take_fingerprint
from videoswin_cli.data.rates import check_rate
from videoswin_cli.data.sampling import loops
from videoswin_cli.data.segments import Span, find_span
from videoswin_cli.data.view_dataset import frames_at_once, varying_bounds
from videoswin_cli.data.workers import count_workers, load_in_workers
from videoswin_cli.engine.progress import Reporter
from videoswin_cli.errors import NoVideoError, TruncatedVideoError, VideoError
from videoswin_cli.io.visible import counted
from videoswin_cli.options.check import CheckOptions
from videoswin_cli.options.run import OpenOptions
from videoswin_cli.records import NO_SUCH_FILE, InputProtocol, ListedVideo, VideoPart
from videoswin_cli.report.findings import FindingKind

_FEWEST = 2  # frames without a model: one is a picture


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Reason why a video cannot be read, or not all of it."""

    kind: FindingKind
    text: str


@dataclass(frozen=True, kw_only=True)
class FileFacts:
    """Facts of one video, as far as it could be read."""

    failure: Failure | None = None
    frames: int = 0  # of the file
    span: int = 0  # frames of the part
    fps: float = 0.0
    short: bool = False  # the part has fewer frames than one clip
    constant_rate: bool = True
    orientation: Orientation = UPRIGHT
    coding: Coding = PLAIN
    notes: tuple[str, ...] = ()
    fingerprint: bytes | None = None


def look_at_videos(
    videos: Sequence[ListedVideo],
    options: CheckOptions,
    protocol: InputProtocol | None,
    reporter: Reporter,
) -> Generator[FileFacts, None, None]:
    """Facts of videos whose files are there, in order.

    Args:
        videos: to be opened.
        options: what is to be decoded.
        protocol: of the model that the videos are for, if there is one.
        reporter: takes what is said of the machine.
    """
    workers = options.workers
    if workers is None:
        workers = count_workers(len(videos), on_cpu=True)
    look = _Look(
        parts=[video.part for video in videos],
        opening=options.opening,
        deep=options.deep,
        fingerprints=options.near_duplicates,
        protocol=protocol,
    )
    folders = sum(is_folder(video.file or "") for video in videos)
    if folders and not options.deep:
        reporter.notice(
            f"of {counted(folders, 'frame folder')} the first, the middle and the last picture are "
            "decoded; --deep decodes all"
        )
    yield from load_in_workers(look, range(len(videos)), workers=workers, notice=reporter.notice)


@dataclass(frozen=True, kw_only=True)
class _Look:
    """Facts of the video with a given number."""

    parts: Sequence[VideoPart]
    opening: OpenOptions
    deep: bool
    fingerprints: bool
    protocol: InputProtocol | None

    def __getitem__(self, number: int) -> FileFacts:
        part = self.parts[number]
        try:
            with open_as(part.path, self.opening) as video:
                return self._look(video, part)
        except Exception as error:  # noqa: BLE001 - as in `iter_video`
            reason = name_reason(error, part.path)
            return FileFacts(failure=Failure(kind=_kind_of(error, reason), text=reason))

    def failed(self, number: int, reason: str) -> FileFacts:
        return FileFacts(failure=Failure(kind="unreadable", text=reason))

    def _look(self, video: Video, part: VideoPart) -> FileFacts:
        try:
            if self.protocol is not None:
                check_rate(video, self.protocol)
            span = find_span(video, part.segment)  # the count of a list has a check of its own
        except VideoError as error:
            return FileFacts(
                failure=Failure(kind="outside", text=name_reason(error, part.path)),
                frames=video.info.frames,
            )
        failure, fingerprint = _find_damage(video, span, deep=self.deep), None
        if self.fingerprints and failure is None:
            try:
                fingerprint = take_fingerprint(video, span)
            except VideoError as error:
                failure = Failure(kind="damaged", text=name_reason(error, part.path))
        info, index = video.info, video.index
        return FileFacts(
            failure=failure,
            frames=info.frames,
            span=span.count,
            fps=info.fps,
            short=_is_short(video, span, self.protocol),
            constant_rate=info.constant_rate,
            orientation=index.orientation,
            coding=index.coding,
            notes=(*video.notes, *span.notes),
            fingerprint=fingerprint,
        )


def _kind_of(error: Exception, reason: str) -> FindingKind:
    if isinstance(error, TruncatedVideoError):
        return "truncated"
    if isinstance(error, NoVideoError):
        return "no-video"
    return "missing" if reason == NO_SUCH_FILE else "unreadable"


def _is_short(video: Video, span: Span, protocol: InputProtocol | None) -> bool:
    if protocol is None:
        return span.count < _FEWEST
    bounds = varying_bounds(video, span.first, span.count)
    return loops(protocol, frames=span.count, fps=video.info.fps, bounds=bounds)


def _find_damage(video: Video, span: Span, *, deep: bool) -> Failure | None:
    """Frames that cannot be decoded: marked so by the container, or some or all of them tried."""
    index = video.index
    if deep or index.codec in RATELESS_KINDS:  # pictures have no container that would tell
        missing = list(_decode(video, span)) if deep else _try_some(video, span)
        return Failure(kind="damaged", text=video.describe_damage(missing)) if missing else None
    marked = {number for packet in index.corrupt for number in index.spoiled_by(packet, packet)}
    count = len(marked.intersection(range(span.first, span.first + span.count)))
    frames = counted(count, "frame")
    text = f"a part of the file is damaged or missing, which spoils up to {frames}"
    return Failure(kind="damaged", text=text) if count else None


def _try_some(video: Video, span: Span) -> list[int]:
    """Numbers of the first, the middle and the last frame, as far as they cannot be decoded."""
    last = span.first + span.count - 1
    return video.read_whole_frames(sorted({span.first, (span.first + last) // 2, last}))[1]


def _decode(video: Video, span: Span) -> Iterator[int]:
    """Numbers of the frames that cannot be decoded."""
    at_once = frames_at_once(video.info.height * video.info.width)
    end = span.first + span.count
    for first in range(span.first, end, at_once):
        _, missing = video.read_whole_frames(range(first, min(first + at_once, end)))
        yield from missing
