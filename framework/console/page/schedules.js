// Schedules: next and last slot, what became of the others, pause and run. Asked for only where there is a clock.
function fillScheduleActions(cell, schedule) {
  if (!cell.firstChild) {
    actionButton(cell, "", (row, button) => changeSchedule(row, row.state === "paused" ? "resume" : "pause", button));
    actionButton(cell, "Run", (row, button) => changeSchedule(row, "run", button));
  }
  const [pause, run] = cell.children, word = schedule.state === "paused" ? "Resume" : "Pause";
  setText(pause, word);
  setAttribute(pause, "aria-label", `${word} schedule ${schedule.name}`);
  setAttribute(run, "aria-label", `Run schedule ${schedule.name} now`);
}

async function changeSchedule({name}, what, button) {
  button.disabled = true;
  const done = await act(`schedules/${encodeURIComponent(name)}/${what}`);
  button.disabled = false;
  button.focus();
  if (!done) return;
  toast(what === "run" ? `${done.id} is sent.` : what === "pause" ? `${name} is paused: its slots do not fire.` : `${name} goes on with its next slot.`);
  pollNow();
}

const stateOf = (row) => [row.state, row.from === "file" ? "" : row.from, row.differ ? `differs on ${row.differ}` : ""].filter(Boolean).join(", ");

const schedulesTable = makeTable(byId("schedules-table"), {
  label: "Schedules",
  key: (row) => row.name,
  empty: "There are no schedules.",
  columns: [
    {name: "name", label: "Schedule", kind: "title", text: (row) => row.name},
    {name: "times", label: "Times", kind: "text", text: (row) => row.times},
    {name: "next", label: "Next", kind: "text", hint: "the next slot whose message is not sent yet", text: (row) => (row.state === "paused" ? NOTHING : instant(row.next_ms)), alarm: (row) => row.overdue_ms > MINUTE},
    {name: "last", label: "Last", kind: "text", text: (row) => instant(row.last_ms)},
    figureColumn("fired", "Fired"),
    figureColumn("late", "Late"),
    figureColumn("skipped", "Skipped"),
    figureColumn("missed", "Missed"),
    {name: "state", label: "State", kind: "text", text: stateOf},
    {name: "actions", label: "Actions", kind: "action", fill: fillScheduleActions},
  ],
});

async function showSchedules({worker}) {
  byId("schedules").hidden = !worker.schedules;
  if (!worker.schedules) return;
  try {
    const {schedules} = await fetchJson("schedules");
    schedulesTable.update(schedules);
    setText(byId("schedules-note"), "");
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    setText(byId("schedules-note"), error.message);
  }
}
