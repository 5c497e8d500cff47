"""`python -m rag.cli`: the same as the `citewise` command."""

from rag.cli import main

main()
