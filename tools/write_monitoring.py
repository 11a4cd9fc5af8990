"""`make dashboards`: writes the files of deploy/monitoring and of the component `monitoring` from tools/monitoring.

write_monitoring.py            write them
write_monitoring.py --check    say which are not current
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tools")]

from monitoring import dashboards, kubernetes, routing, scraping  # noqa: E402
from monitoring.alarms import rule_groups  # noqa: E402

MONITORING = "deploy/monitoring"
COMPONENT = "deploy/kubernetes/components/monitoring"
HEAD = "# Written by `make dashboards` from tools/monitoring: change it there.\n# yamllint disable rule:line-length\n"


class _Dumper(yaml.SafeDumper):
    """Lists indented, texts of several lines as blocks, nothing shared by reference."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        return super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def as_yaml(*objects: Any, head: str = HEAD) -> str:
    """Documents of YAML, as yamllint likes them."""
    made = (yaml.dump(one, Dumper=_Dumper, sort_keys=False, width=10_000, allow_unicode=True) for one in objects)
    return head + "---\n".join(made)


def as_json(one: Any) -> str:
    return json.dumps(one, indent=2, ensure_ascii=False) + "\n"


FILES: Mapping[str, Callable[[], str]] = {
    f"{MONITORING}/prometheus/rules.yml": lambda: as_yaml({"groups": rule_groups()}),
    f"{MONITORING}/prometheus/prometheus.yml": lambda: as_yaml(scraping.prometheus_config()),
    f"{MONITORING}/alertmanager/alertmanager.yml": lambda: as_yaml(routing.alertmanager_config()),
    **{
        f"{MONITORING}/grafana/dashboards/{name}.json": partial(lambda make: as_json(make()), make)
        for name, make in dashboards.DASHBOARDS.items()
    },
    f"{COMPONENT}/rules.yaml": lambda: as_yaml(kubernetes.prometheus_rule()),
    f"{COMPONENT}/pods.yaml": lambda: as_yaml(kubernetes.pod_monitor()),
    f"{COMPONENT}/routes.yaml": lambda: as_yaml(kubernetes.alertmanager_object()),
}


def stale() -> list[str]:
    """Files that are not what is made now."""
    found = []
    for name, make in FILES.items():
        path = ROOT / name
        if not path.is_file() or path.read_text(encoding="utf-8") != make():
            found.append(name)
    return found


def main() -> int:
    if "--check" in sys.argv[1:]:
        for name in stale():
            print(f"{name} is not current: make dashboards", file=sys.stderr)
        return int(bool(stale()))
    for name in stale():
        (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / name).write_text(FILES[name](), encoding="utf-8")
        print(name)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
