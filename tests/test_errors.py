"""Each class of error is raised by what its name says, and keeps its exit code on its way."""

import inspect
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from make_video import write_audio, write_video

from videoswin_cli import errors
from videoswin_cli.data.decoding.open import open_video
from videoswin_cli.data.lists.labels import number_labels
from videoswin_cli.data.lists.reading import read_list
from videoswin_cli.data.sources import expand_inputs
from videoswin_cli.engine.provenance import check_description, write_description
from videoswin_cli.engine.runtime import choose_runtime
from videoswin_cli.errors import (
    CheckpointError,
    ConfigError,
    DatasetError,
    DeviceError,
    ExpectationError,
    FetchError,
    LabelError,
    MachineError,
    MissingInputError,
    NoVideoError,
    OfflineError,
    OutputExistsError,
    ResumeError,
    TruncatedVideoError,
    UnknownModelError,
    UsageError,
    VideoError,
    VideoSwinError,
    raised_as,
)
from videoswin_cli.io.fetch import fetch
from videoswin_cli.model.catalog import load_spec
from videoswin_cli.model.checkpoint import read_checkpoint
from videoswin_cli.model.label_files import list_labels
from videoswin_cli.synthetic.dataset import make_camera_motion
from videoswin_cli.tasks.extract.files import look_at_output
from videoswin_cli.tasks.extract.output import parse_output
from videoswin_cli.training.checkpoint import read_recipe_of
from videoswin_cli.training.recipe import read_recipe

CLASSES = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, VideoSwinError)
]
EXIT_CODES = {UsageError: 2, VideoError: 3, FetchError: 4, ExpectationError: 5}


@pytest.mark.parametrize("kind", CLASSES)
def test_a_class_has_the_exit_code_of_the_class_it_belongs_to(kind: type[VideoSwinError]) -> None:
    parents = [code for parent, code in EXIT_CODES.items() if issubclass(kind, parent)]
    assert [kind.exit_code] == (parents or [1])


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_is_pickled_with_class_message_and_hint(kind: type[VideoSwinError]) -> None:
    error = pickle.loads(pickle.dumps(kind("found", hint="do")))  # noqa: S301
    assert (type(error), error.message, error.hint, str(error)) == (kind, "found", "do", "found")


def test_the_tree_in_the_module_names_every_class_and_its_code() -> None:
    lines = [line.strip(" │├└─").split() for line in (errors.__doc__ or "").splitlines()]
    drawn = {words[0]: words[1] for words in lines if words and words[0].endswith("Error")}
    assert drawn == {kind.__name__: str(kind.exit_code) for kind in CLASSES}


def empty_list(folder: Path) -> None:
    path = folder / "list.txt"
    path.write_text("\n")
    read_list(path)


def binary_list(folder: Path) -> None:
    path = folder / "list.txt"
    path.write_bytes(b"a.mp4 1\n\0\0")
    read_list(path)


def wrong_json_list(folder: Path) -> None:
    path = folder / "list.json"
    path.write_text('{"a": ')
    read_list(path)


def large_label(folder: Path) -> None:
    path = folder / "list.txt"
    path.write_text("a.mp4 1\nb.mp4 7\n")
    number_labels(read_list(path), ("run", "jump"))


def repeated_name(folder: Path) -> None:
    path = folder / "names.txt"
    path.write_text("run\nrun\n")
    list_labels(path)


def wrong_json_names(folder: Path) -> None:
    path = folder / "names.json"
    path.write_text("[")
    list_labels(path)


def unknown_key(folder: Path) -> None:
    path = folder / "model.yaml"
    path.write_text("nme: x\n")
    load_spec(str(path))


def text_as_checkpoint(folder: Path) -> None:
    path = folder / "weights.pth"
    path.write_text("no weights")
    read_checkpoint(path)


def file_as_folder(folder: Path) -> None:
    path = folder / "clips"
    path.touch()
    list(make_camera_motion(path, clips_per_class=1, seed=0, notice=print))


def without_network(folder: Path) -> None:
    fetch("http://127.0.0.1:9/weights", folder / "weights", offline=True)


def cut_file(folder: Path) -> None:
    path = write_video(folder / "clip.avi", frames=40)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 4 // 5])
    with open_video(path):
        pass


def sound_alone(folder: Path) -> None:
    with open_video(write_audio(folder / "sound.mp4")):
        pass


def wrong_yaml(folder: Path) -> None:
    path = folder / "model.yaml"
    path.write_text("name: [")
    load_spec(str(path))


def wrong_recipe(_: Path) -> None:
    read_recipe(changes=["lr=fast"])


def foreign_matrix(folder: Path) -> None:
    (folder / "feats.npy").touch()
    look_at_output(parse_output(str(folder / "feats.npy")), resume=True, overwrite=False)


def output_of_another_run(folder: Path) -> None:
    description = folder / "run.json"
    write_description(description, {"precision": "bf16"})
    check_description(description, {"precision": "fp32"})


def damaged_state(folder: Path) -> None:
    path = folder / "state.pt"
    path.write_text("no state")
    read_recipe_of(path)


@pytest.mark.parametrize(
    ("kind", "situation"),
    [
        (UnknownModelError, lambda folder: load_spec("swin-huge")),
        (MissingInputError, lambda folder: expand_inputs([str(folder / "clip.mp4")])),
        (MissingInputError, lambda folder: read_list(folder / "list.txt")),
        (MissingInputError, lambda folder: list_labels(folder / "names.txt")),
        (DatasetError, empty_list),
        (DatasetError, binary_list),
        (DatasetError, wrong_json_list),
        (LabelError, large_label),
        (LabelError, repeated_name),
        (LabelError, wrong_json_names),
        (ConfigError, unknown_key),
        (ConfigError, wrong_yaml),
        (ConfigError, wrong_recipe),
        (CheckpointError, text_as_checkpoint),
        (OutputExistsError, file_as_folder),
        (OutputExistsError, foreign_matrix),
        (ResumeError, output_of_another_run),
        (ResumeError, damaged_state),
        (DeviceError, lambda folder: choose_runtime(device="cuda:99")),
        (OfflineError, without_network),
        (NoVideoError, sound_alone),
        (TruncatedVideoError, cut_file),
    ],
)
def test_a_situation_raises_the_class_of_its_name(
    kind: type[VideoSwinError], situation: Callable[[Path], object], tmp_path: Path
) -> None:
    with pytest.raises(VideoSwinError) as caught:
        situation(tmp_path)
    assert type(caught.value) is kind


def test_a_plain_usage_error_gets_the_class_of_its_subject() -> None:
    with pytest.raises(DatasetError) as caught, raised_as(DatasetError):
        raise UsageError("found", hint="do")
    assert (caught.value.message, caught.value.hint) == ("found", "do")


@pytest.mark.parametrize("error", [LabelError("found"), MachineError("full"), ValueError("bug")])
def test_an_error_that_says_more_keeps_its_class(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, raised_as(DatasetError):
        raise error
    assert caught.value is error
