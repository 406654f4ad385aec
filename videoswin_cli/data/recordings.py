"""Recordings that clips were cut from, as far as the names of the clips tell."""

import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from videoswin_cli.class_names import fold_name
from videoswin_cli.data.video_files import VIDEO_SUFFIXES

_FEW_CLIPS = 10  # of a recording, on average, where its name proves little
_FEW_FILES = 20  # of a folder, on average
_MANY = 4  # recordings of a class, where their names prove little


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """A way to name clips by their recording: the groups of its pattern are the name."""

    title: str  # as notices show it
    pattern: re.Pattern[str]  # of the file's name without extension
    is_doubtful: bool = False  # it must divide the classes as recordings do
    everywhere: bool = False  # one name is one recording, whatever the folder
    has_times: bool = False  # start and end are behind the name
    names_parts: bool = False  # a word says that it is a part
    of_folder: bool = False  # the folder of the clips is the recording


@dataclass(frozen=True, kw_only=True)
class Recordings:
    """Recordings found by a scheme."""

    title: str
    names: Mapping[str, str]  # recording by the path of its video


def _compile(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_PART = "part|pt|seg|segment|chunk|scene|shot|cut|take|sub|split|section"
_SCHEMES = (
    Scheme(title="v_NAME_g01_c01 (UCF101)", pattern=_compile(r"(v_.+_g\d+)_c\d+")),
    Scheme(title="v_NAME_01_02 (UCF11)", pattern=_compile(r"(v_[a-z_]+_\d\d)_\d\d")),
    Scheme(
        title="ID_000010_000020 (Kinetics)",
        pattern=_compile(r"(?:v_)?([\w-]{11})_\d{6}_\d{6}"),
        everywhere=True,
    ),
    Scheme(title="NAME-Scene-001 (PySceneDetect)", pattern=_compile(r"(.+)-scene-\d+")),
    Scheme(
        title="FILM_CLASS_f_cm_np1_fr_med_1 (HMDB51)",
        pattern=_compile(r"(.+)_[a-z]_[cn]m_np\d_[a-z]{2}_[a-z]{3}_\d+"),
    ),
    Scheme(
        title="S001C001P001R001A001 (NTU RGB+D)",
        pattern=_compile(r"(S\d{3})C\d{3}(P\d{3})R\d{3}A\d{3}(?:_.*)?"),
    ),
    Scheme(title="GH010001 (chapters of a GoPro)", pattern=_compile(r"(G[HXLS])\d\d(\d{4})")),
    Scheme(title="GOPR0001 (chapters of a GoPro)", pattern=_compile(r"(G)(?:OPR|P\d\d)(\d{4})")),
    Scheme(title="CLASS/NAME/...", pattern=_compile(""), is_doubtful=True, of_folder=True),
    Scheme(
        title="NAME_10_20 (start and end)",
        pattern=_compile(r"(.*[^\W_])[-_. ]+(\d+(?:\.\d+)?)[-_](\d+(?:\.\d+)?)s?"),
        is_doubtful=True,
        has_times=True,
    ),
    Scheme(
        title="NAME-part1",
        pattern=_compile(rf"(.*[^\W_])[-_. ]+(?:{_PART})[-_. ]*\d{{1,5}}"),
        is_doubtful=True,
        names_parts=True,
    ),
    Scheme(
        title="NAME-001",
        pattern=_compile(r"(.*[^\W_])[-_. ]+(?:clip[-_. ]*|[a-z]{1,2})?\d{1,5}"),
        is_doubtful=True,
    ),
)
_DATE = r"(?:19|20)\d\d[-_. ]?[01]\d[-_. ]?[0-3]\d"
_TIME = r"\d\d[-_.:h ]?\d\d[-_.:m ]?\d\ds?"
_MOMENT = _compile(rf".*{_DATE}(?:[-_. t]*(?:at )?{_TIME})?|.*\d\d[-.:]\d\d[-.:]\d\d")
# Counters of cameras and programs, and words for anything: no names of recordings.
_COUNTER = _compile(
    r"(?:img|vid|videos?|mvi|mov|movies?|clips?|dsc[nf]?|sam|cimg|pict|files?|samples?|frames?|"
    r"images?|rec|records?|recordings?|gopr|dji|pxl|hdv|mah|captures?|out|output|new|untitled|"
    r"examples?|data|items?|raw|screen[-_ ]?recording|"
    r"(?:train|val|test|part|set|batch|fold|split|shard|dis[ck]|cam|camera|view|angle)"
    rf"[-_ ]?(?:[a-d]|\d+)?)?\W*_*(?:{_DATE})?"
)
_NUMBER = re.compile(r"\d+|(?:(?<=[a-z])|(?<![^\W_]))[A-Z]$|(?<![^\W_])[a-z]$")  # or A, B, C
_ID = re.compile(r"(?:yt-|v_)?(?=.*\d)(?=.*[A-Za-z])[\w-]{11}")  # of YouTube


def find_recordings(videos: Mapping[str, int], classes: Sequence[str]) -> list[Recordings]:
    """Recordings by each scheme that fits, of the videos that no scheme before it fits.

    Args:
        videos: class index by path.
        classes: their names.
    """
    left = dict(videos)
    found: list[Recordings] = []
    for scheme in _SCHEMES:
        names = _read(scheme, left)
        if scheme.is_doubtful:
            names = _keep_plausible(scheme, names, left, classes)
        if max(Counter(names.values()).values(), default=0) < 2:
            continue
        found.append(Recordings(title=scheme.title, names=names))
        left = {path: label for path, label in left.items() if path not in names}
    return found


def _read(scheme: Scheme, paths: Iterable[str]) -> dict[str, str]:
    """Names of recordings by path; with their folder where it takes that to tell them apart."""
    matches: dict[str, tuple[str, str, str]] = {}  # folder, name and what counts within
    for path in paths:
        folder, file = posixpath.split(path)
        stem, suffix = posixpath.splitext(file)
        stem = stem if suffix.lower() in VIDEO_SUFFIXES else file
        if scheme.of_folder:
            above, name = posixpath.split(folder)
            # Else folders, and tar files, only spread many files.
            if above and not stem.startswith(name) and not name.lower().endswith(".tar"):
                matches[path] = above, name, stem
        elif (match := scheme.pattern.fullmatch(stem)) is not None and not (
            scheme.is_doubtful and _MOMENT.fullmatch(stem)
        ):
            if scheme.has_times and float(match[2]) >= float(match[3]):
                return {}  # these are no times
            name = match[1] if scheme.is_doubtful else "".join(match.groups())
            matches[path] = folder, name, stem
    if scheme.everywhere:
        return {path: name for path, (_, name, _) in matches.items()}
    # A recording has one part of each name: a second one is of another recording.
    counts = Counter((name, part) for _, name, part in set(matches.values()))
    twice = {name for (name, _), count in counts.items() if count > 1}
    return {
        path: posixpath.join(folder, name) if name in twice else name
        for path, (folder, name, _) in matches.items()
    }


def _keep_plausible(
    scheme: Scheme, names: Mapping[str, str], videos: Mapping[str, int], classes: Sequence[str]
) -> dict[str, str]:
    """Without the names that seem to be counters, classes or conditions, not recordings.

    A class must have several recordings. That is enough where they are numbered themselves
    (`scene1-003`) or called by an id, or their parts are called so. Words could be conditions
    (`left_003`): there must be many, of a few clips each.
    """
    folded = {fold_name(name) for name in classes}
    by_class: dict[int, Counter[str]] = defaultdict(Counter)
    for path, name in names.items():
        own = posixpath.basename(name)
        if not _COUNTER.fullmatch(own) and fold_name(own) not in folded:
            by_class[videos[path]][name] += 1
    kept: set[str] = set()
    for counts in by_class.values():
        clips, most = counts.total(), counts.most_common(1)[0][1]
        skeletons = Counter(_NUMBER.sub("0", name) for name in counts)
        many = len(counts) >= _MANY and clips <= _FEW_CLIPS * len(counts) and 2 * most <= clips
        few = not scheme.of_folder or clips <= _FEW_FILES * len(counts)
        for name in counts:
            clear = (
                scheme.names_parts
                or skeletons[_NUMBER.sub("0", name)] > 1
                or _ID.fullmatch(posixpath.basename(name))
            )
            if many or (clear and few and len(counts) > 1):
                kept.add(name)
    return {path: name for path, name in names.items() if name in kept}
