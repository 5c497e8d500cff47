// A click on a citation opens its source and brings the marked sentence into view.
document.addEventListener("click", (event) => {
  const cite = event.target.closest("a.cite");
  if (!cite) return;
  event.preventDefault();
  const source = document.getElementById(cite.getAttribute("href").slice(1));
  if (!source) return;
  source.open = true;
  const target = source.querySelector("mark") || source;
  target.scrollIntoView({ behavior: "smooth", block: "center" });
  source.classList.add("shown");
  setTimeout(() => source.classList.remove("shown"), 1200);
});

// "/" focuses the question, as on other search pages.
document.addEventListener("keydown", (event) => {
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.tagName ?? "");
  if (event.key !== "/" || typing || event.ctrlKey || event.metaKey) return;
  const box = document.querySelector("#question textarea");
  if (box) { event.preventDefault(); box.focus(); }
});
