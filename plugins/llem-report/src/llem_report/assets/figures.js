// Figures, drawn by Vega as SVG without evaluating any text as code (`ast`), so that the page's policy can forbid it.

const EMBED = {
  renderer: "svg",
  ast: true,
  actions: false,
  defaultStyle: false,
  tooltip: { disableDefaultStyle: true },
  logLevel: 1, // errors; that a layer is empty is no news
};

class Figures {
  constructor() {
    this.drawn = new Map();
  }

  /** Draws what is new or has changed. Returns when all is drawn. */
  async draw(figures) {
    for (const figure of figures) {
      const section = byId(`figure-${figure.name}`);
      if (!section) continue;
      const now = JSON.stringify(figure);
      if (this.drawn.get(figure.name)?.now === now) continue;
      section.querySelector("figcaption").textContent = figure.caption;
      section.querySelector(".chart").setAttribute("aria-label", figure.description);
      section.querySelector(".why-not").textContent = figure.why_not ?? "";
      section.querySelector("figure").hidden = !figure.spec;
      try {
        await this.embed(figure, section, now);
      } catch (error) {
        console.error(error);
        section.querySelector(".why-not").textContent = `This browser could not draw it: ${error.message}`;
      }
    }
  }

  async embed(figure, section, now) {
    const before = this.drawn.get(figure.name)?.result;
    const signals = before?.view.getState({ signals: (name) => section.querySelector(`[name="${CSS.escape(name)}"]`) }).signals;
    before?.finalize();
    const chart = section.querySelector(".chart");
    const inputs = section.querySelector(".inputs");
    const drawing = el("div", { "aria-hidden": "true" }); // Vega gives it a role and name of its own; the chart's say more
    chart.replaceChildren(drawing);
    inputs.replaceChildren();
    let result = null;
    if (figure.spec) {
      result = await vegaEmbed(drawing, figure.spec, { ...EMBED, bind: inputs });
      for (const [name, value] of Object.entries(signals ?? {})) result.view.signal(name, value);
      await result.view.runAsync();
    }
    this.drawn.set(figure.name, { now, result });
  }

  /** Dims the points of configurations that the table's filter leaves out. A point of several configurations stays. */
  narrow(rows, kept) {
    const known = new Set(rows.map((row) => row.label));
    const labels = new Set(kept.map((row) => row.label));
    for (const mark of document.querySelectorAll("#figure-pareto .mark-symbol path")) {
      const label = mark.__data__?.datum?.label; // Vega keeps a mark's datum with its element
      mark.classList.toggle("dimmed", known.has(label) && !labels.has(label));
    }
  }
}
