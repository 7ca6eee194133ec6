"""`python -m trilingua` is the command `trilingua`."""

from trilingua.cli.main import main

if __name__ == "__main__":
    main()
