"""``python -m svcnet``, and the command ``svcnet``."""

import signal


def main() -> None:
    """Run the command. Until it heeds SIGINT itself, that ends the process without a traceback."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # and nobody had it ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from svcnet.cli import main as command

    signal.signal(signal.SIGINT, before)
    command()


if __name__ == "__main__":
    main()
