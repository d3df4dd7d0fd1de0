// The strip at the foot of Locust's page: what the lab is doing, and the reports of the runs so far.
(() => {
  "use strict";
  const style = document.createElement("style");
  style.textContent = `
    #proofload { position: fixed; inset: auto 0 0 0; z-index: 2000; padding: .5rem 1rem; font: 14px/1.5 system-ui, sans-serif;
      background: #10243e; color: #fff; display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; max-height: 30vh; overflow: auto;
      overflow-wrap: anywhere; box-sizing: border-box; }
    #proofload > * { min-width: 0; }
    #proofload a { color: #9fd0ff; }
    body { padding-bottom: 4rem; }
    .MuiFormControl-root:has(input[name="host"], input[name="userCount"], input[name="spawnRate"]) { display: none; }`;
  // Hidden, for here they say nothing: each target has its own address, and users follow the workload.
  document.head.append(style);
  const strip = document.createElement("div");
  strip.id = "proofload";
  strip.setAttribute("role", "status");
  document.body.append(strip);

  // Names and errors are others' text: nothing in it may turn the line's direction.
  const plain = (text) => String(text).replace(/[\p{Cc}\p{Cf}]/gu, "\uFFFD");

  const shown = (state) => {
    const parts = [document.createElement("strong")];
    parts[0].textContent = plain(`proofload: ${state.text}`);
    for (const run of state.runs.slice(-3).reverse()) {
      const part = document.createElement("span");
      part.textContent = plain(`run ${run.run}, ${run.target}: ${run.status} ${run.text ? `(${run.text}) ` : ""}`);
      if (run.report) {
        const link = document.createElement("a");
        link.href = `./proofload/runs/${run.run}/report.html`;
        link.target = "_blank";
        link.className = "report";
        link.textContent = "open the report";
        part.append(link);
      }
      parts.push(part);
    }
    strip.replaceChildren(...parts);
  };

  let last = "";
  const look = async () => {
    try {
      const text = await (await fetch("./proofload/state")).text();
      if (text !== last) shown(JSON.parse(text));
      last = text;
    } catch {
      strip.textContent = "proofload: the Locust process has ended";
      last = "";
    }
    setTimeout(look, 1000);
  };

  // What is asked stands open: it is the target, the workload and the rate.
  const open = new MutationObserver(() => {
    for (const head of document.querySelectorAll(".MuiAccordionSummary-root[aria-expanded='false']")) {
      if (head.textContent.includes("Custom parameters") && !head.dataset.opened) {
        head.dataset.opened = "yes";
        head.click();
      }
    }
  });
  open.observe(document.body, { childList: true, subtree: true });
  look();
})();
