"""Where an export goes: a new file, never over another one."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

import click

from llm_scheduler.cli.faults import CliError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def new_file(path: Path | None) -> Iterator[IO[bytes]]:
    """The file, open for writing; None: stdout. One that stays empty goes again.

    Raises:
        click.UsageError: there is one of that name.
        CliError: it cannot be made.
    """
    if path is None:
        yield sys.stdout.buffer
        return
    try:
        file = path.open("xb")
    except FileExistsError as error:
        raise click.UsageError(f"{path} exists; choose another name.") from error
    except OSError as error:
        raise CliError(f"{path} cannot be written: {error.strerror}.", "Choose another place.") from error
    try:
        with file:
            yield file
    finally:
        if path.stat().st_size == 0:
            path.unlink()
