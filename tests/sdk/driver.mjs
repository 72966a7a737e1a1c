// Carries out steps of Wix's SDK for one AppStrategy, against a fake Wix; JSON in and out.
import { readFileSync } from "node:fs";
import { appInstances, biEvents } from "@wix/app-management";
import { AppStrategy, createClient } from "@wix/sdk";

const { wix, options, steps } = JSON.parse(readFileSync(0, "utf8"));
const hosts = new Set(["www.wixapis.com", "www.wix.com"]);
const dial = globalThis.fetch;

globalThis.fetch = (input, init) => {
  const asked = new URL(input instanceof Request ? input.url : input);
  if (!hosts.has(asked.host)) throw new Error(`not to a fake Wix: ${asked.host}`);
  const url = new URL(asked.pathname + asked.search, wix);
  return dial(input instanceof Request ? new Request(url, input) : url, init);
};

const auth = AppStrategy(options);
const client = createClient({ auth, modules: { appInstances, biEvents } });
const known = {
  getInstallUrl: (given) => auth.getInstallUrl(given),
  handleOAuthCallback: (url, given) => auth.handleOAuthCallback(url, given),
  getAuthHeaders: () => auth.getAuthHeaders(),
  elevated: async () => (await auth.elevated()).getAuthHeaders(),
  decodeJWT: (token) => auth.decodeJWT(token),
  getTokenInfo: () => auth.getTokenInfo(),
  getAppInstance: () => client.appInstances.getAppInstance(),
  process: (token) => client.webhooks.process(token),
  handle: async (token) => {
    const told = [];
    client.appInstances.onAppInstanceInstalled((event) => told.push(["installed", event]));
    client.appInstances.onAppInstanceRemoved((event) => told.push(["removed", event]));
    await client.webhooks.process(token);
    return told;
  },
  sendBiEvent: (event) => client.biEvents.sendBiEvent(event),
};

const outcomes = [];
for (const [name, ...given] of steps) {
  try {
    outcomes.push({ value: (await known[name](...given)) ?? null });
  } catch (error) {
    outcomes.push({ error: error.message });
  }
}
console.log(JSON.stringify(outcomes));
