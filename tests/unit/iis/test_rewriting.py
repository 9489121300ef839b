"""The traps of URL Rewrite: each setting of the deployed rules, taken away, visibly breaks the site."""

from __future__ import annotations

import pytest

from tests.unit.iis.machine import NAME, VARIABLES, Machine, on_machine, render


@on_machine
async def test_plain_http_is_sent_to_https_under_the_public_name(machine: Machine) -> None:
    response, _ = await machine.get("/userdata/a%2Fb?x=1%20", scheme="http")
    assert response.status == 301
    assert response.headers["Location"] == f"https://{NAME}/userdata/a%2Fb?x=1%20"
    assert machine.backend.requests == []


@on_machine
async def test_a_certificate_authority_is_answered_over_plain_http(machine: Machine) -> None:
    machine.write(r".well-known\acme-challenge\token-1", "token-1.thumbprint")
    response, body = await machine.get("/.well-known/acme-challenge/token-1", scheme="http")
    assert (response.status, body) == (200, "token-1.thumbprint")
    assert response.content_type == "text/plain"
    missing, _ = await machine.get("/.well-known/acme-challenge/other", scheme="http")
    assert missing.status == 404
    assert machine.backend.requests == []


@on_machine
async def test_without_the_exemption_a_certificate_authority_is_redirected(machine: Machine) -> None:
    machine.write(r".well-known\acme-challenge\token-1", "token-1.thumbprint")
    machine.configure(r"^\.well-known/acme-challenge/", "^never$")
    response, _ = await machine.get("/.well-known/acme-challenge/token-1", scheme="http")
    assert response.status == 301


@on_machine
async def test_without_a_type_for_bare_names_a_challenge_is_not_served(machine: Machine) -> None:
    machine.write(r".well-known\acme-challenge\token-1", "token-1.thumbprint")
    machine.configure('<mimeMap fileExtension="." mimeType="text/plain" />', "")
    response, body = await machine.get("/.well-known/acme-challenge/token-1", scheme="http")
    assert response.status == 404
    assert "404.3" in body


@on_machine
async def test_before_the_first_certificate_the_redirect_can_be_left_out(machine: Machine) -> None:
    machine.write("web.config", render(_iis_gateway_redirect=False))
    response, _ = await machine.get("/", scheme="http")
    assert response.status == 200
    assert machine.backend.last.headers["x-forwarded-proto"] == "http"


@on_machine
async def test_a_client_cannot_forge_where_it_comes_from(machine: Machine) -> None:
    forged = {"X-Forwarded-For": "10.0.0.1", "X-Forwarded-Proto": "gopher", "X-Forwarded-Host": "evil.test"}
    await machine.get("/", headers=forged)
    seen = machine.backend.last.headers
    assert seen["x-forwarded-for"] == "127.0.0.1"
    assert seen["x-forwarded-proto"] == "https"
    assert seen["x-forwarded-host"] == f"{NAME}:{machine.ports.https}"


@on_machine
async def test_without_clearing_it_a_forged_origin_stands_in_front(machine: Machine) -> None:
    machine.configure('<set name="HTTP_X_FORWARDED_FOR" value="" />', "")
    await machine.get("/", headers={"X-Forwarded-For": "10.0.0.1"})
    assert machine.backend.last.headers["x-forwarded-for"] == "10.0.0.1, 127.0.0.1"


@on_machine
async def test_the_decoded_capture_loses_an_escaped_slash(machine: Machine) -> None:
    machine.configure('<match url=".*" />\n          <!--', '<match url="(.*)" />\n          <!--')
    machine.configure("8188{UNENCODED_URL}", "8188/{R:1}")
    await machine.get("/userdata/a%2Fb")
    assert machine.backend.last.raw_path == "/userdata/a/b"


@on_machine
async def test_without_original_encoding_off_an_escape_is_escaped_again(machine: Machine) -> None:
    machine.configure('<rules useOriginalURLEncoding="false">', "<rules>")
    await machine.get("/userdata/a%2Fb")
    assert machine.backend.last.raw_path == "/userdata/a%252Fb"


@on_machine
async def test_appending_the_query_string_as_well_doubles_it(machine: Machine) -> None:
    machine.configure(
        '{UNENCODED_URL}"\n                  appendQueryString="false" />', '{UNENCODED_URL}" />'
    )
    await machine.get("/view?filename=a.png")
    assert machine.backend.last.raw_path == "/view?filename=a.png&filename=a.png"


@pytest.mark.parametrize("variable", VARIABLES)
@on_machine
async def test_a_variable_that_the_server_does_not_allow_fails_every_request(
    machine: Machine, variable: str
) -> None:
    with machine.store.edit() as state:
        state.allowed_server_variables.remove(variable)
    response, body = await machine.get("/")
    assert response.status == 500
    assert "500.50" in body
    assert variable in body
    assert machine.backend.requests == []


@on_machine
async def test_allowed_variables_are_compared_without_case(machine: Machine) -> None:
    with machine.store.edit() as state:
        state.allowed_server_variables = [name.lower() for name in state.allowed_server_variables]
    response, _ = await machine.get("/")
    assert response.status == 200


@pytest.mark.parametrize(
    ("action", "status", "told"),
    [
        ('<action type="CustomResponse" statusCode="403" statusReason="No" />', 403, "403.0"),
        ('<action type="Redirect" url="/x/{ToLower:{HTTP_X_WHO}}" redirectType="Found" />', 302, "/x/me?q=1"),
        ('<action type="Rewrite" url="/page.txt" />', 200, "from a file"),
        ('<action type="Rewrite" url="http://127.0.0.1:8188/{NO_SUCH}" />', 500, "NO_SUCH"),
        ('<action type="Rewrite" url="http://localhost:8188/" />', 500, "localhost"),
        ('<action type="Rewrite" url="https://127.0.0.1:8188/" />', 500, "https://127.0.0.1:8188/"),
        ('<action type="Rewrite" url="http://127.0.0.1:8188/{nomap:x}" />', 500, "nomap"),
    ],
)
@on_machine
async def test_the_other_actions_do_what_they_say_or_name_what_is_not_modelled(
    machine: Machine, action: str, status: int, told: str
) -> None:
    machine.write("page.txt", "from a file")
    rule = f'<rule name="other" stopProcessing="true"><match url="^other$" />{action}</rule>'
    machine.configure("<clear />\n\n", f"<clear />\n{rule}\n")
    response, body = await machine.get("/other?q=1", headers={"X-Who": "ME"})
    assert response.status == status
    assert told in response.headers.get("Location", "") + body


@pytest.mark.parametrize(
    ("conditions", "matched"),
    [
        ('<conditions><add input="{REQUEST_METHOD}" pattern="^get$" /></conditions>', True),
        (
            '<conditions><add input="{REQUEST_METHOD}" pattern="^get$" ignoreCase="false" /></conditions>',
            False,
        ),
        ('<conditions><add input="{QUERY_STRING}" pattern="k=v" negate="true" /></conditions>', False),
        (
            '<conditions logicalGrouping="MatchAny"><add input="{HTTPS}" pattern="off" />'
            '<add input="{SERVER_PORT}" pattern="^443$" /></conditions>',
            True,
        ),
        (
            '<conditions><add input="{HTTPS}" pattern="off" />'
            '<add input="{SERVER_PORT}" pattern="^443$" /></conditions>',
            False,
        ),
        ('<conditions><add input="{REQUEST_FILENAME}" matchType="IsFile" /></conditions>', False),
        (
            '<conditions><add input="{REQUEST_FILENAME}" matchType="IsFile" negate="true" /></conditions>',
            True,
        ),
    ],
)
@on_machine
async def test_conditions_decide_as_in_iis(machine: Machine, conditions: str, matched: bool) -> None:
    rule = (
        f'<rule name="c" stopProcessing="true"><match url="^c$" />{conditions}'
        '<action type="CustomResponse" statusCode="410" /></rule>'
    )
    machine.configure("<clear />\n\n", f"<clear />\n{rule}\n")
    response, _ = await machine.get("/c?k=v")
    assert response.status == (410 if matched else 200)


@on_machine
async def test_a_condition_hands_its_groups_to_the_action(machine: Machine) -> None:
    rule = (
        '<rule name="c" stopProcessing="true"><match url="^(c)/(.*)$" />'
        '<conditions><add input="{HTTP_HOST}" pattern="^([^.]+)\\.([^.]+)" /></conditions>'
        '<action type="Redirect" url="https://{C:2}.test/{C:1}/{R:2}" appendQueryString="false" /></rule>'
    )
    machine.configure("<clear />\n\n", f"<clear />\n{rule}\n")
    response, _ = await machine.get("/c/deep/er")
    assert response.headers["Location"] == "https://comfystack.test/qwen-image-edit/deep/er"


@on_machine
async def test_a_rule_without_stop_processing_lets_the_next_one_speak(machine: Machine) -> None:
    rule = '<rule name="first"><match url="^old/(.*)" /><action type="Rewrite" url="new/{R:1}" /></rule>'
    then = (
        '<rule name="second" stopProcessing="true"><match url="^new/(.*)" />'
        '<action type="Redirect" url="/seen/{R:1}" redirectType="Temporary" /></rule>'
    )
    machine.configure("<clear />\n\n", f"<clear />\n{rule}{then}\n")
    response, _ = await machine.get("/old/thing?a=b")
    assert (response.status, response.headers["Location"]) == (307, "/seen/thing?a=b")
