// Reads texts as programs in Node do: [[reader, text], ...] on standard input, a list of what each saw on standard
// output; null where the reader gave up.
import { readFileSync } from "node:fs";
import { parseEnv } from "node:util";
import dotenv from "dotenv";
import * as jsYaml from "js-yaml";
import * as yaml from "yaml";

const readers = {
  node: (text) => ({ ...parseEnv(text) }),
  "npm dotenv": (text) => dotenv.parse(text),
  "node JSON": (text) => JSON.parse(text.replace(/^\ufeff/, "")),
  "npm yaml": (text) => yaml.parse(text, { merge: true }),
  "npm js-yaml": (text) => jsYaml.load(text),
};

const seen = JSON.parse(readFileSync(0, "utf8")).map(([reader, text]) => {
  try {
    return readers[reader](text) ?? null;
  } catch {
    return null;
  }
});
process.stdout.write(JSON.stringify(seen));
