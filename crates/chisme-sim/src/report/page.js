// The heat map and the slider. Everything else on the page is there without it.
"use strict";
(() => {
  const element = (id) => document.getElementById(id);

  const copy = element("copy");
  if (copy && navigator.clipboard) {
    copy.hidden = false;
    copy.addEventListener("click", () => {
      const command = copy.parentNode.querySelector("code").textContent;
      const done = (text) => {
        copy.textContent = text;
        setTimeout(() => { copy.textContent = "Copy"; }, 1500);
      };
      navigator.clipboard.writeText(command).then(() => done("Copied"), () => done("Not allowed"));
    });
  }

  const source = element("story");
  if (!source) return;
  const story = JSON.parse(source.textContent);
  const names = story.nodes;
  const count = names.length;

  // What a cell can be. The first five are those of views; the others come from processes.
  const VIEWS = ["unknown", "alive", "suspect", "down", "left", "off", "self"];
  const WORDS = ["does not know", "sees alive", "suspects", "holds for down", "knows has left"];
  const PROCESS = ["runs", "is frozen", "has crashed", "has left", "has stopped", "has not started"];
  const NOT_STARTED = 5;
  const OFF = 5;
  const SELF = 6;

  // Changes: times in milliseconds, and what changed (see heat.rs for the packing).
  const { at, code } = unpack(story.changes);

  function unpack(text) {
    const bytes = atob(text);
    const at = [];
    const code = [];
    let place = 0;
    const number = () => {
      let value = 0;
      for (let unit = 1; ; unit *= 128) {
        const byte = bytes.charCodeAt(place++);
        value += (byte & 127) * unit;
        if (byte < 128) return value;
      }
    };
    for (let time = 0; place < bytes.length;) {
      time += number();
      at.push(time);
      code.push(number());
    }
    return { at: Float64Array.from(at), code: Float64Array.from(code) };
  }

  // The state at one moment. Going back means to begin again, which is fast enough.
  const views = new Uint8Array(count * count);
  const since = new Float64Array(count * count);
  const processes = new Uint8Array(count).fill(NOT_STARTED);
  let applied = 0;

  function seek(moment) {
    if (applied > 0 && at[applied - 1] > moment) {
      views.fill(0);
      since.fill(0);
      processes.fill(NOT_STARTED);
      applied = 0;
    }
    for (; applied < at.length && at[applied] <= moment; applied++) {
      const state = code[applied] % 5;
      const cell = (code[applied] - state) / 5;
      if (cell < count * count) {
        views[cell] = state;
        since[cell] = at[applied];
      } else {
        const node = cell - count * count;
        // A process that starts knows nobody; one that was only frozen remembers.
        if (state === 0 && processes[node] !== 1) {
          views.fill(0, node * count, (node + 1) * count);
          since.fill(at[applied], node * count, (node + 1) * count);
        }
        processes[node] = state;
      }
    }
  }

  const look = (observer, subject) => {
    if (processes[observer] > 1) return OFF;
    if (observer === subject) return SELF;
    return views[observer * count + subject];
  };

  // Drawing.
  const box = element("heat");
  const canvas = document.createElement("canvas");
  canvas.setAttribute("aria-hidden", "true");
  box.replaceChildren(canvas);
  const pen = canvas.getContext("2d");
  const small = document.createElement("canvas");
  small.width = count;
  small.height = count;
  const smallPen = small.getContext("2d");
  const pixels = smallPen.createImageData(count, count);
  const words = new Uint32Array(pixels.data.buffer);
  let colours = [];
  let packed = [];
  let ink = "";
  let dim = "";
  let paper = "";
  let side = 0;
  let left = 0;
  let top = 0;
  let cursor = null;

  function theme() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue("--" + name).trim();
    colours = VIEWS.map(colour);
    packed = colours.map((hex) => {
      const [r, g, b] = [1, 3, 5].map((from) => parseInt(hex.slice(from, from + 2), 16));
      return new Uint32Array(new Uint8Array([r, g, b, 255]).buffer)[0];
    });
    ink = colour("ink");
    dim = colour("dim");
    paper = colour("card");
  }

  function measure() {
    const longest = names.reduce((length, name) => Math.max(length, name.length), 0);
    left = Math.min(longest, 12) * 7 + 10;
    top = 20;
    // As large as there is room, but no larger than a screen.
    const room = Math.max(box.parentNode.clientWidth - left - 8, 200);
    const least = count > 256 ? 1 : 4;
    side = Math.max(least, Math.min(40, Math.floor(Math.min(room, 680) / count)));
    const scale = window.devicePixelRatio || 1;
    const width = left + side * count + 2;
    const height = top + side * count + 2;
    canvas.width = width * scale;
    canvas.height = height * scale;
    canvas.style.width = width + "px";
    canvas.style.height = height + "px";
    pen.setTransform(scale, 0, 0, scale, 0, 0);
  }

  // A sign for each state, so that colour is not needed.
  function sign(pen, view, x, y, side) {
    const third = side * 0.3;
    const [west, east, north, south] = [x + third, x + side - third, y + third, y + side - third];
    const middle = y + side / 2;
    pen.strokeStyle = view === 2 ? "#241803" : paper;
    pen.lineWidth = Math.max(1.2, side / 11);
    pen.beginPath();
    if (view === 2) {
      pen.moveTo(west, south);
      pen.lineTo(east, north);
    } else if (view === 3) {
      pen.moveTo(west, north);
      pen.lineTo(east, south);
      pen.moveTo(east, north);
      pen.lineTo(west, south);
    } else if (view === 4) {
      pen.moveTo(west, middle);
      pen.lineTo(east, middle);
    } else if (view === 0) {
      pen.strokeStyle = dim;
      pen.arc(x + side / 2, middle, Math.max(0.8, side / 14), 0, 7);
    } else if (view === 5) {
      pen.strokeStyle = dim;
      pen.moveTo(x, y + side);
      pen.lineTo(x + side, y);
    } else {
      return;
    }
    pen.stroke();
  }

  function draw() {
    for (let observer = 0, n = 0; observer < count; observer++) {
      for (let subject = 0; subject < count; subject++, n++) words[n] = packed[look(observer, subject)];
    }
    smallPen.putImageData(pixels, 0, 0);
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.imageSmoothingEnabled = false;
    pen.drawImage(small, left, top, side * count, side * count);
    if (side >= 9) cells();
    labels();
    if (cursor) {
      pen.strokeStyle = ink;
      pen.lineWidth = 2;
      pen.strokeRect(left + cursor[1] * side - 1, top + cursor[0] * side - 1, side + 2, side + 2);
    }
  }

  function cells() {
    pen.strokeStyle = paper;
    pen.lineWidth = side >= 16 ? 2 : 1;
    pen.beginPath();
    for (let n = 0; n <= count; n++) {
      pen.moveTo(left + n * side, top);
      pen.lineTo(left + n * side, top + count * side);
      pen.moveTo(left, top + n * side);
      pen.lineTo(left + count * side, top + n * side);
    }
    pen.stroke();
    for (let observer = 0; observer < count; observer++) {
      for (let subject = 0; subject < count; subject++) {
        sign(pen, look(observer, subject), left + subject * side, top + observer * side, side);
      }
    }
  }

  function labels() {
    pen.fillStyle = dim;
    pen.font = "11.5px system-ui, sans-serif";
    pen.textBaseline = "middle";
    const step = (room) => {
      const rough = Math.ceil(room / side);
      return [1, 2, 5, 8, 10, 16, 20, 32, 50, 64, 100].find((step) => step >= rough) || rough;
    };
    for (let n = 0; n < count; n += step(14)) {
      pen.textAlign = "right";
      pen.fillText(names[n].slice(0, 12), left - 6, top + (n + 0.5) * side);
    }
    const widest = Math.max(...names.map((name) => pen.measureText(name.slice(0, 12)).width));
    for (let n = 0; n < count; n += step(widest + 6)) {
      pen.textAlign = "center";
      const text = names[n].slice(0, 12);
      const half = pen.measureText(text).width / 2;
      pen.fillText(text, Math.max(left + (n + 0.5) * side, left + half), 9);
    }
  }

  // Time.
  const slider = element("time");
  const charts = [...document.querySelectorAll("svg.over-time")];
  // The plots of all charts begin and end here, and so wide is a chart (see axis.rs).
  const [PLOT_LEFT, PLOT_RIGHT, WIDTH] = [64, 944, 960];
  let moment = story.moment;

  const written = (seconds) => {
    if (story.seconds < 2) return (seconds * 1000).toFixed(0) + " ms";
    if (seconds < 120) return seconds.toFixed(1) + " s";
    return Math.floor(seconds / 60) + " min " + (seconds % 60).toFixed(0).padStart(2, "0") + " s";
  };

  // Charts that are wider than their boxes: these scroll, and follow the moment.
  let boxes = [];

  function measureBoxes() {
    boxes = charts.map(({ parentNode: box }) => ({ box, wide: box.scrollWidth, seen: box.clientWidth }));
    boxes = boxes.filter(({ wide, seen }) => wide > seen);
  }

  // `pointed` is the chart under somebody's finger, which stays where it is.
  function show(to, pointed) {
    moment = Math.max(0, Math.min(story.seconds, to));
    seek(moment * 1000 + 1e-6);
    draw();
    tell();
    const text = written(moment);
    slider.value = moment;
    slider.setAttribute("aria-valuetext", text);
    element("now").textContent = text;
    // A fault of a moment is shown for as long as a step of the slider and a bit.
    const near = story.seconds / 300;
    const now = story.faults.filter(([from, to]) => from <= moment && moment <= Math.max(to, from + near));
    element("faults").textContent = now.length ? "⚡ " + now.map((fault) => fault[2]).join(", ") : "No fault at this moment.";
    const x = PLOT_LEFT + ((PLOT_RIGHT - PLOT_LEFT) * moment) / story.seconds;
    for (const chart of charts) {
      chart.querySelector(".now").setAttribute("transform", "translate(" + (x - PLOT_LEFT) + " 0)");
    }
    const counts = new Array(VIEWS.length).fill(0);
    for (let observer = 0; observer < count; observer++) {
      for (let subject = 0; subject < count; subject++) counts[look(observer, subject)]++;
    }
    VIEWS.forEach((view, n) => {
      const place = document.querySelector('[data-count="' + view + '"]');
      if (place) place.textContent = counts[n].toLocaleString("en");
    });
    // After all else is written, so that the page is laid out once.
    for (const { box, wide, seen } of boxes) {
      if (!pointed || box !== pointed.parentNode) box.scrollLeft = (x / WIDTH) * wide - seen / 2;
    }
  }

  // What the cell under the cursor is.
  function tell() {
    if (!cursor) {
      element("cell").textContent = "Point at a cell, or use the arrow keys on the map.";
      return;
    }
    const [observer, subject] = cursor;
    const process = names[observer] + " " + PROCESS[processes[observer]];
    if (look(observer, subject) >= OFF) {
      element("cell").textContent = process + ".";
      return;
    }
    const cell = observer * count + subject;
    const from = since[cell] > 0 ? ", since " + written(since[cell] / 1000) : "";
    const frozen = processes[observer] === 1 ? " (it is frozen)" : "";
    element("cell").textContent =
      names[observer] + " " + WORDS[views[cell]] + " " + names[subject] + from + frozen + ".";
  }

  function point(observer, subject) {
    const inside = (n) => Math.max(0, Math.min(count - 1, n));
    cursor = [inside(observer), inside(subject)];
    draw();
    tell();
  }

  canvas.addEventListener("pointermove", (event) => {
    const [subject, observer] = [event.offsetX - left, event.offsetY - top].map((at) => Math.floor(at / side));
    if (subject >= 0 && observer >= 0 && subject < count && observer < count) point(observer, subject);
  });
  box.addEventListener("keydown", (event) => {
    const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const step = steps[event.key];
    if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    point(cursor ? cursor[0] + step[0] : 0, cursor ? cursor[1] + step[1] : 0);
    box.scrollLeft = Math.max(0, left + cursor[1] * side - box.clientWidth / 2);
  });

  slider.max = story.seconds;
  // The arrow keys move by a part of the whole that can be seen.
  slider.step = Math.max(story.seconds / 1000, 0.001);
  slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });

  // Charts over time set the moment too.
  for (const chart of charts) {
    const go = (event) => {
      const edge = chart.getBoundingClientRect();
      const x = ((event.clientX - edge.left) / edge.width) * WIDTH;
      stop();
      show(((x - PLOT_LEFT) / (PLOT_RIGHT - PLOT_LEFT)) * story.seconds, chart);
    };
    chart.addEventListener("click", go);
    chart.addEventListener("pointermove", (event) => { if (event.buttons & 1 && event.pointerType === "mouse") go(event); });
  }

  // The next and the previous moment at which anything changed.
  function jump(forward) {
    stop();
    const here = moment * 1000;
    let low = 0;
    let high = at.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (forward ? at[middle] > here + 0.5 : at[middle] >= here - 0.5) high = middle;
      else low = middle + 1;
    }
    const place = forward ? low : low - 1;
    if (place >= 0 && place < at.length) show(at[place] / 1000);
  }
  element("next").addEventListener("click", () => jump(true));
  element("previous").addEventListener("click", () => jump(false));

  // The whole run in twenty seconds.
  const play = element("play");
  let playing = 0;
  let before = 0;

  function stop() {
    if (playing) cancelAnimationFrame(playing);
    playing = 0;
    play.textContent = "▶";
    play.setAttribute("aria-label", "Play");
  }

  function frame(time) {
    show(moment + ((time - before) / 20000) * story.seconds);
    before = time;
    if (moment >= story.seconds) stop();
    else playing = requestAnimationFrame(frame);
  }

  play.addEventListener("click", () => {
    if (playing) return stop();
    if (moment >= story.seconds) show(0);
    play.textContent = "❚❚";
    play.setAttribute("aria-label", "Pause");
    before = performance.now();
    playing = requestAnimationFrame(frame);
  });

  function legend() {
    for (const key of document.querySelectorAll("canvas.key")) {
      const view = VIEWS.indexOf(key.dataset.view);
      const keyPen = key.getContext("2d");
      keyPen.fillStyle = colours[view];
      keyPen.fillRect(0, 0, 32, 32);
      sign(keyPen, view, 0, 0, 32);
      key.hidden = false;
      if (key.nextElementSibling) key.nextElementSibling.style.display = "none";
    }
  }

  function again() {
    theme();
    measure();
    measureBoxes();
    legend();
    show(moment);
  }

  document.documentElement.classList.add("ready");
  element("player").hidden = false;
  again();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  let width = box.clientWidth;
  window.addEventListener("resize", () => {
    measureBoxes();
    if (box.clientWidth === width) return show(moment);
    width = box.clientWidth;
    again();
  });
})();
