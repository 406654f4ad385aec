"""Engine of `--engine auto`: OpenVINO where it is installed, faster, and worth its start."""

import math
import time
from importlib.util import find_spec

import torch
from torch import Tensor

from videoswin_cli.engine.forward import Compute
from videoswin_cli.engine.settings import Settings
from videoswin_cli.errors import DeviceError
from videoswin_cli.model.exported.reading import ExportedFile
from videoswin_cli.model.inference_plan import InferencePlan
from videoswin_cli.model.network import VideoNetwork
from videoswin_cli.model.openvino.network import OpenVinoNetwork, check_openvino, has_precision
from videoswin_cli.model.openvino.store import find_file, keep_speed, read_speed
from videoswin_cli.model.swin3d import Swin3D, Triple
from videoswin_cli.options.run import Engine

_WORTH_READING = 8  # views of a run for which a graph is read: it takes about a view's time
_WORTH_COMPILING = 60  # for which one is compiled, checked and measured: some fifteen views' time
_FASTER = 1.05  # times as fast as torch
_FEWEST_TURNS, _MOST_TURNS = 5, 9
_CLEAR = 1.1  # times away from that: no more turns are needed


Network = VideoNetwork | ExportedFile


def is_worth_reading(network: Network, settings: Settings, videos: int) -> bool:
    """Whether OpenVINO may be faster for a number of videos, where its graph is in the cache."""
    return _is_long(network, settings, videos, _WORTH_READING)


def is_worth_compiling(network: Network, settings: Settings, videos: int) -> bool:
    """Whether OpenVINO may be faster for a number of videos, its graph being made for them."""
    return _is_long(network, settings, videos, _WORTH_COMPILING)


def _is_long(network: Network, settings: Settings, videos: int, least: int) -> bool:
    views = videos * settings.views.clips * settings.views.crops
    fits = type(network) is Swin3D and settings.runtime.on_cpu
    return views >= least and fits and find_spec("openvino") is not None


def choose_engine(network: Network, settings: Settings, videos: int) -> tuple[Engine, str]:
    """The engine for a number of videos, and what to say about it.

    How fast a graph is on this machine is measured once, and kept beside it in the cache.
    """
    precision = settings.runtime.precision
    if type(network) is not Swin3D or not is_worth_reading(network, settings, videos):
        return "torch", ""
    try:
        check_openvino()
        if not has_precision(precision):
            return "torch", ""
    except DeviceError as error:
        return "torch", f" ({error.message})"
    size, fast = settings.clip_size, OpenVinoNetwork(network, precision)
    name = fast.name_graph(size)
    speed, why = read_speed(name), ""
    if speed is not None and speed < _FASTER:
        return "torch", ""
    if speed is None or find_file(name, "graph") is None:
        if not is_worth_compiling(network, settings, videos):
            return "torch", ""
        try:
            fast.open(size)
            if speed is None:
                speed = measure_speed(network, fast, size)
                unkept = keep_speed(name, speed)
                why = unkept and f" (each run measures OpenVINO anew: {unkept})"
        except DeviceError as error:
            return "torch", f" ({error.message})"
    if speed < _FASTER:
        return "torch", why
    return "openvino", f", {speed:.2f} times as fast as torch here (--engine torch)"


@torch.inference_mode()
def measure_speed(network: Swin3D, fast: OpenVinoNetwork, size: Triple) -> float:
    """Speed of OpenVINO for one view, torch being 1: the ratio of the least times of several turns.

    Other programs only ever add time, so one quiet view of each engine is enough.

    Raises:
        DeviceError: OpenVINO cannot compute it, or not these numbers.
    """
    fast.open(size)
    plan, clip = InferencePlan(network), torch.zeros(1, 3, *size)
    least = {"torch": math.inf, "openvino": math.inf}
    turns = [("torch", plan.pool), ("openvino", fast.pool)]
    speed = 1.0
    for turn in range(1, _MOST_TURNS + 1):
        for engine, compute in turns:
            least[engine] = min(least[engine], _clock(compute, clip))
        turns.reverse()
        speed = least["torch"] / least["openvino"]
        if turn >= _FEWEST_TURNS and not _FASTER / _CLEAR < speed < _FASTER * _CLEAR:
            break
    return speed


def _clock(compute: Compute, clip: Tensor) -> float:
    begun = time.perf_counter()
    compute(clip)
    return time.perf_counter() - begun
