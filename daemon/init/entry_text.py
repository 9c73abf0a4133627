"""One entry of the configuration as text: in force, or as a comment that becomes one by taking its `# ` away."""

from __future__ import annotations

from collections.abc import Iterator

from daemon.init.draft import Item, Refusal, table_name
from daemon.init.yaml_text import comment, flow, key, value
from mappers.mapping import Column
from mappers.propose.records import CERTAIN, ColumnMatch, TableMatch

_WIDTH = 110


def entry_lines(item: Item, refusal: Refusal, occupied: bool) -> list[str]:
    """The lines of an entry, indented below `tables:`."""
    match = item.match
    if match.live:
        head = [f"# {word}" for word in _remarks(match, occupied)]
        return [f"  {line}" for line in (*head, *_body(item), *_rest(match, refusal))]
    why = [f"# not in force: {comment(line)}" for line in match.note.splitlines()]
    body = [f"# {line}" for line in (*_body(item), *_rest(match, refusal))]
    return [f"  {line}" for line in (*why, *body)]


def _remarks(match: TableMatch, occupied: bool) -> Iterator[str]:
    if match.note or match.confidence < CERTAIN:
        yield f"{match.confidence:.2f} {comment(match.note)}".strip()
    if occupied:
        yield (f"{comment(match.target.full_name)} has rows already, so that `run` refuses it: empty it, or add "
               "`if_not_empty: keep`")  # fmt: skip


def _body(item: Item) -> Iterator[str]:
    match = item.match
    source, target = flow(table_name(match.source)), flow(table_name(match.target))
    same = source == target
    offers = any(not column.live for column in match.columns)
    if item.starred and not offers and not match.key and not match.source_key:
        yield f"- {{from: {source}}}" if same else f"- {{from: {source}, to: {target}}}"
        return
    yield f"- from: {source}"
    if not same:
        yield f"  to: {target}"
    if match.source_key:
        yield f"  source_key: [{', '.join(map(flow, match.source_key))}]"
    if match.key:
        pairs = ((column.target, column.expression) for column in match.columns if column.target in match.key)
        yield f"  key: {{{', '.join(f'{key(name)}: {flow(text)}' for name, text in pairs)}}}"
    if item.starred:
        yield '  columns: "*"'
    else:
        yield "  columns:"
    yield from _columns(match, item.starred)


def _columns(match: TableMatch, starred: bool) -> Iterator[str]:
    for column in match.columns:
        line = f"{key(column.target)}: {value(column.expression)}"
        if column.live and not starred:
            sure = column.confidence >= CERTAIN
            yield f"    {line}" if sure else _aligned(f"    {line}", f"# {column.confidence:.2f}")
        elif not column.live:
            yield _aligned(f"    # {line}", f"# {column.confidence:.2f} {comment(column.note)}")


def _aligned(line: str, remark: str) -> str:
    return f"{line:<44}  {remark}"


def _rest(match: TableMatch, refusal: Refusal) -> Iterator[str]:
    """What has no counterpart: neither in force nor offered."""
    offered = {column.target for column in match.columns}
    unfilled = [c for c in match.target.columns if c.name not in offered and not c.generated]
    yield from _listed("target columns that nothing fills:", [_told(column) for column in unfilled])
    unused = [column for column in match.source.columns if column.name not in match.used]
    yield from _listed(
        "source columns that go nowhere:", [_told(column, refusal(match.source, column)) for column in unused]
    )


def _told(column: Column, why: str = "") -> str:
    about = comment(f"{column.name} {column.native or column.type}")
    if column.nullable or why:
        return f"{about} ({comment(why)})" if why else about
    return f"{about}{' with a default' if column.has_default else ', NOT NULL'}"


def _listed(head: str, items: list[str]) -> Iterator[str]:
    if not items:
        return
    line = f"  # {head}"
    for place, item in enumerate(items):
        word = item + (";" if place < len(items) - 1 else "")
        if len(line) + len(word) > _WIDTH and not line.endswith(":"):
            yield line
            line = "  #   " + word
        else:
            line = f"{line} {word}"
    yield line


def offers(match: TableMatch) -> list[ColumnMatch]:
    """Columns that somebody must decide."""
    return [column for column in match.columns if not column.live]
