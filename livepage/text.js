"use strict";
// The first part of the script: figures as text, and text in the document.
// Everything that comes from the server is set as text, never as markup.

// ---- figures as text

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const none = "–";

// scaled writes n with about three digits.
const scaled = (n) => (n < 100 ? tenth : whole).format(n);

function rate(n) {
  if (n == null) return none;
  return n > 0 && n < 0.1 ? "< 0.1" : scaled(n);
}

function duration(s) {
  if (s == null) return none;
  if (s < 0.00095) return scaled(s * 1e6) + " µs";
  if (s < 0.95) return scaled(s * 1e3) + " ms";
  if (s < 120) return scaled(s) + " s";
  if (s < 7200) return whole.format(s / 60) + " min";
  if (s < 172800) return whole.format(s / 3600) + " h";
  return whole.format(s / 86400) + " days";
}

// quantile is null where nothing was delivered, and beyond the last bucket.
const quantile = (l, s) => (s == null && l.count > 0 ? "> 1,000 s" : duration(s));

function bytes(n) {
  for (const unit of ["B", "KiB", "MiB"]) {
    if (n < 1024) return scaled(n) + " " + unit;
    n /= 1024;
  }
  return scaled(n) + " GiB";
}

// percent is rounded down, so that 100 % is only what is full.
const percent = (part, of) => (of > 0 ? Math.floor((part / of) * 100) : 0);

const words = { healthy: "healthy", attention: "needs attention", bad: "bad", closed: "closed" };

// ---- small changes of the document: only what differs is touched

function text(node, value) {
  value = String(value);
  if (node.textContent !== value) node.textContent = value;
}

function className(node, value) {
  if (node.getAttribute("class") !== value) node.setAttribute("class", value);
}

// children makes as many of them as there are items, and fills each.
function children(parent, items, make, fill) {
  while (parent.childElementCount > items.length) parent.lastElementChild.remove();
  items.forEach((item, i) => fill(parent.children[i] || parent.appendChild(make()), item));
}

const element = (tag) => () => document.createElement(tag);

// rows fills a tbody. A row is a list of texts, the first of which is its head.
function rows(tbody, list, textColumns = []) {
  children(tbody, list, element("tr"), (tr, row) => {
    className(tr, row.sum ? "sum" : "");
    row.forEach((value, i) => {
      let cell = tr.children[i];
      if (!cell) {
        cell = tr.appendChild(document.createElement(i === 0 ? "th" : "td"));
        if (i === 0) cell.scope = "row";
        else if (textColumns.includes(i)) cell.className = "text";
      }
      text(cell, value);
    });
  });
}
