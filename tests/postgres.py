"""A PostgreSQL server for the tests: made in a temporary folder, reached by a Unix socket, thrown away at the end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from itertools import count
from pathlib import Path

import psycopg

from rag.stores.migrations import migrate

PASSWORD = "a pass%word"
_QUOTED = "a%20pass%25word"
_OPTIONS = "-c fsync=off -c max_connections=60 -c listen_addresses= -c unix_socket_directories={}"


def programs() -> Path | None:
    """The folder of PostgreSQL's server programs, None where it is not installed."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return next((folder for folder in reversed(folders) if (folder / "initdb").is_file()), None)


def plain_user() -> list[str] | None:
    """What makes a command run as somebody else than root, whom PostgreSQL refuses; None where that cannot be."""
    if os.geteuid() != 0:
        return []
    known = subprocess.run(["id", "postgres"], capture_output=True, check=False).returncode == 0
    return ["runuser", "-u", "postgres", "--"] if known and shutil.which("runuser") else None


class Server:
    """One cluster with a password. `database()` makes a new empty library in it, and gives its address."""

    def __init__(self, bin_folder: Path, user: list[str]) -> None:
        self._bin = bin_folder
        self._user = user
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self._data = self.folder / "data"
        self._numbers = count(1)
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        if user:
            for path in (self.folder, secret):
                shutil.chown(path, "postgres")
        try:
            self._make(secret)
        except BaseException:
            self.remove()
            raise

    def _make(self, secret: Path) -> None:
        common = ["--username=citewise", "--auth=scram-sha-256", f"--pwfile={secret}", "--encoding=UTF8", "--locale=C"]
        self._do("initdb", "--no-sync", *common)
        self.start()
        self.admin("CREATE DATABASE empty")
        migrate(lambda: psycopg.connect(self.url("empty")), "the template")

    def url(self, database: str, *, password: str = _QUOTED) -> str:
        return f"postgresql://citewise:{password}@/{database}?host={self.folder}"

    def database(self) -> str:
        name = f"library_{next(self._numbers)}"
        self.admin(f"CREATE DATABASE {name} TEMPLATE empty")
        return self.url(name)

    def start(self) -> None:
        self._do("pg_ctl", "start", "-w", "-l", str(self.folder / "log"), "-o", _OPTIONS.format(self.folder))

    def stop(self, *, at_once: bool = False) -> None:
        self._do("pg_ctl", "stop", "-w", "-m", "immediate" if at_once else "fast")

    def kill_connections(self, url: str) -> None:
        """End every other connection to a database, as an administrator or a restart does."""
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    def remove(self) -> None:
        try:
            if (self._data / "postmaster.pid").exists():
                self.stop(at_once=True)
        finally:
            shutil.rmtree(self.folder)

    def admin(self, sql: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql)

    def _do(self, program: str, *options: str) -> None:
        command = [*self._user, str(self._bin / program), "-D", str(self._data), *options]
        # A server keeps what it inherits: with a pipe, waiting for its end would last as long as the server.
        log = self.folder / "tools.log"
        with log.open("ab") as output:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False, cwd="/")
        assert done.returncode == 0, log.read_text()


def kill(process: subprocess.Popen[str]) -> None:
    """kill -9."""
    process.send_signal(signal.SIGKILL)
    process.wait()
