// Draws charts from the tables they name: the first column is the axis, `data-columns` (or the second, of wide tables
// also the third) are the series. The table stays for those without script and for those who rather read figures.
// Kinds: `bar` (stacked), `row` (bars that lie), `line`, `pie`, `scatter` (both columns are numbers).
(function () {
  "use strict";
  // Room that was kept for a chart which is not drawn is given back.
  function leave(box) { box.classList.remove("kept"); }
  if (!window.echarts) { document.querySelectorAll(".chart.kept").forEach(leave); return; }
  var charts = [];
  function text(cell) { return cell.textContent.trim().replace(/\s+/g, " "); }
  function number(cell) { return cell ? Number(cell.textContent.replace(/[^0-9.\-]/g, "")) || 0 : 0; }
  function short(word, most) { return word.length > most ? word.slice(0, most - 1) + "…" : word; }

  function options(box, table, rows) {
    var style = getComputedStyle(document.documentElement);
    function colour(name) { return style.getPropertyValue(name).trim(); }
    var size = Math.round(parseFloat(style.fontSize) * 0.78) || 12;
    var kind = box.getAttribute("data-kind") || "bar";
    var heads = Array.from(table.tHead.rows[0].cells).map(text);
    var columns = (box.getAttribute("data-columns") || "").split(",").filter(Boolean).map(Number);
    if (!columns.length) { columns = heads.length > 3 ? [1, 2] : [1]; }
    var names = rows.map(function (r) { return text(r.cells[0]); });
    var label = { color: colour("--muted"), fontSize: size };
    var common = {
      animation: !window.matchMedia("(prefers-reduced-motion: reduce)").matches,
      color: kind === "bar" && columns.length === 2
        ? [colour("--teal"), colour("--bad")]
        : [colour("--teal"), colour("--chart-2"), colour("--chart-3"), colour("--chart-4"), colour("--chart-5"), colour("--bad"), colour("--line-strong"), colour("--note")],
      textStyle: { fontFamily: colour("--font"), color: colour("--muted"), fontSize: size },
      legend: columns.length > 1 ? { top: 0, textStyle: label } : undefined
    };
    if (kind === "pie") {
      common.tooltip = { trigger: "item", renderMode: "richText" };
      common.legend = { type: "scroll", bottom: 0, textStyle: label };
      common.series = [{
        type: "pie", radius: ["38%", "66%"], center: ["50%", "44%"], label: { color: colour("--ink"), fontSize: size, formatter: "{c}" },
        data: rows.map(function (r, n) { return { name: names[n], value: number(r.cells[columns[0]]) }; })
      }];
      return common;
    }
    if (kind === "scatter") {
      var scale = { type: "value", scale: true, axisLabel: Object.assign({ hideOverlap: true }, label), splitLine: { lineStyle: { color: colour("--line") } } };
      common.tooltip = { trigger: "item", renderMode: "richText" };
      common.grid = { left: 8, right: 24, top: 26, bottom: 26, containLabel: true };
      common.xAxis = Object.assign({ name: heads[0], nameLocation: "middle", nameGap: 26, nameTextStyle: label }, scale);
      common.yAxis = Object.assign({ name: heads[1], nameTextStyle: label }, scale);
      common.series = [{ type: "scatter", symbolSize: 6, data: rows.map(function (r) { return [number(r.cells[0]), number(r.cells[1])]; }) }];
      return common;
    }
    var lying = kind === "row";
    var whole = rows.every(function (r) { return columns.every(function (at) { return Number.isInteger(number(r.cells[at])); }); });
    var order = lying ? rows.slice().reverse() : rows;
    var words = {
      type: "category", axisTick: { show: false }, boundaryGap: kind !== "line",
      data: order.map(function (r) { return text(r.cells[0]); }),
      axisLabel: Object.assign({ hideOverlap: true }, label, lying ? { formatter: function (w) { return short(w, 12); } } : kind === "line" ? { alignMinLabel: "left", alignMaxLabel: "right" } : {}),
      axisLine: { lineStyle: { color: colour("--line") } }
    };
    var values = {
      type: "value", minInterval: whole ? 1 : 0, scale: kind === "line" && columns.length === 1, axisLabel: Object.assign({ hideOverlap: true }, label),
      splitNumber: lying ? 3 : 4, splitLine: { lineStyle: { color: colour("--line") } }
    };
    // Drawn on the canvas: a tooltip of HTML would carry inline styles, which the page's policy forbids.
    common.tooltip = { trigger: "axis", renderMode: "richText", axisPointer: { type: kind === "line" ? "line" : "shadow" } };
    common.grid = { left: 8, right: lying ? 34 : 16, top: columns.length > 1 ? 34 : 12, bottom: 4, containLabel: true };
    common.xAxis = lying ? values : words;
    common.yAxis = lying ? words : values;
    common.series = columns.map(function (at) {
      var one = { name: heads[at], data: order.map(function (r) { return number(r.cells[at]); }) };
      if (kind === "line") { return Object.assign(one, { type: "line", symbol: rows.length < 3 ? "circle" : "none", lineStyle: { width: 2 } }); }
      return Object.assign(one, { type: "bar", stack: lying ? undefined : "all", barMaxWidth: 28 });
    });
    return common;
  }

  function draw() {
    charts.forEach(function (chart) { chart.dispose(); });
    charts = [];
    document.querySelectorAll("[data-chart]").forEach(function (box) {
      var table = document.getElementById(box.getAttribute("data-chart"));
      if (!table) { leave(box); return; }
      var rows = Array.from(table.tBodies[0].rows).filter(function (r) { return r.cells.length > 1; });
      if (!rows.length) { leave(box); return; }
      box.hidden = false;
      // Where room was kept nothing may move: the table stays open.
      var fold = box.classList.contains("kept") ? null : table.closest("details");
      if (fold) { fold.open = false; }
      var chart = echarts.init(box, null, { renderer: "canvas" });
      chart.setOption(options(box, table, rows));
      charts.push(chart);
      new ResizeObserver(function () { if (!chart.isDisposed()) { chart.resize(); } }).observe(box);
    });
  }
  window.qtDraw = draw;
  draw();
})();
