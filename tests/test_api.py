"""The Python functions, and the model that they work with."""

import inspect
import multiprocessing
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from make_video import write_video
from tiny import LABELS, PROTOCOL

import videoswin_cli
from videoswin_cli import Model, UsageError, evaluate, extract, load_model, predict, timeline
from videoswin_cli.data.transforms import normalize
from videoswin_cli.data.view_dataset import ViewDataset
from videoswin_cli.data.views import resolve_views
from videoswin_cli.engine import runner as runners
from videoswin_cli.engine import settings as settling
from videoswin_cli.model import loading
from videoswin_cli.options.fields import list_options
from videoswin_cli.options.run import RunOptions
from videoswin_cli.records import VideoPart

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("videos") / "v.mp4", frames=40)


def count_calls(monkeypatch: pytest.MonkeyPatch, module: object, name: str) -> list[str]:
    calls: list[str] = []
    function = getattr(module, name)

    def counted(*args: object, **more: object) -> object:
        calls.append(name)
        return function(*args, **more)

    monkeypatch.setattr(module, name, counted)
    return calls


def test_one_prediction_resolves_each_thing_once(
    tiny: str, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [
        (loading, "_read_model"),
        (loading, "_class_names"),
        (settling, "resolve_views"),
        (runners, "choose_runtime"),
        (runners, "load_found"),
        (runners, "prepare"),
    ]
    counts = [count_calls(monkeypatch, module, name) for module, name in places]
    predict(video, model=tiny, views="2x3")
    assert counts == [[name] for _, name in places]


def test_three_calls_with_a_loaded_bf16_model_copy_no_weights(
    tiny: str, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model(tiny, device="cpu", precision="bf16")
    copies: list[str] = []
    monkeypatch.setattr(
        "videoswin_cli.engine.forward.deepcopy", lambda network: copies.append("copy") or network
    )
    first, second, third = (model.predict(video)[0] for _ in range(3))
    assert first == second == third
    assert copies == []
    assert next(model.network.parameters()).dtype == torch.bfloat16


@pytest.mark.parametrize("task", ["predict", "windows", "timeline", "extract", "evaluate"])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_call_that_ends_with_an_error_leaves_no_process(
    task: str,
    error: type[BaseException],
    tiny: str,
    video: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stop(*_: object, **__: object) -> None:
        assert multiprocessing.active_children()
        raise error("stopped")

    model = load_model(tiny, device="cpu", workers=2)
    monkeypatch.setattr("videoswin_cli.engine.forward.normalize", stop)
    (tmp_path / "list.txt").write_text(f"{video} 0\n")
    calls: dict[str, Callable[[], object]] = {
        "predict": lambda: model.predict(video),
        "windows": lambda: list(model.windows(video)),
        "timeline": lambda: model.timeline(video),
        "extract": lambda: model.extract(video),
        "evaluate": lambda: evaluate(list_file=tmp_path / "list.txt", model=model),
    }
    with pytest.raises(error, match="stopped") as kept:
        calls[task]()
    assert kept.value.__traceback__ is not None  # it holds all that ran
    assert multiprocessing.active_children() == []


def test_a_model_is_callable_on_clips_as_its_network_is(tiny: str, video: Path) -> None:
    model = load_model(tiny, device="cpu")
    dataset = ViewDataset(
        [VideoPart(path=str(video))], protocol=PROTOCOL, views=resolve_views("2x1", PROTOCOL)
    )
    read = dataset[0]
    stack = torch.stack([read.view(number) for number in range(2)])
    clips = normalize(stack, mean=PROTOCOL.mean, std=PROTOCOL.std, dtype=torch.float32)
    logits = model(clips)
    with torch.inference_mode():
        expected = model.network(clips)
    assert logits.shape == (2, len(LABELS))
    assert (logits - expected).abs().max() < 1e-5
    (found,) = model.predict(video, views="2x1", logits=True)
    assert torch.tensor(found.logits).sub(logits).abs().max() < 1e-5
    assert model.labels == LABELS
    assert model.spec.name == "tiny"
    assert str(model.device) == "cpu"


def test_a_call_may_change_how_videos_are_read(tiny: str, video: Path) -> None:
    model = load_model(tiny, device="cpu", views="1x3")
    assert model.predict(video)[0].views == "1x3"
    assert model.predict(video, views="2x1")[0].views == "2x1"
    assert model.predict(video)[0].views == "1x3"
    assert len(model.extract(video, per="clip", views="2x1").features) == 2


def test_a_call_cannot_change_what_the_weights_are_in(tiny: str, video: Path) -> None:
    model = load_model(tiny, device="cpu")
    with pytest.raises(UsageError, match="precision bf16: the model is loaded in fp32"):
        model.predict(video, precision="bf16")
    with pytest.raises(UsageError, match="do not fit a loaded model"):
        model.predict(video, labels="names.txt")


def test_a_head_that_takes_the_place_of_another_is_seen(tiny: str, video: Path) -> None:
    model = load_model(tiny, device="cpu")
    head = torch.nn.Linear(16, len(LABELS))
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.zeros_(head.bias)
    model.network.head = head
    (found,) = model.predict(video)
    assert [score.prob for score in found.top] == pytest.approx([1 / len(LABELS)] * 5)


def test_windows_have_times_and_classes(tiny: str, video: Path) -> None:
    model = load_model(tiny, device="cpu")
    windows = list(model.windows(video, stride="8f"))
    table = extract(video, model=model, per="window", stride="8f")
    assert [(w.start, w.end) for w in windows] == list(zip(table.start, table.end, strict=True))
    assert all(len(window.top) == 5 and window.error is None for window in windows)
    assert [w.start for w in model.windows(video, stride=0.5)][:2] == [
        0.0,
        pytest.approx(0.5, abs=0.05),
    ]


@pytest.mark.parametrize("name", ["annotate", "logits"])
def test_windows_refuse_options_that_they_do_not_follow(
    tiny: str, video: Path, name: str, tmp_path: Path
) -> None:
    given: dict[str, Any] = {name: tmp_path / "seen"}
    with pytest.raises(TypeError, match=f"windows.. got an unexpected keyword argument '{name}'"):
        load_model(tiny).windows(video, **given)


def test_timelines_are_records_with_their_segments(tiny: str, video: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_text("no video")
    model = load_model(tiny)
    wanted: dict[str, Any] = {
        "threshold": 0.0,
        "min_duration": 0,
        "windows": True,
        "html": tmp_path / "pages",
    }
    good, failed = timeline([video, bad], model=model, start=0.4, **wanted)
    assert (good.start, good.segments[0].start, good.segments[-1].end) == (0.4, 0.4, 1.6)
    assert {each.label for each in good.segments} <= set(LABELS)
    assert good.segments[0].peak in [window.top[0].prob for window in good.windows]
    assert failed.error
    assert "not a readable video" in failed.error
    assert len(list((tmp_path / "pages").rglob("*.html"))) == 1
    assert model.timeline(video, threshold=1)[0].segments == ()
    with pytest.raises(TypeError, match="unexpected keyword argument 'out'"):
        model.timeline(video, out="a.json")
    with pytest.raises(UsageError, match="a view is one clip"):
        timeline(video, model=model, views="4x1")


def test_windows_of_a_broken_video_are_an_error_each(tiny: str, tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_text("no video")
    (window,) = load_model(tiny, device="cpu").windows(tmp_path / "bad.mp4")
    assert "not a readable video" in (window.error or "")


def test_an_evaluation_is_a_record_that_writes_itself(tiny: str, tmp_path: Path) -> None:
    for number, label in enumerate(LABELS[:2]):
        (tmp_path / "data" / label).mkdir(parents=True)
        write_video(tmp_path / "data" / label / "v.mp4", frames=8, seed=number)
    found = evaluate(tmp_path / "data", model=tiny, views="1x1")
    assert found.summary.listed == 2
    assert [video.label for video in found.videos] == [1, 0]  # in the order of the folders
    found.write(tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("result.json", "per_class.csv", "confusion.csv")
    }


def test_an_unknown_keyword_is_a_type_error_as_of_any_function(tiny: str, video: Path) -> None:
    unknown: Any = {"view": "1x1"}
    with pytest.raises(TypeError, match=r"predict\(\) got an unexpected keyword argument 'view'"):
        predict(video, model=tiny, **unknown)
    with pytest.raises(
        UsageError, match="expected paths or URLs, arrays, bytes or open files, found int"
    ):
        predict(3, model=tiny)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"topk": "1"}, "topk '1': expected a whole number"),
        ({"topk": True}, "topk True: expected a whole number"),
        ({"batch_size": 1.5}, "batch_size 1.5: expected a whole number"),
        ({"views": 3}, "views 3: expected text"),
        ({"logits": "yes"}, "logits 'yes': expected true or false"),
    ],
)
def test_values_of_another_type_are_refused(
    options: dict[str, Any], message: str, tiny: str, video: Path
) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        predict(video, model=tiny, **options)


@pytest.mark.parametrize("name", ["out", "format", "expect", "from_dump", "shard"])
def test_options_of_the_command_line_alone_are_no_keywords(
    name: str, tiny: str, video: Path
) -> None:
    given: Any = {name: "1"}
    door: Any = predict if name in ("out", "format", "shard") else evaluate
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
        door(video, model=tiny, **given)


def test_a_loaded_model_is_evaluated(tiny: str, tmp_path: Path) -> None:
    for number, label in enumerate(LABELS[:2]):
        (tmp_path / label).mkdir()
        write_video(tmp_path / label / "v.mp4", frames=8, seed=number)
    model = load_model(tiny, device="cpu", precision="bf16")
    found = evaluate(tmp_path, model=model, views="1x1")
    assert found.summary.precision == "bf16"
    assert found.videos == evaluate(tmp_path, model=tiny, views="1x1", precision="bf16").videos


def test_two_models_are_one_too_many(tiny: str) -> None:
    with pytest.raises(TypeError, match="two models"):
        load_model(tiny, model="swin-tiny-k400")


def test_signatures_show_the_options_of_the_records() -> None:
    shown = inspect.signature(predict).parameters
    for each in list_options(RunOptions(workers=0)):
        assert shown[each.name].default == each.default, each.name
    assert "out" not in shown
    assert "options" not in shown


def test_every_public_name_is_there() -> None:
    """`videoswin_cli/__init__.pyi` pins them: see `test_stub`."""
    for name in videoswin_cli.__all__:
        assert getattr(videoswin_cli, name) is not None


@pytest.mark.parametrize("number", range(2))
def test_the_examples_of_the_page_run(
    number: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    code = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)[number]
    assert len(code.splitlines()) < 10
    monkeypatch.chdir(ROOT)
    exec(code, {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) >= 3
    assert any("pan-left" in line for line in lines)


def test_close_frees_the_network(tiny: str) -> None:
    model = load_model(tiny)
    assert isinstance(model, Model)
    model.close()
    model.close()
    with pytest.raises(UsageError, match="the model is closed"):
        _ = model.network
