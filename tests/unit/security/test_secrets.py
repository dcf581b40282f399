"""Sealing, kept secrets, the folder's lock."""

from __future__ import annotations

import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from llm_scheduler.domain.errors import StoreUnusableError, UnsealError
from llm_scheduler.domain.ids import DEFAULT_TENANT, UserId
from llm_scheduler.domain.secrecy import (
    LASTING,
    SEALED_TEXT,
    endpoint_context,
    model_context,
    signing_key_context,
    totp_context,
)
from llm_scheduler.security.folderlock import FolderLock
from llm_scheduler.security.keyfile import kept_secret, same_secret
from llm_scheduler.security.vault import AesVault

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_sealed_can_be_opened_and_does_not_show() -> None:
    """Round trip; equal secrets look different."""
    vault = AesVault("a long enough secret")
    sealed = vault.seal("sk-123", "model:1:key")

    assert vault.open(sealed, "model:1:key") == "sk-123"
    assert "sk-123" not in sealed
    assert sealed != vault.seal("sk-123", "model:1:key")


def test_another_place_or_another_key_or_damage_opens_nothing() -> None:
    """The context is authenticated, the key is named, the text is checked."""
    vault = AesVault("a long enough secret")
    sealed = vault.seal("sk-123", "model:1:key")

    with pytest.raises(UnsealError, match="damaged"):
        vault.open(sealed, "model:2:key")
    with pytest.raises(UnsealError, match="another key"):
        AesVault("another secret of length").open(sealed, "model:1:key")
    with pytest.raises(UnsealError, match="damaged"):
        vault.open(sealed[:-8] + "AAAAAAA=", "model:1:key")
    with pytest.raises(UnsealError, match="format"):
        vault.open("nonsense", "model:1:key")


def test_a_short_key_is_refused() -> None:
    """Sixteen characters at least."""
    with pytest.raises(ValueError, match="16"):
        AesVault("short")


def test_a_kept_secret_is_made_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    """0600, and the same at the next start."""
    first, is_new = kept_secret(tmp_path / "key", "llms_")
    second, is_new_again = kept_secret(tmp_path / "key", "llms_")

    assert (is_new, is_new_again) == (True, False)
    assert first == second
    assert first.startswith("llms_")
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_an_empty_secret_file_is_refused(tmp_path: Path) -> None:
    """An empty key would let everyone in."""
    (tmp_path / "key").write_text("\n")

    with pytest.raises(StoreUnusableError, match="delete it"):
        kept_secret(tmp_path / "key")


def test_secrets_are_compared_whole() -> None:
    """Equal or not."""
    assert same_secret("abc", "abc")
    assert not same_secret("abc", "abd")
    assert not same_secret("ä", "a")


def test_a_second_server_on_the_same_folder_says_who_holds_it(tmp_path: Path) -> None:
    """One data folder, one server."""
    lock = FolderLock(tmp_path).acquire()
    lock.describe("pid 42, http://127.0.0.1:8000")
    try:
        with pytest.raises(StoreUnusableError, match="pid 42"):
            FolderLock(tmp_path).acquire()
    finally:
        lock.release()
    FolderLock(tmp_path).acquire().release()


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    """The kernel lets go, no file has to be cleaned up."""
    code = (
        "import sys, os, signal; from pathlib import Path;"
        "from llm_scheduler.security.folderlock import FolderLock;"
        "FolderLock(Path(sys.argv[1])).acquire(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)

    FolderLock(tmp_path).acquire().release()


def test_a_ring_of_keys_opens_what_each_of_them_sealed() -> None:
    """The first seals; the others only open, and each text says which one it takes."""
    old, new = AesVault("the first secret key"), AesVault("the second secret key", ["the first secret key"])
    before, after = old.seal("sk-123", "here"), new.seal("sk-123", "here")

    assert new.key_ids == (AesVault("the second secret key").key_ids[0], old.key_ids[0])
    assert new.open(before, "here") == new.open(after, "here") == "sk-123"
    assert [match[1] for match in SEALED_TEXT.finditer(f"{before} {after}")] == [old.key_ids[0], new.key_ids[0]]
    with pytest.raises(UnsealError, match="LLMS_SECRET_KEYS_OLD"):
        old.open(after, "here")


def test_every_secret_that_passes_is_noted() -> None:
    """So that logs can leave it out."""
    noted: list[tuple[str, str]] = []
    vault = AesVault("the first secret key", note=lambda *one: noted.append(one))
    later = AesVault("the second secret key", ["the first secret key"], lambda *one: noted.append(one))
    later.open(vault.seal("sk-1", "x"), "x")

    assert noted == [("sk-1", "x")] * 2


def test_what_is_stored_is_told_from_what_is_sealed_for_minutes() -> None:
    """Tickets and cookies come by the thousand; they are not to crowd out what logs must leave out."""
    tenant, user = DEFAULT_TENANT, UserId(7)
    stored = [model_context(tenant, "m", "k"), endpoint_context(tenant, "m", "a", "k"), totp_context(user)]

    assert all(LASTING.match(context) for context in [*stored, signing_key_context("k1")])
    assert not [context for context in ("user:7:totp-ticket", "oidc", "cookie:model:1") if LASTING.match(context)]
