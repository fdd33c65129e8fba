// A third party's client, unchanged: @supabase/postgrest-js reads rows through the gate, each call signed by the `fetch` it is given.
import { PostgrestClient } from "@supabase/postgrest-js";
import { expect, test } from "@playwright/test";
import { gateway, house, signingFetch } from "./house.mjs";

/** The first application and resource that go together. */
async function first() {
  for (const app of house.apps) {
    const client = new PostgrestClient(`${gateway}/api/v1`, { fetch: signingFetch(app) });
    for (const resource of [...house.resources].sort((a, b) => Number(a.open) - Number(b.open))) {
      const { data, error } = await client.from(resource.code).select("*").limit(3);
      if (!error && data?.length === 3) return { client, resource, rows: data };
    }
  }
  throw new Error("no application of the demo may read any resource");
}

test("postgrest-js selects, filters, orders, limits and counts", async () => {
  const { client, resource, rows } = await first();
  const columns = Object.keys(rows[0]);
  // An unmasked text column to look up by.
  const column = columns.find((c) => typeof rows[0][c] === "string" && !rows[0][c].includes("*"));
  const another = columns.find((c) => c !== column);

  const few = await client.from(resource.code).select(`${another},${column}`).limit(2);
  expect(few.error).toBeNull();
  expect(few.data).toHaveLength(2);
  expect(Object.keys(few.data[0]).sort()).toEqual([another, column].sort());

  const one = await client.from(resource.code).select("*").eq(column, rows[0][column]);
  expect(one.error).toBeNull();
  expect(one.data.every((r) => r[column] === rows[0][column])).toBe(true);

  const ordered = await client.from(resource.code).select(column).order(column, { ascending: false }).limit(50);
  expect(ordered.error).toBeNull();
  const values = ordered.data.map((r) => r[column]);
  expect(values).toEqual([...values].sort((a, b) => (Buffer.compare(Buffer.from(b), Buffer.from(a)))));

  const counted = await client.from(resource.code).select("*", { count: "exact" }).limit(1);
  expect(counted.error).toBeNull();
  expect(counted.count).toBe(resource.rows);

  const wrong = await client.from(resource.code).select("no_such_column");
  expect(wrong.error).not.toBeNull();
  expect(wrong.status).toBeGreaterThanOrEqual(400);
  expect(wrong.status).toBeLessThan(500);
});
