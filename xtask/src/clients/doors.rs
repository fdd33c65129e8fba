//! Clients of the doors for anybody against a demo: those of CKAN first, then those of the other protocols, of what the open site tells
//! machines, and of the identity provider.

use std::path::Path;

use crate::Outcome;
use crate::browser::Demo;
use crate::python::environment;
use crate::shell::{self, find, program, read};

/// The suite of MCP that runs on Node.js 20, and what of it a server without fixtures can be asked.
const SUITE: &str = "@modelcontextprotocol/conformance@0.1.9";
const SCENARIOS: [&str; 3] = ["server-initialize", "ping", "tools-list"];

/// The client library of OpenID Connect.
const OIDC: &str = "openid-client@6.9.0";

pub(super) fn run(demo: &Demo, scratch: &Path) -> Outcome {
    read(program("ogrinfo").arg("--version"))
        .map_err(|why| format!("ogrinfo is needed (Debian: gdal-bin): {why}"))?;
    let office = ["soffice", "libreoffice"].into_iter().find_map(find).ok_or(
        "LibreOffice is needed (Debian: libreoffice-calc-nogui): it opens the workbooks that are downloaded",
    )?;
    let bin = environment(
        "doorclients",
        "ckanapi, frictionless, mlcroissant, owslib, sickle, mcp, feedparser, extruct, pyshacl, pyarrow",
        &[
            "ckanapi==4.11",
            "frictionless==5.21.0",
            "mlcroissant==1.1.1",
            "OWSLib==0.35.0",
            "sickle==0.7.0",
            "mcp==2.3.0",
            "feedparser==6.0.14",
            "extruct==0.18.0",
            "pyshacl==0.40.1",
            "pyarrow",
        ],
    )?;
    for (name, text) in [
        ("ckan.py", include_str!("ckan.py")),
        ("doors.py", include_str!("doors.py")),
        ("pages.py", include_str!("pages.py")),
    ] {
        let script = scratch.join(name);
        std::fs::write(&script, text).map_err(|e| e.to_string())?;
        shell::run(program(bin.join("python")).arg(&script).arg(&demo.ready).arg(&office))?;
    }
    let url = format!("{}/mcp", demo.gateway()?);
    identity(demo, scratch)?;
    SCENARIOS.iter().try_for_each(|scenario| {
        shell::run(
            program("npx")
                .args(["--yes", SUITE, "server", "--url", &url, "--scenario", scenario])
                .current_dir(scratch),
        )
    })
}

/// The identity provider, by the certified client library of Node.js.
fn identity(demo: &Demo, scratch: &Path) -> Outcome {
    let folder = scratch.join("oidc");
    std::fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
    // A package file of its own, so that npm installs here and nowhere above.
    for (name, text) in [
        ("package.json", "{ \"private\": true, \"type\": \"module\" }\n"),
        ("oidc.mjs", include_str!("oidc.mjs")),
    ] {
        std::fs::write(folder.join(name), text).map_err(|e| e.to_string())?;
    }
    let quiet = ["--no-audit", "--no-fund", "--no-progress"];
    shell::run(program("npm").args(["install", OIDC]).args(quiet).current_dir(&folder))?;
    shell::run(program("node").arg("oidc.mjs").arg(&demo.ready).current_dir(&folder))
}
