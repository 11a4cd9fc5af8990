#!/bin/sh
# Prints the secrets that docfleet needs, with fresh random passwords and a fresh master key, as manifests. Run it once:
#   ./make-secrets.sh | kubectl apply -f -                               dev
#   ./make-secrets.sh | kubeseal --format yaml >sealed.yaml              sealed, for a repository; add it to the overlay
# With External Secrets nothing of this is needed; the store of the platform holds the same values.
#   DOCFLEET       the command that makes a master key (default: docfleet)
#   NAMESPACE      default: docfleet
# AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION: keys of the object store, where there is one; BACKUP_ACCESS_KEY_ID
# and BACKUP_SECRET_ACCESS_KEY those of the backups' bucket.
set -eu
namespace=${NAMESPACE:-docfleet}
random() { head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'; }
master=$(${DOCFLEET:-docfleet} master-key new)
docfleet=$(random)
replication=$(random)
sentinel=$(random)
limiter=$(random)
domain=$namespace.svc.cluster.local

secret() {
    printf -- '---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\n  namespace: %s\ntype: Opaque\nstringData:\n' "$1" "$namespace"
}
value() { printf '  %s: |-\n' "$1" && printf '%s\n' "$2" | sed 's/^/    /'; }

secret docfleet-master-key
value master.key "$master"
secret docfleet-console-session
value session.key "$(${DOCFLEET:-docfleet} master-key new)"
secret docfleet-broker
value docfleet.toml "[service]
broker_url = \"sentinel://docfleet:$docfleet@docfleet-sentinel-0.docfleet-sentinel.$domain:26379/0;sentinel://docfleet-sentinel-1.docfleet-sentinel.$domain:26379;sentinel://docfleet-sentinel-2.docfleet-sentinel.$domain:26379\"
sentinel_master = \"docfleet\""
secret docfleet-limiter
value docfleet.toml "[quota]
redis_url = \"rediss://docfleet:$limiter@docfleet-limiter.$domain:6379/0\""
secret docfleet-redis
value users.acl "user default off
user probe on nopass -@all +ping
user docfleet on >$docfleet ~docfleet:* &* +@all -@dangerous +info
user replication on >$replication -@all +psync +replconf +ping
user sentinel on >$sentinel &* -@all +multi +slaveof +ping +exec +subscribe +config|rewrite +role +publish +info +client|setname +client|kill +script|kill"
value replication "$replication"
value sentinel "$sentinel"
secret docfleet-limiter-users
value users.acl "user default off
user probe on nopass -@all +ping
user docfleet on >$limiter ~docfleet:* &* +@all -@dangerous +info"
if [ -n "${AWS_ACCESS_KEY_ID:-}" ]; then
    secret docfleet-object-store
    value AWS_ACCESS_KEY_ID "$AWS_ACCESS_KEY_ID"
    value AWS_SECRET_ACCESS_KEY "$AWS_SECRET_ACCESS_KEY"
    value AWS_REGION "${AWS_REGION:-us-east-1}"
fi
if [ -n "${BACKUP_ACCESS_KEY_ID:-}" ]; then
    secret docfleet-backup-store
    value access-key-id "$BACKUP_ACCESS_KEY_ID"
    value secret-access-key "$BACKUP_SECRET_ACCESS_KEY"
fi
