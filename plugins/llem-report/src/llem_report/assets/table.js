// The table of experiments. Only the rows in view are elements; two empty rows above and below hold the place of the rest.

const SPARE_ROWS = 6;
const PRINTED_ROWS = 200;

class ExperimentTable {
  /** `columns`: {key, label, unit (null: no figure)}; `open(row)` is called where a row is chosen. */
  constructor(scroller, columns, open) {
    Object.assign(this, { scroller, columns, open, rows: [], shown: [], active: 0, first: -1, last: -1, all: false });
    this.sort = { key: null, direction: 1 };
    this.above = el("tr", { class: "space", "aria-hidden": "true" });
    this.below = el("tr", { class: "space", "aria-hidden": "true" });
    this.body = el("tbody");
    this.headings = new Map(columns.map((column) => [column.key, this.heading(column)]));
    this.table = el(
      "table",
      { role: "grid", tabindex: 0, "aria-label": "Experiments", "aria-colcount": columns.length },
      el("thead", {}, el("tr", { "aria-rowindex": 1 }, ...this.headings.values())),
      this.body,
    );
    this.body.append(this.above, this.below);
    scroller.append(this.table);
    scroller.addEventListener("scroll", () => this.draw(), { passive: true });
    addEventListener("resize", () => this.draw());
    this.table.addEventListener("keydown", (event) => this.key(event));
    this.table.addEventListener("focus", () => this.mark());
    this.body.addEventListener("click", (event) => {
      const place = event.target.closest("tr[data-place]")?.dataset.place;
      if (place !== undefined) this.choose(Number(place));
    });
  }

  heading(column) {
    const unit = column.unit ? el("span", { class: "unit" }, ` ${column.unit}`) : null;
    const button = el("button", { type: "button", onclick: () => this.sortBy(column.key) }, column.label, unit);
    return el("th", { scope: "col", class: isFigure(column) ? "number" : null, "aria-sort": "none" }, button);
  }

  /** Other rows, in their own order; the sort, the filter and the row in hand stay. */
  setRows(rows, keep) {
    this.rows = rows;
    this.filter(keep);
  }

  /** Shows the rows for which `keep(row)` holds. */
  filter(keep) {
    const marked = this.shown[this.active];
    this.keep = keep;
    this.shown = this.rows.filter(keep);
    const { key, direction } = this.sort;
    if (key !== null) this.shown.sort((a, b) => compare(a[key], b[key], direction));
    const place = this.shown.findIndex((row) => row.position === marked?.position);
    this.active = Math.max(0, place);
    this.table.setAttribute("aria-rowcount", this.shown.length + 1);
    this.draw(true);
  }

  /** Up, down, and back to the order of the study. */
  sortBy(key) {
    const same = this.sort.key === key;
    const direction = same && this.sort.direction === 1 ? -1 : 1;
    this.sort = same && this.sort.direction === -1 ? { key: null, direction: 1 } : { key, direction };
    for (const [name, heading] of this.headings) {
      const state = name !== this.sort.key ? "none" : this.sort.direction === 1 ? "ascending" : "descending";
      heading.setAttribute("aria-sort", state);
    }
    this.filter(this.keep);
  }

  /** Every row up to a number, as paper cannot scroll; `false` goes back to what is in view. */
  printAll(all) {
    this.all = all;
    this.draw(true);
    return Math.min(PRINTED_ROWS, this.shown.length);
  }

  rowHeight() {
    return parseFloat(getComputedStyle(this.scroller).getPropertyValue("--row")) || 32;
  }

  draw(anew = false) {
    const height = this.rowHeight();
    const top = Math.floor(this.scroller.scrollTop / height);
    const fit = Math.ceil(this.scroller.clientHeight / height);
    const first = this.all ? 0 : Math.max(0, Math.min(top, this.shown.length - fit) - SPARE_ROWS);
    const last = this.all ? Math.min(PRINTED_ROWS, this.shown.length) : Math.min(this.shown.length, first + fit + 2 * SPARE_ROWS);
    if (!anew && first === this.first && last === this.last) return;
    [this.first, this.last] = [first, last];
    const drawn = [];
    for (let place = first; place < last; place++) drawn.push(this.row(this.shown[place], place));
    this.above.style.height = `${this.all ? 0 : first * height}px`;
    this.below.style.height = `${this.all ? 0 : (this.shown.length - last) * height}px`;
    this.body.replaceChildren(this.above, ...drawn, this.below);
    if (Math.ceil(this.scroller.clientHeight / height) > fit) this.draw(true); // it grew with its first rows
    else this.mark();
  }

  row(row, place) {
    const cells = this.columns.map((column) => {
      const text = (column.estimated && row.estimated && row[column.key] !== null ? "~" : "") + shown(row[column.key], column);
      const long = !isFigure(column) && text.length > 24 ? text : null;
      return el("td", { class: isFigure(column) ? "number" : null, title: long }, text);
    });
    const attributes = {
      id: `row-${place}`,
      "data-place": place,
      "aria-rowindex": place + 2,
      "data-status": row.status,
      class: place % 2 ? "odd" : null,
    };
    return el("tr", attributes, ...cells);
  }

  /** Says, for eyes and for screen readers, which row the keys are at. */
  mark() {
    for (const row of this.body.querySelectorAll("tr.active")) row.classList.remove("active");
    const row = byId(`row-${this.active}`);
    row?.classList.add("active");
    if (row) this.table.setAttribute("aria-activedescendant", row.id);
    else this.table.removeAttribute("aria-activedescendant");
  }

  choose(place) {
    this.active = place;
    this.mark();
    this.open(this.shown[place]);
  }

  key(event) {
    if (event.target !== this.table || event.ctrlKey || event.altKey || event.metaKey || !this.shown.length) return;
    const page = Math.max(1, Math.floor(this.scroller.clientHeight / this.rowHeight()) - 2);
    const last = this.shown.length - 1;
    const to = {
      ArrowDown: this.active + 1,
      ArrowUp: this.active - 1,
      PageDown: this.active + page,
      PageUp: this.active - page,
      Home: 0,
      End: last,
    }[event.key];
    if (event.key === "Enter" || event.key === " ") this.choose(this.active);
    else if (to === undefined) return;
    else this.goTo(Math.max(0, Math.min(last, to)));
    event.preventDefault();
  }

  goTo(place) {
    this.active = place;
    const height = this.rowHeight();
    const head = this.table.tHead.offsetHeight;
    const room = this.scroller.clientHeight - head - height;
    if (place * height < this.scroller.scrollTop) this.scroller.scrollTop = place * height;
    else if (place * height > this.scroller.scrollTop + room) this.scroller.scrollTop = place * height - room;
    this.draw(true);
  }
}

/** Numbers by size, texts as people count (a2 before a10); what is missing comes last, whichever way it is sorted. */
function compare(a, b, direction) {
  const missing = (a === null || a === undefined) - (b === null || b === undefined);
  if (missing || a === null || a === undefined) return missing;
  if (typeof a === "number" && typeof b === "number") return direction * (a - b);
  return direction * COLLATOR.compare(shown(a), shown(b));
}

const COLLATOR = new Intl.Collator("en", { numeric: true });
