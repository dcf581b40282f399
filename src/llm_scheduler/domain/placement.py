"""What a strategy decides about one waiting task."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class ShareRule(StrEnum):
    """How shares (tenants) inside one band take turns."""

    VIRTUAL_TIME = "virtual_time"
    """The share that has had least for its weight goes first (fair strategies), in its band and by the same share's
    claims in earlier bands."""
    HEAD_ORDER = "head_order"
    """The share whose head comes first goes first (global strategies)."""


class Placement(NamedTuple):
    """Where a task stands in its lane.

    Lower `band` first, strictly; among the `share`s of a band by the lane's ShareRule; inside a
    share by (`order`, task id). `cost` divided by `weight` is what one claim adds to the share's
    virtual time, and to that of the same share in later bands while it has tasks there.
    """

    band: int
    share: int
    weight: float
    cost: float
    order: int
