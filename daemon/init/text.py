"""The whole configuration as text, and what there is to say of it in a few lines."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from daemon.init.draft import Item, Refusal, starred
from daemon.init.entry_text import entry_lines, offers
from daemon.init.yaml_text import comment
from mappers.propose.records import Proposal

_NAME_MAX = 40


@dataclass(frozen=True, slots=True)
class Written:
    """What the text is made of. places: role@host:port/database of both sides."""

    pipeline: str
    kinds: tuple[str, str]
    places: tuple[str, str]
    items: tuple[Item, ...]
    proposal: Proposal
    occupied: frozenset[str]


def pipeline_name(source: str, target: str) -> str:
    """A pipeline's name from two databases' names."""
    one, other = (re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") for name in (source, target))
    name = f"{one}-to-{other}" if one and other and one != other else one or other
    name = re.sub(r"^[^a-z]+", "", name)[:_NAME_MAX].strip("-")
    return name or "migration"


def configuration(written: Written, refusal: Refusal) -> str:
    """The file, which `load` takes as it is where any entry is in force."""
    live = [item for item in written.items if item.match.live]
    lines = [*_head(written), "tables:" if live else "tables: []   # an entry below must be put in force first"]
    for item in written.items:
        lines += entry_lines(item, refusal, item.match.target.full_name in written.occupied)
    lines += _alone(written.proposal, refusal)
    lines += _free(written.proposal)
    return "\n".join(lines) + "\n"


def _head(written: Written) -> Iterator[str]:
    source, target = (comment(place) for place in written.places)
    yield "# Proposed by `changeover init` from names, types, keys and foreign keys; no row was read."
    yield "# A number says how sure a pair is (0 to 1); where there is none, names differ in writing at most."
    yield "# A line with `#` is not in force: its remark says what to decide. Take the `# ` away to put it in force."
    yield f"# Set SOURCE_URL ({source}) and TARGET_URL ({target}) with their passwords,"
    yield "# KAFKA_BOOTSTRAP (host:port) and CONNECT_URL (http://host:port); then run `changeover doctor`."
    yield f"pipeline: {written.pipeline}"
    yield f'source: {{kind: {written.kinds[0]}, url: "${{SOURCE_URL}}", topic_prefix: {written.pipeline}}}'
    yield f'target: {{kind: {written.kinds[1]}, url: "${{TARGET_URL}}"}}'
    yield 'kafka: {bootstrap_servers: "${KAFKA_BOOTSTRAP}"}'
    yield 'connect: {url: "${CONNECT_URL}"}'
    yield "http: {host: 127.0.0.1, port: 8080}"
    yield ""


def _alone(proposal: Proposal, refusal: Refusal) -> Iterator[str]:
    """Source tables without a place; what one might have become stands there whole, to be put in force."""
    if not proposal.alone:
        return
    yield ""
    yield "  # Source tables without a place in the target:"
    yield from (f"  # {comment(table.full_name)}" for table, candidates in proposal.alone if not candidates)
    for table, candidates in proposal.alone:
        if candidates:
            named = " or ".join(f"{comment(c.target.full_name)} ({c.confidence:.2f})" for c in candidates)
            match = replace(candidates[0].match, live=False, note=f"{comment(table.full_name)} might be {named}")
            yield from entry_lines(Item(match, starred(match)), refusal, False)


def _free(proposal: Proposal) -> Iterator[str]:
    if proposal.free:
        yield ""
        yield "  # Target tables that nothing fills:"
        yield from (f"  # {comment(table.full_name)}" for table in proposal.free)


def summary(written: Written) -> str:
    """What was found, in one line for a person."""
    live = [item for item in written.items if item.match.live]
    same = sum(item.starred for item in live)
    columns = sum(len(offers(item.match)) for item in live)
    parts = (
        f"{same} tables with the same columns",
        f"{len(live) - same} with renamed or changed ones",
        f"{len(written.items) - len(live)} in comments that need a decision",
        f"{len(written.proposal.alone)} source tables without a place",
        f"{len(written.proposal.free)} target tables that nothing fills",
        f"{columns} columns to decide",
    )
    return ", ".join(parts)


def decisions(items: Sequence[Item]) -> bool:
    """Whether any entry is in force."""
    return any(item.match.live for item in items)
