"""A message that comes again: reminds somebody every day until they have answered."""

import bide

ANSWERED = set()


@bide.handler("remind")
def remind(message):
    person = message.json()["person"]
    if person in ANSWERED:
        return
    bide.log("info", "reminding", person=person)
    bide.send("remind", {"person": person}, delay="1d")


@bide.handler("answered")
def answered(message):
    ANSWERED.add(message.json()["person"])


bide.serve()
