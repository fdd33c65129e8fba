// Comfort only: every page works without this file. Copies samples, asks before what cannot be undone.
(function () {
  "use strict";
  document.addEventListener("click", function (event) {
    var button = event.target.closest("[data-copy]");
    if (!button) { return; }
    var source = document.getElementById(button.getAttribute("data-copy"));
    if (!source || !navigator.clipboard) { return; }
    navigator.clipboard.writeText(source.textContent).then(function () {
      var before = button.textContent;
      button.textContent = button.getAttribute("data-done") || "OK";
      setTimeout(function () { button.textContent = before; }, 1500);
    });
  });
  document.addEventListener("submit", function (event) {
    var form = event.target, question = form.getAttribute("data-confirm");
    if (!question) { return; }
    if (!document.documentElement.classList.contains("elder")) {
      if (!window.confirm(question)) { event.preventDefault(); }
      return;
    }
    // Elder mode has no windows that pop up: the question stands in the page, and the second press answers it.
    if (form.querySelector(".asked")) { return; }
    event.preventDefault();
    var asked = document.createElement("p");
    asked.className = "say wait asked";
    asked.setAttribute("role", "alert");
    asked.textContent = question;
    form.prepend(asked);
  });
  // Copy buttons are of no use without script, so they are hidden until it runs.
  document.querySelectorAll("[data-copy]").forEach(function (b) { b.hidden = false; });
  // On a wide screen facets and console links are always open.
  var wide = window.matchMedia("(min-width: 901px)");
  function unfold() {
    document.querySelectorAll("details[data-fold]").forEach(function (d) { d.open = wide.matches; });
  }
  unfold();
  wide.addEventListener("change", unfold);
  // So is the head, but on a phone.
  var roomy = window.matchMedia("(min-width: 481px)");
  function unfoldHead() {
    document.querySelectorAll("details.fold").forEach(function (d) { d.open = roomy.matches; });
  }
  unfoldHead();
  roomy.addEventListener("change", unfoldHead);
})();
