"""One suite that every target passes: what `SqlTarget` and its transactions do, on real databases, without a stream."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import pytest

from connectors.chunks import Advance, Ledger
from connectors.control.store import ControlStore
from connectors.seams import Staged, Target
from connectors.sql import extras, preview
from connectors.sql.transaction import SqlTransaction
from mappers.errors import ConflictError, FatalError, FencedError, RecordError, TransientError
from tests.support.processes import ended, forked
from tests.support.targets import Make, Place, Rig, declared, name_of, quoted, started

ITEMS = {"id": "bigint", "name": "text not null", "code": "character varying(190)", "n": "integer", "big": "text"}
Item = dict[str, Any]


@pytest.fixture
def items(rig: Make) -> Rig:
    """A plain table with a unique column."""
    return rig(ITEMS, unique=["code"])


def item(id: int, name: str = "", code: str | None = None, n: int | None = None, big: str | None = None) -> Item:
    return {"id": id, "name": name or f"item {id}", "code": code, "n": n, "big": big}


def row(values: Item) -> tuple[Any, ...]:
    return tuple(values[name] for name in ITEMS)


# -- events ------------------------------------------------------------------------------------------------------------


def test_rows_are_inserted_changed_and_removed(items: Rig) -> None:
    first = [item(1, code="a", n=1, big="x"), item(2), item(3, n=-3)]
    assert items.put(*first) == []
    assert items.content() == [row(i) for i in first]
    changed = item(2, "two", "b", 22, "y")
    assert items.put(changed, item(4), gone=[{"id": 1}, {"id": 99}]) == []
    assert items.content() == [row(changed), row(first[2]), row(item(4))]


def test_an_empty_text_is_no_null(items: Rig) -> None:
    items.put(item(1, code="", big=""), item(2))
    assert items.content("id", "code", "big") == [(1, "", ""), (2, None, None)]
    items.put(item(1), item(2, code="", big=""))
    assert items.content("id", "code", "big") == [(1, None, None), (2, "", "")]


def test_a_key_change_is_a_removal_and_a_row(items: Rig) -> None:
    items.put(item(1, code="a"), item(2))
    with items.target.begin() as transaction:
        rows = [(0, True, 0, items.wire({"id": 1})), (1, False, 0, items.wire(item(5, "item 1", "a")))]
        transaction.merge(items.mapped, rows, ())
    assert items.content("id", "code") == [(2, None), (5, "a")]


def test_what_did_not_travel_stays(items: Rig) -> None:
    items.put(item(1, code="a", n=1, big="big 1"), item(2, n=2, big="big 2"), item(3, big="big 3"))
    groups = [frozenset({"big"}), frozenset({"big", "code"})]
    rows = [
        (0, False, 1, items.wire(item(1, "one", "b", 11))),
        (1, False, 2, items.wire(item(2, "two", None, None))),
        (2, False, 0, items.wire(item(3, "three", big="BIG 3"))),
        (3, False, 1, items.wire(item(4, "four"))),
        (4, True, 0, items.wire({"id": 7})),
    ]
    with items.target.begin() as transaction:
        assert transaction.absent(items.mapped, rows, groups) == {3}
        assert transaction.merge(items.mapped, [rows[i] for i in (0, 1, 2, 4)], groups) == []
    expected = [item(1, "one", "b", 11, "big 1"), item(2, "two", None, None, "big 2"), item(3, "three", big="BIG 3")]
    assert items.content() == [row(i) for i in expected]


def test_a_group_that_changes_nothing_is_no_error(rig: Make) -> None:
    pairs = rig({"id": "integer", "big": "text"})
    pairs.put({"id": 1, "big": "x"})
    with pairs.target.begin() as transaction:
        assert transaction.merge(pairs.mapped, [(0, False, 1, pairs.wire({"id": 1}))], [frozenset({"big"})]) == []
    assert pairs.content() == [(1, "x")]


def test_rows_enter_and_leave_a_filter(rig: Make) -> None:
    some = rig(ITEMS, specs=[{"where": "n > 0"}])
    assert some.put(item(1, n=1), item(2, n=0), item(3)) == [1, 2], "unknown is not true"
    assert some.content("id") == [(1,)]
    assert some.put(item(1, n=-1), item(2, n=5), item(3, n=1), gone=[{"id": 8}]) == [0]
    assert some.content("id", "n") == [(2, 5), (3, 1)]
    with some.target.begin() as transaction:
        rows = some.staged_text(item(2, n=0), item(3, n=2), gone=[{"id": 9}])
        assert transaction.merge_text(some.mapped, rows, replace=True) == [0]
    assert some.content("id", "n") == [(3, 2)]


def test_one_source_feeds_two_tables(place: Place, rig: Make) -> None:
    name, other = name_of("t"), name_of("t")
    create = [
        f"CREATE TABLE {quoted(name)} (id {declared(place, 'bigint')} PRIMARY KEY, n {declared(place, 'integer')})",
        f"CREATE TABLE {quoted(other)} (id {declared(place, 'bigint')} PRIMARY KEY, name {declared(place, 'text')})",
    ]
    specs = [{"to": name, "where": "n > 0"}, {"to": other, "where": "n < 10"}]
    both = rig(ITEMS, name=name, specs=specs, create=create)
    assert both.put(item(1, n=1), item(2, n=-1), item(3, n=11), item(4)) == [3]
    assert both.content("id", table=name) == [(1,), (3,)]
    assert both.content("id", table=other) == [(1,), (2,)]
    both.put(item(1, n=20), gone=[{"id": 3}])
    assert (both.content("id", table=name), both.content("id", table=other)) == ([(1,)], [(2,)])
    with both.target.begin() as transaction:
        assert transaction.has_rows(both.mapped.entries[0].target)
        transaction.truncate(both.mapped)
        assert not transaction.has_rows(both.mapped.entries[1].target)
    assert both.content("id", table=name) == both.content("id", table=other) == []


def test_a_key_of_other_columns_follows_its_row(place: Place, rig: Make) -> None:
    """The target's key is not the source's, which stands in a column of its own."""
    name = name_of("t")
    key = declared(place, "text", key=True)
    create = [
        f"CREATE TABLE {quoted(name)} (code {key} PRIMARY KEY, id {declared(place, 'bigint')} NOT NULL,"
        f" n {declared(place, 'integer')}, UNIQUE (id))"
    ]
    columns = {"id": "bigint", "code": "character varying(190) not null", "n": "integer", "big": "text"}
    moved = rig(columns, name=name, specs=[{"key": {"code": "code"}}], create=create)
    assert not moved.mapped.entries[0].key_is_derived
    moved.put({"id": 1, "code": "a", "n": 1}, {"id": 2, "code": "b"})
    moved.put({"id": 1, "code": "c", "n": 2}, gone=[{"id": 2}])
    assert moved.content("code", "id", "n") == [("c", 1, 2)]
    moved.put({"id": 1, "code": "c", "n": 3}, {"id": 5, "code": "a"})
    assert moved.content("code", "id", "n") == [("a", 5, None), ("c", 1, 3)]
    with moved.target.begin() as transaction:
        moved_row = (0, False, 1, moved.wire({"id": 1, "code": "d"}))
        assert transaction.absent(moved.mapped, [moved_row], [frozenset({"n"})]) == {0}, "the key changed: no row"
        transaction.merge_text(moved.mapped, moved.staged_text(gone=[{"id": 5}]), replace=True)
    assert moved.content("code") == [("c",)]


def test_a_thousand_rows(items: Rig) -> None:
    rows = [item(i, code=f"c{i}", n=i) for i in range(1000)]
    items.put(*rows)
    assert items.content() == [row(i) for i in rows]
    changed = [item(i, "x", f"c{i}", -i) for i in range(500)]
    items.put(*changed, gone=[{"id": i} for i in range(500, 900)])
    assert items.content() == [row(i) for i in [*changed, *rows[900:]]]


def test_two_rows_that_become_one_are_no_batch(place: Place, rig: Make) -> None:
    name = name_of("t")
    create = [
        f"CREATE TABLE {quoted(name)} (code {declared(place, 'text', key=True)} PRIMARY KEY,"
        f" id {declared(place, 'bigint')})"
    ]
    columns = {"id": "bigint", "code": "character varying(190) not null"}
    folded = rig(columns, name=name, specs=[{"key": {"code": "code"}}], create=create)
    with pytest.raises(FatalError, match="became one target row"):
        folded.put({"id": 1, "code": "a"}, {"id": 2, "code": "a"})
    assert folded.content() == []


# -- rows read from the source -----------------------------------------------------------------------------------------


def test_a_chunk_is_inserted(items: Rig) -> None:
    rows = [item(i, code=f"c{i}", n=i, big=None if i % 2 else "b") for i in range(10)]
    with items.target.begin() as transaction:
        sizes: list[int] = []
        texts = [items.text(i) for i in rows]
        assert transaction.stage_texts(items.mapped, [texts[:4], texts[4:]], sizes.append) == 10
        assert sum(sizes) == sum(len(value) for text in texts for value in text if value is not None)
        transaction.insert_staged(items.mapped, (0, 2))
        transaction.insert_staged(items.mapped, (3, 9))
        assert transaction.staged_text(items.mapped, 4) == items.text(rows[4])
    assert items.content() == [row(i) for i in rows]
    with pytest.raises(ConflictError) as caught:
        items.load(item(5, code="new"), item(77))
    assert caught.value.table == items.mapped.entries[0].target.full_name
    assert items.content() == [row(i) for i in rows]


def test_mending_touches_what_is_wrong_alone(items: Rig) -> None:
    items.put(item(1, code="a"), item(2, n=2), item(3), item(4, big="x"))
    with items.target.begin() as transaction:
        rows = items.staged_text(item(1, code="a"), item(2, n=3), item(4), item(5), gone=[{"id": 3}, {"id": 8}])
        merged = transaction.mend_text(items.mapped, rows, replace=False)
    assert (list(merged.filtered), merged.written, merged.removed) == ([], 3, 1)
    assert items.content() == [row(i) for i in (item(1, code="a"), item(2, n=3), item(4), item(5))]
    with items.target.begin() as transaction:
        again = transaction.mend_text(items.mapped, rows, replace=False)
    assert (again.written, again.removed) == (0, 0)


def test_a_row_is_replaced_with_all_that_is_its(items: Rig) -> None:
    items.put(item(1, code="a", n=1, big="x"))
    with items.target.begin() as transaction:
        transaction.merge_text(items.mapped, items.staged_text(item(1)), replace=True)
    assert items.content() == [row(item(1))]


# -- keys --------------------------------------------------------------------------------------------------------------

_TEXTS = ("a", "A", "a ", "ä", "", "it's", 'q"', "%s ? :x $1", "🐘", "\\", "\n")
_INTEGERS = (0, -1, 1, 2**63 - 1, -(2**63))
_UUIDS = ("00000000-0000-0000-0000-000000000000", "ffffffff-0000-4000-8000-111111111111")
KEYS: dict[str, tuple[dict[str, str], list[tuple[Sequence[Any], Sequence[str]]]]] = {
    "text": ({"k": "character varying(190)"}, [((text,), (text,)) for text in _TEXTS]),
    "composite": (
        {"k": "character varying(190)", "l": "bigint"},
        [((text, number), (text, str(number))) for text in ("", "x", "X") for number in _INTEGERS],
    ),
    "numeric": (
        {"k": "numeric(20,4)"},
        [
            (("1.5000",), ("1.5",)),
            (("-0.0001",), ("-0.0001",)),
            (("9999999999999999.9999",), ("9999999999999999.9999",)),
        ],
    ),
    "uuid": ({"k": "uuid"}, [((text,), (text,)) for text in _UUIDS]),
    "date": ({"k": "date"}, [((0,), ("1970-01-01",)), ((-719162,), ("0001-01-01",)), ((19782,), ("2024-02-29",))]),
    "instant": (
        {"k": "timestamp with time zone"},
        [
            (("2026-01-01T00:00:00.500000Z",), ("2026-01-01 00:00:00.5+00",)),
            (("2026-01-01T00:00:00.000000Z",), ("2026-01-01 00:00:00+00",)),
        ],
    ),
    "bytes": ({"k": "bytea"}, [((b"\x00\xff",), ("\\x00ff",)), ((b"",), ("\\x",))]),
}
"""Name -> the key's columns, and keys in their neutral form and in the text that names them."""


@pytest.mark.parametrize("kind", KEYS)
def test_keys_of_every_kind(place: Place, rig: Make, kind: str) -> None:
    """A key that came by the stream is the same as text, whatever looks for it."""
    if (place.kind, kind) == ("mariadb", "bytes"):
        pytest.skip("a MariaDB key has a length, and bytea has none")
    columns, keys = KEYS[kind]
    keyed = rig({**columns, "v": "integer"}, tuple(columns))
    wires = [{**dict(zip(columns, wire, strict=True)), "v": n} for n, (wire, _) in enumerate(keys)]
    texts = [(*text, str(n)) for n, (_, text) in enumerate(keys)]

    def values() -> list[int]:
        return sorted(v for (v,) in keyed.content("v"))

    everything = list(range(len(keys)))
    keyed.put(*wires)
    assert values() == everything
    keyed.put(*({**wire, "v": n + 100} for n, wire in enumerate(wires)))
    assert values() == [n + 100 for n in everything]
    with keyed.target.begin() as transaction:
        rows = [(n, False, text) for n, text in enumerate(texts)]
        assert transaction.mend_text(keyed.mapped, rows, replace=False).written == len(keys)
    assert values() == everything
    entry = keyed.mapped.entries[0]
    with keyed.target.begin() as transaction:
        held = transaction.rows(_key_query(keyed))
        transaction.delete(entry, [tuple(r) for r in held[:1]])
        assert len(transaction.rows(_key_query(keyed))) == len(keys) - 1
    with keyed.target.begin() as transaction:
        gone = [keyed.mapped.gone(n, text) for n, (_, text) in enumerate(keys)]
        transaction.merge_text(keyed.mapped, gone, replace=True)
    assert values() == []


def _key_query(keyed: Rig) -> str:
    entry, d = keyed.mapped.entries[0], keyed.target.dialect
    texts = (d.values.text(f"t.{quoted(name)}", entry.target.column(name).type) for name in entry.key)
    return f"SELECT {', '.join(texts)} FROM {quoted(entry.target.schema)}.{quoted(entry.target.name)} AS t"


ODD = ('Ünïcode "quoted" na.me', "select", "a b", "per%cent %s", "que?stion :x @y $1", "UPPER", "it's", "back\\slash")


def test_odd_names(rig: Make) -> None:
    names = dict.fromkeys(ODD[1:], "integer")
    odd = rig({**names, "v": "text"}, ODD[1:3], name=f"{ODD[0]} {name_of('t')}")
    names_at = {name: n for n, name in enumerate(names)}
    first = {**names_at, "v": "x"}
    odd.put(first)
    odd.put({**first, "UPPER": 77, "v": "y"})
    odd.load({**first, "a b": 5})
    assert odd.content("a b", "UPPER", "v") == [(1, 77, "y"), (5, names_at["UPPER"], "x")]
    with pytest.raises(ConflictError) as caught:
        odd.load(first)
    assert caught.value.table == odd.mapped.entries[0].target.full_name
    with odd.target.begin() as transaction:
        transaction.merge_text(odd.mapped, odd.staged_text(gone=[{"select": 0, "a b": 1}]), replace=False)
    assert odd.content("a b") == [(5,)]


# -- unique values -----------------------------------------------------------------------------------------------------


def test_swapped_unique_values(items: Rig) -> None:
    """Rows that exchange a value conflict; their holders make room, and nothing is lost."""
    items.put(item(1, code="a"), item(2, code="b"), item(3, code="c"))
    swapped = [item(1, code="b"), item(2, code="a")]
    with pytest.raises(ConflictError) as caught:
        items.put(*swapped)
    assert caught.value.table == items.mapped.entries[0].target.full_name
    assert items.content("id", "code") == [(1, "a"), (2, "b"), (3, "c")]
    with items.target.begin() as transaction:
        assert transaction.conflicting(items.mapped, items.staged_text(*swapped)) == {("1",), ("2",)}
        transaction.merge_text(items.mapped, items.staged_text(*swapped), replace=True)
    assert items.content("id", "code") == [(1, "b"), (2, "a"), (3, "c")]


def test_a_value_that_moves_to_a_new_row(items: Rig) -> None:
    items.put(item(1, code="a"), item(2, code="b"))
    with items.target.begin() as transaction:
        new = items.staged_text(item(9, code="a"), item(8, code="z"))
        assert transaction.conflicting(items.mapped, new) == {("1",)}
        transaction.evict(items.mapped, items.staged_text(item(1)))
        transaction.insert_staged(items.mapped)
        transaction.merge_text(items.mapped, items.staged_text(item(1)), replace=True)
    assert items.content("id", "code") == [(1, None), (2, "b"), (8, "z"), (9, "a")]


def test_a_conflict_of_the_data_itself_is_the_datas(items: Rig) -> None:
    items.put(item(1, code="a"))
    with items.target.begin() as transaction:
        transaction.stage_text(items.mapped, items.staged_text(item(2, code="a")))
        with pytest.raises(RecordError, match="same value") as caught, transaction.savepoint():
            transaction.evict(items.mapped, items.staged_text(item(1, code="a")))
        assert caught.value.reason == "constraint"
        assert transaction.conflicting_staged(items.mapped) == {("1",)}
    assert items.content("id", "code") == [(1, "a")]


def test_a_conflict_can_be_among_some_of_the_rows(items: Rig) -> None:
    items.put(item(1, code="a"))
    with items.target.begin() as transaction:
        transaction.stage_text(items.mapped, items.staged_text(item(5), item(6, code="a"), item(7)))
        assert transaction.conflicting_staged(items.mapped, (0, 0)) == set()
        assert transaction.conflicting_staged(items.mapped, (1, 2)) == {("1",)}
        transaction.insert_staged(items.mapped, (0, 0))
        transaction.insert_staged(items.mapped, (2, 2))
    assert items.content("id") == [(1,), (5,), (7,)]


# -- transactions ------------------------------------------------------------------------------------------------------


def failing(target: Target, items: Rig, *rows: Item) -> None:
    """A transaction that fails after it has written."""
    with target.begin() as transaction:
        transaction.merge(items.mapped, items.staged(*rows), ())
        raise ZeroDivisionError


def test_an_error_leaves_nothing_behind(items: Rig) -> None:
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            failing(items.target, items, item(1))
    assert items.content() == []
    items.put(item(1))
    assert items.content("id") == [(1,)]


def broken_off(transaction: SqlTransaction, items: Rig, rows: Sequence[Staged]) -> None:
    """Merge within a savepoint, and fail."""
    with transaction.savepoint():
        transaction.merge(items.mapped, rows, ())
        raise ZeroDivisionError


def test_a_savepoint_takes_back_what_is_in_it(items: Rig) -> None:
    """Staging tables that were made in it too: they are made again."""
    with items.target.begin() as transaction:
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                broken_off(transaction, items, items.staged(item(1)))
        transaction.merge(items.mapped, items.staged(item(2)), ())
        with transaction.savepoint():
            transaction.merge(items.mapped, items.staged(item(3)), ())
            with pytest.raises(ZeroDivisionError):
                broken_off(transaction, items, items.staged(item(4), gone=[{"id": 2}]))
    assert items.content("id") == [(2,), (3,)]


def test_a_refused_row_spares_the_others(items: Rig) -> None:
    """NULL in a column that is NOT NULL: what was staged before is still there, and the transaction goes on."""
    bad = {**item(2), "name": None}
    with items.target.begin() as transaction:
        transaction.stage_text(items.mapped, items.staged_text(item(1), bad, item(3)))
        with pytest.raises(RecordError) as caught, transaction.savepoint():
            transaction.insert_staged(items.mapped)
        assert not isinstance(caught.value, ConflictError)
        assert caught.value.reason == "constraint"
        transaction.insert_staged(items.mapped, (0, 0))
        transaction.insert_staged(items.mapped, (2, 2))
    assert items.content("id") == [(1,), (3,)]


def test_transactions_of_a_session(items: Rig) -> None:
    with items.target.session() as session:
        for n in range(3):
            with session.begin() as transaction:
                transaction.merge(items.mapped, items.staged(item(n)), ())
        with pytest.raises(ZeroDivisionError):
            failing(session, items, item(7))
        with session.begin() as transaction:
            transaction.merge_text(items.mapped, items.staged_text(item(9)), replace=False)
    assert items.content("id") == [(0,), (1,), (2,), (9,)]


def merge_in(target: Target, items: Rig, *rows: Item) -> None:
    """One transaction."""
    with target.begin() as transaction:
        transaction.merge(items.mapped, items.staged(*rows), ())


def test_a_rehearsal_leaves_nothing(items: Rig) -> None:
    items.put(item(1, code="a"))
    with items.target.rehearse(5) as rehearsal:
        with rehearsal.begin() as transaction:
            transaction.merge(items.mapped, items.staged(item(2, code="b"), gone=[{"id": 1}]), ())
        with pytest.raises(ConflictError):
            merge_in(rehearsal, items, item(3, code="b"))
        with rehearsal.begin() as transaction:
            assert transaction.rows(f"SELECT id FROM {_table(items)}") == [(2,)]
            assert transaction.rows(f"SELECT * FROM {transaction.stage_of(items.mapped).wire_name}") == []
    assert items.content("id") == [(1,)]
    items.put(item(4))
    assert items.content("id") == [(1,), (4,)]


def test_a_rehearsal_waits_for_nobody_for_long(items: Rig) -> None:
    items.put(item(1))
    with items.target.begin() as transaction:
        transaction.merge(items.mapped, items.staged(item(1, "held")), ())

        def attempt() -> None:
            with items.target.rehearse(0.05) as rehearsal, rehearsal.begin() as other:
                other.merge(items.mapped, items.staged(item(1, "other")), ())

        with pytest.raises(TransientError):
            attempt()
    assert items.content("id", "name") == [(1, "held")]


def _table(items: Rig) -> str:
    table = items.mapped.entries[0].target
    return f"{quoted(table.schema)}.{quoted(table.name)}"


# -- several at once ---------------------------------------------------------------------------------------------------


def test_readers_and_the_writer_hold_nobody_up(items: Rig) -> None:
    items.put(item(1))
    count = f"SELECT count(*) FROM {_table(items)}"
    with items.target.begin(one_snapshot=True, reading=True) as reader:
        assert reader.rows(count) == [(1,)]
        with items.target.begin() as writer:
            writer.merge(items.mapped, items.staged(item(2)), ())
            with items.target.begin(reading=True) as other:
                assert other.rows(count) == [(1,)], "what is not committed is not seen"
                relation = other.stage_text(items.mapped, items.staged_text(item(5), item(6)))
                assert other.rows(f"SELECT count(*) FROM {relation} AS s") == [(2,)]
        assert reader.rows(count) == [(1,)], "one snapshot"
    with items.target.begin(reading=True) as reader:
        assert reader.rows(count) == [(2,)]


def test_a_position_has_one_owner(items: Rig) -> None:
    """Two processes at one offset: the second one waits, and is fenced off with everything that it wrote."""
    control = started(items.target, name_of("p"), "public.t")
    go, come = os.pipe(), os.pipe()

    def zombie() -> int:
        os.read(go[0], 1)
        target = items.place.open()
        os.write(come[1], b".")
        try:
            with target.begin() as transaction:
                transaction.merge(items.mapped, items.staged(item(66)), ())
                control.positions.lock(transaction.control, {("t", 0): 10})
        except FencedError:
            return 7
        return 0

    items.target.close()  # SQLite does not bear it to be forked with a transaction open
    pid = forked(zombie)
    with items.target.begin() as transaction:
        control.positions.lock(transaction.control, {("t", 0): 10})
        os.write(go[1], b".")
        os.read(come[0], 1)
        transaction.merge(items.mapped, items.staged(item(1)), ())
        control.positions.advance(transaction.control, [advance(10, 20)])
    assert ended(pid) == 7
    for handle in (*go, *come):
        os.close(handle)
    with pytest.raises(FencedError):
        late(items, control)
    assert items.content("id") == [(1,)]


def late(items: Rig, control: ControlStore) -> None:
    """Somebody who does not look before it writes."""
    with items.target.begin() as transaction:
        transaction.merge(items.mapped, items.staged(item(77)), ())
        control.positions.advance(transaction.control, [advance(10, 20)])


def advance(start: int, end: int) -> Advance:
    """A partition moves, and all of it was applied."""
    return Advance("t", 0, start, end, (1, 1), Ledger(consumed=end - start, applied=end - start), 0)


# -- a lost answer -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("done", [True, False], ids=["committed", "not committed"])
def test_a_lost_answer_to_commit(items: Rig, monkeypatch: pytest.MonkeyPatch, done: bool) -> None:
    """The client sees an error either way; the position tells what happened, and the client goes on from there."""
    control = started(items.target, name_of("p"), "public.t")
    dialect = items.target.engine.dialect
    real = dialect.do_commit

    def lose(connection: Any) -> None:
        if done:
            real(connection)
        connection.driver_connection.close()
        raise items.place.lost()

    def apply(start: int, *rows: Item) -> None:
        with items.target.begin() as transaction:
            control.positions.lock(transaction.control, {("t", 0): start})
            transaction.merge(items.mapped, items.staged(*rows), ())
            control.positions.advance(transaction.control, [advance(start, start + 10)])

    with monkeypatch.context() as patched:
        patched.setattr(dialect, "do_commit", lose)
        with pytest.raises(TransientError):
            apply(10, item(1))
    with items.target.begin() as transaction:
        (position,) = control.positions.all(transaction.control)
    assert position.next_offset == (20 if done else 10)
    assert items.content("id") == ([(1,)] if done else [])
    if done:
        with pytest.raises(FencedError):
            apply(10, item(1))
    else:
        apply(10, item(1))
    apply(20, item(2))
    assert items.content("id") == [(1,), (2,)]


# -- extras and previews -----------------------------------------------------------------------------------------------


def test_extras_are_found_and_removed(items: Rig) -> None:
    items.put(*(item(i) for i in range(10)))
    entry = items.mapped.entries[0]
    with items.target.begin(one_snapshot=True, reading=True) as transaction:
        extras.begin(transaction)
        keys = [[(str(i),)] for i in range(10) if i not in (3, 7, 8)]
        assert extras.stage_keys(transaction, items.mapped, keys) == 7
        found = [extra for batch in extras.find(transaction, items.mapped, entry, 2) for extra in batch]
    assert sorted(extra[0] for extra in found) == ["3", "7", "8"]
    items.put(item(7, "written since"))
    with items.target.begin() as transaction:
        assert extras.there(transaction, entry, [("3",), ("99",)]) == {("3",)}
        assert extras.remove(transaction, entry, found) == 2
    assert [i for (i,) in items.content("id")] == [0, 1, 2, 4, 5, 6, 7, 9]


def test_a_preview_compares(items: Rig) -> None:
    items.put(item(1, code="a", n=1), item(2, n=2), item(3))
    with items.target.begin() as transaction:
        rows = items.staged_text(item(1, code="a", n=1), item(2, n=5), item(4), gone=[{"id": 3}])
        relation = transaction.stage_text(items.mapped, rows)
        same, changed, missing, gone = preview.compare(transaction, items.mapped.entries[0], relation)
        assert preview.passing(transaction, items.mapped.entries[0], relation) == {0, 1, 2}
    assert same.agrees
    assert changed.differing == ("n",)
    assert (missing.expected or {})["id"] == "4"
    assert missing.found is None
    assert gone.expected is None
    assert (gone.found or {})["id"] == "3"


def test_a_key_space_is_cut(items: Rig) -> None:
    items.put(*(item(i) for i in range(100)))
    table = items.mapped.entries[0].target
    with items.target.begin(reading=True) as transaction:
        assert transaction.bounds(table, ("id",), 40, 1 << 30) == [("40",), ("80",)]
        assert transaction.bounds(table, ("id",), 1000, 1 << 30) == []


# -- rows made before the mapping --------------------------------------------------------------------------------------


def test_a_list_becomes_rows(place: Place, rig: Make) -> None:
    """Elements that vanish take their rows with them; by the stream and by the source's text alike."""
    name = name_of("t")
    create = [
        f"CREATE TABLE {quoted(name)} (id {declared(place, 'bigint')} NOT NULL,"
        f" tag {declared(place, 'text', key=True)} NOT NULL, pos {declared(place, 'bigint')}, PRIMARY KEY (id, tag))"
    ]
    spec = {
        "explode": {"split": "tags", "separator": ",", "as": "tag", "ordinal": "pos", "duplicates": "first"},
        "key": {"id": "id", "tag": "coalesce(tag, '')"},
        "columns": {"pos": "pos"},
        "where": "tag <> ''",
    }
    lists = rig({"id": "bigint", "tags": "text"}, name=name, specs=[spec], create=create)
    lists.put({"id": 1, "tags": "a,b,a"}, {"id": 2, "tags": "c"}, {"id": 3})
    assert [row[:2] for row in lists.content("id", "tag")] == [(1, "a"), (1, "b"), (2, "c")]
    lists.put({"id": 1, "tags": "b,d"}, gone=[{"id": 2}])
    assert [row[:2] for row in lists.content("id", "tag")] == [(1, "b"), (1, "d")]
    with lists.target.begin() as transaction:
        merged = transaction.mend_text(lists.mapped, lists.staged_text({"id": 1, "tags": "d"}), replace=False)
    assert (merged.written, merged.removed) == (1, 1)
    lists.load({"id": 7, "tags": "x,y"})
    assert lists.content("id", "tag") == [(1, "d"), (7, "x"), (7, "y")]
    with lists.target.begin() as transaction:
        transaction.stage_texts(lists.mapped, [[("8", "p,q")]], lambda size: None)
        assert transaction.staged_text(lists.mapped, 0) == ("8", "p,q")
