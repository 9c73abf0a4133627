"""A MariaDB server from Debian's packages. It runs as the stack's user, root included: it allows that, if told."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from stacklib.cache import MavenFiles
from stacklib.debian import DebianPackages, library_path
from stacklib.part import Part
from stacklib.ports import HOST
from stacklib.processes import Command, environment
from stacklib.stack import Stack

MARIADB = DebianPackages("mariadb")
DEBEZIUM_MARIADB = MavenFiles("debezium-mariadb")
DATABASE = "legacy"
_SETTINGS = (
    "--server-id=1",
    "--log-bin=binlog",
    "--binlog-format=ROW",
    "--binlog-row-image=FULL",
    "--gtid-domain-id=0",
    "--gtid-strict-mode=1",
    "--local-infile=1",
    "--character-set-server=utf8mb4",
    "--innodb-buffer-pool-size=128M",
    "--innodb-flush-log-at-trx-commit=2",
    "--max-allowed-packet=64M",
    "--max-connections=200",
    "--skip-name-resolve",
    "--default-time-zone=+00:00",
    "--socket=server.sock",
    "--pid-file=server.pid",
)
_START_SQL = """\
CREATE DATABASE IF NOT EXISTS {database};
CREATE USER IF NOT EXISTS 'root'@'{host}';
ALTER USER 'root'@'{host}' IDENTIFIED BY '{password}';
ALTER USER 'root'@'localhost' IDENTIFIED BY '{password}';
GRANT ALL PRIVILEGES ON *.* TO 'root'@'{host}' WITH GRANT OPTION;
"""


class MariaDB(Part):
    """One server with one database and its binary log on; its user root has a generated password."""

    name = "mariadb"
    default = False
    items = (MARIADB, DEBEZIUM_MARIADB)
    plugins = (DEBEZIUM_MARIADB,)

    def passwords(self) -> list[str]:
        """Return the name of root's password."""
        return [self.name]

    def prepare(self, stack: Stack) -> None:
        """Make the data directory, and write what the server runs at each start."""
        home = stack.home(self.name)
        data = home / "data"
        if not data.exists():
            partial = home / "partial"
            shutil.rmtree(partial, ignore_errors=True)
            script = str(_usr() / "bin" / "mariadb-install-db")
            options = ["--no-defaults", f"--basedir={_usr()}", f"--datadir={partial}", *_user()]
            options += ["--auth-root-authentication-method=normal", "--skip-test-db"]
            stack.launcher.run(self.name, Command([script, *options], _env(), cwd=home), stack.log(self.name))
            partial.rename(data)
        start = home / "start.sql"
        start.touch(0o600)
        password = stack.state.passwords[self.name]
        start.write_text(_START_SQL.format(database=DATABASE, host=HOST, password=password))

    def command(self, stack: Stack) -> Command:
        """Return the server's command."""
        home = stack.home(self.name)
        options = ["--no-defaults", f"--basedir={_usr()}", f"--datadir={home / 'data'}", *_user(), *_SETTINGS]
        options += [f"--bind-address={HOST}", f"--port={stack.port(self.name)}", f"--init-file={home / 'start.sql'}"]
        options += [f"--lc-messages-dir={_usr() / 'share' / 'mysql'}", f"--plugin-dir={_usr() / 'lib/mysql/plugin'}"]
        return Command([str(_usr() / "sbin" / "mariadbd"), *options], _env(), cwd=home)

    def ready(self, stack: Stack) -> bool:
        """Tell whether the database answers a query."""
        argv = [str(_usr() / "bin" / "mariadb"), "--no-defaults", f"--host={HOST}", f"--port={stack.port(self.name)}"]
        argv += ["--user=root", "--connect-timeout=2", "--batch", "--execute=select 1", DATABASE]
        secret = {"MYSQL_PWD": stack.state.passwords[self.name]}
        env = environment(stack.dir, f"helper:{self.name}", {**_env(), **secret})
        return subprocess.run(argv, env=env, capture_output=True, check=False).returncode == 0

    def env_lines(self, stack: Stack) -> Mapping[str, str]:
        """Return the URL of the database."""
        password = stack.state.passwords[self.name]
        return {"MARIADB_URL": f"mariadb://root:{password}@{HOST}:{stack.port(self.name)}/{DATABASE}"}


def _usr() -> Path:
    """Return the place of the unpacked programs."""
    return MARIADB.path / "usr"


def _user() -> list[str]:
    """Return the option without which the server refuses to run as root."""
    return ["--user=root"] if os.geteuid() == 0 else []


def _env() -> dict[str, str]:
    """Return where the unpacked libraries are."""
    return library_path(MARIADB.path)
