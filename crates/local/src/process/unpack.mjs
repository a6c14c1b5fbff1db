// Unpacks Chromium, its fonts and the libraries that it needs into TMPDIR.
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { inflate } from "@sparticuz/chromium";

const packed = fileURLToPath(new URL("../bin/", import.meta.resolve("@sparticuz/chromium")));
for (const name of readdirSync(packed)) await inflate(packed + name);
