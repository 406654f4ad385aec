"""Options of `videoswin serve`."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from videoswin_cli.options.fields import check_options, option
from videoswin_cli.options.parsers import parse_fps, parse_size
from videoswin_cli.options.run import (
    DecoderChoice,
    OpenOptions,
    PrecisionChoice,
    RunOptions,
    batch_size_option,
    device_option,
    engine_option,
    max_pixels_option,
)


@dataclass(frozen=True, kw_only=True)
class ServedRunOptions:
    """Sampling and computing of all requests."""

    views: str = option(
        "1x1",
        "C clips times K crops (1 or 3); timelines need one clip.",
        metavar="1x1|paper|CxK",
    )
    fps: float | str | None = option(
        None,
        "Resample the frames of each video to N per second before sampling; source: never.",
        metavar="N|source",
        parse=parse_fps,
        shown_default="as the model was trained",
    )
    device: str = device_option()
    precision: PrecisionChoice = option("fp32", "auto: bf16 where it is fast and close.")
    engine: Literal["torch", "openvino"] = engine_option()
    decoder: DecoderChoice = option("auto", "auto: decord, and PyAV where decord cannot.")
    max_pixels: int = max_pixels_option()
    batch_size: int | None = batch_size_option("Views per forward pass, of several requests.")

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def run(self) -> RunOptions:
        """The same as options of a run over files, decoded by threads of this process."""
        return RunOptions(
            views=self.views,
            fps=self.fps,  # type: ignore[arg-type]  # parsed: a number or "source"
            device=self.device,
            precision=self.precision,
            engine=self.engine,
            opening=OpenOptions(decoder=self.decoder, max_pixels=self.max_pixels),
            workers=0,
            batch_size=self.batch_size,
        )


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """Address and limits of a server."""

    host: str = option("127.0.0.1", "Address to listen on; 0.0.0.0: all of this machine.")
    port: int = option(8000, "Port to listen on; 0: any that is free.", least=0, most=65535)
    token_file: Path | None = option(
        None,
        "File with a token that requests must have (Authorization: Bearer ...).",
        metavar="FILE",
        shown_default="VIDEOSWIN_TOKEN, else none",
        place="read",
    )
    allow_urls: bool = option(
        False, 'Fetch public addresses that requests name: {"url": "https://..."}.'
    )
    max_body: int = option(
        256_000_000,
        "Refuse larger uploads.",
        metavar="SIZE",
        parse=partial(parse_size, "--max-body"),
        shown_default="256MB",
    )
    max_duration: float = option(
        600.0, "Refuse longer videos.", metavar="SECONDS", least=0.1, most=10**6
    )
    max_views: int = option(
        2000,
        "Refuse videos of more views: windows of a timeline times crops.",
        metavar="N",
        least=1,
        most=10**6,
    )
    queue: int = option(
        64,
        "Videos that are computed; while there are so many, requests are answered 503 and may "
        "come again.",
        metavar="N",
        least=1,
        most=10_000,
    )
    uploads: int = option(
        128,
        "Videos on their way, or waiting for a place in the queue; further ones are answered 503.",
        metavar="N",
        least=1,
        most=10_000,
    )

    def __post_init__(self) -> None:
        check_options(self)
