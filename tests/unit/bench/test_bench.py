"""The report of `make bench` says what was measured against what, and whether the promise was kept."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.bench import __main__ as bench
from tests.bench import report, topics
from tests.bench.rows import Row

FAST = Row("a fetch", 9.0, 10.0, "s", 0.9, ("ours", "theirs"))
SLOW = Row("a slow fetch", 9.1, 10.0, "s", 0.9, ("ours", "theirs"))


def test_a_ratio_at_its_limit_is_held_and_one_above_is_not() -> None:
    assert FAST.held
    assert not SLOW.held


def _topic(monkeypatch: pytest.MonkeyPatch, *rows: Row) -> None:
    module = ModuleType(f"{topics.__name__}.example", "What an example measures.")
    module.rows = lambda: iter(rows)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(bench, "known", lambda: ["example"])


@pytest.mark.parametrize(("rows", "code"), [((FAST,), 0), ((FAST, SLOW), 1)])
def test_a_run_writes_both_reports_and_its_exit_code_tells_of_a_broken_promise(
    rows: tuple[Row, ...], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _topic(monkeypatch, *rows)
    assert bench.main(["example"], tmp_path) == code
    written = json.loads((tmp_path / "bench.json").read_text())
    assert [row["held"] for row in written["rows"]] == [row.held for row in rows]
    assert {row["topic"] for row in written["rows"]} == {"example"}
    page = (tmp_path / "bench.md").read_text()
    assert all(row.name in page and f"{row.ratio:.3f}" in page for row in rows)
    assert "`theirs`" in page


def test_an_unknown_topic_is_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def never() -> Iterator[Row]:
        raise AssertionError

    _topic(monkeypatch)
    monkeypatch.setattr(sys.modules[f"{topics.__name__}.example"], "rows", never)
    assert bench.main(["example", "exmaple"], tmp_path) == 2
    assert "exmaple" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_every_topic_says_what_it_measures() -> None:
    for topic in bench.known():
        assert (Path(str(topics.__path__[0])) / f"{topic}.py").read_text().startswith('"""'), topic


def test_a_bar_at_its_limit_ends_where_the_limit_stands() -> None:
    bar = next(line for line in report.page({"x": [FAST]}).splitlines() if line.startswith("#" * 10))
    assert bar.startswith("#" * 40 + "| ")


def test_the_table_has_a_line_for_each_row() -> None:
    stream = io.StringIO()
    report.show({"x": [FAST, SLOW]}, stream)
    _, first, second = stream.getvalue().splitlines()
    assert first.endswith("held")
    assert second.endswith("NOT HELD")
