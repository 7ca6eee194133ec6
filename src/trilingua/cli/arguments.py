"""Command-line arguments to the values of a function; a mistake becomes one line.

The parser is `tyro`, which draws a box of several lines around a mistake. Here the box is read, what it says
is put into the form of all our errors, and nothing of it is printed. Knows no verb.
"""

import contextlib
import functools
import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tyro

from trilingua.core.config import did_you_mean
from trilingua.core.errors import ConfigError

_WORDS = {"INT": "a whole number", "FLOAT": "a number", "STR": "a text", "PATH": "a path"}
_OPTION = re.compile(r"--[a-z][\w.-]*")
_RULE = re.compile("[─-]{8,}")


def parse(function: Callable[..., None], arguments: Sequence[str], prog: str) -> dict[str, Any]:
    """Return the keyword arguments of `function` that the command line gives.

    Args:
        function: its signature and docstring say what is allowed.
        arguments: the command line after the verb.
        prog: the command as it is typed, for messages and help.

    Raises:
        ConfigError: an argument is unknown, missing or of another type; names it and what is allowed.
        SystemExit: help was asked for and printed.
    """

    @functools.wraps(function)
    def collect(**named: Any) -> Mapping[str, Any]:
        return named

    box = io.StringIO()
    try:
        with contextlib.redirect_stderr(box):
            return dict(tyro.cli(collect, args=list(arguments), prog=prog, config=(tyro.conf.AvoidSubcommands,)))
    except SystemExit as error:
        if not error.code:
            raise
        raise ConfigError(f"{explain(box.getvalue(), arguments)}; see `{prog} --help`") from None


def act(
    actions: Mapping[str, Callable[..., None]], arguments: Sequence[str], prog: str, *, usage: str, kind: str
) -> None:
    """Call the action that the first argument names with what the others give it.

    Args:
        actions: by name.
        arguments: the command line after the verb.
        prog: the command as it is typed, for messages and help.
        usage: what `--help` prints in place of an action.
        kind: what the first argument is, for messages.

    Raises:
        ConfigError: no action, an unknown one, or wrong arguments for it.
    """
    name, rest = (arguments[0], arguments[1:]) if arguments else ("", ())
    if name in ("-h", "--help"):
        print(usage)
    elif name in actions:
        actions[name](**parse(actions[name], rest, f"{prog} {name}"))
    elif not name or name.startswith("-"):
        raise ConfigError(f"{kind}: is missing; it comes first, as in `{prog} {next(iter(actions))}`")
    else:
        known = ", ".join(actions)
        raise ConfigError(f"{kind}: {name!r} is unknown; choose one of {known}{did_you_mean(name, actions)}")


def explain(box: str, arguments: Sequence[str]) -> str:
    """Return in one line what a box of `tyro` says is wrong with the arguments."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", box)
    lines = [line.strip("│ \t") for line in plain.splitlines() if not line.startswith(("╭", "╰"))]
    sections = [" ".join(section.split()) for section in _RULE.split(" ".join(lines))]
    if "╭" not in plain:  # Without Unicode, a title and a rule stand where the box's upper edge would be.
        sections = sections[1:]
    said, *hints = [section for section in sections if section] or [plain.strip()]
    text, hint = " ".join((said, *hints)), " ".join(hints)
    # Long words are broken at the box's border, so what was typed is taken from the arguments again.
    if found := re.search(r"Unrecognized options: (\S+)", text):
        return _unknown(_typed(found[1].rstrip(","), arguments), text)
    if found := re.match(r"Missing from [^:]*: (\S+) ?(\S*)", said):
        return f"{found[1]}: is missing" + (f"; expected {_words(found[2])}" if found[1].startswith("-") else "")
    if found := re.match(r"Missing value for argument '([^']*)'. Expected (\d+) value", said):
        return f"{found[1]}: has too few values; expected {found[2]}"
    if found := re.match(r"invalid choice '(.*?)' for argument '([^']*)'. Expected one of \((.*?),? ?\)", said):
        choices = found[3].replace("'", "")
        return f"{found[2]}: {_typed(found[1], arguments)!r} is not allowed; expected one of {choices}"
    if found := re.match(r"Error parsing (--[\w.-]+): .*?'([^']+)'?\]?\.?(?: Got errors|$)", said):
        kind = re.search(re.escape(found[1]) + r" (\S+)", hint)
        expected = _words(kind[1] if kind else "")
        return f"{found[1]}: {_typed(found[2], arguments)!r} is not allowed; expected {expected}"
    if found := re.match(r"Error parsing ([\w.-]+): (.*)", said):
        # A configuration's own check: it names the field and what is allowed.
        return f"{found[1]}.{found[2]}".removeprefix("config.")
    return said


def _typed(shown: str, arguments: Sequence[str]) -> str:
    """Return the argument that begins with the first word of what the box shows."""
    word = shown.split()[0] if shown.split() else shown
    whole = (argument for argument in arguments if argument == shown)
    return next(whole, next((argument for argument in arguments if argument.startswith(word)), shown))


def _unknown(token: str, text: str) -> str:
    if not token.startswith("-"):
        return f"{token}: is one argument too many"
    known = {name for name in _OPTION.findall(text) if name not in (token, "--help")}
    return f"{token}: no such option{did_you_mean(token, sorted(known))}"


def _words(metavar: str) -> str:
    """Say in words what an option of this kind takes."""
    kinds = [_WORDS.get(kind, kind) for kind in metavar.split("|") if kind != "{None}"]
    return " or ".join(kind for kind in kinds if kind) or "another value"
