"""Which expression fills which target column: `columns`, `overrides` and `key` together, checked against both sides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from mappers.dialects import Dialect
from mappers.expressions import ExpressionError, column_expression, parse_expression, shown
from mappers.grammar import Catalog
from mappers.keys import Report
from mappers.mapping import Column, Expression, Makers, Table
from mappers.names import did_you_mean, readable
from mappers.nulls import possibly_null, proven_present
from mappers.spec import TableSpec

Path = tuple[str, ...]


@dataclass(slots=True)
class Filling:
    """Fills the target's columns; `filled` holds those that were right, `paths` where each was named.

    source: with the columns that `makers` make beside its own.
    """

    spec: TableSpec
    source: Table
    target: Table
    functions: Catalog
    dialect: Dialect
    makers: Makers
    report: Report
    where: Expression | None = None
    filled: dict[str, Expression] = field(default_factory=dict)
    paths: dict[str, Path] = field(default_factory=dict)

    def run(self) -> None:
        """Parses everything and reports everything; what is right is in `where` and `filled` afterwards."""
        if self.spec.where is not None:
            self.where = self._parse(self.spec.where, ("where",))
        if self.spec.columns == "*":
            self._star()
        for path, name, text in self._named():
            self._fill(path, name, text)
        for name, text in (self.spec.key or {}).items():
            self._fill_key(name, text)
        self._left_out()

    def check_nulls(self, key: tuple[str, ...]) -> None:
        """Reports every column that must not be NULL and might become so; a key must not, whatever its column says."""
        nullable = {column.name for column in self.source.columns if column.nullable}
        proven = proven_present(self.where)
        for name, expression in self.filled.items():
            required = name in key or not self.target.column(name).nullable
            if required and possibly_null(expression, nullable, proven):
                self._null_problem(name, expression, sorted(expression.inputs & nullable - proven), name in key)

    def _null_problem(self, name: str, expression: Expression, culprits: list[str], in_key: bool) -> None:
        why = "identifies a row" if in_key else "is NOT NULL"
        present = "where: " + " and ".join(f"{readable(column)} is not null" for column in culprits)
        coalesce = f"coalesce({shown(expression)}, <a value>)"
        if in_key:
            hint = f"write {present}" if culprits else "write an expression that is never NULL"
        else:
            hint = f"write {coalesce}" + (f" or {present}" if culprits else "")
        message = f"{self.target.full_name}.{name} {why}, but the expression may be NULL"
        self.report.add(self.paths[name], message, hint)

    def _star(self) -> None:
        named = self.spec.overrides.keys() | (self.spec.key or {}).keys()
        for column in self.target.columns:
            same = _find(self.source, column.name)
            if same is None or column.generated or column.name in named:
                continue
            self.paths[column.name] = ("columns",)
            expression = self._behind(column_expression(column.name, self.dialect))
            if self._travels(expression, ("columns",)):
                self.filled[column.name] = expression

    def _named(self) -> Iterator[tuple[Path, str, str]]:
        if isinstance(self.spec.columns, dict):
            yield from ((("columns", name), name, text) for name, text in self.spec.columns.items())
        yield from ((("overrides", name), name, text) for name, text in self.spec.overrides.items())

    def _fill(self, path: Path, name: str, text: str) -> None:
        self.paths[name] = path
        writable = self._writable(name, path)
        expression = self._parse(text, path)
        if writable and expression is not None:
            self.filled[name] = expression

    def _fill_key(self, name: str, text: str) -> None:
        path = ("key", name)
        if name not in self.paths:
            self._fill(path, name, text)
            return
        expression = self._parse(text, path)
        other = self.filled.get(name)
        if expression is not None and other is not None and expression != other:
            field_name = self.paths[name][0]
            self.report.add(
                path, f"{name} is given twice and differently", f"leave it out of {field_name} or write the same there"
            )

    def _writable(self, name: str, path: Path) -> bool:
        column = _find(self.target, name)
        if column is None:
            hint = did_you_mean(name, (known.name for known in self.target.columns))
            self.report.add(path, f"{self.target.full_name} has no column {name}", hint)
            return False
        if column.generated:
            self.report.add(path, f"{self.target.full_name}.{name} is generated: it computes itself", "leave it out")
            return False
        return True

    def _parse(self, text: str, path: Path) -> Expression | None:
        try:
            expression = self._behind(parse_expression(text, self.source, self.functions, self.dialect))
        except ExpressionError as error:
            self.report.add(path, error.message, error.hint)
            return None
        return expression if self._travels(expression, path) else None

    def _behind(self, expression: Expression) -> Expression:
        """The expression with the source's own columns as its inputs: those behind the made ones it reads."""
        return replace(expression, inputs=frozenset[str]().union(*map(self.makers.reads, expression.inputs)))

    def _travels(self, expression: Expression, path: Path) -> bool:
        """Reports generated inputs: PostgreSQL's logical decoding leaves them out of the stream."""
        columns = {column.name for column in self.source.columns if column.generated}
        generated = sorted(expression.inputs & columns)
        for name in generated:
            self.report.add(
                path,
                f"{self.source.full_name}.{name} is a generated column, which does not travel in the stream",
                f"write the expression that generates it in place of {name}"
                + (f", under overrides: {{{name}: …}}" if path == ("columns",) else ""),
            )
        return not generated

    def _left_out(self) -> None:
        """Reports NOT NULL columns that nothing fills; a key column is reported with the key."""
        elsewhere = self.paths.keys() | set(() if self.spec.key else self.target.key)
        for column in self.target.columns:
            if column.name not in elsewhere and _must_be_given(column):
                self.report.add(
                    ("columns",),
                    f"{self.target.full_name}.{column.name} is NOT NULL, has no default, and is not filled",
                    f"add {column.name}: <expression>" + (" to overrides" if self.spec.columns == "*" else ""),
                )


def _must_be_given(column: Column) -> bool:
    return not (column.nullable or column.has_default or column.generated or column.identity_always)


def _find(table: Table, name: str) -> Column | None:
    return next((column for column in table.columns if column.name == name), None)
