//! Clients of the doors for anybody against a demo: those of CKAN first, then those of the other protocols.

use std::path::Path;

use crate::Outcome;
use crate::browser::Demo;
use crate::python::environment;
use crate::shell::{self, program, read};

/// The suite of MCP that runs on Node.js 20, and what of it a server without fixtures can be asked.
const SUITE: &str = "@modelcontextprotocol/conformance@0.1.9";
const SCENARIOS: [&str; 3] = ["server-initialize", "ping", "tools-list"];

pub(super) fn run(demo: &Demo, scratch: &Path) -> Outcome {
    read(program("ogrinfo").arg("--version"))
        .map_err(|why| format!("ogrinfo is needed (Debian: gdal-bin): {why}"))?;
    let bin = environment(
        "doorclients",
        "ckanapi, frictionless, mlcroissant, owslib, sickle, mcp",
        &[
            "ckanapi==4.11",
            "frictionless==5.21.0",
            "mlcroissant==1.1.1",
            "OWSLib==0.35.0",
            "sickle==0.7.0",
            "mcp==2.3.0",
        ],
    )?;
    for (name, text) in
        [("ckan.py", include_str!("ckan.py")), ("doors.py", include_str!("doors.py"))]
    {
        let script = scratch.join(name);
        std::fs::write(&script, text).map_err(|e| e.to_string())?;
        shell::run(program(bin.join("python")).arg(&script).arg(&demo.ready))?;
    }
    let url = format!("{}/mcp", demo.gateway()?);
    SCENARIOS.iter().try_for_each(|scenario| {
        shell::run(
            program("npx")
                .args(["--yes", SUITE, "server", "--url", &url, "--scenario", scenario])
                .current_dir(scratch),
        )
    })
}
