"""The ``edgepipe`` program; ``python -m edgepipe`` is the same."""

from __future__ import annotations

import sys

from edgepipe.errors import ExitCode, MissingDependencyError


def main() -> None:
    """Run the command line, or say which pip line brings it: the default install is the runtime."""
    try:
        from edgepipe import cli
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        sys.stderr.write(f"error: {MissingDependencyError('click', 'cli', 'the command line')}\n")
        sys.exit(ExitCode.STAGE)
    cli.main()


if __name__ == "__main__":
    main()
