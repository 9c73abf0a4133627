"""The connector's configuration, its REST client against a stand-in, waiting, and what a source must offer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from connectors.kafka.avro_converters import APICURIO, CONFLUENT, JSON
from connectors.kafka.connect import Connect, cause
from connectors.kafka.connector_config import OWNER, ConnectorSettings, connector_config
from connectors.waiting import Patience
from daemon.config.model import Config
from daemon.connector.commands import placed
from daemon.connector.plan import plan_of
from daemon.connector.setup import wanted_config
from daemon.connector.source_checks import SERVER, fragile_columns, table_problems
from mappers.errors import ConfigError, FatalError, NotReadyError, Problem, TransientError
from mappers.mapping import Column, Table

URL = "postgresql://app:p%40ss@db.example:6432/legacy?sslmode=verify-full&sslrootcert=/ca.pem"
SETTINGS = ConnectorSettings(
    pipeline="one",
    database_url=URL,
    slot="changeover_one",
    publication="pub",
    topic_prefix="legacy",
    tables={("public", "users"): ()},
    exactly_once=True,
)


def test_what_the_decoder_and_the_hand_over_rest_on() -> None:
    config = connector_config(SETTINGS)
    expected = {
        "plugin.name": "pgoutput",
        "slot.name": "changeover_one",
        "publication.name": "pub",
        "publication.autocreate.mode": "disabled",
        "topic.prefix": "legacy",
        "snapshot.mode": "no_data",
        "skipped.operations": "none",
        "tombstones.on.delete": "false",
        "decimal.handling.mode": "string",
        "binary.handling.mode": "bytes",
        "time.precision.mode": "microseconds",
        "event.converting.failure.handling.mode": "fail",
        "errors.tolerance": "none",
        "exactly.once.support": "required",
        "transaction.boundary": "poll",
        "slot.drop.on.stop": "false",
        "value.converter.schemas.enable": "false",
        "value.converter.replace.null.with.default": "false",
        "key.converter.replace.null.with.default": "false",
        OWNER: "one",
    }
    assert {name: config[name] for name in expected} == expected
    assert all(isinstance(value, str) for value in config.values())


def test_avro() -> None:
    registry = "http://me:it%40s@registry:8080/apis/ccompat/v7"
    config = connector_config(replace(SETTINGS, schemas_enable=True, avro=(APICURIO, registry)))
    expected = {
        "key.converter": JSON,
        "key.converter.schemas.enable": "false",
        "value.converter": APICURIO,
        "value.converter.apicurio.registry.url": "http://registry:8080/apis/registry/v2",
        "value.converter.apicurio.registry.as-confluent": "true",
        "value.converter.apicurio.registry.use-id": "contentId",
        "value.converter.apicurio.registry.headers.enabled": "false",
        "value.converter.apicurio.auth.password": "it@s",
        "schema.name.adjustment.mode": "avro",
        "field.name.adjustment.mode": "avro_unicode",
    }
    assert {name: config[name] for name in expected} == expected
    assert "value.converter.schemas.enable" not in config
    config = connector_config(replace(SETTINGS, avro=(CONFLUENT, registry)))
    assert config["value.converter.schema.registry.url"] == "http://registry:8080/apis/ccompat/v7"
    assert config["value.converter.basic.auth.user.info"] == "me:it@s"
    assert config["value.converter.ignore.default.for.nullables"] == "true"
    assert "field.name.adjustment.mode" not in connector_config(SETTINGS)


@pytest.mark.parametrize(
    ("connect", "registry", "converter"),
    [
        ({}, None, ""),
        ({}, "http://r", "auto"),
        ({"format": "json"}, "http://r", ""),
        ({"format": "avro", "converter": "confluent"}, "http://r", "confluent"),
        ({"schema_registry": "http://inside"}, "http://r", "auto"),
    ],
)
def test_the_format_follows_from_the_registry(connect: dict[str, str], registry: str | None, converter: str) -> None:
    plan = plan_of(Config.model_validate(_document(connect, registry)))
    assert (plan.converter, plan.registry_url) == (converter, connect.get("schema_registry") or registry or "")


def test_avro_needs_a_registry_and_a_converter() -> None:
    with pytest.raises(ConfigError, match=r"connect\.format: avro needs a schema registry"):
        plan_of(Config.model_validate(_document({"format": "avro"}, None)))
    plan = plan_of(Config.model_validate(_document({}, "http://r")))
    for classes, found in (((JSON, APICURIO), APICURIO), ((APICURIO, CONFLUENT), CONFLUENT)):
        assert wanted_config(plan, True, classes)["value.converter"] == found
    with pytest.raises(ConfigError, match=r"connect\.converter: the Connect workers have no Avro converter"):
        wanted_config(plan, True, (JSON,))
    with pytest.raises(ConfigError, match="it is not installed"):
        wanted_config(replace(plan, converter="confluent"), True, (JSON, APICURIO))


def _document(connect: dict[str, str], registry: str | None) -> dict[str, Any]:
    return {
        "pipeline": "one",
        "source": {"kind": "postgresql", "url": URL, "topic_prefix": "legacy"},
        "target": {"kind": "postgresql", "url": URL},
        "kafka": {"bootstrap_servers": "k:9092", "schema_registry": registry},
        "connect": {"url": "http://c", **connect},
        "tables": [{"from": "public.users", "to": "app.users", "key": {"id": "id"}}],
    }


def test_the_database_comes_from_the_url() -> None:
    config = connector_config(SETTINGS)
    assert {name: value for name, value in config.items() if name.startswith("database.")} == {
        "database.hostname": "db.example",
        "database.port": "6432",
        "database.user": "app",
        "database.password": "p@ss",
        "database.dbname": "legacy",
        "database.sslmode": "verify-full",
        "database.sslrootcert": "/ca.pem",
    }


@pytest.mark.parametrize(
    "url", ["postgresql:///legacy?host=/run/pg", "postgresql://a,b/legacy", "postgresql:///x", "%"]
)
def test_a_url_without_one_host_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"connect\.database_url"):
        connector_config(replace(SETTINGS, database_url=url))


def test_without_exactly_once() -> None:
    config = connector_config(replace(SETTINGS, exactly_once=False, schemas_enable=True, placeholder="(same)"))
    assert "exactly.once.support" not in config
    assert config["key.converter.schemas.enable"] == "true"
    assert config["unavailable.value.placeholder"] == "(same)"


def test_names_are_matched_literally() -> None:
    odd = "a.b, c;d:e [f]$"
    tables: dict[tuple[str, str], tuple[str, ...]] = {("S", odd): ("k, 1", "b"), ("public", "été"): ()}
    config = connector_config(replace(SETTINGS, tables=tables))
    patterns = config["table.include.list"].split(",")
    assert [re.fullmatch(patterns[0], f"S.{odd}") is not None, len(patterns)] == [True, 2]
    assert patterns[1] == r"public\.été"
    table, columns = config["message.key.columns"].split(":")
    assert table == patterns[0]
    assert columns == r"k\x2c\x201,b"
    assert not re.search(r"[\s;]", config["message.key.columns"])


def test_overrides_tune_and_never_take_the_ground_away() -> None:
    tuned = connector_config(replace(SETTINGS, overrides={"max.batch.size": "10", "database.password": "${file:x}"}))
    assert (tuned["max.batch.size"], tuned["database.password"]) == ("10", "${file:x}")
    refused = {"slot.name": "x", "binary.handling.mode": "hex", "transaction.boundary": "interval"}
    with pytest.raises(ConfigError) as raised:
        connector_config(replace(SETTINGS, exactly_once=False, overrides=refused))
    assert [problem.path[-1] for problem in raised.value.problems] == sorted(refused)


def answering(handler: Callable[[httpx.Request], httpx.Response]) -> Connect:
    """A client whose worker is this function."""
    return Connect("http://user:secret@worker:8083/", client=httpx.Client(transport=httpx.MockTransport(handler)))


def answer(status: int, **json: Any) -> Connect:
    return answering(lambda request: httpx.Response(status, json=json))


def test_what_a_refusal_says() -> None:
    words = "Connector configuration is invalid and contains the following 1 error(s):\nno host\nYou can also find the"
    with pytest.raises(FatalError) as raised:
        answer(400, message=words).put("c", {})
    assert str(raised.value) == (
        "kafka connect http://worker:8083: it refuses PUT /connectors/c/config: "
        "Connector configuration is invalid and contains the following 1 error(s): no host"
    )


@pytest.mark.parametrize("status", [409, 500, 503])
def test_a_busy_worker_may_recover(status: int) -> None:
    with pytest.raises(TransientError, match="rebalance"):
        answer(status, message="rebalance").stop("c")


def test_a_worker_that_starts_and_one_that_is_none() -> None:
    with pytest.raises(TransientError, match="starting"):
        answering(lambda request: httpx.Response(404, html="<html>")).config("c")
    with pytest.raises(FatalError, match=r"connect\.url"):
        answering(lambda request: httpx.Response(200, html="<html>")).version()


def test_an_unreachable_worker_is_named_without_its_password() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("Connection refused")

    with pytest.raises(TransientError) as raised:
        answering(refuse).version()
    assert str(raised.value).startswith("kafka connect http://worker:8083: it does not answer (Connection refused); ")


def test_a_missing_connector_is_no_error() -> None:
    connect = answer(404, message="no such connector")
    assert (connect.config("c"), connect.state("c"), connect.offsets("c")) == (None, None, [])


@pytest.mark.parametrize(("errors", "offered"), [([], True), (["This worker does not have it enabled."], False)])
def test_exactly_once_is_probed(errors: list[str], offered: bool) -> None:
    configs = [
        {"value": {"name": "exactly.once.support", "errors": errors}},
        {"value": {"name": "topic.prefix", "errors": ["missing"]}},
    ]
    assert answer(200, configs=configs).offers_exactly_once() is offered


TRACE = (
    "org.apache.kafka.connect.errors.ConnectException: stopped\n\tat a.b\nCaused by: io.debezium.DebeziumException: "
    "Failed to convert: value\n\tat c.d\n\t... 3 more\n"
)


def states(*tasks: str) -> Iterator[dict[str, Any]]:
    for task in tasks:
        trace = {"trace": TRACE} if task == "FAILED" else {}
        yield {"connector": {"state": "RUNNING"}, "tasks": [{"id": 0, "state": task, **trace}]}


def test_waiting_until_it_runs() -> None:
    said: list[str] = []
    answers = states("UNASSIGNED", "UNASSIGNED", "RUNNING")
    connect = answering(lambda request: httpx.Response(200, json=next(answers)))
    connect.wait_running("c", Patience(9, clock=lambda: 0, sleep=lambda s: None, say=said.append))
    assert said == ["it does not run yet: connector RUNNING, task 0 UNASSIGNED"]


def test_a_failed_task_ends_the_wait_with_its_cause() -> None:
    answers = states("UNASSIGNED", "FAILED")
    connect = answering(lambda request: httpx.Response(200, json=next(answers)))
    with pytest.raises(FatalError, match="connector c: Failed to convert: value"):
        connect.wait_running("c", Patience(9, clock=lambda: 0, sleep=lambda s: None))


@pytest.mark.parametrize(
    ("trace", "line"), [(None, ""), (TRACE, "Failed to convert: value"), ("plain: words\n\tat x", "plain: words")]
)
def test_the_cause_in_a_trace(trace: str | None, line: str) -> None:
    assert cause(trace) == line


def test_patience_ends_at_its_bound_and_when_stopped() -> None:
    ticks = iter(range(100))
    with pytest.raises(NotReadyError, match=r"not yet \(waited 3 s\)"):
        Patience(3, clock=lambda: next(ticks), sleep=lambda s: None).until(lambda: "not yet")
    with pytest.raises(NotReadyError, match="stopped while waiting: not yet"):
        Patience(3, clock=lambda: 0, sleep=lambda s: None, stop=lambda: True).until(lambda: "not yet")


def table(**fields: Any) -> Table:
    made = {"columns": (Column("id", "bigint", nullable=False), Column("v", "text")), "key": ("id",), **fields}
    return Table("s", "t", **made)


@pytest.mark.parametrize(
    ("made", "source_key", "said"),
    [
        (table(), (), ""),
        (table(replica_identity="f", key=()), ("v",), ""),
        (table(replica_identity="i", replica_index=("id",)), (), ""),
        (table(key=()), (), "no primary key"),
        (table(replica_identity="n"), (), "does not carry id"),
        (table(replica_identity="i", replica_index=("v",)), (), "does not carry id"),
        (table(), ("v",), "does not carry v"),
        (table(), ("zz",), "not there: zz"),
        (table(columns=(Column("id", "bigint"), Column("n", "numeric(10,2)[]"))), (), "n (numeric(10,2)[])"),
    ],
)
def test_what_a_table_must_offer(made: Table, source_key: tuple[str, ...], said: str) -> None:
    problems = [str(problem) for problem in table_problems(made, source_key)]
    assert said in "".join(problems)
    assert bool(problems) == bool(said)


def test_columns_whose_unchanged_value_debezium_cannot_express() -> None:
    carried = (
        "text",
        "bytea",
        "jsonb",
        "numeric(9,2)",
        "text[]",
        "character varying(5)[]",
        "integer[]",
        "date[]",
        "uuid[]",
    )
    lost = ("bytea[]", "boolean[]", "timestamp(3) without time zone[]", "public.mood[]", "bit varying(9)", "polygon")
    columns = tuple(Column(type_, type_) for type_ in (*carried, *lost))
    assert fragile_columns(table(columns=columns)) == [f"{type_} ({type_})" for type_ in lost]


def config(**sections: Any) -> Config:
    return Config.model_validate(
        {
            "pipeline": "one",
            "source": {"kind": "postgresql", "url": "postgresql://a@h/legacy", "topic_prefix": "legacy"},
            "target": {"kind": "postgresql", "url": "postgresql://a@h/new"},
            "kafka": {"bootstrap_servers": "k:9092", "retention_h": 1},
            "tables": [
                {"from": "public.users"},
                {"from": "log", "source_key": ["a", "b"]},
                {"from": "log", "to": "public.copy"},
            ],
            **sections,
        }
    )


def test_the_plan_of_a_configuration() -> None:
    plan = plan_of(config(connect={"url": "http://c:8083", "database_url": "postgresql://a@inner/legacy"}))
    assert plan.tables == {("public", "users"): (), ("public", "log"): ("a", "b")}
    assert (plan.connector, plan.slot, plan.retention_ms) == ("changeover-one", "changeover_one", 3_600_000)
    assert (plan.source_url, plan.database_url) == ("postgresql://a@h/legacy", "postgresql://a@inner/legacy")
    with pytest.raises(ConfigError, match="no connector to manage"):
        plan_of(config())


@pytest.mark.parametrize(
    ("path", "field"),
    [
        (SERVER, ("source", "url")),
        (("source", "public.log"), ("tables", 1, "from")),
        (("kafka", "topics", "legacy.public.log"), ("kafka",)),
        (("connect", "config", "x"), ("connect", "config", "x")),
    ],
)
def test_problems_are_placed_in_the_file(path: tuple[str, ...], field: tuple[str | int, ...]) -> None:
    assert placed(config(), Problem(path, "m")).path == field
