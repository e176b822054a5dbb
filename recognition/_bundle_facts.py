"""Which values the facts of a bundle may have; asked by bundle.py before it makes a bundle of them.

A threshold that is text, a size below one or a temperature of zero would fail at the first photo, or worse, not fail
and judge wrongly. Each is refused at the start, by name.
"""

import math
from collections.abc import Mapping
from typing import Any

_SHARE, _ANY, _COUNT = (0.0, 1.0), (-math.inf, math.inf), (1.0, 65536.0)
_COSINE, _POSITIVE = (-1.0, 1.0), (1e-6, math.inf)

# By part and name. A name that is not here is checked by the class that it is a field of, or may be anything.
_RANGES: dict[str, dict[str, tuple[float, float]]] = {
    "": {"dim": _COUNT},
    "preprocessing": {"size": _COUNT, "crop": (0.01, 1.0), "mean": _ANY, "std": _POSITIVE},
    "similarity": {"image": _SHARE, "fused": _SHARE},
    "thresholds": {
        **dict.fromkeys(("sure", "review", "sure_by_category"), _SHARE),
        **dict.fromkeys(("same", "similar"), _COSINE),
        "close_margin": (0.0, 2.0),
    },
    "calibration": dict.fromkeys(("intercept", "similarity", "margin", "votes", "background"), _ANY),
    "labels": {"temperature": _POSITIVE, "known": _SHARE},
    "subject": {
        **dict.fromkeys(("width", "side"), _COUNT),
        **dict.fromkeys(("score", "overlap", "sure", "small", "margin"), _SHARE),
    },
}
_WHOLE = frozenset({"dim", "size", "width", "side"})


def check_facts(facts: Mapping[str, Any]) -> None:
    """Raises ValueError naming the first value that no bundle can have: not of its kind, not finite, out of range."""
    for name in ("version", "arch"):
        if not isinstance(facts.get(name, ""), str):
            raise ValueError(f"{name} is {facts[name]!r}, not a text")
    for place, value in (("mirrored", facts.get("mirrored", False)), _calibrated(facts)):
        if not isinstance(value, bool):
            raise ValueError(f"{place} is {value!r}, neither true nor false")
    for part, ranges in _RANGES.items():
        whole = facts if not part else facts.get(part)
        sets = whole.items() if part == "labels" and isinstance(whole, Mapping) else [("", whole)]
        for label, values in sets:
            if isinstance(values, Mapping):
                _check(".".join(filter(None, (part, label))), values, ranges)


def _calibrated(facts: Mapping[str, Any]) -> tuple[str, Any]:
    calibration = facts.get("calibration")
    told = calibration.get("calibrated", False) if isinstance(calibration, Mapping) else False
    return "calibration.calibrated", told


def _check(part: str, values: Mapping[str, Any], ranges: Mapping[str, tuple[float, float]]) -> None:
    for name, (least, most) in ranges.items():
        if name not in values:
            continue  # it has its default
        given = values[name]
        each = given.values() if isinstance(given, Mapping) else given if isinstance(given, list) else [given]
        for value in each:
            if not _is_number(value, name in _WHOLE) or not least <= value <= most:
                place = f"{part}.{name}" if part else name
                kind = "whole number" if name in _WHOLE else "finite number"
                bounds = f" from {least:g} to {most:g}" if math.isfinite(most) else " above 0" if least > 0 else ""
                raise ValueError(f"{place} is {value!r}, not a {kind}{bounds}")


def _is_number(value: Any, whole: bool) -> bool:
    kinds = int if whole else (int, float)
    return isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value)
