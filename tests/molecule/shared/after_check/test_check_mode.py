"""A check tells what it would change, and changes nothing."""

from __future__ import annotations

from testinfra.host import Host

# Left out: where Ansible puts the module it runs, apt's copy of its own index in another form, and what a
# running system writes by itself.
_PLACES = "/etc /home /opt /root /srv /usr /var"
_LEFT_OUT = ("*/.ansible", "/var/cache/apt", "/var/lib/systemd", "/var/log", "/var/tmp")  # noqa: S108


def test_the_check_left_every_file_as_it_was(guest: Host) -> None:
    assert guest.file("/run/before-check").exists
    left_out = " -o ".join(f"-path '{path}'" for path in _LEFT_OUT)
    changed = guest.check_output(
        rf"find {_PLACES} -xdev \( {left_out} \) -prune -o -cnewer /run/before-check -print"
    )
    # A folder in which one of these was made is newer too.
    parents = ("/home/siteadmin", "/root", "/var/cache")
    assert [path for path in changed.splitlines() if path not in parents] == []
