"""What whoever runs the service asks it, and how much one token may ask for."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import openai
import pytest
from comfystack_api.images.limits import WINDOW_SECONDS, Limits
from comfystack_api.images.refusals import Refused
from comfystack_api.metrics import Metrics
from prometheus_client.parser import text_string_to_metric_families

from tests.contract.server import Server, wait_for

from .conftest import Service, exchanging, running
from .test_openai import FAST, client

# As the edge sends it.
FROM_THE_EDGE = {"X_Peer_Address": "10.0.0.1"}
CARD = {
    "name": "cuda:0 NVIDIA GeForce RTX 3090 : cudaMallocAsync",
    "index": 0,
    "vram_total": 25_769_279_488,
    "vram_free": 1_000,
}

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(text: str) -> Samples:
    """By name and labels; the parser refuses what Prometheus would."""
    return {
        (one.name, tuple(sorted(one.labels.items()))): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


class TestReady:
    def test_a_short_queue_is_and_a_deep_one_is_not(
        self, tmp_path: Path, comfyui: Server, long_graph: dict[str, Any]
    ) -> None:
        with running(tmp_path, comfyui.url, ready_queue=1) as service:
            ready = service.ask("GET", "/readyz")
            assert (ready.status, ready.json()) == (200, {"ready": True, "queue": 0})
            for _ in range(2):
                comfyui.submit(long_graph)
            full = service.ask("GET", "/readyz")
            assert (full.status, full.json()["error"]["code"]) == (503, "queue_full")
            assert int(full.headers["Retry-After"]) > 0
        comfyui.post("/queue", {"clear": True})
        comfyui.post("/interrupt")
        comfyui.wait_idle()


class TestMetrics:
    def test_jobs_failures_and_the_queue_are_counted(self, with_comfyui: Service, comfyui: Server) -> None:
        with client(with_comfyui) as ann:
            for _ in range(2):
                ann.images.generate(prompt="a", size="256x256", model="text-to-image", extra_body=FAST)
        told = samples(with_comfyui.ask("GET", "/metrics").text)
        assert told["comfystack_job_seconds_count", (("workflow", "text-to-image"),)] == 2
        assert told["comfystack_job_seconds_sum", (("workflow", "text-to-image"),)] > 0
        assert told["comfystack_queue_jobs", (("state", "running"),)] == 0
        assert told["comfystack_comfyui_up", ()] == 1
        assert any(name == "comfystack_gpu_memory_total_bytes" for name, _ in told)

    def test_a_failure_is_counted_by_its_code(self, tmp_path: Path, comfyui: Server) -> None:
        with running(tmp_path, comfyui.url, **exchanging(comfyui), job_seconds=0) as service:
            with client(service) as ann, pytest.raises(openai.InternalServerError) as late:
                ann.images.generate(prompt="a", size="256x256", extra_body=FAST)
            assert (late.value.status_code, late.value.code) == (504, "timeout")
            told = samples(service.ask("GET", "/metrics").text)
            assert told["comfystack_job_failures_total", (("type", "timeout"),)] == 1
            wait_for(lambda: comfyui.get("/prompt").json()["exec_info"]["queue_remaining"] == 0)

    def test_the_card_is_named_as_its_maker_names_it(self) -> None:
        told = samples(Metrics().text({}, {"devices": [CARD]}).decode())
        labels = (("device", "0"), ("gpu", "NVIDIA GeForce RTX 3090"))
        assert told["comfystack_gpu_memory_total_bytes", labels] == 25_769_279_488
        assert told["comfystack_gpu_memory_free_bytes", labels] == 1_000

    def test_without_comfyui_there_is_no_card_and_no_queue(self, service: Service) -> None:
        told = samples(service.ask("GET", "/metrics").text)
        assert told["comfystack_comfyui_up", ()] == 0
        assert not [name for name, _ in told if name.startswith(("comfystack_gpu", "comfystack_queue"))]

    @pytest.mark.parametrize(
        ("who", "status"), [(None, 401), ("0" * 64, 401), ("ann", 403), ("operator", 200)]
    )
    def test_through_the_edge_they_are_for_admins(
        self, service: Service, who: str | None, status: int
    ) -> None:
        assert service.ask("GET", "/metrics", who, None, **FROM_THE_EDGE).status == status


class TestTheDescription:
    def test_it_is_a_page_without_scripts_for_people_who_are_signed_in(self, service: Service) -> None:
        page = service.ask("GET", "/v1/docs", "ann")
        assert page.status == 200
        for path in service.ask("GET", "/v1/openapi.json", "ann").json()["paths"]:
            assert f" {path}</code>" in page.text
        assert "<script" not in page.text
        stranger = service.ask("GET", "/v1/docs", None, None, Accept="text/html")
        assert (stranger.status, stranger.headers["Location"]) == (303, "/login?next=%2Fv1%2Fdocs")


class TestLimits:
    def test_requests_within_a_minute(self) -> None:
        now = [0.0]
        limits = Limits(2, 9, clock=lambda: now[0])
        for _ in range(2):
            with limits.one("ann"):
                now[0] += 1
        with pytest.raises(Refused) as refused, limits.one("ann"):
            pass
        assert refused.value.status == 429
        assert int(refused.value.headers["Retry-After"]) == WINDOW_SECONDS - 2
        with limits.one("ben"):
            pass
        now[0] = WINDOW_SECONDS
        with limits.one("ann"):
            pass

    def test_requests_at_a_time_whatever_becomes_of_them(self) -> None:
        limits = Limits(9, 1)
        with suppress(ValueError), limits.one("ann"):
            with pytest.raises(Refused) as refused, limits.one("ann"):
                pass
            assert (refused.value.status, refused.value.code) == (429, "rate_limit_exceeded")
            with limits.one("ben"):
                pass
            raise ValueError
        with limits.one("ann"):
            pass

    def test_openais_client_sees_them(self, tmp_path: Path, comfyui: Server) -> None:
        limits = {"requests_per_minute": 1}
        with (
            running(tmp_path, comfyui.url, **exchanging(comfyui), **limits) as service,
            client(service) as ann,
            client(service, "ben") as ben,
        ):
            ann.images.generate(prompt="a", size="256x256", extra_body=FAST)
            with pytest.raises(openai.RateLimitError) as refused:
                ann.images.generate(prompt="a", size="256x256", extra_body=FAST)
            assert refused.value.code == "rate_limit_exceeded"
            assert int(refused.value.response.headers["retry-after"]) > 0
            ben.images.generate(prompt="a", size="256x256", extra_body=FAST)
            assert ann.models.list().data, "only pictures are counted"
