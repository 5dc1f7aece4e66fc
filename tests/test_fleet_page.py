# SPDX-License-Identifier: MIT
"""The page of scripts/fleet.py in a browser (tests/browser.py), of a hundred simulated machines."""
import subprocess

import pytest
import simulated
from browser import AXE, SIZES, check_accessible, check_silent, contrast, find, look, until, visible
from program import ROOT
from selenium.webdriver.common.keys import Keys

MACHINES, LISTED, COLUMNS = 100, 50, 8  # in all, and of these at first


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fleet")
    simulated.fleet(folder / "rows", MACHINES, names=("counter", "backlog", "visible", "options"))
    subprocess.run([ROOT / "scripts" / "fleet.py", folder / "rows", "-o", folder / "fleet.html"], check=True,
                   stdout=subprocess.DEVNULL)
    return (folder / "fleet.html").as_uri()


def shown(browser):
    return find(browser, "#shown")[0].text


def texts(browser, selector):
    """Also of what is not on the screen."""
    return browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map(found => found.textContent)", selector)


def listed(browser):
    return texts(browser, "#list strong")


def columns(browser):
    return texts(browser, "#matrix thead th")


def numbered(first, last):
    return [f"machine-{number:04}" for number in range(first, last + 1)]


def test_nothing_is_asked_for_and_nothing_complains(browser, page):
    check_silent(browser, page)


def test_search_and_sort(browser):
    assert shown(browser) == f"{MACHINES} of {MACHINES} machines" and len(listed(browser)) == LISTED
    search, = find(browser, "#search")
    search.send_keys("MACHINE-007")
    assert listed(browser) == numbered(70, 79) and shown(browser).startswith("10 of ")
    assert columns(browser) == listed(browser)[:COLUMNS]
    search.send_keys(Keys.CONTROL, "a")
    search.send_keys("tcp_congestion_control=bbr kernel=6.1")
    assert 0 < int(shown(browser).split()[0]) < MACHINES / 2
    search.send_keys(Keys.CONTROL, "a")
    search.send_keys("no such machine")
    assert listed(browser) == [] and columns(browser) == []
    search.send_keys(Keys.CONTROL, "a", Keys.DELETE)
    sort, = find(browser, "#sort")
    sort.send_keys("cpus_online")
    until(browser, "return document.querySelector('#list summary').textContent.includes(' 2 CPUs')")
    assert len(listed(browser)) == LISTED


def test_more_machines(browser):
    more, = find(browser, "#more")
    assert more.text == f"{MACHINES - LISTED} more"
    more.send_keys(Keys.ENTER)
    assert listed(browser) == numbered(1, MACHINES) and not visible(browser, "#more")
    assert f"machine-{LISTED + 1:04}" in browser.switch_to.active_element.text


def test_a_machine(browser):
    summary = find(browser, "#list summary")[0]
    summary.send_keys(Keys.ENTER)
    until(browser, "return document.querySelector('#list dl')")
    assert "SIMULATED" in summary.text
    assert "net.ipv4.tcp_congestion_control" in find(browser, "#list li")[0].text
    summary.send_keys(Keys.ENTER)
    summary.send_keys(Keys.ENTER)
    assert len(find(browser, "#list dl")) == 1


def test_machines_with_one_verdict(browser):
    button = find(browser, ".claim .only")[0]
    claim = button.find_element("xpath", "ancestor::section").find_element("css selector", "h3").text
    button.send_keys(Keys.ENTER)
    count = int(shown(browser).split()[0])
    assert 0 < count < MACHINES and claim in find(browser, "#chosen")[0].text
    words = browser.execute_script("""return [...document.querySelectorAll("#matrix tbody tr")].find(
        row => row.cells[0].textContent === arguments[0]).cells[1].textContent""", claim)
    assert words in button.text
    find(browser, "#chosen button")[0].send_keys(Keys.ENTER)
    assert shown(browser).startswith(f"{MACHINES} of") and not visible(browser, "#chosen")


def test_claims_by_machines(browser):
    assert columns(browser) == numbered(1, COLUMNS)
    rows = len(find(browser, "#matrix tbody tr"))
    assert rows == len(find(browser, ".claim"))
    find(browser, "#next")[0].send_keys(Keys.ENTER)
    assert columns(browser)[0] == f"machine-{COLUMNS + 1:04}"
    find(browser, "#agreed")[0].send_keys(Keys.SPACE)
    assert len(find(browser, "#matrix tbody tr")) == len(find(browser, "#all tbody tr")) > rows


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width, height", SIZES)
def test_looks(width, height, scheme, browser):
    look(browser, width, height, scheme)
    for details in find(browser, ".claim details"):
        browser.execute_script("arguments[0].open = true", details)
    find(browser, "#list summary")[0].send_keys(Keys.ENTER)
    until(browser, "return document.querySelector('#list dl')")
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    for selector in ("body", ".soft", "a", ".word.holds", ".word.refuted", ".word.not-seen", "svg.strip text"):
        assert contrast(browser, selector) >= 4.5, selector
    if AXE.is_file() and (scheme == "dark") == (width == 390):  # each once: it takes seconds
        check_accessible(browser)


def test_without_javascript(browser, page):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(page)
        assert not visible(browser, ".control") and visible(browser, "noscript p")
        assert visible(browser, "#all tbody tr") == find(browser, "#all tbody tr")
        assert find(browser, ".claim")
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
