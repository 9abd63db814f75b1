// Light and dark: what the system prefers, until somebody chooses. Colours are variables of the style sheet, those of the
// figures too, so that a change of theme, or printing, draws nothing anew.

function startTheme() {
  const button = byId("theme");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const now = () => document.documentElement.dataset.theme || (dark.matches ? "dark" : "light");
  const label = () => {
    const next = now() === "dark" ? "light" : "dark";
    button.textContent = next === "dark" ? "Dark" : "Light";
    button.setAttribute("aria-label", `Change to the ${next} theme`);
  };
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = now() === "dark" ? "light" : "dark";
    label();
  });
  dark.addEventListener("change", label);
  label();
}

function startCopy() {
  const text = byId("citation");
  byId("copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text.textContent);
      byId("copied").textContent = "Copied.";
    } catch {
      getSelection().selectAllChildren(text); // where the browser lends no clipboard, one key is left to press
      byId("copied").textContent = "Selected: press Ctrl+C.";
    }
  });
}
