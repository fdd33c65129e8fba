// Browser tests against a running demo. `cargo xtask test browser` starts one and sets QT_READY (the demo's ready file).
import { defineConfig } from "@playwright/test";

export default defineConfig({
  testDir: "e2e",
  testMatch: "*.test.mjs",
  outputDir: "test-results",
  // One demo, one ledger. What a walk does builds on what it did before, so that walks go one after another; pages are only looked at,
  // each by itself, beside a walk or another page.
  workers: 2,
  projects: [
    { name: "walks", testIgnore: "pages.test.mjs", workers: 1 },
    { name: "pages", testMatch: "pages.test.mjs", fullyParallel: true },
  ],
  retries: 0,
  timeout: 120_000,
  expect: { timeout: 15_000 },
  reporter: [["list"]],
  use: {
    viewport: { width: 1280, height: 900 },
    locale: "zh-CN",
    timezoneId: "Asia/Shanghai",
    screenshot: "only-on-failure",
    trace: "off",
    launchOptions: {
      executablePath: process.env.QT_CHROMIUM || "/usr/bin/chromium",
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--no-proxy-server",
      ],
    },
  },
});
