// Drives a nexo port with the unmodified npm client @adyen/api-library.
//
//   node adyen_client.mjs PACKAGE_DIR SETTINGS_JSON
//
// One JSON command a line on stdin, one JSON answer a line on stdout:
//   {"category": "Payment", "body": {...}, "class": "Service", "service": "1"}
// The client sends to port 8443 of an address; a test's port is another, which the https agent
// is told underneath the client.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { join } from "node:path";
import https from "node:https";

const [packageDir, text] = process.argv.slice(2);
const settings = JSON.parse(text);
const require = createRequire(join(packageDir, "package.json"));
const library = require("./lib/src/index.js");
// The package's index does not name this one.
const Unencrypted = require("./lib/src/services/terminalLocalAPIUnencrypted.js").default;

const request = https.request;
https.request = (options) => request({ ...options, port: settings.port });

const config = new library.Config({
  apiKey: settings.apiKey,
  terminalApiLocalEndpoint: "https://127.0.0.1",
  connectionTimeoutMillis: 60000,
  certificatePath: settings.certificate,
  environment: "TEST",
});
const client = new library.Client(config);
const key = settings.key && {
  AdyenCryptoVersion: 1,
  KeyIdentifier: settings.key,
  KeyVersion: 1,
  Passphrase: settings.passphrase,
};
const api = key ? new library.TerminalLocalAPI(client) : new Unencrypted(client);

async function ask(command) {
  const message = {
    SaleToPOIRequest: {
      MessageHeader: {
        MessageCategory: command.category,
        MessageClass: command.class ?? "Service",
        MessageType: "Request",
        POIID: "POI-1",
        ProtocolVersion: "3.0",
        SaleID: settings.saleId,
        ServiceID: command.service,
      },
      [`${command.category}Request`]: command.body,
    },
  };
  return key ? api.request(message, key) : api.request(message);
}

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  ask(command).then(
    (answer) => console.log(JSON.stringify({ service: command.service, answer })),
    (error) => console.log(JSON.stringify({ service: command.service, error: String(error.message) })),
  );
}
