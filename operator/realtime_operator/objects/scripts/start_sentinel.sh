#!/bin/sh
# Start one Sentinel. It knows no primary at first: the operator tells it, since only the operator has seen all servers.
# Reads /addresses/addresses (lines NAME=IP), SENTINEL (own name) and RESOURCE_UID. Its id follows from both, so that a
# Sentinel that lost its disk is not counted as a new one.
set -eu

own=$(sed -n "s/^$SENTINEL=//p" /addresses/addresses)
if [ -z "$own" ]; then
    echo "No address of $SENTINEL in /addresses/addresses yet." >&2
    exit 1
fi
if [ ! -s /data/sentinel.conf ]; then
    {
        cat /config/sentinel.conf /accounts/sentinel-auth.conf
        echo "sentinel myid $(printf %s "$RESOURCE_UID/$SENTINEL" | sha1sum | cut -c 1-40)"
        echo "sentinel announce-ip $own"
        echo "sentinel announce-port 26379"
    } >/data/sentinel.conf
fi
exec ${SOCKET:+sh /config/with_renewed_certificates.sh} redis-server /data/sentinel.conf --sentinel
