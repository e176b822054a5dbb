"""Draws a folder of labelled photos of traffic signs: `python -m tools.signs DIR --photos 40`; read by docs/domains.md.

    kinds.py    twelve signs, each a drawing on a transparent square
    street.py   one of them as a camera sees it: turned away, in its light, in front of something, blurred, noisy

The photos are drawings. They stand in for a folder of one's own, and show that a new kind of thing is one command; how
well real signs are told from each other, only real photos can say.
"""

import argparse
import random
import sys
from pathlib import Path

from tools.signs.kinds import KINDS
from tools.signs.street import photograph


def draw_folder(root: Path, photos: int, *, kinds: int = len(KINDS), seed: int = 1) -> Path:
    """`photos` of each kind into `root/<kind>/<number>.jpg`; the same for the same seed."""
    for name in list(KINDS)[:kinds]:
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(photos):
            photo = photograph(KINDS[name](), random.Random(f"{seed}/{name}/{number}"))
            photo.save(root / name / f"{number:03}.jpg", quality=85)
    return root


def main() -> int:
    """Run the command; returns the exit code."""
    command = argparse.ArgumentParser(prog="python -m tools.signs", description="Draw photos of traffic signs.")
    command.add_argument("folder", type=Path, metavar="DIR")
    command.add_argument("--photos", type=int, default=40, help="of each kind")
    command.add_argument("--kinds", type=int, default=len(KINDS), help="the first so many of the twelve")
    command.add_argument("--seed", type=int, default=1)
    options = command.parse_args()
    draw_folder(options.folder, options.photos, kinds=options.kinds, seed=options.seed)
    print(f"{options.kinds * options.photos} photos of {options.kinds} kinds in {options.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
