#!/bin/sh
# Start one Redis server, and never as an empty primary: a primary without data makes its replicas forget theirs.
#
#   the Sentinels agree on another server      start as its replica
#   they agree on this one, and it has data    start as the primary
#   they agree on this one, and it has none    do not listen; ask for a failover until it has happened
#   more than half answer, none names this     start parked: a replica of nobody, until the operator says whose
#   no good replica, or too few answers        the same, but only when it stays like this
#
# The last needs patience. A parked server answers PING, so Sentinels that miss their primary at this address take it for
# alive again, and half a minute passes until they fail over. On a busy machine Sentinels do not answer within a second.
#
# Reads SERVER (own name), SENTINELS (names), MASTER (the shard's name with the Sentinels), REDISCLI_AUTH (the pod's own
# account), ADDRESSES (the file of lines NAME=IP), PORT (the Sentinels'), CONFIG (the settings), RUN, DATA, PATIENCE (in
# rounds), and by TLS only TLS_OPTIONS (redis-cli's) and SOCKET (where this server is asked). Needs sh, sed, sort,
# uniq, grep, wc, timeout and redis-cli.
set -eu

run=${RUN:-/run/redis}
data=${DATA:-/data}
answers=$run/answers
mkdir -p "$answers"

address_of() { sed -n "s/^$1=//p" "${ADDRESSES:-/addresses/addresses}"; }

ask() { # ask SENTINEL COMMAND…: one Sentinel's answer, or nothing within a second
    host=$(address_of "$1"); shift
    # TLS_OPTIONS is several words, or none.
    timeout 1 redis-cli --user pod ${TLS_OPTIONS:-} -h "$host" -p "${PORT:-26379}" "$@" 2>/dev/null || true
}

ask_all() { # each Sentinel's answer in a file: an address, nothing where it is silent, an empty line where it knows none
    rm -f "$answers"/*
    for sentinel in $SENTINELS; do
        ask "$sentinel" SENTINEL GET-MASTER-ADDR-BY-NAME "$MASTER" >"$answers/$sentinel" &
    done
    wait
}

names() { # the addresses in the answers
    for sentinel in $SENTINELS; do
        sed -n '1{/^[0-9a-fA-F.:]\{1,\}$/p;}' "$answers/$sentinel"
    done
}

is_most() { [ $(($1 * 2)) -gt "$(echo "$SENTINELS" | wc -w)" ]; } # is_most COUNT: of all Sentinels

agreed() { # the address that more than half of all Sentinels name, or nothing
    names | sort | uniq -c | while read -r votes address; do
        if is_most "$votes"; then echo "$address"; fi
    done
}

nobody_knows() { # more than half have answered, and none of these names this server
    answered=0
    for sentinel in $SENTINELS; do
        if [ -s "$answers/$sentinel" ]; then answered=$((answered + 1)); fi
    done
    is_most "$answered" && ! names | grep -qxF "$own"
}

has_data() { # a complete append-only file is there: its manifest names files that exist
    manifest=$(ls "$data"/appendonlydir/*.manifest 2>/dev/null) || return 1
    [ -s "$manifest" ] || return 1
    sed -n 's/^file \([^ ]*\) .*/\1/p' "$manifest" | while read -r file; do
        [ -e "$data/appendonlydir/$file" ] || exit 1
    done
}

start() { # start REASON OPTIONS…
    echo "Starting $SERVER at $own: $1."; shift
    exec ${SOCKET:+sh /config/with_renewed_certificates.sh} redis-server "${CONFIG:-/config/redis.conf}" --replica-announce-ip "$own" "$@"
}

park() { start "$1, waiting to be told whom to follow" --replicaof 127.0.0.1 1; }

ask_for_failover() {
    for sentinel in $SENTINELS; do
        reply=$(ask "$sentinel" SENTINEL FAILOVER "$MASTER")
        case "$reply" in
            OK | *INPROG*) return ;;
            *NOGOODSLAVE*) refused=$((refused + 1)); return ;;
        esac
    done
}

own=$(address_of "$SERVER")
if [ -z "$own" ]; then
    echo "No address of $SERVER in ${ADDRESSES:-/addresses/addresses} yet." >&2
    exit 1
fi

patience=${PATIENCE:-20}
refused=0
unknown=0
disagreed=0
while :; do
    ask_all
    named=$(agreed)
    if [ -n "$named" ] && [ "$named" != "$own" ]; then
        start "replica of $named" --replicaof "$named" 6379
    elif [ -n "$named" ] && has_data; then
        start "primary, with the data of its append-only file"
    elif [ -n "$named" ]; then
        ask_for_failover
        if [ $((refused * 2)) -ge "$patience" ]; then park "no server of this shard has data"; fi
    elif nobody_knows; then
        unknown=$((unknown + 1))
        if [ "$unknown" -ge 2 ]; then park "the Sentinels know no primary"; fi
    else
        disagreed=$((disagreed + 1))
        if [ "$disagreed" -ge "$patience" ]; then park "too few Sentinels answer or agree"; fi
    fi
    sleep 0.3
done
