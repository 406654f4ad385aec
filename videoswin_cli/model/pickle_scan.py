"""Limits of a pickle, proven from its opcodes before anything is made of them.

Python's own unpickler makes a table as large as a memo index says, hashes a deep tuple until the
stack of the process overflows, and a tuple that holds another one twice at twice the cost.
"""

import pickletools
from dataclasses import dataclass
from typing import IO, Any

MAX_DEPTH = 500  # objects inside each other; trainer files have a dozen
_MAX_LARGE = 10_000  # integers beyond 64 bits: as keys they can all have one hash
_HASHED = 100  # values that the keys of mappings and sets may hold, per byte of the file
_SMALL = 10_000_000  # that those of any file may hold

_PUTS = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_GETS = frozenset({"GET", "BINGET", "LONG_BINGET"})
_FILLING = frozenset({"APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD"})
_HASHING = frozenset({"SETITEM", "SETITEMS", "ADDITEMS", "FROZENSET", "DICT"})


class LimitError(ValueError):
    """The limit, and what was found of a file that asks for more than one of its size may."""


@dataclass
class _Cell:
    """One object. All that name it have the same cell, and see it grow."""

    depth: int = 0
    values: int = 1  # that it holds; one that is there twice counts twice


class _Scan:
    """Stack and memo of an unpickler, of cells in place of objects. A mark is None."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.stack: list[_Cell | None] = []
        self.memo: dict[int, _Cell | None] = {}
        self.hashed = 0
        self.large = 0

    def put(self, index: int) -> None:
        if index > self.size:
            raise LimitError(
                f"memo index {index}: a pickle of {self.size} bytes has at most {self.size}"
            )
        self.memo[index] = self.stack[-1]

    def count_number(self, number: int) -> None:
        bits = number.bit_length()
        self.large += bits > 64
        if self.large > _MAX_LARGE:
            raise LimitError(f"more than {_MAX_LARGE} integers of more than 64 bits")
        self.stack.append(_Cell(values=1 + bits // 30))

    def apply(self, opcode: Any) -> None:
        """Take from the stack what an opcode takes, and leave what it leaves."""
        before, stack = opcode.stack_before, self.stack
        taken: list[_Cell] = []
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
        if opcode.name in _HASHING:
            self._count_hashed(sum(cell.values for cell in taken))
        if not opcode.stack_after:
            return
        depth = 1 + max((cell.depth for cell in taken if cell is not first), default=-1)
        if opcode.name in _FILLING and first is not None:
            first.depth = max(first.depth, depth)
            made = first
        else:
            depth = max(depth, 1 + first.depth if first else 0)
            made = _Cell(depth, 1 + sum(cell.values for cell in taken))
        if made.depth > MAX_DEPTH:
            raise LimitError(f"objects nested more than {MAX_DEPTH} deep")
        stack.append(made)

    def _count_hashed(self, values: int) -> None:
        self.hashed += values
        limit = _SMALL + _HASHED * self.size
        if self.hashed > limit:
            raise LimitError(f"keys that hold more than {limit} values, each as often as named")


def check_pickle(data: IO[bytes], *, size: int) -> None:
    """Read the opcodes of one pickle, up to and with its end.

    Args:
        data: positioned at the start of the pickle; afterwards behind it.
        size: bytes of the whole file.

    Raises:
        LimitError: a memo index beyond the file's size, objects nested too deeply, or keys
            that are too large.
        ValueError, LookupError: no pickle, or one that was cut or damaged.
    """
    scan = _Scan(size)
    argument: Any
    for opcode, argument, _ in pickletools.genops(data):
        name = opcode.name
        if name in _PUTS:
            scan.put(int(argument))
        elif name == "MEMOIZE":
            scan.put(len(scan.memo))
        elif name in _GETS:
            scan.stack.append(scan.memo[int(argument)])
        elif name == "FRAME":
            if argument > size:
                raise ValueError(f"a frame of {argument} bytes in a file of {size}")  # a cut one
        elif name == "DUP":
            scan.stack.append(scan.stack[-1])
        elif name == "POP":
            scan.stack.pop()
        elif name == "MARK":
            scan.stack.append(None)
        elif not opcode.stack_before and type(argument) is int:
            scan.count_number(argument)
        elif not opcode.stack_before:
            scan.stack += [_Cell() for _ in opcode.stack_after]
        else:
            scan.apply(opcode)
