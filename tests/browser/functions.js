// node functions.js FOLDER: those functions of the page that need no browser, with what a producer may send.
"use strict";
const {execFileSync} = require("node:child_process");
const {readFileSync} = require("node:fs");
const path = require("node:path");
const vm = require("node:vm");

const page = vm.createContext({});
vm.runInContext(readFileSync(path.join(process.argv[2], "format.js"), "utf8"), page);
const call = (name, text) => vm.runInContext(name, page)(text);

function expect(condition, text) {
  if (!condition) throw new Error(text);
}

function pretty() {
  expect(call("prettyJson", '{"a":[1,2.50,{}],"b":"x\\"y"}') === '{\n  "a": [\n    1,\n    2.50,\n    {}\n  ],\n  "b": "x\\"y"\n}', "indents");
  expect(call("prettyJson", "{") === null && call("prettyJson", "text") === null, "what is no JSON");
  for (const text of ["[".repeat(20000), "[".repeat(2000) + "1" + "]".repeat(2000), "[".repeat(16000) + "1" + "]".repeat(16000),
    `"${"x".repeat(900000)}"`, `"${"\\n".repeat(300000)}"`, `[${"1,".repeat(300000)}1]`]) {
    const before = process.memoryUsage().heapUsed, shown = call("prettyJson", text);
    expect(shown === null || shown.length <= Math.max(300000, text.length), `${text.slice(0, 5)}…: ${shown && shown.length} characters`);
    expect(process.memoryUsage().heapUsed - before < 200e6, `${text.slice(0, 5)}…: too much memory`);
  }
}

// What the shell makes of a copied command is what was chosen.
function words() {
  for (const text of ["plain", "--type=a.b_c-d", "", "a b", "$(touch x)", "`id`", "it's", "'; rm -rf ~; '", "a\\b", "grüße", "*", "!x", "a\"b"]) {
    const said = execFileSync("sh", ["-c", `printf %s ${call("shellWord", text)}`], {encoding: "utf8"});
    expect(said === text, `${text}: the shell reads ${said}`);
  }
  for (const text of ["a\nid", "a\x1b[2J", "a\u009b", "a\u202e"]) expect(call("shellWord", text) === null, `${JSON.stringify(text)} is copied`);
}

pretty();
words();
