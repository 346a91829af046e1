#!/usr/bin/env bash
# Installs the Debian packages that some tests need. Without root or apt it names what is missing, and those tests are
# skipped by name: nothing else depends on them.
set -euo pipefail

# program, package, what it is for
needed=(
    "redis-server redis-server the Sentinel and failover tests"
    "chromium chromium the browser test"
    "rabbitmq-server rabbitmq-server the comparison with channels_rabbitmq"
    "openssl openssl the TLS tests"
    "prometheus prometheus the tests of metrics, dashboards and alerts"
)

missing=()
for line in "${needed[@]}"; do
    read -r program package purpose <<<"$line"
    if ! PATH="$PATH:/usr/sbin:/sbin" command -v "$program" >/dev/null; then
        missing+=("$package")
        echo "$package is not installed: $purpose need it"
    fi
done
[ "${#missing[@]}" -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "Those tests will be skipped. To run them: sudo apt-get install ${missing[*]}"
    exit 0
fi

echo "Installing ${missing[*]} with apt-get"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    tail -n 5 "$log"
    echo "apt-get could not install them: those tests will be skipped."
fi
