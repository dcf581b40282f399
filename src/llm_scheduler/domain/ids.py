"""Kinds of integers that must not be mixed up.

Ids are 63-bit and stay below 2**53, so that a JSON number holds them exactly.
Instants are epoch milliseconds in UTC (`docs/decisions/0006`): the doors (API, command line, logs)
turn them into RFC 3339.
"""

from __future__ import annotations

from typing import Final, NewType

TaskId = NewType("TaskId", int)
ModelId = NewType("ModelId", int)
TenantId = NewType("TenantId", int)
SessionId = NewType("SessionId", int)
UserId = NewType("UserId", int)
KeyId = NewType("KeyId", int)
LoginId = NewType("LoginId", int)
Millis = NewType("Millis", int)

DEFAULT_TENANT: Final = TenantId(1)
EPOCH: Final = Millis(0)
