#!/bin/sh
# Before the pod of a primary ends: let another server be the primary first, so that nobody has to wait until the Sentinels
# miss this one. As in a planned switchover nothing acknowledged is lost:
#
#   pause writes, and wait until a replica has all that was written
#   SENTINEL FAILOVER, and wait until that Sentinel names another server
#   follow that one and let all clients go, in one step
#
# What does not go like this is given up: the server ends, and Sentinels miss it, as if it had been killed.
#
# Reads SERVER (own name), SENTINELS (names), MASTER (the shard's name with the Sentinels), REDISCLI_AUTH (the pod's own
# account), ADDRESSES (the file of lines NAME=IP), PORT (the Sentinels'), SECONDS_TO_HAND_OVER, and by TLS only
# TLS_OPTIONS (redis-cli's) and SOCKET (where this server is asked). Needs sh, sed, sleep, date, timeout and redis-cli.
set -u

deadline=$(($(date +%s) + ${SECONDS_TO_HAND_OVER:-10}))

address_of() { sed -n "s/^$1=//p" "${ADDRESSES:-/addresses/addresses}"; }

here() { timeout 2 redis-cli --user pod ${SOCKET:+-s "$SOCKET"} -p 6379 "$@" 2>&1 || true; }

ask() { # ask COMMAND…: what the Sentinel in $sentinel answers, or nothing within a second
    # TLS_OPTIONS is several words, or none.
    timeout 1 redis-cli --user pod ${TLS_OPTIONS:-} -h "$sentinel" -p "${PORT:-26379}" "$@" 2>/dev/null || true
}

named() { # the primary's address and port, or nothing
    ask SENTINEL GET-MASTER-ADDR-BY-NAME "$MASTER" | sed -n '1{N;s/^\([0-9a-fA-F.:]*\)\n\([0-9]*\)$/\1 \2/p;}'
}

within_time() { # within_time COMMAND…: try until it succeeds
    until "$@"; do
        [ "$(date +%s)" -lt "$deadline" ] || return 1
        sleep 0.1
    done
}

give_up() {
    here CLIENT UNPAUSE >/dev/null
    echo "$SERVER ends as the primary: $1." >&2
    exit 1
}

in_step() { # whether a replica has acknowledged what had been written when the pause began
    # shellcheck disable=SC2046 # one word for each part
    set -- $(here ROLE)
    while [ $# -ge 5 ]; do
        [ "$5" -lt "$written" ] || return 0
        shift 3
    done
    return 1
}

has_moved() {
    new=$(named)
    [ -n "$new" ] && [ "$new" != "$before" ]
}

# "master", its offset, and of each replica the address, port and offset
set -- $(here ROLE)
if [ "${1:-}" != master ] || [ $# -lt 5 ]; then exit 0; fi

own=$(address_of "$SERVER")
before=
for name in $SENTINELS; do
    sentinel=$(address_of "$name")
    before=$(named)
    case "$before" in "$own "*) break ;; esac
    before=
done
[ -n "$before" ] || exit 0

# It ends by itself after this, whatever becomes of this script.
[ "$(here CLIENT PAUSE 15000 WRITE)" = OK ] || exit 0
set -- $(here ROLE)
written=${2:-0}
within_time in_step || give_up "no replica has all that was written"
answer=$(ask SENTINEL FAILOVER "$MASTER")
case "$answer" in
    OK | *INPROG*) ;;
    *) give_up "the Sentinel at $sentinel begins no failover: ${answer:-no answer}" ;;
esac
within_time has_moved || give_up "the Sentinel at $sentinel names no other"
here >/dev/null <<END
MULTI
REPLICAOF $new
CLIENT KILL TYPE normal SKIPME yes
CLIENT UNPAUSE
EXEC
CLIENT KILL TYPE pubsub
END
