from __future__ import annotations

import pytest

from edgepipe.measure.records import Floor
from edgepipe.present.changes import ANSWERS, Change, changes, missing
from tests.pipeline.measured import MACHINE, OTHER_MACHINE, benchmark, counts, validation
from tests.present.judged import everything, report


def found(new: dict, old: dict) -> dict[tuple[str, str], Change]:
    return {(c.model, c.what): c for c in changes(report((), new), report((), old))}


def test_the_same_report_twice_differs_in_nothing() -> None:
    same = changes(report((), everything()), report((), everything()))
    assert {change.difference for change in same} == {"same"}
    assert {change.model for change in same} == {"teacher", "int8", "fp32"}
    assert missing(report((), everything()), report((), everything())) == ()


def test_accuracy_and_answers_on_the_same_texts() -> None:
    """2,000 texts: 60 lost and 50 won before, 80 lost and 50 won now. The first 110 differ before,
    the first 130 now: texts 60 to 79 are other answers, and so are 80 to 129."""
    made = found({"accuracy": validation(80, 50)}, {"accuracy": validation(60, 50)})
    accuracy = made["int8", "accuracy"]
    assert (accuracy.before, accuracy.after) == (0.97, 0.96)
    assert accuracy.difference == "-1.00 points"
    assert made["int8", ANSWERS].after == 20
    assert made["int8", ANSWERS].difference == "+20"
    assert made["teacher", ANSWERS].after == 40


def test_other_texts_are_not_compared_and_sizes_still_are() -> None:
    old = {"accuracy": validation(60, 50, size=100, split_sha256="other")}
    made = found({"accuracy": validation(60, 50, size=25)}, old)
    assert made["int8", "accuracy"].why == "the test texts are others"
    assert made["int8", "accuracy"].difference == ""
    assert ("int8", ANSWERS) not in made
    assert made["int8", "size of the files"].difference == "-75.0%"


CONDITIONS = {
    "machine": (OTHER_MACHINE, "another machine: Another CPU, 2 cores"),
    "threads": (2, "another thread count: 2"),
    "device": ("cuda", "another device: cuda"),
    "clock": ("wall", "another clock: wall"),
    "batch": (9, "another batch size: 9"),
    "texts_sha256": ("x", "the texts timed are others"),
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_clocks_compare_only_under_the_same_conditions(name: str) -> None:
    value, why = CONDITIONS[name]
    clocks = benchmark(((2.0, 2.1), (2.2, 2.0)))
    floor = Floor(fp32_flops=1.0, int8_ops=1.0, weight_bytes=1, ms=0.4, share=0.4)
    arm = clocks.candidates[0].model_copy(update={"floor": floor})
    clocks = clocks.model_copy(update={"candidates": (arm,)})
    made = found({"speed": clocks}, {"speed": clocks.model_copy(update={name: value})})
    assert made["int8", "median latency"].why == why
    assert made["int8", "speed-up over teacher"].why == why
    share = made["int8", "share of what the machine can give"]
    assert (share.why, share.difference) == ("", "same")


def test_software_is_no_other_machine_and_a_reference_may_be_another() -> None:
    machine = MACHINE.model_copy(update={"packages": {"onnxruntime": "2"}})
    old = benchmark(((2.0, 2.1), (2.2, 2.0)), ratio=4.0, machine=machine)
    made = found({"speed": benchmark(((2.0, 2.1), (2.2, 2.0)))}, {"speed": old})
    assert made["int8", "speed-up over teacher"].difference == "+100.0%"
    other = old.reference.model_copy(update={"digest": "other"})
    old = old.model_copy(update={"reference": other})
    made = found({"speed": benchmark(((2.0, 2.1), (2.2, 2.0)))}, {"speed": old})
    assert made["int8", "speed-up over teacher"].why == "the reference is another"
    assert made["int8", "median latency"].why == ""


def test_counts_compare_across_machines_operator_by_operator() -> None:
    new, old = counts(), counts(machine=OTHER_MACHINE)
    int8 = new.arm("int8").model_copy(
        update={
            "executed": {"CPUExecutionProvider": {"MatMul": 3, "LayerNormalization": 3},
                         "OtherProvider": {"MatMul": 1}},
            "weight_bytes": 150,
        }
    )  # fmt: skip
    new = new.model_copy(update={"models": (new.models[0], int8)})
    made = found({"counts": new}, {"counts": old})
    assert made["int8", "MatMul executed"].difference == "-1"
    assert made["int8", "MatMul on OtherProvider executed"].difference == "+1"
    assert ("int8", "LayerNormalization executed") not in made
    assert made["int8", "size of the weights"].difference == "+50.0%"
    memory = made["int8", "memory of a fresh process"]
    assert memory.why == "another machine: Another CPU, 2 cores"
    shorter = old.model_copy(update={"tokens": 64})
    made = found({"counts": new}, {"counts": shorter})
    assert made["int8", "operations for one text"].why == "for texts of 64 tokens"
    assert made["int8", "size of the weights"].why == ""


def test_what_only_one_of_them_measured_is_named() -> None:
    new = report((), {"accuracy": validation(names=("teacher", "int4")), "speed": counts()})
    old = report((), {"accuracy": validation(names=("teacher", "int8"))})
    assert missing(new, old) == (
        "'int8' of step 'accuracy' is only in the baseline",
        "'fp32' of step 'speed' is not in the baseline",
        "'int4' of step 'accuracy' is not in the baseline",
        "'int8' of step 'speed' is not in the baseline",
    )
    assert {c.model for c in changes(new, old)} == {"teacher"}
    other_kind = report((), {"accuracy": counts()})
    assert changes(new, other_kind) == ()
