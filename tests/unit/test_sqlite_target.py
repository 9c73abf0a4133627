"""What is SQLite's own about it as a target: affinities, the catalogue, refusals, plans, one writer."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from connectors.sql.transaction import SqlTransaction
from connectors.sqlite.dialect import SQLITE
from connectors.sqlite.session import connect
from connectors.sqlite.target import SqliteTarget
from connectors.sqlite.turns import Turns
from connectors.sqlite.values import staged_type
from connectors.wire import Wire, WireColumn
from mappers.dialects.sqlite.affinity import Affinity, affinity, collation
from mappers.errors import ConfigError, ConflictError, FatalError, RecordError, TransientError
from mappers.mapping import Column
from tests.support.polling import until
from tests.support.targets import Rig, SqlitePlace


@pytest.fixture
def place(tmp_path: Path) -> Iterator[SqlitePlace]:
    """A new file."""
    made = SqlitePlace(tmp_path)
    yield made
    made.close()


# -- types -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "kind"),
    [
        ("INT", Affinity.INTEGER), ("bigint unsigned", Affinity.INTEGER), ("POINT", Affinity.INTEGER),
        ("VARCHAR(10)", Affinity.TEXT), ("CHARINT", Affinity.INTEGER), ("clob", Affinity.TEXT), ("TEXT", Affinity.TEXT),
        ("BLOB", Affinity.NONE), ("ANY", Affinity.NONE), ("DOUBLE PRECISION", Affinity.REAL), ("FLOAT", Affinity.REAL),
        ("STRING", Affinity.NUMERIC), ("BOOLEAN", Affinity.NUMERIC), ("DATE", Affinity.NUMERIC),
        ("DECIMAL(10,2)", Affinity.NUMERIC), ("TEXT COLLATE NOCASE", Affinity.TEXT),
        ("FLOATING POINT", Affinity.INTEGER),
    ],
)  # fmt: skip
def test_the_affinity_is_what_sqlite_says(declared: str, kind: Affinity) -> None:
    """By what becomes of a value of each class in such a column."""
    assert affinity(declared) is kind
    with sqlite3.connect(":memory:") as raw:
        raw.execute(f"CREATE TABLE t (v {'' if declared == 'ANY' else declared})")
        raw.executemany("INSERT INTO t VALUES (?)", [("1.0",), (1,), ("x",)])
        kinds = [row[0] for row in raw.execute("SELECT typeof(v) FROM t")]
    wanted = {
        Affinity.INTEGER: ["integer", "integer", "text"],
        Affinity.NUMERIC: ["integer", "integer", "text"],
        Affinity.REAL: ["real", "real", "text"],
        Affinity.TEXT: ["text", "text", "text"],
        Affinity.NONE: ["text", "integer", "text"],
    }
    assert kinds == wanted[kind]


@pytest.mark.parametrize(
    ("source", "fits", "refused"),
    [
        ("bigint", ["INTEGER", "INT8", "NUMERIC", "BOOLEAN", ""], ["TEXT", "REAL", "BLOB"]),
        ("double precision", ["REAL", "DOUBLE", ""], ["INTEGER", "NUMERIC", "TEXT", "BLOB"]),
        ("text", ["TEXT", "VARCHAR(10)", "CLOB", ""], ["STRING", "JSON", "INTEGER", "REAL", "DATE", "BLOB", "ANY"]),
        ("json", ["TEXT", ""], ["JSON", "BLOB"]),
        ("uuid", ["TEXT", "UUID", ""], ["BLOB", "INTEGER"]),
        ("date", ["TEXT", "DATE", "DATETIME", ""], ["INTEGER", "REAL", "BLOB"]),
        ("time without time zone", ["TEXT", "TIME", ""], ["INTEGER", "BLOB"]),
        ("timestamp(3) with time zone", ["TEXT", "TIMESTAMP", ""], ["INTEGER", "BLOB"]),
        ("numeric(10,2)", ["TEXT", "DECIMAL(10,2)", "NUMERIC", ""], ["REAL", "INTEGER"]),
        ("numeric(16,2)", ["TEXT", ""], ["DECIMAL(16,2)", "NUMERIC", "REAL"]),
        ("numeric", ["TEXT", ""], ["NUMERIC", "DECIMAL(10,2)", "REAL"]),
        ("bytea", ["BLOB", ""], ["TEXT", "INTEGER", "NUMERIC"]),
        ("boolean", ["BOOLEAN", "INTEGER", ""], ["TEXT", "REAL"]),
        ("integer[]", ["TEXT", ""], ["JSON", "INTEGER", "BLOB"]),
    ],
)
def test_what_a_column_keeps(place: SqlitePlace, source: str, fits: list[str], refused: list[str]) -> None:
    columns = [f"c{n} {kind}" for n, kind in enumerate([*fits, *refused])]
    create = [f"CREATE TABLE k (id INTEGER PRIMARY KEY, {', '.join(columns)})"]
    spec = {"key": {"id": "id"}, "columns": {column.split()[0]: "v" for column in columns}}
    with pytest.raises(ConfigError) as caught:
        Rig(place, {"id": "integer", "v": source}, name="k", specs=[spec], create=create)
    assert [columns[int(str(problem.path[-1])[1:])].partition(" ")[2] for problem in caught.value.problems] == refused
    assert all(problem.hint for problem in caught.value.problems)


def test_an_unsigned_integer_of_64_bits_is_text() -> None:
    assert staged_type(WireColumn("v", "bigint(20) unsigned", Wire.INT)) == "TEXT"
    assert staged_type(WireColumn("v", "int(10) unsigned", Wire.INT)) == "INTEGER"


@pytest.mark.parametrize("text", ["123456789012345", "-0.00000000000001", "0.1", "99999999999999.9", "NaN", "10.00"])
def test_a_short_decimal_is_the_same_again(place: SqlitePlace, text: str) -> None:
    """What a numeric column makes of it, and what is projected, are one number; its digits are all there."""
    one = Rig(place, {"id": "integer", "v": "numeric(15,14)"}, create=["CREATE TABLE d (id INTEGER PRIMARY KEY, v DECIMAL)"], name="d")  # fmt: skip # noqa: E501
    one.put({"id": 1, "v": text})
    with one.target.begin() as transaction:
        rows = [(0, False, ("1", text))]
        assert transaction.mend_text(one.mapped, rows, replace=False).written == 0
    ((stored,),) = one.content("v")
    assert format(stored, ".15g") == format(float(text), ".15g") if text != "NaN" else stored == "NaN"


# -- the catalogue -----------------------------------------------------------------------------------------------------


def test_the_catalogue(place: SqlitePlace) -> None:
    place.execute(
        "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
        """CREATE TABLE "Odd" (
            id INTEGER PRIMARY KEY, name TEXT NOT NULL COLLATE NOCASE UNIQUE, "no type", a ANY, d DEFAULT 5,
            g TEXT GENERATED ALWAYS AS (upper(name)), s INT AS (id + 1) STORED, parent INT REFERENCES parent (id),
            UNIQUE (parent, d))""",
        'CREATE UNIQUE INDEX part ON "Odd" (d) WHERE d > 5',
        'CREATE UNIQUE INDEX folded ON "Odd" (lower(name), d)',
        'CREATE INDEX plain ON "Odd" (d)',
        "CREATE TABLE s (a TEXT, b ANY, PRIMARY KEY (b, a)) STRICT, WITHOUT ROWID",
        "CREATE VIEW v AS SELECT 1",
        "CREATE VIRTUAL TABLE words USING fts5 (w)",
        "CREATE TABLE changeover_x (y)",
    )
    target = place.open()
    everything = target.tables()
    assert {"main.parent", "main.Odd", "main.s"} <= everything.keys()
    assert not {name for name in everything if "changeover" in name or name in ("main.v", "main.words")}
    odd = everything["main.Odd"]
    assert odd.columns == (
        Column("id", "INTEGER", nullable=False, has_default=True, collation_c=True),
        Column("name", "TEXT COLLATE NOCASE", nullable=False),
        Column("no type", "ANY", collation_c=True),
        Column("a", "NUMERIC", collation_c=True),
        Column("d", "ANY", has_default=True, collation_c=True),
        Column("g", "TEXT", generated=True, collation_c=True),
        Column("s", "INT", generated=True, collation_c=True),
        Column("parent", "INT", collation_c=True),
    )
    assert odd.key == ("id",)
    assert {(unique.columns, unique.partial) for unique in odd.uniques} == {
        (("name",), False), (("parent", "d"), False), (("d",), True),
    }  # fmt: skip
    assert odd.foreign_keys == ("0 to parent",)
    assert [key.full_name for key in odd.references] == ["main.parent"]
    strict = target.tables([("main", "S")])["main.S"]
    assert (strict.key, [c.type for c in strict.columns]) == (("b", "a"), ["TEXT", "ANY"])
    assert [c.nullable for c in strict.columns] == [False, False]
    assert target.tables([("public", "s"), ("main", "nothing")]) == {}
    assert collation(odd.column("name").type) == "NOCASE"
    assert {"upper", "substr", "coalesce", "printf"} <= target.functions() | {"coalesce"}
    assert not {"random", "changes", "last_insert_rowid"} & target.functions()


REFUSED: Mapping[str, tuple[list[str], dict[str, Any], str]] = {
    "trigger": (
        [
            "CREATE TABLE x (id INTEGER PRIMARY KEY, v TEXT)",
            "CREATE TRIGGER tr AFTER INSERT ON x BEGIN SELECT 1; END",
        ],
        {},
        "main.x has triggers (tr), which SQLite would fire for every row",
    ),
    "a key that folds case": (
        ["CREATE TABLE x (id INTEGER, v TEXT COLLATE NOCASE PRIMARY KEY)"],
        {"key": {"v": "v"}},
        "the key v of main.x compares by NOCASE",
    ),
    "a key whose index folds case": (
        ["CREATE TABLE x (id INTEGER, v TEXT, UNIQUE (v COLLATE RTRIM))"],
        {"key": {"v": "v"}},
        "the key v of main.x compares by RTRIM",
    ),
    "a key without a type": (
        ["CREATE TABLE x (id INTEGER, v PRIMARY KEY)"],
        {"key": {"v": "v"}},
        "main.x.v identifies a row and has no type",
    ),
    "text that would be read as a number": (
        ["CREATE TABLE x (id INTEGER PRIMARY KEY, v STRING)"],
        {},
        "main.x.v is STRING, but the expression makes TEXT",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_before_it_starts(place: SqlitePlace, name: str) -> None:
    create, spec, says = REFUSED[name]
    columns = {"id": "bigint", "v": "text not null"}
    with pytest.raises(ConfigError) as caught:
        Rig(place, columns, name="x", specs=[spec], create=create)
    (problem,) = caught.value.problems
    assert says in problem.message
    assert problem.hint


def test_a_unique_column_that_folds_case(place: SqlitePlace) -> None:
    """Values that it takes for one conflict, and the holder is found."""
    create = ["CREATE TABLE y (id INTEGER PRIMARY KEY, v TEXT COLLATE NOCASE UNIQUE)"]
    one = Rig(place, {"id": "bigint", "v": "text"}, name="y", create=create)
    one.put({"id": 1, "v": "a@x"})
    with pytest.raises(ConflictError):
        one.put({"id": 2, "v": "A@X"})
    one.put({"id": 1, "v": "A@x"})
    assert one.content("v") == [("A@x",)], "what differs in case alone differs"
    with one.target.begin() as transaction:
        assert transaction.conflicting(one.mapped, one.staged_text({"id": 2, "v": "a@X"})) == {("1",)}


# -- values that have no form ------------------------------------------------------------------------------------------


def test_nan_is_refused_and_not_stored_as_null(place: SqlitePlace) -> None:
    one = Rig(place, {"id": "integer", "v": "double precision"})
    with pytest.raises(RecordError, match="column v: NaN cannot be stored") as caught:
        one.put({"id": 1, "v": 1.5}, {"id": 2, "v": float("nan")})
    assert caught.value.reason == "type"
    assert one.content() == []
    with one.target.begin() as transaction:
        texts = [("1", "1.5"), ("2", "NaN"), ("3", "-0")]
        transaction.stage_texts(one.mapped, [texts], lambda size: None)
        with pytest.raises(RecordError), transaction.savepoint():
            transaction.insert_staged(one.mapped)
        transaction.insert_staged(one.mapped, (0, 0))
        transaction.insert_staged(one.mapped, (2, 2))
        assert transaction.staged_text(one.mapped, 1) == ("2", "NaN")
    assert [(id, repr(v)) for id, v in one.content()] == [(1, "1.5"), (3, "0.0")]


@pytest.mark.parametrize(("kind", "wire"), [("bigint", 1 << 63), ("text", "\ud800"), ("integer", -(1 << 64))])
def test_what_sqlite_cannot_hold_is_the_rows_fault(place: SqlitePlace, kind: str, wire: Any) -> None:
    one = Rig(place, {"id": "integer", "v": kind})
    with pytest.raises(RecordError):
        one.put({"id": 1, "v": wire})
    with pytest.raises(RecordError):
        one.load({"id": 1, "v": wire})
    one.put({"id": 2})
    assert one.content("id") == [(2,)]


@pytest.mark.parametrize("text", ["a\0b", "\0", "", "it's \0 'x'", "é\0"])
def test_text_with_the_character_0(place: SqlitePlace, text: str) -> None:
    one = Rig(place, {"k": "text", "v": "text"}, ("k",))
    one.put({"k": text, "v": text})
    one.put({"k": text, "v": text + "!"})
    assert one.content() == [(text, text + "!")]
    with one.target.begin() as transaction:
        transaction.delete(one.mapped.entries[0], [(text,)])
    assert one.content() == []


# -- plans, and one writer ---------------------------------------------------------------------------------------------


def test_no_statement_of_a_batch_walks_over_the_target(place: SqlitePlace, monkeypatch: pytest.MonkeyPatch) -> None:
    for without_rowid in ("", " WITHOUT ROWID"):
        name = "p" + str(len(without_rowid))
        create = [
            f"CREATE TABLE {name} (a TEXT, b INTEGER, v TEXT UNIQUE, id INTEGER NOT NULL, PRIMARY KEY (a, b)){without_rowid}",  # noqa: E501
            f"CREATE UNIQUE INDEX {name}_id ON {name} (id)",
        ]
        columns = {"id": "bigint not null", "a": "text not null", "b": "integer not null", "v": "text"}
        direct = Rig(place, columns, ("a", "b"), name=name, create=create)
        moved = Rig(place, columns, name=name, create=["SELECT 1"], specs=[{"key": {"a": "a", "b": "b"}}])
        for rig in (direct, moved):
            assert walks(rig, monkeypatch) == []


def walks(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements of all kinds of writes that read every row of the target."""
    plans: list[str] = []

    def explaining(real: Any) -> Any:
        def explained(self: Any, query: str) -> Any:
            plan = [row[3] for row in self.raw.execute(f"EXPLAIN QUERY PLAN {query}")]
            if any(step.split(" USING ")[0] in ("SCAN t", f"SCAN {rig.name}") for step in plan):
                plans.append(f"{query}: {plan}")
            return real(self, query)

        return explained

    row = {"id": 1, "a": "x", "b": 2, "v": "v"}
    with rig.target.begin() as transaction, monkeypatch.context() as patched:
        transaction.merge(rig.mapped, rig.staged(row), ())
        for name in ("rows", "run"):
            patched.setattr(type(transaction), name, explaining(getattr(type(transaction), name)))
        writes(transaction, rig, row)
    return plans


def writes(transaction: SqlTransaction, rig: Rig, row: dict[str, Any]) -> None:
    """Every kind of write."""
    partly = (0, False, 1, rig.wire(row))
    transaction.absent(rig.mapped, [partly], [frozenset({"v"})])
    transaction.merge(rig.mapped, [partly], [frozenset({"v"})])
    transaction.merge(rig.mapped, rig.staged({**row, "v": "w"}, gone=[{**row, "id": 5, "b": 7}]), ())
    transaction.mend_text(rig.mapped, rig.staged_text(row), replace=True)
    transaction.conflicting(rig.mapped, rig.staged_text({**row, "id": 9, "b": 9}))
    transaction.evict(rig.mapped, rig.staged_text({**row, "v": "z"}))
    transaction.delete(rig.mapped.entries[0], [("x", "2"), ("y", "3")])


def test_a_second_writer_waits_and_says_so(place: SqlitePlace) -> None:
    one = Rig(place, {"id": "integer", "v": "text"})
    hurried = SqliteTarget(place.url, timeout_s=0.05)
    with one.target.begin() as transaction:
        transaction.merge(one.mapped, one.staged({"id": 1}), ())
        with pytest.raises(TransientError, match="database is locked: another process has been writing for") as caught:
            put(hurried, one)
        assert "chunk_rows" in caught.value.hint
        with hurried.begin(reading=True) as reader:
            assert reader.rows(f'SELECT count(*) FROM main."{one.name}"') == [(0,)]
    put(hurried, one)
    assert one.content("id") == [(1,), (2,)]
    hurried.close()


def test_who_has_written_comes_behind_who_waits(place: SqlitePlace) -> None:
    """One that writes again and again lets the other in between."""
    one = Rig(place, {"id": "integer"})
    line = Turns(Path(place.url.removeprefix("sqlite:///")), 0)
    order: list[str] = []

    def other() -> None:
        with one.target.begin():
            order.append("other")

    thread = threading.Thread(target=other)
    with one.target.begin():
        order.append("first")
        thread.start()
        until(lambda: not _free(line), 20, "the other waits at the head of the line")
    with one.target.begin():
        order.append("again")
    thread.join()
    line.close()
    assert order == ["first", "other", "again"]


def _free(line: Turns) -> bool:
    with line.head() as reached:
        return reached


def put(target: SqliteTarget, one: Rig) -> None:
    """One more row."""
    with target.begin() as transaction:
        transaction.merge(one.mapped, one.staged({"id": 2}), ())


def test_sessions_are_pinned(place: SqlitePlace) -> None:
    target = SqliteTarget(place.url)
    with target.begin() as transaction:
        pragmas = {
            name: transaction.rows(f"PRAGMA {name}")[0][0] for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 0}
    target.close()
    raw = connect(place.url, "target")
    raw.close()


def test_any_number_of_keys(place: SqlitePlace) -> None:
    one = Rig(place, {"a": "bigint", "b": "text"}, ("a", "b"))
    one.put(*({"a": n, "b": f"b{n}"} for n in range(3000)))
    with one.target.begin() as transaction:
        transaction.delete(one.mapped.entries[0], [(str(n), f"b{n}") for n in range(2999)])
    assert one.content() == [(2999, "b2999")]


def test_every_column_of_a_wide_row_is_hashed(place: SqlitePlace) -> None:
    """More columns than a function takes arguments."""
    columns = {"id": "integer", **{f"c{n}": "text" for n in range(250)}}
    wide = Rig(place, columns)
    wide.put({"id": 1, "c249": "x"})
    d, names = SQLITE, [f't."c{n}"' for n in range(250)]
    hashes = set()
    with wide.target.begin() as transaction:
        for change in ("", "UPDATE {} SET c0 = 'x'", "UPDATE {} SET c249 = 'y'", "UPDATE {} SET c120 = ''"):
            if change:
                transaction.run(change.format(f'main."{wide.name}"'))
            query = f"SELECT {d.hashing.row(names, 1)}, {d.keys.version('t', [(n, 'TEXT') for n in columns])}"
            hashes.add(transaction.rows(f'{query} FROM main."{wide.name}" AS t')[0])
    assert len({first for first, _ in hashes}) == len({second for _, second in hashes}) == 4


def test_a_session_that_only_reads_changes_nothing(tmp_path: Path) -> None:
    """Not even the journal mode, on a file that no target has opened yet."""
    path = tmp_path / "new.db"
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)")
    before = path.read_bytes()
    target = SqliteTarget(f"sqlite:///{path}", read_only=True)
    assert target.tables().keys() == {"main.t"}
    assert "upper" in target.functions()
    with pytest.raises(FatalError), target.begin() as transaction:
        transaction.run("INSERT INTO t VALUES (1, 'x')")
    target.close()
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["new.db"]
