"""The oracle has teeth: the product with one of its rules broken does not pass.

Each mutant (tests/support/mutant_main.py) runs through the same story as the unbroken product does
(tests/support/stories.py). For it the story must fail: other content, an unbalanced ledger, or the product's own error.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import workload
from tests.support.databases import Databases
from tests.support.lives import Lives
from tests.support.mutant_main import MUTANTS
from tests.support.pipeline import Settings
from tests.support.proxy import Proxy
from tests.support.stack import Stack
from tests.support.stories import STORIES
from tests.support.warm import Factory
from tests.support.workload import Writer

ROWS = 2_000
ROUNDS = 3
"""A mutant may be lucky in one."""
STORY_OF = {
    "commits not yet visible are not waited for": "late",
    "chunks are read before older transactions are visible": "early",
    "events of chunks being read are not held": "held",
    "key fences are not looked at": "fenced",
    "key fences are not written": "fenced",
    "chunks copy fenced keys too": "fenced",
}
"""Mutants that the ordinary story would meet only now and then."""


@pytest.fixture(scope="module")
def mutants() -> Iterator[Factory]:
    """Starts broken daemons."""
    with Factory("tests.support.mutant_main") as made:
        yield made


@pytest.fixture(scope="module")
def lives(stack: Stack, mutants: Factory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lives]:
    """One source that is written to, connected once, and a target that begins anew for each mutant."""
    databases = Databases(stack, "mutants")
    settings = Settings(tables=workload.TABLES, chunk_rows=50, partitions=1)
    try:
        workload.create(databases.source_url, databases.target_url, ROWS)
        with (
            Proxy(databases.target_url) as proxy,
            Writer(databases.source_url, 1, ROWS, rate=200) as writer,
            Writer(databases.source_url, 2, ROWS, rate=4, mix=("docs_slowly",)) as slow,
            Lives(databases, tmp_path_factory.mktemp("mutants"), settings, mutants, proxy, writer, slow) as made,
        ):
            made.pipeline.command("connector", "apply")
            yield made
    finally:
        databases.drop()


@pytest.mark.parametrize("story", STORIES)
def test_the_unbroken_product_passes(lives: Lives, story: str) -> None:
    lives.pipeline.extra_env["CHANGEOVER_MUTANT"] = ""
    STORIES[story](lives)


@pytest.mark.parametrize("mutant", sorted(MUTANTS))
def test_a_broken_rule_is_found(lives: Lives, mutant: str) -> None:
    lives.pipeline.extra_env["CHANGEOVER_MUTANT"] = mutant
    for _ in range(ROUNDS):
        try:
            STORIES[STORY_OF.get(mutant, "live")](lives)
        except AssertionError as error:
            print(str(error)[:600])
            return
    pytest.fail(f"the mutant passed {ROUNDS} times")
