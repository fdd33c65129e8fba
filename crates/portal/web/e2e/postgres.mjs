// A PostgreSQL of the test's own: a cluster with a logical log in a temporary folder, gone with the test.
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";

const versions = "/usr/lib/postgresql";

function tools() {
  const found = fs.existsSync(versions) ? fs.readdirSync(versions).sort((a, b) => b - a) : [];
  const bin = found.map((v) => path.join(versions, v, "bin")).find((b) => fs.existsSync(path.join(b, "initdb")));
  if (!bin) throw new Error("PostgreSQL is not installed: run `cargo xtask setup`");
  return bin;
}

function freePort() {
  return new Promise((resolve) => {
    const server = net.createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** Starts a cluster with one database `source`; `sql` runs statements there, `stop` ends it. */
export async function postgres() {
  const bin = tools();
  const root = process.getuid() === 0;
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "qt-e2e-pg-"));
  if (root) execFileSync("chown", ["-R", "postgres", folder]);
  const run = (name, args) => {
    const command = root ? ["runuser", "-u", "postgres", "--", path.join(bin, name)] : [path.join(bin, name)];
    execFileSync(command[0], [...command.slice(1), ...args], { cwd: "/", stdio: ["ignore", "ignore", "ignore"] });
  };
  const port = await freePort();
  const data = path.join(folder, "data");
  run("initdb", ["-D", data, "-U", "qiantang", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C.UTF-8"]);
  const options = `-p ${port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off -c wal_level=logical`;
  run("pg_ctl", ["-D", data, "-w", "-l", `${data}.log`, "-o", options, "start"]);
  run("createdb", ["-h", "127.0.0.1", "-p", String(port), "-U", "qiantang", "source"]);
  return {
    port,
    sql: (text) => run("psql", ["-h", "127.0.0.1", "-p", String(port), "-U", "qiantang", "-d", "source", "-q", "-v", "ON_ERROR_STOP=1", "-c", text]),
    stop: () => {
      run("pg_ctl", ["-D", data, "-m", "immediate", "stop"]);
      fs.rmSync(folder, { recursive: true, force: true });
    },
  };
}
