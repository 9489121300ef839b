"""The pages of the documentation, taken apart: fenced blocks, commands, tables, links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
README = ROOT / "README.md"
GUIDES = sorted((ROOT / "docs").rglob("*.md"))
ROLES = sorted(path.parent.parent for path in ROOT.glob("roles/*/meta/argument_specs.yml"))
ROLE_PAGES = [role / "README.md" for role in ROLES]
# The pages that this folder's tests answer for, and those which they link to.
PAGES = [README, *GUIDES, *ROLE_PAGES]
OTHERS = [
    ROOT / "comfyui" / "client" / "README.md",
    ROOT / "comfyui" / "workflows" / "README.md",
    ROOT / "tests" / "lab" / "comfyui" / "README.md",
]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEREDOC = re.compile(r"<<(\w+)")


@dataclass(frozen=True)
class Block:
    """One fenced block: its language and its text."""

    language: str
    text: str


def name(page: Path) -> str:
    """A page as pytest and messages call it."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, *languages: str) -> list[Block]:
    """The fenced blocks of a page, all or those of some languages."""
    found = [Block(*match) for match in _FENCE.findall(page.read_text())]
    return [block for block in found if not languages or block.language in languages]


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", page.read_text())


def command_lines(text: str) -> list[str]:
    """The lines of a shell block that hold commands: here-documents left out, continued lines joined."""
    lines: list[str] = []
    end = ""
    for line in text.replace("\\\n", " ").splitlines():
        if end:
            end = "" if line == end else end
            continue
        if line.strip():
            lines.append(line.strip())
        heredoc = _HEREDOC.search(line)
        end = heredoc[1] if heredoc else ""
    return lines


def spans(text: str) -> list[str]:
    """What stands between single backticks."""
    return re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)


def links(page: Path) -> list[str]:
    """The targets of the links in the prose, those to other sites left out."""
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)) if "://" not in target]


def anchors(page: Path) -> set[str]:
    """What a link may name after `#`, as GitHub makes it of a heading."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def tables(page: Path) -> list[list[list[str]]]:
    """Every table as rows of cells, its heading row first and the ruler left out."""
    found = []
    for chunk in re.findall(r"(?:^\|.*\n)+", prose(page), re.MULTILINE):
        rows = [re.split(r"(?<!\\)\|", line.strip())[1:-1] for line in chunk.splitlines()]
        found.append([[cell.strip() for cell in row] for row in rows if not set(row[0]) <= set("-: ")])
    return found


def table(page: Path, *heading: str) -> list[list[str]]:
    """The rows below the given heading row; the page must have exactly one such table."""
    (found,) = [rows for rows in tables(page) if rows[0] == list(heading)]
    return found[1:]
