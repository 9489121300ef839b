"""An nginx configuration as a tree, so that a test asks for a directive in its place and not for a piece of text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""\s+|\#[^\n]*|"((?:\\.|[^"\\])*)"|'((?:\\.|[^'\\])*)'|([{};])|((?:\$\{\w+\}|[^\s{};"'])+)"""
)


@dataclass(frozen=True)
class Directive:
    """One directive: its words, and what stands in its braces."""

    words: tuple[str, ...]
    inside: list[Directive] = field(default_factory=list)

    def all(self, *words: str) -> list[Directive]:
        """The directives in here that begin with these words."""
        return [one for one in self.inside if one.words[: len(words)] == words]

    def one(self, *words: str) -> Directive:
        """The only such directive. Raises AssertionError where there are none or several."""
        found = self.all(*words)
        assert len(found) == 1, f"{len(found)} of {' '.join(words)} in {' '.join(self.words) or 'the file'}"
        return found[0]

    def everything(self) -> Iterator[Directive]:
        """All directives in here, at any depth."""
        for one in self.inside:
            yield one
            yield from one.everything()


def parse(text: str) -> Directive:
    """The file as one directive without words. Raises ValueError for what nginx could not read either."""
    stack = [Directive(())]
    words: list[str] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if not match:
            raise ValueError(f"cannot read {text[position : position + 40]!r}")
        position = match.end()
        double, single, mark, plain = match.groups()
        if mark == ";":
            stack[-1].inside.append(Directive(tuple(words)))
            words = []
        elif mark == "{":
            stack.append(Directive(tuple(words)))
            words = []
        elif mark == "}":
            if words or len(stack) == 1:
                raise ValueError(f"a brace closes too early, after {' '.join(words)!r}")
            closed = stack.pop()
            stack[-1].inside.append(closed)
        else:
            words += [word for word in (double, single, plain) if word is not None]
    if words or len(stack) != 1:
        raise ValueError(f"the file ends inside of {' '.join(words or stack[-1].words)!r}")
    return stack[0]
