#!/bin/sh
# Starts one sentinel. What it has learnt it keeps in its file; certificates and passwords are written there anew.
#   SELF, PORT        by which the other sentinels reach this one
#   FIRST             the node that is master as long as nothing else was learnt, at REDIS_PORT
#   MASTER_NAME       what the broker is called; QUORUM: how many must agree that its master is gone
#   SECRETS           folder with the password `sentinel`
#   TLS               folder with ca.crt, tls.crt and tls.key; empty: none (tests)
set -eu
data=${DATA:-/data}
server=$(command -v valkey-server || command -v redis-server)
tls=${TLS-/etc/redis/tls}
file=$data/sentinel.conf
umask 077
learnt=$data/learnt.conf
: >"$learnt"
if [ -f "$file" ]; then
    # the master as it was last, the other nodes, epochs and its own name
    grep -E '^sentinel (monitor|known-replica|known-sentinel|myid|config-epoch|leader-epoch|current-epoch)' "$file" >"$learnt" || true
fi
{
    echo "dir $data"
    echo "bind ${BIND:-* -::*}"
    echo "sentinel resolve-hostnames yes"
    echo "sentinel announce-hostnames yes"
    echo "sentinel announce-ip $SELF"
    echo "sentinel announce-port $PORT"
    if [ -n "$tls" ]; then
        echo "port 0"
        echo "tls-port $PORT"
        echo "tls-replication yes"
        echo "tls-auth-clients yes"
        echo "tls-ca-cert-file $tls/ca.crt"
        echo "tls-cert-file $tls/tls.crt"
        echo "tls-key-file $tls/tls.key"
    else
        echo "port $PORT"
    fi
    grep '^sentinel myid' "$learnt" || true
    grep '^sentinel monitor' "$learnt" || echo "sentinel monitor $MASTER_NAME $FIRST $REDIS_PORT $QUORUM"
    echo "sentinel down-after-milliseconds $MASTER_NAME 3000"
    echo "sentinel failover-timeout $MASTER_NAME 10000"
    echo "sentinel parallel-syncs $MASTER_NAME 2"
    echo "sentinel auth-user $MASTER_NAME sentinel"
    echo "sentinel auth-pass $MASTER_NAME $(cat "$SECRETS/sentinel")"
    grep -vE '^sentinel (myid|monitor)' "$learnt" || true
} >"$file.new"
mv "$file.new" "$file"
exec "$server" "$file" --sentinel
