"""``python -m cl_condense`` is ``cl-condense``."""

from cl_condense.cli.main import main

if __name__ == "__main__":
    main()
