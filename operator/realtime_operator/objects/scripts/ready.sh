#!/bin/sh
# Ready: a primary, or a replica that is in step with its primary.
role=$(timeout 2 redis-cli --user pod ${SOCKET:+-s "$SOCKET"} -p 6379 ROLE 2>/dev/null) || exit 1
case "$role" in
    master*) exit 0 ;;
    slave*connected*) exit 0 ;;
    *) exit 1 ;;
esac
