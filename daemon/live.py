"""Changes to a running pipeline: durable in the control state, obeyed by every process, and audited.

Each takes effect with its commit. A batch in hand is committed before it, or not at all: the positions are locked.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from connectors.chunks import ChunkRow, ChunkState
from connectors.control.store import ControlStore
from connectors.sql.target import SqlTarget
from connectors.tables import MappedTable
from daemon.decided import reload
from mappers.errors import ConfigError, NotReadyError, Problem
from mappers.names import did_you_mean, split_name


class Live:
    """Makes the changes, in the name of `who`."""

    def __init__(self, target: SqlTarget, control: ControlStore, who: str) -> None:
        self._target = target
        self._control = control
        self._who = who

    def pause(self, tables: Sequence[str], *, paused: bool) -> list[str]:
        """Pause these tables, or let them go on; all of them, without names. Returns those it was a change for.

        One transaction a table, so that no two tables' positions are locked in an order of their own.
        """
        wanted = known_tables(tables, self._known())
        return [name for name in wanted if self._pause(name, paused)]

    def _known(self) -> list[str]:
        with self._target.begin() as transaction:
            exists = self._control.exists(transaction.control)
            known = sorted(self._control.tables.versions(transaction.control)) if exists else []
        if not known:
            raise NotReadyError("the pipeline has not been started", hint="run `changeover run` once")
        return known

    def _pause(self, table: str, paused: bool) -> bool:
        with self._target.begin() as transaction:
            self._control.positions.lock_table(transaction.control, table)
            changed = self._control.tables.set_paused(transaction.control, [table], paused)
            if changed:
                self._control.audit.add(transaction.control, self._who, "pause" if paused else "resume", table)
        return bool(changed)

    def reload(self, mapped: MappedTable) -> int:
        """Empty the targets that the table feeds, and have its chunks read again; returns how many chunks."""
        if mapped.name not in self._known():
            raise NotReadyError("the table has not joined the pipeline", where=mapped.name, hint="run `changeover run`")
        with self._target.begin() as transaction:
            reload(self._control, transaction, mapped)
            chunks = len(self._control.chunks.all(transaction.control, mapped.name))
            self._control.audit.add(transaction.control, self._who, "reload", f"{mapped.name}: {chunks} chunks")
        return chunks

    def pace(self, rows_per_second: int | None) -> None:
        """Set the backfill's pace: rows a second of each process, 0 for no limit, None for what is configured."""
        self._known()
        said = {None: "as configured", 0: "no limit"}.get(rows_per_second, f"{rows_per_second} rows a second")
        with self._target.begin() as transaction:
            self._control.pipeline.set_pace(transaction.control, rows_per_second)
            self._control.audit.add(transaction.control, self._who, "pace", said)


def known_tables(names: Sequence[str], known: Collection[str]) -> list[str]:
    """The names as the control state has them; all, without names. Raises ConfigError for every unknown one. Pure."""
    found, problems = [], []
    for name in names:
        try:
            full = ".".join(split_name(name))
        except ValueError as error:
            problems.append(Problem(("--table",), str(error)))
            continue
        if full not in known:
            problems.append(Problem(("--table",), f"no table {name} in the pipeline", did_you_mean(full, known)))
        found.append(full)
    if problems:
        raise ConfigError(problems)
    return sorted(set(found)) if names else sorted(known)


def refuse_paused(paused: Collection[str], mapped: Collection[str], chunks: Sequence[ChunkRow], *, lag: bool) -> None:
    """Raise NotReadyError where a wait would never end, since a paused table holds it up.

    lag: the wait is for events too, not for chunks alone.
    """
    unfinished = {chunk.table for chunk in chunks if chunk.state is not ChunkState.DONE}
    holding = sorted(name for name in mapped if name in paused and (lag or name in unfinished))
    if holding:
        raise NotReadyError(f"{', '.join(holding)}: paused", where="wait", hint="`changeover resume`, then wait again")
