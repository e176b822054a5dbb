"""Sends hostile files through a real line and watches what it does to its processes. No fixtures here.

with hostile_line(folder) as line:
    for outcome in line.upload(photos): outcome.kind, outcome.code
    line.search(photos), line.archive(file), line.deaths(), line.memory()
"""

import io
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.drawing import HEADER
from tests.hostile import HostileFile
from tests.line import Line, running_line

PATIENCE = 1200.0  # seconds; what does not end by then is unexplained
ENDED = {"done", "failed", "expired", "cancelled"}
FINE = "done"
PARTS = ("web", "coordinator", "worker")
# What no file may ever be answered with: our bug, a lost worker, a wait without an end.
UNEXPLAINED = {"internal_error", "worker_lost", "deadline_passed", "job_interrupted", "", "unknown"}


@dataclass(frozen=True)
class Outcome:
    """What became of a file: ``FINE``, or the code that it was refused with."""

    kind: str
    name: str
    code: str


class HostileLine:
    """A line with one of each process, that are never started again."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self.processes = {name: line.start(name) for name in PARTS}
        line.manage("shell", "-c", "from catalog.models import Merchant as M; M.objects.create(slug='shop', name='S')")
        line.wait_for(lambda: line.web_answers() and line.workers_alive(), "site and worker are up")
        token = line.manage("apikey", "--merchant", "shop").stdout.strip()
        self._api = httpx.Client(
            base_url=f"{line.url}/api/v1/", headers={"Authorization": f"Bearer {token}"}, timeout=httpx.Timeout(180)
        )
        self._pids = {name: process._process.pid for name, process in self.processes.items()}
        self._memory: Counter[str] = Counter()
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch)
        self._watcher.start()

    def close(self) -> None:
        self._over.set()
        self._watcher.join()
        self._api.close()

    def upload(self, files: Sequence[HostileFile]) -> Iterator[Outcome]:
        """All in one archive, a product each."""
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("products.csv", "\n".join([HEADER, *(f"{f.name},T,B,K,5,EUR,,{f.name}" for f in files)]))
            for file in files:
                archive.writestr(file.name, file.data)
        upload = self._finished(self._start_upload("photos.zip", out.getvalue()))
        problems = {row["sku"]: [each["code"] for each in row["problems"]] for row in self._rows(upload["id"])}
        ident = upload["id"].replace("-", "")
        states = dict(self._line.rows("SELECT name, state FROM catalog_photo WHERE upload_id = ?", ident))
        for file in files:
            codes = problems.get(file.name, ["unknown"])
            state = states.get(file.name, "")
            yield Outcome(file.kind, file.name, codes[0] if codes else FINE if state == "done" else "unknown")

    def search(self, files: Iterable[HostileFile]) -> Iterator[Outcome]:
        """Each as a shopper's photo, four at once."""
        with ThreadPoolExecutor(4) as threads:
            yield from threads.map(self._search, files)

    def archive(self, file: HostileFile) -> tuple[Outcome, Counter[str]]:
        """As a bulk upload; also what is said about its rows."""
        answer = self._api.post("uploads", files={"file": (file.name, file.data, "application/zip")})
        if answer.status_code != 202:
            return Outcome(file.kind, file.name, answer.json()["code"]), Counter()
        upload = self._finished(answer.headers["Location"])
        rows = Counter(problem["code"] for row in self._rows(upload["id"]) for problem in row["problems"])
        code = FINE if upload["state"] == "done" else (upload["error"] or {}).get("code", "")
        return Outcome(file.kind, file.name, code), rows

    def deaths(self) -> list[str]:
        """The processes that are not the ones that were started."""
        return [name for name, process in self.processes.items() if not process.is_running]

    def memory(self) -> dict[str, int]:
        """The peak of resident memory in MB: of each process, and of each together with its decoders."""
        own = {name: _status(pid).get("VmHWM", 0) // 1024 for name, pid in self._pids.items()}
        return own | {f"{name} and its decoders": self._memory[name] for name in PARTS}

    def log(self, name: str) -> str:
        return self.processes[name].words()

    def _search(self, file: HostileFile) -> Outcome:
        answer = self._api.post("search-jobs", files={"photo": (file.name, file.data)}, headers={"Prefer": "wait=20"})
        body = answer.json()
        if answer.status_code not in (200, 202):
            return Outcome(file.kind, file.name, body["code"])
        job = self._finished(answer.headers["Location"])
        return Outcome(file.kind, file.name, FINE if job["state"] == "done" else (job["error"] or {}).get("code", ""))

    def _start_upload(self, name: str, data: bytes) -> str:
        return self._api.post("uploads", files={"file": (name, data)}).raise_for_status().headers["Location"]

    def _finished(self, path: str) -> dict[str, Any]:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            body = self._api.get(path, headers={"Prefer": "wait=20"}).raise_for_status().json()
            if body["state"] in ENDED:
                return body
        return body | {"error": {"code": "unknown"}}

    def _rows(self, upload_id: str) -> Iterator[dict[str, Any]]:
        url = f"uploads/{upload_id}/rows?page_size=200"
        while url:
            page = self._api.get(url).raise_for_status().json()
            yield from page["results"]
            url = page["next"]

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            below = _children()
            for name, pid in self._pids.items():
                total = sum(_status(each).get("VmRSS", 0) for each in (pid, *_tree(pid, below))) // 1024
                self._memory[name] = max(self._memory[name], total)


@contextmanager
def hostile_line(folder: Path, **settings: str) -> Iterator[HostileLine]:
    """A line of its own with room for slow machines: what is judged here is never speed."""
    settings = {"VITRINE_SEARCH_DEADLINE_SECONDS": "170", "VITRINE_DISPATCH_SECONDS": "0.5",
                "VITRINE_LEASE_SECONDS": "600", "VITRINE_TORCH_THREADS": "1", **settings}  # fmt: skip
    with running_line(folder, **settings) as line:
        hostile = HostileLine(line)
        try:
            yield hostile
        finally:
            hostile.close()


def _status(pid: int) -> dict[str, int]:
    """The figures of a process in kB; none where it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    return {name: int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines) if "kB" in value}


def _children() -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for pid in filter(str.isdigit, (path.name for path in Path("/proc").iterdir())):
        try:
            parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        found.setdefault(parent, []).append(int(pid))
    return found


def _tree(pid: int, below: dict[int, list[int]]) -> Iterator[int]:
    for child in below.get(pid, []):
        yield child
        yield from _tree(child, below)
