"""Every recorded request gets the recorded answer: status, content type and body."""

from __future__ import annotations

import pytest

from tests.contract import samples
from tests.contract.server import Server

STATELESS = samples.names(
    "free*",
    "get_*",
    "history_unknown",
    "history_delete",
    "interrupt_global",
    "interrupt_other",
    "job_deleted_pending",
    "prompt_400_*",
    "prompt_cross_origin*",
    "prompt_get",
    "prompt_notjson",
    "queue_clear",
    "queue_delete",
    "queue_idle",
    "system_stats*",
    "upload_image_nofile",
    "upload_image_traversal",
    "view_missing",
    "view_nofilename",
    "view_traversal",
)
NEEDS_A_JOB = {"get_jobs"}
# Recorded from a fresh server without shared models; how another one may differ is said below.
OF_A_SITE = {"get_users", "get_internal_folder_paths"}
WITHOUT_MODELS = {"get_models_loras", "prompt_400_model_missing"}
UPLOADS = [
    "upload_image",
    "upload_image_dup",
    "upload_image_dup_diff",
    "upload_image_sub",
    "upload_mask",
    "upload_nonimage",
]


@pytest.fixture(scope="module", autouse=True)
def uploaded(server: Server) -> None:
    """The recorded graphs load probe_in.png, so it is there before any of them is sent."""
    for name in UPLOADS:
        samples.assert_same(server, name, samples.replay(server, name))


@pytest.mark.parametrize("name", [name for name in STATELESS if name not in NEEDS_A_JOB | OF_A_SITE])
def test_the_answer_is_the_recorded_one(server: Server, name: str) -> None:
    server.wait_idle()
    if name in WITHOUT_MODELS and server.get("/models/loras").json():
        pytest.skip("recorded from a server without models, and this one has some")
    samples.assert_same(server, name, samples.replay(server, name))


def test_whether_somebody_has_settings_is_told(server: Server) -> None:
    recorded = samples.body("get_users")
    assert {**server.get("/users").json(), "migrated": False} == recorded
    assert server.ask("POST", "/userdata/contract.json", b"{}").status == 200
    assert server.get("/users").json() == {**recorded, "migrated": True}
    assert server.ask("DELETE", "/userdata/contract.json").status == 204


def test_the_folders_of_models_are_the_recorded_ones_and_those_that_are_shared(server: Server) -> None:
    shown = samples.normal(server.get("/internal/folder_paths").json(), server)
    for kind, folders in samples.normal(samples.body("get_internal_folder_paths"), server).items():
        assert [folder for folder in shown[kind] if folder.startswith("<comfyui>")] == folders, kind


@pytest.mark.parametrize(
    "path", ["/queue", "/prompt", "/history", "/system_stats", "/models", "/features", "/users"]
)
def test_every_route_answers_under_api_as_well(server: Server, path: str) -> None:
    with_prefix = server.get(f"/api{path}")
    assert with_prefix.status == 200
    assert samples.normal(with_prefix.json()) == samples.normal(server.get(path).json())


def test_internal_routes_have_no_api_twin(server: Server) -> None:
    assert server.get("/internal/folder_paths").status == 200
    assert server.get("/api/internal/folder_paths").status == 404


def test_the_files_of_a_folder_are_listed_with_its_name(server: Server) -> None:
    saved = server.run(samples.graph("prompt_ok"))["outputs"]["2"]["images"][0]
    listed = server.get("/internal/files/output")
    assert listed.headers["Content-Type"] == "application/json; charset=utf-8"
    assert all(name.endswith(" [output]") for name in listed.json())
    assert saved["subfolder"] or f"{saved['filename']} [output]" in listed.json()


def test_a_public_host_name_may_have_its_own_origin(server: Server) -> None:
    """What a proxy must achieve: with the public Host kept, the site's own page is let in."""
    headers = {"Host": "comfy.example.com", "Origin": "https://comfy.example.com"}
    assert server.ask("GET", "/system_stats", headers=headers).status == 200


def test_the_page_opens_a_websocket(server: Server) -> None:
    page = server.get("/")
    assert page.status == 200
    assert page.headers["Content-Type"] == "text/html"
    assert page.headers["Cache-Control"] == "no-store, must-revalidate"


def test_a_stored_picture_is_served_whole_and_as_a_preview(server: Server) -> None:
    saved = server.run(samples.graph("prompt_ok"))["outputs"]["2"]["images"][0]
    whole = server.output(saved)
    assert whole.headers["Content-Type"] == "image/png"
    assert whole.headers["X-Content-Type-Options"] == "nosniff"
    assert whole.picture().getpixel((0, 0)) == (255, 0, 0)
    preview = server.output({**saved, "preview": "webp;80"})
    assert preview.headers["Content-Type"] == "image/webp"
    assert preview.picture().size == (64, 48)
    alpha = server.output({**saved, "channel": "a"})
    assert alpha.picture().mode == "RGBA"


def test_a_page_stored_as_an_input_is_a_download(server: Server) -> None:
    """Else anybody who may upload could run a script in the site's name."""
    server.upload("page.html", b"<script>1</script>", overwrite="true")
    answer = server.get("/view", filename="page.html", type="input")
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_list_instead_of_an_object_has_no_prompt(server: Server) -> None:
    assert server.post("/prompt", []).json()["error"]["type"] == "no_prompt"
    assert server.post("/queue", []).status == 200


def test_a_subfolder_that_leads_out_is_forbidden(server: Server) -> None:
    assert server.get("/view", filename="x.png", subfolder="../..").status == 403


def test_the_newest_jobs_of_the_history_can_be_asked_for(server: Server) -> None:
    newest = [server.submit(samples.graph("prompt_ok")) for _ in range(3)][-2:]
    for prompt_id in newest:
        server.finished(prompt_id)
    assert list(server.get("/history", max_items="2").json()) == newest
