"""`python -m ui`: the same as `citewise chat`."""

from rag.cli import run

if __name__ == "__main__":
    import sys

    sys.exit(run(["chat", *sys.argv[1:]]))
