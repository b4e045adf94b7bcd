/* Node's amqplib, as a program would use it: sends each line of its standard input,
 * {"exchange", "key", "options": {"type", "headers", "expiration", ...}}, and ends when the broker has confirmed all of them. */
"use strict";

const amqplib = require("amqplib");
const readline = require("node:readline");

async function main(url) {
    const connection = await amqplib.connect(url);
    const channel = await connection.createConfirmChannel();
    for await (const line of readline.createInterface({input: process.stdin})) {
        const {exchange, key, options} = JSON.parse(line);
        channel.publish(exchange, key, Buffer.from("{}"), {persistent: true, mandatory: true, ...options});
    }
    await channel.waitForConfirms();
    await connection.close();
}

main(process.argv[2]);
