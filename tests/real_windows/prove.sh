#!/usr/bin/env bash
# In the WSL 1 guest of a throw-away Windows, which shares its ports with Windows: deploys the gateway twice, verifies
# it, and asks the smoke test. Never yet run; .github/workflows/real-windows.yml calls it in a checkout.
# usage: tests/real_windows/prove.sh PUBLIC_NAME
set -euo pipefail
name=$1
checkout=$PWD
reports=$checkout/build/real-windows
inventory=inventories/real-windows

# A folder of Windows has no modes, and secrets need 0600.
cp -r "$checkout" ~/repository
cd ~/repository
chmod -R go-rwx build/real-windows
make tools
export PATH="$PWD/build/venv/bin:$PATH" ANSIBLE_CONFIG="$PWD/ansible/ansible.cfg"

python3 -c 'import secrets; print(secrets.token_hex(32))' | tee "$reports/token" >build/real-windows/token
python -m tests.real_windows.backend build/real-windows/token 8188 &
backend=$!
trap 'kill "$backend"' EXIT
curl --silent --output /dev/null --retry 30 --retry-connrefused --retry-delay 1 http://127.0.0.1:8188/

# Microsoft publishes no checksums. This machine is thrown away: what comes today is taken, and its sums are told.
for name in iis_gateway_url_rewrite iis_gateway_arr; do
  file=$PWD/build/real-windows/$name.msi
  defaults=roles/iis_gateway/defaults/main.yml
  address=$(python -c "import yaml; print(yaml.safe_load(open('$defaults'))['$name']['source'])")
  curl --fail --silent --show-error --location --output "$file" "$address"
  sum=$(sha256sum "$file" | cut -d ' ' -f 1)
  printf '%s: {source: %s, sha256: %s}\n' "$name" "$file" "$sum" | tee -a "$reports/installers.yml"
done

deploy=(ansible-playbook -i "$inventory" tests/real_windows/site.yml -e "@$reports/installers.yml")
"${deploy[@]}"
"${deploy[@]}" | tee "$reports/second-run.txt"
grep --quiet 'changed=0 ' "$reports/second-run.txt"

pytest tests/infra/test_public.py tests/infra/test_windows.py --inventory "$inventory" \
  --access build/real-windows/access.json --junitxml "$reports/verify.xml"

# Windows trusts what it is to serve, as a visitor would who was handed the file.
cp build/real-windows/tls/self-signed.pem "$reports/self-signed.cer"
certutil.exe -addstore Root "$(wslpath -w "$reports/self-signed.cer")"

powershell.exe -NoProfile -ExecutionPolicy Bypass -File "$(wslpath -w "$checkout/iis/smoke/Test-Host.ps1")" \
  -Name "$name" -TokenFile "$(wslpath -w "$reports/token")" -Json | tee "$reports/smoke.json"
