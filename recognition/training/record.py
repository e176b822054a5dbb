"""What a bundle was made of, kept in its folder as record.json; after loop.py, read by card.py and recalibrate.py.

The card is written from it, so that a bundle can be calibrated again without the folder of its run. Serving reads
nothing of it. A bundle from before records has a card, and what that says is its record; only which photos it was
trained on nobody can tell then.
"""

import json
import os
import platform
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from recognition.bundle import CARD, RECORD, file_sha256
from recognition.training.data import Photo, Role
from recognition.training.errors import DataError

ROLES: tuple[Role, ...] = ("train", "gallery", "calibrate", "report")
FINDING = "Finding things"  # the card's section that subject.py writes

_DIGITS = 10  # of a photo's SHA-256 in hex: one in a trillion other photos has the same
_NO_LICENCES = ("the owner’s own photos", "licence not stated")  # what cards said where nobody had told
_ROW = re.compile(r"^\| (\w[^:|]*): (.*) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", re.MULTILINE)


@dataclass(frozen=True)
class Record:
    """What a card says that was not measured.

    `made`: a sentence about when and on what. `photos`: how many of each data set had each of ROLES. `licences`: of
    data sets, where somebody told. `training`: Markdown, how the weights came about. `finding`: Markdown, of the head
    that finds things. `trained_on`: the content of each photo that the network learnt from, shortened; None: not known.
    """

    made: str = ""
    photos: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    licences: Mapping[str, str] = field(default_factory=dict)
    training: str = ""
    finding: str = ""
    trained_on: frozenset[str] | None = None

    def as_json(self) -> dict[str, Any]:
        """What record.json says."""
        known = None if self.trained_on is None else " ".join(sorted(self.trained_on))
        return asdict(self) | {"trained_on": known}


def record_of_run(
    run: Mapping[str, Any], photos: Sequence[Photo], licences: Mapping[str, str], steps: Sequence[str] = ()
) -> Record:
    """The record of a finished run. `run`: the facts of run.json; `photos`: all with their roles; `steps`: sentences
    about what was trained after it."""
    plan = run["plan"]
    began_with = [f"How `{_name(plan['weights'])}` came about: {run['began_with']}"] if run["began_with"] else []
    told = (
        f"Starting weights: `{_name(plan['weights'])}`. {_trained(plan)}: {run['epochs_done']} epochs at "
        f"{plan['size']} px, batches of {plan['batch']}, {plan['optimiser']}, seed {plan['seed']}; the weights are a "
        f"moving average ({run['best']})."
    )
    return Record(
        made=f"Made on {datetime.now(UTC):%Y-%m-%d} with torch {torch.__version__} on {_hardware(plan)}.",
        photos=counts(photos),
        licences=dict(licences),
        training="\n\n".join([told, *steps, *began_with]),
        trained_on=contents(photo.path for photo in photos if photo.role == "train") | _learnt_before(plan["weights"]),
    )


def read_record(folder: Path) -> Record:
    """The record of a bundle, or what its card says. Raises DataError where record.json cannot be read."""
    path = folder / RECORD
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        known = facts["trained_on"]
        return Record(**facts | {"trained_on": None if known is None else frozenset(known.split())})
    except FileNotFoundError:
        return _as_card_says(folder)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{path} cannot be read: {error}.") from error


def counts(photos: Sequence[Photo]) -> dict[str, dict[str, int]]:
    """How many photos of each data set have each of ROLES."""
    found = Counter((photo.source, photo.role) for photo in photos)
    sources = dict.fromkeys(photo.source for photo in photos)
    return {source: {role: found[source, role] for role in ROLES} for source in sources}


def contents(paths: Iterable[Path]) -> frozenset[str]:
    """What `Record.trained_on` holds of these photos."""
    return frozenset(file_sha256(path)[:_DIGITS] for path in paths)


def training_of(folder: Path) -> str:
    """What the card of a bundle says of how its weights came about; "" where there is no such card."""
    return _section(_card(folder), "Training")


def _learnt_before(weights: str) -> frozenset[str]:
    """What the starting bundle was trained on, as far as it tells."""
    folder = Path(weights)
    return (read_record(folder).trained_on if folder.is_dir() else None) or frozenset()


def _as_card_says(folder: Path) -> Record:
    card = _card(folder)
    rows = {name: (licence, map(int, numbers)) for name, licence, *numbers in _ROW.findall(card)}
    made = re.search(r"\bMade on .*", card)
    return Record(
        made=made[0] if made else "",
        photos={name: dict(zip(ROLES, numbers, strict=True)) for name, (_, numbers) in rows.items()},
        licences={name: licence for name, (licence, _) in rows.items() if licence not in _NO_LICENCES},
        training=_section(card, "Training"),
        finding=_section(card, FINDING),
    )


def _card(folder: Path) -> str:
    try:
        return (folder / CARD).read_text(encoding="utf-8")
    except OSError:
        return ""


def _section(card: str, title: str) -> str:
    found = re.search(rf"^## {title}\n+(.*?)\s*(?=^## |\Z)", card, re.DOTALL | re.MULTILINE)
    return found[1] if found else ""


def _trained(plan: Mapping[str, Any]) -> str:
    if plan["backbone_rate"]:
        return "All layers trained"
    return "Words, gate and classifiers trained, the photo's network not"


def _hardware(plan: Mapping[str, Any]) -> str:
    if str(plan["device"]).startswith("cuda"):
        return torch.cuda.get_device_name(plan["device"])
    return f"{os.cpu_count()} CPU cores ({platform.machine()})"


def _name(weights: str) -> str:
    return weights.replace("\\", "/").rstrip("/").rpartition("/")[2]
