"""From a real video file to its views and scores, as the reference implementations do it.

The numbers were made with weights from a formula, so no checkpoint is needed; the two clips are.
"""

import gzip
import json
import zlib
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
import yaml
from formula import architecture_shapes, official_tensors
from make_video import as_parts
from torch import Tensor
from typer.testing import CliRunner

from videoswin_cli import predict
from videoswin_cli.cli.app import app
from videoswin_cli.data.decoding.decord_reader import load_decord
from videoswin_cli.data.decoding.open import open_video
from videoswin_cli.data.sampling import sample_clips
from videoswin_cli.data.transforms import crop_corners, normalize, resize, resized_size
from videoswin_cli.data.view_dataset import VideoViews, ViewDataset
from videoswin_cli.data.views import resolve_views
from videoswin_cli.model.catalog import flatten_spec, load_spec
from videoswin_cli.model.swin3d import relative_position_index
from videoswin_cli.options.run import DecoderChoice, OpenOptions
from videoswin_cli.records import Architecture, Prediction

GOLDEN = Path(__file__).parent / "golden"
# {video/pipeline/whose rules: {frames of each clip, size, boxes (x0, y0, x1, y1) of each crop, mean
# and std of each view and channel, voxels, crc32 of each view as uint8 (channel, time, y, x)}}
PIPELINES = json.loads(gzip.decompress((GOLDEN / "pipelines.json.gz").read_bytes()))
with np.load(GOLDEN / "end_to_end.npz") as arrays:
    SCORES = dict(arrays)  # architecture/video/pipeline/whose rules/{view_logits, mean_prob}
SIZES = json.loads((GOLDEN / "forward.json").read_text())["architectures"]
# The model whose rules a pipeline follows, and the views that it takes.
MODELS = {
    "k400_val/official": ("swin-tiny-k400", "1x1"),
    "k400_test/official": ("swin-tiny-k400", "paper"),
    "k400_val/mmaction2_1x": ("swin-tiny-k400-mmaction2", "1x1"),
    "k400_test/mmaction2_1x": ("swin-tiny-k400-mmaction2", "paper"),
    "ssv2_test/official": ("swin-base-ssv2", "paper"),
}
CASES = sorted({name.rpartition("/")[0] for name in SCORES})
ONE_VIEW = [case for case in CASES if "k400_val" in case]
MANY_VIEWS = [case for case in CASES if case not in ONE_VIEW]


def with_decoders(cases: list[str]) -> list[tuple[str, str]]:
    """Each case with the decoders that read its video: decord reads no AVI."""
    return [
        (case, decoder)
        for case in cases
        for decoder in ("decord", "pyav")
        if decoder == "pyav" or ".avi" not in case
    ]


@pytest.fixture(params=["decord", "pyav"])
def decoder(request: pytest.FixtureRequest) -> DecoderChoice:
    if request.param == "decord" and load_decord() is None:
        pytest.skip("decord cannot be imported here")
    return request.param


# --- the views ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("video", "decoder"),
    [("demo.mp4", "decord"), ("demo.mp4", "pyav"), ("test.avi", "pyav")],  # decord reads no AVI
    indirect=["decoder"],
)
@pytest.mark.parametrize("pipeline", MODELS)
def test_views_are_those_of_the_references(
    pipeline: str, video: str, decoder: DecoderChoice, real_videos: Path
) -> None:
    expected = PIPELINES[f"{video}/{pipeline}"]
    name, text = MODELS[pipeline]
    protocol = load_spec(name).protocol
    chosen = resolve_views(text, protocol)
    dataset = ViewDataset(
        as_parts(real_videos / video),
        protocol=protocol,
        views=chosen,
        opening=OpenOptions(decoder=decoder),
    )
    views = dataset[0]
    assert isinstance(views, VideoViews), views
    info = views.info
    clips = sample_clips(protocol, frames=info.frames, fps=info.fps, clips=chosen.clips)
    assert [list(clip) for clip in clips] == expected["frames"]
    rule = protocol.resize
    size = resized_size(info.height, info.width, short_side=chosen.short_side, rule=rule)
    assert list(size) == expected["size"]
    if "boxes" in expected:
        corners = crop_corners(*size, crop_size=224, crops=chosen.crops, rule=rule)
        boxes = [[left, top, left + 224, top + 224] for top, left in corners]
        assert boxes == expected["boxes"]
    assert len(views) == len(expected["crc32"])
    for number, crc32 in enumerate(expected["crc32"]):
        planes = views.view(number).permute(3, 0, 1, 2).contiguous()
        assert zlib.crc32(planes.numpy().tobytes()) == crc32, f"view {number}"
        values = normalize(
            views.view(number)[None], mean=protocol.mean, std=protocol.std, dtype=torch.float32
        )[0]
        for view, *place, value, grey in expected["voxels"]:
            if view == number:
                assert int(planes[tuple(place)]) == grey, place
                assert float(values[tuple(place)]) == pytest.approx(value, abs=1e-6), place
        check_moments(values, mean=expected["mean"][number], std=expected["std"][number])


@pytest.mark.parametrize("video", ["demo.mp4", "test.avi"])
def test_torchvision_rules_give_the_tensor_of_its_preset(video: str, real_videos: Path) -> None:
    expected = PIPELINES[f"{video}/preset/torchvision"]
    protocol = load_spec("swin-tiny-k400-torchvision").protocol
    with open_video(real_videos / video) as opened:
        frames = torch.from_numpy(opened.read_frames(expected["frames"][0]))
        height, width = opened.info.height, opened.info.width
    size = resized_size(height, width, short_side=protocol.short_side, rule=protocol.resize)
    ((top, left),) = crop_corners(*size, crop_size=224, crops=1, rule=protocol.resize)
    frames = resize(frames, size, rule=protocol.resize)[:, top : top + 224, left : left + 224]
    values = normalize(frames[None], mean=protocol.mean, std=protocol.std, dtype=torch.float32)[0]
    for *place, value in expected["voxels"]:
        assert float(values[tuple(place)]) == pytest.approx(value, abs=1e-6), place
    check_moments(values, mean=expected["mean"][0], std=expected["std"][0])


def check_moments(values: Tensor, *, mean: list[float], std: list[float]) -> None:
    found = values.double().flatten(1)
    assert found.mean(dim=1).tolist() == pytest.approx(mean, abs=2e-6)
    assert found.std(dim=1).tolist() == pytest.approx(std, abs=2e-6)


# --- the scores -----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], tuple[str, Path]]:
    """What to give as --model and --checkpoint for an architecture fed by the rules of a model."""
    folder = tmp_path_factory.mktemp("models")

    @cache
    def make(architecture: str, rules: str) -> tuple[str, Path]:
        sizes = msgspec.convert(SIZES[architecture], Architecture)
        made_by = load_spec(rules).publication.publisher
        checkpoint = folder / f"{architecture}-{made_by}.pth"
        if not checkpoint.exists():
            torch.save({"meta": {}, "state_dict": published_tensors(sizes, made_by)}, checkpoint)
        if architecture == "swin_t_k400":  # a published architecture: its name is enough
            return rules, checkpoint
        spec: dict[str, Any] = flatten_spec(load_spec(rules)) | asdict(sizes)
        path = folder / f"{architecture}-{rules}.yaml"
        path.write_text(yaml.safe_dump(spec | {"name": path.stem}))
        return str(path), checkpoint

    return make


def published_tensors(sizes: Architecture, made_by: str | None) -> dict[str, Tensor]:
    """Formula weights as the official code or mmaction2 stores them, geometry and all."""
    index = relative_position_index(sizes.window_size)
    tensors = {}
    for key, tensor in official_tensors(architecture_shapes(sizes)).items():
        if made_by == "mmaction2":
            key = key.replace("backbone.norm.", "backbone.norm3.")
        tensors[key] = tensor
        if key.endswith("relative_position_bias_table"):
            tensors[key.replace("bias_table", "index")] = index
    return tensors


def check_scores(prediction: Prediction, case: str) -> None:
    assert prediction.error is None
    logits, mean_prob = SCORES[f"{case}/view_logits"], SCORES[f"{case}/mean_prob"]
    assert np.abs(np.array(prediction.logits) - logits).max() < 2e-4  # else it fails on the shape
    found = np.zeros_like(mean_prob)
    for score in prediction.top:
        found[score.index] = score.prob
    assert len(prediction.top) == len(mean_prob)
    assert np.abs(found - mean_prob).max() < 1e-5
    best = np.argsort(-mean_prob, kind="stable")[:5].tolist()
    assert [score.index for score in prediction.top[:5]] == best


def split_case(case: str) -> tuple[str, str, str, str]:
    """Architecture, video, model whose rules it is fed by, views."""
    architecture, video, pipeline = case.split("/", maxsplit=2)
    return architecture, video, *MODELS[pipeline]


# The evaluation below compares scores of twelve views by default.
@pytest.mark.slow
@pytest.mark.parametrize(("case", "decoder"), with_decoders(ONE_VIEW), indirect=["decoder"])
def test_one_view_scores_are_those_of_the_references(
    case: str, decoder: DecoderChoice, real_videos: Path, files: Callable[..., Any]
) -> None:
    architecture, video, rules, views = split_case(case)
    model, checkpoint = files(architecture, rules)
    (prediction,) = predict(
        real_videos / video,
        model=model,
        checkpoint=checkpoint,
        views=views,
        topk=1000,
        decoder=decoder,
        device="cpu",
        logits=True,
    )
    assert prediction.decoder == decoder
    check_scores(prediction, case)


@pytest.mark.slow
@pytest.mark.parametrize(("case", "decoder"), with_decoders(MANY_VIEWS), indirect=["decoder"])
def test_published_protocol_gives_the_scores_of_the_references(
    case: str, decoder: DecoderChoice, real_videos: Path, files: Callable[..., Any]
) -> None:
    architecture, video, rules, views = split_case(case)
    model, checkpoint = files(architecture, rules)
    (prediction,) = predict(
        real_videos / video,
        model=model,
        checkpoint=checkpoint,
        views=views,
        topk=1000,
        decoder=decoder,
        device="cpu",
        logits=True,
    )
    check_scores(prediction, case)


@pytest.mark.parametrize(
    "case",
    [
        "nano_w877/demo.mp4/k400_val/official",
        pytest.param("nano_w877/test.avi/k400_test/official", marks=pytest.mark.slow),
        pytest.param("swin_t_k400/demo.mp4/k400_test/mmaction2_1x", marks=pytest.mark.slow),
        pytest.param("nano_w1677/demo.mp4/ssv2_test/official", marks=pytest.mark.slow),
    ],
)
def test_command_line_gives_the_same_scores(
    case: str, real_videos: Path, files: Callable[..., Any], tmp_path: Path
) -> None:
    architecture, video, rules, views = split_case(case)
    model, checkpoint = files(architecture, rules)
    out = tmp_path / "scores.jsonl"
    command = ["predict", str(real_videos / video), "--model", model, "--views", views, "--logits"]
    command += ["--checkpoint", str(checkpoint), "--topk", "1000", "--device", "cpu"]
    result = CliRunner().invoke(app, [*command, "--format", "jsonl", "--out", str(out)])
    assert result.exit_code == 0, result.output
    check_scores(msgspec.json.decode(out.read_bytes(), type=Prediction), case)


# --- eval: the same scores through lists and folders ----------------------------------------------

LISTS = {
    "two columns": "demo.mp4 0\ntest.avi 1\ntest.mp4 2\nexample.avi 3\n",
    "three columns": "demo 280 0\ntest.avi 164 1\ntest.mp4 300 2\nexample 131 3\n",
    "csv": "label,youtube_id,split\n0,demo,val\n1,test.avi,val\n2,test.mp4,val\n3,example,val\n",
}
NAMES = ("demo.mp4", "test.avi", "test.mp4", "example.avi")


def run_eval(folder: Path, *source: object, views: str, **model: object) -> dict[str, np.ndarray]:
    """Scores by file name, through the command."""
    dump = folder / "dump.npz"
    command = ["eval", *source, "--dump", dump, "--views", views, "--device", "cpu"]
    for name, value in model.items():
        command += [f"--{name}", value]
    result = CliRunner().invoke(app, [str(arg) for arg in command])
    assert result.exit_code == 0, result.output
    assert "4 of 4 videos found" in result.stderr
    with np.load(dump) as arrays:
        assert arrays["labels"].tolist() == [NAMES.index(Path(p).name) for p in arrays["paths"]]
        return {
            Path(path).name: row
            for path, row in zip(arrays["paths"], arrays["scores"], strict=True)
        }


def check_eval(scores: dict[str, np.ndarray], architecture: str, pipeline: str) -> None:
    checked = 0
    for name, row in scores.items():
        expected = SCORES.get(f"{architecture}/{name}/{pipeline}/mean_prob")
        if expected is not None:
            checked += 1
            assert np.abs(row - expected).max() < 1e-5
            assert row.argmax() == expected.argmax()
    assert checked == sum(f"{architecture}/{name}/{pipeline}/mean_prob" in SCORES for name in NAMES)
    assert checked


# The formats differ in the parser alone, which has tests of its own; each runs Swin-T four times.
@pytest.mark.parametrize(
    "source",
    [
        pytest.param(name, marks=[] if name == "three columns" else pytest.mark.slow)
        for name in (*LISTS, "folder")
    ],
)
def test_eval_gives_the_scores_of_the_references(
    source: str, real_videos: Path, files: Callable[..., Any], tmp_path: Path
) -> None:
    model, checkpoint = files("nano_w877", "swin-tiny-k400")
    where: tuple[object, ...]
    options: dict[str, Path] = {}
    if source == "folder":
        for label, name in enumerate(NAMES):
            (tmp_path / "videos" / f"label {label}").mkdir(parents=True)
            (tmp_path / "videos" / f"label {label}" / name).symlink_to(real_videos / name)
        options["labels"] = tmp_path / "labels.txt"
        options["labels"].write_text("".join(f"label {n}\n" for n in range(16)))
        where = (tmp_path / "videos",)
    else:
        (tmp_path / "list").write_text(LISTS[source])
        where = ("--list", tmp_path / "list", "--root", real_videos)
    scores = run_eval(tmp_path, *where, views="1x1", model=model, checkpoint=checkpoint, **options)
    check_eval(scores, "nano_w877", "k400_val/official")
    predictions = predict(
        [real_videos / name for name in NAMES], model=model, checkpoint=checkpoint, topk=16
    )
    for prediction in predictions:
        found = [scores[Path(prediction.path).name][score.index] for score in prediction.top]
        assert found == pytest.approx([score.prob for score in prediction.top], abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "pipeline"),
    [
        ("nano_w877", "k400_test/official"),
        ("swin_t_k400", "k400_test/official"),
        ("swin_t_k400", "k400_test/mmaction2_1x"),
        ("nano_w1677", "ssv2_test/official"),
    ],
)
def test_eval_with_the_published_protocol(
    architecture: str,
    pipeline: str,
    real_videos: Path,
    files: Callable[..., Any],
    tmp_path: Path,
) -> None:
    rules, _ = MODELS[pipeline]
    model, checkpoint = files(architecture, rules)
    (tmp_path / "list").write_text(LISTS["two columns"])
    where = ("--list", tmp_path / "list", "--root", real_videos)
    scores = run_eval(tmp_path, *where, views="paper", model=model, checkpoint=checkpoint)
    check_eval(scores, architecture, pipeline)
