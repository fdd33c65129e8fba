// The SQL editor of workspaces: CodeMirror over a plain textarea, which stays the form's field. Bundled by `npm run build` into one
// file that is embedded like the other npm parts. It lives in a shadow root, so that its styles are constructed and the pages'
// policy (no inline styles) holds.
import { autocompletion, closeBrackets, closeBracketsKeymap, completeFromList, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { PostgreSQL, sql } from "@codemirror/lang-sql";
import { HighlightStyle, bracketMatching, indentOnInput, syntaxHighlighting } from "@codemirror/language";
import { EditorState } from "@codemirror/state";
import { EditorView, highlightActiveLine, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";

/** Colours of the page, which follow the visitor's system. */
const colours = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--link)", fontWeight: "600" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--good)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--bad)" },
  { tag: tags.comment, color: "var(--muted)", fontStyle: "italic" },
  { tag: [tags.typeName, tags.standard(tags.name)], color: "var(--teal)" },
]);

/** Every table and column of the tree, whatever has been written before it: `select dj` comes before its table. */
function names() {
  const all = new Map();
  document.querySelectorAll("[data-table]").forEach((t) => all.set(t.dataset.table, { label: t.dataset.table, detail: t.dataset.about || "", type: "type" }));
  document.querySelectorAll("[data-column]").forEach((c) => {
    if (!all.has(c.dataset.column)) { all.set(c.dataset.column, { label: c.dataset.column, detail: c.dataset.about || "", type: "property" }); }
  });
  return completeFromList(Array.from(all.values()));
}

// Typed over a selection, Chromium's own editing would bring a span with inline styles, which the pages' policy refuses.
const typedOver = EditorView.domEventHandlers({
  beforeinput(event, view) {
    if (event.inputType !== "insertText" || event.isComposing || !event.data || view.state.selection.main.empty) { return false; }
    event.preventDefault();
    view.dispatch(view.state.replaceSelection(event.data), { userEvent: "input.type", scrollIntoView: true });
    return true;
  },
});

/** Tables and columns that may be completed, from the page's schema tree. */
function schema() {
  const tables = {};
  document.querySelectorAll("[data-table]").forEach((table) => {
    const columns = Array.from(table.querySelectorAll("[data-column]")).map((c) => ({
      label: c.dataset.column, detail: c.dataset.about || "", type: "property",
    }));
    tables[table.dataset.table] = { self: { label: table.dataset.table, detail: table.dataset.about || "", type: "type" }, children: columns };
  });
  return tables;
}

function edit(area) {
  const host = document.createElement("div");
  host.className = "editor";
  area.before(host);
  const root = host.attachShadow({ mode: "open" });
  const label = document.querySelector(`label[for="${area.id}"]`)?.textContent || "SQL";
  const submit = () => {
    const form = area.form;
    const main = form.querySelector("button.main");
    form.requestSubmit(main);
    return true;
  };
  const view = new EditorView({
    root,
    parent: root,
    state: EditorState.create({
      doc: area.value,
      extensions: [
        lineNumbers(), history(), indentOnInput(), bracketMatching(), closeBrackets(), highlightActiveLine(),
        syntaxHighlighting(colours),
        autocompletion(),
        sql({ dialect: PostgreSQL, schema: schema(), upperCaseKeywords: false }),
        PostgreSQL.language.data.of({ autocomplete: names() }),
        typedOver,
        keymap.of([{ key: "Mod-Enter", run: submit }, ...closeBracketsKeymap, ...defaultKeymap, ...historyKeymap, ...completionKeymap]),
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({ "aria-label": label }),
        EditorView.updateListener.of((update) => { if (update.docChanged) { area.value = update.state.doc.toString(); } }),
        EditorView.theme({
          "&": { fontSize: "0.9rem", maxHeight: "24rem", color: "var(--ink)", backgroundColor: "var(--card)" },
          ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.55" },
          ".cm-content": { minHeight: "9rem", caretColor: "var(--ink)" },
          ".cm-cursor": { borderLeftColor: "var(--ink)" },
          ".cm-gutters": { backgroundColor: "var(--raised)", color: "var(--muted)", border: "none" },
          ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "var(--raised)" },
          ".cm-tooltip": { backgroundColor: "var(--card)", color: "var(--ink)", border: "1px solid var(--line)" },
          ".cm-tooltip-autocomplete ul li[aria-selected]": { backgroundColor: "var(--brand)", color: "var(--on-brand)" },
        }),
      ],
    }),
  });
  area.hidden = true;
  document.querySelectorAll("[data-insert]").forEach((button) => { button.hidden = false; });
  // A click on a name of the tree writes it where the cursor stands.
  document.addEventListener("click", (event) => {
    const name = event.target.closest("[data-insert]");
    if (!name) { return; }
    view.dispatch(view.state.replaceSelection(name.dataset.insert));
    view.focus();
  });
  // Statements of the history come back by a click, too.
  document.addEventListener("click", (event) => {
    const again = event.target.closest("[data-statement]");
    if (!again) { return; }
    event.preventDefault();
    const text = document.getElementById(again.dataset.statement)?.textContent || "";
    view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } });
    view.focus();
    host.scrollIntoView({ block: "nearest" });
  });
}

document.querySelectorAll("textarea[data-sql]").forEach(edit);
