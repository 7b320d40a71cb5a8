"""The command line. One module a verb, imported only when that verb is used."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from io import StringIO
from typing import Any

import click

from svcnet import __version__, checks
from svcnet.cli.manner import Manner
from svcnet.cli.streams import standard_streams
from svcnet.cli.verb import Verbs
from svcnet.errors import ApplyError, OutputError, SvcnetError, UsageError, describe_error

OWN_FAULT = 70
"""The exit code for a mistake in svcnet itself; EX_SOFTWARE of sysexits.h."""

REPORT = "A report needs this line, the command and its input, and what svcnet --version says"

VERBS = {
    "apply": "Bring this machine's rules to what manifests ask for (root).",
    "check": "Look for mistakes in manifests.",
    "cleanup": "Remove all that svcnet made on this machine (root).",
    "conntrack": "List, or delete, UDP entries that lead to no endpoint (root).",
    "diff": "Compare what two states do to packets.",
    "dns": "What clients are answered that ask for Services by name.",
    "endpoints": "Print the endpoints that Services have by their Pods.",
    "env": "Print the variables that containers get for Services.",
    "explain": "Say what becomes of a packet, and why.",
    "golden": "Keep the rules of several nodes and modes as golden files.",
    "graph": "Print the decisions that a node makes about packets.",
    "help": "Say what a verb does, and its options.",
    "probe": "Print the facts of this machine that rules depend on.",
    "render": "Print the rules of a node.",
    "report": "Write a page that shows what becomes of packets.",
    "rule": "Explain what svcnet tells of, by name.",
    "run": "Keep this machine true to Services until a signal.",
    "status": "Ask a running svcnet what it keeps, and how it fares.",
    "verify": "Compare the rules of a machine with manifests.",
}


class Program(Verbs):
    """The whole command: however it ends, its exit code is one of docs/reference/exit-codes.md."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,  # noqa: ARG002  (it is svcnet, however it was started)
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command line and exit; without `standalone_mode` return, or raise what is wrong."""
        manner = Manner()
        verb = partial(super().main, args, "svcnet", complete_var, False, obj=manner, **extra)
        if not standalone_mode:
            return verb()
        with standard_streams():
            sys.exit(_exit_code(verb, manner))

    def _main_shell_completion(self, *args: Any, **kwargs: Any) -> None:
        """Do what a shell asks for completion; click says nothing of what it does not know."""
        try:
            super()._main_shell_completion(*args, **kwargs)
        except KeyError as error:
            raise UsageError(f"completion needs {error.args[0]} in the environment") from None
        except SystemExit as end:
            if end.code:
                raise UsageError(
                    "_SVCNET_COMPLETE must be bash_source, fish_source or zsh_source"
                ) from None
            raise


def _exit_code(verb: Callable[[], Any], manner: Manner) -> int:
    try:
        return _outcome(verb)
    except click.ClickException as error:
        manner.say(checks.USAGE.line(_click_text(error)))
        return UsageError.exit_code
    except KeyboardInterrupt:
        return _end_by(signal.SIGINT)
    except OutputError as error:
        if error.error.errno == errno.EPIPE:
            return _end_by(signal.SIGPIPE)
        manner.say(describe_error(error))
        return error.exit_code
    except SvcnetError as error:
        manner.say(describe_error(error))
        return error.exit_code
    except MemoryError:
        manner.say(checks.MACHINE.line("there is not enough memory for this"))
        return ApplyError.exit_code
    except BaseException as error:
        from svcnet.reconciler.fault import description

        manner.say(f"{description(error)}. {REPORT}")
        return OWN_FAULT


def _click_text(error: click.ClickException) -> str:
    """Return what click shows of an error; its last line says what is wrong."""
    stream = StringIO()
    error.show(stream)
    text = stream.getvalue().rstrip("\n")
    is_help = isinstance(error, click.exceptions.NoArgsIsHelpError)
    return f"{text}\n\nError: no verb is given" if is_help else text


def _outcome(verb: Callable[[], Any]) -> int:
    """Run `verb`, and have all that it printed written; return its exit code."""
    try:
        code = verb()
    except SystemExit as end:
        code = end.code
    except click.Abort as error:
        # Click makes one of EOFError too, which asyncio's streams raise.
        raise error.__cause__ or error from None
    sys.stdout.flush()
    return code if isinstance(code, int) else 0


def _end_by(number: signal.Signals) -> int:
    """End as by a signal: a shell's loop stops for one, and not for an exit code."""
    signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
    os.kill(os.getpid(), number)
    return 128 + number  # whoever started this process has it block the signal


@click.group(
    cls=Program,
    package="svcnet.cli",
    verbs=VERBS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, "-V", "--version", prog_name="svcnet")
def main() -> None:
    """What a Kubernetes Service does to a node.

    Exit codes: 0 done; 1 there is a difference, or something to do (render --check, golden check,
    diff, dns diff, verify, check, conntrack, --dry-run), or not what was asked for (a record of dns
    lookup, a text of status); 2 the input or the request is wrong; 3 the machine refused, or no
    svcnet run answers (status); 70 a fault of svcnet's own.
    """
