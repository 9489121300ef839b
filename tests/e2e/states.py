"""What stands on the lab's hosts, as lines that can be compared: whoever changed anything shows in them."""

from __future__ import annotations

from collections import Counter

from .engine_view import ask
from .site import Lab

# Left out: where Ansible puts what it runs, what apt, git and Docker write for
# themselves, what a running system does, and what `make deploy` lays anew when it sees to it that the lab stands.
_LEFT_OUT = (
    *("*/.ansible", "/var/cache/apt", "/var/lib/systemd", "/var/log", "/var/tmp", "/var/lib/docker"),  # noqa: S108
    *("/root/.docker/buildx", "*/.git/index"),
    *("/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/srv/models", "/srv/forge"),
)
_FILES = (
    f"find /etc /home /opt /root /srv /usr /var -xdev \\( {' -o '.join(f'-path {p!r}' for p in _LEFT_OUT)} \\) -prune"
    # The time of a file's last change cannot be set back.
    " -o -type d -printf '%p %m %u %g\\n' -o -printf '%p %m %u %g %s %C@\\n'"
)
_DOCKER = (
    "docker image ls -q --no-trunc; docker network ls --format '{{.Name}} {{.Driver}}';"
    " docker ps -aq | xargs -r docker inspect -f '{{.Name}} {{.Id}} {{.Image}} {{.State.StartedAt}}'"
)
# What an interrupted deployment may leave: Ansible's folders, git's and apt's locks, Compose's half-made containers,
# images without a name, containers of a validation.
_LEFTOVERS = (
    "find /home /root -path '*/.ansible/tmp/ansible-tmp-*' -prune -print;"
    " find /opt/comfystack -name '*.lock' -path '*/.git/*' -print;"
    " dpkg --audit;"
    " docker ps -a --format '{{.Names}}' | grep -vxF -e comfyui-qwen -e api -e edge || true;"
    " docker images --filter dangling=true --format 'image {{.ID}}'"
)


def guest(lab: Lab, title: str) -> Counter[str]:
    """Files, packages and Docker's objects of the Docker host."""
    shown = lab.guest(
        f"state-{title}", f"{_FILES}; dpkg -l; if command -v docker >/dev/null; then {_DOCKER}; fi"
    )
    return Counter(shown.splitlines())


def windows(lab: Lab) -> Counter[str]:
    """Everything that the Windows host remembers."""
    return Counter(ask("files", lab.names.container("windows-host"), "/var/lib/winsim"))


def leftovers(lab: Lab, title: str) -> list[str]:
    """What an interrupted deployment has left on either host."""
    found = lab.guest(f"leftovers-{title}", _LEFTOVERS).splitlines()
    temporary = ("/comfystack.", "/ansible-tmp-")
    found += [line for line in windows(lab) if any(part in line for part in temporary)]
    return found + [str(path) for path in lab.build.glob("*.lock") if path.name == "deploy.lock"]
