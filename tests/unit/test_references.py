"""References in the configuration, as text in and text out."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.config.references import FILE_BYTES_MAX, References, protect, restore


@pytest.mark.parametrize(
    ("scalar", "expected"),
    [
        ("${A}", "a}b"),
        ("x${A}${B}y", "xa}b${A}y"),
        ("$${A}", "${A}"),
        ("$$${A}", "$${A}"),
        ("$A {A} $", "$A {A} $"),
        ("", ""),
    ],
)
def test_expand_once_from_left_to_right(scalar: str, expected: str) -> None:
    assert References({"A": "a}b", "B": "${A}"}, Path()).expand(scalar) == (expected, [])


@pytest.mark.parametrize("text", ["{url: ${URL}, b: 1}", "[${file:a,b#c}]", "é: $${X}", "${", "'${A'}", "${A\n}"])
def test_protect_keeps_positions_and_is_undone(text: str) -> None:
    assert len(protect(text)) == len(text)
    assert restore(protect(text)) == text


def test_every_fault_of_a_scalar_is_told() -> None:
    _, faults = References({}, Path()).expand("${A} ${B-c} ${")
    assert [fault.split(" (")[0].split(";")[0] for fault in faults] == [
        "the environment variable A is not set",
        "not a reference",
        "a reference is not closed",
    ]


def test_files_that_cannot_be_secrets(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * (FILE_BYTES_MAX + 1))
    (tmp_path / "bin").write_bytes(b"\xff")
    references = References({}, tmp_path)
    for name, said in (
        ("big", "longer than"),
        ("bin", "not UTF-8"),
        (".", "Is a directory"),
        ("a\0b", "cannot be read"),
    ):
        _, faults = references.expand(f"${{file:{name}}}")
        assert said in faults[0]


def test_values_are_masked_longest_first() -> None:
    references = References({"A": "secret", "B": "secret-two", "C": "no"}, Path())
    references.expand("${A}${B}${C}")
    assert references.mask("secret-two secret no") == "*** *** no"
