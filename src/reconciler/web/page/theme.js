// Runs before anything is painted: the theme that was chosen here before, if any.
"use strict";
try {
  const chosen = localStorage.getItem("reconciler.theme");
  if (chosen === "light" || chosen === "dark") {
    document.documentElement.dataset.theme = chosen;
  }
} catch {
  // A browser may forbid storage: then the system's theme it is.
}
