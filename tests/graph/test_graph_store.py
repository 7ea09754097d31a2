import onnx
import onnx_ir as ir
import pytest

from edgepipe.errors import StageError
from edgepipe.graph import store
from tests.graph.toy_graphs import encoder, feed, run, saved, weights

BYTES = sum(array.nbytes for array in weights().values())


@pytest.fixture
def graph(tmp_path):
    return store.read(saved(encoder(), tmp_path / "source.onnx"))


def test_weights_are_counted_in_bytes(graph):
    assert store.weight_bytes(graph) == BYTES


@pytest.mark.parametrize(("limit", "names"), [(BYTES, 1), (BYTES - 1, 2)])
def test_external_data_begins_above_the_limit(graph, tmp_path, limit, names):
    path = tmp_path / "made" / "model.onnx"
    path.parent.mkdir()
    store.write(graph, path, limit=limit)
    found = sorted(file.name for file in path.parent.iterdir())
    assert found == ["model.onnx", "model.onnx_data"][:names]
    assert store.files(path) == [path.parent / name for name in found]
    assert store.file_bytes(path) == sum(f.stat().st_size for f in path.parent.iterdir())
    assert store.is_external(store.read(path)) == (names == 2)
    given = feed()
    assert (run(path, given) == run(tmp_path / "source.onnx", given)).all()


def test_a_copy_takes_its_external_data_along(graph, tmp_path):
    for name in ("made", "copied"):
        (tmp_path / name).mkdir()
    store.write(graph, tmp_path / "made/model.onnx", limit=0)
    store.copy(tmp_path / "made/model.onnx", tmp_path / "copied/model.onnx")
    (tmp_path / "made/model.onnx_data").unlink()
    given = feed()
    expected = run(tmp_path / "source.onnx", given)
    assert (run(tmp_path / "copied/model.onnx", given) == expected).all()


def test_writing_twice_gives_the_same_bytes(graph, tmp_path):
    for limit in (0, BYTES):
        written = []
        for name in ("one", "two"):
            folder = tmp_path / f"{name}{limit}"
            folder.mkdir()
            store.write(graph, folder / "model.onnx", limit=limit)
            written.append([file.read_bytes() for file in sorted(folder.iterdir())])
        assert written[0] == written[1]


def test_operators_and_signature(graph):
    counts = store.op_counts(graph)
    assert counts["LayerNormalization"] == 2
    assert sum(counts.values()) == len(encoder().graph.node)
    assert list(counts) == sorted(counts)
    assert store.signature(graph) == (("input_ids", "attention_mask"), ("logits",))
    assert store.dimensions(graph.graph.inputs[0]) == ("batch", "sequence")
    assert store.dimensions(ir.Value(name="unknown")) == ()


def test_a_file_cut_short_is_refused(tmp_path):
    path = saved(encoder(), tmp_path / "model.onnx")
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(StageError, match=r"model\.onnx is not a readable ONNX file"):
        store.read(path)


def test_an_absent_file_is_refused(tmp_path):
    with pytest.raises(StageError, match=r"there is no ONNX file .*absent\.onnx"):
        store.read(tmp_path / "absent.onnx")


def test_an_invalid_graph_is_refused(tmp_path):
    model = encoder()
    model.graph.node[0].op_type = "NoSuchOperator"
    path = saved(model, tmp_path / "model.onnx")
    with pytest.raises(StageError, match="is not a valid ONNX graph"):
        store.check(path)
    store.check(saved(encoder(), tmp_path / "good.onnx"))


def test_a_damaged_graph_says_one_line(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"not an onnx file at all")
    with pytest.raises(StageError) as caught:
        store.read(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(onnx.onnx_cpp2py_export.checker.ValidationError):
        onnx.checker.check_model(str(path))


def test_two_files_become_one(graph, tmp_path):
    for name in ("two", "one"):
        (tmp_path / name).mkdir()
    store.write(graph, tmp_path / "two/model.onnx", limit=0)
    store.write(store.read(tmp_path / "two/model.onnx"), tmp_path / "one/model.onnx")
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["model.onnx"]
    given = feed()
    expected = run(tmp_path / "source.onnx", given)
    assert (run(tmp_path / "one/model.onnx", given) == expected).all()
