"""Which rows there are and what stands in them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from make_video import as_parts, write_audio, write_video
from tiny import write_model

from videoswin_cli import Model, extract, load_model
from videoswin_cli.data.transforms import normalize
from videoswin_cli.data.view_dataset import ViewDataset
from videoswin_cli.data.views import resolve_views
from videoswin_cli.engine.runtime import choose_runtime
from videoswin_cli.engine.settings import settle
from videoswin_cli.errors import UsageError
from videoswin_cli.model.catalog import ModelSpec, load_spec
from videoswin_cli.options.run import RunOptions
from videoswin_cli.options.tasks import FeatureOptions, Pool
from videoswin_cli.tasks.extract.features import Plan, plan_features


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    write_model(path)
    return load_model(path, device="cpu")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("videos") / "v.mp4", frames=60, size=(96, 64))


def view_features(model: Model, video: Path, views: str) -> torch.Tensor:
    """Features (crops, clips, C, T', H', W') straight from the network."""
    protocol = model.spec.protocol
    chosen = resolve_views(views, protocol)
    read = ViewDataset(as_parts(video), protocol=protocol, views=chosen)[0]
    stack = torch.stack([read.view(n) for n in range(len(read))])
    clips = normalize(stack, mean=protocol.mean, std=protocol.std, dtype=torch.float32)
    with torch.inference_mode():
        found = model.network.forward_features(clips)
    return found.reshape(chosen.crops, chosen.clips, *found.shape[1:])


# --- pooling, rows and views ----------------------------------------------------------------------


@pytest.mark.parametrize("views", ["1x1", "paper", "4x1", "1x3"])
def test_a_row_a_video_is_the_mean_of_all_views(views: str, tiny: Model, video: Path) -> None:
    table = extract(video, model=tiny, views=views)
    expected = view_features(tiny, video, views).mean(dim=(0, 1, 3, 4, 5))
    assert table.features.shape == (1, 16)
    assert table.features.dtype == np.float32
    assert np.abs(table.features[0] - expected.numpy()).max() < 1e-6
    assert table.status.tolist() == ["ok"]


def test_a_row_a_clip_is_the_mean_of_its_crops(tiny: Model, video: Path) -> None:
    table = extract(video, model=tiny, views="3x3", per="clip")
    expected = view_features(tiny, video, "3x3").mean(dim=(0, 3, 4, 5))
    assert np.abs(table.features - expected.numpy()).max() < 1e-6
    assert table.paths.tolist() == [str(video)] * 3
    assert (np.diff(table.start) > 0).all()
    # 4 frames, every second one, at 25 frames a second
    assert table.end - table.start == pytest.approx([7 / 25] * 3)


@pytest.mark.parametrize(
    ("pool", "shape", "axes"), [("time", (2, 16), (3, 4)), ("none", (16, 2, 4, 4), ())]
)
def test_what_pooling_leaves(
    pool: Pool, shape: tuple[int, ...], axes: tuple[int, ...], tiny: Model, video: Path
) -> None:
    table = extract(video, model=tiny, views="2x1", per="clip", pool=pool)
    expected = view_features(tiny, video, "2x1")[0]
    if pool == "time":
        expected = expected.mean(dim=(3, 4)).transpose(1, 2)
    assert table.features.shape == (2, *shape)
    assert np.abs(table.features - expected.numpy()).max() < 1e-6


@pytest.mark.parametrize(("stage", "width", "side"), [(1, 16, 4), (2, 16, 4), (None, 16, 4)])
def test_stages(stage: int | None, width: int, side: int, tiny: Model, video: Path) -> None:
    table = extract(video, model=tiny, stage=stage, pool="none")
    assert table.features.shape == (1, width, 2, side, side)
    seen = {}
    hooks = [
        layer.register_forward_hook(lambda _m, _i, out, n=n: seen.update({n: out}))
        for n, layer in enumerate((*tiny.network.layers, tiny.network.norm), start=1)
    ]
    view_features(tiny, video, "1x1")
    for hook in hooks:
        hook.remove()
    expected = seen[stage or 3].permute(0, 4, 1, 2, 3)
    assert np.abs(table.features - expected.numpy()).max() < 1e-6


def test_half_precision_is_the_rounded_result(tiny: Model, video: Path) -> None:
    single, half = (extract(video, model=tiny, dtype=d).features for d in ("fp32", "fp16"))
    assert half.dtype == np.float16
    assert np.array_equal(half, single.astype(np.float16))


def test_what_fp16_cannot_hold_is_a_failure(video: Path, tmp_path: Path) -> None:
    write_model(tmp_path / "loud.safetensors")
    loud = load_model(tmp_path / "loud.safetensors", device="cpu")
    loud.network.norm.weight.data *= 1e6
    for per in ("video", "window"):
        table = extract([video, video.parent], model=loud, dtype="fp16", per=per)
        assert table.status.tolist() == ["a feature is too large for fp16"]
        assert np.isnan(table.features).all()
    assert extract(video, model=loud).status.tolist() == ["ok"]


@pytest.mark.parametrize(("per", "rows"), [("video", 1), ("clip", 2), ("window", 1)])
def test_a_broken_video_has_rows_of_nan(
    per: str, rows: int, tiny: Model, video: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.mp4"
    write_audio(bad)
    views = "1x1" if per == "window" else "2x1"
    table = extract([bad, video], model=tiny, per=per, views=views)
    assert table.paths.tolist()[:rows] == [str(bad)] * rows
    assert table.paths.tolist()[rows] == str(video)
    assert np.isnan(table.features[:rows]).all()
    assert np.isnan(table.start[:rows]).all()
    assert np.isfinite(table.features[rows:]).all()
    assert "no video" in table.status[0]
    assert table.meta["model"] == "tiny"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pool": "time", "views": "2x1"}, "cannot become one row"),
        ({"pool": "none", "views": "1x3"}, "3 crops show different ones"),
        ({"per": "window", "views": "2x1"}, "windows slide"),
        ({"stage": 3}, "no stage 3: tiny has stages 1 to 2"),
        ({"stage": 0}, "--stage '0': expected a number from 1"),
        ({"pool": "max"}, "pool 'max': expected one of avg, time, none"),
        ({"dtype": "int8"}, "dtype 'int8': expected fp32 or fp16"),
        ({"per": "frame"}, "per 'frame': expected one of video, clip, window"),
        ({"stride": 1.0}, "a stride is for windows"),
        ({"per": "window", "stride": "0f"}, "expected seconds or frames above 0"),
        ({"per": "window", "stride": 0}, "expected seconds or frames above 0"),
        ({"per": "window", "stride": float("nan")}, "expected seconds below"),
    ],
)
def test_options_that_do_not_fit(options: dict, message: str, tiny: Model, video: Path) -> None:
    with pytest.raises(UsageError, match=message):
        extract(video, model=tiny, **options)


def plan(spec: ModelSpec, options: FeatureOptions) -> Plan:
    runtime = choose_runtime(device="cpu")
    return plan_features(spec, settle(spec.protocol, RunOptions(), runtime), options)


def test_a_model_that_spreads_its_frames_has_no_windows() -> None:
    with pytest.raises(UsageError, match="spreads one clip over the whole video"):
        plan(load_spec("swin-base-ssv2"), FeatureOptions(per="window"))


@pytest.mark.parametrize(
    ("name", "width"),
    [
        ("swin-tiny-k400", 768),
        ("swin-small-k400", 768),
        ("swin-base-k400", 1024),
        ("swin-large-k400-mmaction2", 1536),
    ],
)
def test_widths(name: str, width: int) -> None:
    spec = load_spec(name)

    def shape(**options: object) -> tuple[int, ...]:
        return plan(spec, FeatureOptions(**options)).shape  # type: ignore[arg-type]

    assert shape() == (width,)
    assert shape(pool="time") == (16, width)
    assert shape(pool="none") == (width, 16, 7, 7)
    assert shape(stage=1, pool="none") == (width // 4, 16, 28, 28)
    assert shape(stage=3) == (width,)
