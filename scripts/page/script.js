// SPDX-License-Identifier: MIT
// What makes the page handier: search, filters, sorting, values on hover, large charts, copied commands, predictions.
"use strict";

const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const say = (template, words) => template.replace(/{(\w+)}/g, (_, name) => words[name]);
const {lang} = document.documentElement;

for (const control of all(".control"))
	control.hidden = false;

// --- the table of all claims -----------------------------------------------------------------------

const table = document.getElementById("all");
const search = document.getElementById("search");
const rows = all("tbody tr", table);
const wanted = {group: "", verdict: ""};

function filter() {
	const words = search.value.toLowerCase().split(/\s+/);
	let count = 0;
	for (const row of rows) {
		const text = row.textContent.toLowerCase();
		row.hidden = !(words.every(word => text.includes(word)) && Object.entries(wanted).every(
			([name, value]) => !value || row.dataset[name].split(" ").includes(value)));
		count += !row.hidden;
	}
	const shown = document.getElementById("shown");
	shown.textContent = say(shown.dataset.text, {count, all: rows.length});
}

function choose(button) {
	const buttons = button.closest("[data-filter]");
	wanted[buttons.dataset.filter] = button.value;
	for (const other of all("button", buttons))
		other.setAttribute("aria-pressed", other === button);
	filter();
}

function sort(head) {
	const column = head.cellIndex;
	const down = head.getAttribute("aria-sort") === "ascending";
	for (const other of all("thead th", table))
		other.removeAttribute("aria-sort");
	head.setAttribute("aria-sort", down ? "descending" : "ascending");
	rows.sort((a, b) => (down ? -1 : 1) * a.cells[column].textContent.trim().localeCompare(
		b.cells[column].textContent.trim(), lang, {numeric: true}));
	table.tBodies[0].append(...rows);
}

for (const head of all("thead th", table)) {
	const button = document.createElement("button");
	button.type = "button";
	button.append(...head.childNodes);
	button.addEventListener("click", () => sort(head));
	head.append(button);
}
for (const button of all("[data-filter] button"))
	button.addEventListener("click", () => choose(button));
search.addEventListener("input", filter);
filter();

// --- values on hover -------------------------------------------------------------------------------

const readout = document.createElement("div");
readout.className = "readout";
readout.setAttribute("aria-hidden", "true");

// The value at a part (0 to 1) of an axis: the name beside it, or a number in the unit of the tick below it.
function valueAt({limits: [low, high], log, names, numbers}, part) {
	const value = log ? low * (high / low) ** part : low + (high - low) * part;
	const apart = log ? at => Math.abs(Math.log(at / value)) : at => Math.abs(at - value);
	if (names)
		return names.reduce((best, name) => apart(name[0]) < apart(best[0]) ? name : best)[1];
	const below = numbers.filter(([at]) => Math.abs(at) <= Math.abs(value));
	const [at, number, unit] = below.length ? below.reduce((a, b) => Math.abs(b[0]) > Math.abs(a[0]) ? b : a) : numbers[0];
	return `${(value * number / at).toLocaleString(lang, {maximumSignificantDigits: 3})} ${unit}`;
}

function said(panel, point) {
	const [left, top, width, height] = ["x", "y", "width", "height"].map(name => Number(panel.getAttribute(name)));
	const parts = {x: (point.x - left) / width, y: 1 - (point.y - top) / height};
	if (Object.values(parts).some(part => part < 0 || part > 1))
		return [];
	return Object.entries(parts).filter(([name]) => panel.dataset[name]).map(([name, part]) => {
		const scale = JSON.parse(panel.dataset[name]);
		return scale.names ? valueAt(scale, part) : `${scale.label}: ${valueAt(scale, part)}`;
	});
}

function hover(svg, event) {
	const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
	const lines = new Set(all(".panel", svg).flatMap(panel => said(panel, point)));
	if (!lines.size)
		return readout.remove();
	readout.replaceChildren(...[...lines].map(line => Object.assign(document.createElement("div"), {textContent: line})));
	svg.parentElement.append(readout);
	const room = document.documentElement.clientWidth - readout.offsetWidth - 4;
	readout.style.left = `${Math.min(event.clientX + 12, room)}px`;
	readout.style.top = `${Math.max(event.clientY - readout.offsetHeight - 12, 4)}px`;
}

for (const svg of all("svg.chart")) {
	for (const kind of ["pointermove", "pointerdown"])
		svg.addEventListener(kind, event => hover(svg, event));
	svg.addEventListener("pointerleave", () => readout.remove());
}

// --- a chart enlarged ------------------------------------------------------------------------------

const dialog = document.getElementById("large");
let home = null; // where the chart in the dialog belongs

function enlarge(button) {
	home = button.parentElement.querySelector(".scroll");
	home.style.minHeight = `${home.offsetHeight}px`; // the page behind stays as it is
	dialog.querySelector(".scroll").append(home.querySelector("svg"));
	dialog.showModal();
}

for (const button of all(".enlarge"))
	button.addEventListener("click", () => enlarge(button));
dialog.addEventListener("close", () => {
	home.append(dialog.querySelector("svg"));
	home.style.minHeight = "";
});

// --- commands --------------------------------------------------------------------------------------

async function copy(button, word) {
	const code = button.parentElement.querySelector("code");
	const label = button.firstChild;
	try {
		await navigator.clipboard.writeText(code.textContent);
		label.data = button.dataset.copied;
	} catch { // no permission: it is selected, to be copied by hand
		getSelection().selectAllChildren(code);
		label.data = button.dataset.selected;
	}
	setTimeout(() => { label.data = word; }, 2000);
}

for (const button of all(".copy")) {
	button.setAttribute("aria-live", "polite");
	const word = button.firstChild.data;
	button.addEventListener("click", () => copy(button, word));
}

// --- predictions -----------------------------------------------------------------------------------
// What was found is hidden (.asked) until the reader has said what to expect of that claim; the reasons are, of all.

const score = {right: 0, judged: 0};

function copyOf(template) {
	return document.getElementById(template).content.firstElementChild.cloneNode(true);
}

// Shows what was found on a claim, or on all of an experiment.
function reveal(asked) {
	for (const element of [asked, ...all(".asked", asked)])
		element.classList.remove("asked");
	for (const question of all(".prediction", asked))
		question.remove();
}

// The first claim in there has the focus: what had it is gone.
function goTo(asked) {
	const term = asked.querySelector("dt");
	term.tabIndex = -1;
	term.focus();
}

function predict(claim, expected) {
	const {verdict} = claim.dataset;
	const judged = all("button", claim).some(button => button.value === verdict);
	const right = expected.value === verdict;
	score.judged += judged;
	score.right += right;
	const texts = claim.querySelector("dd.prediction").dataset;
	claim.querySelector(".word").after(say(right ? texts.right : judged ? texts.wrong : texts.uncounted,
		{answer: expected.textContent}));
	reveal(claim);
	const details = claim.closest("details");
	if (!details.querySelector("dl .asked"))
		reveal(details);
	goTo(claim);
	const shown = document.getElementById("score");
	shown.textContent = say(shown.dataset.text, {right: score.right, count: score.judged});
}

function ask(details) {
	for (const claim of all("[data-verdict]", details)) {
		const question = copyOf("prediction");
		const text = claim.querySelector("dt").firstChild.data;
		const buttons = question.firstElementChild;
		buttons.setAttribute("aria-label", say(buttons.getAttribute("aria-label"), {claim: text}));
		for (const button of all("button", question))
			button.addEventListener("click", () => predict(claim, button));
		claim.querySelector("dt").after(question);
		claim.classList.add("asked");
	}
	details.querySelector("summary").after(copyOf("meanings"));
	const resign = copyOf("resign");
	resign.firstElementChild.addEventListener("click", () => { reveal(details); goTo(details); });
	details.append(resign);
	details.classList.add("asked");
}

for (const details of all(".findings"))
	ask(details);

// --- print -----------------------------------------------------------------------------------------

let opened = [];
addEventListener("beforeprint", () => {
	opened = all("details:not([open])");
	for (const details of opened)
		details.open = true;
});
addEventListener("afterprint", () => {
	for (const details of opened)
		details.open = false;
});
