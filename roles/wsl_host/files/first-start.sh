#!/bin/sh
# Run once, as root, in a guest that was just imported: afterwards systemd runs it from its next start on, sshd answers,
# and the account $1 logs on with the key $2 and may use sudo. Prints the guest's host key last.
set -eu
user=$1
key=$2

missing=
for package in openssh-server python3 sudo systemd-sysv; do
    dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' ||
        missing="$missing $package"
done
if [ -n "$missing" ]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update --quiet=2
    # Unquoted: one word per package.
    # shellcheck disable=SC2086
    apt-get install --quiet=2 --yes --no-install-recommends $missing
fi

if ! id "$user" >/dev/null 2>&1; then
    useradd --create-home --shell /bin/bash "$user"
fi
printf '%s ALL=(ALL) NOPASSWD: ALL\n' "$user" >/etc/sudoers.d/comfystack
chmod 0440 /etc/sudoers.d/comfystack

home=$(getent passwd "$user" | cut -d : -f 6)
install -d -m 0700 -o "$user" -g "$user" "$home/.ssh"
printf '%s\n' "$key" >"$home/.ssh/authorized_keys"
chown "$user:$user" "$home/.ssh/authorized_keys"
chmod 0600 "$home/.ssh/authorized_keys"

# Some images come with a wsl.conf; only what they do not say is added.
touch /etc/wsl.conf
if ! grep -q '^systemd *= *true' /etc/wsl.conf; then
    printf '[boot]\nsystemd=true\n' >>/etc/wsl.conf
fi

ssh-keygen -A >/dev/null
systemctl enable ssh.service >/dev/null 2>&1
cat /etc/ssh/ssh_host_ed25519_key.pub
