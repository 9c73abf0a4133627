"""The two Avro converters that Kafka Connect's workers have in practice, and what each must be told. Pure.

Both write Confluent's wire format. Confluent's can write NULL where a column has a default; Apicurio's (2.6, 3.0)
writes the default in its place, as `AvroSchema.defaults` and `Change.doubtful` reckon with.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit, urlunsplit

JSON = "org.apache.kafka.connect.json.JsonConverter"
CONFLUENT = "io.confluent.connect.avro.AvroConverter"
APICURIO = "io.apicurio.registry.utils.converter.AvroConverter"
NAMES = {"confluent": CONFLUENT, "apicurio": APICURIO}
_NULLS = "ignore.default.for.nullables"
_COMPATIBLE, _OWN = "/apis/ccompat/", "/apis/registry/v2"


@dataclass(frozen=True, slots=True)
class ConverterRule:
    """A setting of a converter that must have a value. default: what it is when not set."""

    setting: str
    default: str
    wanted: str
    why: str
    harmful: bool = True


_META = ConverterRule("connect.meta.data", "true", "true", "dates, times and numbers would travel without their kind")
RULES: dict[str, tuple[ConverterRule, ...]] = {
    CONFLUENT: (
        _META,
        ConverterRule("scrub.invalid.names", "false", "false", "columns would have other names than in the catalogue"),
        ConverterRule(
            _NULLS,
            "false",
            "true",
            "a NULL arrives as its column's default, and rows with that value are read again from the source",
            harmful=False,
        ),
    ),
    APICURIO: (
        _META,
        ConverterRule("apicurio.registry.as-confluent", "false", "true", "schema ids would be written in another form"),
        ConverterRule("apicurio.registry.headers.enabled", "true", "false", "schema ids would travel beside the value"),
        ConverterRule("apicurio.registry.use-id", "globalId", "contentId", "ids would name other schemas"),
    ),
}


def converter_settings(converter: str, registry: str) -> dict[str, str]:
    """The settings of an Avro converter after `value.converter.`. registry: its URL as the workers see it."""
    url, user, password = _credentials(registry)
    if converter == CONFLUENT:
        made = {"schema.registry.url": url, "auto.register.schemas": "true", _NULLS: "true"}
        if user:
            made |= {"basic.auth.credentials.source": "USER_INFO", "basic.auth.user.info": f"{user}:{password}"}
        return made
    before, found, _ = url.partition(_COMPATIBLE)
    prefix = "apicurio.registry."
    made = {f"{prefix}url": f"{before}{_OWN}" if found else url, f"{prefix}auto-register": "true"}
    made |= {rule.setting: rule.wanted for rule in RULES[APICURIO] if rule.setting.startswith(prefix)}
    # An id never changes: to ask for it again each half minute only stops the connector while the registry is away.
    made |= {f"{prefix}check-period-ms": "3600000", f"{prefix}fault-tolerant-refresh": "true"}
    if user:
        made |= {"apicurio.auth.username": user, "apicurio.auth.password": password}
    return made


def nulls_travel(config: Mapping[str, str]) -> bool:
    """Whether a connector of these settings writes NULL as such in a column that has a default."""
    return config.get("value.converter") == CONFLUENT and config.get(f"value.converter.{_NULLS}", "").lower() == "true"


def chosen(wanted: str, installed: Collection[str]) -> str | None:
    """The class of the wanted converter (confluent, apicurio, auto) that the workers have; None where they do not."""
    names = NAMES.values() if wanted == "auto" else (NAMES[wanted],)
    return next((name for name in names if name in installed), None)


def _credentials(url: str) -> tuple[str, str, str]:
    """(the URL without them, user, password)."""
    parts = urlsplit(url)
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return bare, unquote(parts.username or ""), unquote(parts.password or "")
