// Lets Featurebase's own client use every webhook call of the API at FEATUREBASE_BASE_URL, and prints what it
// got from each as one JSON object. The key comes from FEATUREBASE_API_KEY.
import Featurebase from "featurebase-node";

const version = { "Featurebase-Version": "2026-01-01.nova" };
const client = new Featurebase({ maxRetries: 0 });
const seen = {};

const refused = async (call) => {
  try {
    await call();
  } catch (error) {
    return { class: error.constructor.name, status: error.status, error: error.error };
  }
  return null;
};

const webhook = (name) => ({
  ...version,
  name,
  url: "https://example.com/webhooks",
  topics: ["post.created", "post.updated"],
  description: "made by the vendor's client",
  requestConfig: { headers: { "X-Custom-Header": "value" } },
});

seen.created = await client.webhooks.create(webhook("first"));
const id = seen.created.id;
for (const name of ["second", "third"]) await client.webhooks.create(webhook(name));

seen.listed = [];
for await (const one of client.webhooks.list({ ...version, limit: 2 })) seen.listed.push(one);
seen.page = await client.webhooks.list({ ...version, limit: 1 }).then((page) => ({
  size: page.data.length,
  hasNext: page.hasNextPage(),
}));

seen.retrieved = await client.webhooks.retrieve(id, version);
seen.updated = await client.webhooks.update(id, { ...version, description: null, status: "paused" });
seen.paused = (await client.webhooks.list({ ...version, status: "paused" })).data.map((one) => one.id);
seen.refreshed = await client.webhooks.refreshSecret(id, version);
seen.deleted = await client.webhooks.delete(id, version);

seen.log = [];
for await (const entry of client.auditLogs.list({ ...version, limit: 2 })) seen.log.push(entry);
seen.rotated = (await client.auditLogs.list({ ...version, action: "webhook.secret_rotated" })).data;
seen.later = (await client.auditLogs.list({ ...version, startDate: "2100-01-01T00:00:00Z" })).data;

seen.missing = await refused(() => client.webhooks.retrieve(id, version));
seen.malformed = await refused(() => client.webhooks.retrieve("x", version));
seen.invalid = await refused(() => client.webhooks.create({ ...webhook("n"), url: "http://example.com" }));
seen.unversioned = await refused(() => client.webhooks.list());
seen.wrongKey = await refused(() =>
  new Featurebase({ apiKey: "sk_wrong", maxRetries: 0 }).webhooks.retrieve(id, version),
);

console.log(JSON.stringify(seen));
