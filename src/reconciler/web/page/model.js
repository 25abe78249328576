// The map as this page knows it: rows by key, rows by backend, and what has changed since the
// last time somebody painted. It knows no element.
//
// The key of a row is `INDEX/BACKEND/SLOT`: HAProxy's index, and the names, which have no slash.

const ENTRIES_KEPT = 200;

export class Model {
  constructor() {
    this.rows = new Map();
    this.groups = new Map();
    this.small = { haproxies: new Map(), docker: new Map(), unplaced: new Map() };
    this.entries = [];
    this.dirtyRows = new Set();
    this.dirtyGroups = new Set();
    this.isSmallDirty = true;
    this.isWhole = false;
    this.daemon = null;
    this.version = "";
    /** What has to be added to this machine's clock to make it the daemon's, in seconds. */
    this.skew = 0;
    this._stale = null;
  }

  /** The daemon's clock, in Unix seconds. */
  now() {
    return Date.now() / 1000 + this.skew;
  }

  /** The whole map begins: whatever is not told again until it ends is gone. */
  begin(head) {
    this.skew = head.now - Date.now() / 1000;
    this._stale = new Set(this.rows.keys());
    this.isWhole = false;
    this.version = head.version;
    for (const table of Object.values(this.small)) table.clear();
    const others = this.daemon === head.daemon ? this.entries : [];
    const known = new Set(others.map((one) => one.id));
    const fresh = head.entries.filter((one) => !known.has(one.id));
    this.daemon = head.daemon;
    this.entries = others;
    this._remember(fresh);
    this._changeSmall(head);
    return fresh;
  }

  end() {
    for (const key of this._stale ?? []) this._remove(key);
    this._stale = null;
    this.isWhole = true;
    this.isSmallDirty = true;
  }

  /** Take in what has changed; returns the new entries of the journal. */
  change(told) {
    for (const [key, fields] of Object.entries(told.rows?.set ?? {})) {
      this._setRow(key, fields);
    }
    for (const key of told.rows?.gone ?? []) this._remove(key);
    this._changeSmall(told);
    const fresh = told.entries ?? [];
    this._remember(fresh);
    return fresh;
  }

  _remember(fresh) {
    if (fresh.length) this.entries = [...this.entries, ...fresh].slice(-ENTRIES_KEPT);
  }

  _changeSmall(told) {
    for (const [section, table] of Object.entries(this.small)) {
      const found = told[section];
      if (!found) continue;
      this.isSmallDirty = true;
      for (const [key, fields] of Object.entries(found.set)) {
        table.set(key, merged(table.get(key) ?? {}, fields));
      }
      for (const key of found.gone ?? []) table.delete(key);
      for (const group of this.groups.values()) this.dirtyGroups.add(group);
    }
  }

  _setRow(key, fields) {
    let row = this.rows.get(key);
    const isNew = !row;
    if (isNew) row = this._newRow(key);
    const before = row.fields;
    // While the whole map is told, a row is told whole.
    const base = isNew || this._stale?.delete(key) ? {} : before;
    row.fields = merged(base, fields);
    if (before.state !== row.fields.state) {
      if (before.state) row.group.counts[before.state] -= 1;
      row.group.counts[row.fields.state] = (row.group.counts[row.fields.state] ?? 0) + 1;
      this.dirtyGroups.add(row.group);
    }
    row.isNews ||= this.isWhole && !isNew && isOther(before, row.fields);
    if (isNew || isOther(before, row.fields) || "check" in fields) row.text = null;
    this.dirtyRows.add(row);
  }

  _newRow(key) {
    const [index, backend, slot] = key.split("/");
    const name = `${index}/${backend}`;
    let group = this.groups.get(name);
    if (!group) {
      group = { name, index, backend, rows: [], counts: {}, isSorted: true };
      this.groups.set(name, group);
    }
    const number = Number(/\d*$/.exec(slot)[0]);
    const row = { key, slot, number, group, fields: {}, text: null, isNews: false };
    group.rows.push(row);
    group.isSorted = false;
    this.rows.set(key, row);
    return row;
  }

  _remove(key) {
    const row = this.rows.get(key);
    if (!row) return;
    const { group } = row;
    this.rows.delete(key);
    group.counts[row.fields.state] -= 1;
    group.rows = group.rows.filter((one) => one !== row);
    group.isSorted = false;
    row.isGone = true;
    this.dirtyRows.add(row);
    this.dirtyGroups.add(group);
    if (!group.rows.length) this.groups.delete(group.name);
  }

  /** How many slots are in each state, over all backends. */
  totals() {
    const all = {};
    for (const { counts } of this.groups.values()) {
      for (const [state, number] of Object.entries(counts)) all[state] = (all[state] ?? 0) + number;
    }
    return all;
  }

  unplacedOf(group) {
    let found = 0;
    for (const key of this.small.unplaced.keys()) {
      if (key.startsWith(`${group.name}/`)) found += 1;
    }
    return found;
  }

  /** How many things somebody should look at. */
  troubles() {
    const { haproxies, docker, unplaced } = this.small;
    let found = unplaced.size + (this.totals().down ?? 0);
    for (const one of haproxies.values()) found += one.reached && one.converged ? 0 : 1;
    for (const one of docker.values()) found += one.followed ? 0 : 1;
    return found;
  }
}

/** Fields with others over them; null takes one away. */
function merged(fields, others) {
  const all = { ...fields, ...others };
  for (const name of Object.keys(others)) if (all[name] === null) delete all[name];
  return all;
}

/** Whether somebody should notice: the state or the tenant is another. */
function isOther(before, after) {
  return before.state !== after.state || before.container_id !== after.container_id ||
    before.address !== after.address || before.held !== after.held;
}
