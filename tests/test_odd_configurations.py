"""Bundled YAML files with values replaced by odd ones: each gives a record or a sentence."""

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from videoswin_cli.errors import UsageError
from videoswin_cli.io.paths import configs_dir
from videoswin_cli.model.catalog import ModelSpec, load_spec
from videoswin_cli.model.limits import MAX_PARAMETERS, count_parameters
from videoswin_cli.training.recipe import read_recipe

ODD = (
    *("", "~", "null", "yes", "maybe", "x", "''", "' '", "\u202e", '"\\0"', '"\\e[31m"'),
    *("x" * 5000, "\\"),
    *("0", "-1", "1", "2", "3", "7", "1.5", "-0.0", "1e3", "1.0e+400", ".inf", "-.inf", ".nan"),
    *("2147483648", "9223372036854775808", "9" * 40, "9" * 5000, "0x" + "f" * 90, "010", "1:2:3"),
    *("[]", "{}", "[[]]", "[1]", "[1, 1]", "[1, 1, 1]", "[0, 0, 0]", "[-1, 7, 7]", "[1, x, 1]"),
    *("[100000, 7, 7]", "[64, 64, 64]", "[.nan, 1, 1]", "[1.0e+308, 1.0e+308, 1.0e+308]"),
    *("{a: 1}", "{1: 2}", "{? [a] : 1}", "*a", "&a [*a]", "[" * 2000, "{a: " * 500, "- 1", "? x"),
    *("2020-02-31", "2020-02-28", "!!int x", "!!float x", "!!bool x", "!!timestamp x"),
    *("!!python/name:os.system", "!!set {a}", "!!omap [a: 1]", "!!null x", "!x y", "@", "`", "%x"),
)  # fmt: skip
FILES = sorted(configs_dir().glob("models/*.yaml")) + sorted(configs_dir().glob("finetune/*.yaml"))


def odd_files(path: Path, count: int) -> list[str]:
    """Texts of a file with one to three values replaced, a line taken out or put in."""
    draw = random.Random(path.stem)
    lines = path.read_text(encoding="utf-8").splitlines()
    keys = [number for number, line in enumerate(lines) if line[:1].isalpha()]
    texts = []
    for _ in range(count):
        changed = list(lines)
        for number in draw.sample(keys, draw.choice((1, 1, 1, 2, 3))):
            key = changed[number].partition(":")[0]
            changed[number] = f"{key}: {draw.choice(ODD)}"
        if draw.random() < 0.1:
            changed[draw.choice(keys)] = draw.choice(
                ("", "x", "\t", "---", "x: 1", ": 1", "\ufeff")
            )
        texts.append("\n".join(changed))
    return texts


def outcome(read: Callable[[], object]) -> object:
    """What was read, or the sentence that refuses it."""
    try:
        return read()
    except UsageError as error:
        return error.message


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_an_odd_file_is_read_or_refused(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "odd.yaml"
    model = path.parent.name == "models"

    def read() -> object:
        return load_spec(str(target)) if model else read_recipe(target)

    found = []
    for text in odd_files(path, 40):
        target.write_text(text, encoding="utf-8")
        found.append(outcome(read))
    specs = [spec for spec in found if isinstance(spec, ModelSpec)]
    assert all(count_parameters(spec.architecture) <= MAX_PARAMETERS for spec in specs)
    sentences = [sentence for sentence in found if isinstance(sentence, str)]
    assert sentences
    assert all(len(sentence) < 1000 for sentence in sentences)
    assert [s for s in sentences if not s.isprintable() and "not valid YAML" not in s] == []


def test_an_odd_change_is_taken_or_refused() -> None:
    lines = FILES[-1].read_text(encoding="utf-8").splitlines()
    keys = [line.partition(":")[0] for line in lines if line[:1].isalpha()]
    draw = random.Random(0)
    changes = [f"{key}={value}" for value in ODD for key in draw.sample(keys, 6)]
    found = [outcome(partial(read_recipe, None, [change])) for change in changes]
    sentences = [sentence for sentence in found if isinstance(sentence, str)]
    assert 100 < len(sentences) < len(found)
    assert all(len(sentence) < 1000 for sentence in sentences)
