"""What a student may be pulled towards."""

from __future__ import annotations

import torch
from torch.nn import functional


def soft_targets(
    student_BC: torch.Tensor,  # noqa: N803  # letters name the axes
    teacher_BC: torch.Tensor,  # noqa: N803
    temperature: float,
) -> torch.Tensor:
    """T^2 KL(softmax(teacher / T) || softmax(student / T)), the mean over rows; a scalar.

    Hinton, Vinyals and Dean 2015; T^2 keeps the gradient's size apart from T.
    """
    student = functional.log_softmax(student_BC.float() / temperature, dim=-1)
    teacher = functional.log_softmax(teacher_BC.float() / temperature, dim=-1)
    divergence = functional.kl_div(student, teacher, reduction="batchmean", log_target=True)
    return divergence * temperature**2


def hidden_states(
    student_BSH: torch.Tensor,  # noqa: N803
    teacher_BSH: torch.Tensor,  # noqa: N803
    mask_BS: torch.Tensor,  # noqa: N803
) -> torch.Tensor:
    """The mean squared difference over the features of all tokens that are no padding; a scalar.

    TinyBERT (Jiao et al. 2020), equation 8; where widths differ, project the student's first.
    """
    real = mask_BS.bool()
    return functional.mse_loss(student_BSH[real].float(), teacher_BSH[real].float())


def attention_maps(
    student_BHSS: torch.Tensor,  # noqa: N803
    teacher_BHSS: torch.Tensor,  # noqa: N803
    mask_BS: torch.Tensor,  # noqa: N803
) -> torch.Tensor:
    """The mean squared difference of attention probabilities between tokens; a scalar.

    After TinyBERT (Jiao et al. 2020), equation 7, on probabilities instead of scores, which
    transformers does not give. Where head counts differ, both are averaged over their heads.
    """
    if student_BHSS.shape[1] != teacher_BHSS.shape[1]:
        student_BHSS = student_BHSS.mean(dim=1, keepdim=True)  # noqa: N806
        teacher_BHSS = teacher_BHSS.mean(dim=1, keepdim=True)  # noqa: N806
    real = mask_BS.bool()
    pairs = (real[:, None, :, None] & real[:, None, None, :]).expand(student_BHSS.shape)
    return functional.mse_loss(student_BHSS[pairs].float(), teacher_BHSS[pairs].float())
