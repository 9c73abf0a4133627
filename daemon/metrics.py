"""Every metric there is, declared in this one file; dashboards and alerts are tested against `exposed_names`.

Labels hold names from the mapping and words from the closed sets below, never a key, a value or an error text: a word
that is not in its set is counted as "other". Moments are exposed as timestamps, so that they stay true when nothing
happens; "seconds since" is the dashboard's subtraction.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)

disable_created_metrics()  # type: ignore[no-untyped-call] # a second series for each counter, which nobody reads


class Outcome(StrEnum):
    """What became of a consumed event. The ledger balances: the outcomes add up to the events consumed."""

    APPLIED = "applied"
    SUPERSEDED = "superseded"
    ALREADY_LOADED = "already_loaded"
    FILTERED = "filtered"
    CONTROL = "control"
    HELD = "held"
    DEAD_LETTERED = "dead_lettered"


OTHER = "other"
OPERATIONS: Mapping[str, str] = {
    "c": "create", "u": "update", "d": "delete", "r": "read", "t": "truncate", "m": "message", "": "tombstone",
}  # fmt: skip
"""Debezium's operation letters and how they are called in labels."""
RESYNC_REASONS = frozenset(
    (
        "old_copy", "value_did_not_travel", "row_absent", "table_altered",
        "filter_entered", "conflict", "dead_letter", "request",
    )
)  # fmt: skip
DEAD_LETTER_REASONS = frozenset(("decode", "type", "constraint", "too_large", "mapping"))
THROTTLE_REASONS = frozenset(("rate_limit", "target_slow", "source_slow", "stream_lag", "buffer_full", "held"))
SIDES = frozenset(("source", "target", "kafka", "connect", "registry"))
STAGES = frozenset(("source", "kafka", "apply"))
CHUNK_STATES = ("pending", "reading", "done", "again", "rereading")
CONNECTOR_STATES = ("running", "paused", "unassigned", "restarting", "failed", "missing")
PHASES = ("new", "backfilling", "streaming", "ready", "cutting_over", "cut_over", "reversed", "finalized")

LATENCY_BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
ROWS_BUCKETS = (1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)


def word(value: str, allowed: frozenset[str]) -> str:
    """A label value out of a closed set; spaces and dashes are written as underscores."""
    written = value.strip().lower().replace(" ", "_").replace("-", "_")
    return written if written in allowed else OTHER


class Metrics:
    """The process's metrics, in a registry of their own. Where a label is a closed set, use the helper."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._lag()
        self._stream()
        self._backfill()
        self._around()
        self._verification()

    def _lag(self) -> None:
        self.build_info = Info(
            "changeover_build", "Version of Changeover and name of the pipeline", registry=self.registry
        )
        self.last_applied_source_timestamp_seconds = self._gauge(
            "last_applied_source_timestamp_seconds",
            "Unix time in seconds, by the source's clock, at which the newest applied change was committed there",
            "table",
        )
        self.heartbeat_applied_timestamp_seconds = self._gauge(
            "heartbeat_applied_timestamp_seconds",
            "Unix time in seconds, by the source's clock, of the newest heartbeat that was applied",
        )
        self.end_to_end_lag_seconds = self._gauge(
            "end_to_end_lag_seconds",
            "Seconds from a heartbeat's commit at the source to its commit at the target, for the newest heartbeat",
        )
        self.stage_lag_seconds = self._gauge(
            "stage_lag_seconds",
            "Seconds the newest heartbeat spent until Debezium read it (source), until it was consumed (kafka), and "
            "until it was committed at the target (apply)",
            "stage",
        )
        self.backlog_events = self._gauge(
            "backlog_events", "Events in Kafka that are not yet applied at the target", "table"
        )

    def _stream(self) -> None:
        self.consumed_total = self._counter("consumed_total", "Events consumed, by operation", "table", "op")
        self.events_total = self._counter(
            "events_total", "Events consumed, by what became of them; adds up to consumed_total", "table", "outcome"
        )
        self.apply_latency_seconds = self._histogram(
            "apply_latency_seconds", "Seconds from the start of a batch to its commit at the target", LATENCY_BUCKETS_S
        )
        self.batch_rows = self._histogram("batch_rows", "Events in one committed batch", ROWS_BUCKETS)
        self.buffered_events = self._gauge("buffered_events", "Decoded events in memory that wait for their batch")
        self.resyncs_total = self._counter(
            "resyncs_total", "Rows read again from the source, by why", "table", "reason"
        )
        self.ignored_columns = self._gauge(
            "ignored_columns", "Columns added at the source since the rows were made, and left alone", "table"
        )
        self.dead_letters = self._gauge("dead_letters", "Events set aside that wait for a person", "table", "reason")
        self.partitions_assigned = self._gauge("partitions_assigned", "Partitions this process applies")
        self.rebalances_total = self._counter("rebalances_total", "Changes of the partitions this process applies")
        self.fenced_total = self._counter(
            "fenced_total", "Batches or chunks rolled back because another process owns them now"
        )

    def _backfill(self) -> None:
        self.backfill_rows_total = self._counter("backfill_rows_total", "Rows written by the backfill", "table")
        self.backfill_rows_expected = self._gauge(
            "backfill_rows_expected", "Rows the backfill is expected to write; an estimate of the source's", "table"
        )
        self.backfill_chunks = self._gauge("backfill_chunks", "Chunks of the backfill, by state", "table", "state")
        self.backfill_chunk_seconds = self._histogram(
            "backfill_chunk_seconds", "Seconds from claiming a chunk to its commit", (*LATENCY_BUCKETS_S, 60, 120, 300)
        )

    def _around(self) -> None:
        self.phase = self._gauge("phase", "1 for the phase that the group is in, 0 for the others", "group", "phase")
        self.throttled = self._gauge("throttled", "1 while something holds the pipeline back, by what", "reason")
        self.paused = self._gauge("paused", "1 while a table is paused: its events stay in Kafka", "table")
        self.transient_errors_total = self._counter(
            "transient_errors_total", "Errors that were retried, by the side that had them", "side"
        )
        self.slot_retained_bytes = self._gauge("slot_retained_bytes", "Bytes of WAL the source keeps for the slot")
        self.slot_active = self._gauge("slot_active", "1 while a connector is reading from the slot")
        self.connector_state = self._gauge(
            "connector_state", "1 for the state the connector is in, 0 for the others", "state"
        )

    def _verification(self) -> None:
        self.verification_last_sweep_timestamp_seconds = self._gauge(
            "verification_last_sweep_timestamp_seconds",
            "Unix time in seconds at which the newest sweep over the whole table began that has ended",
            "table",
        )
        self.verification_differences = self._gauge(
            "verification_differences", "Rows that differ from the source's and have not been mended", "table"
        )
        self.verification_unsettled = self._gauge(
            "verification_unsettled", "Rows that changed too often to be compared by the newest sweep", "table"
        )
        self.verification_rows_total = self._counter(
            "verification_rows_total", "Rows compared with the source's by this process", "table"
        )
        self.verification_suspicion = self._gauge(
            "verification_suspicion", "1 from a restart of the connector until every row has been verified since"
        )

    def show_verification(self, table: str, *, began_s: float | None, differences: int, unsettled: int) -> None:
        """Show a table's verification. began_s: Unix time; None where it has not been swept whole yet."""
        if began_s is not None:
            self.verification_last_sweep_timestamp_seconds.labels(table).set(began_s)
        self.verification_differences.labels(table).set(differences)
        self.verification_unsettled.labels(table).set(unsettled)

    def set_phase(self, group: str, phase: str) -> None:
        """Show that a group is in this phase and in no other."""
        for each in PHASES:
            self.phase.labels(group, each).set(each == phase)

    def set_throttled(self, *reasons: str) -> None:
        """Show what holds the pipeline back at the moment; nothing, without reasons."""
        shown = {word(reason, THROTTLE_REASONS) for reason in reasons}
        for each in (*sorted(THROTTLE_REASONS), OTHER):
            self.throttled.labels(each).set(each in shown)

    def set_connector_state(self, state: str) -> None:
        """Show the connector's state as Kafka Connect spells it (RUNNING, FAILED), or `missing`."""
        shown = word(state, frozenset(CONNECTOR_STATES))
        for each in (*CONNECTOR_STATES, OTHER):
            self.connector_state.labels(each).set(each == shown)

    def set_chunks(self, table: str, counts: Mapping[str, int]) -> None:
        """Show how many chunks of a table are in each state; states that are not given have none."""
        for state in CHUNK_STATES:
            self.backfill_chunks.labels(table, state).set(counts.get(state, 0))

    def set_stage_lag(self, stage: str, lag_s: float) -> None:
        """Show how long the newest heartbeat spent in a stage. Clocks differ: never below zero."""
        self.stage_lag_seconds.labels(word(stage, STAGES)).set(max(0.0, lag_s))

    def count_consumed(self, table: str, op: str, events: int = 1) -> None:
        """Count events by Debezium's operation letter."""
        self.consumed_total.labels(table, OPERATIONS.get(op, OTHER)).inc(events)

    def count_outcome(self, table: str, outcome: Outcome, events: int = 1) -> None:
        """Count what became of events, after the transaction that decided it has been committed."""
        if events:
            self.events_total.labels(table, outcome.value).inc(events)

    def count_resync(self, table: str, reason: str, rows: int = 1) -> None:
        """Count rows that were read again from the source."""
        self.resyncs_total.labels(table, word(reason, RESYNC_REASONS)).inc(rows)

    def set_dead_letters(self, table: str, reason: str, letters: int) -> None:
        """Show how many dead letters of a table wait for a person."""
        self.dead_letters.labels(table, word(reason, DEAD_LETTER_REASONS)).set(letters)

    def count_transient_error(self, side: str) -> None:
        """Count an error that is going to be retried."""
        self.transient_errors_total.labels(word(side, SIDES)).inc()

    def _gauge(self, name: str, help: str, *labels: str) -> Gauge:
        return Gauge(f"changeover_{name}", help, labels, registry=self.registry)

    def _counter(self, name: str, help: str, *labels: str) -> Counter:
        return Counter(f"changeover_{name}", help, labels, registry=self.registry)

    def _histogram(self, name: str, help: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"changeover_{name}", help, buckets=buckets, registry=self.registry)


_SUFFIXES = {"counter": ("_total",), "info": ("_info",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}


def exposed_names() -> frozenset[str]:
    """Every series name under changeover_ that a scrape may hold, labelled or not, used yet or not."""
    families = Metrics().registry.collect()
    ours = (family for family in families if family.name.startswith("changeover_"))
    return frozenset(family.name + suffix for family in ours for suffix in _SUFFIXES[family.type])
