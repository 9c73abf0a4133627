"""Plays the histories of random cases on a real source: many cases at once, each in its own order."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from random import Random
from typing import Protocol

import psycopg

from tests.support.databases import open_mariadb, open_url
from tests.support.worlds.cases import Case

Transaction = tuple[Sequence[str], bool]
"""(statements, whether it is committed)"""


class Session(Protocol):
    """A connection to a source that plays transactions."""

    def run(self, statement: str) -> None:
        """One statement, committed."""

    def play(self, transaction: Transaction) -> None:
        """Statements, each within a savepoint: one that breaks a constraint is rolled back alone."""


class Stage:
    """A source with the tables of cases."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def build(self, cases: Sequence[Case], target_url: str) -> None:
        """Make the tables of both sides."""
        for case in cases:
            for statement in case.source:
                self._session.run(statement)
        run_on(target_url, [statement for case in cases for statement in case.target])

    def acts(self, cases: Sequence[Case], count: int, dice: Random) -> list[list[Transaction]]:
        """The histories in so many parts; in each, the cases' transactions stand among each other, in their orders."""
        acts = []
        for number in range(count):
            parts = [_part(case, number, count) for case in cases]
            order = [place for place, part in enumerate(parts) for _ in part]
            dice.shuffle(order)
            queues = [iter(part) for part in parts]
            acts.append([next(queues[place]) for place in order])
        return acts

    def play(self, act: Sequence[Transaction]) -> None:
        """One part."""
        for transaction in act:
            self._session.play(transaction)


def _part(case: Case, number: int, count: int) -> list[Transaction]:
    all_ = [(statements, n not in case.rolled_back) for n, statements in enumerate(case.transactions)]
    return all_[len(all_) * number // count : len(all_) * (number + 1) // count]


class _Postgres:
    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def run(self, statement: str) -> None:
        self._connection.execute(statement.encode())

    def play(self, transaction: Transaction) -> None:
        statements, committed = transaction
        with self._connection.transaction(force_rollback=not committed):
            for statement in statements:
                try:
                    with self._connection.transaction():
                        self.run(statement)
                except psycopg.errors.IntegrityError:
                    continue


@contextmanager
def stage_of(kind: str, url: str) -> Iterator[Stage]:
    """The source of a kind, for the length of the block."""
    assert kind == "postgresql"
    with open_url(url) as connection:
        yield Stage(_Postgres(connection))


def run_on(url: str, statements: Sequence[str]) -> None:
    """Run statements on a target of any engine."""
    if url.startswith("sqlite:"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file:
            file.executescript(";\n".join(statements))
    elif url.startswith("mariadb:"):
        with open_mariadb(url) as cursor:
            for statement in statements:
                cursor.execute(statement)
    else:
        with open_url(url) as connection:
            for statement in statements:
                connection.execute(statement.encode())
