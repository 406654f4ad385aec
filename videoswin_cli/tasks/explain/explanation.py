"""An explanation of a prediction, and its file of numbers."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from videoswin_cli.io.atomic import atomic_write, to_json
from videoswin_cli.options.run import OpenOptions
from videoswin_cli.records import ClassProbability, VideoPart
from videoswin_cli.report.heat import HeatMaps
from videoswin_cli.tasks.explain.pictures import write_gif, write_mp4, write_sheet


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Evidence for one class in the frames of a video that the network has seen."""

    path: str
    model: str
    views: str  # CLIPSxCROPS
    stage: int  # whose features it is from
    explained: ClassProbability
    top: tuple[ClassProbability, ...]  # as `predict` gives them
    # float32 (T, H, W): 0 or above, more is more evidence; NaN where no view has looked. H and W
    # are the resized frame, all of it.
    maps: NDArray[np.float32]
    times: tuple[float, ...]  # s, start of each of the T frames
    clips: tuple[tuple[float, float], ...]  # start and end of each clip in seconds
    part: VideoPart
    opening: OpenOptions  # of the video, for those who draw on it
    notes: tuple[str, ...] = ()

    @property
    def peak(self) -> float:
        """The most evidence anywhere; 0 where nothing speaks for the class."""
        return float(np.nanmax(self.maps))

    def write_video(self, path: str | Path) -> tuple[str, ...]:
        """Write the frames with the heat of their maps on them.

        An mp4 has all frames from the start of the first clip to the end of the last one; a GIF
        (`.gif`) those that the network has seen.

        Returns:
            What a user should know about the file.

        Raises:
            VideoError: the video cannot be read again.
            VideoSwinError: the file cannot be written.
        """
        path = Path(path)
        if path.suffix.lower() == ".gif":
            write_gif(self._heat, self.part.path, path, self.opening)
            return ()
        return write_mp4(self._heat, self.part.path, path, self.opening)

    def write_contact_sheet(self, path: str | Path) -> None:
        """Write up to eight frames, each above its heat, as PNG.

        Raises:
            VideoError: the video cannot be read again.
            VideoSwinError: the file cannot be written.
        """
        write_sheet(self._heat, self.part.path, Path(path), self.opening)

    @property
    def _heat(self) -> HeatMaps:
        return HeatMaps(
            explained=self.explained,
            maps=self.maps,
            times=self.times,
            clips=self.clips,
            peak=self.peak,
        )

    def write_npy(self, path: str | Path) -> None:
        """Write the maps, and their times and what they are of as JSON beside them.

        Raises:
            VideoSwinError: a file cannot be written.
        """
        path = Path(path)
        explained = self.explained
        about = {
            "path": self.path,
            "model": self.model,
            "views": self.views,
            "stage": self.stage,
            "class": {"label": explained.label, "index": explained.index, "prob": explained.prob},
            "axes": ["time", "height", "width"],
            "shape": list(self.maps.shape),
            "times": list(self.times),
            "clips": [list(clip) for clip in self.clips],
            "notes": list(self.notes),
        }
        with atomic_write(path.with_suffix(".json")) as part:
            part.write_text(to_json(about, indent=2) + "\n", encoding="utf-8")
        with atomic_write(path) as part, part.open("wb") as file:
            np.save(file, self.maps)
