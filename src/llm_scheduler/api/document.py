"""Prints the OpenAPI document: `python -m llm_scheduler.api.document > docs/openapi.json`."""

from __future__ import annotations

import sys

import orjson

from llm_scheduler import __version__
from llm_scheduler.api.contract import document
from llm_scheduler.api.server import routes


def printed() -> bytes:
    """The document of this version, as it is kept in `docs/openapi.json`."""
    return orjson.dumps(document(routes(), __version__), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


if __name__ == "__main__":
    sys.stdout.buffer.write(printed())
