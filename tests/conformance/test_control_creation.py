"""How the control schema comes to be on every engine, and to its present version."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection, delete, insert, inspect, select, text, update

from connectors.control.dialects import engine_of
from connectors.control.facts import control_state
from connectors.control.pipeline import PipelineRow
from connectors.control.schema import VERSION, audit, schema_version, tables_of
from connectors.control.store import ControlStore
from connectors.sqlite.control_names import control_name
from mappers.errors import FatalError
from tests.support.control_sites import MARIADB, POSTGRESQL, SQLITE, Site

ROW = PipelineRow("source", "stream", 7, sealed=False, phase="backfilling")
CONTROL = ControlStore("p")


@pytest.fixture
def bare(site: Site) -> Iterator[Site]:
    """A place where nothing has been started yet."""
    site.clear()
    yield site
    site.clear()


def ensured(site: Site) -> None:
    """The control schema, committed."""
    with site.begin() as db:
        CONTROL.ensure(db)


def versions(site: Site) -> list[int]:
    """What the schema says of itself."""
    with site.begin() as db:
        return list(db.execute(select(schema_version.c.version).order_by(schema_version.c.version)).scalars())


def tables(site: Site) -> set[str]:
    """The names of the control tables that are there."""
    with site.begin() as db:
        if site.kind == SQLITE:
            return set(inspect(db).get_table_names())
        return set(inspect(db).get_table_names(schema="changeover"))


def test_it_is_created_once(bare: Site) -> None:
    with bare.begin() as db:
        assert not CONTROL.exists(db)
        assert control_state(db, CONTROL).version is None
        CONTROL.ensure(db)
        assert CONTROL.exists(db)
        CONTROL.pipeline.put(db, ROW)
    ensured(bare)
    assert versions(bare) == [VERSION]
    with bare.begin() as db:
        assert CONTROL.pipeline.get(db) == ROW
        names = {table.name for table in tables_of(engine_of(db))}
    assert tables(bare) == ({control_name(name) for name in names} if bare.kind == SQLITE else names)


def test_replicas_that_start_together_create_it_once(bare: Site) -> None:
    many = 6
    together = threading.Barrier(many)

    def start(number: int) -> None:
        control = ControlStore(f"p{number}")
        together.wait()
        with bare.session() as connection, connection.begin():
            control.ensure(connection)
            control.pipeline.put(connection, ROW)

    with ThreadPoolExecutor(many) as pool:
        for done in [pool.submit(start, number) for number in range(many)]:
            done.result()
    assert versions(bare) == [VERSION]
    with bare.begin() as db:
        assert [ControlStore(f"p{number}").pipeline.get(db) for number in range(many)] == [ROW] * many


def test_a_newer_one_is_refused(bare: Site) -> None:
    ensured(bare)
    with bare.begin() as db:
        db.execute(insert(schema_version).values(version=VERSION + 1))
    with pytest.raises(FatalError, match=f"version {VERSION + 1}, this program knows up to {VERSION}; run the newer"):
        ensured(bare)
    with bare.begin() as db:
        assert CONTROL.exists(db)
        found = control_state(db, CONTROL)
    assert (found.version, found.readable) == (VERSION + 1, False)


@pytest.mark.parametrize("site", [POSTGRESQL], indirect=True, scope="module")
def test_version_1_is_upgraded(bare: Site) -> None:
    ensured(bare)
    with bare.begin() as db:
        CONTROL.pipeline.put(db, ROW)
        CONTROL.tables.add(db, "a", 5)
        for column in ("rows_per_second", "suspicion", "connector_session"):
            db.execute(text(f"ALTER TABLE changeover.pipeline DROP COLUMN {column}"))
        db.execute(text("ALTER TABLE changeover.table_state DROP COLUMN paused"))
        db.execute(text("DROP TABLE changeover.journal"))
        db.execute(update(schema_version).values(version=1))
    ensured(bare)
    assert versions(bare) == list(range(1, VERSION + 1))
    with bare.begin() as db:
        assert CONTROL.pipeline.get(db) == ROW
        assert (CONTROL.pipeline.pace(db), CONTROL.pipeline.suspicion(db)) == (None, None)
        assert CONTROL.tables.paused(db) == frozenset()
        assert CONTROL.journal.of(db, "t", 0, 0) == []


def test_a_table_that_is_missing_is_made(bare: Site) -> None:
    ensured(bare)
    with bare.begin() as db:
        audit.drop(db, checkfirst=False)
    ensured(bare)
    with bare.begin() as db:
        CONTROL.audit.add(db, "me", "pause")


@pytest.mark.parametrize("site", [MARIADB], indirect=True, scope="module")
def test_a_creation_that_was_cut_short_is_finished(bare: Site) -> None:
    ensured(bare)
    with bare.begin() as db:
        db.execute(delete(schema_version))
        db.execute(text("DROP INDEX finding_open ON changeover.finding"))
        audit.drop(db, checkfirst=False)
    with bare.begin() as db:
        assert not CONTROL.exists(db)
    ensured(bare)
    assert versions(bare) == [VERSION]
    with bare.begin() as db:
        assert [index["name"] for index in inspect(db).get_indexes("finding", schema="changeover")] == ["finding_open"]
        CONTROL.audit.add(db, "me", "pause")


def test_where_nothing_is_to_create_nothing_is_committed(bare: Site) -> None:
    ensured(bare)

    def fail(db: Connection) -> None:
        CONTROL.pipeline.put(db, ROW)
        CONTROL.ensure(db)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), bare.begin() as db:
        fail(db)
    with bare.begin() as db:
        assert CONTROL.pipeline.get(db) is None


@pytest.mark.parametrize("site", [SQLITE], indirect=True, scope="module")
def test_the_applications_own_tables_of_these_names_are_left_alone(bare: Site) -> None:
    with bare.begin() as db:
        db.execute(text("CREATE TABLE chunk (a)"))
        db.execute(text("CREATE TABLE changeover (a)"))
    ensured(bare)
    with bare.begin() as db:
        CONTROL.tables.add(db, "a", 5)
        CONTROL.chunks.plan(db, "a", [])
        assert db.execute(text("SELECT count(*) FROM chunk")).scalar() == 0
        db.execute(text("DROP TABLE chunk"))
        db.execute(text("DROP TABLE changeover"))


@pytest.mark.parametrize("site", [MARIADB], indirect=True, scope="module")
def test_missing_rights_are_named_with_the_statement_that_gives_them(bare: Site) -> None:
    with bare.begin() as db:
        db.execute(text("CREATE OR REPLACE USER 'poor'@'%' IDENTIFIED BY 'pw'"))
        db.execute(text("GRANT ALL PRIVILEGES ON legacy.* TO 'poor'@'%'"))
    server = bare.url.partition("@")[2]
    poor = Site(MARIADB, f"mariadb://poor:pw@{server}")
    try:
        with pytest.raises(FatalError, match=r"GRANT ALL PRIVILEGES ON `changeover`\.\* TO 'poor'@'%'"):
            ensured(poor)
    finally:
        poor.close()
        with bare.begin() as db:
            db.execute(text("DROP USER 'poor'@'%'"))
