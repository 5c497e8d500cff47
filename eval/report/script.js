"use strict";
(() => {
  const form = document.querySelector(".filter");
  const cases = [...document.querySelectorAll(".case")];
  const show = () => {
    const words = form.words.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const item of cases) {
      const text = item.querySelector("summary").textContent.toLowerCase();
      const fits = (!form.stage.value || item.dataset.stage === form.stage.value)
        && (!form.tag.value || item.dataset.tags.includes(`|${form.tag.value}|`))
        && words.every((word) => text.includes(word));
      item.hidden = !fits;
      count += fits;
    }
    form.count.value = `${count} of ${cases.length}`;
  };
  form.hidden = false;
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = cases.filter((item) => !item.open && !item.hidden && !item.classList.contains("right"));
    for (const item of opened) item.open = true;
  });
  addEventListener("afterprint", () => { for (const item of opened) item.open = false; });
  show();
})();
