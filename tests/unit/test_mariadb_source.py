"""MariaDB as a source, where no server is needed: types, keys, SQL, positions, decoding, connector settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from connectors.change import Change
from connectors.chunks import Range
from connectors.kafka.binlog_connector import BinlogConnectorSettings, binlog_connector_config, server_id
from connectors.kafka.connector_check import Wanted, setting_faults
from connectors.kafka.decode import TableDecoder, decode_beat
from connectors.mariadb.binlog import FILE_SPAN, BinlogFile, at, check_size, executed_snapshot
from connectors.mariadb.general_types import as_source, general
from connectors.mariadb.keys import canonical, key_form, span
from connectors.mariadb.log import lost_log, position_of, retained
from connectors.mariadb.server import kept_s, rights_in
from connectors.mariadb.source_values import among, literal, single, text, within
from connectors.mariadb.wire import REFUSED, wire_columns
from connectors.snapshot import Snapshot, widen
from connectors.wire import Doubt, Form, Wire
from daemon.connector.mariadb_checks import server_problems, table_problems
from daemon.doctor.mariadb_source import CHECKS
from mappers.errors import ConfigError, FatalError, RecordError
from mappers.mapping import Column, Table

BIN = "utf8mb4_nopad_bin"
TYPES: dict[str, tuple[str, str, Wire, Any, Any]] = {
    "ti": ("tinyint(4)", "smallint", Wire.INT, -128, -128),
    "t1": ("tinyint(1)", "smallint", Wire.INT, 5, 5),
    "siu": ("smallint(5) unsigned", "integer", Wire.INT, 65535, 65535),
    "iu": ("int(10) unsigned", "bigint", Wire.INT, 4294967295, 4294967295),
    "bi": ("bigint(20)", "bigint", Wire.INT, -(1 << 63), -(1 << 63)),
    "biu": ("bigint(20) unsigned", "numeric(20,0)", Wire.TEXT, -1, "18446744073709551615"),
    "de": ("decimal(10,2)", "numeric(10,2)", Wire.TEXT, "-1.50", "-1.50"),
    "fl": ("float", "real", Wire.FLOAT, 0.1, 0.1),
    "fw": ("float", "real", Wire.FLOAT, 0.10000000149011612, 0.1),
    "db": ("double", "double precision", Wire.FLOAT, 0.1, 0.1),
    "b1": ("bit(1)", "boolean", Wire.BOOL, True, True),
    "b13": ("bit(13)", "bigint", Wire.INT, "ARA=", 4097),
    "b64": ("bit(64)", "numeric(20,0)", Wire.TEXT, "AQAAAAAAAIA=", str((1 << 63) + 1)),
    "d": ("date", "date", Wire.DATE, -719162, -719162),
    "dt": ("datetime", "timestamp(0) without time zone", Wire.TIMESTAMP, 1709251199000000, 1709251199000000),
    "dt6": ("datetime(6)", "timestamp(6) without time zone", Wire.TIMESTAMP, -62135596799999999, -62135596799999999),
    "ts": ("timestamp(6)", "timestamp(6) with time zone", Wire.TEXT, "2038-01-19T03:14:07.999999Z", ...),
    "tm": ("time(6)", "time(6) without time zone", Wire.TIME, -3020399999999, -3020399999999),
    "y": ("year(4)", "smallint", Wire.INT, 2155, 2155),
    "y0": ("year(4)", "smallint", Wire.INT, 1900, 0),
    "en": ("enum('a','it''s')", "text", Wire.TEXT, "it's", "it's"),
    "se": ("set('a','b')", "text", Wire.TEXT, "a,b", "a,b"),
    "ch": ("char(5)", "character varying(5)", Wire.TEXT, "ab", "ab"),
    "tx": ("longtext", "text", Wire.TEXT, "😀\u0000", "😀\u0000"),
    "bn": ("binary(5)", "bytea", Wire.BYTES, "AQIAAAA=", b"\1\2\0\0\0"),
    "js": ("json", "json", Wire.TEXT, '{"b": 1,  "a": 2}', '{"b": 1,  "a": 2}'),
    "uu": ("uuid", "uuid", Wire.TEXT, "123e4567-e89b-42d3-a456-426614174011", ...),
}
"""Column -> native type, type in PostgreSQL's words, wire kind, value as Debezium 3.5 wrote it, value in a row."""


def column(name: str, native: str, nullable: bool = True, collation: str = "") -> Column:
    labels = ("a", "it's") if native.startswith("enum") else ()
    return Column(name, native, nullable, labels=labels, collation=collation, collation_c=collation == BIN)


def table(*columns: Column, key: tuple[str, ...] = ("id",)) -> Table:
    return as_source(Table("shop", "t", (column("id", "int(11)", False), *columns), key, storage="InnoDB"))


def event(row: dict[str, Any], op: str = "c", **source: Any) -> bytes:
    place = {"file": "binlog.000002", "pos": 700, "row": 1, "gtid": "0-1-9", "connector": "mariadb", "sequence": None}
    before, after = (row, None) if op == "d" else (None, row)
    stamps = {"ts_ms": 1795298457000, "ts_us": 1795298457000000}
    return json.dumps({"before": before, "after": after, "op": op, "source": {**stamps, **place, **source}}).encode()


def decoder(made: Table, zero_dates: bool = False, key: tuple[str, ...] = ("id",)) -> TableDecoder:
    wires = wire_columns(made, [column.name for column in made.columns], zero_dates=zero_dates)
    return TableDecoder("topic", made, wires, key, None)


def changed(made: Table, row: dict[str, Any], op: str = "c", **given: Any) -> Change:
    return decoder(made, **given).decode(event({"id": 1, **row}, op), 5)


@pytest.mark.parametrize("name", TYPES)
def test_a_type_travels_as_itself(name: str) -> None:
    native, spelled, kind, travels, value = TYPES[name]
    made = table(column(name, native))
    (_, wire) = wire_columns(made, ["id", name])
    assert (made.column(name).type, made.column(name).native, wire.kind) == (spelled, native, kind)
    change = changed(made, {name: travels})
    assert change.row == (1, travels if value is ... else value)
    assert not change.doubtful
    assert changed(made, {name: None}).row == (1, None)


def test_where_an_event_stands() -> None:
    change = changed(table(), {})
    assert (change.xid, change.sequence) == (2 << 32 | 700, (2 << 32 | 700, 1))
    assert changed(table(), {}, "d").xid == change.xid
    truncate = json.loads(event({}))
    truncate |= {"op": "t", "before": None, "after": None}
    emptied = decoder(table()).decode(json.dumps(truncate).encode(), 1)
    assert (emptied.op, emptied.key, emptied.xid) == ("t", (), change.xid)
    mysql = decoder(table()).decode(event({"id": 1}, connector="mysql", gtid="3e11-fa47:1-2:77"), 1)
    assert (mysql.xid, mysql.sequence) == (77, change.sequence)
    with pytest.raises(RecordError, match="no place in a binlog"):
        decoder(table()).decode(event({"id": 1}, file="binlog"), 1)


def test_a_position_stands_for_itself() -> None:
    position = at("binlog.000002", 700)
    assert position == 2 << 32 | 700
    assert widen(position, 9) == position
    seen = Snapshot(position + 1, position + 1)
    assert seen.sees(position)
    assert not Snapshot(position, position).sees(position)
    assert not seen.sees(at("binlog.000003", 4))


@pytest.mark.parametrize(
    ("native", "nullable", "zero_dates", "value", "doubtful"),
    [
        ("date", True, True, None, True),
        ("date", True, False, None, False),
        ("date", False, False, 0, True),
        ("date", False, True, 1, False),
        ("datetime(3)", True, True, None, True),
        ("datetime", False, False, 0, True),
        ("timestamp", True, False, "1970-01-01T00:00:00Z", True),
        ("timestamp", True, True, None, False),
        ("uuid", True, False, "00123456-7812-3442-3492-341234567890", True),
        ("varchar(9) latin1", True, False, "a\ufffdb", True),
        ("varchar(9) utf8mb4", True, False, "a\ufffdb", False),
    ],
)
def test_what_may_stand_for_another_value_is_in_doubt(
    native: str, nullable: bool, zero_dates: bool, value: Any, doubtful: bool
) -> None:
    plain, _, charset = native.partition(" ")
    made = table(column("c", plain, nullable, f"{charset}_general_ci" if charset else ""))
    assert changed(made, {"c": value}, zero_dates=zero_dates).doubtful is doubtful
    assert not changed(made, {"c": value}, "d", zero_dates=zero_dates).doubtful


def test_a_doubtful_key_is_no_key() -> None:
    made = table(column("c", "date", False), key=("c",))
    with pytest.raises(RecordError, match="may have another value than arrived"):
        changed(made, {"c": 0}, key=("c",))
    with pytest.raises(ValueError, match="uuid"):
        key_form(table(column("u", "uuid")), ["u"], wire_columns(table(column("u", "uuid")), ["u"]))


def test_no_text_is_a_placeholder() -> None:
    change = changed(table(column("c", "text")), {"c": "__debezium_unavailable_value"})
    assert change.row == (1, "__debezium_unavailable_value")
    assert not change.missing
    assert changed(table(column("c", "text")), {"c": ""}).row == (1, "")


@pytest.mark.parametrize(
    ("native", "collation", "reason"),
    [
        *((kind, "", reason) for kind, (reason, _) in REFUSED.items()),
        ("varchar(9)", "koi8u_general_ci", "texts in koi8u are other ones in Java"),
        ("text", "gbk_chinese_ci", "texts in gbk"),
        ("enum('a,b','c')", "utf8mb4_general_ci", "alters the label"),
        ("text /*M!100301 COMPRESSED*/", "utf8mb4_general_ci", "does not know compressed columns"),
        ("float(7,4)", "", "its digits are cut"),
        ("year(2)", "", "century"),
        ("frobnicate", "", "no exact form"),
    ],
)
def test_what_does_not_travel_is_refused_with_a_reason(native: str, collation: str, reason: str) -> None:
    made = Column("c", native, labels=("a,b", "c") if native.startswith("enum") else (), collation=collation)
    with pytest.raises(ConfigError) as refused:
        wire_columns(table(made), ["id", "c"])
    (problem,) = refused.value.problems
    assert problem.path == ("tables", "c")
    assert problem.message.startswith(f"shop.t.c: {native} cannot be followed exactly: ")
    assert reason in problem.message
    assert "or leave the column out" in problem.hint


def test_a_column_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match="has no column c"):
        wire_columns(table(), ["id", "c"])


@pytest.mark.parametrize(
    ("native", "given", "wanted"),
    [
        ("int(11)", "042", "42"),
        ("bigint(20) unsigned", str((1 << 64) - 1), str((1 << 64) - 1)),
        ("bigint(20) unsigned", str(1 << 64), None),
        ("tinyint(4)", "128", None),
        ("int(11)", "x", None),
        ("decimal(5,2)", "1.5", "1.50"),
        ("decimal(5,2)", "1.505", None),
        ("decimal(5,2)", "12345", None),
        ("date", "2024-02-29", "2024-02-29"),
        ("date", "2023-02-29", None),
        ("datetime(6)", "2024-02-29 10:00:00.500000", "2024-02-29 10:00:00.5"),
        ("timestamp", "2024-02-29T10:00:00+02:00", "2024-02-29 08:00:00+00"),
        ("varbinary(9)", "\\x00FF", "\\x00ff"),
        ("char(5)", "ab  ", "ab"),
        ("varchar(3)", "abcd", None),
        ("enum('a','it''s')", "it's", "it's"),
        ("enum('a','it''s')", "b", None),
        ("bit(1)", "1", "true"),
        ("bit(9)", "511", "511"),
        ("bit(9)", "512", None),
        ("year(4)", "2024", "2024"),
    ],
)
def test_keys_as_the_source_would_print_them(native: str, given: str, wanted: str | None) -> None:
    made = as_source(Table("a", "b", (column("c", native),), ("c",))).column("c")
    if wanted is None:
        with pytest.raises(ValueError):  # noqa: PT011
            canonical(made, given)
    else:
        assert canonical(made, given) == wanted


def test_times_beyond_a_day() -> None:
    assert span(-1_500_000) == "-00:00:01.5"
    assert span(3_020_399_999_999) == "838:59:59.999999"
    assert span(0) == "00:00:00"


def test_key_order_is_known_only_where_it_is_the_servers() -> None:
    for native, collation, order in (
        ("int(11)", "", "integer"),
        ("bigint(20) unsigned", "", "numeric"),
        ("varchar(9)", BIN, "text"),
        ("varchar(9)", "utf8mb4_general_ci", ""),
        ("varchar(9)", "utf8mb4_bin", ""),
        ("varbinary(9)", "", "bytea"),
        ("enum('a')", "", ""),
    ):
        made = table(column("k", native, False, collation), key=("k",))
        form = key_form(made, ["k"], wire_columns(made, ["k"]))
        assert form.orders == (order,)
        assert (form.order is not None) == (order in ("integer", "text") or "bigint" in native)


def test_ranges_and_lists_of_keys_use_the_index() -> None:
    made = table(column("k", "varchar(9)", False, "latin1_swedish_ci"))
    id_, k = made.columns
    assert within([id_], "s", Range(("5",), ("9",))) == 's."id" >= 5 AND s."id" < 9'
    assert within([id_], "s", Range()) == "true"
    both = within([id_, k], "s", Range(("5", "it's"), None))
    assert both == """(s."id" >= 5 AND (s."id" > 5 OR s."k" >= 'it\\'s'))"""
    assert within([id_, k], "s", Range(None, ("5", "x"))).endswith('AND s."id" <= 5')
    assert among([k], "s", [("a",), ("b\\",)]) == """s."k" IN ('a', 'b\\\\')"""
    assert among([id_, k], "s", [("1", "a")]) == """(s."id" = 1 AND s."k" = 'a')"""
    assert literal(id_, "1 OR 1=1") == "'1 OR 1=1'"
    assert text(table(column("z", "int(5) unsigned zerofill")).column("z"), "s") == '(s."z" + 0)'
    assert single("0.10000000149011612") == "0.1"
    assert single("16777216") == "16777216.0"


def test_gtid_sets_as_snapshots() -> None:
    uuid = "3E11FA47-71CA-11E1-9E33-C80AA9429562"
    seen = executed_snapshot(f"{uuid}:1-5:8-9,\nffff:1-99", uuid.lower())
    assert (seen.xmin, seen.xmax, seen.running) == (6, 10, frozenset({6, 7}))
    assert [number for number in range(1, 12) if seen.sees(number)] == [1, 2, 3, 4, 5, 8, 9]
    assert executed_snapshot("", uuid) == Snapshot(1, 1)


def test_a_log_that_is_lost() -> None:
    files = [BinlogFile(3, 900), BinlogFile(4, 500)]
    confirmed = position_of({"file": "binlog.000003", "pos": 100, "gtids": "0-1-5"})
    assert lost_log(files, at("b.000004", 500), confirmed) == ""
    assert retained(files, confirmed) == 800 + 500
    assert "file 2, which was purged" in lost_log(files, at("b.000004", 500), at("b.000002", 4))
    assert "began anew" in lost_log([BinlogFile(1, 900)], at("b.000001", 900), confirmed)
    assert "larger than 4 GB" in lost_log([BinlogFile(3, FILE_SPAN + 1)], at("b.000003", 1), 3 << 32)
    with pytest.raises(FatalError, match="4 GB"):
        check_size([BinlogFile(3, FILE_SPAN)])


def test_heartbeats_and_sentinels_are_messages() -> None:
    row = {"pipeline": "p", "content": '{"kind": "sentinel"}', "beats": 3}
    change = decode_beat(event(row, "u"), 7)
    assert (change.op, change.message, change.sequence) == (
        "m",
        ("changeover", b'{"kind": "sentinel"}'),
        (8589935292, 1),
    )
    assert decode_beat(event(row, "d"), 7).op == ""
    assert decode_beat(None, 7).op == ""


SETTINGS = BinlogConnectorSettings(
    kind="mariadb",
    pipeline="p",
    connector="changeover-p",
    database_url="mariadb://u:s%40crt@db:3307/shop",
    topic_prefix="p",
    tables={("shop", "t"): (), ("shop", "odd, name"): ("a", "b")},
    beats=("changeover", "heartbeat"),
    history_topic="p.schema-history",
    bootstrap_servers="k:9092",
    exactly_once=True,
)


def test_the_connectors_settings() -> None:
    config = binlog_connector_config(SETTINGS)
    assert config["connector.class"] == "io.debezium.connector.mariadb.MariaDbConnector"
    assert config["database.hostname"] == "db"
    assert config["database.password"] == "s@crt"
    assert config["database.include.list"] == "changeover,shop"
    assert config["table.include.list"] == r"shop\.odd\x2c\x20name,shop\.t,changeover\.heartbeat"
    assert config["message.key.columns"] == r"shop\.odd\x2c\x20name:a,b"
    assert config["exactly.once.support"] == "required"
    assert 1 << 30 <= server_id("changeover-p") < 1 << 31
    wanted = Wanted("", "", "p", {("shop", "t"): ()}, {("shop", "t"): frozenset({"id"})}, kind="mariadb")
    assert setting_faults(config, wanted) == []
    for setting, value in (
        ("enable.time.adjuster", "true"),
        ("bigint.unsigned.handling.mode", "precise"),
        ("table.include.list", r"shop\.t"),
        ("database.include.list", "shop"),
        ("time.precision.mode", "connect"),
        ("inconsistent.schema.handling.mode", "skip"),
        ("skipped.operations", "t"),
    ):
        assert [fault.setting for fault in setting_faults(config | {setting: value}, wanted)] == [setting]


def test_what_cannot_be_overridden() -> None:
    from dataclasses import replace

    with pytest.raises(ConfigError, match="snapshot"):
        binlog_connector_config(replace(SETTINGS, overrides={"snapshot.mode": "initial"}))
    tls = binlog_connector_config(replace(SETTINGS, overrides={"database.ssl.mode": "verify-ca"}))
    assert tls["database.ssl.mode"] == "verify-ca"
    with pytest.raises(ConfigError, match="host"):
        binlog_connector_config(replace(SETTINGS, database_url="mariadb:///shop"))


def _facts(**changes: Any) -> Any:
    from connectors.mariadb.server import ServerFacts

    settings = {"log_bin": "ON", "binlog_format": "ROW", "binlog_row_image": "FULL", "server_id": "1"}
    facts: dict[str, Any] = {
        "mariadb": True,
        "version": (10, 11, 6),
        "settings": settings | changes.pop("settings", {}),
        "account": "'a'@'%'",
        "rights": frozenset({"REPLICATION SLAVE", "BINLOG MONITOR"}),
        "kept_s": 0.0,
        "zero_dates": False,
        "compressed": (),
    }
    return ServerFacts(**(facts | changes))


@pytest.mark.parametrize(
    ("changes", "message", "hint"),
    [
        ({"settings": {"log_bin": "OFF"}}, "log_bin is OFF", "start the server"),
        ({"settings": {"binlog_format": "MIXED"}}, "binlog_format is MIXED", "SET GLOBAL binlog_format = 'ROW'"),
        ({"settings": {"binlog_row_image": "MINIMAL"}}, "binlog_row_image is MINIMAL", "'FULL'"),
        ({"rights": frozenset({"SELECT"})}, "may not REPLICATION SLAVE, BINLOG MONITOR", "GRANT REPLICATION SLAVE"),
        ({"version": (10, 3, 1)}, "MariaDB 10.3.1 is too old", "10.6"),
        ({"compressed": ("x.y",)}, "x.y are COMPRESSED", "MODIFY"),
    ],
)
def test_what_a_server_lacks(changes: dict[str, Any], message: str, hint: str) -> None:
    (problem,) = server_problems(_facts(**changes))
    assert message in problem.message
    assert hint in problem.hint


def test_what_a_table_lacks() -> None:
    assert list(server_problems(_facts())) == []
    assert list(table_problems(table(), ())) == []
    from dataclasses import replace

    (problem,) = table_problems(replace(table(), storage="MyISAM"), ())
    assert "MyISAM" in problem.message
    (problem,) = table_problems(replace(table(), key=()), ())
    assert "no primary key" in problem.message
    (problem,) = table_problems(table(column("a", "inet6")), ())
    assert "cannot read the definition of a table with a" in problem.message
    (problem,) = table_problems(table(), ("nope",))
    assert "nope" in problem.message


def test_rights_and_retention() -> None:
    grants = [
        "GRANT SELECT, REPLICATION CLIENT, REPLICATION SLAVE ON *.* TO `a`@`%`",
        "GRANT ALL PRIVILEGES ON `x`.* TO `a`@`%`",
    ]
    assert rights_in(grants) >= {"BINLOG MONITOR", "REPLICATION SLAVE"}
    assert "ALL PRIVILEGES" not in rights_in(grants)
    assert kept_s({"expire_logs_days": "2.000000", "binlog_expire_logs_seconds": "0"}) == 172_800
    assert kept_s({}) == 0


def test_forms_and_doubts_are_said_in_the_wire() -> None:
    made = table(column("a", "bigint(20) unsigned"), column("b", "date"))
    wires = wire_columns(made, ["id", "a", "b"], zero_dates=True)
    assert [(wire.form, wire.doubt) for wire in wires] == [
        (Form.PLAIN, Doubt.NONE), (Form.WRAPPED, Doubt.NONE), (Form.PLAIN, Doubt.NULL),
    ]  # fmt: skip
    assert general("geometry") == "geometry"


def test_the_documentation_lists_every_check_and_no_other() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "sources.md").read_text()
    table = text.partition("| check | it is ok when |\n| --- | --- |\n")[2].partition("\n\n")[0]
    assert table.splitlines() == [f"| {check.name} | {check.says} |" for check in CHECKS]
