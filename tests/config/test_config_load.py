from __future__ import annotations

from pathlib import Path

import pytest

from edgepipe.config import load, parse
from edgepipe.errors import ConfigError, ExitCode, UsageError
from tests.config.files import WHOLE, changed, folder, line_of, only, problems


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return folder(tmp_path)


def test_a_whole_file_becomes_typed_steps(file: Path) -> None:
    file.write_text(WHOLE)
    pipeline = load(file)
    assert (pipeline.name, pipeline.task, pipeline.text) == (
        "reviews",
        "text-classification",
        WHOLE,
    )
    assert (pipeline.run.seed, pipeline.run.device, pipeline.run.threads) == (3, "cpu", 2)
    names = ["reviews", "teacher", "fp32", "int8", "accuracy", "speed", "bundle"]
    assert [step.name for step in pipeline.steps] == names
    assert pipeline.steps[4].wires == {
        "reference": "teacher",
        "candidates": ("fp32", "int8"),
        "data": "reviews",
    }
    assert [gate.measure for gate in pipeline.gates] == ["accuracy", "latency"]
    assert pipeline.gates[0].confidence == 0.95


def test_a_file_of_windows_reads_the_same(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + WHOLE.replace("\n", "\r\n").encode())
    assert [step.name for step in load(file).steps][-1] == "bundle"


def test_paths_are_relative_to_the_file_and_not_to_where_one_stands(
    file: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    data = parse(WHOLE, file).steps[0].stage
    assert data.train.locate() == file.parent / "train.csv"


def test_every_mistake_of_a_file_is_told_at_once(file: Path) -> None:
    text = changed(
        ('name = "reviews"', 'name = "my reviews"'),
        ('task = "text-classification"', 'task = "text-clasification"\nextra = 1'),
        ("seed = 3", "sed = 3"),
        ('train = "train.csv"', 'train = "trian.csv"'),
        ('use = "train"', 'use = "tain"'),
        ('use = "export"', 'use = "export"\nopset = "20"'),
        ('{ model = "fp32" }', '{ model = "fp23" }'),
        ("max_drop = 0.02", "max_drops = 0.02"),
    )
    found = problems(text, file)
    assert found == sorted(found)
    wanted = {
        'name = "my': "name: got 'my reviews'",
        'task = "': "task: got 'text-clasification'; did you mean 'text-classification'?",
        "extra": "extra: unknown key",
        "sed =": "run.sed: unknown setting; did you mean 'seed'?",
        "trian": "step.reviews.train: trian.csv: there is no such file",
        '"tain"': "step.teacher.use: there is no stage 'tain'; did you mean 'train'?",
        'opset = "20"': 'step.fp32.opset: has to be a valid integer, got "20"',
        '"fp23"': "step.int8.from.model: 'model' reads 'fp23', which is no step; "
        "did you mean 'fp32'?",
        "max_drops": "gate.0.max_drops: unknown setting; did you mean 'max_drop'?",
    }
    for at, start in wanted.items():
        assert any(line == line_of(text, at) and told.startswith(start) for line, told in found), (
            start
        )
    missing = (line_of(text, '[[gate]]\nmeasure = "accuracy'), "gate.0.max_drop: is missing")
    assert missing in found
    assert len(found) == len(wanted) + 1


def test_one_step_may_be_wrong_in_settings_wires_and_files(file: Path) -> None:
    text = changed(
        (
            'model = "base"\nfrom = { data = "reviews" }',
            'model = "bas"\nepoch = 3\nfrom = { dat = "reviews" }',
        ),
    )
    found = dict(problems(text, file))
    assert found[line_of(text, "epoch")] == (
        "step.teacher.epoch: unknown setting; did you mean 'epochs'?"
    )
    assert found[line_of(text, '"bas"')].startswith("step.teacher.model: bas: there is no such")
    assert found[line_of(text, "{ dat ")] == (
        "step.teacher.from.dat: has no input 'dat' (inputs: data); did you mean 'data'?"
    )
    assert found[line_of(text, "[step.teacher]")] == (
        "step.teacher: nothing is wired to 'data': it takes Dataset"
    )


def test_a_broken_step_brings_no_complaints_about_its_neighbours(file: Path) -> None:
    text = changed(('use = "train"', 'use = "trian"'))
    assert only(text, file, '"trian"').startswith("step.teacher.use: there is no stage 'trian'")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('train = "train.csv"\n', "", "step.reviews.train: is missing"),
        ('use = "data"\n', "", "step.reviews.use: is missing; stages: data, texts, checkpoint"),
        ('name = "reviews"\n', "", "name: is missing; letters"),
        ('name = "reviews"', 'name = "-x"', "name: got '-x'; letters"),
        ('name = "reviews"', 'name = "cache"', "name: 'cache' is taken by edgepipe itself"),
        ('name = "reviews"', "name = 3", "name: got 3; letters"),
        ('task = "text-classification"\n', "", "task: is missing; tasks: text-classification"),
    ],
)
def test_what_is_missing_or_no_name(file: Path, old: str, new: str, problem: str) -> None:
    ((_, found),) = problems(changed((old, new)), file)
    assert found.startswith(problem)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ("model = 3", "step.teacher.model: has to be a valid string, got 3"),
        ('model = ""', "step.teacher.model: string should have at least 1 character"),
        ("model = { layers = 2 }", "step.teacher.model.model_type: is missing"),
        (
            'model = { model_type = "bert", tokenizer = { vocab_sise = 9 } }',
            "step.teacher.model.tokenizer.vocab_sise: unknown setting; did you mean 'vocab_size'?",
        ),
        (
            'model = { model_type = "bert", tokenizer = { kind = "bpee" } }',
            "step.teacher.model.tokenizer.kind: has to be 'wordpiece' or 'bpe', got \"bpee\"",
        ),
        (
            'model = "base"\nmax_length = 3',
            "step.teacher.max_length: has to be greater than or equal to 8 or 'auto', got 3",
        ),
        (
            'model = "base"\nmax_length = "long"',
            "step.teacher.max_length: has to be a valid integer or 'auto', got \"long\"",
        ),
        ('model = "base"\nepochs = true', "step.teacher.epochs: has to be a valid integer"),
        ('model = "base"\nepochs = 2.5', "step.teacher.epochs: has to be a valid integer"),
        ('model = "base"\ndropout = "0.1"', "step.teacher.dropout: has to be a valid number"),
        ('model = "base"\nmetric = 1979-05-27', "step.teacher.metric: has to be 'accuracy' or"),
    ],
)
def test_settings_that_take_several_forms_stay_readable(
    file: Path, settings: str, problem: str
) -> None:
    text = changed(('model = "base"', settings))
    ((_, found),) = problems(text, file)
    assert found.startswith(problem)


def test_the_hint_knows_the_nested_table(file: Path) -> None:
    text = changed(
        (
            'model = "base"\nfrom = { data = "reviews" }',
            (
                'from = { data = "reviews" }\n[step.teacher.model]\nmodel_type = "bert"\n'
                "[step.teacher.model.tokenizer]\nlower = true\n"
            ),
        ),
    )
    assert only(text, file, "lower = true").startswith(
        "step.teacher.model.tokenizer.lower: unknown setting; did you mean 'lowercase'?"
    )


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "name",
        "a = [1, 2",
        "a = 1\na = 2",
        "\x00",
        "step = 3",
        "step = [3]",
        "gate = 3",
        "run = 3",
        "[step]\na = 3",
        "[step.a]\nuse = ['data']",
        "[step.a]\nuse = { b = 1 }",
        "[step.a]\nuse = 3",
        "[step.a]\nuse = 'data'\ntrain = 'a\\u0000b'".replace("'", '"'),
        "[step.a]\nuse = 'data'\ntrain = '~nobody-of-that-name/x'",
        f"[step.a]\nuse = 'data'\ntrain = '{'x' * 5000}'",
        "[step.a]\nuse = 'data'\ntrain = 'pkg://'",
        "[step.a]\nuse = 'data'\ntrain = 'pkg://.a/b'",
        "[step.a]\nuse = 'data'\ntrain = 1979-05-27\nlabels = [nan]",
        "[step.'']\nuse = 'data'",
        "[step.'../x']\nuse = 'data'\ntrain = 'train.csv'",
        "[[gate]]\nmeasure = ['size']",
        "[[gate]]\nmeasure = 'size'\nmax_bytes = 1e400",
        "gate = [[3]]",
        "[run]\nseed = 99999999999999999999999999",
        "a = " + "[" * 5000 + "]" * 5000,
    ],
)
def test_no_broken_file_gives_anything_but_one_clear_error(file: Path, broken: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(broken, file)
    assert caught.value.exit_code is ExitCode.USAGE
    assert all(line.startswith(str(file)) for line in caught.value.problems)


def test_the_toml_parser_says_where_it_stopped(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"p\.toml: not TOML: .*line 2, column 5"):
        parse("a = 1\nb = \n", file)


@pytest.mark.parametrize("content", [None, b"\xff\xfe", "folder"])
def test_a_file_that_cannot_be_read(tmp_path: Path, content: bytes | str | None) -> None:
    path = tmp_path / "p.toml"
    if content == "folder":
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(UsageError, match=r"p\.toml: cannot read the pipeline file"):
        load(path)


def test_nothing_is_fetched_for_a_file_that_is_wrong_anyway(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []

    def snapshot_download(name: str, **_: object) -> str:
        fetched.append(name)
        return str(file.parent)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    remote = ('model = "base"', 'model = "hf://org/name"')
    problems(changed(remote, ("seed = 3", "sed = 3")), file)
    assert fetched == []
    parse(changed(remote), file)
    assert fetched == ["org/name"]
