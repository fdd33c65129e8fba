// Draws a chart from the table it names: the first column is the axis, each further column a row of bars. The table
// stays for those without script and for those who rather read figures.
(function () {
  "use strict";
  if (!window.echarts) { return; }
  var style = getComputedStyle(document.documentElement);
  function colour(name) { return style.getPropertyValue(name).trim(); }
  function number(cell) { return Number(cell.textContent.replace(/[^0-9.\-]/g, "")) || 0; }
  document.querySelectorAll("[data-chart]").forEach(function (box) {
    var table = document.getElementById(box.getAttribute("data-chart"));
    if (!table) { return; }
    var heads = Array.from(table.tHead.rows[0].cells).map(function (c) { return c.textContent.trim(); });
    var rows = Array.from(table.tBodies[0].rows);
    if (!rows.length) { return; }
    var columns = heads.length > 3 ? [1, 2] : [1];
    box.hidden = false;
    var fold = table.closest("details");
    if (fold) { fold.open = false; }
    var chart = echarts.init(box, null, { renderer: "canvas" });
    chart.setOption({
      animation: !window.matchMedia("(prefers-reduced-motion: reduce)").matches,
      color: [colour("--teal"), colour("--bad")],
      textStyle: { fontFamily: colour("--font"), color: colour("--muted") },
      // Drawn on the canvas: a tooltip of HTML would carry inline styles, which the page's policy forbids.
      tooltip: { trigger: "axis", renderMode: "richText", axisPointer: { type: "shadow" } },
      legend: columns.length > 1 ? { top: 0, textStyle: { color: colour("--muted") } } : undefined,
      grid: { left: 8, right: 8, top: columns.length > 1 ? 32 : 12, bottom: 4, containLabel: true },
      xAxis: {
        type: "category", axisTick: { show: false },
        data: rows.map(function (r) { return r.cells[0].textContent.trim().replace(/\s+/g, " "); }),
        axisLabel: { color: colour("--muted"), hideOverlap: true },
        axisLine: { lineStyle: { color: colour("--line") } }
      },
      yAxis: {
        type: "value", minInterval: 1, axisLabel: { color: colour("--muted") },
        splitLine: { lineStyle: { color: colour("--line") } }
      },
      series: columns.map(function (at) {
        return {
          name: heads[at], type: "bar", stack: "all", barMaxWidth: 28,
          data: rows.map(function (r) { return number(r.cells[at]); })
        };
      })
    });
    new ResizeObserver(function () { chart.resize(); }).observe(box);
  });
})();
