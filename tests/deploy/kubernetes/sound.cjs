// SPDX-License-Identifier: MIT
//
// sound.cjs MODULES FILE: holds each object of a file of manifests to the schema of its kind (values and what is
// missing) and to its TypeScript type (fields that do not exist), as npm's packages kubernetes-models and
// @kubernetes-models/prometheus-operator in the folder MODULES have them. Prints what is wrong, and which kinds there
// are.
const { createRequire } = require("node:module");
const { readFileSync, writeFileSync } = require("node:fs");
const { join } = require("node:path");

const [modules, file] = process.argv.slice(2);
const load = createRequire(modules + "/");
const typescript = load("typescript");

/** The module that describes a kind. */
function moduleOf({ apiVersion, kind }) {
  const operator = apiVersion.startsWith("monitoring.coreos.com/");
  return `${operator ? "@kubernetes-models/prometheus-operator" : "kubernetes-models"}/${apiVersion}/${kind}`;
}

function* schemaFindings(object) {
  try {
    new (load(moduleOf(object))[object.kind])(object).validate();
  } catch (error) {
    yield `${object.kind} ${object.metadata?.name}: ${error.message}`;
  }
}

/** Written as literals, in which the compiler finds what the type does not have. */
function* typeFindings(objects) {
  const source = join(modules, "objects.ts");
  writeFileSync(source, objects.map((object, i) =>
    `import { I${object.kind} as I${i} } from "${moduleOf(object)}";\n` +
    `export const o${i}: I${i} = ${JSON.stringify(object, null, 1)};\n`).join(""));
  const program = typescript.createProgram([source], { strict: true, noEmit: true, skipLibCheck: true, types: [] });
  for (const { file: at, start, messageText } of typescript.getPreEmitDiagnostics(program)) {
    const line = at ? at.text.slice(start).split("\n")[0] : "";
    yield `${typescript.flattenDiagnosticMessageText(messageText, " ")} (${line})`;
  }
}

const objects = load("yaml").parseAllDocuments(readFileSync(file, "utf8")).map((document) => document.toJS());
const findings = [...objects.flatMap((object) => [...schemaFindings(object)]), ...typeFindings(objects)];
findings.forEach((finding) => console.log(finding));
console.log(objects.map((object) => object.kind).sort().join(" "));
process.exit(findings.length === 0 && objects.length > 0 ? 0 : 1);
