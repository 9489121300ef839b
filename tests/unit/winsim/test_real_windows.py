"""What .github/workflows/real-windows.yml is to do on a real Windows, done on the simulated one.

The workflow itself was never run: what GitHub's machine brings, and WSL 1 on it, nobody here can see.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
from pathlib import Path

from aiohttp import web

from tests.lab.windows_host.winsim.iis import server
from tests.lab.windows_host.winsim.state import PortProxy
from tests.real_windows import backend

from .machine import PASSWORD, REPOSITORY, USER, Windows, new_windows

NAME = "images.real-windows.test"
INVENTORY = "inventories/real-windows"
BIN = Path(sys.executable).parent
TOKEN = "0123456789abcdef" * 4


def given(machine: Windows) -> dict[str, object]:
    """What differs between this machine and the one that the inventory means."""
    return {
        "ansible_host": "127.0.0.1",
        "ansible_port": machine.port,
        "ansible_user": USER,
        "ansible_password": PASSWORD,
        "ansible_winrm_ca_trust_path": str(machine.folder / "ca.pem"),
        "site_build_dir": str(machine.folder / "build"),
        # As prove.sh fetches them.
        "iis_gateway_url_rewrite": machine.installer("rewrite_amd64_en-US.msi"),
        "iis_gateway_arr": machine.installer("requestRouter_amd64.msi"),
    }


async def run(*command: str, folder: Path = REPOSITORY) -> tuple[int, str]:
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(REPOSITORY / "ansible" / "ansible.cfg"),
        "ANSIBLE_NOCOLOR": "1",
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "PYTHONPATH": str(REPOSITORY / "comfyui" / "client"),
    }
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def deploy(machine: Windows) -> str:
    code, said = await run(
        *("ansible-playbook", "-i", INVENTORY, "tests/real_windows/site.yml"),
        *("-e", json.dumps(given(machine))),
    )
    assert code == 0, said
    return said


async def verify(machine: Windows, which: str = "") -> tuple[int, str]:
    """The gateway part of verify, against the machine's data plane with the small backend behind it."""
    access = machine.folder / "build" / "access.json"
    runner = web.AppRunner(backend.application(TOKEN), shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        with machine.memory().edit() as state:
            # WSL 1 shares its ports with Windows; here another line of the port proxy does.
            state.portproxy = [PortProxy("127.0.0.1", 8188, "127.0.0.1", runner.addresses[0][1])]
        async with server.listening(machine.memory(), 0, 0, "127.0.0.1") as ports:
            document = json.loads(access.read_text())
            document["connect_to"] = {NAME: f"127.0.0.1:{ports.https}"}
            document["deployed"]["http_port"] = ports.http
            access.write_text(json.dumps(document))
            return await run(
                *("pytest", "-q", "-p", "no:cacheprovider", "tests/infra/test_public.py"),
                *("--inventory", INVENTORY, "--access", str(access), "-k", which),
            )
    finally:
        await runner.cleanup()


def test_the_gateway_is_deployed_twice_and_verified(tmp_path: Path) -> None:
    machine = new_windows(tmp_path / "machine")
    build = machine.folder / "build"
    build.mkdir()
    (build / "token").write_text(TOKEN)

    async def story() -> None:
        with machine.running():
            await deploy(machine)
            assert re.search(r"runner +: .*changed=0 ", await deploy(machine))
        code, said = await verify(machine)
        assert code == 0, said
        # The backend accepts compression where it is offered: without trap 1's setting its WebSocket dies.
        file = next(machine.drive("c", "inetpub", "comfystack", NAME).glob("web.config"))
        file.write_text(file.read_text().replace('<set name="HTTP_SEC_WEBSOCKET_EXTENSIONS" value="" />', ""))
        code, said = await verify(machine, "websocket_works")
        assert code == 1
        assert "1 failed" in said

    asyncio.run(story())


def test_the_shell_of_the_workflow_is_well_formed() -> None:
    bash = shutil.which("bash")
    assert bash is not None
    code, said = asyncio.run(run(bash, "-n", "tests/real_windows/prove.sh"))
    assert code == 0, said
