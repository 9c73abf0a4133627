"""Whatever is wrong, a person reads one line that says what, where and how to mend it; once mended, it goes on.

No output shows a secret, and none a traceback (`Small` looks at everything that is said).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from tests.acceptance.support import (
    ROWS,
    SHOWN_FORMS,
    SOURCE_SQL,
    TARGET_SQL,
    Line,
    Place,
    Small,
    at_port,
    check_line,
    clean,
    documented,
    entry,
    execute,
    plant,
    planted,
    question,
    value,
)
from tests.support.databases import Databases, call_connect, open_url, with_database
from tests.support.polling import until
from tests.support.stack import ROOT, Stack
from tests.support.warm import Factory

TABLES = ("plain", "poison", "grown", "shrunk", "late", "filled", "changed", "granted", "cut", "bound", "shown")
Make = Callable[..., Small]


@pytest.fixture(scope="module")
def warm() -> Iterator[Factory]:
    with Factory() as factory:
        yield factory


@pytest.fixture(scope="module")
def shared(stack: Stack, warm: Factory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """Databases with a table on both sides for each test, and one connector for all of them."""
    found = Databases(stack, f"bad{os.getpid()}")
    try:
        plant(stack)
        execute(found.source_url, *(SOURCE_SQL.format(table, ROWS) for table in TABLES))
        execute(found.target_url, "CREATE SCHEMA app", *(TARGET_SQL.format(table) for table in TABLES))
        every = Small(Place(f"{found.name}_all", found), tmp_path_factory.mktemp("all"), [entry(t) for t in TABLES])
        every.program, every.launch = (), warm.launch
        every.command("connector", "apply")
        yield found
    finally:
        found.drop()


@pytest.fixture
def small(shared: Databases, warm: Factory, tmp_path: Path) -> Make:
    """A pipeline of its own, named after its first table, behind the shared connector."""

    def make(*tables: dict[str, Any], name: str = "", **sections: Any) -> Small:
        name = name or tables[0]["from"].partition(".")[2]
        made = Small(Place(f"{shared.name}_{name}", shared), tmp_path / name, tables, **sections)
        made.program, made.launch = (), warm.launch
        return made

    return make


def caught_up(moved: Small, *tables: str) -> None:
    """The daemon runs, everything is applied, and it is equal; then it ends in good order."""
    with moved.run() as daemon:
        moved.verify([question(table) for table in tables], daemon)
        moved.ends(daemon)


# -- the file ----------------------------------------------------------------------------------------------------------

WRONG_FILE = """\
pipeline: Shop
source: {kind: postgresql, url: "${SOURCE_URL}", topic_prefix: legacy, sslmode: require}
target: {kind: oracle, url: "mysql://app:pl4nted@db/app"}
kafka:
  bootstrap_server: localhost:9092
  partitions: many
stream: {batch_rows_max: 0}
tables:
  - {from: public.a, too: app.a}
  - from: public.b
    columns: {id: id}
    where: [1]
"""


def test_every_problem_of_the_file_is_told_at_once_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "changeover.yaml"
    path.write_text(WRONG_FILE)
    done = subprocess.run(
        [sys.executable, "-m", "daemon.cli", "-c", str(path), "run"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "SOURCE_URL": "postgresql://u:pl4nted@h/d"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")
    clean(done.stderr)
    lines = done.stderr.splitlines()
    assert all(line.startswith(f"changeover: {path}:") for line in lines), done.stderr
    said = [line.removeprefix(f"changeover: {path}:") for line in lines]
    expected = [
        "1:11: pipeline: wrong value",
        "2:72: source.sslmode: unknown key",
        "3:16: target.kind: wrong value (expected 'postgresql', 'mariadb', 'mysql' or 'sqlite')",
        "4:1: kafka.bootstrap_servers: missing",
        "5:3: kafka.bootstrap_server: unknown key; did you mean bootstrap_servers?",
        "6:15: kafka.partitions: wrong value (expected an integer)",
        "7:26: stream.batch_rows_max: wrong value",
        "9:22: tables.0.too: unknown key; did you mean to?",
        "12:12: tables.1.where: [1] is not an SQL expression",
    ]
    assert len(said) == len(expected), done.stderr
    for line, start in zip(said, expected, strict=True):
        assert line.startswith(start), f"{line}\nis not {start}"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--config", "/nowhere.yaml", "run"), 2, "/nowhere.yaml:1:1: .*No such file.*--config"),
        (("walk",), 2, "invalid choice"),
        (("wait", "--for", "rain"), 2, "invalid choice"),
    ],
)
def test_usage(warm: Factory, tmp_path: Path, arguments: tuple[str, ...], code: int, says: str) -> None:
    log = tmp_path / "out"
    child = warm.launch(list(arguments), log, {**os.environ})
    assert child.wait(30) == code
    assert re.search(says, clean(log.read_text())), log.read_text()


# -- the mapping -------------------------------------------------------------------------------------------------------


def test_a_mapping_that_cannot_be(small: Make, shared: Databases) -> None:
    """All of it at once, each with its line; the same words from every command."""
    columns = {"name": "vv", "amount": "cast(n as numeric(10,2))", "mroe": "v"}
    wrong = small(
        entry("plain", columns=columns),
        entry("late", columns={"name": "v", "amount": "n + "}),
        entry("filled", columns={"name": "coalesce(v, '')"}),
        {**entry("cut"), "from": "public.cuts"},
        {**entry("bound"), "to": "app.bounds"},
        entry("grown", key={"id": "id", "nmae": "v"}),
        entry("shrunk", where="m > 1"),
    )
    code, said = wrong.told("run")
    assert code == 2, said
    lines = said.splitlines()
    text = wrong.config.read_text().splitlines()
    for line in lines:
        check_line(line, r"changeover\.yaml:\d+:\d+: tables\.\d\..*; .+")
    expected = [
        (r"tables\.0\.columns\.name: public\.plain has no column vv.*", "name: vv"),
        (r"tables\.0\.columns\.mroe: app\.plain has no column mroe; did you mean more\?", "mroe: v"),
        (r"tables\.1\.columns\.name: app\.late\.name is NOT NULL, but .*; write coalesce\(v, <a value>\)", "name: v"),
        (r"tables\.1\.columns\.amount: ", "amount: 'n + '"),
        (r"tables\.2\.columns: app\.filled\.amount is NOT NULL, has no default, .*; add amount: ", "columns:"),
        (r"tables\.3\.from: the source has no table public\.cuts; did you mean public\.cut\?", "from: public.cuts"),
        (r"tables\.4\.to: the target has no table app\.bounds; did you mean app\.bound\?", "to: app.bounds"),
        (r"tables\.5\.key\.nmae: app\.grown has no column nmae; did you mean name\?", "nmae: v"),
        (r"tables\.6\.where: public\.shrunk has no column m", "where: m > 1"),
    ]
    for says, place in expected:
        found = [line for line in lines if re.search(says, line)]
        assert len(found) == 1, f"{says} in {len(found)} lines:\n{said}"
        number = re.match(rf"changeover: {re.escape(str(wrong.config))}:(\d+):\d+: ", found[0])
        assert number is not None, found[0]
        assert place in text[int(number[1]) - 1] or place in text[int(number[1]) - 2], found[0]
    assert len(lines) == len(expected), said


def test_types_that_do_not_fit(small: Make) -> None:
    wrong = small(entry("plain", columns={"name": "n", "amount": "coalesce(v, '')", "more": "n > 1"}))
    code, said = wrong.told("run")
    assert code == 2, said
    for column, source, target in (
        ("name", "integer", "text"),
        ("amount", "text", "numeric"),
        ("more", "bool", "text"),
    ):
        line = next(line for line in said.splitlines() if f"tables.0.columns.{column}: " in line)
        assert re.match(r"changeover: .*changeover\.yaml:\d+:\d+: ", line), line
        assert source in line, line
        assert target in line, line
        assert "cast" in line, line


INJECTIONS = (
    "v'; DROP TABLE app.canary; --",
    "v; DELETE FROM app.canary",
    "(SELECT max(a) FROM app.canary)",
    "v) FROM public.plain; TRUNCATE app.canary; SELECT (v",
    "v /* */ UNION SELECT 'x'",
    "pg_read_file('/etc/passwd')",
    "pg_sleep(30)",
    "lo_import('/etc/passwd')",
    "set_config('search_path', 'x', false)",
    "query_to_xml('select 1', true, true, '')",
    "current_setting('is_superuser')",
    "v::regclass",
    "dblink('host=1.2.3.4', 'x')",
    '"v"" FROM x; --"',
    "U&'\\0027'",
    "v\x00'",
    "(with x as (delete from app.canary returning a) select a from x)",
    "s.v, (SELECT 1)",
    "ctid",
    "xmin",
    "app.boom(v)",
    "nextval('app.q')",
    "random()",
    "v OPERATOR(app.+) v",
)


HARMLESS = {
    "$$'; DROP TABLE app.canary; --$$ || v": "'; DROP TABLE app.canary; --v1",
    "E'\\'; DROP TABLE app.canary; --'": "'; DROP TABLE app.canary; --",
    "'a''; DROP TABLE app.canary; --'": "a'; DROP TABLE app.canary; --",
}
"""Odd, but no more than texts: SQL -> what it must give for the row whose v is v1."""


def test_an_expression_cannot_do_anything_else(small: Make, shared: Databases) -> None:
    names = [f"c{number}" for number in range(len(INJECTIONS))]
    execute(
        shared.target_url,
        "CREATE TABLE app.canary AS SELECT 1 AS a",
        "CREATE SEQUENCE app.q",
        "CREATE FUNCTION app.boom(text) RETURNS text IMMUTABLE LANGUAGE sql"
        " AS 'DELETE FROM app.canary RETURNING a::text'",
        f"CREATE TABLE app.wide (id bigint PRIMARY KEY, {', '.join(f'{name} text' for name in names)})",
    )
    columns = dict(zip(names, INJECTIONS, strict=True))
    wrong = small({"from": "public.plain", "to": "app.wide", "key": {"id": "id"}, "columns": columns}, name="wide")
    code, said = wrong.told("run")
    assert code == 2, said
    for name, text in columns.items():
        found = [line for line in said.splitlines() if f"tables.0.columns.{name}: " in line]
        assert len(found) == 1, f"{text} gave {found or said}"
        assert "; " in found[0], f"no mend: {found[0]}"
    assert len(said.splitlines()) == len(names), said
    assert value(shared.target_url, "SELECT a FROM app.canary") == 1
    assert value(shared.target_url, "SELECT is_called FROM app.q") is False
    odd = {"from": "public.plain", "to": "app.wide", "key": {"id": "id"}}
    odd["columns"] = {f"c{number}": text for number, text in enumerate(HARMLESS)}
    moved = small(odd, name="odd")
    with moved.run() as daemon:
        moved.wait_lag_zero(daemon)
        moved.ends(daemon)
    assert rows(shared, "SELECT c0, c1, c2 FROM app.wide WHERE id = 1") == [tuple(HARMLESS.values())]
    assert value(shared.target_url, "SELECT a FROM app.canary") == 1
    for part in ('app."wide"; DROP TABLE app.canary; --', "app.wide' OR 1=1"):
        wrong.rewrite(tables=[{"from": "public.plain", "to": part, "key": {"id": "id"}, "columns": {"id": "id"}}])
        wrong.refused("run", code=2, says=r"tables\.0\.to: ")
    assert value(shared.target_url, "SELECT a FROM app.canary") == 1


# -- what cannot be reached, or does not let us in ---------------------------------------------------------------------


def closed_port() -> int:
    """A port on which nobody listens."""
    return Line("127.0.0.1", 1).port


def test_what_cannot_be_reached(small: Make, shared: Databases) -> None:
    """One-shot commands: one line, exit code 1."""
    moved, port = small(entry("plain")), closed_port()
    source = {"SOURCE_URL": at_port(planted(shared.source_url), port)}
    says = rf"source 127\.0\.0\.1:{port}/{shared.name}: .*([Cc]onnection refused).*; .*source\.url"
    for command in (("connector", "apply"), ("connector", "delete"), ("status",), ("wait", "--for", "lag-zero")):
        moved.refused(*command, env=source, says=says)
    target = {"TARGET_URL": at_port(planted(shared.target_url), port)}
    says = rf"target 127\.0\.0\.1:{port}/{shared.name}: .*([Cc]onnection refused).*; .*target\.url"
    for command in (("status",), ("wait", "--for", "lag-zero")):
        moved.refused(*command, env=target, says=says)
    moved.refused(
        "status", env={"SOURCE_URL": "postgresql://planted:x@no-such-host.invalid:5432/x"}, says="no-such-host"
    )
    away = small(entry("plain"), name="away", connect={"url": f"http://127.0.0.1:{port}"})
    for action in ("apply", "delete"):
        says = rf"kafka connect http://127\.0\.0\.1:{port}: it does not answer.*; .*connect\.url \(waited \d+ s\)"
        away.refused("connector", action, "--timeout", "0", code=3, says=says)
    code, said = away.told("connector", "status")
    assert code == 0, said
    assert "it does not answer" in json.loads(said)["connector"]["error"]


def test_a_broker_that_cannot_be_reached(small: Make, shared: Databases) -> None:
    """Librdkafka tries for a while before it gives up, so the commands wait together."""
    port = closed_port()
    plain = {"bootstrap_servers": f"127.0.0.1:{port}"}
    settings = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "u"}
    commands = {
        "apply": (plain, 3, ("connector", "apply", "--timeout", "0")),
        "wait": (plain, 1, ("wait", "--for", "lag-zero")),
        "sasl": ({"settings": {**settings, "sasl.password": "pl4nted"}}, 1, ("wait", "--for", "lag-zero")),
    }
    started = []
    for name, (kafka, code, command) in commands.items():
        connector = {"connector": f"changeover-{shared.name}-{name}"}
        own = {"publication": f"p_{name}", "slot": f"s_{name}"} if name == "apply" else {}
        moved = small(entry("plain"), name=name, kafka=kafka, connect=connector, source=own)
        started.append((code, moved.start(*command)))
    for code, daemon in started:
        assert daemon.wait(60) == code, daemon.output()
        said = clean(daemon.output(1000))
        assert len(said.splitlines()) == 1, said
        check_line(
            said, rf"kafka ({re.escape(shared.stack.kafka)}|127\.0\.0\.1:{port}): .*; .*kafka\.bootstrap_servers"
        )


def test_who_is_not_let_in(small: Make, shared: Databases) -> None:
    """Wrong credentials do not mend themselves: nothing retries, `run` neither."""
    moved = small(entry("plain"))
    mend = "; check user, password, database name and pg_hba.conf"
    for side, url in (("source", shared.source_url), ("target", shared.target_url)):
        server = re.escape(url.rpartition("@")[2])
        for wrong, what in (
            (planted(url).replace("pl4nted", "pl4nted-wrong"), "password authentication failed for user"),
            (with_database(planted(url), "nowhere"), 'database "nowhere" does not exist'),
        ):
            says = f"{side} {server.replace(shared.name, '(nowhere|' + shared.name + ')')}: .*{what}.*{mend}"
            for command in (("run",), ("wait", "--for", "lag-zero"), ("status",)):
                moved.refused(*command, env={f"{side.upper()}_URL": wrong}, says=says)


# -- what the source, the target and the broker must have --------------------------------------------------------------


def test_what_the_source_must_offer(small: Make, shared: Databases) -> None:
    """A role that may replicate, tables that have a key, the right to publish them."""
    moved = small(entry("plain"), name="needs", source={"slot": "s_needs", "publication": "p_needs"})
    place = r"changeover\.yaml:\d+:\d+: source\.url: "
    moved.rewrite(connect=own_connector(moved))
    execute(shared.source_url, f"CREATE ROLE weak_{shared.name} LOGIN PASSWORD 'pl4nted'", "CREATE TABLE loose (a int)")
    weak = {"SOURCE_URL": planted(shared.source_url).replace("planted:", f"weak_{shared.name}:")}
    weak["SOURCE_URL"] = re.sub(r"//([^:]+):[^@]+@", r"//\1:pl4nted@", weak["SOURCE_URL"])
    moved.rewrite(tables=[entry("plain"), {"from": "public.loose", "to": "app.loose", "key": {"a": "a"}}])
    code, said = moved.told("connector", "apply", env=weak)
    assert code == 2, said
    role, table = said.splitlines()
    mend = re.search(rf'{place}the role weak_\w+ may not replicate; (ALTER ROLE "weak_\w+" REPLICATION)', role)
    assert mend is not None, role
    execute(shared.source_url, mend[1])
    check_line(table, r"tables\.1\.from: public\.loose: it has no primary key; ALTER TABLE public\.loose ADD COLUMN")
    moved.rewrite(tables=[entry("plain")])
    line = moved.refused("connector", "apply", env=weak, says="permission denied for database")
    assert f'GRANT CREATE ON DATABASE {shared.name} TO "weak_{shared.name}"' in line


def test_a_server_without_logical_decoding(small: Make, shared: Databases) -> None:
    """The target's server is made one for the length of the test; here it stands for the source's."""
    moved = small(entry("plain"), name="level", source={"slot": "s_level", "publication": "p_level"})
    moved.rewrite(connect=own_connector(moved))
    server = with_database(shared.stack.target_url, "postgres")
    elsewhere = {"SOURCE_URL": planted(server)}
    try:
        execute(server, "ALTER SYSTEM SET wal_level = replica")
        restart_target(shared.stack)
        code, said = moved.told("connector", "apply", env=elsewhere)
    finally:
        execute(server, "ALTER SYSTEM RESET wal_level")
        restart_target(shared.stack)
    assert code == 2, said
    level, table = said.splitlines()
    check_line(level, r"yaml:\d+:\d+: source\.url: wal_level is replica; ALTER SYSTEM SET wal_level = logical, then")
    check_line(table, r"yaml:\d+:\d+: tables\.0\.from: public\.plain: there is no such table; ")


def restart_target(stack: Stack) -> None:
    stack.stop("target")
    stack.start("target")


def own_connector(moved: Small) -> dict[str, str]:
    return {"url": moved.databases.stack.connect_url, "connector": f"changeover-{moved.databases.name}"}


def test_missing_grants_are_named_with_the_statement_that_mends_them(small: Make, shared: Databases) -> None:
    """What the lines say is carried out, until it runs: on both sides, without reading anything else."""
    role = f"poor_{shared.name}"
    moved = small(entry("granted"))
    sides = {"source": shared.source_url, "target": shared.target_url}
    for side, url in sides.items():
        execute(url, f"CREATE ROLE {role} LOGIN PASSWORD 'pl4nted'")
        moved.extra_env[f"{side.upper()}_URL"] = re.sub("//[^@]+@", f"//{role}:pl4nted@", url)
    code, said = moved.told("run")
    assert code == 2, said
    source, target = said.splitlines()
    check_line(source, r"changeover\.yaml:\d+:\d+: tables\.0\.from: the role may not SELECT on public\.granted; ")
    check_line(target, r"tables\.0\.to: the role may not SELECT, INSERT, UPDATE, DELETE on app\.granted; ")
    for line, url in ((source, shared.source_url), (target, shared.target_url)):
        execute(url, *re.findall("GRANT [^;]+", line))
    says = rf"target [^ ]+: permission denied for database {shared.name}; "
    schema = f"GRANT ALL ON SCHEMA changeover TO {role}; GRANT ALL ON ALL TABLES IN SCHEMA changeover TO {role}"
    if value(shared.target_url, "SELECT to_regnamespace('changeover') IS NULL"):
        line = moved.refused("run", says=says)
        execute(shared.target_url, *re.findall("GRANT [^;]+", line))
    else:
        moved.refused(
            "run", says=r"permission denied for schema changeover; GRANT USAGE, CREATE ON SCHEMA changeover TO "
        )
        execute(shared.target_url, schema)
    caught_up(moved, "granted")
    daemon = moved.start()
    try:
        moved.wait_lag_zero(daemon)
        execute(shared.target_url, f"REVOKE DELETE ON app.granted FROM {role}")
        execute(shared.source_url, "DELETE FROM granted WHERE id < 5")
        assert until(lambda: daemon.exit_code, 60, lambda: f"its end: {daemon.output()}") == 1, daemon.output()
        check_line(
            clean(daemon.output(1000)).splitlines()[-1], "permission denied for table granted; GRANT .*new start"
        )
    finally:
        daemon.end()
    line = moved.refused("run", code=2, says=r"may not DELETE on app\.granted; GRANT DELETE ON app\.granted TO ")
    execute(shared.target_url, *re.findall("GRANT [^;]+", line))
    caught_up(moved, "granted")


def test_a_topic_that_is_not_there(small: Make) -> None:
    moved = small(entry("plain"), source={"topic_prefix": "elsewhere"})
    moved.refused("run", says=r"kafka [^ ]+: no topic elsewhere\.message, elsewhere\.public\.plain; .*connector apply")


def test_a_target_table_that_is_not_empty(small: Make, shared: Databases) -> None:
    moved = small(entry("filled"))
    execute(shared.target_url, "INSERT INTO app.filled VALUES (7000, 'mine', 1, NULL)")
    line = moved.refused("run", code=2, says=r"changeover\.yaml:\d+:\d+: tables\.0\.to: .*app\.filled has rows; ")
    assert "empty it" in line
    assert "if_not_empty: keep" in line
    moved.rewrite(tables=[entry("filled", if_not_empty="keep")])
    with moved.run() as daemon:
        moved.wait_lag_zero(daemon)
        moved.ends(daemon)
    assert value(shared.target_url, "SELECT count(*) FROM app.filled") == ROWS + 1
    assert value(shared.target_url, "SELECT name FROM app.filled WHERE id = 7000") == "mine"


# -- a mapping that changes --------------------------------------------------------------------------------------------


def test_a_changed_mapping_is_refused_until_somebody_decides(small: Make, shared: Databases) -> None:
    moved = small(entry("changed"))
    caught_up(moved, "changed")
    shout = {"name": "upper(coalesce(v, ''))", "amount": "cast(n as numeric(10,2))"}
    moved.rewrite(tables=[entry("changed", columns=shout)])
    line = moved.refused("run", code=2, says=r"changeover\.yaml:\d+:\d+: tables\.0: the mapping of .* changed")
    assert "--rebackfill app.changed" in line
    assert "--accept-mapping app.changed" in line
    moved.refused("run", "--accept-mapping", "app.chagned", says="no target table app.chagned.*; .*app.changed")

    execute(shared.source_url, "UPDATE changed SET v = 'new' || id WHERE id <= 10")
    with moved.run("run", "--accept-mapping", "app.changed") as daemon:
        moved.wait_lag_zero(daemon)
        moved.ends(daemon)
    names = "SELECT string_agg(DISTINCT left(name, 1), '' ORDER BY left(name, 1)) FROM app.changed"
    assert value(shared.target_url, f"{names} WHERE id <= 10") == "N"
    assert value(shared.target_url, f"{names} WHERE id > 10") == "v"

    moved.rewrite(tables=[entry("changed", columns={**shout, "more": "'again'"})])
    moved.refused("run", code=2, says="--rebackfill")
    with moved.run("run", "--rebackfill", "app.changed") as daemon:
        moved.wait_lag_zero(daemon)
        moved.ends(daemon)
    assert value(shared.target_url, f"{names} WHERE more = 'again'") == "NV"
    assert value(shared.target_url, "SELECT count(*) FROM app.changed WHERE more = 'again'") == ROWS
    assert moved.status().balanced


# -- events that cannot be ---------------------------------------------------------------------------------------------


def delivered(moved: Small) -> None:
    """Everything that is committed at the source is in the topics."""
    with open_url(moved.databases.source_url) as source:
        source.execute("SELECT pg_logical_emit_message(true, 'changeover', '{\"kind\": \"sentinel\"}')")
        row = source.execute("SELECT pg_current_wal_insert_lsn()").fetchone()
        query = "SELECT confirmed_flush_lsn >= %s FROM pg_replication_slots WHERE slot_name = %s"
        slot = f"changeover_{moved.databases.shared.name}"  # type: ignore[attr-defined]
        until(lambda: (source.execute(query, (row[0], slot)).fetchone() or [0])[0], 60, "the connector's position")


def produce(stack: Stack, topic: str, partition: int, event: bytes) -> int:
    """Put a message into a topic by hand; returns its offset."""
    offsets: list[int] = []
    producer = Producer({"bootstrap.servers": stack.kafka, "linger.ms": 0})
    producer.produce(topic, event, partition=partition, on_delivery=lambda _, message: offsets.append(message.offset()))
    assert producer.flush(30) == 0
    return offsets[0]


def keys_after(stack: Stack, topic: str, partition: int, offset: int) -> set[int]:
    """The ids of the rows whose events stand behind an offset."""
    consumer = Consumer({"bootstrap.servers": stack.kafka, "group.id": "reader", "enable.partition.eof": True})
    consumer.assign([TopicPartition(topic, partition, offset)])
    try:
        found: set[int] = set()
        while True:
            message = consumer.poll(30)
            assert message is not None
            if message.error() is not None:
                return found
            found.add(json.loads(message.value())["after"]["id"])
    finally:
        consumer.close()


MALFORMED = {
    "no JSON": b'{"op": "u", "after": {',
    "no envelope": b'{"id": 3, "v": "x", "n": 1}',
    "wrong value": json.dumps(
        {
            "op": "u",
            "before": None,
            "after": {"id": 3, "v": "x", "n": "many"},
            "source": {"ts_ms": 1, "txId": 1, "sequence": '["1","2"]'},
        }
    ).encode(),
}


def test_a_malformed_event_stops_the_pipeline_right_there(small: Make, shared: Databases) -> None:
    """What is before it is applied, nothing of its partition behind it, and it goes on once it is mended."""
    moved = small(entry("poison"), stream={"batch_rows_max": 50, "buffer_rows_max": 100})
    caught_up(moved, "poison")
    topic = f"{shared.name}.public.poison"
    for number, (kind, event) in enumerate(MALFORMED.items()):
        execute(shared.source_url, *(f"UPDATE poison SET v = 'before {number}-{i}'" for i in range(3)))
        delivered(moved)
        offset = produce(shared.stack, topic, 0, event)
        execute(shared.source_url, f"UPDATE poison SET v = 'behind {number}'")
        delivered(moved)
        behind = keys_after(shared.stack, topic, 0, offset + 1)
        assert 0 < len(behind) < ROWS

        says = rf"{re.escape(topic)}\[0\] offset {offset}: public\.poison: .*; .*docs/errors\.md"
        line = moved.stops(says=says)
        assert position(shared, moved, topic) == offset, f"{kind}: what is before it was not applied: {line}"
        names = dict(rows(shared, "SELECT id, name FROM app.poison"))
        assert {names[row] for row in behind} == {f"before {number}-2"}, kind
        assert moved.stops(says=says) == line, "the second start says something else"

        statement = documented("### Leaving an event out")
        for name, text in {
            "PIPELINE": moved.databases.name,
            "TOPIC": topic,
            "PARTITION": "0",
            "OFFSET": str(offset),
        }.items():
            statement = statement.replace(f"<{name}>", text)
        execute(shared.target_url, statement)
        caught_up(moved, "poison")


def position(shared: Databases, moved: Small, topic: str, partition: int = 0) -> int:
    """The next offset that the target has."""
    where = f"pipeline = '{moved.databases.name}' AND topic = '{topic}' AND partition = {partition}"
    return int(value(shared.target_url, f"SELECT next_offset FROM changeover.checkpoint WHERE {where}"))


def rows(shared: Databases, query: str) -> list[Any]:
    with open_url(shared.target_url) as target:
        return target.execute(query.encode()).fetchall()


def test_a_value_that_the_target_does_not_take(small: Make, shared: Databases) -> None:
    """It is one event's fault: what is before it is applied, and the line says which event it is."""
    execute(shared.target_url, "ALTER TABLE app.bound ADD CONSTRAINT low CHECK (amount < 1000)")
    moved = small(entry("bound"), dead_letters={"max": 0})
    caught_up(moved, "bound")
    topic = f"{shared.name}.public.bound"
    execute(
        shared.source_url,
        "UPDATE bound SET v = 'before'",
        "UPDATE bound SET n = 5000 WHERE id = 77",
        "UPDATE bound SET v = 'behind'",
    )
    delivered(moved)
    line = moved.stops(says=rf"{re.escape(topic)}\[(0|1)\] offset \d+: .*violates check constraint .*low.*; ")
    partition, offset = re.search(r"\[(\d)\] offset (\d+): ", line).groups()  # type: ignore[union-attr]
    assert position(shared, moved, topic, int(partition)) == int(offset)
    assert 77 in keys_after(shared.stack, topic, int(partition), int(offset))
    assert "5000" not in line, "a row's value is shown"
    assert value(shared.target_url, "SELECT count(*) FROM app.bound WHERE id = 77 AND name = 'before'") == 1
    execute(shared.target_url, "ALTER TABLE app.bound DROP CONSTRAINT low")
    caught_up(moved, "bound")


def test_a_value_that_the_target_does_not_take_in_the_backfill(small: Make, shared: Databases) -> None:
    execute(shared.source_url, "UPDATE late SET n = 5000 WHERE id = 77")
    execute(shared.target_url, "ALTER TABLE app.late ADD CONSTRAINT low CHECK (amount < 1000)")
    moved = small(entry("late"), dead_letters={"max": 0})
    line = moved.stops(says=r"target .*table late.*violates check constraint .*low.*; .*chunk")
    assert "5000" not in line, "a row's value is shown"
    execute(shared.target_url, "ALTER TABLE app.late DROP CONSTRAINT low")
    caught_up(moved, "late")


# -- a source that changes ---------------------------------------------------------------------------------------------


def test_a_new_column_stops_the_pipeline_until_it_is_started_with_it(small: Make, shared: Databases) -> None:
    moved = small(entry("grown"))
    daemon = moved.start()
    try:
        moved.wait_lag_zero(daemon)
        execute(
            shared.source_url,
            "UPDATE grown SET v = 'old shape'",
            "ALTER TABLE grown ADD COLUMN extra text DEFAULT 'x'",
            "UPDATE grown SET v = 'new shape' WHERE id > 20",
        )
        assert until(lambda: daemon.exit_code, 60, lambda: f"its end: {daemon.output()}") == 1, daemon.output()
        line = check_line(
            clean(daemon.output(1000)).splitlines()[-1], r"public\.grown\[\d\] offset \d+: .*column extra"
        )
        assert "restart" in line
    finally:
        daemon.end()
    caught_up(moved, "grown")
    with moved.run() as daemon:
        execute(shared.source_url, "INSERT INTO grown VALUES (1001, 'w', 5, NULL)", "DELETE FROM grown WHERE id = 3")
        moved.verify([question("grown")], daemon)
        moved.ends(daemon)


def test_a_dropped_column_that_is_in_use(small: Make, shared: Databases) -> None:
    """The stream stops, the start says what is gone, and with a mapping without it the pipeline goes on."""
    moved = small(entry("shrunk"))
    daemon = moved.start()
    try:
        moved.wait_lag_zero(daemon)
        execute(shared.source_url, "ALTER TABLE shrunk DROP COLUMN v", "UPDATE shrunk SET n = 9 WHERE id > 20")
        assert until(lambda: daemon.exit_code, 60, lambda: f"its end: {daemon.output()}") == 1, daemon.output()
        check_line(clean(daemon.output(1000)).splitlines()[-1], r"public\.shrunk\[\d\] offset \d+: .*column v.*; ")
    finally:
        daemon.end()
    moved.refused("run", code=2, says=r"changeover\.yaml:\d+:\d+: tables\.0\.columns\.name: .*no column v")
    columns = {"name": "'gone'", "amount": "cast(n as numeric(10,2))"}
    moved.rewrite(tables=[entry("shrunk", columns=columns)])
    moved.refused("run", code=2, says="--accept-mapping app.shrunk")
    with moved.run("run", "--accept-mapping", "app.shrunk") as daemon:
        moved.wait_lag_zero(daemon)
        moved.ends(daemon)
    query = "SELECT string_agg(DISTINCT name || amount, ',') FROM app.shrunk WHERE id > 20"
    assert value(shared.target_url, query) == "gone9.00"
    assert value(shared.target_url, "SELECT count(*) FROM app.shrunk") == ROWS


def test_columns_that_change_while_nobody_streams(small: Make, shared: Databases) -> None:
    """Events from before the change are in the topic with the old columns; the catalogue has the new ones."""
    moved = small(entry("plain"), name="asleep")
    caught_up(moved, "plain")
    execute(
        shared.source_url,
        "ALTER TABLE plain ADD COLUMN passing text DEFAULT 'p'",
        "UPDATE plain SET v = 'one' WHERE id < 50",
        "ALTER TABLE plain RENAME COLUMN passing TO passed",
        "UPDATE plain SET v = 'two' WHERE id < 40",
        "ALTER TABLE plain DROP COLUMN passed",
        "UPDATE plain SET v = 'three' WHERE id < 30",
        "DELETE FROM plain WHERE id < 10",
    )
    caught_up(moved, "plain")


# -- what is lost ------------------------------------------------------------------------------------------------------


def test_a_slot_that_was_dropped(databases: Databases, warm: Factory, tmp_path: Path) -> None:
    """Changes may be gone for ever: the daemon stops, and nothing but a new beginning goes on."""
    plant(databases.stack)
    execute(databases.source_url, SOURCE_SQL.format("lost", ROWS))
    execute(databases.target_url, "CREATE SCHEMA app", TARGET_SQL.format("lost"))
    moved = Small(Place(databases.name, databases), tmp_path, [entry("lost")])
    moved.program, moved.launch = (), warm.launch
    moved.command("connector", "apply")
    slot = f"changeover_{databases.name}"
    daemon = moved.start()
    try:
        moved.wait_lag_zero(daemon)
        connector = f"/connectors/changeover-{databases.name}"
        call_connect(databases.stack, "PUT", f"{connector}/stop")
        execute(
            databases.source_url,
            "UPDATE lost SET v = 'seen by nobody' WHERE id < 5",
            "DO $$ BEGIN FOR i IN 1..200 LOOP IF EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = "
            f"'{slot}' AND active) THEN PERFORM pg_sleep(0.1); END IF; END LOOP; END $$",
            f"SELECT pg_drop_replication_slot('{slot}')",
        )
        assert until(lambda: daemon.exit_code, 60, lambda: f"its end: {daemon.output()}") == 1, daemon.output()
        says = rf"source [^ ]+: .*replication slot {slot}.*; .*"
        check_line(clean(daemon.output(1000)).splitlines()[-1], says)
    finally:
        daemon.end()
    moved.refused("run", says=says)
    says = rf"replication slot {slot}: .*gone.*; .*connector delete.*connector apply.*--anew"
    moved.refused("connector", "apply", says=says)
    moved.command("connector", "delete")
    moved.command("connector", "apply")
    moved.refused("run", says=r"source [^ ]+: the connector was deleted since .*; .*--anew")
    with moved.run("run", "--anew") as daemon:
        moved.verify([question("lost")], daemon)
        moved.ends(daemon)
    caught_up(moved, "lost")


# -- servers that go and come back -------------------------------------------------------------------------------------


def test_run_waits_for_what_is_away_and_says_so(small: Make, shared: Databases) -> None:
    """Source, target and broker come back one after the other; it goes on by itself, also when one goes again."""
    source, target = Line.of(shared.source_url), Line.of(shared.target_url)
    kafka = Line.of(f"kafka://{shared.stack.kafka}")
    moved = small(entry("cut"), kafka={"bootstrap_servers": f"127.0.0.1:{kafka.port}"}, http={"port": closed_port()})
    direct = dict(moved.extra_env)
    moved.extra_env = {
        "SOURCE_URL": at_port(direct["SOURCE_URL"], source.port),
        "TARGET_URL": at_port(direct["TARGET_URL"], target.port),
    }
    http = f"http://127.0.0.1:{closed_http(moved)}"
    with moved.run() as daemon:

        def waits_for(words: str) -> None:
            says = re.compile(rf"trying again: {words}")
            moved.until(daemon, lambda: says.search(daemon.output(3)), 60, f"that it waits for {words}")
            status = ask(f"{http}/status")
            assert re.search(words, json.dumps(status)), status
            assert ask(f"{http}/livez")["live"], "it waits, but is said to be dead"

        waits_for(f"source 127.0.0.1:{source.port}")
        source.open()
        waits_for(f"target 127.0.0.1:{target.port}")
        target.open()
        waits_for(f"kafka 127.0.0.1:{kafka.port}")
        kafka.open()
        moved.until(daemon, moved.chunks_done, 60, "the backfill")
        moved.extra_env = direct
        moved.wait_lag_zero(daemon)
        for line, side in ((source, "source"), (target, "target")):
            line.close()
            execute(shared.source_url, f"UPDATE cut SET v = 'while the {side} was away' WHERE id % 3 = 0")
            waits_for(f"{side} 127.0.0.1:{line.port}")
            line.open()
            moved.wait_lag_zero(daemon)
        moved.verify([question("cut")], daemon)
        metrics = ask(f"{http}/metrics")
        assert "changeover_transient_errors_total" in metrics
        moved.ends(daemon)


def closed_http(moved: Small) -> int:
    import yaml

    return int(yaml.safe_load(moved.config.read_text())["http"]["port"])


def ask(url: str) -> Any:
    """What the daemon answers; nothing of it is secret."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=30) as answer:
            text = answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            text = error.read().decode()
    clean(text)
    return text if url.endswith("/metrics") else json.loads(text)


# -- on demand ---------------------------------------------------------------------------------------------------------


def test_a_traceback_is_shown_when_asked_for_and_shows_no_secret(small: Make, shared: Databases) -> None:
    moved = small(entry("shown"))
    moved.extra_env["SOURCE_URL"] = planted(shared.source_url).replace("pl4nted", "pl4nted-wrong")
    done = moved.call("--traceback", "status")
    assert "Traceback (most recent call last)" in done.said
    assert done.code == 1
    assert not any(form in done.said for form in SHOWN_FORMS), done.said
    moved.rewrite(tables=[entry("nowhere")])
    moved.extra_env["SOURCE_URL"] = planted(shared.source_url)
    done = moved.call("--traceback", "run")
    assert "Traceback (most recent call last)" in done.said
    assert done.code == 2, "a traceback changes the exit code"
