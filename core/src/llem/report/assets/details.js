// One experiment in a dialog: what it was, what was measured, what to know about it.

function section(title, ...content) {
  return el("section", {}, el("h3", {}, title), ...content);
}

/** Keys and values of a nested document, `a.b.c` each; lists stay whole. */
function flat(value, prefix = "") {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return [[prefix, value]];
  return Object.entries(value).flatMap(([key, inner]) => flat(inner, prefix ? `${prefix}.${key}` : key));
}

function pairs(entries) {
  const rows = entries.map(([key, value]) => el("tr", {}, el("th", { scope: "row" }, key), el("td", {}, written(value))));
  return el("table", { class: "pairs" }, el("tbody", {}, ...rows));
}

function written(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function figureRows(row, columns, over) {
  return columns
    .filter((column) => column.unit !== null)
    .map((column) => {
      const value = row[column.key];
      const mark = column.estimated && row.estimated ? "~" : "";
      const mean = over?.[column.key];
      return el(
        "tr",
        {},
        el("th", { scope: "row" }, column.label),
        el("td", { class: "number" }, value === null || value === undefined ? "not measured" : mark + amount(value)),
        el("td", {}, value === null || value === undefined ? "" : column.unit),
        el("td", { class: "number" }, mean ? mark + amount(mean.mean) : ""),
        el("td", { class: "number" }, mean?.low !== undefined && mean?.low !== null ? `${amount(mean.low)} to ${amount(mean.high)}` : ""),
      );
    });
}

class Details {
  /** `study`: the page's data: columns, configurations (what each has beside the common), environments. */
  constructor(dialog) {
    this.dialog = dialog;
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) dialog.close(); // beside it
    });
  }

  setStudy(study) {
    this.study = study;
  }

  open(row) {
    const { columns, configurations, common } = this.study;
    const own = configurations[row.configuration] ?? {};
    const close = el("button", { type: "button", class: "close", "aria-label": "Close", onclick: () => this.dialog.close() }, "\u00d7");
    const head = ["this run", "unit", `mean of ${count(own.runs ?? 1, "run")}`, "95 % interval"];
    const figures = el(
      "table",
      { class: "figures" },
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "figure"), ...head.map((h) => el("th", { scope: "col" }, h)))),
      el("tbody", {}, ...figureRows(row, columns, own.means)),
    );
    const warnings = (row.warnings ?? []).map((w) => el("li", {}, typeof w === "string" ? w : `${w.code}: ${w.message}`));
    const text = [own.no_interval, row.estimated ? "~ marks an estimate of energy, which is no measurement." : null];
    const parts = [
      close,
      el("h2", { id: "details-title" }, row.label || `Experiment ${row.position}`),
      el("p", { class: "facts" }, `Experiment ${row.position}, cycle ${row.cycle}: ${row.status}.`),
      row.failure ? el("p", { class: "note" }, row.failure) : "",
      section("Figures", figures, ...text.filter(Boolean).map((t) => el("p", { class: "hint" }, t))),
      warnings.length ? section("Warnings", el("ul", {}, ...warnings)) : "",
      section("Configuration", el("h4", {}, "Varied in this study"), pairs(flat(row.settings ?? {})), ...this.rest(own, common)),
      section("Environment", pairs(flat(this.study.environments[row.environment] ?? {}))),
      section("Where it lies", el("p", {}, el("code", {}, row.directory ?? "")), row.config_hash ? el("p", { class: "hint" }, `Identity ${row.config_hash}`) : null),
    ];
    this.dialog.replaceChildren(...parts);
    this.dialog.showModal();
    this.dialog.scrollTop = 0;
  }

  rest(own, common) {
    const others = [...flat(own.config ?? {}), ...flat(common ?? {})].filter(([, value]) => value !== null);
    if (!others.length) return [];
    const body = pairs(others.sort(([a], [b]) => COLLATOR.compare(a, b)));
    return [el("details", {}, el("summary", {}, `All ${others.length} keys that have a value`), body)];
  }
}
