"""The input file of a run: where its lines are, which are bad, and who it is."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

import click

from llm_scheduler.cli.run.lines import BadLineError, Line, RunOptions, parsed

if TYPE_CHECKING:
    from pathlib import Path

_BOM: Final = b"\xef\xbb\xbf"


@dataclass(slots=True)
class Source:
    """The lines of a file, by number from 1; empty ones do not count.

    Only offsets are kept: a line is read again when it is submitted.
    """

    path: Path
    options: RunOptions
    offsets: array[int] = field(default_factory=lambda: array("Q"))
    """Where line N begins, at N-1."""
    numbers: array[int] = field(default_factory=lambda: array("Q"))
    """Lines that can be submitted."""
    bad: dict[int, str] = field(default_factory=dict[int, str])
    custom_ids: dict[int, str] = field(default_factory=dict[int, str])
    batch_lines: set[int] = field(default_factory=set[int])
    models: Counter[str] = field(default_factory=Counter[str])
    digest: str = ""

    @classmethod
    def scan(cls, path: Path, options: RunOptions) -> Self:
        """Read the file once and check every line."""
        source = cls(path, options)
        sha, at, seen = hashlib.sha256(), 0, dict[str, int]()
        with path.open("rb") as stream:
            for number, raw in enumerate(stream, 1):
                sha.update(raw)
                source.offsets.append(at)
                at += len(raw)
                text = _cleaned(raw, number)
                if text:
                    source._check(number, text, seen)
        source.digest = sha.hexdigest()
        return source

    def read(self, numbers: list[int]) -> list[Line]:
        """Lines with these numbers.

        Raises:
            click.UsageError: the file has changed since the scan.
        """
        found: list[Line] = []
        with self.path.open("rb") as stream:
            for number in numbers:
                stream.seek(self.offsets[number - 1])
                try:
                    found.append(parsed(_cleaned(stream.readline(), number), self.options))
                except BadLineError as error:
                    raise click.UsageError(f"{self.path} has changed while it ran (line {number}).") from error
        return found

    def run_id(self, url: str, name: str | None) -> str:
        """The run's identity: the same input, options and server are the same run."""
        options = self.options
        chosen = [options.model, options.priority, options.max_tokens, options.system, options.is_model_forced, name]
        if options.cache_s is not None:
            chosen.append(["cache", options.cache_s])
        return hashlib.sha256(json.dumps([self.digest, url, chosen]).encode()).hexdigest()[:16]

    def _check(self, number: int, text: bytes, seen: dict[str, int]) -> None:
        try:
            line = parsed(text, self.options)
        except BadLineError as error:
            self.bad[number] = str(error)
            return
        if line.is_batch and line.custom_id in seen:
            self.bad[number] = f"custom_id '{line.custom_id}' is that of line {seen[line.custom_id]} too"
            return
        self.numbers.append(number)
        self.models[line.task["model"]] += 1
        if line.custom_id is not None:
            self.custom_ids[number] = line.custom_id
        if line.is_batch:
            self.batch_lines.add(number)
            seen[str(line.custom_id)] = number


def _cleaned(raw: bytes, number: int) -> bytes:
    return (raw.removeprefix(_BOM) if number == 1 else raw).strip()
