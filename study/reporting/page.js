(() => {
  "use strict";
  const key = (row, column) => {
    const cell = row.cells[column];
    const text = cell.textContent.trim();
    const number = parseFloat(cell.dataset.value ?? (/^[−-]?[\d.,]+$/.test(text) ? text.replace("−", "-").replace(/,/g, "") : ""));
    return { number, text, blank: Number.isNaN(number) && (text === "" || text === "–") };
  };
  const compare = (a, b, sign) => {
    if (a.blank || b.blank) return Number(a.blank) - Number(b.blank);
    if (!Number.isNaN(a.number) && !Number.isNaN(b.number)) return sign * (a.number - b.number);
    return sign * a.text.localeCompare(b.text, "en", { numeric: true });
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => {
        const words = head.classList.contains("words");
        const now = head.getAttribute("aria-sort");
        const next = now ? (now === "ascending" ? "descending" : "ascending") : words || column === 0 ? "ascending" : "descending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", next);
        const rows = [...body.rows].map((row) => ({ row, key: key(row, column) }));
        rows.sort((a, b) => compare(a.key, b.key, next === "ascending" ? 1 : -1));
        body.append(...rows.map((entry) => entry.row));
      });
    });
    const label = document.createElement("label");
    const input = document.createElement("input");
    const count = document.createElement("span");
    label.className = "filter";
    input.type = "search";
    label.append("Filter rows", input, count);
    count.setAttribute("aria-live", "polite");
    table.closest(".scroll").before(label);
    const show = () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of body.rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
        shown += row.hidden ? 0 : 1;
      }
      count.textContent = `${shown} of ${body.rows.length}`;
    };
    input.addEventListener("input", show);
    show();
  }
  for (const frame of document.querySelectorAll(".scroll, .drawing .svg")) {
    const look = () => {
      frame.classList.toggle("cut", frame.scrollLeft + frame.clientWidth < frame.scrollWidth - 1);
      if (frame.matches(".svg")) frame.tabIndex = frame.scrollWidth > frame.clientWidth + 1 ? 0 : -1;
    };
    frame.addEventListener("scroll", look);
    new ResizeObserver(look).observe(frame);
  }
  for (const source of document.querySelectorAll("template.latex")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy LaTeX";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(source.content.textContent);
      button.textContent = "Copied";
    });
    source.parentElement.querySelector(".links").append(button);
  }
})();
