"""Hits as cards: what a person sees of a candidate, on the search page and at the review desk.

Comes after ``selectors.search`` found the products; before the templates, which only place what is here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from catalog.annotated import ProductWithMainPhoto
from catalog.models import Product
from catalog.selectors.attributes import attribute_values
from catalog.selectors.search import Hit
from catalog.web.money import format_price
from catalog.web.photos import photo_address
from workers.contract import Candidate

BADGES = {"same": _("Same product"), "similar": _("Looks similar"), "other": ""}
CALIBRATED_HELP = _("A probability, calibrated on held-out photos: of ten hits that say 80 %, about eight are right.")
UNCALIBRATED_HELP = _("A score between 0 and 1, not calibrated: it orders these hits, it is no probability.")
WORDS_HELP = _("How well the words match the product's title, by their rarity. It has no upper end.")
RANK_HELP = _("What the list is ordered by.")
SHOP_PAGE = "url"  # the attribute that names a product's page in the shop

_check_web_address = URLValidator(schemes=["http", "https"])


@dataclass(frozen=True)
class Reason:
    """One line of the answer to "why this one?"; ``part`` (0..1) draws a bar, ``None`` draws none."""

    label: str
    text: str
    part: float | None = None


@dataclass(frozen=True)
class VariantCard:
    """One of an article's variants. ``told`` is what it differs from the others in; ``is_hit`` that it was the hit."""

    sku: str
    title: str
    brand: str
    told: str
    price: str
    photo: str
    shop: str
    is_hit: bool


@dataclass(frozen=True)
class Card:
    """One candidate, ready to be shown. ``score_label`` says what the score is, ``score_help`` what it means.

    ``shop`` is the product's page there, empty where none is known. ``variants`` are all of its article, itself first;
    none where it is the only one, or every variant is a hit.
    """

    product_id: UUID
    sku: str
    title: str
    brand: str
    category: str
    price: str
    in_stock: bool
    photo: str
    matched: str
    matched_help: str
    match: str
    badge: str
    score: str
    score_label: str
    score_help: str
    part: float | None
    reasons: tuple[Reason, ...]
    why: str
    shop: str
    variants: tuple[VariantCard, ...]


def card_of(hit: Hit, *, calibrated: bool) -> Card:
    """The card of one hit. Photos are signed addresses; a product whose photos are gone shows a placeholder."""
    product, candidate = hit.product, hit.candidate
    main = product.main_photo_id or hit.photo_id or candidate.photo_id
    score, label, score_help = _score(candidate, calibrated)
    with_photo = candidate.scores.image is not None or candidate.probability is not None
    return Card(
        product_id=product.pk,
        sku=product.sku,
        title=product.title,
        brand=product.brand,
        category=product.category,
        price=format_price(product.price, product.currency),
        in_stock=product.in_stock,
        photo=photo_address(main, size="medium"),
        matched=photo_address(hit.photo_id or main, size="thumb"),
        matched_help=gettext("Its photo that is nearest to yours") if with_photo else gettext("Its photo in the index"),
        match=candidate.match,
        badge=str(BADGES[candidate.match]),
        score=score,
        score_label=label,
        score_help=score_help,
        part=candidate.probability,
        reasons=tuple(_reasons(candidate)),
        why=hit.why,
        shop=shop_address(product),
        variants=_variants(hit),
    )


def shop_address(product: Product) -> str:
    """Where the shop shows a product: its own attribute ``url``, as the widget has it. Whoever may write products must
    not run anything here, so only an address of the web is one.
    """
    address = product.attributes.get(SHOP_PAGE)
    try:
        _check_web_address(address)
    except ValidationError:
        return ""
    return str(address)


def _variants(hit: Hit) -> tuple[VariantCard, ...]:
    article: list[ProductWithMainPhoto] = [hit.product, *hit.variants]
    if len(article) == 1:
        return ()
    differing = _differing(article)
    return tuple(
        VariantCard(
            sku=each.sku,
            title=each.title,
            brand=each.brand,
            told=", ".join(_texts(each, differing)) or each.sku,
            price=format_price(each.price, each.currency),
            photo=photo_address(each.main_photo_id, size="medium") if each.main_photo_id else "",
            shop=shop_address(each),
            is_hit=each is hit.product,
        )
        for each in article
    )


def _differing(article: Sequence[Product]) -> list[str]:
    """The names of the attributes in which these products are not all the same, in the order of the first."""
    names = dict.fromkeys(name for each in article for name in each.attributes if name != SHOP_PAGE)
    return [name for name in names if len({tuple(_texts(each, [name])) for each in article}) > 1]


def _texts(product: Product, names: Sequence[str]) -> list[str]:
    return [text for name in names for text in attribute_values(product.attributes.get(name))]


def _score(candidate: Candidate, calibrated: bool) -> tuple[str, str, str]:
    if candidate.probability is not None and calibrated:
        return percent(candidate.probability), gettext("probability, calibrated"), str(CALIBRATED_HELP)
    if candidate.probability is not None:
        return f"{candidate.probability:.2f}", gettext("score, not calibrated"), str(UNCALIBRATED_HELP)
    if candidate.scores.text is not None:
        return f"{candidate.scores.text:.1f}", gettext("words score"), str(WORDS_HELP)
    return f"{candidate.scores.rank:.2f}", gettext("rank score"), str(RANK_HELP)


def percent(probability: float) -> str:
    """``94 %``; never a false "100 %" or "0 %", because nothing here is certain."""
    if probability > 0.99:
        return "> 99 %"
    if probability < 0.01:
        return "< 1 %"
    return f"{probability:.0%}".replace("%", " %")


def _reasons(candidate: Candidate) -> list[Reason]:
    scores = candidate.scores
    reasons = []
    if scores.image is not None:
        reasons.append(Reason(gettext("Photo alone"), f"{scores.image:.2f}", _part(scores.image)))
    if scores.fused is not None:
        reasons.append(Reason(gettext("With text and price"), f"{scores.fused:.2f}", _part(scores.fused)))
    if scores.text is not None:
        reasons.append(Reason(gettext("Words"), f"{scores.text:.1f}"))
    if candidate.votes > 1:
        reasons.append(Reason(gettext("Its photos among the nearest"), str(candidate.votes)))
    return reasons


def _part(cosine: float) -> float:
    return min(max(cosine, 0.0), 1.0)
