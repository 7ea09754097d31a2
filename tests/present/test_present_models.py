from __future__ import annotations

from edgepipe.present.models import models, table
from tests.present.judged import everything, report


def test_what_the_steps_measured_of_one_model_stands_together() -> None:
    found = {model.name: model for model in models(report((), everything()))}
    assert list(found) == ["teacher", "int8", "fp32"]
    int8, fp32, teacher = found["int8"], found["fp32"], found["teacher"]
    assert (int8.accuracy, int8.drop) == (0.97, 0.005)
    assert (int8.speedup, int8.speedup_low, int8.speedup_high) == (8.0, 0.4, 0.6)
    assert (int8.p50_ms, int8.texts_per_second) == (1.0, 900.0)
    assert (fp32.flops, fp32.peak_memory_bytes, fp32.bytes) == (2e9, 400_000_000, 400)
    assert (fp32.accuracy, fp32.p50_ms, teacher.speedup, teacher.drop) == (None,) * 4


def test_rows_have_a_cell_for_every_column() -> None:
    columns, rows = table(report((), everything()))
    assert {len(row) for row in rows} == {len(columns)}
    assert table(report()) == (("model",), [])
