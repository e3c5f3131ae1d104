// Before the first paint: light or dark, if the reader chose one. No module, as modules wait.
(() => {
  try {
    const chosen = localStorage.getItem("theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // Storage is off: the system decides.
  }
})();
