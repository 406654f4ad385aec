"""Explanations: the evidence is where it was put, and what is computed is what predict computes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from make_video import write_video
from quadrants import LABELS, SIDE, randomize, train, write_clip, write_model
from tiny import PROTOCOL, TINY

from videoswin_cli import Explanation, Model, explain, load_model
from videoswin_cli.engine.grad_cam import GradCam, spread_cells
from videoswin_cli.engine.progress import Monitor
from videoswin_cli.errors import LabelError, UsageError, VideoError
from videoswin_cli.model.catalog import load_spec, model_names
from videoswin_cli.model.swin3d import Swin3D
from videoswin_cli.records import Architecture
from videoswin_cli.tasks.explain.explain import find_class

# Quadrants in which something blinks and something else slides.
PAIRS = ((0, 3), (3, 0), (1, 2), (2, 1), (0, 1), (2, 3), (3, 1), (0, 2))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("quadrants")


@pytest.fixture(scope="module")
def trained(folder: Path) -> Model:
    return load_model(write_model(folder / "trained.safetensors", train()))


@pytest.fixture(scope="module")
def both(folder: Path) -> list[Path]:
    """Clips with both acts, in quadrants of `PAIRS`."""
    return [
        write_clip(folder / f"{blink}{slide}.mp4", {"blink": blink, "slide": slide}, seed=number)
        for number, (blink, slide) in enumerate(PAIRS)
    ]


@pytest.fixture(scope="module")
def clips(folder: Path) -> Path:
    """Two good videos, one of them shorter than a clip, and a broken one."""
    clips = folder / "clips"
    clips.mkdir()
    write_video(clips / "a.mp4", frames=40, seed=1)
    write_video(clips / "b.mp4", frames=3, seed=2)
    (clips / "text.mp4").write_text("not a video")
    return clips


def hottest(explanation: Explanation) -> int:
    """The quadrant with most evidence, 0 to 3."""
    mean, half = explanation.maps.mean(axis=0), SIDE // 2
    parts = [mean[y : y + half, x : x + half].mean() for y in (0, half) for x in (0, half)]
    return int(np.argmax(parts))


def hits(model: Model, clips: list[Path]) -> int:
    """Explanations of both acts whose hottest quadrant is the one of the act."""
    return sum(
        hottest(model.explain(clip, class_name=act)) == quadrant
        for clip, pair in zip(clips, PAIRS, strict=True)
        for act, quadrant in zip(("blink", "slide"), pair, strict=True)
    )


# --- the evidence ---------------------------------------------------------------------------------


def test_the_hottest_quadrant_is_where_each_class_acts(trained: Model, both: list[Path]) -> None:
    """In one clip two classes have two maps, so a map that knows no class would miss half."""
    assert hits(trained, both) >= 15


def test_random_weights_destroy_the_maps(folder: Path, both: list[Path]) -> None:
    found = []
    for seed in range(4):
        model = load_model(write_model(folder / f"random{seed}.safetensors", randomize(seed)))
        found.append(hits(model, both))
    assert sum(found) <= 32  # of 64; chance is 16


def test_the_predicted_class_is_explained_unless_another_is_named(
    trained: Model, folder: Path
) -> None:
    clip = write_clip(folder / "slide.mp4", {"slide": 2}, seed=50)
    (predicted,) = trained.predict(clip)
    found = trained.explain(clip)
    assert found.explained == predicted.top[0]
    assert (found.explained.label, hottest(found)) == ("slide", 2)
    other = trained.explain(clip, class_name="0")
    assert other.explained.label == "blink"
    assert np.corrcoef(found.maps.ravel(), other.maps.ravel())[0, 1] < 0.5


def test_an_earlier_stage_has_a_finer_map(trained: Model, both: list[Path]) -> None:
    late, early = (trained.explain(both[0], class_name="blink", stage=n) for n in (2, 1))
    assert (late.stage, early.stage) == (2, 1)
    assert late.maps.shape == early.maps.shape
    assert not np.allclose(late.maps, early.maps)


# --- what is computed -----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(4, 32, 32), (5, 30, 46)], ids=["even", "padded"])
@pytest.mark.parametrize("stage", [1, 2, None])
def test_the_two_parts_of_a_network_make_the_whole(
    size: tuple[int, int, int], stage: int | None
) -> None:
    torch.manual_seed(0)
    network, clips = Swin3D(TINY).eval(), torch.randn(2, 3, *size)
    with torch.no_grad():
        features = network.forward_features(clips, stage=stage)
        assert torch.equal(network.classify(features, stage=stage), network(clips))


def test_the_mean_of_a_last_map_is_the_logit_without_its_bias() -> None:
    torch.manual_seed(0)
    network, clips = Swin3D(TINY).eval(), torch.randn(2, 3, 5, 30, 46)
    assert network.head is not None
    cells = GradCam(network=network, index=3)(clips)
    logits = cells.mean(dim=(1, 2, 3)) + network.head.bias[3]
    torch.testing.assert_close(logits, network(clips)[:, 3])
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_map_of_an_early_stage_is_grad_cam_by_hand() -> None:
    torch.manual_seed(0)
    network, clips = Swin3D(TINY).eval(), torch.randn(1, 3, 4, 32, 32)
    features = network.forward_features(clips, stage=1).detach().requires_grad_()
    network.classify(features, stage=1)[0, 5].backward()
    assert features.grad is not None
    weights = features.grad.sum(dim=(2, 3, 4), keepdim=True)  # their mean, times the cells
    expected = (weights * features).sum(dim=1)
    torch.testing.assert_close(GradCam(network=network, index=5, stage=1)(clips), expected)


def test_probabilities_are_those_of_predict_and_of_the_plain_network(
    tiny: str, clips: Path
) -> None:
    model = load_model(tiny, views="2x3")
    (predicted,) = model.predict(clips / "a.mp4", logits=True)
    found = model.explain(clips / "a.mp4")
    assert found.top == predicted.top
    assert found.views == predicted.views == "2x3"
    runner = model._runner
    (decoded,) = runner.views([found.part], Monitor())
    (plain,) = runner.forward([decoded], runner.model.module, monitor=Monitor())
    torch.testing.assert_close(plain.outputs, torch.tensor(predicted.logits), atol=1e-4, rtol=0)


def geometries() -> list[tuple[Architecture, int, int]]:
    """Patches and windows of all models, in a network of few channels; frames and px of a clip."""
    ones = (1, 1, 1, 1)

    def thin(sizes: Architecture) -> Architecture:
        return replace(sizes, embed_dim=4, depths=ones, num_heads=ones, num_classes=5)

    specs = map(load_spec, model_names())
    found = ((thin(s.architecture), s.protocol.clip_frames, s.protocol.crop_size) for s in specs)
    return list(dict.fromkeys(found))


@pytest.mark.parametrize(("sizes", "frames", "side"), geometries())
def test_cells_of_every_model_cover_its_clips_and_no_more(
    sizes: Architecture, frames: int, side: int
) -> None:
    with torch.device("meta"):
        network, clips = Swin3D(sizes).eval(), torch.zeros(1, 3, frames, side, side)
    for stage in (1, 3, None):
        cells = GradCam(network=network, index=0, stage=stage)(clips)
        for count, size, extent in zip(
            cells.shape[1:], network.cell_size(stage), (frames, side, side), strict=True
        ):
            assert (count - 1) * size < extent <= count * size


def test_cells_are_spread_over_the_pixels_that_they_stand_for() -> None:
    cells = torch.zeros(2, 2, 3)
    cells[1, 0, 2] = 1
    spread = spread_cells(cells, (2, 8, 8), (3, 13, 20))
    assert spread.shape == (3, 13, 20)
    frame, row, column = np.unravel_index(int(spread.argmax()), spread.shape)
    assert frame == 2
    assert row < 8
    assert column >= 16
    assert spread[0].max() < spread[2].max()


# --- views ----------------------------------------------------------------------------------------


def test_a_single_crop_leaves_the_rest_unseen(tiny: str, clips: Path) -> None:
    found = explain(clips / "a.mp4", model=tiny)
    assert found.maps.shape == (PROTOCOL.clip_frames, 36, 48)
    assert np.isnan(found.maps[:, :, :8]).all()
    assert np.isnan(found.maps[:, :, 40:]).all()
    assert np.isfinite(found.maps[:, 2:34, 8:40]).all()
    assert (found.maps[:, 2:34, 8:40] >= 0).all()
    assert len(found.times) == len(found.maps)


def test_three_crops_see_all_of_it_and_are_averaged(tiny: str, clips: Path) -> None:
    found = explain(clips / "a.mp4", model=tiny, views="2x3")
    # As the references do: with an odd margin no crop has the last column.
    assert np.isfinite(found.maps[:, :, :-1]).all()
    assert found.times == tuple(sorted(found.times))
    assert len(found.clips) == 2
    assert found.maps.shape == (len(found.times), 32, 43)


def test_a_short_video_loops_and_has_each_frame_once(tiny: str, clips: Path) -> None:
    found = explain(clips / "b.mp4", model=tiny)
    assert len(set(found.times)) == len(found.times) <= 5
    assert found.notes


# --- errors ---------------------------------------------------------------------------------------


def test_a_class_is_found_by_name_spelling_or_number() -> None:
    labels = ("arm wrestling", "7", "Pan-Left", "x y", "x_y")
    assert find_class("arm_wrestling", labels) == 0
    assert find_class("7", labels) == 1
    assert find_class("0", labels) == 0
    assert find_class("pan left", labels) == 2
    assert find_class("x_y", labels) == 4
    with pytest.raises(LabelError, match="2 classes are called X Y"):
        find_class("X Y", labels)
    with pytest.raises(LabelError, match="no class arm wresling") as caught:
        find_class("arm wresling", labels)
    assert "arm wrestling" in caught.value.hint
    with pytest.raises(LabelError, match="from 0 to 4"):
        find_class("5", labels)


def test_what_cannot_be_is_refused(tiny: str, clips: Path) -> None:
    with pytest.raises(UsageError, match="--stage 3: tiny has 2 stages"):
        explain(clips / "b.mp4", model=tiny, stage=3)
    with pytest.raises(VideoError, match="not a readable video"):
        explain(clips / "text.mp4", model=tiny)
    with pytest.raises(UsageError, match=": 3 videos"):
        explain(clips, model=tiny)


def test_maps_are_written_with_their_times(tiny: str, clips: Path, tmp_path: Path) -> None:
    found = explain(clips / "b.mp4", model=tiny)
    found.write_npy(tmp_path / "maps.npy")
    maps = np.load(tmp_path / "maps.npy", allow_pickle=False)
    np.testing.assert_array_equal(maps, found.maps)
    about = json.loads((tmp_path / "maps.json").read_text(encoding="utf-8"))
    assert about["shape"] == list(maps.shape)
    assert about["times"] == pytest.approx(list(found.times))
    assert about["class"]["label"] == found.explained.label


def test_nothing_that_speaks_for_a_class_is_said(tmp_path: Path) -> None:
    network = randomize(0)
    assert network.head is not None
    torch.nn.init.zeros_(network.head.weight)
    model = load_model(write_model(tmp_path / "zero.safetensors", network))
    clip = write_video(tmp_path / "a.mp4", frames=10, size=(SIDE, SIDE))
    found = model.explain(clip, class_name=LABELS[1])
    assert found.peak == 0
    assert "nothing that it sees speaks for slide" in found.notes[-1]
    found.write_contact_sheet(tmp_path / "sheet.png")
