"""The pure parts of resync and of live changes: keys as people write them, pace, pause, fences, configurations."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connectors.chunks import ChunkRow, ChunkState
from connectors.control.audit import AuditRow
from connectors.keys import KeyForm, within
from connectors.snapshot import Snapshot
from daemon.backfill.pace import Pace
from daemon.commands.live import _pace
from daemon.config.model import Config, load
from daemon.config.reload import digest_of, outcome, refuse_fixed, same
from daemon.handover import Chunk, past_barrier, reached
from daemon.http.bucket import TokenBucket
from daemon.key_texts import key_of_json, key_of_option
from daemon.live import known_tables, refuse_paused
from daemon.stream.reader import shares_taken
from mappers.errors import ConfigError, FatalError, NotReadyError, RecordError


class Clock:
    """Time that passes by being waited for."""

    def __init__(self) -> None:
        self.now_s = 50.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        self.waits.append(seconds)


# -- keys --------------------------------------------------------------------------------------------------------------


def test_keys_on_the_command_line() -> None:
    assert key_of_option("42", ["id"]) == ("42",)
    assert key_of_option('["a","b"]', ["x", "y"]) == ("a", "b")
    assert key_of_option('["[a]"]', ["x"]) == ("[a]",)
    assert key_of_option("[7]", ["id"]) == ("7",)


@pytest.mark.parametrize(
    "text", ["[", "[1,2,3]", '[["a"],"b"]', "[null,1]", "[true,1]", "[1.5,1]", "7", '["\\u0000",1]']
)
def test_keys_that_are_none(text: str) -> None:
    with pytest.raises(RecordError, match="not a key") as error:
        key_of_option(text, ["x", "y"])
    assert "x, y" in error.value.hint


def test_a_refused_key_is_not_repeated() -> None:
    with pytest.raises(RecordError) as error:
        key_of_json(["s3cret", "more"], ["id"])
    assert "s3cret" not in str(error.value)


def test_fenced_keys_of_a_chunk() -> None:
    form = KeyForm(("id",), ("integer",), (str,), (lambda v: v,), (int,))
    keys = [("9",), ("10",), ("100",)]
    assert within(form, ("10",), ("100",), keys) == [("10",)]
    assert within(form, None, ("10",), keys) == [("9",)]
    assert within(form, ("10",), None, keys) == [("10",), ("100",)]
    unknown = KeyForm(("id",), ("text",), (str,), None, None)
    assert within(unknown, ("10",), ("100",), keys) == keys


# -- the bucket and the pace -------------------------------------------------------------------------------------------


def test_a_bucket_gives_a_seconds_worth_at_once_and_the_rate_after() -> None:
    clock = Clock()
    bucket = TokenBucket(4, clock)
    assert [bucket.take() for _ in range(4)] == [0, 0, 0, 0]
    assert bucket.take() == pytest.approx(0.25)
    clock.now_s += 0.25
    assert bucket.take() == 0
    assert bucket.take() > 0
    clock.now_s += 100
    assert [bucket.take() for _ in range(4)] == [0, 0, 0, 0]
    assert bucket.take() > 0


def test_a_slow_bucket_holds_one() -> None:
    clock = Clock()
    bucket = TokenBucket(0.1, clock)
    assert bucket.take() == 0
    assert bucket.take() == pytest.approx(10)


def test_a_pace_is_kept_and_a_second_saved() -> None:
    clock = Clock()
    pace = Pace(1000, clock, clock.wait, share=2)
    pace.spend(1000)
    assert clock.now_s == pytest.approx(52)
    clock.now_s += 60
    pace.spend(500)
    assert sum(clock.waits) == pytest.approx(2)
    pace.spend(500)
    assert sum(clock.waits) == pytest.approx(3)


def test_a_new_pace_is_taken_up_while_waiting() -> None:
    clock = Clock()
    pace = Pace(10, clock, clock.wait)
    pace.spend(1_000_000, lambda: pace.follow(0))
    assert sum(clock.waits) <= 1
    pace.follow(None)
    pace.spend(20)
    assert sum(clock.waits) >= 2


def test_a_pace_ends_with_the_process() -> None:
    clock = Clock()
    asked: list[float] = []

    def stopped(seconds: float) -> bool:
        asked.append(seconds)
        return True

    Pace(1, clock, stopped).spend(1000)
    assert len(asked) == 1


def test_paces_on_the_command_line() -> None:
    assert (_pace("none"), _pace("configured"), _pace("5000")) == (0, None, 5000)
    for bad in ("0", "-1", "1.5", "fast", "99999999999"):
        with pytest.raises(argparse.ArgumentTypeError):
            _pace(bad)


# -- pause -------------------------------------------------------------------------------------------------------------


def chunk(table: str, state: ChunkState, snapshot: Snapshot | None = None) -> ChunkRow:
    return ChunkRow(table, 0, None, None, state, snapshot=snapshot)


def test_names_of_tables() -> None:
    known = ["public.b", "public.a"]
    assert known_tables([], known) == ["public.a", "public.b"]
    assert known_tables(["A", "public.b", "a"], known) == ["public.a", "public.b"]
    with pytest.raises(ConfigError) as error:
        known_tables(["c", "a.b.c.d", "a"], known)
    assert len(error.value.problems) == 2


def test_a_wait_says_that_a_table_is_paused() -> None:
    done, open_ = chunk("public.a", ChunkState.DONE), chunk("public.b", ChunkState.PENDING)
    refuse_paused({"public.c"}, ["public.a", "public.b"], [done, open_], lag=True)
    refuse_paused({"public.a"}, ["public.a", "public.b"], [done, open_], lag=False)
    with pytest.raises(NotReadyError, match=r"public\.a: paused"):
        refuse_paused({"public.a"}, ["public.a"], [done], lag=True)
    with pytest.raises(NotReadyError, match=r"public\.b: paused"):
        refuse_paused({"public.a", "public.b"}, ["public.a", "public.b"], [done, open_], lag=False)


def test_paused_tables_leave_room_in_the_buffer() -> None:
    a, b = ("t", 0), ("t", 1)
    assert shares_taken({a: 0.5, b: 0.25}, 0) == {a: 1, b: 0.5}
    assert shares_taken({a: 0.5, b: 0}, 0.5) == {a: 1, b: 0}
    assert shares_taken({a: 0.25}, 5)[a] == 1


# -- fences ------------------------------------------------------------------------------------------------------------


def test_a_snapshot_covers_another() -> None:
    newer = Snapshot(10, 20, frozenset((10, 15)))
    assert newer.covers(newer)
    assert newer.covers(Snapshot(9, 10))
    assert newer.covers(Snapshot(10, 16, frozenset((10, 15))))
    assert not newer.covers(Snapshot(10, 16, frozenset((10,)))), "15 ended between the two"
    assert not newer.covers(Snapshot(10, 21, frozenset((10, 15))))


def test_covers_means_that_all_is_seen() -> None:
    snapshots = [
        Snapshot(xmin, xmax, frozenset(running))
        for xmin in (3, 4, 5)
        for xmax in (5, 6)
        for running in ((), (3,), (4,), (5,), (3, 4), (4, 5))
        if all(xmin <= xid < xmax for xid in running)
    ]
    for one in snapshots:
        for other in snapshots:
            sees_all = all(one.sees(xid) for xid in range(10) if other.sees(xid))
            assert one.covers(other) == (sees_all and one.xmax >= other.xmax), (one, other)


def test_a_barrier_is_before_chunks_whose_snapshot_was_taken_later() -> None:
    before = Snapshot(100, 100)
    assert past_barrier([Chunk(ChunkState.DONE, Snapshot(90, 99))], before)
    assert not past_barrier([Chunk(ChunkState.DONE, Snapshot(90, 101))], before)
    assert not past_barrier([Chunk(ChunkState.PENDING)], before)


def test_a_barrier_is_reached_when_every_partition_is_at_its_end() -> None:
    ends = {("t", 0): 5, ("t", 1): 7}
    assert reached({("t", 0): 5, ("t", 1): 8}, ends)
    assert not reached({("t", 0): 5, ("t", 1): 6}, ends)
    assert not reached({("t", 0): 5, ("t", 2): 9}, ends), "a partition of which no end is known"
    assert not reached({}, ends)


# -- configurations ----------------------------------------------------------------------------------------------------

YAML = """
pipeline: shop
source: {kind: postgresql, url: "postgresql://h/old", topic_prefix: legacy}
target: {kind: postgresql, url: "postgresql://h/new"}
kafka: {bootstrap_servers: "k:9092"}
http: {token: "${TOKEN}"}
tables:
  - from: public.users
"""


def config(path: Path, text: str = YAML, **environ: str) -> Config:
    path.write_text(text)
    return load(path, {"TOKEN": "0123456789abcdef", **environ})


def test_what_cannot_change_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "changeover.yaml"
    old = config(path)
    refuse_fixed(old, config(path, YAML + "  - from: public.more\n"))
    with pytest.raises(ConfigError) as error:
        refuse_fixed(old, config(path, YAML.replace("shop", "other").replace("legacy", "new")))
    assert {problem.path for problem in error.value.problems} == {
        ("pipeline",),
        ("source", "topic_prefix"),
        ("source", "slot"),
        ("source", "publication"),
        ("kafka", "group"),
    }
    assert f"{path}:2" in str(error.value)


def test_comments_do_not_make_another_configuration_and_secrets_do(tmp_path: Path) -> None:
    path = tmp_path / "changeover.yaml"
    old = config(path)
    before = digest_of(path)
    assert same(old, config(path, YAML + "# said\n"))
    assert digest_of(path) not in ("", before)
    assert not same(old, config(path, TOKEN="fedcba9876543210"))
    assert digest_of(tmp_path / "none") == ""


def test_a_short_token_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least 16"):
        config(tmp_path / "changeover.yaml", TOKEN="short")


def test_what_the_audit_says_of_a_content() -> None:
    def row(detail: str) -> Any:
        return AuditRow(1, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "daemon", "configuration", detail)

    assert outcome(None, "ab", 0) is None
    assert outcome(row("cd taken: started"), "ab", 0) is None
    said = outcome(row("ab taken: +public.more"), "ab", 1)
    assert said is not None
    assert said.startswith("taken: +public.more")
    with pytest.raises(FatalError, match="refused"):
        outcome(row("ab refused: 2 problems"), "ab", 0)
    assert outcome(row("ab refused: 2 problems"), "ab", 1) is None, "it may be mended by now"
