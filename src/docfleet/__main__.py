"""`python -m docfleet` is the `docfleet` command."""

from docfleet.cli.main import main

if __name__ == "__main__":
    main()
