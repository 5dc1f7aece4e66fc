# SPDX-License-Identifier: MIT
"""A page in a browser: Debian's chromium, driven by selenium; tests that import this are skipped where one is absent.

axe-core, if there ($AXE, or node_modules/axe-core/axe.min.js), looks for what a screen reader or a keyboard cannot use.
"""
import contextlib
import json
import os
import pathlib
import shutil
import subprocess

import pytest
from program import ROOT

webdriver = pytest.importorskip("selenium.webdriver", reason="python3-selenium is missing")
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402

if not (shutil.which("chromium") and shutil.which("chromedriver")):
    pytest.skip("chromium or chromium-driver is missing", allow_module_level=True)
if subprocess.run([ROOT / "scripts" / "python", "matplotlib,numpy,jinja2"], stderr=subprocess.DEVNULL).returncode:
    pytest.skip("no python3 here has matplotlib and jinja2", allow_module_level=True)

AXE = pathlib.Path(os.environ.get("AXE") or ROOT / "node_modules" / "axe-core" / "axe.min.js")
SIZES = ((1280, 800), (390, 844))


@contextlib.contextmanager
def chromium(profile):
    """A driver of one without a window; profile: an empty folder."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                 "--disable-background-networking", "--force-prefers-reduced-motion",
                 f"--user-data-dir={profile}"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(service=Service(shutil.which("chromedriver")), options=options)
    try:
        yield driver
    finally:
        driver.quit()


def look(driver, width, height, scheme="light", media=""):
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
        "media": media, "features": [{"name": "prefers-color-scheme", "value": scheme}]})


def find(driver, selector):
    return driver.find_elements(By.CSS_SELECTOR, selector)


def visible(driver, selector):
    return driver.execute_script(
        "return [...document.querySelectorAll(arguments[0])].filter(found => found.checkVisibility())", selector)


def contrast(driver, selector):
    """Of the first such element's text to the page."""
    return driver.execute_script("""
        const light = colour => colour.match(/[0-9.]+/g).slice(0, 3).map(part => part / 255)
            .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
            .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
        const style = getComputedStyle(document.querySelector(arguments[0]));
        const both = [arguments[0].includes("svg") ? style.fill : style.color,
                      getComputedStyle(document.body).backgroundColor].map(light).sort((a, b) => b - a);
        return (both[0] + 0.05) / (both[1] + 0.05);""", selector)


def until(browser, script, *arguments):
    for _ in range(200):
        if browser.execute_script(script, *arguments):
            return
    raise AssertionError(script)


def check_silent(driver, page):
    """That it was opened, asked nobody for anything, and complained of nothing."""
    asked = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    urls = {message["params"]["request"]["url"] for message in asked
            if message["method"] == "Network.requestWillBeSent"}
    assert {url for url in urls if not url.startswith("data:")} == {page}
    assert driver.get_log("browser") == []


def check_accessible(driver, *pictures):
    """That axe-core finds nothing, also in what is not on the screen; not within these."""
    driver.execute_script("""document.head.append(Object.assign(document.createElement("style"),
        {textContent: "* { content-visibility: visible !important; }"}))""")
    driver.execute_script(AXE.read_text(encoding="utf-8"))
    found = driver.execute_async_script(
        "axe.run({exclude: arguments[0]}, {resultTypes: ['violations']}).then(arguments[1])",
        [[selector] for selector in pictures])
    assert [(rule["id"], rule["nodes"][0]["target"], rule["nodes"][0]["failureSummary"])
            for rule in found["violations"]] == []
