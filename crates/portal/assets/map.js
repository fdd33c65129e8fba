// Draws places on a plain ground: nothing from outside. `data-source` names one or more feature collections, or the tiles of a layer
// that is too large for one, each drawn in a colour of its own. `data-ground` names collections that are drawn under them as lines:
// outlines of regions, or boxes around their data. `data-area` is what is looked at. The table beside it says the same.
(function () {
  "use strict";
  var box = document.getElementById("map-canvas");
  if (!box) { return; }
  // Room that was kept for a map which is not drawn is given back.
  function leave() { box.classList.remove("kept"); box.hidden = true; }
  if (!window.maplibregl) { leave(); return; }
  maplibregl.setWorkerUrl(box.getAttribute("data-worker"));
  var COLOURS = ["#0f766e", "#b45309", "#2f5fa8", "#86479c"];
  // Where nothing tells the extent: Zhejiang.
  var AROUND = [118, 27, 123, 31.3];
  // What the map's own parts are called, in the page's language.
  var WORDS = /^en/.test(document.documentElement.lang) ? { "Map.Title": "Picture of the map" } : {
    "Map.Title": "地图画面", "NavigationControl.ZoomIn": "放大", "NavigationControl.ZoomOut": "缩小", "Popup.Close": "关闭",
    "ScaleControl.Meters": "米", "ScaleControl.Kilometers": "公里"
  };
  function told(name) { return (box.getAttribute(name) || "").split(" ").filter(Boolean); }
  function fetched(address) {
    if (/\/tiles$/.test(address)) { return { tiles: address, name: decodeURIComponent(address.split("/")[2]), features: [] }; }
    return fetch(address).then(function (answer) {
      if (!answer.ok) { throw new Error(String(answer.status)); }
      return answer.json();
    });
  }
  // Without its ground the map is drawn all the same.
  function under(address) { return Promise.resolve(fetched(address)).catch(function () { return { features: [] }; }); }
  Promise.all([Promise.all(told("data-source").map(fetched)), Promise.all(told("data-ground").map(under))])
    .then(function (both) { draw(both[0], both[1]); }).catch(leave);

  // What is looked at: west, south, east, north.
  function asked() {
    var numbers = (box.getAttribute("data-area") || "").split(",").map(Number);
    return numbers.length === 4 && numbers.every(isFinite) && numbers[0] <= numbers[2] ? numbers : null;
  }

  function frame(b) {
    return { type: "Feature", properties: {}, geometry: { type: "LineString",
      coordinates: [[b[0], b[1]], [b[2], b[1]], [b[2], b[3]], [b[0], b[3]], [b[0], b[1]]] } };
  }

  function extent(features) {
    var box = [180, 90, -180, -90];
    function take(c) {
      if (typeof c[0] === "number") {
        box[0] = Math.min(box[0], c[0]); box[1] = Math.min(box[1], c[1]);
        box[2] = Math.max(box[2], c[0]); box[3] = Math.max(box[3], c[1]);
      } else { c.forEach(take); }
    }
    features.forEach(function (f) { if (f.geometry && f.geometry.coordinates) { take(f.geometry.coordinates); } });
    return box[0] > box[2] ? null : box;
  }

  // A few lines of latitude and longitude give the eye a hold.
  function grid(box) {
    var step = [10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01].find(function (s) {
      return Math.max(box[2] - box[0], box[3] - box[1]) / s >= 4;
    }) || 0.005;
    var lines = [], x, y, margin = step * 20;
    for (x = Math.floor((box[0] - margin) / step) * step; x <= box[2] + margin; x += step) {
      lines.push([[x, box[1] - margin], [x, box[3] + margin]]);
    }
    for (y = Math.floor((box[1] - margin) / step) * step; y <= box[3] + margin; y += step) {
      lines.push([[box[0] - margin, y], [box[2] + margin, y]]);
    }
    return { type: "Feature", properties: {}, geometry: { type: "MultiLineString", coordinates: lines } };
  }

  // Areas, lines and points of one collection.
  function layers(data, n) {
    var colour = COLOURS[n % COLOURS.length], source = "data" + n;
    var all = [
      { id: "area" + n, type: "fill", source: source, filter: ["==", ["geometry-type"], "Polygon"],
        paint: { "fill-color": colour, "fill-opacity": 0.28 } },
      { id: "line" + n, type: "line", source: source, filter: ["!=", ["geometry-type"], "Point"],
        paint: { "line-color": n ? colour : "#0b4a6f", "line-width": 1.4 } },
      { id: "point" + n, type: "circle", source: source, filter: ["==", ["geometry-type"], "Point"],
        paint: { "circle-color": colour, "circle-radius": 5, "circle-stroke-color": "#fff", "circle-stroke-width": 1.2, "circle-opacity": 0.85 } }
    ];
    if (data.tiles) { all.forEach(function (layer) { layer["source-layer"] = data.name; }); }
    return all;
  }

  // A rectangle drawn with Shift, or by mouse, pen or finger after the button was pressed, goes into the four fields beside the map and
  // is looked for; without any of them the fields are filled in by hand.
  function area(map) {
    var form = document.getElementById("area-form"), button = document.getElementById("draw-area");
    if (!form) { return; }
    map.boxZoom.disable();
    var canvas = map.getCanvas(), from = null, drawing = false;
    function turn(on) {
      drawing = on;
      button.setAttribute("aria-pressed", String(on));
      canvas.style.touchAction = on ? "none" : "";
      canvas.style.cursor = on ? "crosshair" : "";
      if (on) { map.dragPan.disable(); map.touchZoomRotate.disable(); } else { map.dragPan.enable(); map.touchZoomRotate.enable(); }
    }
    if (button) {
      button.hidden = false;
      button.addEventListener("click", function () { turn(!drawing); });
    }
    function place(event) {
      var edge = canvas.getBoundingClientRect();
      return map.unproject([event.clientX - edge.left, event.clientY - edge.top]);
    }
    function field(name, number) { form.elements[name].value = number.toFixed(5); }
    canvas.addEventListener("pointerdown", function (event) {
      if (!(event.shiftKey || drawing) || event.button !== 0) { return; }
      event.preventDefault();
      from = place(event);
      map.dragPan.disable();
    }, true);
    window.addEventListener("pointercancel", function () { from = null; });
    window.addEventListener("pointerup", function (event) {
      if (!from) { return; }
      var to = place(event), begun = from;
      from = null;
      if (!drawing) { map.dragPan.enable(); }
      field("west", Math.max(-180, Math.min(begun.lng, to.lng)));
      field("south", Math.max(-90, Math.min(begun.lat, to.lat)));
      field("east", Math.min(180, Math.max(begun.lng, to.lng)));
      field("north", Math.min(90, Math.max(begun.lat, to.lat)));
      form.requestSubmit();
    });
  }

  function draw(all, ground) {
    var looked = asked(), grounds = ground.flatMap(function (data) { return data.features; });
    var bounds = looked || extent(all.flatMap(function (data) { return data.features; })) || extent(grounds);
    if (!bounds && all.some(function (data) { return data.tiles; })) { bounds = AROUND; }
    if (!bounds) { leave(); return; }
    box.hidden = false;
    var sources = {
      grid: { type: "geojson", data: grid(bounds) },
      ground: { type: "geojson", data: { type: "FeatureCollection", features: grounds } },
      frame: { type: "geojson", data: { type: "FeatureCollection", features: looked ? [frame(looked)] : [] } }
    };
    // Boxes around data are dashed, so that nobody takes them for boundaries.
    var dashes = grounds.some(function (f) { return f.properties && f.properties.taken_from; });
    var line = { "line-color": "#5f7685", "line-width": 1.2 };
    if (dashes) { line["line-dasharray"] = [3, 2]; }
    all.forEach(function (data, n) {
      sources["data" + n] = data.tiles
        ? { type: "vector", tiles: [location.origin + data.tiles + "/{z}/{y}/{x}"], maxzoom: 16 }
        : { type: "geojson", data: data };
    });
    var drawn = all.flatMap(layers);
    var map = new maplibregl.Map({
      container: box, attributionControl: false, maxZoom: 17, locale: WORDS,
      bounds: [[bounds[0], bounds[1]], [bounds[2], bounds[3]]], fitBoundsOptions: { padding: 40, maxZoom: 13 },
      style: {
        version: 8, sources: sources,
        layers: [
          { id: "ground", type: "background", paint: { "background-color": "#e7eef2" } },
          { id: "grid", type: "line", source: "grid", paint: { "line-color": "#c6d3da", "line-width": 1 } },
          { id: "ground-line", type: "line", source: "ground", paint: line }
        ].concat(drawn, [
          { id: "frame", type: "line", source: "frame", paint: { "line-color": "#b3261e", "line-width": 2, "line-dasharray": [2, 2] } }
        ])
      }
    });
    map.addControl(new maplibregl.NavigationControl({ showCompass: false }));
    map.addControl(new maplibregl.ScaleControl());
    area(map);
    drawn.map(function (layer) { return layer.id; }).forEach(function (layer) {
      map.on("click", layer, function (event) {
        var table = document.createElement("table");
        Object.entries(event.features[0].properties).slice(0, 12).forEach(function (pair) {
          var row = table.insertRow();
          row.insertCell().textContent = pair[0];
          row.insertCell().textContent = pair[1] === null ? "" : String(pair[1]);
        });
        new maplibregl.Popup({ maxWidth: "320px" }).setLngLat(event.lngLat).setDOMContent(table).addTo(map);
      });
      map.on("mouseenter", layer, function () { map.getCanvas().style.cursor = "pointer"; });
      map.on("mouseleave", layer, function () { map.getCanvas().style.cursor = ""; });
    });
  }
})();
