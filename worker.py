"""The worker process: everything it needs is put together here."""

import asyncio
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import structlog
from temporalio.client import Client
from temporalio.runtime import Runtime
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.cdc.capture import CaptureActivities
from activities.cdc.watch import WatchActivities
from activities.children import Children
from activities.errors import TranslateErrors
from activities.run_log import RunLog
from activities.snapshots import SnapshotActivities
from activities.sync import SyncActivities
from activities.upkeep import UpkeepActivities
from activities.webhooks.upkeep import WebhookUpkeep
from assembly import database, lake_store, surroundings, temporal_address, vault
from lake.failpoints import arm
from lake.storage import LakeStore
from metadata.captures import Captures
from metadata.inventory import Inventory
from metadata.logs import RunLogs
from metadata.registrations import RegisteredWebhooks
from metadata.runs import Runs
from metadata.tokens import delete_unused_tokens
from scheduling.connection import TemporalAddress, connect, measuring
from scheduling.gateway import SyncGateway
from settings import Settings
from workflows.capture_changes import CaptureChanges, RemoveCapture, WatchCaptures
from workflows.erase_table import EraseTable
from workflows.policies import CAPTURE_QUEUE_SUFFIX, EXTRACTION_QUEUE_SUFFIX, SNAPSHOT_QUEUE_SUFFIX
from workflows.reconcile import Reconcile, Sweep
from workflows.sync_schema import SyncSchema

WORKFLOWS = [SyncSchema, EraseTable, Reconcile, Sweep, CaptureChanges, RemoveCapture, WatchCaptures]
LIGHT_THREADS = 16
IDLE_MB = 256
"""What the worker takes with the fork server, which has the modules of every child."""
CHILD_MB = 192
"""With less a child had better wait for another to end: what reading and merging take, with room for wide rows."""
CAPTURES = 2
"""Sources whose changes a worker captures at a time; a continuous capture makes room for another every ten seconds."""
CAPTURE_MB = 96 * CAPTURES
"""Kept for them, whatever else goes on: no extraction may keep a source's log from being read."""
HEARTBEAT_THROTTLE = timedelta(seconds=2)
"""A cancel travels on the answer to a heartbeat, so this bounds how long it takes, with room for a slow one."""

log = structlog.get_logger()


async def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT, then give running activities back and end."""
    arm(settings.failpoint)
    store = lake_store(settings)
    await asyncio.to_thread(store.ensure_bucket)
    await asyncio.to_thread(store.probe_conditional_put)
    runtime = measuring(settings.worker_metrics_address) if settings.worker_metrics_address else None
    client = await connect_patiently(temporal_address(settings), runtime)
    gateway = SyncGateway(client, settings.task_queue)
    await gateway.ensure_search_attributes()
    await gateway.ensure_upkeep()
    light, extracting, holding, capturing = workers(settings, client, gateway, store)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with light, extracting, holding, capturing:
        log.info("worker ready", task_queue=settings.task_queue)
        if settings.worker_ready_file:
            settings.worker_ready_file.write_text(str(os.getpid()))
        await stop.wait()
        log.info("worker stopping")


def workers(
    settings: Settings, client: Client, gateway: SyncGateway, store: LakeStore
) -> tuple[Worker, Worker, Worker, Worker]:
    """One worker for workflows and light steps, one for extraction and one for capturing: their slots are the memory
    budget. One holds snapshots, no more than there are slots for extraction: what cannot be read now need not keep a
    source from tidying up.
    """
    metadata = database(settings)
    runs, inventory = Runs(metadata, vault(settings)), Inventory(metadata)
    slots, child_mb = shared_memory(settings.worker_memory_mb, settings.worker_max_extractions)
    children = Children(child_mb * 2**20)
    children.warm_up()
    loop = asyncio.get_running_loop()
    logs = RunLogs(metadata)
    run_log = RunLog(logs)
    reach = surroundings(settings)
    part_bytes = settings.partition_mb * 2**20
    sync = SyncActivities(runs, inventory, store, children, gateway, loop, run_log, part_bytes, reach)
    snapshots = SnapshotActivities(runs, gateway, loop, reach)
    retention = timedelta(days=settings.log_retention_days)
    captures = Captures(metadata, vault(settings))
    # A source's log must be read whatever is in it: a change that is larger than planned is no reason to stop.
    unplanned = Children(settings.worker_memory_mb * 2**20)
    capture = CaptureActivities(captures, store, unplanned, gateway, loop, reach)
    kept = timedelta(days=settings.change_log_days)
    watch = WatchActivities(captures, store, gateway, loop, kept, reach)
    webhooks = WebhookUpkeep(RegisteredWebhooks(metadata, vault(settings)), reach)
    forget_tokens = partial(delete_unused_tokens, metadata)
    upkeep = UpkeepActivities(runs, inventory, store, gateway, loop, logs, retention, webhooks, forget_tokens)
    grace = timedelta(seconds=settings.worker_graceful_shutdown_seconds)
    light = Worker(
        client,
        task_queue=settings.task_queue,
        workflows=WORKFLOWS,
        activities=[
            sync.begin,
            sync.finish,
            upkeep.stop_runs,
            upkeep.erase,
            upkeep.reconcile,
            upkeep.sweep,
            capture.remove_capture,
            watch.watch_captures,
        ],
        activity_executor=ThreadPoolExecutor(2 * LIGHT_THREADS),
        max_concurrent_activities=LIGHT_THREADS,
        max_concurrent_local_activities=LIGHT_THREADS,
        # The tests run all workflows in the sandbox, which finds what is not deterministic; here it is a third of the
        # worker's CPU.
        workflow_runner=UnsandboxedWorkflowRunner(),
        interceptors=[TranslateErrors(run_log)],
        graceful_shutdown_timeout=grace,
        max_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
        default_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
    )

    def blocking(suffix: str, activities: Sequence[Callable[..., Any]], slots: int) -> Worker:
        """Steps that each take a thread for as long as they last."""
        return Worker(
            client,
            task_queue=settings.task_queue + suffix,
            activities=activities,
            activity_executor=ThreadPoolExecutor(slots),
            max_concurrent_activities=slots,
            interceptors=[TranslateErrors(run_log)],
            graceful_shutdown_timeout=grace,
            max_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
            default_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
        )

    extracting = blocking(EXTRACTION_QUEUE_SUFFIX, [sync.extract, sync.publish, sync.swap_in, sync.maintain], slots)
    holding = blocking(SNAPSHOT_QUEUE_SUFFIX, [snapshots.hold], slots)
    capturing = blocking(CAPTURE_QUEUE_SUFFIX, [capture.capture], CAPTURES)
    return light, extracting, holding, capturing


def shared_memory(memory_mb: int, most_children: int) -> tuple[int, int]:
    """How many children extract at once, and what each may take in MB, so that all stay within the worker's memory,
    with the one that captures.
    """
    left = memory_mb - IDLE_MB - CAPTURE_MB
    children = max(1, min(most_children, left // CHILD_MB))
    return children, left // children


async def connect_patiently(target: TemporalAddress, runtime: Runtime | None = None) -> Client:
    """Temporal may come up after the worker: keep trying, and say so."""
    while True:
        try:
            return await connect(target, runtime=runtime)
        except RuntimeError as error:
            log.warning("Temporal does not answer yet", address=target.address, error=str(error))
            await asyncio.sleep(1)
