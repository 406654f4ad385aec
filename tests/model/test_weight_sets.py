"""Networks under whatever prefix, and files with several sets of weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import LABELS
from torch import Tensor

from videoswin_cli.errors import CheckpointError, UsageError
from videoswin_cli.model.checkpoint import read_checkpoint
from videoswin_cli.model.loading import LoadedModel, find_model, load, name_model

Tensors = dict[str, Tensor]


@pytest.fixture(scope="module")
def values(tiny: str) -> Tensors:
    """Under our own names."""
    return {name: tensor.clone() for name, tensor in read_checkpoint(tiny).tensors.items()}


def official(tensors: Tensors) -> Tensors:
    return {
        name.replace("head.", "cls_head.fc_cls.") if name[:5] == "head." else f"backbone.{name}": t
        for name, t in tensors.items()
    }


def under(prefix: str, tensors: Tensors) -> Tensors:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def shifted(tensors: Tensors, by: float = 1.0) -> Tensors:
    """Other weights: those of an average, say."""
    return {name: tensor + by for name, tensor in tensors.items()}


def renamed(tensors: Tensors, old: str, new: str) -> Tensors:
    return {name.replace(old, new, 1): tensor for name, tensor in tensors.items()}


def shift_of(model: LoadedModel, values: Tensors) -> float:
    """By how much all weights of a model are those of `values` shifted."""
    found = model.network.state_dict()
    assert found.keys() == values.keys()
    shifts = {round((found[n] - t).mean().item(), 3) for n, t in values.items()}
    assert len(shifts) == 1
    return shifts.pop()


def saved(path: Path, content: object) -> Path:
    torch.save(content, path / "w.pth")
    return path / "w.pth"


# --- one network, whatever is around it -----------------------------------------------------------

PLACES: dict[str, Callable[[Tensors], Any]] = {
    "net": lambda t: {"state_dict": under("net.", official(t))},
    "recognizer": lambda t: under("recognizer.", official(t)),
    "bare encoder": lambda t: under("encoder.", t),
    "fsdp": lambda t: under("_fsdp_wrapped_module.", official(t)),
    "fsdp inside": lambda t: renamed(
        official(t), "blocks.0.", "blocks.0._fsdp_wrapped_module._checkpoint_wrapped_module."
    ),
    "compiled backbone": lambda t: renamed(official(t), "backbone.", "backbone._orig_mod."),
    "deeper": lambda t: renamed(
        under("model.", official(t)), "backbone.", "backbone.module._orig_mod."
    ),
    "student": lambda t: {"state_dict": under("student.module.", official(t))},
    "many wrappers": lambda t: {"checkpoint": {"model": under("a.b.module.c.", t)}},
    "parts apart": lambda t: {
        "backbone": t | {},
        "extra": {"note": "x"},
    },
    "split": lambda t: {
        "backbone": {n: v for n, v in t.items() if n[:5] != "head."},
        "cls_head": {n.replace("head.", "fc_cls."): v for n, v in t.items() if n[:5] == "head."},
    },
    "head of another name": lambda t: renamed(official(t), "cls_head.fc_cls.", "classifier."),
    "head after dropout": lambda t: renamed(official(t), "cls_head.fc_cls.", "head.1."),
    "head in a sequential": lambda t: renamed(official(t), "cls_head.fc_cls.", "cls_head.fc.1."),
    "first of a sequential": lambda t: renamed(official(t), "cls_head.fc_cls.", "fc.0."),
    "third of a sequential": lambda t: renamed(t, "head.", "classifier.2."),
    "mmaction2's in a sequential": lambda t: renamed(official(t), "fc_cls.", "fc_cls.1."),
    "nested head": lambda t: renamed(official(t), "cls_head.fc_cls.", "head.fc_cls.1."),
    "official's in a sequential": lambda t: renamed(t, "head.", "head.fc.1."),
    "sequential beside": lambda t: {
        f"model.{n.replace('head.', 'fc.1.')}" if n[:5] == "head." else f"model.encoder.{n}": v
        for n, v in t.items()
    },
    "head beside": lambda t: {
        f"model.{n.replace('head.', 'fc.')}" if n[:5] == "head." else f"model.encoder.{n}": v
        for n, v in t.items()
    },
}


@pytest.mark.parametrize("place", PLACES)
def test_the_network_is_found_by_its_tensors(
    place: str, tiny: str, values: Tensors, tmp_path: Path
) -> None:
    model = load(tiny, checkpoint=saved(tmp_path, PLACES[place](values)))
    assert shift_of(model, values) == 0
    assert model.labels == LABELS
    assert "--weights-set" not in model.summary


def test_the_counter_of_an_averaged_model_is_left_out(
    tiny: str, values: Tensors, tmp_path: Path
) -> None:
    content = {"n_averaged": torch.tensor(3), **under("module.", official(values))}
    model = load(tiny, checkpoint=saved(tmp_path, content))
    assert shift_of(model, values) == 0
    assert model.summary.endswith("left out 1 tensor not of the network: n_averaged")


@pytest.mark.parametrize("prefix", ["", "model."])
def test_what_a_training_program_adds_is_left_out_and_named(
    prefix: str, tiny: str, values: Tensors, tmp_path: Path
) -> None:
    extra = {"loss.weight": torch.ones(7), "train_acc.total": torch.tensor(3)}
    content = {"state_dict": {**under(prefix, official(values)), **extra}}
    model = load(tiny, checkpoint=saved(tmp_path, content))
    assert shift_of(model, values) == 0
    assert "left out 2 tensors" in model.summary
    assert "loss.weight, " in model.summary or "state_dict.loss.weight" in model.summary


@pytest.mark.parametrize("prefix", ["", "model."])
@pytest.mark.parametrize(
    "name", ["prototypes.weight", "memory_bank", "mask_token", "fc_noun.weight", "proj.0.bias"]
)
def test_what_is_beside_the_backbone_and_its_head_is_left_out_and_named(
    prefix: str, name: str, tiny: str, values: Tensors, tmp_path: Path
) -> None:
    content = under(prefix, official(values) | {name: torch.zeros(7, 8, dtype=torch.int64)})
    model = load(tiny, checkpoint=saved(tmp_path, content))
    assert shift_of(model, values) == 0
    assert model.labels == LABELS
    assert f"left out 1 tensor not of the network: {prefix}{name}" in model.summary


def test_a_missing_tensor_is_told_whatever_is_beside_the_backbone(
    tiny: str, values: Tensors, tmp_path: Path
) -> None:
    content = official(values) | {"prototypes.weight": torch.zeros(8)}
    del content["backbone.norm.weight"]
    with pytest.raises(CheckpointError, match=r"1 missing: norm\.weight"):
        load(tiny, checkpoint=saved(tmp_path, content))


@pytest.mark.parametrize("place", ["head.{}", "cls_head.fc_cls.{}", "fc.{}"])
@pytest.mark.parametrize("hidden", [8, 5])
def test_a_head_of_several_layers_is_refused_for_what_it_is(
    place: str, hidden: int, tiny: str, values: Tensors, tmp_path: Path
) -> None:
    body = {n: v for n, v in official(values).items() if not n.startswith("cls_head.")}
    first, second = (place.format(index) for index in (0, 2))
    content = body | {
        f"{first}.weight": torch.ones(hidden, 16),
        f"{first}.bias": torch.ones(hidden),
        f"{second}.weight": torch.ones(7, hidden),
        f"{second}.bias": torch.ones(7),
    }
    with pytest.raises(CheckpointError, match=r"has 2 layers .*expected one linear") as caught:
        load(tiny, checkpoint=saved(tmp_path, content))
    assert "features" in caught.value.hint


@pytest.mark.parametrize("between", ["fc.0", "neck"])
def test_a_head_beside_is_none_where_a_layer_stands_before_it(
    between: str, tiny: str, values: Tensors, tmp_path: Path
) -> None:
    content = {f"{between}.weight": torch.ones(16), f"{between}.bias": torch.ones(16)} | {
        n.replace("head.", "fc.1.") if n[:5] == "head." else f"encoder.{n}": v
        for n, v in values.items()
    }
    model = load(tiny, checkpoint=saved(tmp_path, content))
    assert model.labels == ()
    assert "left out 4 tensors" in model.summary


@pytest.mark.parametrize(
    ("name", "shape", "told"),
    [
        ("backbone.adapter.weight", (3,), "1 unexpected: adapter.weight"),
        ("neck.weight", (3, 3), "1 unexpected: neck.weight"),  # between backbone and head
        ("fc_norm.weight", (16,), "1 unexpected: fc_norm.weight"),
        ("head.norm.weight", (16,), "has 2 layers"),
        ("layers.2.norm.weight", (16,), "1 unexpected: layers.2.norm.weight"),
        ("backbone.layers.0.blocks.2.norm1.weight", (8,), "1 unexpected: layers.0.blocks.2"),
        ("backbone.norm.bias", (5,), "1 of another shape: norm.bias"),
    ],
)
def test_nothing_of_the_network_is_left_out(
    name: str, shape: tuple[int, ...], told: str, tiny: str, values: Tensors, tmp_path: Path
) -> None:
    content = under("recognizer.", official(values) | {name: torch.zeros(shape)})
    with pytest.raises(CheckpointError, match=told):
        load(tiny, checkpoint=saved(tmp_path, content))


def test_a_head_that_two_could_be_is_none(tiny: str, values: Tensors, tmp_path: Path) -> None:
    head = {n.rpartition(".")[2]: v for n, v in values.items() if n[:5] == "head."}
    body = {n: v for n, v in values.items() if n[:5] != "head."}
    content = under("encoder.", body) | under("fc.", head) | under("classifier.", head)
    model = load(tiny, checkpoint=saved(tmp_path, content))
    assert model.labels == ()
    assert "left out 4 tensors" in model.summary
    with pytest.raises(UsageError, match="no classification head"):
        load(tiny, checkpoint=tmp_path / "w.pth", with_head=True)


def test_two_tensors_that_mean_one_are_told(tiny: str, values: Tensors, tmp_path: Path) -> None:
    twice = official(values)
    twice["backbone.module.norm.weight"] = twice["backbone.norm.weight"]
    with pytest.raises(CheckpointError, match=r"two tensors .* stand for backbone\.norm\.w"):
        load(tiny, checkpoint=saved(tmp_path, twice))


# --- several sets ---------------------------------------------------------------------------------


def mmcv(plain: Tensors, averaged: Tensors) -> dict[str, Tensors]:
    """As mmcv's EMAHook registers its buffers: `ema_` and underscores for dots."""
    ema = {f"ema_{name.replace('.', '_')}": t for name, t in official(averaged).items()}
    return {"state_dict": official(plain) | ema}


# content of plain and averaged weights -> names of the sets
AVERAGED: dict[str, tuple[Callable[[Tensors, Tensors], Any], str, str]] = {
    "timm": (lambda p, a: {"state_dict": p, "state_dict_ema": a}, "state_dict", "state_dict_ema"),
    "torchvision": (
        lambda p, a: {
            "model": p,
            "model_ema": {"n_averaged": torch.tensor(1), **under("module.", a)},
        },
        "model",
        "model_ema",
    ),
    "videomae": (lambda p, a: {"module": p, "model_ema": a}, "model", "model_ema"),
    "ema_state_dict": (
        lambda p, a: {"state_dict": official(p), "ema_state_dict": official(a)},
        "state_dict",
        "ema_state_dict",
    ),
    "lightning": (
        lambda p, a: {"state_dict": under("model.", official(p)) | under("ema.", official(a))},
        "model",
        "ema",
    ),
    "ema_pytorch": (
        lambda p, a: under("online_model.", p) | under("ema_model.", a) | {"step": torch.tensor(1)},
        "online_model",
        "ema_model",
    ),
    "mmcv": (mmcv, "model", "ema"),
}


@pytest.mark.parametrize("kind", AVERAGED)
def test_the_plain_weights_are_taken_and_the_others_named(
    kind: str, tiny: str, values: Tensors, tmp_path: Path
) -> None:
    write, plain, averaged = AVERAGED[kind]
    path = saved(tmp_path, write(values, shifted(values)))
    model = load(tiny, checkpoint=path)
    assert shift_of(model, values) == 0
    assert model.weights_set == plain
    sets = f"weights {plain!r} of 2 sets in the file ({plain}, {averaged} (averaged))"
    assert sets in model.summary
    assert "--weights-set" in model.summary


@pytest.mark.parametrize("kind", AVERAGED)
def test_a_set_is_chosen_by_its_kind_or_name(
    kind: str, tiny: str, values: Tensors, tmp_path: Path
) -> None:
    write, plain, averaged = AVERAGED[kind]
    path = saved(tmp_path, write(values, shifted(values)))
    for name, shift in ((plain, 0), ("model", 0), (averaged, 1), ("ema", 1)):
        model = load(tiny, checkpoint=path, weights_set=name)
        assert shift_of(model, values) == shift, name
        assert model.weights_set == (averaged if shift else plain)
    with pytest.raises(CheckpointError, match=r"no set of weights named 'none'; .*\(averaged\)"):
        load(tiny, checkpoint=path, weights_set="none")


def test_mmengine_saves_its_averages_as_the_state_dict(
    tiny: str, values: Tensors, tmp_path: Path
) -> None:
    content = {
        "meta": {"mmengine_version": "0.10.4"},
        "state_dict": official(shifted(values)),
        "ema_state_dict": {"steps": torch.tensor(9), **under("module.", official(values))},
    }
    path = saved(tmp_path, content)
    shifts = {
        name: shift_of(load(tiny, checkpoint=path, weights_set=name), values)
        for name in (None, "ema", "model", "ema_state_dict")
    }
    assert shifts == {None: 1, "ema": 1, "model": 0, "ema_state_dict": 0}
    assert "state_dict (averaged), ema_state_dict" in load(tiny, checkpoint=path).summary


def test_averaged_weights_alone_are_taken_and_told(
    tiny: str, values: Tensors, tmp_path: Path
) -> None:
    path = saved(tmp_path, {"model_ema": official(values), "epoch": 3})
    model = load(tiny, checkpoint=path)
    assert shift_of(model, values) == 0
    assert "averaged weights (model_ema), the only set in the file" in model.summary
    assert model.weights_set is None
    assert load(tiny, checkpoint=path, weights_set="ema").weights_set is None


@pytest.mark.parametrize(
    "write",
    [
        lambda a, b: {"state_dict": under("student.", a) | under("teacher.", b)},
        lambda a, b: {"student": official(a), "teacher": official(b)},
        lambda a, b: under("student.backbone._orig_mod.", a) | under("teacher.backbone.", b),
    ],
)
def test_of_two_networks_one_must_be_chosen(
    write: Callable[[Tensors, Tensors], Any], tiny: str, values: Tensors, tmp_path: Path
) -> None:
    headless = {n: t for n, t in values.items() if n[:5] != "head."}
    path = saved(tmp_path, write(headless, shifted(headless)))
    for check in (load, find_model):
        with pytest.raises(CheckpointError, match="2 networks in one file: student, teacher") as e:
            check(tiny, checkpoint=path)
        assert "--weights-set" in e.value.hint
    for name, shift in (("student", 0), ("teacher", 1)):
        model = load(tiny, checkpoint=path, weights_set=name)
        assert shift_of(model, headless) == shift


def test_sets_of_like_names_are_told_apart_by_their_paths(
    tiny: str, values: Tensors, tmp_path: Path
) -> None:
    content = {"student": {"model": values}, "teacher": {"model": shifted(values)}}
    path = saved(tmp_path, {"state_dict": content})
    told = "'model' could be 2 sets of plain weights: student, teacher"
    with pytest.raises(CheckpointError, match=told):
        load(tiny, checkpoint=path, weights_set="model")
    with pytest.raises(CheckpointError, match="no set of weights named 'ema'"):
        load(tiny, checkpoint=path, weights_set="ema")
    for name in ("teacher", "teacher.model", "state_dict.teacher.model"):
        assert shift_of(load(tiny, checkpoint=path, weights_set=name), values) == 1
    average = {"ema": shifted(values)}
    path = saved(tmp_path, {"student": {"model": values}, **average})
    for name in ("student", "student.model", "model"):
        assert shift_of(load(tiny, checkpoint=path, weights_set=name), values) == 0


def test_two_networks_of_equal_weights_are_one(tiny: str, values: Tensors, tmp_path: Path) -> None:
    content = {"state_dict": under("model.", values) | under("compiled._orig_mod.", values)}
    assert shift_of(load(tiny, checkpoint=saved(tmp_path, content)), values) == 0


def test_of_two_networks_the_one_that_fits_the_model_is_taken(
    tiny: str, values: Tensors, tmp_path: Path
) -> None:
    other = {n: t for n, t in values.items() if not n.startswith("layers.1.")}
    path = saved(tmp_path, {"audio": other, "video": values})
    model = load(tiny, checkpoint=path)
    assert shift_of(model, values) == 0
    assert model.weights_set == "video"
    with pytest.raises(CheckpointError, match="2 networks in one file"):
        name_model(path)


# --- other classes --------------------------------------------------------------------------------


def three_classes(values: Tensors) -> Tensors:
    return official({n: t[:3] if n[:5] == "head." else t for n, t in values.items()})


def test_other_classes_are_numbered_or_named(tiny: str, values: Tensors, tmp_path: Path) -> None:
    path = saved(tmp_path, three_classes(values))
    model = load(tiny, checkpoint=path)
    assert model.labels == ("class 0", "class 1", "class 2")
    assert model.spec.architecture.num_classes == 3
    assert "the file has 3 classes, tiny has 7" in model.summary
    found = find_model(tiny, checkpoint=path)
    assert (found.spec, found.labels) == (model.spec, model.labels)
    names = tmp_path / "names.txt"
    names.write_text("a\nb\nc\n")
    assert load(tiny, checkpoint=path, labels=names).labels == ("a", "b", "c")
    names.write_text("a\nb\n")
    with pytest.raises(UsageError, match="2 class names, the model has 3 classes"):
        load(tiny, checkpoint=path, labels=names)
    with torch.inference_mode():
        assert model.module(torch.zeros(1, 3, 4, 32, 32)).shape == (1, 3)
