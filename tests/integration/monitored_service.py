"""The service as real processes, Prometheus and Alertmanager over them, and a receiver shaped like PagerDuty.

Rules, routes and relabelling are those that are deployed, at a pace of their own: what takes an hour takes minutes.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import msgspec
import yaml
from webhook_receivers import Received, Receiver

from deploy_tools import server
from monitoring_source import alarms, pace, routing, scraping

PACE = pace.Pace(1 / 20)
"""An hour in three minutes, five minutes in fifteen seconds."""
ROUTING_KEY = "0123456789abcdef0123456789abcdef"
KINDS = ("trigger", "acknowledge", "resolve")
SEVERITIES = ("critical", "error", "warning", "info")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def event_of(received: Received) -> dict[str, Any]:
    """The event, if it is one that Events v2 takes: https://developer.pagerduty.com/docs/send-alert-event."""
    event: dict[str, Any] = received.data
    assert received.headers["content-type"] == "application/json"
    assert event["routing_key"] == ROUTING_KEY
    assert event["event_action"] in KINDS
    assert 0 < len(event["dedup_key"]) <= 255
    if event["event_action"] == "trigger":
        payload = event["payload"]
        assert 0 < len(payload["summary"]) <= 1024
        assert payload["source"]
        assert payload["severity"] in SEVERITIES
        assert isinstance(payload.get("custom_details", {}), dict)
        for link in event.get("links", []):
            assert link["href"]
            assert link["text"]
    return event


class Monitored:
    """API, dispatcher and worker over one folder; `prometheus` and `alertmanager` look at them.

    `more`: other processes they are to look at, by their role and perhaps a number (`dispatcher-2`); whoever starts
    them does so before `start_all`. `settings`: for all processes.
    """

    def __init__(self, folder: Path, engines: Path, pages: Receiver, more: Sequence[str] = (), **settings: str) -> None:
        self.folder, self.pages = folder, pages
        self._stack = ExitStack()
        self._told = ("api", "dispatcher", "worker", *more)
        self.ports = {name: free_port() for name in ("http", *self._told)}
        self.prometheus, self.alertmanager = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._environment = {
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2] / "src"), str(engines)]),
            "DOCFLEET_SERVICE__DATA_FOLDER": str(folder / "data"),
            "DOCFLEET_SERVICE__REGION": "here",
            "DOCFLEET_READING__ENGINE": "poison",
            "DOCFLEET_LOG": "info",
            **settings,
        }

    def close(self) -> None:
        self._stack.close()

    def start_all(self) -> None:
        self.key = self.docfleet("keys", "create", "tests", "--role", "admin")
        self.start("api", "api", "--port", str(self.ports["http"]))
        self.start("dispatcher", "dispatcher")
        self.start("worker", "worker", "--pool", "all", "--slots", "2")
        # at this pace an alarm that waits two minutes for a start waits six seconds
        for name in self._told:
            self.wait_for(lambda name=name: "docfleet_build_info" in self.told(name), 60)
        self.wait_for(lambda: 'docfleet_dispatcher_is_leader{region="here"} 1' in self.told("dispatcher"), 60)
        self._start_alertmanager()
        self._start_prometheus()
        self.wait_for(lambda: self.value('count(up{job=~"docfleet-.*"} == 1)') == len(self._told), 90)

    # --- docfleet

    def docfleet(self, *arguments: str, **settings: str) -> str:
        """A command to its end; what it said."""
        environment = {**os.environ, **self._environment, **settings}
        ran = subprocess.run(
            [sys.executable, "-m", "docfleet", *arguments],
            env=environment, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert ran.returncode == 0, (arguments, ran.stdout, ran.stderr)
        return ran.stdout.strip()

    def start(self, name: str, *arguments: str, **settings: str) -> None:
        port = {"DOCFLEET_TELEMETRY__METRICS_PORT": str(self.ports[name])}
        self._process(name, [sys.executable, "-m", "docfleet", *arguments], {**self._environment, **port, **settings})

    def submit(self, content: bytes, name: str, **asked: str) -> str:
        answer = httpx.post(
            f"http://127.0.0.1:{self.ports['http']}/v1/documents", params={"name": name, "mode": "ocr", **asked},
            content=content, headers={"authorization": f"Bearer {self.key}"}, timeout=30,
        )  # fmt: skip
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def told(self, name: str) -> str:
        """What a process tells Prometheus; empty before it does."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.ports[name]}/metrics", timeout=5).text
        except httpx.TransportError:
            return ""

    def kill(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes[name].wait()

    # --- Prometheus and Alertmanager

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Samples of an instant query. A query that is wrong fails the test."""
        said = httpx.post(f"{self.prometheus}/api/v1/query", data={"query": expression}, timeout=30)
        if said.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            return []  # it has just been started
        answer = said.json()
        assert answer["status"] == "success", (expression, answer)
        return list(answer["data"]["result"])

    def value(self, expression: str) -> float | None:
        """Of the only sample; None: there is none."""
        try:
            found = self.query(expression)
        except httpx.TransportError:
            return None
        return float(found[0]["value"][1]) if found else None

    def rules(self) -> list[dict[str, Any]]:
        groups = httpx.get(f"{self.prometheus}/api/v1/rules", timeout=30).json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def firing(self, alarm: str, **labels: str) -> bool:
        """Whether Prometheus has an alarm on."""
        where = "".join(f', {name}="{value}"' for name, value in labels.items())
        return self.value(f'count(ALERTS{{alertname="{alarm}", alertstate="firing"{where}}})') is not None

    def paged(self, alarm: str) -> list[str]:
        """Keys of the incidents that an alarm has begun at PagerDuty."""
        found = [one for one in self.events() if one["event_action"] == "trigger" and one["payload"]["class"] == alarm]
        return list(dict.fromkeys(one["dedup_key"] for one in found))

    def is_over(self, alarm: str) -> bool:
        """Whether the last word of each of its incidents was that it is over."""
        last = {one["dedup_key"]: one["event_action"] for one in self.events()}
        return all(last[key] == "resolve" for key in self.paged(alarm))

    def events(self) -> list[dict[str, Any]]:
        return [event_of(one) for one in list(self.pages.received)]

    def wait_for(self, true: Callable[[], object], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, f"it did not happen in {seconds} s\n{self.said()}"
            for name, process in self.processes.items():
                assert process.poll() in (None, -signal.SIGKILL), f"{name} ended\n{self.said()}"
            time.sleep(0.25)

    def said(self) -> str:
        firing = [f"{one['labels']}" for one in self._alerts()]
        return "\n".join([*firing, *(path.read_text(errors="replace")[-1500:] for path in self.folder.glob("*.log"))])

    def _alerts(self) -> list[dict[str, Any]]:
        try:
            return list(httpx.get(f"{self.prometheus}/api/v1/alerts", timeout=5).json()["data"]["alerts"])
        except httpx.TransportError:
            return []

    def _start_alertmanager(self) -> None:
        key = self.folder / "routing-key"
        key.write_text(ROUTING_KEY + "\n", encoding="utf-8")
        places = routing.Places(str(key), f"http://127.0.0.1:{self.pages.port}/v2/enqueue")
        config = self._write("alertmanager.yml", routing.alertmanager_config(places, PACE))
        self._process(
            "alertmanager",
            [
                server("prometheus-alertmanager", "alertmanager"), f"--config.file={config}",
                f"--storage.path={self.folder / 'alertmanager'}", "--cluster.listen-address=",
                f"--web.listen-address={self.alertmanager.removeprefix('http://')}",
            ],
        )  # fmt: skip

    def _start_prometheus(self) -> None:
        rules = self._write("rules.yml", {"groups": alarms.rule_groups(PACE)})
        targets: dict[str, list[str]] = {}
        for name in self._told:
            job = "docfleet-" + re.sub(r"-\d$", "", name)
            targets.setdefault(job, []).append(f"127.0.0.1:{self.ports[name]}")
        own = {
            "prometheus": [self.prometheus.removeprefix("http://")],
            "alertmanager": [self.alertmanager.removeprefix("http://")],
        }
        config = scraping.config_of({**targets, **own}, str(rules), own["alertmanager"][0], PACE)
        config["global"] |= {"scrape_interval": "1s", "scrape_timeout": "1s"}
        self._process(
            "prometheus",
            [
                server("prometheus"), f"--config.file={self._write('prometheus.yml', config)}",
                f"--storage.tsdb.path={self.folder / 'prometheus'}", "--enable-feature=exemplar-storage",
                f"--web.listen-address={self.prometheus.removeprefix('http://')}",
            ],
        )  # fmt: skip

    def _write(self, name: str, config: dict[str, Any]) -> Path:
        path = self.folder / name
        path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
        return path

    def _process(self, name: str, command: list[str], environment: dict[str, str] | None = None) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, env={**os.environ, **(environment or {})}, start_new_session=True
            )
        self.processes[name] = process
        self._stack.callback(_end, process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """With all it has started."""
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def accepted(handler: Any, number: int) -> None:
    """What PagerDuty answers."""
    body = msgspec.json.encode({"status": "success", "message": "Event processed", "dedup_key": str(number)})
    handler.send_response(202)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
