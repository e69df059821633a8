"use strict";
// Draws the page's plots with uPlot, in the colours of the reader's scheme, as wide as there is room.
(function () {
  const data = JSON.parse(document.getElementById("plots").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  let drawn = [];

  function style(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  // times are the hours and minutes of the 24-hour clock, with the date where it changes.
  function times(chart, splits) {
    let last = "";
    return splits.map((at) => {
      const text = new Date(at * 1e3).toISOString();
      const day = text.slice(0, 10);
      const label = text.slice(11, at % 60 ? 19 : 16) + (day === last ? "" : "\n" + day);
      last = day;
      return label;
    });
  }

  function options(plot, width) {
    const axis = { stroke: style("--text"), grid: { stroke: style("--line") }, ticks: { stroke: style("--line") } };
    return {
      width: width,
      height: 260,
      tzDate: (at) => uPlot.tzDate(new Date(at * 1e3), "Etc/UTC"),
      scales: { x: { time: true }, y: { range: (u, low, high) => [0, high > 0 ? high * 1.05 : 1] } },
      axes: [
        Object.assign({ values: times, size: 50 }, axis),
        Object.assign({ size: 70 }, axis),
      ],
      series: [{ label: "time", value: "{YYYY}-{MM}-{DD} {HH}:{mm}:{ss}" }].concat(plot.lines.map((line) => ({
        label: line.label,
        stroke: style("--plot" + line.colour),
        dash: line.dashed ? [6, 4] : undefined,
        width: line.dashed ? 1 : 1.5,
        points: { show: plot.x.length < 3 ? true : undefined },
        value: (u, v) => v == null ? "–" : v.toPrecision(3) + " " + plot.unit,
      }))),
    };
  }

  function draw() {
    drawn.forEach((chart) => chart.destroy());
    drawn = [];
    document.querySelectorAll("[data-plot]").forEach((place) => {
      const plot = data.plots[Number(place.dataset.plot)];
      if (plot.x.length === 0) {
        return;
      }
      const chart = new uPlot(options(plot, place.clientWidth), [plot.x].concat(plot.lines.map((line) => line.y)), place);
      chart.root.querySelector("canvas").setAttribute("aria-hidden", "true");
      drawn.push(chart);
    });
  }

  draw();
  dark.addEventListener("change", draw);
  let width = document.documentElement.clientWidth;
  window.addEventListener("resize", () => {
    if (width !== document.documentElement.clientWidth) {
      width = document.documentElement.clientWidth;
      drawn.forEach((chart) => chart.setSize({ width: chart.root.parentElement.clientWidth, height: 260 }));
    }
  });
})();
