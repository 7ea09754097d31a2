"""The line-ups: everybody, and the small part that CI runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from benchmarks.peers.lineup import MAIN, Arm, Lineup, Recipe, Table, Trial

Precision = Literal["fp32", "int8"]
Wrong = Literal["corrupt checkpoint", "corrupt ONNX file", "misspelt option"]
_QUANTIZED = "onnx/model_quantized.onnx"


def _recipe(  # noqa: PLR0913, PLR0917 (what a recipe is)
    name: str, tool: str, how: str, precision: Precision, call: str, environment: str = ""
) -> Recipe:
    return Recipe(
        name=name,
        tool=tool,
        how=how,
        precision=precision,
        call=call,
        environment=environment or tool.replace("_", "-"),
    )


def _arm(recipe: str, tool: str, load: str, *, name: str = "", file: str = "") -> Arm:
    return Arm(
        name=name or recipe,
        recipe=recipe,
        tool=tool,
        load=load,
        environment=tool.replace("_", "-"),
        file=file,
    )


def _trial(  # noqa: PLR0913 (what a trial is)
    tool: str, what: Wrong, how: str, call: str, *, environment: str = "", of: str = ""
) -> Trial:
    return Trial(
        tool=tool,
        environment=environment or tool.replace("_", "-"),
        what=what,
        how=how,
        call=call,
        of=of,
    )


_TORCH = _recipe("torch eager", "torch", "", "fp32", "AutoModel…from_pretrained(checkpoint)")
_COMPILE = _recipe("torch.compile", "torch", "", "fp32", "torch.compile(model, dynamic=True)")
_OPTIMUM = "optimum-cli export onnx --model checkpoint --task text-classification"
_VNNI = f"{_OPTIMUM} onnx; optimum-cli onnxruntime quantize --onnx_model onnx --avx512_vnni"
_OLIVE = "olive optimize --task text-classification --device cpu --exporter dynamo_exporter"
_RTN = "olive quantize --precision int8 --algorithm rtn --implementation ort"
_EDGEPIPE = "edgepipe run"

RECIPES = (
    _TORCH,
    _COMPILE,
    _recipe("optimum", "optimum", "fp32", "fp32", f"{_OPTIMUM} onnx"),
    _recipe("optimum O2", "optimum", "O2", "fp32", f"{_OPTIMUM} --optimize O2 onnx"),
    _recipe("optimum O3", "optimum", "O3", "fp32", f"{_OPTIMUM} --optimize O3 onnx"),
    _recipe("optimum avx512_vnni", "optimum", "avx512_vnni", "int8", f"{_VNNI} -o int8"),
    _recipe(
        "optimum avx512_vnni per channel",
        "optimum",
        "avx512_vnni-per-channel",
        "int8",
        f"{_VNNI} --per_channel -o int8",
    ),
    _recipe(
        "optimum O3 avx512_vnni",
        "optimum",
        "O3-avx512_vnni",
        "int8",
        _VNNI.replace(" onnx;", " --optimize O3 onnx;") + " -o int8",
    ),
    _recipe("olive optimize", "olive", "optimize", "int8", f"{_OLIVE} --precision int8"),
    _recipe("olive quantize", "olive", "quantize", "int8", f"olive capture-onnx-graph; {_RTN}"),
    _recipe("olive optimize, quantize", "olive", "optimize-quantize", "int8", f"{_OLIVE}; {_RTN}"),
    _recipe("transformers.exporters", "transformers", "fp32", "fp32", "OnnxExporter().export(…)"),
    _recipe(
        "transformers.exporters dynamic",
        "transformers",
        "dynamic",
        "int8",
        "OnnxConfig(quantizer=OnnxRuntimeQuantizer(OnnxRuntimeDynamicConfig()))",
    ),
    _recipe(
        "transformers.exporters fused, dynamic",
        "transformers",
        "fused-dynamic",
        "int8",
        'OnnxConfig(ort_fusions="cpu", quantizer=OnnxRuntimeQuantizer(…))',
    ),
    _recipe(
        "neural-compressor static",
        "neural_compressor",
        "static",
        "int8",
        "prepare(export(model), StaticQuantConfig()); convert(…); torch.onnx.export",
    ),
    _recipe(
        "onnxsim dynamic",
        "onnxsim",
        "dynamic",
        "int8",
        "onnxsim model.onnx out.onnx --dynamic-quantize",
    ),
    _recipe(
        "onnxsim dynamic, fused",
        "onnxsim",
        "fused",
        "int8",
        "onnxsim model.onnx out.onnx --dynamic-quantize-matmul-integer-to-float",
    ),
    _recipe(
        "onnxruntime quantize_dynamic",
        "onnxruntime",
        "dynamic",
        "int8",
        "torch.onnx.export; quantize_dynamic",
    ),
    _recipe(
        "onnxruntime quant_pre_process",
        "onnxruntime",
        "dynamic-preprocessed",
        "int8",
        "torch.onnx.export; quant_pre_process; quantize_dynamic",
    ),
    _recipe(
        "onnxruntime quantize_dynamic, mended",
        "onnxruntime",
        "dynamic-mended",
        "int8",
        "torch.onnx.export; del model.graph.value_info[:]; quantize_dynamic",
    ),
    _recipe(
        "sentence-transformers avx512_vnni",
        "sentence_transformers",
        "avx512_vnni",
        "int8",
        'export_dynamic_quantized_onnx_model(model, "avx512_vnni", out)',
    ),
    _recipe("edgepipe fp32", "edgepipe", "fp32", "fp32", f"{_EDGEPIPE} fp32.toml", MAIN),
    _recipe("edgepipe int8", "edgepipe", "int8", "int8", f"{_EDGEPIPE} int8.toml", MAIN),
    replace(
        _recipe(
            "edgepipe student", "edgepipe", "student", "int8", f"{_EDGEPIPE} student.toml", MAIN
        ),
        trained=True,
    ),
)

_EAGER = _arm("torch eager", "torch", "eager")
_PEERS_SPEED = (
    _EAGER,
    _arm("torch.compile", "torch", "compile"),
    _arm("optimum O3", "optimum", "pipeline"),
    _arm("optimum avx512_vnni", "optimum", "pipeline"),
    _arm("olive quantize", "plain", "session"),
    _arm("transformers.exporters dynamic", "transformers", "runner"),
    _arm("edgepipe fp32", "edgepipe", "runtime"),
    _arm("edgepipe int8", "edgepipe", "runtime"),
)
_SMALL_ONLY = ("edgepipe fp32", "transformers.exporters dynamic")
"""A large model is slow to make and to time: the fastest of the others stand for these."""
_TOOLS = (
    _EAGER,
    _arm("torch eager", "torch", "eager-sorted", name="torch eager, sorted"),
    _arm("torch.compile", "torch", "compile"),
    _arm("optimum", "optimum", "pipeline"),
    _arm("optimum O2", "optimum", "pipeline"),
    _arm("optimum O3", "optimum", "pipeline"),
    _arm("optimum avx512_vnni", "optimum", "pipeline"),
    _arm("optimum avx512_vnni per channel", "optimum", "pipeline"),
    _arm("optimum O3 avx512_vnni", "optimum", "pipeline"),
    _arm("optimum avx512_vnni", "plain", "session", name="optimum avx512_vnni, session by hand"),
    _arm(
        "optimum avx512_vnni per channel",
        "plain",
        "session",
        name="optimum avx512_vnni per channel, session by hand",
    ),
    _arm("olive optimize", "plain", "session"),
    _arm("olive quantize", "plain", "session"),
    _arm("olive optimize, quantize", "plain", "session"),
    _arm("transformers.exporters", "transformers", "runner"),
    _arm("transformers.exporters dynamic", "transformers", "runner"),
    _arm("transformers.exporters fused, dynamic", "transformers", "runner"),
    _arm(
        "transformers.exporters fused, dynamic",
        "plain",
        "session",
        name="transformers.exporters fused, dynamic, session by hand",
    ),
    _arm("neural-compressor static", "plain", "session"),
    _arm("onnxsim dynamic", "plain", "session"),
    _arm("onnxsim dynamic, fused", "plain", "session"),
    _arm("onnxruntime quantize_dynamic", "plain", "session"),
    _arm("onnxruntime quant_pre_process", "plain", "session"),
    _arm("onnxruntime quantize_dynamic, mended", "plain", "session"),
    _arm(
        "sentence-transformers avx512_vnni",
        "sentence_transformers",
        "encode",
        file="onnx/model_qint8_avx512_vnni.onnx",
    ),
    _arm(
        "sentence-transformers avx512_vnni",
        "sentence_transformers",
        "cross-encoder",
        name="sentence-transformers avx512_vnni, CrossEncoder",
        file="onnx/model_qint8_avx512_vnni.onnx",
    ),
    _arm("edgepipe fp32", "edgepipe", "runtime"),
    _arm("edgepipe int8", "edgepipe", "runtime"),
    _arm("edgepipe student", "edgepipe", "runtime"),
    _arm("edgepipe student", "edgepipe", "plain", name="edgepipe student, plain session"),
)


def _runtimes(recipe: str) -> tuple[Arm, ...]:
    """Every runtime on the one file of a bundle; a session by hand is the reference."""
    return tuple(
        _arm(recipe, tool, load, name=name, file=_QUANTIZED)
        for name, tool, load in (
            ("session by hand", "plain", "session"),
            ("session by hand, sorted", "plain", "session-sorted"),
            ("optimum pipeline", "optimum", "pipeline"),
            ("optimum pipeline, batches of 16", "optimum", "pipeline-16"),
            ("sentence-transformers encode", "sentence_transformers", "encode"),
            ("transformers runner", "transformers", "foreign"),
            ("edgepipe runtime", "edgepipe", "runtime"),
            ("edgepipe runtime, plain session", "edgepipe", "plain"),
        )
    )


_MISSPELT: tuple[Trial, ...] = (
    _trial(
        "optimum", "misspelt option", "misspelt", "optimum-cli onnxruntime quantize --per_chanel"
    ),
    _trial("olive", "misspelt option", "misspelt", "olive optimize --precison int8"),
    _trial("transformers", "misspelt option", "misspelt", "OnnxConfig(quantiser=…)"),
    _trial("neural_compressor", "misspelt option", "misspelt", "StaticQuantConfig(act_algoritm=…)"),
    _trial("onnxsim", "misspelt option", "misspelt", "onnxsim … --dynamic-quantise"),
    _trial("onnxruntime", "misspelt option", "misspelt", "quantize_dynamic(…, per_chanel=True)"),
    _trial(
        "sentence_transformers",
        "misspelt option",
        "misspelt",
        'export_dynamic_quantized_onnx_model(model, quantisation_config="avx512_vnni", …)',
    ),
    _trial("edgepipe", "misspelt option", "misspelt", "per_chanel = true", environment=MAIN),
)
_CORRUPT: tuple[Trial, ...] = (
    _trial("optimum", "corrupt checkpoint", "avx512_vnni", "optimum-cli export onnx"),
    _trial("olive", "corrupt checkpoint", "capture", "olive capture-onnx-graph"),
    _trial("transformers", "corrupt checkpoint", "dynamic", "from_pretrained"),
    _trial("neural_compressor", "corrupt checkpoint", "static", "from_pretrained"),
    _trial("onnxsim", "corrupt checkpoint", "dynamic", "from_pretrained"),
    _trial("onnxruntime", "corrupt checkpoint", "dynamic-mended", "from_pretrained"),
    _trial(
        "sentence_transformers", "corrupt checkpoint", "avx512_vnni", "CrossEncoder(checkpoint)"
    ),
    _trial("edgepipe", "corrupt checkpoint", "int8", f"{_EDGEPIPE} int8.toml", environment=MAIN),
)
_CUT: tuple[Trial, ...] = tuple(
    _trial(tool, "corrupt ONNX file", "quantize-only", call, environment=environment, of="optimum")
    for tool, call, environment in (
        ("optimum", "optimum-cli onnxruntime quantize", ""),
        ("olive", "olive quantize", ""),
        ("onnxsim", "onnxsim model.onnx out.onnx --dynamic-quantize", ""),
        ("onnxruntime", "quantize_dynamic(model.onnx, out.onnx)", ""),
        ("edgepipe", f'{_EDGEPIPE} with use = "onnx"', MAIN),
    )
)

FULL = Lineup(
    recipes=RECIPES,
    trials=(*_CORRUPT, *_CUT, *_MISSPELT),
    tables=(
        Table(
            name="tools",
            title="Movie reviews: one teacher, every tool",
            model="movie-reviews",
            arms=_TOOLS,
            max_length=64,
            rounds=4,
            batch=1250,
            blocks=12,
        ),
        Table(
            name="same-file",
            title="The student's int8 file, sentences as they are",
            model="movie-reviews",
            arms=_runtimes("edgepipe student"),
            max_length=64,
            rounds=5,
            batch=1000,
            blocks=12,
        ),
        Table(
            name="same-file-long",
            title="A 4 x 312 int8 file, one to eight sentences a text",
            model="small",
            arms=_runtimes("edgepipe int8"),
            texts="joined",
            max_length=512,
            rounds=4,
            batch=500,
            blocks=8,
        ),
        Table(
            name="small",
            title="4 layers x 312",
            model="small",
            arms=_PEERS_SPEED,
            max_length=512,
            rounds=3,
            batch=400,
            blocks=12,
        ),
        Table(
            name="bert-base",
            title="BERT-base",
            model="bert-base",
            arms=tuple(arm for arm in _PEERS_SPEED if arm.name not in _SMALL_ONLY),
            max_length=512,
            rounds=3,
            batch=64,
            blocks=5,
        ),
    ),
)


def _at_home(arm: Arm) -> Arm:
    """The same arm in the project's own environment, which holds whatever CI needs of it."""
    return arm if arm.environment == "edgepipe" else replace(arm, environment=MAIN)


_QUICK_RECIPES = ("torch eager", "onnxruntime quantize_dynamic, mended", "edgepipe int8")
QUICK = Lineup(
    recipes=tuple(replace(r, environment=MAIN) for r in RECIPES if r.name in _QUICK_RECIPES),
    trials=tuple(
        replace(trial, environment=MAIN)
        for trial in (*_CORRUPT, *_MISSPELT)
        if trial.tool in ("onnxruntime", "edgepipe")
    ),
    tables=(
        Table(
            name="tools",
            title="4 layers x 312, random weights",
            model="small",
            arms=(
                _at_home(_EAGER),
                _at_home(_arm("onnxruntime quantize_dynamic, mended", "plain", "session")),
                _arm("edgepipe int8", "edgepipe", "runtime"),
            ),
            max_length=64,
            rounds=2,
            batch=100,
            blocks=3,
        ),
    ),
)
"""One environment is built, the runtime's; the rest runs in the project's own."""
