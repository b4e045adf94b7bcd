"""Async handlers: many waits at once in one process. Give the program `concurrency = 100`."""

import asyncio

import bide


@bide.handler("wait")
async def wait(message):
    await asyncio.sleep(message.json()["seconds"])


@bide.handler("port")
async def port(message):
    target = message.json()
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(target["host"], target["port"]), 5)
    except OSError as error:
        raise bide.Retry(str(error), after="30s") from error
    writer.close()
    bide.log("info", "it answers", host=target["host"])


bide.serve()
