// Reads the page aloud with the browser's own voice, block by block, showing which one is read. The button appears only
// where there is a voice to read with; what is selected is read alone. Escape stops.
(function () {
  "use strict";
  var button = document.getElementById("read-aloud");
  var voice = window.speechSynthesis;
  if (!button || !voice || !window.SpeechSynthesisUtterance) { return; }
  button.hidden = false;
  var name = button.textContent, blocks = [], at = -1, round = 0;
  var KINDS = "h1,h2,h3,p,li,dt,dd,caption,th,td,label,legend,summary,figcaption";

  function seen(element) { return element.getClientRects().length > 0; }
  // The innermost blocks with words of their own, in the order of the page.
  function collect() {
    return Array.from(document.querySelectorAll("#content")).flatMap(function (main) {
      return Array.from(main.querySelectorAll(KINDS));
    }).filter(function (e) {
      return seen(e) && !e.querySelector(KINDS) && !e.closest("[aria-hidden=true],pre,svg,.sr") && words(e);
    });
  }
  function words(element) { return element.textContent.trim().replace(/\s+/g, " "); }
  function mark(element) {
    document.querySelectorAll(".reading").forEach(function (e) { e.classList.remove("reading"); });
    if (element) { element.classList.add("reading"); element.scrollIntoView({ block: "nearest" }); }
  }
  function stop() {
    round += 1;
    voice.cancel();
    mark(null);
    button.textContent = name;
    button.setAttribute("aria-pressed", "false");
  }
  function say(text, then) {
    var one = new SpeechSynthesisUtterance(text), mine = round;
    one.lang = button.getAttribute("data-lang") || "zh-CN";
    one.rate = document.documentElement.classList.contains("elder") ? 0.85 : 1;
    one.onend = function () { if (mine === round) { then(); } };
    one.onerror = function () { if (mine === round) { stop(); } };
    voice.speak(one);
  }
  function next() {
    at += 1;
    if (at >= blocks.length) { stop(); return; }
    mark(blocks[at]);
    say(words(blocks[at]), next);
  }
  button.addEventListener("click", function () {
    if (button.getAttribute("aria-pressed") === "true") { stop(); return; }
    var chosen = String(window.getSelection()).trim();
    voice.cancel();
    round += 1;
    button.setAttribute("aria-pressed", "true");
    button.textContent = button.getAttribute("data-stop");
    if (chosen) { say(chosen, stop); return; }
    blocks = collect();
    at = -1;
    next();
  });
  document.addEventListener("keydown", function (event) {
    if (event.key === "Escape" && button.getAttribute("aria-pressed") === "true") { stop(); button.focus(); }
  });
  window.addEventListener("pagehide", function () { voice.cancel(); });
})();
