// One experiment in a dialog: what it was, what was measured, what to know about it.

function part(title, ...content) {
  return el("section", {}, el("h3", {}, title), ...content);
}

/** The figures of one run; beside them the means of its configuration where it ran more than once. */
function figuresTable(row, columns, own) {
  const number = (...text) => el("td", { class: "number" }, ...text);
  const heads = ["figure", "this run", "unit", ...(own.means ? [`mean of ${count(own.runs, "run")}`, "95 % interval"] : [])];
  const body = columns.filter(isFigure).map((column, place) => {
    const missing = row[column.key] === null || row[column.key] === undefined;
    const mark = column.estimated && row.estimated ? "~" : "";
    const mean = own.means?.[place];
    const cells = [
      number(missing ? "not measured" : mark + amount(row[column.key])),
      el("td", {}, missing ? "" : column.unit),
    ];
    if (own.means) {
      cells.push(number(mean ? mark + amount(mean[0]) : ""));
      cells.push(number(mean?.length === 3 ? `${amount(mean[1])} to ${amount(mean[2])}` : ""));
    }
    return el("tr", {}, el("th", { scope: "row" }, column.label), ...cells);
  });
  const head = el("tr", {}, ...heads.map((text) => el("th", { scope: "col" }, text)));
  return el("table", { class: "figures" }, el("thead", {}, head), el("tbody", {}, ...body));
}

class Details {
  constructor(dialog) {
    this.dialog = dialog;
    dialog.addEventListener("click", ({ target, clientX: x, clientY: y }) => {
      const box = dialog.getBoundingClientRect();
      const inside = x >= box.left && x <= box.right && y >= box.top && y <= box.bottom;
      if (target === dialog && !inside) dialog.close();
    });
  }

  /** The page's data, of which the details are taken. */
  setStudy(study) {
    this.study = { ...study, configurations: unpack(study.configurations) };
  }

  open(row) {
    const own = this.study.configurations[row.configuration] ?? {};
    const parts = [
      el("button", { type: "button", class: "close", "aria-label": "Close", onclick: () => this.dialog.close() }, "\u00d7"),
      el("h2", { id: "details-title" }, row.label || `Experiment ${row.position}`),
      el("p", { class: "facts" }, `Experiment ${row.position}, cycle ${row.cycle}: ${row.status}.`),
    ];
    if (row.failure) parts.push(el("p", { class: "note" }, row.failure));
    parts.push(...this.figures(row, own), ...this.warnings(row), ...this.configuration(row, own), ...this.origin(row));
    this.dialog.replaceChildren(...parts);
    this.dialog.showModal();
    this.dialog.scrollTop = 0;
  }

  figures(row, own) {
    const { columns } = this.study;
    if (row.status !== "done" || !columns.some(isFigure)) return [];
    const notes = [];
    if (own.runs === 1) notes.push("This configuration ran once: there is no interval.");
    if (row.estimated) notes.push("~ marks an estimate of energy, which is no measurement.");
    return [part("Figures", figuresTable(row, columns, own), ...notes.map((text) => el("p", { class: "hint" }, text)))];
  }

  warnings(row) {
    if (!row.warnings?.length) return [];
    const items = row.warnings.map(({ code, message }) => el("li", {}, el("code", {}, code), ` ${message}`));
    return [part("Warnings", el("ul", {}, ...items))];
  }

  configuration(row, own) {
    const varied = this.study.columns.filter((column) => column.key.startsWith("=") && row[column.key] !== null);
    const keys = Object.entries({ ...this.study.common[row.backend], ...own.config });
    const content = [];
    if (varied.length) content.push(pairs(varied.map((column) => [column.label, row[column.key]])));
    if (keys.length) {
      keys.sort(([a], [b]) => COLLATOR.compare(a, b));
      content.push(el("details", {}, el("summary", {}, `All ${count(keys.length, "key")}`), pairs(keys)));
    }
    return content.length ? [part("Configuration", ...content)] : [];
  }

  origin(row) {
    const environment = this.study.environments[row.environment];
    const where = [
      ["folder", row.directory],
      ["identity", row.config_hash],
    ];
    const found = environment ? [part("Environment", ...blocks(environment))] : [];
    return [...found, part("Where it lies", pairs(where.filter(([, value]) => value)))];
  }
}
