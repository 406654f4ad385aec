"""Kinds of product, each held against torch's, and the self-test of the private operators."""

import platform
from functools import partial
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from videoswin_cli.model.cpu import linear
from videoswin_cli.model.cpu.linear import (
    Fused,
    Separate,
    by_convolution,
    by_fusing,
    by_torch,
    convolve,
    has_fused_products,
)

BOTH = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
ask_again = has_fused_products.__wrapped__


@pytest.mark.parametrize("rows", [1, 7, 800])
@pytest.mark.parametrize("biased", [True, False])
def test_a_convolution_is_the_same_product(rows: int, biased: bool) -> None:
    torch.manual_seed(0)
    x, weight, bias = torch.randn(rows, 24), torch.randn(40, 24), torch.randn(40)
    found = convolve(x, weight, bias if biased else None)
    assert found.is_contiguous()
    torch.testing.assert_close(
        found, F.linear(x, weight, bias if biased else None), rtol=1e-5, atol=1e-5
    )


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch without oneDNN")
def test_a_convolution_is_another_library_even_in_one_thread() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    x, weight = torch.randn(400, 96), torch.randn(40, 96)
    with torch.inference_mode(), torch.profiler.profile() as found:
        convolve(x, weight, None)
    torch.set_num_threads(before)
    assert "aten::mkldnn_convolution" in {row.key for row in found.key_averages()}


@BOTH
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("rows", [1, 7, 800])
@pytest.mark.parametrize("prepare", [by_torch, by_convolution, by_fusing])
def test_every_kind_of_product_computes_the_same(
    prepare: linear.Prepare, rows: int, biased: bool, dtype: torch.dtype
) -> None:
    if prepare is by_fusing and not has_fused_products(dtype):
        pytest.skip("no instructions for it, or no operators")
    torch.manual_seed(0)
    layer, x = nn.Linear(24, 40, bias=biased).to(dtype), torch.randn(rows, 24).to(dtype)
    onto = torch.randn(rows, 40).to(dtype)
    allowed = 1e-5 if dtype == torch.float32 else 0.02
    with torch.inference_mode():
        product = prepare(layer, dtype)
        assert isinstance(product, Fused) == (prepare is by_fusing)
        exact = layer.double()(x.double())
        layer.to(dtype)
        for found, expected in (
            (product(x), exact),
            (product.gelu(x), F.gelu(exact)),
            (product.add(x, onto.clone()), exact + onto.double()),
        ):
            assert found.dtype == dtype
            assert found.is_contiguous()
            torch.testing.assert_close(
                found, expected, rtol=allowed, atol=allowed, check_dtype=False
            )


class _Halved(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) / 2


@pytest.mark.parametrize("prepare", [by_torch, by_convolution, by_fusing])
@pytest.mark.parametrize("layer", [_Halved(8, 8), nn.Identity()], ids=["subclass", "other"])
def test_a_module_in_place_of_a_linear_layer_computes_by_itself(
    prepare: linear.Prepare, layer: nn.Module
) -> None:
    x = torch.randn(5, 8)
    with torch.inference_mode():
        assert torch.equal(prepare(layer, torch.float32)(x), layer(x))


@pytest.mark.parametrize("prepare", [by_torch, by_convolution, by_fusing])
def test_rows_of_another_type_than_the_weight_are_refused_by_torch(prepare: linear.Prepare) -> None:
    with pytest.raises(RuntimeError, match="same dtype"):
        prepare(nn.Linear(8, 8).double(), torch.float32)(torch.randn(5, 8))


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="another library there")
@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch without oneDNN")
def test_the_operators_are_there_and_sound() -> None:
    """In the versions of torch that the tests run with; in bfloat16 if the processor has it."""
    assert has_fused_products(torch.float32)
    assert has_fused_products(torch.bfloat16) == torch.ops.mkldnn._is_mkldnn_bf16_supported()


class _StandIn(Separate):
    """A product by torch in the place of a fused one."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__(partial(F.linear, weight=weight, bias=bias))


class _Doubled(_StandIn):
    def __call__(self, x: Tensor) -> Tensor:
        return super().__call__(x) * 2


class _OtherGelu(_StandIn):
    def gelu(self, x: Tensor) -> Tensor:
        return super().gelu(x) * 1.1


class _NoSum(_StandIn):
    def add(self, x: Tensor, onto: Tensor) -> Tensor:
        return self(x)


class _NoBias(_StandIn):
    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__(weight, None)


class _Bias(_StandIn):
    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__(weight, weight[:, 0] if bias is None else bias)


class _Widened(_StandIn):
    def __call__(self, x: Tensor) -> Tensor:
        return super().__call__(x).double()


@BOTH
@pytest.mark.parametrize(
    ("product", "sound"),
    [
        (_StandIn, True),
        *((other, False) for other in (_Doubled, _OtherGelu, _NoSum, _NoBias, _Bias, _Widened)),
    ],
)
def test_the_self_test_sees_other_numbers(
    product: type[_StandIn], sound: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linear, "fuse", product)
    assert ask_again(dtype) is sound


def test_a_gelu_that_is_approximated_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    class ByTanh(_StandIn):
        def gelu(self, x: Tensor) -> Tensor:
            return F.gelu(self(x), approximate="tanh")

    monkeypatch.setattr(linear, "fuse", ByTanh)
    assert ask_again(torch.float32) is False


@BOTH
@pytest.mark.parametrize("missing", ["_reorder_linear_weight", "_linear_pointwise", "binary"])
def test_operators_that_are_missing(
    missing: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    def product(x: Tensor, weight: Tensor, bias: Tensor | None, *_: object) -> Tensor:
        return F.linear(x, weight, bias)

    pointwise = SimpleNamespace(default=product, binary=product)
    operators = SimpleNamespace(
        _reorder_linear_weight=SimpleNamespace(default=lambda weight, _: weight),
        _linear_pointwise=pointwise,
    )
    delattr(pointwise if missing == "binary" else operators, missing)
    monkeypatch.setattr(torch.ops, "mkldnn", operators)
    assert ask_again(dtype) is False


@BOTH
@pytest.mark.parametrize("error", [AttributeError, RuntimeError, NotImplementedError, TypeError])
def test_operators_that_fail(
    error: type[Exception], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error("other arguments")

    monkeypatch.setattr(linear, "fuse", fail)
    assert ask_again(dtype) is False


def test_the_self_test_draws_nothing_from_the_random_state() -> None:
    before = torch.get_rng_state()
    ask_again(torch.float32)
    assert torch.equal(torch.get_rng_state(), before)
