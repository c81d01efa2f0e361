// The driver behind pipes: a JSON array (action, id, arguments) a line comes in, a JSON array (id, name, arguments) goes out.
const { createInterface } = require("readline");
const { io } = require("socket.io-client");
const driver = require(process.argv[2]);

const act = driver(io, (...told) => process.stdout.write(JSON.stringify(told) + "\n"));
createInterface({ input: process.stdin })
  .on("line", (line) => act(...JSON.parse(line)))
  .on("close", () => process.exit(0));
