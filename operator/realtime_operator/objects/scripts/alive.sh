#!/bin/sh
# Alive: it answers, whatever it answers. Loading, busy with a script, or a replica without its primary is not dead.
answer=$(timeout 5 redis-cli --user pod -p "$1" PING 2>&1) || true
case "$answer" in
    *PONG* | *LOADING* | *MASTERDOWN* | *BUSY* | *NOAUTH* | *WRONGPASS* | *NOPERM*) exit 0 ;;
    *) echo "$answer" >&2; exit 1 ;;
esac
