"""A sync handler: makes thumbnails with an external program, at most a minute each."""

import subprocess

import bide


@bide.handler("thumbnail")
def thumbnail(message):
    picture = message.json()
    done = subprocess.run(["convert", picture["path"], "-resize", "200x", picture["path"] + ".small"],
                          capture_output=True, text=True, timeout=message.remaining)
    if "no such file" in done.stderr.lower():
        raise bide.Dead(done.stderr)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    bide.send("thumbnail-ready", {"path": picture["path"]})


bide.serve()
