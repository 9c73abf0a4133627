"""`changeover connector apply | status | delete`: what the configuration asks for, said in the user's own terms."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from connectors.waiting import Patience
from daemon.connector import setup as stream_setup
from daemon.connector.plan import plan_of
from daemon.connector.source_checks import SERVER, SOURCE
from mappers.errors import ConfigError, Problem

if TYPE_CHECKING:
    from daemon.config.model import Config
    from daemon.wiring import Parts

_LOG = logging.getLogger(__name__)


def apply(parts: Parts, timeout_s: float) -> dict[str, Any]:
    """Make the stream's connector, or bring it up to the configuration; returns once it streams. Says what changed.

    Nothing is changed where something is missing (ConfigError, everything at once). Repeating it changes nothing.
    """
    with _located(parts.config):
        _refuse_foreign(parts.config)
        return stream_setup.apply(plan_of(parts.config), _patience(parts, timeout_s))


def status(parts: Parts) -> dict[str, Any]:
    """How the connector, its slot, its publication and its topics are."""
    with _located(parts.config):
        return stream_setup.status(plan_of(parts.config))


def delete(parts: Parts, timeout_s: float, *, topics: bool = False) -> dict[str, Any]:
    """Remove the connector, its slot and its publication, and with `topics` its topics. Says what was there."""
    with _located(parts.config):
        _refuse_foreign(parts.config)
        return stream_setup.delete(plan_of(parts.config), _patience(parts, timeout_s), topics=topics)


def _refuse_foreign(config: Config) -> None:
    """Raises ConfigError where the connector is declared as somebody else's."""
    if config.connect is not None and not config.connect.managed:
        what = "the connector is somebody else's: it is neither made, changed nor deleted from here"
        hint = "`changeover doctor` checks its settings; managed: true makes it this pipeline's own"
        raise ConfigError([Problem(("connect", "managed"), what, hint)])


def _patience(parts: Parts, timeout_s: float) -> Patience:
    def say(reason: str) -> None:
        _LOG.info("waiting: %s", reason)

    return Patience(timeout_s, sleep=parts.stop.wait, stop=parts.stop.is_set, say=say)


@contextmanager
def _located(config: Config) -> Iterator[None]:
    """Problems of the source and the topics as lines of the file that names them."""
    try:
        yield
    except ConfigError as error:
        raise config.locate(ConfigError([placed(config, problem) for problem in error.problems])) from None


def placed(config: Config, problem: Problem) -> Problem:
    """The problem with the path of the field that names what it is about."""
    where, about = problem.path[:1], str(problem.path[-1])
    if problem.path == SERVER:
        return Problem(("source", "url"), problem.message, problem.hint)
    if where == SOURCE:
        names = [".".join(spec.source_name) for spec in config.tables]
        place = ("tables", names.index(about), "from") if about in names else ("tables",)
        return Problem(place, f"{about}: {problem.message}", problem.hint)
    if where == ("kafka",):
        return Problem(("kafka",), f"topic {about}: {problem.message}", problem.hint)
    return problem
