"""A page is asked for once more where the machine's network changed meanwhile, and for no other reason."""

from __future__ import annotations

from typing import Any, cast

import pytest
from playwright.sync_api import Error, Page, Response

from tests.e2e.browsing import visit

CHANGED = Error("Page.goto: net::ERR_NETWORK_CHANGED at https://site.test/")
ITS_PAGE = Error(
    'Page.goto: Navigation to "https://site.test/" is interrupted by another navigation to '
    '"chrome-error://chromewebdata/"'
)


class Opening:
    """A page that answers each attempt with the next of these."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = list(outcomes)

    def on(self, *_: object) -> None:
        return

    def goto(self, *_: object, **__: object) -> Any:
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Error):
            raise outcome
        return outcome


def opened(*outcomes: Any) -> Response:
    return visit(cast(Page, Opening(*outcomes)), "https://site.test/")


def test_a_change_of_the_network_and_the_page_that_follows_it_late_are_no_failure() -> None:
    answer = cast(Response, "the answer")
    assert opened(CHANGED, ITS_PAGE, answer) is answer


@pytest.mark.parametrize(
    "text", ["net::ERR_CONNECTION_REFUSED", "net::ERR_CERT_AUTHORITY_INVALID", "Timeout"]
)
def test_any_other_error_is_told_at_once(text: str) -> None:
    with pytest.raises(Error, match=text):
        opened(Error(text), "answer")
