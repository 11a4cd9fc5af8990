"""Alarms of what carries the rest: database, broker, dispatchers, certificates, and the watching itself."""

from __future__ import annotations

from collections.abc import Iterator

from .alarm import CRITICAL, NONE, WARNING, Alarm
from .pace import Pace

DAYS_WARNED = 21
DAYS_URGENT = 3
GIVEN_UP_DAYS = 7
"""A region that has been silent for so long was taken out of service."""


def plumbing_alarms(pace: Pace) -> Iterator[Alarm]:
    yield from _servers()
    yield from _dispatchers(pace)
    yield from _certificates()
    yield from _targets()
    yield from _deliveries(pace)
    yield _reports()
    yield from _watching(pace)


def _servers() -> Iterator[Alarm]:
    # a dispatcher says its region in another metric
    region = "on (job, instance) group_left (region) (docfleet_dispatcher_is_leader >= bool 0)"
    yield Alarm(
        "DocfleetLedgerDown",
        CRITICAL,
        f"max by (region) (docfleet_ledger_up * {region}) == 0",
        # a database that fails over by itself takes most of a minute
        "2m",
        "No dispatcher of the region {{ $labels.region }} reaches the database.",
        "Submissions are answered 503, nothing new is taken up, and workers hold what they have finished. What was "
        "accepted is safe.",
        "overview",
    )
    yield Alarm(
        "DocfleetBrokerDown",
        WARNING,
        f"max by (region) (docfleet_broker_up * {region}) == 0",
        "5m",
        "No dispatcher of the region {{ $labels.region }} reaches Redis.",
        "Workers take work straight from the ledger, a little slower; nothing is lost.",
        "overview",
    )


def _dispatchers(pace: Pace) -> Iterator[Alarm]:
    # of a region whose dispatchers are all gone nothing is told at all, while those of another one tell of theirs
    seen = f"last_over_time(docfleet_dispatcher_is_leader[{pace('1d')}])"
    yield Alarm(
        "DocfleetNoLeader",
        CRITICAL,
        "max by (region) (docfleet_dispatcher_is_leader) == 0\n"
        f"or (max by (region) ({seen}) unless max by (region) (docfleet_dispatcher_is_leader))\n"
        f"or absent({seen})",
        "2m",
        "No dispatcher leads{{ with $labels.region }} the region {{ . }}{{ end }}.",
        "Leases that ran out are not taken back, hints are not sent, no webhook leaves, and what the ledger counts is "
        "not told: alarms that come of it are blind meanwhile.",
        "overview",
    )
    silent = "time() - max by (region) (docfleet_region_seen_timestamp_seconds)"
    yield Alarm(
        "DocfleetRegionSilent",
        CRITICAL,
        f"({silent} > 120) < {GIVEN_UP_DAYS * 86_400}",
        "1m",
        "Nobody has led the region {{ $labels.region }} for {{ $value | humanizeDuration }}.",
        "Seen from another region. Its documents count there meanwhile; whether its API answers has to be looked at.",
        "overview",
        ("region",),
    )
    yield Alarm(
        "DocfleetTallyBehind",
        CRITICAL,
        "time() - max by (region) (docfleet_tally_counted_timestamp_seconds) > 300",
        "5m",
        "The sums of the region {{ $labels.region }} are {{ $value | humanizeDuration }} old.",
        "Objectives are measured by them: until they are counted again, no alarm of an objective can be trusted.",
        "overview",
        ("region",),
    )


def _certificates() -> Iterator[Alarm]:
    left = "min by (purpose) (docfleet_certificate_expiry_timestamp_seconds) - time()"
    yield Alarm(
        "DocfleetCertificateExpires",
        WARNING,
        f"({left} < {DAYS_WARNED * 86_400}) >= {DAYS_URGENT * 86_400}",
        "1h",
        "The certificate for {{ $labels.purpose }} ends in {{ $value | humanizeDuration }}.",
        "Whatever renews it should have done so by now.",
        "overview",
    )
    yield Alarm(
        "DocfleetCertificateEnds",
        CRITICAL,
        f"{left} < {DAYS_URGENT * 86_400}",
        "10m",
        "The certificate for {{ $labels.purpose }} "
        "{{ if lt $value 0.0 }}has ended{{ else }}ends in {{ $value | humanizeDuration }}{{ end }}.",
        "From then on connections that it is for are refused.",
        "overview",
    )


def _targets() -> Iterator[Alarm]:
    yield Alarm(
        "DocfleetTargetDown",
        WARNING,
        'up{job=~"docfleet-.*"} == 0',
        "5m",
        "{{ $labels.instance }} ({{ $labels.job }}) does not tell its metrics.",
        "It has ended, hangs, or cannot be reached from Prometheus.",
        "overview",
    )
    alive = "(up{{{0}}} == 1)"
    front = 'job=~"docfleet-(api|console|documentai-server|up|serve)"'
    yield Alarm(
        "DocfleetFrontDown",
        CRITICAL,
        f"(count by (job) (up{{{front}}}) unless count by (job) {alive.format(front)})\n"
        'or label_replace(absent(up{job=~"docfleet-(api|up|serve)"}), "job", "docfleet-api", "", "")',
        "2m",
        "No process of {{ $labels.job }} tells its metrics: users are probably refused.",
        "None can be reached from Prometheus, or none runs.",
        "overview",
    )


def _deliveries(pace: Pace) -> Iterator[Alarm]:
    half = pace("30m")
    yield Alarm(
        "DocfleetWebhooksFail",
        WARNING,
        f'sum(increase(docfleet_webhook_deliveries_total{{outcome="dead"}}[{half}])) > 9.5\n'
        f'and sum(rate(docfleet_webhook_deliveries_total{{outcome="dead"}}[{half}]))\n'
        f'> 0.2 * sum(rate(docfleet_webhook_deliveries_total{{outcome=~"dead|delivered"}}[{half}]))',
        "",
        "{{ $value | humanize }} webhook messages were given up in half an hour.",
        "Their receivers did not take them, however often they were tried; who follows by asking sees everything.",
        "overview",
        keep="10m",
    )
    yield Alarm(
        "DocfleetWebhooksWait",
        WARNING,
        "max(docfleet_webhook_deliveries_waiting) > 1000",
        "30m",
        "{{ $value | humanize }} webhook messages wait to be sent.",
        "For half an hour. Receivers are slow or away, or there are more than the senders manage.",
        "overview",
    )


def _reports() -> Alarm:
    return Alarm(
        "DocfleetReportsFail",
        WARNING,
        "max(docfleet_reports_failing) > 0",
        "15m",
        "{{ $value | humanize }} scheduled reports cannot be made.",
        "They were tried several times in a quarter of an hour and are tried again, at least once an hour. Figures and "
        "documents are safe; whoever waits for the report does not get it.",
        "overview",
    )


def _watching(pace: Pace) -> Iterator[Alarm]:
    quarter = pace("15m")
    yield Alarm(
        "DocfleetAlarmsNotSent",
        WARNING,
        f"sum by (integration) (increase(alertmanager_notifications_failed_total[{quarter}])) > 0",
        "",
        "Alertmanager could not send by {{ $labels.integration }}.",
        "{{ $value | humanize }} messages in a quarter of an hour: the routing key is wrong, or the receiver is away.",
        "overview",
        keep="30m",
    )
    yield Alarm(
        "DocfleetRulesFail",
        WARNING,
        # of the groups of others, which a Prometheus of a cluster has as well, somebody else is told
        'sum by (rule_group) (increase(prometheus_rule_evaluation_failures_total{rule_group=~"(.*;)?docfleet-.*"}'
        f"[{quarter}])) > 0",
        "",
        "Rules of {{ $labels.rule_group }} fail.",
        "Alarms of this group may be blind. Two processes that tell the same of the ledger are the usual cause.",
        "overview",
        keep="30m",
    )
    yield Alarm(
        "DocfleetWatchdog",
        NONE,
        "vector(1)",
        "",
        "Prometheus and Alertmanager work.",
        "Always on. Send it to something that calls when it stops coming.",
        "overview",
    )
