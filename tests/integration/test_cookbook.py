"""Every recipe of the mapping cookbook, as the docs have it: loaded, then changed while it streams, then looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from tests.support.databases import open_url
from tests.support.oracle import answer
from tests.support.pipeline import Pipeline, Settings
from tests.support.recipes import Recipe, recipes
from tests.support.stack import ROOT
from tests.support.worlds.play import run_on

ALL = recipes(ROOT / "docs" / "cookbook.md")


@pytest.mark.parametrize("engine", ["postgresql", "mariadb", "sqlite"])
def test_every_recipe_gives_what_it_shows(engine: str, pipeline: Callable[[Settings], Pipeline]) -> None:
    mine = [recipe for recipe in ALL if recipe.engine == engine]
    assert mine
    quiet = {"verify": {"continuous": {"enabled": False}}}
    moving = pipeline(Settings([dict(e) for r in mine for e in r.entries], target=engine, sections=quiet))
    for recipe in mine:
        for name, text in recipe.modules.items():
            (moving.directory / name).write_text(text)
    with open_url(moving.databases.source_url) as source:
        source.execute("\n".join(recipe.source for recipe in mine).encode())
        run_on(moving.target_url, [each for recipe in mine for each in recipe.target.split(";") if each.strip()])
        moving.command("connector", "apply")
        with moving.run() as daemon:
            moving.wait_lag_zero(daemon)
            source.execute("\n".join(recipe.changes for recipe in mine).encode())
            moving.wait_lag_zero(daemon)
            wrong = [told for recipe in mine for told in differences(recipe, moving.target_url)]
            assert not wrong, "\n".join(wrong)
            found = moving.call("verify", daemon=daemon)
            assert found.code == 0, found.said
    print(f"{len(mine)} recipes")


def differences(recipe: Recipe, target_url: str) -> Sequence[str]:
    """What the target has otherwise than the recipe shows."""
    found = []
    for table, (columns, *rows) in recipe.shown.items():
        ordered = ", ".join(str(place) for place in range(1, len(columns) + 1))
        there = answer(target_url, f"SELECT {', '.join(columns)} FROM {table} ORDER BY {ordered}")
        if there != rows:
            found.append(f"{recipe.name}, {table}: {there}")
    return found


def test_recipes_are_of_every_engine() -> None:
    assert len(ALL) >= 18
    assert all(recipe.shown and recipe.changes for recipe in ALL)
