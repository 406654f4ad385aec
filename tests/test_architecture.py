"""Which module may import what. Read from the sources, so an import inside a function counts."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import videoswin_cli

ROOT = Path(videoswin_cli.__file__).parent
FILES = {
    ".".join(("videoswin_cli", *path.relative_to(ROOT).with_suffix("").parts)): path
    for path in sorted(ROOT.rglob("*.py"))
}
LAYERS = {
    "credentials": -1,
    "errors": 0,
    "records": 0,
    "version": 0,
    "class_names": 0,
    "ranges": 0,
    "seeding": 0,
    "options": 1,
    "io": 1,
    "model": 2,
    "data": 2,
    "report": 2,
    "engine": 3,
    "synthetic": 3,
    "tasks": 4,
    "training": 4,
    "cli": 5,
    "api": 5,
}
DOORS = 6  # the package itself and `__main__`
BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
HEAVY = {
    *("torch", "decord", "torchcodec", "av", "requests", "numpy", "rich", "tqdm", "safetensors"),
    *("filelock", "matplotlib", "jinja2", "fsspec", "huggingface_hub"),
}


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(FILES[module].read_text(encoding="utf-8"))


@cache
def imports_of(source: str) -> tuple[tuple[int, str], ...]:
    return tuple(find_imports(source))


def imports(source: str) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that a source imports, at whatever depth."""
    yield from imports_of(source)


def find_imports(source: str) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that a source imports, at whatever depth."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def module_of(name: str) -> str:
    """The module of ours that an import of `name` loads: `name`, or what `name` is taken from."""
    return name if name in FILES or f"{name}.__init__" in FILES else name.rpartition(".")[0]


def own_imports(module: str) -> list[tuple[int, str]]:
    found = imports(FILES[module].read_text(encoding="utf-8"))
    return [(line, module_of(name)) for line, name in found if name.startswith("videoswin_cli")]


def part(module: str) -> str:
    return f"{module}.".split(".")[1]


def layer(module: str) -> int:
    return LAYERS.get(part(module), DOORS)


def importers_of(package: str) -> set[str]:
    return {
        path.relative_to(ROOT).as_posix()
        for path in FILES.values()
        for _, name in imports(path.read_text(encoding="utf-8"))
        if name.partition(".")[0] == package
    }


def test_every_module_has_a_layer() -> None:
    assert {part(module) for module in FILES} == LAYERS.keys() | {"__init__", "__main__"}


@pytest.mark.parametrize("module", FILES)
def test_nobody_imports_upward_or_sideways(module: str) -> None:
    """Downward or inside one's own folder: `model`, `data` and `report` do not meet."""
    found = [
        (line, name)
        for line, name in own_imports(module)
        if part(name) != part(module) and layer(name) >= layer(module)
    ]
    assert found == []


@pytest.mark.parametrize("module", [name for name in FILES if part(name) == "tasks"])
def test_tasks_import_no_tasks(module: str) -> None:
    """Each is a file, or a folder whose files make one."""

    def task(name: str) -> str:
        return f"{name}..".split(".")[2]

    others = {name for _, name in own_imports(module) if part(name) == "tasks"}
    assert {name for name in others if task(name) != task(module)} == set()


def test_benchmarks_import_no_command() -> None:
    assert BENCHMARKS.is_dir()
    for path in BENCHMARKS.rglob("*.py"):
        found = imports(path.read_text(encoding="utf-8"))
        names = [module_of(name) for _, name in found if name.startswith("videoswin_cli")]
        assert [name for name in names if layer(name) > LAYERS["tasks"]] == [], path.name


def test_imports_make_no_circle() -> None:
    graph = {module: {name for _, name in own_imports(module)} for module in FILES}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module in graph and module not in done:
            for name in graph[module]:
                visit(name, (*path, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_the_network_stands_alone() -> None:
    found = {name.partition(".")[0] for _, name in imports((ROOT / "model/swin3d.py").read_text())}
    assert found == {"itertools", "collections", "typing", "torch"}


@pytest.mark.parametrize(
    ("package", "homes"),
    [
        ("requests", {"io/fetch.py", "io/transport.py", "io/web_errors.py"}),
        ("decord", {"data/decoding/decord_reader.py"}),
        ("torchcodec", {"data/decoding/torchcodec_reader.py"}),
        ("pickle", {"model/unpickling.py", "data/passing.py"}),  # the latter of our processes
        ("safetensors", {"model/checkpoint.py"}),
        ("yaml", {"io/yaml_text.py"}),
        ("fsspec", {"io/storage.py"}),
        ("openvino", {"model/openvino/package.py"}),
        ("huggingface_hub", {"io/hub.py"}),
    ],
)
def test_each_has_its_home(package: str, homes: set[str]) -> None:
    assert importers_of(package) == homes


def test_ffmpeg_is_called_by_the_decoders_and_where_clips_are_made() -> None:
    assert {name.rpartition("/")[0] for name in importers_of("av")} == {
        "data/decoding",
        "data/encoding",
        "synthetic",
    }


def test_the_command_line_library_stays_in_cli() -> None:
    assert {name.partition("/")[0] for name in importers_of("typer")} == {"cli"}


@pytest.mark.parametrize("module", FILES)
def test_only_one_module_unpickles_files(module: str) -> None:
    tree = tree_of(module)
    named = {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    named |= {name for _, name in imports(FILES[module].read_text(encoding="utf-8"))}
    loaders = {"torch.load", "torch.hub", "torch.jit", "np.load", "numpy.load", "pickle.loads"}
    unpickling = loaders | {"torch.serialization", "dill", "joblib", "shelve", "marshal"}
    homes = {
        "data.passing": {"pickle.loads"},  # what a decoding process of ours sends
        "data.decoding.array_file": {"np.load"},
        "engine.dumps": {"np.load"},
        "tasks.extract.files": {"np.load"},
        "tasks.extract.tables": {"np.load"},
    }
    assert named & unpickling == homes.get(module.removeprefix("videoswin_cli."), set())


def test_numpy_never_unpickles() -> None:
    calls = [
        node
        for path in FILES.values()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "np.load"
    ]
    assert calls
    for call in calls:
        assert "allow_pickle=False" in ast.unparse(call)


@pytest.mark.parametrize(
    "module", [name for name in FILES if part(name) in ("cli", "__init__", "__main__")]
)
def test_the_engine_is_imported_where_it_is_used(module: str) -> None:
    top = tree_of(module)
    body: list[ast.stmt] = [
        node for node in top.body if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    names = [name for _, name in imports(ast.unparse(ast.Module(body=body, type_ignores=[])))]
    assert [
        name
        for name in names
        if name.startswith(
            ("videoswin_cli.engine", "videoswin_cli.tasks", "videoswin_cli.training")
        )
    ] == []


@pytest.mark.parametrize(
    "folder",
    [
        "cli",
        "data",
        "data/decoding",
        "data/encoding",
        "data/live",
        "engine",
        "model",
        "model/cpu",
        "io",
        "report",
        "report/pages",
        "synthetic",
        "tasks",
        "training",
    ],
)
def test_packages_do_nothing_when_imported(folder: str) -> None:
    assert (ROOT / folder / "__init__.py").read_text() == ""


# --- what really gets loaded ----------------------------------------------------------------------

RUN = """
import sys
from videoswin_cli.cli.app import app
try:
    app(sys.argv[1:])
finally:
    print("\\nLOADED", *sys.modules, file=sys.stderr)
"""


def loaded(code: str, *args: str, env: dict[str, str] | None = None) -> tuple[int, set[str]]:
    done = subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, text=True, env=env, check=False
    )
    assert "LOADED" in done.stderr, done.stderr
    modules = done.stderr.rpartition("LOADED")[2].split()
    return done.returncode, {name.partition(".")[0] for name in modules}


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["--help"], 0),
        (["--version"], 0),
        ([], 2),
        (["predict", "--help"], 0),
        (["predict", "no-such-file.mp4"], 2),
        (["predict", ".", "--logits"], 2),
        (["predict", ".", "--fps", "-1"], 2),
        (["cache"], 0),
        (["extract", "--help"], 0),
        (["check", "--help"], 0),
        (["check", "a.mp4", "--out", "found.pdf"], 2),
        (["finetune", "--help"], 0),
        (["finetune"], 2),
        (["make-dataset", "--help"], 0),
        (["extract", "--out", "f.npy"], 2),
        (["watch", "--help"], 0),
        (["watch", "no-such-file.mp4"], 2),
        (["watch", "rtmp://host/app"], 2),
        (["eval", "--help"], 0),
        (["eval"], 2),
        (["eval", "--list", "no-such-list.txt"], 2),
        (["report", "--help"], 0),
        (["report"], 2),
        (["models"], 0),
        (["models", "--format", "json", "--dataset", "k400"], 0),
        (["models", "swin-tiny-k400"], 0),
        (["models", "swin-tinny-k400"], 2),
        (["download", "--help"], 0),
        (["convert", "--help"], 0),
        (["doctor", "--help"], 0),
        (["convert", "in.pth", "out.pth"], 2),
    ],
)
def test_what_needs_no_network_loads_none(args: list[str], code: int) -> None:
    status, modules = loaded(RUN, *args)
    assert status == code
    assert "typer" in modules
    assert modules & HEAVY == set()


def test_importing_the_package_loads_nothing() -> None:
    show = "print('LOADED', *sys.modules, file=sys.stderr)"
    _, before = loaded(f"import sys; {show}")
    _, after = loaded(f"import sys, videoswin_cli; videoswin_cli.__version__; {show}")
    assert after - before - sys.stdlib_module_names == {"videoswin_cli"}


def test_python_names_are_resolved_at_first_use() -> None:
    code = """
import sys, videoswin_cli
assert "torch" not in sys.modules
for name in set(videoswin_cli.__all__) - {"__version__"}:
    assert callable(getattr(videoswin_cli, name)), name
print("LOADED", *sys.modules, file=sys.stderr)
"""
    _, modules = loaded(code)
    assert "torch" in modules
    assert modules & {"decord", "av", "requests", "typer"} == set()
    with pytest.raises(AttributeError, match="no attribute 'load_modell'"):
        getattr(videoswin_cli, "load_modell")  # noqa: B009 - unknown to the types too


# --- sizes ----------------------------------------------------------------------------------------

MOST_LINES, MOST_PARAMETERS = 70, 8


@pytest.mark.parametrize("module", FILES)
def test_functions_can_be_read_at_a_glance(module: str) -> None:
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < MOST_LINES, node.name
            names = [arg.arg for arg in (*node.args.args, *node.args.kwonlyargs)]
            count = len([name for name in names if name not in ("self", "cls")])
            assert count <= MOST_PARAMETERS, node.name
