"""The ratio loss against its formula in float64 and against known facts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from sweep.metrics.null_loss import LOSS_EPSILON, sum_null_loss
from sweep.training.loss import compute_ratio_loss_B

NAN = float("nan")


def compute_slowly(
    prediction_L: NDArray[np.float64], target_L: NDArray[np.float64], asymmetry: float
) -> float:
    """The formula of docs/PHYSICS.md, "Loss", word for word, in float64."""
    valid_L = ~np.isnan(target_L)
    ratio = np.abs((prediction_L[valid_L] + LOSS_EPSILON) / (target_L[valid_L] + LOSS_EPSILON))
    cost = -np.log(2.0 * ratio / (ratio**2 + 1.0))
    cost = cost * (1.0 + asymmetry * np.exp(-ratio))
    return float(cost.sum() / len(target_L))


def make_target(seed: int, num_events: int, num_bins: int = 4000) -> Tensor:
    """Draw targets with peaks on zero and runs of masked bins."""
    rng = np.random.default_rng(seed)
    target_BL = np.zeros((num_events, num_bins))
    bins = np.arange(num_bins)
    for event in range(num_events):
        for center in rng.uniform(0, num_bins, 5):
            is_near = np.abs(bins - center) <= 5
            target_BL[event] += is_near * np.exp(-((bins - center) ** 2) / 2.0)
        first = rng.integers(num_bins)
        target_BL[event, first : first + 30] = NAN
    return torch.from_numpy(target_BL)


@pytest.fixture(scope="module")
def real_target_BL(shared_data: Path) -> Tensor:
    """Targets of the 1000 real validation events, float32."""
    with np.load(shared_data / "pvfinder_toy_val.npz") as archive:
        return torch.from_numpy(archive["y"].astype(np.float32))


@pytest.mark.parametrize("asymmetry", [0.0, 2.5, 15.0])
@pytest.mark.parametrize("scale", [0.0, 1e-5, 1e-3, 1.0, 1e4])
def test_equals_the_formula(asymmetry: float, scale: float) -> None:
    """In float32 the loss of each event is the formula's in float64, for outputs of any size."""
    target_BL = make_target(seed=1, num_events=6)
    rng = np.random.default_rng(2)
    noise_BL = torch.from_numpy(rng.normal(0.0, 1.0, target_BL.shape))
    prediction_BL = torch.nan_to_num(target_BL) + scale * noise_BL
    actual_B = compute_ratio_loss_B(prediction_BL.float(), target_BL.float(), asymmetry=asymmetry)
    expected = [
        compute_slowly(prediction_L, target_L, asymmetry)
        for prediction_L, target_L in zip(
            prediction_BL.float().double().numpy(), target_BL.float().double().numpy(), strict=True
        )
    ]
    assert actual_B.dtype == torch.float32
    assert actual_B.tolist() == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_float64_is_kept() -> None:
    """In float64 the loss is the formula's to 12 digits."""
    target_BL = make_target(seed=3, num_events=2)
    prediction_BL = torch.nan_to_num(target_BL) * 0.7 + 0.01
    actual_B = compute_ratio_loss_B(prediction_BL, target_BL, asymmetry=2.5)
    expected = [
        compute_slowly(prediction_BL[event].numpy(), target_BL[event].numpy(), 2.5)
        for event in range(2)
    ]
    assert actual_B.tolist() == pytest.approx(expected, rel=1e-12)


def test_a_perfect_prediction_costs_nothing() -> None:
    """Prediction equal to target is exactly 0, with any asymmetry."""
    target_BL = make_target(seed=4, num_events=3).float()
    prediction_BL = torch.nan_to_num(target_BL)
    assert compute_ratio_loss_B(prediction_BL, target_BL, asymmetry=5.0).tolist() == [0.0] * 3


@pytest.mark.parametrize("constant", [1e-5, 3e-5, 1e-4, 1e-3])
def test_constants_on_zeros(constant: float) -> None:
    """A constant on a target of zeros costs -ln(2r / (r^2 + 1)) with r = (c + 1e-5) / 1e-5."""
    ratio = (constant + LOSS_EPSILON) / LOSS_EPSILON
    expected = -np.log(2.0 * ratio / (ratio**2 + 1.0))
    zeros_BL = torch.zeros(2, 4000)
    actual_B = compute_ratio_loss_B(zeros_BL + constant, zeros_BL)
    assert actual_B.tolist() == pytest.approx([expected] * 2, rel=1e-5)


@pytest.mark.parametrize(
    ("constant", "expected"), [(1e-5, 0.30), (3e-5, 0.82), (1e-4, 1.75), (1e-3, 3.91)]
)
def test_constants_on_real_targets(
    real_target_BL: Tensor, constant: float, expected: float
) -> None:
    """The background decides the loss: what constants cost (docs/PHYSICS.md, "Loss")."""
    prediction_BL = torch.full_like(real_target_BL, constant)
    loss = compute_ratio_loss_B(prediction_BL, real_target_BL).mean().item()
    assert loss == pytest.approx(expected, rel=0.02)


def test_null_loss_of_real_targets(real_target_BL: Tensor) -> None:
    """PV-Finder's toy events have the 0.095 of its notebooks (docs/PHYSICS.md, "Null loss")."""
    loss_B = compute_ratio_loss_B(torch.zeros_like(real_target_BL), real_target_BL)
    assert loss_B.mean().item() == pytest.approx(0.09476, abs=2e-5)


def test_null_loss_is_the_loss_of_zeros(real_target_BL: Tensor) -> None:
    """What events are described by is what a network that predicts nothing gets."""
    loss_B = compute_ratio_loss_B(torch.zeros_like(real_target_BL), real_target_BL)
    expected = loss_B.to(torch.float64).sum().item()
    assert sum_null_loss(real_target_BL.numpy()) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("asymmetry", [2.5, 5.5, 15.0])
def test_asymmetric_null_loss(real_target_BL: Tensor, asymmetry: float) -> None:
    """With asymmetry c it is about 1 + c times as large (docs/PHYSICS.md, "Null loss")."""
    prediction_BL = torch.zeros_like(real_target_BL)
    null_loss = compute_ratio_loss_B(prediction_BL, real_target_BL).mean().item()
    loss = compute_ratio_loss_B(prediction_BL, real_target_BL, asymmetry=asymmetry).mean().item()
    assert loss == pytest.approx((1.0 + asymmetry) * null_loss, rel=0.005)


def test_the_sign_is_not_seen(real_target_BL: Tensor) -> None:
    """The negative of a perfect prediction costs next to nothing, as in the reference."""
    loss_B = compute_ratio_loss_B(-torch.nan_to_num(real_target_BL), real_target_BL)
    assert 0.0 < loss_B.mean().item() < 0.001


@pytest.mark.parametrize("garbage", [NAN, float("inf"), -float("inf"), 3e38])
@pytest.mark.parametrize("asymmetry", [0.0, 2.5])
def test_masked_bins_cost_nothing(garbage: float, asymmetry: float) -> None:
    """Whatever is predicted at masked bins, loss and gradient are those of predicting zero."""
    target_BL = make_target(seed=5, num_events=2).float()
    is_masked_BL = torch.isnan(target_BL)
    losses, gradients = [], []
    for value in (0.0, garbage):
        prediction_BL = torch.full_like(target_BL, 0.01).masked_fill(is_masked_BL, value)
        prediction_BL.requires_grad_()
        loss_B = compute_ratio_loss_B(prediction_BL, target_BL, asymmetry=asymmetry)
        losses.append(loss_B.detach())
        gradients.append(torch.autograd.grad(loss_B.sum(), prediction_BL)[0])
    assert torch.equal(losses[1], losses[0])
    assert torch.equal(gradients[1], gradients[0])
    assert gradients[1][is_masked_BL].eq(0.0).all()
    assert gradients[1][~is_masked_BL].ne(0.0).all()


@pytest.mark.parametrize("asymmetry", [0.0, 15.0])
@pytest.mark.parametrize("value", [0.0, -LOSS_EPSILON, -1.00001e-5, 1e-30, 3e38, -3e38, 1.0, -1.0])
def test_gradients_are_finite(value: float, asymmetry: float) -> None:
    """Loss and gradient are finite for any finite prediction, on zeros, peaks and huge targets."""
    target_BL = torch.tensor([[0.0, 0.5, 3e38, NAN, 1e-8]])
    prediction_BL = torch.full_like(target_BL, value).requires_grad_()
    loss_B = compute_ratio_loss_B(prediction_BL, target_BL, asymmetry=asymmetry)
    (gradient_BL,) = torch.autograd.grad(loss_B.sum(), prediction_BL)
    assert torch.isfinite(loss_B).all()
    assert torch.isfinite(gradient_BL).all()


@pytest.mark.parametrize("asymmetry", [0.0, 2.5])
def test_gradients_are_those_of_the_loss(asymmetry: float) -> None:
    """The gradient equals finite differences."""
    target_BL = torch.tensor([[0.0, 0.5, NAN, 0.02], [1.0, 0.1, 0.0, 0.3]], dtype=torch.float64)
    prediction_BL = torch.tensor(
        [[0.1, 0.2, 0.3, 0.4], [2.0, -0.1, 0.05, 0.3]], dtype=torch.float64, requires_grad=True
    )

    def compute(prediction_BL: Tensor) -> Tensor:
        return compute_ratio_loss_B(prediction_BL, target_BL, asymmetry=asymmetry)

    assert torch.autograd.gradcheck(compute, (prediction_BL,), eps=1e-7)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    """Half-precision predictions under autocast cost what their float32 values cost."""
    target_BL = make_target(seed=6, num_events=2).float()
    prediction_BL = (torch.nan_to_num(target_BL) * 0.8 + 1e-3).to(dtype)
    expected_B = compute_ratio_loss_B(prediction_BL.float(), target_BL, asymmetry=2.5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual_B = compute_ratio_loss_B(prediction_BL, target_BL, asymmetry=2.5)
    assert actual_B.dtype == torch.float32
    assert torch.equal(actual_B, expected_B)


def test_events_do_not_mix() -> None:
    """An event's loss does not depend on its batch; one with no valid bin costs 0."""
    target_BL = make_target(seed=7, num_events=5).float()
    target_BL[2] = NAN
    prediction_BL = torch.full_like(target_BL, 1e-3)
    loss_B = compute_ratio_loss_B(prediction_BL, target_BL)
    alone = [
        compute_ratio_loss_B(prediction_BL[event : event + 1], target_BL[event : event + 1]).item()
        for event in range(5)
    ]
    assert loss_B.tolist() == pytest.approx(alone, rel=1e-6)
    assert loss_B[2].item() == 0.0


def test_the_divisor_counts_masked_bins() -> None:
    """The sum over valid bins is divided by all bins, as the reference's 4000."""
    target_BL = torch.zeros(1, 4000)
    target_BL[:, 1000:] = NAN
    loss = compute_ratio_loss_B(torch.full((1, 4000), 1e-3), target_BL).item()
    full = compute_ratio_loss_B(torch.full((1, 4000), 1e-3), torch.zeros(1, 4000)).item()
    assert loss == pytest.approx(full / 4.0, rel=1e-6)


def test_a_nan_prediction_is_not_hidden() -> None:
    """A NaN at a valid bin makes the loss of its event NaN, and only of that one."""
    prediction_BL = torch.zeros(2, 4000)
    prediction_BL[1, 7] = NAN
    assert torch.isnan(compute_ratio_loss_B(prediction_BL, torch.zeros(2, 4000))).tolist() == [
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("compute", "message"),
    [
        (lambda y: compute_ratio_loss_B(y[:, None], y), r"got \(2, 1, 8\) and \(2, 8\)"),
        (lambda y: compute_ratio_loss_B(y[:1], y), r"got \(1, 8\) and \(2, 8\)"),
        (lambda y: compute_ratio_loss_B(y[0], y[0]), r"got \(8,\) and \(8,\)"),
        (lambda y: compute_ratio_loss_B(y, y, asymmetry=-1.0), "asymmetry is out of range"),
    ],
)
def test_bad_arguments_are_refused(compute: Callable[[Tensor], Tensor], message: str) -> None:
    """Shapes that would broadcast and parameters without meaning are errors."""
    with pytest.raises(ValueError, match=message):
        compute(torch.zeros(2, 8))
