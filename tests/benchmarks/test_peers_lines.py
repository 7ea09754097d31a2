"""Lines counted by hand, beside what ``lines_of`` counts."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from benchmarks.peers.lines import lines_of

FUNCTIONS = '''
    """A tool."""

    from benchmarks.peers.tool import command

    OPTIONS = ("--fast", "--small")

    def export(job):
        """What it is.

        Why it is.
        """
        command(
            "tool",
            "export",
            *OPTIONS,
        )                                               # 1

    def quantize(job):
        import tool                                     # 1

        export(job)                                     # 0: counted as export
        for name in ("a", "b"):                         # 1
            if name:                                    # 1
                tool.quantize(name); tool.save(name)    # 2
            else:
                pass
        try:                                            # 1
            result: dict
            result = {
                "a": 1,
                "b": 2,
            }                                           # 1
        except ValueError:
            raise                                       # 1

    def unused(job):
        command("never")

    MAKERS = {"export": export, "quantize": quantize}
'''


@pytest.fixture
def module(tmp_path: Path) -> Path:
    folder = tmp_path / "tools"
    folder.mkdir()
    return folder / "tool.py"


def write(module: Path, text: str) -> Path:
    module.write_text(dedent(text), encoding="utf-8")
    return module


@pytest.mark.parametrize(("how", "lines"), [("export", 1), ("quantize", 8 + 1)])
def test_statements_of_functions(module: Path, how: str, lines: int) -> None:
    assert lines_of(write(module, FUNCTIONS), "MAKERS", how) == lines


def test_statements_of_a_class_and_of_what_it_names(module: Path) -> None:
    write(
        module,
        """
        class Session:
            \"\"\"A session.\"\"\"

            threads: int

            def __init__(self, setup):
                import tool                             # 1
                self.model = tool.load(setup.made)      # 1

            def one(self, text):
                return _softmax(self.model(text))       # 0: all of it is _softmax's

            def many(self, texts):
                return [self.one(text) for text in texts]  # 1

        def _softmax(values):
            total = sum(values)                         # 1
            return [value / total for value in values]  # 1

        def load(setup):
            return Session(setup)                       # 0

        LOADERS: dict = {"by name": load, "itself": Session}
        """,
    )
    assert lines_of(module, "LOADERS", "by name") == 5
    assert lines_of(module, "LOADERS", "itself") == 5


INHERITED = """
    class Base:
        def __init__(self, setup):
            self.setup = setup                          # 1
            self.other = 1                              # 1

        def one(self, text):
            return text                                 # 1

    class Other(Base):
        def __init__(self, setup):
            self.setup = setup                          # 1, instead of Base's 2

    class More(Base):
        def __init__(self, setup):
            super().__init__(setup)                     # 1, and Base's 2
            self.more = 2                               # 1

    LOADERS = {"other": Other, "more": More}
"""


@pytest.mark.parametrize(("how", "lines"), [("other", 2), ("more", 5)])
def test_overridden_methods_count_only_where_they_are_called(
    module: Path, how: str, lines: int
) -> None:
    assert lines_of(write(module, INHERITED), "LOADERS", how) == lines


ENTRIES = """
    from functools import partial
    import functools
    import other

    def export(level, job):
        command("export", level)                        # 1
        command("check")                                # 1

    def tune(job):
        command("tune")                                 # 1

    STEPS = (tune, export)

    def every(job):
        for step in STEPS:                              # 1
            step(job)                                   # 1

    MAKERS = {
        "partial": partial(export, "O2"),
        "functools": functools.partial(export, level="O3"),
        "given": partial(export, tune),
        "lambda": lambda job: command("export", job.out),
        "own": lambda job: export("O1", job),
        "constant": every,
        "foreign": other.export,
        "made": [export][0],
        "partial of foreign": partial(other.export, 1),
    }
"""


@pytest.mark.parametrize(
    ("how", "lines"),
    [("partial", 2), ("functools", 2), ("given", 3), ("lambda", 1), ("own", 2), ("constant", 5)],
)
def test_partials_lambdas_and_constants_are_followed(module: Path, how: str, lines: int) -> None:
    assert lines_of(write(module, ENTRIES), "MAKERS", how) == lines


@pytest.mark.parametrize("how", ["foreign", "made", "partial of foreign"])
def test_what_cannot_be_followed_is_refused(module: Path, how: str) -> None:
    write(module, ENTRIES)
    with pytest.raises(ValueError, match=rf"tool\.py: MAKERS\['{how}'\] is .*neither a function"):
        lines_of(module, "MAKERS", how)


@pytest.mark.parametrize("table", ["MAKERS = dict(a=print)", "MAKERS = {**OTHERS}", ""])
def test_a_table_without_the_key_is_refused(module: Path, table: str) -> None:
    write(module, table)
    with pytest.raises(ValueError, match="MAKERS is no literal dict with the key 'a'"):
        lines_of(module, "MAKERS", "a")


def test_a_pipeline_file_counts_with_the_commands_that_run_it(module: Path) -> None:
    write(
        module,
        """
        PIPELINES = {"written": "../small.toml", "by command": None}

        def run(job):
            place = job.out
            with place:
                command("edgepipe", "run")
            clean(place)

        def clean(place):
            place.clear()

        MAKERS = {"written": run, "by command": run, "else": run}
        """,
    )
    (module.parents[1] / "small.toml").write_text(
        '# Head\nname = "small"\n\n[step.a]   # a table\n  # indented\nuse = "data"\n'
    )
    assert lines_of(module, "MAKERS", "written") == 3 + 1
    assert lines_of(module, "MAKERS", "by command") == 1
    assert lines_of(module, "MAKERS", "else") == 4


HARNESS = """
    def make(job):
        with TemporaryDirectory() as folder:  # harness
            file = Path(folder)  # harness
            command("tool", file)                       # 1
            clean(
                "harness",
            )                                           # 1
        leave()  # harness

    MAKERS = {"make": make}
"""


def test_what_only_the_harness_needs_is_not_counted_but_what_stands_in_it(module: Path) -> None:
    module.write_text(dedent(HARNESS))
    assert lines_of(module, "MAKERS", "make") == 2
