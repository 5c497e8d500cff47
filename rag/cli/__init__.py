"""The `citewise` command: one group, one edge where errors become one line and an exit code."""

from __future__ import annotations

import os
import sys
from importlib.metadata import entry_points
from typing import Any

import click

from rag.cli import asking, moving, reading, upkeep
from rag.errors import CitewiseError

_SHARED = ("--library", "--config")


class _Group(click.Group):
    """Adds the commands that other packages register under the entry-point group "citewise.commands"."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *sorted(_plugged())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name)
        plugged = _plugged()
        return own if own or cmd_name not in plugged else plugged[cmd_name].load()


def _plugged() -> dict[str, Any]:
    return {entry.name: entry for entry in entry_points(group="citewise.commands")}


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="citewise", prog_name="citewise")
def group() -> None:
    """Ask a pile of research-paper abstracts; every sentence of the answer is cited.

    Start with `citewise ingest PATH...`, then `citewise ask "QUESTION"` or `citewise chat`.
    """


for command in (*reading.COMMANDS, *asking.COMMANDS, *upkeep.COMMANDS, *moving.COMMANDS):
    group.add_command(command)


def main() -> None:
    """Run the command line; see `run`."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code: 0, 1 for a failure, 2 for bad usage or input.

    Tracebacks are shown only with --debug; otherwise every error is one line on standard error.
    """
    # Small matrix products are slower on several threads, by far where many ask at once; numpy is not imported yet.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    debug = "--debug" in arguments
    try:
        outcome = group.main(placed([item for item in arguments if item != "--debug"]), standalone_mode=False)
        return outcome if isinstance(outcome, int) else 0
    except BrokenPipeError:  # the reader went away (`citewise papers | head`): nothing to say, nobody to say it to
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (KeyboardInterrupt, click.Abort):
        click.echo("citewise: stopped", err=True)
        return 130
    except Exception as error:
        if debug:
            raise
        click.echo(f"citewise: {_one_line(error)}", err=True)
        return _exit_code(error)


def placed(arguments: list[str]) -> list[str]:
    """Arguments with the options that all commands have, given before the command, behind it.

    `citewise --library DIR ask …` becomes `citewise ask … --library DIR`.

    Nothing at all asks for help.
    """
    taken = 0
    while taken < len(arguments) and arguments[taken].startswith(_SHARED):
        taken += 1 if "=" in arguments[taken] else 2
    rest = arguments[taken:]
    end = rest.index("--") if "--" in rest else len(rest)
    return [*rest[:end], *arguments[:taken], *rest[end:]] if rest else arguments or ["--help"]


def _one_line(error: Exception) -> str:
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        hint = f" (see `{context.command_path} --help`)" if context else ""
        return " ".join(error.format_message().split()) + hint
    text = " ".join(str(error).split())
    if isinstance(error, CitewiseError):
        return text
    return f"{type(error).__name__}: {text} (--debug shows where)"


def _exit_code(error: Exception) -> int:
    if isinstance(error, CitewiseError | click.ClickException):
        return error.exit_code
    return 1
