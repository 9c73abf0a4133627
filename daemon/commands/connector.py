"""`connector`: the Debezium connector, its topics, slot and publication. `schema`: the YAML file's own schema."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from daemon.commands.common import parts_of, show

if TYPE_CHECKING:
    from daemon.commands.common import Commands


def add(commands: Commands) -> None:
    """Add both to the command line."""
    connector = commands.add_parser("connector", help="the Debezium connector, its topics, slot and publication")
    actions = connector.add_subparsers(required=True, metavar="ACTION")
    apply = actions.add_parser("apply", help="create or change it, and wait until it streams")
    apply.add_argument("--timeout", type=float, default=120, metavar="S")
    apply.set_defaults(command=_connector_apply)
    status = actions.add_parser("status", help="what it does")
    status.set_defaults(command=_connector_status)
    delete = actions.add_parser("delete", help="remove it with its slot and publication, so that no WAL is retained")
    delete.add_argument("--topics", action="store_true", help="delete its topics too")
    delete.add_argument("--timeout", type=float, default=60, metavar="S")
    delete.set_defaults(command=_connector_delete)

    schema = commands.add_parser("schema", help="the JSON Schema of the YAML file")
    schema.set_defaults(command=_schema)


def _connector_apply(options: argparse.Namespace) -> None:
    from daemon.connector import commands as connector

    show(connector.apply(parts_of(options), options.timeout))


def _connector_status(options: argparse.Namespace) -> None:
    from daemon.connector import commands as connector

    show(connector.status(parts_of(options)))


def _connector_delete(options: argparse.Namespace) -> None:
    from daemon.connector import commands as connector

    show(connector.delete(parts_of(options), options.timeout, topics=options.topics))


def _schema(options: argparse.Namespace) -> None:
    from daemon.config.model import json_schema

    print(json.dumps(json_schema(), indent=2))
