"""Keys and tenants, in a real browser: what is made works, what is revoked is out, names are text."""

from __future__ import annotations

from console_service import ConsoleService, SignedIn

HOSTILE = '<img src=x onerror="window.ran=1">‮</td>{{7*7}}'


def test_a_key_is_made_shown_once_and_revoked(signed_in: SignedIn, service: ConsoleService) -> None:
    page = signed_in("admin", "/access")
    page.get_by_role("button", name="New key").click()
    page.get_by_role("button", name="Make key").click()
    page.wait_for_selector(".dialog .notice:visible")
    page.get_by_label("Name").fill(HOSTILE)
    page.get_by_role("button", name="Make key").click()
    page.wait_for_selector("[data-secret]")
    secret = page.input_value("[data-secret]")
    with service.api(secret) as client:
        me = client.get("/v1/me").json()
    assert me["role"] == "viewer"
    page.get_by_role("button", name="I have it").click()
    page.wait_for_selector("[data-secret]", state="detached")
    assert secret not in page.content()
    row = page.locator(".rows tbody tr").first
    assert HOSTILE in row.inner_text()
    row.get_by_role("button").click()
    page.locator(".dialog").get_by_role("button", name="Revoke").click()
    page.wait_for_selector(".chip:has-text('revoked')")
    with service.api(secret) as client:
        assert client.get("/v1/me").status_code == 401
    assert page.evaluate("window.ran") is None


def test_a_narrowed_admin_gives_away_no_more_than_it_has(signed_in: SignedIn, service: ConsoleService) -> None:
    from docfleet.domain.access import Permission

    scopes = (Permission.READ_KEYS, Permission.MANAGE_KEYS, Permission.LIST_DOCUMENTS)
    page = signed_in(key=service.new_key("admin", scopes=scopes), to="/access")
    page.get_by_role("button", name="New key").click()
    page.get_by_label("Name").fill("narrow")
    page.get_by_role("button", name="Make key").click()
    page.wait_for_selector(".dialog .notice:visible")
    assert "Role" in page.inner_text(".dialog")


def test_the_system_makes_tenants(signed_in: SignedIn, service: ConsoleService) -> None:
    page = signed_in("admin", "/access", tenant="system")
    page.get_by_role("button", name="New tenant").click()
    page.get_by_label("Id").fill("Not An Id")
    page.get_by_label("Name").fill("Umbrella Ltd")
    page.get_by_role("button", name="Make tenant").click()
    page.wait_for_selector(".dialog .notice:visible")
    page.get_by_label("Id").fill("umbrella")
    page.get_by_role("button", name="Make tenant").click()
    page.wait_for_selector("[data-secret]")
    with service.api(page.input_value("[data-secret]")) as client:
        assert client.get("/v1/me").json()["tenant"] == "umbrella"
    page.get_by_role("button", name="I have it").click()
    page.wait_for_selector("td:has-text('Umbrella Ltd')")
