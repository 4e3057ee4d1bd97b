"""Signals and actions of one's own (methods 2b and 3a): functions named as `module:function`, on PYTHONPATH."""

from collections.abc import Callable
from importlib import import_module

from projected_grpo.errors import UserError


class OwnCodeError(UserError, ValueError):
    """A signal or an action of one's own that cannot be used; one line."""


def function(name: str) -> Callable:
    """Return the function that `module:function` names, or raise an OwnCodeError."""
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise OwnCodeError(f"{name}: {error}; its module has to be on PYTHONPATH") from error
    if not callable(found):
        raise OwnCodeError(f"{name} is no function")
    return found
