"""Settings of a run: its options with nothing left to choose."""

from dataclasses import dataclass, replace
from typing import Literal

from videoswin_cli.data.decoding.open import check_decoder
from videoswin_cli.data.views import resolve_views
from videoswin_cli.engine.runtime import Runtime
from videoswin_cli.model.exported.facts import ExportFacts
from videoswin_cli.options.run import OpenOptions, RunOptions
from videoswin_cli.records import InputProtocol, Views


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of a run, for reading and for computing."""

    protocol: InputProtocol  # of the model, at the frame rate that was asked for
    views: Views
    opening: OpenOptions
    runtime: Runtime
    workers: int | None  # decoding processes; None: by the number of videos
    batch_size: int  # views per forward pass
    pooled_only: bool = False  # an exported graph: it has no features but the pooled ones

    @property
    def clip_size(self) -> tuple[int, int, int]:
        """Frames, pixels, pixels of what the network takes."""
        return self.protocol.clip_frames, self.protocol.crop_size, self.protocol.crop_size


def settle(
    protocol: InputProtocol,
    options: RunOptions,
    runtime: Runtime,
    exported: ExportFacts | None = None,
) -> Settings:
    """The settings of a run; `exported` are the facts of a graph that runs in place of a network.

    Raises:
        UsageError: an option does not fit the protocol, or there is no such decoder here.
    """
    check_decoder(options.opening.decoder)
    opening, own = options.opening, protocol.frame_rate
    fixed = exported.batch if exported is not None else None
    protocol = _at_rate(protocol, options.fps)
    if opening.frames_fps is None and isinstance(options.fps, float | int):
        for_both = own not in (None, options.fps)
        opening = replace(opening, frames_fps=float(options.fps), fps_for_both=for_both)
    return Settings(
        protocol=protocol,
        views=resolve_views(options.views, protocol),
        opening=opening,
        runtime=runtime,
        workers=options.workers,
        batch_size=options.batch_size or fixed or runtime.good_batch_size,
        pooled_only=exported is not None,
    )


def _at_rate(protocol: InputProtocol, fps: float | Literal["source"] | None) -> InputProtocol:
    """The protocol at another frame rate; `source` is that of each video, None changes nothing."""
    if fps is None:
        return protocol
    return replace(protocol, frame_rate=None if fps == "source" else float(fps))
