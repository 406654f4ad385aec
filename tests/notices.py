"""A reporter that keeps its messages."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field


@dataclass
class Notices:
    texts: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)

    def notice(self, text: str) -> None:
        self.texts.append(text)

    def start(self, total: int, *, unit: str, done: int = 0) -> None:
        pass

    def advance(self, *, failed: bool = False, status: str = "") -> None:
        pass

    def show(self, text: str) -> None:
        self.shown.append(text)

    def printing(self) -> AbstractContextManager[object]:
        return nullcontext()
