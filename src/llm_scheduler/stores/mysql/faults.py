"""What an error of the server or of the way to it means: try again, nobody gets through, or bad data."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from asyncmy.errors import InterfaceError, InternalError, MySQLError

from llm_scheduler.domain.errors import InvalidInputError, SchedulerError, StoreUnavailableError


class Fault(Enum):
    """What to do about an error."""

    LOST = auto()
    """The connection is gone or of no use: another one may do."""
    AGAIN = auto()
    """Another transaction was in the way: the same once more."""
    TAKEN = auto()
    """A key is there already: perhaps another process was quicker, perhaps the data is wrong."""
    OUTAGE = auto()
    """Nobody can write or read now, and trying at once does not help."""
    DATA = auto()
    """It is about this one operation."""


class OversizeError(Exception):
    """A statement is larger than the server takes; it was not sent."""


DUPLICATE: Final = 1062
UNKNOWN_DATABASE: Final = 1049
ACCESS_DENIED: Final = frozenset({1044, 1045, 1698})

_LOST: Final = frozenset(
    {
        1040,  # too many connections
        1053,  # shutdown in progress
        1077,
        1079,
        1080,  # shut down
        1152,
        1158,
        1159,
        1160,
        1161,
        1184,  # network
        1203,  # too many connections of this user
        1226,
        1317,  # interrupted
        1927,  # killed (MariaDB)
        2002,
        2003,
        2006,
        2013,
        2014,
        2055,
        3169,  # killed
        4031,  # closed for being idle
        # A primary that was demoted takes no writes: the name may lead to the new one.
        1290,
        1792,
        1836,
    }
)
_AGAIN: Final = {
    1020: "a row changed meanwhile",
    1205: "other transactions hold the rows for too long",
    1213: "other transactions were in the way again and again",
}
_OUTAGES: Final = {
    1021: "the server's disk is full",
    1030: "the storage engine failed",
    1037: "the server has not enough memory",
    1038: "the server has not enough memory",
    1044: "the user has no right to use this database",
    1045: "the password or the user is wrong",
    1049: "the database does not exist",
    1054: "the schema is another program's or another version's",
    1114: "a table is full",
    1142: "the user lacks a right",
    1143: "the user lacks a right",
    1146: "a table is missing",
    1180: "the server could not commit",
    1194: "a table is damaged",
    1698: "the password or the user is wrong",
    1969: "the query took too long",
    3024: "the query took too long",
}
WRITABLE_ELSEWHERE: Final = frozenset({1290, 1792, 1836})


def code_of(error: BaseException) -> int:
    """The server's or driver's number; 0 without one."""
    first = error.args[0] if isinstance(error, MySQLError) and error.args else 0
    return first if isinstance(first, int) else 0


def fault_of(error: BaseException) -> Fault:
    """Which kind of error this is."""
    if isinstance(error, StoreUnavailableError):
        return Fault.OUTAGE
    if isinstance(error, (OSError, TimeoutError, EOFError, InterfaceError)):
        return Fault.LOST
    if not isinstance(error, MySQLError):
        return Fault.DATA
    code = code_of(error)
    if code in _LOST or (isinstance(error, InternalError) and code == 0):
        return Fault.LOST
    if code in _AGAIN:
        return Fault.AGAIN
    if code == DUPLICATE:
        return Fault.TAKEN
    return Fault.OUTAGE if code in _OUTAGES else Fault.DATA


def outage(error: BaseException) -> StoreUnavailableError:
    """What everyone who waits is told."""
    if isinstance(error, StoreUnavailableError):
        return error
    code = code_of(error)
    if why := _OUTAGES.get(code) or _AGAIN.get(code):
        return StoreUnavailableError(f"{why} ({error.args[-1]}).")
    if code in WRITABLE_ELSEWHERE:
        return StoreUnavailableError(f"the server takes no writes ({error.args[-1]}).")
    if isinstance(error, TimeoutError) and not str(error):
        return StoreUnavailableError("the database does not answer in time.")
    return StoreUnavailableError(f"no connection to the database ({error.args[-1] if error.args else error}).")


def refusal(error: Exception) -> Exception:
    """What the caller of one poisonous operation is told."""
    if isinstance(error, SchedulerError):
        return error
    if isinstance(error, UnicodeError):
        return InvalidInputError("The text holds characters that cannot be stored (lone surrogates).")
    if isinstance(error, OverflowError):
        return InvalidInputError("A number is too large to be stored.")
    if isinstance(error, OversizeError):
        return InvalidInputError(str(error))
    if isinstance(error, MySQLError):
        return InvalidInputError(f"The record refused the data: {error.args[-1] if error.args else error}.")
    return error
