"""What the dashboard and the alarms ask Prometheus for, and what an output of ``/metrics`` tells. No fixtures here."""

import json
import re

import yaml

from config.env import ROOT

FOLDER = ROOT / "monitoring"
NAME = re.compile(r"\b(?:vitrine|process)_[a-z_]+\b(?!\s*=)")
TYPE = re.compile(r"^# TYPE (\S+) (\S+)$", re.MULTILINE)


def expressions() -> list[str]:
    """Every query of the dashboard and of the alarms."""
    panels = json.loads((FOLDER / "grafana-dashboard.json").read_text())["panels"]
    groups = yaml.safe_load((FOLDER / "alarms.yml").read_text())["groups"]
    asked = [target["expr"] for panel in panels for target in panel["targets"]]
    return asked + [rule["expr"] for group in groups for rule in group["rules"]]


def names_asked_for() -> set[str]:
    """The names of figures in them; Prometheus makes ``up`` itself."""
    return {name for expression in expressions() for name in NAME.findall(re.sub(r'"[^"]*"', '""', expression))}


def names_told(text: str) -> set[str]:
    """The names under which samples may come: also of what has not happened yet."""
    told = set()
    for name, kind in TYPE.findall(text):
        told |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    return told
