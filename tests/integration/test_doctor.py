"""`doctor` on the real stack: every check is broken, seen, mended as the report says, and seen ok again.

Settings of a whole server are left alone here: others share it (tests/unit/test_doctor.py judges those).
"""

from __future__ import annotations

import json
import os
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import psycopg
import pytest
import yaml
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType

from connectors.postgresql.doctor import READ_ONLY
from tests.support.clinic import Clinic, Line, Report
from tests.support.databases import Databases, call_connect, open_url
from tests.support.polling import until
from tests.support.stack import Stack
from tests.support.warm import Factory

SOON_S = 60


@pytest.fixture(scope="module")
def fresh(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    """A pipeline of which nothing was made yet."""
    databases = Databases(stack, f"doc{os.getpid()}")
    with Factory() as warm:
        made = Clinic(databases, tmp_path_factory.mktemp("clinic"), warm)
        try:
            yield made
        finally:
            made.drop()


@pytest.fixture(scope="module")
def clinic(fresh: Clinic) -> Clinic:
    """The pipeline once it was applied, run and stopped: all in order but for its servers' settings."""
    fresh.owner("connector", "apply")
    fresh.moved()
    return fresh


@pytest.fixture(scope="module")
def well(clinic: Clinic) -> Report:
    """What the doctor says while all is in order."""
    return clinic.doctor()


def healed(clinic: Clinic, well: Report) -> None:
    """Nothing is worse than it was; a connector may need a moment for that."""
    until(lambda: not clinic.doctor().more(well), SOON_S, lambda: f"all is well: {clinic.doctor().more(well)}")


# -- before the start --------------------------------------------------------------------------------------------------


def test_what_is_not_made_yet_is_said_and_made_by_what_is_said(fresh: Clinic) -> None:
    before = fresh.doctor()
    assert before.code == 1
    prefix = fresh.databases.name
    topics = {f"{prefix}.public.{table}" for table in ("users", "orders", "parts", "items")}
    topics |= {f"{prefix}.message", f"__debezium-heartbeat.{prefix}"}
    expected = {("source", "slot", ""), ("source", "publication", ""), ("connect", "connector", "")}
    expected |= {("kafka", "topics", topic) for topic in topics}
    failed = {line: seen for line, seen in before.lines.items() if seen.level == "fail"}
    assert failed.keys() == expected
    assert {seen.mend for seen in failed.values()} == {"changeover connector apply"}
    fresh.mend(failed)
    after = fresh.doctor()
    assert (after.code, after.worst) == (0, "warn"), after.bad
    assert fresh.doctor("--strict").code == 1

    fresh.target("INSERT INTO app.orders VALUES ('someone', 1)")
    fresh.rewrite(kafka={"partitions": 5})
    found = fresh.doctor().more(after)
    tables = {("kafka", "partitions", topic) for topic in topics if ".public." in topic}
    assert found.keys() == {("target", "empty", "app.orders"), *tables}
    fresh.mend(found)
    assert not fresh.doctor().more(after)


def test_a_healthy_pipeline_fails_nowhere_and_soon(clinic: Clinic) -> None:
    began = time.monotonic()
    report = clinic.doctor()
    assert time.monotonic() - began < 5
    assert report.code == 0
    assert report.bad.keys() <= {("source", "slot limit", "max_slot_wal_keep_size")}, report.bad
    skipped = {line for line, seen in report.lines.items() if seen.level == "skipped"}
    assert skipped == {("registry", "reachable", "")}
    only = clinic.doctor("--area", "kafka", "--area", "mapping")
    assert {area for area, _, _ in only.lines} == {"kafka", "mapping"}
    said = clinic.pipeline.call("doctor").said
    assert "\033" not in said
    assert "0 fail" in said.splitlines()[-1]


def test_its_sessions_cannot_write_and_wait_for_no_lock(clinic: Clinic, well: Report) -> None:
    for name, table in (("source", "users"), ("target", "app.users")):
        url = getattr(clinic.databases, f"{name}_url")
        with psycopg.connect(url) as connection:
            connection.execute(f"LOCK TABLE {table}".encode())
            began = time.monotonic()
            found = clinic.doctor().more(well)
            assert time.monotonic() - began < 8
            assert found.keys() == {(name, "reachable", "")}
            assert "lock timeout" in found[name, "reachable", ""].seen
        settings_ = " ".join(f"-c {setting}={value}" for setting, value in READ_ONLY.items())
        with (
            psycopg.connect(url, options=settings_) as connection,
            pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
        ):
            connection.execute(f"DELETE FROM {table}".encode())


# -- one thing after another -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Broken:
    """A thing to break. bad: the lines that become warn or fail. after: lines that may follow from them.

    do: done to the clinic; what it returns is closed once all is seen. mended: what a person does where the report
    gives no statement. The report's own mends are carried out in its order.
    """

    name: str
    do: Callable[[Clinic], Any]
    bad: Mapping[Line, str]
    after: frozenset[tuple[str, str]] = frozenset()
    arguments: Sequence[str] = ()
    mended: Callable[[Clinic], Any] | None = None
    tidy: Callable[[Clinic], Any] = field(default=lambda clinic: None)

    @property
    def bound_s(self) -> float:
        """A connector takes its time; anything else is there at once."""
        return SOON_S if ("source", "slot") in self.after or ("connect", "as configured") in self.after else 5


def at_source(*statements: str) -> Callable[[Clinic], None]:
    return lambda clinic: clinic.source(*(clinic.named(statement) for statement in statements))


def at_target(*statements: str) -> Callable[[Clinic], None]:
    return lambda clinic: clinic.target(*(clinic.named(statement) for statement in statements))


def topic_set(table: str, **settings: str) -> Callable[[Clinic], None]:
    def change(clinic: Clinic) -> None:
        resource = ConfigResource(ResourceType.TOPIC, f"{clinic.databases.name}.public.{table}")
        for name, value in settings.items():
            resource.add_incremental_config(
                ConfigEntry(name.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
            )
        client = admin(clinic)
        for future in client.incremental_alter_configs([resource]).values():
            future.result(30)

    return change


def admin(clinic: Clinic) -> AdminClient:
    return AdminClient({"bootstrap.servers": clinic.stack.kafka})


def connector(clinic: Clinic, path: str = "") -> str:
    return f"/connectors/changeover-{clinic.databases.name}{path}"


def settings_put(**changed: str | None) -> Callable[[Clinic], None]:
    """Change the connector's settings behind our back; None takes one out. The dots of a name are written __."""

    def change(clinic: Clinic) -> None:
        config = call_connect(clinic.stack, "GET", connector(clinic, "/config"))
        assert isinstance(config, dict)
        wanted = config | {name.replace("__", "."): value for name, value in changed.items()}
        put(clinic, connector(clinic, "/config"), {name: value for name, value in wanted.items() if value is not None})

    return change


def put(clinic: Clinic, path: str, body: object) -> None:
    data, head = json.dumps(body).encode(), {"Content-Type": "application/json"}
    request = urllib.request.Request(clinic.stack.connect_url + path, data=data, method="PUT", headers=head)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
        answer.read()


def rest(method: str, path: str) -> Callable[[Clinic], None]:
    def call(clinic: Clinic) -> None:
        call_connect(clinic.stack, method, connector(clinic, path))

    return call


def held_open(clinic: Clinic) -> psycopg.Connection:
    connection = psycopg.connect(clinic.databases.source_url)
    connection.execute("SELECT pg_current_xact_id()")
    return connection


def prepared(clinic: Clinic) -> None:
    with psycopg.connect(clinic.databases.source_url) as connection:
        connection.execute("INSERT INTO extra VALUES (1)")
        connection.execute(f"PREPARE TRANSACTION '{clinic.databases.name}'".encode())


def source(check: str, about: str = "", level: str = "fail") -> dict[Line, str]:
    return {("source", check, about): level}


def target(check: str, about: str = "", level: str = "fail") -> dict[Line, str]:
    return {("target", check, about): level}


def left(table: str) -> dict[Line, str]:
    return {("pipeline", "source tables", table): "fail"}


def topic(check: str, table: str, level: str = "fail") -> dict[Line, str]:
    return {("kafka", check, f"@.public.{table}"): level}


def settings(*names: str, level: str = "fail") -> dict[Line, str]:
    return {("connect", "settings", name): level for name in names}


CHANGED = {
    "skipped__operations": "t",
    "errors__tolerance": "all",
    "event__converting__failure__handling__mode": "warn",
    "event__processing__failure__handling__mode": "skip",
    "decimal__handling__mode": "double",
    "binary__handling__mode": "base64",
    "time__precision__mode": "adaptive",
    "value__converter__replace__null__with__default": "true",
    "unavailable__value__placeholder": "?",
    "message__prefix__include__list": "other",
    "table__include__list": r"public\.users",
    "column__exclude__list": r"public\.users\.note",
    "column__mask__with__4__chars": r"public\.users\.name",
    "transforms": "route",
    "transforms__route__type": "org.apache.kafka.connect.transforms.RegexRouter",
    "transforms__route__regex": "nothing",
    "transforms__route__replacement": "nothing",
    "field__name__adjustment__mode": "avro",
}
HARMFUL = tuple(name.replace("__", ".") for name in CHANGED if "route__" not in name)

CASES = (
    Broken("role", at_source("ALTER ROLE @_from NOREPLICATION"), source("replication role")),
    Broken("grants", at_source("REVOKE SELECT ON users, orders FROM @_from"),
           source("grants", "public.users") | source("grants", "public.orders")),
    Broken("schema usage", at_source("REVOKE USAGE ON SCHEMA public FROM PUBLIC"),
           {("source", "grants", f"public.{t}"): "fail" for t in ("users", "orders", "parts", "items")}),
    Broken("identity nothing", at_source("ALTER TABLE users REPLICA IDENTITY NOTHING"), source("keys", "public.users")),
    Broken("partition identity", at_source("ALTER TABLE parts_1 REPLICA IDENTITY FULL"),
           source("partitions", "public.parts")),
    Broken("unlogged", at_source("ALTER PUBLICATION changeover_@ DROP TABLE orders", "ALTER TABLE orders SET UNLOGGED"),
           source("unlogged", "public.orders") | source("published tables", "public.orders") | left("public.orders")),
    Broken("row security", at_source("ALTER TABLE orders ENABLE ROW LEVEL SECURITY"),
           source("row security", "public.orders"), tidy=at_source("ALTER TABLE orders DISABLE ROW LEVEL SECURITY")),
    Broken("not published", at_source("ALTER PUBLICATION changeover_@ DROP TABLE users"),
           source("published tables", "public.users") | left("public.users")),
    Broken("published in part", at_source("ALTER PUBLICATION changeover_@ DROP TABLE items",
                                          "ALTER PUBLICATION changeover_@ ADD TABLE ONLY items (id, sku)"),
           source("published tables", "public.items") | left("public.items")),
    Broken("altered", at_source("ALTER TABLE items ALTER COLUMN user_id TYPE bigint USING user_id + 0"),
           left("public.items")),
    Broken("published too much", at_source("ALTER PUBLICATION changeover_@ ADD TABLE extra"),
           source("published tables", "", "warn")),
    Broken("operations", at_source("ALTER PUBLICATION changeover_@ SET (publish = 'insert')"), source("publication")),
    Broken("sessions", at_source("REVOKE pg_read_all_stats FROM @_from"), source("sessions visible", "", "warn")),
    Broken("long transaction", held_open, source("long transactions", "*", "warn"),
           arguments=("--old-transaction", "0.3")),
    Broken("prepared transaction", prepared, source("prepared transactions", "@", "warn"),
           arguments=("--old-transaction", "0.3")),
    Broken("target grants", at_target("REVOKE INSERT, DELETE ON app.users FROM @_to"), target("grants", "app.users")),
    Broken("temporary", at_target("REVOKE TEMPORARY ON DATABASE @ FROM @_to"), target("rights", "TEMPORARY")),
    Broken("control schema", at_target("REVOKE USAGE ON SCHEMA changeover FROM @_to"), target("rights", "schema"),
           after=frozenset((("target", "control schema"), ("target", "rights")))),
    Broken("control tables", at_target("REVOKE UPDATE ON changeover.chunk FROM @_to"),
           target("rights", "control tables")),
    Broken("foreign keys", at_target("REVOKE SET ON PARAMETER session_replication_role FROM @_to"),
           target("foreign keys", "app.items")),
    Broken("trigger always", at_target("CREATE TRIGGER again BEFORE INSERT ON app.users FOR EACH ROW"
                                       " EXECUTE FUNCTION app.nothing()",
                                       "ALTER TABLE app.users ENABLE ALWAYS TRIGGER again"),
           target("triggers", "app.users.again", "warn")),
    Broken("trigger fires", at_target("REVOKE SET ON PARAMETER session_replication_role FROM @_to"),
           target("triggers", "app.users.again", "warn") | target("foreign keys", "app.items"),
           tidy=at_target("DROP TRIGGER again ON app.users")),
    Broken("target unlogged", at_target("ALTER TABLE app.orders SET UNLOGGED"), target("unlogged", "app.orders")),
    Broken("target row security", at_target("ALTER TABLE app.orders ENABLE ROW LEVEL SECURITY"),
           target("row security", "app.orders"), tidy=at_target("ALTER TABLE app.orders DISABLE ROW LEVEL SECURITY")),
    Broken("unique index", at_target("CREATE UNIQUE INDEX one_name ON app.users (name)"),
           target("unique constraints", "app.users.one_name", "warn"), tidy=at_target("DROP INDEX app.one_name")),
    Broken("unique expression", at_target("CREATE UNIQUE INDEX one_mail ON app.users (lower(email))"),
           target("unique constraints", "app.users.one_mail", "warn")),
    Broken("exclusion", at_target("ALTER TABLE app.orders ADD CONSTRAINT alone EXCLUDE (total WITH =)"),
           target("unique constraints", "app.orders.alone", "warn")),
    Broken("check constraint", at_target("ALTER TABLE app.orders ADD CONSTRAINT small CHECK (total < 1000)"),
           target("check constraints", "app.orders.small", "warn")),
    Broken("citext", at_target("CREATE EXTENSION citext WITH SCHEMA app",
                               "ALTER TABLE app.orders ALTER COLUMN code TYPE app.citext"),
           target("collations", "app.orders.code"),
           after=frozenset((("mapping", "resolves"), ("pipeline", "mappings")))),
    Broken("citext in a unique column", at_target("ALTER TABLE app.users ALTER COLUMN email TYPE app.citext"),
           target("collations", "app.users.email", "warn"),
           after=frozenset((("mapping", "resolves"), ("pipeline", "mappings")))),
    Broken("key index", at_target("ALTER TABLE app.orders DROP CONSTRAINT orders_pkey, ADD PRIMARY KEY (code)"
                                  " DEFERRABLE"), target("key index", "app.orders")),
    Broken("lookup index", at_target("DROP INDEX app.items_id"), target("lookup index", "app.items", "warn")),
    Broken("connections", at_target("ALTER ROLE @_to CONNECTION LIMIT 6"), target("connections", "", "warn")),
    Broken("newer control schema", at_target("INSERT INTO changeover.schema_version VALUES (99)"),
           target("control schema"), mended=at_target("DELETE FROM changeover.schema_version WHERE version = 99")),
    Broken("paused", at_target("UPDATE changeover.table_state SET paused = true WHERE table_name = 'public.users'"),
           {("pipeline", "paused", "public.users"): "warn"}),
    Broken("suspicion", at_target("UPDATE changeover.pipeline SET suspicion = '{}'"),
           {("pipeline", "suspicion", ""): "warn"},
           mended=at_target("UPDATE changeover.pipeline SET suspicion = NULL")),
    Broken("dead letter", at_target("INSERT INTO changeover.dead_letter (pipeline, table_name, key, reason, error)"
                                    " VALUES ('@', 'public.users', '[\"1\"]', 'constraint', 'x')"),
           {("pipeline", "dead letters", "public.users"): "warn"}),
    Broken("difference", at_target("INSERT INTO changeover.finding"
                                   " (pipeline, entry, table_name, source_key, target_key, kind) VALUES ('@',"
                                   " 'public.users -> app.users', 'public.users', '[\"1\"]', '[\"1\"]', 'different')"),
           {("pipeline", "differences", "public.users"): "warn"}),
    Broken("ledger", at_target("UPDATE changeover.checkpoint SET consumed = consumed + 1 WHERE topic = '@.message'"),
           {("pipeline", "ledger", "@.message[0]"): "fail"},
           mended=at_target("UPDATE changeover.checkpoint SET consumed = consumed - 1 WHERE topic = '@.message'")),
    Broken("other source", at_target("UPDATE changeover.pipeline SET source_id = 'x/' || source_id"),
           source("same database"),
           mended=at_target("UPDATE changeover.pipeline SET source_id = substr(source_id, 3)")),
    Broken("compaction", topic_set("users", cleanup_policy="compact"), topic("cleanup policy", "users")),
    Broken("retention", topic_set("orders", retention_ms="60000"), topic("retention", "orders", "warn")),
    Broken("retention by size", topic_set("orders", retention_bytes="1000"),
           topic("retention by size", "orders", "warn")),
    Broken("message size", topic_set("parts", max_message_bytes="1000"), topic("message size", "parts", "warn")),
    Broken("copies", topic_set("items", min_insync_replicas="2"), topic("copies", "items")),
    Broken("stopped", rest("PUT", "/stop"), {("connect", "running", ""): "fail"},
           after=frozenset((("source", "slot"),))),
    Broken("paused connector", rest("PUT", "/pause"), {("connect", "running", ""): "fail"},
           after=frozenset((("source", "slot"),))),
    Broken("tuned", settings_put(max__batch__size="100"), {("connect", "as configured", ""): "warn"}),
    Broken("settings", settings_put(**CHANGED), settings(*HARMFUL),
           after=frozenset((("connect", "as configured"), ("connect", "running"), ("source", "slot")))),
    Broken("not exactly once", settings_put(exactly__once__support="requested", transaction__boundary=None),
           {("connect", "exactly once", ""): "warn"},
           after=frozenset((("connect", "as configured"), ("connect", "commit interval")))),
    Broken("no connector", rest("DELETE", ""), {("connect", "connector", ""): "fail"},
           after=frozenset((("source", "slot"),))),
)  # fmt: skip


@pytest.mark.parametrize("broken", CASES, ids=[case.name for case in CASES])
def test_what_is_broken_is_seen_and_its_mend_mends_it(clinic: Clinic, well: Report, broken: Broken) -> None:
    expected = {tuple(clinic.named(part) for part in line): level for line, level in broken.bad.items()}
    kept = broken.do(clinic)
    try:
        seen = until(lambda: _seen(clinic, well, broken, expected), broken.bound_s, lambda: _said(clinic, well, broken))
        if broken.mended is not None:
            broken.mended(clinic)
        else:
            clinic.mend({line: said for line, said in seen.items() if not _follows(line, broken)})
        healed(clinic, well)
    finally:
        if kept is not None:
            kept.close()
    broken.tidy(clinic)


def _seen(clinic: Clinic, well: Report, broken: Broken, expected: Mapping[Line, str]) -> dict[Line, Any]:
    """What is worse, once it is just what was expected; empty while it is not."""
    found = clinic.doctor(*broken.arguments).more(well)
    levels = {_general(line, expected): seen.level for line, seen in found.items()}
    rest_ = {line: level for line, level in levels.items() if line not in expected}
    right = all(levels.get(line) == level for line, level in expected.items())
    return found if right and all((area, name) in broken.after for area, name, _ in rest_) else {}


def _general(line: Line, expected: Mapping[Line, str]) -> Line:
    """A line about something that has no name of its own, such as a process."""
    general = (*line[:2], "*")
    return general if general in expected else line


def _follows(line: Line, broken: Broken) -> bool:
    return line[:2] in broken.after and line[:2] not in {(area, name) for area, name, _ in broken.bad}


def _said(clinic: Clinic, well: Report, broken: Broken) -> str:
    return f"{broken.name} is seen; worse is {clinic.doctor(*broken.arguments).more(well)}"


# -- the file ----------------------------------------------------------------------------------------------------------


def test_a_mapping_that_cannot_be_is_named_with_its_line(clinic: Clinic, well: Report) -> None:
    kept = clinic.pipeline.config.read_text()
    try:
        tables = yaml.safe_load(kept)["tables"]
        tables[0]["columns"]["name"] = "nmae"
        tables[1]["columns"]["total"] = "code"
        clinic.rewrite(tables=tables)
        found = clinic.doctor().more(well)
        assert {line[:2] for line in found} == {("mapping", "resolves")}
        ((_, _, place),) = [line for line in found if "name" in line[2]]
        assert f"{clinic.pipeline.config}:" in place
    finally:
        clinic.pipeline.config.write_text(kept)


def test_a_changed_mapping_is_seen_and_accepted_as_it_says(clinic: Clinic, well: Report) -> None:
    tables = yaml.safe_load(clinic.pipeline.config.read_text())["tables"]
    tables[0]["columns"]["name"] = "upper(name)"
    clinic.rewrite(tables=tables)
    found = clinic.doctor().more(well)
    assert found.keys() == {("pipeline", "mappings", "public.users -> app.users")}
    clinic.mend(found)
    healed(clinic, well)


# -- what cannot be reached --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "also"),
    [("source", {"mapping"}), ("target", {"mapping", "pipeline"}), ("kafka", set()), ("connect", set())],
)
def test_a_side_that_does_not_answer_is_one_failure(clinic: Clinic, well: Report, side: str, also: set[str]) -> None:
    kept, env = clinic.pipeline.config.read_text(), clinic.pipeline.extra_env
    nowhere = {"kafka": {"bootstrap_servers": "127.0.0.1:1"}, "connect": {"url": "http://127.0.0.1:1"}}
    try:
        if side in nowhere:
            clinic.rewrite(**{side: nowhere[side]})
        else:
            url = "postgresql://someone:pl4nted@127.0.0.1:1/none"
            clinic.pipeline.extra_env = {**env, f"{side.upper()}_URL": url}
        began = time.monotonic()
        report = clinic.doctor()
        assert time.monotonic() - began < 8
        assert report.more(well).keys() == {(side, "reachable", "")}
        skipped = [(line, seen) for line, seen in report.lines.items() if seen.level == "skipped"]
        assert all(line[0] in {side, "registry", *also} or side in seen.seen for line, seen in skipped)
        assert {f"{side} cannot be reached"} <= {seen.seen for _, seen in skipped}
        others = {"source", "target", "kafka", "connect"} - {side}
        assert all(report.lines[other, "reachable", ""].level == "ok" for other in others)
    finally:
        clinic.pipeline.config.write_text(kept)
        clinic.pipeline.extra_env = env


class _Registry(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"[]")

    def log_message(self, *_: object) -> None:
        pass


def test_a_registry_is_asked_where_there_is_one(clinic: Clinic, well: Report) -> None:
    kept = clinic.pipeline.config.read_text()
    server = HTTPServer(("127.0.0.1", 0), _Registry)
    try:
        clinic.rewrite(kafka={"schema_registry": "http://127.0.0.1:1"})
        assert clinic.doctor().more(well).keys() == {("registry", "reachable", "")}
        threading.Thread(target=server.serve_forever, daemon=True).start()
        clinic.rewrite(kafka={"schema_registry": f"http://127.0.0.1:{server.server_port}"})
        report = clinic.doctor()
        assert report.lines["registry", "reachable", ""].level == "ok"
        assert not report.more(well)
        server.shutdown()
    finally:
        server.server_close()
        clinic.pipeline.config.write_text(kept)


# -- a connector that somebody else runs -------------------------------------------------------------------------------


def test_a_foreign_connector_is_checked_and_never_changed(clinic: Clinic, well: Report) -> None:
    """The same connector, without the mark of ours and with somebody else's settings."""
    kept = clinic.pipeline.config.read_text()
    clinic.rewrite(connect={"managed": False, "connector": f"changeover-{clinic.databases.name}"})
    settings_put(changeover__pipeline=None, max__batch__size="100")(clinic)
    try:
        until(lambda: not clinic.doctor().more(well), SOON_S, lambda: str(clinic.doctor().more(well)))
        for command in ("apply", "delete"):
            done = clinic.pipeline.call("connector", command)
            assert (done.code, "somebody else's" in done.said) == (2, True), done.said
        clinic.moved()

        settings_put(**CHANGED, heartbeat__interval__ms="0")(clinic)
        found = until(lambda: clinic.doctor().more(well), SOON_S, "the settings are seen")
        assert {line for line, seen in found.items() if seen.level == "fail"} >= settings(*HARMFUL).keys()
        done = clinic.pipeline.call("run")
        assert done.code == 1
        assert all(f"{name} is " in done.said for name in HARMFUL), done.said
        worse = clinic.doctor().more(well)
        clinic.mend({line: seen for line, seen in worse.items() if line[:2] == ("connect", "settings")})
        healed(clinic, well)
        clinic.moved()
    finally:
        clinic.pipeline.config.write_text(kept)


# -- what is lost (last: it is made anew) ------------------------------------------------------------------------------


def test_what_is_lost_is_brought_back_by_starting_over(clinic: Clinic, well: Report) -> None:
    settings_put(changeover__pipeline=clinic.databases.name)(clinic)
    clinic.owner("connector", "apply")
    healed(clinic, well)
    name = f"{clinic.databases.name}.public.orders"
    client = admin(clinic)
    client.delete_topics([name])[name].result(30)
    until(lambda: ("kafka", "topics", name) in clinic.doctor().more(well), SOON_S, "the topic is missed")
    client.create_topics([NewTopic(name, 2, 1)])[name].result(30)
    found = until(lambda: _lost(clinic, well, name), SOON_S, lambda: str(clinic.doctor().more(well)))
    line = ("kafka", "same topics", name)
    clinic.mend({line: found[line]})
    healed(clinic, well)
    with open_url(clinic.databases.target_url) as connection:
        assert connection.execute("SELECT count(*) FROM app.orders").fetchone() == (50,)


def _lost(clinic: Clinic, well: Report, name: str) -> dict[Line, Any]:
    found = clinic.doctor().more(well)
    return found if ("kafka", "same topics", name) in found else {}
