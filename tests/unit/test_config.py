"""The configuration file: defaults, derived names, references, secrets, the published schema."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from daemon.config.model import Config, json_schema, load
from mappers.errors import ConfigError, Problem

ENVIRON = {
    "OLD": "postgresql://u:s3cret: {x@old/db",
    "NEW": "postgresql://u:s3cret@new/db",
    "KAFKA": "k:9092",
    "N": "7",
}

MINIMAL = """\
pipeline: shop-1
source: {kind: postgresql, url: ${OLD}, topic_prefix: legacy}
target: {kind: postgresql, url: ${NEW}}
kafka: {bootstrap_servers: ${KAFKA}}
tables:
  - {from: public.users, to: app.accounts, key: {id: id}, columns: {id: id, email: lower(trim(email))}}
"""


def read(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> Config:
    """The configuration with this text."""
    path = tmp_path / "changeover.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path, ENVIRON if environ is None else environ)


def test_minimal_file_gets_defaults_and_derived_names(tmp_path: Path) -> None:
    config = read(tmp_path, MINIMAL)
    assert (config.source.slot, config.source.publication) == ("changeover_shop_1", "changeover_shop_1")
    assert config.kafka.group == "changeover-shop-1"
    assert config.connect is None
    assert (config.stream.batch_rows_max, config.heartbeat.interval_s, config.http.port) == (10_000, 1.0, 8080)


def test_given_names_win_and_empty_sections_are_defaults(tmp_path: Path) -> None:
    text = (
        MINIMAL.replace("topic_prefix: legacy", "topic_prefix: legacy, slot: mine")
        + "stream:\nconnect: {url: http://c}\n"
    )
    config = read(tmp_path, text)
    assert config.source.slot == "mine"
    assert config.stream.batch_rows_max == 10_000
    assert config.connect is not None
    assert config.connect.connector == "changeover-shop-1"


def test_the_design_example_needs_no_quotes_around_references(tmp_path: Path) -> None:
    config = read(tmp_path, MINIMAL)
    assert config.source.url.get_secret_value() == ENVIRON["OLD"]
    assert config.kafka.bootstrap_servers == "k:9092"


def test_a_secret_never_becomes_structure(tmp_path: Path) -> None:
    hostile = "x', sasl.mechanism: PLAIN}\n- {a: b} # ${OLD}"
    text = MINIMAL.replace(
        "{bootstrap_servers: ${KAFKA}}", "{bootstrap_servers: k, settings: {sasl.password: ${EVIL}}}"
    )
    config = read(tmp_path, text, ENVIRON | {"EVIL": hostile})
    assert config.kafka.settings == {"sasl.password": hostile}


def test_files_relative_to_the_configuration_lose_one_line_break(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://u:p@h/db\n")
    config = read(tmp_path, MINIMAL.replace("${OLD}", "${file:url}"))
    assert config.source.url.get_secret_value() == "postgresql://u:p@h/db"


def test_references_within_text_numbers_and_escapes(tmp_path: Path) -> None:
    text = MINIMAL.replace("${KAFKA}", "'a-${N}:${N},$${N}'") + "backfill: {workers: ${N}}\n"
    config = read(tmp_path, text)
    assert config.kafka.bootstrap_servers == "a-7:7,${N}"
    assert config.backfill.workers == 7


def test_anchors_merge_keys_and_yaml_12_scalars(tmp_path: Path) -> None:
    text = MINIMAL + "connect: {url: http://c, exactly_once: off}\nbackfill: {chunk_rows: 50_000}\n"
    text = text.replace("kind: postgresql, url: ${OLD}", "<<: &db {kind: postgresql, url: ${OLD}}")
    text = text.replace("target: {kind: postgresql, url: ${NEW}}", "target: {<<: *db, url: ${NEW}}")
    config = read(tmp_path, text)
    assert config.connect is not None
    assert config.connect.exactly_once == "off"
    assert config.target.url.get_secret_value() == ENVIRON["NEW"]


def test_nothing_shown_is_secret(tmp_path: Path) -> None:
    text = MINIMAL.replace("${KAFKA}", "k, settings: {sasl.password: tops3cret, client.id: x}")
    text += "connect: {url: 'http://u:s3cret@c', config: {database.password: s3cret}}\n"
    config = read(tmp_path, text)
    shown = json.dumps(config.shown())
    assert "s3cret" not in shown + repr(config) + str(config)
    assert config.shown()["kafka"]["settings"] == {"sasl.password": "***", "client.id": "x"}


def test_later_errors_are_located(tmp_path: Path) -> None:
    config = read(tmp_path, MINIMAL)
    found = config.locate(ConfigError([Problem(("tables", 0, "columns", "email"), "no such column", "try mail")]))
    assert found.lines == (f"{tmp_path}/changeover.yaml:6:84: tables.0.columns.email: no such column; try mail",)
    missing = config.locate(ConfigError([Problem(("tables", 0, "where", "x"), "bad")]))
    assert missing.lines[0].startswith(f"{tmp_path}/changeover.yaml:6:5: tables.0.where.x: ")


def test_configuration_is_frozen(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        read(tmp_path, MINIMAL).pipeline = "x"


def test_schema_is_closed_described_and_takes_references() -> None:
    schema = json_schema()
    objects: list[dict[str, Any]] = [schema, *schema["$defs"].values()]
    assert all(item.get("additionalProperties") is False for item in objects if "properties" in item)
    sections = [item for name, item in schema["$defs"].items() if name.endswith("Section")]
    assert all("description" in field for item in sections for field in item["properties"].values())
    workers = schema["$defs"]["BackfillSection"]["properties"]["workers"]["anyOf"]
    assert {"maximum": 64, "minimum": 1, "type": "integer"} in workers
    assert "from" in schema["$defs"]["TableSpec"]["properties"]


def test_import_stays_light() -> None:
    heavy = "('sqlglot', 'sqlalchemy', 'psycopg', 'confluent_kafka', 'httpx')"
    code = f"import sys, daemon.config.model; print([m for m in {heavy} if m in sys.modules])"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_file_as_a_target(tmp_path: Path) -> None:
    """Its defaults suit one writer, and a bare table is in its own default schema."""
    text = MINIMAL.replace("{kind: postgresql, url: ${NEW}}", "{kind: sqlite, url: sqlite:////data/new.db}")
    text = text.replace("app.accounts", "accounts") + "  - {from: other}\n  - {from: app.third}\n"
    config = read(tmp_path, text)
    assert (config.backfill.workers, config.backfill.chunk_rows) == (1, 5_000)
    assert [spec.source_name for spec in config.tables] == [("public", "users"), ("public", "other"), ("app", "third")]
    assert [spec.target_name for spec in config.tables] == [("main", "accounts"), ("main", "other"), ("app", "third")]
    chosen = read(tmp_path, text + "backfill: {workers: 3}\n")
    assert (chosen.backfill.workers, chosen.backfill.chunk_rows) == (3, 5_000)
    assert read(tmp_path, MINIMAL).backfill.chunk_rows == 50_000


@pytest.mark.parametrize(
    "url", ["sqlite:///", "sqlite:///:memory:", "/data/new.db", "postgresql://h/d", "sqlite:////a?b=c"]
)
def test_a_url_is_of_its_targets_kind(tmp_path: Path, url: str) -> None:
    text = MINIMAL.replace("{kind: postgresql, url: ${NEW}}", f'{{kind: sqlite, url: "{url}"}}')
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert "sqlite:////absolute/path/to/file" in str(caught.value)
    assert "target.url" in str(caught.value)
