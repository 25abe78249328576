// Words and numbers for people. Pure: values in, text out.

/** The states of a slot, worst first, as the buttons above the map show them. */
export const STATES = ["down", "drain", "maint", "ready", "free"];

/** A state in a word; a slot that an operator took out says so. */
export function stateWord(fields) {
  return fields.held ? `${fields.state} (held)` : fields.state;
}

/** `12 s`, `4 min`, `3 h`, `9 d`: as exact as a glance needs. */
export function span(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.floor(seconds / 5) * 5)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

export function place(fields) {
  if (!fields.address) return "";
  const host = fields.address.includes(":") ? `[${fields.address}]` : fields.address;
  return fields.port ? `${host}:${fields.port}` : host;
}

const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const DATE = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });

export const clock = (unix) => TIME.format(new Date(unix * 1000));
export const dateAndTime = (unix) => DATE.format(new Date(unix * 1000));

export function count(number, word) {
  return `${number} ${word}${number === 1 ? "" : "s"}`;
}

/** What each kind of entry says, and to which of the timeline's choices it belongs. */
export const KINDS = {
  assign: ["assigned", "slots"],
  finish: ["finished assigning", "slots"],
  release: ["released", "slots"],
  drain: ["drained", "slots"],
  shutdown: ["closed sessions of", "slots"],
  ready: ["ready again", "slots"],
  weight: ["weight set", "slots"],
  unplaced: ["no slot for", "trouble"],
  refused: ["refused", "trouble"],
  held: ["held", "holds"],
  unheld: ["hold over", "holds"],
  haproxy_lost: ["HAProxy lost", "trouble"],
  haproxy_reached: ["HAProxy reached", "trouble"],
  haproxy_replaced: ["HAProxy replaced", "trouble"],
  haproxy_found: ["HAProxy found", "trouble"],
  haproxy_gone: ["HAProxy gone", "trouble"],
  docker_lost: ["Docker lost", "trouble"],
  docker_followed: ["Docker followed", "trouble"],
};

export function entryPlace(entry) {
  if (entry.backend) return entry.slot ? `${entry.backend}/${entry.slot}` : entry.backend;
  return entry.haproxy ?? "";
}

/** One entry as a sentence, for whoever listens. */
export function sentence(entry) {
  const [verb] = KINDS[entry.kind] ?? [entry.kind];
  return [entryPlace(entry), verb, entry.container ?? ""].filter(Boolean).join(" ");
}
