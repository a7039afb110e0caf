"""`python -m soundprompt` is the command line."""

from soundprompt.cli import main

main()
