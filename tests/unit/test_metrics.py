"""The metrics: names, one-hot sets, closed label sets."""

from __future__ import annotations

import re

from prometheus_client import generate_latest

from daemon.handover import ChunkState
from daemon.metrics import CHUNK_STATES, PHASES, Metrics, Outcome, exposed_names

PROMISED = {
    "changeover_build_info",
    "changeover_last_applied_source_timestamp_seconds",
    "changeover_heartbeat_applied_timestamp_seconds",
    "changeover_end_to_end_lag_seconds",
    "changeover_backlog_events",
    "changeover_apply_latency_seconds_bucket",
    "changeover_batch_rows_count",
    "changeover_events_total",
    "changeover_dead_letters",
    "changeover_resyncs_total",
    "changeover_transient_errors_total",
    "changeover_rebalances_total",
    "changeover_backfill_rows_total",
    "changeover_backfill_rows_expected",
    "changeover_backfill_chunks",
    "changeover_phase",
    "changeover_throttled",
    "changeover_slot_retained_bytes",
}


def test_the_promised_names_are_declared() -> None:
    assert exposed_names() >= PROMISED


def test_nothing_else_is_exposed() -> None:
    metrics = Metrics()
    metrics.count_outcome("t", Outcome.APPLIED)
    metrics.batch_rows.observe(3)
    metrics.build_info.info({"version": "1"})
    lines = generate_latest(metrics.registry).decode().splitlines()
    names = {re.split(r"[{ ]", line)[0] for line in lines if line.startswith("changeover_")}
    assert names <= exposed_names()


def test_every_name_keeps_prometheus_rules() -> None:
    for family in Metrics().registry.collect():
        if family.name.startswith("changeover_"):
            assert re.fullmatch(r"[a-z_]+", family.name)
            assert family.documentation[0].isupper() or family.documentation[0].isdigit()
        if family.name.endswith(("_latency", "_lag", "_timestamp", "_duration")):
            raise AssertionError(f"{family.name} has no unit")


def test_registries_do_not_share_anything() -> None:
    first, second = Metrics(), Metrics()
    first.count_outcome("t", Outcome.APPLIED, 3)
    assert _value(first, "changeover_events_total", table="t", outcome="applied") == 3
    assert _value(second, "changeover_events_total", table="t", outcome="applied") is None


def test_phase_is_one_hot() -> None:
    metrics = Metrics()
    metrics.set_phase("identity", "backfilling")
    metrics.set_phase("identity", "streaming")
    shown = {phase: _value(metrics, "changeover_phase", group="identity", phase=phase) for phase in PHASES}
    assert shown == {phase: float(phase == "streaming") for phase in PHASES}


def test_throttled_shows_several_and_forgets_them() -> None:
    metrics = Metrics()
    metrics.set_throttled("rate_limit", "made up: user@example.com")
    assert _value(metrics, "changeover_throttled", reason="rate_limit") == 1
    assert _value(metrics, "changeover_throttled", reason="other") == 1
    metrics.set_throttled()
    assert _value(metrics, "changeover_throttled", reason="rate_limit") == 0


def test_labels_never_carry_what_came_from_outside() -> None:
    metrics = Metrics()
    metrics.count_resync("t", "old copy")
    metrics.count_resync("t", "duplicate key value (email)=(user@example.com)")
    metrics.set_dead_letters("t", "could not decode user@example.com", 1)
    metrics.count_transient_error("user@example.com")
    metrics.set_connector_state("RUNNING")
    metrics.count_consumed("t", "x")
    metrics.set_stage_lag("kafka", -0.5)
    text = generate_latest(metrics.registry).decode()
    assert "example.com" not in text
    assert _value(metrics, "changeover_resyncs_total", table="t", reason="old_copy") == 1
    assert _value(metrics, "changeover_resyncs_total", table="t", reason="other") == 1
    assert _value(metrics, "changeover_connector_state", state="running") == 1
    assert _value(metrics, "changeover_stage_lag_seconds", stage="kafka") == 0


def test_chunk_states_are_the_hand_overs() -> None:
    assert set(CHUNK_STATES) == set(ChunkState)
    metrics = Metrics()
    metrics.set_chunks("t", {"pending": 4})
    metrics.set_chunks("t", {"done": 4})
    assert _value(metrics, "changeover_backfill_chunks", table="t", state="pending") == 0
    assert _value(metrics, "changeover_backfill_chunks", table="t", state="done") == 4


def _value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)
