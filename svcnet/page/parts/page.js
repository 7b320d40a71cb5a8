"use strict";
(() => {
  const MOST_ROWS = 200;
  const MOST_ENDS = 24;
  const LEVELS = ["error", "warning", "note"];
  const WORDS = { error: "problem", warning: "look", note: "note" };

  const byId = (id) => document.getElementById(id);
  const head = JSON.parse(byId("head").textContent);
  const main = byId("main");

  /** Return an element with attributes and children; texts are text, whatever they hold. */
  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === false || value === null || value === undefined) continue;
      if (name === "checked") element.checked = true;
      else element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.flat().filter((child) => child !== null && child !== ""));
    return element;
  }

  const count = (number, one, many) =>
    `${number.toLocaleString("en")} ${number === 1 ? one : many}`;

  // The Services' own documents: packed, several together.

  const pieces = new Map();
  const starts = [];
  head.pieces.reduce((start, size) => (starts.push(start), start + size), 0);

  async function unpack(number) {
    const text = atob(byId(`piece-${number}`).textContent);
    const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).json();
  }

  async function serviceOf(number) {
    let piece = starts.length - 1;
    while (starts[piece] > number) piece -= 1;
    if (!pieces.has(piece)) {
      if (pieces.size > 8) pieces.clear();
      pieces.set(piece, await unpack(piece));
    }
    return pieces.get(piece)[number - starts[piece]];
  }

  // Which Service is looked at, and what of it: the address of the page says so.

  const places = new Map(head.services.map(([space, name], number) => [`${space}/${name}`, number]));
  const addressOf = (...parts) => `#/${parts.map(encodeURIComponent).join("/")}`;
  const linkTo = (number) => addressOf(head.services[number][0], head.services[number][1]);

  function asked() {
    let parts;
    try {
      parts = location.hash.replace(/^#\//, "").split("/").map(decodeURIComponent);
    } catch {
      return { number: head.single ? 0 : undefined, choice: [] };
    }
    const found = head.single ? 0 : places.get(`${parts[0]}/${parts[1]}`);
    return { number: found, choice: parts.slice(2) };
  }

  // The list.

  const rank = (entry) => (entry[4] ? LEVELS.indexOf(entry[4]) : LEVELS.length);
  const order = head.services.map((_, number) => number);
  order.sort((a, b) => rank(head.services[a]) - rank(head.services[b]) || a - b);
  const haystacks = head.services.map((entry) => entry.slice(0, 4).join(" ").toLowerCase());
  let shown = order;
  let room = MOST_ROWS;

  function search(text) {
    const words = text.toLowerCase().split(/[\s/]+/).filter(Boolean);
    shown = order.filter((number) => words.every((word) => haystacks[number].includes(word)));
    room = MOST_ROWS;
    list();
  }

  function row(number) {
    const [space, name, type, , level] = head.services[number];
    const flag = level ? make("span", { class: `flag ${level}` }, WORDS[level]) : null;
    return make("li", {},
      make("a", { href: linkTo(number), "data-number": number },
        make("span", { class: "name" }, name), flag ?? make("span"),
        make("span", { class: "space" }, space), make("span", { class: "kind" }, type)));
  }

  function list() {
    byId("list").replaceChildren(...shown.slice(0, room).map(row));
    const all = count(head.services.length, "Service", "Services");
    byId("found").textContent = shown.length === head.services.length ? all
      : `${shown.length.toLocaleString("en")} of ${all}`;
    const more = byId("more");
    more.hidden = shown.length <= room;
    more.textContent = `Show ${Math.min(shown.length - room, MOST_ROWS)} more`;
    mark();
  }

  function mark() {
    const { number } = asked();
    for (const link of byId("list").querySelectorAll("a")) {
      if (Number(link.dataset.number) === number) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  }

  function listKeys() {
    const field = byId("search");
    field.addEventListener("input", () => search(field.value));
    byId("more").addEventListener("click", () => {
      const before = room;
      room += MOST_ROWS;
      list();
      byId("list").querySelectorAll("a")[before]?.focus();
    });
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const links = [...byId("list").querySelectorAll("a")];
      const at = links.indexOf(document.activeElement);
      const isTyping = document.activeElement.matches("input[type=search], select");
      if (event.key === "/" && !isTyping) {
        event.preventDefault();
        field.focus();
        field.select();
      } else if (event.key === "ArrowDown" && (document.activeElement === field || at >= 0)) {
        event.preventDefault();
        links[at + 1]?.focus();
      } else if (event.key === "ArrowUp" && at >= 0) {
        event.preventDefault();
        (links[at - 1] ?? field).focus();
      } else if (event.key === "Enter" && document.activeElement === field && links.length) {
        links[0].click();
      } else if (event.key === "Escape" && document.activeElement === field) {
        field.value = "";
        search("");
      }
    });
  }

  // What is wrong.

  function problem(found, withName) {
    const name = withName && found.service !== undefined
      ? make("a", { href: linkTo(found.service) }, head.services[found.service].slice(0, 2).join("/"))
      : null;
    const where = [found.place, found.check].filter(Boolean).join(" · ");
    return make("li", { class: found.level },
      make("p", { class: "what" }, found.title),
      make("p", {}, name, name ? ": " : null, found.text),
      where ? make("p", { class: "more mono" }, where) : null,
      found.reason ? make("p", { class: "more" }, found.reason) : null);
  }

  function problems(found, withName) {
    const items = make("ul", { class: "problems" });
    const more = make("button", { type: "button" });
    let done = 0;
    const grow = () => {
      items.append(...found.slice(done, done + 50).map((each) => problem(each, withName)));
      done = Math.min(done + 50, found.length);
      more.hidden = done === found.length;
      more.textContent = `Show ${Math.min(50, found.length - done)} more of ${found.length}`;
    };
    more.addEventListener("click", grow);
    grow();
    return [items, more];
  }

  function overview() {
    document.title = head.title;
    const found = head.problems;
    const wrong = found.length
      ? [make("h2", {}, count(found.length, "thing to look at", "things to look at")),
         ...problems(found, true)]
      : [make("h2", {}, "Nothing is wrong"),
         make("p", {}, "Every frontend leads to an endpoint, and no check found a mistake.")];
    main.replaceChildren(
      make("h1", { tabindex: "-1" }, head.title),
      make("p", { class: "lead" }, head.lead),
      ...wrong);
  }

  // The picture of one Service.

  let seen = null; // {number, service, part, cell, way, difference}

  function lead(service, part, frontend, sender, way) {
    const parts = service.parts;
    const chosen = parts[part] ?? parts[0];
    const cells = chosen.cells;
    const cell = cells.find((each) => each.frontend === frontend && each.sender === sender)
      ?? cells.find((each) => each.frontend === frontend) ?? cells[0];
    return { part: chosen, cell, way: cell?.ways[way] ?? null, difference: null };
  }

  /** Look at one difference of the machine, or again at what should be. */
  function compareWith(difference) {
    const { number, service, part } = seen;
    const at = service.parts.indexOf(part);
    const [space, name] = head.services[number];
    seen = { ...seen, difference };
    const last = difference ? ["difference", part.differences.indexOf(difference)] : [];
    history.replaceState(null, "", addressOf(space, name, at, ...last));
    draw();
  }

  function choose(part, frontend, sender, way) {
    const { number, service } = seen;
    seen = { number, service, ...lead(service, part, frontend, sender, way) };
    const [space, name] = head.services[number];
    const { part: own, cell } = seen;
    const choice = cell ? [part, own.frontends.indexOf(cell.frontend), cell.sender] : [part];
    const last = seen.way ? [cell.ways.indexOf(seen.way)] : [];
    const start = head.single ? [] : [space, name];
    history.replaceState(null, "", addressOf(...start, ...choice, ...last));
    draw();
  }

  /** Return the parts of an address, so that a line ends before the port if it has to. */
  function breakable(text) {
    const port = text.lastIndexOf(":");
    return port > 0 ? [text.slice(0, port), make("wbr"), text.slice(port)] : [text];
  }

  function radio(group, id, value, isChosen, title, note, extra, onChoose, classes = "") {
    const input = make("input", { type: "radio", name: group, id, value, checked: isChosen });
    input.addEventListener("change", onChoose);
    return make("label", { class: `node ${classes}`, for: id },
      input, make("span", { class: "chance" }, make("span", { class: "title" }, breakable(title)), extra),
      note ? make("span", { class: "remark" }, note) : null);
  }

  function senders() {
    const { service, part, cell } = seen;
    const column = make("fieldset", { class: "column", id: "senders" },
      make("legend", {}, "Who sends"));
    const at = service.parts.indexOf(part);
    for (const each of part.cells.filter((other) => other.frontend === cell.frontend)) {
      const isChosen = each.sender === cell.sender;
      column.append(radio("sender", `sender-${each.sender.replaceAll(" ", "-")}`, each.sender,
        isChosen, each.sender, each.source, null,
        () => choose(at, cell.frontend, each.sender), isChosen ? "lit chosen" : ""));
    }
    return column;
  }

  function ports() {
    const { service, part, cell } = seen;
    if (service.parts.length < 2) return null;
    const families = new Set(service.parts.map((own) => own.family));
    const row = make("fieldset", { class: "ports", id: "ports" }, make("legend", {}, "Port"));
    service.parts.forEach((own, at) => {
      const named = [own.port || own.nodes[own.frontends[0]]?.title, own.protocol];
      if (families.size > 1) named.push(own.family);
      const isChosen = own === part;
      row.append(radio("port", `port-${at}`, at, isChosen, named.join(" "), "", null,
        () => choose(at, own.frontends[0], cell?.sender), isChosen ? "lit chosen" : ""));
    });
    return row;
  }

  function machine() {
    const { part, difference } = seen;
    if (!head.compared || head.single) return null;
    if (!part.differences.length) {
      return make("p", { class: "note" }, "No difference of the machine is shown on this port.");
    }
    const row = make("fieldset", { class: "ports", id: "machine" },
      make("legend", {}, "The machine"),
      radio("machine", "machine-none", "", difference === null, "as it should be", "", null,
        () => compareWith(null), difference === null ? "lit chosen" : ""));
    part.differences.forEach((each, at) => row.append(radio("machine", `machine-${at}`, at,
      each === difference, each.kind, "", null, () => compareWith(each),
      `bad ${each === difference ? "lit chosen" : ""}`)));
    return row;
  }

  function sent(difference) {
    return make("div", { class: "column", id: "senders" }, make("h3", {}, "Who sends"),
      make("div", { class: "node lit chosen" }, make("span", { class: "title" }, difference.source),
        make("span", { class: "remark" }, "one packet that shows it")));
  }

  function comparedEnds(difference) {
    const { part } = seen;
    const column = make("div", { class: "column", id: "ends" }, make("h3", {}, "Where it ends"));
    const wanted = new Map(difference.wanted.map((end) => [end[0], end]));
    const found = new Map(difference.found.map((end) => [end[0], end]));
    const own = [...new Set([...wanted.keys(), ...found.keys()])];
    const same = (end) => wanted.get(end)?.[1] === found.get(end)?.[1]
      && wanted.get(end)?.[3] === found.get(end)?.[3];
    own.sort((a, b) => same(a) - same(b));
    for (const end of allEnds ? own : own.slice(0, MOST_ENDS)) {
      const node = part.nodes[end];
      const told = (which) => (which.has(end)
        ? [which.get(end)[1], which.get(end)[3]].filter(Boolean).join(", ") : "never");
      const bar = make("span", { class: "bar", "aria-hidden": "true" });
      bar.style.setProperty("--share", found.get(end)?.[2] ?? 0);
      column.append(make("div", { class: `node lit ${same(end) ? "" : "bad"}`, "data-node": end },
        make("span", { class: "title" }, breakable(node.title)),
        same(end) ? make("span", { class: "remark" }, `${told(found)}, as it should be`)
          : [make("span", { class: "remark" }, `should: ${told(wanted)}`),
             make("span", { class: "remark does" }, `does: ${told(found)}`)],
        bar));
    }
    if (own.length > MOST_ENDS && !allEnds) {
      const more = make("button", { type: "button", class: "all" }, `Show all ${own.length}`);
      more.addEventListener("click", () => { allEnds = true; draw(); });
      column.append(more);
    }
    return column;
  }

  function differenceInWords() {
    const { service, difference } = seen;
    const lines = difference.lines.map((line) => service.lines[line]);
    const blocks = [
      difference.place >= 0 ? written(service.places[difference.place]) : null,
      lines.length ? rules(lines) : null,
    ].filter(Boolean);
    return make("section", { class: "way", id: "way" },
      make("h2", {}, "What says how it should end, and what makes it end otherwise"),
      make("div", { class: `proof ${blocks.length > 1 ? "both" : ""}` }, blocks));
  }

  function differenceVerdict() {
    const { part, difference } = seen;
    const told = (ends) => ends.map(([end, chance]) =>
      `${chance === "1" ? "" : `${chance} `}${part.nodes[end].title}`).join(", ");
    return make("div", { class: "verdict", role: "status" },
      make("p", { class: "asks" }, difference.packet),
      make("p", { class: "says refused" }, `${difference.kind}: ${difference.means}`),
      make("p", { class: "aside" }, `should: ${told(difference.wanted)}`),
      make("p", { class: "aside" }, `does: ${told(difference.found)}`));
  }

  function frontends() {
    const { service, part, cell, difference } = seen;
    const column = make("fieldset", { class: "column", id: "frontends" },
      make("legend", {}, "What is asked"));
    const at = service.parts.indexOf(part);
    for (const frontend of part.frontends) {
      const node = part.nodes[frontend];
      const isChosen = frontend === (difference ?? cell)?.frontend;
      const label = radio("frontend", `frontend-${frontend}`, frontend, isChosen, node.title,
        node.note, null, () => choose(at, frontend, cell?.sender), isChosen ? "lit chosen" : "");
      label.dataset.node = frontend;
      column.append(label);
    }
    return column;
  }

  function middle(kind, title, lit) {
    const { part } = seen;
    const own = part.nodes.map((node, number) => [node, number])
      .filter(([node]) => node.column === kind);
    return make("div", { class: "column middle", "data-kind": kind }, make("h3", {}, title),
      own.map(([node, number]) => make("div",
        { class: `node ${lit.has(number) ? "lit" : ""}`, "data-node": number },
        make("span", { class: "title" }, node.title),
        node.note ? make("span", { class: "remark" }, node.note) : null)));
  }

  let allEnds = false;

  function ends() {
    const { service, part, cell, way } = seen;
    const column = make("fieldset", { class: "column", id: "ends" },
      make("legend", {}, "Where it ends"));
    const at = service.parts.indexOf(part);
    const byEnd = new Map();
    cell.ways.forEach((each, number) => byEnd.set(each.end, [...(byEnd.get(each.end) ?? []), number]));
    const own = part.nodes.map((node, number) => [node, number])
      .filter(([node, number]) => node.column === "end"
        && (byEnd.has(number) || /[0-9]/.test(node.title)));
    own.sort(([, a], [, b]) => byEnd.has(b) - byEnd.has(a) || a - b);
    for (const [node, number] of allEnds ? own : own.slice(0, MOST_ENDS)) {
      const bad = node.title === "refused" || node.title === "dropped" ? "bad" : "";
      const ways = byEnd.get(number);
      if (!ways) {
        column.append(make("div", { class: `node ${bad}`, "data-node": number },
          make("span", { class: "title" }, breakable(node.title)),
          make("span", { class: "remark" }, [node.note, "not from here"].filter(Boolean).join(" · "))));
        continue;
      }
      const first = cell.ways[ways[0]];
      const share = ways.reduce((sum, each) => sum + cell.ways[each].share, 0);
      const isChosen = way !== null && ways.includes(cell.ways.indexOf(way));
      const isLit = way === null || isChosen;
      const note = [...new Set([node.note, first.how])].filter(Boolean).join(" · ");
      const chance = first.chance === "1" ? "always" : first.chance;
      const label = radio("end", `end-${number}`, ways[0], isChosen, node.title, note,
        make("span", { class: "part" }, chance),
        () => choose(at, cell.frontend, cell.sender, ways[0]),
        `${bad} ${isLit ? "lit" : ""} ${isChosen ? "chosen" : ""}`);
      const bar = make("span", { class: "bar", "aria-hidden": "true" });
      bar.style.setProperty("--share", share);
      label.append(bar);
      label.dataset.node = number;
      column.append(label);
    }
    if (own.length > MOST_ENDS && !allEnds) {
      const more = make("button", { type: "button", class: "all" }, `Show all ${own.length}`);
      more.addEventListener("click", () => { allEnds = true; draw(); });
      column.append(more);
    }
    if (way !== null && cell.ways.length > 1) {
      const whole = make("button", { type: "button", class: "all", id: "all-ways" }, "All ways");
      whole.addEventListener("click", () => choose(at, cell.frontend, cell.sender));
      column.append(whole);
    }
    return column;
  }

  /** Return the nodes that a way goes through, from its frontend to its end. */
  function trail(service, cell, way) {
    const nodes = way.steps.map((step) => service.steps[step][0]).filter((node) => node >= 0);
    return [...new Set([cell.frontend, ...nodes.filter((node) => node !== way.end), way.end])];
  }

  function wires(flow) {
    const { service, part, cell, way, difference } = seen;
    const space = flow.getBoundingClientRect();
    const boxes = new Map();
    [...flow.querySelectorAll(".column")].forEach((column, at) => {
      for (const element of column.querySelectorAll(".node")) {
        const box = element.getBoundingClientRect();
        const isOther = column.id === "senders" && !element.classList.contains("chosen");
        const sender = isOther ? -2 - boxes.size : -1;
        boxes.set(Number(element.dataset.node ?? sender), {
          column: at, left: box.left - space.left, right: box.right - space.left,
          top: box.top - space.top, bottom: box.bottom - space.top,
        });
      }
    });
    const found = new Map();
    const note = (a, b, isLit, share) => {
      const old = found.get(`${a} ${b}`);
      found.set(`${a} ${b}`, {
        a, b, isLit: isLit || Boolean(old?.isLit), share: (isLit ? share : 0) + (old?.share ?? 0),
      });
    };
    for (const each of part.cells) {
      for (const one of each.ways) {
        const isLit = !difference && each === cell && (way === null || way === one);
        const nodes = trail(service, each, one);
        if (isLit) note(-1, nodes[0], true, one.share);
        nodes.slice(1).forEach((node, at) => note(nodes[at], node, isLit, one.share));
      }
    }
    if (difference) {
      note(-1, difference.frontend, true, 1);
      for (const [end, , share] of difference.wanted) {
        const nodes = [...(difference.ways[0] ?? [difference.frontend]), end];
        nodes.slice(1).forEach((node, at) => note(nodes[at], node, true, share));
      }
      for (const [end, chance, share] of difference.found) {
        const wanted = difference.wanted.find((other) => other[0] === end);
        if (wanted?.[1] !== chance) {
          found.set(`found ${end}`, { a: difference.frontend, b: end, isLit: true, isBad: true, share });
        }
      }
    }
    const svg = flow.querySelector("svg");
    const drawn = [...found.values()].sort((a, b) => a.isLit - b.isLit);
    svg.replaceChildren(...drawn.filter(({ a, b }) => boxes.has(a) && boxes.has(b))
      .map(({ a, b, isLit, isBad, share }) =>
        wire([...boxes.values()], boxes.get(a), boxes.get(b), isLit, share, isBad)));
  }

  function wire(boxes, from, to, isLit, share, isBad) {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    const between = boxes.filter(({ column }) => column > from.column && column < to.column);
    const isStacked = to.top >= from.bottom && boxes.every(
      (box) => box.column === from.column || box.top >= from.bottom || box.bottom <= from.top);
    path.setAttribute("d", isStacked ? down(from, to, between, boxes) : across(from, to, between));
    path.setAttribute("class", `wire ${isLit ? "lit" : ""} ${isBad ? "bad" : ""}`);
    if (isLit) path.style.strokeWidth = `${2 + 4 * Math.min(share, 1)}px`;
    return path;
  }

  const middleOf = (a, b) => (a + b) / 2;

  function across(from, to, between) {
    const [x1, y1] = [from.right, middleOf(from.top, from.bottom)];
    const [x2, y2] = [to.left, middleOf(to.top, to.bottom)];
    const plain = (a, b, c, d) => `C${middleOf(a, c)},${b} ${middleOf(a, c)},${d} ${c},${d}`;
    if (!isInTheWay(x1, y1, x2, y2, between)) return `M${x1},${y1} ${plain(x1, y1, x2, y2)}`;
    // Below what does not decide about this packet.
    const lane = Math.max(...between.map((box) => box.bottom)) + 12;
    const first = Math.min(...between.map((box) => box.left)) - 4;
    const last = Math.max(...between.map((box) => box.right)) + 4;
    return `M${x1},${y1} ${plain(x1, y1, first, lane)} H${last} ${plain(last, lane, x2, y2)}`;
  }

  /** Return whether the plain curve between two points meets a box. */
  function isInTheWay(x1, y1, x2, y2, boxes) {
    for (let t = 0; t <= 1; t += 0.02) {
      const near = 3 * t * (1 - t);
      const x = x1 * (1 - t) ** 3 + middleOf(x1, x2) * near + x2 * t ** 3;
      const y = y1 * ((1 - t) ** 3 + near * (1 - t)) + y2 * (t ** 3 + near * t);
      const margin = 6;
      if (boxes.some((box) => x > box.left - margin && x < box.right + margin
        && y > box.top - margin && y < box.bottom + margin)) return true;
    }
    return false;
  }

  function down(from, to, between, boxes) {
    const rows = (box) => boxes.filter(({ column }) => column === box.column);
    const [x1, x2] = [from, to].map((box) => middleOf(box.left, box.right));
    const start = Math.max(...rows(from).map((box) => box.bottom));
    const end = Math.min(...rows(to).map((box) => box.top));
    const gutter = Math.max(...boxes.map((box) => box.right)) + 12;
    // Between the rows of one column there is a lane beside what is not on the way.
    const below = rows(from).some((box) => box.top >= from.bottom);
    const above = rows(to).some((box) => box.bottom <= to.top);
    if (!between.length && !below && !above) {
      const half = Math.max(middleOf(from.bottom, to.top), from.bottom + 8);
      return `M${x1},${from.bottom} C${x1},${half} ${x2},${half} ${x2},${to.top}`;
    }
    const leave = below ? from.bottom + 5 : middleOf(start, start + 24);
    const enter = above ? to.top - 5 : middleOf(end - 24, end);
    return `M${x1},${from.bottom} V${leave} H${gutter} V${enter} H${x2} V${to.top}`;
  }

  function picture() {
    const { service, cell, way, difference } = seen;
    const lit = new Set(difference ? difference.ways.flat()
      : (way ? [way] : cell.ways).flatMap((each) => trail(service, cell, each)));
    const columns = [difference ? sent(difference) : senders(), frontends(),
      ...seen.part.columns.map(([kind, title]) => middle(kind, title, lit)),
      difference ? comparedEnds(difference) : ends()];
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("aria-hidden", "true");
    const flow = make("div", { class: `flow ${columns.length > 4 ? "many" : ""}` }, svg, columns);
    flow.style.setProperty("--columns", columns.length);
    return make("section", { class: "picture" }, make("h2", { class: "unseen" }, "The picture"), flow);
  }

  // The way in words, with what is written and what carries it out.

  function verdict() {
    const { cell, way } = seen;
    const ends = cell.ways.map((each) => seen.part.nodes[each.end].title);
    const isBad = ends.every((title) => title === "refused" || title === "dropped");
    const kernel = way?.kernel ? `In the kernel the chance is ${way.kernel}.` : "";
    const choice = cell.choice && cell.ways.length > 1 ? `How one is chosen: ${cell.choice}.` : "";
    return make("div", { class: "verdict", role: "status" },
      make("p", { class: "asks" }, `${cell.sender}, ${cell.source}, to ${cell.asked}`),
      make("p", { class: `says ${isBad ? "refused" : ""}` }, cell.verdict),
      [choice, kernel, ...cell.remarks.map((text) => `This mode: ${text}.`)].filter(Boolean)
        .map((text) => make("p", { class: "aside" }, text)));
  }

  function written(place) {
    const [object, path, file, line, lines] = place;
    const where = file ? `${file}${line ? `:${line}` : ""}` : "";
    const numbered = lines.map(([number, text]) => make("span",
      { class: `line ${number === line ? "very" : ""}` },
      make("span", { class: "number", "aria-hidden": "true" }, String(number)),
      make("span", {}, text || " ")));
    return make("div", { class: "block" },
      make("h3", {}, `${object}: ${path}`),
      where ? make("p", { class: "mono note" }, where) : null,
      lines.length ? make("pre", {}, numbered) : null);
  }

  // A line that has no room breaks before an option, and never between its dash and its name.
  const options = (text) => text.split(/ (?=--?[A-Za-z])/).flatMap((option, at) =>
    [at ? " " : "", make("span", { class: "option" }, option)]);

  function rules(lines) {
    return make("div", { class: "block" },
      make("h3", {}, count(lines.length, "line does it", "lines do it")),
      make("ul", { class: "rules" }, lines.map(([tool, text, place]) => make("li", {},
        make("span", { class: "tool" }, tool),
        make("span", {}, make("code", {}, options(text)),
          place ? make("span", { class: "note mono" }, ` ${place}`) : null)))));
  }

  function step(number) {
    const { service } = seen;
    const [, text, place, lines] = service.steps[number];
    const blocks = [
      place >= 0 ? written(service.places[place]) : null,
      lines.length ? rules(lines.map((line) => service.lines[line])) : null,
    ].filter(Boolean);
    return make("li", {}, make("p", { class: "told" }, text),
      blocks.length ? make("div", { class: `proof ${blocks.length > 1 ? "both" : ""}` }, blocks) : null);
  }

  function wayInWords() {
    const { part, cell, way } = seen;
    const chosen = way ?? cell.ways[0];
    const end = part.nodes[chosen.end];
    const goal = /[0-9]/.test(end.title) ? `The way to ${end.title}` : `The way: ${end.title}`;
    const title = cell.ways.length > 1 && way === null ? `${goal}, one of ${cell.ways.length}` : goal;
    return make("section", { class: "way", id: "way" },
      make("h2", {}, title),
      cell.ways.length > 1 && way === null
        ? make("p", { class: "note" }, "Choose another end in the picture to see its way.") : null,
      make("ol", { class: "steps" }, chosen.steps.map(step)));
  }

  function changes(service) {
    if (!service.changes?.length) return null;
    return make("section", { class: "way", id: "changes" },
      make("h2", {}, "It would get through, each tried"),
      make("ul", { class: "problems" }, service.changes.map((change) => make("li", { class: "note" },
        make("p", { class: "what" }, change.text),
        make("p", {}, `then ${change.then}`),
        change.place ? make("p", { class: "more mono" }, change.place) : null))));
  }

  function lookup(service) {
    if (!service.lookup?.length) return null;
    return make("section", { class: "way" }, make("h2", {}, "First the name is looked up"),
      make("pre", {}, service.lookup.map((line) => make("span", { class: "line" },
        make("span"), make("span", {}, line)))));
  }

  const watcher = new ResizeObserver(([entry]) => wires(entry.target));

  function draw() {
    const focus = document.activeElement?.id;
    const { service } = seen;
    const body = byId("body");
    watcher.disconnect();
    if (!service.parts.length) {
      body.replaceChildren(make("p", { class: "lead" }, service.why));
      return;
    }
    if (!seen.cell) {
      body.replaceChildren(ports() ?? "", make("p", { class: "lead" },
        "No address of the node is known that would answer, so there is no packet to follow."));
      return;
    }
    const told = seen.difference
      ? [differenceVerdict(), picture(), differenceInWords()]
      : [verdict(), lookup(service), picture(), changes(service), wayInWords()];
    body.replaceChildren(...[ports(), machine(), ...told].filter(Boolean));
    const flow = body.querySelector(".flow");
    wires(flow);
    watcher.observe(flow);
    if (focus) byId(focus)?.focus({ preventScroll: true });
  }

  function page(number, service, choice) {
    const title = service.namespace ? `${service.namespace}/${service.name}` : service.name;
    document.title = head.single ? head.title : `${title} · ${head.title}`;
    const own = service.problems.length
      ? make("section", { "aria-label": "Problems" }, ...problems(service.problems, false)) : null;
    const described = make("dl", { class: "facts" }, service.facts.map(([name, value]) =>
      make("div", {}, make("dt", {}, name), make("dd", {}, value))));
    main.replaceChildren(...[
      make("div", {}, service.namespace ? make("p", { class: "above" }, service.namespace) : null,
        make("h1", { tabindex: "-1" }, service.name)),
      service.facts.length ? described : null, own,
      make("div", { id: "body", class: "way" })].filter(Boolean));
    allEnds = false;
    const part = Number(choice[0]) || 0;
    const frontend = service.parts[part]?.frontends[Number(choice[1]) || 0];
    seen = { number, service, ...(service.parts.length
      ? lead(service, part, frontend, choice[2], choice[3]) : {}) };
    if (choice[1] === "difference") seen.difference = seen.part?.differences[choice[2]] ?? null;
    draw();
  }

  let last;

  async function show(isFirst) {
    const { number, choice } = asked();
    const turn = {};
    last = turn;
    if (number === undefined) overview();
    else {
      const service = await serviceOf(number);
      if (last !== turn) return;
      page(number, service, choice);
    }
    if (!head.single) mark();
    if (!isFirst) {
      main.querySelector("h1")?.focus({ preventScroll: true });
      main.scrollIntoView({ block: "nearest" });
      window.scrollTo({ top: 0 });
    }
    document.documentElement.dataset.shown = location.hash;
  }

  // Colours.

  function colours() {
    const field = byId("theme");
    let kept = "";
    try { kept = localStorage.getItem("svcnet-theme") ?? ""; } catch { /* pages of files may have none */ }
    const apply = (name) => {
      if (name) document.documentElement.dataset.theme = name;
      else delete document.documentElement.dataset.theme;
    };
    field.value = kept;
    apply(field.value);
    field.addEventListener("change", () => {
      apply(field.value);
      try { localStorage.setItem("svcnet-theme", field.value); } catch { /* then until it is closed */ }
    });
  }

  colours();
  if (!head.single) {
    listKeys();
    list();
  }
  window.addEventListener("hashchange", () => show(false));
  show(true);
})();
