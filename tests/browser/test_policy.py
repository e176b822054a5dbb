"""Pages of others' making under our policy: they work, and the browser has nothing to complain about."""

from playwright.sync_api import expect


def test_the_page_to_try_the_api_works_without_inline_scripts(page, transactional_db):
    answer = page.goto("/api/docs")
    assert "script-src 'self'; " in answer.headers["content-security-policy"]
    expect(page.get_by_role("heading", name="Vitrine API")).to_be_visible()  # the schema is drawn first
    page.locator(".opblock-summary").first.click()
    expect(page.locator(".opblock.is-open")).to_be_visible()


def test_the_policy_holds(page, transactional_db):
    page.expected = ["Content Security Policy", "Refused to", "violates", "404 (Not Found)"]
    page.goto("/")
    page.evaluate("""() => {
        const script = document.createElement("script");
        script.textContent = "window.ran = true";
        document.body.append(script);
        document.body.insertAdjacentHTML("beforeend", "<img src=/nowhere onerror='window.ran = true'>");
    }""")
    page.wait_for_timeout(300)
    assert page.evaluate("window.ran") is None
