"""Who may do what over the API: every route, with every role, with no key, and with a stranger's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from docfleet.api.resource import GuardedRoute, Open
from docfleet.domain.access import PERMISSIONS, SYSTEM_TENANT, Permission, Role
from serving import PDF, Served, serving, work_through

_DESCRIPTION = {"/openapi.json", "/docs", "/docs/reference/outcome-codes", "/"}
_UNKNOWN = {
    "document_id": "0" * 32, "batch_id": "0" * 32, "webhook_id": "0" * 32, "delivery_id": f"msg_{'0' * 30}",
    "key_id": "0" * 16, "report_id": "0" * 32, "format": "json", "path": "document.json", "pool": "pdf",
}  # fmt: skip


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("access"), max_streams=4) as running:
        yield running


def routes(served: Served) -> list[GuardedRoute]:
    return [route for route in served.app.routes if isinstance(route, GuardedRoute)]


def call(client: httpx.Client, route: GuardedRoute, ids: dict[str, str]) -> httpx.Response:
    path = re.sub(r"\{(\w+)(:path)?\}", lambda found: ids[found[1]], route.path)
    [method] = route.methods
    body: dict[str, Any] = {}
    if method in ("POST", "PATCH", "PUT"):
        body = {"content": PDF} if route.path == "/v1/documents" else {"json": _BODIES.get(route.path, {})}
    return client.request(method, path, headers={"accept": "application/json"}, **body)


_BODIES: dict[str, Any] = {
    "/v1/keys": {"name": "k", "role": "viewer"},
    "/v1/tenants": {"id": "newcomer", "name": "Newcomer"},
    "/v1/webhooks": {"url": "https://example.com/"},
    "/v1/documents/{document_id}": {"priority": "high"},
    "/v1/reports": {"kind": "month", "period": "2026-01"},
    "/v1/budgets": {"engine": "documentai", "limit_usd": 1, "policy": "stop"},
}

# what each role may reach, written out by hand: the table of the handbook, not the code's
_READERS = {"viewer", "submitter", "operator", "auditor", "admin"}
_RESULT_READERS = _READERS - {"auditor"}
_SUBMITTERS = {"submitter", "operator", "admin"}
_HOOK_READERS = {"submitter", "operator", "auditor", "admin"}
_OVERSEERS = {"operator", "auditor", "admin"}
EXPECTED: dict[tuple[str, str], set[str]] = {
    ("POST", "/v1/documents"): _SUBMITTERS,
    ("GET", "/v1/documents"): _READERS,
    ("GET", "/v1/documents/{document_id}"): _READERS,
    ("PATCH", "/v1/documents/{document_id}"): _SUBMITTERS,
    ("DELETE", "/v1/documents/{document_id}"): _SUBMITTERS,
    ("GET", "/v1/documents/{document_id}/pages"): _READERS,
    ("GET", "/v1/documents/{document_id}/events"): _READERS,
    ("POST", "/v1/documents/{document_id}/cancel"): _SUBMITTERS,
    ("POST", "/v1/documents/{document_id}/retry"): _SUBMITTERS,
    ("GET", "/v1/documents/{document_id}/results"): _RESULT_READERS,
    ("GET", "/v1/documents/{document_id}/results/{format}"): _RESULT_READERS,
    ("GET", "/v1/documents/{document_id}/results/{format}/{path:path}"): _RESULT_READERS,
    ("GET", "/v1/documents/{document_id}/source"): _RESULT_READERS,
    ("POST", "/v1/documents/{document_id}/read-again"): _SUBMITTERS,
    ("POST", "/v1/batches"): _SUBMITTERS,
    ("GET", "/v1/batches"): _READERS,
    ("GET", "/v1/batches/{batch_id}"): _READERS,
    ("GET", "/v1/batches/{batch_id}/documents"): _READERS,
    ("GET", "/v1/batches/{batch_id}/events"): _READERS,
    ("POST", "/v1/batches/{batch_id}/seal"): _SUBMITTERS,
    ("POST", "/v1/batches/{batch_id}/cancel"): _SUBMITTERS,
    ("GET", "/v1/statistics"): _READERS,
    ("GET", "/v1/overview"): _READERS,
    ("GET", "/v1/dead-letters"): _OVERSEERS,
    ("GET", "/v1/dead-letters/groups"): _OVERSEERS,
    ("POST", "/v1/dead-letters/retry"): {"operator", "admin"},
    ("POST", "/v1/dead-letters/discard"): {"operator", "admin"},
    ("POST", "/v1/webhooks"): _SUBMITTERS,
    ("GET", "/v1/webhooks"): _HOOK_READERS,
    ("GET", "/v1/webhooks/{webhook_id}"): _HOOK_READERS,
    ("DELETE", "/v1/webhooks/{webhook_id}"): _SUBMITTERS,
    ("POST", "/v1/webhooks/{webhook_id}/enable"): _SUBMITTERS,
    ("POST", "/v1/webhooks/{webhook_id}/disable"): _SUBMITTERS,
    ("POST", "/v1/webhooks/{webhook_id}/test"): _SUBMITTERS,
    ("GET", "/v1/webhooks/{webhook_id}/deliveries"): _HOOK_READERS,
    ("GET", "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/attempts"): _HOOK_READERS,
    ("POST", "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver"): _SUBMITTERS,
    ("GET", "/v1/costs"): _OVERSEERS,
    ("GET", "/v1/costs/tenants"): set(),
    ("GET", "/v1/budgets"): _OVERSEERS,
    ("PUT", "/v1/budgets"): {"admin"},
    ("DELETE", "/v1/budgets"): {"admin"},
    ("GET", "/v1/reports/month"): _OVERSEERS,
    ("GET", "/v1/reports"): _OVERSEERS,
    ("POST", "/v1/reports"): _OVERSEERS,
    ("GET", "/v1/reports/{report_id}"): _OVERSEERS,
    ("GET", "/v1/reports/{report_id}/file"): _OVERSEERS,
    ("GET", "/v1/batches/{batch_id}/report"): _READERS,
    ("GET", "/v1/documents/{document_id}/report"): _READERS,
    ("GET", "/v1/keys"): {"auditor", "admin"},
    ("POST", "/v1/keys"): {"admin"},
    ("DELETE", "/v1/keys/{key_id}"): {"admin"},
    ("GET", "/v1/tenants"): set(),
    ("POST", "/v1/tenants"): set(),
    ("GET", "/v1/workers"): _OVERSEERS,
    ("GET", "/v1/fleet/demand"): _OVERSEERS,
    ("GET", "/v1/fleet/demand/{pool}"): _OVERSEERS,
    ("GET", "/v1/fleet/decisions"): _OVERSEERS,
    ("GET", "/v1/fleet/forecast/{pool}"): _OVERSEERS,
    ("GET", "/v1/fleet/history/{pool}"): _OVERSEERS,
    ("GET", "/v1/quotas"): _OVERSEERS,
    ("GET", "/metrics"): _OVERSEERS,
    ("GET", "/v1/me"): _READERS,
}
PUBLIC = {("GET", "/healthz"), ("GET", "/readyz")}


def test_every_route_is_in_the_table(served: Served) -> None:
    found = {(method, route.path) for route in routes(served) for method in route.methods}
    assert found == EXPECTED.keys() | PUBLIC
    unguarded = [route.path for route in served.app.routes if not isinstance(route, GuardedRoute)]
    assert set(unguarded) == _DESCRIPTION


def test_a_route_without_a_need_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="no permission"):
        GuardedRoute("/v1/open", lambda: None)


@pytest.mark.parametrize("role", list(Role))
def test_each_role_reaches_what_the_table_says(served: Served, role: Role) -> None:
    key = served.key(role=role)
    wrong = []
    with served.client(key) as client:
        for route in routes(served):
            [method] = route.methods
            if route.need is Open.PUBLIC:
                continue
            answer = call(client, route, _UNKNOWN)
            allowed = role in EXPECTED[method, route.path]
            if (answer.status_code != 403) != allowed or answer.status_code in (401, 500):
                wrong.append((method, route.path, answer.status_code, answer.text[:200]))
    assert not wrong


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer nonsense",
        "Basic abc",
        f"Bearer df_{'0' * 16}_{'A' * 43}",
        "Bearer \u00e9",
    ],
)
def test_without_a_key_nothing_is_reached(served: Served, header: str | None) -> None:
    with served.client("") as client:
        if header is not None:
            client.headers["authorization"] = header
        for route in routes(served):
            answer = call(client, route, _UNKNOWN)
            if route.need is Open.PUBLIC:
                assert answer.status_code in (200, 503)
                continue
            assert answer.status_code == 401, (route.path, answer.text)
            assert answer.json()["code"] == "unauthenticated"
            assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.fixture(scope="module")
def owned(served: Served) -> dict[str, str]:
    """Ids of things that belong to acme."""
    with served.client() as client:
        batch = client.post("/v1/batches", json={"name": "hush"}).json()
        answer = client.post("/v1/documents", content=PDF + b"ours", params={"batch": batch["id"], "name": "hush.pdf"})
        assert answer.status_code == 202
        work_through(served.parts)
        hook = client.post("/v1/webhooks", json={"url": "https://example.com/hush"}).json()
        delivery = client.post(f"/v1/webhooks/{hook['id']}/test").json()
        key = client.post("/v1/keys", json={"name": "hush", "role": "viewer"}).json()
        report = client.post("/v1/reports", json={"kind": "month", "period": "2026-01"}).json()
    return {
        "document_id": answer.json()["id"], "batch_id": batch["id"], "webhook_id": hook["id"],
        "delivery_id": delivery["id"], "key_id": key["key"]["id"], "report_id": report["id"], "format": "json", "path": "document.json",
        "pool": "pdf",
    }  # fmt: skip


def test_a_stranger_sees_nothing_and_changes_nothing(served: Served, owned: dict[str, str]) -> None:
    """Like unknown ids to him: the same status, code and sentence."""
    with served.client(served.key("rival")) as stranger, served.client() as owner:
        for route in routes(served):
            [method] = route.methods
            if route.path == "/v1/documents" and method == "POST":
                continue
            answer = call(stranger, route, owned)
            assert "hush" not in answer.text, route.path
            if "{pool}" in route.path:
                continue  # the fleet is everybody's
            if "{" in route.path:
                assert answer.status_code == 404, (method, route.path, answer.text)
                unknown = call(stranger, route, _UNKNOWN)
                for name in ("code", "title", "detail", "remedy"):
                    assert answer.json().get(name) == unknown.json().get(name), route.path
            else:
                found = [value for name, value in owned.items() if name.endswith("_id")]
                assert not any(value in answer.text for value in found), route.path
        joined = stranger.post("/v1/documents", content=PDF + b"x", params={"batch": owned["batch_id"]})
        assert joined.status_code == 404
        # the same bytes under another tenant are no duplicate of ours
        own = stranger.post("/v1/documents", content=PDF + b"ours")
        assert (own.status_code, own.json()["duplicate_of"], own.json()["state"]) == (202, None, "received")
        for route in routes(served):
            [method] = route.methods
            if method == "GET" and "{" in route.path and "{pool}" not in route.path:
                assert call(owner, route, owned).status_code == 200, route.path


def test_keys_end(served: Served) -> None:
    with served.client() as admin:
        made = admin.post("/v1/keys", json={"name": "short", "role": "viewer"}).json()
        with served.client(made["secret"]) as other:
            assert other.get("/v1/me").json()["role"] == "viewer"
            assert admin.delete(f"/v1/keys/{made['key']['id']}").json()["revoked_at"]
            assert other.get("/v1/me").json()["code"] == "key_expired"
        past = admin.post("/v1/keys", json={"name": "past", "role": "viewer", "expires_at": "2001-01-01T00:00:00Z"})
        if past.status_code == 201:
            with served.client(past.json()["secret"]) as other:
                assert other.get("/v1/me").status_code == 401


def test_no_key_makes_one_that_can_do_more(served: Served) -> None:
    narrow = served.key(scopes=(Permission.MANAGE_KEYS, Permission.READ_KEYS))
    with served.client(narrow) as client:
        assert client.get("/v1/documents").status_code == 403
        wider = client.post("/v1/keys", json={"name": "x", "role": "admin"})
        assert (wider.status_code, wider.json()["code"]) == (403, "forbidden")
        assert client.post("/v1/keys", json={"name": "x", "role": "viewer"}).status_code == 403
        same = client.post("/v1/keys", json={"name": "x", "role": "admin", "scopes": ["keys:read"]})
        assert same.status_code == 201


def test_the_system_tenant_makes_tenants_and_sees_no_documents(served: Served, owned: dict[str, str]) -> None:
    served.parts.access.ensure_tenant(SYSTEM_TENANT, "System")
    with served.client(served.key(SYSTEM_TENANT)) as system:
        made = system.post("/v1/tenants", json={"id": "third", "name": "Third"})
        assert made.status_code == 201, made.text
        assert system.post("/v1/tenants", json={"id": "third", "name": "Third"}).json()["code"] == "conflict"
        assert {"acme", "third"} <= {item["id"] for item in system.get("/v1/tenants").json()["items"]}
        assert system.get(f"/v1/documents/{owned['document_id']}").status_code == 404
        with served.client(made.json()["key"]["secret"]) as third:
            assert third.get("/v1/me").json()["tenant"] == "third"
    assert PERMISSIONS[Role.ADMIN] == frozenset(Permission)
