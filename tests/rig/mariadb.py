"""MariaDB for tests and benchmarks: a fresh data folder, a free port, one user with a password."""

from __future__ import annotations

import atexit
import getpass
import shutil
import subprocess
from functools import cache
from pathlib import Path
from tempfile import gettempdir, mkdtemp
from typing import TYPE_CHECKING, Final

from tests.live import free_port, wait_until
from tests.rig.process import Process, program

if TYPE_CHECKING:
    from collections.abc import Sequence

USER: Final = "llms"
PASSWORD: Final = "p@ss/w:rd"
DATABASE: Final = "llms"


class MariaDb:
    """A server of its own. Durable as by default: every commit is on disk (`innodb_flush_log_at_trx_commit=1`)."""

    def __init__(self, folder: Path, options: Sequence[str] = ()) -> None:
        self.folder, self.port = folder, free_port()
        self.socket = _short(folder, self.port)
        arguments = [
            program("mariadbd"),
            "--no-defaults",
            f"--datadir={folder / 'data'}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            f"--socket={self.socket}",
            f"--pid-file={folder / 'mariadbd.pid'}",
            f"--user={getpass.getuser()}",
            "--skip-log-bin",
            "--innodb-buffer-pool-size=512M",
            "--innodb-log-file-size=256M",
            "--max-connections=200",
            "--performance-schema=OFF",
            *options,
        ]
        self.process = Process(arguments, folder, "mariadbd")

    def url(self, database: str = DATABASE, port: int | None = None) -> str:
        """As LLMS_DATABASE_URL takes it; the password's special characters are escaped."""
        return f"mysql://{USER}:p%40ss%2Fw%3Ard@127.0.0.1:{port or self.port}/{database}"

    def start(self) -> None:
        """Make the data folder if there is none, start, wait until it answers."""
        if not (self.folder / "data" / "mysql").exists():
            shutil.copytree(_template(), self.folder / "data", dirs_exist_ok=True)
        self.process.start()
        wait_until("MariaDB answers", self._answers, 60, 0.05)

    def _install(self) -> None:
        """Make the data folder, with the user and its database in it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        made = subprocess.run(
            [
                program("mariadb-install-db"),
                "--no-defaults",
                f"--datadir={self.folder / 'data'}",
                f"--tmpdir={self.folder}",  # two that install at once would take each other's files
                f"--user={getpass.getuser()}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert made.returncode == 0, made.stdout[-2000:] + made.stderr[-2000:]
        self.process.start()
        wait_until("MariaDB answers", self._answers_root, 60, 0.05)
        self.sql(f"CREATE USER '{USER}'@'%' IDENTIFIED BY '{PASSWORD}'; GRANT ALL ON *.* TO '{USER}'@'%'")
        self.create()
        self.process.stop()

    def create(self, database: str = DATABASE) -> str:
        """A database of that name, empty; its URL."""
        self.sql(f"DROP DATABASE IF EXISTS {database}; CREATE DATABASE {database} CHARACTER SET utf8mb4")
        return self.url(database)

    def sql(self, text: str, database: str = "") -> str:
        """Run statements as root; what they print, tab-separated, without headings."""
        command = [*self.client, "-N", "-B", "-e", text]
        answer = subprocess.run(
            [*command, *([database] if database else [])], capture_output=True, text=True, timeout=600
        )
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    def dump(self, database: str) -> bytes:
        """What makes the same tables, rows and triggers in another database."""
        command = [program("mariadb-dump"), "--no-defaults", f"--socket={self.socket}", "-uroot", database]
        return subprocess.run(command, capture_output=True, check=True, timeout=600).stdout

    def load(self, dumped: bytes, database: str) -> None:
        """Fill a database with what was dumped of another."""
        subprocess.run([*self.client, database], input=dumped, check=True, timeout=600)

    @property
    def client(self) -> list[str]:
        """The command line's client, as root."""
        return [program("mariadb"), "--no-defaults", f"--socket={self.socket}", "-uroot"]

    def counter(self, name: str) -> int:
        """One of the server's status counters, say `Questions`."""
        return int(self.sql(f"SHOW GLOBAL STATUS LIKE '{name}'").split()[1])

    def _answers_root(self) -> bool:
        assert self.process.is_running, self.process.log[-2000:]
        return subprocess.run([*self.client, "-e", "SELECT 1"], capture_output=True, timeout=10).returncode == 0

    def _answers(self) -> bool:
        return self._answers_root()

    def kill(self) -> None:
        """As a power cut would; `start` recovers."""
        self.process.kill()

    def close(self) -> None:
        """Leave nothing behind that runs."""
        self.process.thaw()
        self.process.kill()
        self.socket.unlink(missing_ok=True)


@cache
def _template() -> Path:
    """A data folder to copy: installing one takes seconds. Its log is small, and grows at the first start."""
    folder = Path(mkdtemp(prefix="maria-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    MariaDb(folder, ("--innodb-log-file-size=8M",))._install()
    return folder / "data"


@cache
def shared() -> MariaDb:
    """One server for all tests of this process that do not hurt it. Does not wait for its disk."""
    folder = Path(mkdtemp(prefix="maria-"))
    server = MariaDb(folder, ("--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=128M"))

    def leave() -> None:
        server.close()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(leave)
    server.start()
    return server


def _short(folder: Path, port: int) -> Path:
    """A socket's path may have 107 bytes; pytest's folders are longer."""
    path = folder / "s"
    if len(str(path)) < 100:
        return path
    return Path(gettempdir()) / f"maria-{port}.sock"
