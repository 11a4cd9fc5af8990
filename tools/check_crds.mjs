// Reads objects as a JSON list from standard input and checks those of other people's kinds against the schemas that
// @kubernetes-models carries. Prints what is wrong, one line each; for the compiler, writes typed.ts. Copied beside the
// packages and run there by tools/check_deploy.py.
import { readFileSync, writeFileSync } from "node:fs";

const packages = JSON.parse(process.argv[2]);
const objects = JSON.parse(readFileSync(0, "utf8"));
const typed = [];
let wrong = 0;
for (const [number, { overlay, object }] of objects.entries()) {
  const [group, version] = object.apiVersion.split("/");
  const place = `@kubernetes-models/${packages[group]}/${group}/${version}/${object.kind}`;
  const name = `${overlay}: ${object.kind} ${object.metadata.name}`;
  try {
    const found = await import(place);
    new found[object.kind](object).validate();
  } catch (error) {
    wrong += 1;
    console.log(`${name}: ${error.message}`);
  }
  typed.push(`// ${name}`);
  typed.push(`import type { I${object.kind} as T${number} } from "${place}";`);
  typed.push(`export const o${number}: T${number} = ${JSON.stringify(object)};`);
}
writeFileSync("typed.ts", typed.join("\n") + "\n");
process.exit(wrong ? 1 : 0);
