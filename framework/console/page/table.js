// Tables that are updated in place: a row keeps its nodes, and with them focus and selection, while its figures change.
// A column: {label, name, kind: "number"|"text"|"action"|"title", text: item => string} or fill: (cell, item) => void.
// The roles are written out because the phone's layout (phone.css) makes the browser forget them.
function makeTable(host, {label, columns, key, empty}) {
  const body = el("tbody", {role: "rowgroup"}), rows = new Map();
  const heads = columns.map((column) => el("th", {role: "columnheader", scope: "col", class: column.kind, title: column.hint || null},
    column.kind === "action" ? el("span", {class: "unseen"}, column.label) : column.label));
  const head = el("thead", {role: "rowgroup"}, el("tr", {role: "row"}, ...heads));
  const nothing = el("p", {class: "empty", hidden: true});
  host.append(el("table", {role: "table", "aria-label": label}, head, body), nothing);

  function update(items) {
    const keys = uniqueKeys(items, key);
    for (const old of rows.keys()) if (!keys.includes(old)) rows.delete(old);
    arrange(body, items.map((item, at) => updateRow(rows, keys[at], columns, item)));
    host.classList.toggle("is-empty", items.length === 0);
    nothing.hidden = items.length > 0;
    setText(nothing, typeof empty === "function" ? empty() : empty);
  }
  return {update};
}

// Ids are no unique keys: the second of a kind gets a number.
function uniqueKeys(items, key) {
  const seen = new Map();
  return items.map((item) => {
    const name = key(item), times = seen.get(name) || 0;
    seen.set(name, times + 1);
    return times ? `${name} #${times + 1}` : name;
  });
}

function updateRow(rows, key, columns, item) {
  let row = rows.get(key);
  if (!row) rows.set(key, row = makeRow(key, columns));
  row.item = item;
  columns.forEach((column, at) => {
    if (column.fill) column.fill(row.children[at], item);
    else setText(row.children[at].lastChild, column.text(item));
    if (column.alarm) row.children[at].classList.toggle("alarm", column.alarm(item));
  });
  return row;
}

function makeRow(key, columns) {
  return el("tr", {role: "row", "data-row": key}, ...columns.map((column) => {
    const cell = el("td", {role: "cell", class: column.kind, "data-name": column.name, "data-label": column.label});
    if (!column.fill) cell.append(el("span"));
    return cell;
  }));
}

// For an action column: builds the cell's buttons once; what they act on is the row's item of the moment.
function actionButton(cell, label, run) {
  const button = el("button", {type: "button"}, label);
  button.addEventListener("click", () => run(cell.parentNode.item, button));
  cell.append(button);
  return button;
}
