"""What is MariaDB's own about it as a target, on a real server: plans, collations, what it would lose in silence."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pymysql
import pytest

from connectors.mariadb import probe
from connectors.mariadb.catalogue import load_tables
from connectors.mariadb.doctor import target_state
from connectors.mariadb.infile import Connection
from connectors.mariadb.session import connect
from connectors.mariadb.target import MariadbTarget
from connectors.sql import extras, merge
from mappers.errors import ChangeoverError, ConfigError, ConflictError, FatalError, RecordError, TransientError
from mappers.mapping import ForeignKey
from tests.support.stack import Stack
from tests.support.targets import MariadbPlace, Rig, name_of, quoted

Make = Callable[..., Rig]


@pytest.fixture(scope="module")
def place(stack: Stack) -> Iterator[MariadbPlace]:
    made = MariadbPlace(stack)
    yield made
    made.close()


@pytest.fixture
def rig(place: MariadbPlace) -> Iterator[Make]:
    made: list[Rig] = []

    def make(*arguments: Any, **options: Any) -> Rig:
        made.append(Rig(place, *arguments, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def opened(rig: Rig) -> MariadbTarget:
    assert isinstance(rig.target, MariadbTarget)
    return rig.target


def retyped(one: Rig, column: str, declared: str) -> None:
    """Change a target column's type, and let the mapping know it without asking whether it fits."""
    one.place.execute(f"ALTER TABLE {quoted(one.name)} MODIFY {column} {declared}")
    (target,) = one.target.tables([(one.place.schema, one.name)]).values()
    entry = replace(one.mapped.entries[0], target=target)
    one.mapped = replace(one.mapped, entries=(entry,))


# -- plans -------------------------------------------------------------------------------------------------------------

KEYS = {
    "bigint": ("bigint", "bigint", "seq"),
    "a text in another character set": (
        "character varying(20)",
        "varchar(20) CHARACTER SET latin1",
        "concat('k', seq)",
    ),
    "a text that folds case": ("character varying(20)", "varchar(20) COLLATE utf8mb4_general_ci", "concat('k', seq)"),
    "a text that pads": ("character varying(20)", "varchar(20) COLLATE utf8mb4_bin", "concat('k', seq)"),
    "an exact text": ("character varying(20)", "varchar(20) COLLATE utf8mb4_nopad_bin", "concat('k', seq)"),
    "uuid": ("uuid", "uuid", "insert(uuid(), 1, 8, lpad(hex(seq), 8, '0'))"),
    "a moment": ("timestamp without time zone", "datetime(6)", "'2026-01-01' + interval seq second"),
    "decimal": ("numeric(10,2)", "decimal(10,2)", "seq / 4"),
}


@pytest.mark.parametrize("kind", KEYS)
def test_rows_are_looked_up_by_the_key(place: MariadbPlace, rig: Make, kind: str) -> None:
    """No statement of a batch walks over the target table: an index gives as many rows as the batch has."""
    source, declared, made = KEYS[kind]
    name = name_of("t")
    plain = declared.partition(" ")[0]
    create = [f"CREATE TABLE {quoted(name)} (k {plain}, l bigint, v int, PRIMARY KEY (k, l))"]
    keyed = rig({"k": source, "l": "bigint", "v": "integer"}, ("k", "l"), name=name, create=create)
    retyped(keyed, "k", f"{declared} NOT NULL")
    place.execute(
        f"INSERT INTO {quoted(name)} SELECT {made}, seq, seq FROM seq_1_to_5000", f"ANALYZE TABLE {quoted(name)}"
    )
    entry = keyed.mapped.entries[0]
    texts = place.rows(f"SELECT CAST(k AS char), CAST(l AS char), '0' FROM {quoted(name)} WHERE l < 10")
    with keyed.target.begin() as transaction:
        d = transaction.dialect
        relation = transaction.stage_text(keyed.mapped, [(n, False, text) for n, text in enumerate(texts)])
        delete = merge.delete(d, entry, relation, everything=True)
        absent = merge.absent(d, entry, relation, 0)
        types = [entry.target.column(column).type for column in entry.key]
        among = d.keys.among(['t."k"', 't."l"'], types, [row[:2] for row in texts])
        held = f"SELECT * FROM {quoted(keyed.place.schema)}.{quoted(name)} AS t WHERE {among}"
        statements = [*merge.upsert(d, entry, relation), *merge.upsert(d, entry, relation, sparing=True), delete]
        for statement in [*statements, absent, held]:
            plan = transaction.rows(f"EXPLAIN {statement}")
            of_target = [step for step in plan if step[2] == "t"]
            assert of_target, plan
            assert all(step[3] not in ("ALL", "index") and int(step[8]) <= 20 for step in of_target), (statement, plan)
        assert transaction.merge_text(keyed.mapped, [(n, False, t) for n, t in enumerate(texts)], replace=False) == []
    assert place.rows(f"SELECT count(*), count(CASE WHEN v = 0 THEN 1 END) FROM {quoted(name)}") == [(5000, 9)]


def test_extras_are_found_by_an_index(place: MariadbPlace, rig: Make) -> None:
    """Twenty thousand rows beside twenty thousand keys: not each with each."""
    many = rig({"id": "character varying(20)", "v": "integer"})
    place.execute(f"INSERT INTO {quoted(many.name)} SELECT concat('k', seq), 1 FROM seq_1_to_20000")
    with many.target.begin(one_snapshot=True) as transaction:
        extras.begin(transaction)
        keys = [[[f"k{i}"] for i in range(start, start + 1000)] for start in range(2, 20_002, 1000)]
        assert extras.stage_keys(transaction, many.mapped, keys) == 20_000
        began = time.monotonic()
        found = [row for rows in extras.find(transaction, many.mapped, many.mapped.entries[0], 100) for row in rows]
        took_s = time.monotonic() - began
    assert [row[0] for row in found] == ["k1"]
    print(f"{took_s:.2f} s")
    assert took_s < 20


def test_a_key_space_is_cut(place: MariadbPlace, rig: Make) -> None:
    pairs = rig({"a": "character varying(20)", "b": "bigint"}, ("a", "b"))
    place.execute(f"INSERT INTO {quoted(pairs.name)} SELECT concat('k', seq MOD 7), seq FROM seq_1_to_1000")
    table = pairs.mapped.entries[0].target
    with pairs.target.begin(reading=True) as transaction:
        cuts = transaction.bounds(table, ("a", "b"), 100, 1 << 40)
    everything = sorted((f"k{i % 7}", i) for i in range(1, 1001))
    assert cuts == [(a, str(b)) for a, b in everything[100::100]]


# -- collations --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("collation", "taken", "other"),
    [
        ("utf8mb4_general_ci", "Ab", "aB"), ("utf8mb4_general_ci", "ä", "a"), ("utf8mb4_bin", "a", "a "),
        ("latin1_swedish_ci", "é", "e"), ("utf8mb3_general_ci", "X", "x"),
    ],
)  # fmt: skip
def test_a_key_that_counts_as_another_never_writes_over_it(
    place: MariadbPlace, rig: Make, collation: str, taken: str, other: str
) -> None:
    name = name_of("t")
    charset = collation.partition("_")[0]
    create = [f"CREATE TABLE {quoted(name)} (k varchar(20) PRIMARY KEY, v int)"]
    keyed = rig({"k": "character varying(20)", "v": "integer"}, ("k",), name=name, create=create)
    retyped(keyed, "k", f"varchar(20) CHARACTER SET {charset} COLLATE {collation} NOT NULL")
    keyed.put({"k": taken, "v": 1})
    with pytest.raises(ConflictError) as caught:
        keyed.put({"k": other, "v": 2})
    assert caught.value.table == keyed.mapped.entries[0].target.full_name
    with pytest.raises(ConflictError):
        keyed.load({"k": other, "v": 2})
    keyed.put({"k": taken, "v": 3}, gone=[{"k": other}])
    assert keyed.content() == [(taken, 3)], "and what is gone is not that one either"
    keyed.put(gone=[{"k": taken}])
    assert keyed.content() == []


def test_who_holds_a_value_that_counts_as_another_is_found(rig: Make, place: MariadbPlace) -> None:
    name = name_of("t")
    create = [f"CREATE TABLE {quoted(name)} (id bigint PRIMARY KEY, email varchar(50) UNIQUE)"]
    mails = rig({"id": "bigint", "email": "character varying(50)"}, name=name, create=create)
    mails.put({"id": 1, "email": "Ann@x"}, {"id": 2, "email": "bob@x"})
    rows = mails.staged_text({"id": 3, "email": "ANN@X"}, {"id": 2, "email": "BOB@x"})
    with mails.target.begin() as transaction:
        assert transaction.conflicting(mails.mapped, rows) == {("1",)}
        transaction.evict(mails.mapped, mails.staged_text({"id": 1, "email": "new@x"}))
        transaction.merge_text(mails.mapped, rows, replace=True)
    assert mails.content() == [(2, "BOB@x"), (3, "ANN@X")]


# -- what the server would lose in silence -----------------------------------------------------------------------------

LOSSES: dict[str, tuple[str, str, Sequence[Any]]] = {
    "spaces at the end": ("text", "varchar(3)", ["abc   "]),
    "characters at the end": ("text", "varchar(3)", ["abcd"]),
    "digits after the point": ("numeric(10,4)", "decimal(10,2)", ["1.2345"]),
    "digits before the point": ("numeric(10,4)", "decimal(5,4)", ["12.0000"]),
    "a moment before 1970": ("timestamp without time zone", "timestamp(6)", [-86_400_000_000]),
    "an integer's range": ("bigint", "int", [2**31, -(2**31) - 1]),
    "a sign": ("bigint", "bigint unsigned", [-1]),
    "a number's range": ("double precision", "float", [1e300]),
    "characters of another set": ("text", "varchar(9) CHARACTER SET latin1", ["字"]),
    "characters of four bytes": ("text", "varchar(9) CHARACTER SET utf8mb3", ["🐘"]),
    "what is no JSON": ("text", "json", ["{bad", ""]),
    "what is no label": ("text", "enum('a','b','')", ["A", "2", "c", "a "]),
    "what is no set of labels": ("text", "set('a','b')", ["A", "a,c", "a\n", "1"]),
    "what is no text": ("bytea", "longtext", [b"\xff", b"\xed\xa0"]),
    "bytes at the end": ("bytea", "varbinary(2)", [b"abc"]),
}


@pytest.mark.parametrize("what", LOSSES)
def test_nothing_is_lost_in_silence(place: MariadbPlace, rig: Make, what: str) -> None:
    """The target's type is changed behind the mapping's back; each way refuses the row, shows nothing of it, and names
    the table. What fits the type goes in beside it."""
    source, declared, values = LOSSES[what]
    one = rig({"id": "integer", "v": source, "secret": "text"})
    retyped(one, "v", declared)
    for value in values:
        row = {"id": 1, "v": value, "secret": "geheim"}
        text = ("1", one.text({"v": value})[1] if not isinstance(value, bytes) else "\\x" + value.hex(), "geheim")
        if source.startswith("timestamp"):
            text = ("1", "1970-01-01 00:00:00.000001" if value > 0 else "1969-12-31 00:00:00", "geheim")
        for way in (lambda row=row: one.put(row), lambda text=text: loaded(one, text)):
            with pytest.raises(RecordError) as caught:
                way()
            assert not isinstance(caught.value, ConflictError)
            assert one.mapped.entries[0].target.full_name in str(caught.value)
            assert "geheim" not in str(caught.value)
    one.put({"id": 2, "v": None})
    with pytest.raises(RecordError):
        one.put({"id": 2, "v": values[0]})
    assert one.content("id") == [(2,)], "an UPDATE is refused as an INSERT is"


def loaded(one: Rig, text: tuple[str | None, ...]) -> None:
    with one.target.begin() as transaction:
        transaction.stage_texts(one.mapped, [[text]], lambda size: None)
        transaction.insert_staged(one.mapped)


CASTS = ("cast(t as decimal(10,2))", "cast(t as double)", "cast(t as signed)", "t + 0", "cast(t as date)", "abs(t)")


@pytest.mark.parametrize("cast", CASTS)
def test_a_text_that_is_no_number_is_refused(place: MariadbPlace, rig: Make, cast: str) -> None:
    """INSERT .. SELECT alone would make 0 of it, without a word."""
    name = name_of("t")
    declared = {"cast(t as decimal(10,2))": "decimal(10,2)", "cast(t as signed)": "bigint", "cast(t as date)": "date"}
    create = [f"CREATE TABLE {quoted(name)} (id int PRIMARY KEY, v {declared.get(cast, 'double')})"]
    one = rig({"id": "integer", "t": "text"}, name=name, specs=[{"columns": {"id": "id", "v": cast}}], create=create)
    for text in ("abc", "12abc", "Infinity", "1 2"):
        with pytest.raises(RecordError):
            one.put({"id": 1, "t": text})
        with pytest.raises(RecordError):
            one.load({"id": 1, "t": text})
    assert one.content("id") == []
    one.put({"id": 1, "t": "2026-01-31" if "date" in cast else "12"})
    assert one.content("id") == [(1,)]


def test_a_cast_that_says_that_it_cuts_may_cut(place: MariadbPlace, rig: Make) -> None:
    name = name_of("t")
    create = [f"CREATE TABLE {quoted(name)} (id int PRIMARY KEY, v varchar(3))"]
    specs = [{"columns": {"id": "id", "v": "cast(t as char(3))"}}]
    one = rig({"id": "integer", "t": "text"}, name=name, specs=specs, create=create)
    one.put({"id": 1, "t": "abcdef"})
    one.load({"id": 2, "t": "ghijkl"})
    assert one.content("id", "v") == [(1, "abc"), (2, "ghi")]


def test_a_key_is_not_cut(place: MariadbPlace, rig: Make) -> None:
    """A key's cast may say how long it is; what is longer would become another row's key."""
    name = name_of("t")
    create = [f"CREATE TABLE {quoted(name)} (k varchar(3) COLLATE utf8mb4_nopad_bin PRIMARY KEY, v int)"]
    specs = [{"key": {"k": "cast(k as char(3))"}, "columns": {"v": "v"}}]
    one = rig({"k": "text", "v": "integer"}, ("k",), name=name, specs=specs, create=create)
    one.put({"k": "abc", "v": 1}, {"k": "ab", "v": 2})
    for row in ({"k": "abcd", "v": 3},):
        with pytest.raises(RecordError):
            one.put(row)
        with pytest.raises(RecordError):
            one.load(row)
        with pytest.raises(RecordError):
            one.put(gone=[row])
    one.put({"k": "abc", "v": 4}, gone=[{"k": "ab"}])
    assert one.content() == [("abc", 4)]


# -- staging -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def without_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that do not say that they can send rows: the server refuses LOAD DATA LOCAL."""
    real = Connection.__init__

    def init(self: Connection, **settings: Any) -> None:
        real(self, **{**settings, "local_infile": False})

    monkeypatch.setattr(Connection, "__init__", init)


def test_both_ways_of_staging_are_the_same(
    place: MariadbPlace, rig: Make, request: pytest.FixtureRequest, seed: int
) -> None:
    """Every byte, every kind of odd text, NULL and empty; by LOAD DATA LOCAL, and by statements where that is off."""
    chance = random.Random(seed)
    odd = ["", "\\N", "\\", "\t", "\n", "\r\n", "\0", "NULL", "'", '"', "%s", "🐘", "\x1a", "x" * 70_000, "ä\\n\\"]
    rows = [
        {
            "id": n,
            "a": chance.choice([None, *odd]),
            "b": chance.choice([None, b"", bytes(range(256)), chance.randbytes(chance.randrange(30))]),
            "c": chance.choice([None, chance.getrandbits(60)]),
            "d": chance.choice([None, True, False]),
        }
        for n in range(300)
    ]
    columns = {"id": "bigint", "a": "text", "b": "bytea", "c": "bigint", "d": "boolean"}
    first = rig(columns)
    assert opened(first).notes() == ["rows are staged by LOAD DATA LOCAL"]
    request.getfixturevalue("without_loading")
    second = rig(columns)
    assert opened(second).notes() == ["rows are staged by statements of many rows (local_infile is off at the server)"]
    wanted = [tuple(int(v) if isinstance(v, bool) else v for v in row.values()) for row in rows]
    for one in (first, second):
        one.put(*rows)
        assert one.content() == sorted(wanted, key=lambda row: row[0])
        with one.target.begin() as transaction:
            transaction.truncate(one.mapped)
        one.load(*rows)
        assert one.content() == sorted(wanted, key=lambda row: row[0])


def test_a_server_is_given_no_file(place: MariadbPlace, tmp_path: Any) -> None:
    secret = tmp_path / "secret"
    secret.write_text("geheim\n")
    raw = connect(place.url, "target", local_infile=True)
    name = name_of("t")
    place.execute(f"CREATE TABLE {quoted(name)} (v text)")
    with pytest.raises(pymysql.Error, match="asked for a file"):
        raw.query(f"LOAD DATA LOCAL INFILE '{secret}' INTO TABLE {quoted(name)}")
    assert raw.load(f"LOAD DATA LOCAL INFILE '{secret}' INTO TABLE {quoted(name)}", [b"rows\n"]) == 1
    raw.close()
    assert place.rows(f"SELECT * FROM {quoted(name)}") == [("rows",)]


def test_rows_that_cannot_be_made_leave_the_session_in_order(rig: Make) -> None:
    one = rig({"id": "bigint", "t": "text"})
    with one.target.session() as session:
        with pytest.raises(RecordError, match="no UTF-8"), session.begin() as transaction:
            transaction.merge(one.mapped, one.staged({"id": 1, "t": "\ud800"}), ())
        with session.begin() as transaction:
            transaction.merge(one.mapped, one.staged({"id": 2, "t": "x"}), ())
    assert one.content() == [(2, "x")]


def test_values_of_twenty_megabytes(rig: Make) -> None:
    one = rig({"id": "bigint", "t": "text", "b": "bytea"})
    text, data = "ä🐘\\\n\t" * 2_200_000, random.Random(1).randbytes(20 << 20)
    one.put({"id": 1, "t": text, "b": data})
    one.load({"id": 2, "t": text, "b": data})
    assert one.content("id", "t", "b") == [(1, text, data), (2, text, data)]


def test_a_thousand_columns(place: MariadbPlace, rig: Make) -> None:
    """As many as InnoDB holds of a row; the staged ones hold long texts too."""
    columns = {"id": "bigint"} | {f"c{i}": "integer" for i in range(900)} | {f"t{i}": "text" for i in range(90)}
    wide = rig(columns)
    row = {"id": 1} | {f"c{i}": i for i in range(900)} | {f"t{i}": f"{i} " * 50 for i in range(90)}
    wide.put(row)
    wide.load({**row, "id": 2})
    assert wide.content("id", "c899", "t89") == [(1, 899, "89 " * 50), (2, 899, "89 " * 50)]
    with pytest.raises((ConfigError, FatalError), match="1600 columns are mapped, and 1500 can be staged"):
        wide.target.known_types(wide.source, wide.mapped.wires[:1] * 1600)


# -- the server's own --------------------------------------------------------------------------------------------------


def test_tables_that_cannot_be_targets_are_refused(place: MariadbPlace, rig: Make) -> None:
    name = name_of("t")
    with pytest.raises(ConfigError, match="table of MyISAM, which has no transactions; ALTER TABLE"):
        rig({"id": "integer"}, name=name, create=[f"CREATE TABLE {quoted(name)} (id int PRIMARY KEY) ENGINE = MyISAM"])
    name = name_of("t")
    create = [
        f"CREATE TABLE {quoted(name)} (id int PRIMARY KEY)",
        f"CREATE TRIGGER bites BEFORE INSERT ON {quoted(name)} FOR EACH ROW SET NEW.id = 7",
    ]
    with pytest.raises(ConfigError, match=r"has triggers \(bites\), which fire for every row; DROP TRIGGER `"):
        rig({"id": "integer"}, name=name, create=create)


def test_foreign_keys_are_not_checked_meanwhile(place: MariadbPlace, rig: Make) -> None:
    name = name_of("t")
    create = [
        f"CREATE TABLE {quoted(name)} (id int PRIMARY KEY, up int, FOREIGN KEY (up) REFERENCES {quoted(name)} (id)"
        " ON DELETE CASCADE)"
    ]
    tree = rig({"id": "integer", "up": "integer"}, name=name, create=create)
    tree.put({"id": 2, "up": 1}, {"id": 3, "up": 2})
    tree.put({"id": 1, "up": None})
    tree.put(gone=[{"id": 2}])
    assert tree.content() == [(1, None), (3, 2)], "nothing cascades: the source's own deletes come in the stream"


def test_what_waits_too_long_is_tried_again(place: MariadbPlace, rig: Make) -> None:
    one = rig({"id": "integer", "v": "integer"})
    one.put({"id": 1, "v": 1}, {"id": 2, "v": 2})
    with one.target.begin() as holder:
        holder.merge(one.mapped, one.staged({"id": 1, "v": 5}), ())
        with pytest.raises(TransientError), one.target.rehearse(1) as rehearsal, rehearsal.begin() as transaction:
            transaction.merge(one.mapped, one.staged({"id": 1, "v": 7}), ())
    with opened(one).raw() as raw, raw.cursor() as cursor:
        cursor.execute("SELECT @@innodb_lock_wait_timeout, @@lock_wait_timeout > 60, @@idle_transaction_timeout")
        assert cursor.fetchone() == (50, 1, 0), "the session has its settings back"


def test_a_deadlock_is_tried_again(rig: Make) -> None:
    one = rig({"id": "integer", "v": "integer"})
    one.put({"id": 1, "v": 1}, {"id": 2, "v": 2})
    met, errors = threading.Barrier(2), []

    def cross(first: int, second: int) -> None:
        try:
            with one.target.begin() as transaction:
                transaction.merge(one.mapped, one.staged({"id": first, "v": first}), ())
                met.wait(20)
                transaction.merge(one.mapped, one.staged({"id": second, "v": second}), ())
        except ChangeoverError as error:
            errors.append(error)

    threads = [threading.Thread(target=cross, args=pair) for pair in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [type(error) for error in errors] == [TransientError]


def test_the_other_engine_is_refused(place: MariadbPlace) -> None:
    with pytest.raises(FatalError, match=r"the server is mariadb; write target\.kind: mariadb"):
        MariadbTarget(place.url, "mysql").tables([])


def test_the_catalogue(place: MariadbPlace) -> None:
    place.execute(
        "CREATE TABLE parent (id int PRIMARY KEY)",
        """CREATE TABLE "We ird" (
            a int AUTO_INCREMENT, b varchar(20) COLLATE utf8mb4_bin NOT NULL DEFAULT 'x', c varchar(10) CHARACTER SET
            latin1, d json, e enum('a','b''c','d,e'), g int AS (q * 2) STORED, u bigint unsigned, n varchar(3) COLLATE
            utf8mb4_nopad_bin, p int, q int NOT NULL, PRIMARY KEY (b, a), KEY (a), UNIQUE one (c),
            UNIQUE two (b(3), a), FOREIGN KEY up (p) REFERENCES parent (id))""",
        """CREATE TRIGGER tr BEFORE INSERT ON "We ird" FOR EACH ROW SET NEW.q = 1""",
    )
    raw = connect(place.url, "target")
    found = load_tables(raw, [(place.schema, "We ird"), (place.schema, "nowhere")])
    raw.close()
    (table,) = found.values()
    assert (table.full_name, table.key, table.storage) == (f"{place.schema}.We ird", ("b", "a"), "InnoDB")
    assert (table.triggers, table.foreign_keys) == (("tr",), ("up",))
    assert table.references == (ForeignKey(("p",), place.schema, "parent", ("id",)),)
    assert [(u.name, u.columns, u.partial) for u in table.uniques] == [
        ("one", ("c",), False),
        ("two", ("b", "a"), True),
    ]
    kinds = {c.name: c.type for c in table.columns}
    assert kinds == {
        "a": "int(11)", "b": "varchar(20)", "c": "varchar(10) character set latin1", "d": "json",
        "e": "enum('a','b''c','d,e')", "g": "int(11)", "u": "bigint(20) unsigned", "n": "varchar(3)", "p": "int(11)",
        "q": "int(11)",
    }  # fmt: skip
    by_name = {c.name: c for c in table.columns}
    assert by_name["e"].labels == ("a", "b'c", "d,e")
    assert [n for n, c in by_name.items() if c.generated] == ["g"]
    assert [n for n, c in by_name.items() if c.has_default] == ["a", "b"]
    assert [n for n, c in by_name.items() if not c.nullable] == ["a", "b", "q"]
    assert [n for n, c in by_name.items() if c.collation_c] == ["n"], "utf8mb4_bin pads"


def test_rights_that_are_missing_are_named(place: MariadbPlace, rig: Make) -> None:
    one = rig({"id": "integer"})
    user = f"poor_{place.schema}"[:32]
    url = place.url.replace("//root:", f"//{user}:").replace(place.url.partition("@")[0].rpartition(":")[2], "pw")
    place.execute(
        f"CREATE USER '{user}'@'%' IDENTIFIED BY 'pw'",
        f"GRANT SELECT, DELETE ON {quoted(place.schema)}.{quoted(one.name)} TO '{user}'@'%'",
        f"GRANT CREATE TEMPORARY TABLES ON {quoted(place.schema)}.* TO '{user}'@'%'",
    )
    poor = MariadbTarget(url, "mariadb")
    try:
        (lack,) = poor.missing_grants([(place.schema, one.name)], ("SELECT", "INSERT", "UPDATE", "DELETE"))
        assert lack.privileges == ("INSERT", "UPDATE")
        assert lack.mend == f"GRANT INSERT, UPDATE ON `{place.schema}`.`{one.name}` TO '{user}'@'%'"
        place.execute(lack.mend.replace("`", '"'))
        assert poor.missing_grants([(place.schema, one.name)], ("SELECT", "INSERT", "UPDATE", "DELETE")) == []
        with poor.raw() as raw:
            state = target_state(raw, "here", [(place.schema, one.name)], "changeover")
        assert state.temporary is None
        assert state.control == f"GRANT ALL PRIVILEGES ON `changeover`.* TO '{user}'@'%'"
        assert state.hides_triggers == {f"{place.schema}.{one.name}"}
        assert (state.user, state.product, state.filled) == (f"{user}@%", "MariaDB", frozenset())
        assert abs(state.clock_ahead_s) < 5
    finally:
        poor.close()
        place.execute(f"DROP USER '{user}'@'%'")


def test_the_probe_tries_it(place: MariadbPlace) -> None:
    for sends in (True, False):
        raw = connect(place.url, "target", local_infile=sends)
        probe.prepare(raw, "mariadb", "target")
        assert raw.can_load is sends
        assert raw.packet_max >= 1 << 20
        raw.close()
