"""``python -m svcnet``, and the command ``svcnet``."""

import signal

from svcnet.nogc import OF_A_VERB, seldom_gc, settle


def main() -> None:
    """Run the command. Until it heeds SIGINT itself, that ends the process without a traceback.

    What it imports stays, and what is there at its end goes with the process: the collector of
    cycles looks at neither.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # and nobody had it ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        with seldom_gc(OF_A_VERB):
            from svcnet.cli import main as command

            signal.signal(signal.SIGINT, before)
            command()
    finally:
        settle()


if __name__ == "__main__":
    main()
