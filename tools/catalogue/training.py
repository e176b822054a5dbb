"""Random products for training, from the same families as the catalogue but none of them in it.

The network learns from their renders what "the same product under another light and angle" means; the sample
catalogue stays unseen, which keeps the demo honest. render.py --training N renders what `draw` yields.
"""

import random
from collections.abc import Iterator

from artwork import MOTIFS
from labels import FONTS, Art
from products import ON_BODY, Product
from variety import MARKS, NAMED, SPACE, colour

PATTERNS = [
    "dots",
    "stripes",
    "pinstripes",
    "hoops",
    "check",
    "zigzag",
    "waves",
    "terrazzo",
    "speckle",
    "triangles",
    "arches",
    "halves",
    "bands",
    "motifs",
]
START = [
    "Al",
    "Bren",
    "Cor",
    "Dal",
    "El",
    "Fal",
    "Gar",
    "Hol",
    "Is",
    "Jun",
    "Kal",
    "Lor",
    "Mar",
    "Nor",
    "Os",
    "Per",
    "Quin",
    "Rav",
    "Sol",
    "Tor",
    "Ul",
    "Ves",
    "Wil",
    "Yar",
    "Zel",
]
MIDDLE = ["a", "an", "e", "el", "i", "ir", "o", "or", "u", "um"]
END = ["bury", "dale", "den", "field", "lo", "mere", "na", "ra", "rick", "stead", "ton", "va", "via", "wood"]
WORDS = [
    "Brook",
    "Cinder",
    "Dawn",
    "Echo",
    "Field",
    "Glade",
    "Haven",
    "Juno",
    "Kite",
    "Linden",
    "Meadow",
    "Nova",
    "Prairie",
    "Quarry",
    "Ripple",
    "Thistle",
    "Valley",
    "Willow",
    "Yarrow",
    "Zephyr",
]

# The parameters that decide how a product is called by colour, the first that a family has.
LEADING = ["body", "content", "spine", "body_spec", "case_spec", "shade_spec", "cup_spec", "seat_spec"]


def _dark(value: str) -> bool:
    red, green, blue = (int(value[i : i + 2], 16) for i in (1, 3, 5))
    return 0.3 * red + 0.59 * green + 0.11 * blue < 120


def _contrast(paper: str, rng: random.Random) -> str:
    """A colour that can be read on the paper."""
    return next(c for c in iter(lambda: colour(rng), None) if _dark(c) != _dark(paper))


def _art(rng: random.Random, brand: str, name: str, layouts: list[str], paper: str) -> Art:
    layout = rng.choice(layouts)
    patterned = layout == "none" or rng.random() < 0.2
    return Art(
        brand=brand,
        name=name,
        detail=rng.choice(["250 g", "500 ml", "No. 4", "limited", "est. 1987", ""]),
        layout=layout,
        font=rng.choice(list(FONTS)),
        paper=paper,
        ink=_contrast(paper, rng),
        accent=_contrast(paper, rng),
        motif=rng.choice([*MOTIFS, ""]),
        pattern=rng.choice(PATTERNS) if patterned else "solid",
        pattern_inks=(_contrast(paper, rng), colour(rng)),
        pattern_unit=round(rng.uniform(0.1, 0.3), 2),
    )


def _product(rng: random.Random, number: int, family: str) -> Product:
    category, nouns, highest, layouts, options = SPACE[family]
    params = {key: choice(rng) for key, choice in options.items()}
    brand = rng.choice(START) + rng.choice(MIDDLE) + rng.choice(END)
    name = f"{rng.choice(WORDS)} {rng.choice(nouns)}"
    paper = params["body"] if family in ON_BODY else colour(rng)
    kind = params.get("shape") or params.get("kind") or ""
    currency, rate = rng.choice([("EUR", 1), ("EUR", 1), ("EUR", 1), ("USD", 1.1), ("CNY", 8)])
    shade = nearest(next((str(params[key]) for key in LEADING if key in params), paper).rpartition(":")[2])
    art = _art(rng, brand, name if layouts is not MARKS else brand, layouts, paper)
    printed = (
        f" with {art.pattern}" if art.pattern not in ("solid", "motifs") and family in ON_BODY | {"cushion"} else ""
    )
    return Product(
        sku=f"TRN-{number:04d}",
        title=f"{name}, {kind} {shade}".replace("  ", " "),
        brand=brand,
        category=category,
        price=f"{rng.uniform(0.15, 1) * highest * rate:.2f}",
        currency=currency,
        description=f"{name} by {brand} in {shade}{printed}.",
        family=family,
        params=params,
        art=art,
    )


def nearest(value: str) -> str:
    """The name of the nearest named colour."""
    parts = [int(value[i : i + 2], 16) for i in (1, 3, 5)]

    def distance(name: str) -> int:
        return sum((p - int(NAMED[name][i : i + 2], 16)) ** 2 for p, i in zip(parts, (1, 3, 5), strict=True))

    return min(NAMED, key=distance)


def draw(count: int, catalogue: list[Product]) -> Iterator[Product]:
    """Random products, family by family in turn; never a catalogue product, brand or title."""
    looks = [(p.family, p.params, p.art) for p in catalogue]
    brands, titles = {p.brand for p in catalogue}, {p.title for p in catalogue}
    families = list(SPACE)
    for number in range(count):
        rng = random.Random(f"training/{number}")
        product = _product(rng, number, families[number % len(families)])
        if product.brand in brands or product.title in titles or (product.family, product.params, product.art) in looks:
            continue
        yield product
