"""A model that is ready to run: loaded once, with all its options resolved."""

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from videoswin_cli.data.view_dataset import FailedVideo, VideoViews, ViewDataset
from videoswin_cli.data.window_dataset import Begun, WindowDataset, read_windows
from videoswin_cli.data.workers import Notice, count_workers, load_in_workers
from videoswin_cli.engine.distributed import World
from videoswin_cli.engine.forward import Compute, Flush, ViewOutputs, forward_videos, prepare
from videoswin_cli.engine.numerics import NO_RECORD, Decision, Record, decide_numerics
from videoswin_cli.engine.progress import Monitor, Reporter, Silent
from videoswin_cli.engine.runtime import DTYPES, Runtime, choose_runtime
from videoswin_cli.engine.settings import Settings, settle
from videoswin_cli.errors import DeviceError, ResumeError, UsageError
from videoswin_cli.model.catalog import ModelSpec
from videoswin_cli.model.exported.engines import has_gpu
from videoswin_cli.model.exported.reading import ExportedFile
from videoswin_cli.model.loading import FoundModel, LoadedModel, load_found
from videoswin_cli.model.network import VideoNetwork
from videoswin_cli.model.openvino.network import OpenVinoNetwork, check_openvino
from videoswin_cli.options.run import Engine, RunOptions
from videoswin_cli.records import Stride, VideoPart

_ALONE = World()


class Reading(Protocol):
    """Way in which the videos of a run are decoded."""

    def views(
        self, dataset: ViewDataset, *, workers: int, notice: Notice
    ) -> Generator[VideoViews | FailedVideo, None, None]:
        """Views of all videos, in order."""
        ...

    def windows(
        self, dataset: WindowDataset, *, workers: int, notice: Notice
    ) -> Generator[VideoViews | FailedVideo, None, None]:
        """Pieces of all videos, in order; the last one of each has nothing `unread`."""
        ...


@dataclass(frozen=True)
class LocalReading:
    """Decoding by processes of this machine."""

    def views(
        self, dataset: ViewDataset, *, workers: int, notice: Notice
    ) -> Generator[VideoViews | FailedVideo, None, None]:
        numbers = range(len(dataset.parts))
        return load_in_workers(dataset, numbers, workers=workers, notice=notice)

    def windows(
        self, dataset: WindowDataset, *, workers: int, notice: Notice
    ) -> Generator[VideoViews | FailedVideo, None, None]:
        return read_windows(dataset, workers=workers, notice=notice)


_LOCAL = LocalReading()


class Runner:
    """A loaded model, its prepared network and the settings of a run.

    It holds memory until `close`. Several of other settings may share one network: see `change`.
    The processes that decode end with the generators of `views` and `windows`, and `forward` closes
    those with its own: whoever leaves one before its end closes it.
    """

    def __init__(
        self,
        model: LoadedModel,
        network: VideoNetwork,
        settings: Settings,
        reading: Reading = _LOCAL,
    ) -> None:
        self.model = model
        self.network = network
        self.settings = settings
        self._reading = reading

    def views(
        self, parts: Sequence[VideoPart], monitor: Monitor
    ) -> Generator[VideoViews | FailedVideo, None, None]:
        """Decoded views of videos, in order."""
        run = self.settings
        dataset = ViewDataset(parts, protocol=run.protocol, views=run.views, opening=run.opening)
        workers = self._count_workers(len(parts))
        return self._reading.views(dataset, workers=workers, notice=monitor.notice)

    def windows(
        self,
        parts: Sequence[VideoPart],
        monitor: Monitor,
        *,
        stride: Stride | None,
        begun: Begun = Begun(),  # noqa: B008 - frozen
        beside: bool = False,
        timed: bool = False,
    ) -> Generator[VideoViews | FailedVideo, None, None]:
        """Decoded windows that slide over videos, some of a video at a time, in order.

        `begun` are windows of the first video that are left out. `beside`: where the number of
        processes is not said, one video has one too, so that decoding overlaps with the network.
        `timed`: videos must have a frame rate.
        """
        run = self.settings
        dataset = WindowDataset(
            parts,
            protocol=run.protocol,
            views=run.views,
            stride=stride,
            opening=run.opening,
            begun=begun,
            timed=timed,
        )
        workers = self._count_workers(len(parts))
        if beside and run.workers is None:
            workers = max(workers, 1)
        return self._reading.windows(dataset, workers=workers, notice=monitor.notice)

    def forward(
        self,
        videos: Iterable[VideoViews | FailedVideo | Flush],
        compute: Compute | None = None,
        *,
        fill_batches: bool = False,
        monitor: Monitor,
    ) -> Generator[ViewOutputs | FailedVideo, None, None]:
        """Outputs of all views, by default logits; see `forward_videos`."""
        return forward_videos(
            videos,
            compute or self.network,
            protocol=self.settings.protocol,
            runtime=self.settings.runtime,
            batch_size=self.settings.batch_size,
            fill_batches=fill_batches,
            monitor=monitor,
        )

    def change(self, options: RunOptions) -> "Runner":
        """A runner of the same network that reads videos otherwise.

        Raises:
            UsageError: an option does not fit the model, or asks for another device or precision
                than the network is in.
        """
        runtime, exported = self.settings.runtime, self.model.exported
        if exported is not None:
            options = _fit_exported(options, exported)
        for name, wanted, here in (
            ("device", options.device, str(runtime.device)),
            ("precision", options.precision, runtime.precision),
            ("engine", options.computes, runtime.engine),
        ):
            if wanted not in ("auto", here):
                raise UsageError(
                    f"{name} {wanted}: the model is loaded in {here}",
                    hint=f"load it with {name}={wanted!r}",
                )
        facts = None if exported is None else exported.facts
        settings = settle(self.model.spec.protocol, options, runtime, facts)
        return Runner(self.model, self.network, settings, self._reading)

    def close(self) -> None:
        """Free the network; the runner cannot be used any more."""
        del self.network, self.model

    def _count_workers(self, videos: int) -> int:
        if self.settings.workers is not None:
            return min(self.settings.workers, videos)
        return count_workers(videos, on_cpu=self.settings.runtime.on_cpu)


def open_runner(
    model: FoundModel | LoadedModel,
    options: RunOptions,
    *,
    with_head: bool = False,
    videos: int = 1,
    world: World = _ALONE,
    record: Record = NO_RECORD,
    reporter: Reporter | None = None,
    check: Callable[[ModelSpec, Settings], None] = lambda spec, settings: None,
) -> Runner:
    """Load a model for a run; all that can be wrong with the options is found before.

    Args:
        model: found, whose weights become the runner's own; or loaded, which stays as it is.
        options: of the run.
        with_head: refuse a model without classes.
        videos: that are to be computed, about: by it `--engine auto` is chosen.
        world: whose main process decides precision and engine for all.
        record: of the output that the run writes.
        reporter: of what was loaded and how it computes.
        check: raises UsageError for what does not fit the model, before its weights are fetched.

    Raises:
        UsageError: an option does not fit the model or this machine.
        CheckpointError, FetchError: see `load_found`.
    """
    reporter = reporter or Silent()
    exported = model.exported
    facts = None if exported is None else exported.facts
    if exported is not None:
        options = _fit_exported(options, exported)
    runtime = _choose_runtime(options, world)
    settings = settle(model.spec.protocol, options, runtime, facts)
    check(model.spec, settings)
    own = isinstance(model, FoundModel)
    loaded = load_found(model, with_head=with_head) if isinstance(model, FoundModel) else model
    if own:
        reporter.notice(loaded.summary)
    decision = decide_numerics(options, loaded, settings, videos=videos, world=world, record=record)
    numerics = decision.numerics
    runtime = replace(runtime, dtype=DTYPES[numerics.precision], engine=numerics.engine)
    network, runtime = _open_network(loaded, runtime, settings, decision, reporter, own=own)
    by = " by OpenVINO" if runtime.engine == "openvino" else ""
    reason = decision.reason if runtime.numerics == numerics else ""
    reporter.notice(f"computing on {runtime.device} in {runtime.precision}{by}{reason}")
    return Runner(loaded, network, replace(settings, runtime=runtime))


def _choose_runtime(options: RunOptions, world: World) -> Runtime:
    device = options.device
    if options.computes == "openvino":
        if device not in ("auto", "cpu"):
            raise DeviceError(
                f"--engine openvino computes on the CPU, not on {device}",
                hint="use --device cpu or --engine torch",
            )
        try:
            check_openvino()
        except DeviceError as error:
            raise DeviceError(f"--engine openvino: {error.message}", hint=error.hint) from error
        device = "cpu"
    asked = "fp32" if options.precision == "auto" else options.precision
    runtime = choose_runtime(device=world.device(device), precision=asked)
    engine: Engine = "torch" if options.computes == "auto" else options.computes
    return replace(runtime, engine=engine)


def _open_network(
    loaded: LoadedModel,
    runtime: Runtime,
    settings: Settings,
    decision: Decision,
    reporter: Reporter,
    *,
    own: bool,
) -> tuple[VideoNetwork, Runtime]:
    """The network ready to compute, and the runtime that it computes in.

    Where OpenVINO cannot compute it torch does, and a notice says so; but not for an output that
    OpenVINO began.
    """
    if runtime.engine == "openvino" and loaded.exported is None:
        try:
            network = prepare(loaded.network, runtime)
            assert isinstance(network, OpenVinoNetwork)
            network.open(settings.clip_size)
            if network.unkept:
                reporter.notice(f"each run compiles the graph anew: {network.unkept}")
            return network, runtime
        except DeviceError as error:
            if decision.begun is not None and decision.begun.engine == "openvino":
                raise ResumeError(
                    f"the output was computed by OpenVINO: {error.message}",
                    hint="choose another output",
                ) from error
            reporter.notice(f"{error.message}: torch computes")
            runtime = replace(runtime, engine="torch")
    if own and loaded.exported is None:  # nobody else holds it: no copy
        loaded.module.to(device=runtime.device, dtype=runtime.dtype)
    return prepare(loaded.network, runtime), runtime


def _fit_exported(options: RunOptions, exported: ExportedFile) -> RunOptions:
    """The options as an exported file takes them.

    Raises:
        UsageError: another precision or engine than the file's.
    """
    stored = exported.facts.precision
    if options.precision not in ("auto", "fp32", stored):
        raise UsageError(
            f"--precision {options.precision}: {exported.path} has {stored} weights and computes "
            "in fp32",
            hint="use --precision auto, or export the model in another precision",
        )
    if options.computes == "openvino" != exported.facts.format:  # torch may be the default
        raise UsageError(
            f"--engine {options.computes}: {exported.path} is a graph for {exported.facts.format}",
            hint="use --engine auto, or the model that it was exported from",
        )
    on_cpu = options.device == "auto" and not has_gpu(exported)
    device = "cpu" if on_cpu else options.device
    return replace(options, precision="fp32", engine="auto", device=device)
