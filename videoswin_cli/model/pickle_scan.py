"""Limits of a pickle, proven from its opcodes before anything is made of them.

Python's own unpickler makes a table as large as a memo index says, and hashes a deep tuple until
the stack of the process overflows.
"""

import pickletools
from typing import IO, Any

MAX_DEPTH = 500  # objects inside each other; trainer files have a dozen

Cell = list[int]  # depth of an object; a list, so that all that name the object see it grow

_PUTS = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_GETS = frozenset({"GET", "BINGET", "LONG_BINGET"})
_FILLING = frozenset({"APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD"})


class LimitError(ValueError):
    """The limit, and what was found of a file that asks for more than one of its size may."""


def check_pickle(data: IO[bytes], *, size: int) -> None:
    """Read the opcodes of one pickle, up to and with its end.

    Args:
        data: positioned at the start of the pickle; afterwards behind it.
        size: bytes of the whole file.

    Raises:
        LimitError: a memo index or frame beyond the file's size, or objects nested too deeply.
        ValueError, LookupError: no pickle, or a damaged one.
    """
    stack: list[Cell | None] = []  # None: a mark
    memo: dict[int, Cell | None] = {}
    number: Any
    for opcode, number, _ in pickletools.genops(data):
        name = opcode.name
        if name in _PUTS or name == "MEMOIZE":
            index = len(memo) if name == "MEMOIZE" else int(number)
            if index > size:
                raise LimitError(f"memo index {index}: a pickle of {size} bytes has at most {size}")
            memo[index] = stack[-1]
        elif name in _GETS:
            stack.append(memo[int(number)])
        elif name == "FRAME" and number > size:
            raise LimitError(f"a frame of {number} bytes in a file of {size}")
        elif name == "DUP":
            stack.append(stack[-1])
        elif name == "POP":
            stack.pop()
        elif name == "MARK":
            stack.append(None)
        else:
            _apply(opcode, stack)


def _apply(opcode: Any, stack: list[Cell | None]) -> None:
    """The effect of any other opcode on the depths: what it takes and what it leaves."""
    before = opcode.stack_before
    taken: list[Cell] = []
    if pickletools.markobject in before:
        while (cell := stack.pop()) is not None:
            taken.append(cell)
        fixed = before.index(pickletools.markobject)
    else:
        fixed = len(before)
    first = None
    for _ in range(fixed):
        first = stack.pop()
        if first is None:
            raise ValueError(f"{opcode.name} takes a mark")
        taken.append(first)
    if not opcode.stack_after:
        return
    depth = 1 + max((cell[0] for cell in taken if cell is not first), default=-1)
    if opcode.name in _FILLING and first is not None:
        first[0] = max(first[0], depth)
        made = first
    else:
        made = [max(depth, 1 + first[0] if first else 0)]
    if made[0] > MAX_DEPTH:
        raise LimitError(f"objects nested more than {MAX_DEPTH} deep")
    stack.append(made)
