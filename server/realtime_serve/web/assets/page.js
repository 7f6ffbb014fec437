// One EventSource a job. What is shown follows from the ids of the events alone, so an event that comes twice changes nothing.

const STREAMS_AT_ONCE = 5; // a browser opens six connections to one server; one is left for the rest
const STATUS_MS = 2000;
const RETRY_MS = [500, 1000, 2000, 4000, 8000];
const KEPT = "realtime-serve.jobs"; // this tab's jobs, taken up again after a reload
const OVER = ["complete", "error", "cancelled", "gone"];
const SAID = {
  sending: "sending", queued: "queued", running: "running", waiting: "waiting for a connection", lost: "reconnecting",
  complete: "complete", error: "failed", cancelled: "cancelled", gone: "gone",
};

const find = (id) => document.getElementById(id);
const jobs = [];

class Job {
  constructor({ number, asked, id = "" }) {
    this.number = number;
    this.asked = asked;
    this.id = id;
    this.state = "sending";
    this.lastId = 0;
    this.tokens = 0;
    this.failures = 0;
    this.source = null;
    this.begun = performance.now();
    this.first = null;
    this.unshown = "";
    this.element = find("job").content.firstElementChild.cloneNode(true);
    this.part("h2").textContent = `Job ${number}`;
    this.part(".asked").textContent = asked;
    this.part(".text").setAttribute("aria-label", `Answer of job ${number}`);
    this.part(".cancel").setAttribute("aria-label", `Cancel job ${number}`);
    this.part(".cancel").addEventListener("click", () => this.cancel());
    find("jobs").prepend(this.element);
    find("empty").hidden = true;
    this.show();
  }

  part(selector) {
    return this.element.querySelector(selector);
  }

  get over() {
    return OVER.includes(this.state);
  }

  become(state, message = "") {
    if (this.over) return;
    this.state = state;
    if (message) {
      this.part(".message").textContent = message;
      this.part(".message").hidden = false;
    }
    if (this.over) {
      this.source?.close();
      this.source = null;
      const hadFocus = document.activeElement === this.part(".cancel");
      this.part(".cancel").hidden = true;
      if (hadFocus) this.element.focus();
      say(`Job ${this.number} ${SAID[state]}, ${this.tokens} tokens`);
      openWaiting();
    }
    this.show();
  }

  show() {
    this.element.dataset.state = this.state;
    this.element.dataset.job = this.id;
    this.part(".state").textContent = SAID[this.state];
    this.part(".tokens").textContent = this.tokens;
  }

  open() {
    this.become("queued");
    const after = this.lastId ? `&last_event_id=${this.lastId}` : "";
    const source = new EventSource(`/v1/stream?job_id=${encodeURIComponent(this.id)}${after}`);
    this.source = source;
    source.addEventListener("open", () => this.become(this.tokens ? "running" : "queued"));
    source.addEventListener("error", () => this.lose(source));
    source.addEventListener("job_started", (event) => this.take(event, (data) => this.start(data)));
    source.addEventListener("token", (event) => this.take(event, (data) => this.append(data)));
    for (const state of ["complete", "error", "cancelled"]) {
      source.addEventListener(`job_${state}`, (event) => this.take(event, (data) => this.end(state, data)));
    }
  }

  take(event, act) {
    const id = Number(event.lastEventId);
    if (id <= this.lastId) return;
    this.lastId = id;
    this.failures = 0;
    act(JSON.parse(event.data));
  }

  start({ version }) {
    this.part(".version").textContent = version;
  }

  append({ text, tokens }) {
    const now = performance.now();
    if (this.first === null) {
      this.first = now;
      this.part(".ttft").textContent = milliseconds(now - this.begun);
    }
    if (this.state !== "running") this.become("running");
    this.tokens = tokens;
    const seconds = (now - this.first) / 1000;
    if (seconds > 0.2) this.part(".speed").textContent = perSecond((tokens - 1) / seconds);
    if (!this.unshown) requestAnimationFrame(() => this.paint());
    this.unshown += text;
  }

  paint() {
    const box = this.part(".text");
    const atEnd = box.scrollTop + box.clientHeight >= box.scrollHeight - 4;
    box.append(this.unshown);
    this.unshown = "";
    this.part(".tokens").textContent = this.tokens;
    if (atEnd) box.scrollTop = box.scrollHeight;
  }

  end(state, { message, usage, metrics }) {
    if (this.unshown) this.paint();
    if (usage) this.tokens = usage.completion_tokens;
    if (metrics.ttft_seconds !== null) this.part(".ttft").textContent = milliseconds(metrics.ttft_seconds * 1000);
    if (metrics.tokens_per_second !== null) this.part(".speed").textContent = perSecond(metrics.tokens_per_second);
    this.become(state, message);
  }

  lose(source) {
    if (this.over || source !== this.source) return;
    this.become("lost");
    if (source.readyState !== EventSource.CLOSED) return; // it comes back by itself, with the last id
    const wait = RETRY_MS[Math.min(this.failures++, RETRY_MS.length - 1)];
    setTimeout(() => this.reopen(), wait);
  }

  async reopen() {
    if (this.over) return;
    const status = await statusOf(`/v1/jobs/${this.id}`);
    if (status === 404 || status === 410) this.become("gone", "The server no longer keeps this job.");
    else this.open();
  }

  async cancel() {
    if (!this.id) return;
    try {
      await fetch(`/v1/jobs/${this.id}/cancel`, { method: "POST", headers: authorization() });
    } catch {
      say(`Job ${this.number} could not be cancelled: the server cannot be reached`);
    }
  }
}

async function run(event) {
  event.preventDefault();
  const prompt = find("prompt").value;
  const wanted = find("kind").value === "chat" ? { messages: [{ role: "user", content: prompt }] } : { prompt };
  const job = new Job({ number: jobs.length + 1, asked: prompt });
  jobs.push(job);
  const body = JSON.stringify({
    model: find("model-name").dataset.name,
    ...wanted,
    max_tokens: Number(find("max-tokens").value),
    temperature: Number(find("temperature").value),
  });
  const headers = { "Content-Type": "application/json", "Idempotency-Key": newKey(), ...authorization() };
  const answer = await post("/v1/jobs", { method: "POST", headers, body });
  if (answer.error) return job.become("error", answer.error.message);
  job.id = answer.job_id;
  keep();
  return openOrWait(job);
}

// The key makes it safe to send again when nobody knows whether the first one arrived.
async function post(path, request) {
  for (const wait of [...RETRY_MS, 0]) {
    try {
      const response = await fetch(path, request);
      if (response.status !== 409) return await response.json();
    } catch (error) {
      if (!wait) return { error: { message: `The server cannot be reached: ${error.message}` } };
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
  return { error: { message: "The server is still busy with the first try." } };
}

function openOrWait(job) {
  if (jobs.filter((other) => other.source).length < STREAMS_AT_ONCE) job.open();
  else job.become("waiting");
}

function openWaiting() {
  const next = jobs.find((job) => job.state === "waiting");
  if (next) openOrWait(next);
}

async function follow() {
  try {
    const { models } = await (await fetch("/models", { cache: "no-store" })).json();
    const [name, model] = Object.entries(models)[0];
    const version = model.versions[model.active_version];
    showModel(name, model.active_version, version ? version.state : "loading");
  } catch {
    find("model-state").textContent = "not reachable";
  }
  setTimeout(follow, document.hidden ? 5 * STATUS_MS : STATUS_MS);
}

function showModel(name, version, state) {
  const shown = find("model-version").textContent;
  if (shown !== "…" && shown !== version) say(`The version is now ${version}`);
  find("model-name").textContent = name;
  find("model-name").dataset.name = name;
  find("model-version").textContent = version;
  find("model-state").textContent = state;
}

function keep() {
  const kept = jobs.filter((job) => job.id).map(({ number, asked, id }) => ({ number, asked, id }));
  sessionStorage.setItem(KEPT, JSON.stringify(kept));
}

function restore() {
  for (const kept of JSON.parse(sessionStorage.getItem(KEPT) ?? "[]")) {
    const job = new Job(kept);
    jobs.push(job);
    openOrWait(job);
  }
}

async function statusOf(path) {
  try {
    return (await fetch(path, { cache: "no-store" })).status;
  } catch {
    return 0;
  }
}

function authorization() {
  const key = find("api-key").value;
  return key ? { Authorization: `Bearer ${key}` } : {};
}

function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function say(text) {
  find("announcer").textContent = text;
}

const milliseconds = (value) => `${value < 100 ? value.toFixed(1) : Math.round(value)} ms`;
const perSecond = (value) => `${value < 100 ? value.toFixed(1) : Math.round(value)} tok/s`;

find("ask").addEventListener("submit", run);
find("prompt").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) find("ask").requestSubmit();
});
restore();
follow();
