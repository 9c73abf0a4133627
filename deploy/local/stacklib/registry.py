"""The parts that exist, in the order in which they are listed and started."""

from stacklib.connect import Connect
from stacklib.errors import UsageError
from stacklib.kafka import Kafka
from stacklib.mariadb import MariaDB
from stacklib.part import Part
from stacklib.postgres import OLDEST, Postgres
from stacklib.schema_registry import SchemaRegistry


def all_parts() -> dict[str, Part]:
    """Return every known part by name."""
    parts: list[Part] = [
        Postgres("source", database="legacy", url_variable="SOURCE_URL"),
        Postgres("target", database="app", url_variable="TARGET_URL"),
        Postgres("postgresql15", database="legacy", url_variable="SOURCE15_URL", release=OLDEST),
        MariaDB(),
        Kafka(),
        SchemaRegistry(),
        Connect(),
    ]
    return {part.name: part for part in parts}


def select(names: list[str]) -> list[Part]:
    """Return the named parts in their order, the worker knowing the plugins of all of them."""
    known = all_parts()
    if unknown := [name for name in names if name not in known]:
        raise UsageError(f"unknown part {', '.join(unknown)}; known: {', '.join(known)}")
    chosen = [part for part in known.values() if part.name in names]
    for part in chosen:
        if isinstance(part, Connect):
            part.add_plugins(item for other in chosen for item in other.plugins)
    return chosen


def default_names() -> list[str]:
    """Return the parts that always run."""
    return [part.name for part in all_parts().values() if part.default]
