"""What a source may answer, and what comes of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from comfystack.errors import AuthenticationError, WrongFileError
from comfystack.models.display import Display
from comfystack.models.errors import BusyError, SourceError

from tests.model_source import Source, serving

from .conftest import Site

TOKEN = "hf_notARealToken"  # noqa: S105


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (401, AuthenticationError, "answered 401, without a token"),
        (403, AuthenticationError, "answered 403, without a token"),
        (404, SourceError, "answered 404"),
        (410, SourceError, "answered 410"),
    ],
)
def test_a_refusal_is_said_at_once_and_leaves_nothing(
    status: int, error: type[Exception], words: str, site: Site, quiet: Display
) -> None:
    site.add("a")
    site.source.always = (status, {})
    with pytest.raises(error, match=words):
        site.fetch(quiet)
    assert site.waited == []
    assert site.rest() == []


@pytest.mark.parametrize(("status", "header", "waits"), [(429, "7", 7), (503, "3", 3), (500, None, 2)])
def test_a_busy_source_is_asked_again_when_it_says(
    status: int, header: str | None, waits: float, site: Site, quiet: Display
) -> None:
    content = site.add("a")
    site.source.answers = [(status, {"Retry-After": header} if header else {})]
    assert site.fetch(quiet).fetched
    assert site.waited == [waits]
    assert site.final("a").read_bytes() == content


def test_retry_after_may_be_a_date_and_one_too_late_is_not_waited_for(site: Site, quiet: Display) -> None:
    site.add("a")
    site.source.always = (429, {"Retry-After": "Fri, 31 Dec 2100 23:59:59 GMT"})
    with pytest.raises(BusyError, match="answered 429, to come back in"):
        site.fetch(quiet)
    assert site.waited == []


def test_a_source_that_stays_busy_is_given_up(site: Site, quiet: Display) -> None:
    site.add("a")
    site.source.always = (502, {})
    with pytest.raises(BusyError, match="answered 502"):
        site.fetch(quiet, attempts=3)
    assert len(site.waited) == 2


def test_nobody_there_is_said(site: Site, quiet: Display) -> None:
    site.add("a")
    with pytest.raises(BusyError, match=r"cannot be reached: .*refused"):
        site.fetch(quiet, attempts=1, mirror="http://127.0.0.1:1")


def test_a_server_without_ranges_serves_too_and_half_a_file_is_begun_again(
    site: Site, quiet: Display
) -> None:
    content = site.add("a", 3_000_000)
    site.source.ranges = False
    site.final("a").parent.mkdir()
    (site.folder / "loras" / ".a.safetensors.part").write_bytes(content[:1_000_000])
    assert site.fetch(quiet).fetched
    assert site.final("a").read_bytes() == content


def test_an_answer_cut_short_is_gone_on_with(site: Site, quiet: Display) -> None:
    content = site.add("a", 3_000_000)
    site.source.cut = 1_000_000
    assert site.fetch(quiet, connections=1).fetched
    assert site.final("a").read_bytes() == content


def test_another_size_at_the_source_is_said_before_it_is_fetched(site: Site, quiet: Display) -> None:
    site.add("a", bytes=2999)
    with pytest.raises(WrongFileError, match="the source has 3000 bytes"):
        site.fetch(quiet)
    assert site.source.sent <= 1


def test_the_mirror_is_asked_for_the_path_of_the_source(site: Site, quiet: Display) -> None:
    site.add("a", revision="refs/pr/1", path="some folder/a.safetensors")
    site.fetch(quiet, mirror=f"{site.source.url}/models/")
    assert {path for path, _ in site.source.asked} == {
        "/models/owner/repository/resolve/refs%2Fpr%2F1/some%20folder/a.safetensors"
    }


class TestTheToken:
    def test_it_opens_its_own_host_and_many_ranges_still_run(self, site: Site, quiet: Display) -> None:
        content = site.add("a", 9_000_000)
        site.source.token = TOKEN
        assert site.fetch(quiet, token=TOKEN, connections=4).fetched
        assert site.final("a").read_bytes() == content
        assert len(set(site.source.header("Range"))) >= 5, "one look, four ranges, and more on a slow machine"

    def test_a_redirect_to_another_host_does_not_get_it(
        self, site: Site, quiet: Display, tmp_path: Path
    ) -> None:
        content = site.add("a", 3_000_000)
        other_folder = tmp_path / "other"
        other_folder.mkdir()
        (other_folder / "a.safetensors").write_bytes(content)
        with serving(Source(other_folder)) as other:
            site.source.always = (302, {"Location": f"{other.url}/x/a.safetensors?signature=s"})
            assert site.fetch(quiet, token=TOKEN).fetched
            assert set(site.source.header("Authorization")) == {f"Bearer {TOKEN}"}
            assert len(other.asked) >= 2
            assert set(other.header("Authorization")) == {None}
        assert site.final("a").read_bytes() == content

    def test_a_way_back_from_another_host_does_not_get_it_either(
        self, site: Site, quiet: Display, tmp_path: Path
    ) -> None:
        site.add("a")
        with serving(Source(tmp_path)) as other:
            site.source.answers = [(302, {"Location": f"{other.url}/there"})]
            other.always = (302, {"Location": f"{site.source.url}/x/a.safetensors"})
            site.fetch(quiet, token=TOKEN)
        first, *later = site.source.header("Authorization")
        assert first == f"Bearer {TOKEN}"
        assert later
        assert set(later) == {None}

    def test_a_redirect_in_the_middle_of_a_transfer_does_not_get_it(
        self, site: Site, quiet: Display, tmp_path: Path
    ) -> None:
        """Seen of aria2: it sends a header on to where it is redirected."""
        site.add("a", 3_000_000)
        site.source.token = TOKEN
        with serving(Source(tmp_path)) as other:
            away = (302, {"Location": f"{other.url}/a.safetensors"})

            class OneLook(list[tuple[int, dict[str, str]]]):
                """The first question is answered with the file, everything after with a redirect."""

                looked = False

                def __bool__(self) -> bool:
                    looked, self.looked = self.looked, True
                    return looked

                def pop(self, _: object = 0) -> tuple[int, dict[str, str]]:
                    return away

            site.source.answers = OneLook()
            with pytest.raises(SourceError):
                site.fetch(quiet, token=TOKEN, attempts=1)
            assert other.asked == []

    def test_one_that_is_not_enough_is_said(self, site: Site, quiet: Display) -> None:
        site.add("a")
        site.source.always = (403, {})
        with pytest.raises(AuthenticationError, match="in spite of the token") as raised:
            site.fetch(quiet, token=TOKEN)
        assert "accept the file's terms" in raised.value.next_step
        assert TOKEN not in str(raised.value)


def test_redirects_without_end_are_left(site: Site, quiet: Display) -> None:
    site.add("a")
    site.source.always = (302, {"Location": "/again"})
    with pytest.raises(SourceError, match="the end of 10 redirects"):
        site.fetch(quiet)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://x.test/a"])
def test_a_redirect_out_of_http_is_refused(target: str, site: Site, quiet: Display) -> None:
    site.add("a")
    site.source.always = (302, {"Location": target})
    with pytest.raises(SourceError, match="redirects to"):
        site.fetch(quiet)
