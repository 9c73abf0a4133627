"""The documents name tests; they must be there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
DOCUMENTS = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_test_that_is_named_is_there(document: Path) -> None:
    for file, test in NAMED.findall(document.read_text()):
        path = ROOT / file
        assert path.is_file(), f"{document.name} names {file}, which is not there"
        assert not test or f"def {test}(" in path.read_text(), f"{document.name} names {file}::{test}"


def test_the_guarantees_are_shown() -> None:
    text = (ROOT / "docs" / "guarantees.md").read_text()
    promises = [
        line for line in text.splitlines() if line.startswith("| ") and not line.startswith(("| promise", "| ---"))
    ]
    assert len(promises) > 10
    assert not [line for line in promises if not NAMED.search(line)]
