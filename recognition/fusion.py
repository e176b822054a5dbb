"""Photo, words and price in one vector; after cnn.py and text.py, before the index.

A gate decides how much each part counts, by which parts are there and how well they agree: words that say something
else than the photo shows should not count. All parts live in one space, so a fused vector can be compared with the
vector of a photo alone: with no words and no price, the fused vector *is* the photo's.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from recognition.bundle import LabelSet, Subject
from recognition.cnn import ImageEncoder
from recognition.labels import LabelHeads
from recognition.proposals import SubjectHead
from recognition.text import TextBatch, TextEncoder

_START = (1.0, 0.0, -2.0)  # the gate's first opinion: the photo leads, words follow, the price is a hint


class Gate(nn.Module):
    """Weighs photo, words and price (gated multimodal unit, Arevalo et al., 2017, with a softmax over the parts).

    It sees the cosines between the parts, not the parts themselves: what it learned of a few hundred products then
    holds for products of other shops (docs/decisions/fusion.md has the comparison).
    """

    def __init__(self) -> None:
        super().__init__()
        last = nn.Linear(16, 3)
        self.score = nn.Sequential(nn.Linear(6, 16), nn.GELU(), last)
        nn.init.zeros_(last.weight)
        with torch.no_grad():
            last.bias.copy_(torch.tensor(_START))

    def forward(self, parts: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Unit vectors float32 [N, 3, dim] (photo, words, price) and which are present, bool [N, 3].

        Returns unit vectors [N, dim] (zero where nothing is present) and the shares of the parts [N, 3].
        """
        shown = parts * present[:, :, None]
        photo, words, price = shown.unbind(1)
        agreement = [(photo * words).sum(-1), (photo * price).sum(-1), (words * price).sum(-1)]
        scores = self.score(torch.cat([present.float(), torch.stack(agreement, dim=-1)], dim=-1))
        shares = torch.softmax(scores.masked_fill(~present, -1e4), dim=-1) * present
        return functional.normalize((shares[:, :, None] * shown).sum(1), dim=-1), shares


class ProductEncoder(nn.Module):
    """The whole model: a photo encoder, a text encoder, the gate over both, classifiers, the head that finds things."""

    def __init__(
        self, arch: str, dim: int, labels: Mapping[str, LabelSet] | None = None, subject: Subject | None = None
    ) -> None:
        super().__init__()
        self.image = ImageEncoder(arch, dim)
        self.text = TextEncoder(dim)
        self.gate = Gate()
        self.label_sets = dict(labels or {})
        self.heads = LabelHeads(self.image.width, self.label_sets)
        self.subject = SubjectHead(self.image.map_width, subject.width) if subject else None

    def fuse(self, image: Tensor | None, texts: TextBatch) -> tuple[Tensor, Tensor]:
        """Photo vectors [N, dim] (None: no photos) and N texts to fused unit vectors [N, dim] and shares [N, 3]."""
        spoken, priced = self.text(texts)
        seen = torch.zeros_like(spoken) if image is None else image
        present = torch.stack(
            [torch.full_like(texts.has_words, image is not None), texts.has_words, texts.has_price], 1
        )
        return self.gate(torch.stack([seen, spoken, priced], dim=1), present)
