// Runs portable test modules under MicroPython's WebAssembly build in node.
//
//   node wasm_runner.mjs PACKAGE_DIR ROOT MODULE...
//
// Copies firmware/, tests/portable/, tests/support/ and the recording that they replay into the
// build's own file system, then runs tests/support/mpy_runner.py there. Exit 1 on a failure.
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [packageDir, root, ...modules] = process.argv.slice(2);
const { loadMicroPython } = await import(pathToFileURL(join(packageDir, "micropython.mjs")).href);

let printed = "";
const python = await loadMicroPython({ heapsize: 16 * 1024 * 1024, linebuffer: true, stdout: (line) => { printed += line + "\n"; } });

function copy(from, to) {
  python.FS.mkdirTree(to);
  for (const name of readdirSync(from)) {
    if (name === "__pycache__") continue;
    const path = join(from, name);
    if (statSync(path).isDirectory()) copy(path, `${to}/${name}`);
    else if (/\.(py|bin)$/.test(name)) python.FS.writeFile(`${to}/${name}`, readFileSync(path));
  }
}

copy(join(root, "firmware"), "/app/firmware");
copy(join(root, "tests/portable"), "/app/tests/portable");
copy(join(root, "tests/support"), "/app/tests/support");
python.FS.mkdirTree("/app/docs/examples");
const recording = "docs/examples/recording.json";
python.FS.writeFile(`/app/${recording}`, readFileSync(join(root, recording)));
python.FS.writeFile("/app/tests/__init__.py", "");
python.FS.writeFile("/app/runner.py", readFileSync(join(root, "tests/support/mpy_runner.py")));
python.runPython(`
import sys
sys.path.insert(0, "/app")
import tests.support.wasm_asyncio
import runner
failed = runner.run(${JSON.stringify(modules)})
`);
process.stdout.write(printed);
process.exit(python.globals.get("failed") ? 1 : 0);
