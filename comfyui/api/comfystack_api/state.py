"""What has to outlive a restart, in one SQLite file that this one process writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_TABLES = """
CREATE TABLE IF NOT EXISTS tokens (
    name TEXT PRIMARY KEY, scope TEXT NOT NULL, digest TEXT NOT NULL UNIQUE, created REAL NOT NULL);
-- Beside the tokens, not in their rows: so a state of an earlier version is read as it is, and by it.
CREATE TABLE IF NOT EXISTS ends (digest TEXT PRIMARY KEY, expires REAL);
CREATE TABLE IF NOT EXISTS revoked (digest TEXT PRIMARY KEY, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS sessions (
    digest TEXT PRIMARY KEY, token_digest TEXT NOT NULL, expires REAL NOT NULL);
CREATE TABLE IF NOT EXISTS jobs (prompt_id TEXT PRIMARY KEY, owner TEXT NOT NULL, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS awaited (prompt_id TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS results (name TEXT PRIMARY KEY, owner TEXT NOT NULL, expires REAL NOT NULL);
"""


class State:
    """One connection; every statement is committed before it returns."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(
            folder / "state.db", isolation_level=None, check_same_thread=False, timeout=10
        )
        self._connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + _TABLES)

    def run(self, statement: str, values: Sequence[object] = ()) -> int:
        """The number of rows that the statement changed."""
        return self._connection.execute(statement, values).rowcount

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        return self._connection.execute(statement, values).fetchall()

    def close(self) -> None:
        self._connection.close()
