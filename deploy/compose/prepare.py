"""First thing of all: makes the secrets, once, and gives every data volume to who writes it.

    prepare.py FOLDER

What is drawn at random is kept in FOLDER/secrets/drawn/drawn.json; on every start the files for each service are
written from it, so that no password exists before the first start and none changes afterwards. Each service mounts the
folder with its own files and no other, read-only. Runs as root without any capability but that to give files away.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from docfleet.store.encryption import MasterKey

BUCKET = "documents"
PASSWORDS = ("postgres", "hints", "limits", "store", "grafana", "flower")
OWNERS = {
    "postgres": 999,
    "hints": 999,
    "limits": 999,
    "store": 1000,
    "prometheus": 65534,
    "alertmanager": 65534,
    "grafana": 472,
}
"""Data volume -> the user id its service runs as (`user:` in compose.yaml)."""
VALKEY = """\
dir /data
maxmemory {memory}
maxmemory-policy noeviction
appendonly {append_only}
save ""
# who does not log in may ask whether it lives, and nothing else
user default on nopass -@all +ping
user docfleet on #{password} ~docfleet:* &* +@all -@dangerous +info
"""
DOCFLEET = """\
# Written by prepare.py at every start; set DOCFLEET_… in compose.yaml to change a setting.
[service]
ledger_url = "postgresql://docfleet:{postgres}@postgres:5432/docfleet"
store_url = "s3://{bucket}/"
broker_url = "redis://docfleet:{hints}@hints:6379/0"
master_key_file = "/run/docfleet/master.key"

[quota]
redis_url = "redis://docfleet:{limits}@limits:6379/0"
"""
STORE_ENVIRONMENT = """\
AWS_ACCESS_KEY_ID=docfleet
AWS_SECRET_ACCESS_KEY={store}
AWS_ENDPOINT_URL=http://store:8333
AWS_REGION=us-east-1
AWS_VIRTUAL_HOSTED_STYLE_REQUEST=false
AWS_ALLOW_HTTP=true
"""


def draw() -> dict[str, str]:
    """Fresh passwords of 32 random bytes each, safe in addresses, and a fresh master key."""
    return {**{name: secrets.token_urlsafe(32) for name in PASSWORDS}, "master_key": MasterKey.generate().to_base64()}


def files_of(drawn: Mapping[str, str]) -> dict[str, str]:
    """Path below the folder of secrets -> what stands in it."""
    hashed = {name: sha256(drawn[name].encode()).hexdigest() for name in ("hints", "limits")}
    identity = {
        "name": "docfleet",
        "credentials": [{"accessKey": "docfleet", "secretKey": drawn["store"]}],
        "actions": ["Admin", "Read", "Write", "List"],
    }
    return {
        "docfleet/docfleet.toml": DOCFLEET.format(bucket=BUCKET, **drawn),
        "docfleet/store.env": STORE_ENVIRONMENT.format(**drawn),
        "docfleet/master.key": drawn["master_key"] + "\n",
        "postgres/password": drawn["postgres"],
        "hints/valkey.conf": VALKEY.format(memory="256mb", append_only="yes", password=hashed["hints"]),
        "limits/valkey.conf": VALKEY.format(memory="128mb", append_only="no", password=hashed["limits"]),
        "store/s3.json": json.dumps({"identities": [identity]}, indent=2) + "\n",
        "grafana/password": drawn["grafana"],
        "flower/broker": f"redis://docfleet:{drawn['hints']}@hints:6379/0",
        "flower/password": drawn["flower"],
        # of PagerDuty's service, where there is one; it is not drawn, and a later start may give another
        "alertmanager/pagerduty": os.environ.get("PAGERDUTY_ROUTING_KEY", ""),
    }


def write(path: Path, text: str, mode: int) -> None:
    """Whole or not at all, durable before it has its name."""
    half = path.with_name(f".{path.name}.half")
    half.unlink(missing_ok=True)
    with open(half, "x", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    half.chmod(mode)
    half.replace(path)


def prepare(folder: Path) -> None:
    kept = folder / "secrets" / "drawn" / "drawn.json"
    kept.parent.mkdir(parents=True, exist_ok=True)
    drawn = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else draw()
    if not kept.exists():
        write(kept, json.dumps(drawn, indent=2), 0o400)
    for name, text in files_of(drawn).items():
        path = folder / "secrets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, text, 0o444)
    for name, user in OWNERS.items():
        data = folder / "data" / name
        data.mkdir(parents=True, exist_ok=True)
        os.chown(data, user, user)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    prepare(Path(sys.argv[1]))
