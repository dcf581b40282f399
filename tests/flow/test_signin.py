"""The first day of an installation from the command line: the first user, a sign-in, a second one, signing out."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.live import KEY, Server, server, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
LLMS = [sys.executable, "-m", "llm_scheduler"]
PASSWORD = "four words of Ann's own"
NEW = "other words of Ann's"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server(tmp_path_factory.mktemp("signin"), admin_password=PASSWORD) as running:
        yield running


class Home:
    """Somebody's machine: the command line and what it keeps there."""

    def __init__(self, live: Server, folder: Path, **environ: str) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LLMS_")}
        own = {"XDG_CONFIG_HOME": str(folder / "config"), "LLMS_DATA_DIR": str(folder / "data")}
        self.environ = {**kept, "LLMS_URL": f"http://127.0.0.1:{live.port}", **own, **environ}
        self.file = folder / "config" / "llm-scheduler" / "logins.json"

    def __call__(self, *args: str, expect: int = 0, stdin: str = "") -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*LLMS, *args], env=self.environ, input=stdin, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == expect, done.stderr
        return done

    def json(self, *args: str, expect: int = 0, stdin: str = "") -> Any:
        return json.loads(self(*args, "--json", expect=expect, stdin=stdin).stdout)

    def kept(self) -> dict[str, Any]:
        (login,) = json.loads(self.file.read_text()).values()
        return login


def setup_tokens(live: Server, count: int = 1) -> list[str]:
    """Those that its starts printed; they come a little after the server answers."""

    def printed() -> list[str] | None:
        found = re.findall(r"/setup#token=(\S+)", live.log)
        return found if len(found) >= count else None

    return wait_until("the start prints a token", printed)


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Server]:
    """A server without any user."""
    with server(tmp_path / "server") as running:
        yield running


def test_the_first_user_signs_in_works_and_signs_out_everywhere(empty: Server, tmp_path: Path) -> None:
    live = empty
    home, other = Home(live, tmp_path / "a"), Home(live, tmp_path / "b")
    (token,) = setup_tokens(live)
    assert "llms" in live.log.split("No user")[1]

    home("setup", "--token", "made-up", "-u", "ann", "--password-stdin", stdin=PASSWORD, expect=4)
    weak = home("setup", "--token", token, "-u", "ann", "--password-stdin", stdin="password123", expect=4)
    made = home.json("setup", "--token", token, "-u", "Ann", "--password-stdin", stdin=PASSWORD)
    closed = home("setup", "--token", token, "-u", "eve", "--password-stdin", stdin=PASSWORD, expect=4)

    assert "one of the passwords" in weak.stderr
    assert (made["username"], made["role"], made["tenant"]) == ("ann", "admin", "default")
    assert "access_token" not in made
    assert "llms login" in closed.stderr
    assert stat.S_IMODE(home.file.stat().st_mode) == 0o600

    who = home.json("whoami")
    assert (who["kind"], who["user"]["username"]) == ("user", "ann")
    home("models", "add", "toy", "--type", "scripted")
    assert home("submit", "toy", "Hi", "--wait").stdout

    wrong = other("login", "-u", "ann", "--password-stdin", stdin="wrong words", expect=4)
    assert "wrong words" not in wrong.stderr + wrong.stdout
    assert other("whoami", expect=4)
    other("login", "-u", "ann", "--password-stdin", stdin=PASSWORD)
    listed = home.json("sessions", "list")["items"]
    assert [one["is_current"] for one in listed].count(True) == 1
    assert len(listed) == 2
    mine = next(one["id"] for one in listed if not one["is_current"])
    home("sessions", "revoke", str(mine))
    over = other("whoami", expect=1)
    assert "llms login" in over.stderr
    assert not json.loads(other.file.read_text())

    other("login", "-u", "ann", "--password-stdin", stdin=PASSWORD)
    changed = home.json("passwd", "--password-stdin", stdin=f"{PASSWORD}\n{NEW}\n")
    assert changed == {"ended_sessions": 1}
    assert other("whoami", expect=1)
    other("login", "-u", "ann", "--password-stdin", stdin=NEW)
    assert home.json("logout", "--everywhere") == {"ended_sessions": 2}
    assert "not signed in" in home("logout", expect=1).stderr
    assert other("tasks", "list", expect=1)


def test_a_sign_in_renews_itself_also_when_several_commands_run_at_once(live: Server, tmp_path: Path) -> None:
    """An access token that does not hold any more is the server's 401: each command renews, one after the other."""
    home = Home(live, tmp_path)
    home("login", "-u", "admin", "--password-stdin", stdin=PASSWORD)
    kept = home.kept()
    spoilt = kept["access_token"][:-6] + "AAAAAA"
    home.file.write_text(json.dumps({home.environ["LLMS_URL"]: {**kept, "access_token": spoilt}}))

    started = [
        subprocess.Popen([*LLMS, "whoami", "--json"], env=home.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    done = [(process.communicate(timeout=120), process.returncode) for process in started]

    assert [code for _, code in done] == [0] * 4, [err for (_, err), _ in done]
    assert home.kept()["refresh_token"].split(".")[1] == "2"
    assert stat.S_IMODE(home.file.stat().st_mode) == 0o600


def test_keys_that_are_given_go_before_a_sign_in_and_that_before_the_data_folders(live: Server, tmp_path: Path) -> None:
    home = Home(live, tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "api-key").write_text(KEY)
    assert home.json("whoami")["kind"] == "bootstrap"

    home("login", "-u", "admin", "--password-stdin", stdin=PASSWORD)

    assert home.json("whoami")["kind"] == "user"
    assert json.loads(home("--api-key", KEY, "whoami", "--json").stdout)["kind"] == "bootstrap"
    home.environ["LLMS_API_KEY"] = KEY
    assert home.json("whoami")["kind"] == "bootstrap"


def test_the_tenant_is_given_by_option_or_environment(live: Server, tmp_path: Path) -> None:
    home = Home(live, tmp_path, LLMS_API_KEY=KEY)

    assert home.json("whoami", "--tenant", "default")["tenant"] == "default"
    assert home.json("--tenant", "default", "whoami")["tenant"] == "default"
    assert "llms whoami" in home("whoami", "--tenant", "nowhere", expect=4).stderr
    home.environ["LLMS_TENANT"] = "né"
    assert "né" in home("tasks", "list", expect=4).stderr


def test_a_start_with_the_admins_password_makes_that_user_and_a_weak_one_stops_it(live: Server, tmp_path: Path) -> None:
    home = Home(live, tmp_path)
    home("login", "-u", "admin", "--password-stdin", stdin=PASSWORD)
    assert home.json("whoami")["user"]["is_admin"] is True
    assert "setup#token" not in live.log
    assert PASSWORD not in live.log

    weak = Server(tmp_path / "weak", admin_password="password123")
    weak.start(is_ready=False)
    assert weak.process is not None
    assert weak.process.wait(60) != 0
    assert "LLMS_ADMIN_PASSWORD" in weak.log
    assert "password123" not in weak.log
    weak.close()


def test_a_token_of_an_earlier_start_makes_no_user(empty: Server, tmp_path: Path) -> None:
    setup_tokens(empty)
    empty.stop()
    empty.start()
    first, second = setup_tokens(empty, 2)
    home = Home(empty, tmp_path)

    home("setup", "--token", first, "-u", "ann", "--password-stdin", stdin=PASSWORD, expect=4)
    home("setup", "--token", second, "-u", "ann", "--password-stdin", stdin=PASSWORD)
