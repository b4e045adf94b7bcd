// node run.js JSON: scenarios, one after the other, against a running console; exit 0 when all hold.
"use strict";
const {launch} = require("./console.js");
const {scenarios, ...given} = JSON.parse(process.argv[2]);

async function run() {
  const browser = await launch();
  for (const [name, changes] of scenarios) {
    const started = Date.now();
    await require(`./${name}.js`)({...given, ...changes, browser}).catch((error) => {
      throw new Error(`${name} on a ${given.size}: ${error.message}`, {cause: error});
    });
    console.log(`${name} on a ${given.size}: ${((Date.now() - started) / 1000).toFixed(1)} s`);
  }
  await browser.close();
}

run().catch((error) => {
  console.log(error.stack, error.cause.stack);
  process.exit(1);
});
