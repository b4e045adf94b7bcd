// Elements. Whatever comes from a message goes in as text, never as markup.
const byId = (id) => document.getElementById(id);

// el("td", {class: "number"}, "12", child): attributes as given; false and null leave one out.
function el(name, attributes = {}, ...children) {
  return furnish(document.createElement(name), attributes, children);
}

function svg(name, attributes = {}, ...children) {
  return furnish(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function furnish(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes))
    if (value !== null && value !== false) node.setAttribute(key, value === true ? "" : value);
  node.append(...children.filter((child) => child !== null));
  return node;
}

// Writes only what has changed: what the reader has selected or focused stays as it is.
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function setAttribute(node, name, value) {
  if (value === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

// Children of `host` become those of `nodes`, in their order; what stays in place is not touched.
function arrange(host, nodes) {
  const wanted = new Set(nodes);
  for (const child of [...host.children]) if (!wanted.has(child)) child.remove();
  nodes.forEach((node, place) => {
    if (host.children[place] !== node) host.insertBefore(node, host.children[place] || null);
  });
}
