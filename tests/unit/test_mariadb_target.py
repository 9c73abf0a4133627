"""What is MariaDB's own about it as a target, as far as no server is needed: forms, literals, packets, statements."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from connectors.chunks import Range
from connectors.mariadb import forms, infile, stage
from connectors.mariadb.catalogue import labels_of, spelled
from connectors.mariadb.dialect import MARIADB
from connectors.mariadb.types import Family, read
from connectors.wire import INFINITY_US, Wire, WireColumn
from mappers.errors import RecordError
from mappers.mapping import Column

# -- types -------------------------------------------------------------------------------------------------------------

STAGED = {
    "boolean": (Wire.BOOL, "tinyint(1)"),
    "smallint": (Wire.INT, "smallint"),
    "integer": (Wire.INT, "int"),
    "bigint": (Wire.INT, "bigint"),
    "real": (Wire.FLOAT, "float"),
    "double precision": (Wire.FLOAT, "double"),
    "numeric": (Wire.TEXT, "longtext"),
    "numeric(10,2)": (Wire.TEXT, "decimal(10,2)"),
    "numeric(65,38)": (Wire.TEXT, "decimal(65,38)"),
    "numeric(66,0)": (Wire.TEXT, "longtext"),
    "numeric(50,39)": (Wire.TEXT, "longtext"),
    "numeric(3,-2)": (Wire.TEXT, "decimal(5,0)"),
    "numeric(2,5)": (Wire.TEXT, "decimal(5,5)"),
    "text": (Wire.TEXT, "longtext"),
    "character varying": (Wire.TEXT, "longtext"),
    "character varying(20)": (Wire.TEXT, "varchar(20)"),
    "character varying(20000)": (Wire.TEXT, "longtext"),
    "character(3)": (Wire.TEXT, "char(3)"),
    "character(300)": (Wire.TEXT, "varchar(300)"),
    "bytea": (Wire.BYTES, "longblob"),
    "date": (Wire.DATE, "date"),
    "time without time zone": (Wire.TIME, "time(6)"),
    "time(3) without time zone": (Wire.TIME, "time(3)"),
    "timestamp without time zone": (Wire.TIMESTAMP, "datetime(6)"),
    "timestamp(0) with time zone": (Wire.TEXT, "datetime(0)"),
    "timestamp with time zone": (Wire.TEXT, "datetime(6)"),
    "uuid": (Wire.TEXT, "uuid"),
    "jsonb": (Wire.TEXT, "json"),
    "text[]": (Wire.ARRAY, "json"),
    "inet": (Wire.TEXT, "longtext"),
    "public.citext": (Wire.TEXT, "longtext"),
    "int4range": (Wire.TEXT, "longtext"),
    # MariaDB's own
    "int(10) unsigned": (Wire.INT, "int(10) unsigned"),
    "bit(3)": (Wire.INT, "bit(3)"),
    "year(4)": (Wire.INT, "year(4)"),
    "decimal(10,2)": (Wire.TEXT, "decimal(10,2)"),
    "datetime(3)": (Wire.TIMESTAMP, "datetime(3)"),
    "timestamp": (Wire.TIMESTAMP, "timestamp"),
    "varbinary(16)": (Wire.BYTES, "varbinary(16)"),
    "inet6": (Wire.TEXT, "inet6"),
}


@pytest.mark.parametrize("kind", STAGED)
def test_a_source_type_has_a_staged_type(kind: str) -> None:
    wire, wanted = STAGED[kind]
    assert forms.staged_type(WireColumn("c", kind, wire), Column("c", kind), uuid="uuid") == wanted


def test_texts_of_mariadb_are_not_those_of_postgresql() -> None:
    """A text of the one has 64 KB, a text of the other any length: the collation tells whose it is."""

    def staged(kind: str, **about: Any) -> str:
        return forms.staged_type(WireColumn("c", kind, Wire.TEXT), Column("c", kind, **about), uuid="char(36)")

    assert staged("text", collation="utf8mb4_general_ci") == "text"
    assert staged("varchar(5) character set latin1", collation="latin1_swedish_ci") == "varchar(5) character set latin1"
    own = staged("enum('a','b')", labels=("a", "b"), collation="utf8mb4_bin")
    assert own == "enum('a','b')"
    assert staged("public.mood", labels=("it's", "b,c")) == "enum('it''s','b,c')"
    assert labels_of(staged("public.mood", labels=("it's", "b,c"))) == ("it's", "b,c")
    assert staged("uuid") == "char(36)"


def test_types_are_read() -> None:
    assert read("decimal(10,2) unsigned").digits == "(10,2)"
    assert read("decimal(10,2) unsigned").unsigned
    assert read("int(5) zerofill").unsigned
    assert read("enum('a)','b''c')").labels == ("a)", "b'c")
    assert read("timestamp(3)").fraction == 3
    assert read("varchar(20) character set latin1").numbers == (20,)
    assert read("point").family is Family.SHAPE
    assert spelled("varchar(20)", "latin1_swedish_ci") == "varchar(20) character set latin1"
    assert spelled("varchar(20)", "utf8mb4_bin") == spelled("varchar(20)", "") == "varchar(20)"


# -- forms -------------------------------------------------------------------------------------------------------------

WIRES: list[tuple[str, Wire, Any, forms.Field]] = [
    ("bigint", Wire.INT, -(2**63), "-9223372036854775808"),
    ("boolean", Wire.BOOL, True, "true"),
    ("bytea", Wire.BYTES, b"\x00", b"\x00"),
    ("double precision", Wire.FLOAT, 0.1, "0.1"),
    ("real", Wire.FLOAT, 0.1, "0.10000000149011612"),
    ("real", Wire.FLOAT, float("nan"), "nan"),
    ("date", Wire.DATE, 19_782, "2024-02-29"),
    ("date", Wire.DATE, -719_163, "0001-12-31 BC"),
    ("date", Wire.DATE, -INFINITY_US, "-infinity"),
    ("time without time zone", Wire.TIME, 86_400_000_000, "24:00:00.000000"),
    ("timestamp without time zone", Wire.TIMESTAMP, -1, "1969-12-31 23:59:59.999999"),
    ("timestamp without time zone", Wire.TIMESTAMP, 253_402_300_800_000_000, "10000-01-01 00:00:00.000000"),
    ("timestamp without time zone", Wire.TIMESTAMP, INFINITY_US, "infinity"),
    ("timestamp with time zone", Wire.TEXT, "2026-01-01T00:00:00.5Z", "2026-01-01 00:00:00.5"),
    ("timestamp with time zone", Wire.TEXT, "2026-01-01T00:00:00+01:00", "2026-01-01T00:00:00+01:00"),
    ("numeric(10,2)", Wire.TEXT, "1E+1", "10"),
    ("numeric", Wire.TEXT, "-1.5E-7", "-0.00000015"),
]


@pytest.mark.parametrize(("kind", "wire", "value", "wanted"), WIRES)
def test_what_is_staged_of_the_stream(kind: str, wire: Wire, value: Any, wanted: forms.Field) -> None:
    """What the server cannot read stays, and is refused there."""
    convert = forms.from_wire(WireColumn("c", kind, wire))
    assert convert is not None
    assert convert(value) == wanted


def test_texts_are_staged_as_they_are() -> None:
    for kind, wire in (("text", Wire.TEXT), ("jsonb", Wire.TEXT), ("date", Wire.DATE), ("numeric", Wire.TEXT)):
        assert forms.from_text(WireColumn("c", kind, wire)) is None
    assert forms.from_wire(WireColumn("c", "text", Wire.TEXT)) is None


# -- what the server reads ---------------------------------------------------------------------------------------------


def fields_of(line: bytes) -> list[bytes | None]:
    """A line as LOAD DATA reads it, by the rules of its manual."""
    assert line[-1:] == b"\n"
    found: list[bytes | None] = []
    held, place = bytearray(), 0
    plain = {ord("t"): 9, ord("n"): 10, ord("0"): 0, ord("\\"): 92}
    null = False
    while place < len(line):
        byte = line[place]
        if byte == 92:
            place += 1
            if line[place] == ord("N"):
                null = True
            else:
                held.append(plain[line[place]])
        elif byte in (9, 10):
            found.append(None if null else bytes(held))
            held, null = bytearray(), False
        else:
            held.append(byte)
        place += 1
    return found


def test_every_byte_gets_through(seed: int) -> None:
    chance = random.Random(seed)
    odd = [b"\\N", b"\\", b"\t\n\0\r\x1a\x08", b"N", b"", bytes(range(256)), b"\xc3\\", "🐘\\n".encode()]
    for _ in range(200):
        values = [
            None if chance.random() < 0.2 else chance.choice([*odd, chance.randbytes(chance.randrange(9))])
            for _ in range(5)
        ]
        line = stage._line(7, True, 2, values)
        assert line.count(b"\n") == 1
        assert fields_of(line) == [b"7", b"1", b"2", *values]


def test_packets_are_of_one_size() -> None:
    rows = [b"x" * 100_000, b"", b"y" * 700_001, b"z"]
    packets = list(infile._packets(iter(rows)))
    assert b"".join(packets) == b"".join(rows)
    assert {len(packet) for packet in packets[:-1]} == {infile.PACKET_BYTES}
    assert 0 < len(packets[-1]) <= infile.PACKET_BYTES
    assert list(infile._packets([])) == list(infile._packets([b""])) == []


def test_statements_are_no_longer_than_the_server_takes() -> None:
    def rows(*sizes: int) -> Iterator[tuple[int, bool, int, stage.Fields]]:
        return ((n, False, 0, ["x" * size, None, b"\x00'"]) for n, size in enumerate(sizes))

    made = list(stage._inserts("s", rows(*[300] * 100), 4_000, "target"))
    assert len(made) > 5
    assert max(map(len, made)) < 4_000
    assert sum(statement.count(b"NULL") for statement in made) == 100
    assert made[0].startswith(b"INSERT INTO s VALUES (0,0,0,'xxx")
    assert b",X'0027')" in made[0]
    with pytest.raises(RecordError) as caught:
        list(stage._inserts("s", rows(10, 4_000), 4_000, "target"))
    assert (caught.value.reason, "max_allowed_packet" in caught.value.hint) == ("too_large", True)


@pytest.mark.parametrize(
    ("text", "sql"),
    [
        ("it's", "_utf8mb4'it''s'"), ("a\\", "_utf8mb4'a\\\\'"), ("a\0b", "_utf8mb4'a\\0b'"), ("%s", "_utf8mb4'%s'"),
    ],
)  # fmt: skip
def test_texts_are_quoted(text: str, sql: str) -> None:
    assert MARIADB.values.literal(text, "varchar(9)") == sql


def test_literals_are_of_the_type() -> None:
    literal = MARIADB.values.literal
    assert literal("-7", "bigint(20)") == "-7"
    assert literal("1); DROP TABLE t", "int(11)") == "_utf8mb4'1); DROP TABLE t'"
    assert literal("true", "tinyint(1)") == "TRUE"
    assert literal("\\x00ff", "varbinary(9)") == "X'00ff'"
    assert literal("1.5", "decimal(10,2)") == "CAST(_utf8mb4'1.5' AS DECIMAL(10,2))"


def test_ranges_of_several_columns_use_an_index() -> None:
    part = Range(("a", "1"), ("b", "2"))
    assert MARIADB.keys.within(["t.a", "t.b"], ["varchar(9)", "int"], part) == (
        "(t.a > _utf8mb4'a' OR (t.a = _utf8mb4'a' AND t.b >= 1)) AND "
        "(t.a < _utf8mb4'b' OR (t.a = _utf8mb4'b' AND t.b < 2))"
    )
    assert MARIADB.keys.within(["t.a"], ["int"], Range()) == "true"


def test_orders_are_named_where_no_collation_decides() -> None:
    order = MARIADB.values.order
    assert order(Column("c", "int(11)")) == order(Column("c", "bigint(20) unsigned")) == "integer"
    assert order(Column("c", "varchar(9)", collation="utf8mb4_bin")) == "", "it pads"
    assert order(Column("c", "varchar(9)", collation="utf8mb4_nopad_bin", collation_c=True)) == "text"
    assert order(Column("c", "datetime(6)")) == "timestamp without time zone"
    assert order(Column("c", "enum('b','a')", labels=("b", "a"))) == ""
    assert order(Column("c", "uuid")) == "", "MariaDB sorts them by other bytes"


def test_json_is_equal_by_meaning() -> None:
    assert MARIADB.values.equal("json", '{"a": 1, "b": 2.0}', '{"b":2.00,"a":1}')
    assert not MARIADB.values.equal("longtext", '{"a": 1}', '{"a":1}')
    assert not MARIADB.values.equal("json", '{"a": 1}', None)
