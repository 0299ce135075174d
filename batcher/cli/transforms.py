"""Transforms: `package.module:function` on a command line, into the function."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, cast

from batcher.errors import SettingsError

if TYPE_CHECKING:
    from batcher.check import Transform


def load_transform(name: str) -> Transform:
    """Import a transform; modules of the present folder are found, as with `python -m`.

    Raises:
        SettingsError: there is none of that name, or its module cannot be imported.
    """
    module_name, _, function_name = name.partition(":")
    if not module_name or not function_name:
        raise SettingsError([f"transform: {name!r} is not package.module:function"])
    if os.getcwd() not in sys.path:  # noqa: PTH109  # `sys.path` has text
        sys.path.insert(0, os.getcwd())  # noqa: PTH109
    try:
        found = getattr(import_module(module_name), function_name)
    except Exception as error:  # the user's module may raise whatever it likes
        raise SettingsError([f"transform: {name}: {type(error).__name__}: {error}"]) from error
    if not callable(found):
        raise SettingsError([f"transform: {name} is {type(found).__name__}, not a function"])
    return cast("Transform", found)
