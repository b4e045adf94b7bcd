"""A wall clock that a test sets."""

import struct

from .plugins import build_library


class WallClock:
    """Of the programs that are given its environment."""

    def __init__(self, project):
        self.file = project.dir / "wall-clock"
        self.set(0)
        library = build_library("wall_clock.c", project.dir / "wall_clock.so")
        self.env = {"LD_PRELOAD": str(library), "WALL_CLOCK_AHEAD": str(self.file)}

    def set(self, ahead_ms):
        with open(self.file, "r+b" if self.file.exists() else "wb") as file:
            file.write(struct.pack("=q", ahead_ms))
