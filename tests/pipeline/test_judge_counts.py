from __future__ import annotations

import pytest

from edgepipe.errors import BundleError, UsageError
from edgepipe.measure.records import CountsReport
from edgepipe.pipeline.baseline import Baselines
from edgepipe.pipeline.gate import BytesGate, FlopsGate, OperatorsGate, SizeGate, ToleranceGate
from tests.pipeline.judging import ON, SINCE, one, since, whole
from tests.pipeline.measured import OTHER_MACHINE, counts, validation


def counted(name: str = "int8", **changes: object) -> CountsReport:
    """``counts``, one of its models with other figures."""
    report = counts()
    models = [m.model_copy(update=changes) if m.name == name else m for m in report.models]
    return report.model_copy(update={"models": tuple(models)})


def operators_gate(**rules: object) -> OperatorsGate:
    return OperatorsGate(measure="operators", of="int8", **rules)


@pytest.mark.parametrize(
    ("limits", "outcome", "value"),
    [
        ({"max_ratio": 0.25, "against": "teacher"}, "pass", 0.25),
        ({"max_ratio": 0.2499, "against": "teacher"}, "fail", 0.25),
        ({"max_ratio": 1.0, "against": "int8"}, "pass", 1.0),
        ({"max_bytes": 25}, "pass", 25),
        ({"max_bytes": 24}, "fail", 25),
    ],
)
def test_a_size_gate_is_exact(limits: dict[str, float], outcome: str, value: float) -> None:
    found = one(SizeGate(measure="size", of="int8", **limits), validation(size=25))
    assert (found.outcome, found.value, found.confidence) == (outcome, value, None)
    assert found.low == found.high == value
    assert found.unit == ("bytes" if "max_bytes" in limits else "ratio")


def test_a_size_since_the_baseline() -> None:
    gate = SizeGate(measure="size", max_ratio=1.25, **SINCE)
    before = since(validation(size=20))
    assert one(gate, validation(size=25), baselines=before).outcome == "pass"
    assert one(gate, validation(size=26), baselines=before).outcome == "fail"


def test_a_size_where_only_counts_were_taken() -> None:
    # tests/pipeline/measured.py: 100 bytes, and 400 of the other one.
    gate = SizeGate(measure="size", of="int8", against="fp32", max_ratio=0.25)
    assert one(gate, counts()).outcome == "pass"
    assert one(SizeGate(measure="size", of="int8", max_bytes=99), counts()).outcome == "fail"
    since_then = SizeGate(measure="size", max_ratio=0.5, **SINCE)
    before = since(counted("int8", bytes=199))
    assert one(since_then, counts(), baselines=before).value == pytest.approx(100 / 199)


def test_a_tolerance_is_exact() -> None:
    # tests/pipeline/measured.py: the largest difference is 0.5.
    def gate(most: float) -> ToleranceGate:
        return ToleranceGate(measure="tolerance", max_difference=most, **ON)

    found = one(gate(0.5), validation())
    assert (found.outcome, found.value, found.unit) == ("pass", 0.5, "logits")
    assert one(gate(0.4999), validation()).outcome == "fail"
    with pytest.raises(UsageError, match="holds answers and not logits"):
        one(ToleranceGate(measure="tolerance", max_difference=1, **SINCE), validation())


@pytest.mark.parametrize(
    ("measure", "field"),
    [
        ("weights", "weight_bytes"),
        ("activations", "peak_activation_bytes"),
        ("memory", "peak_memory_bytes"),
    ],
)
def test_bytes_are_exact(measure: str, field: str) -> None:
    report = counted(**{field: 300})
    other = counted("fp32", **{field: 400}).arm("fp32")
    report = report.model_copy(update={"models": (other, report.arm("int8"))})

    def outcome(**limits: object) -> str:
        return one(BytesGate(measure=measure, of="int8", **limits), report).outcome

    assert outcome(max_bytes=300) == "pass"
    assert outcome(max_bytes=299) == "fail"
    assert outcome(max_ratio=0.75, against="fp32") == "pass"
    assert outcome(max_ratio=0.7499, against="fp32") == "fail"


def flops_gate(**limits: object) -> FlopsGate:
    return FlopsGate(measure="flops", of="int8", **limits)


def test_operations_are_exact_of_both_kinds_together() -> None:
    report = counted(fp32_flops=1e9, int8_ops=5e8)
    assert one(flops_gate(max_flops=1.5e9), report).outcome == "pass"
    assert one(flops_gate(max_flops=1.49e9), report).outcome == "fail"
    found = one(flops_gate(max_ratio=0.75, against="fp32"), report)
    assert (found.outcome, found.value, found.unit) == ("pass", 0.75, "ratio")


def test_what_was_not_counted_can_only_be_more() -> None:
    report = counted(uncounted=("Einsum", "MyMatMul"))
    found = one(flops_gate(max_flops=3e9), report)
    assert (found.outcome, found.low, found.high) == ("inconclusive", 2e9, None)
    assert found.why == "the work of Einsum, MyMatMul is not counted"
    assert one(flops_gate(max_flops=1e9), report).outcome == "fail"
    assert one(flops_gate(max_ratio=2.0, against="fp32"), report).outcome == "inconclusive"
    other = counted("fp32", uncounted=("Einsum",))
    assert one(flops_gate(max_ratio=0.5, against="fp32"), other).outcome == "inconclusive"
    assert one(flops_gate(max_ratio=2.0, against="fp32"), other).outcome == "pass"


def test_a_ratio_to_nothing_is_a_wrong_call() -> None:
    report = counted("fp32", fp32_flops=0.0)
    with pytest.raises(UsageError, match="'fp32' has none, so there is no ratio"):
        one(flops_gate(max_ratio=2.0, against="fp32"), report)


def test_counts_of_another_machine_count() -> None:
    there = whole(counts(machine=OTHER_MACHINE), machine=OTHER_MACHINE)
    known = Baselines(newest=there, here=None, machine="Some CPU, 2 cores")
    for gate in (
        flops_gate(max_ratio=1.0, against="baseline"),
        BytesGate(measure="weights", max_ratio=1.0, **SINCE),
        BytesGate(measure="activations", max_ratio=1.0, **SINCE),
        operators_gate(against="baseline"),
    ):
        assert one(gate, counts(), baselines=known).outcome == "pass", gate.measure


def test_the_memory_of_a_process_on_another_machine_does_not() -> None:
    there = whole(counts(machine=OTHER_MACHINE), machine=OTHER_MACHINE)
    gate = BytesGate(measure="memory", max_ratio=1.0, **SINCE)
    known = Baselines(newest=there, here=None, place=None)
    assert one(gate, counts(), baselines=known).outcome == "inconclusive"
    assert one(gate, counts(), baselines=since(counts())).outcome == "pass"
    forced = Baselines(newest=there, here=there)
    with pytest.raises(UsageError, match=r"another machine \(Some CPU now, Another CPU then\)"):
        one(gate, counts(), baselines=forced)


def test_other_lengths_of_text_are_not_compared() -> None:
    before = counts().model_copy(update={"tokens": 64})
    with pytest.raises(UsageError, match=r"another length in tokens \(128 now, 64 then\)"):
        one(flops_gate(max_ratio=1.0, against="baseline"), counts(), baselines=since(before))
    weights = BytesGate(measure="weights", max_ratio=1.0, **SINCE)
    assert one(weights, counts(), baselines=since(before)).outcome == "pass"


@pytest.mark.parametrize(
    ("rules", "broken"),
    [
        ({"required": ("MatMul", "LayerNormalization")}, []),
        ({"required": ("Gelu",)}, ["Gelu is required and not there"]),
        ({"required": ("com.microsoft::MatMul",)}, []),
        ({"forbidden": ("Gelu",)}, []),
        ({"forbidden": ("MatMul",)}, ["MatMul is forbidden and there 4 times"]),
        ({"expected": {"MatMul": 4, "Gelu": 0}}, []),
        (
            {"expected": {"MatMul": 5, "Gelu": 1, "LayerNormalization": 3}},
            [
                "MatMul is there 4 times, expected 5 times",
                "Gelu is there 0 times, expected once",
            ],
        ),
        ({"provider": "CPUExecutionProvider"}, []),
        (
            {"provider": "CUDAExecutionProvider"},
            [
                (
                    "CPUExecutionProvider runs 3 LayerNormalization, 4 MatMul; all should run on "
                    "CUDAExecutionProvider"
                )
            ],
        ),
        (
            {"required": ("Gelu",), "forbidden": ("MatMul",)},
            ["Gelu is required and not there", "MatMul is forbidden and there 4 times"],
        ),
    ],
)
def test_operators_that_run(rules: dict[str, object], broken: list[str]) -> None:
    found = one(operators_gate(**rules), counts())
    assert list(found.details) == broken
    assert found.outcome == ("fail" if broken else "pass")
    assert (found.value, found.limit, found.unit) == (len(broken), 0, "rules")
    assert found.why == "; ".join(broken)


def test_a_plain_session_and_a_file_have_other_operators() -> None:
    # tests/pipeline/measured.py: the plain session fuses what the runtime's does not.
    rule = {"forbidden": ("SkipLayerNormalization",)}
    assert one(operators_gate(**rule), counts()).outcome == "pass"
    assert one(operators_gate(graph="file", **rule), counts()).outcome == "pass"
    assert one(operators_gate(graph="plain", **rule), counts()).outcome == "fail"


def test_a_file_knows_its_domains() -> None:
    report = counted(operators={"com.microsoft::Gelu": 1})
    gate = operators_gate(graph="file", required=("com.microsoft::Gelu",))
    assert one(gate, report).outcome == "pass"
    assert one(operators_gate(graph="file", required=("Gelu",)), report).outcome == "fail"


def test_a_name_without_a_domain_forbids_and_counts_those_of_every_domain() -> None:
    report = counted(operators={"com.microsoft::Gelu": 2, "Gelu": 1, "FastGelu": 4})

    def broken(**rules: object) -> tuple[str, ...]:
        return one(operators_gate(graph="file", **rules), report).details

    assert broken(forbidden=("Gelu",)) == ("Gelu is forbidden and there 3 times",)
    assert broken(forbidden=("com.microsoft::Gelu",)) == (
        "com.microsoft::Gelu is forbidden and there 2 times",
    )
    assert broken(expected={"Gelu": 3, "com.microsoft::Gelu": 2}) == ()
    assert broken(forbidden=("ai.onnx.ml::Gelu",)) == ()
    assert broken(required=("Gelu",)) == ()


def test_a_forbidden_name_in_the_wrong_case_is_no_pass() -> None:
    found = one(operators_gate(forbidden=("matmul", "Gelu")), counts())
    assert found.outcome == "fail"
    assert found.details == (
        "matmul is forbidden and not there, but MatMul is; write MatMul if it is meant",
    )
    report = counted(operators={"com.microsoft::Gelu": 1})
    gate = operators_gate(graph="file", forbidden=("com.microsoft::GELU",))
    assert "but com.microsoft::Gelu is" in one(gate, report).why


def test_operators_of_another_device_are_not_compared() -> None:
    before = since(counted(device="cuda"))
    with pytest.raises(UsageError, match=r"another device \(cpu now, cuda then\)"):
        one(operators_gate(against="baseline"), counts(), baselines=before)
    file = operators_gate(against="baseline", graph="file")
    assert one(file, counts(), baselines=before).outcome == "pass"


@pytest.mark.parametrize("limits", [{"max_bytes": 1}, {"max_ratio": 0.1, "against": "fp32"}])
@pytest.mark.parametrize("unknown", ["int8", "fp32"])
def test_memory_that_the_system_did_not_tell_is_no_pass(
    unknown: str, limits: dict[str, object]
) -> None:
    gate = BytesGate(measure="memory", of="int8", **limits)
    found = one(gate, counted(unknown, peak_memory_bytes=0))
    if unknown == "fp32" and "max_bytes" in limits:
        assert found.outcome == "fail"
        return
    assert (found.outcome, found.value) == ("inconclusive", None)
    assert "does not tell a process's memory" in found.why


def test_a_fusion_that_an_update_dropped_is_found_without_naming_it() -> None:
    before = counted(
        executed={"CPUExecutionProvider": {"MatMul": 4, "LayerNormalization": 2, "Gelu": 1}}
    )
    found = one(operators_gate(against="baseline"), counts(), baselines=since(before))
    assert found.outcome == "fail"
    assert found.details == (
        "Gelu: 1 in the baseline, 0 now",
        "LayerNormalization: 2 in the baseline, 3 now",
    )


def test_operators_on_two_providers_are_counted_together() -> None:
    report = counted(
        executed={"CPUExecutionProvider": {"Gather": 1}, "CUDAExecutionProvider": {"Gather": 2}}
    )
    gate = operators_gate(expected={"Gather": 3}, provider="CUDAExecutionProvider")
    assert one(gate, report).details == (
        "CPUExecutionProvider runs 1 Gather; all should run on CUDAExecutionProvider",
    )


def test_a_graph_without_any_operator_is_no_pass() -> None:
    with pytest.raises(BundleError, match="no operators of 'int8' are known, graph executed"):
        one(operators_gate(forbidden=("Gelu",)), counted(executed={}))
