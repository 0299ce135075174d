"""Imports the transform that a command line names."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import PurePath
from typing import TYPE_CHECKING, cast

from batcher.batching.transform import check_transform
from batcher.errors import SettingsError

if TYPE_CHECKING:
    from batcher.batching.validation import Transform


def load_transform(name: str) -> Transform:
    """Import a transform. Modules in the working directory are found, as with `python -m`.

    Args:
        name: `package.module:function`.

    Raises:
        SettingsError: the function does not exist, or its module cannot be imported.
    """
    module_name, _, function_name = name.partition(":")
    if not module_name or not function_name:
        raise SettingsError(
            [f"transform: {name!r} names no function; write package.module:function"]
        )
    if os.getcwd() not in sys.path:  # noqa: PTH109  # `sys.path` holds strings
        sys.path.insert(0, os.getcwd())  # noqa: PTH109
    try:
        found = getattr(import_module(module_name), function_name)
    except Exception as error:  # a user's module may raise anything
        fault = f"transform: {name}: {type(error).__name__}: {error}{_hint(name)}"
        raise SettingsError([fault]) from error
    if not callable(found):
        raise SettingsError([f"transform: {name} is {type(found).__name__}; name a function"])
    try:
        check_transform(found)
    except TypeError as error:
        raise SettingsError([f"{error} ({name})"]) from None
    return cast("Transform", found)


def _hint(name: str) -> str:
    """Return what was probably meant by the path of a file. Empty if it is none."""
    file, _, function = name.partition(":")
    parts = PurePath(file).parts
    if not file.endswith(".py") or not parts:
        return ""
    if parts[0] in {"/", ".."}:
        return f"; change to the folder of {parts[-1]}, and write {parts[-1][:-3]}:{function}"
    return f"; name the module, not its file: {'.'.join(parts)[:-3]}:{function}"
