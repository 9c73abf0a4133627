"""The file that `init` writes says what was tried, whatever the names are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.postgresql.wire import wire_columns
from daemon.cli import main
from daemon.config.model import Config, load
from daemon.init.draft import Item, drafted, spec_of
from daemon.init.engines import refusal_by
from daemon.init.text import Written, configuration, pipeline_name, summary
from mappers.dialects.postgresql.functions import FunctionCatalog
from mappers.errors import ConfigError, Problem
from mappers.mapping import Column, Table
from mappers.propose.propose import propose
from mappers.resolve import resolve
from mappers.spec import TableSpec
from tests.support import schemas

refusal = refusal_by(wire_columns)
ENVIRON = {"SOURCE_URL": "postgresql://u:secret@a/b", "TARGET_URL": "postgresql://u:secret@c/d",
           "KAFKA_BOOTSTRAP": "k:9092", "CONNECT_URL": "http://c:8083"}  # fmt: skip


def _written(sources: Sequence[Table], targets: Sequence[Table], occupied: frozenset[str] = frozenset()) -> Written:
    functions = FunctionCatalog(frozenset())
    ones, others = ({table.full_name: table for table in tables} for tables in (sources, targets))

    def trial(spec: TableSpec) -> Sequence[Problem]:
        try:
            for entry in resolve([spec], ones, others, functions):
                wire_columns(entry.source, entry.inputs)
        except ConfigError as error:
            return error.problems
        return ()

    proposal = propose(sources, targets)
    items = drafted(proposal, refusal, trial, occupied)
    return Written("old-to-new", ("postgresql", "postgresql"), ("u@a:5432/b", "u@c:5432/d"), items, proposal, occupied)


def _loaded(written: Written, folder: Path) -> Config:
    path = folder / "changeover.yaml"
    path.write_text(configuration(written, refusal), encoding="utf-8")
    return load(path, ENVIRON)


def _meant(items: Sequence[Item]) -> list[TableSpec]:
    return [spec for item in items if item.match.live and (spec := spec_of(item.match))]


def _said(config: Config, written: Written) -> list[TableSpec]:
    """The file's entries with "*" written out."""
    live = [item for item in written.items if item.match.live]
    whole = []
    for spec, item in zip(config.tables, live, strict=True):
        full = spec_of(item.match)
        assert full is not None
        assert (spec.columns == "*") == item.starred
        columns = full.columns if spec.columns == "*" else spec.columns
        whole.append(spec.model_copy(update={"columns": columns, "target": spec.target or spec.source}))
    return whole


NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(table=NAMES, schema=NAMES, names=st.lists(NAMES, min_size=1, max_size=5, unique=True))
def test_any_name_comes_back_from_the_file(
    tmp_path_factory: pytest.TempPathFactory, table: str, schema: str, names: list[str]
) -> None:
    columns = tuple(Column(name, "integer", False) for name in names)
    source = Table(schema, table, columns, (names[0],))
    extra = Column("zz", "integer")
    written = _written([source], [Table("app", table, (*columns, extra), (names[0],))])
    if not any(item.match.live for item in written.items):
        return  # a name that the configuration cannot say, such as one with a line break, is a comment
    config = _loaded(written, tmp_path_factory.mktemp("init"))
    assert _said(config, written) == _meant(written.items)


@pytest.mark.parametrize(
    "name", ["on", "null", "true", "1e3", "2fa", "a: b", "x #y", "${HOME}", "a,b", "order", "Ä", "-"]
)
def test_names_that_mean_something_to_yaml(name: str, tmp_path: Path) -> None:
    source = Table("public", name, (Column("id", "integer", False), Column(name, "text")), ("id",))
    target = Table("app", name, (Column("ID", "integer", False), Column(name, "text")), ("ID",))
    written = _written([source], [target])
    config = _loaded(written, tmp_path)
    assert _said(config, written) == _meant(written.items)
    again = yaml.safe_load((tmp_path / "changeover.yaml").read_text())
    assert set(again["tables"][0]["columns"]) == {"ID", name}


def test_a_hand_made_move_has_all_its_parts_in_the_file(tmp_path: Path) -> None:
    old, new = schemas.move("php_shop")
    written = _written(schemas.read(old), schemas.read(new))
    config = _loaded(written, tmp_path)
    text = (tmp_path / "changeover.yaml").read_text()
    assert _said(config, written) == _meant(written.items)
    assert "# is_active: usr_active <> 0" in text
    assert "# target columns that nothing fills: email_verified_at" in text
    assert "secret" not in text
    assert "7 with renamed" in summary(written)


def test_identical_tables_take_one_line(tmp_path: Path) -> None:
    tables = schemas.load("chinook")
    written = _written(tables, tables)
    config = _loaded(written, tmp_path)
    text = (tmp_path / "changeover.yaml").read_text()
    assert "  - {from: 'public.\"Album\"'}\n" in text
    assert [spec.columns for spec in config.tables] == ["*"] * len(tables)


def test_refused_types_are_explained_and_left_out(tmp_path: Path) -> None:
    tables = schemas.read("a: id i#, price money, size b\nb: price money#, size b\nc: id i#, price money!, size b")
    written = _written(tables, tables)
    assert [spec.source for spec in _loaded(written, tmp_path).tables] == ["public.a"]
    text = (tmp_path / "changeover.yaml").read_text()
    assert "# price: price" in text
    assert text.count("money cannot be followed exactly: its text depends on lc_monetary") == 3
    assert "# not in force: key column price of public.b is not filled" in text
    assert "# not in force: public.c.price is NOT NULL, has no default, and is not filled" in text


def test_what_cannot_be_in_force_says_why_and_can_be_uncommented(tmp_path: Path) -> None:
    sources = schemas.read("a: id i#, name t\nb: id i, name t")
    targets = schemas.read("a: id i#, name t!\nb: id i#, name t")
    written = _written([*sources, *schemas.read("c: id i#")], [*targets, *schemas.read("c: id i#")])
    text = configuration(written, refusal)
    assert "# not in force: public.b has no primary key; ALTER TABLE public.b ADD COLUMN" in text
    assert "is NOT NULL, but the expression may be NULL; write coalesce(name, <a value>)" in text
    block = text[text.index("  # - from: public.b") :]
    uncommented = "\n".join(line.replace("# ", "", 1) for line in block.splitlines()[:4])
    assert yaml.safe_load(uncommented)[0]["from"] == "public.b"


def test_the_history_of_migrations_is_left_alone_where_the_new_schema_has_its_own() -> None:
    tables = schemas.read("schema_migrations: version v255#\nusers: id i#, email t")
    full = frozenset(("public.schema_migrations", "public.users"))
    text = configuration(_written(tables, tables, full), refusal)
    assert "# not in force: public.schema_migrations has rows" in text
    assert "public.users has rows already" in text
    assert "- {from: public.schema_migrations}" in configuration(_written(tables, tables), refusal)


def test_nothing_in_force_is_still_a_file() -> None:
    written = _written(schemas.read("a: id i#, x t"), schemas.read("b: other uuid#, y bytea"))
    document = yaml.safe_load(configuration(written, refusal))
    assert document["tables"] == []


def test_pipeline_names_are_valid() -> None:
    assert pipeline_name("legacy", "app") == "legacy-to-app"
    assert pipeline_name("Shop_2008", "Shop_2008") == "shop-2008"
    assert pipeline_name("2008", "2009") == "to-2009"
    assert pipeline_name("数据", "") == "migration"
    assert len(pipeline_name("a" * 60, "b" * 60)) <= 41


def test_the_command_refuses_what_it_cannot_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = tmp_path / "changeover.yaml"
    there.write_text("mine")
    assert main(["init", "postgresql://a/b", "postgresql://c/d", "--output", str(there)]) == 2
    assert "is there already; add --force" in capsys.readouterr().err
    assert there.read_text() == "mine"
    assert main(["init", "oracle://u:secret@a/b", "postgresql://c/d"]) == 2
    said = capsys.readouterr().err
    assert "SOURCE_URL: oracle:// is no database that can be introspected" in said
    assert "secret" not in said
    assert main(["init", "postgresql://u:secret@127.0.0.1:1/b", "postgresql://c/d"]) == 1
    assert "secret" not in capsys.readouterr().err
