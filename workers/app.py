"""A GPU worker's process. Start with ``python -m workers``: the only way, every option comes from the settings.

Loads the bundle and opens the index first, then takes chunks and searches from Redis. A bad bundle or index ends the
start with exit code 78 and one sentence on stderr; a lost device, or a chunk that hangs, ends the process with exit
code 1; SIGTERM finishes
what is in hand, flushes the index and ends with 0. One process owns the device and the embedded index: the pool is
threads, nothing forks after loading.
"""

import logging
import os
import sys

from celery import Celery
from celery.signals import setup_logging, worker_init
from celery.worker import state
from kombu import Queue
from prometheus_client import start_http_server

from config.env import Env, load_env
from config.logs import set_up_logging
from workers.broker import celery_settings
from workers.contract import BULK_QUEUE
from workers.line import open_line
from workers.metrics import Heartbeat
from workers.search_lane import SearchLane
from workers.served import Served, first_folder
from workers.shadow_lane import ShadowLane

logger = logging.getLogger(__name__)


class WorkerApp(Celery):
    """A Celery app whose tasks find the loaded parts in ``served``."""

    served: Served | None = None


app = WorkerApp("vitrine-worker", include=["workers.tasks"], fixups=())  # without: a stray variable loads Django
app.conf.update(
    celery_settings(),
    task_queues=[Queue(BULK_QUEUE)],  # the search queue belongs to the search lane
    task_default_queue=BULK_QUEUE,
    broker_connection_max_retries=None,  # a worker waits for Redis as long as it takes
    worker_pool="threads",
    worker_enable_prefetch_count_reduction=False,
)
app.steps["consumer"].add(SearchLane)
app.steps["consumer"].add(ShadowLane)


def main() -> int:
    """Load, consume until told to stop, take apart; returns the exit code."""
    env = load_env()
    set_up_logging(env.log_format)
    try:
        served = Served(env, open_line(env, first_folder(env), _end_process, _end_at_once))
    except Exception as error:
        logger.debug("the start failed", exc_info=error)
        print(f"The worker cannot start: {error}", file=sys.stderr)
        return os.EX_CONFIG
    try:
        return _serve(env, served)
    finally:
        served.close()


def _serve(env: Env, served: Served) -> int:
    app.served, line = served, served.primary()
    if env.metrics_port:
        start_http_server(env.metrics_port)
    worker = app.Worker(
        pool_cls="threads",
        concurrency=env.bulk_threads,
        hostname=f"vitrine@{line.name}",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )
    heartbeat = Heartbeat(env.broker, line.name, served.card)
    heartbeat.start()
    served.start()
    bundle = line.recogniser.bundle
    logger.info("worker=%s bundle=%s device=%s index=%s", line.name, bundle.version, line.recogniser.device, env.index)
    try:
        worker.start()
    finally:
        heartbeat.stop()
    logger.info("worker=%s ends, photos=%d searches=%d", line.name, line.counts.photos, line.counts.searches)
    return worker.exitcode or 0


def _end_process(error: BaseException) -> None:
    """The device is lost: end this process in order, whatever started it starts a new one."""
    logger.critical("the device is lost, the worker ends: %s", error)
    state.should_stop = 1


def _end_at_once(what: str) -> None:
    """A thread that hangs would hold up every orderly end. What the index acknowledged is in its log already."""
    os._exit(1)


@worker_init.connect
def _refuse_without_bundle(**_: object) -> None:
    """``celery -A workers.app worker`` would consume without a model: it says how to start instead."""
    if app.served is None:
        raise SystemExit("Start a worker with: python -m workers")


@setup_logging.connect
def _keep_our_logging(**_: object) -> None:
    """Connecting to this signal keeps Celery from replacing the logging that ``main`` set up."""
