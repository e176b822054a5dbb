"""What axe-core (vendored in tests/vendor) finds on a page that keeps people from using it."""

from pathlib import Path

from playwright.sync_api import Page

SCRIPT = Path(__file__).resolve().parent.parent / "vendor" / "axe-core" / "axe.min.js"
WEIGHTY = ("serious", "critical")
STILL = """() => Promise.all(document.getAnimations().filter((each) => each.effect.getComputedTiming().iterations < 9)
  .map((each) => each.finished.catch(() => null)))"""


def barriers(page: Page) -> list[str]:
    """The serious and critical findings: the rule and where. Colours are judged once nothing moves any more."""
    page.evaluate(STILL)
    if not page.evaluate("typeof axe !== 'undefined'"):
        page.evaluate(SCRIPT.read_text())  # through the debugger: the page's policy allows no foreign script
    found = page.evaluate("axe.run({ resultTypes: ['violations'] }).then((told) => told.violations)")
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary']}"
        for rule in found
        if rule["impact"] in WEIGHTY
        for node in rule["nodes"]
    ]
