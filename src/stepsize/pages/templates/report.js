"use strict";
(() => {
  const NS = "http://www.w3.org/2000/svg", FIELD = 10000;
  const make = (tag, attributes = {}, text) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const draw = (tag, attributes, text) => {
    const node = document.createElementNS(NS, tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const number = (text) => (text === "" || text === null ? NaN : Number(text));
  const percent = (share) => `${100 * Math.min(Math.max(share, -5), 6)}%`;

  function said(value, digits = 4) {
    if (!Number.isFinite(value)) return "–";
    if (value === 0 || (Math.abs(value) >= 1e-4 && Math.abs(value) < 1e6)) {
      const rounded = Number(value.toPrecision(Math.abs(value) >= 10 ** digits ? Math.ceil(Math.log10(Math.abs(value)) + 1e-9) : digits));
      return rounded.toLocaleString("en-US", { maximumFractionDigits: 12 }).replace("-", "−");
    }
    const [front, power] = value.toExponential(digits - 1).split("e");
    const raised = [...String(Number(power))].map((each) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(each)]).join("");
    return `${String(Number(front)).replace("-", "−")} × 10${raised}`.replace(/^1 × /, "");
  }

  function powers(low, high, most) {
    const first = Math.log10(low), last = Math.log10(high), wide = last - first;
    const inner = wide <= most / 3 ? [1, 2, 5] : wide <= most / 2 ? [1, 3] : [1];
    const every = inner.length > 1 ? 1 : Math.max(1, Math.ceil(wide / most));
    const found = [];
    for (let power = Math.floor(first); power <= Math.ceil(last); power++)
      if (power % every === 0)
        for (const part of inner) {
          const value = Number((part * 10 ** power).toPrecision(1));
          if (value >= low * 0.999999 && value <= high * 1.000001) found.push(value);
        }
    return found;
  }

  function ticks(low, high, log, most = 7) {
    if (log) {
      const found = powers(low, high, most);
      if (found.length > 1) return found;
    }
    const rough = (high - low) / most, unit = 10 ** Math.floor(Math.log10(rough));
    const step = unit * [1, 2, 5, 10].find((each) => unit * each >= rough * (1 - 1e-9));
    const found = [];
    for (let place = Math.ceil(low / step - 1e-9); place <= Math.floor(high / step + 1e-9); place++) found.push(place * step);
    return found;
  }

  class Chart {
    constructor(figure) {
      this.figure = figure;
      this.plot = figure.querySelector(".plot");
      this.frame = figure.querySelector(".frame");
      this.series = this.read(figure.querySelector("table.numbers"));
      const pair = (name) => figure.dataset[name].split(" ").map(Number);
      this.first = { x: pair("x"), y: pair("y"), xlog: "xlog" in figure.dataset, ylog: "ylog" in figure.dataset };
      this.now = { ...this.first };
      this.hidden = new Set();
      this.spot = null;
      this.build();
    }

    read(table) {
      const roles = [...table.tHead.rows[0].cells].map((cell) => cell.dataset.r);
      const names = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
      const rows = [...table.tBodies[0].rows].map((row) => [...row.cells].map((cell) => cell.textContent.trim()));
      const found = new Map();
      const of = (key, name) => found.get(key) || found.set(key, { name, x: [], y: [], low: [], high: [] }).get(key);
      if (roles[0] === "name") {
        const order = new Map();
        for (const [name, x, y] of rows) {
          if (!order.has(name)) order.set(name, order.size);
          const series = of(order.get(name), name);
          series.x.push(number(x)), series.y.push(number(y));
        }
        return found;
      }
      roles.forEach((role, column) => {
        if (column === 0) return;
        const [key, end] = role.split(":");
        const series = of(Number(key), names[column]);
        for (const row of rows) {
          if (row[column] === "" && !end) continue;
          if (end && row[column] === "") continue;
          if (!end) series.x.push(number(row[0]));
          series[end || "y"].push(number(row[column]));
        }
      });
      return found;
    }

    build() {
      this.grid = this.frame.querySelector(".grid");
      this.hair = draw("line", { class: "hair", y1: "0", y2: "100%", visibility: "hidden" });
      this.hold = draw("rect", { class: "hold", y: "0", height: "100%", visibility: "hidden" });
      this.frame.append(this.hair, this.hold);
      this.readout = make("p", { class: "readout", "aria-live": "polite" });
      const tools = make("div", { class: "tools" });
      const button = (text, label, act) => {
        const made = make("button", { type: "button", "aria-label": label }, text);
        made.addEventListener("click", act);
        tools.append(made);
        return made;
      };
      button("+", "Zoom in", () => this.zoom(0.5));
      button("−", "Zoom out", () => this.zoom(2));
      button("All", "Show all", () => this.show(this.first.x));
      for (const axis of ["x", "y"]) {
        const log = button(`log ${axis}`, `log ${axis}: logarithmic ${axis} axis`, () => this.toggleLog(axis, log));
        log.setAttribute("aria-pressed", this.now[`${axis}log`]);
        if (![...this.series.values()].some((each) => each[axis].some((value) => value > 0))) log.disabled = true;
      }
      this.figure.querySelector(".across").after(this.readout, tools);
      this.readout.textContent = "";
      for (const item of this.figure.querySelectorAll(".legend li[data-s]")) this.legend(item);
      this.plot.tabIndex = 0;
      this.plot.setAttribute("role", "group");
      this.plot.setAttribute("aria-label", "Chart. Left and right read the values, plus and minus zoom, 0 shows all.");
      this.plot.addEventListener("pointermove", (event) => this.moved(event));
      this.plot.addEventListener("pointerdown", (event) => this.pressed(event));
      this.plot.addEventListener("pointerup", (event) => this.released(event));
      this.plot.addEventListener("pointercancel", () => this.let());
      this.plot.addEventListener("pointerleave", () => this.began === undefined && this.unread());
      this.plot.addEventListener("dblclick", () => this.show(this.first.x));
      this.plot.addEventListener("keydown", (event) => this.key(event));
    }

    legend(item) {
      const button = make("button", { type: "button", "aria-pressed": "true" });
      button.append(...item.childNodes);
      item.append(button);
      button.addEventListener("click", () => {
        const which = Number(item.dataset.s);
        const gone = !this.hidden.delete(which);
        if (gone) this.hidden.add(which);
        button.setAttribute("aria-pressed", !gone);
        this.redraw();
      });
    }

    toggleLog(axis, button) {
      this.now[`${axis}log`] = !this.now[`${axis}log`];
      button.setAttribute("aria-pressed", this.now[`${axis}log`]);
      if (axis === "x") this.now.x = this.all();
      this.redraw();
    }

    seen() {
      return [...this.series].filter(([key]) => !this.hidden.has(key)).map(([, each]) => each);
    }

    all() {
      if (this.now.xlog === this.first.xlog) return this.first.x;
      const values = [...this.series.values()].flatMap((each) => each.x).filter((x) => Number.isFinite(x) && (x > 0 || !this.now.xlog));
      return this.roomy(Math.min(...values), Math.max(...values), this.now.xlog);
    }

    roomy(low, high, log) {
      if (log) {
        const room = 0.03 * Math.log10(high / low) || 0.3;
        return [low / 10 ** room, high * 10 ** room];
      }
      const room = 0.03 * (high - low) || Math.abs(high) / 2 || 0.5;
      return [low - room, high + room];
    }

    upwards() {
      const same = this.now.ylog === this.first.ylog;
      if (same && this.now.x === this.first.x && !this.hidden.size) return this.first.y;
      let low = Infinity, high = -Infinity;
      for (const each of this.seen())
        each.x.forEach((x, place) => {
          if (x < this.now.x[0] || x > this.now.x[1]) return;
          for (const y of [each.y[place], each.low[place], each.high[place]])
            if (Number.isFinite(y) && (y > 0 || !this.now.ylog)) (low = Math.min(low, y)), (high = Math.max(high, y));
        });
      if (low > high) return same ? this.first.y : [0.1, 1];
      if ("held" in this.figure.dataset) {
        high = Math.min(high, this.first.y[1]);
        low = Math.min(low, high);
      }
      return this.roomy(low, high, this.now.ylog);
    }

    share(axis, value) {
      const [low, high] = this.now[axis];
      if (!this.now[`${axis}log`]) return (value - low) / (high - low);
      return value > 0 ? Math.log(value / low) / Math.log(high / low) : NaN;
    }

    value(share) {
      const [low, high] = this.now.x;
      return this.now.xlog ? low * (high / low) ** share : low + share * (high - low);
    }

    redraw() {
      this.now.y = this.upwards();
      const X = (value) => Math.round(FIELD * Math.min(Math.max(this.share("x", value), -5), 6));
      const Y = (value) => Math.round(FIELD * Math.min(Math.max(1 - this.share("y", value), -5), 6));
      for (const group of this.frame.querySelectorAll("g[data-s]")) {
        const key = Number(group.dataset.s), each = this.series.get(key);
        group.setAttribute("visibility", this.hidden.has(key) ? "hidden" : "visible");
        if (!each) continue;
        const points = each.x.map((x, place) => [X(x), Y(each.y[place])]);
        const there = ([x, y]) => Number.isFinite(x) && Number.isFinite(y);
        const line = group.querySelector(".line"), dots = group.querySelector(".dots"), area = group.querySelector(".area");
        if (line) {
          let pen = "M";
          line.setAttribute("d", points.map((point) => {
            if (!there(point)) return (pen = "M"), "";
            const part = `${pen}${point[0]} ${point[1]}`;
            pen = "L";
            return part;
          }).join(""));
        }
        if (dots) dots.setAttribute("d", points.filter(there).map(([x, y]) => `M${x} ${y}h0`).join(""));
        if (area) {
          const up = each.x.map((x, place) => [X(x), Y(each.high[place])]), down = each.x.map((x, place) => [X(x), Y(each.low[place])]).reverse();
          area.setAttribute("d", `M${[...up, ...down].filter(there).map(([x, y]) => `${x} ${y}`).join("L")}Z`);
        }
        if (group.classList.contains("shapes"))
          [...group.children].forEach((shape, place) => {
            const x = this.share("x", each.x[place]), y = 1 - this.share("y", each.y[place]);
            const inside = x >= -0.001 && x <= 1.001 && y >= -0.001 && y <= 1.001;
            shape.setAttribute("visibility", inside && !this.hidden.has(key) ? "visible" : "hidden");
            if (inside) shape.setAttribute("x", percent(x)), shape.setAttribute("y", percent(y));
          });
      }
      this.crossings();
      this.marks();
      this.unread();
    }

    marks() {
      for (const line of this.frame.querySelectorAll("line[data-at]")) {
        const axis = line.dataset.axis, at = this.share(axis, number(line.dataset.at)), inside = at >= 0 && at <= 1;
        line.setAttribute("visibility", inside ? "visible" : "hidden");
        if (inside) for (const end of [`${axis}1`, `${axis}2`]) line.setAttribute(end, percent(axis === "x" ? at : 1 - at));
      }
      for (const band of this.frame.querySelectorAll("rect[data-low]")) {
        const axis = band.dataset.axis;
        const [low, high] = [band.dataset.low, band.dataset.high].map((end) => Math.min(Math.max(this.share(axis, number(end)), 0), 1));
        band.setAttribute(axis, percent(axis === "x" ? low : 1 - high));
        band.setAttribute(axis === "x" ? "width" : "height", percent(high - low));
      }
      for (const note of this.frame.querySelectorAll("text[data-x]")) {
        const x = this.share("x", number(note.dataset.x)), y = this.share("y", number(note.dataset.y));
        note.setAttribute("visibility", x >= 0 && x <= 1 && y >= 0 && y <= 1 ? "visible" : "hidden");
        if (Number.isFinite(x + y)) note.setAttribute("x", percent(x)), note.setAttribute("y", percent(1 - y));
      }
    }

    crossings() {
      this.grid.replaceChildren();
      const across = ticks(...this.now.x, this.now.xlog), every = Math.ceil(across.length / 5);
      const words = (places) => {
        const texts = places.map((place) => said(place, 3));
        return new Set(texts).size < texts.length ? places.map((place) => said(place, 7)) : texts;
      };
      const of = { x: words(across), y: words(ticks(...this.now.y, this.now.ylog)) };
      across.forEach((value, place) => {
        const at = percent(this.share("x", value)), group = draw("g", place % every ? { class: "dense" } : {});
        group.append(draw("line", { x1: at, x2: at, y1: "0", y2: "100%" }), draw("text", { x: at, y: "100%", dy: "17", "text-anchor": "middle" }, of.x[place]));
        this.grid.append(group);
      });
      ticks(...this.now.y, this.now.ylog).forEach((value, place) => {
        const at = percent(1 - this.share("y", value)), group = draw("g", {});
        group.append(draw("line", { x1: "0", x2: "100%", y1: at, y2: at }), draw("text", { x: "-7", y: at, dy: "4", "text-anchor": "end" }, of.y[place]));
        this.grid.append(group);
      });
    }

    show(range) {
      this.now.x = this.now.xlog === this.first.xlog && range === this.first.x ? range : range === this.first.x ? this.all() : range;
      this.redraw();
    }

    zoom(factor) {
      const middle = this.spot === null ? 0.5 : Math.min(Math.max(this.share("x", this.spot), 0), 1);
      const spot = this.spot, ends = [middle - factor * middle, middle + factor * (1 - middle)].map((share) => this.value(share));
      const all = this.all();
      const range = [Math.max(ends[0], all[0]), Math.min(ends[1], all[1])];
      if (range[1] - range[0] <= 1e-12 * Math.abs(range[1])) return;
      this.show(range[0] <= all[0] && range[1] >= all[1] ? this.first.x : range);
      if (spot !== null) this.read_at(spot);
    }

    at(event) {
      const box = this.plot.getBoundingClientRect();
      return Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
    }

    moved(event) {
      const share = this.at(event);
      if (this.began !== undefined && Math.abs(share - this.began) > 0.01) {
        this.hold.setAttribute("visibility", "visible");
        this.hold.setAttribute("x", percent(Math.min(share, this.began)));
        this.hold.setAttribute("width", percent(Math.abs(share - this.began)));
      }
      this.read_at(this.value(share));
    }

    pressed(event) {
      if (event.pointerType === "touch" || event.button !== 0) return;
      this.began = this.at(event);
      this.plot.setPointerCapture(event.pointerId);
      event.preventDefault();
      this.plot.focus({ preventScroll: true });
    }

    released(event) {
      if (this.began === undefined) return;
      const ends = [this.began, this.at(event)].sort((a, b) => a - b);
      this.let();
      if (ends[1] - ends[0] > 0.01) this.show(ends.map((share) => this.value(share)));
    }

    let() {
      this.began = undefined;
      this.hold.setAttribute("visibility", "hidden");
    }

    places() {
      const inside = (x) => x >= this.now.x[0] && x <= this.now.x[1];
      return [...new Set(this.seen().flatMap((each) => each.x).filter(inside))].sort((a, b) => a - b);
    }

    read_at(value) {
      let nearest = null, gap = Infinity;
      const target = this.share("x", value);
      for (const x of this.places()) {
        const apart = Math.abs(this.share("x", x) - target);
        if (apart < gap) (gap = apart), (nearest = x);
      }
      if (nearest === null) return this.unread();
      this.spot = nearest;
      const at = percent(this.share("x", nearest));
      for (const [name, text] of [["x1", at], ["x2", at], ["visibility", "visible"]]) this.hair.setAttribute(name, text);
      const label = this.figure.querySelector(".across").textContent.replace(" (logarithmic)", "");
      const values = this.seen().flatMap((each) => {
        const place = each.x.indexOf(nearest);
        return place < 0 || Number.isNaN(each.y[place]) ? [] : [`${each.name} ${said(each.y[place])}`];
      });
      this.readout.textContent = `${label} ${said(nearest)}: ${values.join(", ")}`;
    }

    unread() {
      this.spot = null;
      this.hair.setAttribute("visibility", "hidden");
      this.readout.textContent = "";
    }

    key(event) {
      const acts = {
        ArrowRight: () => this.step(1), ArrowLeft: () => this.step(-1),
        "+": () => this.zoom(0.5), "=": () => this.zoom(0.5), "-": () => this.zoom(2),
        0: () => this.show(this.first.x), Escape: () => this.show(this.first.x),
      };
      if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in acts)) return;
      event.preventDefault();
      acts[event.key]();
    }

    step(way) {
      const places = this.places();
      const here = this.spot === null ? (way > 0 ? -1 : places.length) : places.indexOf(this.spot);
      const place = Math.min(Math.max(here + way, 0), places.length - 1);
      if (places.length) this.read_at(places[place]);
    }
  }

  function sortable(table) {
    const body = table.tBodies[0];
    const key = (row, column) => row.cells[column].dataset.v ?? row.cells[column].textContent.trim();
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = make("button", { type: "button" });
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const way = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
        const value = (text) => (text === "inf" ? Infinity : text === "-inf" ? -Infinity : text === "" ? NaN : Number(text.replace(/[, ]/g, "").replace("−", "-")));
        const rows = [...body.rows].map((row) => [key(row, column), row]);
        rows.sort(([a], [b]) => {
          const x = value(a), y = value(b);
          if (Number.isNaN(x) && Number.isNaN(y)) return way * a.localeCompare(b, "en", { numeric: true });
          return Number.isNaN(x) ? 1 : Number.isNaN(y) ? -1 : x === y ? 0 : way * (x < y ? -1 : 1);
        });
        body.append(...rows.map(([, row]) => row));
      });
    });
    if (table.classList.contains("many")) filtered(table, body);
  }

  function filtered(table, body) {
    const bar = make("div", { class: "filter" }), label = make("label", {}, "Rows with "), field = make("input", { type: "search", placeholder: "words, or loss < 0.3" });
    const count = make("span", { role: "status" });
    label.append(field);
    bar.append(label, count);
    table.closest(".scroll").before(bar);
    const names = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.trim().toLowerCase());
    const texts = [...body.rows].map((row) => row.textContent.toLowerCase());
    const rows = [...body.rows];
    const tests = (text) => text.toLowerCase().split(/\s+and\s+|;/).map((part) => part.trim()).filter(Boolean).map((part) => {
      const found = part.match(/^(.+?)\s*(<=|>=|<|>|=)\s*(\S+)$/), column = found ? names.indexOf(found[1].trim()) : -1;
      if (column < 0) return (row, all) => part.split(/\s+/).every((word) => all.includes(word));
      const wanted = Number(found[3]);
      return (row) => {
        const cell = row.cells[column], shown = cell.textContent.trim().toLowerCase(), value = Number(cell.dataset.v ?? shown.replace(/,/g, "").replace("−", "-"));
        const known = shown !== "" && shown !== "–" && Number.isFinite(value) && Number.isFinite(wanted);
        if (found[2] === "=") return known ? value === wanted : shown === found[3];
        return known && { "<": value < wanted, ">": value > wanted, "<=": value <= wanted, ">=": value >= wanted }[found[2]];
      };
    });
    field.addEventListener("input", () => {
      const asked = tests(field.value);
      let left = 0;
      rows.forEach((row, place) => {
        row.hidden = !asked.every((test) => test(row, texts[place]));
        left += !row.hidden;
      });
      count.textContent = asked.length ? `${left} of ${rows.length} rows` : "";
    });
  }

  for (const figure of document.querySelectorAll("figure.chart:not([data-still])")) new Chart(figure);
  for (const table of document.querySelectorAll("table.sortable")) sortable(table);
  if (navigator.clipboard)
    for (const block of document.querySelectorAll(".command pre")) {
      const button = make("button", { type: "button", class: "copy" }, "Copy");
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(block.textContent);
        button.textContent = "Copied";
      });
      block.after(button);
    }
})();
