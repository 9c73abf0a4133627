"""The schema registry: Apicurio, with Confluent's interface beside its own."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping

from stacklib.cache import MavenFiles
from stacklib.java import java
from stacklib.part import Part
from stacklib.ports import HOST
from stacklib.processes import Command
from stacklib.stack import Stack

REGISTRY = MavenFiles("registry")
AVRO_CONVERTER = MavenFiles(
    "avro-converter",
    (("org.apache.kafka.connect.storage.Converter", "io.apicurio.registry.utils.converter.AvroConverter"),),
)
_MANAGEMENT = "registry-management"
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class SchemaRegistry(Part):
    """The registry; and the converter that lets Connect write Avro with it."""

    name = "registry"
    default = False
    items = (REGISTRY, AVRO_CONVERTER)
    plugins = (AVRO_CONVERTER,)

    def ports(self) -> list[str]:
        """Return the ports of the registry and of its management interface, which else is 9000 for every stack."""
        return [self.name, _MANAGEMENT]

    def command(self, stack: Stack) -> Command:
        """Return the server's command."""
        home = stack.home(self.name)
        options = ["-Xms64m", "-Xmx384m", "-XX:+UseSerialGC", f"-Djava.io.tmpdir={home}"]
        options += [f"-Dquarkus.http.host={HOST}", f"-Dquarkus.http.port={stack.port(self.name)}"]
        # In a file: a registry that comes back empty would give its schemas' ids to others.
        options += [f"-Dapicurio.datasource.url=jdbc:h2:file:{home / 'schemas'}"]
        options += [f"-Dapicurio.datasource.jdbc.{name}-size=2" for name in ("initial", "min")]
        options += [f"-Dquarkus.management.host={HOST}", f"-Dquarkus.management.port={stack.port(_MANAGEMENT)}"]
        return Command([str(java()), *options, "-jar", str(REGISTRY.path / "quarkus-run.jar")], cwd=home)

    def ready(self, stack: Stack) -> bool:
        """Tell whether it lists its subjects."""
        try:
            with _DIRECT.open(f"{registry_url(stack)}/subjects", timeout=5) as answer:
                return isinstance(json.load(answer), list)
        except (OSError, ValueError, urllib.error.URLError):
            return False

    def env_lines(self, stack: Stack) -> Mapping[str, str]:
        """Return the URL of Confluent's interface, and of the registry's own, which the converter wants."""
        own = f"http://{HOST}:{stack.port(self.name)}/apis/registry/v2"
        return {"REGISTRY_URL": registry_url(stack), "APICURIO_URL": own}


def registry_url(stack: Stack) -> str:
    """Return the URL of Confluent's interface."""
    return f"http://{HOST}:{stack.port(SchemaRegistry.name)}/apis/ccompat/v7"
