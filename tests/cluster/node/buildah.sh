#!/usr/bin/env bash
# buildah with a store of its own in the cache. Builds run in a chroot on this machine's network, with this machine's
# certificate authorities, so that pip and apt reach whatever this machine reaches.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/paths.sh"
command=$1
shift
options=()
authorities=/etc/ssl/certs/ca-certificates.crt
if [ "$command" = build ]; then
    options=(--isolation chroot --network host)
    [ ! -e "$authorities" ] || options+=(-v "$authorities:$authorities:ro")
fi
exec buildah --root "$cache/store" --runroot "$cache/runroot" --storage-driver "$store" \
    "$command" "${options[@]}" "$@"
