"""Findings of single videos: what their files are like, and what a list says of them."""

from collections.abc import Callable, Iterator

from videoswin_cli.data.decoding.orientation import UPRIGHT
from videoswin_cli.io.visible import counted
from videoswin_cli.report.findings import Finding, FindingKind
from videoswin_cli.tasks.check.data_set import Member
from videoswin_cli.tasks.check.facts import FileFacts

# Players and models do not mind less: what is left of sizes that were rounded to even numbers.
_SQUARE = 0.03  # by which the sides of a pixel may differ


def check_file(member: Member, facts: FileFacts) -> Iterator[Finding]:
    """Findings of a video whose file was opened; of one that failed nothing else can be trusted."""
    if facts.failure is not None:
        yield find(member, facts.failure.kind, facts.failure.text)
        return
    for kind, look in _LOOKS.items():
        if (text := look(member, facts)) is not None:
            yield find(member, kind, text)
    for note in facts.notes:
        yield find(member, "remark", note)


def find(member: Member, kind: FindingKind, text: str, partner: Member | None = None) -> Finding:
    """A finding on a member, and perhaps another one."""
    return Finding(
        kind=kind,
        text=text,
        path=member.video.path,
        split=member.split,
        partner=None if partner is None else partner.video.path,
    )


def _count_frames(member: Member, facts: FileFacts) -> str | None:
    listed = member.video.frames
    if listed is None or not facts.frames or listed in (facts.frames, facts.span):
        return None
    return f"{counted(facts.frames, 'frame')}; line {member.video.line} of the list says {listed}"


def _look_short(_: Member, facts: FileFacts) -> str | None:
    if not facts.short:
        return None
    return f"{counted(facts.span, 'frame')} at {facts.fps:.4g} per second"


def _look_at_rate(_: Member, facts: FileFacts) -> str | None:
    return None if facts.constant_rate else f"{facts.fps:.4g} frames per second on average"


def _look_at_orientation(_: Member, facts: FileFacts) -> str | None:
    turned = facts.orientation._replace(exact=True)
    if turned == UPRIGHT:
        return None
    if turned.mirrored:
        return "mirrored"
    return "turned by 90 degrees" if turned.transposed else "upside down"


def _look_at_aspect(_: Member, facts: FileFacts) -> str | None:
    aspect = facts.coding.pixel_aspect
    if abs(aspect - 1) <= _SQUARE:
        return None
    return f"pixels of {aspect.numerator}:{aspect.denominator}, width to height"


def _look_interlaced(_: Member, facts: FileFacts) -> str | None:
    return "interlaced" if facts.coding.interlaced else None


def _look_at_depth(_: Member, facts: FileFacts) -> str | None:
    deep = facts.coding.bits > 8 and facts.coding.transfer is None
    return f"{facts.coding.bits} bits per sample" if deep else None


def _look_at_range(_: Member, facts: FileFacts) -> str | None:
    coding = facts.coding
    return f"{coding.transfer}, {coding.bits} bits per sample" if coding.transfer else None


_LOOKS: dict[FindingKind, Callable[[Member, FileFacts], str | None]] = {
    "frame-count": _count_frames,
    "few-frames": _look_short,
    "variable-rate": _look_at_rate,
    "rotation": _look_at_orientation,
    "pixel-aspect": _look_at_aspect,
    "interlaced": _look_interlaced,
    "high-bit-depth": _look_at_depth,
    "hdr": _look_at_range,
}
