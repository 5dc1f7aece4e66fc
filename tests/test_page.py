# SPDX-License-Identifier: MIT
"""The page of scripts/report.py in a browser (tests/browser.py)."""
import re
import subprocess

import pytest
from browser import AXE, SIZES, By, check_accessible, check_silent, contrast, find, look, until, visible
from program import ROOT
from selenium.webdriver.common.keys import Keys

REFERENCE = ROOT / "results" / "reference"
SHOWN = ("counter", "zero", "stall", "backlog")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of some results: one has another verdict than the reference, one another number."""
    folder = tmp_path_factory.mktemp("page")
    paths = {name: REFERENCE / f"{name}.jsonl" for name in SHOWN}
    for name, pattern, changed in (("zero", '"verdict":"refuted"', '"verdict":"holds"'),
                                   ("counter", '"wrong":{[^}]*}', '"wrong":{"k":1,"n":50,"low":0,"high":0.1}')):
        text, count = re.subn(pattern, changed, paths[name].read_text(encoding="utf-8"))
        assert count == 1
        paths[name] = folder / f"{name}.jsonl"
        paths[name].write_text(text.replace('"cpus_online":2', '"cpus_online":3'), encoding="utf-8")
    subprocess.run([ROOT / "scripts" / "report.py", "--out", folder, *paths.values()],
                   check=True, stdout=subprocess.DEVNULL)
    return (folder / "report.html").as_uri()


def test_nothing_is_asked_for_and_nothing_complains(browser, page):
    check_silent(browser, page)


def test_the_first_screen(browser):
    assert len(find(browser, "h1")) == 1
    cards = find(browser, ".cards > li")
    assert len(cards) == 5
    for card in cards:
        assert card.rect["y"] < 800 and card.find_element(By.CSS_SELECTOR, "svg").rect["height"] > 50
        target = card.find_element(By.CSS_SELECTOR, "a").get_attribute("href").partition("#")[2]
        assert find(browser, f"section#{target}")
    assert browser.execute_script("return scrollY") == 0
    target = cards[0].find_element(By.CSS_SELECTOR, "a")
    name = target.get_attribute("href").partition("#")[2]
    target.click()
    until(browser, """const top = document.querySelector(`#${arguments[0]} h3`).getBoundingClientRect().top;
        return scrollY > 0 && top >= 0 && top < 100;""", name)


def test_search_filter_and_sort(browser):
    rows = len(visible(browser, "#all tbody tr"))
    search, = find(browser, "#search")
    search.send_keys("COUNTER mutex")
    assert 0 < len(visible(browser, "#all tbody tr")) < rows
    search.send_keys(Keys.CONTROL, "a", Keys.DELETE)
    for selector, kept in (("[data-filter=group] [value=tcp]", "[data-group=tcp]"),
                           ("[data-filter=verdict] [value=refuted]", "[data-group=tcp][data-verdict~=refuted]")):
        button, = find(browser, selector)
        button.click()
        assert button.get_attribute("aria-pressed") == "true"
        assert visible(browser, "#all tbody tr") == find(browser, f"#all tr{kept}")
    for button in find(browser, "[data-filter] [value='']"):
        button.click()
    assert len(visible(browser, "#all tbody tr")) == rows == len(find(browser, "#all tbody tr"))
    head = find(browser, "#all thead th")[0]
    for way, reverse in (("ascending", False), ("descending", True)):
        head.find_element(By.TAG_NAME, "button").click()
        assert head.get_attribute("aria-sort") == way
        texts = browser.execute_script(
            "return [...document.querySelectorAll('#all tbody tr')].map(row => row.cells[0].textContent.trim())")
        assert texts == sorted(texts, key=str.lower, reverse=reverse) or texts == browser.execute_script(
            "return arguments[0].sort((a, b) => arguments[1] * a.localeCompare(b, 'en', {numeric: true}))",
            texts, -1 if reverse else 1)


def test_what_differs_from_the_reference(browser):
    find(browser, "[data-filter=verdict] [value=differs]")[0].click()
    row, = visible(browser, "#all tbody tr")
    assert "race/zero" in row.text and "differs: refuted" in row.text
    find(browser, "[data-filter=verdict] [value=number-differs]")[0].click()
    row, = visible(browser, "#all tbody tr")
    assert "race/counter" in row.text and "number differs" in row.text
    for name, told in (("zero", "verdict holds refuted: "), ("counter", "wrong 1 of 50 50 of 50")):
        details, = (found for found in find(browser, f"#race-{name} details") if found.text.startswith("Elsewhere"))
        assert details.text.count("\n") == 0
        details.find_element(By.TAG_NAME, "summary").click()
        assert told in details.text and "cpus_online: 3 here, 2 there" in details.text


def test_predictions(browser):
    """What was found on a claim is shown once the reader has said what to expect of it; the reasons after the last."""
    taught = len(find(browser, "#race-counter dt"))
    score, = find(browser, "#score")
    assert not visible(browser, "#race-counter .word")
    find(browser, "#race-counter summary")[0].send_keys(Keys.ENTER)
    assert not visible(browser, "#race-counter .answer") and not score.text
    for count, (verdict, expected, told, so_far) in enumerate((
            ("holds", "holds", "holds, as you expected", "1 of 1 as expected"),
            ("holds", "not-seen", "holds; you expected not seen", "1 of 2 as expected"),
            ("not-seen", "not-seen", "not seen, as you expected", "2 of 3 as expected")), 1):
        claim = find(browser, "#race-counter dl > div")[count - 1]
        assert claim.get_attribute("data-verdict") == verdict
        name = claim.find_element(By.CSS_SELECTOR, "[role=group]").get_attribute("aria-label")
        assert claim.find_element(By.TAG_NAME, "dt").text in name
        claim.find_element(By.CSS_SELECTOR, f"[value={expected}]").send_keys(Keys.ENTER)
        assert told in claim.text and score.text == so_far and not claim.find_elements(By.TAG_NAME, "button")
        assert browser.switch_to.active_element == claim.find_element(By.TAG_NAME, "dt")
        assert len(visible(browser, "#race-counter dd.answer")) == count
        assert bool(visible(browser, "#race-counter div.answer p")) == (count == taught)
    assert not find(browser, "#race-counter .prediction") and not visible(browser, "#race-counter .asked")


def test_answers_without_a_prediction(browser):
    find(browser, "#tcp-backlog summary")[0].click()
    assert visible(browser, "#tcp-backlog .prediction") and not visible(browser, "#tcp-backlog .answer")
    find(browser, "#tcp-backlog p.prediction button")[0].click()
    assert visible(browser, "#tcp-backlog .answer") == find(browser, "#tcp-backlog .answer")
    assert not find(browser, "#tcp-backlog .prediction") and not find(browser, "#score")[0].text
    assert browser.switch_to.active_element == find(browser, "#tcp-backlog dt")[0]


def hover(browser, chart, panel, across, down):
    """What is read at a part of a panel."""
    box = browser.execute_script("""
        arguments[0].scrollIntoView({block: "center"});
        const box = arguments[0].querySelectorAll(".panel")[arguments[1]].getBoundingClientRect();
        return [box.x, box.y, box.width, box.height];""", chart, panel)
    browser.execute_cdp_cmd("Input.dispatchMouseEvent", {
        "type": "mouseMoved", "x": box[0] + across * box[2], "y": box[1] + down * box[3]})
    return [line.text for element in visible(browser, ".readout")
            for line in element.find_elements(By.TAG_NAME, "div")]


def test_values_on_hover(browser):
    chart = find(browser, "#race-counter svg.chart")[0]
    lost, variant = hover(browser, chart, 0, 0.5, 0.1)  # from -3 to 103, five rows
    assert lost == "lost updates (% of all): 50" and variant.startswith("split")
    assert hover(browser, chart, 0, 0.5, 0.9)[1].startswith("atomic")
    chart = find(browser, "#buffers-stall svg.chart")[0]
    time, length = hover(browser, chart, 2, 0.5, 0.99)  # logarithmic, from 0.5 us
    assert time.startswith("time since the trial began (") and "\u00b5s" in length
    assert hover(browser, chart, 3, 0.5, 0.5)[1].startswith("send queue (KiB): ")  # the label of an axis that it shares
    browser.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": 1, "y": 1})
    assert not visible(browser, ".readout")


def test_a_command_is_copied(browser):
    browser.execute_cdp_cmd("Browser.grantPermissions", {
        "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]})
    button = find(browser, "#race-counter .copy")[0]
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()
    until(browser, "return arguments[0].textContent.startsWith('copied')", button)
    assert browser.execute_async_script("navigator.clipboard.readText().then(arguments[0])") == find(
        browser, "#race-counter .again code")[0].text


def test_a_chart_enlarged(browser):
    chart = find(browser, "#tcp-backlog svg.chart")[0]
    before = chart.rect
    button = find(browser, "#tcp-backlog .enlarge")[0]
    button.send_keys(Keys.ENTER)
    dialog, = visible(browser, "dialog")
    assert chart.rect["width"] > before["width"] and chart in find(browser, "dialog svg.chart")
    assert hover(browser, chart, 0, 0.5, 0.5)
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    until(browser, "return !arguments[0].open", dialog)
    assert chart.rect["width"] == before["width"] and chart in find(browser, "#tcp-backlog figure svg.chart")
    assert browser.switch_to.active_element == button


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width, height", SIZES)
def test_looks(width, height, scheme, browser):
    look(browser, width, height, scheme)
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    for selector in ("body", ".soft", "a", *(f".word.{word}" for word in ("holds", "refuted", "not-seen")),
                     "#race-counter svg.chart text"):
        assert contrast(browser, selector) >= 4.5, selector
    dark = browser.execute_script("return getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")
    if AXE.is_file() and (scheme == "dark") == (width == 390):  # each once: it takes seconds
        for summary in find(browser, "#race-zero summary"):
            summary.click()
        find(browser, "#race-counter summary")[0].click()
        find(browser, "#race-counter .prediction button")[0].click()
        check_accessible(browser, ".drawing")  # a chart's inside is a picture


def test_by_keyboard(browser):
    find(browser, "body")[0].send_keys(Keys.TAB)
    skip = browser.switch_to.active_element
    assert skip.get_attribute("class") == "skip" and skip.is_displayed()
    skip.send_keys(Keys.ENTER)
    browser.switch_to.active_element.send_keys(Keys.TAB)
    assert browser.switch_to.active_element.get_attribute("id") == "search"
    assert browser.execute_script("return getComputedStyle(document.activeElement).outlineStyle") != "none"


def test_in_print(browser):
    look(browser, 800, 1100, media="print")
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert not visible(browser, ".control, .prediction") and not visible(browser, "details:not([open])")
    assert visible(browser, ".answer") == find(browser, ".answer") and visible(browser, "#race-counter .data td")
    browser.execute_script("dispatchEvent(new Event('afterprint'))")
    assert not find(browser, "details[open]")


def test_without_javascript(browser, page):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(page)
        assert not visible(browser, ".control") and not find(browser, "thead button")
        assert visible(browser, "#all tbody tr") == find(browser, "#all tbody tr")
        assert len({chart.find_element(By.XPATH, "ancestor::section").get_attribute("id")
                    for chart in visible(browser, "svg.chart")}) == len(SHOWN)
        find(browser, "#race-counter summary")[0].click()
        assert visible(browser, "#race-counter .answer") == find(browser, "#race-counter .answer")
        assert not find(browser, ".prediction")
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
