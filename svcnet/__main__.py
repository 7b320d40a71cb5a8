"""``python -m svcnet``."""

from svcnet.cli import main

if __name__ == "__main__":
    main()
