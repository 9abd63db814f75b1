// Puts the page together, and keeps it up to date where it is served of a study that runs.

const POLL_MS = 2000;

class Page {
  constructor() {
    this.figures = new Figures();
    this.details = new Details(byId("details"));
  }

  async show(study) {
    this.study = study;
    const rows = unpack(study.table);
    this.details.setStudy(study);
    this.columns(study.columns);
    this.filters.setRows(rows);
    this.table.setRows(rows, this.filters.keep());
    await this.figures.draw(study.figures);
    this.tell();
  }

  /** A running study gains columns with its first results: the table is made anew then. */
  columns(columns) {
    const now = JSON.stringify(columns);
    if (now === this.columnsNow) return;
    this.columnsNow = now;
    byId("scroller").replaceChildren();
    byId("filters").replaceChildren();
    this.table = new ExperimentTable(byId("scroller"), columns, (row) => this.details.open(row));
    this.filters = new Filters(byId("filters"), columns, () => {
      this.table.filter(this.filters.keep());
      this.tell();
    });
  }

  /** What follows from the filter beside the table itself. */
  tell() {
    const { shown: some, rows } = this.table;
    this.figures.narrow(rows, some);
    const all = count(rows.length, "experiment");
    byId("shown").textContent = some.length === rows.length ? `${all}.` : `${some.length.toLocaleString("en")} of ${all}.`;
  }

  print(asked) {
    const on = asked || matchMedia("print").matches;
    const printed = this.table.printAll(on);
    const of = this.table.shown.length;
    byId("print-note").textContent = on && printed < of ? `The first ${printed} of ${of.toLocaleString("en")} experiments.` : "";
  }

  /** The sentences of the page, which are in its HTML already where it is opened as a file. */
  sentences({ state, fragments }) {
    byId("state").textContent = state;
    for (const [id, lines] of Object.entries(fragments)) byId(id).replaceChildren(...blocks(lines));
  }
}

/** Asks for the study's data again and again; an answer that is not new costs nothing. */
async function follow(page) {
  let tag = null;
  for (;;) {
    const answer = await ask(tag);
    if (answer === null) byId("state").textContent = "llem report no longer answers: this page shows what it last saw.";
    else if (answer.ok) {
      const study = await answer.json();
      page.sentences(study);
      await page.show(study);
      if (study.finished) return;
    } else if (answer.status !== 304) byId("state").textContent = await answer.text();
    tag = answer?.headers.get("ETag") ?? null;
    await new Promise((resolve) => setTimeout(resolve, answer === null ? 5 * POLL_MS : POLL_MS));
  }
}

/** The answer to one question; null where nobody gives one. */
async function ask(tag) {
  try {
    return await fetch("/data.json", { headers: tag ? { "If-None-Match": tag } : {}, cache: "no-store" });
  } catch {
    return null;
  }
}

async function start() {
  startTheme();
  startCopy();
  const page = new Page();
  const study = JSON.parse(byId("data").textContent);
  matchMedia("print").addEventListener("change", (event) => page.print(event.matches));
  addEventListener("beforeprint", () => page.print(true));
  addEventListener("afterprint", () => page.print(false));
  await page.show(study);
  document.documentElement.dataset.ready = "yes";
  if (study.live) follow(page);
}

start();
