"""Estimate of the memory that one clip needs, before a step is tried and the system ends it.

It is within a fifth of what `training/dry_run.py` then measures.
"""

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from videoswin_cli.errors import UsageError
from videoswin_cli.model.catalog import ModelSpec
from videoswin_cli.model.limits import stage_tokens
from videoswin_cli.training.recipe import Recipe

_GIB = 2**30


def check_memory(spec: ModelSpec, recipe: Recipe) -> None:
    """For a CPU; a GPU says itself that its memory does not suffice.

    Raises:
        UsageError: what one clip leaves for the backward pass is more than this machine has.
    """
    if recipe.checkpointing or recipe.freeze != "none":
        return  # far less is kept
    needed = activation_bytes(spec, planned=recipe.precision != "bf16")
    held = machine_bytes()
    if held is None or needed <= held:
        return
    p = spec.protocol
    raise UsageError(
        f"training on clips of {p.clip_frames}x{p.crop_size}x{p.crop_size} needs about "
        f"{needed / _GIB:.1f} GiB for one clip, and there are {held / _GIB:.1f} GiB",
        hint="--set checkpointing=true, or a smaller --set clip_frames=N or crop_size=N",
    )


def activation_bytes(spec: ModelSpec, *, planned: bool = True) -> int:
    """Bytes, about, that a forward pass of one clip keeps for the backward pass on a CPU.

    Args:
        spec: the model.
        planned: by the training plan, which computes in fp32 only; False: by the network itself.
    """
    a = spec.architecture
    per_channel = 6 + a.mlp_ratio if planned else 14 + 4 * a.mlp_ratio
    numbers = sum(
        a.depths[stage] * tokens * a.embed_dim * 2**stage * per_channel
        for stage, (tokens, _) in enumerate(stage_tokens(a, spec.protocol))
    )
    return int(4 * numbers)


def shrink_clip(spec: ModelSpec, *, most: int) -> ModelSpec:
    """The model with clips that keep at most so many bytes, but are a window long and wide.

    What is measured on them grows with the activations: all but attention, whose share is small,
    is linear in the tokens, and attention is within windows.
    """
    a = spec.architecture
    least = [patch * window for patch, window in zip(a.patch_size, a.window_size, strict=True)]
    while activation_bytes(spec) > most:
        p = spec.protocol
        if p.clip_frames // 2 >= least[0]:
            smaller = replace(p, clip_frames=p.clip_frames // 2)
        elif p.crop_size // 2 >= max(least[1:]):
            smaller = replace(p, crop_size=p.crop_size // 2)
        else:
            break
        spec = replace(spec, protocol=smaller)
    return spec


def machine_bytes() -> int | None:
    """Memory of this machine, or what its container or shell leaves of it; None: not known."""
    limits = []
    with suppress(ValueError, OSError, AttributeError):  # not on Windows
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with suppress(ValueError, OSError):  # "max", or no such file
        limits.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    with suppress(ImportError):
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_AS)
        if soft != resource.RLIM_INFINITY:
            limits.append(max(0, soft - _mapped_bytes()))  # libraries count too
    return min(limits, default=None)


def _mapped_bytes() -> int:
    """Address space of this process; 0 where it is not known."""
    with suppress(ValueError, OSError, AttributeError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        return pages * os.sysconf("SC_PAGE_SIZE")
    return 0
