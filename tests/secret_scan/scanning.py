"""Which files are read, what is found in them, and which findings are allowed."""

from __future__ import annotations

import fnmatch
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.core.scan import scan_file
from detect_secrets.filters.heuristic import is_non_text_file
from detect_secrets.settings import default_settings

HERE = Path(__file__).parent
ALLOWED = HERE / "allowed.yml"
# What guesses by the look of a value that it is no secret. Not among them: the comment that allows its own line,
# because what is allowed stands in one file, with its reason.
_FILTERS = (
    "is_sequential_string",
    "is_potential_uuid",
    "is_likely_id_string",
    "is_templated_secret",
    "is_prefixed_with_dollar_sign",
    "is_indirect_reference",
    "is_not_alphanumeric_string",
)
_KEYS = {"files", "type", "line", "reason"}
UNREAD = "File that the scanner does not read"


class ScanError(Exception):
    """The scan cannot be made; the message says what was found, what was expected and what to do."""


@dataclass(frozen=True)
class Finding:
    """Something like a secret. `text` is its line, which is never shown: it may hold one."""

    file: str
    line: int
    type: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.type}"


@dataclass(frozen=True)
class Allowance:
    """Findings of one type that are no secrets: in files that match `files`, on lines where `line` is found."""

    files: str
    type: str
    line: str
    reason: str

    def covers(self, finding: Finding) -> bool:
        return (
            fnmatch.fnmatch(finding.file, self.files)
            and finding.type == self.type
            and re.search(self.line, finding.text) is not None
        )

    def __str__(self) -> str:
        return f"{self.type} in {self.files} on lines with {self.line}"


def allowances(path: Path = ALLOWED) -> list[Allowance]:
    """The allowed findings. Raises ScanError for an entry that lacks one of the four keys or a value."""
    entries = yaml.safe_load(path.read_text()) or []
    for entry in entries:
        if set(entry) != _KEYS or not all(str(value).strip() for value in entry.values()):
            raise ScanError(
                f"found: in {path.name} the entry {entry}\nexpected: {', '.join(sorted(_KEYS))}, each with a value\n"
                "next step: say which files and lines it is about, and why that is no secret"
            )
    return [Allowance(**entry) for entry in entries]


def committable(root: Path) -> list[str]:
    """Files that are committed or could be next: tracked, and new ones that git does not ignore."""
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        done = subprocess.CompletedProcess(command, 127, "", "git is not installed")
    if done.returncode != 0:
        raise ScanError(
            f"found: no list of the repository's files ({done.stderr.strip()})\n"
            "expected: a git checkout\nnext step: run this in a clone of the repository"
        )
    files = sorted(set(filter(None, done.stdout.split("\0"))))
    return [file for file in files if (root / file).is_file() and not (root / file).is_symlink()]


@contextmanager
def _scanner_set_up() -> Iterator[None]:
    own = {"name": "ServiceTokenDetector", "path": f"file://{HERE / 'detectors.py'}"}
    filters = [{"path": f"detect_secrets.filters.heuristic.{name}"} for name in _FILTERS]
    with default_settings() as settings:
        settings.configure_plugins([own])
        settings.configure_filters(filters)
        # It remembers the detectors from before ours was named.
        get_mapping_from_secret_type_to_class.cache_clear()
        yield


def findings(root: Path) -> Iterator[Finding]:
    """All that looks like a secret in the committable files of `root`, whether it is allowed or not."""
    with _scanner_set_up():
        for file in committable(root):
            path = root / file
            if is_non_text_file(str(path)):
                yield Finding(file, 0, UNREAD, "")
                continue
            lines = path.read_text(errors="replace").splitlines()
            for found in scan_file(str(path)):
                yield Finding(file, found.line_number, found.type, lines[found.line_number - 1])
