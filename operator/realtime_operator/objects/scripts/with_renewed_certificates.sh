#!/bin/sh
# with_renewed_certificates.sh COMMAND…: run a server, and let it use renewed certificates. Kubernetes replaces the files,
# and no server looks by itself.
#
#   a Redis server    reads them by CONFIG SET; its connections stay
#   a Sentinel        cannot: it ends, and its container starts again with the state that it keeps; only when the new
#                     files let somebody in, and so many others answer that a majority stays: files reach the pods at
#                     different times. Whoever has not come back for so long may never: then it ends all the same, for
#                     two seconds without a majority are better than an expired certificate.
#
# Reads SOCKET (where the server is asked), REDISCLI_AUTH (the account's password), ACCOUNT (who asks; else the pod),
# SENTINEL (a Sentinel's own name; empty for a server), TLS (the directory), ADDRESSES (the file of lines NAME=IP), PERIOD
# and PATIENCE (seconds). Needs sh, sed, sleep, date, cat, sha1sum, timeout and redis-cli.
set -u

tls=${TLS:-/tls}

fingerprint() { cat "$tls/ca.crt" "$tls/tls.crt" "$tls/tls.key" 2>&1 | sha1sum; }

ask() { timeout 5 redis-cli --user "${ACCOUNT:-pod}" "$@" 2>&1 || true; }

renew() {
    if [ -z "${SENTINEL:-}" ]; then
        answer=$(ask -s "$SOCKET" CONFIG SET tls-ca-cert-file "$tls/ca.crt" \
            tls-cert-file "$tls/tls.crt" tls-key-file "$tls/tls.key")
        [ "$answer" = OK ]
        return
    fi
    answers 127.0.0.1 || return 1
    sleep $((${SENTINEL##*-} * 15))
    silent=
    all=1
    there=0
    for other in $(sed -n "/^$SENTINEL=/d; s/^${SENTINEL%-*}-[0-9]*=//p" "${ADDRESSES:-/addresses/addresses}"); do
        all=$((all + 1))
        if answers "$other"; then
            there=$((there + 1))
        else
            silent="$silent the Sentinel at $other does not answer: $answer;"
        fi
    done
    if [ "$all" -gt 1 ] && [ $((there * 2)) -le "$all" ]; then
        refused=${refused:-$(date +%s)}
        answer="no majority would stay:$silent it ends all the same ${PATIENCE:-600} s after it first said so"
        [ $(($(date +%s) - refused)) -ge "${PATIENCE:-600}" ] || return 1
    fi
    kill $$
}

answers() { # answers ADDRESS: whether a Sentinel lets in who has the new files; its own may be old ones
    answer=$(ask -h "$1" -p "${PORT:-26379}" --tls --insecure --cacert "$tls/ca.crt" \
        --cert "$tls/tls.crt" --key "$tls/tls.key" PING)
    [ "$answer" = PONG ]
}

# $$ stays the number of this shell, which becomes the server.
# Taken before the server reads them: what changes in between is taken into use once more than needed.
known=$(fingerprint)
while sleep "${PERIOD:-10}" && kill -0 $$ 2>/dev/null; do
    now=$(fingerprint)
    [ "$now" != "$known" ] || continue
    if renew; then
        known=$now
        echo "Renewed certificates are taken into use."
    else
        echo "Certificates cannot be taken into use, and are tried again: $answer" >&2
    fi
done &
exec "$@"
