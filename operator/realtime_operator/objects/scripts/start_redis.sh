#!/bin/sh
# Start one Redis server, and never as an empty primary: a primary without data makes its replicas forget theirs.
#
#   the Sentinels agree on another server      start as its replica
#   they agree on this one, and it has data    start as the primary
#   they agree on this one, and it has none    do not listen; ask for a failover until it has happened
#   no agreement twice, or no good replica     start parked: a replica of nobody, until the operator says whose
#
# Reads /addresses/addresses (lines NAME=IP), SENTINELS (names), SERVER (own name), MASTER (the shard's name with the
# Sentinels), REDISCLI_AUTH (the pod's own account), and by TLS only TLS_OPTIONS (redis-cli's) and SOCKET (where this
# server is asked). Needs sh, sed, timeout and redis-cli.
set -eu

answers=/run/redis/answers
mkdir -p "$answers"

address_of() { sed -n "s/^$1=//p" /addresses/addresses; }

ask() { # ask SENTINEL COMMAND…: one Sentinel's answer, or nothing within a second
    host=$(address_of "$1"); shift
    # TLS_OPTIONS is several words, or none.
    timeout 1 redis-cli --user pod ${TLS_OPTIONS:-} -h "$host" -p 26379 "$@" 2>/dev/null || true
}

agreed() { # the address that more than half of all Sentinels name, or nothing
    rm -f "$answers"/*
    asked=0
    for sentinel in $SENTINELS; do
        ask "$sentinel" SENTINEL GET-MASTER-ADDR-BY-NAME "$MASTER" >"$answers/$sentinel" &
        asked=$((asked + 1))
    done
    wait
    for sentinel in $SENTINELS; do
        sed -n '1{/^[0-9a-fA-F.:]*$/p;}' "$answers/$sentinel"
    done | sort | uniq -c | while read -r votes address; do
        if [ -n "$address" ] && [ $((votes * 2)) -gt "$asked" ]; then echo "$address"; fi
    done
}

has_data() { # a complete append-only file is there: its manifest names files that exist
    manifest=$(ls /data/appendonlydir/*.manifest 2>/dev/null) || return 1
    [ -s "$manifest" ] || return 1
    sed -n 's/^file \([^ ]*\) .*/\1/p' "$manifest" | while read -r file; do
        [ -e "/data/appendonlydir/$file" ] || exit 1
    done
}

start() { # start REASON OPTIONS…
    echo "Starting $SERVER at $own: $1."; shift
    exec ${SOCKET:+sh /config/with_renewed_certificates.sh} redis-server /config/redis.conf --replica-announce-ip "$own" "$@"
}

ask_for_failover() {
    for sentinel in $SENTINELS; do
        reply=$(ask "$sentinel" SENTINEL FAILOVER "$MASTER")
        case "$reply" in
            OK | *INPROG*) return 0 ;;
            *NOGOODSLAVE*) start "no server of this shard has data, waiting to be told whom to follow" --replicaof 127.0.0.1 1 ;;
        esac
    done
}

own=$(address_of "$SERVER")
if [ -z "$own" ]; then
    echo "No address of $SERVER in /addresses/addresses yet." >&2
    exit 1
fi

disagreed=0
while :; do
    named=$(agreed)
    if [ -z "$named" ]; then
        disagreed=$((disagreed + 1))
        if [ "$disagreed" -ge 2 ]; then
            start "the Sentinels know no primary, waiting to be told whom to follow" --replicaof 127.0.0.1 1
        fi
    elif [ "$named" != "$own" ]; then
        start "replica of $named" --replicaof "$named" 6379
    elif has_data; then
        start "primary, with the data of its append-only file"
    else
        ask_for_failover
    fi
    sleep 0.3
done
