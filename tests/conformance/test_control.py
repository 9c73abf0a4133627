"""One suite for the control state on every engine that it may live in. Each test has pipelines of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import count

import pytest
from sqlalchemy import Connection, select, update

from connectors.chunks import Advance, ChunkRow, ChunkState, Ledger, Position
from connectors.control.dead_letters import OPEN, RELOADED, RETRIED, SKIPPED, NewLetter
from connectors.control.facts import control_state
from connectors.control.findings import FindingRow
from connectors.control.journal import NOT_CONSUMED
from connectors.control.pipeline import PipelineRow
from connectors.control.schema import VERSION, chunk, dead_letter, finding, journal, pipeline, verification
from connectors.control.store import ControlStore
from connectors.control.verification import Purpose, SliceResult, SliceRow
from connectors.snapshot import Snapshot
from mappers.errors import FencedError, TransientError
from tests.support.control_sites import SQLITE, WHERE_ROWS_LOCK, Site

ODD = (
    '["a"]',
    '["A"]',
    '["a "]',
    '["a"] ',
    '["ä"]',
    '["a\u0308"]',
    '["ß"]',
    '["ss"]',
    '["🐘"]',
    '["🐬"]',
    '["it\'s"]',
    '["\\"quoted\\""]',
    '["back\\\\slash"]',
    '["per%cent %s :name"]',
    '["nul \\u0000"]',
    "",
    " ",
    "[" + "🐘" * 500 + "]",
    "[" + "x" * 500 + "]",
    "[" + "x" * 500 + "] ",
)
"""Texts that differ, whatever an engine's collations think of them."""
SEEN = Snapshot(100, 110, frozenset({103, 105}))
_NAMES = count(1)


@pytest.fixture
def control() -> ControlStore:
    """The store of a pipeline that nobody had before."""
    return ControlStore(f"p{next(_NAMES)}")


@pytest.fixture
def db(site: Site) -> Iterator[Connection]:
    """One transaction for the whole test: statements of it see each other."""
    with site.begin() as connection:
        yield connection


def refused(site: Site, act: Callable[[Connection], object]) -> None:
    """What the act needs is locked by somebody else."""
    with pytest.raises(TransientError), site.begin("impatient") as connection:
        act(connection)


def granted(site: Site, act: Callable[[Connection], object]) -> None:
    """What the act needs is free."""
    with site.begin("patient") as connection:
        act(connection)


def undone(site: Site, act: Callable[[Connection], object]) -> None:
    """Act in a transaction that fails after it."""

    def failing(db: Connection) -> None:
        act(db)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), site.begin() as db:
        failing(db)


def started(control: ControlStore, connection: Connection, *tables: str) -> None:
    """The pipeline's row, and these tables."""
    control.pipeline.put(connection, PipelineRow("source", "stream", 7, sealed=False, phase="backfilling"))
    for table in tables:
        control.tables.add(connection, table, 1000)


# the pipeline's row


def test_a_pipelines_row(db: Connection, control: ControlStore) -> None:
    first = PipelineRow("source", "stream", 7, sealed=False, phase="backfilling")
    assert control.pipeline.get(db) is None
    control.pipeline.put(db, first)
    control.pipeline.put(db, replace(first, source_id="other", noted_xid=1 << 62, phase="streaming"))
    assert control.pipeline.get(db, lock=True) == replace(first, noted_xid=1 << 62, phase="streaming")
    assert ControlStore(control.name.upper()).pipeline.get(db) is None


def test_a_pipelines_settings(db: Connection, control: ControlStore) -> None:
    started(control, db)
    assert (control.pipeline.pace(db), control.pipeline.connector_session(db)) == (None, None)
    control.pipeline.set_pace(db, 0)
    assert control.pipeline.pace(db) == 0
    control.pipeline.set_pace(db, None)
    assert control.pipeline.pace(db) is None
    control.pipeline.see_connector(db, "walsender 1")
    assert control.pipeline.connector_session(db) == "walsender 1"


def test_a_suspicion_changes_by_compare_and_set(db: Connection, control: ControlStore) -> None:
    started(control, db)
    assert not control.pipeline.suspect(db, '{"why": "x"}', was="")
    assert control.pipeline.suspect(db, '{"why": "x"}', was=None)
    assert not control.pipeline.suspect(db, None, was='{"why": "X"}')
    assert not control.pipeline.suspect(db, None, was='{"why": "x"} ')
    assert control.pipeline.suspicion(db) == '{"why": "x"}'
    assert control.pipeline.suspect(db, '{"why": "x"}', was='{"why": "x"}')
    assert control.pipeline.suspect(db, None, was='{"why": "x"}')
    assert control.pipeline.suspicion(db) is None


def test_fingerprints_by_entry(db: Connection, control: ControlStore) -> None:
    entries = {f"{name[:200]} -> y": f"print {n}" for n, name in enumerate(ODD) if len(name) < 200}
    for entry, print_ in entries.items():
        control.pipeline.put_fingerprint(db, entry, "old")
        control.pipeline.put_fingerprint(db, entry, print_)
    assert control.pipeline.fingerprints(db) == entries


def test_the_clock_is_aware_and_goes_forward(site: Site, control: ControlStore) -> None:
    told = []
    for how in ("", "elsewhere", "", "elsewhere"):
        with site.begin(how) as db:
            told.append(control.pipeline.clock(db))
    times = [datetime.fromisoformat(text) for text in told]
    assert times == sorted(times)
    assert [time.utcoffset() for time in times] == [timedelta(0)] * 4
    assert told == sorted(told), "suspicions compare them as text"
    assert abs(datetime.now(UTC) - times[0]) < timedelta(minutes=1)
    assert any(time.microsecond % 1000 for time in times) or len(set(times)) == 4


def test_one_process_at_a_time_starts_a_pipeline(site: Site, control: ControlStore) -> None:
    with site.begin() as db:
        control.pipeline.lock_start(db)
        control.pipeline.lock_start(db)
        refused(site, control.pipeline.lock_start)
        if site.kind != SQLITE:
            granted(site, ControlStore(control.name + "x").pipeline.lock_start)
    granted(site, control.pipeline.lock_start)


def test_a_start_that_failed_lets_the_next_one_in(site: Site, control: ControlStore) -> None:
    undone(site, control.pipeline.lock_start)
    granted(site, control.pipeline.lock_start)


def test_a_locked_pipeline_is_held_to_the_end(site: Site, control: ControlStore) -> None:
    with site.begin() as db:
        started(control, db)
    with site.begin() as db:
        control.pipeline.get(db, lock=True)
        refused(site, lambda other: control.pipeline.get(other, lock=True))
        refused(site, lambda other: control.pipeline.set_pace(other, 5))
    granted(site, lambda other: control.pipeline.get(other, lock=True))


# tables


def test_tables_and_their_versions(db: Connection, control: ControlStore) -> None:
    started(control, db, "public.b", "public.a", "public.A")
    control.tables.bump(db, "public.a")
    assert control.tables.versions(db) == {"public.a": 1, "public.b": 0, "public.A": 0}
    assert control.tables.rows_expected(db) == {"public.a": 1000, "public.b": 1000, "public.A": 1000}


def test_pausing_tells_what_it_changed(db: Connection, control: ControlStore) -> None:
    started(control, db, "a", "b", "c")
    assert control.tables.set_paused(db, ["b", "a", "nowhere"], True) == ["a", "b"]
    assert control.tables.set_paused(db, ["b", "c"], True) == ["c"]
    assert control.tables.set_paused(db, ["c"], False) == ["c"]
    assert control.tables.paused(db) == {"a", "b"}
    assert {name: state.paused for name, state in control.tables.states(db).items()} == {
        "a": True,
        "b": True,
        "c": False,
    }


def test_a_sealed_pipeline_has_no_writers(db: Connection, control: ControlStore) -> None:
    started(control, db, "a")
    db.execute(update(pipeline).where(pipeline.c.pipeline == control.name).values(sealed=True))
    with pytest.raises(FencedError, match="sealed"):
        control.tables.states(db)
    row = control.pipeline.get(db)
    assert row is not None
    assert row.sealed is True


# positions and the journal

FIRST = Position("a", 0, "public.a", 10, (0, 0), "id a")
SECOND = replace(FIRST, partition=1, next_offset=20)
OTHER = replace(FIRST, topic="b", table="public.b", topic_id="id b")
MESSAGES = replace(FIRST, topic="m", table=None, topic_id="id m")


def at(*positions: Position) -> dict[tuple[str, int], int]:
    """What a process believes that reads these."""
    return {(p.topic, p.partition): p.next_offset for p in positions}


def placed(site: Site, control: ControlStore) -> None:
    """Positions, committed."""
    with site.begin() as db:
        control.positions.add(db, [MESSAGES, OTHER, SECOND, FIRST])


def test_positions_are_kept_in_order(db: Connection, control: ControlStore) -> None:
    control.positions.add(db, [])
    control.positions.add(db, [MESSAGES, OTHER, SECOND, FIRST])
    assert control.positions.all(db) == [FIRST, SECOND, OTHER, MESSAGES]
    assert control.positions.lock(db, at(OTHER, FIRST)) == {("a", 0): FIRST, ("b", 0): OTHER}
    assert control.positions.lock(db, {}) == {}
    assert control.positions.lock_table(db, "public.a") == [FIRST, SECOND]
    assert control.positions.lock_table(db, "nowhere") == []


def test_a_position_that_is_not_as_believed_is_fenced(db: Connection, control: ControlStore) -> None:
    control.positions.add(db, [FIRST, SECOND])
    with pytest.raises(FencedError, match="is 10, this process is at 11"):
        control.positions.lock(db, at(SECOND, replace(FIRST, next_offset=11)))
    with pytest.raises(FencedError, match="is None"):
        control.positions.lock(db, at(FIRST, OTHER))


def test_an_advance_adds_up_and_is_in_the_journal(db: Connection, control: ControlStore) -> None:
    control.positions.add(db, [FIRST, SECOND, MESSAGES])
    ledger = Ledger(*range(1, 9))
    control.positions.advance(
        db, [Advance("a", 0, 10, 15, (5, 6), ledger, 1000), Advance("m", 0, 10, 11, (1, 1), ledger, 1)]
    )
    control.positions.advance(db, [Advance("a", 0, 15, 30, (7, 8), ledger, 900)])
    first, second, messages = control.positions.all(db)
    assert first == replace(FIRST, next_offset=30, high_water=(7, 8), ledger=ledger + ledger, source_time_us=1000)
    assert (second, messages.next_offset, messages.source_time_us) == (SECOND, 11, 1)
    kept = [(row.start, row.end) for row in control.journal.of(db, "a", 0, 0)]
    assert kept == [(NOT_CONSUMED, 10), (10, 15), (15, 30)]
    assert [row.end for row in control.journal.of(db, "a", 0, 15)] == [10, 30]
    assert [row.end for row in control.journal.of(db, "a", 1, 0)] == [20]
    assert control.journal.of(db, "m", 0, 0) == []


def test_an_advance_from_elsewhere_is_fenced(db: Connection, control: ControlStore) -> None:
    control.positions.add(db, [FIRST])
    for move in (Advance("a", 0, 9, 15, (5, 6), Ledger(), 0), Advance("x", 0, 10, 15, (5, 6), Ledger(), 0)):
        with pytest.raises(FencedError, match="moved meanwhile"):
            control.positions.advance(db, [move])
    assert control.positions.all(db) == [FIRST]
    assert len(control.journal.of(db, "a", 0, 0)) == 1


def test_a_position_set_back_by_hand_writes_its_journal_again(db: Connection, control: ControlStore) -> None:
    control.positions.add(db, [replace(FIRST, next_offset=15)])
    db.execute(journal.insert().values(pipeline=control.name, topic="a", partition=0, start_offset=15, end_offset=20))
    control.positions.advance(db, [Advance("a", 0, 15, 30, (7, 8), Ledger(), 0)])
    assert [(row.start, row.end) for row in control.journal.of(db, "a", 0, 0)] == [(NOT_CONSUMED, 15), (15, 30)]


def test_the_high_water_only_rises(db: Connection, control: ControlStore) -> None:
    control.positions.add(db, [replace(FIRST, high_water=(5, 9)), replace(SECOND, high_water=(6, 0)), OTHER])
    control.positions.raise_water(db, "public.a", (5, 10))
    assert [p.high_water for p in control.positions.all(db)] == [(5, 10), (6, 0), (0, 0)]


def test_a_batch_locks_its_partitions_alone(site: Site, control: ControlStore) -> None:
    placed(site, control)
    with site.begin() as db:
        control.positions.lock(db, at(FIRST))
        refused(site, lambda other: control.positions.lock(other, at(FIRST)))
        refused(site, lambda other: control.positions.lock_table(other, "public.a"))
        refused(site, lambda other: control.positions.advance(other, [Advance("a", 0, 10, 11, (1, 1), Ledger(), 0)]))
    granted(site, lambda other: control.positions.lock_table(other, "public.a"))


@WHERE_ROWS_LOCK
def test_a_batch_leaves_other_partitions_alone(site: Site, control: ControlStore) -> None:
    placed(site, control)
    with site.begin() as db:
        control.positions.lock(db, at(FIRST, MESSAGES))
        granted(site, lambda other: control.positions.lock(other, at(SECOND, OTHER)))
        granted(site, lambda other: control.positions.lock_table(other, "public.b"))
        granted(site, lambda other: control.positions.raise_water(other, "public.b", (9, 9)))
        granted(site, control.positions.all)


def test_of_two_that_advance_one_is_fenced(site: Site, control: ControlStore) -> None:
    placed(site, control)
    move = Advance("a", 0, 10, 15, (1, 1), Ledger(), 0)
    with site.begin() as db:
        control.positions.advance(db, [move])
    with pytest.raises(FencedError), site.begin() as db:
        control.positions.advance(db, [Advance("b", 0, 10, 15, (1, 1), Ledger(), 0), move])
    with site.begin() as db:
        assert [p.next_offset for p in control.positions.all(db)] == [15, 20, 10, 10]


def moves(control: ControlStore, db: Connection, ends: range) -> None:
    """A partition's advances, one offset each."""
    for end in ends:
        control.positions.advance(db, [Advance("a", 0, end - 1, end, (1, 1), Ledger(), 0)])


def test_the_journal_keeps_the_newest_rows(db: Connection, control: ControlStore) -> None:
    control.positions.add(db, [FIRST, SECOND])
    moves(control, db, range(11, 21))
    assert control.journal.trim(db, "a", 0, hours=1, rows=100) == 0
    assert control.journal.trim(db, "a", 0, hours=1, rows=4) == 6
    assert [row.start for row in control.journal.of(db, "a", 0, 0)] == [NOT_CONSUMED, 16, 17, 18, 19]
    assert control.journal.trim(db, "a", 1, hours=1, rows=0) == 0
    assert len(control.journal.of(db, "a", 1, 0)) == 1


def test_the_journal_forgets_what_is_old(db: Connection, control: ControlStore) -> None:
    control.positions.add(db, [FIRST])
    moves(control, db, range(11, 21))
    mine = (journal.c.pipeline == control.name, journal.c.start_offset <= 13)
    db.execute(update(journal).where(*mine).values(committed_at=datetime.now(UTC) - timedelta(hours=2)))
    assert control.journal.trim(db, "a", 0, hours=2.5, rows=100) == 0
    assert control.journal.trim(db, "a", 0, hours=1.5, rows=8) == 4
    assert [row.start for row in control.journal.of(db, "a", 0, 0)] == [NOT_CONSUMED, *range(14, 20)]
    assert control.journal.trim(db, "a", 0, hours=0, rows=100) in (0, 6), "made in this transaction, or by its clock"


# chunks


def planned(site: Site, control: ControlStore, *tables: str) -> None:
    """Tables of three chunks, committed."""
    with site.begin() as db:
        started(control, db, *tables)
        for table in tables:
            control.chunks.plan(db, table, [("b", '"'), ("🐘", "")])


def states(control: ControlStore, db: Connection) -> list[ChunkState]:
    """The chunks' states, in order."""
    return [row.state for row in control.chunks.all(db)]


def test_chunks_cover_the_key_space(db: Connection, control: ControlStore) -> None:
    started(control, db, "b", "a")
    control.chunks.plan(db, "b", [])
    control.chunks.plan(db, "a", [("1", "x"), ("ä", "")])
    edges = [(row.table, row.number, row.lower, row.upper) for row in control.chunks.all(db)]
    assert edges == [
        ("a", 0, None, ("1", "x")), ("a", 1, ("1", "x"), ("ä", "")), ("a", 2, ("ä", ""), None), ("b", 0, None, None),
    ]  # fmt: skip
    assert control.chunks.all(db, "b") == [ChunkRow("b", 0, None, None, ChunkState.PENDING)]


def test_a_chunk_moves_by_compare_and_set(db: Connection, control: ControlStore) -> None:
    started(control, db, "a")
    control.chunks.plan(db, "a", [])
    pending = control.chunks.next(db, ["a"], [ChunkState.PENDING])
    assert pending is not None
    assert control.chunks.move(db, pending, ChunkState.READING, attempt=1, snapshot=SEEN, claim=True)
    assert not control.chunks.move(db, pending, ChunkState.READING, attempt=1, claim=True)
    reading = replace(pending, state=ChunkState.READING, attempt=1, snapshot=SEEN)
    assert control.chunks.all(db) == [reading]
    assert not control.chunks.move(db, replace(reading, attempt=2), ChunkState.DONE, attempt=2)
    assert control.keys.chunk_times(db, "a", 0)[1] is None
    assert control.chunks.move(db, reading, ChunkState.DONE, attempt=1, snapshot=SEEN, rows=5, size_bytes=1 << 40)
    assert control.chunks.all(db) == [replace(reading, state=ChunkState.DONE, rows=5, bytes=1 << 40)]
    assert control.tables.versions(db) == {"a": 2}
    claimed, done = control.keys.chunk_times(db, "a", 0)
    assert claimed is not None
    assert done is not None
    assert claimed <= done
    assert control.keys.chunk_times(db, "a", 1) == (None, None)
    control.chunks.reset(db, "a")
    assert control.chunks.all(db) == [replace(pending, attempt=1)]
    assert control.tables.versions(db) == {"a": 3}


def test_the_next_chunk_is_of_the_tables_and_states_asked_for(db: Connection, control: ControlStore) -> None:
    started(control, db, "a", "b", "c")
    for table in ("a", "b", "c"):
        control.chunks.plan(db, table, [("m",)])
    control.tables.set_paused(db, ["a"], True)
    found = control.chunks.next(db, ["a", "b"], [ChunkState.PENDING, ChunkState.AGAIN])
    assert found is not None
    assert (found.table, found.number) == ("b", 0)
    assert control.chunks.next(db, ["a"], [ChunkState.PENDING]) is None
    assert control.chunks.next(db, [], [ChunkState.PENDING]) is None
    assert control.chunks.next(db, ["b"], [ChunkState.DONE]) is None


@WHERE_ROWS_LOCK
def test_workers_skip_what_others_are_claiming(site: Site, control: ControlStore) -> None:
    planned(site, control, "a", "b")

    def take(db: Connection) -> tuple[str, int]:
        row = control.chunks.next(db, ["a", "b"], [ChunkState.PENDING])
        assert row is not None
        return row.table, row.number

    with site.begin() as one, site.session() as two, two.begin(), site.session() as three, three.begin():
        assert [take(one), take(two), take(three)] == [("a", 0), ("a", 1), ("a", 2)]
        with site.begin("patient") as four:
            assert take(four) == ("b", 0)


def test_what_the_stream_shares_is_not_claimed(site: Site, control: ControlStore) -> None:
    planned(site, control, "a")

    def claim(db: Connection) -> None:
        row = control.chunks.all(db)[1]
        control.chunks.move(db, row, ChunkState.READING, attempt=1, claim=True)

    with site.begin() as db:
        assert [row.number for row in control.chunks.share(db, "a", {1, 7})] == [1]
        refused(site, claim)
        if site.kind != SQLITE:
            granted(site, lambda other: control.chunks.share(other, "a"))
            with site.begin("patient") as other:
                found = [control.chunks.next(other, ["a"], [ChunkState.PENDING])]
                assert [row.number for row in found if row] == [0]
    granted(site, claim)


@WHERE_ROWS_LOCK
def test_sharing_some_chunks_waits_for_no_other(site: Site, control: ControlStore) -> None:
    planned(site, control, "a")
    with site.begin() as db:
        row = control.chunks.all(db)[1]
        assert control.chunks.move(db, row, ChunkState.READING, attempt=1, claim=True)
        granted(site, lambda other: control.chunks.share(other, "a", {0, 2}))
        refused(site, lambda other: control.chunks.share(other, "a", {1}))
        refused(site, lambda other: control.chunks.share(other, "a"))


# key fences


def test_keys_differ_by_code_points(db: Connection, control: ControlStore) -> None:
    started(control, db, "a", "A")
    for n, key in enumerate(ODD):
        control.fences.put(db, "a", [key], replace(SEEN, xmax=200 + n))
    expected = {key: replace(SEEN, xmax=200 + n) for n, key in enumerate(ODD)}
    assert control.fences.get(db, "a") == expected
    assert sorted(control.fences.keys(db, "a")) == sorted(ODD)
    for key in ODD:
        assert control.fences.get(db, "a", [key]) == {key: expected[key]}
    assert control.fences.get(db, "a", [*ODD, "absent"]) == expected
    assert control.fences.get(db, "a", []) == {}
    assert control.fences.get(db, "A") == {}


def test_fences_are_put_again_and_dropped(db: Connection, control: ControlStore) -> None:
    started(control, db, "a", "b")
    late, later = Snapshot(300, 310), Snapshot(1 << 40, (1 << 40) + 5, frozenset({(1 << 40) + 2}))
    control.fences.put(db, "a", [], SEEN)
    assert control.tables.versions(db)["a"] == 0
    control.fences.put(db, "a", ["1", "2", "3"], SEEN)
    control.fences.put(db, "a", ["2", "4"], late)
    control.fences.put(db, "b", ["1"], later)
    assert control.fences.get(db, "a") == {"1": SEEN, "2": late, "3": SEEN, "4": late}
    assert (control.fences.end(db, "a"), control.fences.end(db, "b"), control.fences.end(db, "c")) == (
        310,
        later.xmax,
        0,
    )
    assert sorted(control.fences.snapshots(db, "a"), key=lambda s: s.xmin) == [SEEN, late]
    assert control.fences.drop_read_at(db, "a", [later]) == 0
    assert control.fences.drop_read_at(db, "a", [SEEN, later]) == 2
    assert control.tables.versions(db) == {"a": 3, "b": 1}
    control.fences.drop(db, "a")
    assert (control.fences.keys(db, "a"), control.fences.keys(db, "b")) == ([], ["1"])


def test_many_keys_at_once(db: Connection, control: ControlStore) -> None:
    started(control, db, "a")
    keys = [f'["{n}"]' for n in range(2000)]
    control.fences.put(db, "a", keys, SEEN)
    wanted = [f'["{n}"]' for n in range(1990, 40_000)]
    assert len(control.fences.get(db, "a", wanted)) == 10


# dead letters


def letter(key: str, table: str = "a", **options: object) -> NewLetter:
    """A letter of a key."""
    made = NewLetter(table, key, "type", "does not fit", '{"v": "🐘"}', topic="t", partition=0, event_offset=1 << 40)
    return replace(made, **options)  # type: ignore[arg-type]


def test_letters_are_opened_parked_and_closed(db: Connection, control: ControlStore) -> None:
    started(control, db, "a", "b")
    control.dead_letters.add(db, [])
    control.dead_letters.add(db, [letter("1"), letter("2", reason="constraint"), letter("1", table="b")])
    assert control.tables.versions(db) == {"a": 1, "b": 1}
    assert control.dead_letters.keys(db, "a") == {"1", "2"}
    assert control.dead_letters.count(db) == (3, 3)
    assert control.dead_letters.counts(db) == {("a", "type"): 1, ("a", "constraint"): 1, ("b", "type"): 1}
    control.dead_letters.park(db, "a", {})
    control.dead_letters.park(db, "a", {"1": 2, "2": 1, "absent": 9})
    control.dead_letters.park(db, "a", {"1": 3})
    assert control.dead_letters.close(db, "a", ["1", "absent"], RETRIED, who="me", note="ok") == 1
    assert control.dead_letters.close(db, "a", ["1"], SKIPPED) == 0
    assert control.dead_letters.close(db, "a", [], SKIPPED) == 0
    assert control.tables.versions(db) == {"a": 2, "b": 1}
    assert control.dead_letters.close_table(db, "a") == 1
    everything = control.dead_letters.list(db, everything=True)
    found = [(x.table_name, x.key, x.state, x.parked, x.closed_by, x.note) for x in everything]
    assert found == [
        ("a", "1", RETRIED, 5, "me", "ok"),
        ("a", "2", RELOADED, 1, None, "the table is read again"),
        ("b", "1", OPEN, 0, None, None),
    ]
    assert everything[2].place == f"t[0] offset {1 << 40}"
    assert everything[0].event == '{"v": "🐘"}'


def test_letters_are_listed_as_asked(db: Connection, control: ControlStore) -> None:
    started(control, db, "a", "b")
    control.dead_letters.add(db, [letter("1"), letter("1", table="b", topic=None, chunk=4), letter("2")])
    first, second, third = control.dead_letters.list(db)
    assert first.id < second.id < third.id
    assert second.place == "chunk 4"
    control.dead_letters.close(db, "a", ["1"], SKIPPED)
    assert control.dead_letters.list(db, table="a") == [third]
    assert control.dead_letters.list(db, key="1") == [second]
    assert [x.id for x in control.dead_letters.list(db, ids=[first.id, third.id])] == [first.id, third.id]
    assert len(control.dead_letters.list(db, table="a", key="1", everything=True)) == 1
    control.dead_letters.annotate(db, first.id, "somebody", "")
    control.dead_letters.failed_again(db, third.id, "still does not fit")
    noted, failed = control.dead_letters.list(db, ids=[first.id, third.id])
    assert (noted.closed_by, noted.note, failed.error) == ("somebody", None, "still does not fit")


def test_letters_of_odd_keys(db: Connection, control: ControlStore) -> None:
    started(control, db, "a")
    control.dead_letters.add(db, [letter(key) for key in ODD])
    assert control.dead_letters.keys(db, "a") == set(ODD)
    for key in ODD:
        assert control.dead_letters.close(db, "a", [key], RETRIED) == 1
    assert control.dead_letters.keys(db, "a") == frozenset()


def test_settled_letters_are_forgotten(db: Connection, control: ControlStore) -> None:
    started(control, db, "a")
    control.dead_letters.add(db, [letter("1"), letter("2"), letter("3")])
    control.dead_letters.close(db, "a", ["1", "2"], SKIPPED)
    old = (datetime.now(UTC) - timedelta(hours=2)).astimezone(timezone(timedelta(hours=9)))
    mine = dead_letter.c.pipeline == control.name
    db.execute(update(dead_letter).where(mine, dead_letter.c.key == "1").values(closed_at=old))
    db.execute(update(dead_letter).where(mine, dead_letter.c.key == "3").values(created_at=old))
    assert control.dead_letters.count(db) == (1, 0)
    assert control.dead_letters.trim(db, 2.5) == 0
    assert control.dead_letters.trim(db, 1.5) == 1
    assert [x.key for x in control.dead_letters.list(db, everything=True)] == ["2", "3"]


def test_a_letters_number_is_never_given_twice(db: Connection, control: ControlStore) -> None:
    started(control, db, "a")
    control.dead_letters.add(db, [letter("1")])
    (first,) = control.dead_letters.list(db)
    control.forget(db)
    control.dead_letters.add(db, [letter("1")])
    assert control.dead_letters.list(db)[0].id > first.id


def test_times_are_the_same_moments_wherever_the_session_is(site: Site, control: ControlStore) -> None:
    with site.begin() as db:
        started(control, db, "a")
        before = datetime.fromisoformat(control.pipeline.clock(db))
    with site.begin("elsewhere") as db:
        control.dead_letters.add(db, [letter("1")])
        control.dead_letters.close(db, "a", ["1"], SKIPPED)
    with site.begin() as db:
        (found,) = control.dead_letters.list(db, everything=True)
        after = datetime.fromisoformat(control.pipeline.clock(db))
    assert found.closed_at is not None
    assert before <= found.created_at <= found.closed_at <= after
    with site.begin("elsewhere") as db:
        assert control.dead_letters.list(db, everything=True) == [found]
    assert found.created_at.utcoffset() == timedelta(0)


# findings


def difference(key: str, **options: object) -> FindingRow:
    """A finding of a key."""
    return replace(FindingRow("a -> b", "a", key, key, "different", ("x", "y")), **options)  # type: ignore[arg-type]


def test_findings_replace_those_of_the_same_key(db: Connection, control: ControlStore) -> None:
    control.findings.put(db, "a -> b", [])
    control.findings.put(db, "a -> b", [difference(key) for key in ODD])
    control.findings.put(db, "c -> d", [difference("1", entry="c -> d", source_key=None)])
    control.findings.put(db, "a -> b", [difference(ODD[0], kind="missing"), difference(ODD[1], repaired=True)])
    assert control.findings.open_counts(db) == {"a -> b": len(ODD) - 1, "c -> d": 1}
    found = control.findings.open(db, ["a -> b", "c -> d"], 0, 100)
    assert [row.id for row in found] == sorted(row.id for row in found)
    assert {(row.target_key, row.kind) for row in found if row.entry == "a -> b"} == {
        (ODD[0], "missing"), *((key, "different") for key in ODD[2:]),
    }  # fmt: skip
    assert [row.source_key for row in found if row.entry == "c -> d"] == [None]
    assert control.findings.open(db, ["a -> b", "c -> d"], found[2].id, 2) == found[3:5]
    assert control.findings.open(db, [], 0, 2) == []


def test_findings_are_mended_or_gone(site: Site, control: ControlStore) -> None:
    with site.begin() as db:
        control.findings.put(db, "a -> b", [difference("1"), difference("2"), difference("3")])
        one, *_ = control.findings.open(db, ["a -> b"], 0, 10)
        control.findings.repaired(db, [one.id])
        control.findings.repaired(db, [])
        began = datetime.fromisoformat(control.pipeline.clock(db))
    with site.begin() as db:
        control.findings.put(db, "a -> b", [difference("3")])
        control.findings.gone(db, "c -> d", began)
        assert control.findings.open_counts(db) == {"a -> b": 2}
        control.findings.gone(db, "a -> b", began)
        rows = db.execute(select(finding).where(finding.c.pipeline == control.name).order_by(finding.c.id)).all()
    assert [(row.target_key, row.state) for row in rows] == [("1", "repaired"), ("2", "gone"), ("3", "open")]
    assert [row.closed_at is not None for row in rows] == [True, True, False]


def test_what_is_known_of_a_key(db: Connection, control: ControlStore) -> None:
    control.findings.put(db, "a -> b", [difference("k"), difference("K")])
    (fact,) = control.keys.findings(db, "a", "k")
    assert (fact.entry, fact.kind, fact.columns) == ("a -> b", "different", ("x", "y"))
    assert fact.found_at.utcoffset() == timedelta(0)
    assert control.keys.findings(db, "b", "k") == []


# verification

SLICES = {"a -> b": [SliceRow(0, None, ("5",)), SliceRow(1, ("5",), None)], "c -> d": [SliceRow(0, None, None)]}


def test_a_sweep_is_resumed_where_it_stopped(db: Connection, control: ControlStore) -> None:
    store = control.verifications
    before = datetime.fromisoformat(control.pipeline.clock(db)) - timedelta(hours=1)
    sweep = store.begin(db, Purpose.COMMAND, SLICES)
    assert sweep == 1
    assert store.unfinished(db, Purpose.COMMAND, None) == (sweep, SLICES)
    assert store.unfinished(db, Purpose.COMMAND, before) == (sweep, SLICES)
    assert store.unfinished(db, Purpose.COMMAND, before + timedelta(hours=2)) is None
    assert store.unfinished(db, Purpose.CONTINUOUS, None) is None
    store.done(db, sweep, "a -> b", [SliceResult(1, 10, 2, 1)])
    found = store.unfinished(db, Purpose.COMMAND, None)
    assert found is not None
    assert found[1]["a -> b"] == [SLICES["a -> b"][0], replace(SLICES["a -> b"][1], done=True, differences=2)]
    store.done(db, sweep, "a -> b", [SliceResult(0, 5, 0, 0)])
    store.done(db, sweep, "c -> d", [SliceResult(0, 0, 0, 0)])
    assert store.unfinished(db, Purpose.COMMAND, None) is None


def test_what_sweeps_came_to(db: Connection, control: ControlStore) -> None:
    store = control.verifications
    assert store.sweeps(db) == []
    sweep = store.begin(db, Purpose.CONTINUOUS, SLICES)
    store.done(db, sweep, "a -> b", [SliceResult(0, 1 << 40, 3, 2), SliceResult(1, 5, 1, 0)])
    by_entry = {row.entry: row for row in store.sweeps(db)}
    first, second = by_entry["a -> b"], by_entry["c -> d"]
    assert (first.done, first.rows, first.differences, first.unsettled) == (True, (1 << 40) + 5, 4, 2)
    assert (second.done, second.rows) == (False, 0)
    assert first.began.utcoffset() == timedelta(0)
    assert 0 <= first.age_s < 60


def test_a_new_sweep_ends_an_unfinished_one_of_its_purpose(db: Connection, control: ControlStore) -> None:
    store = control.verifications
    kept = store.begin(db, Purpose.COMMAND, SLICES)
    store.done(db, kept, "a -> b", [SliceResult(0, 1, 0, 0), SliceResult(1, 1, 0, 0)])
    store.done(db, kept, "c -> d", [SliceResult(0, 1, 0, 0)])
    other = store.begin(db, Purpose.CONTINUOUS, SLICES)
    given_up = store.begin(db, Purpose.COMMAND, SLICES)
    newest = store.begin(db, Purpose.COMMAND, SLICES)
    assert kept < other < given_up <= newest
    assert {row.sweep for row in store.sweeps(db)} == {kept, other, newest}
    assert [row.sweep for row in store.sweeps(db)] == sorted((row.sweep for row in store.sweeps(db)), reverse=True)


def test_a_finished_sweep_replaces_older_ones(site: Site, control: ControlStore) -> None:
    store = control.verifications
    with site.begin() as db:
        control.findings.put(db, "a -> b", [difference("stale")])
        first = store.begin(db, Purpose.COMMAND, SLICES)
        store.done(db, first, "a -> b", [SliceResult(0, 1, 0, 0), SliceResult(1, 1, 0, 0)])
    with site.begin() as db:
        second = store.begin(db, Purpose.CONTINUOUS, SLICES)
    with site.begin() as db:
        control.findings.put(db, "a -> b", [difference("seen")])
        store.done(db, second, "a -> b", [SliceResult(0, 1, 1, 0), SliceResult(1, 1, 0, 0)])
        store.finish(db, second, "a -> b")
        store.finish(db, second, "nothing of the kind")
        assert [row.target_key for row in control.findings.open(db, ["a -> b"], 0, 9)] == ["seen"]
        entry = verification.c.entry
        mine = select(entry, verification.c.sweep).where(verification.c.pipeline == control.name).distinct()
        kept = {(row.entry, row.sweep) for row in db.execute(mine)}
    assert kept == {("a -> b", second), ("c -> d", first), ("c -> d", second)}


# the audit, and the whole


def test_the_audit_tells_the_newest(db: Connection, control: ControlStore) -> None:
    assert control.audit.newest(db, "pause") is None
    control.audit.add(db, "me", "pause")
    control.audit.add(db, "you", "pause", "table a")
    control.audit.add(db, "me", "Pause")
    found = control.audit.newest(db, "pause")
    assert found is not None
    assert (found.who, found.detail) == ("you", "table a")
    assert found.at.utcoffset() == timedelta(0)


def full(control: ControlStore, db: Connection) -> None:
    """Something of everything."""
    started(control, db, "a")
    control.pipeline.lock_start(db)
    control.pipeline.put_fingerprint(db, "a -> b", "print")
    control.positions.add(db, [FIRST])
    control.chunks.plan(db, "a", [("m",)])
    control.fences.put(db, "a", ["1"], SEEN)
    control.dead_letters.add(db, [letter("1")])
    control.findings.put(db, "a -> b", [difference("1")])
    control.verifications.begin(db, Purpose.COMMAND, SLICES)
    control.audit.add(db, "me", "pause")


def test_forgetting_one_pipeline_leaves_the_other(db: Connection, control: ControlStore) -> None:
    other = ControlStore(f"p{next(_NAMES)}")
    full(control, db)
    full(other, db)
    expected = control_state(db, other)
    control.forget(db)
    assert control_state(db, control).row is None
    assert control.audit.newest(db, "pause") is None
    assert control.verifications.sweeps(db) == []
    assert control_state(db, other) == expected
    assert other.audit.newest(db, "pause") is not None
    full(control, db)


def test_a_table_that_is_restarted(db: Connection, control: ControlStore) -> None:
    full(control, db)
    row = control.chunks.next(db, ["a"], [ChunkState.PENDING])
    assert row is not None
    assert control.chunks.move(db, row, ChunkState.DONE, attempt=1, rows=3)
    control.restart_table(db, "a")
    assert states(control, db) == [ChunkState.PENDING] * 2
    assert control.fences.keys(db, "a") == []
    assert control.dead_letters.keys(db, "a") == frozenset()


def test_what_doctor_reads(db: Connection, control: ControlStore) -> None:
    assert control_state(db, control).row is None
    full(control, db)
    for row in control.chunks.all(db):
        control.chunks.move(db, row, ChunkState.READING, attempt=1, claim=True)
        control.chunks.move(db, replace(row, state=ChunkState.READING, attempt=1), ChunkState.DONE, attempt=1)
    early = datetime.now(UTC) - timedelta(seconds=90)
    db.execute(update(chunk).where(chunk.c.pipeline == control.name, chunk.c.number == 0).values(claimed_at=early))
    control.tables.set_paused(db, ["a"], True)
    control.pipeline.suspect(db, "why", was=None)
    found = control_state(db, control)
    assert (found.version, found.readable, found.suspicion, found.paused) == (VERSION, True, "why", ("a",))
    assert (found.dead_letters, found.differences, found.fingerprints) == ({"a": 1}, {"a": 1}, {"a -> b": "print"})
    assert found.positions == (FIRST,)
    assert [row.state for row in found.chunks] == [ChunkState.DONE] * 2
    assert 80 < found.backfill_s < 150


def test_what_is_rolled_back_never_was(site: Site, control: ControlStore) -> None:
    with site.begin() as db:
        started(control, db, "a")
    undone(site, lambda db: control.positions.add(db, [FIRST]))
    with site.begin() as db:
        assert control.positions.all(db) == []
        with db.begin_nested() as savepoint:
            control.positions.add(db, [FIRST])
            savepoint.rollback()
        control.positions.add(db, [SECOND])
    with site.begin() as db:
        assert control.positions.all(db) == [SECOND]
