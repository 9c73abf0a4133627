"""The documents name tests and modules; they must be there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
MODULES = re.compile(r"\b((?:connectors|daemon|deploy|mappers)/[\w/]+\.(?:py|sql|yaml))\b")
DOCUMENTS = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_test_that_is_named_is_there(document: Path) -> None:
    for file, test in NAMED.findall(document.read_text()):
        path = ROOT / file
        assert path.is_file(), f"{document.name} names {file}, which is not there"
        assert not test or f"def {test}(" in path.read_text(), f"{document.name} names {file}::{test}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_module_that_is_named_is_there(document: Path) -> None:
    for file in MODULES.findall(document.read_text()):
        assert (ROOT / file).is_file(), f"{document.name} names {file}, which is not there"


def test_the_guarantees_are_shown() -> None:
    text = (ROOT / "docs" / "guarantees.md").read_text()
    promises = [
        line for line in text.splitlines() if line.startswith("| ") and not line.startswith(("| promise", "| ---"))
    ]
    assert len(promises) > 10
    assert not [line for line in promises if not NAMED.search(line)]
