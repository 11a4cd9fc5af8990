"""Who may do what: roles, the permissions they hold, and what a key may do.

| role      | documents     | operations                       | records, costs     | tenant, keys, budgets |
|-----------|---------------|----------------------------------|--------------------|-----------------------|
| viewer    | read          | -                                | -                  | -                     |
| submitter | read, submit  | cancel, retry, delete, webhooks  | -                  | -                     |
| operator  | read, submit  | the same, dead letters, fleet    | read               | -                     |
| auditor   | list only     | -                                | read               | list keys             |
| admin     | all           | all                              | read               | all                   |

A key belongs to one tenant and sees nothing of another. Keys of the tenant `SYSTEM_TENANT` may, as admins, make
tenants and their first keys; they see no other tenant's documents either.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum

import msgspec

SYSTEM_TENANT = "system"
LOCAL_TENANT = "local"
"""Owner of what is read without a service."""


class Role(StrEnum):
    VIEWER = "viewer"
    SUBMITTER = "submitter"
    OPERATOR = "operator"
    AUDITOR = "auditor"
    ADMIN = "admin"


class Permission(StrEnum):
    LIST_DOCUMENTS = "documents:list"
    """Names, states and figures, but no content."""
    READ_RESULTS = "documents:read"
    SUBMIT = "documents:submit"
    CONTROL = "documents:control"
    """Cancel, retry, reprioritise."""
    DELETE = "documents:delete"
    READ_DEAD_LETTERS = "dead_letters:read"
    CONTROL_DEAD_LETTERS = "dead_letters:control"
    READ_FLEET = "fleet:read"
    READ_EVENTS = "events:read"
    READ_WEBHOOKS = "webhooks:read"
    MANAGE_WEBHOOKS = "webhooks:manage"
    READ_KEYS = "keys:read"
    MANAGE_KEYS = "keys:manage"
    READ_COSTS = "costs:read"
    """What was spent, and the budgets."""
    MANAGE_BUDGETS = "budgets:manage"
    MANAGE_TENANTS = "tenants:manage"


_P = Permission
_VIEWER = frozenset({_P.LIST_DOCUMENTS, _P.READ_RESULTS, _P.READ_EVENTS})
_SUBMITTER = _VIEWER | {_P.SUBMIT, _P.CONTROL, _P.DELETE, _P.READ_WEBHOOKS, _P.MANAGE_WEBHOOKS}
_OPERATOR = _SUBMITTER | {_P.READ_DEAD_LETTERS, _P.CONTROL_DEAD_LETTERS, _P.READ_FLEET, _P.READ_COSTS}
PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    Role.VIEWER: _VIEWER,
    Role.SUBMITTER: _SUBMITTER,
    Role.OPERATOR: _OPERATOR,
    Role.AUDITOR: frozenset(
        {
            _P.LIST_DOCUMENTS,
            _P.READ_EVENTS,
            _P.READ_DEAD_LETTERS,
            _P.READ_FLEET,
            _P.READ_WEBHOOKS,
            _P.READ_KEYS,
            _P.READ_COSTS,
        }
    ),
    Role.ADMIN: frozenset(Permission),
}


class Caller(msgspec.Struct, frozen=True):
    """Who a request comes from, as its key says."""

    tenant: str
    key_id: str
    role: Role
    scopes: frozenset[Permission] = frozenset()
    """The key is narrowed to these; empty: all of its role."""

    def may(self, permission: Permission) -> bool:
        return is_allowed(self.tenant, self.role, self.scopes, permission)


def is_allowed(tenant: str, role: Role, scopes: Collection[Permission], permission: Permission) -> bool:
    """Whether a key of this role, narrowed to these scopes, may do it."""
    if permission is Permission.MANAGE_TENANTS and tenant != SYSTEM_TENANT:
        return False
    return permission in PERMISSIONS[role] and (not scopes or permission in scopes)
