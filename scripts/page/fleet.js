// SPDX-License-Identifier: MIT
// The machines of a fleet: searched, sorted and listed; the table of claims by machines.  Rows are made when they are shown.
"use strict";

const LISTED = 50; // machines at first, and with each "more"
const COLUMNS = 8; // machines side by side

const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const element = id => document.getElementById(id);
const say = (template, words) => template.replace(/{(\w+)}/g, (_, name) => words[name]);
const {lang} = document.documentElement;
const {words, claims, settings, hosts, machines, texts} = JSON.parse(element("data").textContent);
const number = value => value.toLocaleString(lang);

function make(tag, attributes, ...children) {
	const made = Object.assign(document.createElement(tag), attributes);
	made.append(...children);
	return made;
}

const wordOf = Object.fromEntries(words.map(([letter, verdict, text]) => [letter, {verdict, text}]));
const word = letter => letter === "-" ? make("span", {className: "soft"}, texts.none) :
	make("span", {className: `word ${wordOf[letter].verdict}`}, wordOf[letter].text);

// --- machines --------------------------------------------------------------------------------------

const varying = settings.filter(setting => setting.texts.length > 1);
const judged = letter => "hrdn".includes(letter);

const fleet = machines.map(([name, host, verdicts, runs, utc, simulated], at) => ({
	name, host: hosts[host], verdicts, runs, utc, simulated, at,
	unlike: claims.flatMap(([, most, others], claim) =>
		others && judged(verdicts[claim]) && verdicts[claim] !== most ? [claim] : []),
	text: [name, hosts[host], ...varying.map(({name: setting, texts: values, of}) => `${setting}=${values[of[at]]}`)]
		.join("\n").toLowerCase(),
}));

let found = fleet; // those that are shown, in their order
let listed = LISTED;
let column = 0; // the first machine of the table
let only = null; // a claim and the letter of a verdict

const order = new Intl.Collator(lang, {numeric: true});

function sorted(some) {
	const by = element("sort").value;
	if (by === "unlike")
		return some.sort((a, b) => b.unlike.length - a.unlike.length || a.at - b.at);
	const setting = varying[by];
	const key = setting ? machine => setting.texts[setting.of[machine.at]] : machine => machine.name;
	return some.sort((a, b) => order.compare(key(a), key(b)) || a.at - b.at);
}

function filter() {
	const wanted = element("search").value.toLowerCase().split(/\s+/);
	found = sorted(fleet.filter(machine => wanted.every(text => machine.text.includes(text)) &&
		(!only || machine.verdicts[only.claim] === only.letter)));
	listed = LISTED;
	column = 0;
	element("shown").textContent = say(texts.shown, {count: number(found.length), all: number(fleet.length)});
	element("list").replaceChildren();
	list();
	tabulate();
}

// --- the list --------------------------------------------------------------------------------------

function counts({verdicts}) {
	return words.flatMap(([letter]) => {
		const count = verdicts.split(letter).length - 1;
		return count ? [word(letter), ` ${count} `] : [];
	});
}

function facts(machine) {
	const unlike = machine.unlike.map(claim => make("li", {}, word(machine.verdicts[claim]), ` ${claims[claim][0]} (`,
		say(texts.most, {verdict: wordOf[claims[claim][1]].text}), ")"));
	return [
		make("p", {className: "soft"}, say(texts.runs, {count: machine.runs, utc: machine.utc})),
		unlike.length ? make("ul", {}, ...unlike) : make("p", {}, texts.same),
		make("p", {}, texts.settings),
		make("dl", {}, ...settings.flatMap(({name, texts: values, of}) =>
			[make("dt", {}, make("code", {}, name)), make("dd", {}, values[of[machine.at]])]))];
}

function item(machine) {
	const details = make("details", {}, make("summary", {},
		make("strong", {}, machine.name), machine.simulated ? ` ${texts.simulated}` : "",
		` ${machine.host}. `, ...counts(machine),
		machine.unlike.length ? `(${say(texts.unlike, {count: machine.unlike.length})})` : ""));
	details.addEventListener("toggle", () => details.append(...facts(machine)), {once: true});
	return make("li", {}, details);
}

function list() {
	const shown = element("list").childElementCount;
	element("list").append(...found.slice(shown, listed).map(item));
	const rest = Math.min(LISTED, found.length - listed);
	element("more").hidden = rest <= 0;
	element("more").textContent = say(texts.list, {count: number(rest)});
}

element("more").addEventListener("click", () => {
	const shown = element("list").childElementCount;
	listed += LISTED;
	list();
	element("list").children[shown].querySelector("summary").focus();
});

// --- claims by machines ----------------------------------------------------------------------------

function tabulate() {
	const some = found.slice(column, column + COLUMNS);
	const [head, body] = ["thead", "tbody"].map(tag => document.querySelector(`#matrix ${tag}`));
	head.replaceChildren(make("tr", {}, make("td"), ...some.map(machine => make("th", {scope: "col"}, machine.name))));
	body.replaceChildren(...claims.flatMap(([text, , others], claim) =>
		others || element("agreed").checked ? [make("tr", {}, make("th", {scope: "row"}, text),
			...some.map(machine => make("td", {}, word(machine.verdicts[claim]))))] : []));
	element("previous").disabled = column === 0;
	element("next").disabled = column + COLUMNS >= found.length;
	element("columns").textContent = say(texts.columns, {
		first: number(Math.min(column + 1, found.length)), last: number(column + some.length), all: number(found.length)});
}

for (const [id, step] of [["previous", -COLUMNS], ["next", COLUMNS]])
	element(id).addEventListener("click", () => { column += step; tabulate(); });
element("agreed").addEventListener("change", tabulate);

// --- search, order, machines with one verdict ------------------------------------------------------

varying.forEach(({name}, at) => element("sort").append(make("option", {value: at}, name)));
element("search").addEventListener("input", filter);
element("sort").addEventListener("change", filter);

function choose(chosen) {
	only = chosen;
	element("chosen").hidden = !only;
	if (only)
		element("chosen").firstElementChild.textContent = say(texts.said,
			{verdict: wordOf[only.letter].text, claim: claims[only.claim][0]});
	filter();
}

for (const button of all(".only"))
	button.addEventListener("click", () => {
		element("search").value = "";
		choose({claim: Number(button.dataset.claim.split("-")[1]) - 1, letter: button.value});
		element("machines").focus();
		element("machines").scrollIntoView();
	});
element("chosen").querySelector("button").addEventListener("click", () => { choose(null); element("search").focus(); });

for (const control of all(".control"))
	control.hidden = false;
filter();
