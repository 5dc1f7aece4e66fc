#!/usr/bin/env node
// SPDX-License-Identifier: MIT
// One thread, the event loop of Node.js.
// Options as of the peers in Python: -b ADDRESS, -p PORT (0 is a free one), --quiet.
"use strict";
const net = require("net");

const given = process.argv.slice(2);

function option(name, otherwise) {
    return given.includes(name) ? given[given.indexOf(name) + 1] : otherwise;
}

function say(...words) {
    if (!given.includes("--quiet"))
        console.log(...words);
}

const server = net.createServer((connection) => {
    const address = `('${connection.remoteAddress}', ${connection.remotePort})`;
    connection.setNoDelay(true);
    connection.on("data", (data) => say(`Received from ${address}: ${data}`));
    connection.on("error", () => {}); // it was reset
    connection.on("close", () => say(`Connection with ${address} closed`));
    connection.pipe(connection); // which waits for a peer that does not read
});

for (const signal of ["SIGINT", "SIGTERM"])
    process.on(signal, () => {
        say("\nServer is shutting down...");
        process.exit(0);
    });

server.on("error", (error) => {
    console.error(`event_loop.js: ${error.message}`);
    process.exit(2);
});
server.listen(Number(option("-p", 65432)), option("-b", "127.0.0.1"), 128, () => {
    const { family, address, port } = server.address();
    console.log(`Server listening on ${family === "IPv6" ? `[${address}]` : address}:${port}`);
});
