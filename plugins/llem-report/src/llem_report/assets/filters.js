// What narrows the table: a text, and a choice for each column that has a few values.

const MOST_CHOICES = 20;
const MOST_SELECTS = 8;

class Filters {
  /** `changed()` is called after each change. Columns are the table's; a choice is made of those of texts and settings. */
  constructor(form, columns, changed) {
    Object.assign(this, { form, columns, changed, selects: new Map() });
    this.text = el("input", { type: "search", id: "filter-text", placeholder: "any words", oninput: changed });
    this.choices = el("span", { class: "choices" });
    const reset = el("button", { type: "reset" }, "Show all");
    form.append(el("label", { for: "filter-text" }, "Contains ", this.text), this.choices, reset);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(changed));
  }

  /** Offers what the rows hold; what is chosen stays chosen. */
  setRows(rows) {
    this.haystacks = new WeakMap();
    const offered = [];
    for (const column of this.columns) {
      if (isFigure(column) || ["position", "label"].includes(column.key) || offered.length === MOST_SELECTS) continue;
      const values = new Set();
      for (const row of rows) {
        values.add(shown(row[column.key]));
        if (values.size > MOST_CHOICES) break;
      }
      if (values.size > 1 && values.size <= MOST_CHOICES) offered.push([column, values]);
    }
    const now = JSON.stringify(offered.map(([column, values]) => [column.key, ...values]));
    if (now === this.offeredNow) return;
    this.offeredNow = now;
    const before = new Map([...this.selects].map(([key, select]) => [key, select.value]));
    this.selects = new Map(offered.map(([column, values]) => [column.key, this.select(column, values, before)]));
    this.choices.replaceChildren(
      ...offered.map(([column]) => el("label", {}, `${column.label} `, this.selects.get(column.key))),
    );
  }

  select(column, values, before) {
    const sorted = [...values].sort((a, b) => compare(a, b, 1));
    const options = sorted.map((value) => el("option", { value: `=${value}` }, value || "(none)"));
    const made = el("select", { name: column.key, onchange: this.changed }, el("option", { value: "" }, "all"), ...options);
    made.value = before.get(column.key) ?? "";
    if (made.selectedIndex < 0) made.value = "";
    return made;
  }

  /** A function of a row: whether it is shown. */
  keep() {
    const words = this.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const chosen = [...this.selects].filter(([, s]) => s.value !== "").map(([key, s]) => [key, s.value.slice(1)]);
    return (row) => {
      if (!chosen.every(([key, value]) => shown(row[key]) === value)) return false;
      if (!words.length) return true;
      const text = this.haystack(row);
      return words.every((word) => text.includes(word));
    };
  }

  haystack(row) {
    let text = this.haystacks.get(row);
    if (text === undefined) {
      const parts = this.columns.filter((column) => !isFigure(column)).map((column) => shown(row[column.key]));
      text = [...parts, row.label, ...(row.warnings ?? []).map((warning) => warning.code)].join(" ").toLowerCase();
      this.haystacks.set(row, text);
    }
    return text;
  }
}
