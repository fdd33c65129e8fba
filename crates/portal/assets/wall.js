// The wall screen: new figures every so many seconds, full screen on a button, back to the console with Escape.
(function () {
  "use strict";
  var wall = document.getElementById("wall");
  if (!wall) { return; }
  var seconds = Number(wall.getAttribute("data-seconds")) || 60;
  var state = document.getElementById("wall-state");
  function renew() {
    fetch(window.location.href, { credentials: "same-origin", headers: { "x-wall": "1" } }).then(function (answer) {
      if (!answer.ok || answer.redirected) { throw new Error(String(answer.status)); }
      return answer.text();
    }).then(function (page) {
      var fresh = new DOMParser().parseFromString(page, "text/html").getElementById("wall");
      if (!fresh) { throw new Error("no wall"); }
      wall.replaceChildren.apply(wall, Array.from(fresh.childNodes));
      if (window.qtDraw) { window.qtDraw(); }
      if (state) { state.textContent = ""; }
    }).catch(function () {
      // What is shown stays, and says that it is old.
      if (state) { state.textContent = state.getAttribute("data-lost"); }
    });
  }
  window.setInterval(renew, seconds * 1000);
  var full = document.getElementById("wall-full");
  if (full && document.documentElement.requestFullscreen) {
    full.hidden = false;
    full.addEventListener("click", function () { document.documentElement.requestFullscreen(); });
  }
  document.addEventListener("keydown", function (event) {
    if (event.key === "Escape" && !document.fullscreenElement) { window.location.href = "/console/control"; }
  });
})();
