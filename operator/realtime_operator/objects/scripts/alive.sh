#!/bin/sh
# Alive: it answers, whatever it answers. Loading, busy with a script, or a replica without its primary is not dead.
# Asked through SOCKET where there is one: with TLS only, where a certificate that has expired is no reason to end.
answer=$(timeout 5 redis-cli --user pod ${SOCKET:+-s "$SOCKET"} -p "$1" PING 2>&1) || true
case "$answer" in
    *PONG* | *LOADING* | *MASTERDOWN* | *BUSY* | *NOAUTH* | *WRONGPASS* | *NOPERM*) exit 0 ;;
    *) echo "$answer" >&2; exit 1 ;;
esac
