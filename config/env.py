"""Typed settings from the environment: the one place that reads it, for the web, the coordinator and the workers.

Comes before everything: a wrong value stops the start and names the variable. Imports nothing of the project, so
every package may read it.
"""

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, IPvAnyNetwork, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

ROOT = Path(__file__).resolve().parent.parent
DEVELOPMENT_SECRET = "development-only-secret-never-use-in-production"  # noqa: S105 - refused in production below
SECRET_LENGTH = 32


class Env(BaseSettings):
    """Every setting of Vitrine. Names in capitals are read as they stand, the others with the prefix ``VITRINE_``."""

    model_config = SettingsConfigDict(env_prefix="VITRINE_", env_file=ROOT / ".env", extra="ignore", frozen=True)

    mode: Literal["development", "production"] = "development"
    secret_key: str = DEVELOPMENT_SECRET
    public_url: str = "http://127.0.0.1:8000"
    allowed_hosts: str = "localhost,127.0.0.1,[::1]"
    log_format: Literal["text", "json"] = "text"

    trusted_proxies: Annotated[tuple[IPvAnyNetwork, ...], NoDecode] = ()  # only they may say whom they ask for
    key_requests: int = Field(6000, ge=1)  # a minute with one API key, where the key itself says nothing else
    visitor_searches: int = Field(60, ge=1)  # a minute with a publishable key or on the search page, from one address
    visitor_reads: int = Field(600, ge=1)
    visitor_guesses: int = Field(60, ge=1)  # wrong keys a minute from one address
    server_streams: int = Field(400, ge=1)  # open at once in a web process
    key_streams: int = Field(100, ge=1)  # of these, with one API key
    visitor_streams: int = Field(10, ge=1)  # of these, with a publishable key, from one address

    database_url: str = Field("", validation_alias="DATABASE_URL")
    redis_url: str = Field("", validation_alias="REDIS_URL")
    broker_port: int = Field(6391, ge=1024, le=65535)
    var: Path = ROOT / "var"
    photo_store: str = ""
    index_url: str = ""
    index_api_key: str = ""
    bundle: Path = ROOT / "bundles" / "default"
    bundles: Path = ROOT / "var" / "bundles"  # where the admin looks for bundles to try

    photo_max_bytes: int = Field(25_000_000, gt=0)
    photo_max_pixels: int = Field(64_000_000, gt=0)
    upload_max_bytes: int = Field(20_000_000_000, gt=0)
    upload_max_files: int = Field(200_000, gt=0)

    chunk_size: int = Field(32, ge=1, le=32)
    window_chunks: int = Field(4, ge=1)  # chunks in flight for each live worker
    lease_seconds: float = Field(120.0, gt=0)
    reconcile_seconds: float = Field(30.0, gt=0)
    dispatch_seconds: float = Field(2.0, gt=0)
    max_attempts: int = Field(3, ge=1)
    search_deadline_seconds: float = Field(30.0, gt=0)
    jobs_kept_days: float = Field(30.0, gt=0)  # a finished job's results; afterwards it answers 410
    uploads_kept_days: float = Field(90.0, gt=0)  # a finished upload's rows, likewise; products and photos stay

    review_claim_seconds: float = Field(120.0, gt=0)  # how long an open desk keeps items that it does not ask for again
    control_share: float = Field(0.02, ge=0, le=1)  # of the items that the machine accepted, shown to a reviewer anyway
    gold_share: float = Field(0.02, ge=0, le=1)  # of what the desk shows: gold items, as if they waited
    second_share: float = Field(0.02, ge=0, le=1)  # of what the desk shows: what another reviewer decided
    thresholds_seconds: float = Field(3600.0, gt=0)  # how often thresholds follow the precision that shops want

    outbound_networks: Annotated[tuple[IPvAnyNetwork, ...], NoDecode] = ()  # open to addresses of merchants
    webhook_timeout_seconds: float = Field(15.0, gt=0)

    device: str = "auto"
    torch_threads: int = Field(0, ge=0)  # 0: all cores
    bulk_threads: int = Field(2, ge=1)
    search_threads: int = Field(4, ge=1)
    device_batch: int = Field(8, ge=1)
    metrics_token: str = ""  # who asks for /metrics must send it; in production without one nobody may
    metrics_port: int = Field(0, ge=0, le=65535)  # where a worker serves Prometheus metrics; 0: nowhere
    shadow_share: float = Field(0.5, gt=0, le=1)  # of the time, at most, that a worker spends on a shadow's photos

    @field_validator("public_url")
    @classmethod
    def _without_trailing_slash(cls, url: str) -> str:
        return url.rstrip("/")

    @field_validator("trusted_proxies", "outbound_networks", mode="before")
    @classmethod
    def _separated_by_commas(cls, text: Any) -> Any:
        return [each.strip() for each in text.split(",") if each.strip()] if isinstance(text, str) else text

    @model_validator(mode="after")
    def _own_secret_in_production(self) -> "Env":
        is_own = self.secret_key != DEVELOPMENT_SECRET and len(self.secret_key) >= SECRET_LENGTH
        if self.mode == "production" and not is_own:
            raise ValueError(
                "VITRINE_SECRET_KEY must be set to a secret of your own, of at least "
                f"{SECRET_LENGTH} characters, when VITRINE_MODE=production"
            )
        return self

    @property
    def database(self) -> str:
        """The database's URL: ``DATABASE_URL``, or SQLite in the ``var`` folder."""
        return self.database_url or f"sqlite:///{self.var / 'vitrine.sqlite3'}"

    @property
    def broker(self) -> str:
        """The Redis URL: ``REDIS_URL``, or the private broker that the start command brings up on loopback."""
        return self.redis_url or self._running_broker() or f"redis://127.0.0.1:{self.broker_port}/0"

    @property
    def broker_file(self) -> Path:
        """Where the start command writes its private broker's URL and its own process id while it runs."""
        return self.var / "broker.url"

    def _running_broker(self) -> str:
        """The private broker of a start command that runs now, which takes another port where its own is busy."""
        try:
            url, pid = self.broker_file.read_text().split()
        except (OSError, ValueError):
            return ""
        was_killed = Path("/proc/self").exists() and not Path("/proc", pid).exists()
        return "" if was_killed else url

    @property
    def photos(self) -> str:
        """Where photos lie, as a folder or an fsspec URL."""
        return self.photo_store or str(self.var / "photos")

    @property
    def index(self) -> str:
        """Where the vector index lies: a folder (embedded engine) or a Qdrant server's URL."""
        return self.index_url or str(self.var / "index")


@lru_cache(maxsize=1)
def load_env() -> Env:
    """Read the environment once. Raises ``SystemExit`` with one line for each variable that is wrong."""
    try:
        return Env()
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            name = str(problem["loc"][0]) if problem["loc"] else ""
            variable = name if name.isupper() else f"VITRINE_{name.upper()}"
            lines.append(f"{variable}: {problem['msg']}" if name else problem["msg"])
        raise SystemExit("Vitrine cannot start, the environment is wrong:\n  " + "\n  ".join(lines)) from None
