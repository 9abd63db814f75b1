// Elements and numbers. Text only ever enters as text: nothing here or elsewhere parses a string as HTML.

const byId = (id) => document.getElementById(id);

/** An element with attributes (`onclick` and its like are listeners) and children, of which strings become text. */
function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** A number with three significant digits at least: 0.0873, 12.3, 1,234. */
function amount(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e9 || size < 1e-6) return value.toExponential(2).replace("-", "\u2212");
  const places = Math.max(0, Math.min(9, 2 - Math.floor(Math.log10(size))));
  const text = value.toLocaleString("en", { minimumFractionDigits: places, maximumFractionDigits: places });
  return text.replace("-", "\u2212");
}

/** A figure of any column as people read it: three digits; whole numbers, texts and settings as they are written. */
function shown(value, column) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return column && column.unit !== null ? amount(value) : String(value);
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Rows out of the packed table: each column is one value for all, a dictionary with places in it, or a plain list. */
function unpack(table) {
  const readers = Object.entries(table.columns).map(([key, packed]) => {
    if ("same" in packed) return [key, () => packed.same];
    if ("of" in packed) return [key, (i) => packed.values[packed.of[i]]];
    return [key, (i) => packed.list[i]];
  });
  return Array.from({ length: table.n }, (_, i) => Object.fromEntries(readers.map(([key, read]) => [key, read(i)])));
}

/** Whether a column of the table is a figure, which has a unit, and no text or setting. */
const isFigure = (column) => column.unit !== null;

function count(n, noun) {
  return `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
}

/** A table of keys and values. */
function pairs(entries) {
  const rows = entries.map(([key, value]) => el("tr", {}, el("th", { scope: "row" }, key), el("td", {}, shown(value))));
  return el("table", { class: "pairs" }, el("tbody", {}, ...rows));
}

/** A table of texts under headings, which scrolls by itself where it is wider than the page. */
function rows({ headings, rows: texts }) {
  const head = el("tr", {}, ...headings.map((text) => el("th", { scope: "col" }, text)));
  const body = texts.map((row) => el("tr", {}, ...row.map((text) => el("td", {}, ...prose(text)))));
  return el("div", { class: "wide" }, el("table", { class: "rows" }, el("thead", {}, head), el("tbody", {}, ...body)));
}

/** Text, with what stands between backquotes as code: as `_prose` of page.py. */
function prose(text) {
  const parts = text.split("`");
  return parts.length % 2 ? parts.map((part, n) => (n % 2 ? el("code", {}, part) : part)) : [text];
}

/** Paragraphs, lists and tables out of the document's blocks. */
function blocks(found) {
  return found.map((block) => {
    if (typeof block === "string") return el("p", {}, ...prose(block));
    const body = block.rows ? rows(block) : block.list ? el("ul", {}, ...block.list.map((item) => el("li", {}, ...prose(item)))) : pairs(block.pairs);
    return block.summary ? el("details", {}, el("summary", {}, block.summary), body) : body;
  });
}
