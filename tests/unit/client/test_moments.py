"""When a token ends: what people write, and the moment that it means."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

import pytest
from comfystack.moments import end_of
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("2027-01-31", "2027-02-01T00:00:00+00:00"),
        ("2028-02-28", "2028-02-29T00:00:00+00:00"),
        ("2027-12-31", "2028-01-01T00:00:00+00:00"),
        ("2027-01-31T18:00:00Z", "2027-01-31T18:00:00+00:00"),
        ("2027-01-31t18:00:00z", "2027-01-31T18:00:00+00:00"),
        ("2027-01-31T18:00:00+02:00", "2027-01-31T16:00:00+00:00"),
        ("2027-01-31T18:00:00.25-05:30", "2027-01-31T23:30:00.250000+00:00"),
    ],
)
def test_a_day_counts_until_it_is_over_in_utc_and_a_moment_is_itself(text: str, end: str) -> None:
    assert end_of(text).isoformat() == end


@pytest.mark.parametrize(
    "text",
    [
        *("", "never", "31.01.2027", "2027-1-31", "20270131", "2027-W04", "2027-02-29", "2027-13-01", "None"),
        # Whose six o'clock?
        *("2027-01-31T18:00:00", "2027-01-31 18:00:00Z", "2027-01-31T18:00Z", "2027-01-31T25:00:00Z"),
        *(
            "9999-12-31",
            "0001-01-01T00:00:00+01:00",
            "2027-01-31\n",
            " 2027-01-31",
            "\N{ARABIC-INDIC DIGIT TWO}027-01-31",
            "1801440000",
        ),
    ],
)
def test_anything_else_is_told_with_what_was_expected(text: str) -> None:
    with pytest.raises(ValueError, match=r"(?s)^found '.*'; expected a "):
        end_of(text)


@given(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)))
def test_what_it_says_is_read_again_as_the_same(moment: datetime) -> None:
    assert end_of(moment.isoformat()) == moment


@given(st.text())
def test_any_text_is_a_moment_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert end_of(text).tzinfo is UTC
