#!/bin/sh
# Starts the limiter: counters of requests and quotas, kept in memory alone.
set -eu
server=$(command -v valkey-server || command -v redis-server)
umask 077
cat >/data/redis.conf <<END
dir /data
bind * -::*
maxmemory ${MAX_MEMORY:-256mb}
# counters that were thrown away would let through more than was paid for
maxmemory-policy noeviction
appendonly no
save ""
tcp-keepalive 10
aclfile $SECRETS/users.acl
port 0
tls-port $PORT
tls-auth-clients yes
tls-ca-cert-file $TLS/ca.crt
tls-cert-file $TLS/tls.crt
tls-key-file $TLS/tls.key
END
exec "$server" /data/redis.conf
