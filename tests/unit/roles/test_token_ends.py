"""What a deployment makes of the ends that an inventory gives its tokens: through Ansible, as preflight asks."""

from __future__ import annotations

import pytest
import yaml

from tests.own_modules import PLUGINS, load

from . import asking
from .interface import ROOT
from .rendering import LEAST

FILTERS = load("token_filters", PLUGINS / "filters" / "tokens.py")
SITE = {name: value for name, value in LEAST.items() if name.startswith("site_")}
# As an inventory has them.
CASES = {
    "never": "[{name: ann}]",
    "a-date": "[{name: ann, expires: '2999-01-31'}]",
    "a-moment": "[{name: ann, expires: '2999-01-31T18:00:00+01:00'}]",
    "a-second-that-is-past": "[{name: ann}, {name: ben, expires: '2020-01-31'}]",
    "a-first-that-is-past": "[{name: ann, expires: '2020-01-31'}, {name: ben}]",
    "no-such-day": "[{name: ann}, {name: ben, expires: '2999-02-31'}, {name: cleo, expires: soon}]",
    "no-zone": "[{name: ann}, {name: ben, expires: '2999-01-31T18:00:00'}]",
    "nothing": "[{name: ann, expires: }]",
    "empty": "[{name: ann, expires: ''}]",
    # To YAML these are no texts.
    "a-bare-date": "[{name: ann, expires: 2999-01-31}]",
    "a-bare-moment": "[{name: ann, expires: 2999-01-31T18:00:00+01:00}]",
}
BARE = ('"api_service_tokens": a date without quotation marks\n', "argument_specs.yml has them")
TOLD = {
    "a-first-that-is-past": (
        "in api_service_tokens, the first token, ann, at 2020-02-01T00:00:00+00:00, has ended",
        "put another first",
    ),
    "no-such-day": ("ben: 2999-02-31; cleo: soon", "expected: a date such as 2027-01-31"),
    "no-zone": ("ben: 2999-01-31T18:00:00", "a moment with its zone"),
    "nothing": ("ann: None", "leave `expires` out"),
    "empty": ("(ann: )", "leave `expires` out"),
    "a-bare-date": BARE,
    "a-bare-moment": BARE,
}


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Case -> what preflight finds there."""
    hosts = {}
    for case, text in CASES.items():
        tokens = [{"token": "t" * 32, **one} for one in yaml.safe_load(text)]
        hosts[case] = {**SITE, "preflight_roles": ["api_service"], "api_service_tokens": tokens}
    return asking.findings(tmp_path_factory.mktemp("ends"), ROOT / "roles", hosts)


@pytest.mark.parametrize("case", sorted(set(CASES) - set(TOLD)))
def test_no_end_a_later_one_and_one_that_has_come_since_do_not_stop_a_deployment(
    findings: dict[str, list[str]], case: str
) -> None:
    assert findings[case] == []


@pytest.mark.parametrize("case", TOLD)
def test_what_is_no_end_and_a_first_token_that_opens_nothing_are_refused(
    findings: dict[str, list[str]], case: str
) -> None:
    (finding,) = findings[case]
    for words in (f"{case}: found: ", "api_service_tokens", "expected: ", "next step: ", *TOLD[case]):
        assert words in finding


def test_those_that_have_ended_are_told_by_name() -> None:
    tokens = [
        {"name": "ann"},
        {"name": "ben", "expires": "2020-01-31"},
        {"name": "cleo", "expires": "2020-02-01"},
    ]
    moment = 1580515200.0  # 2020-02-01T00:00:00Z
    assert FILTERS.ended(tokens, moment) == ["ben, at 2020-02-01T00:00:00+00:00"]
    assert FILTERS.ended(tokens, moment - 1) == []
    assert len(FILTERS.ended(tokens)) == 2
