"""Errors in the configuration: all at once, with line, column, field and hint, and without a value."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.config.model import load
from mappers.errors import ConfigError

SECRET = "correct-horse"
ENVIRON = {"OLD": f"postgresql://u:{SECRET}@old/db", "NEW": f"postgresql://u:{SECRET}@new/db", "SECRET": SECRET}

START = """\
pipeline: shop
source: {kind: postgresql, url: ${OLD}, topic_prefix: legacy}
target: {kind: postgresql, url: ${NEW}}
kafka: {bootstrap_servers: k}
"""
TABLES = "tables: [{from: public.users, to: app.accounts, key: {id: id}, columns: {id: id}}]\n"


def lines(tmp_path: Path, text: str) -> list[str]:
    """The lines of the error that this text gives, without the file's name."""
    path = tmp_path / "c.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path, ENVIRON)
    assert SECRET not in str(caught.value) + repr(caught.value)
    assert all(line.startswith(f"{path}:") and "\n" not in line for line in caught.value.lines)
    assert len(caught.value.problems) >= 1
    return [line.removeprefix(f"{path}:") for line in caught.value.lines]


def test_all_problems_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    found = lines(
        tmp_path,
        START.replace("${NEW}", "${MISSING}").replace("kafka: {", "kafka: {partitions: many, ")
        + "stream:\n  batch_rows_maks: 5\n  buffer_rows_max: -1\n  buffer_rows_max: 4\n"
        + "backfill: {workers: true}\nlogs: {}\n"
        + TABLES,
    )
    assert [line.split(" ")[0] for line in found] == [
        "3:33:", "4:21:", "6:3:", "7:20:", "8:3:", "9:21:", "10:1:",
    ]  # fmt: skip
    assert found[0].startswith("3:33: target.url: the environment variable MISSING is not set; set it")
    assert found[1].startswith("4:21: kafka.partitions: wrong value (expected an integer)")
    assert found[2] == "6:3: stream.batch_rows_maks: unknown key; did you mean batch_rows_max?"
    assert found[4] == "8:3: stream.buffer_rows_max: duplicate key; it is already on line 7"
    assert found[5].startswith("9:21: backfill.workers: wrong value (expected a number); Chunks read")
    assert found[6] == "10:1: logs: unknown key; did you mean log?"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (START, "1:1: tables: missing; The mapping"),
        (START + "tables: []\n", "5:9: tables: wrong value (expected to have at least 1 item"),
        (START + TABLES + "workers: 3\n", "6:1: workers: unknown key; did you mean backfill.workers?"),
        (START + TABLES + "http: 8080\n", "6:7: http: wrong value (expected a mapping"),
        (START + TABLES + "log: {level: loud}\n", "6:14: log.level: wrong value (expected 'debug', 'info', "),
        (
            START + TABLES + "stream: {buffer_rows_max: 5}\n",
            "6:27: stream.buffer_rows_max: wrong value (expected at least",
        ),
        (START + TABLES + "connect: {}\n", "6:1: connect.url: missing; URL of Kafka Connect"),
        (START.replace("k}", "k, settings: {group.id: x}}") + TABLES, "4:41: kafka.settings: group.id cannot be set; "),
        (
            START.replace("k}", "k, settings: {x: [1]}}") + TABLES,
            "4:45: kafka.settings.x: wrong value (expected a string or",
        ),
        (
            START.replace("${OLD}", "mysql://u:${SECRET}@h/d") + TABLES,
            "2:33: source.url: wrong value (expected postgresql://",
        ),
        (START.replace("${OLD}", "${file:nope}") + TABLES, "2:33: source.url: the file "),
        (START.replace("${OLD}", "'${OLD'") + TABLES, "2:33: source.url: a reference is not closed"),
        (START.replace("${OLD}", "${OLD:-x}") + TABLES, "2:33: source.url: not a reference (expected ${NAME}"),
        (START.replace("shop", "${SECRET} x") + TABLES, "1:11: pipeline: wrong value (expected a string that matches"),
        (START.replace("shop", "!!python/name:os.system x") + TABLES, "1:11: pipeline: this YAML tag is not supported"),
    ],
)
def test_each_problem_says_where_and_how_to_mend_it(tmp_path: Path, text: str, expected: str) -> None:
    found = lines(tmp_path, text)
    assert len(found) == 1
    assert found[0].startswith(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1:1: the file is empty"),
        ("# only a comment\n", "1:1: the file is empty"),
        ("- a\n", "1:1: wrong value (expected a mapping"),
        ("a: 1\nb: [1, 2\nc: 3\n", "3:2: not valid YAML: expected ',' or ']', but got ':'"),
        (f"a: *{SECRET}\n", "1:4: not valid YAML: found undefined alias;"),
        (f"a: 'x\nb: {SECRET}\n", "3:1: not valid YAML: found unexpected end of stream"),
        ("a: 1\nb: x\x00\n", "2:5: not valid YAML: a control character"),
        ("[" * 5000, "1:1: nested too deeply"),
        ("a: &a [*a]\n", "1:4: a.0: an anchor contains itself"),
        ("? [x]\n: 1\n", "1:3: a key must be text"),
    ],
)
def test_yaml_problems_have_positions_too(tmp_path: Path, text: str, expected: str) -> None:
    assert any(line.startswith(expected) for line in lines(tmp_path, text))


def test_anchors_that_repeat_each_other_end(tmp_path: Path) -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12))
    assert lines(tmp_path, bomb) == ["1:1: nested too deeply, or too large"]


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nope\.yaml:1:1: the configuration cannot be read: No such file"):
        load(tmp_path / "nope.yaml", {})
    (tmp_path / "latin.yaml").write_bytes(b"a: 1\nb: \xe9\n")
    with pytest.raises(ConfigError, match=r"latin\.yaml:2:1: .*not UTF-8"):
        load(tmp_path / "latin.yaml", {})


def test_problems_inside_the_mapping_name_the_column(tmp_path: Path) -> None:
    found = lines(
        tmp_path,
        START
        + "tables:\n"
        + "  - from: public.users\n    columns:\n      id: id\n      email: ''\n      plan: [a]\n"
        + "  - from: public.posts\n    columns: all\n    colums: '*'\n",
    )
    assert found[0].startswith("9:14: tables.0.columns.email: the expression is empty")
    assert found[1].startswith("10:13: tables.0.columns.plan: ")
    assert found[2].startswith("12:14: tables.1.columns: wrong value (expected '*' or a mapping)")
    assert found[3] == "13:5: tables.1.colums: unknown key; did you mean columns?"
    assert len(found) == 4
