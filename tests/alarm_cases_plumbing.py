"""What each alarm must be on for, and what it must be silent at: what carries the rest."""

from __future__ import annotations

from alarm_cases import EU, series
from monitoring_source import Case, Fires


def of_dispatcher(name: str, number: int = 1) -> str:
    return series(name, job="docfleet-dispatcher", instance=f"d{number}:9464")


def leads(number: int = 1) -> str:
    return series("docfleet_dispatcher_is_leader", job="docfleet-dispatcher", instance=f"d{number}:9464", region="eu")


def up(job: str, number: int = 1) -> str:
    return series("up", job=job, instance=f"{job}-{number}:9464")


DAY = 86_400
GROUP = "/etc/prometheus/rules.yml;docfleet-alarms-work"
CERTIFICATE = series("docfleet_certificate_expiry_timestamp_seconds", purpose="api", instance="a:1", job="docfleet-api")

PLUMBING = [
    Case(
        "no dispatcher reaches it",
        "DocfleetLedgerDown",
        {
            of_dispatcher("docfleet_ledger_up"): "1 1 0x10", leads(): "1 1 0x10",
            of_dispatcher("docfleet_ledger_up", 2): "1 1 0x10", leads(2): "0x12",
        },
        "5m",
        (
            Fires(
                EU, "No dispatcher of the region eu reaches the database.", "critical",
                "Submissions are answered 503, nothing new is taken up, and workers hold what they have finished. What "
                "was accepted is safe.",
            ),
        ),
    ),
    Case(
        "one does not, one does",
        "DocfleetLedgerDown",
        {
            of_dispatcher("docfleet_ledger_up"): "0x10", leads(): "0x10",
            of_dispatcher("docfleet_ledger_up", 2): "1x10", leads(2): "1x10",
        },
        "5m",
    ),
    Case(
        "away for six minutes",
        "DocfleetBrokerDown",
        {of_dispatcher("docfleet_broker_up"): "1 0x10", leads(): "1x10"},
        "7m",
        (
            Fires(
                EU, "No dispatcher of the region eu reaches Redis.", "warning",
                "Workers take work straight from the ledger, a little slower; nothing is lost.",
            ),
        ),
    ),
    Case("there is none", "DocfleetBrokerDown", {leads(): "1x10"}, "7m"),
    Case(
        "away for a moment",
        "DocfleetBrokerDown",
        {of_dispatcher("docfleet_broker_up"): "1 0 0 1x10", leads(): "1x10"},
        "7m",
    ),
    Case(
        "two that do not lead",
        "DocfleetNoLeader",
        {leads(): "1 0x10", leads(2): "0x10"},
        "5m",
        (
            Fires(
                EU, "No dispatcher leads the region eu.", "critical",
                "Leases that ran out are not taken back, hints are not sent, no webhook leaves, and what the ledger "
                "counts is not told: alarms that come of it are blind meanwhile.",
            ),
        ),
    ),
    Case(
        "two regions, and the dispatchers of one are gone",
        "DocfleetNoLeader",
        {leads(): "1 1 stale", leads(2).replace("eu", "us"): "1x20"},
        "5m",
        (
            Fires(
                EU, "No dispatcher leads the region eu.", "critical",
                "Leases that ran out are not taken back, hints are not sent, no webhook leaves, and what the ledger "
                "counts is not told: alarms that come of it are blind meanwhile.",
            ),
        ),
    ),
    Case("an update: each dispatcher is another one than before", "DocfleetNoLeader",
         {leads(): "1x9 stale", leads(2): "_x8 0 0 1x10"}, "15m"),
    Case(
        "no dispatcher ever",
        "DocfleetNoLeader",
        {up("docfleet-api"): "1x20"},
        "5m",
        (
            Fires(
                {}, "No dispatcher leads.", "critical",
                "Leases that ran out are not taken back, hints are not sent, no webhook leaves, and what the ledger "
                "counts is not told: alarms that come of it are blind meanwhile.",
            ),
        ),
    ),
    Case("the other one takes over", "DocfleetNoLeader", {leads(): "1 1 0x10", leads(2): "0 0 0 1x10"}, "5m"),
    Case(
        "nobody leads it any more",
        "DocfleetRegionSilent",
        {
            series("docfleet_region_seen_timestamp_seconds", region="eu"): "0 60 120x30",
            series("docfleet_region_seen_timestamp_seconds", region="us"): "0+60x30",
        },
        "10m",
        (
            Fires(
                EU, "Nobody has led the region eu for 8m 0s.", "critical",
                "Seen from another region. Its documents count there meanwhile; whether its API answers has to be "
                "looked at.", "?var-region=eu",
            ),
        ),
    ),
    Case(
        "a region that was given up ten days ago",
        "DocfleetRegionSilent",
        {series("docfleet_region_seen_timestamp_seconds", region="eu"): "0x500"},
        "14400m",
        (),
        "30m",
    ),
    Case(
        "not counted for a quarter of an hour",
        "DocfleetTallyBehind",
        {series("docfleet_tally_counted_timestamp_seconds", region="eu"): "0x30"},
        "15m",
        (
            Fires(
                EU, "The sums of the region eu are 15m 0s old.", "critical",
                "Objectives are measured by them: until they are counted again, no alarm of an objective can be "
                "trusted.", "?var-region=eu",
            ),
        ),
    ),
    Case(
        "counted all the time",
        "DocfleetTallyBehind",
        {series("docfleet_tally_counted_timestamp_seconds", region="eu"): "0+60x30"},
        "15m",
    ),
    Case(
        "twenty days left",
        "DocfleetCertificateExpires",
        {CERTIFICATE: f"{20 * DAY}x50"},
        "120m",
        (
            Fires(
                {"purpose": "api"}, "The certificate for api ends in 19d 22h 0m 0s.", "warning",
                "Whatever renews it should have done so by now.",
            ),
        ),
        "5m",
    ),
    Case("thirty days left", "DocfleetCertificateExpires", {CERTIFICATE: f"{30 * DAY}x50"}, "120m", (), "5m"),
    Case(
        "it was renewed",
        "DocfleetCertificateExpires",
        {CERTIFICATE: f"{20 * DAY}x10 {90 * DAY}x30"},
        "120m", (), "5m",
    ),
    Case(
        "two days left",
        "DocfleetCertificateEnds",
        {CERTIFICATE: f"{2 * DAY}x50"},
        "120m",
        (
            Fires(
                {"purpose": "api"}, "The certificate for api ends in 1d 22h 0m 0s.", "critical",
                "From then on connections that it is for are refused.",
            ),
        ),
        "5m",
    ),
    Case(
        "it has ended",
        "DocfleetCertificateEnds",
        {CERTIFICATE: "60x50"},
        "120m",
        (
            Fires(
                {"purpose": "api"}, "The certificate for api has ended.", "critical",
                "From then on connections that it is for are refused.",
            ),
        ),
        "5m",
    ),
    Case("five days left", "DocfleetCertificateEnds", {CERTIFICATE: f"{5 * DAY}x50"}, "120m", (), "5m"),
    Case(
        "one worker of two",
        "DocfleetTargetDown",
        {up("docfleet-worker"): "1 0x20", up("docfleet-worker", 2): "1x20"},
        "10m",
        (
            Fires(
                {"job": "docfleet-worker", "instance": "docfleet-worker-1:9464"},
                "docfleet-worker-1:9464 (docfleet-worker) does not tell its metrics.", "warning",
                "It has ended, hangs, or cannot be reached from Prometheus.",
            ),
        ),
    ),
    Case("another's target", "DocfleetTargetDown", {up("node"): "0x20", up("docfleet-api"): "1x20"}, "10m"),
    Case(
        "all processes of the API",
        "DocfleetFrontDown",
        {up("docfleet-api"): "1 0x20", up("docfleet-api", 2): "1 0x20"},
        "5m",
        (
            Fires(
                {"job": "docfleet-api"},
                "No process of docfleet-api tells its metrics: users are probably refused.", "critical",
                "None can be reached from Prometheus, or none runs.",
            ),
        ),
    ),
    Case(
        "the API is gone, and the Document AI front is down",
        "DocfleetFrontDown",
        {up("docfleet-api"): "1 stale", up("docfleet-documentai-server"): "1 0x20"},
        "5m",
        tuple(
            Fires(
                {"job": job}, f"No process of {job} tells its metrics: users are probably refused.", "critical",
                "None can be reached from Prometheus, or none runs.",
            )
            for job in ("docfleet-documentai-server", "docfleet-api")
        ),
    ),
    Case(
        "one of two, and workers scaled to none",
        "DocfleetFrontDown",
        {up("docfleet-api"): "0x20", up("docfleet-api", 2): "1x20"},
        "5m",
    ),
    Case(
        "one in three is given up",
        "DocfleetWebhooksFail",
        {
            series("docfleet_webhook_deliveries_total", outcome="dead"): "0+1x40",
            series("docfleet_webhook_deliveries_total", outcome="delivered"): "0+2x40",
        },
        "35m",
        (
            Fires(
                {}, "30 webhook messages were given up in half an hour.", "warning",
                "Their receivers did not take them, however often they were tried; who follows by asking sees "
                "everything.",
            ),
        ),
    ),
    Case(
        "one receiver of many is gone",
        "DocfleetWebhooksFail",
        {
            series("docfleet_webhook_deliveries_total", outcome="dead"): "0+1x40",
            series("docfleet_webhook_deliveries_total", outcome="delivered"): "0+20x40",
        },
        "35m",
    ),
    Case(
        "thousands wait",
        "DocfleetWebhooksWait",
        {"docfleet_webhook_deliveries_waiting": "5000x60"},
        "45m",
        (
            Fires(
                {}, "5k webhook messages wait to be sent.", "warning",
                "For half an hour. Receivers are slow or away, or there are more than the senders manage.",
            ),
        ),
    ),
    Case(
        "a burst that drains",
        "DocfleetWebhooksWait",
        {"docfleet_webhook_deliveries_waiting": "5000x20 10x40"},
        "45m",
    ),
    Case(
        "two tenants get no report",
        "DocfleetReportsFail",
        {"docfleet_reports_failing": "0 2x30"},
        "20m",
        (
            Fires(
                {}, "2 scheduled reports cannot be made.", "warning",
                "They were tried several times in a quarter of an hour and are tried again, at least once an hour. "
                "Figures and documents are safe; whoever waits for the report does not get it.",
            ),
        ),
    ),
    Case(
        "a report that was made at the third try",
        "DocfleetReportsFail",
        {"docfleet_reports_failing": "0 1x8 0x30"},
        "20m",
    ),
    Case(
        "a wrong key",
        "DocfleetAlarmsNotSent",
        {series("alertmanager_notifications_failed_total", integration="pagerduty", instance="a:1"): "0 0 1 2x20"},
        "10m",
        (
            Fires(
                {"integration": "pagerduty"}, "Alertmanager could not send by pagerduty.", "warning",
                "2 messages in a quarter of an hour: the routing key is wrong, or the receiver is away.",
            ),
        ),
    ),
    Case(
        "all were sent",
        "DocfleetAlarmsNotSent",
        {series("alertmanager_notifications_failed_total", integration="pagerduty", instance="a:1"): "7x20"},
        "10m",
    ),
    Case(
        "a rule that finds two where one may be",
        "DocfleetRulesFail",
        {series("prometheus_rule_evaluation_failures_total", rule_group=GROUP): "0 2 4 6x20"},
        "10m",
        (
            Fires(
                {"rule_group": GROUP}, f"Rules of {GROUP} fail.", "warning",
                "Alarms of this group may be blind. Two processes that tell the same of the ledger are the usual "
                "cause.",
            ),
        ),
    ),
    Case(
        "rules of somebody else",
        "DocfleetRulesFail",
        {series("prometheus_rule_evaluation_failures_total", rule_group="/etc/rules/shop.yml;shop"): "0 2 4 6x20"},
        "10m",
    ),
    Case(
        "rules that work",
        "DocfleetRulesFail",
        {series("prometheus_rule_evaluation_failures_total", rule_group="docfleet-alarms-work"): "0x20"},
        "10m",
    ),
    Case(
        "always on",
        "DocfleetWatchdog",
        {"up": "1x3"},
        "1m",
        (
            Fires(
                {}, "Prometheus and Alertmanager work.", "none",
                "Always on. Send it to something that calls when it stops coming.",
            ),
        ),
    ),
]  # fmt: skip
