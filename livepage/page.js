// The second part of the script; text.js is the first.

// ---- one producer

const remembered = 300; // seconds in the chart

class View {
  constructor(name) {
    this.points = [];
    this.sort = { by: null, up: false }; // null: as the server sorts
    this.section = document.getElementById("producer").content.firstElementChild.cloneNode(true);
    this.f = {};
    for (const node of this.section.querySelectorAll("[data-f]")) this.f[node.dataset.f] = node;
    text(this.f.name, name);
    this.f.topics_box.setAttribute("aria-label", "Topics of " + name);
    for (const button of this.section.querySelectorAll("[data-sort]")) {
      button.addEventListener("click", () => this.sortBy(button));
    }
  }

  update(p, time) {
    const f = this.f;
    this.p = p;
    className(f.status, "chip " + p.status);
    text(f.status, words[p.status] || p.status);
    text(f.state, p.stalled ? p.state + ", stalled" : p.state);
    text(f.uptime, duration(p.uptime_seconds));
    text(f.started, p.started.slice(0, 19).replace("T", " ") + " UTC");
    children(f.reasons, p.reasons, element("li"), text);
    this.tiles(p);
    this.chart(p, time);
    this.panels(p);
    this.topics(p);
    rows(f.settings, p.settings.map((s) => [s.name, s.value]), [1]);
  }

  tiles(p) {
    const f = this.f, second = p.last_second || {}, ten = p.last_10_seconds || {};
    for (const what of ["delivered", "failed", "rejected"]) {
      text(f[what + "_rate"], rate(second[what + "_per_second"]));
      text(f[what + "_rate_10"], rate(ten[what + "_per_second"]));
    }
    className(f.failed_tile, ten.failed_per_second > 0 ? "bad" : "");
    className(f.rejected_tile, ten.rejected_per_second > 0 ? "attention" : "");
    const latency = ten.latency || {};
    text(f.p50_10, quantile(latency, latency.p50_seconds));
    text(f.p99_10, quantile(latency, latency.p99_seconds));
    text(f.in_flight, whole.format(p.in_flight));
    text(f.oldest, p.in_flight > 0 ? duration(p.oldest_in_flight_seconds) : none);
    className(f.oldest_tile, p.oldest_in_flight_seconds >= 10 ? "attention" : "");
    const since = p.since_last_outcome_seconds;
    text(f.since_outcome, since < 1 && since != null ? "< 1 s" : duration(since));
    text(f.outcome_note, since == null ? "none yet" : "ago");
    className(f.outcome_tile, p.stalled ? "bad" : "");
  }

  chart(p, time) {
    const second = p.last_second;
    if (second) {
      const errors = second.failed_per_second + second.rejected_per_second;
      this.points.push({ time, delivered: second.delivered_per_second, errors });
    }
    this.points = this.points.filter((point) => point.time > time - remembered);
    const peak = Math.max(0, ...this.points.map((point) => Math.max(point.delivered, point.errors)));
    const anyErrors = this.points.some((point) => point.errors > 0);
    const path = (figure) => {
      let d = "", before = -Infinity;
      for (const point of this.points) {
        const x = 300 - ((time - point.time) / remembered) * 300;
        const y = 58 - (peak > 0 ? point[figure] / peak : 0) * 56;
        // Nothing is drawn over the time in which nobody watched.
        d += (point.time - before > 5 ? "M" : "L") + x.toFixed(1) + " " + y.toFixed(1);
        before = point.time;
      }
      return d;
    };
    this.f.line.setAttribute("d", path("delivered"));
    this.f.errors_line.setAttribute("d", anyErrors ? path("errors") : "");
    text(this.f.peak, this.points.length ? rate(peak) : none);
  }

  panels(p) {
    const f = this.f;
    const latency = (name, l) => [
      name, ...["p50", "p95", "p99", "max"].map((q) => quantile(l, l[q + "_seconds"])), l.count == null ? none : short.format(l.count),
    ];
    const of = (window) => (window ? window.latency : {});
    rows(f.latency, [
      latency("1 s", of(p.last_second)), latency("10 s", of(p.last_10_seconds)), latency("all", p.latency),
    ]);
    const gauge = (name, format) => {
      const full = percent(p[name], p["max_" + name]);
      text(f[name], `${format(p[name])} of ${format(p["max_" + name])}, ${full} %`);
      className(f[name + "_bar"], full >= 80 ? "attention" : "");
      f[name + "_bar"].style.width = Math.min(100, full) + "%";
    };
    gauge("buffered", whole.format);
    gauge("buffered_bytes", bytes);
    for (const name of ["waiting", "held", "accepted", "delivered", "failed", "late", "rejected",
      "callbacks_running", "slow_callbacks", "callback_panics", "stalls"]) {
      text(f[name], whole.format(p[name]));
    }
    text(f.slow_callback, p.slow_callback);
    f.slow_callback_row.hidden = p.slow_callback === "";

    const errors = [...new Set([...Object.keys(p.failures), ...Object.keys(p.rejections)])]
      .map((kind) => ({ kind, failed: p.failures[kind] || 0, rejected: p.rejections[kind] || 0 }))
      .sort((a, b) => b.failed - a.failed || b.rejected - a.rejected || (a.kind < b.kind ? -1 : 1));
    rows(f.errors, errors.map((e) => [e.kind, whole.format(e.failed), whole.format(e.rejected)]));
    f.errors_table.hidden = errors.length === 0;
    f.no_errors.hidden = errors.length > 0;
  }

  topics(p) {
    const list = [...p.topics];
    const { by, up } = this.sort;
    if (by) {
      list.sort((a, b) => (a[by] === b[by] ? 0 : (a[by] < b[by]) === up ? -1 : 1));
    }
    const row = (name, t) => [
      name, whole.format(t.in_flight), rate(t.delivered_per_second), whole.format(t.delivered), whole.format(t.failed),
      Object.entries(t.failures).sort((a, b) => b[1] - a[1]).map(([kind, n]) => `${kind} ${whole.format(n)}`).join(", "),
    ];
    const all = list.map((t) => row(t.topic, t));
    const sum = (name, t) => all.push(Object.assign(row(name, t), { sum: true }));
    if (p.more_topics) sum(`${whole.format(p.more_topics.count)} more topics`, p.more_topics);
    if (p.other_topics.accepted > 0) sum("names that the cluster does not know", p.other_topics);
    rows(this.f.topics, all, [5]);
    this.f.topics_box.hidden = all.length === 0;
    text(this.f.topics_count, whole.format(p.topics.length + (p.more_topics ? p.more_topics.count : 0)));
  }

  // sortBy goes from the largest first to the smallest first and back to the order
  // of the server; with names it is the other way round.
  sortBy(button) {
    const by = button.dataset.sort, first = by === "topic";
    if (this.sort.by !== by) this.sort = { by, up: first };
    else if (this.sort.up === first) this.sort.up = !first;
    else this.sort = { by: null, up: false };
    for (const th of this.section.querySelectorAll("[aria-sort]")) th.removeAttribute("aria-sort");
    if (this.sort.by) button.parentNode.setAttribute("aria-sort", this.sort.up ? "ascending" : "descending");
    this.topics(this.p);
  }
}

// ---- all producers

const at = location.host ? " – " + location.host : "";
const byId = (id) => document.getElementById(id);
const views = new Map(); // by the name of the producer

function show(all) {
  const time = Date.parse(all.time) / 1000;
  const main = byId("producers");
  for (const [name, view] of views) {
    if (!all.producers.some((p) => p.name === name)) {
      view.section.remove();
      views.delete(name);
    }
  }
  all.producers.forEach((p, i) => {
    let view = views.get(p.name);
    if (!view) views.set(p.name, view = new View(p.name));
    view.section.id = "producer-" + i;
    if (main.children[i] !== view.section) main.insertBefore(view.section, main.children[i] || null);
    view.update(p, time);
  });
  overview(all.producers);
}

let summary = ""; // as of the last event

// overview says in one sentence how all do, and leads to each if there are several.
function overview(producers) {
  const count = (status) => producers.filter((p) => p.status === status).length;
  const total = producers.length, bad = count("bad"), attention = count("attention"), closed = count("closed");
  const parts = [];
  if (bad) parts.push(`${bad} bad`);
  if (attention) parts.push(`${attention} ${attention === 1 ? "needs" : "need"} attention`);
  if (closed) parts.push(`${closed} closed`);
  const healthy = total - bad - attention - closed;
  if (healthy) parts.push(`${healthy === total && total > 1 ? "all " : ""}${healthy} healthy`);
  const worst = bad ? "bad" : attention ? "attention" : healthy ? "healthy" : "closed";
  summary = parts.join(", ");
  text(byId("summary"), total ? summary : "No producer is shown.");
  className(byId("summary"), total ? "chip " + worst : "");
  document.title = (bad ? "✕ " : attention ? "! " : "") + "Producers" + at;

  document.querySelector("nav").hidden = total < 2;
  children(byId("overview"), producers, () => {
    const li = document.createElement("li"), a = li.appendChild(document.createElement("a"));
    a.append(document.createElement("span"), document.createElement("span"));
    return li;
  }, (li, p) => {
    const a = li.firstChild;
    a.setAttribute("href", "#producer-" + producers.indexOf(p));
    text(a.firstChild, p.name);
    className(a.lastChild, "chip " + p.status);
    text(a.lastChild, words[p.status] || p.status);
  });
}

// ---- the stream

const silence = 4000; // milliseconds without an event after which the connection counts as lost
const hiddenFor = 60000; // milliseconds after which a page that nobody sees stops to watch
let stream = null;
let paused = false;
let lastEvent = null; // when the last event came
let connecting = Date.now();

function say(what, lost = false) {
  text(byId("live"), what);
  className(byId("live"), lost ? "lost" : "");
}

function open() {
  if (stream || paused || document.hidden) return;
  connecting = Date.now();
  stream = new EventSource("events");
  stream.onmessage = (event) => {
    lastEvent = new Date();
    say("live");
    show(JSON.parse(event.data));
  };
  stream.onerror = () => {
    // The browser tries again by itself, but for an answer that is no stream, such
    // as that too many watch.
    if (stream && stream.readyState === EventSource.CLOSED) {
      shut();
      setTimeout(open, 5000);
    }
  };
}

function shut() {
  if (stream) stream.close();
  stream = null;
}

setInterval(() => {
  if (paused || Date.now() - Math.max(connecting, lastEvent ? lastEvent.getTime() : 0) < silence) return;
  say(lastEvent ? `connection lost; figures of ${lastEvent.toLocaleTimeString()}` : "no connection, or too many watch", true);
  // What was healthy then may be anything now.
  text(byId("summary"), summary ? "unknown; was: " + summary : "unknown");
  className(byId("summary"), "chip");
  document.title = "? Producers" + at;
}, 1000);

byId("pause").addEventListener("click", () => {
  paused = !paused;
  text(byId("pause"), paused ? "Resume" : "Pause");
  if (paused) {
    shut();
    say(lastEvent ? `paused; figures of ${lastEvent.toLocaleTimeString()}` : "paused");
  } else {
    say("connecting");
    open();
  }
});

let hideTimer = 0;
document.addEventListener("visibilitychange", () => {
  clearTimeout(hideTimer);
  if (document.hidden) hideTimer = setTimeout(shut, hiddenFor);
  else open();
});

text(byId("host"), location.host);
open();
