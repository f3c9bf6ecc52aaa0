"""A real PostgreSQL of the tests' own, on a Unix socket in a folder of its own."""

import glob
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import sqlalchemy as sa

from cli.demo.processes import free_port
from tests.required import missing


def postgres_programs() -> Path:
    """The folder of initdb and pg_ctl: Debian keeps them off the PATH."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else [Path(p) for p in glob.glob("/usr/lib/postgresql/*/bin")]
    if not folders:
        missing("PostgreSQL", "install it, for example `apt-get install postgresql`")
    return sorted(folders)[-1]


class PostgresServer:
    """Refuses to run as root, as PostgreSQL does: then its own user owns it."""

    def __init__(self, *, listens: bool = False) -> None:
        """
        Args:
            listens: also on `port` of 127.0.0.1, where a role needs its password.
        """
        self.port = free_port() if listens else None
        self._programs = postgres_programs()
        self.folder = Path(tempfile.mkdtemp(prefix="mlsam-pg-"))
        self._as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self._as_user:
            os.chown(self.folder, pwd.getpwnam("postgres").pw_uid, -1)
        self._databases = 0

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as_user, str(self._programs / program), *arguments]
        subprocess.run(
            command, check=True, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
        )

    def start(self) -> "PostgresServer":
        data = self.folder / "data"
        if not data.exists():
            methods = ("--auth-local=trust", "--auth-host=scram-sha-256")
            self._run("initdb", "-D", str(data), "-U", "tests", *methods, "-E", "UTF8")
        address = f"-c listen_addresses=127.0.0.1 -p {self.port}" if self.port else "-c listen_addresses=''"
        options = f"{address} -c unix_socket_directories='{self.folder}'"
        self._run("pg_ctl", "-D", str(data), "-w", "-l", str(self.folder / "log"), "-o", options, "start")
        return self

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-m", "immediate", "stop")

    def url(self, database: str) -> str:
        port = f"&port={self.port}" if self.port else ""
        return f"postgresql+psycopg://tests@/{database}?host={self.folder}{port}"

    def new_database(self) -> str:
        """URL of an empty database."""
        self._databases += 1
        name = f"test{self._databases}"
        engine = sa.create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        engine.dispose()
        return self.url(name)
