#!/bin/sh
# Starts one node of the broker: asks the sentinels who is master, and begins as its replica, or as the master itself.
#   SELF, PORT        by which the other nodes and the sentinels reach this one
#   FIRST             the node that is master where no sentinel knows of any
#   SENTINELS         their names, with spaces between, at SENTINEL_PORT
#   MASTER_NAME       what the sentinels call the broker
#   SECRETS           folder with users.acl and the password `replication`
#   TLS               folder with ca.crt, tls.crt and tls.key; empty: none (tests)
set -eu
data=${DATA:-/data}
server=$(command -v valkey-server || command -v redis-server)
ask=$(command -v valkey-cli || command -v redis-cli)
tls=${TLS-/etc/redis/tls}
with_tls=${tls:+--tls --cacert $tls/ca.crt --cert $tls/tls.crt --key $tls/tls.key}

known_master() {
    for sentinel in $SENTINELS; do
        # shellcheck disable=SC2086 # the options are several words
        found=$(timeout 2 "$ask" -h "$sentinel" -p "$SENTINEL_PORT" $with_tls \
            sentinel get-master-addr-by-name "$MASTER_NAME" 2>/dev/null | head -n 1) || continue
        case $found in '' | *[Ee][Rr][Rr]* | *[!A-Za-z0-9.:_-]*) continue ;; esac
        echo "$found"
        return 0
    done
    return 1
}

# Sentinels start at the same time as this node does, so they are given a while.
master=
tries=${TRIES:-10}
while [ "$tries" -gt 0 ]; do
    if master=$(known_master); then break; fi
    tries=$((tries - 1))
    sleep 1
done
master=${master:-$FIRST}

umask 077
{
    echo "dir $data"
    echo "bind ${BIND:-* -::*}"
    echo "maxmemory ${MAX_MEMORY:-256mb}"
    # a full broker must refuse hints, never throw queues away
    echo "maxmemory-policy noeviction"
    echo "appendonly yes"
    echo "appendfsync everysec"
    echo "save \"\""
    echo "repl-diskless-sync yes"
    echo "repl-diskless-sync-delay 0"
    echo "repl-timeout 10"
    echo "repl-ping-replica-period 2"
    echo "tcp-keepalive 10"
    # no min-replicas-to-write: the last node left goes on alone, and a hint that a cut-off master took is sent again
    echo "aclfile $SECRETS/users.acl"
    echo "masteruser replication"
    echo "masterauth $(cat "$SECRETS/replication")"
    echo "replica-announce-ip $SELF"
    echo "replica-announce-port $PORT"
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
    if [ "$master" != "$SELF" ]; then echo "replicaof $master $PORT"; fi
} >"$data/redis.conf"
exec "$server" "$data/redis.conf"
