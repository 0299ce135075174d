"""`--profile`: the AWS profile of one run."""

from __future__ import annotations

import configparser
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from batcher.cli.faults import did_you_mean
from batcher.cli.parameters import Option
from batcher.settings import CONNECTION

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem

FILES = {
    "AWS_CONFIG_FILE": "~/.aws/config",
    "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials",
}
"""The variables that name the files of profiles, and the files if they are not set."""


OVERRIDDEN = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_DEFAULT_PROFILE",
)
"""Variables that an explicit profile beats, as in the AWS command line."""


class _ProfileOption(Option):
    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the name of a profile."""
        self.completes = sorted(_read_names())
        return super().shell_complete(ctx, incomplete)


def profile_option() -> Option:
    """Return the option."""
    use = "use this AWS profile, instead of credentials in the environment"
    return _ProfileOption("--profile", "NAME", use, group=CONNECTION)


def profile_fault(name: str) -> str:
    """Return that there is no such profile, and which there are. Empty if there is one."""
    names = _read_names()
    if name in names:
        return ""
    files = " and ".join(map(str, _files()))
    known = f"there are: {', '.join(sorted(names))}" if names else "there are none"
    near = did_you_mean(name, names)
    return f"--profile: no profile {name!r} in {files}{near}{'' if near else ';'} {known}"


@contextmanager
def use_profile(name: str) -> Iterator[None]:
    """Let the environment name this profile, and no credentials."""
    previous = dict(os.environ)
    for variable in OVERRIDDEN:
        os.environ.pop(variable, None)
    os.environ["AWS_PROFILE"] = name
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(previous)


def _files() -> list[Path]:
    return [Path(os.environ.get(name) or default).expanduser() for name, default in FILES.items()]


def _read_names() -> set[str]:
    """Return the names of all profiles. A file that cannot be read has none."""
    names = set()
    config, credentials = _files()
    for path, prefix in ((config, "profile"), (credentials, "")):
        parser = configparser.RawConfigParser(strict=False)
        try:
            parser.read(path)
        except (OSError, UnicodeDecodeError, configparser.Error):
            continue
        for section in parser.sections():
            words = section.split(maxsplit=1)
            if not prefix or section == "default":
                names.add(section)
            elif words[0] == prefix and len(words) > 1:
                names.add(words[1].strip("\"'"))
    return names
