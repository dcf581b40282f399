"""Whether a provider kind checks its config as the server needs it."""

from __future__ import annotations

import copy
import inspect
import json
from typing import TYPE_CHECKING, Any, Final

from llm_scheduler.domain.errors import InvalidInputError
from llm_scheduler.plugins import Kind, problem_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_scheduler.ports.provider import ProviderKind

Config = dict[str, object]
_UNKNOWN: Final = "no_field_of_any_provider"


def check_provider_kind(kind: ProviderKind, good: Config, bad: Sequence[Config] = ()) -> None:
    """Find the first way in which a provider kind breaks its contract. Makes no call.

    Args:
        kind: an instance.
        good: a config that it must take.
        bad: configs that it must refuse with InvalidInputError, an unknown field beside them.

    Raises:
        AssertionError: what is wrong.
    """
    problem = problem_of(Kind.PROVIDER, kind)
    assert problem is None, problem
    assert kind.task_types, "It takes no type of task."
    config = _checked(kind, good)
    assert config is not None, f"It refused a good config with the fields {', '.join(good)}."
    assert _checked(kind, config) == config, "A config that went through 'check' must go through it unchanged."
    assert kind.secret_fields.isdisjoint(good) or all(
        type(config[name]) is str for name in kind.secret_fields & good.keys()
    ), "A secret field must stay a text: it is sealed at rest."
    for wrong in ({**good, _UNKNOWN: 1}, *bad):
        assert _checked(kind, wrong) is None, f"It took a bad config with the fields {', '.join(wrong)}."
    provider: Any = kind.open("a-model", config)
    for method in ("call", "close"):
        assert inspect.iscoroutinefunction(getattr(provider, method, None)), (
            f"'{method}' of what it opens must be async."
        )


def _checked(kind: ProviderKind, config: Mapping[str, object]) -> Config | None:
    """The config with defaults; None = refused in the right way."""
    given = copy.deepcopy(dict(config))
    try:
        checked: Any = kind.check(given)
    except InvalidInputError as error:
        assert error.loc[:1] == ("config",), (
            f"The error '{error}' must say where: InvalidInputError(text, 'config', field)."
        )
        return None
    except Exception as error:
        raise AssertionError(f"check raised {type(error).__name__}; refuse a config with InvalidInputError.") from error
    assert type(checked) is dict, f"check gave {type(checked).__name__}, not an object."
    assert given == config, "check changed the config that it was given."
    assert json.loads(json.dumps(checked)) == checked, "check gave what JSON cannot hold."
    return checked
