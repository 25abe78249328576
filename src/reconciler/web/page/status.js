// What is small: HAProxies, Docker, who has no slot, and what is wrong. Painted anew as a
// whole, and only where it reads otherwise than before.

const named = (name, value, kind) => {
  const element = document.createElement(name);
  element.textContent = value;
  if (kind) element.className = kind;
  return element;
};

function peer(title, word, level, more) {
  const item = document.createElement("li");
  item.dataset.level = level;
  const head = document.createElement("p");
  head.append(named("span", "", "mark"), named("b", title), " ", named("span", word, "word"));
  head.firstElementChild.setAttribute("aria-hidden", "true");
  item.append(head);
  if (more) item.append(named("p", more, "why"));
  return item;
}

function haproxyPeer(one) {
  const process = one.pid ? `HAProxy ${one.version}, pid ${one.pid}` : "";
  if (!one.reached) return peer(one.haproxy, one.error ? "not reached" : "not asked yet", one.error ? "bad" : "warn", one.error ?? "");
  if (!one.converged) return peer(one.haproxy, "not converged", "warn", [process, one.error].filter(Boolean).join(" · "));
  return peer(one.haproxy, "converged", "good", process);
}

function dockerPeer(one) {
  if (one.followed) return peer("Docker", "followed", "good", "");
  return peer("Docker", one.read ? "lost" : "not read yet", "bad", one.error ?? "");
}

export class Status {
  constructor(model) {
    this._model = model;
    this._peers = document.getElementById("peers");
    this._banners = document.getElementById("banners");
    this._unplaced = document.getElementById("unplaced");
    this._unplacedRows = document.getElementById("unplaced-rows");
    this._unplacedTitle = document.getElementById("unplaced-title");
    this._shown = {};
  }

  paint() {
    const { haproxies, docker, unplaced } = this._model.small;
    this._where("peers", [...haproxies.values(), ...docker.values()], () => this._peers.replaceChildren(
      ...[...haproxies.values()].map(haproxyPeer), ...[...docker.values()].map(dockerPeer)));
    this._where("unplaced", [...unplaced.values()], () => this._paintUnplaced([...unplaced.values()]));
    const banners = this._texts();
    this._where("banners", banners, () => this._banners.replaceChildren(...banners.map((one) => {
      const banner = named("p", one, "banner");
      banner.setAttribute("role", "alert");
      return banner;
    })));
  }

  _where(name, value, paint) {
    const text = JSON.stringify(value);
    if (this._shown[name] === text) return;
    this._shown[name] = text;
    paint();
  }

  _texts() {
    const found = [];
    for (const one of this._model.small.docker.values()) {
      if (!one.followed && one.read) found.push(`Docker is not followed, the map stays as it is: ${one.error}`);
    }
    for (const one of this._model.small.haproxies.values()) {
      if (!one.reached && one.error) found.push(`${one.haproxy} does not answer, what you see of it is old: ${one.error}`);
    }
    return found;
  }

  _paintUnplaced(all) {
    this._unplaced.hidden = all.length === 0;
    this._unplacedTitle.textContent = `Without a slot: ${all.length}`;
    this._unplacedRows.replaceChildren(...all.map((one) => {
      const row = document.createElement("tr");
      const who = named("th", one.container, "who");
      who.scope = "row";
      who.setAttribute("role", "rowheader");
      const cells = [one.backend ?? "", one.reason].map((text) => named("td", text));
      for (const cell of cells) cell.setAttribute("role", "cell");
      row.setAttribute("role", "row");
      row.append(who, ...cells);
      return row;
    }));
  }
}
