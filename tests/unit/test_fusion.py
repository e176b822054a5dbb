"""Photo, words and price in one vector: what the gate sees, and what it gives where parts are missing."""

import pytest
import torch
from torch.nn import functional

from recognition.fusion import Gate, ProductEncoder
from recognition.text import ProductText, encode_texts


@pytest.fixture
def gate() -> Gate:
    """A gate that has opinions: an untrained one gives every product the same shares."""
    torch.manual_seed(4)
    gate = Gate()
    torch.nn.init.normal_(gate.score[2].weight)
    return gate


def parts(number: int, dim: int = 16) -> torch.Tensor:
    torch.manual_seed(5)
    return functional.normalize(torch.randn(number, 3, dim), dim=-1)


def test_shares_follow_the_agreement_of_the_parts_alone(gate):
    """Turning the whole space changes no cosine, so it changes no share."""
    shown, present = parts(8), torch.ones(8, 3, dtype=torch.bool)
    turn, _ = torch.linalg.qr(torch.randn(16, 16))
    vectors, shares = gate(shown, present)
    turned, same = gate(shown @ turn, present)
    torch.testing.assert_close(same, shares)
    torch.testing.assert_close(turned, vectors @ turn, atol=1e-5, rtol=0)
    assert shares[:, :2].std(0).min() > 0.1  # and they differ from product to product


def test_missing_parts_count_nothing(gate):
    present = torch.tensor([[True, False, False], [True, True, False], [False, True, True], [False, False, False]])
    vectors, shares = gate(parts(4), present)
    assert torch.equal(shares > 0, present)
    torch.testing.assert_close(shares.sum(1), torch.tensor([1.0, 1.0, 1.0, 0.0]))
    torch.testing.assert_close(vectors.norm(dim=1), torch.tensor([1.0, 1.0, 1.0, 0.0]))


def test_without_a_text_the_fused_vector_is_the_photos(gate):
    model = ProductEncoder("mobilenet_v3_small", 16)
    model.gate = gate
    photo = parts(2)[:, 0]
    fused, shares = model.fuse(photo, encode_texts([None, ProductText()]))
    torch.testing.assert_close(fused, photo)
    assert shares.tolist() == [[1.0, 0.0, 0.0]] * 2
