// Requests to the collector, and what to do when one fails.

const TOKEN = "brazier-token", TENANT = "brazier-tenant";

/** Before a collector that has too much to do is asked once more. */
const BUSY_MS = 2_000;

/** For this tab only: a token is not left behind on the machine. */
export const access = {
  get: () => ({ token: read(TOKEN), tenant: read(TENANT) }),
  set({ token, tenant }) {
    write(TOKEN, token);
    write(TENANT, tenant);
  },
};

function read(key) {
  try { return sessionStorage.getItem(key) ?? ""; } catch { return ""; }
}

function write(key, value) {
  try {
    if (value) sessionStorage.setItem(key, value);
    else sessionStorage.removeItem(key);
  } catch {
    // Storage is off: asked for again next time.
  }
}

export class ApiError extends Error {
  constructor(status, reason, message, toDo = "") {
    super(message);
    this.status = status;
    this.reason = reason;
    this.toDo = toDo;
  }

  /** What the reader can do about it: on this page, else as the collector says it. */
  get advice() {
    if (this.reason === "bad_selector") return "Mend the selector: names as in Labels, values in double quotes, and = != =~ !~ between them.";
    switch (this.status) {
      case 0: return "Is it running, and can this machine reach it? What was shown stays until it answers.";
      case 400: return this.toDo ? `To do: ${this.toDo}.` : "Something in the address of this page is not understood. Start again by the name on the upper left.";
      case 401: case 403: return "Give a token under Access; whoever runs the collector has it.";
      case 404: return "The collector does not know this request; it may be older than what asks for it.";
      case 413: return "Ask for less: a shorter range, or one host.";
      case 429: case 503: return "The collector is busy. Try again in a moment.";
      case 504: return "It took too long. Ask for less: a shorter range, or one host.";
      default: return this.toDo ? `To do: ${this.toDo}.` : "The messages of the collector say more.";
    }
  }
}

function headers() {
  const { token, tenant } = access.get();
  const it = { Accept: "application/json" };
  if (token) it.Authorization = `Bearer ${token}`;
  if (tenant) it["X-Scope-OrgID"] = tenant;
  return it;
}

export function url(path, parameters) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(parameters)) {
    if (value !== "" && value !== undefined && value !== null) query.set(key, String(value));
  }
  return `api/v1/${path}${query.size ? `?${query}` : ""}`;
}

async function request(path, parameters, signal, again = true) {
  let response;
  try {
    response = await fetch(url(path, parameters), { headers: headers(), signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "unreachable", "The collector does not answer.");
  }
  if (response.ok) return response;
  if (response.status === 429 && again) {
    await new Promise((resolve) => setTimeout(resolve, BUSY_MS));
    signal?.throwIfAborted();
    return request(path, parameters, signal, false);
  }
  let told = null;
  try { told = (await response.json()).error; } catch { /* It has another form: the status is all there is. */ }
  throw new ApiError(response.status, told?.reason ?? "", told?.message ?? `The collector answered ${response.status}.`, told?.to_do);
}

/** @throws {ApiError} or AbortError. */
export async function get(path, parameters = {}, signal = undefined) {
  const response = await request(path, parameters, signal);
  try {
    return await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(response.status, "malformed", "The answer of the collector is not JSON, or was cut off.");
  }
}

/** Saves a file under the name that the collector gives it. Fetched, as a link could not carry a token. */
export async function download(parameters, fallbackName) {
  const response = await request("download", parameters);
  const named = /filename="?([^";]+)"?/.exec(response.headers.get("Content-Disposition") ?? "")?.[1];
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = named ?? fallbackName;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** The latest request of a kind; the one before is given up. */
export class Slot {
  #controller = null;

  next() {
    this.#controller?.abort();
    this.#controller = new AbortController();
    return this.#controller.signal;
  }
}
