import pytest

from edgepipe.errors import StageError
from edgepipe.measure import latency, roofline
from edgepipe.measure.child import Arm, onnx_arm
from edgepipe.measure.floors import with_floors
from edgepipe.measure.records import Roofline
from edgepipe.measure.rounds import Budget, Conditions, Texts
from tests.measure.test_measure_latency import fake
from tests.runtime.tiny_onnx import Tiny, token_ids, write_bundle

PEAKS = Roofline(fp32_flops_per_s=1e9, int8_ops_per_s=4e9, bytes_per_s=1e6)
TEXTS = Texts(["good film", "the plot"])
QUICK = Conditions(budget=Budget(rounds=2, round_seconds=0, round_blocks=2, seconds=0))


@pytest.fixture
def measured():
    return latency.compare(fake("r", 1.0), [fake("c", 1.0)], TEXTS, QUICK)


@pytest.fixture
def asked(monkeypatch):
    """What the roofline is asked."""
    calls: list = []
    real = roofline.floor

    def floor(folder, variant, lengths, peaks, cpu_p50_ms):
        calls.append((folder, variant, lengths, cpu_p50_ms))
        return real(folder, variant, lengths, peaks, cpu_p50_ms)

    monkeypatch.setattr(roofline, "measure", lambda *, threads: PEAKS)
    monkeypatch.setattr(roofline, "floor", floor)
    return calls


def test_onnx_models_get_a_floor_for_their_texts(measured, asked, tmp_path):
    bundle = write_bundle(tmp_path / "bundle", Tiny())
    arms = [Arm("r", ()), onnx_arm("c", bundle, device="cpu", threads=1)]
    found, peaks = with_floors(measured, arms, TEXTS, QUICK)
    assert peaks == PEAKS
    assert found.reference.floor is None
    ((folder, _, lengths, cpu_p50_ms),) = asked
    assert folder == bundle
    assert lengths == [len(token_ids(text)) for text in TEXTS.single]
    assert cpu_p50_ms == measured.candidates[0].cpu_p50_ms
    floor = found.candidates[0].floor
    assert floor.share == pytest.approx(floor.ms / cpu_p50_ms)
    assert found.speedups == measured.speedups


def test_a_model_that_cannot_be_counted_gets_a_remark(measured, asked, monkeypatch, tmp_path):
    def refuse(*_):
        raise StageError("an operator of another world")

    monkeypatch.setattr(roofline, "floor", refuse)
    bundle = write_bundle(tmp_path / "bundle", Tiny())
    arms = [Arm("r", ()), onnx_arm("c", bundle, device="cpu", threads=1)]
    found, _ = with_floors(measured, arms, TEXTS, QUICK)
    assert found.candidates[0].floor is None
    assert found.remarks[-1] == (
        "c: there is no floor to compare with: an operator of another world"
    )


@pytest.mark.parametrize("conditions", [Conditions(threads=2), Conditions(device="cuda")])
def test_no_roofline_where_it_says_nothing(measured, asked, conditions, tmp_path):
    arms = [Arm("r", ()), onnx_arm("c", tmp_path, device="cpu", threads=1)]
    assert with_floors(measured, arms, TEXTS, conditions) == (measured, None)


def test_no_roofline_without_any_onnx_model(measured, asked):
    assert with_floors(measured, [Arm("r", ()), Arm("c", ())], TEXTS, QUICK) == (measured, None)
