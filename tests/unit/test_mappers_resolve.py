"""Resolving `tables:` against both catalogues: what becomes of it, and every refusal with its path and hint."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mappers.dialects.postgresql.functions import FunctionCatalog
from mappers.errors import ConfigError, Problem
from mappers.mapping import Column, Entry, Table, UniqueConstraint
from mappers.resolve import resolve
from mappers.spec import TableSpec

FUNCTIONS = FunctionCatalog(frozenset(("lower", "upper", "md5")))


def column(name: str, type_name: str = "text", **flags: Any) -> Column:
    return Column(name, type_name, **{"nullable": False, **flags})


USERS = Table(
    "public",
    "users",
    (
        column("id", "bigint"),
        column("email", nullable=True),
        column("name"),
        column("deleted_at", "timestamp with time zone", nullable=True),
        column("search", generated=True),
        column("tenant", "integer"),
    ),
    ("id",),
)
LOG = Table("public", "log", (column("at"), column("line", nullable=True)), ())
ACCOUNTS = Table(
    "app",
    "accounts",
    (
        column("name", nullable=True),
        column("id", "bigint"),
        column("email", nullable=True),
        column("created", has_default=True),
        column("full", generated=True),
        column("serial", identity_always=True),
        column("legacy_id", "bigint", nullable=True),
    ),
    ("id",),
    (UniqueConstraint("by_email", ("email",)), UniqueConstraint("part", ("name",), partial=True)),
)


def tables(*found: Table) -> dict[str, Table]:
    return {table.full_name: table for table in found}


def run(*specs: dict[str, Any], source: Table = USERS, target: Table = ACCOUNTS) -> tuple[Entry, ...]:
    parsed = [TableSpec.model_validate({"from": "public.users", "to": "app.accounts", **spec}) for spec in specs]
    return resolve(parsed, tables(source, LOG), tables(target), FUNCTIONS)


def problems(*specs: dict[str, Any], source: Table = USERS, target: Table = ACCOUNTS) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        run(*specs, source=source, target=target)
    return caught.value.problems


def the_problem(*specs: dict[str, Any], source: Table = USERS, target: Table = ACCOUNTS) -> Problem:
    found = problems(*specs, source=source, target=target)
    assert len(found) == 1, found
    return found[0]


def with_column(table: Table, changed: Column) -> Table:
    return replace(table, columns=(*(c for c in table.columns if c.name != changed.name), changed))


def test_a_star_takes_every_column_that_both_have() -> None:
    (entry,) = run({})
    assert [c.name for c in entry.columns] == ["name", "id", "email"], "in the target's order"
    assert [c.expression.sql for c in entry.columns] == ['s."name"', 's."id"', 's."email"']
    assert (entry.source_key, entry.key, entry.carrier, entry.key_is_derived) == (("id",), ("id",), ("id",), True)
    assert (entry.index, entry.group, entry.not_empty, entry.where) == (0, "default", "refuse", None)


def test_overrides_columns_where_and_settings() -> None:
    spec = {"overrides": {"email": "lower(email)", "created": 1}, "where": "deleted_at is null", "group": "g"}
    (entry,) = run({**spec, "if_not_empty": "keep"})
    assert entry.expression("email").sql == 'lower(s."email")'
    assert entry.expression("created").sql == "1"
    assert entry.where is not None
    assert entry.where.sql == 's."deleted_at" IS NULL'
    assert (entry.group, entry.not_empty) == ("g", "keep")
    assert entry.inputs == {"id", "email", "name", "deleted_at"}


def test_a_key_entry_adds_its_column() -> None:
    (entry,) = run({"key": {"id": "id"}, "columns": {"email": "email"}})
    assert [c.name for c in entry.columns] == ["id", "email"]
    (starred,) = run({"key": {"id": "tenant"}, "overrides": {"legacy_id": "id"}})
    assert starred.expression("id").sql == 's."tenant"'
    assert (starred.carrier, starred.key_is_derived) == (("legacy_id",), False)


def test_a_unique_constraint_is_a_key_too() -> None:
    (entry,) = run({"key": {"email": "'u' || id"}, "columns": {"id": "id"}})
    assert entry.key == ("email",)
    assert entry.key_is_derived


def test_the_key_has_its_constraints_order() -> None:
    target = replace(ACCOUNTS, key=("legacy_id", "id"))
    (entry,) = run({"key": {"id": "id", "legacy_id": "tenant"}, "columns": {"name": "name"}}, target=target)
    assert entry.key == ("legacy_id", "id")


def test_an_identity_column_may_be_written() -> None:
    (entry,) = run({"columns": {"id": "id", "serial": "id"}})
    assert entry.expression("serial").inputs == {"id"}


def test_the_carrier_is_in_source_key_order() -> None:
    source = replace(USERS, key=("tenant", "id"))
    target = replace(ACCOUNTS, key=("id", "legacy_id"))
    (entry,) = run({"columns": {"id": "id", "legacy_id": "tenant"}}, source=source, target=target)
    assert entry.carrier == ("legacy_id", "id")


def test_the_source_name_is_the_target_name_unless_given() -> None:
    (entry,) = resolve([TableSpec.model_validate({"from": "users"})], tables(USERS), tables(USERS_COPY), FUNCTIONS)
    assert entry.name == "public.users -> public.users"


USERS_COPY = replace(USERS, columns=tuple(c for c in USERS.columns if c.name != "search"))


def test_the_fingerprint_tells_what_changes_rows() -> None:
    (first,) = run({})
    assert len(first.fingerprint) == 64
    same = [{"group": "g"}, {"if_not_empty": "keep"}, {"overrides": {"email": " EMAIL "}}, {"key": {"id": "id"}}]
    assert {run(spec)[0].fingerprint for spec in same} == {first.fingerprint}
    retyped = with_column(USERS, column("email", "citext", nullable=True))
    others = [
        run({"where": "deleted_at is null"})[0],
        run({"overrides": {"email": "lower(email)"}})[0],
        run({"columns": {"id": "id"}})[0],
        run({}, source=retyped)[0],
        run({}, target=replace(ACCOUNTS, columns=tuple(replace(c, type="varchar") for c in ACCOUNTS.columns)))[0],
    ]
    assert len({first.fingerprint, *(entry.fingerprint for entry in others)}) == 6


def test_everything_wrong_is_said_at_once() -> None:
    found = problems(
        {"from": "public.user"},
        {"columns": {"id": "idd", "emial": "lower(email", "full": "name"}, "where": "now() > deleted_at"},
        {"to": "app.acounts", "key": {"id": "pg_sleep(1)"}},
    )
    assert [p.path for p in found] == [
        ("tables", 0, "from"),
        ("tables", 1, "where"),
        ("tables", 1, "columns", "id"),
        ("tables", 1, "columns", "emial"),
        ("tables", 1, "columns", "emial"),
        ("tables", 1, "columns", "full"),
        ("tables", 1, "to"),
        ("tables", 2, "to"),
    ]
    assert found[0].hint == "did you mean public.users?"
    assert found[-1].hint == "did you mean app.accounts?"


@pytest.mark.parametrize(
    ("spec", "path", "message", "hint"),
    [
        ({"columns": {"id": "id", "emial": "email"}}, ("columns", "emial"), "no column emial", "did you mean email?"),
        ({"columns": {"id": "id", "email": "emial"}}, ("columns", "email"), "no column emial", "did you mean email?"),
        ({"overrides": {"email": "now()"}}, ("overrides", "email"), "depends on when", "source column"),
        ({"overrides": {"full": "name"}}, ("overrides", "full"), "is generated", "leave it out"),
        ({"overrides": {"email": "search"}}, ("overrides", "email"), "does not travel", "in place of search"),
        ({"where": "search = 'x'"}, ("where",), "does not travel", "in place of search"),
        ({"where": "sum(id) > 1"}, ("where",), "many rows", "one source row"),
        ({"key": {"id": "tenant"}, "columns": {"id": "id"}}, ("key", "id"), "given twice", "leave it out of columns"),
        ({"key": {"id": "nope"}}, ("key", "id"), "no column nope", "there are"),
        ({"key": {"nope": "id"}}, ("key", "nope"), "no column nope", "did you mean name|there are"),
        (
            {"key": {"name": "name"}, "columns": {"id": "id"}},
            ("key",),
            "(name) is not a primary key or unique",
            "ADD UNIQUE (name)",
        ),
        (
            {"key": {"id": "id", "email": "name"}},
            ("key",),
            "(id, email) is not a",
            "ALTER TABLE app.accounts ADD UNIQUE (id, email)",
        ),
        (
            {"columns": {"id": "nullif(id, 0)"}, "key": None, "overrides": {}},
            ("columns", "id"),
            "identifies a row, but",
            "never NULL",
        ),
        (
            {"key": {"email": "email"}, "overrides": {"legacy_id": "id"}},
            ("key", "email"),
            "identifies a row",
            "email is not null",
        ),
        ({"columns": {"name": "name"}}, ("columns",), "key column id", "add id: <expression>"),
        ({"key": {"id": "tenant"}, "columns": {"name": "name"}}, ("key",), "not the source key", "carries id verbatim"),
        ({"key": {"id": "id % 10"}, "columns": {"name": "name"}}, ("key",), "two source rows", "use id itself"),
        ({"source_key": ["ide"]}, ("source_key", 0), "no column ide", "did you mean id?"),
        (
            {"source_key": ["email"]},
            ("source_key", 0),
            "may be NULL",
            "ALTER TABLE public.users ALTER COLUMN email SET NOT NULL",
        ),
        ({"source_key": ["search"]}, ("source_key", 0), "generated", "stored column"),
        (
            {"source_key": ["tenant"]},
            ("source_key",),
            "nothing keeps (tenant) unique",
            "CREATE UNIQUE INDEX CONCURRENTLY users_key ON public.users (tenant)",
        ),
    ],
)
def test_refusals(spec: dict[str, Any], path: tuple[Any, ...], message: str, hint: str) -> None:
    found = problems(spec)[0] if "nullif" in str(spec) else the_problem(spec)
    assert found.path == ("tables", 0, *path)
    assert message in found.message
    assert any(part in found.hint for part in hint.split("|"))


def test_a_target_table_is_fed_once() -> None:
    found = the_problem({}, {"columns": {"id": "id"}})
    assert found.path == ("tables", 1, "to")
    assert "already fed by entry 0 (public.users)" in found.message


def test_a_not_null_column_needs_a_value() -> None:
    target = with_column(ACCOUNTS, column("plan"))
    found = the_problem({}, target=target)
    assert found.path == ("tables", 0, "columns")
    assert "app.accounts.plan is NOT NULL, has no default" in found.message
    assert found.hint == "add plan: <expression> to overrides"


def test_a_not_null_column_needs_a_value_that_is_never_null() -> None:
    target = with_column(ACCOUNTS, column("email"))
    found = the_problem({}, target=target)
    assert found.path == ("tables", 0, "columns")
    assert found.hint == "write coalesce(email, <a value>) or where: email is not null"
    for mended in ({"overrides": {"email": "coalesce(email, '')"}}, {"where": "email is not null and id > 0"}):
        run(mended, target=target)


def test_a_generated_source_column_under_a_star_is_not_lost_silently() -> None:
    target = with_column(ACCOUNTS, column("search", nullable=True))
    found = the_problem({}, target=target)
    assert "does not travel" in found.message
    assert found.hint.endswith("under overrides: {search: …}")
    run({"overrides": {"search": "lower(name)"}}, target=target)
    run({}, target=with_column(ACCOUNTS, column("search", generated=True)))


def test_a_target_without_a_primary_key() -> None:
    found = the_problem({}, target=replace(ACCOUNTS, key=()))
    assert found.path == ("tables", 0, "key")
    assert "ALTER TABLE app.accounts ADD PRIMARY KEY" in found.hint


def test_a_source_without_a_primary_key() -> None:
    found = the_problem({}, source=replace(USERS, key=()))
    assert found.path == ("tables", 0, "from")
    assert "ALTER TABLE public.users ADD COLUMN row_id bigserial PRIMARY KEY" in found.hint
    assert "source_key" in found.hint
    assert "REPLICA IDENTITY USING INDEX" in found.hint


KEYLESS = replace(USERS, key=(), uniques=(UniqueConstraint("u", ("tenant", "id")),))


@pytest.mark.parametrize(
    "identity", [{"replica_identity": "f"}, {"replica_identity": "i", "replica_index": ("id", "tenant")}]
)
def test_a_configured_source_key(identity: dict[str, Any]) -> None:
    target = replace(ACCOUNTS, key=("id", "legacy_id"))
    spec = {"source_key": ["id", "tenant"], "overrides": {"legacy_id": "tenant"}}
    (entry,) = run(spec, source=replace(KEYLESS, **identity), target=target)
    assert entry.source_key == ("id", "tenant")


@pytest.mark.parametrize(
    ("source", "source_key", "message", "hint"),
    [
        (
            KEYLESS,
            ["id", "tenant"],
            "is not the source key (id, tenant)",
            "USING INDEX <the unique index over the source key>",
        ),
        (
            replace(KEYLESS, replica_identity="i", replica_index=("id",)),
            ["id", "tenant"],
            "is not the source key",
            "FULL",
        ),
        (replace(KEYLESS, replica_identity="n"), ["id", "tenant"], "replica identity nothing", "USING INDEX"),
        (replace(USERS, replica_identity="n"), None, "nothing", "ALTER TABLE public.users REPLICA IDENTITY DEFAULT"),
        (replace(USERS, replica_identity="i", replica_index=("name",)), None, "is not the source key (id)", "DEFAULT"),
        (
            replace(USERS, uniques=(UniqueConstraint("u", ("tenant",)),)),
            ["tenant"],
            "is not the source key (tenant)",
            "FULL",
        ),
        (
            replace(USERS, uniques=(UniqueConstraint("u", ("tenant",), True),)),
            ["tenant"],
            "nothing keeps",
            "UNIQUE INDEX",
        ),
    ],
)
def test_deletes_must_say_which_row(source: Table, source_key: list[str] | None, message: str, hint: str) -> None:
    found = the_problem({"source_key": source_key}, source=source)
    assert found.path == ("tables", 0, "source_key" if source_key else "from")
    assert message in found.message
    assert hint in found.hint


def test_odd_names_are_quoted_in_the_statements_that_mend() -> None:
    source = replace(USERS, schema="Old", name="my users", key=())
    spec = TableSpec.model_validate({"from": '"Old"."my users"', "to": "app.accounts"})
    with pytest.raises(ConfigError) as caught:
        resolve([spec], tables(source), tables(ACCOUNTS), FUNCTIONS)
    assert 'ALTER TABLE "Old"."my users" ADD COLUMN' in caught.value.problems[0].hint


def test_a_changed_key_with_a_carrier_may_depend_on_anything() -> None:
    spec = {"key": {"email": "md5(name)"}, "columns": {"id": "id"}}
    (entry,) = run(spec)
    assert (entry.key_is_derived, entry.carrier) == (False, ("id",))


@pytest.mark.parametrize("text", ["id", "id::text", "'legacy_' || id", "id::bigint"])
def test_keys_that_tell_rows_apart(text: str) -> None:
    (entry,) = run({"key": {"email": text}, "columns": {"id": "1"}})
    assert entry.key_is_derived
    assert entry.carrier == (("email",) if text == "id" else ())
