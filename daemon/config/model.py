"""The configuration: one YAML file, checked as a whole before anything is connected to.

Every problem is reported at once with its line (`config_errors`); secrets come in by reference (`references`). The
models (`config_sections`) are the reference too: `json_schema` is published for editors, with their descriptions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, PrivateAttr, ValidationError, model_validator

from daemon.config.errors import Located, problems_of
from daemon.config.references import References, protect, restore
from daemon.config.sections import (
    BackfillSection,
    ConnectSection,
    DeadLetterSection,
    HeartbeatSection,
    HttpSection,
    KafkaSection,
    LogSection,
    Section,
    SourceSection,
    StreamSection,
    TargetSection,
    VerifySection,
    check_source_url,
)
from daemon.config.yaml_lines import Fault, Position, parse
from daemon.logs import redacted
from mappers.errors import ConfigError, Problem
from mappers.spec import TableSpec

DEFAULT_FILE = "changeover.yaml"
BACKFILL = {"sqlite": {"workers": 1, "chunk_rows": 5_000}}
"""Defaults of engines with one writer: a chunk is how long the stream waits for it."""
PIPELINE = r"^[a-z][a-z0-9_-]{0,40}$"


class Config(Section):
    """The configuration of one pipeline. `${NAME}` and `${file:PATH}` are filled in inside any value."""

    pipeline: str = Field(pattern=PIPELINE, description="Name of the pipeline: a-z, 0-9, _ and -")
    source: SourceSection
    target: TargetSection
    kafka: KafkaSection
    connect: ConnectSection | None = None
    backfill: BackfillSection = Field(default_factory=BackfillSection)
    stream: StreamSection = Field(default_factory=StreamSection)
    dead_letters: DeadLetterSection = Field(default_factory=DeadLetterSection)
    verify: VerifySection = Field(default_factory=VerifySection)
    heartbeat: HeartbeatSection = Field(default_factory=HeartbeatSection)
    http: HttpSection = Field(default_factory=HttpSection)
    log: LogSection = Field(default_factory=LogSection)
    tables: list[TableSpec] = Field(min_length=1, description="The mapping: what becomes of each table")
    _located: Located | None = PrivateAttr(None)

    @model_validator(mode="before")
    @classmethod
    def _derive_names(cls, data: Any) -> Any:
        """Fill in the names that follow from the pipeline's, and take `stream:` with nothing below it as defaults."""
        pipeline = data.get("pipeline") if isinstance(data, dict) else None
        if not isinstance(pipeline, str) or not re.match(PIPELINE, pipeline):
            return data
        sql_name, dashed = f"changeover_{pipeline.replace('-', '_')}", f"changeover-{pipeline}"
        data = {name: value for name, value in data.items() if value is not None}
        for section, defaults in (
            ("source", {"slot": sql_name, "publication": sql_name}),
            ("kafka", {"group": dashed}),
            ("connect", {"connector": dashed}),
        ):
            if section in data:
                data[section] = _with_defaults(data[section], defaults)
        target = data.get("target")
        if isinstance(target, dict) and target.get("kind") in BACKFILL:
            data["backfill"] = _with_defaults(data.get("backfill") or {}, BACKFILL[target["kind"]])
        return data

    @model_validator(mode="after")
    def _can_be_followed(self) -> Config:
        """What one section needs of another."""
        if self.source.kind != "postgresql" and self.connect is None:
            raise ValueError(
                f"a source of kind {self.source.kind} needs the section connect: nothing else tells how far the "
                "connector is"
            )
        if self.connect is not None and self.connect.database_url is not None:
            check_source_url(self.source.kind, self.connect.database_url)
        return self

    @model_validator(mode="after")
    def _place_tables(self) -> Config:
        """A bare table name is in its engine's default schema."""
        for spec in self.tables:
            spec.place(self.source.default_schema, self.target.default_schema)
        return self

    def locate(self, error: ConfigError) -> ConfigError:
        """The same problems as lines of the file this came from; for what the catalogues tell later on."""
        return self._located.error(error.problems) if self._located else error

    def shown(self) -> dict[str, Any]:
        """The whole configuration with every secret masked, for `status` and `doctor`."""
        shown: dict[str, Any] = redacted(self.model_dump(mode="json", by_alias=True, exclude={"tables"}))
        shown["tables"] = self.model_dump(mode="json", by_alias=True, include={"tables"})["tables"]
        return shown


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """The configuration in a file. Raises ConfigError with every problem in it."""
    references = References(environ, path.parent)
    document = parse(protect(_text(path)), references.expand, restore)
    located = Located(str(path), document, references.mask)
    problems: list[Problem] = []
    config = None
    if document.values:
        try:
            config = Config.model_validate(document.data)
        except ValidationError as error:
            problems = list(problems_of(error, document, json_schema()))
    if config is None or document.faults:
        raise located.error(problems, document.faults)
    config._located = located
    return config


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        message = f"the configuration cannot be read: {error.strerror}"
        fault = Fault(Position(1, 1), Problem((), message, "name the file with --config"))
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        fault = Fault(Position(line, 1), Problem((), "the configuration is not UTF-8 text", "save it as UTF-8"))
    raise Located(str(path)).error(faults=[fault])


def _with_defaults(section: Any, defaults: Mapping[str, Any]) -> Any:
    """The section, as read or as built, with the names in it that nobody gave."""
    if isinstance(section, BaseModel):
        missing = {name: value for name, value in defaults.items() if not getattr(section, name)}
        return section.model_copy(update=missing)
    if isinstance(section, dict):
        return section | {name: value for name, value in defaults.items() if section.get(name) in (None, "")}
    return section


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the file. A number, a flag or a choice may also be a reference."""
    schema = Config.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    for definition in schema["$defs"].values():
        for name, field in definition.get("properties", {}).items():
            definition["properties"][name] = _or_reference(field)
    return schema


def _or_reference(field: dict[str, Any]) -> dict[str, Any]:
    """Let a field that takes no text take `${NAME}` too."""
    options = field.get("anyOf", [field])
    if not any(option.get("type") in ("integer", "number", "boolean") or "enum" in option for option in options):
        return field
    about = {name: field[name] for name in ("title", "description", "default") if name in field}
    if options == [field]:
        options = [{name: value for name, value in field.items() if name not in about}]
    return about | {"anyOf": [*options, {"type": "string", "pattern": r"^\$\{[^{}]+\}$"}]}
