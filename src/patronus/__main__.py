"""``python -m patronus`` is the command ``patronus``."""

from patronus.control.cli import main

if __name__ == "__main__":
    main()
