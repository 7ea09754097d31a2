import copy

import pytest
import torch
from torch import nn

from edgepipe.errors import StageError
from edgepipe.training.settings import Distillation
from edgepipe.training.student import chosen_layers, make_student, student_config
from tests.convert.families import FAMILIES, build

DEPTH = 4
LAYERS = {
    "bert": "bert.encoder.layer",
    "distilbert": "distilbert.transformer.layer",
    "roberta": "roberta.encoder.layer",
    "xlm-roberta": "roberta.encoder.layer",
    "electra": "electra.encoder.layer",
    "mpnet": "mpnet.encoder.layer",
    "deberta-v2": "deberta.encoder.layer",
    "modernbert": "model.layers",
}
IDS = torch.randint(5, 60, (3, 11), generator=torch.Generator().manual_seed(0))
MASK = (torch.arange(11) < torch.tensor([[11], [7], [4]])).long()


def _teacher(family, **changes):
    own = {"n_layers": DEPTH} if family == "distilbert" else {}
    return build(family, **{"num_hidden_layers": DEPTH, **own, **changes})


def _logits(model):
    with torch.no_grad():
        return model.eval()(IDS, attention_mask=MASK).logits


def _student(teacher, **settings):
    wanted = Distillation(**settings)
    layers = chosen_layers(wanted, teacher.config.num_hidden_layers)
    torch.manual_seed(77)
    return make_student(teacher, student_config(teacher.config, wanted, layers), layers)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_student_with_every_layer_answers_as_its_teacher(family):
    teacher = _teacher(family)
    assert torch.equal(_logits(_student(teacher, layers=DEPTH)), _logits(teacher))


@pytest.mark.parametrize("family", LAYERS)
@pytest.mark.parametrize("chosen", [(0, 2), (0, 1, 3), (0,)])
def test_a_student_is_its_teacher_with_layers_cut_out(family, chosen):
    teacher = _teacher(family)
    cut = copy.deepcopy(teacher)
    parent = cut.get_submodule(LAYERS[family].rpartition(".")[0])
    kept = [cut.get_submodule(LAYERS[family])[layer] for layer in chosen]
    setattr(parent, LAYERS[family].rpartition(".")[2], nn.ModuleList(kept))
    cut.config.num_hidden_layers = len(chosen)
    if family == "modernbert":
        cut.config.layer_types = [teacher.config.layer_types[layer] for layer in chosen]
    student = _student(teacher, layers=len(chosen), from_layers=chosen)
    assert torch.equal(_logits(student), _logits(cut))
    assert not torch.equal(_logits(student), _logits(teacher))
    assert student.config.num_hidden_layers == len(chosen)


def test_layers_that_differ_in_kind_keep_their_kinds():
    teacher = _teacher("modernbert")
    kinds = teacher.config.layer_types
    assert len(set(kinds)) == 2
    student = _student(teacher, layers=2, from_layers=(1, 2))
    assert student.config.layer_types == [kinds[1], kinds[2]]
    assert student.config.id2label == teacher.config.id2label


def test_shared_layers_are_repeated_less_often():
    teacher = _teacher("albert")
    student = _student(teacher, layers=2)
    assert student.state_dict().keys() == teacher.state_dict().keys()
    expected = copy.deepcopy(teacher)
    expected.config.num_hidden_layers = 2
    assert torch.equal(_logits(student), _logits(expected))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_narrower_student_starts_from_leading_slices(family):
    teacher = _teacher(family)
    student = _student(teacher, layers=2, from_layers=(0, 2), hidden_size=16, intermediate_size=48)
    assert student.config.hidden_size == 16
    assert student.config.num_attention_heads == 1  # the head size is kept
    source, own = teacher.state_dict(), student.state_dict()
    prefix = LAYERS.get(family)
    for name, value in own.items():
        theirs = source[name.replace(f"{prefix}.1.", f"{prefix}.2.")]
        parts = 3 if "Wqkv" in name else 2 if ".Wi." in name else 1
        rows = value.shape[0] // parts if value.ndim else 1
        for part, whole in zip(value.chunk(parts), theirs.chunk(parts), strict=True):
            if value.ndim == 2:
                assert torch.equal(part, whole[:rows, : value.shape[1]]), name
            elif value.ndim == 1:
                assert torch.equal(part, whole[:rows]), name
    assert _logits(student).isfinite().all()


def test_heads_can_be_set():
    student = _student(_teacher("bert"), layers=1, hidden_size=24, heads=2)
    assert (student.config.hidden_size, student.config.num_attention_heads) == (24, 2)


@pytest.mark.parametrize(
    ("count", "total", "expected"),
    [(3, 6, (0, 2, 5)), (6, 12, (0, 2, 4, 7, 9, 11)), (1, 4, (0,)), (4, 4, (0, 1, 2, 3))],
)
def test_spaced_layers_hold_the_first_and_the_last(count, total, expected):
    assert chosen_layers(Distillation(layers=count), total) == expected


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"layers": 5}, "layers = 5: the teacher has only 4"),
        ({"layers": 2, "from_layers": (0, 4)}, "2 rising numbers from 0 to 3"),
        ({"layers": 2, "from_layers": (2, 1)}, "2 rising numbers"),
        ({"layers": 2, "from_layers": (1,)}, "2 rising numbers"),
        ({"layers": 2, "hidden_size": 64}, "wider than its teacher: hidden_size 64 > 32"),
        ({"layers": 2, "intermediate_size": 65}, "intermediate_size 65 > 64"),
        ({"layers": 2, "heads": 3}, "num_attention_heads 3 > 2"),
        ({"layers": 2, "hidden_size": 20}, "hidden_size = 20 is not a whole .* 16 wide"),
        ({"layers": 2, "hidden_size": 25, "heads": 2}, "set heads to a divisor"),
    ],
)
def test_students_that_cannot_be_are_refused(settings, said):
    with pytest.raises(StageError, match=said):
        _student(_teacher("bert"), **settings)


def test_groups_of_shared_layers_cannot_be_cut():
    with pytest.raises(StageError, match="shares 2 groups"):
        _student(_teacher("albert", num_hidden_groups=2), layers=1)
