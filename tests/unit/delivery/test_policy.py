"""When a delivery is tried again, and who is served next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docfleet.domain.delivery import Answer, DeliveryState, Receiver, judge, share_out

DAY = 86_400.0


def tries(answer: Answer, retry_seconds: float, jitter: float = 0.5) -> list[float]:
    """Delays until it is given up."""
    delays: list[float] = []
    for attempt in range(1, 1000):
        verdict = judge(answer, attempt, retry_seconds, jitter)
        if verdict.state is DeliveryState.DEAD:
            return delays
        assert verdict.state is DeliveryState.WAITING
        delays.append(verdict.delay_seconds)
    raise AssertionError("never given up")


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_two_hundred_and_something_is_delivered(status: int) -> None:
    assert judge(Answer(status, 0.1), 1, DAY, 0.5).state is DeliveryState.DELIVERED


@pytest.mark.parametrize("status", [0, 100, 301, 302, 307, 400, 401, 404, 500, 502])
def test_everything_else_is_tried_for_a_day(status: int) -> None:
    delays = tries(Answer(status, 0.1, "no_connection: refused"), DAY)
    assert delays == [5, 300, 1800, 7200, 18000, 36000, DAY - 63305]
    assert sum(delays) == DAY


def test_gone_disables_at_once() -> None:
    verdict = judge(Answer(410, 0.1), 1, DAY, 0.5)
    assert (verdict.state, verdict.disable) == (DeliveryState.DEAD, True)


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_kept_but_never_shortens(status: int) -> None:
    assert judge(Answer(status, 0.1, "", 120.0), 1, DAY, 0.5).delay_seconds == 120
    assert judge(Answer(status, 0.1, "", 1.0), 3, DAY, 0.5).delay_seconds == 1800
    assert judge(Answer(500, 0.1, "", 120.0), 1, DAY, 0.5).delay_seconds == 5


@given(st.floats(1, 10 * DAY), st.floats(0, 0.999), st.floats(0, 1e9))
def test_it_always_ends_and_never_waits_past_the_end(retry_seconds: float, jitter: float, after: float) -> None:
    delays = tries(Answer(503, 0.1, "", after), retry_seconds, jitter)
    assert len(delays) < 40
    assert all(0 < delay <= retry_seconds for delay in delays)


def test_what_failed_together_does_not_come_back_together() -> None:
    delays = {judge(Answer(500, 0.1), 2, DAY, jitter / 10).delay_seconds for jitter in range(10)}
    assert len(delays) == 10
    assert min(delays) >= 240
    assert max(delays) <= 360


def receivers(*names: str) -> list[Receiver]:
    """ "a1" is webhook a1 of tenant a."""
    return [Receiver(name, name[0]) for name in names]


def test_one_tenant_leaves_room_for_others() -> None:
    assert share_out(receivers("a1"), [], frozenset(), 8) == {"a1": 6}
    assert share_out(receivers("a1", "a2"), [], frozenset(), 8) == {"a1": 3, "a2": 3}
    assert share_out(receivers("a1", "b1"), [], frozenset(), 8) == {"a1": 4, "b1": 4}
    assert share_out(receivers("a1", "b1"), receivers(*["a1"] * 6), frozenset(), 8) == {"b1": 2}


def test_slow_receivers_have_one_each_and_half_together() -> None:
    names = [f"{tenant}1" for tenant in "abcdefghij"]
    shares = share_out(receivers(*names), [], frozenset(names), 8)
    assert sorted(shares.values()) == [1, 1, 1, 1]
    assert share_out(receivers("a1", "z1"), receivers(*names[:4]), frozenset(names), 8) == {"z1": 4}


def test_a_single_sender_serves_everybody() -> None:
    assert share_out(receivers("a1"), [], frozenset({"a1"}), 1) == {"a1": 1}
    assert share_out(receivers("a1"), receivers("b1"), frozenset(), 1) == {}


names = st.sampled_from([f"{tenant}{number}" for tenant in "abc" for number in "123"])


@given(st.lists(names, unique=True), st.lists(names, max_size=8), st.frozensets(names), st.integers(1, 12))
def test_no_more_than_there_are_senders(
    due: list[str], under_way: list[str], slow: frozenset[str], concurrency: int
) -> None:
    shares = share_out(receivers(*due), receivers(*under_way), slow, concurrency)
    assert set(shares) <= set(due)
    assert sum(shares.values()) <= max(0, concurrency - len(under_way))
    if due and not under_way:
        assert shares
