#!/usr/bin/env bash
# Installs the Debian packages that a cluster of our own needs, as root where apt is; elsewhere the tests that need them
# are skipped, and say which are missing.
set -euo pipefail
packages=(etcd-server containerd runc containernetworking-plugins buildah debootstrap iproute2 nftables iptables
    openssl gcc libc6-dev procps util-linux)

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then exit 0; fi
missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ "${#missing[@]}" -gt 0 ] || exit 0

echo "Installing ${missing[*]} with apt-get"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# They would start services of the machine's own, which these tests do not use.
RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
